//! One sled database: opened in a guard, committed for good, set aside when it is broken.
//!
//! What sled 0.34 does not do by itself, and is done here:
//! - its `flush` does not reach the disk: every commit is `flush` and `fdatasync` of the file `db`;
//! - it panics on damage: every call is made inside a guard that makes an error of it;
//! - it writes a node of 128 KiB or more to a file in `blobs/` that is never synced: values are cut to pieces so small that no node grows to that;
//! - it can stand still for ever when too much waits to be written: the writing thread is held back before that (`live.rs`);
//! - after one error of writing it refuses everything until it is reopened: [`Database::recover`];
//! - `apply_batch` and transactions take a lock that `flush` holds while it waits for the disk: they would make the engine wait for an SD card, so they
//!   are not used. Instead writes of several keys come in an order in which every beginning is right: sled's log is one sequence, and what a crash leaves
//!   is always a beginning of it.

use std::fs::{self, File};
use std::ops::Deref;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::time::{SystemTime, UNIX_EPOCH};

use super::error::StoreError;
use super::files::{beside, create_private_dir, parent, remove_if_there, sync_dir};
use super::guard::{guarded, mark_damaged};
use super::keys::{Key, Tree};
use super::live::{COMMITS, Live, commits_value, mark_bytes, open_live};
use super::pieces::{IN_PIECES, PIECE, PIECE_VERSION, Pieces};
use super::scan::Scan;
use crate::limits::{STORE_KEY_BYTES, STORE_PIECE_BYTES, STORE_RECORD_BYTES};

/// A moment in the sequence of a database's writes, as their number: what was written before it is safe once [`Database::commit`] has been given it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Written(pub u64);

/// A value as it came out of a database.
pub enum Value {
    /// In one piece, shared with sled's cache.
    Short(sled::IVec),
    /// Put together.
    Long(Vec<u8>),
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Value::Short(bytes) => bytes,
            Value::Long(bytes) => bytes,
        }
    }
}

/// What a kind of databases has in common.
pub struct Kind {
    /// The names of its trees, in their places.
    pub trees: &'static [&'static str],
    /// Bytes of sled's page cache.
    pub cache_bytes: u64,
    /// Whether an open looks through all pieces of long records for such as a crash has left. Without it they stay, which costs their bytes and nothing
    /// else: no head names them.
    pub sweeps: bool,
}

/// A handle of one open sled database. Its clones are the same database; one thread writes records, others may read and commit.
pub struct Database {
    shared: Arc<Shared>,
    /// How many reopenings this handle's writer has been told of.
    told: AtomicU64,
}

impl Clone for Database {
    fn clone(&self) -> Database {
        Database {
            shared: self.shared.clone(),
            told: AtomicU64::new(self.reopenings()),
        }
    }
}

struct Shared {
    path: PathBuf,
    kind: &'static Kind,
    /// `None` while a reopening has failed.
    live: RwLock<Option<Live>>,
    /// Writes so far, also those that failed: they may have written part of themselves.
    written: AtomicU64,
    /// The last write that did not fail.
    fine: AtomicU64,
    /// Writes that the disk has; changed under `committing`.
    committed: AtomicU64,
    /// Held by whoever commits or reopens.
    committing: Mutex<Committing>,
    /// Commits that are missing at the end of what was opened.
    missing: u64,
    /// Ranges of writes (after the first, up to the second) that a reopening has thrown away.
    lost: Mutex<Vec<(u64, u64)>>,
    /// sled has refused to write and must be reopened.
    failed: AtomicBool,
    /// Reopenings so far.
    reopened: AtomicU64,
    /// Keys looked up and ranges begun so far.
    reads: AtomicU64,
}

struct Committing {
    /// The number of commits of this database since it was made.
    number: u64,
    /// Up to where somebody has heard whether their writes are kept.
    told: Written,
}

