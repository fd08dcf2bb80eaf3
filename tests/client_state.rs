//! XEP-0352: what a client is spared while nobody looks at it, in bytes and in wake-ups; and that it knows in the end what it would have known.

#[path = "common/host.rs"]
mod host;

use host::{Host, NO_RATES};
use snug::engine::Input;
use snug::limits;
use std::collections::BTreeMap;

const INACTIVE: &str = "<inactive xmlns='urn:xmpp:csi:0'/>";
const ACTIVE: &str = "<active xmlns='urn:xmpp:csi:0'/>";
const CONTACTS: usize = 50;
/// Seconds that a phone's radio stays on after the last byte.
const RADIO_SECONDS: u64 = 10;

/// A seeded sequence of numbers.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) % bound
    }

    /// Once in so many times.
    fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}

/// What reaches the phone in an hour.
#[derive(Debug, Default, PartialEq, Eq)]
struct Hour {
    bytes: usize,
    /// Inputs of the server that made it write to the phone: each is a packet of its own.
    writes: usize,
    /// Seconds that the radio is on for it.
    radio: u64,
    messages: usize,
}

/// A phone and what it was sent so far.
struct Phone {
    far: u32,
    hour: Hour,
    last_second: Option<u64>,
    shown: BTreeMap<String, String>,
}

impl Phone {
    fn take(&mut self, host: &mut Host, second: u64) {
        let text = host.sent(self.far);
        if text.is_empty() {
            return;
        }
        self.hour.bytes += text.len();
        self.hour.writes += 1;
        let longer = self
            .last_second
            .map_or(RADIO_SECONDS, |last| RADIO_SECONDS.min(second - last));
        self.hour.radio += longer;
        self.last_second = Some(second);
        for stanza in stanzas(&text) {
            self.hour.messages += usize::from(stanza.contains("<body>"));
            note(&mut self.shown, stanza);
            if let Some(id) = attr(stanza, "id").filter(|_| stanza.contains("<ping")) {
                host.send(
                    self.far,
                    &format!("<iq type='result' id='{id}' to='chat.test'/>"),
                );
            }
        }
    }
}

/// The stanzas of what was received: none here holds another one, and all begin a line of their own kind.
fn stanzas(text: &str) -> Vec<&str> {
    let begins = |at: &usize| {
        ["<presence", "<message", "<iq"]
            .iter()
            .any(|name| text[*at..].starts_with(name))
    };
    let starts: Vec<usize> = text
        .match_indices('<')
        .map(|(at, _)| at)
        .filter(begins)
        .collect();
    let ends = starts.iter().skip(1).copied().chain([text.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(from, to)| &text[*from..to])
        .collect()
}

fn attr<'t>(stanza: &'t str, name: &str) -> Option<&'t str> {
    let from = stanza.find(&format!(" {name}='"))? + name.len() + 3;
    stanza[from..].split('\'').next()
}

/// What a client makes of presence: who is available, and how.
fn note(shown: &mut BTreeMap<String, String>, stanza: &str) {
    if !stanza.starts_with("<presence") {
        return;
    }
    let from = attr(stanza, "from").expect("presence has a sender");
    match attr(stanza, "type") {
        None => drop(shown.insert(from.to_owned(), stanza.to_owned())),
        Some("unavailable") => drop(shown.remove(from)),
        Some(other) => panic!("presence of type {other} in {stanza}"),
    }
}

/// anna and so many contacts; none is there.
fn people(contacts: usize) -> Host {
    let mut host = Host::new(NO_RATES);
    host.account("anna", "secret");
    let anna = host.go_online("anna", "setup");
    for number in 0..contacts {
        let name = format!("c{number:02}");
        host.account(&name, "secret");
        let far = host.go_online(&name, "setup");
        for (from, to, kind) in [
            (far, "anna", "subscribe"),
            (anna, name.as_str(), "subscribed"),
            (anna, name.as_str(), "subscribe"),
            (far, "anna", "subscribed"),
        ] {
            host.send(
                from,
                &format!("<presence to='{to}@chat.test' type='{kind}'/>"),
            );
        }
        host.forget(far);
    }
    host.forget(anna);
    host
}

