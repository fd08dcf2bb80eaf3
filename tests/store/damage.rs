//! What a crash, a newer snug or a failing disk has left in the data directory, and what another process or a wrong path does.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use snug::store::{Backup, Store, StoreError, UserId};

use crate::{Dir, Random, contact, create, open, raw, texts};

#[test]
fn a_crash_in_the_midst_of_a_deletion_is_made_good() {
    let dir = Dir::new("half-deleted");
    let store = dir.open();
    let (anna, bert) = (create(&store, "anna"), create(&store, "bert"));
    for user in [anna, bert] {
        store
            .put_roster_item(user, &contact("carl@chat.test"))
            .unwrap();
        store.push_offline(user, 5, "<message/>").unwrap();
    }
    drop(store);
    // What the first write of `delete_account` leaves, for one whose account is there and for one whose name has a new owner.
    let main = raw(dir.file("main"));
    let deleted = main.open_tree("deleted").unwrap();
    deleted
        .insert(anna.number().to_be_bytes(), b"\x01\x04anna")
        .unwrap();
    deleted
        .insert(77u32.to_be_bytes(), b"\x01\x04bert")
        .unwrap();
    let offline = main.open_tree("offline").unwrap();
    let waiting = offline
        .scan_prefix(bert.number().to_be_bytes())
        .next()
        .unwrap()
        .unwrap();
    let key = [&77u32.to_be_bytes(), &waiting.0[4..]].concat();
    offline.insert(key, waiting.1).unwrap();
    drop((main, deleted, offline));

    let store = dir.open();
    assert!(store.account("anna").unwrap().is_none());
    assert!(store.roster(anna).unwrap().is_empty() && texts(&store, anna).is_empty());
    assert!(texts(&store, UserId::new(77)).is_empty());
    assert_eq!(store.account("bert").unwrap().unwrap().id, bert);
    assert_eq!(
        (store.roster(bert).unwrap().len(), texts(&store, bert).len()),
        (1, 1)
    );
    drop(store);
    let main = raw(dir.file("main"));
    assert!(main.open_tree("deleted").unwrap().is_empty());
}

#[test]
fn data_of_a_newer_snug_is_refused_and_left_as_it_is() {
    let dir = Dir::new("newer");
    let store = dir.open();
    create(&store, "anna");
    drop(store);
    let set = |tree: &str, key: &[u8], value: &[u8]| {
        let main = raw(dir.file("main"));
        main.open_tree(tree)
            .unwrap()
            .insert(key, value)
            .unwrap()
            .unwrap()
            .to_vec()
    };
    let old = set("meta", b"schema", b"\x01\x04\0\0\0\x02");
    let refused = Store::open(&dir.0).err().expect("a newer schema");
    assert!(matches!(refused, StoreError::Newer { .. }), "{refused}");
    assert!(refused.to_string().contains("newer snug"), "{refused}");
    assert_eq!(dir.set_aside(), 0);
    set("meta", b"schema", &old);

    // One record of a version that is not known: an error for who asks for it, not for all.
    let store = dir.open();
    create(&store, "bert");
    drop(store);
    set("accounts", b"anna", b"\xFF\x01a");
    let store = dir.open();
    assert!(matches!(
        store.account("anna"),
        Err(StoreError::Newer { .. })
    ));
    assert!(store.account("bert").unwrap().is_some());
}

#[test]
fn what_a_killed_snug_leaves_does_not_stop_the_next() {
    let dir = Dir::new("leftovers");
    let store = dir.open();
    create(&store, "anna");
    drop(store);
    // A snapshot that sled did not finish makes its own open fail; a database that was not made to its end; the file of a lock that nobody holds.
    fs::write(dir.file("main/snap.00000000000000FF.generating"), b"half").unwrap();
    fs::create_dir(dir.file("main.making")).unwrap();
    fs::write(dir.file("main.making/db"), b"half").unwrap();
    fs::write(dir.file("lock"), b"4194304\n").unwrap();
    let conf = fs::metadata(dir.file("main/conf"))
        .unwrap()
        .modified()
        .unwrap();
    let store = dir.open();
    assert_eq!(
        fs::metadata(dir.file("main/conf"))
            .unwrap()
            .modified()
            .unwrap(),
        conf
    );
    assert!(store.account("anna").unwrap().is_some());
    assert!(!dir.file("main/snap.00000000000000FF.generating").exists());
    assert!(!dir.file("main.making").exists());
}

#[test]
fn a_data_directory_has_one_snug() {
    let dir = Dir::new("lock");
    let store = dir.open();
    let refused = Store::open(&dir.0).err().expect("a second one");
    assert!(
        matches!(refused, StoreError::InUse { holder: Some(process), .. } if process == std::process::id())
    );
    assert!(refused.to_string().contains("--data"), "{refused}");
    drop(store);
    dir.open();
}

