//! The reading side: what waits for the disk, on a thread of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::about::Edge;
use super::page::{self, Page, Wanted};
use super::request::{Answer, Query, Request};
use super::row::{Kept, Row};
use super::shelf::Source;
use super::volume::{VolumeName, Volumes};
use super::{ArchiveId, Stamp, bare_of, retention};
use crate::limits::ARCHIVE_IDLE_SECONDS;
use crate::store::UserId;
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::keys;
use crate::store::space::Space;

/// Reads the archive. Opening an old volume takes its time, so this lives on a thread of its own.
pub struct ArchiveReader {
    pub(super) volumes: Arc<Volumes>,
    space: Arc<Space>,
    /// Old volumes that are open, the one that was used last at the end.
    pub(super) open: Vec<Opened>,
    /// Where old volumes begin.
    pub(super) begins: BTreeMap<VolumeName, u64>,
    /// Old volumes that got rows, of which nothing is known any more.
    pub(super) changed: BTreeSet<VolumeName>,
}

pub(super) struct Opened {
    pub name: VolumeName,
    pub database: Database,
    pub used: Instant,
}

impl ArchiveReader {
    pub(super) fn new(volumes: Arc<Volumes>, space: Arc<Space>) -> ArchiveReader {
        ArchiveReader {
            volumes,
            space,
            open: Vec::new(),
            begins: BTreeMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// Does what is asked. An old volume that turns out to be damaged is set aside, with a line in the log, and counts as empty from then on.
    pub fn answer(&mut self, request: Request) -> Result<Answer, StoreError> {
        self.volumes.open_newest(&self.space)?;
        match request {
            Request::Open => Ok(Answer::Done(true)),
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
            Request::Insert { owner, rows } => self.insert(owner, rows),
            Request::Settle => self.settle(),
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
}

/// The range of stamps that a query asks for, or `None` where nothing can be in it.
fn wanted(query: &Query) -> Option<Wanted<'_>> {
    let mut low = query.from;
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
