//! What a message costs on its way through the whole server, in allocations: reader, gate, routing, splice, queue. The steady state of a
//! chat needs none.
//!
//! Instructions instead, for the 10 100 messages of the one ignored test:
//! `CARGO_PROFILE_RELEASE_STRIP=none cargo test --release --test allocations --no-run`, then
//! `valgrind --tool=callgrind --toggle-collect='*measured_chat*' BINARY --ignored --exact instructions_of_a_message`.

#[path = "common/allocator.rs"]
mod allocator;
#[path = "common/host.rs"]
mod host;

use host::{Host, NO_RATES};
use snug::engine::{Effect, Engine, Flow, Input, Moment};
use snug::store::UserId;
use snug::store::{Affiliated, Affiliation, RoomConfig, RoomRecord};
use snug::xml::{Bounds, Checker, Event, Next, Reader};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

const MESSAGES: u64 = 10_000;

/// As clients send them: 360 bytes, with an id, a chat state, a receipt request and an origin-id.
const MESSAGE: &str = "<message xmlns='jabber:client' to='ben@chat.test' id='b9d3a1e2-7c1f-4a52-9a5e-0d5c1b6f7e81' type='chat'>\
    <body>Are you coming over for dinner tonight? We have far too much soup.</body>\
    <active xmlns='http://jabber.org/protocol/chatstates'/><request xmlns='urn:xmpp:receipts'/>\
    <origin-id xmlns='urn:xmpp:sid:0' id='b9d3a1e2-7c1f-4a52-9a5e-0d5c1b6f7e81'/></message>";

/// The engine alone with a client's reader: what the shell does, without its bookkeeping.
struct Bench {
    host: Host,
    checker: Checker,
    reader: Reader,
    /// The recipient's own stream, for what it acknowledges.
    answers: Reader,
    sender: u32,
    now: Moment,
    /// Bytes that went out, by nothing but their number.
    out: u64,
    outputs: u64,
}

impl Bench {
    fn new(mut host: Host, sender: u32) -> Bench {
        let mut checker = Checker::default();
        let [reader, answers] = [(), ()].map(|()| {
            let mut reader = Reader::new(Bounds::AFTER_LOGIN);
            reader
                .read(host::HEADER.as_bytes(), &mut checker, &mut |_| {
                    Next::Continue
                })
                .expect("a header");
            reader
        });
        let now = host.now();
        host.take_trace();
        host.engine.trace_to(None);
        Bench {
            host,
            checker,
            reader,
            answers,
            sender,
            now,
            out: 0,
            outputs: 0,
        }
    }

    /// One arrival of bytes, and all that follows from it.
    fn arrive(&mut self, bytes: &[u8]) {
        self.arrive_from(self.sender, bytes);
    }

    /// The same from one who is not the sender.
    fn arrive_from(&mut self, far: u32, bytes: &[u8]) {
        let conn = self.host.conn(far);
        let engine = &mut self.host.engine;
        self.now.mono_ms += 1;
        self.now.wall_ms += 1;
        let (now, out, outputs) = (self.now, &mut self.out, &mut self.outputs);
        let reader = match far == self.sender {
            true => &mut self.reader,
            false => &mut self.answers,
        };
        reader
            .read(bytes, &mut self.checker, &mut |event| {
                let Event::Element(xml) = event else {
                    panic!("only stanzas are sent here")
                };
                let flow = engine.enter(now, Input::Element { conn, xml });
                assert_eq!(flow, Flow::Continue);
                drain(engine, out, outputs);
                Next::Continue
            })
            .expect("what is sent here is well-formed");
    }
}

fn drain(engine: &mut Engine, out: &mut u64, outputs: &mut u64) {
    while let Some(effect) = engine.effects() {
        match effect {
            Effect::Output(conn) => {
                let bytes = engine.take_output(conn);
                *out += bytes.len() as u64;
                *outputs += 1;
                engine.recycle(bytes);
            }
            // The storage thread's work, which is not counted here.
            Effect::Commit { .. } if engine.archive_on() => {}
            _ => panic!("a chat wants nothing but output"),
        }
    }
}

/// The measured part: the same bytes so many times. Its name is what callgrind looks for.
#[inline(never)]
fn measured_chat(bench: &mut Bench, bytes: &[u8], times: u64) -> f64 {
    let before = allocator::allocations();
    for _ in 0..times {
        bench.arrive(bytes);
    }
    (allocator::allocations() - before) as f64 / times as f64
}

fn chat(resources: &[&str]) -> (Bench, f64) {
    chat_on(NO_RATES, resources)
}