/// What Conversations and Gajim say of themselves with every presence.
const CAPS: &str = "<c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='https://gajim.org' ver='q07IKJEyjvHSyhy//CH0CxmKi8w='/>";

/// An hour of a phone with 50 contacts: 40 sit at desks and go away and come back, 10 are on the move and lose their network all the time, five write.
fn hour(asleep: bool) -> (Hour, BTreeMap<String, String>) {
    let mut host = people(CONTACTS);
    let mut dice = Dice(0x5EED_0352);
    let mut there: Vec<Option<u32>> = (0..CONTACTS)
        .map(|number| Some(host.go_online(&format!("c{number:02}"), "r")))
        .collect();
    let far = host.log_in("anna", "phone");
    host.send(
        far,
        "<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>",
    );
    let mut shown = BTreeMap::new();
    for stanza in stanzas(&host.sent(far)) {
        note(&mut shown, stanza);
    }
    assert_eq!(shown.len(), CONTACTS + 1);
    let mut phone = Phone {
        far,
        hour: Hour::default(),
        last_second: None,
        shown,
    };
    if asleep {
        host.send(far, INACTIVE);
    }
    let mut away = [false; CONTACTS];
    let mut said = 0;
    for second in 0..3600 {
        host.pass(1);
        phone.take(&mut host, second);
        for number in 0..CONTACTS {
            let Some(far) = there[number] else {
                // The network is back.
                if dice.once_in(20) {
                    let far = host.log_in(&format!("c{number:02}"), "r");
                    host.send(
                        far,
                        &format!("<presence><priority>1</priority>{CAPS}</presence>"),
                    );
                    there[number] = Some(far);
                    phone.take(&mut host, second);
                }
                continue;
            };
            let mut says = |host: &mut Host, xml: &str| {
                host.send(far, xml);
                phone.take(host, second);
            };
            // Somebody goes for coffee, and comes back.
            if dice.once_in(if away[number] { 300 } else { 900 }) {
                away[number] = !away[number];
                let show = match away[number] {
                    true => "<show>away</show><status>gone for a moment</status>",
                    false => "<status>at my desk</status>",
                };
                says(
                    &mut host,
                    &format!("<presence><priority>1</priority>{show}{CAPS}</presence>"),
                );
            }
            if number < 5 && dice.once_in(600) {
                for state in ["composing", "paused", "composing"] {
                    says(
                        &mut host,
                        &format!(
                            "<message to='anna@chat.test' type='chat'><{state} xmlns='http://jabber.org/protocol/chatstates'/><no-store xmlns='urn:xmpp:hints'/></message>"
                        ),
                    );
                }
                // Half of what is begun is not sent.
                if dice.once_in(2) {
                    says(
                        &mut host,
                        &format!(
                            "<message to='anna@chat.test' type='chat' id='m{said}'><body>Are you coming over for dinner tonight?</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>"
                        ),
                    );
                    said += 1;
                }
            }
            host.bytes(far, b" ");
            if number >= CONTACTS - 10 && dice.once_in(600) {
                host.forget(far);
                there[number] = None;
                phone.take(&mut host, second);
            }
        }
    }
    if asleep {
        host.send(phone.far, ACTIVE);
        phone.take(&mut host, 3600);
    }
    assert_eq!(phone.hour.messages, said);
    assert!(said >= 5);
    (phone.hour, phone.shown)
}

#[test]
fn an_hour_in_a_pocket() {
    let (awake, shown) = hour(false);
    let (asleep, shown_too) = hour(true);
    let less = |awake: u64, asleep: u64| awake as f64 / asleep as f64;
    println!(
        "an hour with {CONTACTS} contacts and {} messages: {} bytes in {} writes, the radio on for {} s; \
         inactive: {} bytes in {} writes, {} s: {:.1}, {:.1} and {:.1} times less",
        awake.messages,
        awake.bytes,
        awake.writes,
        awake.radio,
        asleep.bytes,
        asleep.writes,
        asleep.radio,
        less(awake.bytes as u64, asleep.bytes as u64),
        less(awake.writes as u64, asleep.writes as u64),
        less(awake.radio, asleep.radio),
    );
    assert_eq!(shown, shown_too, "the phone knows what it would have known");
    assert_eq!(awake.messages, asleep.messages);
    assert!(asleep.bytes * 3 <= awake.bytes * 2);
    assert!(asleep.writes * 15 <= awake.writes);
    assert!(asleep.radio * 8 <= awake.radio);
    // Every write is one that cannot wait: a message, a ping of the server (XEP-0199), or the end of the nap.
    assert!(asleep.writes <= asleep.messages + 3600 / 300 + 1);
}

