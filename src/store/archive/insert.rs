//! Rows of the past: what somebody brings along from another server gets the volumes that it would have had here, a month each.
//!
//! A volume has the stamps from its beginning to the beginning of the next, so one that is put in front or between begins with its month, and never
//! before the end of the one before it. Only owners whom nobody writes for at that moment may get rows this way: they are arriving.

use std::sync::PoisonError;

use super::about;
use super::reader::ArchiveReader;
use super::request::Answer;
use super::shelf::{Part, Source};
use super::volume::{self, VolumeName};
use super::{Stamp, bare_of, row, slot};
use crate::store::UserId;
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::files::{remove_if_there, sync_dir};
use crate::store::keys::{self, CONTACTS, MESSAGES};

/// A row that comes from elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OldRow {
    /// Where it shall be; right behind where another row is there.
    pub stamp: Stamp,
    /// Random bytes of its id.
    pub tag: [u8; 8],
    /// Milliseconds since 1970 when it came.
    pub at_ms: u64,
    /// The other side's JID.
    pub with: String,
    /// The message.
    pub xml: String,
}

impl ArchiveReader {
    /// Puts rows where they belong, and on the disk. Bounded by who asks: all rows are in memory.
    pub(super) fn insert(
        &mut self,
        owner: UserId,
        mut rows: Vec<OldRow>,
    ) -> Result<Answer, StoreError> {
        if !self.volumes.writes() {
            return Err(StoreError::ArchiveOff);
        }
        rows.sort_by_key(|row| row.stamp);
        let mut rows = rows.into_iter().peekable();
        while let Some(ms) = rows.peek().map(|row| row.stamp.ms) {
            let part = self.part_for(ms)?;
            let mut mine = Vec::new();
            while let Some(row) = rows.next_if(|row| row.stamp.ms <= part.end_ms.min(last_ms(ms))) {
                mine.push(row);
            }
            // Damaged, and set aside at this moment: they are lost with it, as those that were there.
            self.with_volume(&part, |volume| {
                for row in &mine {
                    put(volume, owner.number(), row)?;
                }
                volume.commit_all()
            })?;
        }
        Ok(Answer::Done(true))
    }

    /// Looks through the volumes that got rows, so that nobody waits for that later.
    pub(super) fn settle(&mut self) -> Result<Answer, StoreError> {
        for name in std::mem::take(&mut self.changed) {
            self.about(name)?;
        }
        self.parts().map(|_| Answer::Done(true))
    }

    /// The volume for rows of this moment, made where there is none for its month. What is known of it is forgotten first.
    fn part_for(&mut self, ms: u64) -> Result<Part, StoreError> {
        let month = VolumeName::of(ms);
        let begin_ms = month.begin_ms();
        let mut parts = self.parts()?;
        let behind = parts.iter().position(|part| part.begin_ms > ms);
        let before = behind.unwrap_or(parts.len()).checked_sub(1);
        let fits = match before.map(|place| &parts[place]) {
            None => false,
            Some(part) => match part.source {
                Source::Current(_) => true,
                Source::Old(name) if name.is_of_month(month) => true,
                // It has rows of this month, too: its end comes late.
                Source::Old(name) => self
                    .about(name)?
                    .is_some_and(|about| about.top.ms >= begin_ms),
            },
        };
        let place = match (before, behind) {
            (Some(before), _) if fits => before,
            // The next one is of this month, and began late in it.
            (_, Some(behind)) if self.name_of(&parts[behind]).is_no_later_month(month) => {
                self.begin_earlier(&parts[behind], begin_ms)?;
                behind
            }
            (before, _) => {
                self.make_between(month)?;
                parts = self.parts()?;
                before.map_or(0, |before| before + 1)
            }
        };
        if place >= parts.len() {
            return Err(StoreError::Broken(
                "a part of the archive went while it was made".to_owned(),
            ));
        }
        let part = parts.swap_remove(place);
        if let Source::Old(name) = part.source {
            let path = self.volumes.path(name);
            remove_if_there(&about::path_in(&path))?;
            sync_dir(&path)?;
            self.changed.insert(name);
        }
        Ok(part)
    }

    /// The month in which a volume was made: that of its beginning, or an earlier one.
    fn name_of(&self, part: &Part) -> VolumeName {
        match part.source {
            Source::Old(name) => name,
            Source::Current(_) => {
                let current = self.volumes.current();
                current.map_or(VolumeName::of(part.begin_ms), |current| current.name)
            }
        }
    }

    /// A volume begins earlier from now on.
    fn begin_earlier(&mut self, part: &Part, begin_ms: u64) -> Result<(), StoreError> {
        self.with_volume(part, |volume| {
            volume::put_begin(volume, begin_ms)?;
            volume.commit_all()
        })?;
        match part.source {
            Source::Old(name) => {
                self.begins.insert(name, begin_ms);
            }
            Source::Current(_) => self.volumes.begin_current(begin_ms),
        }
        Ok(())
    }

    /// Makes an old volume, for a month.
    fn make_between(&mut self, month: VolumeName) -> Result<(), StoreError> {
        let volumes = self.volumes.clone();
        let _making = volumes
            .making()
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        volumes.make(month, |database| {
            volume::put_begin(database, month.begin_ms())
        })?;
        volumes.add_old(month);
        self.begins.insert(month, month.begin_ms());
        Ok(())
    }
}

/// The last millisecond of a moment's month.
fn last_ms(ms: u64) -> u64 {
    VolumeName::of(ms).end_ms().saturating_sub(1).max(ms)
}

/// The index first, as everywhere.
fn put(volume: &Database, owner: u32, new: &OldRow) -> Result<(), StoreError> {
    let mut stamp = new.stamp;
    while volume
        .get(MESSAGES, &keys::archived(owner, stamp))?
        .is_some()
    {
        stamp = stamp.next().ok_or(StoreError::TooMuch)?;
    }
    let clock_ms = (stamp.ms != new.at_ms).then_some(new.at_ms);
    let record = row::encode(Vec::new(), &new.tag, clock_ms, &new.with, |out| {
        out.extend_from_slice(new.xml.as_bytes());
    });
    let contact = keys::hash_of_contact(bare_of(&new.with));
    let key = keys::contact_slot(owner, contact, slot(stamp.ms));
    if volume.get(CONTACTS, &key)?.is_none() {
        volume.put(CONTACTS, &key, &[1])?;
    }
    volume.put(MESSAGES, &keys::archived(owner, stamp), &record)
}
