//! The archive in a whole server: what is shown has been committed, volumes begin and go by themselves, and an account takes its rows along.

mod common;

use common::host::{BEGIN_MS, Host};
use snug::store::StoreError;
use snug::store::UserId;
use snug::store::archive::{Answer, Query, Request};
use std::cell::RefCell;
use std::rc::Rc;

/// Hosts have no archive unless they are told.
const ARCHIVED: &str = "[archive]\nenabled = true";

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// What was answered, in the order of the answers.
type Heard = Rc<RefCell<Vec<Result<usize, bool>>>>;

/// Asks for all rows of an owner: how many came, or whether the disk was full.
fn ask(host: &mut Host, heard: &Heard, owner: UserId) {
    let heard = heard.clone();
    host.engine
        .read_archive(Request::Page(Query::of(owner)), move |_, answer| {
            heard.borrow_mut().push(match answer {
                Ok(Answer::Page { rows, .. }) => Ok(rows.len()),
                Ok(other) => panic!("{other:?}"),
                Err(error) => Err(matches!(error, StoreError::Full)),
            });
        });
}

fn archive(host: &Host, owner: UserId, at_ms: u64) {
    host.engine
        .store
        .archive(owner, at_ms, [7; 8], "bert@chat.test/x", |out| {
            out.extend_from_slice(b"<message/>")
        })
        .expect("a row");
}

