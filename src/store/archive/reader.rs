//! The reading side: what waits for the disk, on a thread of its own.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::about::{About, Edge};
use super::page::{self, Page, Wanted};
use super::row::{Kept, Row};
use super::volume::{self, VolumeName, Volumes};
use super::{ArchiveId, Stamp, bare_of, retention};
use crate::limits::{ARCHIVE_IDLE_SECONDS, ARCHIVE_OPEN_VOLUMES};
use crate::store::UserId;
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::keys;
use crate::store::space::Space;

/// What the reading side is asked for.
pub enum Request {
    /// A page of somebody's archive.
    Page(Query),
    /// The first and the last row of somebody's archive.
    Bounds(UserId),
    /// The newest row with a contact whose XML matches, among the newest rows with that contact.
    Find {
        /// Whose archive.
        owner: UserId,
        /// A bare JID: any of its resources; a full one: that one.
        with: String,
        /// Looks at the XML of a row.
        matches: Box<dyn Fn(&str) -> bool + Send>,
        /// How many rows with this contact are looked at.
        newest: usize,
    },
    /// One row.
    Get {
        /// Whose archive.
        owner: UserId,
        /// Which row.
        id: ArchiveId,
    },
    /// Puts other XML in the place of that of a row.
    Replace {
        /// Whose archive.
        owner: UserId,
        /// Which row.
        id: ArchiveId,
        /// What stands there from now on.
        xml: Vec<u8>,
    },
    /// Removes all rows of an owner, for good.
    Forget(UserId),
    /// Makes the next volume, to which the writing side turns by itself.
    Roll {
        /// Milliseconds since 1970 by the clock.
        at_ms: u64,
    },
    /// Finds out what there is in volumes that were left lately, so that they need not be opened for it later.
    Settle,
    /// Removes what is too old, and the oldest while all of it is too much. Only whole volumes go, and never the one that is written in.
    Retain {
        /// Milliseconds since 1970 by the clock.
        now_ms: u64,
        /// Days that a row is kept at least; 0: for ever.
        keep_days: u32,
        /// Bytes of the disk that the archive may take; 0: a tenth of the disk.
        max_bytes: u64,
    },
}

/// A page of an archive: which rows, and how many of them. Of several bounds the narrowest counts.
#[derive(Clone, Debug)]
pub struct Query {
    /// Whose archive.
    pub owner: UserId,
    /// Rows with this contact. A bare JID: any of its resources; a full one: that one.
    pub with: Option<String>,
    /// Rows with a stamp at this many milliseconds since 1970 or behind.
    pub start_ms: Option<u64>,
    /// Rows with a stamp at this many milliseconds since 1970 or before.
    pub end_ms: Option<u64>,
    /// Rows behind each of these, which must be there, whatever they are otherwise.
    pub after: Vec<ArchiveId>,
    /// Rows before each of these, which must be there, whatever they are otherwise.
    pub before: Vec<ArchiveId>,
    /// Only these rows, which must all be there; empty: no such bound.
    pub ids: Vec<ArchiveId>,
    /// Rows of the page, 0 or more.
    pub max: usize,
    /// The last ones of what is asked for, not the first.
    pub backward: bool,
    /// Bytes of XML that the page stops before, but for one row that it always has.
    pub bytes: usize,
}

impl Query {
    /// Everything of an owner, from the beginning.
    pub fn of(owner: UserId) -> Query {
        Query {
            owner,
            with: None,
            start_ms: None,
            end_ms: None,
            after: Vec::new(),
            before: Vec::new(),
            ids: Vec::new(),
            max: usize::MAX,
            backward: false,
            bytes: usize::MAX,
        }
    }
}

/// What the reading side answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Rows from the oldest to the newest, also of a page that was asked for backward.
    Page {
        /// The rows.
        rows: Vec<Row>,
        /// Whether no further row follows in the direction of the query.
        complete: bool,
    },
    /// An id of the query is not, or no longer, in the archive.
    NoSuchId,
    /// The first and the last row; `None` for an archive without rows.
    Bounds(Option<(Edge, Edge)>),
    /// The row that was looked for.
    Found(Option<Row>),
    /// It is done, and the disk has it. `false`: there was nothing to do.
    Done(bool),
}

