//! The tables of §5, row by row and column by column, as clients see them.

use crate::stage::{Stage, is_result};

/// Who plays the columns of §5.1.1; each is in the room with that role, but the first.
const BY_ROLE: [&str; 4] = ["nobody", "visitor", "participant", "moderator"];
/// Who plays the columns of §5.2.1.
const BY_AFFILIATION: [&str; 5] = ["outcast", "nobody", "member", "admin", "owner"];

type Try = fn(&mut Stage, &str) -> bool;
/// Fields of a configuration and their values.
type Config<'c> = &'c [(&'c str, &'c str)];

/// A moderated room: a visitor, a participant and a moderator who are nothing in it beside, and two on whom the others try their rights.
fn with_roles(stage: &mut Stage, config: Config<'_>) {
    let usual = [
        ("muc#roomconfig_moderatedroom", "1"),
        ("muc#roomconfig_changesubject", "1"),
    ];
    let mut all = config.to_vec();
    all.extend(
        usual
            .iter()
            .filter(|(field, _)| config.iter().all(|(other, _)| other != field)),
    );
    stage.begin(&all);
    for who in ["visitor", "participant", "moderator", "mute", "loud"] {
        stage.enter(who);
    }
    for (who, role) in [
        ("participant", "participant"),
        ("moderator", "moderator"),
        ("loud", "participant"),
    ] {
        let item = format!("nick='{who}' role='{role}'");
        let answer = stage.admin("owner", "set", &item);
        assert!(is_result(&answer), "{answer}");
    }
    stage.drain();
}

#[test]
fn each_privilege_of_a_role() {
    let mut stage = Stage::new(&[
        "owner",
        "nobody",
        "visitor",
        "participant",
        "moderator",
        "mute",
        "loud",
        "guest",
    ]);
    let rows: [(&str, Try, [bool; 4]); 13] = [
        ("present in room", is_present, [false, true, true, true]),
        ("receive messages", receives, [false, true, true, true]),
        ("receive presence", sees, [false, true, true, true]),
        ("broadcast presence", is_seen, [false, true, true, true]),
        ("change status", changes_status, [false, true, true, true]),
        ("change nickname", renames, [false, true, true, true]),
        ("private messages", whispers, [false, true, true, true]),
        ("invite", invites, [false, true, true, true]),
        ("speak", speaks, [false, false, true, true]),
        ("subject", sets_subject, [false, false, true, true]),
        ("kick", kicks, [false, false, false, true]),
        ("grant voice", grants, [false, false, false, true]),
        ("revoke voice", revokes, [false, false, false, true]),
    ];
    for (privilege, attempt, row) in rows {
        for (who, expected) in BY_ROLE.into_iter().zip(row) {
            with_roles(&mut stage, &[]);
            assert_eq!(attempt(&mut stage, who), expected, "{privilege}: {who}");
            stage.end();
        }
    }
}

/// What the note below the table leaves to the configuration.
#[test]
fn the_configuration_changes_privileges_of_roles() {
    let mut stage = Stage::new(&[
        "owner",
        "nobody",
        "visitor",
        "participant",
        "moderator",
        "mute",
        "loud",
        "guest",
    ]);
    let rows: [(&str, &str, Try, [bool; 4]); 9] = [
        (
            "muc#roomconfig_changesubject",
            "0",
            sets_subject,
            [false, false, false, true],
        ),
        (
            "muc#roomconfig_presencebroadcast",
            "moderator",
            is_seen,
            [false, false, false, true],
        ),
        (
            "muc#roomconfig_presencebroadcast",
            "participant",
            is_seen,
            [false, false, true, false],
        ),
        (
            "muc#roomconfig_presencebroadcast",
            "visitor",
            renames,
            [false, true, false, false],
        ),
        (
            "muc#roomconfig_allowpm",
            "anyone",
            whispers,
            [false, true, true, true],
        ),
        (
            "muc#roomconfig_allowpm",
            "participants",
            whispers,
            [false, false, true, true],
        ),
        (
            "muc#roomconfig_allowpm",
            "moderators",
            whispers,
            [false, false, false, true],
        ),
        (
            "muc#roomconfig_allowpm",
            "none",
            whispers,
            [false, false, false, false],
        ),
        (
            "muc#roomconfig_moderatedroom",
            "0",
            speaks,
            [false, false, true, true],
        ),
    ];
    for (field, value, attempt, row) in rows {
        for (who, expected) in BY_ROLE.into_iter().zip(row) {
            with_roles(&mut stage, &[(field, value)]);
            if field == "muc#roomconfig_moderatedroom" {
                // Whose voice was taken is a visitor there, too.
                let answer = stage.admin("moderator", "set", "nick='visitor' role='visitor'");
                assert!(is_result(&answer), "{answer}");
            }
            assert_eq!(attempt(&mut stage, who), expected, "{field}={value}: {who}");
            stage.end();
        }
    }
}

