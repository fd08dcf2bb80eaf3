//! Rooms (XEP-0045) with several devices of each, which enter, speak, change their names, are made to leave, are cut off, come back to their sessions or do not,
//! while commits and the archive are late and the server is killed. There is no model of who may do what: clients believe what they are told, and then must
//! agree with each other, with the archive and with what the server says of itself.
//!
//! What must be true: who stays in a room gets every message once, in the archive's order, with what was said before in front of it; what came back to who said it
//! is in the archive after every end of the server; who is in a room is the same for all who are in it, and nobody is in it who is not there; what was
//! acknowledged of a room's configuration, subject and lists is there again.

#[path = "rooms/acts.rs"]
mod acts;
#[path = "rooms/checks.rs"]
mod checks;
#[path = "rooms/told.rs"]
mod told;

use super::fresh_reader;
use crate::host::{Host, NO_RATES};
use checks::check_run;
use snug::store::Affiliation;
use snug::store::archive::{Answer, Query, Request};
use snug::xml::{Bounds, Checker, Document, Element, Event, Next, Reader};
use snug::xmpp::ns;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const NAMES: [&str; 4] = ["anna", "ben", "carl", "dora"];
const RESOURCES: [&str; 2] = ["phone", "pc"];
/// The first two stay, and keep what is said; the third is made by who enters it, and goes with the last.
const ROOMS: [&str; 3] = ["coven", "lobby", "den"];
const KEPT: usize = 2;
/// Nicknames that more than one wants.
const NICKS: [&str; 2] = ["witch", "Hecate"];
const STEPS: usize = 300;
/// Seconds that a session of these clients waits.
const KEPT_SECONDS: u64 = 60;

type Place = (usize, usize);

#[test]
fn rooms() {
    let number = |name: &str| -> Option<u64> { std::env::var(name).ok()?.parse().ok() };
    let seeds: Vec<u64> = match number("SNUG_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SNUG_SEEDS").unwrap_or(20)).collect(),
    };
    let mut totals = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in &seeds {
        let mut play = Play::new(*seed);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| play.run()));
        for (what, count) in &play.tally {
            *totals.entry(*what).or_insert(0) += count;
        }
        if outcome.is_err() {
            let from = play.story.len().saturating_sub(250);
            println!("{}", play.story[from..].join("\n"));
            let trace = play.host.take_trace();
            println!("{}", trace[trace.len().saturating_sub(40)..].join("\n"));
            println!(
                "SNUG_SEED={seed} failed; it plays again with SNUG_SEED={seed} cargo test --test simulate rooms"
            );
            failed.push(*seed);
            if failed.len() >= 5 {
                break;
            }
        }
    }
    println!("{} seeds: {totals:?}", seeds.len());
    assert!(failed.is_empty(), "these seeds failed: {failed:?}");
    // There was life in the rooms.
    for what in [
        "entered",
        "left",
        "heard",
        "history",
        "refused",
        "renamed",
        "made to leave",
        "resumed",
        "ended",
        "power cuts",
        "kills",
        "restarts",
        "acknowledged",
        "pings",
    ] {
        let count = totals.get(what).copied().unwrap_or(0);
        assert!(count > 0 || seeds.len() < 20, "nothing was ever {what:?}");
    }
}

/// What a client knows of one who is in a room with it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    affiliation: String,
    role: String,
    id: String,
    status: u64,
}

/// A client's time in a room.
#[derive(Debug, Default)]
struct Stay {
    /// It was told that it is in it; until then it wants to be.
    is_in: bool,
    nick: String,
    sees: BTreeMap<String, Seen>,
    /// What it got, by the room's ids, what was said before it came first.
    heard: Vec<String>,
}

/// What was asked for and is to be acknowledged.
#[derive(Debug)]
enum Asked {
    Config(usize),
    Affiliation(usize, usize),
    Ping { is_in: bool },
    Anything,
}

/// Something that is kept: what is acknowledged, and what may have come since.
#[derive(Debug, Default)]
struct Since<T>(Vec<(String, T)>);

impl<T: PartialEq + std::fmt::Debug + Clone> Since<T> {
    fn of(value: T) -> Since<T> {
        Since(vec![(String::new(), value)])
    }

    fn sent(&mut self, id: &str, value: T) {
        self.0.push((id.to_owned(), value));
    }

    fn acknowledged(&mut self, id: &str) {
        if let Some(at) = self.0.iter().position(|(known, _)| known == id) {
            self.0.drain(..at);
        }
    }

    fn refused(&mut self, id: &str) {
        self.0.retain(|(known, _)| known != id || known.is_empty());
    }

