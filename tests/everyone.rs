//! What `roster.everyone` costs: 500 accounts that all see each other have no record of it.

mod common;

use common::host::Host;
use snug::auth::{Hash, ScramKeys};

const ACCOUNTS: usize = 500;

#[test]
fn five_hundred_accounts_see_each_other_without_a_record() {
    let mut host = Host::new("[roster]\neveryone = true\n[limits]\nlogin_rate = 0\n");
    let keys = |hash| ScramKeys::derive(hash, "secret", b"salt", 1).expect("a password");
    let (sha1, sha256) = (keys(Hash::Sha1), keys(Hash::Sha256));
    for number in 0..ACCOUNTS {
        let store = &host.engine.store;
        let made = store.create_account(&format!("u{number:03}"), sha1.clone(), sha256.clone(), 0);
        made.expect("a new name");
    }
    let there: Vec<u32> = (0..20)
        .map(|number| host.go_online(&format!("u{number:03}"), "r"))
        .collect();

    // Everybody's list has everybody else, each sees who is there, and nothing of that was written.
    let list = host.ask(
        there[0],
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    assert_eq!(list.matches("subscription='both'").count(), ACCOUNTS - 1);
    let heard = host.ask(there[0], "<presence><show>away</show></presence>");
    assert_eq!(heard.matches("<presence").count(), 1);
    for far in &there[1..] {
        assert!(host.sent(*far).contains("<show>away</show>"));
    }
    let accounts = host.engine.store.accounts().expect("the accounts");
    let records: usize = accounts
        .iter()
        .map(|account| {
            host.engine
                .store
                .roster(account.id)
                .expect("a roster")
                .len()
        })
        .sum();
    println!("{ACCOUNTS} accounts who see each other: {records} roster records");
    assert_eq!(records, 0);
}
