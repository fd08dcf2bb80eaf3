//! The built binary under load over real TLS, killed with SIGKILL at random moments and started again on the same directory: what was
//! acknowledged is there, and nothing is there that was not sent.
//!
//! `SNUG_ROUNDS=50 cargo test --release --test kill` makes more rounds than the ordinary 8; `SNUG_SEED` makes the choices of a printed run
//! again (not the timing of threads and disk).

#[path = "common/client.rs"]
mod client;
#[path = "common/scram.rs"]
mod scram;
#[path = "common/server.rs"]
mod server;

use client::{Client, HEADER};
use server::{DOMAIN, Server, start_and_kill};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::time::{Duration, Instant};

/// People who change their contact lists and passwords and write to the one who is away.
const WRITERS: u64 = 4;
/// Connections that make accounts.
const REGISTRARS: u64 = 2;
/// The account that reads only after a restart.
const AWAY: &str = "away";
/// Contacts of one writer; each is written again and again.
const CONTACTS: u64 = 60;
/// Messages of one writer in one round: all of them fit the queue of one account.
const MESSAGES: u64 = 200;
/// The longest a server lives under load.
const LONGEST_MS: u64 = 700;

#[test]
fn what_was_acknowledged_survives_kill_9_under_load() {
    let rounds: u64 = number_in("SNUG_ROUNDS").unwrap_or(8);
    let seed = number_in("SNUG_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |since| since.as_millis() as u64)
    });
    println!("SNUG_SEED={seed}, {rounds} rounds");
    let mut random = Random(seed);
    let mut server = Server::start("kill-load", "[registration]\nmode = \"open\"\n");
    let mut writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
    let mut registrars: Vec<Registrar> = (0..REGISTRARS).map(Registrar::new).collect();
    for writer in &writers {
        server.add_user(&writer.name, writer.password.last());
    }
    server.add_user(AWAY, AWAY);
    let mut total = Tally::default();
    for round in 0..rounds {
        load(
            &server,
            seed,
            round,
            &mut random,
            &mut writers,
            &mut registrars,
        );
        let (_, data, _) = server.wait();
        // One that is killed while it opens what the other left.
        for _ in 0..random.below(3) {
            start_and_kill(&data, Duration::from_millis(random.below(60)));
        }
        let began = Instant::now();
        server = Server::start_on(data);
        let started = began.elapsed();
        let tally = check(&server, round, &mut writers, &mut registrars);
        println!(
            "round {round}: {tally:?}, started again in {} ms",
            started.as_millis()
        );
        total.add(&tally);
    }
    let accounts = count_accounts(&server, &registrars);
    println!("{rounds} rounds, {accounts} accounts at the end: {total:?}");
    let every_kind =
        total.registered > 0 && total.contacts > 0 && total.passwords > 0 && total.messages > 0;
    assert!(
        every_kind || rounds < 8,
        "something was never acknowledged, so nothing was tested: {total:?}"
    );
}

/// Everybody works until the server is killed.
fn load(
    server: &Server,
    seed: u64,
    round: u64,
    random: &mut Random,
    writers: &mut [Writer],
    registrars: &mut [Registrar],
) {
    let ready = Barrier::new(writers.len() + registrars.len() + 1);
    let lives = Duration::from_millis(random.below(LONGEST_MS));
    std::thread::scope(|scope| {
        for (number, writer) in writers.iter_mut().enumerate() {
            let (ready, random) = (&ready, Random::of(seed, round, number as u64));
            scope.spawn(move || writer.work(server, round, random, ready));
        }
        for (number, registrar) in registrars.iter_mut().enumerate() {
            let (ready, random) = (&ready, Random::of(seed, round, 100 + number as u64));
            scope.spawn(move || registrar.work(server, round, random, ready));
        }
        ready.wait();
        std::thread::sleep(lives);
        server.signal("KILL");
    });
}

/// Looks whether everything acknowledged is there, and nothing that was not sent.
fn check(
    server: &Server,
    round: u64,
    writers: &mut [Writer],
    registrars: &mut [Registrar],
) -> Tally {
    let mut tally = Tally::default();
    for writer in writers.iter_mut() {
        writer.check(server, &mut tally);
    }
    let received = messages_of_the_away(server);
    for writer in writers.iter() {
        let acknowledged = writer.check_messages(&received, round);
        tally.messages += acknowledged;
    }
    let known = received.iter().all(|message| {
        writers
            .iter()
            .any(|writer| writer.name == message.sender && message.round == round)
    });
    assert!(known, "round {round}: not of this round: {received:?}");
    for registrar in registrars.iter_mut() {
        registrar.check(server, round, &mut tally);
    }
    count_accounts(server, registrars);
    tally
}

