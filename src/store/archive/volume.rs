//! The volumes: which there are, which of them is written in, and what the threads share of that.
//!
//! The writing thread appends to the newest. When another one shall begin, the reading thread makes it (it waits for the disk) and puts it beside; the
//! writing thread turns to it with its next row. After a start the newest is opened when somebody needs it, by whichever thread comes first. What was written in the one before and is not committed yet stays in the list of what commits cover.

use std::fmt;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::about::About;
use crate::store::database::{Database, Written};
use crate::store::error::StoreError;
use crate::store::files::create_private_dir;
use crate::store::keys::{
    ARCHIVE, ARCHIVE_SCHEMA, MESSAGES, META, META_BEGIN, META_BYTES, META_SCHEMA,
};
use crate::store::record::{RecordReader, RecordWriter};
use crate::store::space::Space;
use crate::xmpp::time;

/// The name of a volume: the month of its first stamp, and which one of that month it is. Later volumes have greater names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) struct VolumeName {
    year: u16,
    month: u8,
    part: u16,
}

impl VolumeName {
    /// The first one of the month that a moment is in.
    pub fn of(ms: u64) -> VolumeName {
        let date = time::format_date(ms);
        let number = |part: &str| part.parse().expect("a date is made of numbers");
        VolumeName {
            year: number(&date[..4]),
            month: number(&date[5..7]) as u8,
            part: 1,
        }
    }

    /// As it is written: `2026-11`, `2026-11.2`.
    pub fn parse(text: &str) -> Option<VolumeName> {
        let (date, part) = match text.split_once('.') {
            Some((date, part)) => (date, part.parse().ok()?),
            None => (text, 1),
        };
        let name = VolumeName {
            part,
            ..VolumeName::of(time::parse_date(&format!("{date}-01"))?)
        };
        (name.to_string() == text).then_some(name)
    }

    /// This one, or the next of the month of `last` where that is not earlier.
    pub fn behind(self, last: Option<VolumeName>) -> VolumeName {
        match last {
            Some(last) if (last.year, last.month) >= (self.year, self.month) => VolumeName {
                part: last.part.saturating_add(1),
                ..last
            },
            _ => self,
        }
    }

    /// The first millisecond of its month.
    pub fn begin_ms(self) -> u64 {
        time::parse_date(&format!("{:04}-{:02}-01", self.year, self.month)).unwrap_or(0)
    }

    /// Whether its month is that of another, or earlier.
    pub fn is_no_later_month(self, other: VolumeName) -> bool {
        (self.year, self.month) <= (other.year, other.month)
    }

    /// Whether its month is that of another.
    pub fn is_of_month(self, other: VolumeName) -> bool {
        (self.year, self.month) == (other.year, other.month)
    }

    /// The first millisecond of the month after.
    pub fn end_ms(self) -> u64 {
        let (year, month) = match self.month {
            12 => (self.year + 1, 1),
            month => (self.year, month + 1),
        };
        time::parse_date(&format!("{year:04}-{month:02}-01")).unwrap_or(time::LATEST_MS)
    }
}

impl fmt::Display for VolumeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}", self.year, self.month)?;
        match self.part {
            1 => Ok(()),
            part => write!(f, ".{part}"),
        }
    }
}

/// What the threads share.
pub(in crate::store) struct Volumes {
    dir: PathBuf,
    writes: bool,
    list: Mutex<List>,
    /// Whether `List::current` is what it shall be: before that, the newest volume stands among the old ones.
    open: AtomicBool,
    /// Held by whoever opens the newest volume; whether that has failed.
    opening: Mutex<bool>,
    /// Held by whoever makes a volume.
    making: Mutex<()>,
    /// Whether `List::next` is there, for the writing thread to see without the lock.
    has_next: AtomicBool,
    /// The one that is written in has its share of the disk: the next shall begin.
    full: AtomicBool,
    /// The one that is written in has turned out to be damaged: nothing more is written there, and commits do not cover it.
    given_up: AtomicBool,
}

#[derive(Default)]
struct List {
    /// In order, without the one that is written in.
    old: Vec<VolumeName>,
    current: Option<Current>,
    next: Option<Next>,
    /// Where was written before, until all of it is committed; in order.
    left: Vec<Current>,
}

