//! The archive: messages that stay, for each owner in the order of their coming.
//!
//! It is kept in volumes, one database a month or a little more often, so that old messages go by removing a directory, and damage stays in one of them. The
//! newest volume is open and the engine's thread appends to it; what waits for the disk (old volumes, new ones, pages of any of them) is asked of the
//! [`ArchiveReader`], on a thread of its own.
//!
//! The invariants:
//! - An owner's stamps grow with every row, also when the clock runs backwards. A volume has the stamps from its beginning to the beginning of the next.
//! - A row whose contact is not in the index is never there: the index is written first, and a crash leaves a beginning of what was written.
//! - What was archived is there after a power cut once it is committed, as everything in the store.

mod about;
mod insert;
mod page;
mod reader;
mod request;
mod retention;
mod row;
mod shelf;
mod volume;

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

pub use about::Edge;
pub use insert::OldRow;
pub use reader::ArchiveReader;
pub use request::{Answer, Query, Request};
pub use row::Row;
pub(super) use volume::{Volumes, commit};

use super::database::Database;
use super::error::StoreError;
use super::keys::{self, CONTACTS, MESSAGES};
use super::{Store, UserId};
use crate::limits::{ARCHIVE_OWNERS_KNOWN, ARCHIVE_ROW_OWN_BYTES, ARCHIVE_VOLUME_BYTES};
use crate::xmpp::time::LATEST_MS;
use about::About;
use volume::{Current, VolumeName};

/// The place of a row in its owner's archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Stamp {
    /// Milliseconds since 1970, up to the year 9999; never less than that of the row before.
    pub ms: u64,
    /// Number within the millisecond.
    pub seq: u16,
}

impl Stamp {
    /// No stamp is before this.
    pub const FIRST: Stamp = Stamp { ms: 0, seq: 0 };
    /// No stamp is behind this.
    pub const LAST: Stamp = Stamp {
        ms: u64::MAX,
        seq: u16::MAX,
    };

    /// The stamp right behind; `None` behind the last.
    pub fn next(self) -> Option<Stamp> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Stamp { seq, ..self }),
            None => Some(Stamp {
                ms: self.ms.checked_add(1)?,
                seq: 0,
            }),
        }
    }

    /// The stamp right before; `None` before the first.
    pub fn previous(self) -> Option<Stamp> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Stamp { seq, ..self }),
            None => Some(Stamp {
                ms: self.ms.checked_sub(1)?,
                seq: u16::MAX,
            }),
        }
    }
}

/// The id of an archived message (XEP-0359 §3): where it lies, and random bytes, so that nobody guesses the id of a message that they have not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ArchiveId {
    /// Its place in the archive.
    pub stamp: Stamp,
    /// What no other row had at this place.
    pub tag: [u8; 8],
}

impl ArchiveId {
    /// Reads what [`fmt::Display`] writes: 22 characters of base64url. `None` for anything else.
    pub fn parse(text: &str) -> Option<ArchiveId> {
        let mut bytes = [0; 16];
        if text.len() != 22 || URL_SAFE_NO_PAD.decode_slice(text, &mut bytes) != Ok(16) {
            return None;
        }
        let mut ms = [0; 8];
        ms[2..].copy_from_slice(&bytes[..6]);
        Some(ArchiveId {
            stamp: Stamp {
                ms: u64::from_be_bytes(ms),
                seq: u16::from_be_bytes([bytes[6], bytes[7]]),
            },
            tag: *bytes.last_chunk().expect("16 bytes have 8"),
        })
    }

    /// Its 22 characters.
    pub fn text(&self) -> heapless::String<22> {
        let mut bytes = [0; 16];
        // The year 9999 fits six bytes.
        bytes[..6].copy_from_slice(&self.stamp.ms.to_be_bytes()[2..]);
        bytes[6..8].copy_from_slice(&self.stamp.seq.to_be_bytes());
        bytes[8..].copy_from_slice(&self.tag);
        let mut text = [0; 22];
        let written = URL_SAFE_NO_PAD.encode_slice(bytes, &mut text);
        assert_eq!(written, Ok(22), "16 bytes are 22 characters");
        let text = std::str::from_utf8(&text).expect("base64 is ASCII");
        heapless::String::try_from(text).expect("22 characters fit")
    }
}

