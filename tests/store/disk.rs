//! Full disks: small ones of our own, mounted where that is allowed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use snug::limits;
use snug::store::archive::{Answer, Query, Request};
use snug::store::{Backup, StoreError};

use crate::kill::number_of;
use crate::{contact, create, keys, open, texts};

#[test]
fn a_disk_that_fills_is_refused_in_time_and_forgiven() {
    let Some(disk) = Disk::new(64) else { return };
    let store = open(&disk.0.join("data"));
    let anna = create(&store, "anna");
    store.push_offline(anna, 1, "<m/>").unwrap();
    assert!(!store.commit().unwrap().space_is_low);
    assert!(disk.0.join("data/ballast").exists());

    disk.leave(limits::DISK_FREE_BYTES_LOW - 1_000_000);
    store.push_offline(anna, 2, "<m/>").unwrap();
    assert!(store.commit().unwrap().space_is_low);
    assert!(store.committer().is_ailing());
    assert!(matches!(
        store.push_offline(anna, 3, "<m/>"),
        Err(StoreError::Full)
    ));
    assert!(matches!(
        store.create_account("bert", keys(1), keys(2), 0),
        Err(StoreError::Full)
    ));
    assert!(matches!(
        store.put_roster_item(anna, &contact("bert@chat.test")),
        Err(StoreError::Full)
    ));
    assert!(StoreError::Full.to_string().contains("free some space"));
    // What does not grow goes on.
    store.set_keys("anna", keys(3), keys(4)).unwrap();
    let (first, _, _) = store.offline(anna).unwrap()[0];
    store.remove_offline(anna, first).unwrap();
    store.commit().unwrap();

    disk.free();
    store.push_offline(anna, 4, "<m/>").unwrap();
    assert!(!store.commit().unwrap().space_is_low);
    assert!(!store.committer().is_ailing());
    assert_eq!(
        (store.offline_count(anna).unwrap(), store.reopenings()),
        (2, 0)
    );
}

#[test]
fn a_disk_filled_by_others_loses_nothing_that_was_committed() {
    let Some(disk) = Disk::new(65) else { return };
    let data = disk.0.join("data");
    let store = open(&data);
    let anna = create(&store, "anna");
    for n in 0..20 {
        store
            .push_offline(anna, n, &format!("<m n='{n}'/>"))
            .unwrap();
    }
    store.commit().unwrap();
    // Every byte is taken at once, and a burst comes before the next look at the disk: sled finds out when it writes its next segment.
    disk.leave(0);
    let mut lost = Vec::new();
    for n in 20..100 {
        match store.push_offline(anna, n, &format!("<m n='{n}'>{}</m>", "x".repeat(30_000))) {
            Ok(_) => lost.push(store.ticket()),
            Err(error) => assert!(matches!(error, StoreError::Full), "{error}"),
        }
    }
    assert!(lost.len() > 10, "{}", lost.len());
    let committer = store.committer();
    for ticket in lost {
        assert!(
            matches!(committer.commit(ticket), Err(StoreError::Full)),
            "{ticket:?}: what is lost stays lost"
        );
    }
    assert!(committer.is_ailing());
    // The ballast was given back; what was committed is there, and of the rest a beginning at most.
    assert_eq!(store.reopenings(), 1);
    assert!(!data.join("ballast").exists());
    let kept: Vec<u64> = texts(&store, anna)
        .iter()
        .map(|xml| number_of(xml))
        .collect();
    assert!(
        kept.len() >= 20 && kept.iter().copied().eq(0..kept.len() as u64),
        "{kept:?}"
    );
    for _ in 0..3 {
        assert!(matches!(
            store.push_offline(anna, 0, "<m/>"),
            Err(StoreError::Full)
        ));
    }
    // The first write after the loss is refused, so that none rests on what is gone. Then a removal works and is committed, in what the ballast has left.
    let (first, _, _) = store.offline(anna).unwrap()[0];
    assert!(matches!(
        store.remove_offline(anna, first),
        Err(StoreError::Full)
    ));
    assert_eq!(store.remove_offline(anna, first).unwrap(), 1);
    store.commit().unwrap();

    disk.free();
    store.committer().recover().unwrap();
    assert!(!store.committer().is_ailing());
    assert!(data.join("ballast").exists());
    store.push_offline(anna, 0, "<m n='999'/>").unwrap();
    store.commit().unwrap();
    drop((store, committer));
    let store = open(&data);
    let numbers: Vec<u64> = texts(&store, anna)
        .iter()
        .map(|xml| number_of(xml))
        .collect();
    assert_eq!(
        numbers,
        kept[1..].iter().copied().chain([999]).collect::<Vec<_>>()
    );
}