/// The volume that is written in.
#[derive(Clone)]
pub(in crate::store) struct Current {
    pub name: VolumeName,
    pub database: Database,
    /// No stamp is before this.
    pub begin_ms: u64,
    /// Writes in earlier volumes, in the count of tickets.
    pub base: u64,
}

/// A volume that is made, with nothing in it.
pub(in crate::store) struct Next {
    pub name: VolumeName,
    pub database: Database,
    /// The last stamp of all volumes before, as far as the disk knew when it was made.
    pub top_ms: u64,
}

impl Volumes {
    /// Looks which volumes there are. With `writes` the newest is where rows go: [`Volumes::open_newest`] opens it, and nothing else may be done before.
    /// `Newer`: the newest says that a newer snug has made it.
    pub fn find(dir: &Path, writes: bool) -> Result<Volumes, StoreError> {
        let names = find(dir)?;
        if let Some(newest) = names.last() {
            refuse_newer(&dir.join(newest.to_string()))?;
        }
        Ok(Volumes {
            dir: dir.to_path_buf(),
            writes,
            open: AtomicBool::new(!writes || names.is_empty()),
            list: Mutex::new(List {
                old: names,
                ..List::default()
            }),
            making: Mutex::new(()),
            opening: Mutex::new(false),
            has_next: AtomicBool::new(false),
            full: AtomicBool::new(false),
            given_up: AtomicBool::new(false),
        })
    }

    /// Whether the newest volume is open, where rows go; also where there is none to be opened.
    pub fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Opens the newest volume, unless it is open. Waits for the disk. What the operator must hear goes to the log.
    pub fn open_newest(&self, space: &Space) -> Result<(), StoreError> {
        match self.is_open() {
            true => Ok(()),
            false => {
                let notices = self.open_newest_quietly(space)?;
                notices.iter().for_each(|notice| log::warn!("{notice}"));
                Ok(())
            }
        }
    }

    /// [`Volumes::open_newest`] for who writes and must not wait for the same failure with every row: an error after one, until the reading side, which
    /// tries again, has succeeded.
    pub fn open_to_write(&self, space: &Space) -> Result<(), StoreError> {
        if self.is_open() {
            return Ok(());
        }
        let has_failed = *self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        match has_failed {
            true => Err(StoreError::Broken(
                "the newest part of the message archive could not be opened".to_owned(),
            )),
            false => self.open_newest(space),
        }
    }

    /// [`Volumes::open_newest`], and what the operator must hear.
    pub fn open_newest_quietly(&self, space: &Space) -> Result<Vec<String>, StoreError> {
        let mut has_failed = self.opening.lock().unwrap_or_else(PoisonError::into_inner);
        if self.is_open() {
            return Ok(Vec::new());
        }
        let mut notices = Vec::new();
        let opened = match self.open_or_replace(&mut notices) {
            // sled writes while it opens: the ballast is for this.
            Err(StoreError::Full) => {
                space.release();
                self.open_or_replace(&mut notices)
            }
            opened => opened,
        };
        *has_failed = opened.is_err();
        opened?;
        self.open.store(true, Ordering::Release);
        Ok(notices)
    }

