//! XEP-0486: the picture of a room: its vCard, set by owners, read by everybody who may know of the room.

use super::iq::Asks;
use super::message;
use super::roles::Right;
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::xml::Document;
use crate::xmpp::{Condition, Jid, StanzaError, ns};
use ring::digest;

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
        return Err(StanzaError::text(
            Condition::NotAllowed,
            "a room that goes with its last occupant keeps nothing",
        ));
    }
    let before = engine.store.ticket();
    room.keep(engine)?;
    // §4: an empty one takes the picture away.
    let xml = match asks.payload.is_empty() {
        true => String::new(),
        false => asks.payload.standalone(),
    };
    engine.store.put_room_card(room.record.id, &xml)?;
    engine.respond(asks.session, asks.stanza, None, before);
    message::announce_codes(engine, room, &[104]);
    Ok(Answer::Later)
}

/// The hash of the picture by XEP-0153 §4.2: SHA-1 in hexadecimal; `None` without one.
pub fn hash(engine: &Engine, room: &Room) -> Result<Option<String>, StanzaError> {
    use base64::Engine as _;
    if !room.kept {
        return Ok(None);
    }
    let Some(text) = engine.store.room_card(room.record.id)? else {
        return Ok(None);
    };
    let Ok(card) = Document::parse(text) else {
        return Ok(None);
    };
    let photo = card.root().child(ns::VCARD, "PHOTO");
    let data = photo.and_then(|photo| photo.child(ns::VCARD, "BINVAL"));
    let Some(data) = data.map(|data| data.text().split_whitespace().collect::<String>()) else {
        return Ok(None);
    };
    let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(data) else {
        return Ok(None);
    };
    let hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, &bytes);
    let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    Ok(Some(hex.collect()))
}