/// Reads the archive. Opening an old volume takes its time, so this lives on a thread of its own.
pub struct ArchiveReader {
    volumes: Arc<Volumes>,
    space: Arc<Space>,
    /// Old volumes that are open, the one that was used last at the end.
    open: Vec<Opened>,
    /// Where old volumes begin.
    begins: BTreeMap<VolumeName, u64>,
}

struct Opened {
    name: VolumeName,
    database: Database,
    used: Instant,
}

/// A volume as a query sees it.
struct Part {
    source: Source,
    begin_ms: u64,
    /// Its last millisecond: the one before the next volume.
    end_ms: u64,
}

enum Source {
    /// Opened when it is needed.
    Old(VolumeName),
    /// The one that is written in.
    Current(Database),
}

impl ArchiveReader {
    pub(super) fn new(volumes: Arc<Volumes>, space: Arc<Space>) -> ArchiveReader {
        ArchiveReader {
            volumes,
            space,
            open: Vec::new(),
            begins: BTreeMap::new(),
        }
    }

    /// Does what is asked. An old volume that turns out to be damaged is set aside, with a line in the log, and counts as empty from then on.
    pub fn answer(&mut self, request: Request) -> Result<Answer, StoreError> {
        match request {
            Request::Page(query) => self.page(&query),
            Request::Bounds(owner) => self.bounds(owner),
            Request::Find {
                owner,
                with,
                matches,
                newest,
            } => self.newest_match(owner, &with, &*matches, newest),
            Request::Get { owner, id } => self.get(owner, &id).map(Answer::Found),
            Request::Replace { owner, id, xml } => self.replace(owner, &id, &xml),
            Request::Forget(owner) => self.forget(owner),
            Request::Roll { at_ms } => self.roll(at_ms),
            Request::Settle => self.parts().map(|_| Answer::Done(true)),
            Request::Retain {
                now_ms,
                keep_days,
                max_bytes,
            } => self.retain(now_ms, keep_days, max_bytes),
        }
    }

    /// Whether an old volume is open, so that [`ArchiveReader::tend`] has something to do before long.
    pub fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Closes old volumes that were not used for a while: call it every few seconds.
    pub fn tend(&mut self) {
        let idle = Duration::from_secs(ARCHIVE_IDLE_SECONDS);
        self.open.retain(|opened| opened.used.elapsed() < idle);
    }

    fn page(&mut self, query: &Query) -> Result<Answer, StoreError> {
        for id in query.after.iter().chain(&query.before) {
            if self.get(query.owner, id)?.is_none() {
                return Ok(Answer::NoSuchId);
            }
        }
        if !query.ids.is_empty() {
            return self.page_of_ids(query);
        }
        let Some(wanted) = wanted(query) else {
            return Ok(Answer::Page {
                rows: Vec::new(),
                complete: true,
            });
        };
        let mut page = Page::new(query.max, query.bytes);
        let end = self.walk(&wanted, query.backward, |stamp, kept| {
            page.take(stamp, kept)
        })?;
        let mut rows = page.rows;
        if query.backward {
            rows.reverse();
        }
        Ok(Answer::Page {
            rows,
            complete: end.is_continue(),
        })
    }

