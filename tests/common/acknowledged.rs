//! Several people at work on a server that will be stopped at any moment: what each was told, and what must be there afterwards. Shared by the tests
//! that stop it (`tests/kill.rs`, `tests/power.rs`).
//!
//! A new kind of acknowledgement: what is sent goes into [`Writer::work`], what acknowledges it into [`Writer::read`], what must then be there into a check, and
//! how many there were into [`Tally`].
#![allow(dead_code)] // each test binary uses a part of it

use super::client::{Client, HEADER};
use super::server::{DOMAIN, Server};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Barrier;
use std::time::Duration;

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

/// What a server must be configured with, so that everybody can work.
pub const CONFIG: &str = "[registration]\nmode = \"open\"\n";

/// All who work, and what they were told.
pub struct People {
    seed: u64,
    writers: Vec<Writer>,
    registrars: Vec<Registrar>,
    /// Of the one who is away.
    archive: Archive,
}

impl People {
    /// Makes their accounts.
    pub fn new(server: &Server, seed: u64) -> People {
        let writers: Vec<Writer> = (0..WRITERS).map(Writer::new).collect();
        for writer in &writers {
            server.add_user(&writer.name, writer.password.last());
        }
        server.add_user(AWAY, AWAY);
        People {
            seed,
            writers,
            registrars: (0..REGISTRARS).map(Registrar::new).collect(),
            archive: Archive::default(),
        }
    }

    /// Everybody works until the server is killed, at a random moment.
    pub fn work(&mut self, server: &Server, round: u64, random: &mut Random) {
        let seed = self.seed;
        let ready = Barrier::new(self.writers.len() + self.registrars.len() + 1);
        let lives = Duration::from_millis(random.below(LONGEST_MS));
        std::thread::scope(|scope| {
            for (number, writer) in self.writers.iter_mut().enumerate() {
                let (ready, random) = (&ready, Random::of(seed, round, number as u64));
                scope.spawn(move || writer.work(server, round, random, ready));
            }
            for (number, registrar) in self.registrars.iter_mut().enumerate() {
                let (ready, random) = (&ready, Random::of(seed, round, 100 + number as u64));
                scope.spawn(move || registrar.work(server, round, random, ready));
            }
            ready.wait();
            std::thread::sleep(lives);
            server.signal("KILL");
        });
    }

    /// Looks whether everything acknowledged is there, and nothing that was not sent.
    pub fn check(&mut self, server: &Server, round: u64) -> Tally {
        let mut tally = Tally::default();
        for writer in &mut self.writers {
            writer.check(server, round, &mut tally);
        }
        let names: Vec<&str> = self.writers.iter().map(|one| one.name.as_str()).collect();
        let waiting = messages_of_the_away(server);
        let mut client = Client::direct(server);
        client.log_in_plain(AWAY, AWAY);
        client.bind("archive");
        let archived = self.archive.read(&mut client, AWAY);
        for messages in [&waiting, &archived] {
            assert!(
                all_of_round(messages, round, &names),
                "not of round {round}: {messages:?}"
            );
        }
        for writer in &self.writers {
            tally.messages += writer.check_messages(&waiting, round);
            writer.check_messages(&archived, round);
        }
        tally.archived += archived.len() as u64;
        for registrar in &self.registrars {
            registrar.check(server, round, &mut tally);
        }
        self.count_accounts(server);
        tally
    }

    /// The accounts that there are: each of them was asked for, and none that was acknowledged is missing. How many.
    pub fn count_accounts(&self, server: &Server) -> usize {
        let listed = server.command(&["user", "list", "--json"], "");
        assert!(listed.status.success(), "{listed:?}");
        let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
        let there: BTreeSet<&str> = listed
            .as_array()
            .unwrap()
            .iter()
            .filter_map(|account| account["jid"].as_str().unwrap().split('@').next())
            .filter(|name| name.starts_with("new"))
            .collect();
        let asked = |name: &str| self.registrars.iter().any(|one| one.sent.contains(name));
        assert!(
            there.iter().all(|name| asked(name)),
            "accounts that nobody asked for: {there:?}"
        );
        for name in self.registrars.iter().flat_map(|one| &one.acknowledged) {
            assert!(
                there.contains(name.as_str()),
                "the account {name} was acknowledged and is gone"
            );
        }
        there.len()
    }
}

/// What may be there afterwards: what was acknowledged last, or anything sent since.
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
    /// Messages of this round: sent, and acknowledged: by an `<a/>` (XEP-0198), or by the answer to what was sent after them.
    messages: (u64, u64),
    /// Whether it asks for `<a/>`: of each stanza of this connection how many messages had been sent with it.
    managed: Option<Vec<u64>>,
    /// Stanzas that it has received since then.
    received: u64,
    archive: Archive,
    /// Acknowledged in this round.
    tally: Tally,
}

/// What an acknowledged request was about.
enum Wanted {
    Contact(u64, Option<u64>),
    Password(String),
    /// What of the stanzas so far is done.
    Count,
}

impl Writer {
    fn new(number: u64) -> Writer {
        Writer {
            name: format!("writer{number}"),
            password: Sent::new(format!("first-{number}")),
            contacts: BTreeMap::new(),
            numbers: 0,
            messages: (0, 0),
            managed: None,
            received: 0,
            archive: Archive::default(),
            tally: Tally::default(),
        }
    }

