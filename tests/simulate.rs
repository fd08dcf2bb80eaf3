//! A household on a virtual clock: seeded clients connect, chat, change their lists, are cut off and come back, while commits are late and the server is
//! killed. A model of a few pages says what must be true: every request is answered once, who may see whom does, messages come once and in
//! order, what was acknowledged is there after every end of the server, and nobody who left leaves anything behind.
//!
//! `SNUG_SEED=7 cargo test --test simulate` plays one seed again; `SNUG_SEEDS=1000` plays that many.

#[path = "common/host.rs"]
mod host;

use host::{HEADER, Host, NO_RATES};
use snug::store::Subscription;
use snug::xml::{Bounds, Checker, Document, Event, Next, Reader};
use snug::xmpp::ns;
use std::collections::{BTreeMap, HashMap, VecDeque};

const NAMES: [&str; 5] = ["anna", "ben", "carl", "dora", "emil"];
const RESOURCES: [&str; 3] = ["phone", "pc", "tablet"];
const STEPS: usize = 400;

#[test]
fn households() {
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let seeds: Vec<u64> = match number("SNUG_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SNUG_SEEDS").unwrap_or(20)).collect(),
    };
    let mut totals = Tally::default();
    let mut failed = Vec::new();
    for seed in &seeds {
        let mut play = Play::new(*seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play.run()));
        totals.add(&play.tally);
        if outcome.is_err() {
            let from = play.story.len().saturating_sub(100);
            println!("{}", play.story[from..].join("\n"));
            println!(
                "SNUG_SEED={seed} failed; it plays again with SNUG_SEED={seed} cargo test --test simulate"
            );
            failed.push(*seed);
            if failed.len() >= 5 {
                break;
            }
        }
    }
    println!("{} seeds: {totals:?}", seeds.len());
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
    // The household did live.
    assert!(
        totals.live > 0
            && totals.offline > 0
            && totals.cuts > 0
            && totals.power_cuts + totals.kills + totals.restarts > 0
    );
}

/// What happened in all, so that a run says something about itself.
#[derive(Debug, Default)]
struct Tally {
    logins: u64,
    live: u64,
    offline: u64,
    handed_over: u64,
    requests: u64,
    acknowledged: u64,
    cuts: u64,
    conflicts: u64,
    restarts: u64,
    kills: u64,
    power_cuts: u64,
    lost_writes: u64,
    checks: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        for (mine, theirs) in [
            (&mut self.logins, other.logins),
            (&mut self.live, other.live),
            (&mut self.offline, other.offline),
            (&mut self.handed_over, other.handed_over),
            (&mut self.requests, other.requests),
            (&mut self.acknowledged, other.acknowledged),
            (&mut self.cuts, other.cuts),
            (&mut self.conflicts, other.conflicts),
            (&mut self.restarts, other.restarts),
            (&mut self.kills, other.kills),
            (&mut self.power_cuts, other.power_cuts),
            (&mut self.lost_writes, other.lost_writes),
            (&mut self.checks, other.checks),
        ] {
            *mine += theirs;
        }
    }
}

// ---- what must be true ----

/// Contacts by owner and contact.
type Rosters = BTreeMap<(usize, usize), Item>;
/// Messages that wait, by account.
type Waiting = BTreeMap<usize, Vec<Letter>>;

/// What one account knows of another (RFC 6121 appendix A).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Item {
    listed: bool,
    name: Option<String>,
    to: bool,
    from: bool,
    asked: bool,
    pending_in: bool,
}

/// What a client shows of one contact.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shown {
    subscription: &'static str,
    asked: bool,
    name: Option<String>,
}

impl Item {
    fn shown(&self) -> Option<Shown> {
        let subscription = match (self.to, self.from) {
            (false, false) => "none",
            (true, false) => "to",
            (false, true) => "from",
            (true, true) => "both",
        };
        self.listed.then(|| Shown {
            subscription,
            asked: self.asked,
            name: self.name.clone(),
        })
    }
}

/// A message: who sent it, whether to a bare JID, and which of that sender's it is.
type Letter = (usize, bool, u64);
/// Contact lists: whose, and about whom.
type Items = BTreeMap<(usize, usize), Item>;
/// What waits, by account.
type Queues = BTreeMap<usize, Vec<Letter>>;