    fn page_of_ids(&mut self, query: &Query) -> Result<Answer, StoreError> {
        let wanted = wanted(query);
        let is_wanted = |row: &Row| {
            wanted.is_some_and(|wanted| {
                (wanted.low..=wanted.high).contains(&row.id.stamp) && wanted.is_with(&row.with)
            })
        };
        let mut ids = query.ids.clone();
        ids.sort_by_key(|id| id.stamp);
        ids.dedup();
        let mut rows = Vec::new();
        for id in &ids {
            match self.get(query.owner, id)? {
                None => return Ok(Answer::NoSuchId),
                Some(row) if is_wanted(&row) => rows.push(row),
                Some(_) => {}
            }
        }
        let mut room = query.bytes;
        let mut fits = |(place, row): (usize, &Row)| {
            let fits = place < query.max && (place == 0 || row.xml.len() <= room);
            room = room.saturating_sub(row.xml.len());
            fits
        };
        let found = rows.len();
        if query.backward {
            let taken = rows
                .iter()
                .rev()
                .enumerate()
                .take_while(|at| fits(*at))
                .count();
            rows.drain(..found - taken);
        } else {
            let taken = rows.iter().enumerate().take_while(|at| fits(*at)).count();
            rows.truncate(taken);
        }
        let complete = rows.len() == found;
        Ok(Answer::Page { rows, complete })
    }

    fn bounds(&mut self, owner: UserId) -> Result<Answer, StoreError> {
        let first = self.edge(owner, false)?;
        let last = self.edge(owner, true)?;
        Ok(Answer::Bounds(first.zip(last)))
    }

    /// The first row of an owner, or the last.
    fn edge(&mut self, owner: UserId, backward: bool) -> Result<Option<Edge>, StoreError> {
        let all = Wanted {
            owner: owner.number(),
            low: Stamp::FIRST,
            high: Stamp::LAST,
            with: None,
        };
        let mut parts = self.parts()?;
        if backward {
            parts.reverse();
        }
        for part in &parts {
            let edge = match &part.source {
                Source::Old(name) => {
                    let about = self.about(*name)?;
                    let edges = about.as_ref().and_then(|about| about.owner(owner.number()));
                    edges.map(|edges| if backward { edges.last } else { edges.first })
                }
                Source::Current(volume) => page::walk(volume, &all, backward, |stamp, kept| {
                    ControlFlow::Break(kept.edge(stamp))
                })?
                .break_value(),
            };
            if edge.is_some() {
                return Ok(edge);
            }
        }
        Ok(None)
    }

    fn newest_match(
        &mut self,
        owner: UserId,
        with: &str,
        matches: &dyn Fn(&str) -> bool,
        newest: usize,
    ) -> Result<Answer, StoreError> {
        let wanted = Wanted {
            owner: owner.number(),
            low: Stamp::FIRST,
            high: Stamp::LAST,
            with: Some(with),
        };
        let mut left = newest;
        let end = self.walk(&wanted, true, |stamp, kept| {
            if left == 0 {
                return ControlFlow::Break(None);
            }
            left -= 1;
            match matches(kept.xml) {
                true => ControlFlow::Break(Some(kept.show(stamp))),
                false => ControlFlow::Continue(()),
            }
        })?;
        Ok(Answer::Found(end.break_value().flatten()))
    }

    fn get(&mut self, owner: UserId, id: &ArchiveId) -> Result<Option<Row>, StoreError> {
        self.at(owner, id, |volume| page::get(volume, owner.number(), id))
            .map(Option::flatten)
    }

    fn replace(&mut self, owner: UserId, id: &ArchiveId, xml: &[u8]) -> Result<Answer, StoreError> {
        let replaced = self.at(owner, id, |volume| {
            let replaced = page::replace(volume, owner.number(), id, xml)?;
            if replaced {
                volume.commit_all()?;
            }
            Ok(replaced)
        })?;
        Ok(Answer::Done(replaced.unwrap_or(false)))
    }

    fn forget(&mut self, owner: UserId) -> Result<Answer, StoreError> {
        let mut there = false;
        for part in self.parts()? {
            let Source::Old(name) = part.source else {
                there |= self
                    .with_volume(&part, |volume| super::forget(volume, owner.number()))?
                    .unwrap_or(false);
                continue;
            };
            let Some(mut about) = self.about(name)? else {
                continue;
            };
            if about.owner(owner.number()).is_none() {
                continue;
            }
            there = true;
            self.with_volume(&part, |volume| super::forget(volume, owner.number()))?;
            // After a crash before this, the file says too much, which costs a look.
            about.owners.retain(|about| about.id != owner.number());
            about.write(&self.volumes.path(name))?;
        }
        Ok(Answer::Done(there))
    }