/// The accounts that there are: each of them was asked for, and none that was acknowledged is missing. How many.
fn count_accounts(server: &Server, registrars: &[Registrar]) -> usize {
    let listed = server.command(&["user", "list", "--json"], "");
    assert!(listed.status.success(), "{listed:?}");
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let there: BTreeSet<String> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|account| {
            account["jid"]
                .as_str()
                .unwrap()
                .split('@')
                .next()
                .unwrap()
                .to_owned()
        })
        .filter(|name| name.starts_with("new"))
        .collect();
    let sent: BTreeSet<&String> = registrars
        .iter()
        .flat_map(|registrar| &registrar.sent)
        .collect();
    assert!(
        there.iter().all(|name| sent.contains(name)),
        "accounts that nobody asked for: {there:?}"
    );
    for name in registrars
        .iter()
        .flat_map(|registrar| &registrar.acknowledged)
    {
        assert!(
            there.contains(name),
            "the account {name} was acknowledged and is gone"
        );
    }
    there.len()
}

/// What may be there after a kill: what was acknowledged last, or anything sent since.
#[derive(Debug)]
struct Sent<T> {
    /// Never empty; the first is acknowledged.
    since: Vec<T>,
}

impl<T: PartialEq + std::fmt::Debug + Clone> Sent<T> {
    fn new(value: T) -> Sent<T> {
        Sent { since: vec![value] }
    }

    fn last(&self) -> &T {
        self.since.last().expect("never empty")
    }

    fn acknowledged(&mut self, value: &T) {
        let at = self
            .since
            .iter()
            .rposition(|sent| sent == value)
            .unwrap_or_else(|| panic!("{value:?} was acknowledged and not sent: {self:?}"));
        self.since.drain(..at);
    }

    fn found(&mut self, value: T, what: &str) {
        assert!(
            self.since.contains(&value),
            "{what}: {value:?} is there, not one of {:?}",
            self.since
        );
        self.since = vec![value];
    }
}

/// Somebody with an account from before the first round.
struct Writer {
    name: String,
    password: Sent<String>,
    /// What each contact is called: the number of its last change.
    contacts: BTreeMap<u64, Sent<Option<u64>>>,
    /// Contacts and passwords so far: what they are called.
    numbers: u64,
    /// Messages of this round: sent, and sent before an iq-set that was acknowledged.
    messages: (u64, u64),
    /// Acknowledged in this round.
    tally: Tally,
}

/// What an acknowledged request was about.
enum Wanted {
    Contact(u64, Option<u64>),
    Password(String),
}

impl Writer {
    fn new(number: u64) -> Writer {
        Writer {
            name: format!("writer{number}"),
            password: Sent::new(format!("first-{number}")),
            contacts: BTreeMap::new(),
            numbers: 0,
            messages: (0, 0),
            tally: Tally::default(),
        }
    }