#[test]
fn only_the_owner_may_look() {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let dir = Dir::new("mode");
    let store = dir.open();
    store.committer().backup().unwrap();
    assert_eq!(mode(&dir.0), 0o700);
    assert_eq!(mode(&dir.file("main")), 0o700);
    assert_eq!(mode(&dir.file("backup")), 0o700);
    assert_eq!(mode(&dir.file("backup/main.dump")), 0o600);
    drop(store);
    fs::set_permissions(&dir.0, fs::Permissions::from_mode(0o755)).unwrap();
    dir.open();
    assert_eq!(mode(&dir.0), 0o700);
    // One that is everybody's stays so, and the operator hears of it.
    let shared = Dir::new("shared");
    fs::create_dir(&shared.0).unwrap();
    fs::set_permissions(&shared.0, fs::Permissions::from_mode(0o1777)).unwrap();
    let store = Store::open(&shared.0).unwrap();
    assert_eq!(mode(&shared.0), 0o777);
    assert!(
        store.notices()[0].contains("can be looked into by others"),
        "{:?}",
        store.notices()
    );
}

#[test]
fn paths_that_cannot_be_are_a_sentence() {
    let dir = Dir::new("paths");
    fs::create_dir(&dir.0).unwrap();
    fs::write(dir.file("file"), b"").unwrap();
    for path in [dir.file("file"), dir.file("file/below")] {
        let refused = Store::open(&path).err().expect("a file is no directory");
        assert!(matches!(refused, StoreError::Io(..)), "{refused}");
        assert!(
            refused.to_string().contains(path.to_str().unwrap()),
            "{refused}"
        );
    }
}

/// 20 accounts with 10 contacts each from `first` on, one commit each.
fn fill(store: &Store, first: usize) {
    for n in first..first + 20 {
        let user = create(store, &format!("user{n}"));
        for c in 0..10 {
            store
                .put_roster_item(user, &contact(&format!("c{c}@chat.test")))
                .unwrap();
        }
        store
            .push_offline(user, 1, &"m".repeat(if n % 5 == 0 { 20_000 } else { 20 }))
            .unwrap();
        store.commit().unwrap();
    }
}

/// How much of what `fill` made can be read.
fn count(store: &Store) -> (usize, usize, usize) {
    let accounts = store.accounts().unwrap();
    let items = accounts
        .iter()
        .map(|account| store.roster(account.id).unwrap().len())
        .sum();
    let messages = accounts
        .iter()
        .map(|account| texts(store, account.id).len())
        .sum();
    (accounts.len(), items, messages)
}

#[test]
fn a_backup_is_written_when_something_has_changed() {
    let dir = Dir::new("backup");
    let store = dir.open();
    fill(&store, 0);
    let Backup::Written { records, bytes } = store.committer().backup().unwrap() else {
        panic!("the first backup")
    };
    // 20 accounts, contacts, messages, and what the database says of itself.
    assert_eq!(records, 20 + 200 + 20 + 3);
    assert_eq!(
        fs::metadata(dir.file("backup/main.dump")).unwrap().len(),
        bytes
    );
    assert_eq!(store.committer().backup().unwrap(), Backup::Unchanged);
    drop(store);
    let store = dir.open();
    assert_eq!(store.committer().backup().unwrap(), Backup::Unchanged);
    assert!(!dir.file("backup/main.dump.previous").exists());
    let first = fs::read(dir.file("backup/main.dump")).unwrap();
    fill(&store, 20);
    assert!(matches!(
        store.committer().backup().unwrap(),
        Backup::Written { .. }
    ));
    assert_eq!(
        fs::read(dir.file("backup/main.dump.previous")).unwrap(),
        first
    );
    assert!(!dir.file("backup/main.dump.new").exists());

    // A last backup that rots does not push out the one before it.
    fs::write(dir.file("backup/main.dump"), b"snug backup\nrot").unwrap();
    assert!(matches!(
        store.committer().backup().unwrap(),
        Backup::Written { .. }
    ));
    assert_eq!(
        fs::read(dir.file("backup/main.dump.previous")).unwrap(),
        first
    );
}