    fn roll(&mut self, at_ms: u64) -> Result<Answer, StoreError> {
        let volumes = self.volumes.clone();
        volumes.make_next(at_ms, |name| {
            Ok(self.about(name)?.map_or(0, |about| about.top.ms))
        })?;
        Ok(Answer::Done(true))
    }

    fn retain(
        &mut self,
        now_ms: u64,
        keep_days: u32,
        max_bytes: u64,
    ) -> Result<Answer, StoreError> {
        let max_bytes = match max_bytes {
            0 => self.space.size() / 10,
            bytes => bytes,
        };
        let volumes = self.volumes.clone();
        let removed = retention::retain(&volumes, now_ms, keep_days, max_bytes, |name| {
            self.open.retain(|opened| opened.name != name);
            Ok(self.about(name)?.map(|about| about.top.ms))
        });
        // Also where it ended with an error.
        let old = volumes.old();
        self.open.retain(|opened| old.contains(&opened.name));
        self.begins.retain(|name, _| old.contains(name));
        Ok(Answer::Done(removed? > 0))
    }

    /// Gives the rows that are wanted to `take`, volume after volume.
    fn walk<B>(
        &mut self,
        wanted: &Wanted,
        backward: bool,
        mut take: impl FnMut(Stamp, &Kept) -> ControlFlow<B>,
    ) -> Result<ControlFlow<B>, StoreError> {
        let mut parts = self.parts()?;
        parts.retain(|part| part.begin_ms <= wanted.high.ms && wanted.low.ms <= part.end_ms);
        if backward {
            parts.reverse();
        }
        let contact = wanted.with.map(|with| keys::hash_of_contact(bare_of(with)));
        for part in &parts {
            if let Source::Old(name) = part.source
                && !self.is_open(name)
                && !self.about(name)?.is_some_and(|about| {
                    about.may_have(wanted.owner, wanted.low, wanted.high, contact)
                })
            {
                continue;
            }
            let end = self.with_volume(part, |volume| {
                page::walk(volume, wanted, backward, &mut take)
            })?;
            if let Some(ControlFlow::Break(value)) = end {
                return Ok(ControlFlow::Break(value));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Does something with the volume that a row must be in; `None` if there is none.
    fn at<T>(
        &mut self,
        owner: UserId,
        id: &ArchiveId,
        act: impl FnMut(&Database) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let mut parts = self.parts()?.into_iter();
        let Some(part) = parts.rfind(|part| part.begin_ms <= id.stamp.ms) else {
            return Ok(None);
        };
        if let Source::Old(name) = part.source
            && !self.is_open(name)
            && !self
                .about(name)?
                .is_some_and(|about| about.may_have(owner.number(), id.stamp, id.stamp, None))
        {
            return Ok(None);
        }
        self.with_volume(&part, act)
    }

    /// All volumes in their order.
    fn parts(&mut self) -> Result<Vec<Part>, StoreError> {
        let volumes = self.volumes.clone();
        let mut parts = Vec::new();
        // First the one that is written in: if it is left meanwhile, it is there twice for this moment, and not missing.
        let current = volumes.current();
        for name in volumes.old() {
            if current.as_ref().is_some_and(|current| current.name == name) {
                continue;
            }
            if let Some(begin_ms) = self.begin_of(name)? {
                parts.push(Part {
                    source: Source::Old(name),
                    begin_ms,
                    end_ms: 0,
                });
            }
        }
        parts.extend(current.map(|current| Part {
            begin_ms: current.begin_ms,
            source: Source::Current(current.database),
            end_ms: 0,
        }));
        let mut end_ms = u64::MAX;
        for part in parts.iter_mut().rev() {
            part.end_ms = end_ms;
            end_ms = part.begin_ms.saturating_sub(1);
        }
        Ok(parts)
    }

    /// Where an old volume begins; `None` if it is no more.
    fn begin_of(&mut self, name: VolumeName) -> Result<Option<u64>, StoreError> {
        if let Some(begin_ms) = self.begins.get(&name) {
            return Ok(Some(*begin_ms));
        }
        let Some(about) = self.about(name)? else {
            return Ok(None);
        };
        self.begins.insert(name, about.begin_ms);
        Ok(Some(about.begin_ms))
    }

    /// What is known of an old volume; `None` if it is no more. The first time it is found out and written down.
    fn about(&mut self, name: VolumeName) -> Result<Option<About>, StoreError> {
        let path = self.volumes.path(name);
        if let Some(about) = About::read(&path) {
            return Ok(Some(about));
        }
        let part = Part {
            source: Source::Old(name),
            begin_ms: 0,
            end_ms: 0,
        };
        let about = self.with_volume(&part, |volume| {
            // What was written last must be there as surely as what is said of it.
            volume.commit_all()?;
            About::find_out(volume, volume::begin(volume)?.unwrap_or(0))
        })?;
        if let Some(about) = &about
            && let Err(error) = about.write(&path)
        {
            log::warn!("{}: {error}", path.display());
        }
        Ok(about)
    }

    fn is_open(&self, name: VolumeName) -> bool {
        self.open.iter().any(|opened| opened.name == name)
    }

    /// Does something with a volume; `None` if it is no more, or is damaged and was set aside.
    fn with_volume<T>(
        &mut self,
        part: &Part,
        mut act: impl FnMut(&Database) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let name = match &part.source {
            Source::Current(volume) => return act(volume).map(Some),
            Source::Old(name) => *name,
        };
        let outcome = self.opened(name).and_then(|volume| act(&volume));
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::Broken(why)) => {
                self.set_aside(name, &why)?;
                Ok(None)
            }
            Err(error) => {
                // Whatever it was, the next one begins afresh.
                self.open.retain(|opened| opened.name != name);
                Err(error)
            }
        }
    }

    fn opened(&mut self, name: VolumeName) -> Result<Database, StoreError> {
        if let Some(place) = self.open.iter().position(|opened| opened.name == name) {
            let mut opened = self.open.remove(place);
            opened.used = Instant::now();
            let database = opened.database.clone();
            self.open.push(opened);
            return Ok(database);
        }
        // Left a moment ago, and still open for its last commit: it cannot be opened twice.
        let database = match self.volumes.left(name) {
            Some(database) => database,
            None => volume::open_volume(&self.volumes.path(name))?.0,
        };
        self.keep_open(name, database.clone());
        Ok(database)
    }

    fn keep_open(&mut self, name: VolumeName, database: Database) {
        if self.open.len() >= ARCHIVE_OPEN_VOLUMES {
            self.open.remove(0);
        }
        self.open.push(Opened {
            name,
            database,
            used: Instant::now(),
        });
    }

    fn set_aside(&mut self, name: VolumeName, why: &str) -> Result<(), StoreError> {
        self.open.retain(|opened| opened.name != name);
        self.begins.remove(&name);
        self.volumes.forget(name);
        let notice = volume::set_aside(&self.volumes.path(name), why)?;
        log::error!("{notice}");
        Ok(())
    }
}

/// The range of stamps that a query asks for, or `None` where nothing can be in it.
fn wanted(query: &Query) -> Option<Wanted<'_>> {
    let mut low = Stamp::FIRST;
    let mut high = Stamp::LAST;
    if let Some(ms) = query.start_ms {
        low = low.max(Stamp { ms, seq: 0 });
    }
    if let Some(ms) = query.end_ms {
        high = high.min(Stamp { ms, seq: u16::MAX });
    }
    for id in &query.after {
        low = low.max(id.stamp.next()?);
    }
    for id in &query.before {
        high = high.min(id.stamp.previous()?);
    }
    (low <= high).then_some(Wanted {
        owner: query.owner.number(),
        low,
        high,
        with: query.with.as_deref(),
    })
}