impl fmt::Display for ArchiveId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

/// The slot of time of a stamp: about 70 minutes. 32 bits of them last beyond the year 9999.
fn slot(ms: u64) -> u32 {
    u32::try_from(ms >> SLOT_BITS).unwrap_or(u32::MAX)
}

/// The first and the last stamp of a slot.
fn stamps_of(slot: u32) -> (Stamp, Stamp) {
    let first = u64::from(slot) << SLOT_BITS;
    let last = first | ((1 << SLOT_BITS) - 1);
    (
        Stamp { ms: first, seq: 0 },
        Stamp {
            ms: last,
            seq: u16::MAX,
        },
    )
}

const SLOT_BITS: u32 = 22;

/// A JID without its resource.
fn bare_of(jid: &str) -> &str {
    jid.split_once('/').map_or(jid, |(bare, _)| bare)
}

/// The writing side of the archive.
pub(super) struct Archive {
    pub volumes: Arc<Volumes>,
    writer: RefCell<Writer>,
    /// Owners whose rows must go.
    forgetting: RefCell<VecDeque<UserId>>,
    writes: bool,
}

#[derive(Default)]
struct Writer {
    current: Option<Current>,
    /// The first millisecond of the month after that in which `current` began.
    month_end_ms: u64,
    /// About how many bytes the rows of `current` count for.
    bytes: u64,
    /// How many of them are not written down.
    uncounted: u64,
    /// Where owners are. Those who are not in here are looked up.
    lasts: HashMap<u32, Last>,
    /// The last stamp that was given to anybody.
    top_ms: u64,
    /// Reopenings of `current` that `lasts` has followed.
    reopenings: u64,
    /// Reopenings of what was written in before.
    reopenings_before: u64,
    /// A volume was left and not settled yet.
    unsettled: bool,
    /// The record of the last row, for its memory.
    record: Vec<u8>,
}

/// The last row of an owner.
#[derive(Clone, Copy)]
struct Last {
    /// `None`: there is none in this volume.
    stamp: Option<Stamp>,
    /// The contact and the slot that are in the index for sure.
    contact: (u64, u32),
}

/// Bytes of rows between two notes of how many there are.
const COUNTED: u64 = 256 * 1024;

impl Archive {
    /// Looks what there is, and opens nothing.
    pub fn find(dir: &Path, writes: bool) -> Result<Archive, StoreError> {
        Ok(Archive {
            volumes: Arc::new(Volumes::find(dir, writes)?),
            writer: RefCell::default(),
            forgetting: RefCell::default(),
            writes,
        })
    }

    /// Writes so far, in all volumes.
    pub fn written(&self) -> u64 {
        match &self.writer.borrow().current {
            Some(current) => current.base + current.database.written().0,
            None => 0,
        }
    }

    pub fn is_dirty(&self) -> bool {
        self.volumes
            .written()
            .iter()
            .any(|volume| volume.database.is_dirty())
    }

    pub fn has_failed(&self) -> bool {
        let writer = self.writer.borrow();
        writer
            .current
            .as_ref()
            .is_some_and(|current| current.database.has_failed())
    }

    pub fn reopenings(&self) -> u64 {
        let writer = self.writer.borrow();
        let now = writer.current.as_ref().map(|now| now.database.reopenings());
        writer.reopenings_before + now.unwrap_or(0)
    }
}

