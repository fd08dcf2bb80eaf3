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
    sender: u32,
    now: Moment,
    /// Bytes that went out, by nothing but their number.
    out: u64,
    outputs: u64,
}

impl Bench {
    fn new(mut host: Host, sender: u32) -> Bench {
        let mut reader = Reader::new(Bounds::AFTER_LOGIN);
        let mut checker = Checker::default();
        reader
            .read(host::HEADER.as_bytes(), &mut checker, &mut |_| {
                Next::Continue
            })
            .expect("a header");
        let now = host.now();
        host.take_trace();
        host.engine.trace_to(None);
        Bench {
            host,
            checker,
            reader,
            sender,
            now,
            out: 0,
            outputs: 0,
        }
    }

    /// One arrival of bytes, and all that follows from it.
    fn arrive(&mut self, bytes: &[u8]) {
        let conn = self.host.conn(self.sender);
        let engine = &mut self.host.engine;
        self.now.mono_ms += 1;
        self.now.wall_ms += 1;
        let (now, out, outputs) = (self.now, &mut self.out, &mut self.outputs);
        self.reader
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
    let mut host = Host::new(NO_RATES);
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
