//! What `roster.everyone` costs: 500 accounts that all see each other have no record of it.

#[path = "common/allocator.rs"]
mod allocator;
#[path = "common/host.rs"]
mod host;

use host::Host;
use snug::auth::{Hash, ScramKeys};

#[global_allocator]
static ALLOCATOR: allocator::Counting = allocator::Counting;

const ACCOUNTS: usize = 500;

/// A server with 500 accounts that all see each other.
fn accounts() -> Host {
    let host = Host::new("[roster]\neveryone = true\n[limits]\nlogin_rate = 0\n");
    let keys = |hash| ScramKeys::derive(hash, "secret", b"salt", 1).expect("a password");
    let (sha1, sha256) = (keys(Hash::Sha1), keys(Hash::Sha256));
    for number in 0..ACCOUNTS {
        let store = &host.engine.store;
        let made = store.create_account(&format!("u{number:03}"), sha1.clone(), sha256.clone(), 0);
        made.expect("a new name");
    }
    host
}

#[test]
fn five_hundred_accounts_see_each_other_without_a_record() {
    let mut host = accounts();
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

/// What somebody costs the server, in time and allocations, where everybody is there already. Times are of this machine and this build; they are only
/// printed.
#[test]
fn what_a_login_costs_where_everybody_is_there() {
    let mut host = accounts();
    host.engine.trace_to(None);
    let mut there: Vec<u32> = Vec::new();
    let began = std::time::Instant::now();
    let ask = "<iq type='get' id='r'><query xmlns='jabber:iq:roster' ver=''/></iq>";
    for number in 0..ACCOUNTS - 1 {
        let far = host.log_in(&format!("u{number:03}"), "r");
        host.send(far, ask);
        host.send(far, "<presence/>");
        there.push(far);
    }
    println!(
        "{} logins, one after the other: {} ms",
        there.len(),
        began.elapsed().as_millis()
    );
    there.iter().for_each(|far| drop(host.sent(*far)));
    let cost = |host: &mut Host, what: &str, far: u32, xml: &str| {
        let (began, before) = (std::time::Instant::now(), allocator::allocations());
        host.send(far, xml);
        let (took, allocations) = (began.elapsed(), allocator::allocations() - before);
        let came = host.sent(far);
        let told: usize = there
            .iter()
            .map(|far| usize::from(!host.sent(*far).is_empty()))
            .sum();
        println!(
            "{what}: {} us, {allocations} allocations, {} bytes to it, {told} others told",
            took.as_micros(),
            came.len()
        );
        (came, told)
    };
    let last = host.log_in(&format!("u{:03}", ACCOUNTS - 1), "r");
    let (list, _) = cost(&mut host, "roster", last, ask);
    assert_eq!(list.matches("<item").count(), ACCOUNTS - 1);
    let version = list
        .split("ver='")
        .nth(1)
        .and_then(|rest| rest.split('\'').next())
        .expect("a version")
        .to_owned();
    let known = ask.replace("ver=''", &format!("ver='{version}'"));
    let (same, _) = cost(&mut host, "roster that is known", last, &known);
    assert!(!same.contains("<item"), "{same}");
    let (shown, told) = cost(
        &mut host,
        "initial presence",
        last,
        "<presence><priority>1</priority></presence>",
    );
    assert_eq!(
        (shown.matches("<presence").count(), told),
        (ACCOUNTS, ACCOUNTS - 1)
    );
    let (_, told) = cost(
        &mut host,
        "presence",
        last,
        "<presence><show>away</show></presence>",
    );
    assert_eq!(told, ACCOUNTS - 1);
    let began = std::time::Instant::now();
    host.account("another", "secret");
    println!("an account more: {} us", began.elapsed().as_micros());
    for far in there.iter().chain([&last]) {
        assert!(host.sent(*far).contains("<item jid='another@chat.test'"));
    }
    // The new one is in the list, which therefore is another one.
    let (list, _) = cost(&mut host, "roster that has changed", last, &known);
    assert_eq!(list.matches("<item").count(), ACCOUNTS);
}
