//! The stranger matrix (HOLES 19): whatever a stranger asks of an account, of its resource, or of somebody who is not there, the answer is the same
//! to the byte but for the address. Every request of the table of features is in it, and some of nobody's.

mod common;

use common::host::{Host, NO_RATES};
use snug::engine::feature::{At, Takes};
use snug::features::ALL;
use snug::xmpp::ns;
use std::collections::BTreeSet;

/// Whom anna is to ben, who asks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Relation {
    /// Ben sees anna's presence.
    Subscribed,
    /// There is nothing between them.
    None,
    /// Anna asked for ben's presence, which shows him nothing of hers.
    Asked,
    /// Ben saw anna's presence until she blocked him.
    Blocked,
}

/// All requests: namespace, name and type.
fn requests() -> BTreeSet<(String, String, &'static str)> {
    let mut requests = BTreeSet::new();
    for route in ALL.iter().flat_map(|row| row.iq) {
        for kind in ["get", "set"] {
            requests.insert((route.ns.to_owned(), route.name.to_owned(), kind));
        }
    }
    for (space, name) in [
        ("urn:nobody:knows", "query"),
        ("jabber:iq:privacy", "query"),
        ("http://jabber.org/protocol/pubsub", "pubsub"),
    ] {
        for kind in ["get", "set"] {
            requests.insert((space.to_owned(), name.to_owned(), kind));
        }
    }
    requests
}

/// A server where anna keeps a bit of everything, and ben's connection.
fn host(relation: Relation, online: bool) -> (Host, u32) {
    let mut host = Host::new(&format!("{NO_RATES}\n[archive]\nenabled = true"));
    for name in ["anna", "ben"] {
        host.account(name, "secret");
    }
    let anna = host.go_online("anna", "phone");
    for kept in [
        "<vCard xmlns='vcard-temp'><FN>Anna</FN></vCard>",
        "<query xmlns='jabber:iq:private'><a xmlns='urn:a'>1</a></query>",
        "<prefs xmlns='urn:xmpp:mam:2' default='always'><always><jid>ben@chat.test</jid></always></prefs>",
    ] {
        let answer = host.ask(anna, &format!("<iq type='set' id='s'>{kept}</iq>"));
        assert!(answer.contains("type='result'"), "{answer}");
    }
    let archived = host.ask(anna, "<message id='n'><body>note</body></message>");
    assert!(archived.contains("<stanza-id "), "{archived}");
    let ben = host.go_online("ben", "pc");
    let bens = "<presence to='anna@chat.test' type='subscribe'/>";
    match relation {
        Relation::None => {}
        Relation::Asked => host.send(anna, "<presence to='ben@chat.test' type='subscribe'/>"),
        Relation::Subscribed | Relation::Blocked => {
            host.send(ben, bens);
            host.send(anna, "<presence to='ben@chat.test' type='subscribed'/>");
        }
    }
    if relation == Relation::Blocked {
        host.send(
            anna,
            "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='ben@chat.test'/></block></iq>",
        );
    }
    if !online {
        host.send(
            anna,
            "<presence type='unavailable'><status>Bye</status></presence></stream:stream>",
        );
    }
    host.pass(2);
    host.sent(ben);
    (host, ben)
}

/// What ben hears when he asks somebody, with the address taken out.
fn heard(host: &mut Host, ben: u32, to: &str, request: &(String, String, &str)) -> String {
    let (space, name, kind) = request;
    // What is asked inside must not matter either.
    let inside = "<item jid='ben@chat.test'/>";
    let answer = host.ask(
        ben,
        &format!(
            "<iq type='{kind}' id='q' to='{to}'><{name} xmlns='{space}'>{inside}</{name}></iq>"
        ),
    );
    answer.replace(&format!("from='{to}'"), "from='whom'")
}

#[test]
fn a_stranger_cannot_tell_who_is_there() {
    for relation in [Relation::None, Relation::Asked, Relation::Blocked] {
        for online in [true, false] {
            let (mut host, ben) = host(relation, online);
            for request in requests() {
                let unknown = heard(&mut host, ben, "nobody@chat.test", &request);
                assert!(
                    unknown.contains("<service-unavailable "),
                    "{request:?}: {unknown}"
                );
                let there = heard(&mut host, ben, "anna@chat.test", &request);
                assert_eq!(
                    there, unknown,
                    "{request:?}, {relation:?}, online: {online}"
                );
                for resource in ["phone", "elsewhere"] {
                    let there = heard(
                        &mut host,
                        ben,
                        &format!("anna@chat.test/{resource}"),
                        &request,
                    );
                    let nobody = heard(
                        &mut host,
                        ben,
                        &format!("nobody@chat.test/{resource}"),
                        &request,
                    );
                    assert_eq!(there, nobody, "{request:?}, {relation:?}, /{resource}");
                }
            }
        }
    }
}

#[test]
fn a_contact_is_answered_what_the_table_says_is_for_others() {
    let (mut host, ben) = host(Relation::Subscribed, false);
    let mut answered = 0;
    for request in requests() {
        let route = ALL.iter().flat_map(|row| row.iq).find(|route| {
            let takes = match route.takes {
                Takes::Both => true,
                Takes::Get => request.2 == "get",
                Takes::Set => request.2 == "set",
            };
            route.ns == request.0 && route.name == request.1 && route.at == At::AnyAccount && takes
        });
        let answer = heard(&mut host, ben, "anna@chat.test", &request);
        match route {
            Some(_) => {
                answered += 1;
                // A request for a node that names none: a contact hears what is wrong with it.
                let expected = match request.0.starts_with(ns::PUBSUB) {
                    true => "<bad-request ",
                    false => "type='result'",
                };
                assert!(answer.contains(expected), "{request:?}: {answer}");
            }
            None => assert!(
                answer.contains("<service-unavailable "),
                "{request:?}: {answer}"
            ),
        }
    }
    // Discovery, two vCards, last activity: without them the matrix above would prove nothing.
    assert!(answered >= 5, "only {answered} requests are for others");
}