/// Everything that the server keeps on its disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Kept {
    /// How many changes led here.
    version: u64,
    items: Items,
    offline: Queues,
}

impl Kept {
    fn item(&mut self, of: usize, about: usize) -> &mut Item {
        self.version += 1;
        self.items.entry((of, about)).or_default()
    }

    fn known(&self, of: usize, about: usize) -> Item {
        self.items.get(&(of, about)).cloned().unwrap_or_default()
    }

    fn subscribe(&mut self, who: usize, whom: usize) {
        let mine = self.item(who, whom);
        mine.asked |= !mine.to;
        mine.listed = true;
        if self.known(whom, who).from {
            // The server answers for one who allowed it already.
            self.item(whom, who).listed = true;
            self.allowed(who, whom);
        } else {
            self.item(whom, who).pending_in = true;
        }
    }

    /// `who` hears that `whom` allows it.
    fn allowed(&mut self, who: usize, whom: usize) {
        let mine = self.item(who, whom);
        mine.to |= mine.asked;
        mine.asked = false;
    }

    fn subscribed(&mut self, who: usize, whom: usize) {
        let mine = self.item(who, whom);
        (mine.from, mine.pending_in, mine.listed) = (true, false, true);
        self.allowed(whom, who);
    }

    fn unsubscribe(&mut self, who: usize, whom: usize) {
        let mine = self.item(who, whom);
        (mine.to, mine.asked) = (false, false);
        let theirs = self.item(whom, who);
        (theirs.from, theirs.pending_in) = (false, false);
    }

    fn unsubscribed(&mut self, who: usize, whom: usize) {
        let mine = self.item(who, whom);
        let routed = mine.from || mine.pending_in;
        (mine.from, mine.pending_in) = (false, false);
        if routed {
            let theirs = self.item(whom, who);
            (theirs.to, theirs.asked) = (false, false);
        }
    }

    fn remove(&mut self, who: usize, whom: usize) -> bool {
        let mine = self.known(who, whom);
        if !mine.listed {
            return false;
        }
        if mine.to || mine.asked {
            self.unsubscribe(who, whom);
        }
        if mine.from || mine.pending_in {
            self.unsubscribed(who, whom);
        }
        *self.item(who, whom) = Item::default();
        true
    }

    /// What is worth a record.
    fn records(&self) -> Items {
        self.items
            .iter()
            .filter(|(_, item)| item.listed || item.pending_in)
            .map(|(pair, item)| (*pair, item.clone()))
            .collect()
    }

    fn queues(&self) -> Queues {
        self.offline
            .iter()
            .filter(|(_, letters)| !letters.is_empty())
            .map(|(who, letters)| (*who, letters.clone()))
            .collect()
    }
}

// ---- the clients ----

/// What a client waits for.
#[derive(Debug)]
enum Asked {
    Anything,
    Roster,
    /// A change, which is acknowledged when this version is on the disk.
    Change(u64),
    Refusal,
}

/// One client's stream.
struct Client {
    far: u32,
    reader: Reader,
    /// Its priority and the number of its status, while it is available.
    presence: Option<(i8, u64)>,
    /// Its contact list as it was told, once it asked.
    roster: Option<BTreeMap<String, Shown>>,
    /// Who it sees, and with which status.
    sees: BTreeMap<String, u64>,
    asked: HashMap<String, Asked>,
    expected: BTreeMap<(usize, bool), VecDeque<u64>>,
    got: BTreeMap<(usize, bool), VecDeque<u64>>,
    closed: bool,
}

type Place = (usize, usize);

struct Play {
    host: Host,
    dice: u64,
    story: Vec<String>,
    clients: BTreeMap<Place, Client>,
    /// Logins whose key is still being derived.
    half: Vec<(Place, u32)>,
    now: Kept,
    durable: Kept,
    commits: usize,
    /// Pairs whose two sides a killed process left apart.
    apart: Vec<(usize, usize)>,
    letters: u64,
    statuses: u64,
    requests: u64,
    tally: Tally,
}

