//! sled, opened over whatever an earlier process has left.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::database::Kind;
use super::error::StoreError;
use super::files::{remove_if_there, sync_dir};
use super::guard::{Failure, guarded};
use crate::limits::STORE_UNWRITTEN_BYTES;

/// One opening of sled.
pub(super) struct Live {
    // Fields are dropped in this order; sled lets go of its lock when the last of them is gone.
    pub trees: Vec<sled::Tree>,
    pub long: sled::Tree,
    pub db: sled::Db,
    pub file: File,
    pub mark: File,
    /// About how many bytes were written since the log's length was last looked at.
    unseen: AtomicUsize,
}

/// How often to look at the log's length, in bytes of values, and what each write counts beside its value.
const LOOK_EACH: usize = 32 * 1024;
const WRITE_COUNTS: usize = 1024;

impl Live {
    /// Sets a key; what it had before.
    pub fn insert(
        &self,
        tree: &sled::Tree,
        key: &[u8],
        value: impl Into<sled::IVec>,
    ) -> sled::Result<Option<sled::IVec>> {
        let value = value.into();
        let bytes = value.len();
        let old = tree.insert(key, value)?;
        self.hold_back(bytes)?;
        Ok(old)
    }

    /// Removes a key; what it had.
    pub fn remove(&self, tree: &sled::Tree, key: &[u8]) -> sled::Result<Option<sled::IVec>> {
        let old = tree.remove(key)?;
        self.hold_back(0)?;
        Ok(old)
    }

    /// Waits for sled's threads when too much of the log is not written yet: see `STORE_UNWRITTEN_BYTES`.
    ///
    /// sled 0.34.7: `SegmentAccountant::bump_tip` waits, with the lock that every writing thread needs at its end, for a shortening of the file that stands
    /// in the queue behind those threads.
    fn hold_back(&self, bytes: usize) -> sled::Result<()> {
        let unseen = self
            .unseen
            .fetch_add(bytes + WRITE_COUNTS, Ordering::Relaxed);
        if unseen + bytes < LOOK_EACH {
            return Ok(());
        }
        self.unseen.store(0, Ordering::Relaxed);
        let log = &self.db.context.pagecache.log;
        // An entry that is given up at once (30 bytes in the log) says where the log ends; sled does the same when two threads meet at a page.
        let (end, _) = log
            .reserve(sled::LogKind::Free, 0, &(), &sled::pin())?
            .abort()?;
        if end - log.stable_offset() > STORE_UNWRITTEN_BYTES {
            self.db.flush()?;
        }
        Ok(())
    }
}

/// The number of the last commit, in the database (sled's default tree) and in the file `commits` beside sled's own. The file is written after each
/// commit and never synced: it may lag behind, but is never ahead of what the disk has. If the database is behind the file, its end is missing: sled
/// takes a damaged entry of its log for a torn write, drops all that follows, and does not tell.
pub(super) const COMMITS: &str = "commits";
/// How long to wait for sled's own threads to let go of the file of a database that was just closed.
const CLOSING: Duration = Duration::from_secs(5);

