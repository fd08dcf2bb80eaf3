//! Full disks: small ones of our own, mounted where that is allowed.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use snug::limits;
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
