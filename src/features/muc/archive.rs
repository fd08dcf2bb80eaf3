//! XEP-0313 §6.1.2 (archives of rooms): what is said in a room that stays is kept under the room's own number, as everybody was sent it; who may read it is decided
//! here. What was said last is read again before the first one enters a room that was not in memory.

use super::history::Line;
use super::iq::Asks;
use super::occupant::Occupant;
use super::roles::{self, Right, Role};
use super::room::{self, Room};
use super::{enter, subject};
use crate::engine::content;
use crate::engine::feature::{Answer, Iq};
use crate::engine::session::SessionId;
use crate::engine::{Engine, archive_pages};
use crate::limits;
use crate::store::archive::{Answer as Found, ArchiveId, Query, Request, Row};
use crate::store::{Affiliation, StoreError};
use crate::xml::{Document, Element, Splice, splice, written};
use crate::xmpp::{Condition, IqType, Jid, Postponed, Stanza, StanzaError, ns};

/// Whether what is said in a room is kept.
pub fn is_on(engine: &Engine, room: &Room) -> bool {
    engine.archive_on() && room.record.config.archived && room.record.config.persistent
}

/// Whether a message is worth keeping (§6.1.2), and does not ask not to be (XEP-0334 §4). That something was taken back is kept in any case: who was away
/// learns it only from here (XEP-0424 §5).
pub fn takes(root: Element<'_>) -> bool {
    let wished = content::hints(root, "store") || root.child(ns::RETRACTION, "retract").is_some();
    let unwanted = content::hints(root, "no-store") || content::hints(root, "no-permanent-store");
    wished || (content::is_conversation(root) && !unwanted)
}

/// Who says what is archived.
pub struct Speaker {
    /// The address that it is found by.
    with: String,
    /// Whose device said it and what they were, as XML; empty for the room itself.
    who: String,
}

impl Speaker {
    /// The room.
    pub fn room(room: &Room) -> Speaker {
        Speaker {
            with: room.jid.as_str().to_owned(),
            who: String::new(),
        }
    }

    /// An occupant. §6.1.2: with their own address, which not every reader is shown.
    pub fn occupant(occupant: &Occupant) -> Speaker {
        let who = written(|out| {
            out.start("x").attr("xmlns", ns::MUC_USER);
            out.start("item")
                .attr("affiliation", roles::affiliation_name(occupant.affiliation))
                .attr("jid", occupant.shown().jid.as_str())
                .attr("role", occupant.role.name())
                .end();
            out.end();
        });
        Speaker {
            with: occupant.jid.as_str().to_owned(),
            who,
        }
    }
}

/// Keeps a message as it is sent to everybody, without the id that it gets by that.
pub fn keep(
    engine: &mut Engine,
    room: &mut Room,
    speaker: &Speaker,
    text: &[u8],
) -> Result<Option<ArchiveId>, StoreError> {
    if !is_on(engine, room) {
        return Ok(None);
    }
    if !room.kept {
        room.keep(engine)?;
    }
    Ok(engine.archive_as(room.record.id, &speaker.with, |out| {
        push_standalone(out, text);
        out.truncate(out.len() - END.len());
        out.extend_from_slice(speaker.who.as_bytes());
        out.extend_from_slice(END.as_bytes());
    }))
}

const END: &str = "</message>";

/// A message of a room as it stands in another element.
fn push_standalone(out: &mut Vec<u8>, text: &[u8]) {
    let (start, rest) = text.split_at("<message".len());
    out.extend_from_slice(start);
    out.extend_from_slice(b" xmlns='jabber:client'");
    out.extend_from_slice(rest);
}

