//! XEP-0313 §7 (archives of rooms): what is said in a room that stays is kept under the room's own number, as everybody was sent it; who may read it is decided
//! here. What was said last is read again before the first one enters a room that was not in memory.

use super::history::Line;
use super::iq::Asks;
use super::room::{self, Room};
use super::{enter, roles};
use crate::engine::content;
use crate::engine::feature::{Answer, Iq};
use crate::engine::session::SessionId;
use crate::engine::{Engine, archive_pages};
use crate::limits;
use crate::store::archive::{Answer as Found, ArchiveId, Query, Request};
use crate::store::{Affiliation, StoreError};
use crate::xml::{Document, Element};
use crate::xmpp::stanza::StanzaType;
use crate::xmpp::{Condition, IqType, Jid, Kind, Stanza, StanzaError, ns};
use std::borrow::Cow;
use std::rc::Rc;

/// Whether what is said in a room is kept.
pub fn is_on(engine: &Engine, room: &Room) -> bool {
    engine.archive_on() && room.record.config.archived && room.record.config.persistent
}

/// Whether a message is worth keeping (§5.1.1), and does not ask not to be (XEP-0334 §4).
pub fn takes(root: Element<'_>) -> bool {
    content::is_conversation(root)
        && !content::hints(root, "no-store")
        && !content::hints(root, "no-permanent-store")
}

/// Keeps a message as it is sent to everybody, without the id that it gets by that.
pub fn keep(
    engine: &mut Engine,
    room: &mut Room,
    with: &str,
    text: &[u8],
) -> Result<Option<ArchiveId>, StoreError> {
    if !is_on(engine, room) {
        return Ok(None);
    }
    if !room.kept {
        room.keep(engine)?;
    }
    Ok(engine.archive_as(room.record.id, with, |out| {
        push_standalone(out, text);
    }))
}

/// A message of a room as it stands in another element.
fn push_standalone(out: &mut Vec<u8>, text: &[u8]) {
    let (start, rest) = text.split_at("<message".len());
    out.extend_from_slice(start);
    out.extend_from_slice(b" xmlns='jabber:client'");
    out.extend_from_slice(rest);
}

/// A request of the archive's namespace for a room.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    if !engine.archive_on() {
        return Err(Condition::ServiceUnavailable.into());
    }
    check_reader(engine, room, asks)?;
    let iq = Iq {
        stanza: asks.stanza,
        session: asks.session,
        payload: asks.payload,
        iq_type: match asks.is_set {
            true => IqType::Set,
            false => IqType::Get,
        },
        account: "",
    };
    let owner = room.record.id;
    match (asks.payload.name(), asks.is_set) {
        ("query", false) => archive_pages::form(engine, &iq),
        // A room that keeps nothing has nothing: number 0 is nobody's.
        ("query", true) => archive_pages::query(engine, &iq, owner),
        ("metadata", false) => archive_pages::metadata(engine, &iq, owner),
        _ => Err(Condition::FeatureNotImplemented.into()),
    }
}

/// §7.1: who may enter may read; of a password that was not said, nothing is read.
fn check_reader(engine: &Engine, room: &Room, asks: &Asks<'_, '_>) -> Result<(), StanzaError> {
    let affiliation = room.affiliation(engine, &Jid::from(&asks.stanza.from));
    let config = &room.record.config;
    let open = !config.members_only && config.password.is_none();
    let may = match affiliation {
        Affiliation::Outcast => false,
        Affiliation::None => open || room.seat_of(asks.session).is_some(),
        other => roles::has(other, roles::Right::EnterMembersOnly),
    };
    match may {
        true => Ok(()),
        false => Err(Condition::Forbidden.into()),
    }
}

