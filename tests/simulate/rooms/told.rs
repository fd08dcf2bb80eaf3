//! What clients are told, and what they believe then.

use super::*;

impl Play {
    /// What follows at once.
    pub fn settle(&mut self) {
        for _ in 0..4 {
            for place in self.clients.keys().copied().collect::<Vec<_>>() {
                if !self.clients[&place].away {
                    self.hear(place);
                }
                self.notice(place);
            }
        }
        assert_eq!(
            self.host.stray_bytes, 0,
            "something was sent to a connection that was gone"
        );
    }

    /// Whether a client's session is still there, and its stream.
    pub fn notice(&mut self, place: Place) {
        let own = address(place);
        let waits = self
            .host
            .engine
            .sessions()
            .any(|session| session.jid.as_str() == own);
        let client = &self.clients[&place];
        let (far, away) = (client.far, client.away);
        if !waits {
            assert!(
                away || self.host.is_closed(far),
                "{own} has a stream and no session"
            );
            if !away {
                self.host.forget(far);
            }
            self.tell(format!("the session of {own} has ended"));
            self.over(place);
        } else if !away && self.host.is_closed(far) {
            self.host.forget(far);
            self.tell(format!("{own} lost its stream"));
            self.client(place).away = true;
        } else if client.managed.as_ref().is_some_and(|managed| managed.asked) && !away {
            let managed = self
                .client(place)
                .managed
                .as_mut()
                .expect("it was just there");
            managed.asked = false;
            let h = managed.handled;
            self.send(place, &format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
        }
    }

    pub fn hear(&mut self, place: Place) {
        let far = self.clients[&place].far;
        let bytes = self.host.take_sent(far);
        self.hear_bytes(place, &bytes);
    }

    pub fn hear_bytes(&mut self, place: Place, bytes: &[u8]) {
        let mut heard = Vec::new();
        let client = self.client(place);
        let mut reader = std::mem::replace(&mut client.reader, Reader::new(Bounds::AFTER_LOGIN));
        let outcome = reader.read(bytes, &mut Checker::default(), &mut |event| {
            if let Event::Element(xml) = event {
                heard.push(xml.text().to_owned());
            }
            Next::Continue
        });
        client.reader = reader;
        if let Err(error) = outcome {
            panic!(
                "{} cannot read what it gets ({error:?}): {}",
                address(place),
                String::from_utf8_lossy(bytes)
            );
        }
        for xml in heard {
            self.tell(format!("    {} gets {xml}", address(place)));
            let text = format!(
                "<all xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>{xml}</all>"
            );
            let document = Document::parse(text).expect("it was read before");
            let stanza = document.root().children().next().expect("one element");
            self.take(place, stanza);
        }
    }

    pub fn take(&mut self, place: Place, stanza: Element<'_>) {
        let attribute = |name: &str| stanza.attr(name).unwrap_or_default().into_owned();
        let (from, kind, id) = (attribute("from"), attribute("type"), attribute("id"));
        if let Some(managed) = &mut self.client(place).managed {
            let h = || attribute("h").parse::<usize>().expect("a count");
            match stanza.name() {
                "message" | "presence" | "iq" => managed.handled += 1,
                "r" => managed.asked = true,
                "a" | "resumed" => {
                    let new = h() - managed.acknowledged;
                    managed.sent.drain(..new);
                    managed.acknowledged += new;
                    if stanza.name() == "resumed" {
                        // Said anew, it counts anew.
                        managed.again = Some(std::mem::take(&mut managed.sent));
                    }
                }
                _ => {}
            }
        }
        let (bare, nick) = from.split_once('/').unwrap_or((&from, ""));
        let room = ROOMS
            .iter()
            .position(|room| bare == format!("{room}@rooms.chat.test"));
        match (stanza.name(), room) {
            ("presence", Some(room)) => self.take_presence(place, room, nick, &kind, &id, stanza),
            ("message", Some(room)) => self.take_message(place, room, nick, &kind, stanza),
            ("iq", _) => self.take_iq(place, &from, &kind, &id),
            _ => {}
        }
    }

    pub fn take_presence(
        &mut self,
        place: Place,
        room: usize,
        nick: &str,
        kind: &str,
        id: &str,
        stanza: Element<'_>,
    ) {
        let who = address(place);
        if kind == "error" {
            self.count("refused");
            if id.starts_with("enter") {
                let stay = self.client(place).stays.remove(&room);
                assert!(
                    stay.is_some_and(|stay| !stay.is_in),
                    "{who} is refused and was in {}",
                    ROOMS[room]
                );
            }
            return;
        }
        let x = stanza
            .child(ns::MUC_USER, "x")
            .expect("a presence of a room");
        let item = x.child(ns::MUC_USER, "item").expect("an item");
        let has = |code: &str| {
            x.children().any(|child| {
                child.name() == "status" && child.attr("code").as_deref() == Some(code)
            })
        };
        let attribute = |name: &str| item.attr(name).unwrap_or_default().into_owned();
        let own = has("110");
        let knows = self.client(place).stays.get(&room);
        if own && has("333") && knows.is_none_or(|stay| !stay.is_in) {
            // §7.2.17: what it said before it knew that it was not in it.
            return self.count("not here");
        }
        let Some(stay) = self.client(place).stays.get_mut(&room) else {
            panic!("{who} is not in {} and is told of {nick}", ROOMS[room]);
        };
        match kind {
            "unavailable" => {
                let known = stay.sees.remove(nick);
                assert!(
                    known.is_some(),
                    "{who} is told that {nick} leaves {}, who was not there",
                    ROOMS[room]
                );
                if own && !has("303") {
                    let stay = self
                        .client(place)
                        .stays
                        .remove(&room)
                        .expect("it was just there");
                    self.check_heard(place, room, &stay);
                    self.count(if has("307") || has("301") || has("321") || has("322") {
                        "made to leave"
                    } else {
                        "left"
                    });
                } else if own {
                    self.count("renamed");
                }
            }
            _ => {
                let status = stanza
                    .child(ns::CLIENT, "status")
                    .map(|status| status.text().into_owned());
                let seen = Seen {
                    affiliation: attribute("affiliation"),
                    role: attribute("role"),
                    id: stanza
                        .child(ns::OCCUPANT_ID, "occupant-id")
                        .and_then(|id| id.attr("id"))
                        .expect("an id")
                        .into_owned(),
                    status: status.and_then(|status| status.parse().ok()).unwrap_or(0),
                };
                stay.sees.insert(nick.to_owned(), seen);
                if own {
                    let first = !std::mem::replace(&mut stay.is_in, true);
                    stay.nick = nick.to_owned();
                    if first {
                        self.count("entered");
                    }
                    if has("201") {
                        let instant = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>";
                        self.ask(place, &jid(room), "set", instant, Asked::Anything);
                    }
                }
            }
        }
    }

    pub fn take_message(
        &mut self,
        place: Place,
        room: usize,
        nick: &str,
        kind: &str,
        stanza: Element<'_>,
    ) {
        let who = address(place);
        let number = stanza
            .child(ns::CLIENT, "body")
            .and_then(|body| body.text().split(' ').nth(1)?.parse::<u64>().ok());
        let subject = stanza
            .child(ns::CLIENT, "subject")
            .map(|subject| subject.text().into_owned());
        if kind == "error" {
            self.count("refused");
            let id = stanza.attr("id").unwrap_or_default().into_owned();
            let number: Option<u64> = id.get(1..).and_then(|number| number.parse().ok());
            match (id.get(..1), number) {
                (Some("m"), Some(number)) => drop(self.said.remove(&number)),
                (Some("s"), Some(number)) => {
                    if let Some(subjects) = self.subjects.get_mut(room) {
                        subjects.refused(&number.to_string());
                    }
                }
                _ => {}
            }
            return;
        }
        if let Some(number) = subject.and_then(|subject| subject.parse::<u64>().ok()) {
            if let Some(subjects) = self.subjects.get_mut(room) {
                subjects.acknowledged(&number.to_string());
            }
            return;
        }
        if number.is_none() || kind != "groupchat" {
            return;
        }
        let stamped = stanza.children().find(|child| child.is_in(ns::STANZA_ID));
        let id = stamped
            .and_then(|stamped| stamped.attr("id"))
            .expect("every message of a room has its id")
            .into_owned();
        let delayed = stanza.children().any(|child| child.is_in(ns::DELAY));
        self.count(if delayed { "history" } else { "heard" });
        let Some(stay) = self.client(place).stays.get_mut(&room) else {
            panic!(
                "{who} is not in {} and gets what is said there",
                ROOMS[room]
            );
        };
        assert!(
            stay.is_in,
            "{who} gets what is said in {} before it is told that it is in it",
            ROOMS[room]
        );
        assert!(
            !stay.heard.contains(&id),
            "{who} gets {id} of {} twice",
            ROOMS[room]
        );
        stay.heard.push(id.clone());
        if !delayed && nick == stay.nick && room < KEPT {
            // It may have been said by another device of the person: then this one was told before the disk.
            let own = number
                .and_then(|number| self.said.get(&number))
                .is_some_and(|(said, _)| *said == place);
            if own {
                self.acknowledged[room].insert(id);
                self.count("acknowledged");
            }
        }
    }

    pub fn take_iq(&mut self, place: Place, from: &str, kind: &str, id: &str) {
        let who = address(place);
        if matches!(kind, "get" | "set") {
            let to = if from.is_empty() {
                String::new()
            } else {
                format!(" to='{from}'")
            };
            if !self.clients[&place].closed && !self.host.is_closed(self.clients[&place].far) {
                self.send(place, &format!("<iq type='result' id='{id}'{to}/>"));
            }
            return;
        }
        let Some(asked) = self.client(place).asked.remove(id) else {
            panic!("{who} gets an answer to what it did not ask, or a second one: {id}");
        };
        let fine = kind == "result";
        if !fine {
            self.count("refused");
        }
        match (asked, fine) {
            (Asked::Config(room), fine) if room < KEPT => match fine {
                true => self.configs[room].acknowledged(id),
                false => self.configs[room].refused(id),
            },
            (Asked::Affiliation(room, who), fine) if room < KEPT => {
                let list = self
                    .lists
                    .get_mut(&(room, who))
                    .expect("everybody is there");
                match fine {
                    true => list.acknowledged(id),
                    false => list.refused(id),
                }
            }
            (Asked::Ping { is_in }, fine) => {
                self.count("pings");
                // Meanwhile it may have been made to leave; that is looked at when all is quiet.
                assert!(
                    is_in || !fine,
                    "{who} is not in the room, and its ping says that it is"
                );
            }
            _ => {}
        }
    }
}
