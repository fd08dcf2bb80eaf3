//! XEP-0486: the picture of a room: its vCard, set by owners, read by everybody who may know of the room.

use super::iq::Asks;
use super::message;
use super::occupant::Seat;
use super::presence;
use super::roles::Right;
use super::room::Room;
use crate::engine::Engine;
use crate::engine::delivery::Worth;
use crate::engine::feature::Answer;
use crate::engine::session::SessionId;
use crate::limits;
use crate::xml::{Document, Element, written};
use crate::xmpp::{Condition, Jid, StanzaError, ns};
use ring::digest;
use std::rc::Rc;

/// A request for the vCard of a room.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    if !asks.is_set {
        let kept = match room.kept {
            true => engine.store.room_card(room.record.id)?,
            false => None,
        };
        let empty = || format!("<vCard xmlns='{}'/>", ns::VCARD);
        return Ok(Answer::Payload(kept.unwrap_or_else(empty)));
    }
    if !room.allows(engine, &Jid::from(&asks.stanza.from), Right::Configure) {
        return Err(StanzaError::text(
            Condition::Forbidden,
            "Only owners are allowed to set avatars.",
        ));
    }
    if !room.record.config.persistent {
        // §3.2: a room that goes with its last occupant keeps none.
        return Err(Condition::ServiceUnavailable.into());
    }
    if asks.payload.standalone().len() > limits::ROOM_CARD_BYTES {
        return Err(StanzaError::text(
            Condition::NotAcceptable,
            "that picture is too large",
        ));
    }
    let hashes = hashes_of(asks.payload)?;
    let before = engine.store.ticket();
    room.keep(engine)?;
    // §3.2: an empty one takes the picture away.
    let xml = match asks.payload.is_empty() {
        true => String::new(),
        false => asks.payload.standalone(),
    };
    engine.store.put_room_card(room.record.id, &xml)?;
    let told = *hashes != room.pictures(engine)?[..];
    room.pictures = Some(hashes);
    engine.respond(asks.session, asks.stanza, None, before);
    message::announce_codes(engine, room, &[104]);
    if told {
        for seat in room.occupants.iter().flat_map(|one| &one.seats) {
            tell(engine, room, seat);
        }
    }
    Ok(Answer::Later)
}

impl Room {
    /// The hash of each of its pictures by XEP-0153 §4.2: SHA-1 in hexadecimal.
    pub fn pictures(&mut self, engine: &Engine) -> Result<Rc<[String]>, StanzaError> {
        if let Some(known) = &self.pictures {
            return Ok(known.clone());
        }
        let card = match self.kept {
            true => engine.store.room_card(self.record.id)?,
            false => None,
        };
        let card = card.and_then(|text| Document::parse(text).ok());
        let hashes = card.and_then(|card| hashes_of(card.root()).ok());
        let hashes = hashes.unwrap_or_default();
        self.pictures = Some(hashes.clone());
        Ok(hashes)
    }
}

/// `not-acceptable` for a picture that is no base64.
fn hashes_of(card: Element<'_>) -> Result<Rc<[String]>, StanzaError> {
    use base64::Engine as _;
    let mut hashes = Vec::new();
    for photo in card.children().filter(|child| child.is(ns::VCARD, "PHOTO")) {
        let Some(data) = photo.child(ns::VCARD, "BINVAL") else {
            continue;
        };
        let data: String = data.text().split_whitespace().collect();
        let bytes = base64::engine::general_purpose::STANDARD.decode(data);
        let bytes = bytes.map_err(|_| StanzaError::from(Condition::NotAcceptable))?;
        if !bytes.is_empty() {
            let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
            let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
            hashes.push(hex.collect());
        }
    }
    Ok(hashes.into())
}

/// §5.2: clients that do not look into disco see a picture by a presence of the room itself; of a room without one they hear nothing when they enter.
pub fn show(engine: &mut Engine, room: &mut Room, to: SessionId) {
    match room.pictures(engine) {
        Ok(hashes) if hashes.is_empty() => {}
        Ok(_) => {
            let seat = room.seat_of(to);
            if let Some((place, seat)) = seat {
                tell(engine, room, &room.occupants[place].seats[seat]);
            }
        }
        Err(error) => log::error!(
            "the picture of {} could not be read: {}",
            room.jid,
            error.condition.name()
        ),
    }
}

fn tell(engine: &mut Engine, room: &Room, to: &Seat) {
    let hash = room.pictures.as_ref().and_then(|hashes| hashes.first());
    let text = written(|out| {
        out.start("presence").attr("from", room.jid.as_str());
        out.start("x")
            .attr("xmlns", ns::VCARD_UPDATE)
            .leaf("photo", hash.map_or("", String::as_str))
            .end();
        out.end();
    });
    presence::hand(engine, &Jid::from(&room.jid), to, &text, None, Worth::Now);
}
