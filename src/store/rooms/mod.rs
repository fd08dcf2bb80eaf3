//! Rooms (XEP-0045): what survives a restart of each. A room's id is out of the numbers of users, so that its archive has an owner like any other; it is
//! never given twice, so who makes a room of an old name finds nothing of the old one.

mod notes;
pub(super) mod records;
mod values;

use super::error::StoreError;
use super::keys::{self, AFFILIATIONS, DELETED, ROOM_CARDS, ROOMS};
use super::record::{RecordReader, RecordWriter};
use super::{Store, UserId};
pub use notes::{Noted, RoomNote};
use records::{decode, decode_affiliated, encode, encode_affiliated};
pub use values::{
    Affiliated, Affiliation, Hat, InviteToken, MentionRules, Mentioners, PrivateMessages,
    RoomConfig, RoomRecord, RoomSubject,
};

/// The version of the record of a vCard.
const VERSION: u8 = 1;

impl Store {
    /// The room of this name.
    pub fn room(&self, name: &str) -> Result<Option<RoomRecord>, StoreError> {
        match self.main.get(ROOMS, &keys::room(name))? {
            Some(value) => decode(&value)
                .map(Some)
                .map_err(StoreError::record("rooms")),
            None => Ok(None),
        }
    }

    /// The rooms behind this name, in the order of their names (long ones in the order of their beginnings); from the first with an empty name.
    pub fn rooms_after(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<RoomRecord, StoreError>>, StoreError> {
        let after = keys::room(name);
        let behind = after.clone();
        Ok(self
            .main
            .scan_from(ROOMS, b"", &after)?
            .filter(move |entry| {
                entry
                    .as_ref()
                    .map_or(true, |(key, _)| behind.is_empty() || key[..] != behind[..])
            })
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("rooms"))))
    }

    /// The rooms before this name, the nearest first; from the last with an empty name. Reads no more than is taken.
    pub fn rooms_before(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<RoomRecord, StoreError>>, StoreError> {
        let before = keys::room(name);
        // No name begins with a byte that no UTF-8 has.
        let last: &[u8] = if name.is_empty() { &[0xff] } else { &before };
        let entries = self.main.scan_between(ROOMS, b"", b"", last)?;
        Ok(entries
            .rev()
            .filter(move |entry| {
                entry
                    .as_ref()
                    .map_or(true, |(key, _)| key[..] != before[..])
            })
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("rooms"))))
    }

    /// A number for a new room: see [`RoomRecord::id`].
    pub fn take_room_id(&self) -> Result<UserId, StoreError> {
        self.room_to_grow()?;
        self.take_id()
    }

    /// Adds or replaces a room. `Full` if the disk is nearly full.
    pub fn put_room(&self, room: &RoomRecord) -> Result<(), StoreError> {
        self.room_to_grow()?;
        self.main.put(ROOMS, &keys::room(&room.name), &encode(room))
    }

    /// Deletes a room and all that it had. Order of writes: a line in `deleted`, the room, its data tree by tree, the line. After a crash anywhere behind the
    /// first write the next open does the rest.
    pub fn delete_room(&self, id: UserId, name: &str) -> Result<(), StoreError> {
        let mut line = RecordWriter::new(VERSION);
        line.text(name);
        self.main
            .put(DELETED, &keys::user(id.number()), &line.finish())?;
        self.finish_deletion(id.number(), name)
    }

    /// Everybody who is something in a room. One scan.
    pub fn affiliations(&self, room: UserId) -> Result<Vec<Affiliated>, StoreError> {
        self.main
            .scan(AFFILIATIONS, &keys::user(room.number()))?
            .map(|entry| decode_affiliated(&entry?.1).map_err(StoreError::record("affiliations")))
            .collect()
    }

    /// Adds, replaces or, where there is nothing to keep, removes what somebody is in a room. `Full` if the disk is nearly full and it is not removed.
    pub fn put_affiliation(&self, room: UserId, one: &Affiliated) -> Result<(), StoreError> {
        let key = keys::affiliation(room.number(), &one.jid);
        if one.is_nothing() {
            return self.main.remove(AFFILIATIONS, &key).map(drop);
        }
        self.room_to_grow()?;
        self.main.put(AFFILIATIONS, &key, &encode_affiliated(one))
    }

    /// The vCard of a room (XEP-0486).
    pub fn room_card(&self, room: UserId) -> Result<Option<String>, StoreError> {
        let Some(value) = self.main.get(ROOM_CARDS, &keys::user(room.number()))? else {
            return Ok(None);
        };
        let xml = (|| RecordReader::new(&value, VERSION)?.text())()
            .map_err(StoreError::record("room cards"))?;
        Ok(Some(xml.to_owned()))
    }

    /// Replaces or, where it is empty, removes the vCard of a room. `TooLong` above 300 KiB, `Full` if the disk is nearly full.
    pub fn put_room_card(&self, room: UserId, xml: &str) -> Result<(), StoreError> {
        let key = keys::user(room.number());
        if xml.is_empty() {
            return self.main.remove(ROOM_CARDS, &key).map(drop);
        }
        self.room_to_grow()?;
        let mut writer = RecordWriter::new(VERSION);
        writer.text(xml);
        self.main.put(ROOM_CARDS, &key, &writer.finish())
    }

    /// The part of a deletion that is a room's.
    pub(super) fn remove_room_record(&self, id: u32, name: &str) -> Result<(), StoreError> {
        // Somebody else may have the name by now, or it was an account's.
        if self.room(name)?.is_some_and(|room| room.id.number() == id) {
            self.main.remove(ROOMS, &keys::room(name))?;
        }
        Ok(())
    }
}
