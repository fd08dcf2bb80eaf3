//! What the tests share: a server with anna and ben, and how a client reads what it gets.

use crate::host::{HEADER, Host, NO_RATES};
use crate::scram;
use snug::xml::{Bounds, Checker, Document, Event, Next, Reader};

pub const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
pub const ROSTER_GET: &str = "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>";
pub const BIND: &str =
    "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";

/// A server with anna and ben, nobody online, nobody slowed down.
pub fn host() -> Host {
    host_on(NO_RATES)
}

fn host_on(toml: &str) -> Host {
    let mut host = Host::new(toml);
    host.account("anna", "secret");
    host.account("ben", "secret");
    host
}

/// anna's phone and ben's pc, online.
pub fn anna_and_ben() -> (Host, u32, u32) {
    anna_and_ben_on(NO_RATES)
}

/// The same with a configuration.
pub fn anna_and_ben_on(toml: &str) -> (Host, u32, u32) {
    let mut host = host_on(toml);
    let anna = host.go_online("anna", "phone");
    let ben = host.go_online("ben", "pc");
    (host, anna, ben)
}

/// What a client makes of what it received: each first-level element with its namespace, and its source. Panics where a strict parser would stop.
pub fn elements(text: &str) -> Vec<String> {
    let mut reader = Reader::new(Bounds::AFTER_LOGIN);
    let mut checker = Checker::default();
    let mut found = Vec::new();
    // Every stream header begins a stream of its own.
    let mut pieces: Vec<&str> = text.split("<?xml version='1.0'?>").collect();
    let before = pieces.remove(0);
    for (piece, is_first) in
        std::iter::once((before, true)).chain(pieces.into_iter().map(|piece| (piece, false)))
    {
        reader.restart();
        let with_header = match is_first {
            true if piece.is_empty() => continue,
            true => format!("{HEADER}{piece}"),
            false => piece.to_owned(),
        };
        let mut ended = false;
        reader
            .read(with_header.as_bytes(), &mut checker, &mut |event| {
                match event {
                    Event::Element(xml) => found.push(xml.text().to_owned()),
                    Event::Footer => ended = true,
                    Event::Header(_) | Event::Space => {}
                }
                Next::Continue
            })
            .unwrap_or_else(|error| panic!("a client cannot read this ({error:?}): {piece}"));
        assert_eq!(reader.pending(), 0, "half an element was sent: {piece}");
        let _ = ended;
    }
    found
}

/// Reads one stanza of a client's stream.
pub fn stanza(source: &str) -> Document {
    let declared = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'";
    Document::parse(format!("<all {declared}>{source}</all>"))
        .unwrap_or_else(|error| panic!("not well-formed ({error:?}): {source}"))
}

/// The condition of a stream error or a stanza error in what was received.
pub fn has(text: &str, condition: &str) -> bool {
    text.contains(&format!("<{condition} "))
}

/// An ordinary message still goes from one to the other.
pub fn still_chats(host: &mut Host, from: u32, to: u32, address: &str) {
    host.sent(to);
    host.take_trace();
    host.send(
        from,
        &format!("<message to='{address}' type='chat'><body>still here</body></message>"),
    );
    let got = host.sent(to);
    assert!(
        got.contains("still here"),
        "a message does not go through: {got:?}\nthe sender gets {:?}\n{:#?}",
        host.sent(from),
        host.take_trace()
    );
}

/// A seeded sequence of numbers.
pub struct Dice(pub u64);

impl Dice {
    pub fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, bound: usize) -> usize {
        ((self.roll() >> 16) % bound.max(1) as u64) as usize
    }

    pub fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.below(from.len())]
    }
}

/// One SCRAM login on an open stream, step by step: the challenge's text, and what came in the end.
pub fn scram_login(host: &mut Host, far: u32, mut client: scram::Client) -> (String, String) {
    let first = snug::auth::encode(client.first());
    let answer = host.ask(
        far,
        &format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>{first}</auth>"),
    );
    let Some(challenge) = inner(&answer, "challenge") else {
        return (String::new(), answer);
    };
    let challenge =
        String::from_utf8(snug::auth::decode(&challenge).expect("base64")).expect("text");
    let last = snug::auth::encode(client.answer(&challenge).expect("a challenge"));
    let end = host.ask(far, &format!("<response xmlns='{SASL}'>{last}</response>"));
    (challenge, end)
}

/// The text of the first element of this name.
pub fn inner(text: &str, name: &str) -> Option<String> {
    let start = text
        .find(&format!("<{name} "))
        .or_else(|| text.find(&format!("<{name}>")))?;
    let from = start + text[start..].find('>')? + 1;
    let to = from + text[from..].find("</")?;
    Some(text[from..to].to_owned())
}

pub fn stranger(host: &mut Host) -> u32 {
    let far = host.connect(true);
    host.send(far, HEADER);
    host.sent(far);
    far
}

/// Every namespace that somebody may ask an account about: the table's, and what other servers have leaked.
pub fn asked_namespaces(host: &Host) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> = host
        .engine
        .features
        .iter()
        .flat_map(|row| row.iq)
        .map(|route| (route.ns.to_owned(), route.name.to_owned()))
        .collect();
    for (space, name) in [
        ("vcard-temp", "vCard"),
        ("jabber:iq:last", "query"),
        ("jabber:iq:private", "query"),
        ("jabber:iq:privacy", "query"),
        ("urn:xmpp:blocking", "blocklist"),
        ("http://jabber.org/protocol/pubsub", "pubsub"),
        ("urn:xmpp:mam:2", "query"),
        ("urn:xmpp:nothing", "query"),
    ] {
        all.push((space.to_owned(), name.to_owned()));
    }
    all.sort();
    all.dedup();
    all
}

/// A server as it comes, with anna and ben.
pub fn fresh() -> Host {
    let mut host = Host::new("");
    host.account("anna", "secret");
    host.account("ben", "secret");
    host
}