/// Whether somebody who enters has to wait until what was said last is read; then they enter by themselves. What they send next waits, too.
pub fn read_first(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    nick: &str,
) -> bool {
    if room.history.is_read {
        return false;
    }
    if !room.kept || !is_on(engine, room) {
        room.history.is_read = true;
        return false;
    }
    let most = (room.record.config.max_history as usize).min(limits::ROOM_HISTORY);
    let Some(again) = Again::of(stanza).filter(|_| most > 0) else {
        room.history.is_read = true;
        return false;
    };
    let conn = engine.session(session).and_then(|session| session.conn);
    if let Some(conn) = conn {
        engine.pause(conn);
    }
    let query = Query {
        max: most,
        backward: true,
        bytes: limits::ROOM_HISTORY * limits::ROOM_HISTORY_BYTES,
        ..Query::of(room.record.id)
    };
    let (name, nick) = (room.record.name.clone(), nick.to_owned());
    engine.read_archive(Request::Page(query), move |engine, found| {
        let outcome = room::visit(engine, &name, |_, room| {
            // It stays in memory until who waits for it is in it, or is refused.
            room.is_awaited = true;
            fill(room, found);
            Ok(())
        });
        if engine.session(session).is_some() {
            again.take(|stanza| {
                let outcome =
                    outcome.and_then(|()| enter::take(engine, session, stanza, &name, Some(&nick)));
                if let Err(error) = outcome {
                    enter::refuse(engine, session, stanza, &error);
                }
            });
        }
        // A room that was destroyed meanwhile waits for nobody.
        let _ = room::visit(engine, &name, |_, room| {
            room.is_awaited = false;
            Ok(())
        });
        if let Some(conn) = conn {
            engine.unpause(conn);
        }
    });
    true
}

fn fill(room: &mut Room, found: Result<Found, StoreError>) {
    if room.history.is_read {
        return;
    }
    room.history.is_read = true;
    let rows = match found {
        Ok(Found::Page { rows, .. }) => rows,
        Ok(_) => return,
        Err(error) => {
            log::error!("what was said in {} could not be read: {error}", room.jid);
            return;
        }
    };
    let most = room.record.config.max_history as usize;
    for row in rows {
        let Ok(document) = Document::parse(row.xml.clone()) else {
            continue;
        };
        let by = document.root().child(ns::OCCUPANT_ID, "occupant-id");
        let by = by.and_then(|by| by.attr("id")).unwrap_or_default();
        let text = row.xml.replacen(" xmlns='jabber:client'", "", 1);
        let line = Line {
            at_ms: row.at_ms,
            id: row.id.text().as_str().into(),
            by: (&*by).into(),
            text: super::message::with_id(&text, room.jid.as_str(), &row.id.text()).into(),
        };
        room.history.push(line, most);
    }
}

/// Puts a tombstone in the place of a message, wherever it lies.
pub fn replace(engine: &mut Engine, room: &Room, id: &str, text: &str) {
    let Some(id) = ArchiveId::parse(id).filter(|_| room.kept && engine.archive_on()) else {
        return;
    };
    let owner = room.record.id;
    let mut xml = Vec::with_capacity(text.len() + 32);
    push_standalone(&mut xml, text.as_bytes());
    match engine.store.replace_archived(owner, &id, &xml) {
        Ok(true) => {
            engine.ticket();
        }
        Ok(false) => engine.read_archive(Request::Replace { owner, id, xml }, |_, done| {
            if let Err(error) = done {
                log::error!("a message that was taken back is still in the archive: {error}");
            }
        }),
        Err(error) => log::error!("a message that was taken back is still in the archive: {error}"),
    }
}

/// A presence that is taken later: an own copy of it.
struct Again {
    document: Document,
    kind: Kind,
    stanza_type: StanzaType,
    from: Jid<'static>,
    to: Option<Jid<'static>>,
    id: Option<String>,
    lang: Option<Rc<str>>,
}

impl Again {
    fn of(stanza: &Stanza<'_>) -> Option<Again> {
        Some(Again {
            document: Document::parse(stanza.xml.root().standalone()).ok()?,
            kind: stanza.kind,
            stanza_type: stanza.stanza_type,
            from: stanza.from.clone().into_owned(),
            to: stanza.to.clone().map(Jid::into_owned),
            id: stanza.id.as_deref().map(str::to_owned),
            lang: stanza.lang.clone(),
        })
    }

    fn take(self, act: impl FnOnce(&Stanza<'_>)) {
        act(&Stanza {
            kind: self.kind,
            stanza_type: self.stanza_type,
            from: self.from,
            to: self.to,
            id: self.id.map(Cow::Owned),
            lang: self.lang,
            xml: self.document.checked(),
        });
    }
}
