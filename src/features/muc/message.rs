//! XEP-0045 §7.4, §7.5, §8.1: messages to everybody, to one occupant, and the subject. A message to everybody is one text that each occupant gets a copy of
//! with an own head.

use super::archive::Speaker;
use super::history::Line;
use super::presence;
use super::roles::{Act, Right, Role, has};
use super::room::{self, Room, Rooms};
use super::{
    absent, archive, invite, leave, mentions, private, register, retraction, subject, voice,
};
use crate::engine::Engine;
use crate::engine::content;
use crate::engine::delivery::{Delivery, Worth};
use crate::engine::session::SessionId;
use crate::limits;
use crate::xml::{Element, Splice, Writer, splice, written};
use crate::xmpp::{Condition, ErrorType, Form, Jid, MessageType, Stanza, StanzaError, ns};

/// A message for a room or an occupant.
pub fn take(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
    name: &str,
    nick: Option<&str>,
) -> Result<(), StanzaError> {
    match (stanza.message_type(), nick) {
        (Some(MessageType::Error), nick) => {
            if let Some(nick) = nick {
                private::return_error(engine, session, stanza, name, nick);
            }
            failed(engine, session, stanza, name);
            Ok(())
        }
        (Some(MessageType::Groupchat), None) => room::visit(engine, name, |engine, room| {
            check_open(room, session)?;
            to_all(engine, room, session, stanza)
        }),
        // §7.5: what is for one is not for all.
        (Some(MessageType::Groupchat), Some(_)) => {
            room::visit(engine, name, |_, room| {
                check_open(room, session)?;
                room.occupant_of(session)
            })?;
            Err(Condition::BadRequest.into())
        }
        (_, None) => room::visit(engine, name, |engine, room| {
            check_open(room, session)?;
            to_room(engine, room, session, stanza)
        }),
        (_, Some(nick)) => room::visit(engine, name, |engine, room| {
            check_open(room, session)?;
            private::to_one(engine, room, session, stanza, nick)
        }),
    }
}

/// §17.2: a room that is not unlocked is not there, but for its maker.
fn check_open(room: &Room, session: SessionId) -> Result<(), StanzaError> {
    match room.locked && room.seat_of(session).is_none() {
        true => Err(Condition::ItemNotFound.into()),
        false => Ok(()),
    }
}

/// §7.4: a message to everybody.
fn to_all(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
) -> Result<(), StanzaError> {
    let place = room.occupant_of(session)?;
    let root = stanza.xml.root();
    if subject::is_change(root) {
        return subject::change(engine, room, place, stanza);
    }
    let role = room.occupants[place].role;
    if !role.allows(Act::Speak) {
        // §7.5: clients show the sentence, or else the bare word.
        return Err(StanzaError::text(
            Condition::Forbidden,
            "you may listen here, but not speak: ask a moderator for voice",
        ));
    }
    let worth = Worth::of(stanza);
    if worth == Worth::Passing && !room.occupants[place].passing.allows(engine.now.mono_ms) {
        // §14.6: nobody misses it.
        engine.trace(|| "room: too much typing".to_owned());
        return Ok(());
    }
    check_pace(engine, room, place, root)?;
    room.occupants[place].active_ms = engine.now.wall_ms;
    let talks = content::is_conversation(root);
    let mut text = std::mem::take(&mut engine.memory::<Scratch>().0);
    text.clear();
    let occupant = &room.occupants[place];
    let how_owner = has(occupant.affiliation, Right::Configure);
    let mut without = forged(engine, stanza, how_owner);
    without.extend(mentions::unwanted(room, place, root));
    let dated = how_owner && root.child(ns::DELAY, "delay").is_some();
    let append = stamp(&room.occupants[place].id);
    let how = Splice {
        from: Some(occupant.jid.as_str()),
        to: Some(""),
        lang: stanza.lang.as_deref(),
        without: &without,
        append: &append,
        ..Splice::default()
    };
    splice(&mut text, stanza.xml, &how);
    // XEP-0313 §7: the id of what is kept is the archive's; the message is sent with it.
    let before = engine.store.ticket();
    let kept = match archive::takes(root) {
        true => {
            let speaker = Speaker::occupant(occupant);
            archive::keep(engine, room, &speaker, &text)?
        }
        false => None,
    };
    let id = match &kept {
        Some(kept) => Some(kept.text().as_str().to_owned()),
        None => talks.then(|| engine.random.id()),
    };
    let mut text = String::from_utf8(text).expect("a checked stanza is text");
    if let Some(id) = &id {
        push_id(&mut text, room.jid.as_str(), id);
    }
    let ticket = (engine.store.ticket() != before).then(|| engine.ticket());
    let occupant = &room.occupants[place];
    engine.trace(|| format!("room {}: to {} occupants", room.jid, room.occupants.len()));
    let from = Jid::from(&occupant.jid);
    for other in &room.occupants {
        for seat in &other.seats {
            // What a client takes as an acknowledgement waits for the disk.
            let behind = ticket.filter(|_| seat.session == session);
            presence::hand(engine, &from, seat, &text, behind, worth);
        }
    }
    if let Some(id) = &id {
        absent::tell(engine, room, place, root);
        remember(engine, room, place, id, &text, dated);
        if let Some(retract) = root.child(ns::RETRACTION, "retract") {
            let author = room.occupants[place].id.clone();
            retraction::by_author(engine, room, session, author, root, retract);
        }
        // XEP-0502 §4: what is read for itself, and no correction of it.
        let is_correction = root.child(ns::CORRECTION, "replace").is_some();
        if root.child(ns::CLIENT, "body").is_some() && !is_correction {
            room.activity.count(engine.now.wall_ms);
        }
        mentions::forward(engine, room, place, root, &text)?;
    }
    engine.memory::<Scratch>().0 = text.into_bytes();
    Ok(())
}