    /// Sends several stanzas at once and reads what is acknowledged, until the server is gone.
    fn work(&mut self, server: &Server, round: u64, mut random: Random, ready: &Barrier) {
        (self.messages, self.tally) = ((0, 0), Tally::default());
        let mut client = Client::direct(server);
        client.log_in_plain(&self.name, self.password.last());
        client.bind("load");
        self.managed = None;
        if random.below(2) == 0 {
            client.send("<enable xmlns='urn:xmpp:sm:3'/>");
            client.expect("<enabled xmlns='urn:xmpp:sm:3'/>");
            (self.managed, self.received) = (Some(Vec::new()), 0);
        }
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
                        self.sent_one();
                        continue;
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
                self.sent_one();
            }
            if self.managed.is_some() {
                burst += "<r xmlns='urn:xmpp:sm:3'/>";
                asked.insert("r".to_owned(), (Wanted::Count, self.messages.0));
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
        if answer.starts_with("<r ") {
            let count = format!("<a xmlns='urn:xmpp:sm:3' h='{}'/>", self.received);
            return client.try_send(count.as_bytes()).is_ok();
        }
        if answer.starts_with("<a ") {
            let count: usize = between(&answer, "h='", "'").parse().unwrap();
            let sent = self.managed.as_ref().expect("it was enabled");
            // XEP-0198 §4: so many of the stanzas since then are done.
            let messages = count.checked_sub(1).map_or(0, |last| sent[last]);
            self.messages.1 = self.messages.1.max(messages);
            self.tally.counts += 1;
            if count == sent.len() {
                asked.remove("r");
            }
            return true;
        }
        self.received += 1;
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
            Wanted::Count => panic!("an iq with the id of none: {answer}"),
        }
        self.messages.1 = self.messages.1.max(messages);
        true
    }

    /// Notes a stanza that is being sent.
    fn sent_one(&mut self) {
        if let Some(sent) = &mut self.managed {
            sent.push(self.messages.0);
        }
    }

    /// Logs in with a password that may hold, compares the contact list and reads what the archive has of this round.
    fn check(&mut self, server: &Server, round: u64, tally: &mut Tally) {
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
        let archived = self.archive.read(&mut client, &self.name);
        self.check_messages(&archived, round);
        assert!(
            all_of_round(&archived, round, &[&self.name]),
            "{}: not of round {round}: {archived:?}",
            self.name
        );
        tally.archived += archived.len() as u64;
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

/// One message as the one who was away sees it, or an archive.
#[derive(Debug)]
struct Message {
    sender: String,
    round: u64,
    number: u64,
}

/// Whether all of these were sent in this round, by one of these.
fn all_of_round(messages: &[Message], round: u64, senders: &[&str]) -> bool {
    let of_round =
        |message: &Message| message.round == round && senders.contains(&message.sender.as_str());
    messages.iter().all(of_round)
}

impl Message {
    /// Of a stanza, or what surrounds one.
    fn read(xml: &str) -> Message {
        let body = between(xml, "<body>", "</body>");
        let mut parts = body.split('/');
        let mut next = || parts.next().unwrap_or_else(|| panic!("cut: {body}"));
        let (sender, round, number) = (next().to_owned(), next(), next());
        assert!(
            xml.contains(&format!("from='{sender}@{DOMAIN}/load'")),
            "{xml}"
        );
        Message {
            sender,
            round: round.parse().unwrap(),
            number: number.parse().unwrap(),
        }
    }
}

/// An archive (XEP-0313) as far as it was read: what it has shown it must keep.
#[derive(Default)]
struct Archive {
    /// The id of the last message.
    last: Option<String>,
}

impl Archive {
    /// What came since it was read last, in its order.
    fn read(&mut self, client: &mut Client, whose: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let after = self.last.as_ref();
            let after = after.map_or(String::new(), |id| format!("<after>{id}</after>"));
            client.send(&format!(
                "<iq type='set' id='read'><query xmlns='urn:xmpp:mam:2'><set xmlns='http://jabber.org/protocol/rsm'><max>100</max>{after}</set></query></iq>"
            ));
            let page = client.expect("</iq>");
            assert!(
                page.contains("<fin "),
                "{whose}: the archive does not know what it has shown: {page}"
            );
            for result in page.split("<result ").skip(1) {
                self.last = Some(between(result, "id='", "'").to_owned());
                messages.push(Message::read(result));
            }
            if page.contains("complete='true'") {
                return messages;
            }
        }
    }
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
            received.push(Message::read(message));
        }
        if received.len() == before {
            return received;
        }
    }
}

/// How much of each kind was acknowledged.
#[derive(Debug, Default)]
pub struct Tally {
    pub registered: u64,
    pub contacts: u64,
    pub passwords: u64,
    pub messages: u64,
    /// Answers to `<r/>`.
    pub counts: u64,
    /// Messages that were found in an archive.
    pub archived: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Tally) {
        self.registered += other.registered;
        self.contacts += other.contacts;
        self.passwords += other.passwords;
        self.messages += other.messages;
        self.counts += other.counts;
        self.archived += other.archived;
    }

    /// Whether something of every kind was acknowledged.
    pub fn has_every_kind(&self) -> bool {
        let Tally {
            registered,
            contacts,
            passwords,
            messages,
            counts,
            archived,
        } = *self;
        ![registered, contacts, passwords, messages, counts, archived].contains(&0)
    }
}

/// A sequence that a seed makes again (splitmix64).
pub struct Random(pub u64);

impl Random {
    fn of(seed: u64, round: u64, worker: u64) -> Random {
        let mut random = Random(seed ^ (round << 32) ^ (worker << 56));
        random.below(1);
        random
    }

    /// A number below this.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound.max(1)
    }
}

/// The seed of this run: `SNUG_SEED`, or the time; printed.
pub fn seed() -> u64 {
    let seed = number_in("SNUG_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(1, |since| since.as_millis() as u64)
    });
    println!("SNUG_SEED={seed}");
    seed
}

/// The number in this variable of the environment.
pub fn number_in(variable: &str) -> Option<u64> {
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
