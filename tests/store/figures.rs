//! Figures, printed: `cargo test --release --test store -- --ignored --nocapture figures`.

use std::fs;
use std::time::Instant;

use crate::{Dir, Random, contact, create};
use snug::store::archive::{Answer, Query, Request};
use snug::store::{Store, UserId};
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

/// What a lone archived message costs the disk: two rows and a commit. Wants a file system of its own and the device under it, so that nobody else writes
/// there: `SNUG_FIGURES_MOUNT=/mnt/small SNUG_FIGURES_DEVICE=loop0`.
#[test]
#[ignore = "prints figures, proves nothing"]
fn device_figures() {
    let (Ok(mount), Ok(device)) = (
        std::env::var("SNUG_FIGURES_MOUNT"),
        std::env::var("SNUG_FIGURES_DEVICE"),
    ) else {
        return println!("NOT RUN: name a mount and its device");
    };
    let written = || {
        assert!(
            std::process::Command::new("sync")
                .args(["-f", &mount])
                .status()
                .unwrap()
                .success()
        );
        let stat = fs::read_to_string(format!("/sys/block/{device}/stat")).unwrap();
        stat.split_whitespace()
            .nth(6)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 512
    };
    let dir = std::path::Path::new(&mount).join("data");
    let _ = fs::remove_dir_all(&dir);
    let store = Store::open(&dir).unwrap();
    let committer = store.committer();
    let xml = "x".repeat(300);
    let message = |n: u64| {
        for (owner, with) in [(1, "bert@chat.test/phone"), (2, "anna@chat.test/desk")] {
            store
                .archive(
                    UserId::new(owner),
                    NOON + n * PACE_MS,
                    n.to_be_bytes(),
                    with,
                    |out| out.extend_from_slice(xml.as_bytes()),
                )
                .unwrap();
        }
    };
    for n in 0..2000 {
        message(n);
    }
    committer.commit(store.ticket()).unwrap();
    // Between lone messages the system writes down what it would else do with the next one: times in inodes, the mark of the commit.
    let before = written();
    for n in 0..50 {
        message(5_000 + n);
        committer.commit(store.ticket()).unwrap();
        written();
    }
    println!(
        "a lone message: {} bytes to the device",
        (written() - before) / 50
    );
    for group in [1, 10, 100] {
        let before = written();
        for n in 0..1000 {
            message(10_000 * group + n);
            if n % group == group - 1 {
                committer.commit(store.ticket()).unwrap();
            }
        }
        println!(
            "{group} messages a commit: {} bytes a message to the device",
            (written() - before) / 1000
        );
    }
}

/// The archive: what a row costs, and what a million of them cost whoever reads a little. With MALLOC_MMAP_THRESHOLD_=131072 memory is as in the server
/// (`net/memory.rs`).
#[test]
#[ignore = "prints figures, proves nothing"]
fn archive_figures() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
    };
    if let Some(dir) = std::env::var_os("SNUG_FIGURES_READ") {
        return read_archive_figures(std::path::Path::new(&dir));
    }
    let dir = Dir::new("archive-figures");
    let rows = number("SNUG_FIGURES_ROWS", 1_000_000);
    let volume = number("SNUG_FIGURES_VOLUME", u64::MAX);
    let store = dir.open();
    let mut reader = store.archive_reader();
    let committer = store.committer();
    let xml = "x".repeat(300);
    let begin = Instant::now();
    for row in 0..rows {
        let at_ms = NOON + row * PACE_MS;
        if row % 1000 == 999 || row % volume == volume - 1 {
            if row % volume == volume - 1 {
                reader.answer(Request::Roll { at_ms }).unwrap();
            }
            while let Some(chore) = store.archive_chore(at_ms) {
                reader.answer(chore).unwrap();
            }
        }
        let owner = UserId::new((row % 100) as u32 + 1);
        let with = format!("c{}@chat.test/phone", row / 100 % 20);
        store
            .archive(owner, at_ms, row.to_be_bytes(), &with, |out| {
                out.extend_from_slice(xml.as_bytes())
            })
            .unwrap();
        if row % 1000 == 999 {
            committer.commit(store.ticket()).unwrap();
        }
    }
    println!(
        "archive of {rows}: {:.1} µs a row with commits each 1000; resident: {} KiB",
        begin.elapsed().as_secs_f64() * 1e6 / rows as f64,
        resident_kib()
    );
    for lone in 0..5 {
        let before = written_bytes();
        for owner in [1, 2] {
            store
                .archive(
                    UserId::new(owner),
                    NOON + rows * PACE_MS + lone,
                    [7; 8],
                    "c1@chat.test/phone",
                    |out| out.extend_from_slice(xml.as_bytes()),
                )
                .unwrap();
        }
        committer.commit(store.ticket()).unwrap();
        println!(
            "a lone message: {} bytes handed to the system",
            written_bytes() - before
        );
    }
    drop((store, reader, committer));
    println!("disk: {}", du(&dir.file("archive")));
    for _ in 0..2 {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "figures::archive_figures",
                "--ignored",
                "--nocapture",
            ])
            .env("SNUG_FIGURES_READ", &dir.0)
            .output()
            .unwrap();
        println!("{}", String::from_utf8_lossy(&child.stdout));
        eprintln!("{}", String::from_utf8_lossy(&child.stderr));
        println!("disk: {}", du(&dir.file("archive")));
    }
}