/// A buffer that all messages to rooms are put together in.
#[derive(Default)]
struct Scratch(Vec<u8>);

/// What the room adds to what an occupant says: who it was (XEP-0421 §3.2).
pub fn stamp(id: &str) -> String {
    written(|out| {
        out.start("occupant-id")
            .attr("xmlns", ns::OCCUPANT_ID)
            .attr("id", id)
            .end();
    })
}

/// Puts the room's id into a message that ends with its end tag (XEP-0359 §3).
pub fn push_id(text: &mut String, by: &str, id: &str) {
    const END: &str = "</message>";
    text.truncate(text.len() - END.len());
    Writer::new(text)
        .start("stanza-id")
        .attr("xmlns", ns::STANZA_ID)
        .attr("by", by)
        .attr("id", id)
        .end();
    text.push_str(END);
}

/// A message out of the archive with its id, as everybody was sent it.
pub fn with_id(text: &str, by: &str, id: &str) -> String {
    let mut text = text.to_owned();
    if text.ends_with("</message>") {
        push_id(&mut text, by, id);
    }
    text
}

fn remember(engine: &Engine, room: &mut Room, place: usize, id: &str, text: &str, dated: bool) {
    if text.len() > limits::ROOM_HISTORY_BYTES {
        return;
    }
    let line = Line {
        at_ms: engine.now.wall_ms,
        id: id.into(),
        by: room.occupants[place].id.clone(),
        dated,
        text: text.into(),
    };
    let most = room.record.config.max_history as usize;
    room.history.push(line, most);
}

/// The children of a message that only a room or a server may say: all of them, by the decoded name (HOLES 16). An owner may say when others of a one-to-one
/// chat said what they said (§7.9).
pub fn forged<'s>(engine: &Engine, stanza: &'s Stanza<'_>, owner: bool) -> Vec<Element<'s>> {
    let service = stanza.to.as_ref().map_or("", Jid::domain);
    let mut found = engine.forged(stanza);
    if owner {
        found.retain(|child| {
            let from = child.attr("from").unwrap_or_default();
            let of_account = Jid::parse(from.trim())
                .is_ok_and(|from| from.local().is_some() && from.domain() != service);
            child.name() != "delay" || !of_account
        });
    }
    for child in stanza.xml.root().children() {
        let own = child.is(ns::OCCUPANT_ID, "occupant-id")
            || child.is_in(ns::MUC_USER)
            || child.is_in(ns::HATS)
            || child.is(ns::MODERATION, "moderated")
            // XEP-0425 §5: only the room itself says that a message was taken back by a moderator.
            || (child.is(ns::RETRACTION, "retract")
                && child.children().any(|inner| inner.is_in(ns::MODERATION)));
        if own {
            found.push(child);
        }
    }
    found
}