impl Store {
    /// Archives a message for an owner, at the end of the archive; `write` appends its XML. `at_ms`: milliseconds since 1970 by the clock; `tag`: random
    /// bytes; `with`: the other side's JID.
    ///
    /// `ArchiveOff`: the store was opened without. `Broken`: the newest volume is damaged, and another one is being made. `TooLong` above 300 KiB, `Full` if the disk is nearly full. The row is safe once [`Store::ticket`] is
    /// committed. Only the first row of all makes a volume and waits for the disk; the first one after a start does where the newest volume is not open
    /// yet ([`Store::archive_rests`]).
    pub fn archive(
        &self,
        owner: UserId,
        at_ms: u64,
        tag: [u8; 8],
        with: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<ArchiveId, StoreError> {
        if !self.archive.writes {
            return Err(StoreError::ArchiveOff);
        }
        self.room_to_grow()?;
        self.archive.volumes.open_to_write(&self.space)?;
        let at_ms = at_ms.min(LATEST_MS);
        let mut writer = self.archive.writer.borrow_mut();
        writer.turn(&self.archive.volumes, at_ms)?;
        if self.archive.volumes.is_given_up() {
            return Err(StoreError::Broken(
                "the newest part of the message archive is damaged".to_owned(),
            ));
        }
        let archived = writer.append(owner.number(), at_ms, tag, with, write);
        if let (Err(StoreError::Broken(_)), Some(current)) = (&archived, &writer.current) {
            self.archive.volumes.give_up(current.name);
        }
        archived
    }

    /// Puts other XML in the place of that of a row. `false`: the newest volume does not have it, ask the reading side ([`Request::Replace`]).
    pub fn replace_archived(
        &self,
        owner: UserId,
        id: &ArchiveId,
        xml: &[u8],
    ) -> Result<bool, StoreError> {
        match &self.archive.writer.borrow().current {
            Some(current) if current.begin_ms <= id.stamp.ms => {
                page::replace(&current.database, owner.number(), id, xml)
            }
            _ => Ok(false),
        }
    }

    /// What reads the archive, for a thread of its own.
    pub fn archive_reader(&self) -> ArchiveReader {
        ArchiveReader::new(self.archive.volumes.clone(), self.space.clone())
    }

    /// Whether messages can be archived.
    pub fn is_archive_open(&self) -> bool {
        self.archive.writes
    }

    /// Whether nobody has needed the newest volume yet since the start, and nothing must be forgotten.
    pub fn archive_rests(&self) -> bool {
        self.archive.writes
            && self.archive.writer.borrow().current.is_none()
            && self.archive.forgetting.borrow().is_empty()
    }

    /// What the reading side should do next for the archive's sake, if anything: ask it once a second, and again when it has answered
    /// ([`Store::archive_forgot`] for [`Request::Forget`]). Turns to a volume that was made. No system call.
    pub fn archive_chore(&self, now_ms: u64) -> Option<Request> {
        if !self.archive.volumes.is_open() {
            return Some(Request::Open);
        }
        if self.archive.volumes.has_next() || self.archive.writer.borrow().current.is_none() {
            let mut writer = self.archive.writer.borrow_mut();
            let turned = match self.archive.volumes.has_next() {
                true => writer.turn(&self.archive.volumes, now_ms.min(LATEST_MS)),
                false => writer.take_up(&self.archive.volumes),
            };
            if let Err(error) = turned {
                log::error!("{}: {error}", self.archive.volumes.dir().display());
            }
        }
        if let Some(user) = self.archive.forgetting.borrow().front() {
            return Some(Request::Forget(*user));
        }
        let mut writer = self.archive.writer.borrow_mut();
        if std::mem::take(&mut writer.unsettled) {
            return Some(Request::Settle);
        }
        let due = match &writer.current {
            None => self.archive.writes,
            Some(_) => {
                writer.bytes >= ARCHIVE_VOLUME_BYTES
                    || self.archive.volumes.is_given_up()
                    || writer.bytes > 0
                        && (now_ms >= writer.month_end_ms || self.archive.volumes.is_full())
            }
        };
        (due && !self.archive.volumes.has_next()).then_some(Request::Roll { at_ms: now_ms })
    }

    /// The reading side has forgotten an owner's rows: nothing is left of that account.
    pub fn archive_forgot(&self, owner: UserId) -> Result<(), StoreError> {
        self.archive
            .forgetting
            .borrow_mut()
            .retain(|user| *user != owner);
        self.main
            .remove(keys::DELETED, &keys::user(owner.number()))
            .map(drop)
    }

    /// An account's rows must go. `false`: there is no archive, so there is nothing to do.
    pub(super) fn begin_forgetting(&self, owner: UserId) -> bool {
        let needed = !self.archive.volumes.is_empty();
        let mut forgetting = self.archive.forgetting.borrow_mut();
        if needed && !forgetting.contains(&owner) {
            forgetting.push_back(owner);
        }
        needed
    }
}

impl Writer {
    /// Turns to the next volume where one is ready; makes the first one.
    fn turn(&mut self, volumes: &Volumes, at_ms: u64) -> Result<(), StoreError> {
        self.take_up(volumes)?;
        if self.current.is_none() && !volumes.has_next() {
            // The first of all. There are older ones where an archive was brought along from elsewhere.
            volumes.make_next(at_ms, |name| {
                Ok(About::read(&volumes.path(name)).map_or(0, |about| about.top.ms))
            })?;
        }
        if !volumes.has_next() {
            return Ok(());
        }
        let Some(next) = volumes.take_next() else {
            return Ok(());
        };
        let begin_ms = at_ms.max(next.top_ms + 1).max(self.top_ms + 1);
        if let Err(error) = volume::put_begin(&next.database, begin_ms) {
            volumes.put_back(next);
            return Err(error);
        }
        self.unsettled = self.current.is_some();
        let base = match &self.current {
            Some(before) => {
                self.reopenings_before += before.database.reopenings();
                before.base + before.database.written().0
            }
            None => 0,
        };
        let current = Current {
            name: next.name,
            database: next.database,
            begin_ms,
            base,
        };
        volumes.turn_to(current.clone());
        self.month_end_ms = VolumeName::of(begin_ms).end_ms();
        (self.bytes, self.uncounted) = (0, 0);
        self.lasts.clear();
        self.reopenings = current.database.reopenings();
        self.current = Some(current);
        Ok(())
    }