impl Play {
    fn new(seed: u64) -> Play {
        let mut host = Host::seeded(NO_RATES, seed);
        for name in NAMES {
            host.account(name, "secret");
        }
        let commits = host.commits;
        Play {
            host,
            dice: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            story: vec![format!("seed {seed}")],
            clients: BTreeMap::new(),
            half: Vec::new(),
            now: Kept::default(),
            durable: Kept::default(),
            commits,
            apart: Vec::new(),
            letters: 0,
            statuses: 0,
            requests: 0,
            tally: Tally::default(),
        }
    }

    fn roll(&mut self, bound: usize) -> usize {
        self.dice ^= self.dice << 13;
        self.dice ^= self.dice >> 7;
        self.dice ^= self.dice << 17;
        ((self.dice >> 20) % bound as u64) as usize
    }

    fn tell(&mut self, what: String) {
        self.story.push(what);
    }

    fn run(&mut self) {
        for step in 0..STEPS {
            self.step();
            self.settle();
            if step % 50 == 49 {
                self.check();
            }
        }
        self.check();
        self.everybody_leaves();
    }

    /// One thing happens.
    fn step(&mut self) {
        let mut place = (self.roll(NAMES.len()), self.roll(RESOURCES.len()));
        // Mostly somebody who is there does something.
        if self.roll(4) > 0 && !self.clients.is_empty() {
            let which = self.roll(self.clients.len());
            place = *self.clients.keys().nth(which).expect("there are as many");
        }
        let online = self.clients.contains_key(&place);
        match self.roll(100) {
            0..18 if !online => self.log_in(place),
            18..21 if !online => self.begin_login(place),
            21..23 => self.end_logins(),
            0..4 => self.end_stream(place),
            4..8 => self.cut_off(place),
            8..10 => self.log_in(place),
            10..26 => self.presence(place),
            26..29 => self.unavailable(place),
            29..55 => self.letter(place),
            55..70 => self.subscription(place),
            70..76 => self.roster_set(place),
            76..79 => self.roster_remove(place),
            79..86 => self.request(place),
            86..90 => {
                let seconds = 1 + self.roll(20) as u64;
                self.tell(format!("{seconds} s pass"));
                self.host.pass(seconds);
            }
            90..94 => {
                self.tell("commits are late".into());
                self.host.hold_commits = true;
            }
            94..96 => {
                self.tell("one commit is done".into());
                self.host.release_one_commit();
            }
            96..97 => {
                self.tell("commits are done".into());
                self.host.release_commits();
            }
            97..99 => self.server_ends(),
            _ => {}
        }
    }

    /// What follows at once: what was committed, and what the clients make of what they get.
    fn settle(&mut self) {
        // A client's answers can lead to more for it.
        for _ in 0..3 {
            if self.host.commits != self.commits {
                self.commits = self.host.commits;
                self.durable = self.now.clone();
            }
            for place in self.clients.keys().copied().collect::<Vec<_>>() {
                self.hear(place);
            }
        }
        assert_eq!(
            self.host.stray_bytes, 0,
            "something was sent to a connection that was gone"
        );
    }

    fn address(place: Place) -> String {
        format!("{}@chat.test/{}", NAMES[place.0], RESOURCES[place.1])
    }

    fn send(&mut self, place: Place, text: &str) {
        self.tell(format!("{} sends {text}", Self::address(place)));
        if let Some(client) = self.clients.get(&place) {
            let far = client.far;
            self.host.send(far, text);
        }
    }

    // ---- coming and going ----

    fn log_in(&mut self, place: Place) {
        self.end_logins();
        self.tell(format!("{} logs in", Self::address(place)));
        let far = self.host.log_in(NAMES[place.0], RESOURCES[place.1]);
        self.begin(place, far);
    }

    /// A login whose key takes its time.
    fn begin_login(&mut self, place: Place) {
        if self.half.iter().any(|(other, _)| *other == place) {
            return;
        }
        self.tell(format!("{} begins to log in", Self::address(place)));
        self.host.hold_keys = true;
        let far = self.host.connect(true);
        let plain = snug::auth::encode(format!("\0{}\0secret", NAMES[place.0]));
        self.host.send(far, HEADER);
        self.host.send(
            far,
            &format!(
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{plain}</auth>"
            ),
        );
        self.half.push((place, far));
        if self.roll(4) == 0 {
            self.tell(format!(
                "{} is cut off while it logs in",
                Self::address(place)
            ));
            self.host.forget(far);
            self.half.pop();
        }
    }

