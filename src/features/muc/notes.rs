//! What a room remembers of people beside its lists: who asks to become a member (§7.10), who was invited (§7.8.2), and whose voice was given or taken by a
//! moderator (§5.1: in a moderated room that outlasts a visit). Kept with the room: a restart changes nothing of it.

use super::lists::account_id;
use super::roles::Role;
use super::room::Room;
use crate::engine::Engine;
use crate::limits;
use crate::store::{Affiliation, Noted, RoomNote, StoreError};

impl Room {
    /// Takes over what the store has. Who took over the name of a deleted account is somebody else (HOLES 17): what was noted of the other goes.
    pub fn read_notes(&mut self, engine: &Engine) -> Result<(), StoreError> {
        for note in engine.store.room_notes(self.record.id)? {
            match account_id(engine, &note.jid)? == note.account {
                true => self.notes.push(note),
                false => engine.store.remove_room_note(self.record.id, &note)?,
            }
        }
        Ok(())
    }

    /// Notes something of somebody, in the place of what was noted of the kind; above the bound of the kind the oldest is forgotten.
    pub fn note(&mut self, engine: &Engine, jid: &str, what: Noted) -> Result<(), StoreError> {
        let most = match what {
            Noted::Asks(_) => limits::ROOM_REQUESTS,
            Noted::Invited(_) => limits::ROOM_INVITATIONS,
            Noted::Voice(_) => limits::ROOM_VOICES,
        };
        let note = RoomNote {
            jid: jid.to_owned(),
            account: account_id(engine, jid)?,
            at_ms: engine.now.wall_ms,
            what,
        };
        if self.kept {
            engine.store.put_room_note(self.record.id, &note)?;
        }
        self.notes
            .retain(|known| known.jid != jid || !known.what.same_place(&note.what));
        let is_same = |known: &RoomNote| {
            std::mem::discriminant(&known.what) == std::mem::discriminant(&note.what)
        };
        if self.notes.iter().filter(|known| is_same(known)).count() >= most
            && let Some(oldest) = self.notes.iter().position(is_same)
        {
            let oldest = self.notes.remove(oldest);
            self.unwrite(engine, &oldest)?;
        }
        self.notes.push(note);
        Ok(())
    }

    /// Forgets what was noted of somebody, where `which` says so; whether there was anything.
    pub fn strike(
        &mut self,
        engine: &Engine,
        jid: &str,
        which: impl Fn(&Noted) -> bool,
    ) -> Result<bool, StoreError> {
        let mut struck = false;
        while let Some(place) = self
            .notes
            .iter()
            .position(|note| note.jid == jid && which(&note.what))
        {
            let note = self.notes.remove(place);
            self.unwrite(engine, &note)?;
            struck = true;
        }
        Ok(struck)
    }

    fn unwrite(&self, engine: &Engine, note: &RoomNote) -> Result<(), StoreError> {
        match self.kept {
            true => engine.store.remove_room_note(self.record.id, note),
            false => Ok(()),
        }
    }

    /// The role that somebody enters with (§5.1.2), or has had here since a moderator gave or took their voice.
    pub fn role_of(&self, bare: &str, affiliation: Affiliation) -> Role {
        let initial = Role::initial(affiliation, &self.record.config);
        if !self.record.config.moderated || initial == Role::Moderator {
            return initial;
        }
        let mut notes = self.notes.iter().filter(|note| note.jid == bare);
        notes
            .find_map(|note| match note.what {
                Noted::Voice(true) => Some(Role::Participant),
                Noted::Voice(false) => Some(Role::Visitor),
                _ => None,
            })
            .unwrap_or(initial)
    }

    /// Remembers an occupant's voice for their next visit to a moderated room. That it could not be is no reason to refuse it now.
    pub fn remember_voice(&mut self, engine: &Engine, place: usize) {
        let occupant = &self.occupants[place];
        let (bare, role) = (occupant.bare.clone(), occupant.role);
        if !self.record.config.moderated || role == Role::Moderator {
            return;
        }
        let usual = Role::initial(occupant.affiliation, &self.record.config) == role;
        let outcome = match usual {
            true => self
                .strike(engine, bare.as_str(), |what| {
                    matches!(what, Noted::Voice(_))
                })
                .map(drop),
            false => self.note(
                engine,
                bare.as_str(),
                Noted::Voice(role == Role::Participant),
            ),
        };
        if let Err(error) = outcome {
            log::error!(
                "the voice of {bare} in {} will be forgotten: {error}",
                self.jid
            );
        }
    }
}
