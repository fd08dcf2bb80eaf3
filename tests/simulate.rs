//! A household on a virtual clock: seeded clients connect, chat, change their lists, are cut off and come back, while commits are late and the server is
//! killed. A model of a few pages says what must be true: every request is answered once, who may see whom does, messages come once and in
//! order, what was acknowledged is there after every end of the server, and nobody who left leaves anything behind. Some of them manage their streams
//! and come back to their sessions: `simulate/managed.rs`. Rooms have clients of their own: `simulate/rooms.rs`.
//!
//! `SNUG_SEED=7 cargo test --test simulate` plays one seed again; `SNUG_SEEDS=1000` plays that many.

#[path = "common/host.rs"]
mod host;
#[path = "simulate/managed.rs"]
mod managed;
#[path = "simulate/rooms.rs"]
mod rooms;

use host::{HEADER, Host, NO_RATES};
use managed::{COPY, OUT_OF_STORE, Outgoing};
use snug::store::Subscription;
use snug::store::archive::{Answer, Query, Request};
use snug::xml::{Bounds, Checker, Document, Event, Next, Reader};
use snug::xmpp::ns;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};

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
            let from = play.story.len().saturating_sub(250);
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
    let managed = [
        totals.copies,
        totals.managed,
        totals.resumed,
        totals.torn,
        totals.expired,
        totals.returned,
        totals.certain,
    ];
    assert!(!managed.contains(&0), "{managed:?}");
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
    naps: u64,
    checks: u64,
    copies: u64,
    /// Sessions with stream management,
    managed: u64,
    /// resumed,
    resumed: u64,
    /// of those, only when the disk was done;
    resumed_late: u64,
    /// ended because their client did not come back;
    expired: u64,
    /// streams that the server ended, for their client did not answer;
    unheard: u64,
    /// letters that were cut off at some byte,
    torn: u64,
    /// whose session ended before they were acknowledged,
    returned: u64,
    /// and that were.
    certain: u64,
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
            (&mut self.naps, other.naps),
            (&mut self.checks, other.checks),
            (&mut self.copies, other.copies),
            (&mut self.managed, other.managed),
            (&mut self.resumed, other.resumed),
            (&mut self.resumed_late, other.resumed_late),
            (&mut self.expired, other.expired),
            (&mut self.unheard, other.unheard),
            (&mut self.torn, other.torn),
            (&mut self.returned, other.returned),
            (&mut self.certain, other.certain),
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
    /// Both sides of what was said, by account: what no end of the server takes back once it was acknowledged, once and in order.
    archived: Queues,
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

    /// What waits, by account, each sender's in order: what of one comes before what of another is nobody's business.
    fn by_sender(mut queues: Queues) -> Queues {
        for letters in queues.values_mut() {
            letters.sort_by_key(|letter| letter.0);
        }
        queues
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
    /// Whether it said that nobody looks at it (XEP-0352).
    asleep: bool,
    /// Its contact list as it was told, once it asked.
    roster: Option<BTreeMap<String, Shown>>,
    /// Who it sees, and with which status.
    sees: BTreeMap<String, u64>,
    asked: HashMap<String, Asked>,
    expected: BTreeMap<(usize, bool), VecDeque<u64>>,
    got: BTreeMap<(usize, bool), VecDeque<u64>>,
    closed: bool,
    /// Whether it gets copies (XEP-0280); those that it should and did, by sender, and whether they are of what was sent.
    carbons: bool,
    copies: BTreeMap<(usize, bool), VecDeque<u64>>,
    got_copies: BTreeMap<(usize, bool), VecDeque<u64>>,
    /// All letters that it was to get, in order, with copies among them, and those that it has got for certain.
    order: Vec<Letter>,
    certain: BTreeSet<u64>,
    managed: Option<managed::Managed>,
    /// Its connection is lost, its session waits, since then.
    away: bool,
    lost_ms: u64,
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
    /// Letters that somebody of their account has got for certain.
    seen: BTreeSet<u64>,
    /// Letters that reached nobody and were kept.
    kept: BTreeSet<u64>,
    letters: u64,
    statuses: u64,
    requests: u64,
    tally: Tally,
}

