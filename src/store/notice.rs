//! The texts that the server itself tells its users: the message of the day, and the welcome. Who has seen them stands in the accounts.

use super::Store;
use super::error::StoreError;
use super::keys::{META, META_MOTD, META_WELCOME};
use super::record::{RecordReader, RecordWriter};

/// The message of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Motd {
    /// Grows with every new one, also when the one before was deleted: an account has seen all up to a number.
    pub number: u32,
    /// What it says.
    pub text: String,
}

const VERSION: u8 = 1;

impl Store {
    /// The message of the day, where one is set.
    pub fn motd(&self) -> Result<Option<Motd>, StoreError> {
        let (number, text) = self.last_motd()?;
        Ok(text.map(|text| Motd { number, text }))
    }

    /// Sets a new message of the day, which nobody has seen yet; its number. `Full` if the disk is nearly full.
    pub fn set_motd(&self, text: &str) -> Result<u32, StoreError> {
        self.room_to_grow()?;
        let number = self.last_motd()?.0.saturating_add(1);
        self.put_motd(number, Some(text))?;
        Ok(number)
    }

    /// Changes the text of the message of the day: who has seen it has seen it. `false` if there is none.
    pub fn edit_motd(&self, text: &str) -> Result<bool, StoreError> {
        self.room_to_grow()?;
        match self.last_motd()? {
            (number, Some(_)) => self.put_motd(number, Some(text)).map(|()| true),
            (_, None) => Ok(false),
        }
    }

    /// Deletes the message of the day; whether there was one.
    pub fn delete_motd(&self) -> Result<bool, StoreError> {
        match self.last_motd()? {
            (number, Some(_)) => self.put_motd(number, None).map(|()| true),
            (_, None) => Ok(false),
        }
    }

    /// What new accounts are told at their first login, where something is set.
    pub fn welcome(&self) -> Result<Option<String>, StoreError> {
        let Some(value) = self.main.get(META, META_WELCOME)? else {
            return Ok(None);
        };
        let read = || {
            let mut reader = RecordReader::new(&value, VERSION)?;
            let text = reader.text()?.to_owned();
            reader.end()?;
            Ok(text)
        };
        read().map(Some).map_err(StoreError::record("meta"))
    }

    /// Sets what new accounts are told. `Full` if the disk is nearly full.
    pub fn set_welcome(&self, text: &str) -> Result<(), StoreError> {
        self.room_to_grow()?;
        let mut writer = RecordWriter::new(VERSION);
        writer.text(text);
        self.main.put(META, META_WELCOME, &writer.finish())
    }

    /// Deletes what new accounts are told; whether there was something.
    pub fn delete_welcome(&self) -> Result<bool, StoreError> {
        self.main.remove(META, META_WELCOME)
    }

    /// The number of the last message of the day, 0 before the first, and its text unless it was deleted.
    fn last_motd(&self) -> Result<(u32, Option<String>), StoreError> {
        let Some(value) = self.main.get(META, META_MOTD)? else {
            return Ok((0, None));
        };
        let read = || {
            let mut reader = RecordReader::new(&value, VERSION)?;
            let number = reader.u32()?;
            let text = reader.optional()?.map(str::to_owned);
            reader.end()?;
            Ok((number, text))
        };
        read().map_err(StoreError::record("meta"))
    }

    fn put_motd(&self, number: u32, text: Option<&str>) -> Result<(), StoreError> {
        let mut writer = RecordWriter::new(VERSION);
        writer.u32(number).optional(text);
        self.main.put(META, META_MOTD, &writer.finish())
    }
}