    /// Looks at what is there; after an end of the server nothing is on its way any more.
    fn check(&self, there: &T, what: &str) {
        assert!(
            self.0.iter().any(|(_, value)| value == there),
            "{what} is {there:?}, and was {self:?}"
        );
    }
}

struct Client {
    far: u32,
    reader: Reader,
    stays: BTreeMap<usize, Stay>,
    asked: BTreeMap<String, Asked>,
    asleep: bool,
    /// Its stream was ended.
    closed: bool,
    /// Its connection is lost, its session waits.
    away: bool,
    managed: Option<Managed>,
}

/// Of XEP-0198.
#[derive(Default)]
struct Managed {
    token: String,
    /// Stanzas that came.
    handled: usize,
    /// What the server has not acknowledged, and how many it has.
    sent: VecDeque<String>,
    acknowledged: usize,
    /// It was asked for its count.
    asked: bool,
    /// It goes on, and this did not come before.
    again: Option<VecDeque<String>>,
}

struct Play {
    host: Host,
    dice: u64,
    story: Vec<String>,
    clients: BTreeMap<Place, Client>,
    /// Of rooms that stay.
    subjects: Vec<Since<u64>>,
    configs: Vec<Since<(u64, bool, bool)>>,
    lists: BTreeMap<(usize, usize), Since<String>>,
    /// Messages that came back to who said them, by room.
    acknowledged: Vec<BTreeSet<String>>,
    /// Messages that were said by somebody in the room and were not refused, by their number.
    said: BTreeMap<u64, (Place, usize)>,
    numbers: u64,
    tally: BTreeMap<&'static str, u64>,
}