impl Play {
    fn new(seed: u64) -> Play {
        let mut host = Host::seeded(&format!("{NO_RATES}\n[archive]\nenabled = true"), seed);
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
            seen: BTreeSet::new(),
            kept: BTreeSet::new(),
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
        if self.managed_step(place) {
            return;
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
            86..88 => self.doze(place),
            88..90 => {
                let seconds = match self.roll(8) {
                    0 => 62,
                    _ => 1 + self.roll(20) as u64,
                };
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
            _ => self.doze(place),
        }
    }

    /// What follows at once: what was committed, and what the clients make of what they get.
    fn settle(&mut self) {
        // A client's answers can lead to more for it.
        for _ in 0..3 {
            self.notice_expired();
            self.committed();
            for place in self.clients.keys().copied().collect::<Vec<_>>() {
                self.hear(place);
                self.notice_loss(place);
            }
            self.answer_requests();
        }
        self.committed();
        assert_eq!(
            self.host.stray_bytes, 0,
            "something was sent to a connection that was gone"
        );
    }

    /// What was committed is on the disk.
    fn committed(&mut self) {
        if self.host.commits != self.commits {
            self.commits = self.host.commits;
            self.durable = self.now.clone();
        }
    }

    fn address(place: Place) -> String {
        format!("{}@chat.test/{}", NAMES[place.0], RESOURCES[place.1])
    }

    fn send(&mut self, place: Place, text: &str) {
        self.tell(format!("{} sends {text}", Self::address(place)));
        self.note_sent(place, text, None, 0);
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
        let client = Client {
            far,
            reader: fresh_reader(),
            presence: None,
            asleep: false,
            roster: None,
            sees: BTreeMap::new(),
            asked: HashMap::new(),
            expected: BTreeMap::new(),
            got: BTreeMap::new(),
            closed: false,
            carbons: false,
            copies: BTreeMap::new(),
            got_copies: BTreeMap::new(),
            order: Vec::new(),
            certain: BTreeSet::new(),
            managed: None,
            away: false,
            lost_ms: 0,
        };
        self.clients.insert(place, client);
        if self.roll(5) < 3 {
            self.manage(place);
        }
        if self.roll(3) == 0 {
            let enable = "<enable xmlns='urn:xmpp:carbons:2'/>";
            self.ask(place, "set", enable, "", Asked::Anything);
            if let Some(client) = self.clients.get_mut(&place) {
                client.carbons = true;
            }
        }
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
        let (far, away) = (old.far, old.away);
        assert!(
            away || self.host.is_closed(far),
            "{} is bound twice",
            Self::address(place)
        );
        self.tally.conflicts += 1;
        if !away {
            self.listen(place);
            self.host.forget(far);
        }
        let client = self.clients.remove(&place).expect("it is there");
        self.ended(place, client, false);
    }

    fn end_stream(&mut self, place: Place) {
        let Some(client) = self.clients.get(&place) else {
            return;
        };
        if client.away {
            return;
        }
        let far = client.far;
        if self.roll(2) == 0 {
            self.acknowledge(place);
        }
        self.send(place, "</stream:stream>");
        self.hear(place);
        assert!(
            self.host.is_closed(far) && self.clients[&place].closed,
            "{} said goodbye and the stream goes on",
            Self::address(place)
        );
        let client = self.clients.remove(&place).expect("it is there");
        self.host.forget(far);
        self.ended(place, client, false);
    }

    fn cut_off(&mut self, place: Place) {
        if self
            .clients
            .get(&place)
            .is_some_and(|client| client.managed.is_some())
        {
            return self.lose(place);
        }
        self.hear(place);
        let Some(client) = self.clients.remove(&place) else {
            return;
        };
        self.tell(format!("{} is cut off", Self::address(place)));
        self.tally.cuts += 1;
        self.host.forget(client.far);
        self.ended(place, client, false);
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
                self.host.release_keys();
                self.host.release_commits();
                self.settle();
                let gone = self.all_end();
                self.host.restart(true);
                for far in gone {
                    self.host.forget(far);
                }
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
            if !client.away {
                self.host.forget(client.far);
            }
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

    /// The server ends in order: its sessions one by one, first those that have a connection, as the server lists them, then those that wait.
    fn all_end(&mut self) -> Vec<u32> {
        let mut far = Vec::new();
        let mut all: Vec<(bool, u64, Place)> = self
            .clients
            .iter()
            .map(|(place, client)| match client.away {
                true => (true, client.lost_ms, *place),
                false => (false, u64::from(client.far), *place),
            })
            .collect();
        all.sort();
        for (away, _, place) in all {
            let client = self.clients.remove(&place).expect("it is there");
            if !away {
                far.push(client.far);
            }
            self.ended(place, client, true);
        }
        far
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
        let archived = self.archived();
        for (who, name) in NAMES.iter().enumerate() {
            let of = |kept: &Queues| kept.get(&who).cloned().unwrap_or_default();
            let there = of(&archived);
            assert!(
                there.starts_with(&of(&self.durable.archived))
                    && of(&self.now.archived).starts_with(&there),
                "the archive of {name}: {there:?}"
            );
        }
        self.now.archived = archived;
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
            let acknowledges = client.managed.is_some();
            let in_hand = self.in_hand(place.0);
            let waiting = self.now.offline.get(&place.0).cloned().unwrap_or_default();
            for letter in waiting.iter().filter(|letter| !in_hand.contains(&letter.2)) {
                self.expect(place, *letter, true);
                self.tally.handed_over += 1;
            }
            if !acknowledges && !waiting.is_empty() {
                let queue = self.now.offline.entry(place.0).or_default();
                queue.retain(|letter| in_hand.contains(&letter.2));
                self.now.version += 1;
            }
        }
        self.send(
            place,
            &format!(
                "<presence><priority>{priority}</priority><status>{status}</status></presence>"
            ),
        );
    }

    fn doze(&mut self, place: Place) {
        let Some(client) = self.clients.get_mut(&place) else {
            return;
        };
        client.asleep = !client.asleep;
        self.tally.naps += u64::from(client.asleep);
        let state = if client.asleep { "inactive" } else { "active" };
        self.send(place, &format!("<{state} xmlns='urn:xmpp:csi:0'/>"));
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
        if self.clients.contains_key(&place) {
            let (outgoing, text) = self.compose(place);
            self.post(place, outgoing, &text);
        }
    }

    /// A new letter from here, to somebody.
    fn compose(&mut self, place: Place) -> (Outgoing, String) {
        self.letters += 1;
        let outgoing = Outgoing {
            whom: self.roll(NAMES.len()),
            at: self.roll(RESOURCES.len()),
            bare: self.roll(3) > 0,
            number: self.letters,
        };
        let (sender, bare, number) = (place.0, outgoing.bare, outgoing.number);
        let to = match bare {
            true => format!("{}@chat.test", NAMES[outgoing.whom]),
            false => Self::address((outgoing.whom, outgoing.at)),
        };
        let text = format!(
            "<message to='{to}' type='chat'><body>{sender} {bare} {number}</body></message>"
        );
        (outgoing, text)
    }

    /// A letter is sent, and has its effect if it comes.
    fn post(&mut self, place: Place, outgoing: Outgoing, text: &str) {
        let far = self.clients[&place].far;
        let mut version = 0;
        if !self.host.is_closed(far) {
            version = self.route(place, &outgoing);
        }
        self.tell(format!("{} sends {text}", Self::address(place)));
        self.note_sent(place, text, Some(outgoing), version);
        self.host.send(far, text);
    }

    /// Where the server must bring a letter, and whose archives have it. What must be on the disk before it is acknowledged.
    fn route(&mut self, from: Place, outgoing: &Outgoing) -> u64 {
        let sender = from.0;
        let Outgoing {
            whom,
            at,
            bare,
            number,
        } = *outgoing;
        self.now.version += 1;
        // What one says to oneself is archived once.
        let sides = [sender, whom];
        for who in &sides[usize::from(sender == whom)..] {
            let archive = self.now.archived.entry(*who).or_default();
            archive.push((sender, bare, number));
        }
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
        self.copy(from, outgoing, &there);
        if there.is_empty() {
            // A copy of it is nothing that could be lost.
            self.kept.insert(number);
            self.now
                .offline
                .entry(whom)
                .or_default()
                .push((sender, bare, number));
            self.tally.offline += 1;
            return self.now.version;
        }
        for other in there {
            self.expect(other, (sender, bare, number), false);
            self.tally.live += 1;
        }
        self.now.version
    }

    /// XEP-0280: the other clients on both sides get copies, where an account has more than one.
    fn copy(&mut self, from: Place, outgoing: &Outgoing, there: &[Place]) {
        let letter = (from.0, outgoing.bare, outgoing.number);
        let sides = [(from.0, true), (outgoing.whom, from.0 == outgoing.whom)];
        for (who, sent) in &sides[usize::from(from.0 == outgoing.whom)..] {
            let mine: Vec<Place> = self
                .clients
                .keys()
                .filter(|other| other.0 == *who)
                .copied()
                .collect();
            let home = *who == outgoing.whom;
            for other in mine.iter().filter(|_| mine.len() > 1) {
                let has_it = *other == from || home && there.contains(other);
                if self.clients[other].carbons && !has_it {
                    self.expect_copy(*other, letter, *sent, home);
                }
            }
        }
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
        if self.is_away(place) || self.is_deaf(place) {
            return;
        }
        let Some(client) = self.clients.get(&place) else {
            return;
        };
        let bytes = self.host.take_sent(client.far);
        self.hear_bytes(place, &bytes);
    }

    fn hear_bytes(&mut self, place: Place, bytes: &[u8]) {
        self.committed();
        let Some(client) = self.clients.get_mut(&place).filter(|_| !bytes.is_empty()) else {
            return;
        };
        let mut heard = Vec::new();
        let mut reader = std::mem::replace(&mut client.reader, Reader::new(Bounds::AFTER_LOGIN));
        let outcome = reader.read(bytes, &mut Checker::default(), &mut |event| {
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
                String::from_utf8_lossy(bytes)
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
        self.heard_managed(place, stanza, xml);
        let client = self.clients.get_mut(&place).expect("it hears something");
        match stanza.name() {
            "message" => {
                assert_ne!(
                    kind,
                    "error",
                    "{} gets an error for a message: {xml}",
                    Self::address(place)
                );
                let (sender, bare, number) = letter_of(xml);
                if let Some(sent) = managed::copied(stanza) {
                    let copies = client.got_copies.entry((sender, sent)).or_default();
                    copies.push_back(number);
                    if client.managed.is_none() && managed::is_for(xml, place.0) {
                        client.certain.insert(number + COPY);
                        self.seen.insert(number);
                    }
                    return;
                }
                let letter = (sender, bare);
                client.got.entry(letter).or_default().push_back(number);
                if client.managed.is_none() {
                    client.certain.extend([number, number + OUT_OF_STORE]);
                    self.seen.insert(number);
                }
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
                        if !client.closed && !self.host.is_closed(client.far) {
                            self.send(place, &format!("<iq type='result' id='{id}'{to}/>"));
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
        for place in self.clients.keys().copied().collect::<Vec<_>>() {
            self.listen(place);
        }
        self.settle();
        for place in self.clients.keys().copied().collect::<Vec<_>>() {
            if self.clients[&place].asleep {
                self.doze(place);
            }
        }
        self.host.pass(1);
        self.settle();
        for (place, client) in &self.clients {
            let who = Self::address(*place);
            if client.away {
                for (from, got) in &client.got {
                    let expected = client.expected.get(from).into_iter().flatten();
                    assert!(
                        got.iter().eq(expected.take(got.len())),
                        "what {who} got before it went away: {:?}, and what it should get: {:?}",
                        client.got,
                        client.expected
                    );
                }
                continue;
            }
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
            assert_eq!(
                client.got_copies, client.copies,
                "the copies that {who} got"
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
                .map(|(_, _, xml)| letter_of(xml))
                .collect();
            if !letters.is_empty() {
                queues.insert(who, letters);
            }
        }
        (items, queues)
    }

    /// What the archives hold.
    fn archived(&self) -> Queues {
        let store = &self.host.engine.store;
        let mut archives = Queues::new();
        for (who, name) in NAMES.iter().enumerate() {
            let account = store.account(name).expect("the store reads");
            let all = Query::of(account.expect("the account is there").id);
            let answer = store.archive_reader().answer(Request::Page(all));
            let Ok(Answer::Page { rows, .. }) = answer else {
                panic!("the archive of {name}: {answer:?}");
            };
            let letters: Vec<Letter> = rows.iter().map(|row| letter_of(&row.xml)).collect();
            if !letters.is_empty() {
                archives.insert(who, letters);
            }
        }
        archives
    }

    fn compare_store(&self) {
        assert_eq!(
            self.archived(),
            self.now.archived,
            "what is archived, and what should be"
        );
        let (items, queues) = self.stored();
        assert_eq!(
            items,
            self.now.records(),
            "the contact lists in the store, and what they should be"
        );
        assert_eq!(
            Kept::by_sender(queues),
            Kept::by_sender(self.now.queues()),
            "what waits in the store, and what should"
        );
    }

    fn everybody_leaves(&mut self) {
        for place in self.clients.keys().copied().collect::<Vec<_>>() {
            self.listen(place);
            match self.roll(2) {
                0 => self.end_stream(place),
                _ => self.cut_off(place),
            }
            self.settle();
        }
        self.host.release_commits();
        // Nobody comes back.
        self.host.pass(62);
        self.settle();
        self.compare_store();
        assert!(
            self.host.engine.is_empty(),
            "everybody is gone and the engine still holds something"
        );
    }
}

fn letter_of(xml: &str) -> Letter {
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
}

/// The reader of a client whose stream has just begun.
fn fresh_reader() -> Reader {
    let mut reader = Reader::new(Bounds::AFTER_LOGIN);
    reader
        .read(HEADER.as_bytes(), &mut Checker::default(), &mut |_| {
            Next::Continue
        })
        .expect("a header");
    reader
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
