//! XEP-0045 §7.6, §7.7, §14.6: a presence of one who is in the room: under another name, otherwise than before, or out of step with it.

use super::enter::check_nick;
use super::introduce;
use super::occupant::{self, Said};
use super::presence::{self, Told};
use super::room::{self, Room, Rooms};
use crate::engine::Engine;
use crate::engine::session::SessionId;
use crate::xmpp::{Condition, ErrorType, Stanza, StanzaError};

/// A presence of one who is in the room; `resync` says that the client believes that it enters.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    wanted: &str,
    resync: bool,
) -> Result<(), StanzaError> {
    let Some((place, _)) = room.seat_of(session) else {
        return Ok(());
    };
    let nick = new_nick(engine, room, place, wanted, resync)?;
    let comes = match &nick {
        Some(nick) => rename(engine, room, place, nick)?,
        None => false,
    };
    let Some((place, seat)) = room.seat_of(session) else {
        return Ok(());
    };
    let Said { all: said, photo } = presence::said_in(engine, session, stanza);
    let before = room.occupants[place].shown().said.clone();
    // The device that spoke last is the one that is shown.
    let mut own = room.occupants[place].seats.remove(seat);
    (own.said, own.photo) = (said.clone(), photo);
    room.occupants[place].seats.push(own);
    room.occupants[place].active_ms = engine.now.wall_ms;
    let mut codes = match resync {
        true => introduce::codes(room),
        false => Vec::new(),
    };
    if *room.occupants[place].nick != *wanted {
        codes.push(210);
    }
    let told = Told {
        comes,
        said: &said,
        own: &codes,
        id: stanza.id.as_deref(),
        ..Told::default()
    };
    let is_news = nick.is_some() || before != said;
    if is_news {
        let now_ms = engine.now.mono_ms;
        match nick.is_some() || room.occupants[place].passing.allows(now_ms) {
            true => presence::tell_others(engine, room, &room.occupants[place], &told),
            // §14.6: of a storm the others see the end.
            false => room.occupants[place].untold = true,
        }
    }
    if resync {
        // §7.2.1: exactly as if it had just entered.
        if is_news {
            let told = Told {
                said: &said,
                ..Told::default()
            };
            presence::tell_siblings(engine, &room.occupants[place], session, &told);
        }
        introduce::introduce(engine, room, session, stanza, &codes);
    } else {
        // What changes nothing is not told to others: a storm of it stays with who makes it (§14.6).
        presence::tell_own(engine, &room.occupants[place], &told);
    }
    Ok(())
}

/// A second passed: the last presence of those who changed theirs too often.
pub fn tell_untold(engine: &mut Engine) {
    let rooms = engine.memory::<Rooms>();
    let names: Vec<String> = rooms
        .loaded()
        .filter(|room| room.occupants.iter().any(|one| one.untold))
        .map(|room| room.record.name.clone())
        .collect();
    for name in names {
        let _ = room::visit(engine, &name, |engine, room| {
            for place in 0..room.occupants.len() {
                let now_ms = engine.now.mono_ms;
                let one = &mut room.occupants[place];
                if !one.untold || !one.passing.allows(now_ms) {
                    continue;
                }
                one.untold = false;
                let said = one.shown().said.clone();
                let told = Told {
                    said: &said,
                    ..Told::default()
                };
                presence::tell_others(engine, room, &room.occupants[place], &told);
            }
            Ok(())
        });
    }
}

/// §7.6: the nickname that an occupant has from now on, where it is another one than before.
fn new_nick(
    engine: &Engine,
    room: &mut Room,
    place: usize,
    wanted: &str,
    resync: bool,
) -> Result<Option<String>, StanzaError> {
    let occupant = &room.occupants[place];
    if *occupant.nick == *wanted {
        return Ok(None);
    }
    let bare = occupant.bare.clone();
    let nick = match room.held_to(bare.as_str()) {
        // §7.2.2: who enters gets the nickname that they are held to; §7.6: who is here hears that they are.
        Some(own) if resync => own.to_owned(),
        Some(own) if own != wanted => {
            return Err(StanzaError::from(Condition::NotAcceptable).kind(ErrorType::Cancel));
        }
        _ => wanted.to_owned(),
    };
    check_nick(room, bare.as_str(), &nick)?;
    // Two spellings of one name are one name: the person's other devices have the first one.
    let same = room.with_key(&occupant::key(&nick));
    let nick = match same.filter(|same| *same != place) {
        Some(same) => room.occupants[same].nick.to_string(),
        None => nick,
    };
    if *room.occupants[place].nick == *nick {
        return Ok(None);
    }
    // §14.6: everybody is told twice of each.
    if !room.occupants[place].passing.allows(engine.now.mono_ms) {
        return Err(StanzaError::text(
            Condition::ResourceConstraint,
            "you change your nickname too often: wait a few seconds",
        )
        .kind(ErrorType::Wait));
    }
    Ok(Some(nick))
}

/// §7.6: another nickname, for all devices under the old one. Everybody hears that the old one is gone; who called tells of the new one.
/// Whether nobody was shown the new one before.
fn rename(
    engine: &mut Engine,
    room: &mut Room,
    mut place: usize,
    nick: &str,
) -> Result<bool, StanzaError> {
    let jid = room
        .jid
        .with_resource(nick)
        .map_err(|_| StanzaError::from(Condition::JidMalformed))?;
    let told = Told {
        gone: true,
        nick: Some(nick),
        codes: &[303],
        ..Told::default()
    };
    presence::tell_all(engine, room, place, &told);
    // The same person may be here under the other name as well: then it is one.
    let other = room.called(nick).filter(|other| *other != place);
    let comes = other.is_none();
    if let Some(other) = other {
        let merged = room.occupants.remove(other);
        if other < place {
            place -= 1;
        }
        let mut seats = merged.seats;
        seats.append(&mut room.occupants[place].seats);
        room.occupants[place].seats = seats;
    }
    let occupant = &mut room.occupants[place];
    occupant.nick = jid.resource().into();
    occupant.key = occupant::key(nick);
    occupant.jid = jid;
    Ok(comes)
}

/// §7.10: who has just registered a nickname in a room that holds its members to theirs, has it from now on.
pub fn hold(engine: &mut Engine, room: &mut Room, bare: &str) -> Result<(), StanzaError> {
    let Some(nick) = room.held_to(bare).map(str::to_owned) else {
        return Ok(());
    };
    while let Some(place) = room
        .occupants
        .iter()
        .position(|one| one.bare.as_str() == bare && *one.nick != *nick)
    {
        rename(engine, room, place, &nick)?;
        if let Some(place) = room.called(&nick) {
            let said = room.occupants[place].shown().said.clone();
            let told = Told {
                said: &said,
                codes: &[210],
                ..Told::default()
            };
            presence::tell_all(engine, room, place, &told);
        }
    }
    Ok(())
}
