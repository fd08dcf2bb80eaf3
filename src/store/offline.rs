//! Messages that wait for somebody who is away (XEP-0160), in the order they came.
//!
//! Each record carries its number in the queue and the bytes of the queue up to it, so the first and the last record tell how many wait; nothing is counted
//! and nothing is kept in memory. Messages leave the queue from its beginning, or one by one as clients
//! acknowledge them, which is almost always the same.

use super::error::StoreError;
use super::keys::{self, OFFLINE};
use super::record::{RecordError, RecordReader, RecordWriter};
use super::{Store, UserId};
use crate::limits::{OFFLINE_BYTES, OFFLINE_MESSAGES};

/// The place of a waiting message in its queue. Grows with every message, also when the clock goes backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OfflineKey(u64);

impl OfflineKey {
    /// From its number.
    pub const fn new(number: u64) -> OfflineKey {
        OfflineKey(number)
    }

    /// Its number.
    pub const fn number(self) -> u64 {
        self.0
    }
}

/// How much waits for an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct OfflineTally {
    /// Messages, up to `limits::OFFLINE_MESSAGES`.
    pub messages: u64,
    /// Bytes of their XML, up to `limits::OFFLINE_BYTES`.
    pub bytes: u64,
}

struct Waiting<'a> {
    /// Milliseconds since 1970 when it came, by the clock of that moment: what XEP-0203 shows.
    at_ms: u64,
    /// Messages and bytes of this queue up to this one, itself too, since the queue was last empty.
    messages: u64,
    bytes: u64,
    xml: &'a str,
}

const VERSION: u8 = 1;

impl Store {
    /// Adds a message to the end of an account's queue. `at_ms`: milliseconds since 1970.
    ///
    /// `QueueFull` above 1000 messages or 4 MiB, `TooLong` above 300 KiB, `Full` if the disk is nearly full. One write.
    pub fn push_offline(
        &self,
        user: UserId,
        at_ms: u64,
        xml: &str,
    ) -> Result<OfflineKey, StoreError> {
        self.room_to_grow()?;
        let prefix = keys::user(user.number());
        let mut key = at_ms;
        let (mut messages, mut bytes) = (0, 0);
        if let Some((last_key, last)) = self.main.last(OFFLINE, &prefix)? {
            let last = decode(&last).map_err(StoreError::record("offline"))?;
            let last_ms = keys::waiting_ms(&last_key).ok_or_else(damaged)?;
            // A Pi has no clock battery: time goes on from the last message, not back.
            key = at_ms.max(last_ms.saturating_add(1));
            let tally = self.tally(&prefix, &last)?;
            if tally.messages >= OFFLINE_MESSAGES || tally.bytes + xml.len() as u64 > OFFLINE_BYTES
            {
                return Err(StoreError::QueueFull);
            }
            (messages, bytes) = (last.messages, last.bytes);
        }
        let waiting = Waiting {
            at_ms,
            messages: messages + 1,
            bytes: bytes + xml.len() as u64,
            xml,
        };
        self.main.put(
            OFFLINE,
            &keys::waiting(user.number(), key),
            &encode(&waiting),
        )?;
        Ok(OfflineKey(key))
    }

    /// All that waits for an account: place, milliseconds since 1970, XML. At most 4 MiB; [`Store::offline_from`] takes it in parts.
    pub fn offline(&self, user: UserId) -> Result<Vec<(OfflineKey, u64, String)>, StoreError> {
        self.offline_from(user, None, usize::MAX)
    }