/// 2026-11-22T12:00:00Z.
const NOON: u64 = 1_795_348_800_000;
/// A million rows are 300 days.
const PACE_MS: u64 = 25_920;

fn read_archive_figures(dir: &std::path::Path) {
    println!("resident: {} KiB before", resident_kib());
    let before = written_bytes();
    let store = timed("open", 1, || Store::open(dir).unwrap());
    println!(
        "{} bytes written, resident: {} KiB open",
        written_bytes() - before,
        resident_kib()
    );
    let mut reader = store.archive_reader();
    let last_page = |owner: u32| Query {
        max: 50,
        backward: true,
        ..Query::of(UserId::new(owner))
    };
    let ask = |reader: &mut snug::store::ArchiveReader, query: Query| match reader
        .answer(Request::Page(query))
        .unwrap()
    {
        Answer::Page { rows, complete } => (rows, complete),
        other => panic!("{other:?}"),
    };
    timed("the last page of 50, first owner, first time", 1, || {
        assert_eq!(ask(&mut reader, last_page(1)).0.len(), 50)
    });
    timed("the last page of 50, first time", 99, || {
        (2..=100).for_each(|owner| assert_eq!(ask(&mut reader, last_page(owner)).0.len(), 50))
    });
    println!(
        "resident: {} KiB with the last pages of 100",
        resident_kib()
    );
    timed("the last page of 50, again", 100, || {
        (1..=100).for_each(|owner| assert_eq!(ask(&mut reader, last_page(owner)).0.len(), 50))
    });
    timed("the last page of 50 with one contact", 100, || {
        (1..=100).for_each(|owner| {
            let mut query = last_page(owner);
            query.with = Some("c7@chat.test".to_owned());
            assert!(!ask(&mut reader, query).0.is_empty())
        })
    });
    println!("resident: {} KiB", resident_kib());
    timed("nothing with a stranger", 1, || {
        let mut query = last_page(5);
        query.with = Some("stranger@chat.test".to_owned());
        assert_eq!(ask(&mut reader, query).0.len(), 0)
    });
    timed("bounds", 1, || {
        reader.answer(Request::Bounds(UserId::new(5))).unwrap()
    });
    println!(
        "{} bytes written, resident: {} KiB",
        written_bytes() - before,
        resident_kib()
    );
    for backward in [false, true] {
        let mut pages = 0;
        let mut rows = 0;
        let begin = Instant::now();
        let mut query = Query {
            max: 100,
            backward,
            ..Query::of(UserId::new(5))
        };
        loop {
            let (page, complete) = ask(&mut reader, query.clone());
            pages += 1;
            rows += page.len();
            if complete {
                break;
            }
            match backward {
                true => query.before = vec![page[0].id],
                false => query.after = vec![page.last().unwrap().id],
            }
        }
        println!(
            "a walk, backward {backward}: {rows} rows in {pages} pages, {:.1} ms, {:.1} µs a page; resident: {} KiB",
            begin.elapsed().as_secs_f64() * 1e3,
            begin.elapsed().as_secs_f64() * 1e6 / f64::from(pages),
            resident_kib()
        );
    }
    println!("{} bytes written", written_bytes() - before);
}

/// Bytes that this process handed to the system for files, by the kernel's count.
fn written_bytes() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    let line = io.lines().find(|line| line.starts_with("wchar:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn du(dir: &std::path::Path) -> String {
    let output = std::process::Command::new("du")
        .arg("-h")
        .arg(dir)
        .arg("--max-depth=1")
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).replace('\n', "; ")
}
