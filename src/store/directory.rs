//! What accounts are found by (XEP-0055): a short entry beside the vCard, so that a search reads neither pictures nor keys.

use super::error::StoreError;
use super::keys::{self, DIRECTORY};
use super::record::{RecordError, RecordReader, RecordWriter};
use super::{Store, UserId};

/// The entry of one account. Empty fields are those that its vCard does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// The account's name: the node part of the JID, prepared.
    pub account: String,
    /// Given name.
    pub first: String,
    /// Family name.
    pub last: String,
    /// Nickname.
    pub nick: String,
    /// E-mail address.
    pub email: String,
}

const VERSION: u8 = 1;

impl Entry {
    /// The values of the fields: first, last, nick, email.
    pub fn values(&self) -> [&str; 4] {
        [&self.first, &self.last, &self.nick, &self.email]
    }
}

impl Store {
    /// All entries, in the order of the accounts' making. A scan.
    pub fn entries(&self) -> Result<impl Iterator<Item = Result<Entry, StoreError>>, StoreError> {
        Ok(self
            .main
            .scan(DIRECTORY, b"")?
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("directory"))))
    }

    /// Adds or replaces the entry of an account; one without any field removes it. `Full` if the disk is nearly full.
    pub fn put_entry(&self, user: UserId, entry: &Entry) -> Result<(), StoreError> {
        let key = keys::user(user.number());
        if entry.values().iter().all(|value| value.is_empty()) {
            return self.main.remove(DIRECTORY, &key).map(drop);
        }
        self.room_to_grow()?;
        let mut writer = RecordWriter::new(VERSION);
        writer.text(&entry.account);
        for value in entry.values() {
            writer.text(value);
        }
        self.main.put(DIRECTORY, &key, &writer.finish())
    }
}

fn decode(value: &[u8]) -> Result<Entry, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let mut text = || reader.text().map(str::to_owned);
    let entry = Entry {
        account: text()?,
        first: text()?,
        last: text()?,
        nick: text()?,
        email: text()?,
    };
    reader.end()?;
    Ok(entry)
}