fn is_present(stage: &mut Stage, who: &str) -> bool {
    let to = format!("{}/{who}", stage.room);
    let ping = format!("<iq type='get' id='p' to='{to}'><ping xmlns='urn:xmpp:ping'/></iq>");
    is_result(&stage.send(who, &ping))
}

fn receives(stage: &mut Stage, who: &str) -> bool {
    let text = format!(
        "<message type='groupchat' to='{}'><body>all of you</body></message>",
        stage.room
    );
    stage.send("owner", &text);
    stage.heard(who).contains("all of you")
}

fn sees(stage: &mut Stage, who: &str) -> bool {
    let text = format!(
        "<presence to='{}/owner'><show>dnd</show></presence>",
        stage.room
    );
    stage.send("owner", &text);
    stage.heard(who).contains("<show>dnd</show>")
}

fn is_seen(stage: &mut Stage, who: &str) -> bool {
    let leaves = format!("<presence to='{}/{who}' type='unavailable'/>", stage.room);
    stage.send(who, &leaves);
    stage.heard("owner").contains("type='unavailable'")
}

fn changes_status(stage: &mut Stage, who: &str) -> bool {
    let text = format!(
        "<presence to='{}/{who}'><show>xa</show><status>gone where the goblins go</status></presence>",
        stage.room
    );
    stage.send(who, &text);
    let heard = stage.heard("owner");
    heard.contains("<show>xa</show>") && heard.contains("goblins")
}

fn renames(stage: &mut Stage, who: &str) -> bool {
    let text = format!("<presence to='{}/other'/>", stage.room);
    stage.send(who, &text);
    let heard = stage.heard("owner");
    let first = heard.find("code='303'");
    let then = heard.find("/other'");
    first.is_some() && then.is_some() && first < then
}

fn whispers(stage: &mut Stage, who: &str) -> bool {
    let text = format!(
        "<message type='chat' to='{}/owner'><body>psst</body></message>",
        stage.room
    );
    let answer = stage.send(who, &text);
    let heard = stage.heard("owner").contains("psst");
    // §7.5: who is not here hears that, who may not hears that.
    match who {
        "nobody" => assert!(answer.contains("<not-acceptable"), "{answer}"),
        _ if !heard => assert!(answer.contains("<forbidden"), "{answer}"),
        _ => {}
    }
    heard
}

fn invites(stage: &mut Stage, who: &str) -> bool {
    let text = format!(
        "<message to='{}'><x xmlns='http://jabber.org/protocol/muc#user'><invite to='{}'/></x></message>",
        stage.room,
        stage.jid("guest")
    );
    stage.send(who, &text);
    let by = format!("<invite from='{}'/>", stage.jid(who));
    stage.heard("guest").contains(&by)
}

fn speaks(stage: &mut Stage, who: &str) -> bool {
    let text = format!(
        "<message type='groupchat' to='{}'><body>hear me</body></message>",
        stage.room
    );
    let answer = stage.send(who, &text);
    let heard = stage.heard("owner").contains("hear me");
    // §7.4
    match who {
        "nobody" => assert!(answer.contains("<not-acceptable"), "{answer}"),
        _ if !heard => assert!(answer.contains("<forbidden"), "{answer}"),
        _ => {}
    }
    heard
}

fn sets_subject(stage: &mut Stage, who: &str) -> bool {
    let text = format!(
        "<message type='groupchat' to='{}'><subject>mine</subject></message>",
        stage.room
    );
    stage.send(who, &text);
    stage.heard("owner").contains("<subject>mine</subject>")
}

fn kicks(stage: &mut Stage, who: &str) -> bool {
    let both = ["mute", "loud"].map(|victim| {
        let item = format!("nick='{victim}' role='none'");
        let answer = stage.admin(who, "set", &item);
        let gone = stage.heard(victim).contains("code='307'");
        assert_eq!(is_result(&answer), gone, "{answer}");
        gone
    });
    assert_eq!(both[0], both[1]);
    both[0]
}