/// A message of the archive without the address of who said it.
pub fn without_speaker(xml: &str) -> Option<String> {
    // Nobody but the room says that (see `message.rs`), and most readers of most rooms may see it.
    let document = Document::parse(xml.to_owned()).ok()?;
    let who: Vec<Element<'_>> = document
        .root()
        .children()
        .filter(|child| child.is(ns::MUC_USER, "x"))
        .collect();
    let how = Splice {
        xmlns: Some(ns::CLIENT),
        without: &who,
        ..Splice::default()
    };
    let mut text = Vec::with_capacity(xml.len());
    splice(&mut text, document.checked(), &how);
    String::from_utf8(text).ok()
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
    let role = room
        .seat_of(asks.session)
        .map(|(place, _)| room.occupants[place].role);
    let affiliation = room.affiliation(engine, &Jid::from(&asks.stanza.from));
    check_reader(room, affiliation, role)?;
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
        ("query", true) => {
            // §6.1.2: who may see whose device said it, by what the room is now.
            let reveals = role.is_some_and(|role| room.reveals_to(role))
                || room.record.config.non_anonymous
                || roles::has(affiliation, Right::Members);
            let adapt: fn(&mut Row) = match reveals {
                true => |_| (),
                false => |row| {
                    row.xml = without_speaker(&row.xml).unwrap_or_default();
                },
            };
            archive_pages::query(engine, &iq, owner, adapt)
        }
        ("metadata", false) => archive_pages::metadata(engine, &iq, owner),
        _ => Err(Condition::FeatureNotImplemented.into()),
    }
}

/// §6.1.2: who may enter may read; of a password that was not said, nothing is read.
fn check_reader(
    room: &Room,
    affiliation: Affiliation,
    role: Option<Role>,
) -> Result<(), StanzaError> {
    let config = &room.record.config;
    let open = !config.members_only && config.password.is_none();
    let may = match affiliation {
        Affiliation::Outcast => false,
        Affiliation::None => open || role.is_some(),
        other => roles::has(other, Right::EnterMembersOnly),
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
    let Some(again) = Postponed::of(stanza).filter(|_| most > 0) else {
        room.history.is_read = true;
        return false;
    };
    let query = Query {
        max: most,
        backward: true,
        bytes: limits::ROOM_HISTORY * limits::ROOM_HISTORY_BYTES,
        ..Query::of(room.record.id)
    };
    let (name, nick) = (room.record.name.clone(), nick.to_owned());
    engine.read_archive_for(session, Request::Page(query), move |engine, found| {
        let outcome = room::visit(engine, &name, |engine, room| {
            // It stays in memory until who waits for it is in it, or is refused.
            room.is_awaited = true;
            fill(engine, room, found);
            Ok(())
        });
        if engine.session(session).is_some() {
            let stanza = again.stanza();
            let outcome =
                outcome.and_then(|()| enter::take(engine, session, &stanza, &name, Some(&nick)));
            if let Err(error) = outcome {
                enter::refuse(engine, session, &stanza, &error);
            }
        }
        // A room that was destroyed meanwhile waits for nobody.
        let _ = room::visit(engine, &name, |_, room| {
            room.is_awaited = false;
            Ok(())
        });
    });
    true
}

fn fill(engine: &Engine, room: &mut Room, found: Result<Found, StoreError>) {
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
        let Some(xml) = without_speaker(&row.xml) else {
            continue;
        };
        let Ok(document) = Document::parse(xml.clone()) else {
            continue;
        };
        // §7.2.15: that is told behind the history.
        if subject::is_change(document.root()) {
            continue;
        }
        let by = document.root().child(ns::OCCUPANT_ID, "occupant-id");
        let by = by.and_then(|by| by.attr("id")).unwrap_or_default();
        // §7.9: only an owner says when somebody else said something.
        let delay = document.root().child(ns::DELAY, "delay");
        let said_by = delay.and_then(|delay| delay.attr("from"));
        let said_by = said_by.and_then(|from| Jid::parse(&from).ok().map(|from| from.to_bare()));
        let dated = said_by.is_some_and(|bare| *room.occupant_id(engine, &bare) != *by);
        let text = xml.replacen(" xmlns='jabber:client'", "", 1);
        let line = Line {
            at_ms: row.at_ms,
            id: row.id.text().as_str().into(),
            by: (&*by).into(),
            dated,
            text: super::message::with_id(&text, room.jid.as_str(), &row.id.text()).into(),
        };
        room.history.push(line, most);
    }
}
