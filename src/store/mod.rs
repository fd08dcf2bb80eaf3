//! What is kept on the disk: accounts, rosters, messages that wait, messages that stay, what the server tells its users. The store knows no session and no
//! stanza, decides nothing about who may do what, and never asks for the time of day.
//!
//! Writing is not yet keeping: a write returns at once, and the disk has it when [`Committer::commit`] has returned for a [`Ticket`] taken after it. The
//! thread that writes never waits for the disk; the [`Committer`] does, on the storage thread.
//!
//! `main/` has everything but the archive, which has databases of its own ([`archive`]); a [`Ticket`] covers both.
//!
//! The invariants:
//! - What was committed is there after a power cut. What was not may be gone, but then everything written after it is gone too,
//!   as far as it is in the same database.
//! - No call panics for what the disk holds. Data that cannot be read is an error with a sentence; at the next start the broken database is set aside, the
//!   last verified backup takes its place, and [`Store::notices`] says so. Of the archive there is no backup: a part of it is lost, the rest works.
//! - Ids of users are never given twice, also after a deletion, a restart or a restored backup.

mod account;
pub mod archive;
mod arrival;
mod backup;
mod blocklist;
mod capabilities;
mod commit;
mod database;
mod directory;
mod documents;
mod error;
mod files;
mod guard;
mod keys;
mod live;
mod notice;
mod offline;
mod pieces;
mod pubsub;
mod push;
mod record;
mod rooms;
mod roster;
mod scan;
mod space;
mod upgrade;

pub use account::Account;
pub use archive::{ArchiveId, ArchiveReader};
pub use backup::Backup;
pub use commit::{Committed, Committer, Ticket};
pub use database::{Database, Kind, Value, Written};
pub use directory::Entry;
pub use documents::{Document, DocumentKind};
pub use error::StoreError;
pub use keys::Tree;
pub use notice::Motd;
pub use offline::{OfflineKey, OfflineTally};
pub use pubsub::{Affiliate, Node, NodeAffiliation, NodeItem, NodeSubscription};
pub use push::PushTarget;
pub use record::{RecordError, RecordReader, RecordWriter};
pub use rooms::{
    Affiliated, Affiliation, Hat, InviteToken, MentionRules, Mentioners, Noted, PrivateMessages,
    RoomConfig, RoomNote, RoomRecord, RoomSubject,
};
pub use roster::{RosterItem, Subscription};
pub use scan::Scan;
pub use upgrade::refuse_newer;

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::rand::{SecureRandom, SystemRandom};

use archive::Archive;
use files::{beside, create_private_dir};
use keys::{MAIN, META, META_NEXT_USER, META_SCHEMA, META_SECRET, SCHEMA};
use space::Space;

/// The number of an account: what its data is filed under. Never given to another account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(u32);

impl UserId {
    /// From its number, as it stands in a key.
    pub const fn new(number: u32) -> UserId {
        UserId(number)
    }

    /// Its number, as it stands in a key.
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// The data directory, open. One process has it at a time.
pub struct Store {
    main: Database,
    archive: Archive,
    space: Arc<Space>,
    secret: [u8; 32],
    notices: Vec<String>,
    /// Held, not used: its lock is what keeps other processes out, and ends with this one.
    _lock: Lock,
}

/// The lock of the data directory.
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a process that is being started at this moment has the file open, too.
        let _ = rustix::fs::flock(&self.0, rustix::fs::FlockOperation::Unlock);
    }
}

/// Version of the records of `meta`. The schema number must be readable by every snug: its record never gets another version.
const META_VERSION: u8 = 1;

impl Store {
    /// Opens the data directory, makes it if it is not there, and puts right what a crash or a failing disk has left.
    ///
    /// `InUse`: another snug has it. `Newer`: it was written by a newer snug. `Broken`: the database is damaged and so is every backup. In these cases
    /// nothing was changed that a second try, or the newer snug, would miss.
    pub fn open(dir: &Path) -> Result<Store, StoreError> {
        let mut store = Store::open_archive_later(dir)?;
        let notices = store.archive.volumes.open_newest_quietly(&store.space)?;
        store.notices.extend(notices);
        Ok(store)
    }

    /// Like [`Store::open`], but the archive is opened when somebody needs it: to open a database takes half of what a start takes. What is found then goes
    /// to the log.
    pub fn open_archive_later(dir: &Path) -> Result<Store, StoreError> {
        Store::open_with(dir, true)
    }

    /// Like [`Store::open`], but nothing can be archived; what is in the archive can still be read, and goes with its account or with time.
    pub fn open_without_archive(dir: &Path) -> Result<Store, StoreError> {
        Store::open_with(dir, false)
    }