#[test]
fn a_broken_database_is_set_aside_and_restored() {
    let dir = Dir::new("restore");
    let store = dir.open();
    fill(&store, 0);
    let secret = store.secret();
    let last = store.account("user19").unwrap().unwrap().id;
    store.committer().backup().unwrap();
    drop(store);
    fs::write(dir.file("main/db"), vec![0xa5; 700_000]).unwrap();

    let store = Store::open(&dir.0).unwrap();
    assert_eq!(store.notices().len(), 1);
    assert!(
        store.notices()[0].contains("main.broken-") && store.notices()[0].contains("backup"),
        "{:?}",
        store.notices()
    );
    assert_eq!(dir.set_aside(), 1);
    assert_eq!(count(&store), (20, 200, 20));
    assert_eq!(store.secret(), secret);
    // Accounts made after the backup may have had the next ids: what they left elsewhere must not go to somebody else.
    let next = create(&store, "new");
    assert!(next.number() > last.number() + 60_000, "{next:?}");
    drop(store);
    assert_eq!(count(&dir.open()), (21, 200, 20));

    // A second time in the same second, and with the last backup damaged too: the one before it is taken.
    let store = dir.open();
    store.committer().backup().unwrap();
    drop(store);
    fs::write(dir.file("main/db"), vec![0x5a; 700_000]).unwrap();
    let mut dump = fs::read(dir.file("backup/main.dump")).unwrap();
    let middle = dump.len() / 2;
    dump[middle] ^= 1;
    fs::write(dir.file("backup/main.dump"), &dump).unwrap();
    let store = Store::open(&dir.0).unwrap();
    assert!(
        store.notices()[0].contains("main.dump.previous"),
        "{:?}",
        store.notices()
    );
    assert_eq!(dir.set_aside(), 2);
    assert_eq!(count(&store), (20, 200, 20));
    drop(store);

    // A database that is gone is restored too; where nothing can be read, nothing is begun in its place.
    fs::remove_dir_all(dir.file("main")).unwrap();
    let store = Store::open(&dir.0).unwrap();
    assert_eq!((count(&store), store.notices().len()), ((20, 200, 20), 1));
    drop(store);
    fs::write(dir.file("main/db"), vec![0x5a; 700_000]).unwrap();
    fs::write(dir.file("backup/main.dump.previous"), &dump).unwrap();
    for _ in 0..2 {
        let refused = Store::open(&dir.0).err().expect("nothing is left");
        assert!(
            matches!(refused, StoreError::Broken(_)) && refused.to_string().contains("backup"),
            "{refused}"
        );
    }
}

#[test]
fn damage_found_at_work_is_an_error_then_and_made_good_at_the_next_start() {
    let dir = Dir::new("at-work");
    let store = dir.open();
    fill(&store, 0);
    store.committer().backup().unwrap();
    fill(&store, 20);
    drop(store);
    let store = dir.open();
    // The disk goes bad under the open database.
    let db = fs::OpenOptions::new()
        .write(true)
        .open(dir.file("main/db"))
        .unwrap();
    let length = db.metadata().unwrap().len() as usize;
    db.write_all_at(&vec![0xa5; length], 0).unwrap();
    let error = (0..40)
        .find_map(|n| store.account(&format!("user{n}")).err())
        .expect("not everything was in memory");
    assert!(matches!(error, StoreError::Broken(_)), "{error}");
    assert!(error.to_string().contains("Restart snug"), "{error}");
    assert!(
        store.committer().backup().is_err(),
        "a damaged database is no new backup"
    );
    assert!(dir.file("main.damaged").exists());
    drop(store);
    let store = Store::open(&dir.0).unwrap();
    assert_eq!((store.notices().len(), count(&store)), (1, (20, 200, 20)));
    assert!(!dir.file("main.damaged").exists());
}

#[test]
fn a_database_that_breaks_before_its_first_backup_is_begun_anew() {
    let dir = Dir::new("anew");
    let store = dir.open();
    let anna = create(&store, "anna");
    drop(store);
    fs::write(dir.file("main/db"), vec![0xa5; 700_000]).unwrap();
    let store = Store::open(&dir.0).unwrap();
    assert!(
        store.notices()[0].contains("main.broken-"),
        "{:?}",
        store.notices()
    );
    assert!(store.accounts().unwrap().is_empty());
    assert!(create(&store, "anna").number() > anna.number() + (1 << 30));
}

