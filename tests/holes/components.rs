//! Components (XEP-0114) are trusted with their own host, and with nothing else.

use crate::host::{Host, NO_RATES, component_header, handshake};
use crate::nonsense::nonsense;
use crate::stage::{Dice, anna_and_ben_on, asked_namespaces, elements, has, still_chats};

const CONFIG: &str = "[[component]]\nhost = 'plays.chat.test'\nsecret = 'secret'\n\
                      [[component]]\nhost = 'push.example.org'\nsecret = 'secret'\n";

fn stage() -> (Host, u32, u32) {
    anna_and_ben_on(&format!("{NO_RATES}\n{CONFIG}"))
}

#[test]
fn hole_05_what_a_client_smuggles_to_a_component() {
    let (mut host, anna, _) = stage();
    let far = host.component("plays.chat.test");
    for stanza in [
        "<message to='a@plays.chat.test' xmlns:a='jabber:client' xmlns:b='jabber:component:accept' a:x='1' b:x='2'/>",
        "<message to='a@plays.chat.test'><body xmlns:a='jabber:client' xmlns:b='jabber:component:accept' a:x='1' b:x='2' xmlns='jabber:client'>b</body></message>",
        "<c:message xmlns:c='jabber:client' xmlns='urn:x' to='a@plays.chat.test'><c:body/><body/></c:message>",
        "<message xmlns='jabber:client' to='a@plays.chat.test'><body>jabber:client &amp;lt; ]]&gt; &#x1F600;</body></message>",
        "<message to='a@plays.chat.test'><body xmlns='jabber:client'><![CDATA[</message><message from='chat.test' to='x'/>]]></body></message>",
        "<message to='a@plays.chat.test'><x xmlns='jabber:component:accept'/><body xmlns='jabber:client'/></message>",
    ] {
        host.send(anna, stanza);
        let got = host.sent(far);
        // As its parser reads it: one whole stanza, and nothing else.
        let got = elements(&format!("{}{got}", component_header("plays.chat.test")));
        assert_eq!(got.len(), 1, "{stanza}: {got:?}");
        assert!(got[0].contains("from='anna@chat.test/phone'"), "{got:?}");
    }
    assert_eq!(host.sent(anna), "");
}

#[test]
fn hole_10_components_before_their_handshake() {
    let (mut host, anna, ben) = stage();
    for element in [
        "<message from='a@plays.chat.test' to='anna@chat.test'><body>hi</body></message>",
        "<iq from='plays.chat.test' to='chat.test' type='get' id='1'><ping xmlns='urn:xmpp:ping'/></iq>",
        "<presence from='a@plays.chat.test' to='anna@chat.test' type='subscribe'/>",
        "<handshake/>",
        "<handshake>0</handshake>",
        "<handshake xmlns='jabber:client'/>",
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGFubmEAc2VjcmV0</auth>",
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<resume xmlns='urn:xmpp:sm:3' previd='a' h='0'/>",
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    ] {
        let far = host.connect_component();
        host.send(far, &component_header("plays.chat.test"));
        host.sent(far);
        let answer = host.ask(far, element);
        assert!(has(&answer, "not-authorized"), "{element}: {answer}");
        assert!(host.is_closed(far), "{element}");
        // Nor in the same packet, behind a handshake that is wrong.
        let far = host.connect_component();
        let all = format!(
            "{}<handshake>x</handshake>{element}",
            component_header("plays.chat.test")
        );
        let answer = host.ask(far, &all);
        assert!(has(&answer, "not-authorized"), "{element}: {answer}");
    }
    assert_eq!(host.sent(anna), "");
    assert_eq!(host.engine.components().count(), 0);
    still_chats(&mut host, anna, ben, "ben@chat.test/pc");
}

#[test]
fn hole_12_a_component_speaks_for_its_host_alone() {
    let (mut host, anna, ben) = stage();
    for from in [
        "",
        "chat.test",
        "ben@chat.test",
        "ben@chat.test/pc",
        "rooms.chat.test",
        "lobby@rooms.chat.test/ben",
        "push.example.org",
        "x.plays.chat.test",
        "ben@x.plays.chat.test",
        "test",
        "ben@plays.chat.test.chat.test",
        "plays.chat.test@chat.test",
        "ben@chat.test/plays.chat.test",
        "ben@chat.test/a@plays.chat.test",
        "a@b@plays.chat.test",
        "&#98;en@chat.test",
    ] {
        let far = host.component("plays.chat.test");
        for stanza in [
            format!("<message from='{from}' to='anna@chat.test'><body>I am ben</body></message>"),
            format!("<presence from='{from}' to='anna@chat.test'/>"),
            format!(
                "<iq from='{from}' to='anna@chat.test/phone' type='set' id='1'><query xmlns='jabber:iq:roster'/></iq>"
            ),
        ] {
            let far = match host.is_closed(far) {
                true => host.component("plays.chat.test"),
                false => far,
            };
            let answer = host.ask(far, &stanza);
            assert!(has(&answer, "invalid-from"), "{stanza}: {answer}");
            assert!(host.is_closed(far), "{stanza}");
        }
        assert_eq!(host.sent(anna), "", "{from:?}");
    }
    // Its own host in another spelling is its own.
    let far = host.component("plays.chat.test");
    host.send(far, "<message from='A@PLAYS.chat.TEST' to='anna@chat.test' type='chat'><body>hi</body></message>");
    assert!(host.sent(anna).contains("from='a@plays.chat.test'"));
    still_chats(&mut host, anna, ben, "ben@chat.test/pc");
}

