//! XEP-0045 §7.5: what one occupant says to another through the room. It is a message like any other to the archives of both (XEP-0313), never to the
//! room's.

use super::message::{forged, stamp};
use super::roles::Role;
use super::room::{self, Room};
use crate::engine::Engine;
use crate::engine::session::SessionId;
use crate::store::PrivateMessages;
use crate::xml::{Document, Scope, Splice, Writer, splice};
use crate::xmpp::{Condition, Jid, Stanza, StanzaError, ns};

/// §7.5: a message to one occupant, on all devices.
pub fn to_one(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    nick: &str,
) -> Result<(), StanzaError> {
    let place = room.occupant_of(session)?;
    let to = room.called(nick).ok_or(Condition::ItemNotFound)?;
    let role = room.occupants[place].role;
    let may = match room.record.config.private_messages {
        PrivateMessages::Anyone => true,
        PrivateMessages::Participants => role >= Role::Participant,
        PrivateMessages::Moderators => role >= Role::Moderator,
        PrivateMessages::Nobody => false,
    };
    if !may {
        return Err(StanzaError::text(
            Condition::Forbidden,
            "private messages are not for you in this room",
        ));
    }
    room.occupants[place].active_ms = engine.now.wall_ms;
    let mut append = stamp(&room.occupants[place].id);
    Writer::new(&mut append)
        .start("x")
        .attr("xmlns", ns::MUC_USER)
        .end();
    pass_on(engine, room, place, to, stanza, &append);
    Ok(())
}

/// To all devices of an occupant, as far as their account takes it.
fn pass_on(
    engine: &mut Engine,
    room: &Room,
    from: usize,
    to: usize,
    stanza: &Stanza<'_>,
    append: &str,
) {
    let without = forged(engine, stanza, false);
    let from = &room.occupants[from].jid;
    let to = &room.occupants[to];
    let how = Splice {
        from: Some(from.as_str()),
        to: Some(to.shown().jid.as_str()),
        lang: stanza.lang.as_deref(),
        without: &without,
        append,
        ..Splice::default()
    };
    let mut text = Vec::new();
    splice(&mut text, stanza.xml, &how);
    let text = String::from_utf8(text).expect("a checked stanza is text");
    let Ok(document) = Document::parse_within(text, Scope::of_default(ns::CLIENT)) else {
        engine.trace(|| "room: a private message has grown too long".to_owned());
        return;
    };
    let passed = Stanza {
        from: Jid::from(from),
        to: Some(Jid::from(&to.shown().jid)),
        lang: None,
        xml: document.checked(),
        ..stanza.clone()
    };
    let sessions: Vec<SessionId> = to.seats.iter().map(|seat| seat.session).collect();
    engine.hand_to_sessions(&passed, &sessions);
}

/// An error that answers a private message goes back the same way.
pub fn return_error(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
    name: &str,
    nick: &str,
) {
    // Nobody is told that an error could not be returned (RFC 6120 §8.3.1).
    let _ = room::visit(engine, name, |engine, room| {
        let place = room.occupant_of(session)?;
        if let Some(to) = room.called(nick).filter(|to| *to != place) {
            pass_on(engine, room, place, to, stanza, "");
        }
        Ok(())
    });
}