    /// The keys are there: those who waited for them are in, unless it took too long.
    fn end_logins(&mut self) {
        self.host.release_keys();
        for (place, far) in std::mem::take(&mut self.half) {
            if self.host.is_closed(far) {
                self.tell(format!(
                    "the login of {} took too long",
                    Self::address(place)
                ));
                self.host.forget(far);
                continue;
            }
            self.host.send(far, HEADER);
            let bind = format!(
                "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>{}</resource></bind></iq>",
                RESOURCES[place.1]
            );
            let answer = self.host.ask(far, &bind);
            assert!(
                answer.contains("<jid>"),
                "{}: {answer}",
                Self::address(place)
            );
            self.begin(place, far);
        }
    }

    fn begin(&mut self, place: Place, far: u32) {
        self.tally.logins += 1;
        // Whoever had this resource has lost it.
        self.settle_closed(place);
        let mut reader = Reader::new(Bounds::AFTER_LOGIN);
        reader
            .read(HEADER.as_bytes(), &mut Checker::default(), &mut |_| {
                Next::Continue
            })
            .expect("a header");
        let client = Client {
            far,
            reader,
            presence: None,
            roster: None,
            sees: BTreeMap::new(),
            asked: HashMap::new(),
            expected: BTreeMap::new(),
            got: BTreeMap::new(),
            closed: false,
        };
        self.clients.insert(place, client);
        if self.roll(4) > 0 {
            self.ask_roster(place);
        }
        if self.roll(4) > 0 {
            self.presence(place);
        }
    }

    fn settle_closed(&mut self, place: Place) {
        let Some(old) = self.clients.get(&place) else {
            return;
        };
        let far = old.far;
        assert!(
            self.host.is_closed(far),
            "{} is bound twice",
            Self::address(place)
        );
        self.tally.conflicts += 1;
        self.hear(place);
        self.clients.remove(&place);
        self.host.forget(far);
    }

    fn end_stream(&mut self, place: Place) {
        let Some(client) = self.clients.get(&place) else {
            return;
        };
        let far = client.far;
        self.send(place, "</stream:stream>");
        self.hear(place);
        assert!(
            self.host.is_closed(far) && self.clients[&place].closed,
            "{} said goodbye and the stream goes on",
            Self::address(place)
        );
        self.clients.remove(&place);
        self.host.forget(far);
    }

    fn cut_off(&mut self, place: Place) {
        self.hear(place);
        let Some(client) = self.clients.remove(&place) else {
            return;
        };
        self.tell(format!("{} is cut off", Self::address(place)));
        self.tally.cuts += 1;
        self.host.forget(client.far);
    }

    fn server_ends(&mut self) {
        self.settle();
        let dirty = self.now.version != self.durable.version;
        let way = self.roll(5);
        self.tell(format!(
            "the server {}",
            [
                "restarts",
                "is killed",
                "loses power",
                "loses power",
                "loses power"
            ][way]
        ));
        match way {
            0 => {
                self.host.restart(true);
                self.durable = self.now.clone();
                self.tally.restarts += 1;
            }
            1 => {
                self.host.kill();
                self.tally.kills += 1;
                self.after_kill();
            }
            _ => {
                self.host.restart(false);
                self.tally.power_cuts += 1;
                self.tally.lost_writes += u64::from(dirty);
                self.now = self.durable.clone();
            }
        }
        self.commits = self.host.commits;
        for (_, client) in std::mem::take(&mut self.clients) {
            self.host.forget(client.far);
        }
        for (_, far) in std::mem::take(&mut self.half) {
            self.host.forget(far);
        }
        self.compare_store();
        if self.roll(2) == 0 {
            // Everybody comes back at once.
            for _ in 0..8 {
                let place = (self.roll(NAMES.len()), self.roll(RESOURCES.len()));
                if !self.clients.contains_key(&place) {
                    self.log_in(place);
                }
            }
        }
    }

