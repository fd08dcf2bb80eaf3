//! Clients that manage their streams (XEP-0198): they count, acknowledge when they like, stop listening, lose their connection at any byte in either
//! direction, come back to their session over another one, or do not. And where every letter must be then.

use super::*;

/// Seconds that a session of these clients waits.
const KEPT_SECONDS: u64 = 60;

/// What the number of a copy is more than that of its letter.
pub const COPY: u64 = 1_000_000_000;
/// What the number of a letter is more that came out of the store, for a client that does not acknowledge it.
pub const OUT_OF_STORE: u64 = 2_000_000_000;

/// What such a client and the one who plays it know.
#[derive(Default)]
pub struct Managed {
    token: String,
    /// Every stanza that came, with the number of its letter: their count is the client's `h`.
    heard: Vec<Option<u64>>,
    /// The last `h` that the server was told.
    told: usize,
    /// Stanzas that the server has not acknowledged, the oldest first, and how many it has.
    sent: VecDeque<Sent>,
    acknowledged: usize,
    /// How many the server must have handled.
    handled: usize,
    /// Letters that wait in the store until they are acknowledged.
    keyed: BTreeSet<u64>,
    /// It does not look at what comes.
    deaf: bool,
    /// It was asked for its count and has not answered.
    asked: bool,
    /// It went on, and this did not come before.
    again: Option<VecDeque<Sent>>,
}

struct Sent {
    text: String,
    /// What has to be done in the model when the server gets it, where it may not have got it.
    letter: Option<Outgoing>,
    /// What must be on the disk before it is acknowledged.
    version: u64,
}

/// A letter on its way to the server.
#[derive(Clone)]
pub struct Outgoing {
    pub whom: usize,
    pub at: usize,
    pub bare: bool,
    pub number: u64,
}

impl Managed {
    /// The server says how much it has handled: that must be on the disk.
    fn handled_so_far(&mut self, h: usize, durable: u64) {
        assert!(
            h <= self.handled && h >= self.acknowledged,
            "{h} are acknowledged, {} were handled, {} were acknowledged before",
            self.handled,
            self.acknowledged
        );
        for sent in self.sent.drain(..h - self.acknowledged) {
            assert!(
                sent.version <= durable,
                "acknowledged before it was on the disk: {}",
                sent.text
            );
        }
        self.acknowledged = h;
    }
}

impl Play {
    /// Whether the client of a place waits to come back.
    pub fn is_away(&self, place: Place) -> bool {
        self.clients.get(&place).is_some_and(|client| client.away)
    }

    /// Whether it looks at what comes.
    pub fn is_deaf(&self, place: Place) -> bool {
        let managed = self.clients.get(&place).and_then(|c| c.managed.as_ref());
        managed.is_some_and(|managed| managed.deaf)
    }

    /// From now on a new client's stream is managed.
    pub fn manage(&mut self, place: Place) {
        let far = self.clients[&place].far;
        let wish = format!("<enable xmlns='urn:xmpp:sm:3' resume='true' max='{KEPT_SECONDS}'/>");
        self.tell(format!("{} sends {wish}", Self::address(place)));
        let answer = self.host.ask(far, &wish);
        let token = answer
            .strip_prefix("<enabled xmlns='urn:xmpp:sm:3' id='")
            .and_then(|rest| rest.split('\'').next());
        let Some(token) = token.filter(|_| answer.contains("resume='true' max='60'")) else {
            panic!("{}: {answer}", Self::address(place));
        };
        let managed = Managed {
            token: token.to_owned(),
            ..Managed::default()
        };
        if let Some(client) = self.clients.get_mut(&place) {
            client.managed = Some(managed);
        }
        self.tally.managed += 1;
    }

    /// What only such a client does; whether it did something.
    pub fn managed_step(&mut self, place: Place) -> bool {
        let Some(client) = self.clients.get(&place).filter(|c| c.managed.is_some()) else {
            return false;
        };
        if client.away {
            match self.roll(10) {
                0..5 => self.come_back(place),
                5 => self.log_in(place),
                _ => {}
            }
            return true;
        }
        if self.is_deaf(place) {
            match self.roll(10) {
                0..3 => self.listen(place),
                3..5 => self.lose(place),
                5..6 => self.come_back(place),
                _ => self.letter(place),
            }
            return true;
        }
        match self.roll(20) {
            0..3 => {
                self.tell(format!("{} does not listen any more", Self::address(place)));
                if let Some(managed) = self.managed_mut(place) {
                    managed.deaf = true;
                }
            }
            3..6 => self.acknowledge(place),
            6..8 => self.send(place, "<r xmlns='urn:xmpp:sm:3'/>"),
            8..10 => self.lose(place),
            10 => self.come_back(place),
            _ => return false,
        }
        true
    }