fn volumes(host: &Host) -> Vec<String> {
    let entries = std::fs::read_dir(host.directory().join("archive"));
    let mut names: Vec<String> = entries
        .into_iter()
        .flatten()
        .map(|entry| {
            let name = entry.expect("an entry").file_name();
            name.into_string().expect("a name")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn nothing_is_shown_that_a_power_cut_could_take_back() {
    let mut host = Host::new(ARCHIVED);
    let owner = UserId::new(7);
    let heard = Heard::default();
    host.pass(1);
    archive(&host, owner, BEGIN_MS);
    host.pass(1);
    ask(&mut host, &heard, owner);
    host.pass(1);
    assert_eq!(heard.take(), [Ok(1)]);

    // It was read at once, and is shown when it is on the disk.
    host.hold_commits = true;
    archive(&host, owner, BEGIN_MS);
    ask(&mut host, &heard, owner);
    host.pass(1);
    assert_eq!(heard.take(), []);
    host.release_commits();
    assert_eq!(heard.take(), [Ok(2)]);

    // What came after the question is not shown before it is there either.
    host.hold_reads = true;
    ask(&mut host, &heard, owner);
    host.pass(1);
    host.hold_commits = true;
    archive(&host, owner, BEGIN_MS);
    host.release_reads();
    assert_eq!(heard.take(), []);
    host.release_commits();
    assert_eq!(heard.take(), [Ok(3)]);

    host.hold_commits = true;
    archive(&host, owner, BEGIN_MS);
    ask(&mut host, &heard, owner);
    host.pass(1);
    host.fail_commits();
    assert_eq!(heard.take(), [Err(true)]);
}

#[test]
fn volumes_begin_with_the_month_and_go_when_they_are_old() {
    let mut host = Host::new("[archive]\nkeep_days = 30");
    let owner = UserId::new(7);
    let heard = Heard::default();
    let october_ms = BEGIN_MS - 31 * DAY_MS;
    host.set_clock(october_ms);
    assert_eq!(volumes(&host), [] as [&str; 0]);
    host.pass(1);
    archive(&host, owner, october_ms);
    host.pass(1);
    assert_eq!(volumes(&host), ["2026-10"]);
    // It is November, and with the next hour the row is too old.
    host.set_clock(BEGIN_MS);
    host.pass(2);
    assert_eq!(volumes(&host), ["2026-10", "2026-11"]);
    archive(&host, owner, BEGIN_MS);
    ask(&mut host, &heard, owner);
    host.pass(60 * 60);
    ask(&mut host, &heard, owner);
    host.pass(1);
    assert_eq!(heard.take(), [Ok(2), Ok(1)]);
    assert_eq!(volumes(&host), ["2026-11"]);
}

#[test]
fn an_account_takes_its_rows_along() {
    let mut host = Host::new(ARCHIVED);
    host.account("anna", "secret");
    host.account("bert", "secret");
    let id = |host: &Host, name: &str| {
        let account = host.engine.store.account(name).expect("the store");
        account.expect("the account").id
    };
    let (anna, bert) = (id(&host, "anna"), id(&host, "bert"));
    for user in [anna, bert] {
        archive(&host, user, BEGIN_MS);
    }
    host.pass(1);
    let request = serde_json::json!({"verb": "user.del", "name": "anna"});
    assert_eq!(host.control(&request)["ok"], true);
    // The plug is pulled before anything is forgotten.
    host.restart(false);
    host.pass(1);
    let heard = Heard::default();
    ask(&mut host, &heard, anna);
    ask(&mut host, &heard, bert);
    host.pass(1);
    assert_eq!(heard.take(), [Ok(0), Ok(1)]);
    host.restart(true);
    host.pass(11);
    assert!(
        host.engine
            .store
            .archive_chore(host.now().wall_ms)
            .is_none()
    );
    assert!(host.engine.is_empty());
}

#[test]
fn without_an_archive_nothing_is_made() {
    let mut host = Host::new("[archive]\nenabled = false");
    host.pass(10);
    assert!(!host.engine.archive_on());
    assert_eq!(volumes(&host), [] as [&str; 0]);
}

#[test]
fn after_a_start_the_archive_rests_until_somebody_comes() {
    let mut host = Host::new(ARCHIVED);
    host.account("anna", "secret");
    let owner = UserId::new(7);
    archive(&host, owner, BEGIN_MS);
    host.restart(true);
    assert!(host.engine.store.archive_rests());
    host.pass(5);
    assert!(host.engine.store.archive_rests());
    // Nobody came: damage is told all the same, and what is too old goes.
    host.pass(6);
    assert!(!host.engine.store.archive_rests());

    // Who asks opens it, and so does who writes.
    host.restart(true);
    let heard = Heard::default();
    ask(&mut host, &heard, owner);
    host.pass(1);
    assert_eq!(heard.take(), [Ok(1)]);
    host.restart(true);
    archive(&host, owner, BEGIN_MS);
    ask(&mut host, &heard, owner);
    host.pass(1);
    assert_eq!(heard.take(), [Ok(2)]);
    // Before it was needed it was closed again: nothing is missing.
    host.restart(true);
    host.restart(true);
    ask(&mut host, &heard, owner);
    host.pass(1);
    assert_eq!(heard.take(), [Ok(2)]);
    assert_eq!(volumes(&host).len(), 1);
}

#[test]
fn what_is_taken_back_in_a_room_lies_in_whichever_volume() {
    let mut host = Host::new("[limits]\nstanza_rate = 0\n[archive]\nenabled = true");
    host.account("anna", "secret");
    host.account("ben", "secret");
    let october_ms = BEGIN_MS - 40 * DAY_MS;
    host.set_clock(october_ms);
    let anna = host.go_online("anna", "phone");
    let ben = host.go_online("ben", "pc");
    let enter = |host: &mut Host, far, nick: &str| {
        host.send(far, &format!("<presence to='coven@rooms.chat.test/{nick}'><x xmlns='http://jabber.org/protocol/muc'><history maxstanzas='0'/></x></presence>"));
    };
    enter(&mut host, anna, "anna");
    host.send(anna, "<iq type='set' id='c' to='coven@rooms.chat.test'><query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'><field var='muc#roomconfig_persistentroom'><value>1</value></field></x></query></iq>");
    enter(&mut host, ben, "ben");
    for (id, inside) in [
        ("m1", "<body>moderated</body>"),
        ("m2", "<body>retracted</body>"),
        (
            "m3",
            "<body>retracted, corrected</body><replace xmlns='urn:xmpp:message-correct:0' id='m2'/>",
        ),
        ("m4", "<body>kept</body>"),
    ] {
        host.send(
            ben,
            &format!(
                "<message to='coven@rooms.chat.test' type='groupchat' id='{id}'>{inside}</message>"
            ),
        );
    }
    let said = host.sent(ben);
    let id_of = |message: &str| {
        let (_, rest) = said.split_once(&format!("id='{message}'")).expect("said");
        let (_, rest) = rest
            .split_once("by='coven@rooms.chat.test' id='")
            .expect("an id");
        rest[..22].to_owned()
    };
    host.set_clock(BEGIN_MS);
    host.restart(true);
    host.pass(3);
    let anna = host.go_online("anna", "phone");
    let ben = host.go_online("ben", "pc");
    enter(&mut host, anna, "anna");
    enter(&mut host, ben, "ben");
    host.send(
        ben,
        "<message to='coven@rooms.chat.test' type='groupchat' id='now'><body>now</body></message>",
    );
    host.pass(3);
    assert_eq!(volumes(&host).len(), 2, "{:?}", volumes(&host));
    let moderate = format!(
        "<iq type='set' id='t' to='coven@rooms.chat.test'><moderate id='{}' xmlns='urn:xmpp:message-moderate:1'><retract xmlns='urn:xmpp:message-retract:1'/></moderate></iq>",
        id_of("m1")
    );
    let answer = host.ask(anna, &moderate);
    assert!(answer.contains("type='result'"), "{answer}");
    let retract = id_of("m2");
    host.send(ben, &format!("<message to='coven@rooms.chat.test' type='groupchat' id='r'><retract xmlns='urn:xmpp:message-retract:1' id='{retract}'/></message>"));
    host.sent(ben);
    let all = host.ask(
        ben,
        "<iq type='set' id='q' to='coven@rooms.chat.test'><query xmlns='urn:xmpp:mam:2'/></iq>",
    );
    assert_eq!(all.matches("<retracted").count(), 3, "{all}");
    assert!(
        all.contains("<body>kept</body>") && all.contains("<body>now</body>"),
        "{all}"
    );
    for gone in ["moderated</body>", "retracted</body>", "corrected</body>"] {
        assert!(!all.contains(gone), "{gone}: {all}");
    }
}