    /// What waits behind `after`, until `bytes` of XML are reached: at least one message if there is one.
    pub fn offline_from(
        &self,
        user: UserId,
        after: Option<OfflineKey>,
        bytes: usize,
    ) -> Result<Vec<(OfflineKey, u64, String)>, StoreError> {
        let prefix = keys::user(user.number());
        let from = match after {
            Some(OfflineKey(u64::MAX)) => return Ok(Vec::new()),
            Some(OfflineKey(ms)) => keys::waiting(user.number(), ms + 1),
            None => prefix.clone(),
        };
        let mut found = Vec::new();
        let mut taken = 0;
        for entry in self.main.scan_from(OFFLINE, &prefix, &from)? {
            let (key, value) = entry?;
            let waiting = decode(&value).map_err(StoreError::record("offline"))?;
            taken += waiting.xml.len();
            if taken > bytes && !found.is_empty() {
                break;
            }
            found.push((
                OfflineKey(keys::waiting_ms(&key).ok_or_else(damaged)?),
                waiting.at_ms,
                waiting.xml.to_owned(),
            ));
        }
        Ok(found)
    }

    /// Removes what waits up to `upto`, itself too: it has been delivered. After a crash in between the rest is delivered again, none is missing.
    pub fn remove_offline(&self, user: UserId, upto: OfflineKey) -> Result<usize, StoreError> {
        self.main.remove_range(
            OFFLINE,
            &keys::user(user.number()),
            Some(&keys::waiting(user.number(), upto.0)),
        )
    }

    /// Removes one message, wherever it stands in the queue; whether it was there. What stands around it counts as before: until the queue has
    /// become empty once, it may seem fuller than it is.
    pub fn remove_waiting(&self, user: UserId, key: OfflineKey) -> Result<bool, StoreError> {
        self.main
            .remove(OFFLINE, &keys::waiting(user.number(), key.0))
    }

    /// Whether this message still waits.
    pub fn is_waiting(&self, user: UserId, key: OfflineKey) -> Result<bool, StoreError> {
        let found = self
            .main
            .get(OFFLINE, &keys::waiting(user.number(), key.0))?;
        Ok(found.is_some())
    }

    /// How much waits for an account. Two reads, however much it is.
    pub fn offline_tally(&self, user: UserId) -> Result<OfflineTally, StoreError> {
        let prefix = keys::user(user.number());
        match self.main.last(OFFLINE, &prefix)? {
            Some((_, last)) => self.tally(
                &prefix,
                &decode(&last).map_err(StoreError::record("offline"))?,
            ),
            None => Ok(OfflineTally::default()),
        }
    }

    /// How many messages wait for an account.
    pub fn offline_count(&self, user: UserId) -> Result<u64, StoreError> {
        Ok(self.offline_tally(user)?.messages)
    }

    fn tally(&self, prefix: &[u8], last: &Waiting<'_>) -> Result<OfflineTally, StoreError> {
        let Some(first) = self.main.scan(OFFLINE, prefix)?.next() else {
            return Ok(OfflineTally::default());
        };
        let (_, first) = first?;
        let first = decode(&first).map_err(StoreError::record("offline"))?;
        let (before, bytes_before) = (
            first.messages.saturating_sub(1),
            first.bytes.saturating_sub(first.xml.len() as u64),
        );
        Ok(OfflineTally {
            messages: last.messages.saturating_sub(before),
            bytes: last.bytes.saturating_sub(bytes_before),
        })
    }
}

fn encode(waiting: &Waiting<'_>) -> Vec<u8> {
    let mut writer = RecordWriter::new(VERSION);
    writer
        .u64(waiting.at_ms)
        .u64(waiting.messages)
        .u64(waiting.bytes)
        .text(waiting.xml);
    writer.finish()
}

fn decode(value: &[u8]) -> Result<Waiting<'_>, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let waiting = Waiting {
        at_ms: reader.u64()?,
        messages: reader.u64()?,
        bytes: reader.u64()?,
        xml: reader.text()?,
    };
    reader.end()?;
    Ok(waiting)
}

fn damaged() -> StoreError {
    StoreError::record("offline")(RecordError::Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_message_or_an_error() {
        let waiting = Waiting {
            at_ms: 1,
            messages: 2,
            bytes: 300,
            xml: "<message/>",
        };
        crate::store::record::tests::no_bytes_panic(&encode(&waiting), |bytes| {
            decode(bytes).map(|waiting| encode(&waiting))
        });
    }
}
