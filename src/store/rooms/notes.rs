//! What a room remembers of people beside its lists (XEP-0045): who waits for an answer, who was invited, whose voice a moderator has given or taken.

use crate::store::error::StoreError;
use crate::store::keys::{self, ROOM_NOTES};
use crate::store::record::{RecordError, RecordReader, RecordWriter};
use crate::store::{Store, UserId};

/// One note.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoomNote {
    /// Whom it is about: a bare JID.
    pub jid: String,
    /// The account that the JID named when this was written: who takes over the name is somebody else.
    pub account: Option<UserId>,
    /// When it was written, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it says.
    pub what: Noted,
}

/// What a note says. There is one of a kind for each JID, of invitations one for each who invited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    /// They want to become a member (§7.10), with this nickname, and no admin has answered.
    Asks(String),
    /// They were invited by this bare JID, and may decline (§7.8.2).
    Invited(String),
    /// They have voice, or have it no more, whatever they would have by their affiliation (§5.1).
    Voice(bool),
}

const VERSION: u8 = 1;

impl Noted {
    /// Its place in the key.
    fn kind(&self) -> u8 {
        match self {
            Noted::Asks(_) => 0,
            Noted::Invited(_) => 1,
            Noted::Voice(_) => 2,
        }
    }

    /// Whether another note of the same JID takes the place of this one.
    pub fn same_place(&self, other: &Noted) -> bool {
        match (self, other) {
            (Noted::Invited(one), Noted::Invited(other)) => one == other,
            _ => self.kind() == other.kind(),
        }
    }
}

impl Store {
    /// All notes of a room, the oldest first. One scan.
    pub fn room_notes(&self, room: UserId) -> Result<Vec<RoomNote>, StoreError> {
        let mut notes = self
            .main
            .scan(ROOM_NOTES, &keys::user(room.number()))?
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("room notes")))
            .collect::<Result<Vec<_>, _>>()?;
        notes.sort_by_key(|note| note.at_ms);
        Ok(notes)
    }

    /// Adds or replaces a note. `Full` if the disk is nearly full.
    pub fn put_room_note(&self, room: UserId, note: &RoomNote) -> Result<(), StoreError> {
        self.room_to_grow()?;
        self.main.put(ROOM_NOTES, &key(room, note), &encode(note))
    }

    /// Removes a note.
    pub fn remove_room_note(&self, room: UserId, note: &RoomNote) -> Result<(), StoreError> {
        self.main.remove(ROOM_NOTES, &key(room, note)).map(drop)
    }
}

fn key(room: UserId, note: &RoomNote) -> keys::Key {
    let (kind, jid) = (note.what.kind(), note.jid.as_str());
    match &note.what {
        // No JID has a space in its bare part.
        Noted::Invited(by) => keys::room_note(room.number(), kind, &format!("{jid} {by}")),
        _ => keys::room_note(room.number(), kind, jid),
    }
}

fn encode(note: &RoomNote) -> Vec<u8> {
    let text = match &note.what {
        Noted::Asks(text) | Noted::Invited(text) => text,
        Noted::Voice(_) => "",
    };
    let mut writer = RecordWriter::new(VERSION);
    writer
        .byte(note.what.kind())
        .text(&note.jid)
        .flag(note.account.is_some())
        .u32(note.account.map_or(0, UserId::number))
        .u64(note.at_ms)
        .text(text)
        .flag(note.what == Noted::Voice(true));
    writer.finish()
}

fn decode(value: &[u8]) -> Result<RoomNote, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let kind = reader.byte()?;
    let jid = reader.text()?.to_owned();
    let (known, id) = (reader.flag()?, reader.u32()?);
    let at_ms = reader.u64()?;
    let text = reader.text()?.to_owned();
    let voice = reader.flag()?;
    reader.end()?;
    Ok(RoomNote {
        jid,
        account: known.then_some(UserId::new(id)),
        at_ms,
        what: match kind {
            0 => Noted::Asks(text),
            1 => Noted::Invited(text),
            2 => Noted::Voice(voice),
            _ => return Err(RecordError::Damaged),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_note_or_an_error() {
        for what in [
            Noted::Asks("thirdwitch".to_owned()),
            Noted::Invited("crone1@chat.test".to_owned()),
            Noted::Voice(true),
            Noted::Voice(false),
        ] {
            let note = RoomNote {
                jid: "hag66@chat.test".to_owned(),
                account: Some(UserId::new(4)),
                at_ms: 5,
                what,
            };
            assert_eq!(decode(&encode(&note)), Ok(note.clone()));
            crate::store::record::tests::no_bytes_panic(&encode(&note), |bytes| {
                decode(bytes).map(|note| encode(&note))
            });
        }
    }
}