impl Database {
    /// Opens the database at `path`, which must exist or be made by this call.
    ///
    /// `Broken`: it is damaged, [`Database::set_aside`] is what to do. `Newer`, `Full` and `Io` say nothing about the data.
    pub fn open(path: &Path, kind: &'static Kind) -> Result<Database, StoreError> {
        let (live, commits, missing) = open_live(path, kind)?;
        let database = Database {
            shared: Arc::new(Shared {
                path: path.to_path_buf(),
                kind,
                live: RwLock::new(Some(live)),
                written: AtomicU64::new(0),
                fine: AtomicU64::new(0),
                committed: AtomicU64::new(0),
                committing: Mutex::new(Committing {
                    number: commits,
                    told: Written(0),
                }),
                missing,
                lost: Mutex::new(Vec::new()),
                failed: AtomicBool::new(false),
                reopened: AtomicU64::new(0),
                reads: AtomicU64::new(0),
            }),
            told: AtomicU64::new(0),
        };
        let mark = beside(path, "damaged");
        if missing > 0 || mark.exists() {
            database.read_everything()?;
            remove_if_there(&mark)?;
        }
        if kind.sweeps {
            database.sweep_pieces()?;
        }
        Ok(database)
    }

    /// Makes a database at `path` where none is, filled by `fill`: it appears there whole and on the disk, or not at all.
    pub fn make(
        path: &Path,
        kind: &'static Kind,
        fill: impl FnOnce(&Database) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let making = beside(path, "making");
        if making.exists() {
            fs::remove_dir_all(&making).map_err(StoreError::io(&making))?;
        }
        create_private_dir(&making)?;
        {
            let database = Database::open(&making, kind)?;
            fill(&database)?;
            database.commit_all()?;
        }
        // What is renamed now has no lock of sled's to be waited for: the lock belongs to the file and goes with it.
        sync_dir(&making)?;
        fs::rename(&making, path).map_err(StoreError::io(path))?;
        sync_dir(parent(path))
    }