#[test]
fn no_flipped_bit_is_passed_over_in_silence() {
    let dir = Dir::new("flip");
    let store = dir.open();
    fill(&store, 0);
    store.committer().backup().unwrap();
    fill(&store, 20);
    drop(store);
    let mut random = Random(0x5eed);
    for round in 0..60 {
        let copy = Dir::new("flipped");
        let copied = Command::new("cp")
            .arg("-a")
            .arg(&dir.0)
            .arg(&copy.0)
            .status()
            .unwrap();
        assert!(copied.success());
        let snapshot = fs::read_dir(copy.file("main"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .find(|path| {
                path.file_name()
                    .unwrap()
                    .to_string_lossy()
                    .starts_with("snap.")
            })
            .unwrap();
        let file = match round % 10 {
            0 => copy.file("main/conf"),
            1 => copy.file("main/commits"),
            2 => snapshot,
            _ => copy.file("main/db"),
        };
        let mut bytes = fs::read(&file).unwrap();
        let at = (random.number() % bytes.len() as u64) as usize;
        match round % 3 {
            0 => bytes[at] ^= 1 << (random.number() % 8),
            1 => bytes[at..]
                .iter_mut()
                .take(512)
                .for_each(|byte| *byte = random.number() as u8),
            _ => bytes.truncate(at),
        }
        fs::write(&file, &bytes).unwrap();
        let what = format!("round {round}, {} at {at}", file.display());
        let store = Store::open(&copy.0).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = count(&store);
        assert!(
            found.0 >= 20 && found.1 >= 200 && found.2 >= 20,
            "{what}: {found:?}"
        );
        assert!(
            found == (40, 400, 40) || !store.notices().is_empty(),
            "{what}: {found:?} and not a word"
        );
        // And it goes on from there.
        create(&store, "new");
        store.commit().unwrap();
        drop(store);
        assert!(open(&copy.0).account("new").unwrap().is_some(), "{what}");
    }
}

#[test]
fn no_damaged_backup_is_taken_for_one() {
    let dir = Dir::new("dumps");
    let store = dir.open();
    fill(&store, 0);
    store.committer().backup().unwrap();
    drop(store);
    let dump = fs::read(dir.file("backup/main.dump")).unwrap();
    fs::remove_dir_all(dir.file("main")).unwrap();
    let mut random = Random(3);
    for round in 0..200 {
        let mut damaged = dump.clone();
        let at = match round {
            0..50 => round,
            50..100 => dump.len() - 1 - (round - 50),
            _ => (random.number() % dump.len() as u64) as usize,
        };
        match round % 4 {
            0 => damaged.truncate(at),
            1 => damaged.push(0),
            _ => damaged[at] ^= 1 << (random.number() % 8),
        }
        fs::write(dir.file("backup/main.dump"), &damaged).unwrap();
        let refused = Store::open(&dir.0)
            .err()
            .unwrap_or_else(|| panic!("round {round}, at {at}"));
        assert!(
            matches!(refused, StoreError::Broken(_)),
            "round {round}, at {at}: {refused}"
        );
    }
    fs::write(dir.file("backup/main.dump"), &dump).unwrap();
    assert_eq!(count(&Store::open(&dir.0).unwrap()), (20, 200, 20));
}

#[test]
fn a_backup_is_whole_while_the_engine_writes() {
    let dir = Dir::new("busy-backup");
    let store = dir.open();
    let anna = create(&store, "anna");
    let mut item = contact("bert@chat.test");
    let committer = store.committer();
    let stop = AtomicBool::new(false);
    let backups = std::thread::scope(|scope| {
        let backups = scope.spawn(|| {
            let mut written = 0;
            while !stop.load(Ordering::Relaxed) {
                written += usize::from(committer.backup().unwrap() != Backup::Unchanged);
            }
            written
        });
        let begin = Instant::now();
        let mut round = 0u64;
        while begin.elapsed() < Duration::from_secs(2) {
            round += 1;
            // Long and short by turns, so that pieces come and go under the backup's hands.
            item.pending_in = Some(format!(
                "{round}{}",
                "z".repeat(if round.is_multiple_of(2) { 40_000 } else { 100 })
            ));
            store.put_roster_item(anna, &item).unwrap();
            let name = format!("user{}", round % 7);
            if store.delete_account(&name).is_err() {
                let user = create(&store, &name);
                store.push_offline(user, round, &"m".repeat(9_000)).unwrap();
            }
        }
        stop.store(true, Ordering::Relaxed);
        backups.join().unwrap()
    });
    assert!(backups > 1, "{backups}");
    assert!(!dir.file("main.damaged").exists());
    drop(store);
    fs::remove_dir_all(dir.file("main")).unwrap();
    let store = Store::open(&dir.0).unwrap();
    let pending = store.roster(anna).unwrap()[0].pending_in.clone().unwrap();
    assert!(pending.trim_end_matches('z').parse::<u64>().unwrap() > 0);
    // Nothing of a user who is not there.
    let known: Vec<u32> = store
        .accounts()
        .unwrap()
        .iter()
        .map(|account| account.id.number())
        .collect();
    drop(store);
    let main = raw(dir.file("main"));
    for entry in main.open_tree("offline").unwrap().iter() {
        let user = u32::from_be_bytes(entry.unwrap().0[..4].try_into().unwrap());
        assert!(known.contains(&user), "{user} of {known:?}");
    }
}
