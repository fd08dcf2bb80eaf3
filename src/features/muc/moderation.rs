//! XEP-0425: a moderator takes back what somebody said: everybody hears of it, and the history keeps a tombstone.

use super::archive;
use super::iq::Asks;
use super::message;
use super::roles::Act;
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::xml::{Document, Writer, written};
use crate::xmpp::{Condition, StanzaError, ns, time};

/// `<moderate id=''><retract/><reason/></moderate>`
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let place = room.occupant_of(asks.session)?;
    let moderator = &room.occupants[place];
    if !moderator.role.allows(Act::Moderate) {
        return Err(StanzaError::text(
            Condition::Forbidden,
            "Only moderators are allowed to moderate other participants' messages",
        ));
    }
    if asks.payload.child(ns::RETRACTION, "retract").is_none() {
        return Err(Condition::BadRequest.into());
    }
    let id = asks.payload.attr("id").ok_or(Condition::BadRequest)?;
    let reason = asks
        .payload
        .child(ns::MODERATION, "reason")
        .map(|reason| reason.text().into_owned());
    if reason
        .as_ref()
        .is_some_and(|reason| reason.len() > limits::ROOM_TEXT_BYTES)
    {
        return Err(Condition::NotAcceptable.into());
    }
    let said = room.history.find(&id).ok_or(Condition::ItemNotFound)?;
    let moderated = |out: &mut Writer<'_>| {
        out.start("moderated")
            .attr("xmlns", ns::MODERATION)
            .attr("by", moderator.jid.as_str());
        out.start("occupant-id")
            .attr("xmlns", ns::OCCUPANT_ID)
            .attr("id", &moderator.id)
            .end();
        out.end();
    };
    let tombstone = tombstone(&said.text, |out| {
        out.start("retracted")
            .attr("xmlns", ns::RETRACTION)
            .attr("stamp", &time::format(engine.now.wall_ms));
        moderated(out);
        if let Some(reason) = &reason {
            out.leaf("reason", reason);
        }
        out.end();
    });
    let retract = written(|out| {
        out.start("retract")
            .attr("xmlns", ns::RETRACTION)
            .attr("id", &id);
        moderated(out);
        if let Some(reason) = &reason {
            out.leaf("reason", reason);
        }
        out.end();
    });
    if let Some(tombstone) = tombstone {
        bury(engine, room, &id, &tombstone);
    }
    let own_id = engine.random.id();
    let text = written(|out| {
        out.start("message")
            .attr("from", room.jid.as_str())
            .attr("id", &own_id)
            .attr("type", "groupchat")
            .raw(&retract)
            .end();
    });
    let room_jid = room.jid.as_str().to_owned();
    let kept = archive::keep(engine, room, &room_jid, text.as_bytes())?;
    let id = kept.map_or(own_id, |kept| kept.text().as_str().to_owned());
    let text = message::with_id(&text, &room_jid, &id);
    message::announce_text(engine, room, &text, |_| true);
    Ok(Answer::Empty)
}

/// What is left of a message (§5, XEP-0424 §5): its head, who said it, its id, and that it is no more.
fn tombstone(text: &str, retracted: impl FnOnce(&mut Writer<'_>)) -> Option<String> {
    let document =
        Document::parse_within(text.to_owned(), crate::xml::Scope::of_default(ns::CLIENT)).ok()?;
    let root = document.root();
    let from = root.attr("from")?;
    let id = root.attr("id");
    Some(written(|out| {
        out.start("message")
            .attr("from", &from)
            .attr_opt("id", id.as_deref())
            .attr("type", "groupchat");
        for child in root.children() {
            if child.is(ns::OCCUPANT_ID, "occupant-id") {
                out.raw(&child.standalone());
            }
        }
        retracted(out);
        out.end();
    }))
}

/// XEP-0424 §4: an author takes back their own message: the history keeps a tombstone, too. `id` is the room's.
pub fn by_author(engine: &mut Engine, room: &mut Room, author: &str, id: &str) {
    let Some(said) = room.history.find(id).filter(|said| *said.by == *author) else {
        return;
    };
    let tombstone = tombstone(&said.text, |out| {
        out.start("retracted")
            .attr("xmlns", ns::RETRACTION)
            .attr("stamp", &time::format(engine.now.wall_ms))
            .end();
    });
    if let Some(tombstone) = tombstone {
        bury(engine, room, id, &tombstone);
    }
}

/// Puts a tombstone in the place of a message, in memory and in the archive.
fn bury(engine: &mut Engine, room: &mut Room, id: &str, tombstone: &str) {
    archive::replace(engine, room, id, tombstone);
    let text = message::with_id(tombstone, room.jid.as_str(), id);
    room.history.replace(id, text.into());
}
