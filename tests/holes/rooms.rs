//! Rooms: forged ids (16), leaking lists and names that come back (17), loops (29).

use crate::host::{Host, NO_RATES};
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

// ejabberd before 25.04, once more: what is told later must not carry what was taken off at first.
#[test]
fn hole_16_ids_that_were_forged_do_not_come_back() {
    let mut host = Host::new("[limits]\nstanza_rate = 0\n[archive]\nenabled = true");
    for name in ["anna", "ben", "eve"] {
        host.account(name, "secret");
    }
    let anna = host.go_online("anna", "phone");
    let ben = host.go_online("ben", "pc");
    enter(&mut host, anna, "anna");
    configure(&mut host, anna, "muc#roomconfig_persistentroom", "1");
    enter(&mut host, ben, "ben");
    let forged = "<stanza-id xmlns='urn:xmpp:sid:0' by='anna@chat.test' id='forged1'/>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='cov&#101;n@rooms.chat.test' id='forged2'/>\
         <occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged3'/><occupant-id xmlns='urn:xmpp:occupant-id:0' id='forged4'/>\
         <x xmlns='http://jabber.org/protocol/muc#user'><item jid='forged5@chat.test/x'/></x>\
         <retract xmlns='urn:xmpp:message-retract:1' id='forged6'><moderated xmlns='urn:xmpp:message-moderate:1' by='coven@rooms.chat.test/anna'/></retract>";
    host.send(ben, &format!("<message to='coven@rooms.chat.test' type='groupchat' id='m'><body>x</body>{forged}</message>"));
    host.send(ben, &format!("<message to='coven@rooms.chat.test' type='groupchat' id='s'><subject>y</subject>{forged}</message>"));
    host.send(ben, &format!("<message to='coven@rooms.chat.test/anna' type='chat' id='p'><body>z</body>{forged}</message>"));
    let heard = host.sent(anna);
    assert!(heard.contains("<body>x</body>") && heard.contains("<body>z</body>"));
    host.send(anna, "<iq type='set' id='q' to='coven@rooms.chat.test'><query xmlns='urn:xmpp:mam:2'/></iq><iq type='set' id='o'><query xmlns='urn:xmpp:mam:2'/></iq>");
    let kept = host.sent(anna);
    assert!(
        kept.contains("<body>x</body>") && kept.contains("<body>z</body>"),
        "{kept}"
    );
    // From memory, and from the disk.
    let eve = host.go_online("eve", "pc");
    let told = enter(&mut host, eve, "eve");
    host.restart(false);
    let eve = host.go_online("eve", "pc");
    let read = enter(&mut host, eve, "eve");
    for text in [heard, kept, told, read] {
        assert!(text.contains("<body>x</body>"), "{text}");
        assert!(!text.contains("forged"), "{text}");
    }
}