fn chat_on(toml: &str, resources: &[&str]) -> (Bench, f64) {
    let mut host = Host::new(toml);
    host.account("anna", "secret");
    host.account("ben", "secret");
    let anna = host.go_online("anna", "phone");
    // Looking through block lists costs nothing either.
    let block = |host: &mut Host, far: u32| {
        let answer = host.ask(far, "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='eve@chat.test'/><item jid='a.example'/></block></iq>");
        assert!(answer.contains("type='result'"), "{answer}");
    };
    block(&mut host, anna);
    for resource in resources {
        let ben = host.go_online("ben", resource);
        block(&mut host, ben);
    }
    let mut bench = Bench::new(host, anna);
    measured_chat(&mut bench, MESSAGE.as_bytes(), 100);
    (bench.out, bench.outputs) = (0, 0);
    let each = measured_chat(&mut bench, MESSAGE.as_bytes(), MESSAGES);
    assert_eq!(bench.outputs, MESSAGES * resources.len() as u64);
    assert!(bench.out > MESSAGES * 360);
    (bench, each)
}

#[test]
fn a_chat_allocates_nothing() {
    let (_, each) = chat(&["pc"]);
    println!("{each} allocations for a message to one resource");
    assert_eq!(each, 0.0);
}

#[test]
fn two_resources_allocate_nothing_either() {
    let (_, each) = chat(&["pc", "phone"]);
    println!("{each} allocations for a message to two resources");
    assert_eq!(each, 0.0);
}

/// Two archives write a row each. What sled allocates for that is its own, and some of it belongs to what it does from time to time; snug itself
/// needs nothing: see the figure of `sled alone`.
#[test]
fn an_archived_chat_allocates_what_the_store_needs() {
    let archived = format!("{NO_RATES}\n[archive]\nenabled = true");
    let (mut bench, each) = chat_on(&archived, &["pc"]);
    let (owner, with) = (UserId::new(4000), "ben@chat.test/pc");
    let rows = 1000;
    let before = allocator::allocations();
    for row in 0..rows {
        bench.now.wall_ms += 1;
        bench
            .host
            .engine
            .store
            .archive(owner, bench.now.wall_ms, [row as u8; 8], with, |out| {
                out.extend_from_slice(MESSAGE.as_bytes())
            })
            .expect("a row is written");
    }
    let row = (allocator::allocations() - before) as f64 / f64::from(rows);
    println!("{each} allocations for a message in two archives, {row} for a row by sled alone");
    assert!(
        each <= 2.0 * row + 2.0,
        "{each} allocations for a message in two archives, {row} for a row"
    );
}

/// Both have another client that wants copies (XEP-0280), and one of these sleeps (XEP-0352).
#[test]
fn copies_allocate_nothing_either() {
    let mut host = Host::new(NO_RATES);
    host.account("anna", "secret");
    host.account("ben", "secret");
    let anna = host.go_online("anna", "phone");
    for (name, resource) in [("anna", "tablet"), ("ben", "pc"), ("ben", "phone")] {
        let far = host.go_online(name, resource);
        host.send(
            far,
            "<iq type='set' id='e'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
        );
        if resource == "tablet" {
            host.send(far, "<inactive xmlns='urn:xmpp:csi:0'/>");
        }
    }
    let mut bench = Bench::new(host, anna);
    let message = MESSAGE.replace("to='ben@chat.test'", "to='ben@chat.test/pc'");
    measured_chat(&mut bench, message.as_bytes(), 100);
    (bench.out, bench.outputs) = (0, 0);
    let each = measured_chat(&mut bench, message.as_bytes(), 1000);
    assert_eq!(bench.outputs, 1000 * 3);
    println!("{each} allocations for a message and its two copies");
    assert_eq!(each, 0.0);
}

/// Both want to be woken when they are away (XEP-0357), and are there.
#[test]
fn who_wants_to_be_woken_costs_nothing_either() {
    let mut host = Host::new(&format!(
        "{NO_RATES}\n[[component]]\nhost = 'push.chat.test'\nsecret = 'secret'"
    ));
    let mut people = Vec::new();
    for name in ["anna", "ben"] {
        host.account(name, "secret");
        let far = host.go_online(name, "phone");
        for node in ["a", "b"] {
            let enable = format!(
                "<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='push.chat.test' node='{node}'/></iq>"
            );
            assert!(host.ask(far, &enable).contains("type='result'"));
        }
        people.push(far);
    }
    let mut bench = Bench::new(host, people[0]);
    measured_chat(&mut bench, MESSAGE.as_bytes(), 100);
    (bench.out, bench.outputs) = (0, 0);
    let each = measured_chat(&mut bench, MESSAGE.as_bytes(), 1000);
    assert_eq!(bench.outputs, 1000);
    println!("{each} allocations for a message to who wants to be woken and is there");
    assert_eq!(each, 0.0);
}