/// Whatever happens, in whatever order: each time that something goes to an inactive phone, it knows what a client that always gets everything knows, and
/// it got a part of that, in the same order.
#[test]
fn a_client_that_sleeps_knows_the_same_whenever_it_is_woken() {
    for seed in 1..=40 {
        any_order(seed);
    }
}

fn any_order(seed: u64) {
    let mut host = people(3);
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    // Directed presence shows those, too, who are not there for all; then the rule is careful, and may tell of a going that was never seen.
    let directs = seed.is_multiple_of(2);
    let pc = host.go_online("anna", "pc");
    let phone = host.go_online("anna", "phone");
    host.sent(pc);
    host.sent(phone);
    let resources: Vec<(usize, &str)> = (0..3).flat_map(|n| [(n, "a"), (n, "b")]).collect();
    let mut there: Vec<Option<u32>> = vec![None; resources.len()];
    let mut all: Vec<String> = Vec::new();
    let mut got: Vec<String> = Vec::new();
    let (mut known, mut shown) = (BTreeMap::new(), BTreeMap::new());
    let mut inactive = false;
    let mut spared = 0;
    for step in 0..300 {
        let place = dice.below(resources.len() as u64) as usize;
        let (contact, resource) = resources[place];
        let name = format!("c{contact:02}");
        match (there[place], dice.below(12)) {
            (None, 0..=5) => {
                let far = host.log_in(&name, resource);
                host.send(far, &format!("<presence><status>{step}</status></presence>"));
                there[place] = Some(far);
            }
            (None, 6..=7) if directs => {
                let far = host.log_in(&name, resource);
                host.send(far, &format!("<presence to='anna@chat.test'><status>{step}</status></presence>"));
                there[place] = Some(far);
            }
            (Some(far), 0..=3) => host.send(far, &format!("<presence><status>{step}</status></presence>")),
            (Some(far), 4) => host.send(far, "<presence type='unavailable'/>"),
            (Some(far), 5) => {
                host.forget(far);
                there[place] = None;
            }
            (Some(far), 6) => {
                // A conflict: the new session takes the old one's place.
                let new = host.log_in(&name, resource);
                host.send(new, &format!("<presence><status>{step}</status></presence>"));
                assert!(host.is_closed(far));
                there[place] = Some(new);
            }
            (Some(far), 7) => host.send(far, &format!("<message to='anna@chat.test' type='chat' id='{step}'><body>x</body></message>")),
            (Some(far), 8) => host.send(far, "<message to='anna@chat.test' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>"),
            (_, 9..=10) => {
                inactive = !inactive;
                host.send(phone, if inactive { INACTIVE } else { ACTIVE });
            }
            _ => host.pass(1),
        }
        for stanza in stanzas(&host.sent(pc)) {
            note(&mut known, stanza);
            all.push(stanza.to_owned());
        }
        let came = host.sent(phone);
        for stanza in stanzas(&came) {
            let from = attr(stanza, "from").expect("a sender");
            if stanza.contains("type='unavailable'") && !directs {
                assert!(
                    shown.contains_key(from),
                    "seed {seed}, step {step}: nobody was shown {from}"
                );
            }
            note(&mut shown, stanza);
            got.push(stanza.to_owned());
        }
        match inactive && came.is_empty() {
            true => spared += usize::from(known != shown),
            false => assert_eq!(known, shown, "seed {seed}, step {step}"),
        }
    }
    host.send(phone, ACTIVE);
    for stanza in stanzas(&host.sent(phone)) {
        note(&mut shown, stanza);
        got.push(stanza.to_owned());
    }
    assert_eq!(known, shown, "seed {seed}, at the end");
    assert!(spared > 0, "seed {seed}: nothing ever waited");
    let mut rest = all.iter();
    for stanza in &got {
        assert!(
            rest.any(|other| other == stanza),
            "seed {seed}: not in the order in which it came: {stanza}"
        );
    }
    let messages = |of: &[String]| of.iter().filter(|xml| xml.contains("<body>")).count();
    assert_eq!(messages(&all), messages(&got), "seed {seed}");
    assert!(got.len() < all.len());
}