    /// Sends several stanzas at once and reads what is acknowledged, until the server is gone.
    fn work(&mut self, server: &Server, round: u64, mut random: Random, ready: &Barrier) {
        (self.messages, self.tally) = ((0, 0), Tally::default());
        let mut client = Client::direct(server);
        client.log_in_plain(&self.name, self.password.last());
        client.bind("load");
        ready.wait();
        loop {
            let mut burst = String::new();
            let mut asked: BTreeMap<String, (Wanted, u64)> = BTreeMap::new();
            let mut changes_password = false;
            for _ in 0..=random.below(8) {
                match random.below(20) {
                    0 if !changes_password => {
                        // One at a time: keys are derived by two threads, and the later one could be ready first.
                        changes_password = true;
                        self.numbers += 1;
                        let password = format!("secret-{}", self.numbers);
                        burst += &format!(
                            "<iq type='set' id='p{0}'><query xmlns='jabber:iq:register'><username>{1}</username><password>{password}</password></query></iq>",
                            self.numbers, self.name
                        );
                        self.password.since.push(password.clone());
                        asked.insert(
                            format!("p{}", self.numbers),
                            (Wanted::Password(password), self.messages.0),
                        );
                    }
                    1..=9 if self.messages.0 < MESSAGES => {
                        // Now and then one that is stored in pieces.
                        let longest = if random.below(8) == 0 { 9000 } else { 300 };
                        let filler = "x".repeat(random.below(longest) as usize);
                        burst += &format!(
                            "<message to='{AWAY}@{DOMAIN}' type='chat' id='m'><body>{}/{round}/{}/{filler}</body></message>",
                            self.name, self.messages.0
                        );
                        self.messages.0 += 1;
                    }
                    _ => {
                        self.numbers += 1;
                        let contact = random.below(CONTACTS);
                        let states = self
                            .contacts
                            .entry(contact)
                            .or_insert_with(|| Sent::new(None));
                        // Only what is surely there is removed: the removal of nobody is refused.
                        let sure = states.since.len() == 1 && states.since[0].is_some();
                        let state = (!sure || random.below(6) > 0).then_some(self.numbers);
                        let what = match state {
                            Some(number) => {
                                format!("name='{number}'><group>of {round}</group></item>")
                            }
                            None => "subscription='remove'/>".to_owned(),
                        };
                        burst += &format!(
                            "<iq type='set' id='r{}'><query xmlns='jabber:iq:roster'><item jid='c{contact}@{DOMAIN}' {what}</query></iq>",
                            self.numbers
                        );
                        states.since.push(state);
                        asked.insert(
                            format!("r{}", self.numbers),
                            (Wanted::Contact(contact, state), self.messages.0),
                        );
                    }
                }
            }
            if client.try_send(burst.as_bytes()).is_err() {
                // What arrived before the end still counts.
                while self.read(&mut client, &mut asked) {}
                return;
            }
            while !asked.is_empty() {
                if !self.read(&mut client, &mut asked) {
                    return;
                }
            }
        }
    }

    /// Reads one stanza and notes what it acknowledges; `false` at the end of the connection.
    fn read(&mut self, client: &mut Client, asked: &mut BTreeMap<String, (Wanted, u64)>) -> bool {
        let Some(answer) = client.try_expect("/>") else {
            return false;
        };
        assert!(
            answer.starts_with("<iq ") && answer.contains("type='result'"),
            "{}: refused: {answer}",
            self.name
        );
        let id = between(&answer, "id='", "'");
        let (wanted, messages) = asked
            .remove(id)
            .unwrap_or_else(|| panic!("not asked for: {answer}"));
        match wanted {
            Wanted::Contact(contact, state) => {
                self.contacts
                    .get_mut(&contact)
                    .expect("it was sent")
                    .acknowledged(&state);
                self.tally.contacts += 1;
            }
            Wanted::Password(password) => {
                self.password.acknowledged(&password);
                self.tally.passwords += 1;
            }
        }
        self.messages.1 = self.messages.1.max(messages);
        true
    }

    /// Logs in with a password that may hold, and compares the contact list.
    fn check(&mut self, server: &Server, tally: &mut Tally) {
        let holds = self
            .password
            .since
            .iter()
            .find(|password| Client::direct(server).can_log_in(&self.name, password))
            .cloned()
            .unwrap_or_else(|| {
                panic!("{}: none of {:?} is the password", self.name, self.password)
            });
        let mut client = Client::direct(server);
        client.log_in_plain(&self.name, &holds);
        self.password.found(holds, &self.name);
        client.bind("check");
        client.send("<iq type='get' id='get'><query xmlns='jabber:iq:roster'/></iq>");
        let roster = client.expect("</iq>");
        let mut there: BTreeMap<u64, u64> = BTreeMap::new();
        for item in roster.split("<item ").skip(1) {
            let contact = between(item, "jid='c", "@").parse().unwrap();
            let name = between(item, "name='", "'").parse().unwrap();
            assert!(
                there.insert(contact, name).is_none(),
                "{contact} is there twice: {roster}"
            );
        }
        for (contact, states) in &mut self.contacts {
            let state = there.remove(contact);
            states.found(state, &format!("{}: contact {contact}", self.name));
        }
        assert!(
            there.is_empty(),
            "{}: contacts that nobody made: {there:?}",
            self.name
        );
        tally.add(&self.tally);
    }

    /// Of this writer's messages a beginning is there, each once, and no acknowledged one is missing. How many were acknowledged.
    fn check_messages(&self, received: &[Message], round: u64) -> u64 {
        let numbers: Vec<u64> = received
            .iter()
            .filter(|message| message.sender == self.name)
            .map(|message| message.number)
            .collect();
        let (sent, acknowledged) = self.messages;
        assert!(
            numbers.iter().copied().eq(0..numbers.len() as u64),
            "round {round}, {}: in order and once? {numbers:?}",
            self.name
        );
        assert!(
            (acknowledged..=sent).contains(&(numbers.len() as u64)),
            "round {round}, {}: {} came, {sent} were sent and {acknowledged} acknowledged",
            self.name,
            numbers.len()
        );
        acknowledged
    }
}