    fn open_or_replace(&self, notices: &mut Vec<String>) -> Result<(), StoreError> {
        let mut current = None;
        while current.is_none() {
            let Some(name) = self.old().pop() else { break };
            let path = self.path(name);
            match open_volume(&path) {
                Ok((database, Some(begin_ms))) => {
                    if database.missing_commits() > 0 {
                        notices.push(format!(
                            "The end of {} was damaged: the last archived messages are lost. Check the disk, an SD card that does this once does it again.",
                            path.display()
                        ));
                    }
                    current = Some(Current {
                        name,
                        database,
                        begin_ms,
                        base: 0,
                    })
                }
                // It was made, and then nothing was written in it.
                Ok((database, None)) => {
                    drop(database);
                    fs::remove_dir_all(&path).map_err(StoreError::io(&path))?;
                }
                Err(StoreError::Broken(why)) => {
                    notices.push(set_aside(&path, &why)?);
                    self.forget(name);
                    break;
                }
                Err(error) => return Err(error),
            }
            self.forget(name);
        }
        self.list().current = current;
        // The newest was broken. Now, while nobody has them open, older ones can be looked at.
        while let (None, Some(last)) = (self.current(), self.old().last()) {
            let path = self.path(*last);
            let made = self.make_next(0, |_| {
                if let Some(about) = About::read(&path) {
                    return Ok(about.top.ms);
                }
                let (volume, begin_ms) = open_volume(&path)?;
                Ok(About::find_out(&volume, begin_ms.unwrap_or(0))?.top.ms)
            });
            match made {
                Err(StoreError::Broken(why)) => {
                    notices.push(set_aside(&path, &why)?);
                    self.forget(*last);
                }
                made => {
                    made?;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Whether there is no volume at all.
    pub fn is_empty(&self) -> bool {
        let list = self.list();
        list.old.is_empty() && list.current.is_none()
    }

    /// The volume that is written in.
    pub fn current(&self) -> Option<Current> {
        self.list().current.clone()
    }

    /// The older ones, in order.
    pub fn old(&self) -> Vec<VolumeName> {
        self.list().old.clone()
    }

    /// The directory of all volumes.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The directory of a volume.
    pub fn path(&self, name: VolumeName) -> PathBuf {
        self.dir.join(name.to_string())
    }

    /// Makes the next volume and puts it beside, unless there is one already. `at_ms` is the time by the clock; `top_ms` says what the last stamp of an
    /// old volume is. Waits for the disk.
    pub fn make_next(
        &self,
        at_ms: u64,
        top_of: impl FnOnce(VolumeName) -> Result<u64, StoreError>,
    ) -> Result<(), StoreError> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let (current, last_old) = {
            let list = self.list();
            if list.next.is_some() {
                return Ok(());
            }
            (list.current.clone(), list.old.last().copied())
        };
        let (last, top_ms) = match (current, last_old) {
            (Some(current), _) => (
                Some(current.name),
                match About::find_out(&current.database, current.begin_ms) {
                    Err(StoreError::Broken(_)) => current.begin_ms,
                    about => about?.top.ms,
                },
            ),
            (None, Some(name)) => (Some(name), top_of(name)?),
            (None, None) => (None, 0),
        };
        let name = VolumeName::of(at_ms.max(top_ms + 1)).behind(last);
        self.make(name, |_| Ok(()))?;
        let (database, _) = open_volume(&self.path(name))?;
        self.list().next = Some(Next {
            name,
            database,
            top_ms,
        });
        self.has_next.store(true, Ordering::Release);
        Ok(())
    }

    /// Makes a volume on the disk, filled by `fill`: for who holds [`Volumes::making`].
    pub fn make(
        &self,
        name: VolumeName,
        fill: impl FnOnce(&Database) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        create_private_dir(&self.dir)?;
        Database::make(&self.path(name), &ARCHIVE, |database| {
            let mut record = RecordWriter::new(META_VERSION);
            record.u32(ARCHIVE_SCHEMA);
            tell_schema(database.path())?;
            database.put(META, META_SCHEMA, &record.finish())?;
            fill(database)
        })
    }

    /// Held by whoever makes a volume.
    pub fn making(&self) -> &Mutex<()> {
        &self.making
    }

    /// Whether rows can be written.
    pub fn writes(&self) -> bool {
        self.writes
    }

    /// A volume was made among the old ones.
    pub fn add_old(&self, name: VolumeName) {
        let mut list = self.list();
        list.old.push(name);
        list.old.sort();
    }

    /// The volume that is written in begins earlier from now on.
    pub fn begin_current(&self, begin_ms: u64) {
        if let Some(current) = &mut self.list().current {
            current.begin_ms = begin_ms;
        }
    }

    /// Whether [`Volumes::take_next`] has something.
    pub fn has_next(&self) -> bool {
        self.has_next.load(Ordering::Acquire)
    }

    /// The volume to turn to.
    pub fn take_next(&self) -> Option<Next> {
        let next = self.list().next.take();
        self.has_next.store(false, Ordering::Release);
        next
    }

    /// Gives back what [`Volumes::take_next`] gave: the turn failed.
    pub fn put_back(&self, next: Next) {
        self.list().next = Some(next);
        self.has_next.store(true, Ordering::Release);
    }

    /// Whether the one that is written in has its share of the disk.
    pub fn is_full(&self) -> bool {
        self.full.load(Ordering::Acquire)
    }

    /// Says whether the one that is written in has its share of the disk.
    pub fn set_full(&self, full: bool) {
        self.full.store(full, Ordering::Release);
    }

    /// Whether the one that is written in is damaged.
    pub fn is_given_up(&self) -> bool {
        self.given_up.load(Ordering::Acquire)
    }

    /// Says that a volume is damaged: commits leave it out, so that they do not fail for ever.
    pub fn give_up(&self, name: VolumeName) {
        let mut list = self.list();
        if list
            .current
            .as_ref()
            .is_some_and(|current| current.name == name)
        {
            self.given_up.store(true, Ordering::Release);
        }
        list.left.retain(|left| left.name != name);
    }

    /// From now on this one is written in.
    pub fn turn_to(&self, current: Current) {
        self.set_full(false);
        let mut list = self.list();
        let given_up = self.given_up.swap(false, Ordering::AcqRel);
        if let Some(before) = list.current.replace(current) {
            list.old.push(before.name);
            if !given_up {
                list.left.push(before);
            }
        }
    }

    /// Forgets an old volume, which is no longer there.
    pub fn forget(&self, name: VolumeName) {
        self.list().old.retain(|old| *old != name);
    }

    /// A volume that was written in until lately, if it is still open for that.
    pub fn left(&self, name: VolumeName) -> Option<Database> {
        let list = self.list();
        let left = list.left.iter().find(|left| left.name == name)?;
        Some(left.database.clone())
    }

    /// What commits cover: in order, the one that is written in last.
    pub fn written(&self) -> Vec<Current> {
        let list = self.list();
        let current = list.current.iter().filter(|_| !self.is_given_up());
        list.left.iter().chain(current).cloned().collect()
    }

    /// Lets go of volumes of which everything is committed and in which nobody writes any more.
    pub fn let_go(&self) {
        // Closed behind the lock: sled takes its time.
        let gone: Vec<Current> = {
            let mut list = self.list();
            let left = std::mem::take(&mut list.left);
            let (gone, left) = left
                .into_iter()
                .partition(|volume| !volume.database.is_dirty());
            list.left = left;
            gone
        };
        drop(gone);
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Commits what was written in the archive before `upto`, in the count of tickets; whether anything had to be done.
///
/// `Broken`: what was written last in a volume is lost with it. Later commits do not speak of it any more.
pub(in crate::store) fn commit(volumes: &Volumes, upto: u64) -> Result<bool, StoreError> {
    let written = volumes.written();
    let mut outcome = Ok(false);
    for volume in &written {
        let upto = Written(upto.saturating_sub(volume.base));
        match volume.database.commit(upto) {
            Ok(wrote) => outcome = outcome.map(|before| before || wrote),
            Err(error) => {
                if matches!(error, StoreError::Broken(_)) {
                    volumes.give_up(volume.name);
                }
                outcome = Err(error);
            }
        }
    }
    let several = written.len() > 1;
    drop(written);
    if several {
        volumes.let_go();
    }
    outcome
}

/// Version of the records of `meta`. That of the schema number never gets another.
const META_VERSION: u8 = 1;

/// Opens a volume, and tells where it begins: `None` if nothing was written in it yet.
pub(super) fn open_volume(path: &Path) -> Result<(Database, Option<u64>), StoreError> {
    let database = Database::open(path, &ARCHIVE)?;
    let schema = database.get(META, META_SCHEMA)?.ok_or_else(|| {
        StoreError::Broken(format!("{}: it has no schema number", path.display()))
    })?;
    let schema = RecordReader::new(&schema, META_VERSION)
        .and_then(|mut reader| reader.u32())
        .map_err(StoreError::record("meta"))?;
    if schema > ARCHIVE_SCHEMA {
        return Err(newer(path, schema));
    }
    let begin = begin(&database)?;
    Ok((database, begin))
}

/// Beside the database: its schema in digits, so that a newer one is seen before it is opened.
const SCHEMA_FILE: &str = "schema";

fn tell_schema(path: &Path) -> Result<(), StoreError> {
    let path = path.join(SCHEMA_FILE);
    File::create(&path)
        .and_then(|mut file| {
            writeln!(file, "{ARCHIVE_SCHEMA}")?;
            file.sync_all()
        })
        .map_err(StoreError::io(&path))
}

/// Refuses a volume that says it is of a newer schema; one that says nothing is looked at when it is opened.
fn refuse_newer(path: &Path) -> Result<(), StoreError> {
    let told = fs::read_to_string(path.join(SCHEMA_FILE)).unwrap_or_default();
    match told.trim().parse() {
        Ok(schema) if schema > ARCHIVE_SCHEMA => Err(newer(path, schema)),
        _ => Ok(()),
    }
}

fn newer(path: &Path, schema: u32) -> StoreError {
    StoreError::Newer {
        what: format!(
            "{} has schema {schema}, this snug knows {ARCHIVE_SCHEMA}",
            path.display()
        ),
        back: None,
    }
}

/// Where a volume begins: `None` if nothing was written in it yet.
pub(super) fn begin(volume: &Database) -> Result<Option<u64>, StoreError> {
    number(volume, META_BEGIN)
}

/// About how many bytes the rows of a volume count for: it is written down from time to time.
pub(super) fn bytes(volume: &Database) -> Result<u64, StoreError> {
    number(volume, META_BYTES)?.map_or_else(
        || Ok(u64::from(volume.scan(MESSAGES, b"")?.next().is_some())),
        Ok,
    )
}

/// Writes down how many bytes the rows count for.
pub(super) fn put_bytes(volume: &Database, bytes: u64) -> Result<(), StoreError> {
    put_number(volume, META_BYTES, bytes)
}

/// Writes down where a volume begins: the first thing that is written in it.
pub(super) fn put_begin(volume: &Database, begin_ms: u64) -> Result<(), StoreError> {
    put_number(volume, META_BEGIN, begin_ms)
}

fn put_number(volume: &Database, key: &[u8], number: u64) -> Result<(), StoreError> {
    let mut record = RecordWriter::new(META_VERSION);
    record.u64(number);
    volume.put(META, key, &record.finish())
}

fn number(volume: &Database, key: &[u8]) -> Result<Option<u64>, StoreError> {
    let Some(value) = volume.get(META, key)? else {
        return Ok(None);
    };
    RecordReader::new(&value, META_VERSION)
        .and_then(|mut reader| reader.u64())
        .map(Some)
        .map_err(StoreError::record("meta"))
}

/// Puts a broken volume out of the way; the sentence for the operator.
pub(super) fn set_aside(path: &Path, why: &str) -> Result<String, StoreError> {
    let aside = Database::set_aside(path)?;
    Ok(format!(
        "A part of the message archive was damaged ({why}). It was kept as {}, its messages are no longer shown; the rest works. Check the disk, an SD card \
         that does this once does it again.",
        aside.display()
    ))
}

/// The volumes in a directory, in order. What was half made or half removed goes.
fn find(dir: &Path) -> Result<Vec<VolumeName>, StoreError> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(StoreError::io(dir)(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(StoreError::io(dir))?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if let Some((volume, "making" | "removing")) = name.rsplit_once('.')
            && VolumeName::parse(volume).is_some()
        {
            fs::remove_dir_all(entry.path()).map_err(StoreError::io(&entry.path()))?;
        }
        names.extend(VolumeName::parse(&name));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_months_in_order() {
        let name = |text| VolumeName::parse(text).unwrap();
        let november = VolumeName::of(1_795_348_800_000);
        assert_eq!(november.to_string(), "2026-11");
        assert_eq!(name("2026-11"), november);
        assert_eq!(november.behind(None), november);
        assert_eq!(november.behind(Some(name("2026-10.7"))), november);
        assert_eq!(november.behind(Some(november)), name("2026-11.2"));
        // The clock went back.
        assert_eq!(november.behind(Some(name("2027-01.9"))), name("2027-01.10"));
        let sorted = ["2026-09", "2026-11", "2026-11.2", "2026-11.10", "2027-01"].map(name);
        assert!(sorted.is_sorted());
        for no in [
            "2026-13",
            "2026-1",
            "2026-11.1",
            "2026-11.02",
            "2026-11.x",
            "main",
            "2026-11.making",
            "",
        ] {
            assert_eq!(VolumeName::parse(no), None, "{no}");
        }
        assert_eq!(time::format_date(name("2026-12.3").end_ms()), "2027-01-01");
        assert_eq!(name("9999-12").end_ms(), time::LATEST_MS);
    }
}