    /// Renames a broken database out of the way; returns its new path.
    pub fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
        let seconds = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let aside = (0..)
            .map(|n| {
                beside(
                    path,
                    &if n == 0 {
                        format!("broken-{seconds}")
                    } else {
                        format!("broken-{seconds}-{n}")
                    },
                )
            })
            .find(|candidate| !candidate.exists())
            .expect("some number is free");
        fs::rename(path, &aside).map_err(StoreError::io(path))?;
        sync_dir(parent(path))?;
        let mark = beside(path, "damaged");
        remove_if_there(&mark)?;
        Ok(aside)
    }

    /// The value of a key.
    pub fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Value>, StoreError> {
        self.shared.reads.fetch_add(1, Ordering::Relaxed);
        let live = self.live()?;
        let live = live.as_ref().ok_or(StoreError::Full)?;
        match self.guard(|| live.trees[usize::from(tree.0)].get(key))? {
            Some(head) => self.whole(live, tree, key, head),
            None => Ok(None),
        }
    }

    /// Sets the value of a key. The value is a record: its first byte, the version, is not 0.
    ///
    /// A record in pieces: first the new pieces, under a number not in use, then the head that names that number, then the old pieces go. A crash
    /// between leaves the old or the new record and perhaps pieces that no head names, which the next open removes.
    pub fn put(&self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        assert!(
            key.len() <= STORE_KEY_BYTES && !value.is_empty() && value[0] != IN_PIECES,
            "a key of keys.rs and a record of record.rs"
        );
        if value.len() > STORE_RECORD_BYTES {
            return Err(StoreError::TooLong);
        }
        self.write(|live| {
            let heads = &live.trees[usize::from(tree.0)];
            if value.len() <= STORE_PIECE_BYTES {
                let old = live.insert(heads, key, value)?;
                return match old.as_deref().and_then(Pieces::of) {
                    Some(old) => old.remove(live, tree, key),
                    None => Ok(()),
                };
            }
            let old = heads.get(key)?.as_deref().and_then(Pieces::of);
            let pieces = Pieces {
                write: old.as_ref().map_or(1, |old| old.write.wrapping_add(1)),
                bytes: value.len(),
            };
            for (number, piece) in value.chunks(PIECE).enumerate() {
                let mut bytes = Vec::with_capacity(piece.len() + 1);
                bytes.push(PIECE_VERSION);
                bytes.extend_from_slice(piece);
                live.insert(&live.long, &pieces.key(tree, key, number as u16), bytes)?;
            }
            live.insert(heads, key, &pieces.head())?;
            match old {
                Some(old) => old.remove(live, tree, key),
                None => Ok(()),
            }
        })
    }

    /// Removes a key; whether it was there. The head goes first, then its pieces.
    pub fn remove(&self, tree: Tree, key: &[u8]) -> Result<bool, StoreError> {
        self.write(|live| {
            let old = live.remove(&live.trees[usize::from(tree.0)], key)?;
            if let Some(old) = old.as_deref().and_then(Pieces::of) {
                old.remove(live, tree, key)?;
            }
            Ok(old.is_some())
        })
    }

    /// Removes every key that begins with `prefix`, lowest first, up to `last` (itself too); how many.
    pub fn remove_range(
        &self,
        tree: Tree,
        prefix: &[u8],
        last: Option<&[u8]>,
    ) -> Result<usize, StoreError> {
        let mut count = 0;
        let mut heads = self.scan(tree, prefix)?;
        while let Some(entry) = heads.next_head() {
            let (key, _) = entry?;
            if last.is_some_and(|last| key.as_ref() > last) {
                break;
            }
            self.remove(tree, &key)?;
            count += 1;
        }
        Ok(count)
    }

    /// The keys that begin with `prefix` and their values, in order.
    pub fn scan(&self, tree: Tree, prefix: &[u8]) -> Result<Scan<'_>, StoreError> {
        self.scan_from(tree, prefix, prefix)
    }

    /// Like [`Database::scan`], beginning at the key `from`.
    pub fn scan_from(
        &self,
        tree: Tree,
        prefix: &[u8],
        from: &[u8],
    ) -> Result<Scan<'_>, StoreError> {
        self.shared.reads.fetch_add(1, Ordering::Relaxed);
        let live = self.live()?;
        let live = live.as_ref().ok_or(StoreError::Full)?;
        let entries = live.trees[usize::from(tree.0)].range(from..);
        let prefix = Key::from_slice(prefix).expect("a prefix of a key of keys.rs");
        Ok(Scan::new(self, tree, prefix, entries))
    }

    /// The keys from `low` to `high` (itself too) that begin with `prefix`, and their values: in order, or from the end.
    pub fn scan_between(
        &self,
        tree: Tree,
        prefix: &[u8],
        low: &[u8],
        high: &[u8],
    ) -> Result<Scan<'_>, StoreError> {
        self.shared.reads.fetch_add(1, Ordering::Relaxed);
        let live = self.live()?;
        let live = live.as_ref().ok_or(StoreError::Full)?;
        let entries = live.trees[usize::from(tree.0)].range(low..=high);
        let prefix = Key::from_slice(prefix).expect("a prefix of a key of keys.rs");
        Ok(Scan::new(self, tree, prefix, entries))
    }

    /// The last key that begins with `prefix`, and its value.
    pub fn last(
        &self,
        tree: Tree,
        prefix: &[u8],
    ) -> Result<Option<(sled::IVec, Value)>, StoreError> {
        self.shared.reads.fetch_add(1, Ordering::Relaxed);
        let live = self.live()?;
        let live = live.as_ref().ok_or(StoreError::Full)?;
        match self.guard(|| {
            live.trees[usize::from(tree.0)]
                .scan_prefix(prefix)
                .next_back()
                .transpose()
        })? {
            Some((key, head)) => Ok(self
                .whole(live, tree, &key, head)?
                .map(|value| (key, value))),
            None => Ok(None),
        }
    }

    /// The moment after the last write.
    pub fn written(&self) -> Written {
        Written(self.shared.written.load(Ordering::Acquire))
    }

    /// How often a key was looked up or a range begun.
    pub fn reads(&self) -> u64 {
        self.shared.reads.load(Ordering::Relaxed)
    }

    /// Whether something was written since the last commit.
    pub fn is_dirty(&self) -> bool {
        self.shared.written.load(Ordering::Acquire) != self.shared.committed.load(Ordering::Acquire)
    }

    /// Whether sled has refused to write: [`Database::recover`] is needed.
    pub fn has_failed(&self) -> bool {
        self.shared.failed.load(Ordering::Acquire)
    }

    /// How often the database was reopened after a failure. When this grows, what was written and not committed is gone: forget what you keep of it.
    pub fn reopenings(&self) -> u64 {
        self.shared.reopened.load(Ordering::Acquire)
    }

    /// Makes everything written before `upto` survive a power cut; whether anything had to be done. Waits for the disk: for the storage thread.
    ///
    /// Without writes since the last commit there is no system call. An error means that some of what was written behind the last `upto` is lost.
    pub fn commit(&self, upto: Written) -> Result<bool, StoreError> {
        let mut commits = lock(&self.shared.committing);
        let told = commits.told;
        commits.told = told.max(upto);
        // Who asks for all up to here may ask for others too, who have asked nothing themselves.
        if lock(&self.shared.lost)
            .iter()
            .any(|&(from, to)| from < upto.0 && (upto.0 <= to || told.0 < to))
        {
            return Err(StoreError::Full);
        }
        self.commit_holding(&mut commits, upto)
    }

    /// Like [`Database::commit`] of everything, for who has written it all by themselves.
    pub fn commit_all(&self) -> Result<bool, StoreError> {
        self.commit_holding(&mut lock(&self.shared.committing), self.written())
    }

    fn commit_holding(&self, commits: &mut Committing, upto: Written) -> Result<bool, StoreError> {
        let shared = &*self.shared;
        if upto.min(self.written()).0 <= shared.committed.load(Ordering::Acquire) {
            return Ok(false);
        }
        if self.has_failed() {
            return Err(StoreError::Full);
        }
        // A write counts itself after it is in sled's log: whatever is counted here is in what is flushed now.
        let written = shared.written.load(Ordering::Acquire);
        let live = shared.live.read().unwrap_or_else(PoisonError::into_inner);
        let live = live.as_ref().ok_or(StoreError::Full)?;
        let next = commits.number + 1;
        self.guard(|| {
            live.db.insert(COMMITS, &commits_value(next))?;
            live.db.flush()
        })?;
        if let Err(error) = live.file.sync_data() {
            // The kernel forgets what it could not write: a second fdatasync would say that all is well.
            shared.failed.store(true, Ordering::Release);
            return Err(StoreError::io(&shared.path)(error));
        }
        shared.committed.store(written, Ordering::Release);
        commits.number = next;
        if let Err(error) = live.mark.write_all_at(&mark_bytes(next), 0) {
            log::debug!("{}/{COMMITS}: {error}", shared.path.display());
        }
        Ok(true)
    }

    /// Reopens after a failure; what was not committed is given up. Takes as long as an open: for the storage thread.
    ///
    /// Until it succeeds everything fails; the first write of each handle afterwards fails once too, so that no answer rests on writes of which some are gone.
    pub fn recover(&self) -> Result<(), StoreError> {
        let shared = &*self.shared;
        let mut commits = lock(&shared.committing);
        if !self.has_failed() {
            return Ok(());
        }
        let mut live = shared.live.write().unwrap_or_else(PoisonError::into_inner);
        let committed = shared.committed.load(Ordering::Acquire);
        // Reopening counts as a write: who comes later asks for more than was lost, also without writing here.
        let written = shared.written.fetch_add(1, Ordering::AcqRel) + 1;
        let fine = shared.fine.load(Ordering::Acquire);
        if committed < fine {
            lock(&shared.lost).push((committed, fine));
        }
        shared.committed.store(written, Ordering::Release);
        if let Some(old) = live.take() {
            drop(old);
            // What the kernel still shows of writes that failed must not be taken for what is on the disk.
            if let Ok(file) = File::open(shared.path.join("db")) {
                let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
            }
        }
        let (opened, number, missing) = open_live(&shared.path, shared.kind)?;
        if missing > 0 {
            log::error!(
                "{}: the last {missing} commits are missing",
                shared.path.display()
            );
        }
        *live = Some(opened);
        commits.number = number;
        // Who sees the new number can read at once; writes are refused until both are set.
        drop(live);
        shared.reopened.fetch_add(1, Ordering::AcqRel);
        shared.failed.store(false, Ordering::Release);
        Ok(())
    }

    /// How many commits were missing at the end of the database when it was opened: data that was acknowledged and is gone.
    pub fn missing_commits(&self) -> u64 {
        self.shared.missing
    }

    /// Reads every record of every tree, or says what is damaged.
    pub fn read_everything(&self) -> Result<(), StoreError> {
        for tree in 0..self.shared.kind.trees.len() {
            for entry in self.scan(Tree(tree as u8), b"")? {
                entry?;
            }
        }
        Ok(())
    }

    /// The names of the trees, in their places.
    pub fn trees(&self) -> &'static [&'static str] {
        self.shared.kind.trees
    }

    /// The directory of this database.
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// Removes pieces whose head does not name them: what a crash in the midst of a write in pieces has left.
    fn sweep_pieces(&self) -> Result<(), StoreError> {
        let long = match &*self.live()? {
            Some(live) => live.long.clone(),
            None => return Err(StoreError::Full),
        };
        let mut entries = long.iter();
        let mut kept: Option<sled::IVec> = None;
        while let Some(entry) = self.guard(|| entries.next().transpose())? {
            let (key, _) = entry;
            let Some((owner, write)) = Pieces::owner(&key) else {
                self.write(|live| live.remove(&live.long, &key))?;
                continue;
            };
            // One look at the head for all pieces of one write.
            if kept
                .as_deref()
                .is_some_and(|kept| kept[..kept.len() - 2] == key[..key.len() - 2])
            {
                continue;
            }
            let (tree, head_key) = (usize::from(owner[0]), &owner[1..]);
            let head = match self.live()?.as_ref().and_then(|live| live.trees.get(tree)) {
                Some(heads) => self.guard(|| heads.get(head_key))?,
                None => None,
            };
            if head
                .as_deref()
                .and_then(Pieces::of)
                .is_some_and(|pieces| pieces.write == write)
            {
                kept = Some(key);
            } else {
                self.write(|live| live.remove(&live.long, &key))?;
            }
        }
        Ok(())
    }

    /// The record that a head stands for; `None` if it has been removed meanwhile.
    fn whole(
        &self,
        live: &Live,
        tree: Tree,
        key: &[u8],
        mut head: sled::IVec,
    ) -> Result<Option<Value>, StoreError> {
        // Pieces that are missing are damage, unless the writing thread has just replaced the record: the head goes before its pieces.
        let mut unchanged = 0;
        loop {
            if head.first() != Some(&IN_PIECES) {
                return Ok(Some(Value::Short(head)));
            }
            if let Some(pieces) = Pieces::of(&head)
                && let Some(record) = self.guard(|| pieces.collect(live, tree, key))?
            {
                return Ok(Some(Value::Long(record)));
            }
            match self.guard(|| live.trees[usize::from(tree.0)].get(key))? {
                None => return Ok(None),
                Some(now) if now == head && unchanged == 3 => {
                    return Err(self.broken("a record in pieces is not whole"));
                }
                Some(now) => {
                    unchanged = if now == head { unchanged + 1 } else { 0 };
                    head = now;
                }
            }
        }
    }

    fn live(&self) -> Result<RwLockReadGuard<'_, Option<Live>>, StoreError> {
        // Never waits: the only one who locks for writing is `recover`, and it may take a second.
        self.shared.live.try_read().map_err(|_| StoreError::Full)
    }

    fn write<T>(&self, act: impl FnOnce(&Live) -> sled::Result<T>) -> Result<T, StoreError> {
        let shared = &*self.shared;
        let live = self.live()?;
        let live = live.as_ref().ok_or(StoreError::Full)?;
        let reopened = shared.reopened.load(Ordering::Acquire);
        if self.has_failed() || self.told.swap(reopened, Ordering::AcqRel) != reopened {
            return Err(StoreError::Full);
        }
        let result = self.guard(|| act(live));
        let number = shared.written.fetch_add(1, Ordering::AcqRel) + 1;
        if result.is_ok() {
            shared.fine.fetch_max(number, Ordering::AcqRel);
        }
        result
    }

    /// Calls sled; its panics and errors become ours, and are remembered where they have consequences.
    pub(super) fn guard<T>(&self, act: impl FnOnce() -> sled::Result<T>) -> Result<T, StoreError> {
        let error = match guarded(act) {
            Ok(value) => return Ok(value),
            Err(failure) => failure.into_error(&self.shared.path),
        };
        match &error {
            StoreError::Full | StoreError::Io(..) => {
                self.shared.failed.store(true, Ordering::Release)
            }
            StoreError::Broken(_) => mark_damaged(&self.shared.path),
            _ => {}
        }
        Err(error)
    }

    fn broken(&self, what: &str) -> StoreError {
        mark_damaged(&self.shared.path);
        StoreError::Broken(format!("{}: {what}", self.shared.path.display()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