/// Both manage their streams (XEP-0198): the recipient acknowledges every message, or every tenth, the sender asks as often.
#[test]
fn an_acknowledged_chat_allocates_nothing_either() {
    use std::fmt::Write as _;
    for every in [1, 10_u64] {
        let mut host = Host::new(NO_RATES);
        host.account("anna", "secret");
        host.account("ben", "secret");
        let (anna, ben) = (host.go_online("anna", "phone"), host.go_online("ben", "pc"));
        for far in [anna, ben] {
            let answer = host.ask(far, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
            assert!(answer.starts_with("<enabled "), "{answer}");
        }
        let mut bench = Bench::new(host, anna);
        let mut answer = String::with_capacity(100);
        let mut handled = 0;
        let mut play = |bench: &mut Bench, times: u64| {
            let before = allocator::allocations();
            for _ in 0..times {
                for _ in 0..every {
                    bench.arrive(MESSAGE.as_bytes());
                }
                bench.arrive(b"<r xmlns='urn:xmpp:sm:3'/>");
                // What came behind the request is asked for with the next one.
                for _ in 0..2 {
                    handled += every.div_ceil(2);
                    answer.clear();
                    write!(answer, "<a xmlns='urn:xmpp:sm:3' h='{handled}'/>").expect("room");
                    bench.arrive_from(ben, answer.as_bytes());
                    if every == 1 {
                        break;
                    }
                }
            }
            (allocator::allocations() - before) as f64 / (times * every) as f64
        };
        play(&mut bench, 100);
        bench.out = 0;
        let each = play(&mut bench, MESSAGES / every);
        println!("{each} allocations for a message, acknowledged {every} at a time");
        assert!(bench.out > MESSAGES * 360);
        assert_eq!(each, 0.0);
        // All was acknowledged.
        let mut ids = bench.host.engine.sessions().map(|session| session.id());
        assert!(ids.all(|id| bench.host.engine.on_its_way(id) == 0));
    }
}

#[test]
fn a_message_in_two_pieces_costs_its_buffer() {
    let (mut bench, _) = chat(&["pc"]);
    let (first, second) = MESSAGE.as_bytes().split_at(200);
    let before = allocator::allocations();
    for _ in 0..1000 {
        bench.arrive(first);
        bench.arrive(second);
    }
    let each = (allocator::allocations() - before) as f64 / 1000.0;
    println!("{each} allocations for a message in two pieces");
    assert!(
        each <= 2.0,
        "{each} allocations for a message in two pieces"
    );
}

#[test]
fn presence_to_fifty_contacts() {
    let mut host = Host::new(NO_RATES);
    host.account("anna", "secret");
    let anna = host.go_online("anna", "phone");
    for number in 0..50 {
        let name = format!("contact{number}");
        host.account(&name, "secret");
        let far = host.go_online(&name, "pc");
        host.send(far, "<presence to='anna@chat.test' type='subscribe'/>");
        host.send(
            anna,
            &format!("<presence to='{name}@chat.test' type='subscribed'/>"),
        );
    }
    let mut bench = Bench::new(host, anna);
    let presence = b"<presence><show>away</show><status>soup</status><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://gajim.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/></presence>";
    measured_chat(&mut bench, presence, 10);
    (bench.out, bench.outputs) = (0, 0);
    let each = measured_chat(&mut bench, presence, 100);
    // The contacts, and the own resource.
    assert_eq!(bench.outputs, 100 * 51);
    println!("{each} allocations for a presence to 50 contacts");
    assert!(
        each <= 100.0,
        "{each} allocations for a presence to 50 contacts"
    );
}

#[test]
#[ignore = "for callgrind, see the top of this file"]
fn instructions_of_a_message() {
    let (_, each) = chat(&["pc"]);
    assert_eq!(each, 0.0);
}

/// A room with so many people in it, none of them on a second device; what it costs that one says something.
fn room(people: usize) -> f64 {
    let mut host = Host::new(NO_RATES);
    let mut sender = 0;
    for number in 0..people {
        let name = format!("occupant{number}");
        host.account(&name, "secret");
        let far = host.go_online(&name, "pc");
        host.send(far, &format!("<presence to='coven@rooms.chat.test/{name}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
        if number == 0 {
            host.send(far, "<iq type='set' id='c' to='coven@rooms.chat.test'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>");
            sender = far;
        }
    }
    let mut bench = Bench::new(host, sender);
    let message = MESSAGE
        .replace("ben@chat.test", "coven@rooms.chat.test")
        .replace("type='chat'", "type='groupchat'");
    measured_chat(&mut bench, message.as_bytes(), 200);
    (bench.out, bench.outputs) = (0, 0);
    let each = measured_chat(&mut bench, message.as_bytes(), 200);
    assert_eq!(bench.outputs, 200 * people as u64);
    each
}

// One text for all, and a head for each: what it allocates does not grow with the occupants.
#[test]
fn a_message_to_a_room_allocates_the_same_for_few_and_many() {
    let (few, many) = (room(10), room(200));
    println!("{few} allocations for a message to 10 occupants, {many} to 200");
    assert_eq!(few, many, "to 10 occupants, and to 200");
    assert!(few <= 20.0, "{few}");
}

// What a copy costs in a room of 100, and somebody's coming at 100 and at 500: nanoseconds, for a look in a release build.
#[test]
#[ignore = "a measurement: cargo test --release --test allocations -- --ignored --nocapture rooms_cost"]
fn rooms_cost() {
    for people in [100usize, 500] {
        let mut host = Host::new(NO_RATES);
        let mut sender = 0;
        let mut entering = std::time::Duration::ZERO;
        for number in 0..people {
            let name = format!("occupant{number}");
            host.account(&name, "secret");
            let far = host.go_online(&name, "pc");
            let begin = std::time::Instant::now();
            host.send(far, &format!("<presence to='coven@rooms.chat.test/{name}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
            entering += begin.elapsed();
            if number == 0 {
                host.send(far, "<iq type='set' id='c' to='coven@rooms.chat.test'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>");
                sender = far;
            }
        }
        // Each who comes is told of all, and all of each.
        let presences = people * people;
        println!(
            "{people} occupants: {} ns a presence",
            entering.as_nanos() as usize / presences
        );
        let mut bench = Bench::new(host, sender);
        let message = MESSAGE
            .replace("ben@chat.test", "coven@rooms.chat.test")
            .replace("type='chat'", "type='groupchat'");
        measured_chat(&mut bench, message.as_bytes(), 200);
        let begin = std::time::Instant::now();
        measured_chat(&mut bench, message.as_bytes(), 1000);
        println!(
            "{people} occupants: {} ns a copy of a message",
            begin.elapsed().as_nanos() as usize / (1000 * people)
        );
    }
    let begin = std::time::Instant::now();
    let (mut bench, _) = chat(&["pc"]);
    let begun = begin.elapsed();
    let begin = std::time::Instant::now();
    measured_chat(&mut bench, MESSAGE.as_bytes(), 10_000);
    println!(
        "one to one: {} ns a message ({begun:?} to set up)",
        begin.elapsed().as_nanos() / 10_000
    );
}

// Nothing is in memory of a room in which nobody is, but what the store keeps resident of its records.
#[test]
#[ignore = "a measurement: cargo test --release --test allocations -- --ignored --nocapture idle_rooms"]
fn ten_thousand_idle_rooms() {
    let resident = || {
        let text = std::fs::read_to_string("/proc/self/statm").expect("statm");
        let pages: usize = text
            .split(' ')
            .nth(1)
            .and_then(|pages| pages.parse().ok())
            .expect("pages");
        pages * 4096
    };
    let mut host = Host::new(NO_RATES);
    host.account("anna", "secret");
    let before = resident();
    let store = &host.engine.store;
    for number in 0..10_000 {
        let room = RoomRecord {
            id: store.take_room_id().expect("an id"),
            name: format!("room{number:05}"),
            salt: [7; 16],
            created_ms: 0,
            maker: "anna".to_owned(),
            everyone: false,
            config: RoomConfig {
                title: "A room of the house".to_owned(),
                persistent: true,
                ..RoomConfig::DEFAULT
            },
            subject: None,
            hats: Vec::new(),
            tokens: Vec::new(),
        };
        store.put_room(&room).expect("room for it");
        let owner = Affiliated::new("anna@chat.test", Affiliation::Owner);
        store.put_affiliation(room.id, &owner).expect("room for it");
    }
    store.commit().expect("a commit");
    let kept = resident() - before;
    let begin = std::time::Instant::now();
    let rooms = host.control(&serde_json::json!({"verb": "room.list"}));
    let taken = begin.elapsed();
    assert_eq!(rooms["rooms"].as_array().map(Vec::len), Some(10_001));
    drop(rooms);
    println!(
        "10 000 idle rooms: {:.1} MB resident; a list of all takes {taken:?}",
        kept as f64 / 1e6
    );
}