/// XEP-0500 §6: who is neither admin nor owner waits between two messages with a body.
fn check_pace(
    engine: &Engine,
    room: &mut Room,
    place: usize,
    root: Element<'_>,
) -> Result<(), StanzaError> {
    let occupant = &room.occupants[place];
    let pause_ms = u64::from(room.record.config.slow_seconds) * 1000;
    if pause_ms == 0
        || has(occupant.affiliation, Right::Members)
        || root.child(ns::CLIENT, "body").is_none()
    {
        return Ok(());
    }
    let now_ms = engine.now.mono_ms;
    let bare = occupant.bare.clone();
    // By account, so that leaving and entering changes nothing.
    room.spoke.retain(|(_, at)| now_ms - at < pause_ms);
    if room.spoke.iter().any(|(who, _)| *who == bare) {
        let seconds = room.record.config.slow_seconds;
        return Err(StanzaError::text(
            Condition::PolicyViolation,
            format!("this room is slow: wait {seconds} seconds between two messages"),
        )
        .kind(ErrorType::Wait));
    }
    room.spoke.push((bare, now_ms));
    Ok(())
}

/// A message of the room itself to everybody, with this inside.
pub fn announce(engine: &mut Engine, room: &Room, inside: impl FnOnce(&mut Writer<'_>)) {
    let text = written(|out| {
        out.start("message")
            .attr("from", room.jid.as_str())
            .attr("type", "groupchat");
        inside(out);
        out.end();
    });
    announce_text(engine, room, &text, |_| true);
}

/// A finished message of the room itself, to the occupants who may have it.
pub fn announce_text(engine: &mut Engine, room: &Room, text: &str, may: impl Fn(Role) -> bool) {
    let from = Jid::from(&room.jid);
    for other in room.occupants.iter().filter(|other| may(other.role)) {
        for seat in &other.seats {
            presence::hand(engine, &from, seat, text, None, Worth::Now);
        }
    }
}

/// §10.2.1: that the configuration changed, by status codes.
pub fn announce_codes(engine: &mut Engine, room: &Room, codes: &[u16]) {
    announce(engine, room, |out| {
        out.start("x").attr("xmlns", ns::MUC_USER);
        for code in codes {
            out.start("status").attr("code", &code.to_string()).end();
        }
        out.end();
    });
}

/// Hands a whole message, which has its `to`, to one device.
pub fn hand_whole(engine: &mut Engine, from: &Jid<'_>, to: &super::occupant::Seat, text: &str) {
    engine.deliver(to.session, Delivery::of(from.bare()), |out| {
        out.extend_from_slice(text.as_bytes())
    });
}

/// What is for the room itself and not for its occupants: invitations, requests, and answers to its own forms.
fn to_room(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
) -> Result<(), StanzaError> {
    let root = stanza.xml.root();
    if let Some(x) = root.child(ns::MUC_USER, "x") {
        if x.child(ns::MUC_USER, "invite").is_some() {
            return invite::invite(engine, room, session, stanza, x);
        }
        if let Some(decline) = x.child(ns::MUC_USER, "decline") {
            return invite::decline(engine, room, stanza, decline);
        }
    }
    if let Some(form) = Form::of(&root)? {
        if form.is_submitted(ns::MUC_REQUEST) && form.get("muc#role").is_some() {
            return voice::take(engine, room, session, stanza, &form);
        }
        if form.is_submitted(ns::MUC_REGISTER) && form.get("muc#register_allow").is_some() {
            return register::approve(engine, room, stanza, &form);
        }
    }
    // §17.2: improperly typed.
    room.occupant_of(session)?;
    Err(Condition::BadRequest.into())
}

/// §11.1, §18.1.2: conditions of errors after which somebody is not here any more.
const DEAD: [&str; 6] = [
    "gone",
    "item-not-found",
    "recipient-unavailable",
    "redirect",
    "remote-server-not-found",
    "remote-server-timeout",
];

/// An error came back for what the room had sent: who cannot be reached is removed.
pub fn failed(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>, name: &str) {
    let root = stanza.xml.root();
    let dead = root.child(ns::CLIENT, "error").is_some_and(|error| {
        error
            .children()
            .any(|child| child.is_in(ns::STANZA_ERRORS) && DEAD.contains(&child.name()))
    });
    if dead && !engine.memory::<Rooms>().of(session).is_empty() {
        leave::leave_room(engine, session, name, "", &[333]);
    }
}