    /// Goes on in the volume that was opened, after a start.
    fn take_up(&mut self, volumes: &Volumes) -> Result<(), StoreError> {
        if self.current.is_none()
            && let Some(current) = volumes.current()
        {
            self.bytes = volume::bytes(&current.database)?;
            self.month_end_ms = VolumeName::of(current.begin_ms).end_ms();
            self.reopenings = current.database.reopenings();
            self.current = Some(current);
        }
        Ok(())
    }

    fn append(
        &mut self,
        owner: u32,
        at_ms: u64,
        tag: [u8; 8],
        with: &str,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<ArchiveId, StoreError> {
        let Some(Current {
            database, begin_ms, ..
        }) = &self.current
        else {
            return Err(StoreError::ArchiveOff);
        };
        if self.reopenings != database.reopenings() {
            self.reopenings = database.reopenings();
            self.lasts.clear();
        }
        let last = match self.lasts.get(&owner) {
            Some(last) => *last,
            None => look_up(database, owner)?,
        };
        let stamp = stamp_behind(last.stamp, at_ms.max(*begin_ms));
        let clock_ms = (stamp.ms != at_ms).then_some(at_ms);
        self.record = row::encode(
            std::mem::take(&mut self.record),
            &tag,
            clock_ms,
            with,
            write,
        );
        let contact = (keys::hash_of_contact(bare_of(with)), slot(stamp.ms));
        if contact != last.contact {
            let key = keys::contact_slot(owner, contact.0, contact.1);
            if database.get(CONTACTS, &key)?.is_none() {
                database.put(CONTACTS, &key, &[1])?;
            }
        }
        let bytes = self.record.len() as u64 + ARCHIVE_ROW_OWN_BYTES;
        if self.uncounted + bytes > COUNTED {
            volume::put_bytes(database, self.bytes + bytes)?;
            self.uncounted = 0;
        }
        database.put(MESSAGES, &keys::archived(owner, stamp), &self.record)?;
        if self.record.capacity() > KEPT_RECORD_BYTES {
            self.record = Vec::new();
        }
        if self.lasts.len() >= ARCHIVE_OWNERS_KNOWN {
            self.lasts.clear();
        }
        self.lasts.insert(
            owner,
            Last {
                stamp: Some(stamp),
                contact,
            },
        );
        self.top_ms = self.top_ms.max(stamp.ms);
        self.bytes += bytes;
        self.uncounted += bytes;
        Ok(ArchiveId { stamp, tag })
    }
}

/// A record's memory is used again up to this many bytes.
const KEPT_RECORD_BYTES: usize = 16 * 1024;

/// The last row of an owner in a volume.
fn look_up(volume: &Database, owner: u32) -> Result<Last, StoreError> {
    let last = volume.last(MESSAGES, &keys::user(owner))?;
    let stamp = match &last {
        Some((key, _)) => Some(row::stamp_of(key)?),
        None => None,
    };
    // A contact that is none: time has not come to the last slot.
    let contact = (0, u32::MAX);
    Ok(Last { stamp, contact })
}

/// The stamp of a row that comes at this time behind another.
fn stamp_behind(last: Option<Stamp>, at_ms: u64) -> Stamp {
    let fresh = Stamp { ms: at_ms, seq: 0 };
    match last {
        Some(last) if last >= fresh => last.next().expect("time has not come to its end"),
        _ => fresh,
    }
}

/// Removes an owner's rows from a volume, and commits that; whether there were any.
fn forget(volume: &Database, owner: u32) -> Result<bool, StoreError> {
    let user = keys::user(owner);
    let mut removed = 0;
    for tree in [MESSAGES, CONTACTS] {
        removed += volume.remove_range(tree, &user, None)?;
    }
    if removed > 0 {
        volume.commit_all()?;
    }
    Ok(removed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_22_characters_and_nothing_else_is_one() {
        let id = ArchiveId {
            stamp: Stamp {
                ms: LATEST_MS,
                seq: 65_535,
            },
            tag: [0xff; 8],
        };
        let text = id.to_string();
        assert_eq!(text.len(), 22);
        assert_eq!(ArchiveId::parse(&text), Some(id));
        let zero = "AAAAAAAAAAAAAAAAAAAAAA";
        assert_eq!(ArchiveId::parse(zero).unwrap().to_string(), zero);
        for no in [
            "",
            "AAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAA",
            // Bits behind the last byte.
            "AAAAAAAAAAAAAAAAAAAAAB",
            "AAAAAAAAAAAAAAAAAAAA==",
            "AAAAAAAAAAAAAAAAAAAAA+",
            "AAAAAAAAAAAAAAAAAAAA\u{e4}",
        ] {
            assert_eq!(ArchiveId::parse(no), None, "{no}");
        }
    }

    #[test]
    fn stamps_only_grow() {
        let at = |ms, seq| Stamp { ms, seq };
        assert_eq!(stamp_behind(None, 5), at(5, 0));
        assert_eq!(stamp_behind(Some(at(5, 0)), 5), at(5, 1));
        assert_eq!(stamp_behind(Some(at(9, u16::MAX)), 5), at(10, 0));
        assert_eq!(stamp_behind(Some(at(4, 7)), 5), at(5, 0));
        assert_eq!(at(5, 0).previous(), Some(at(4, u16::MAX)));
        assert_eq!(at(4, u16::MAX).next(), Some(at(5, 0)));
        assert_eq!((Stamp::FIRST.previous(), Stamp::LAST.next()), (None, None));
    }

    #[test]
    fn slots_meet() {
        let (first, last) = stamps_of(slot(1_795_348_800_000));
        assert_eq!((slot(first.ms), slot(last.ms)), (428_044, 428_044));
        assert_eq!(last.next(), Some(stamps_of(428_045).0));
        assert_eq!(slot(LATEST_MS), 60_415_816);
        assert_eq!(slot(u64::MAX), u32::MAX);
    }
}
