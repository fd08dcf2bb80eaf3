//! Accounts and rooms that arrive in pieces, from another server. Nobody sees one before all of it is there.
//!
//! An arriving account has an id, its data under it, and a line in `deleted` instead of a record in `accounts`: after a crash the next open removes what
//! had arrived, as it does with a deletion that was not finished.

use super::account::{self, Account};
use super::error::StoreError;
use super::keys::{self, ACCOUNTS, DELETED};
use super::record::{RecordReader, RecordWriter};
use super::{RoomRecord, Store, UserId};

const VERSION: u8 = 1;

impl Store {
    /// Makes room for an account to arrive. `Exists` if there is one of this name, `Full` if the disk is nearly full.
    pub fn begin_arrival(&self, name: &str) -> Result<UserId, StoreError> {
        self.room_to_grow()?;
        if self.account(name)?.is_some() {
            return Err(StoreError::Exists);
        }
        self.arrives(name)
    }

    fn arrives(&self, name: &str) -> Result<UserId, StoreError> {
        let id = self.take_id()?;
        let mut line = RecordWriter::new(VERSION);
        line.text(name);
        self.main
            .put(DELETED, &keys::user(id.number()), &line.finish())?;
        Ok(id)
    }

    /// Makes room for a room to arrive, as for an account. `Exists` if there is one of this name.
    pub fn begin_room_arrival(&self, name: &str) -> Result<UserId, StoreError> {
        self.room_to_grow()?;
        if self.room(name)?.is_some() {
            return Err(StoreError::Exists);
        }
        self.arrives(name)
    }

    /// Makes a room of what has arrived. `Exists` if there is one of that name meanwhile, `NoSuchAccount` if nothing was arriving.
    pub fn finish_room_arrival(&self, room: &RoomRecord) -> Result<(), StoreError> {
        if !self.is_arriving(room.id, &room.name)? {
            return Err(StoreError::NoSuchAccount);
        }
        if self.room(&room.name)?.is_some() {
            return Err(StoreError::Exists);
        }
        self.main.remove(DELETED, &keys::user(room.id.number()))?;
        self.put_room(room)
    }

    /// Whether an account or a room of this id and name is arriving, and may be given data.
    pub fn is_arriving(&self, id: UserId, name: &str) -> Result<bool, StoreError> {
        let Some(line) = self.main.get(DELETED, &keys::user(id.number()))? else {
            return Ok(false);
        };
        let mut reader =
            RecordReader::new(&line, VERSION).map_err(StoreError::record("deleted"))?;
        let arriving = reader.text().map_err(StoreError::record("deleted"))?;
        // The empty name: only the archive of a deleted account is left.
        Ok(arriving == name && !name.is_empty())
    }

    /// Makes an account of what has arrived. `Exists` if somebody else took the name meanwhile, `NoSuchAccount` if nothing was arriving.
    ///
    /// Order of writes: the line in `deleted` goes, then the account comes. After a crash between them data lies under an id that nobody has.
    pub fn finish_arrival(&self, account: &Account) -> Result<(), StoreError> {
        if !self.is_arriving(account.id, &account.name)? {
            return Err(StoreError::NoSuchAccount);
        }
        if self.account(&account.name)?.is_some() {
            return Err(StoreError::Exists);
        }
        self.main
            .remove(DELETED, &keys::user(account.id.number()))?;
        self.main.put(
            ACCOUNTS,
            &keys::account(&account.name),
            &account::encode(account),
        )
    }

    /// Removes what has arrived. Nothing happens where nothing was arriving.
    pub fn abandon_arrival(&self, id: UserId, name: &str) -> Result<(), StoreError> {
        match self.is_arriving(id, name)? {
            true => self.finish_deletion(id.number(), name),
            false => Ok(()),
        }
    }
}
