//! Rooms of the built binary over real TLS, when it is killed with SIGKILL or ends in order: what they were they are, and their occupants find out.

use crate::client::Client;
use crate::server::Server;

const ROOM: &str = "kitchen@rooms.chat.test";
const JOIN: &str = "<x xmlns='http://jabber.org/protocol/muc'/>";

/// Every field of the form but the two for lists, with a value that is not the preset.
const CONFIG: &[(&str, &[&str])] = &[
    ("muc#roomconfig_roomname", &["The Kitchen"]),
    ("muc#roomconfig_roomdesc", &["Soup & bread"]),
    ("muc#roomconfig_lang", &["de"]),
    ("muc#roomconfig_enablelogging", &["1"]),
    ("muc#roomconfig_changesubject", &["1"]),
    ("muc#roomconfig_allowinvites", &["1"]),
    ("muc#roomconfig_allowpm", &["participants"]),
    ("muc#roomconfig_maxusers", &["30"]),
    (
        "muc#roomconfig_presencebroadcast",
        &["moderator", "participant"],
    ),
    ("muc#roomconfig_getmemberlist", &["moderator"]),
    ("muc#roomconfig_publicroom", &["0"]),
    ("muc#roomconfig_persistentroom", &["1"]),
    ("muc#roomconfig_moderatedroom", &["1"]),
    ("muc#roomconfig_membersonly", &["1"]),
    ("muc#roomconfig_whois", &["anyone"]),
    ("muc#maxhistoryfetch", &["7"]),
    ("muc#roomconfig_slow_mode_duration", &["1"]),
    ("muc#roomconfig_forwardmentions", &["1"]),
    ("snug#roomconfig_lockednicks", &["1"]),
    ("snug#roomconfig_register", &["0"]),
    ("muc#roomconfig_passwordprotectedroom", &["1"]),
    ("muc#roomconfig_roomsecret", &["cauldronburn"]),
];

fn ask(client: &mut Client, kind: &str, payload: &str) -> String {
    client.send(&format!(
        "<iq type='{kind}' id='ask' to='{ROOM}'>{payload}</iq>"
    ));
    let mut answer = client.expect("id='ask'");
    answer.push_str(&client.expect(">"));
    if !answer.ends_with("/>") {
        answer.push_str(&client.expect("</iq>"));
    }
    let from = answer.rfind("<iq ").expect("an answer");
    answer.split_off(from)
}

fn enter(client: &mut Client, nick: &str) -> String {
    client.send(&format!(
        "<presence to='{ROOM}/{nick}'><x xmlns='http://jabber.org/protocol/muc'><password>cauldronburn</password></x></presence>"
    ));
    // The subject is the last of what one gets who enters.
    let before = client.expect("<subject");
    before + &client.expect("</message>")
}

/// The answers to all that can be asked of what a room is.
fn portrait(owner: &mut Client) -> Vec<String> {
    let lists = ["owner", "admin", "member", "outcast"].map(|affiliation| {
        format!("<query xmlns='http://jabber.org/protocol/muc#admin'><item affiliation='{affiliation}'/></query>")
    });
    let form = "<query xmlns='http://jabber.org/protocol/muc#owner'/>".to_owned();
    let people = "<people xmlns='urn:snug:room-people:0'/>".to_owned();
    [form, people]
        .into_iter()
        .chain(lists)
        .map(|question| {
            let answer = ask(owner, "get", &question);
            assert!(answer.contains("type='result'"), "{answer}");
            answer
        })
        .collect()
}

/// anna's room as above, with a member who has a nickname, an admin and one who is banned.
fn furnish(anna: &mut Client) {
    anna.send(&format!("<presence to='{ROOM}/Anna'>{JOIN}</presence>"));
    anna.expect("<subject");
    anna.expect("</message>");
    let fields: String = CONFIG
        .iter()
        .map(|(var, values)| {
            let values: String = values
                .iter()
                .map(|value| format!("<value>{}</value>", value.replace('&', "&amp;")))
                .collect();
            format!("<field var='{var}'>{values}</field>")
        })
        .collect();
    let form = format!(
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'>{fields}</x></query>"
    );
    let answer = ask(anna, "set", &form);
    assert!(answer.contains("type='result'"), "{answer}");
    let items = "<item affiliation='member' jid='ben@chat.test' nick='Benny'/><item affiliation='admin' jid='cleo@chat.test'/><item affiliation='outcast' jid='eve@chat.test'><reason>Treason</reason></item>";
    let lists = format!("<query xmlns='http://jabber.org/protocol/muc#admin'>{items}</query>");
    let answer = ask(anna, "set", &lists);
    assert!(answer.contains("type='result'"), "{answer}");
    anna.send(&format!("<message to='{ROOM}' type='groupchat' id='s'><subject>What is cooked</subject></message><message to='{ROOM}' type='groupchat' id='m'><body>Who peels?</body></message>"));
    // Reflected to its sender means kept.
    anna.expect("<body>Who peels?</body>");
    anna.expect("</message>");
}