/// One who makes accounts in-band, as fast as they are acknowledged.
struct Registrar {
    number: u64,
    sent: BTreeSet<String>,
    acknowledged: BTreeSet<String>,
    /// How many of them in this round.
    fresh: Vec<String>,
}

impl Registrar {
    fn new(number: u64) -> Registrar {
        Registrar {
            number,
            sent: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            fresh: Vec::new(),
        }
    }

    fn work(&mut self, server: &Server, round: u64, mut random: Random, ready: &Barrier) {
        self.fresh.clear();
        let mut client = Client::direct(server);
        client.send(HEADER);
        client.expect("</stream:features>");
        ready.wait();
        for number in 0.. {
            let name = format!("new{}-{round}-{number}", self.number);
            let register = format!(
                "<iq type='set' id='r{number}'><query xmlns='jabber:iq:register'><username>{name}</username><password>of {name}</password></query></iq>"
            );
            self.sent.insert(name.clone());
            if client.try_send(register.as_bytes()).is_err() {
                return;
            }
            let Some(answer) = client.try_expect("/>") else {
                return;
            };
            assert!(
                answer.contains(&format!("id='r{number}'")) && answer.contains("type='result'"),
                "{name} was refused: {answer}"
            );
            self.acknowledged.insert(name.clone());
            self.fresh.push(name);
            std::thread::sleep(Duration::from_millis(random.below(20)));
        }
    }

    /// Each of this round logs in.
    fn check(&self, server: &Server, round: u64, tally: &mut Tally) {
        for name in &self.fresh {
            assert!(
                Client::direct(server).can_log_in(name, &format!("of {name}")),
                "round {round}: {name} was acknowledged and cannot log in"
            );
        }
        tally.registered += self.fresh.len() as u64;
    }
}

/// One message as the one who was away sees it.
#[derive(Debug)]
struct Message {
    sender: String,
    round: u64,
    number: u64,
}

/// Takes all that waits; it is forgotten for good when this returns.
fn messages_of_the_away(server: &Server) -> Vec<Message> {
    let mut received = Vec::new();
    loop {
        let mut client = Client::direct(server);
        client.log_in_plain(AWAY, AWAY);
        client.bind("check");
        client.send("<presence/>");
        // Its result waits for the commit of everything before it: what was handed over will not come again.
        client.send(&format!("<iq type='set' id='done'><query xmlns='jabber:iq:roster'><item jid='seen@{DOMAIN}'/></query></iq>"));
        client.send("<iq type='get' id='end'><ping xmlns='urn:xmpp:ping'/></iq>");
        let said = client.expect("id='done'") + &client.expect("id='end'");
        let before = received.len();
        for message in said.split("<message ").skip(1) {
            let body = between(message, "<body>", "</body>");
            let mut parts = body.split('/');
            let mut next = || parts.next().unwrap_or_else(|| panic!("cut: {body}"));
            let (sender, round, number) = (next().to_owned(), next(), next());
            assert!(
                message.contains(&format!("from='{sender}@{DOMAIN}/load'")),
                "{message}"
            );
            received.push(Message {
                sender,
                round: round.parse().unwrap(),
                number: number.parse().unwrap(),
            });
        }
        if received.len() == before {
            return received;
        }
    }
}

/// How much of each kind was acknowledged.
#[derive(Debug, Default)]
struct Tally {
    registered: u64,
    contacts: u64,
    passwords: u64,
    messages: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.registered += other.registered;
        self.contacts += other.contacts;
        self.passwords += other.passwords;
        self.messages += other.messages;
    }
}

/// A sequence that a seed makes again (splitmix64).
struct Random(u64);

impl Random {
    fn of(seed: u64, round: u64, worker: u64) -> Random {
        let mut random = Random(seed ^ (round << 32) ^ (worker << 56));
        random.below(1);
        random
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

fn number_in(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{variable} is a number")),
    )
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> &'a str {
    text.split_once(start)
        .and_then(|(_, rest)| rest.split_once(end))
        .unwrap_or_else(|| panic!("no {start}…{end} in {text}"))
        .0
}