#[test]
fn hole_14_a_component_changes_no_roster() {
    let (mut host, anna, _) = stage();
    let far = host.component("plays.chat.test");
    let push = "<iq from='plays.chat.test' to='anna@chat.test/phone' type='set' id='1'><query xmlns='jabber:iq:roster'><item jid='evil@plays.chat.test' subscription='both'/></query></iq>";
    // Also of who may know that anna is there.
    host.send(anna, "<presence to='plays.chat.test'/>");
    host.sent(far);
    let answer = host.ask(far, push);
    assert!(has(&answer, "service-unavailable"), "{answer}");
    assert_eq!(host.sent(anna), "");
}

#[test]
fn hole_25_the_secret_of_a_component_is_not_guessed() {
    let (mut host, anna, ben) = anna_and_ben_on(&format!("[limits]\nlogin_rate = 5\n{CONFIG}"));
    let mut open = Vec::new();
    let mut refused = 0;
    for guess in 0..40 {
        let far = host.connect_component();
        host.send(far, &component_header("plays.chat.test"));
        let header = host.sent(far);
        let id = header
            .split(" id='")
            .nth(1)
            .and_then(|rest| rest.split('\'').next());
        let hash = handshake(id.expect("an id"), &format!("guess {guess}"));
        let answer = host.ask(far, &format!("<handshake>{hash}</handshake>"));
        match host.is_closed(far) {
            true => refused += 1,
            false => open.push(answer),
        }
    }
    assert!((5..15).contains(&refused), "{refused} guesses cost nothing");
    assert!(open.iter().all(String::is_empty), "they wait: {open:?}");
    still_chats(&mut host, anna, ben, "ben@chat.test/pc");
    // Who knows it is let in meanwhile.
    host.component("plays.chat.test");
}

#[test]
fn hole_26_a_component_that_floods() {
    let (mut host, anna, ben) = anna_and_ben_on(&format!("[limits]\nstanza_rate = 1000\n{CONFIG}"));
    let far = host.component("plays.chat.test");
    let body = "x".repeat(900);
    let count = 1500;
    for n in 0..count {
        host.send(far, &format!("<message from='a@plays.chat.test' to='anna@chat.test' type='chat' id='n{n}'><body>{body}</body></message>"));
    }
    let mut got = host.sent(anna);
    let at_once = got.matches("<message").count();
    assert!(
        (300..900).contains(&at_once),
        "{at_once} of {count} at once"
    );
    still_chats(&mut host, ben, anna, "anna@chat.test/phone");
    // It speaks for many, so it may send ten times as much as a client, and nothing is lost.
    let mut seconds = 0;
    while got.matches("plays.chat.test").count() < count && seconds < 300 {
        host.pass(1);
        host.send(anna, " ");
        seconds += 1;
        got.push_str(&host.sent(anna));
    }
    assert!(
        (50..150).contains(&seconds),
        "{count} messages took {seconds} s"
    );
}

#[test]
fn hole_35_nonsense_of_components() {
    let seed = std::env::var("SNUG_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(35u64);
    println!("SNUG_SEED={seed}");
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let (mut host, anna, ben) =
        anna_and_ben_on(&format!("{NO_RATES}\n[archive]\nenabled = true\n{CONFIG}"));
    host.send(anna, "<iq type='set' id='e'><enable xmlns='urn:xmpp:push:0' jid='push.example.org' node='a'/></iq>");
    host.send(
        anna,
        "<presence to='evil@plays.chat.test' type='subscribe'/><presence to='plays.chat.test'/>",
    );
    let namespaces = asked_namespaces(&host);
    let mut plays = host.component("plays.chat.test");
    let (mut sent, mut ended) = (0, 0);
    for round in 0..4000 {
        let mut text = nonsense(&mut dice, &namespaces);
        let from = *dice.pick(&[
            "plays.chat.test",
            "evil@plays.chat.test",
            "evil@plays.chat.test/x",
        ]);
        let to = *dice.pick(&[
            "anna@chat.test",
            "anna@chat.test/phone",
            "chat.test",
            "nobody@chat.test",
            "rooms.chat.test",
            "plays.chat.test",
            "a@push.example.org",
        ]);
        // Mostly with addresses that it may use: else the stream ends at each.
        if dice.below(50) > 0
            && let Some((name, rest)) = text.split_once(' ')
        {
            let rest = rest
                .replace(" from='", " was='")
                .replace(" to='", " wants='");
            let rest = rest.trim_start_matches("from='").trim_start_matches("to='");
            let again = format!("{name} from='{from}' to='{to}' x='{rest}");
            if snug::xml::Document::parse(again.clone()).is_ok() {
                text = again;
            }
        }
        host.send(plays, &text);
        sent += 1;
        if round % 50 == 0 {
            host.pass(1);
            host.send(ben, " ");
            host.send(anna, " ");
        }
        for actor in [anna, ben, plays] {
            let got = host.sent(actor);
            if !got.is_empty() {
                elements(&got);
            }
        }
        if host.is_closed(plays) {
            host.forget(plays);
            plays = host.component("plays.chat.test");
            ended += 1;
        }
    }
    still_chats(&mut host, anna, ben, "ben@chat.test/pc");
    println!("{sent} pieces of nonsense, {ended} streams ended by them");
    assert!(
        ended < sent / 2,
        "{ended} of {sent}: most is not even looked at"
    );
    assert_eq!(host.stray_bytes, 0);
}