    fn open_with(dir: &Path, archives: bool) -> Result<Store, StoreError> {
        let mut notices = Vec::new();
        prepare_dir(dir, &mut notices)?;
        let lock = lock_dir(dir)?;
        let space = Arc::new(Space::new(dir));
        let path = dir.join("main");
        let main = match open_main(&path, &mut notices) {
            // sled writes while it opens: the ballast is for this.
            Err(StoreError::Full) => {
                space.release();
                open_main(&path, &mut notices)?
            }
            opened => opened?,
        };
        notices.extend(upgrade::bring_up(&main, &space, &upgrade::STEPS)?);
        let missing = main.missing_commits();
        if missing > 0 {
            notices.push(format!(
                "The end of the database was damaged: the last {missing} commits of accounts, contacts and waiting messages are lost. Check the disk, an SD card that does this once does it again."
            ));
        }
        let secret = read_secret(&main)?;
        let archive = Archive::find(&dir.join("archive"), archives)?;
        let store = Store {
            main,
            archive,
            space,
            secret,
            notices,
            _lock: lock,
        };
        if missing > 0 {
            store.skip_ids()?;
        }
        store.finish_deletions()?;
        store.commit()?;
        upgrade::tell_schema(dir);
        Ok(store)
    }

    /// Puts a backup (`backup/*.dump` in a data directory) in the place of all but the archive; where what was there was put.
    ///
    /// `InUse`: a snug runs there. `Newer`: this snug cannot read that backup. On an error all is as it was.
    pub fn restore(dir: &Path, dump: &Path) -> Result<Option<PathBuf>, StoreError> {
        prepare_dir(dir, &mut Vec::new())?;
        let _lock = lock_dir(dir)?;
        let aside = upgrade::restore(dir, dump)?;
        upgrade::tell_schema(dir);
        Ok(aside)
    }

    /// What the operator must hear of what was found and done at the opening: a sentence each, none when all is well.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// 32 random bytes, made with the database: for deterministic answers that nobody else can compute.
    pub fn secret(&self) -> [u8; 32] {
        self.secret
    }

    /// The moment after the last write: what an acknowledgement has to wait for.
    pub fn ticket(&self) -> Ticket {
        Ticket {
            main: self.main.written(),
            archive: self.archive.written(),
        }
    }

    /// How often something was looked up or a range of keys was begun, since the opening: what a test holds a promise against.
    pub fn reads(&self) -> u64 {
        self.main.reads()
    }

    /// Whether something was written since the last commit.
    pub fn is_dirty(&self) -> bool {
        self.main.is_dirty() || self.archive.is_dirty()
    }

    /// Commits all that was written: waits for the disk. For the command line and the shutdown; a running server uses the [`Committer`].
    pub fn commit(&self) -> Result<Committed, StoreError> {
        self.committer().commit(self.ticket())
    }

    /// What the storage thread needs.
    pub fn committer(&self) -> Committer {
        Committer {
            main: self.main.clone(),
            volumes: self.archive.volumes.clone(),
            space: self.space.clone(),
        }
    }

    /// How often a database was reopened after an error of writing. When this has grown, what was not committed is gone: forget what you keep of it.
    pub fn reopenings(&self) -> u64 {
        self.main.reopenings() + self.archive.reopenings()
    }

    /// What keeps the store from taking everything, as a sentence that says what to do; `None` when all is well. No system call.
    pub fn trouble(&self) -> Option<String> {
        (self.main.has_failed() || self.archive.has_failed() || self.space.is_low())
            .then(|| StoreError::Full.to_string())
    }

    /// Refuses what makes the store grow while the disk is nearly full. Looks at the disk itself only in that state: the store gets well without being asked.
    fn room_to_grow(&self) -> Result<(), StoreError> {
        if self.space.is_low() && self.space.look() {
            Err(StoreError::Full)
        } else {
            Ok(())
        }
    }
}

/// Opens `main/`, or what takes its place.
fn open_main(path: &Path, notices: &mut Vec<String>) -> Result<Database, StoreError> {
    let making = beside(path, "making");
    if making.exists() {
        fs::remove_dir_all(&making).map_err(StoreError::io(&making))?;
    }
    let why = if path.exists() {
        match open_whole(path) {
            Err(StoreError::Broken(why)) => why,
            opened => return opened,
        }
    } else if a_backup_is_there(path) {
        format!("{} is not there", path.display())
    } else {
        make_new(path, 1)?;
        return open_whole(path);
    };

    let aside = if path.exists() {
        Some(Database::set_aside(path)?)
    } else {
        None
    };
    let kept = aside.map_or(String::new(), |aside| {
        format!(" It was kept as {}.", aside.display())
    });
    let dump = backup::path_of(path);
    let mut reasons = Vec::new();
    for dump in [backup::previous(&dump), dump].iter().rev() {
        match backup::restore(dump, path) {
            Ok(_) => {
                notices.push(format!(
                    "The database was damaged ({why}).{kept} Accounts, contacts and waiting messages are those of the backup {} of {}: what was changed \
                     since then is lost. Check the disk, an SD card that does this once does it again.",
                    dump.display(),
                    age_of(dump),
                ));
                return open_whole(path);
            }
            Err(StoreError::Io(_, error)) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(StoreError::Broken(why)) => reasons.push(why),
            Err(error) => return Err(error),
        }
    }
    if !reasons.is_empty() {
        return Err(StoreError::Broken(format!(
            "{why}; nor can its backups: {}. To begin with no accounts, move the directory `backup` away",
            reasons.join("; ")
        )));
    }
    // Nobody knows which ids the lost database has given: a random one far from the beginning was hardly among them.
    make_new(path, 1 << 31 | u32::from_be_bytes(random()?) >> 2)?;
    notices.push(format!(
        "The database was damaged ({why}) before there was a backup.{kept} A new one without accounts was made: make them again with `snug user add`."
    ));
    open_whole(path)
}

