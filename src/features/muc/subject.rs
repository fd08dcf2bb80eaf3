//! XEP-0045 §8.1, §7.2.15: what a room is about: said by those who may, kept with the room and in its archive, and told to who enters.

use super::archive::{self, Speaker};
use super::message::{push_id, stamp};
use super::presence;
use super::roles::{Act, Role};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::delivery::Worth;
use crate::limits;
use crate::store::RoomSubject;
use crate::xml::{Element, written};
use crate::xmpp::{Condition, Jid, Stanza, StanzaError, ns, time};

/// §8.1: a subject and neither a body nor a thread.
pub fn is_change(root: Element<'_>) -> bool {
    root.child(ns::CLIENT, "subject").is_some()
        && root.child(ns::CLIENT, "body").is_none()
        && root.child(ns::CLIENT, "thread").is_none()
}

/// §8.1: another subject, for those who may.
pub fn change(
    engine: &mut Engine,
    room: &mut Room,
    place: usize,
    stanza: &Stanza<'_>,
) -> Result<(), StanzaError> {
    let role = room.occupants[place].role;
    let may = role.allows(Act::Subject)
        || (room.record.config.change_subject && role >= Role::Participant);
    if !may {
        return Err(Condition::Forbidden.into());
    }
    let subjects = stanza.xml.root().children();
    let xml = written(|out| {
        for subject in subjects.filter(|child| child.is(ns::CLIENT, "subject")) {
            let lang = subject.attr("xml:lang");
            out.start("subject")
                .attr_opt("xml:lang", lang.as_deref())
                .text(&subject.text())
                .end();
        }
    });
    if xml.len() > limits::ROOM_TEXT_BYTES {
        return Err(StanzaError::text(
            Condition::NotAcceptable,
            "that subject is too long",
        ));
    }
    set(engine, room, xml, Some(place), stanza.id.as_deref())
}

/// Sets the subject and tells everybody when it is on the disk: `by` is the occupant who does it, the room itself where there is none.
pub fn set(
    engine: &mut Engine,
    room: &mut Room,
    xml: String,
    by: Option<usize>,
    id: Option<&str>,
) -> Result<(), StanzaError> {
    let by = by.map(|place| &room.occupants[place]);
    let subject = RoomSubject {
        xml,
        nick: by.map_or_else(String::new, |by| by.nick.to_string()),
        by: by.map_or_else(String::new, |by| by.id.to_string()),
        at_ms: engine.now.wall_ms,
    };
    let speaker = by.map_or_else(|| Speaker::room(room), Speaker::occupant);
    let before = room.record.subject.replace(subject);
    let written_before = engine.store.ticket();
    if let Err(error) = room.keep(engine) {
        room.record.subject = before;
        return Err(error.into());
    }
    let mut text = message(room, id, "");
    // XEP-0313 §6.1.2: a change of the subject is in the archive, too.
    if let Some(kept) = archive::keep(engine, room, &speaker, text.as_bytes())? {
        push_id(&mut text, room.jid.as_str(), &kept.text());
    }
    let ticket = (engine.store.ticket() != written_before).then(|| engine.ticket());
    let from = Jid::from(&room.jid);
    for seat in room.occupants.iter().flat_map(|other| &other.seats) {
        presence::hand(engine, &from, seat, &text, ticket, Worth::Now);
    }
    Ok(())
}

/// §7.2.15: the subject, for one who enters.
pub fn for_one(room: &Room, to: &str) -> String {
    let text = message(room, None, &{
        match &room.record.subject {
            Some(subject) => written(|out| {
                out.start("delay")
                    .attr("xmlns", ns::DELAY)
                    .attr("from", room.jid.as_str())
                    .attr("stamp", &time::format(subject.at_ms))
                    .end();
            }),
            None => String::new(),
        }
    });
    let (start, rest) = text.split_at("<message".len());
    [start, to, rest].concat()
}

fn message(room: &Room, id: Option<&str>, append: &str) -> String {
    let subject = room.record.subject.as_ref();
    let nick = subject.map_or("", |subject| &subject.nick);
    let from = match room.jid.with_resource(nick) {
        Ok(occupant) if !nick.is_empty() => occupant.as_str().to_owned(),
        _ => room.jid.as_str().to_owned(),
    };
    written(|out| {
        out.start("message")
            .attr("from", &from)
            .attr_opt("id", id)
            .attr("type", "groupchat");
        match subject {
            Some(subject) => out.raw(&subject.xml),
            None => out.start("subject").end(),
        };
        if let Some(subject) = subject.filter(|subject| !subject.by.is_empty()) {
            out.raw(&stamp(&subject.by));
        }
        out.raw(append).end();
    })
}
