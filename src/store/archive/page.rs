//! Rows of one volume: those that a query asks for, one after the other in either direction.

use std::ops::ControlFlow;

use super::row::{self, Kept, Row};
use super::{ArchiveId, Stamp, bare_of, slot};
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::keys::{self, CONTACTS, MESSAGES};

/// Which rows of an owner.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub owner: u32,
    /// The first and the last stamp.
    pub low: Stamp,
    pub high: Stamp,
    pub with: Option<&'a str>,
}

impl Wanted<'_> {
    /// Whether a row with this contact is wanted: a bare JID stands for all its resources.
    pub fn is_with(&self, with: &str) -> bool {
        self.with
            .is_none_or(|wanted| wanted == with || !wanted.contains('/') && wanted == bare_of(with))
    }
}

/// Gives what is wanted to `take`, from the first to the last or backward, until it breaks.
pub(super) fn walk<B>(
    volume: &Database,
    wanted: &Wanted,
    backward: bool,
    mut take: impl FnMut(Stamp, &Kept) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, StoreError> {
    let Some(with) = wanted.with else {
        return walk_between(volume, wanted, backward, &mut take);
    };
    let hash = keys::hash_of_contact(bare_of(with));
    let prefix = keys::with_contact(wanted.owner, hash);
    let mut slots = volume.scan_between(
        CONTACTS,
        &prefix,
        &keys::contact_slot(wanted.owner, hash, slot(wanted.low.ms)),
        &keys::contact_slot(wanted.owner, hash, slot(wanted.high.ms)),
    )?;
    let mut next = || match backward {
        true => slots.next_back(),
        false => slots.next(),
    };
    while let Some(entry) = next() {
        let Some(slot) = keys::slot_of(&entry?.0) else {
            continue;
        };
        let (first, last) = super::stamps_of(slot);
        let part = Wanted {
            low: wanted.low.max(first),
            high: wanted.high.min(last),
            ..*wanted
        };
        if let ControlFlow::Break(value) = walk_between(volume, &part, backward, &mut take)? {
            return Ok(ControlFlow::Break(value));
        }
    }
    Ok(ControlFlow::Continue(()))
}

fn walk_between<B>(
    volume: &Database,
    wanted: &Wanted,
    backward: bool,
    take: &mut impl FnMut(Stamp, &Kept) -> ControlFlow<B>,
) -> Result<ControlFlow<B>, StoreError> {
    if wanted.low > wanted.high {
        return Ok(ControlFlow::Continue(()));
    }
    let mut rows = volume.scan_between(
        MESSAGES,
        &keys::user(wanted.owner),
        &keys::archived(wanted.owner, wanted.low),
        &keys::archived(wanted.owner, wanted.high),
    )?;
    let mut next = || match backward {
        true => rows.next_back(),
        false => rows.next(),
    };
    while let Some(entry) = next() {
        let (key, value) = entry?;
        let kept = row::decode(&value).map_err(row::damaged)?;
        if wanted.is_with(kept.with)
            && let ControlFlow::Break(value) = take(row::stamp_of(&key)?, &kept)
        {
            return Ok(ControlFlow::Break(value));
        }
    }
    Ok(ControlFlow::Continue(()))
}

/// The row of an id, where the volume has it and no other in its place.
pub(super) fn get(
    volume: &Database,
    owner: u32,
    id: &ArchiveId,
) -> Result<Option<Row>, StoreError> {
    let Some(value) = volume.get(MESSAGES, &keys::archived(owner, id.stamp))? else {
        return Ok(None);
    };
    let kept = row::decode(&value).map_err(row::damaged)?;
    Ok((kept.tag == id.tag).then(|| kept.show(id.stamp)))
}

/// Puts other XML in the place of that of a row; `false` where the volume does not have it.
pub(super) fn replace(
    volume: &Database,
    owner: u32,
    id: &ArchiveId,
    xml: &[u8],
) -> Result<bool, StoreError> {
    let key = keys::archived(owner, id.stamp);
    let Some(value) = volume.get(MESSAGES, &key)? else {
        return Ok(false);
    };
    let kept = row::decode(&value).map_err(row::damaged)?;
    if kept.tag != id.tag {
        return Ok(false);
    }
    let record = row::encode(Vec::new(), &kept.tag, kept.clock_ms, kept.with, |out| {
        out.extend_from_slice(xml)
    });
    volume.put(MESSAGES, &key, &record)?;
    Ok(true)
}

/// The rows that are taken for one page.
pub(super) struct Page {
    pub rows: Vec<Row>,
    room: usize,
    bytes: usize,
}

impl Page {
    pub fn new(max: usize, bytes: usize) -> Page {
        Page {
            rows: Vec::with_capacity(max.min(64)),
            room: max,
            bytes,
        }
    }

    /// Takes a row, or breaks because the page is full: then there is at least this one more.
    pub fn take(&mut self, stamp: Stamp, kept: &Kept) -> ControlFlow<()> {
        let fits = kept.xml.len() <= self.bytes || self.rows.is_empty();
        if self.room == 0 || !fits {
            return ControlFlow::Break(());
        }
        self.room -= 1;
        self.bytes = self.bytes.saturating_sub(kept.xml.len());
        self.rows.push(kept.show(stamp));
        ControlFlow::Continue(())
    }
}