#[test]
fn what_waits_is_bounded_for_each_client() {
    let mut host = people(3);
    let phone = host.go_online("anna", "phone");
    host.send(phone, INACTIVE);
    let status = "x".repeat(limits::INACTIVE_BYTES / 3);
    let here = format!("<presence><status>{status}</status></presence>");
    let mut come = |name: &str| {
        let far = host.log_in(name, "r");
        host.send(far, &here);
        host.sent(phone)
    };
    assert_eq!(come("c00") + &come("c01"), "");
    let came = come("c02");
    assert_eq!(stanzas(&came).len(), 3, "at the bound everything goes");
    // And from there it begins anew: the phone still sleeps.
    assert_eq!(come("c00"), "");
}

#[test]
fn what_waits_is_bounded_for_all() {
    let mut host = Host::new(
        "[roster]\neveryone = true\n[limits]\nstanza_rate = 0\nlogin_rate = 0\nconnection_rate = 0",
    );
    host.account("loud", "secret");
    let loud = host.log_in("loud", "r");
    // Their own presence is asked for, and goes out of the way.
    let mut phones = Vec::new();
    for number in 0..19 {
        let name = format!("c{number:02}");
        host.account(&name, "secret");
        for resource in 0..limits::RESOURCES_PER_ACCOUNT {
            phones.push(host.log_in(&name, &format!("r{resource}")));
        }
    }
    for phone in &phones {
        host.send(*phone, "<presence/>");
    }
    for phone in &phones {
        host.send(*phone, INACTIVE);
        host.sent(*phone);
    }
    let bytes = limits::INACTIVE_BYTES * 9 / 10;
    let status = "x".repeat(bytes);
    host.send(
        loud,
        &format!("<presence><status>{status}</status></presence>"),
    );
    let loud_came = |host: &mut Host, phone: u32| host.sent(phone).contains("loud@chat.test/r");
    let at_once = phones
        .iter()
        .filter(|phone| loud_came(&mut host, **phone))
        .count();
    let waits = phones.len() - at_once;
    println!(
        "{waits} of {} sleeping clients wait for {bytes} bytes each",
        phones.len()
    );
    assert!(waits * bytes <= limits::INACTIVE_TOTAL_BYTES);
    assert!((waits + 2) * (bytes + 1024) > limits::INACTIVE_TOTAL_BYTES);
    assert!(at_once > 0);
    // Nobody misses anything; and when all are gone nothing is held.
    host.send(loud, "<presence type='unavailable'/>");
    let mut gone = 0;
    for phone in &phones {
        host.send(*phone, ACTIVE);
        gone += usize::from(loud_came(&mut host, *phone));
        host.send(*phone, INACTIVE);
    }
    assert_eq!(gone, at_once, "who was shown it hears that it is gone");
    host.send(loud, "<presence/>");
    host.forget(loud);
    phones.iter().for_each(|phone| host.forget(*phone));
    assert!(host.engine.is_empty());
}

#[test]
fn the_operator_chooses_what_waits() {
    let mut host = people(1);
    let contact = host.go_online("c00", "r");
    let phone = host.go_online("anna", "phone");
    let typing = "<message to='anna@chat.test' type='chat'><composing xmlns='http://jabber.org/protocol/chatstates'/></message>";
    host.send(phone, INACTIVE);
    for (collapse, drop) in [(true, false), (false, true), (false, false), (true, true)] {
        let mut config = host.engine.config.clone();
        config.inactive.collapse_presence = collapse;
        config.inactive.drop_typing = drop;
        host.enter(Input::Reload(Box::new(config)));
        host.sent(phone);
        host.send(contact, "<presence><show>away</show></presence>");
        assert_eq!(host.sent(phone).is_empty(), collapse);
        host.send(contact, typing);
        assert_eq!(host.sent(phone).is_empty(), drop);
    }
}