fn grants(stage: &mut Stage, who: &str) -> bool {
    is_result(&stage.admin(who, "set", "nick='mute' role='participant'"))
        && stage.heard("mute").contains("role='participant'")
}

fn revokes(stage: &mut Stage, who: &str) -> bool {
    // ***: never an admin's or owner's.
    let answer = stage.admin(who, "set", "nick='owner' role='visitor'");
    assert!(!is_result(&answer), "{who}: {answer}");
    is_result(&stage.admin(who, "set", "nick='loud' role='visitor'"))
        && stage.heard("loud").contains("role='visitor'")
}

/// A room whose lists have one of each.
fn with_affiliations(stage: &mut Stage, config: Config<'_>) {
    stage.begin(config);
    for (who, affiliation) in [
        ("outcast", "outcast"),
        ("member", "member"),
        ("admin", "admin"),
    ] {
        let item = format!("jid='{who}@chat.test' affiliation='{affiliation}'");
        let answer = stage.admin("owner", "set", &item);
        assert!(is_result(&answer), "{answer}");
    }
    stage.drain();
}

fn people_by_affiliation() -> Stage {
    Stage::new(&[
        "outcast", "nobody", "member", "admin", "owner", "victim", "guest",
    ])
}

#[test]
fn each_privilege_of_an_affiliation() {
    let mut stage = people_by_affiliation();
    let (closed, open) = (
        ("muc#roomconfig_membersonly", "1"),
        ("muc#roomconfig_whois", "anyone"),
    );
    let (yes, no) = (true, false);
    let rows: [(&str, Config<'_>, Try, [bool; 5]); 11] = [
        ("enter open room", &[], enters, [no, yes, yes, yes, yes]),
        ("register", &[], registers, [no, yes, yes, yes, yes]),
        (
            "member list",
            &[open],
            lists_members,
            [no, no, yes, yes, yes],
        ),
        // ***: where JIDs are hidden, members do not see them either.
        (
            "hidden member list",
            &[],
            lists_members,
            [no, no, no, yes, yes],
        ),
        (
            "enter members-only room",
            &[closed],
            enters,
            [no, no, yes, yes, yes],
        ),
        ("ban", &[], bans, [no, no, no, yes, yes]),
        (
            "edit member list",
            &[],
            edits_members,
            [no, no, no, yes, yes],
        ),
        (
            "make moderators",
            &[],
            makes_moderators,
            [no, no, no, yes, yes],
        ),
        ("edit admin list", &[], edits_admins, [no, no, no, no, yes]),
        ("edit owner list", &[], edits_owners, [no, no, no, no, yes]),
        ("configure", &[], configures, [no, no, no, no, yes]),
    ];
    for (privilege, config, attempt, row) in rows {
        for (who, expected) in BY_AFFILIATION.into_iter().zip(row) {
            with_affiliations(&mut stage, config);
            assert_eq!(attempt(&mut stage, who), expected, "{privilege}: {who}");
            stage.end();
        }
    }
    for (who, expected) in BY_AFFILIATION.into_iter().zip([no, no, no, no, yes]) {
        with_affiliations(&mut stage, &[]);
        let answer = stage.iq(
            who,
            "set",
            "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>",
        );
        assert_eq!(is_result(&answer), expected, "destroy: {who}: {answer}");
        if !expected {
            assert!(answer.contains("<forbidden"), "{answer}");
            stage.end();
        }
    }
}

fn enters(stage: &mut Stage, who: &str) -> bool {
    let answer = stage.enter(who);
    let inside = answer.contains("code='110'");
    let refusal = match who {
        "outcast" => "<forbidden",
        _ => "<registration-required",
    };
    assert_eq!(!inside, answer.contains(refusal), "{answer}");
    inside
}

fn registers(stage: &mut Stage, who: &str) -> bool {
    let form = "<query xmlns='jabber:iq:register'><x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'><value>http://jabber.org/protocol/muc#register</value></field><field var='muc#register_roomnick'><value>witch</value></field></x></query>";
    let answer = stage.iq(who, "set", form);
    if who == "outcast" {
        assert!(answer.contains("<not-allowed"), "{answer}");
    }
    is_result(&answer)
}

fn lists_members(stage: &mut Stage, who: &str) -> bool {
    let answer = stage.admin(who, "get", "affiliation='member'");
    let listed = answer.contains("jid='member@chat.test'");
    assert_eq!(!listed, answer.contains("<forbidden"), "{answer}");
    listed
}

fn bans(stage: &mut Stage, who: &str) -> bool {
    let ban = |whom: &str| format!("jid='{whom}@chat.test' affiliation='outcast'");
    let stranger = is_result(&stage.admin(who, "set", &ban("victim")));
    let member = is_result(&stage.admin(who, "set", &ban("member")));
    // Whoever may, may not themselves; an admin may not an owner.
    for whom in [who, "owner"] {
        let answer = stage.admin(who, "set", &ban(whom));
        assert!(!is_result(&answer), "{who} bans {whom}: {answer}");
    }
    assert_eq!(stranger, member);
    stranger
}

fn edits_members(stage: &mut Stage, who: &str) -> bool {
    let add = is_result(&stage.admin(who, "set", "jid='victim@chat.test' affiliation='member'"));
    let remove = is_result(&stage.admin(who, "set", "jid='member@chat.test' affiliation='none'"));
    assert_eq!(add, remove);
    add
}

fn makes_moderators(stage: &mut Stage, who: &str) -> bool {
    stage.enter("victim");
    stage.enter(who);
    let answer = stage.admin(who, "set", "nick='victim' role='moderator'");
    let made = stage.heard("victim").contains("role='moderator'");
    assert_eq!(is_result(&answer), made, "{answer}");
    // **: not those of a higher affiliation.
    let answer = stage.admin(who, "set", "nick='owner' role='participant'");
    assert!(!is_result(&answer), "{answer}");
    if made {
        let answer = stage.admin(who, "set", "nick='victim' role='participant'");
        assert!(is_result(&answer), "{answer}");
    }
    made
}

fn edits_admins(stage: &mut Stage, who: &str) -> bool {
    let add = is_result(&stage.admin(who, "set", "jid='victim@chat.test' affiliation='admin'"));
    let list = is_result(&stage.admin(who, "get", "affiliation='admin'"));
    assert_eq!(add, list, "{who}");
    add
}

fn edits_owners(stage: &mut Stage, who: &str) -> bool {
    let add = is_result(&stage.admin(who, "set", "jid='victim@chat.test' affiliation='owner'"));
    let list = is_result(&stage.admin(who, "get", "affiliation='owner'"));
    assert_eq!(add, list, "{who}");
    add
}

fn configures(stage: &mut Stage, who: &str) -> bool {
    let get = "<query xmlns='http://jabber.org/protocol/muc#owner'/>";
    let set = "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_roomname'><value>mine</value></field></x></query>";
    let read = is_result(&stage.iq(who, "get", get));
    let written = is_result(&stage.iq(who, "set", set));
    assert_eq!(read, written);
    written
}

/// §5.1.2: the role that each enters with, in each type of room.
#[test]
fn default_roles() {
    let mut stage = people_by_affiliation();
    let entering = ["nobody", "member", "admin", "owner"];
    let rows: [(Config<'_>, [&str; 4]); 4] = [
        (
            &[("muc#roomconfig_moderatedroom", "1")],
            ["visitor", "participant", "moderator", "moderator"],
        ),
        (
            &[("muc#roomconfig_moderatedroom", "0")],
            ["participant", "participant", "moderator", "moderator"],
        ),
        (
            &[("muc#roomconfig_membersonly", "1")],
            ["", "participant", "moderator", "moderator"],
        ),
        (
            &[("muc#roomconfig_membersonly", "0")],
            ["participant", "participant", "moderator", "moderator"],
        ),
    ];
    for (config, roles) in rows {
        with_affiliations(&mut stage, config);
        for (who, role) in entering.into_iter().zip(roles) {
            let answer = stage.enter(who);
            let own = answer.rsplit("<presence").next().unwrap_or_default();
            match role {
                "" => assert!(own.contains("<registration-required"), "{own}"),
                role => assert!(
                    own.contains(&format!("role='{role}'")),
                    "{config:?} {who}: {own}"
                ),
            }
        }
        stage.end();
    }
}

/// §5.2.2: every change of an affiliation by an owner and by an admin: what each may, and that everybody hears of it, whether the one concerned is in the
/// room or not.
#[test]
fn every_change_of_an_affiliation() {
    let mut stage = people_by_affiliation();
    let all = ["outcast", "none", "member", "admin", "owner"];
    for inside in [true, false] {
        for from in all {
            for to in all.into_iter().filter(|to| *to != from) {
                for by in ["owner", "admin"] {
                    with_affiliations(&mut stage, &[("muc#roomconfig_whois", "anyone")]);
                    stage.enter("guest");
                    stage.enter("admin");
                    let put = |affiliation: &str| {
                        format!("jid='victim@chat.test' affiliation='{affiliation}'")
                    };
                    if from != "none" {
                        let answer = stage.admin("owner", "set", &put(from));
                        assert!(is_result(&answer), "{answer}");
                    }
                    let inside = inside && from != "outcast";
                    if inside {
                        assert!(stage.enter("victim").contains("code='110'"));
                    }
                    let answer = stage.admin(by, "set", &put(to));
                    let high = ["admin", "owner"];
                    let may = by == "owner" || (!high.contains(&from) && !high.contains(&to));
                    assert_eq!(is_result(&answer), may, "{by}: {from} to {to}: {answer}");
                    let heard = stage.heard("guest");
                    let told = heard.contains(&format!("affiliation='{to}'"));
                    assert_eq!(told, may, "{by}: {from} to {to}: {heard}");
                    if may {
                        let element = if inside { "<presence" } else { "<message" };
                        assert!(heard.contains(element), "{from} to {to}: {heard}");
                    }
                    if may && inside && to == "outcast" {
                        assert!(heard.contains("code='301'"), "{heard}");
                    }
                    stage.end();
                }
            }
        }
    }
}

/// §5.1.3: every change of a role, by a mere moderator, an admin and an owner.
#[test]
fn every_change_of_a_role() {
    let mut stage = people_by_affiliation();
    let all = ["none", "visitor", "participant", "moderator"];
    for from in &all[1..] {
        for to in all.into_iter().filter(|to| to != from) {
            for by in ["guest", "admin", "owner"] {
                with_affiliations(&mut stage, &[("muc#roomconfig_moderatedroom", "1")]);
                for who in ["guest", "admin", "victim", "nobody"] {
                    stage.enter(who);
                }
                stage.admin("owner", "set", "nick='guest' role='moderator'");
                if *from != "visitor" {
                    let answer =
                        stage.admin("owner", "set", &format!("nick='victim' role='{from}'"));
                    assert!(is_result(&answer), "{answer}");
                }
                let answer = stage.admin(by, "set", &format!("nick='victim' role='{to}'"));
                let may = by != "guest" || (*from != "moderator" && to != "moderator");
                assert_eq!(is_result(&answer), may, "{by}: {from} to {to}: {answer}");
                let heard = stage.heard("nobody");
                let told = heard.contains("/victim'") && heard.contains(&format!("role='{to}'"));
                assert_eq!(told, may, "{by}: {from} to {to}: {heard}");
                stage.end();
            }
        }
    }
}

/// §5.1: in a moderated room the voice that a moderator gave or took outlasts a visit, and a restart.
#[test]
fn a_voice_outlasts_a_visit() {
    let mut stage = people_by_affiliation();
    with_affiliations(
        &mut stage,
        &[
            ("muc#roomconfig_moderatedroom", "1"),
            ("muc#roomconfig_persistentroom", "1"),
        ],
    );
    for (who, usual, given) in [
        ("nobody", "visitor", "participant"),
        ("member", "participant", "visitor"),
    ] {
        assert!(stage.enter(who).contains(&format!("role='{usual}'")));
        let item = format!("nick='{who}' role='{given}'");
        assert!(is_result(&stage.admin("owner", "set", &item)));
        let leaves = format!("<presence to='{}/{who}' type='unavailable'/>", stage.room);
        stage.send(who, &leaves);
        let own = stage.enter(who);
        assert!(own.contains(&format!("role='{given}'")), "{who}: {own}");
    }
    stage.host.kill();
    stage.come_back();
    for (who, given) in [("nobody", "participant"), ("member", "visitor")] {
        let own = stage.enter(who);
        assert!(own.contains(&format!("role='{given}'")), "{who}: {own}");
    }
    // It is over with what they were.
    let answer = stage.admin("owner", "set", "jid='member@chat.test' affiliation='none'");
    assert!(is_result(&answer), "{answer}");
    let answer = stage.admin(
        "owner",
        "set",
        "jid='member@chat.test' affiliation='member'",
    );
    assert!(is_result(&answer), "{answer}");
    let leaves = format!("<presence to='{}/member' type='unavailable'/>", stage.room);
    stage.send("member", &leaves);
    let own = stage.enter("member");
    assert!(own.contains("role='participant'"), "{own}");
}
