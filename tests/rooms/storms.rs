//! §14.6: presence, typing, nicknames, comings and goings: what one makes without end, the others get in measure.

use crate::stage::Stage;
use snug::limits::{ROOM_ASK_AGAIN_MS, ROOM_PASSING, ROOM_PASSING_MS};

/// Two in a room, one of them quiet.
fn two() -> Stage {
    let mut stage = Stage::new(&["owner", "loud"]);
    stage.begin(&[]);
    stage.enter("loud");
    stage.drain();
    stage
}

/// As often as nobody does who is somebody.
const OFTEN: u32 = 500;

#[test]
fn typing() {
    let mut stage = two();
    for number in 0..OFTEN {
        let state = ["composing", "paused"][number as usize % 2];
        let text = format!(
            "<message to='{}' type='groupchat'><{state} xmlns='http://jabber.org/protocol/chatstates'/></message>",
            stage.room
        );
        stage.send_quietly("loud", &text);
    }
    let heard = stage.heard("owner");
    assert_eq!(heard.matches("chatstates").count() as u32, ROOM_PASSING);
    // What is said is no typing.
    let text = format!(
        "<message to='{}' type='groupchat'><body>now</body><active xmlns='http://jabber.org/protocol/chatstates'/></message>",
        stage.room
    );
    stage.send_quietly("loud", &text);
    assert!(stage.heard("owner").contains("<body>now</body>"));
}

#[test]
fn presence() {
    let mut stage = two();
    for number in 0..OFTEN {
        let text = format!(
            "<presence to='{}/loud'><status>{number}</status></presence>",
            stage.room
        );
        stage.send_quietly("loud", &text);
    }
    let heard = stage.heard("owner");
    assert_eq!(heard.matches("<presence").count() as u32, ROOM_PASSING);
    // The last one is told when the window is over.
    stage.host.pass(ROOM_PASSING_MS / 1000 + 1);
    let heard = stage.heard("owner");
    assert_eq!(heard.matches("<presence").count(), 1, "{heard}");
    assert!(heard.contains(&format!("<status>{}</status>", OFTEN - 1)));
}

#[test]
fn nicknames() {
    let mut stage = two();
    for number in 0..OFTEN {
        let text = format!("<presence to='{}/loud{number}'/>", stage.room);
        stage.send_quietly("loud", &text);
    }
    let heard = stage.heard("owner");
    // Two for each.
    assert_eq!(heard.matches("<presence").count() as u32, 2 * ROOM_PASSING);
    let answers = stage.heard("loud");
    let refused = answers.matches("<resource-constraint").count() as u32;
    assert_eq!(refused, OFTEN - ROOM_PASSING);
    stage.host.pass(ROOM_PASSING_MS / 1000 + 1);
    let text = format!("<presence to='{}/calm'/>", stage.room);
    stage.send_quietly("loud", &text);
    assert!(stage.heard("owner").contains("/calm'"));
}

#[test]
fn coming_and_going() {
    let mut stage = two();
    for _ in 0..OFTEN {
        let room = &stage.room;
        let text = format!(
            "<presence to='{room}/loud' type='unavailable'/><presence to='{room}/loud'><x xmlns='http://jabber.org/protocol/muc'/></presence>"
        );
        stage.send_quietly("loud", &text);
    }
    let heard = stage.heard("owner");
    // They had come once before; each is a going and a coming.
    assert_eq!(
        heard.matches("<presence").count() as u32,
        2 * ROOM_PASSING - 1
    );
    assert!(stage.heard("loud").contains("<resource-constraint"));
    stage.host.pass(ROOM_PASSING_MS / 1000 + 1);
    assert!(stage.enter("loud").contains("code='110'"));
}

/// A second device that comes and goes with another presence each time.
#[test]
fn devices() {
    let mut stage = two();
    let tablet = stage.host.go_online("loud", "tablet");
    for number in 0..OFTEN {
        let room = &stage.room;
        let text = format!(
            "<presence to='{room}/loud'><status>{number}</status><x xmlns='http://jabber.org/protocol/muc'/></presence><presence to='{room}/loud' type='unavailable'/>"
        );
        stage.host.send(tablet, &text);
        stage.host.sent(tablet);
    }
    let heard = stage.heard("owner");
    let told = heard.matches("<presence").count() as u32;
    assert_eq!(told, ROOM_PASSING);
    stage.host.pass(ROOM_PASSING_MS / 1000 + 1);
    let heard = stage.heard("owner");
    assert_eq!(heard.matches("<presence").count(), 1, "{heard}");
    assert!(!heard.contains("<status>"), "the tablet has left: {heard}");
}

/// Requests for voice and for membership, which moderators and admins are asked about.
#[test]
fn requests() {
    let mut stage = Stage::new(&["owner", "loud"]);
    stage.begin(&[("muc#roomconfig_moderatedroom", "1")]);
    stage.enter("loud");
    stage.drain();
    for _ in 0..OFTEN {
        let text = format!(
            "<message to='{}'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#request</value></field><field var='muc#role'><value>participant</value></field></x></message>",
            stage.room
        );
        stage.send_quietly("loud", &text);
    }
    let heard = stage.heard("owner");
    let asked = heard.matches("muc#request_allow").count() as u32;
    assert_eq!(asked, ROOM_PASSING);

    stage.begin(&[("muc#roomconfig_membersonly", "1")]);
    stage.drain();
    for number in 0..OFTEN {
        let form = format!(
            "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='muc#register_roomnick'><value>witch{}</value></field></x></query>",
            number % 2
        );
        let room = &stage.room;
        stage.host.send(
            stage.far("loud"),
            &format!("<iq type='set' id='r' to='{room}'>{form}</iq>"),
        );
    }
    let heard = stage.heard("owner");
    assert_eq!(heard.matches("muc#register_allow").count(), 1, "{heard}");
    // Later they may ask again.
    stage
        .host
        .set_clock(stage.host.now().wall_ms + ROOM_ASK_AGAIN_MS);
    let form = "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='muc#register_roomnick'><value>witch</value></field></x></query>";
    stage.iq("loud", "set", form);
    assert!(stage.heard("owner").contains("muc#register_allow"));
}
