//! Block lists: with whom an account does not communicate, XEP-0191.

use super::error::StoreError;
use super::keys::{self, BLOCKED};
use super::record::{RecordError, RecordReader, RecordWriter};
use super::{Store, UserId};
use crate::xmpp::Jid;

const VERSION: u8 = 1;

impl Store {
    /// All JIDs that an account blocks: one scan. Long ones come in the order of their beginnings.
    pub fn blocklist(&self, user: UserId) -> Result<Vec<Jid<'static>>, StoreError> {
        self.main
            .scan(BLOCKED, &keys::user(user.number()))?
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("blocked")))
            .collect()
    }

    /// Whether exactly this JID stands in an account's list: one read. What else it stands for is not the store's to know.
    pub fn is_listed_as_blocked(&self, user: UserId, jid: &str) -> Result<bool, StoreError> {
        let key = keys::blocked(user.number(), jid);
        Ok(self.main.get(BLOCKED, &key)?.is_some())
    }

    /// Adds a JID to an account's list. `Full` if the disk is nearly full.
    pub fn put_blocked(&self, user: UserId, jid: &Jid<'_>) -> Result<(), StoreError> {
        self.room_to_grow()?;
        let mut record = RecordWriter::new(VERSION);
        record.text(jid.as_str());
        let key = keys::blocked(user.number(), jid.as_str());
        self.main.put(BLOCKED, &key, &record.finish())
    }

    /// Removes a JID from an account's list; whether it stood there.
    pub fn remove_blocked(&self, user: UserId, jid: &Jid<'_>) -> Result<bool, StoreError> {
        self.main
            .remove(BLOCKED, &keys::blocked(user.number(), jid.as_str()))
    }

    /// Removes all of an account's list; how many JIDs it had.
    pub fn clear_blocked(&self, user: UserId) -> Result<usize, StoreError> {
        self.main
            .remove_range(BLOCKED, &keys::user(user.number()), None)
    }
}

fn decode(value: &[u8]) -> Result<Jid<'static>, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let jid = Jid::parse(reader.text()?)
        .map_err(|_| RecordError::Damaged)?
        .into_owned();
    reader.end()?;
    Ok(jid)
}
