//! Figures, printed: `cargo test --release --test store -- --ignored --nocapture figures`.

use std::fs;
use std::time::Instant;

use crate::{Dir, Random, contact, create};
use snug::store::Store;
use snug::xmpp::jid::BareJid;

#[test]
#[ignore = "prints figures, proves nothing"]
fn figures() {
    // The first opening pays for sled's threads and for pages of code.
    drop(Dir::new("warm").open());
    let dir = Dir::new("figures");
    let begin = resident_kib();
    let store = timed("open, new", 1, || dir.open());
    println!(
        "resident: {} KiB before, {} KiB open and empty",
        begin,
        resident_kib()
    );
    let users: Vec<_> = timed("create_account", 1000, || {
        (0..1000)
            .map(|n| create(&store, &format!("user{n}")))
            .collect()
    });
    timed("commit of those", 1, || store.commit().unwrap());
    println!("resident: {} KiB with 1000 accounts", resident_kib());
    for user in &users[..20] {
        for c in 0..500 {
            store
                .put_roster_item(*user, &contact(&format!("c{c}@chat.test")))
                .unwrap();
        }
    }
    store.commit().unwrap();
    println!(
        "resident: {} KiB with 20 rosters of 500 more",
        resident_kib()
    );
    drop(store);
    println!(
        "file: {} KiB",
        fs::metadata(dir.file("main/db")).unwrap().len() / 1024
    );
    println!("resident: {} KiB closed", resident_kib());
    let store = timed("open, 1000 accounts and 20 rosters of 500", 1, || {
        dir.open()
    });
    println!("resident: {} KiB open again", resident_kib());
    let mut random = Random(1);
    let mut any = || random.number() % 1000;
    for pass in ["account, first time", "account, again"] {
        timed(pass, 1000, || {
            (0..1000).for_each(|n| drop(store.account(&format!("user{n}")).unwrap().unwrap()))
        });
    }
    for pass in ["roster of 500, first time", "roster of 500, again"] {
        timed(pass, 20, || {
            users[..20]
                .iter()
                .for_each(|user| assert_eq!(store.roster(*user).unwrap().len(), 500))
        });
    }
    timed("roster_item", 1000, || {
        (0..1000).for_each(|_| {
            let jid = BareJid::parse(&format!("c{}@chat.test", any() % 500)).unwrap();
            assert!(store.roster_item(users[3], &jid).unwrap().is_some());
        })
    });
    timed("put_roster_item", 1000, || {
        (0..1000).for_each(|n| {
            store
                .put_roster_item(users[n % 20], &contact("c7@chat.test"))
                .unwrap()
        })
    });
    let xml = "x".repeat(400);
    timed("push_offline of 400 bytes", 10_000, || {
        for n in 0..10_000 {
            store.push_offline(users[n % 500], n as u64, &xml).unwrap();
        }
    });
    timed("offline, 20 messages", 500, || {
        users[..500]
            .iter()
            .for_each(|user| assert_eq!(store.offline(*user).unwrap().len(), 20))
    });
    let committer = store.committer();
    timed("commit after one write", 100, || {
        (0..100).for_each(|n| {
            store.push_offline(users[600], n, &xml).unwrap();
            assert!(committer.commit(store.ticket()).unwrap().wrote);
        })
    });
    timed("commit after none", 100_000, || {
        (0..100_000).for_each(|_| assert!(!committer.commit(store.ticket()).unwrap().wrote))
    });
    timed("backup", 1, || {
        println!("{:?}", committer.backup().unwrap())
    });
    timed("backup, nothing changed", 1, || committer.backup().unwrap());
    println!("resident: {} KiB", resident_kib());
    timed("delete_account with a roster of 500", 1, || {
        store.delete_account("user3").unwrap()
    });
    store.commit().unwrap();
    drop(store);
    fs::remove_dir_all(dir.file("main")).unwrap();
    timed("restore", 1, || drop(Store::open(&dir.0).unwrap()));
}

fn timed<T>(what: &str, times: u32, act: impl FnOnce() -> T) -> T {
    let begin = Instant::now();
    let value = act();
    println!(
        "{what}: {:.2} µs",
        begin.elapsed().as_secs_f64() * 1e6 / f64::from(times)
    );
    value
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find(|line| line.starts_with("VmRSS:"))
        .unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
