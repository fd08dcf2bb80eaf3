//! Rows 18, 19 and 29: who hears of what, and what goes round in a circle.

use crate::stage::*;
use snug::engine::disco::{Identity, Info, verification};

const PUBLISH: &str = "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:n'><item id='i'>\
    <n xmlns='urn:n'/></item></publish></pubsub></iq>";

fn info(nodes: &[&str]) -> Info {
    Info {
        identities: vec![Identity {
            category: "client".to_owned(),
            kind: "pc".to_owned(),
            ..Identity::default()
        }],
        features: nodes.iter().map(|node| format!("{node}+notify")).collect(),
        ..Info::default()
    }
}

fn presence(ver: &str) -> String {
    format!(
        "<presence><c xmlns='http://jabber.org/protocol/caps' hash='sha-1' node='urn:c' ver='{ver}'/></presence>"
    )
}

/// The id of the question what a client can, in what it received.
fn question(text: &str) -> Option<String> {
    let iq = text.split("<iq ").find(|iq| iq.contains("node='urn:c#"))?;
    let (_, rest) = iq.split_once(" id='")?;
    Some(rest.split_once('\'')?.0.to_owned())
}

/// ejabberd 26.07: who answers first for a hash decides what everybody with that hash gets.
#[test]
fn hole_18_capabilities_are_not_poisoned() {
    let (mut host, anna, ben) = anna_and_ben();
    let honest = info(&["urn:n"]);
    let ver = verification("sha-1", &honest.text()).expect("SHA-1");
    let asked = question(&host.ask(ben, &presence(&ver))).expect("a question");
    // ben says that this hash wants nothing, and something else: neither counts for anna.
    let forged = info(&["urn:other"]).payload(None);
    host.send(
        ben,
        &format!("<iq to='chat.test' id='{asked}' type='result'>{forged}</iq>"),
    );
    let asked = question(&host.ask(anna, &presence(&ver)))
        .expect("anna is asked herself: ben's answer was not kept for others");
    // One session cannot answer another's question.
    host.send(
        ben,
        &format!("<iq to='chat.test' id='{asked}' type='result'>{forged}</iq>"),
    );
    host.send(
        anna,
        &format!(
            "<iq to='chat.test' id='{asked}' type='result'>{}</iq>",
            honest.payload(None)
        ),
    );
    let heard = host.ask(anna, PUBLISH);
    assert!(heard.contains("<event "), "{heard}");
    // What was verified is not forgotten for a client that lies about it later.
    let third = host.log_in("anna", "third");
    let seen = host.ask(third, &presence(&ver));
    assert!(
        question(&seen).is_none() && seen.contains("<event "),
        "{seen}"
    );
}

/// XEP-0163 §4.3.3, XEP-0060 §14.3: a stranger who says that it wants to hear of everything, subscribes or sends presence hears nothing.
#[test]
fn hole_19_events_are_for_who_may_see() {
    let (mut host, anna, ben) = anna_and_ben();
    let wish = info(&["urn:n"]);
    let ver = verification("sha-1", &wish.text()).expect("SHA-1");
    let asked = question(&host.ask(ben, &presence(&ver))).expect("a question");
    host.send(
        ben,
        &format!(
            "<iq to='chat.test' id='{asked}' type='result'>{}</iq>",
            wish.payload(None)
        ),
    );
    assert!(host.ask(anna, PUBLISH).contains("type='result'"));
    let subscribe = "<iq type='set' id='s' to='WHO'><pubsub xmlns='http://jabber.org/protocol/pubsub'><subscribe node='urn:n' jid='ben@chat.test'/></pubsub></iq>";
    let retrieve = "<iq type='get' id='s' to='WHO'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:n'/></pubsub></iq>";
    for ask in [
        subscribe,
        retrieve,
        "<presence to='WHO'/>",
        "<presence type='probe' to='WHO'/>",
        "<presence type='subscribe' to='WHO'/>",
    ] {
        let of = |who: &str| ask.replace("WHO", who);
        let there = host
            .ask(ben, &of("anna@chat.test"))
            .replace("anna@", "WHO@");
        let nobody = host
            .ask(ben, &of("nobody@chat.test"))
            .replace("nobody@", "WHO@");
        // A request for a subscription is pushed to the own roster, with an id of its own.
        let short = |text: &str| text.split(" id='").next().unwrap_or_default().to_owned();
        assert_eq!(short(&there), short(&nobody), "{ask}");
    }
    host.sent(ben);
    assert!(host.ask(anna, PUBLISH).contains("type='result'"));
    assert_eq!(host.sent(ben), "");
}

/// ejabberd CVE-2011-4320 and its like: answers to events, events about answers, two places that convert each other.
#[test]
fn hole_29_events_do_not_go_round() {
    let (mut host, anna, _) = anna_and_ben();
    let wish = info(&["urn:n", "urn:xmpp:avatar:metadata", "urn:xmpp:bookmarks:1"]);
    let ver = verification("sha-1", &wish.text()).expect("SHA-1");
    let asked = question(&host.ask(anna, &presence(&ver))).expect("a question");
    host.send(
        anna,
        &format!(
            "<iq to='chat.test' id='{asked}' type='result'>{}</iq>",
            wish.payload(None)
        ),
    );
    host.sent(anna);
    assert_eq!(host.ask(anna, PUBLISH).matches("<message").count(), 1);
    // Errors that come back, for the account and in its own name.
    for to in ["anna@chat.test", "chat.test", ""] {
        let to = if to.is_empty() {
            String::new()
        } else {
            format!(" to='{to}'")
        };
        let error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
        for stanza in [
            format!(
                "<message type='error'{to}><event xmlns='http://jabber.org/protocol/pubsub#event'/>{error}</message>"
            ),
            format!(
                "<iq type='error' id='p'{to}><pubsub xmlns='http://jabber.org/protocol/pubsub'/>{error}</iq>"
            ),
            format!(
                "<iq type='result' id='p'{to}><pubsub xmlns='http://jabber.org/protocol/pubsub'/></iq>"
            ),
        ] {
            assert_eq!(host.ask(anna, &stanza), "", "{stanza}");
        }
    }
    // The vCard makes one event, the event's metadata makes no vCard that makes another.
    let vcard = "<iq type='set' id='v'><vCard xmlns='vcard-temp'><PHOTO><TYPE>image/png</TYPE><BINVAL>aGVsbG8=</BINVAL></PHOTO></vCard></iq>";
    assert_eq!(host.ask(anna, vcard).matches("<event ").count(), 1);
    assert_eq!(host.ask(anna, vcard).matches("<event ").count(), 0);
    let bookmarks = "<iq type='set' id='b'><query xmlns='jabber:iq:private'><storage xmlns='storage:bookmarks'><conference jid='a@b'/><conference jid='c@d'/></storage></query></iq>";
    assert_eq!(host.ask(anna, bookmarks).matches("<event ").count(), 2);
    assert_eq!(host.ask(anna, bookmarks).matches("<event ").count(), 0);
}