/// Opens a database that must have been made whole: with its schema, and not older than its backup.
fn open_whole(path: &Path) -> Result<Database, StoreError> {
    let main = Database::open(path, &MAIN)?;
    let broken = |what: &str| StoreError::Broken(format!("{}: {what}", path.display()));
    let schema = upgrade::schema_of(&main)?;
    if schema > SCHEMA {
        return Err(upgrade::newer(path, schema, SCHEMA));
    }
    let dump = backup::path_of(path);
    let generation = backup::generation(&main)?;
    if backup::generation_of_head(&dump).is_some_and(|newer| newer > generation)
        && backup::verify(&dump).is_ok_and(|verified| verified.generation > generation)
    {
        return Err(broken("its end is missing: it is older than its backup"));
    }
    Ok(main)
}

fn make_new(path: &Path, first_user: u32) -> Result<(), StoreError> {
    let secret: [u8; 32] = random()?;
    Database::make(path, &MAIN, |database| {
        database.put(META, META_SCHEMA, &upgrade::schema_record(SCHEMA))?;
        let mut record = RecordWriter::new(META_VERSION);
        record.bytes(&secret);
        database.put(META, META_SECRET, &record.finish())?;
        database.put(META, META_NEXT_USER, &account::next_user_record(first_user))
    })
}

fn read_secret(main: &Database) -> Result<[u8; 32], StoreError> {
    let value = main
        .get(META, META_SECRET)?
        .ok_or_else(|| StoreError::Broken("the server's secret is missing".to_owned()))?;
    let secret = RecordReader::new(&value, META_VERSION)
        .and_then(|mut reader| reader.bytes())
        .map_err(StoreError::record("meta"))?;
    secret
        .try_into()
        .map_err(|_| StoreError::record("meta")(RecordError::Damaged))
}

fn random<const N: usize>() -> Result<[u8; N], StoreError> {
    let mut bytes = [0; N];
    match SystemRandom::new().fill(&mut bytes) {
        Ok(()) => Ok(bytes),
        Err(_) => Err(StoreError::Io(
            PathBuf::from("/dev/urandom"),
            std::io::Error::other("the system gives no random bytes"),
        )),
    }
}

fn a_backup_is_there(path: &Path) -> bool {
    let dump = backup::path_of(path);
    dump.exists() || backup::previous(&dump).exists()
}

/// When a file was last changed, as a date and time in UTC.
fn age_of(path: &Path) -> String {
    match fs::metadata(path).and_then(|file| file.modified()) {
        Ok(time) => humantime::format_rfc3339_seconds(time).to_string(),
        Err(_) => "an unknown time".to_owned(),
    }
}

/// The data directory, for its owner only.
fn prepare_dir(dir: &Path, notices: &mut Vec<String>) -> Result<(), StoreError> {
    create_private_dir(dir)?;
    let metadata = fs::metadata(dir).map_err(StoreError::io(dir))?;
    if !metadata.is_dir() {
        return Err(StoreError::Io(
            dir.to_path_buf(),
            std::io::ErrorKind::NotADirectory.into(),
        ));
    }
    let mode = metadata.mode() & 0o7777;
    if mode & 0o077 != 0 {
        // A directory like /tmp is everybody's and stays so; what is in it is closed all the same.
        let ours = metadata.uid() == rustix::process::geteuid().as_raw() && mode & 0o1000 == 0;
        if !ours || fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).is_err() {
            notices.push(format!("{} can be looked into by others (mode {mode:o}): give snug a directory of its own.", dir.display()));
        }
    }
    Ok(())
}

/// Keeps other processes out. The system lets go of the lock when the process ends, however it ends: a file that is left means nothing.
fn lock_dir(dir: &Path) -> Result<Lock, StoreError> {
    let path = dir.join("lock");
    let mut file = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(StoreError::io(&path))?;
    if let Err(error) =
        rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
    {
        if error != rustix::io::Errno::WOULDBLOCK {
            return Err(StoreError::io(&path)(error.into()));
        }
        let mut holder = String::new();
        let _ = file.read_to_string(&mut holder);
        return Err(StoreError::InUse {
            dir: dir.to_path_buf(),
            holder: holder.trim().parse().ok(),
        });
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    // Only for the sentence that the next one gets.
    if let Err(error) = write(&mut file) {
        log::debug!("{}: {error}", path.display());
    }
    Ok(Lock(file))
}