#[test]
fn an_archive_on_a_full_disk_stops_nothing_and_goes_on_by_itself() {
    let Some(disk) = Disk::new(67) else { return };
    let data = disk.0.join("data");
    let store = open(&data);
    let anna = create(&store, "anna");
    let keep = |n: u64, xml: &str| {
        let with = format!("c{}@chat.test/x", n % 3);
        store.archive(anna, n, n.to_be_bytes(), &with, |out| {
            out.extend_from_slice(xml.as_bytes())
        })
    };
    let committer = store.committer();
    let mut reader = store.archive_reader();
    for n in 0..20 {
        keep(n, "safe").unwrap();
    }
    committer.commit(store.ticket()).unwrap();
    disk.leave(0);
    let mut lost = Vec::new();
    for n in 20..120 {
        match keep(n, &"x".repeat(30_000)) {
            Ok(_) => lost.push(store.ticket()),
            Err(error) => assert!(matches!(error, StoreError::Full), "{error}"),
        }
    }
    assert!(lost.len() > 10, "{}", lost.len());
    // Before anybody has reopened anything, what does not need the archive is kept: its own database has room in its segment.
    let mut account = store.account("anna").unwrap().unwrap();
    account.last_seen_ms = 7;
    store.put_account(&account).unwrap();
    for ticket in &lost {
        let refused = committer.commit(*ticket);
        assert!(
            matches!(refused, Err(StoreError::Full)),
            "{ticket:?}: what is lost stays lost"
        );
    }
    assert_eq!(store.reopenings(), 1);
    assert!(committer.is_ailing() && store.trouble().is_some());
    assert!(committer.commit(store.ticket()).is_ok());
    assert_eq!(store.account("anna").unwrap().unwrap().last_seen_ms, 7);
    for n in 0..3 {
        assert!(matches!(keep(n, "refused"), Err(StoreError::Full)));
    }
    let mut page = |with: Option<&str>| {
        let mut query = Query::of(anna);
        query.with = with.map(str::to_owned);
        match reader.answer(Request::Page(query)).unwrap() {
            Answer::Page { rows, .. } => rows,
            other => panic!("{other:?}"),
        }
    };
    // Of what was not committed a beginning at most is there.
    let kept = page(None);
    assert!(kept.len() >= 20);
    assert!(kept.iter().map(|row| row.at_ms).eq(0..kept.len() as u64));

    disk.free();
    committer.recover().unwrap();
    assert!(!committer.is_ailing());
    // The first one behind a loss is refused, so that nothing rests on what is gone.
    assert!(matches!(keep(500, "refused"), Err(StoreError::Full)));
    for n in 501..510 {
        keep(n, "again").unwrap();
    }
    committer.commit(store.ticket()).unwrap();
    let all = page(None);
    assert_eq!(all.len(), kept.len() + 9);
    let by_contact: usize = (0..3)
        .map(|c| page(Some(&format!("c{c}@chat.test"))).len())
        .sum();
    assert_eq!(by_contact, all.len());
    // A new volume on a full disk cannot be made; that changes nothing for the one that is written in.
    disk.leave(0);
    let roll = reader.answer(Request::Roll { at_ms: 600 });
    assert!(matches!(roll, Err(StoreError::Full)));
    disk.free();
    committer.recover().unwrap();
    // Where the disk was felt by the volume that is written in, the first one is refused once more.
    if let Err(error) = keep(601, "still") {
        assert!(matches!(error, StoreError::Full));
        keep(601, "still").unwrap();
    }
    committer.commit(store.ticket()).unwrap();
    assert_eq!(
        reader.answer(Request::Roll { at_ms: 602 }).unwrap(),
        Answer::Done(true)
    );
    keep(603, "another volume").unwrap();
    committer.commit(store.ticket()).unwrap();
    drop((store, committer, reader));
    let store = open(&data);
    let page = store
        .archive_reader()
        .answer(Request::Page(Query::of(anna)));
    let Answer::Page { rows, .. } = page.unwrap() else {
        panic!("a page");
    };
    assert_eq!(rows.len(), all.len() + 2);
}