    /// A killed process left what it had handed to the system: all that was committed, and perhaps some of what came after it.
    fn after_kill(&mut self) {
        let (items, queues) = self.stored();
        for (pair, item) in self.durable.records() {
            if self.now.records().get(&pair) == Some(&item) {
                assert_eq!(
                    items.get(&pair),
                    Some(&item),
                    "{pair:?} was committed and is gone"
                );
            }
        }
        for (who, letters) in self.durable.queues() {
            let still: Vec<_> = letters
                .iter()
                .filter(|letter| {
                    self.now
                        .offline
                        .get(&who)
                        .is_some_and(|now| now.contains(letter))
                })
                .collect();
            let there = queues.get(&who).cloned().unwrap_or_default();
            for letter in still {
                assert!(
                    there.contains(letter),
                    "{letter:?} for {} was committed and is gone",
                    NAMES[who]
                );
            }
        }
        self.now.items = items;
        self.now.offline = queues;
        self.now.version += 1;
        self.durable = self.now.clone();
        self.apart.clear();
        for a in 0..NAMES.len() {
            for b in 0..NAMES.len() {
                if self.now.known(a, b).to != self.now.known(b, a).from {
                    self.apart.push((a, b));
                }
            }
        }
    }

    // ---- what clients do ----

    fn presence(&mut self, place: Place) {
        let priority = [0, 0, 5, -1][self.roll(4)];
        self.statuses += 1;
        let status = self.statuses;
        let Some(client) = self.clients.get_mut(&place) else {
            return;
        };
        let before = client.presence.replace((priority, status));
        let takes_messages = priority >= 0 && before.is_none_or(|(before, _)| before < 0);
        if takes_messages {
            let waiting = self.now.offline.remove(&place.0).unwrap_or_default();
            if !waiting.is_empty() {
                self.now.version += 1;
            }
            for (sender, bare, number) in waiting {
                client
                    .expected
                    .entry((sender, bare))
                    .or_default()
                    .push_back(number);
                self.tally.handed_over += 1;
            }
        }
        self.send(
            place,
            &format!(
                "<presence><priority>{priority}</priority><status>{status}</status></presence>"
            ),
        );
    }

    fn unavailable(&mut self, place: Place) {
        if self
            .clients
            .get(&place)
            .is_none_or(|client| client.presence.is_none())
        {
            return;
        }
        self.send(place, "<presence type='unavailable'/>");
        self.hear(place);
        if let Some(client) = self.clients.get_mut(&place) {
            client.presence = None;
            // Of its own account something older may still be on its way, behind what waits for the disk.
            let own = format!("{}@", NAMES[place.0]);
            client.sees.retain(|address, _| address.starts_with(&own));
        }
    }

    fn letter(&mut self, place: Place) {
        let (whom, at, bare) = (
            self.roll(NAMES.len()),
            self.roll(RESOURCES.len()),
            self.roll(3) > 0,
        );
        if !self.clients.contains_key(&place) {
            return;
        }
        self.letters += 1;
        let (sender, number) = (place.0, self.letters);
        let there: Vec<Place> = match self.clients.contains_key(&(whom, at)) && !bare {
            true => vec![(whom, at)],
            false => self
                .clients
                .iter()
                .filter(|(other, client)| {
                    other.0 == whom && client.presence.is_some_and(|(priority, _)| priority >= 0)
                })
                .map(|(other, _)| *other)
                .collect(),
        };
        if there.is_empty() {
            self.now.version += 1;
            self.now
                .offline
                .entry(whom)
                .or_default()
                .push((sender, bare, number));
            self.tally.offline += 1;
        }
        for other in there {
            let client = self.clients.get_mut(&other).expect("it was just found");
            client
                .expected
                .entry((sender, bare))
                .or_default()
                .push_back(number);
            self.tally.live += 1;
        }
        let to = match bare {
            true => format!("{}@chat.test", NAMES[whom]),
            false => Self::address((whom, at)),
        };
        self.send(
            place,
            &format!(
                "<message to='{to}' type='chat'><body>{sender} {bare} {number}</body></message>"
            ),
        );
    }

    fn subscription(&mut self, place: Place) {
        let (who, whom) = (place.0, self.roll(NAMES.len()));
        let kind = self.roll(10);
        if who == whom || !self.clients.contains_key(&place) {
            return;
        }
        let kind = match kind {
            0..4 => {
                self.now.subscribe(who, whom);
                "subscribe"
            }
            // Without a request it would be an approval beforehand.
            4..8 if self.now.known(who, whom).pending_in => {
                self.now.subscribed(who, whom);
                "subscribed"
            }
            8 => {
                self.now.unsubscribe(who, whom);
                "unsubscribe"
            }
            9 => {
                self.now.unsubscribed(who, whom);
                "unsubscribed"
            }
            _ => return,
        };
        self.apart
            .retain(|(a, b)| (*a, *b) != (who, whom) && (*a, *b) != (whom, who));
        self.send(
            place,
            &format!("<presence to='{}@chat.test' type='{kind}'/>", NAMES[whom]),
        );
    }