    /// It hears what has come meanwhile.
    pub fn listen(&mut self, place: Place) {
        if let Some(managed) = self.managed_mut(place) {
            managed.deaf = false;
        }
        self.hear(place);
    }

    /// It says how many stanzas it has.
    pub fn acknowledge(&mut self, place: Place) {
        let Some(managed) = self.managed_mut(place) else {
            return;
        };
        let h = managed.heard.len();
        managed.asked = false;
        self.send(place, &format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
        if !self.host.is_closed(self.clients[&place].far) {
            self.told(place, h);
        }
    }

    /// The server was told this count: those letters have come for certain.
    fn told(&mut self, place: Place, h: usize) {
        let Some(managed) = self.managed_mut(place) else {
            return;
        };
        let new: Vec<u64> = managed.heard[managed.told..h]
            .iter()
            .flatten()
            .copied()
            .collect();
        managed.told = h;
        let keyed: Vec<u64> = new
            .iter()
            .copied()
            .filter(|n| managed.keyed.remove(n))
            .collect();
        for number in new {
            self.tally.certain += 1;
            if let Some(client) = self.clients.get_mut(&place) {
                client.certain.insert(number);
            }
            match keyed.contains(&number) {
                true => self.leaves_the_store(place.0, number),
                false => drop(self.seen.insert(number % COPY)),
            }
        }
    }

    fn leaves_the_store(&mut self, who: usize, number: u64) {
        let queue = self.now.offline.entry(who).or_default();
        let before = queue.len();
        queue.retain(|letter| letter.2 != number);
        self.now.version += u64::from(queue.len() < before);
    }

    /// Something is sent that the server has to count.
    pub fn note_sent(&mut self, place: Place, text: &str, letter: Option<Outgoing>, version: u64) {
        let arrives = !self.host.is_closed(self.clients[&place].far);
        let Some(managed) = self.managed_mut(place) else {
            return;
        };
        let is_stanza = ["<message", "<presence", "<iq"]
            .iter()
            .any(|start| text.starts_with(start));
        if is_stanza {
            managed.handled += usize::from(arrives);
            managed.sent.push_back(Sent {
                text: text.to_owned(),
                version,
                letter: letter.filter(|_| !arrives),
            });
        }
    }

    /// One element for a client that manages its stream.
    pub fn heard_managed(&mut self, place: Place, stanza: snug::xml::Element<'_>, xml: &str) {
        let durable = self.durable.version;
        let Some(managed) = self.managed_mut(place) else {
            return;
        };
        let h = || -> usize {
            stanza
                .attr("h")
                .expect("a count")
                .parse()
                .expect("a number")
        };
        match stanza.name() {
            "message" | "presence" | "iq" => {
                let number = match (stanza.name(), copied(stanza)) {
                    ("message", None) => Some(letter_of(xml).2),
                    ("message", Some(_)) => is_for(xml, place.0).then(|| letter_of(xml).2 + COPY),
                    _ => None,
                };
                managed.heard.push(number);
            }
            "r" => managed.asked = true,
            "a" => {
                managed.handled_so_far(h(), durable);
                self.tally.acknowledged += 1;
            }
            "resumed" => {
                let h = h();
                assert_eq!(h, managed.handled, "what the server has handled");
                managed.handled_so_far(h, durable);
                managed.again = Some(std::mem::take(&mut managed.sent));
            }
            _ => {}
        }
    }

    /// The connection is lost at some byte: what the client sent last may have come in part, and so may what it was sent.
    pub fn lose(&mut self, place: Place) {
        if self.is_away(place) {
            return;
        }
        let far = self.clients[&place].far;
        self.hear_a_part(place);
        if self.roll(2) == 0 && !self.host.is_closed(far) {
            let (outgoing, text) = self.compose(place);
            let cut = self.roll(text.len() + 1);
            self.tell(format!(
                "{} sends {} of {text}",
                Self::address(place),
                &text[..cut]
            ));
            let whole = cut == text.len();
            let version = match whole {
                true => self.route(place, &outgoing),
                false => 0,
            };
            if let Some(managed) = self.managed_mut(place) {
                managed.handled += usize::from(whole);
                managed.sent.push_back(Sent {
                    text: text.clone(),
                    version,
                    letter: (!whole).then_some(outgoing),
                });
            }
            self.host.send(far, &text[..cut]);
            self.tally.torn += 1;
        }
        self.tell(format!("{} loses its connection", Self::address(place)));
        self.tally.cuts += 1;
        self.host.forget(far);
        self.is_lost(place);
    }

    /// It reads what was on its way up to some byte.
    fn hear_a_part(&mut self, place: Place) {
        let far = self.clients[&place].far;
        let bytes = self.host.take_sent(far);
        let upto = self.roll(bytes.len() + 1);
        self.hear_bytes(place, &bytes[..upto]);
    }

    fn is_lost(&mut self, place: Place) {
        let address = Self::address(place);
        let lost_ms = self
            .host
            .engine
            .sessions()
            .find(|session| session.jid.as_str() == address)
            .and_then(|session| session.lost_ms)
            .unwrap_or_else(|| panic!("the session of {address} does not wait"));
        if let Some(client) = self.clients.get_mut(&place) {
            client.away = true;
            client.closed = false;
            client.lost_ms = lost_ms;
        }
        if let Some(managed) = self.managed_mut(place) {
            managed.deaf = false;
            managed.asked = false;
        }
    }

    /// The server has ended a stream whose client it did not hear: it hears the rest, and its session waits.
    pub fn notice_loss(&mut self, place: Place) {
        let Some(client) = self.clients.get(&place) else {
            return;
        };
        if client.managed.is_some() && !client.away && self.host.is_closed(client.far) {
            let far = client.far;
            self.listen(place);
            self.host.forget(far);
            self.is_lost(place);
            self.tally.unheard += 1;
        }
    }

    /// Sessions whose client did not come back in time are over.
    pub fn notice_expired(&mut self) {
        let now_ms = self.host.now().wall_ms;
        let mut over: Vec<(u64, Place)> = Vec::new();
        for (place, client) in self.clients.iter().filter(|(_, client)| client.away) {
            let address = Self::address(*place);
            let mut sessions = self.host.engine.sessions();
            let waits = sessions.any(|session| session.jid.as_str() == address);
            let away_ms = now_ms - client.lost_ms;
            assert!(
                waits || away_ms > KEPT_SECONDS * 1000,
                "{address} ended after {away_ms} ms"
            );
            assert!(
                !waits || away_ms < (KEPT_SECONDS + 3) * 1000,
                "{address} waits for {away_ms} ms"
            );
            if !waits {
                over.push((client.lost_ms, *place));
            }
        }
        over.sort();
        for (_, place) in over {
            self.tell(format!("{} did not come back", Self::address(place)));
            self.tally.expired += 1;
            let client = self.clients.remove(&place).expect("it was just there");
            self.ended(place, client, false);
        }
    }

    /// It comes back over another connection, from being away or while the old one seems to live.
    fn come_back(&mut self, place: Place) {
        self.end_logins();
        if !self.clients.contains_key(&place) {
            return;
        }
        let old = self.clients[&place].far;
        let away = self.is_away(place);
        if !away && self.host.is_closed(old) {
            return;
        }
        if !away {
            self.hear_a_part(place);
        }
        let Some(managed) = self.managed_mut(place) else {
            return;
        };
        let (token, h) = (managed.token.clone(), managed.heard.len());
        let far = self.host.authenticate(NAMES[place.0], "secret");
        self.host.sent(far);
        let request = format!("<resume xmlns='urn:xmpp:sm:3' previd='{token}' h='{h}'/>");
        self.tell(format!("{} sends {request}", Self::address(place)));
        self.host.send(far, &request);
        if !away {
            assert!(self.host.is_closed(old), "the old connection goes on");
            self.host.forget(old);
            // Until it is attached it only waits.
            if let Some(client) = self.clients.get_mut(&place) {
                client.away = true;
                client.closed = false;
            }
        }
        let mut bytes = self.host.take_sent(far);
        if bytes.is_empty() {
            self.tally.resumed_late += 1;
            if self.roll(3) == 0 {
                self.tell(format!("{} is cut off once more", Self::address(place)));
                self.host.forget(far);
                self.is_lost(place);
                return;
            }
            self.host.release_commits();
            bytes = self.host.take_sent(far);
        }
        let Some(client) = self.clients.get_mut(&place) else {
            return;
        };
        client.far = far;
        client.away = false;
        client.reader = fresh_reader();
        if let Some(managed) = &mut client.managed {
            (managed.deaf, managed.asked) = (false, false);
        }
        self.told(place, h);
        self.hear_bytes(place, &bytes);
        self.tally.resumed += 1;
        let Some(managed) = self.managed_mut(place) else {
            return;
        };
        for sent in managed.again.take().expect("the session goes on") {
            let outgoing = sent.letter.expect("only letters are torn");
            self.post(place, outgoing, &sent.text);
        }
    }

    /// A session has ended: where its letters must be now. `stopping`: with the server.
    pub fn ended(&mut self, place: Place, client: Client, stopping: bool) {
        let who = place.0;
        for (sender, bare, id) in &client.order {
            if client.certain.contains(id) {
                continue;
            }
            let number = id % COPY;
            let is_copy = (COPY..OUT_OF_STORE).contains(id);
            let handed_over = *id >= OUT_OF_STORE;
            let letter = &(*sender, *bare, number);
            let keyed = client
                .managed
                .as_ref()
                .is_some_and(|m| m.keyed.contains(id));
            let queue = self.now.offline.entry(who).or_default();
            let known = match (keyed, handed_over) {
                (true, _) => !queue.contains(letter),
                (_, true) => false,
                _ => self.seen.contains(&number) || is_copy && self.kept.contains(&number),
            };
            if known {
                continue;
            }
            let mine = self.clients.iter().filter(|(other, _)| other.0 == who);
            let (holders, others): (Vec<_>, Vec<_>) = mine.partition(|(_, client)| {
                let has =
                    |id| client.order.iter().any(|l| l.2 == id) && !client.certain.contains(&id);
                let in_hand = client
                    .managed
                    .as_ref()
                    .is_some_and(|m| m.keyed.contains(&number));
                let same = has(number) && in_hand == keyed || !keyed && has(number + COPY);
                same && !handed_over
            });
            let missing: Vec<Place> = others
                .iter()
                .filter(|(_, client)| client.presence.is_some_and(|(priority, _)| priority >= 0))
                .map(|(other, _)| **other)
                .collect();
            let nobody = missing.is_empty() || stopping;
            if !holders.is_empty() && (nobody || keyed || is_copy) || nobody && keyed {
                continue;
            }
            self.tally.returned += 1;
            if nobody {
                self.now.version += 1;
                self.now.offline.entry(who).or_default().push(*letter);
                continue;
            }
            for other in missing {
                let managed = self.clients[&other].managed.is_some();
                self.expect(other, *letter, keyed || handed_over && !managed);
                if keyed && !managed {
                    self.leaves_the_store(who, number);
                }
            }
        }
        // It was written when the session ended, before this was told.
        if !self.host.hold_commits {
            self.durable = self.now.clone();
        }
    }

    /// A client is going to get a copy of a letter; `home`: that its account got.
    pub fn expect_copy(&mut self, place: Place, letter: Letter, sent: bool, home: bool) {
        self.tally.copies += 1;
        let client = self.clients.get_mut(&place).expect("it was just found");
        let queue = client.copies.entry((letter.0, sent)).or_default();
        queue.push_back(letter.2);
        if home {
            client.order.push((letter.0, letter.1, letter.2 + COPY));
        }
    }

    /// A client is going to get a letter; `keyed`: out of the store, where it waits until it is acknowledged, if it ever is.
    pub fn expect(&mut self, place: Place, letter: Letter, keyed: bool) {
        let client = self.clients.get_mut(&place).expect("it was just found");
        let queue = client.expected.entry((letter.0, letter.1)).or_default();
        queue.push_back(letter.2);
        let (sender, bare, number) = letter;
        match &mut client.managed {
            None if keyed => client.order.push((sender, bare, number + OUT_OF_STORE)),
            _ => client.order.push(letter),
        }
        if let Some(managed) = client.managed.as_mut().filter(|_| keyed) {
            managed.keyed.insert(letter.2);
        }
    }

    /// The letters of an account's queue that one of its clients has in hand.
    pub fn in_hand(&self, who: usize) -> BTreeSet<u64> {
        let mine = self.clients.iter().filter(|(other, _)| other.0 == who);
        mine.filter_map(|(_, client)| client.managed.as_ref())
            .flat_map(|managed| managed.keyed.iter().copied())
            .collect()
    }

    fn managed_mut(&mut self, place: Place) -> Option<&mut Managed> {
        self.clients.get_mut(&place)?.managed.as_mut()
    }

    /// Answers what it was asked, mostly.
    pub fn answer_requests(&mut self) {
        for place in self.clients.keys().copied().collect::<Vec<_>>() {
            let client = &self.clients[&place];
            let asked = client.managed.as_ref().is_some_and(|m| m.asked && !m.deaf);
            if asked && !client.away && self.roll(3) > 0 {
                self.acknowledge(place);
            }
        }
    }
}

/// Whether a message is a copy, and then of what was sent.
pub fn copied(message: snug::xml::Element<'_>) -> Option<bool> {
    let mut children = message.children();
    let wrapper = children.find(|child| child.is_in(ns::CARBONS))?;
    Some(wrapper.name() == "sent")
}

/// Whether the letter in a copy is for this account.
pub fn is_for(copy: &str, who: usize) -> bool {
    let inner = copy
        .split("<message ")
        .nth(2)
        .expect("a message in a message");
    inner.contains(&format!(" to='{}@chat.test", NAMES[who]))
}
