//! An announcement to all accounts of a large server is written a part at a time: others are served in between, and who asked hears when all of it is on
//! the disk.

#[path = "common/host.rs"]
mod host;

use host::{Host, NO_RATES};
use serde_json::json;
use snug::auth::{Hash, ScramKeys};
use snug::engine::Input;
use snug::limits;

const ACCOUNTS: usize = 1500;
const TEXT: &str = "The cellar is flooded: no backups tonight.";

/// anna and ben are there, 1500 others are away.
fn household() -> (Host, u32, u32) {
    let mut host = Host::new(NO_RATES);
    host.account("anna", "secret");
    host.account("ben", "secret");
    let keys = |hash| ScramKeys::derive(hash, "secret", b"salt", 1).expect("a password");
    let (sha1, sha256) = (keys(Hash::Sha1), keys(Hash::Sha256));
    for number in 0..ACCOUNTS {
        let made = host.engine.store.create_account(
            &format!("u{number:04}"),
            sha1.clone(),
            sha256.clone(),
            0,
        );
        made.expect("a new name");
    }
    let anna = host.go_online("anna", "phone");
    let ben = host.go_online("ben", "pc");
    host.sent(anna);
    (host, anna, ben)
}

fn announce(host: &mut Host) {
    let line = json!({"verb": "announce", "text": TEXT, "all": true}).to_string();
    host.enter(Input::Control {
        call: 1,
        line: &line,
    });
}

/// For how many accounts it waits; nobody has it twice.
fn waiting(host: &Host) -> usize {
    let store = &host.engine.store;
    let accounts = store.accounts().expect("the accounts");
    let queues = accounts.iter().map(|account| {
        let queue = store.offline_from(account.id, None, limits::OFFLINE_PART_BYTES);
        let queue = queue.expect("a queue");
        assert!(queue.len() <= 1, "{} hears it twice", account.name);
        assert!(queue.iter().all(|(_, _, xml)| xml.contains(TEXT)));
        queue.len()
    });
    queues.sum()
}

#[test]
fn a_part_at_a_time() {
    let (mut host, anna, ben) = household();
    announce(&mut host);
    let mut seconds = 0;
    let mut before = waiting(&host);
    while host.reply().map(|answer| check(&answer)).is_none() {
        seconds += 1;
        assert!(seconds < 60, "it does not end");
        // Chat goes on in between.
        host.send(
            anna,
            "<message to='ben@chat.test' type='chat'><body>x</body></message>",
        );
        assert!(host.sent(ben).contains("<body>x</body>"));
        host.pass(1);
        let after = waiting(&host);
        let bytes = (after - before) * (TEXT.len() + limits::ANNOUNCED_OWN_BYTES);
        assert!(bytes <= limits::ANNOUNCED_PART_BYTES + TEXT.len() + limits::ANNOUNCED_OWN_BYTES);
        before = after;
    }
    println!("{ACCOUNTS} accounts were told in {seconds} seconds");
    assert_eq!(waiting(&host), ACCOUNTS);
    assert!(seconds >= 2);
    let answer = host.control(&json!({"verb": "announce", "text": TEXT}));
    assert_eq!(answer["online"], 2, "{answer}");
}

fn check(answer: &serde_json::Value) {
    assert_eq!(answer["online"], 2, "{answer}");
    assert_eq!(answer["waiting"], ACCOUNTS, "{answer}");
    assert_eq!(answer["missed"], 0, "{answer}");
}

#[test]
fn what_the_disk_does_not_take_is_said() {
    let (mut host, anna, _) = household();
    host.hold_commits = true;
    announce(&mut host);
    host.pass(5);
    assert!(host.reply().is_none(), "nothing is on the disk yet");
    let told = waiting(&host);
    assert!(told < ACCOUNTS, "the next part waits for this one");
    host.fail_commits();
    let answer = host.reply().expect("an answer");
    assert_eq!(answer["ok"], false, "{answer}");
    host.pass(5);
    assert!(
        host.reply().is_none() && waiting(&host) <= told,
        "and then it ends"
    );
    assert_eq!(host.sent(anna).matches(TEXT).count(), 1);
}

#[test]
fn who_is_deleted_meanwhile_is_nobody() {
    let (mut host, _, _) = household();
    announce(&mut host);
    let last = format!("u{:04}", ACCOUNTS - 1);
    host.engine
        .store
        .delete_account(&last)
        .expect("it is there");
    host.pass(10);
    let answer = host.reply().expect("an answer");
    assert_eq!(
        (&answer["waiting"], &answer["missed"]),
        (&json!(ACCOUNTS - 1), &json!(0)),
        "{answer}"
    );
}
