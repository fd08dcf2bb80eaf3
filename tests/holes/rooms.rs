//! Rooms: forged ids (16), leaking lists and names that come back (17), loops (29).

use crate::host::Host;
use crate::stage::{elements, host};

const JOIN: &str = "<x xmlns='http://jabber.org/protocol/muc'/>";

/// A room of anna's that stays; ben is in it.
fn room() -> (Host, u32, u32) {
    let mut host = host();
    let anna = host.go_online("anna", "phone");
    let ben = host.go_online("ben", "pc");
    enter(&mut host, anna, "anna");
    configure(&mut host, anna, "muc#roomconfig_persistentroom", "1");
    enter(&mut host, ben, "ben");
    host.sent(anna);
    host.sent(ben);
    (host, anna, ben)
}

fn enter(host: &mut Host, far: u32, nick: &str) -> String {
    host.send(
        far,
        &format!("<presence to='coven@rooms.chat.test/{nick}'>{JOIN}</presence>"),
    );
    host.sent(far)
}

fn configure(host: &mut Host, far: u32, field: &str, value: &str) -> String {
    host.ask(far, &format!("<iq type='set' id='c' to='coven@rooms.chat.test'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='{field}'><value>{value}</value></field></x></query></iq>"))
}

fn list(host: &mut Host, far: u32, affiliation: &str) -> String {
    host.ask(far, &format!("<iq type='get' id='l' to='coven@rooms.chat.test'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='{affiliation}'/></query></iq>"))
}

fn affiliate(host: &mut Host, far: u32, jid: &str, affiliation: &str) -> String {
    host.ask(far, &format!("<iq type='set' id='a' to='coven@rooms.chat.test'><query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='{affiliation}' jid='{jid}'/></query></iq>"))
}

// ejabberd before 25.04 replaced only the first of several forged ids.
#[test]
fn hole_16_ids_of_a_room_are_its_own() {
    let (mut host, anna, ben) = room();
    host.send(
        ben,
        "<message to='coven@rooms.chat.test' type='groupchat' id='m'><body>x</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='coven@rooms.chat.test' id='forged1'/>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='cov&#101;n@rooms.chat.test' id='forged2'/>\
         <s:stanza-id xmlns:s='urn:xmpp:sid:0' by=' coven@ROOMS.chat.test' id='forged3'/>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='coven@rooms.chat.test/ben' id='forged4'/>\
         <occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged5'/><o:occupant-id xmlns:o='urn:xmpp:occupant-id:0' id='forged6'/></message>",
    );
    for far in [anna, ben] {
        let text = host.sent(far);
        assert!(text.contains("<body>x</body>"), "{text}");
        assert!(!text.contains("forged"), "{text}");
        assert_eq!(text.matches("<stanza-id").count(), 1, "{text}");
        assert_eq!(text.matches("<occupant-id").count(), 1, "{text}");
    }
    host.send(ben, "<presence to='coven@rooms.chat.test/ben'><occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged'/><x xmlns='http://jabber.org/protocol/muc#user'><item affiliation='owner'/><status code='110'/></x></presence>");
    let text = host.sent(anna);
    assert!(
        !text.contains("forged") && !text.contains("'110'") && !text.contains("owner"),
        "{text}"
    );
}

// CVE-2021-37601: lists of affiliations for whoever asked.
#[test]
fn hole_17_lists_are_for_those_who_may_see_them() {
    let (mut host, anna, ben) = room();
    host.account("eve", "secret");
    let eve = host.go_online("eve", "pc");
    let all = ["owner", "admin", "member", "outcast"];
    for far in [ben, eve] {
        for affiliation in all {
            let answer = list(&mut host, far, affiliation);
            assert!(answer.contains("<forbidden"), "{affiliation}: {answer}");
        }
    }
    // The same where members see each other: not those who are none, and nobody the banned.
    affiliate(&mut host, anna, "ben@chat.test", "member");
    configure(&mut host, anna, "muc#roomconfig_whois", "anyone");
    configure(&mut host, anna, "muc#roomconfig_membersonly", "1");
    host.sent(ben);
    for affiliation in all {
        let answer = list(&mut host, eve, affiliation);
        assert!(answer.contains("<forbidden"), "{affiliation}: {answer}");
    }
    assert!(list(&mut host, ben, "outcast").contains("<forbidden"));
    assert!(list(&mut host, ben, "owner").contains("anna@chat.test"));
}

// Openfire, CVE-2024-25420 and 25421: standing that was kept by name.
#[test]
fn hole_17_a_name_that_comes_back_is_somebody_else() {
    let (mut host, anna, ben) = room();
    affiliate(&mut host, anna, "ben@chat.test", "owner");
    host.drop_connection(ben);
    let del = serde_json::json!({"verb": "user.del", "name": "ben"});
    assert_eq!(host.control(&del)["ok"], true);
    host.account("ben", "secret");
    let ben = host.go_online("ben", "pc");
    assert!(list(&mut host, ben, "owner").contains("<forbidden"));
    let text = enter(&mut host, ben, "ben");
    assert!(
        text.contains("affiliation='none'") && !text.contains("status code='201'"),
        "{text}"
    );
    // The room is not in memory when the account goes, and is read again afterwards.
    affiliate(&mut host, anna, "ben@chat.test", "admin");
    host.drop_connection(ben);
    host.drop_connection(anna);
    assert_eq!(host.control(&del)["ok"], true);
    host.account("ben", "secret");
    let ben = host.go_online("ben", "pc");
    assert!(list(&mut host, ben, "member").contains("<forbidden"));
}

// Errors that answer errors, and stanzas that come round again.
#[test]
fn hole_29_rooms_answer_no_errors_and_go_in_no_circles() {
    let (mut host, anna, ben) = room();
    let error = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>";
    for to in [
        "coven@rooms.chat.test",
        "coven@rooms.chat.test/nobody",
        "coven@rooms.chat.test/ben",
        "nowhere@rooms.chat.test",
        "nowhere@rooms.chat.test/x",
        "rooms.chat.test",
    ] {
        host.send(
            ben,
            &format!("<message to='{to}' type='error' id='e'>{error}</message>"),
        );
        host.send(
            ben,
            &format!("<presence to='{to}' type='error' id='e'>{error}</presence>"),
        );
        host.send(
            ben,
            &format!("<iq to='{to}' type='error' id='e'>{error}</iq>"),
        );
        host.send(ben, &format!("<iq to='{to}' type='result' id='99:e'/>"));
    }
    assert_eq!(host.sent(ben), "");
    assert_eq!(host.sent(anna), "");
    // An invitation that the room sends to itself, to another room, to the service: nobody gets anything but the error.
    for to in [
        "coven@rooms.chat.test",
        "nowhere@rooms.chat.test",
        "rooms.chat.test",
        "chat.test",
    ] {
        host.send(anna, &format!("<message to='coven@rooms.chat.test' id='i'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='{to}'/></x></message>"));
        let answers = elements(&host.sent(anna));
        assert_eq!(answers.len(), 1, "{to}: {answers:?}");
        assert!(answers[0].contains("type='error'"), "{to}: {answers:?}");
    }
    assert_eq!(host.sent(ben), "");
}
