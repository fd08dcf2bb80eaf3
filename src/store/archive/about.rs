//! What is known of an old volume without opening it: where it begins and ends, whose rows are in it, and with whom.
//!
//! To open a database costs sled tens of milliseconds, megabytes of memory, and a megabyte or two written to the disk. So when a volume is no longer written
//! in, a file beside its database says what most queries need to know to pass it by. The database is what counts: a file that is missing or damaged is made
//! again from it.
//!
//! The file: the line `snug volume`, a version, begin and last stamp, the number of owners; for each owner, sorted, 60 bytes (id, first and last row, how many
//! contacts); for each of them in the same order the sorted hashes of the contacts; the SHA-256 of all before it. Numbers are big-endian.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use ring::digest::{SHA256, digest};

use super::row;
use super::{ArchiveId, Stamp};
use crate::store::database::Database;
use crate::store::error::StoreError;
use crate::store::files::{beside, sync_dir};
use crate::store::keys::{self, CONTACTS, MESSAGES};

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct About {
    pub begin_ms: u64,
    /// The last stamp; the beginning where there is no row.
    pub top: Stamp,
    /// Sorted by owner.
    pub owners: Vec<Owner>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub id: u32,
    pub first: Edge,
    pub last: Edge,
    /// Hashes of bare JIDs, sorted.
    pub contacts: Vec<u64>,
}

/// A row at the edge of an archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Its id.
    pub id: ArchiveId,
    /// Milliseconds since 1970 when it came, by the clock of that moment.
    pub at_ms: u64,
}

const FIRST_LINE: &[u8] = b"snug volume\n";
const VERSION: u8 = 1;
const DIGEST_BYTES: usize = 32;
/// The name of the file in the directory of a volume.
const FILE: &str = "about";

/// The file in the directory of a volume.
pub fn path_in(volume: &Path) -> PathBuf {
    volume.join(FILE)
}

impl About {
    /// Finds it out from the volume itself: a look or two for each owner and for each of their contacts.
    pub fn find_out(volume: &Database, begin_ms: u64) -> Result<About, StoreError> {
        let mut about = About {
            begin_ms,
            top: Stamp {
                ms: begin_ms,
                seq: 0,
            },
            owners: Vec::new(),
        };
        let mut from = 0u32;
        while let Some(entry) = volume.scan_from(MESSAGES, b"", &keys::user(from))?.next() {
            let (key, value) = entry?;
            let Some((id, stamp)) = keys::archived_parts(&key) else {
                break;
            };
            let first = edge(stamp, &value)?;
            let Some((key, value)) = volume.last(MESSAGES, &keys::user(id))? else {
                continue;
            };
            let last = edge(row::stamp_of(&key)?, &value)?;
            about.top = about.top.max(last.id.stamp);
            about.owners.push(Owner {
                id,
                first,
                last,
                contacts: contacts(volume, id)?,
            });
            match id.checked_add(1) {
                Some(next) => from = next,
                None => break,
            }
        }
        Ok(about)
    }

    /// Reads the file of a volume; `None` where there is none that is whole.
    pub fn read(volume: &Path) -> Option<About> {
        let bytes = fs::read(volume.join(FILE)).ok()?;
        let (bytes, sum) = bytes.split_last_chunk::<DIGEST_BYTES>()?;
        if digest(&SHA256, bytes).as_ref() != sum {
            log::warn!("{}: damaged, made anew", volume.join(FILE).display());
            return None;
        }
        decode(bytes)
    }

    /// Writes the file of a volume: the old one or the new one is there after a power cut, and whole.
    pub fn write(&self, volume: &Path) -> Result<(), StoreError> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = volume.join(FILE);
        let new = beside(&path, "new");
        let mut bytes = self.encode();
        let sum = digest(&SHA256, &bytes);
        bytes.extend_from_slice(sum.as_ref());
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)
            .map_err(StoreError::io(&new))?;
        file.write_all(&bytes)
            .and_then(|()| file.sync_all())
            .map_err(StoreError::io(&new))?;
        fs::rename(&new, &path).map_err(StoreError::io(&path))?;
        sync_dir(volume)
    }

    /// What is said of an owner, who has rows here.
    pub fn owner(&self, id: u32) -> Option<&Owner> {
        let place = self.owners.binary_search_by_key(&id, |owner| owner.id);
        Some(&self.owners[place.ok()?])
    }

    /// Whether there can be rows of an owner between two stamps, with this contact (by the hash of its bare JID).
    pub fn may_have(&self, id: u32, low: Stamp, high: Stamp, contact: Option<u64>) -> bool {
        self.owner(id).is_some_and(|owner| {
            owner.first.id.stamp <= high
                && low <= owner.last.id.stamp
                && contact.is_none_or(|hash| owner.contacts.binary_search(&hash).is_ok())
        })
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = FIRST_LINE.to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.begin_ms.to_be_bytes());
        put_stamp(&mut bytes, self.top);
        bytes.extend_from_slice(&(self.owners.len() as u32).to_be_bytes());
        for owner in &self.owners {
            bytes.extend_from_slice(&owner.id.to_be_bytes());
            for edge in [&owner.first, &owner.last] {
                put_stamp(&mut bytes, edge.id.stamp);
                bytes.extend_from_slice(&edge.id.tag);
                bytes.extend_from_slice(&edge.at_ms.to_be_bytes());
            }
            bytes.extend_from_slice(&(owner.contacts.len() as u32).to_be_bytes());
        }
        for hash in self.owners.iter().flat_map(|owner| &owner.contacts) {
            bytes.extend_from_slice(&hash.to_be_bytes());
        }
        bytes
    }
}