fn start(name: &str) -> Server {
    let server = Server::start(name, "");
    for name in ["anna", "ben", "cleo", "eve"] {
        server.add_user(name, "secret");
    }
    server
}

#[test]
fn a_room_survives_kill_9() {
    let mut server = start("room-kill");
    let mut anna = Client::online(&server, "anna", "secret", "pc");
    furnish(&mut anna);
    // Nobody is in it, that there is no difference but by the kill: not even the time of last words.
    anna.send(&format!("<presence to='{ROOM}/Anna' type='unavailable'/>"));
    anna.expect("type='unavailable'");
    anna.expect("</presence>");
    let mut before = portrait(&mut anna);
    let mut ben = Client::online(&server, "ben", "secret", "pc");
    enter(&mut ben, "Benny");

    for _ in 0..3 {
        server.signal("KILL");
        let (_, data, _) = server.wait();
        server = Server::start_on(data);
        // XEP-0410: who was in it finds out by the first question, and comes back.
        let mut ben = Client::online(&server, "ben", "secret", "pc");
        let ping =
            format!("<iq type='get' id='s2c' to='{ROOM}/Benny'><ping xmlns='urn:xmpp:ping'/></iq>");
        ben.send(&ping);
        let answer = ben.expect("</iq>");
        assert!(answer.contains("<not-acceptable"), "{answer}");
        let told = enter(&mut ben, "Benny");
        assert!(told.contains("affiliation='member'"), "{told}");
        assert!(told.contains("<body>Who peels?</body>"), "{told}");
        assert!(told.contains("What is cooked</subject>"), "{told}");
        ben.send(&ping);
        let answer = ben.expect("id='s2c'") + &ben.expect("/>");
        assert!(answer.contains("type='result'"), "{answer}");
        ben.send(&format!("<presence to='{ROOM}/Benny' type='unavailable'/>"));
        ben.expect("type='unavailable'");
        let mut eve = Client::online(&server, "eve", "secret", "pc");
        eve.send(&format!("<presence to='{ROOM}/Eve'><x xmlns='http://jabber.org/protocol/muc'><password>cauldronburn</password></x></presence>"));
        let answer = eve.expect("</presence>");
        assert!(answer.contains("<forbidden"), "{answer}");

        let mut anna = Client::online(&server, "anna", "secret", "pc");
        let mut after = portrait(&mut anna);
        // When who left was last active is known as long as the room is in memory.
        for people in [&mut before[1], &mut after[1]] {
            while let Some(at) = people.find(" active='") {
                let end = people[at + 9..].find('\'').expect("it ends") + at + 10;
                people.replace_range(at..end, "");
            }
        }
        assert_eq!(before, after);
    }
}

#[test]
fn an_orderly_end_is_said_and_the_room_is_there_again() {
    let server = start("room-end");
    let mut anna = Client::online(&server, "anna", "secret", "pc");
    furnish(&mut anna);
    let mut ben = Client::online(&server, "ben", "secret", "pc");
    enter(&mut ben, "Benny");
    server.signal("TERM");
    // §11.2: the room says so before the stream does.
    let end = ben.expect("</stream:stream>");
    let (code, stream) = (end.find("code='332'"), end.find("<system-shutdown"));
    assert!(code.is_some() && code < stream, "{end}");
    let (status, data, _) = server.wait();
    assert!(status.success(), "{status}");
    let server = Server::start_on(data);
    let mut ben = Client::online(&server, "ben", "secret", "pc");
    let told = enter(&mut ben, "Benny");
    assert!(told.contains("What is cooked</subject>"), "{told}");
}
