//! One archived message as it is kept, and as it is shown.

use super::{ArchiveId, Edge, Stamp};
use crate::store::error::StoreError;
use crate::store::keys;
use crate::store::record::{RecordError, RecordReader, RecordWriter};

/// One archived message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its place in the archive, and what no other row had there.
    pub id: ArchiveId,
    /// Milliseconds since 1970 when it came, by the clock of that moment. Filters go by the stamp of [`Row::id`], which differs where the clock ran backwards.
    pub at_ms: u64,
    /// The other side's JID, with its resource where it had one.
    pub with: String,
    /// The message.
    pub xml: String,
}

/// A row as it lies in its volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Kept<'a> {
    pub tag: [u8; 8],
    /// The clock of the moment, where the stamp differs.
    pub clock_ms: Option<u64>,
    pub with: &'a str,
    pub xml: &'a str,
}

/// Fields: flags, tag, the clock if a flag says so, the contact; the message is the rest.
const VERSION: u8 = 1;
const HAS_CLOCK: u8 = 1;

/// The record of a row, written into `buffer`; `write` appends the XML.
pub(super) fn encode(
    buffer: Vec<u8>,
    tag: &[u8; 8],
    clock_ms: Option<u64>,
    with: &str,
    write: impl FnOnce(&mut Vec<u8>),
) -> Vec<u8> {
    let mut writer = RecordWriter::again(buffer, VERSION);
    writer.byte(if clock_ms.is_some() { HAS_CLOCK } else { 0 });
    writer.bytes(tag);
    if let Some(ms) = clock_ms {
        writer.u64(ms);
    }
    writer.text(with);
    writer.rest(write)
}

pub(super) fn decode(value: &[u8]) -> Result<Kept<'_>, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let flags = reader.byte()?;
    if flags & !HAS_CLOCK != 0 {
        return Err(RecordError::Damaged);
    }
    let tag = reader
        .bytes()?
        .try_into()
        .map_err(|_| RecordError::Damaged)?;
    let clock_ms = match flags & HAS_CLOCK != 0 {
        true => Some(reader.u64()?),
        false => None,
    };
    let with = reader.text()?;
    let xml = std::str::from_utf8(reader.rest()).map_err(|_| RecordError::Damaged)?;
    Ok(Kept {
        tag,
        clock_ms,
        with,
        xml,
    })
}

impl Kept<'_> {
    pub fn edge(&self, stamp: Stamp) -> Edge {
        Edge {
            id: ArchiveId {
                stamp,
                tag: self.tag,
            },
            at_ms: self.clock_ms.unwrap_or(stamp.ms),
        }
    }

    pub fn show(&self, stamp: Stamp) -> Row {
        let Edge { id, at_ms } = self.edge(stamp);
        Row {
            id,
            at_ms,
            with: self.with.to_owned(),
            xml: self.xml.to_owned(),
        }
    }
}

/// What is wrong with a row that is none.
pub(super) fn damaged(error: RecordError) -> StoreError {
    StoreError::record("messages")(error)
}

/// The stamp in the key of a row.
pub(super) fn stamp_of(key: &[u8]) -> Result<Stamp, StoreError> {
    match keys::archived_parts(key) {
        Some((_, stamp)) => Ok(stamp),
        None => Err(damaged(RecordError::Damaged)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_row_or_an_error() {
        let kept = |clock_ms| {
            encode(
                Vec::new(),
                b"12345678",
                clock_ms,
                "anna@chat.test/a",
                |out| out.extend_from_slice(b"<message/>"),
            )
        };
        let read_and_write = |bytes: &[u8]| {
            let row = decode(bytes)?;
            Ok(encode(
                Vec::new(),
                &row.tag,
                row.clock_ms,
                row.with,
                |out| out.extend_from_slice(row.xml.as_bytes()),
            ))
        };
        for record in [kept(None), kept(Some(77))] {
            // The message has no length of its own: a record cut in it is a record with less of it.
            let head = record.len() - "<message/>".len();
            crate::store::record::tests::no_bytes_panic(&record[..head], read_and_write);
            assert_eq!(read_and_write(&record).as_deref(), Ok(&record[..]));
        }
        assert_eq!(decode(&kept(Some(77))).unwrap().clock_ms, Some(77));
    }
}