fn put_stamp(bytes: &mut Vec<u8>, stamp: Stamp) {
    bytes.extend_from_slice(&stamp.ms.to_be_bytes());
    bytes.extend_from_slice(&stamp.seq.to_be_bytes());
}

fn decode(bytes: &[u8]) -> Option<About> {
    let mut rest = bytes.strip_prefix(FIRST_LINE)?.strip_prefix(&[VERSION])?;
    let begin_ms = u64::from_be_bytes(take(&mut rest)?);
    let top = take_stamp(&mut rest)?;
    let count = u32::from_be_bytes(take(&mut rest)?);
    let mut owners = Vec::new();
    let mut counts = Vec::new();
    for _ in 0..count {
        let id = u32::from_be_bytes(take(&mut rest)?);
        let first = take_edge(&mut rest)?;
        let last = take_edge(&mut rest)?;
        counts.push(u32::from_be_bytes(take(&mut rest)?));
        owners.push(Owner {
            id,
            first,
            last,
            contacts: Vec::new(),
        });
    }
    for (owner, count) in owners.iter_mut().zip(counts) {
        for _ in 0..count {
            owner.contacts.push(u64::from_be_bytes(take(&mut rest)?));
        }
    }
    rest.is_empty().then_some(About {
        begin_ms,
        top,
        owners,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (bytes, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*bytes)
}

fn take_stamp(rest: &mut &[u8]) -> Option<Stamp> {
    Some(Stamp {
        ms: u64::from_be_bytes(take(rest)?),
        seq: u16::from_be_bytes(take(rest)?),
    })
}

fn take_edge(rest: &mut &[u8]) -> Option<Edge> {
    let stamp = take_stamp(rest)?;
    let tag = take(rest)?;
    let at_ms = u64::from_be_bytes(take(rest)?);
    Some(Edge {
        id: ArchiveId { stamp, tag },
        at_ms,
    })
}

fn edge(stamp: Stamp, value: &[u8]) -> Result<Edge, StoreError> {
    let kept = row::decode(value).map_err(row::damaged)?;
    Ok(kept.edge(stamp))
}

/// The hashes of an owner's contacts: one look for each, past all slots of the one before.
fn contacts(volume: &Database, owner: u32) -> Result<Vec<u64>, StoreError> {
    let prefix = keys::user(owner);
    let mut found = Vec::new();
    let mut from = prefix.clone();
    while let Some(entry) = volume.scan_from(CONTACTS, &prefix, &from)?.next() {
        let Some(hash) = keys::hash_of(&entry?.0) else {
            break;
        };
        found.push(hash);
        match hash.checked_add(1) {
            Some(next) => from = keys::with_contact(owner, next),
            None => break,
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else_is() {
        let edge = |ms| Edge {
            id: ArchiveId {
                stamp: Stamp { ms, seq: 7 },
                tag: [3; 8],
            },
            at_ms: ms + 1,
        };
        let about = About {
            begin_ms: 5,
            top: Stamp { ms: 90, seq: 7 },
            owners: vec![
                Owner {
                    id: 1,
                    first: edge(10),
                    last: edge(90),
                    contacts: vec![4, 9],
                },
                Owner {
                    id: 8,
                    first: edge(20),
                    last: edge(20),
                    contacts: vec![],
                },
            ],
        };
        let bytes = about.encode();
        assert_eq!(decode(&bytes).as_ref(), Some(&about));
        for cut in 0..bytes.len() {
            assert_eq!(decode(&bytes[..cut]), None);
        }
        assert_eq!(decode(&[&bytes[..], b"x"].concat()), None);
        let at = |ms| Stamp { ms, seq: 7 };
        for (id, low, high, contact, may) in [
            (1, 0, 100, None, true),
            (1, 0, 9, None, false),
            (1, 91, 100, None, false),
            (1, 90, 100, Some(9), true),
            (1, 0, 100, Some(8), false),
            (8, 0, 100, Some(4), false),
            (2, 0, 100, None, false),
        ] {
            assert_eq!(about.may_have(id, at(low), at(high), contact), may);
        }
    }
}
