//! The store against restarts, kills, damage and full disks.

mod archive;
mod cut;
mod damage;
mod disk;
mod figures;
mod kill;
mod moved;
mod records;
#[path = "../common/unsynced.rs"]
mod unsynced;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use snug::auth::ScramKeys;
use snug::store::{RosterItem, Store, Subscription, UserId};
use snug::xmpp::jid::BareJid;

/// A directory that goes with the test.
pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("snug-store-{name}-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        Dir(path)
    }

    pub fn open(&self) -> Store {
        open(&self.0)
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// How many databases were set aside.
    pub fn set_aside(&self) -> usize {
        let entries = fs::read_dir(&self.0).unwrap();
        entries
            .filter(|entry| {
                entry
                    .as_ref()
                    .unwrap()
                    .file_name()
                    .to_string_lossy()
                    .starts_with("main.broken-")
            })
            .count()
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Opens a store with which all is well.
pub fn open(dir: &Path) -> Store {
    let store = Store::open(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    assert_eq!(store.notices(), &[] as &[String]);
    store
}

/// A database without a store around it. sled's own threads may not be through with what was just closed.
pub fn raw(path: impl AsRef<Path>) -> sled::Db {
    for _ in 0..1000 {
        match sled::open(&path) {
            Err(error) if error.to_string().contains("could not acquire lock") => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened.unwrap(),
        }
    }
    panic!("{} stays open", path.as_ref().display());
}

pub fn keys(seed: u8) -> ScramKeys {
    ScramKeys {
        salt: vec![seed; 16],
        iterations: 10_000,
        stored_key: vec![seed ^ 1; 32],
        server_key: vec![seed ^ 2; 32],
    }
}

pub fn create(store: &Store, name: &str) -> UserId {
    store
        .create_account(name, keys(1), keys(2), 1_700_000_000_000)
        .unwrap()
}

pub fn contact(jid: &str) -> RosterItem {
    RosterItem {
        jid: BareJid::parse(jid).unwrap(),
        name: Some("A friend".to_owned()),
        groups: vec!["Friends".to_owned(), "Chess & tea".to_owned()],
        subscription: Subscription::Both,
        ask: false,
        approved: true,
        pending_in: None,
        listed: true,
        apart: false,
    }
}

pub fn texts(store: &Store, user: UserId) -> Vec<String> {
    store
        .offline(user)
        .unwrap()
        .into_iter()
        .map(|(_, _, xml)| xml)
        .collect()
}

/// xorshift: the same numbers for the same seed.
pub struct Random(pub u64);

impl Random {
    pub fn number(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