    fn ask(&mut self, place: Place, what: &str, payload: &str, to: &str, asked: Asked) {
        self.requests += 1;
        self.tally.requests += 1;
        let id = format!("q{}", self.requests);
        if let Some(client) = self.clients.get_mut(&place) {
            client.asked.insert(id.clone(), asked);
            self.send(
                place,
                &format!("<iq type='{what}' id='{id}'{to}>{payload}</iq>"),
            );
        }
    }

    fn ask_roster(&mut self, place: Place) {
        self.ask(
            place,
            "get",
            "<query xmlns='jabber:iq:roster'/>",
            "",
            Asked::Roster,
        );
    }

    fn roster_set(&mut self, place: Place) {
        let (who, whom) = (place.0, self.roll(NAMES.len()));
        if who == whom || !self.clients.contains_key(&place) {
            return;
        }
        let name = format!("name {}", self.roll(1000));
        let item = self.now.item(who, whom);
        (item.listed, item.name) = (true, Some(name.clone()));
        let version = self.now.version;
        let payload = format!(
            "<query xmlns='jabber:iq:roster'><item jid='{}@chat.test' name='{name}'/></query>",
            NAMES[whom]
        );
        self.ask(place, "set", &payload, "", Asked::Change(version));
    }

    fn roster_remove(&mut self, place: Place) {
        let (who, whom) = (place.0, self.roll(NAMES.len()));
        if who == whom || !self.clients.contains_key(&place) {
            return;
        }
        let asked = match self.now.remove(who, whom) {
            true => Asked::Change(self.now.version),
            false => Asked::Refusal,
        };
        self.apart
            .retain(|(a, b)| (*a, *b) != (who, whom) && (*a, *b) != (whom, who));
        let payload = format!(
            "<query xmlns='jabber:iq:roster'><item jid='{}@chat.test' subscription='remove'/></query>",
            NAMES[whom]
        );
        self.ask(place, "set", &payload, "", asked);
    }

    fn request(&mut self, place: Place) {
        let to = [
            " to='chat.test'",
            "",
            " to='anna@chat.test'",
            " to='ben@chat.test/none'",
            " to='nobody@chat.test'",
            " to='other.test'",
            " to='@'",
        ][self.roll(7)];
        let payload = [
            "<ping xmlns='urn:xmpp:ping'/>",
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            "<query xmlns='jabber:iq:version'/>",
            "<time xmlns='urn:xmpp:time'/>",
            "<x xmlns='urn:nothing'/>",
            "<query xmlns='jabber:iq:register'/>",
            "<a xmlns='urn:a'/><b xmlns='urn:b'/>",
            "",
        ][self.roll(8)];
        let what = ["get", "set"][self.roll(2)];
        self.ask(place, what, payload, to, Asked::Anything);
    }

    // ---- what clients hear ----

    fn hear(&mut self, place: Place) {
        let Some(client) = self.clients.get_mut(&place) else {
            return;
        };
        let bytes = self.host.take_sent(client.far);
        if bytes.is_empty() {
            return;
        }
        let mut heard = Vec::new();
        let mut reader = std::mem::replace(&mut client.reader, Reader::new(Bounds::AFTER_LOGIN));
        let outcome = reader.read(&bytes, &mut Checker::default(), &mut |event| {
            heard.push(match event {
                Event::Element(xml) => xml.text().to_owned(),
                Event::Footer => String::new(),
                Event::Header(_) | Event::Space => return Next::Continue,
            });
            Next::Continue
        });
        client.reader = reader;
        if let Err(error) = outcome {
            panic!(
                "{} cannot read what it gets ({error:?}): {}",
                Self::address(place),
                String::from_utf8_lossy(&bytes)
            );
        }
        for xml in heard {
            self.story
                .push(format!("    {} gets {xml}", Self::address(place)));
            self.hear_one(place, &xml);
        }
    }

