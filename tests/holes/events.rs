//! Rows 18, 19 and 29: who hears of what, and what goes round in a circle.

use crate::host::Host;
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
    let wish = info(&["urn:n", "urn:whitelist", "urn:roster"]);
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
    // Also a node that is for nobody, and one that is for a group.
    for model in ["whitelist", "roster"] {
        let create = format!(
            "<iq type='set' id='c'><pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='urn:{model}'/><configure>\
             <x xmlns='jabber:x:data' type='submit'><field var='pubsub#access_model'><value>{model}</value></field></x></configure></pubsub></iq>"
        );
        assert!(host.ask(anna, &create).contains("type='result'"));
    }
    let mut asked = vec![
        "<presence to='WHO'/>".to_owned(),
        "<presence type='probe' to='WHO'/>".to_owned(),
        "<presence type='subscribe' to='WHO'/>".to_owned(),
    ];
    for node in ["urn:n", "urn:whitelist", "urn:roster", "urn:never"] {
        for (space, what) in REQUESTS {
            let what = what.replace("NODE", node);
            for kind in ["get", "set"] {
                asked.push(format!(
                    "<iq type='{kind}' id='s' to='WHO'><pubsub xmlns='http://jabber.org/protocol/{space}'>{what}</pubsub></iq>"
                ));
            }
        }
        for disco in ["info", "items"] {
            asked.push(format!(
                "<iq type='get' id='s' to='WHO'><query xmlns='http://jabber.org/protocol/disco#{disco}' node='{node}'/></iq>"
            ));
        }
    }
    for ask in asked {
        let answer = |host: &mut Host, who: &str| {
            let text = host.ask(ben, &ask.replace("WHO", &format!("{who}@chat.test")));
            without_ids(&text).replace(&format!("{who}@"), "WHO@")
        };
        let there = answer(&mut host, "anna");
        let nobody = answer(&mut host, "nobody");
        assert!(
            !ask.starts_with("<iq") || there.contains("<service-unavailable "),
            "{there}"
        );
        assert_eq!(there, nobody, "{ask}");
    }
    host.sent(ben);
    assert!(host.ask(anna, PUBLISH).contains("type='result'"));
    assert_eq!(host.sent(ben), "");

    // One who may see her hears it, until she blocks him: then neither what comes nor what was, also with a client that comes.
    host.send(anna, "<presence type='subscribed' to='ben@chat.test'/>");
    assert!(host.sent(ben).contains("<event "));
    assert!(host.ask(anna, PUBLISH).contains("type='result'"));
    assert!(host.sent(ben).contains("<event "));
    // Of what is not for him he hears nothing, though he wants to.
    for node in ["urn:whitelist", "urn:roster"] {
        let publish = PUBLISH.replace("urn:n'><item", &format!("{node}'><item"));
        assert!(host.ask(anna, &publish).contains("type='result'"));
        assert_eq!(host.sent(ben), "");
    }
    host.send(
        anna,
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='ben@chat.test'/></block></iq>",
    );
    host.sent(ben);
    assert!(host.ask(anna, PUBLISH).contains("type='result'"));
    assert_eq!(host.sent(ben), "");
    let second = host.log_in("ben", "second");
    let seen = host.ask(second, &presence(&ver));
    assert!(!seen.contains("<event "), "{seen}");
    // And while she is away, when it is the store or what is kept in memory that is asked.
    host.drop_connection(anna);
    for resource in ["third", "fourth"] {
        let another = host.log_in("ben", resource);
        let seen = host.ask(another, &presence(&ver));
        assert!(!seen.contains("<event "), "{seen}");
    }
}

/// What can be asked of a node: the end of the namespace and the element.
const REQUESTS: [(&str, &str); 16] = [
    ("pubsub", "<subscribe node='NODE' jid='ben@chat.test'/>"),
    ("pubsub", "<unsubscribe node='NODE' jid='ben@chat.test'/>"),
    ("pubsub", "<items node='NODE'/>"),
    ("pubsub", "<options node='NODE' jid='ben@chat.test'/>"),
    ("pubsub", "<default node='NODE'/>"),
    ("pubsub", "<subscriptions node='NODE'/>"),
    ("pubsub", "<affiliations/>"),
    (
        "pubsub",
        "<publish node='NODE'><item><n xmlns='urn:n'/></item></publish>",
    ),
    ("pubsub", "<retract node='NODE'><item id='i'/></retract>"),
    ("pubsub", "<create node='NODE'/>"),
    ("pubsub#owner", "<configure node='NODE'/>"),
    ("pubsub#owner", "<default/>"),
    ("pubsub#owner", "<delete node='NODE'/>"),
    ("pubsub#owner", "<purge node='NODE'/>"),
    ("pubsub#owner", "<subscriptions node='NODE'/>"),
    ("pubsub#owner", "<affiliations node='NODE'/>"),
];

/// A text without the ids that the server makes.
fn without_ids(text: &str) -> String {
    let mut parts = text.split(" id='");
    let mut short = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        short.push_str(part.split_once('\'').map_or(part, |(_, rest)| rest));
    }
    short
}

/// ejabberd CVE-2011-4320 and its like: answers to events, events about answers, two places that convert each other.
#[test]
fn hole_29_events_do_not_go_round() {
    let (mut host, anna, _) = anna_and_ben();
    let wish = info(&[
        "urn:n",
        "urn:xmpp:avatar:metadata",
        "urn:xmpp:bookmarks:1",
        "urn:xmpp:vcard4",
    ]);
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
    // Two are new, and the lobby, which every account begins with, is gone.
    assert_eq!(host.ask(anna, bookmarks).matches("<event ").count(), 3);
    assert_eq!(host.ask(anna, bookmarks).matches("<event ").count(), 0);
    // The same of a vCard and its node, and of a vCard4 that comes in other words than the server's.
    let vcard4 = "<iq type='set' id='w'><pubsub xmlns='http://jabber.org/protocol/pubsub'><publish node='urn:xmpp:vcard4'><item id='mine'>\
        <vcard xmlns='urn:ietf:params:xml:ns:vcard-4.0'><gender><sex><text>F</text></sex></gender><fn><text>A</text></fn></vcard></item></publish></pubsub></iq>";
    assert_eq!(host.ask(anna, vcard4).matches("<event ").count(), 1);
    let item = "<iq type='get' id='x'><pubsub xmlns='http://jabber.org/protocol/pubsub'><items node='urn:xmpp:vcard4'/></pubsub></iq>";
    assert!(host.ask(anna, item).contains("<item id='mine'>"));
}