/// The database, the number of its last commit, and how many commits are missing behind that.
pub(super) fn open_live(path: &Path, kind: &'static Kind) -> Result<(Live, u64, u64), StoreError> {
    remove_half_snapshots(path)?;
    remove_damaged_conf(path)?;
    let conf = path.join("conf");
    let conf_is_new = !conf.exists();
    // A snapshot that sled writes while it opens refers to what an earlier process wrote, and perhaps did not sync before it was killed.
    let file_path = path.join("db");
    match File::open(&file_path) {
        Ok(file) => file.sync_data().map_err(StoreError::io(&file_path))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(StoreError::io(&file_path)(error)),
    }
    let begin = Instant::now();
    let (db, handles) = loop {
        let opened = guarded(|| {
            // No thread that flushes: an idle server writes nothing, and commits are ours.
            let db = sled::Config::new()
                .path(path)
                .cache_capacity(kind.cache_bytes)
                .flush_every_ms(None)
                .open()?;
            let mut handles = kind
                .trees
                .iter()
                .map(|name| db.open_tree(name))
                .collect::<sled::Result<Vec<_>>>()?;
            handles.push(db.open_tree("long")?);
            Ok((db, handles))
        });
        match opened {
            Ok(opened) => break opened,
            // The same process has just closed it and one of sled's threads is not through yet.
            Err(Failure::Error(sled::Error::Io(error)))
                if error.to_string().contains("could not acquire lock") =>
            {
                if begin.elapsed() > CLOSING {
                    return Err(StoreError::InUse {
                        dir: path.to_path_buf(),
                        holder: None,
                    });
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            Err(Failure::Error(sled::Error::Unsupported(why))) => {
                return Err(StoreError::Newer {
                    what: format!("{}: {why}", path.display()),
                    back: None,
                });
            }
            Err(failure) => return Err(failure.into_error(path)),
        }
    };
    let mut handles = handles;
    let long = handles.pop().expect("long was opened last");
    let file = File::open(&file_path).map_err(StoreError::io(&file_path))?;
    // sled syncs neither its `conf` nor the directory.
    if conf_is_new {
        File::open(&conf)
            .and_then(|file| file.sync_all())
            .map_err(StoreError::io(&conf))?;
    }
    guarded(|| db.flush()).map_err(|failure| failure.into_error(path))?;
    file.sync_data().map_err(StoreError::io(&file_path))?;
    let mark_path = path.join(COMMITS);
    let mark = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&mark_path)
        .map_err(StoreError::io(&mark_path))?;
    sync_dir(path)?;
    let commits = match guarded(|| db.get(COMMITS))
        .map_err(|failure| failure.into_error(path))?
        .as_deref()
    {
        Some([1, number @ ..]) => number.try_into().map(u64::from_be_bytes).unwrap_or(0),
        _ => 0,
    };
    let mut marked = [0; 16];
    let marked = match mark.read_exact_at(&mut marked, 0) {
        Ok(()) => marked_number(marked).unwrap_or(0),
        Err(_) => 0,
    };
    if marked > commits {
        mark.write_all_at(&mark_bytes(commits), 0)
            .map_err(StoreError::io(&mark_path))?;
    }
    Ok((
        Live {
            trees: handles,
            long,
            db,
            file,
            mark,
            unseen: AtomicUsize::new(0),
        },
        commits,
        marked.saturating_sub(commits),
    ))
}

/// The value of [`COMMITS`] in the database.
pub(super) fn commits_value(number: u64) -> [u8; 9] {
    let mut value = [1; 9];
    value[1..].copy_from_slice(&number.to_be_bytes());
    value
}

/// The number, and the number with all bits turned: a file of which one bit has flipped says nothing.
pub(super) fn mark_bytes(number: u64) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    bytes[8..].copy_from_slice(&(!number).to_be_bytes());
    bytes
}

fn marked_number(bytes: [u8; 16]) -> Option<u64> {
    let (number, turned) = (
        u64::from_be_bytes(*bytes.first_chunk()?),
        u64::from_be_bytes(*bytes.last_chunk()?),
    );
    (number == !turned).then_some(number)
}

/// sled cannot open over a snapshot that it did not finish.
fn remove_half_snapshots(path: &Path) -> Result<(), StoreError> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io(path)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io(path))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            fs::remove_file(entry.path()).map_err(StoreError::io(&entry.path()))?;
        }
    }
    Ok(())
}

/// sled's `conf` says with which parameters a database was made, and ends with the CRC-32 of the rest. They are the same for every database of ours: a damaged
/// one is made anew by sled, where it would else be taken for that of another version.
fn remove_damaged_conf(path: &Path) -> Result<(), StoreError> {
    let conf = path.join("conf");
    let bytes = match fs::read(&conf) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(StoreError::io(&conf)(error)),
    };
    if bytes
        .split_last_chunk::<4>()
        .is_some_and(|(rest, sum)| crc32(rest) == u32::from_le_bytes(*sum))
    {
        return Ok(());
    }
    log::warn!("{}: damaged, made anew", conf.display());
    remove_if_there(&conf)
}

/// CRC-32 as in zlib, bit by bit: for 40 bytes, once.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 {
                sum >> 1 ^ 0xedb8_8320
            } else {
                sum >> 1
            }
        })
    })
}