    fn hear_one(&mut self, place: Place, xml: &str) {
        let client = self.clients.get_mut(&place).expect("it hears something");
        if xml.is_empty() {
            client.closed = true;
            return;
        }
        let text = format!(
            "<all xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>{xml}</all>"
        );
        let document = Document::parse(text).expect("it was read before");
        let stanza = document.root().children().next().expect("one element");
        let from = stanza.attr("from").unwrap_or_default().into_owned();
        let kind = stanza.attr("type").unwrap_or_default().into_owned();
        match stanza.name() {
            "message" => {
                assert_ne!(
                    kind,
                    "error",
                    "{} gets an error for a message: {xml}",
                    Self::address(place)
                );
                let body = stanza
                    .child(ns::CLIENT, "body")
                    .expect("a body")
                    .text()
                    .into_owned();
                let mut parts = body.split(' ');
                let mut part = || parts.next().expect("three parts");
                let letter = (part().parse().expect("a number"), part() == "true");
                let number = part().parse().expect("a number");
                client.got.entry(letter).or_default().push_back(number);
            }
            "presence" => {
                let status = stanza
                    .child(ns::CLIENT, "status")
                    .map(|status| status.text().parse().expect("a number"));
                match kind.as_str() {
                    "" => drop(client.sees.insert(from, status.unwrap_or(0))),
                    // Its own, coming back: now all that is over.
                    "unavailable" if from == Self::address(place) => {
                        let own = format!("{}@", NAMES[place.0]);
                        client.sees.retain(|address, _| !address.starts_with(&own));
                    }
                    "unavailable" => drop(client.sees.remove(&from)),
                    "error" => panic!("{} gets an error for presence: {xml}", Self::address(place)),
                    _ => {}
                }
            }
            "iq" => {
                let id = stanza.attr("id").expect("an id").into_owned();
                match kind.as_str() {
                    "get" | "set" => {
                        if let Some(query) = stanza.child(ns::ROSTER, "query") {
                            let roster = client
                                .roster
                                .as_mut()
                                .expect("a push to one who asked for the roster");
                            for item in query.children() {
                                take_item(roster, item);
                            }
                        }
                        let to = if from.is_empty() {
                            String::new()
                        } else {
                            format!(" to='{from}'")
                        };
                        let far = client.far;
                        if !client.closed {
                            self.host
                                .send(far, &format!("<iq type='result' id='{id}'{to}/>"));
                        }
                    }
                    "result" | "error" => {
                        let asked = client.asked.remove(&id).unwrap_or_else(|| {
                            panic!(
                                "{} gets an answer to what it did not ask, or a second one: {xml}",
                                Self::address(place)
                            )
                        });
                        match asked {
                            Asked::Anything => {}
                            Asked::Refusal => assert_eq!(kind, "error", "{xml}"),
                            Asked::Roster => {
                                assert_eq!(kind, "result", "{xml}");
                                let mut roster = BTreeMap::new();
                                for item in stanza
                                    .child(ns::ROSTER, "query")
                                    .expect("the list")
                                    .children()
                                {
                                    take_item(&mut roster, item);
                                }
                                client.roster = Some(roster);
                            }
                            Asked::Change(version) => {
                                assert_eq!(kind, "result", "{xml}");
                                assert!(
                                    self.durable.version >= version,
                                    "acknowledged before it was on the disk: {xml}"
                                );
                                self.tally.acknowledged += 1;
                            }
                        }
                    }
                    _ => panic!("no such iq: {xml}"),
                }
            }
            _ => {}
        }
    }

    // ---- checks ----