impl Play {
    fn new(seed: u64) -> Play {
        let mut host = Host::seeded(&format!("{NO_RATES}\n[archive]\nenabled = true"), seed);
        for name in NAMES {
            host.account(name, "secret");
        }
        let coven = serde_json::json!({"verb": "room.add", "name": "coven", "owner": "anna"});
        assert_eq!(host.control(&coven)["ok"], true);
        let mut lists = BTreeMap::new();
        for room in 0..KEPT {
            for (who, name) in NAMES.iter().enumerate() {
                let affiliation = if room == 0 && *name == "anna" {
                    "owner"
                } else {
                    "none"
                };
                lists.insert((room, who), Since::of(affiliation.to_owned()));
            }
        }
        Play {
            host,
            dice: seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
            story: vec![format!("seed {seed}")],
            clients: BTreeMap::new(),
            subjects: (0..KEPT).map(|_| Since::of(0)).collect(),
            configs: (0..KEPT)
                .map(|room| Since::of((0, room == 1, false)))
                .collect(),
            lists,
            acknowledged: vec![BTreeSet::new(); ROOMS.len()],
            said: BTreeMap::new(),
            numbers: 0,
            tally: BTreeMap::new(),
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

    fn count(&mut self, what: &'static str) {
        *self.tally.entry(what).or_insert(0) += 1;
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn run(&mut self) {
        for step in 0..STEPS {
            self.step();
            self.settle();
            if step % 40 == 39 {
                self.check();
            }
        }
        self.check();
        self.everybody_leaves();
    }

    // ---- what happens ----

    fn step(&mut self) {
        let mut place = (self.roll(NAMES.len()), self.roll(RESOURCES.len()));
        if self.roll(4) > 0 && !self.clients.is_empty() {
            let which = self.roll(self.clients.len());
            place = *self.clients.keys().nth(which).expect("there are as many");
        }
        match self.roll(100) {
            0..3 => {
                self.tell("commits are late".into());
                self.host.hold_commits = true;
            }
            3..5 => {
                self.tell("one commit is done".into());
                self.host.release_one_commit();
            }
            5..7 => {
                self.tell("commits are done".into());
                self.host.release_commits();
            }
            7..9 => {
                self.tell("the archive is late".into());
                self.host.hold_reads = true;
            }
            9..11 => {
                self.tell("the archive answers".into());
                self.host.release_reads();
            }
            11..14 => {
                let seconds = match self.roll(6) {
                    0 => 62,
                    _ => 1 + self.roll(15) as u64,
                };
                self.tell(format!("{seconds} s pass"));
                self.host.pass(seconds);
            }
            14..16 => self.server_ends(),
            _ => self.client_step(place),
        }
    }

    fn client_step(&mut self, place: Place) {
        let Some(client) = self.clients.get(&place) else {
            return self.log_in(place);
        };
        if client.away {
            match self.roll(10) {
                0..6 => self.come_back(place),
                6 => self.log_in(place),
                _ => {}
            }
            return;
        }
        let managed = client.managed.is_some();
        let room = self.roll(ROOMS.len());
        let stay = self.clients[&place].stays.get(&room);
        let (knows, is_in) = (stay.is_some(), stay.is_some_and(|stay| stay.is_in));
        match self.roll(100) {
            0..2 => self.log_in(place),
            2..5 => self.end_stream(place),
            5..12 if managed => self.lose(place),
            5..8 => self.cut_off(place),
            12..15 if managed => self.come_back(place),
            15..18 if managed => self.send(place, "<r xmlns='urn:xmpp:sm:3'/>"),
            18..21 => self.doze(place),
            _ if !knows => self.enter(place, room),
            _ if !is_in => {}
            21..65 => self.speak(place, room),
            65..70 => self.leave(place, room),
            70..76 => self.rename(place, room),
            76..83 => self.status(place, room),
            83..86 => self.subject(place, room),
            86..89 => self.kick(place, room),
            89..93 => self.affiliate(place, room),
            93..96 => self.configure(place, room),
            _ => self.ping(place, room),
        }
    }

    fn log_in(&mut self, place: Place) {
        self.tell(format!("{} logs in", address(place)));
        let far = self.host.log_in(NAMES[place.0], RESOURCES[place.1]);
        if let Some(old) = self.clients.get(&place) {
            let (old, away) = (old.far, old.away);
            assert!(
                away || self.host.is_closed(old),
                "{} is bound twice",
                address(place)
            );
            if !away {
                self.hear(place);
                self.host.forget(old);
            }
            self.over(place);
        }
        let client = Client {
            far,
            reader: fresh_reader(),
            stays: BTreeMap::new(),
            asked: BTreeMap::new(),
            asleep: false,
            closed: false,
            away: false,
            managed: None,
        };
        self.clients.insert(place, client);
        self.count("logins");
        if self.roll(5) < 3 {
            let wish =
                format!("<enable xmlns='urn:xmpp:sm:3' resume='true' max='{KEPT_SECONDS}'/>");
            let answer = self.host.ask(far, &wish);
            let token = answer
                .split(" id='")
                .nth(1)
                .and_then(|rest| rest.split('\'').next());
            let managed = Managed {
                token: token.expect("an id").to_owned(),
                ..Managed::default()
            };
            self.client(place).managed = Some(managed);
        }
        self.send(place, "<presence/>");
    }

    /// A session is over; what it heard was in order.
    fn over(&mut self, place: Place) {
        let client = self.clients.remove(&place).expect("it was there");
        self.count("ended");
        for (room, stay) in client.stays {
            self.check_heard(place, room, &stay);
        }
        // Whether what it asked for last was done, nobody is told.
        self.unsure(place);
    }

    /// Of what this client said, only what is in the archive was surely taken.
    fn unsure(&mut self, place: Place) {
        let there: BTreeSet<u64> = (0..ROOMS.len())
            .flat_map(|room| self.archived(room))
            .map(|(_, number)| number)
            .collect();
        self.said
            .retain(|number, (who, _)| *who != place || there.contains(number));
    }

    fn end_stream(&mut self, place: Place) {
        self.send(place, "</stream:stream>");
        let far = self.clients[&place].far;
        if !self.host.is_closed(far) {
            // It waits for the archive, which waits for the disk, and so does what it said.
            self.host.release_commits();
            self.host.release_reads();
        }
        self.hear(place);
        assert!(self.host.is_closed(far), "{} said goodbye", address(place));
        self.host.forget(far);
        self.over(place);
    }

    fn cut_off(&mut self, place: Place) {
        self.hear(place);
        self.tell(format!("{} is cut off", address(place)));
        let far = self.clients[&place].far;
        self.host.forget(far);
        self.over(place);
    }

    /// The connection is lost at some byte of what it sends and of what it gets; the session waits.
    fn lose(&mut self, place: Place) {
        let far = self.clients[&place].far;
        if self.host.is_closed(far) {
            return;
        }
        let bytes = self.host.take_sent(far);
        let upto = self.roll(bytes.len() + 1);
        self.hear_bytes(place, &bytes[..upto]);
        let rooms = self.rooms_of(place);
        if self.roll(2) == 0 && !rooms.is_empty() {
            let room = rooms[self.roll(rooms.len())];
            let (number, text) = self.compose(place, room);
            let cut = self.roll(text.len() + 1);
            self.tell(format!("{} sends {}", address(place), &text[..cut]));
            if cut == text.len() {
                self.said.insert(number, (place, room));
            }
            if let Some(managed) = &mut self.client(place).managed {
                managed.sent.push_back(text.clone());
            }
            self.host.send(far, &text[..cut]);
        }
        self.tell(format!("{} loses its connection", address(place)));
        self.host.forget(far);
        self.client(place).away = true;
        self.count("lost");
    }

    fn come_back(&mut self, place: Place) {
        let client = &self.clients[&place];
        let (old, away) = (client.far, client.away);
        if !away {
            if self.host.is_closed(old) {
                return;
            }
            let bytes = self.host.take_sent(old);
            let upto = self.roll(bytes.len() + 1);
            self.hear_bytes(place, &bytes[..upto]);
        }
        let Some(managed) = &self.clients[&place].managed else {
            return;
        };
        let request = format!(
            "<resume xmlns='urn:xmpp:sm:3' previd='{}' h='{}'/>",
            managed.token, managed.handled
        );
        let far = self.host.authenticate(NAMES[place.0], "secret");
        self.host.sent(far);
        self.tell(format!("{} sends {request}", address(place)));
        self.host.send(far, &request);
        if !away {
            assert!(self.host.is_closed(old), "the old connection goes on");
            self.host.forget(old);
        }
        let mut bytes = self.host.take_sent(far);
        if bytes.is_empty() {
            self.host.release_commits();
            bytes = self.host.take_sent(far);
        }
        let client = self.client(place);
        client.far = far;
        client.away = false;
        client.closed = false;
        client.reader = fresh_reader();
        if let Some(managed) = &mut client.managed {
            managed.asked = false;
        }
        self.hear_bytes(place, &bytes);
        self.count("resumed");
        let again = self
            .client(place)
            .managed
            .as_mut()
            .and_then(|managed| managed.again.take());
        for text in again.expect("the session goes on") {
            // What was torn is said again, if it is still in the room.
            if let Some((number, room)) = number_of(&text).zip(room_of(&text)) {
                let is_in = self.clients[&place]
                    .stays
                    .get(&room)
                    .is_some_and(|stay| stay.is_in);
                if is_in {
                    self.said.insert(number, (place, room));
                }
            }
            self.send(place, &text);
        }
    }

    fn server_ends(&mut self) {
        self.settle();
        let way = self.roll(4);
        self.tell(
            [
                "the server restarts",
                "the server is killed",
                "the power is cut",
                "the power is cut",
            ][way]
                .into(),
        );
        if way == 0 {
            self.host.release_reads();
            self.host.release_commits();
            self.settle();
        }
        let before: Vec<_> = (0..ROOMS.len()).map(|room| self.archived(room)).collect();
        match way {
            0 => {
                self.host.restart(true);
                self.count("restarts");
            }
            1 => {
                self.host.kill();
                self.count("kills");
            }
            _ => {
                self.host.restart(false);
                self.count("power cuts");
            }
        }
        for (place, client) in std::mem::take(&mut self.clients) {
            for (room, stay) in &client.stays {
                check_run(&before[*room], *room, stay, &address(place), false);
            }
            if !client.away {
                self.host.forget(client.far);
            }
        }
        for (room, before) in before.iter().enumerate().take(KEPT) {
            let there = self.archived(room);
            assert!(
                before.starts_with(&there),
                "{}: {before:?}, and then {there:?}",
                ROOMS[room]
            );
            assert!(
                way != 0 || *before == there,
                "{}: {before:?}, and then {there:?}",
                ROOMS[room]
            );
            let ids: BTreeSet<&String> = there.iter().map(|(id, _)| id).collect();
            for id in &self.acknowledged[room] {
                assert!(
                    ids.contains(id),
                    "{id} was acknowledged in {} and is gone",
                    ROOMS[room]
                );
            }
        }
        self.said.clear();
        self.check_kept();
        if self.roll(2) == 0 {
            for _ in 0..6 {
                let place = (self.roll(NAMES.len()), self.roll(RESOURCES.len()));
                if !self.clients.contains_key(&place) {
                    self.log_in(place);
                    let room = self.roll(ROOMS.len());
                    self.enter(place, room);
                }
            }
        }
    }
}

fn address(place: Place) -> String {
    format!("{}@chat.test/{}", NAMES[place.0], RESOURCES[place.1])
}

fn jid(room: usize) -> String {
    format!("{}@rooms.chat.test", ROOMS[room])
}

/// The number in a message.
fn number_of(xml: &str) -> Option<u64> {
    let body = xml.split("<body>").nth(1)?.split("</body>").next()?;
    body.split(' ').nth(1)?.parse().ok()
}

/// The room that a message is for.
fn room_of(xml: &str) -> Option<usize> {
    let to = xml.split(" to='").nth(1)?.split('@').next()?;
    ROOMS.iter().position(|room| *room == to)
}