/// What rows of an archive were lost is told to those who wait for them, and to nobody who comes later and writes no row.
#[test]
fn what_an_archive_lost_is_told_once() {
    let Some(disk) = Disk::new(67) else { return };
    let store = open(&disk.0.join("data"));
    let anna = create(&store, "anna");
    let committer = store.committer();
    let row = |n: u64| {
        store.archive(anna, n, n.to_be_bytes(), "c@chat.test/x", |out| {
            out.extend_from_slice(&[b'x'; 20_000])
        })
    };
    // Up to near the end of the file, and then a little more than it has room for: the commit is the first to hear of the disk.
    for n in 0..22 {
        row(n).unwrap();
    }
    committer.commit(store.ticket()).unwrap();
    disk.leave(0);
    for n in 22..28 {
        row(n).unwrap();
    }
    let refused = committer.commit(store.ticket());
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    disk.free();
    committer.recover().unwrap();
    let mut account = store.account("anna").unwrap().unwrap();
    account.last_seen_ms = 7;
    store.put_account(&account).unwrap();
    let kept = committer.commit(store.ticket());
    assert!(kept.is_ok(), "{kept:?}");
}

#[test]
fn a_start_on_a_full_disk_gives_the_ballast_back() {
    let Some(disk) = Disk::new(66) else { return };
    let data = disk.0.join("data");
    let store = open(&data);
    let anna = create(&store, "anna");
    drop(store);
    disk.leave(0);
    let store = open(&data);
    assert_eq!(store.account("anna").unwrap().unwrap().id, anna);
    assert!(matches!(
        store.push_offline(anna, 0, "<m/>"),
        Err(StoreError::Full)
    ));
    assert!(matches!(store.committer().backup(), Err(StoreError::Full)));
    drop(store);
    disk.free();
    let store = open(&data);
    store.push_offline(anna, 0, "<m/>").unwrap();
    assert!(matches!(
        store.committer().backup(),
        Ok(Backup::Written { .. })
    ));
}

/// A small disk of its own, or `None`, said aloud, where that is not allowed.
struct Disk(PathBuf);

impl Disk {
    fn new(mebibytes: u64) -> Option<Disk> {
        let path = std::env::temp_dir().join(format!(
            "snug-store-disk-{}-{mebibytes}",
            std::process::id()
        ));
        fs::create_dir_all(&path).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
            .arg(&path)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Disk(path)),
            other => {
                eprintln!("NOT RUN: a full disk needs a mount, which needs root: {other:?}");
                let _ = fs::remove_dir(&path);
                None
            }
        }
    }

    /// Fills the disk up to this many free bytes.
    fn leave(&self, bytes: u64) {
        let disk = rustix::fs::statvfs(&self.0).unwrap();
        let free = disk.f_bavail * disk.f_frsize;
        let file = fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.0.join("filler"))
            .unwrap();
        let length = file.metadata().unwrap().len();
        rustix::fs::fallocate(
            &file,
            rustix::fs::FallocateFlags::empty(),
            length,
            free - bytes,
        )
        .unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
        let _ = fs::remove_dir(&self.0);
    }
}