// CVE-2021-37601 and its like: what is not in the lists' answers may stand elsewhere.
#[test]
fn hole_17_who_somebody_is_shows_nowhere_else() {
    let (mut host, anna, ben) = room();
    affiliate(&mut host, anna, "zoe@chat.test", "member");
    affiliate(&mut host, anna, "mallory@chat.test", "outcast");
    host.sent(ben);
    host.account("eve", "secret");
    let eve = host.go_online("eve", "pc");
    let mut all = String::new();
    for far in [ben, eve] {
        for question in [
            "<query xmlns='http://jabber.org/protocol/disco#info'/>",
            "<query xmlns='http://jabber.org/protocol/disco#items'/>",
            "<people xmlns='urn:snug:room-people:0'/>",
            "<query xmlns='http://jabber.org/protocol/muc#owner'/>",
            "<query xmlns='jabber:iq:register'/>",
            "<vCard xmlns='vcard-temp'/>",
            "<query xmlns='urn:xmpp:mentions:0'/>",
            "<tokens xmlns='urn:xmpp:muc-token-invite:0'/>",
        ] {
            all += &host.ask(
                far,
                &format!("<iq type='get' id='q' to='coven@rooms.chat.test'>{question}</iq>"),
            );
        }
        all += &host.ask(far, "<iq type='set' id='h' to='coven@rooms.chat.test'><command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:hats:commands:list-assigned'/></iq>");
    }
    host.send(eve, "<presence to='coven@rooms.chat.test/eve'><x xmlns='http://jabber.org/protocol/muc'><mav xmlns='urn:xmpp:muc:affiliations:1'/></x></presence>");
    all += &host.sent(eve);
    host.send(
        ben,
        "<message to='coven@rooms.chat.test' type='groupchat' id='m'><body>said</body></message>",
    );
    all += &host.sent(eve);
    assert!(all.contains("<body>said</body>"), "{all}");
    for secret in ["zoe", "mallory", "anna@chat.test"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}

// Nicknames that look alike, and a ban that another spelling would get round.
#[test]
fn hole_17_another_spelling_is_the_same_name() {
    let (mut host, anna, ben) = room();
    host.account("eve", "secret");
    let eve = host.go_online("eve", "pc");
    for nick in ["ANNA", "аnna", "an&#8203;na", "anna ", "ａｎｎａ"] {
        let text = enter(&mut host, eve, nick);
        assert!(
            text.contains("<conflict") || text.contains("<jid-malformed"),
            "{nick}: {text}"
        );
    }
    affiliate(&mut host, anna, "Ben@CHAT.test/somewhere", "outcast");
    assert!(host.sent(ben).contains("code='301'"));
    for room in [
        "coven@rooms.chat.test",
        "COVEN@rooms.chat.test",
        "coven@Rooms.Chat.Test",
    ] {
        host.send(ben, &format!("<presence to='{room}/b'>{JOIN}</presence>"));
        let text = host.sent(ben);
        assert!(text.contains("<forbidden"), "{room}: {text}");
    }
}

// What a room sends of its own accord to an account must not come back into the room, nor from room to room.
#[test]
fn hole_29_rooms_talk_to_no_rooms() {
    let (mut host, anna, ben) = room();
    host.send(
        ben,
        &format!("<presence to='other@rooms.chat.test/ben'>{JOIN}</presence>"),
    );
    host.send(ben, "<iq type='set' id='i' to='other@rooms.chat.test'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query></iq>");
    host.sent(ben);
    configure(&mut host, anna, "muc#roomconfig_forwardmentions", "1");
    host.sent(ben);
    for to in [
        "other@rooms.chat.test",
        "rooms.chat.test",
        "other@rooms.chat.test/ben",
    ] {
        // A room as the member of a room, mentioned and invited there.
        affiliate(&mut host, anna, to, "member");
        host.send(anna, &format!("<message to='coven@rooms.chat.test' type='groupchat' id='m'><body>x</body><mention xmlns='urn:xmpp:mentions:0' jid='{to}'/></message>"));
        host.send(anna, &format!("<message to='coven@rooms.chat.test' id='i'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='{to}'/></x></message>"));
        let text = host.sent(ben);
        for stanza in elements(&text) {
            assert!(!stanza.contains("from='other@"), "{to}: {stanza}");
        }
        assert_eq!(text.matches("<body>x</body>").count(), 1, "{to}: {text}");
        host.sent(anna);
    }
}

/// What was said last is kept of rooms in which nobody is, and it has a bound: what was left longest ago goes first.
#[test]
fn rooms_in_which_nobody_is_take_little_memory() {
    let mut host = Host::new(NO_RATES);
    host.account("anna", "secret");
    let anna = host.go_online("anna", "phone");
    let text = "blah ".repeat(3000);
    let enter = |host: &mut Host, name: &str| {
        host.sent(anna);
        host.send(anna, &format!("<presence to='{name}@rooms.chat.test/anna'><x xmlns='http://jabber.org/protocol/muc'/></presence>"));
        host.sent(anna)
    };
    let count = 40;
    for number in 0..count {
        let name = format!("room{number}");
        let room = serde_json::json!({"verb": "room.add", "name": name, "owner": "anna"});
        assert_eq!(host.control(&room)["ok"], true);
        enter(&mut host, &name);
        for _ in 0..10 {
            host.send(anna, &format!("<message to='{name}@rooms.chat.test' type='groupchat'><body>{text}</body></message>"));
        }
        host.send(
            anna,
            &format!("<presence to='{name}@rooms.chat.test/anna' type='unavailable'/>"),
        );
        host.pass(1);
    }
    // 4 MiB of these are 27 rooms.
    let remembered: Vec<bool> = (0..count)
        .map(|number| {
            let told = enter(&mut host, &format!("room{number}"));
            told.matches("<body>").count() == 10
        })
        .collect();
    assert_eq!(remembered.iter().filter(|kept| **kept).count(), 27);
    assert!(remembered[13..].iter().all(|kept| *kept), "{remembered:?}");
}

// What somebody wore is not for who has the name later.
#[test]
fn hole_17_hats_go_with_the_account() {
    let (mut host, anna, ben) = room();
    let submit = |name: &str, fields: &str| {
        format!(
            "<iq type='set' id='h' to='coven@rooms.chat.test'><command xmlns='http://jabber.org/protocol/commands' node='urn:xmpp:hats:commands:{name}'><x xmlns='jabber:x:data' type='submit'>{fields}<field var='hats#uri'><value>urn:hat</value></field></x></command></iq>"
        )
    };
    host.ask(
        anna,
        &submit(
            "create",
            "<field var='hats#title'><value>Cook</value></field>",
        ),
    );
    host.ask(
        anna,
        &submit(
            "assign",
            "<field var='hats#jid'><value>ben@chat.test</value></field>",
        ),
    );
    assert!(host.sent(ben).contains("<hat "));
    host.drop_connection(ben);
    let del = serde_json::json!({"verb": "user.del", "name": "ben"});
    assert_eq!(host.control(&del)["ok"], true);
    host.account("ben", "secret");
    let ben = host.go_online("ben", "pc");
    let text = enter(&mut host, ben, "ben");
    assert!(
        text.contains("code='110'") && !text.contains("<hat "),
        "{text}"
    );
}