    /// All is quiet: everything must be as the model says.
    fn check(&mut self) {
        self.tally.checks += 1;
        self.end_logins();
        self.host.release_commits();
        self.settle();
        self.host.pass(1);
        self.settle();
        for (place, client) in &self.clients {
            let who = Self::address(*place);
            assert!(
                !client.closed && !self.host.is_closed(client.far),
                "the stream of {who} ended"
            );
            assert!(
                client.asked.is_empty(),
                "{who} was never answered: {:?}",
                client.asked
            );
            assert_eq!(
                client.got, client.expected,
                "what {who} got, and what it should have got (sender, to a bare JID, numbers)"
            );
            if let Some(roster) = &client.roster {
                let expected: BTreeMap<String, Shown> = (0..NAMES.len())
                    .filter_map(|other| {
                        Some((
                            format!("{}@chat.test", NAMES[other]),
                            self.now.known(place.0, other).shown()?,
                        ))
                    })
                    .collect();
                assert_eq!(*roster, expected, "the contact list that {who} shows");
            }
            if client.presence.is_some() {
                let skip = |other: usize| {
                    self.apart.contains(&(place.0, other)) || self.apart.contains(&(other, place.0))
                };
                let expected: BTreeMap<String, u64> = self
                    .clients
                    .iter()
                    .filter(|(other, _)| {
                        other.0 == place.0 || self.now.known(other.0, place.0).from
                    })
                    .filter(|(other, _)| !skip(other.0))
                    .filter_map(|(other, client)| Some((Self::address(*other), client.presence?.1)))
                    .collect();
                let sees: BTreeMap<String, u64> = client
                    .sees
                    .iter()
                    .filter(|(address, _)| {
                        !(0..NAMES.len()).any(|other| {
                            skip(other) && address.starts_with(&format!("{}@", NAMES[other]))
                        })
                    })
                    .map(|(address, status)| (address.clone(), *status))
                    .collect();
                assert_eq!(sees, expected, "whom {who} sees");
            }
        }
        self.compare_store();
    }

    /// What the store holds of rosters and of what waits.
    fn stored(&self) -> (Rosters, Waiting) {
        let store = &self.host.engine.store;
        let (mut items, mut queues) = (BTreeMap::new(), BTreeMap::new());
        let place = |name: &str| {
            NAMES
                .iter()
                .position(|other| *other == name)
                .expect("one of them")
        };
        for (who, name) in NAMES.iter().enumerate() {
            let id = store
                .account(name)
                .expect("the store reads")
                .expect("the account is there")
                .id;
            for item in store.roster(id).expect("the store reads") {
                let (to, from) = match item.subscription {
                    Subscription::None => (false, false),
                    Subscription::To => (true, false),
                    Subscription::From => (false, true),
                    Subscription::Both => (true, true),
                };
                let kept = Item {
                    listed: item.listed,
                    name: item.name,
                    to,
                    from,
                    asked: item.ask,
                    pending_in: item.pending_in.is_some(),
                };
                items.insert((who, place(item.jid.local().expect("an account"))), kept);
            }
            let letters: Vec<Letter> = store
                .offline(id)
                .expect("the store reads")
                .iter()
                .map(|(_, _, xml)| {
                    let body = xml
                        .split("<body>")
                        .nth(1)
                        .and_then(|rest| rest.split("</body>").next())
                        .expect("a body");
                    let parts: Vec<&str> = body.split(' ').collect();
                    (
                        parts[0].parse().expect("a number"),
                        parts[1] == "true",
                        parts[2].parse().expect("a number"),
                    )
                })
                .collect();
            if !letters.is_empty() {
                queues.insert(who, letters);
            }
        }
        (items, queues)
    }

    fn compare_store(&self) {
        let (items, queues) = self.stored();
        assert_eq!(
            items,
            self.now.records(),
            "the contact lists in the store, and what they should be"
        );
        assert_eq!(
            queues,
            self.now.queues(),
            "what waits in the store, and what should"
        );
    }

    fn everybody_leaves(&mut self) {
        for place in self.clients.keys().copied().collect::<Vec<_>>() {
            match self.roll(2) {
                0 => self.end_stream(place),
                _ => self.cut_off(place),
            }
            self.settle();
        }
        self.host.release_commits();
        assert!(
            self.host.engine.is_empty(),
            "everybody is gone and the engine still holds something"
        );
    }
}

fn take_item(roster: &mut BTreeMap<String, Shown>, item: snug::xml::Element<'_>) {
    let jid = item.attr("jid").expect("a jid").into_owned();
    let subscription = match item.attr("subscription").as_deref() {
        Some("remove") => return drop(roster.remove(&jid)),
        Some("to") => "to",
        Some("from") => "from",
        Some("both") => "both",
        _ => "none",
    };
    let shown = Shown {
        subscription,
        asked: item.attr("ask").is_some(),
        name: item.attr("name").map(|name| name.into_owned()),
    };
    roster.insert(jid, shown);
}
