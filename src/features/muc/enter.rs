//! XEP-0045 §7.1, §7.2, §10.1.1: a presence for a room, and entering it: making it, who may, under which name.

use super::occupant;
use super::presence::{self, Told};
use super::roles::{Right, has};
use super::room::{self, Room, Rooms};
use super::{archive, change, introduce, leave, message, tokens};
use crate::config::RoomMakers;
use crate::engine::Engine;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::{Affiliated, Affiliation, Noted};
use crate::xml::written;
use crate::xmpp::{Condition, ErrorType, Jid, PresenceType, Stanza, StanzaError, ns};

/// A presence for a room or an occupant.
pub fn take(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
    name: &str,
    nick: Option<&str>,
) -> Result<(), StanzaError> {
    match stanza.presence_type() {
        Some(PresenceType::Available) => arrive(engine, session, stanza, name, nick),
        Some(PresenceType::Unavailable) => {
            let said = occupant::said(stanza, "");
            leave::leave_room(engine, session, name, &said.all, &[]);
            Ok(())
        }
        // §11.1: who cannot be reached is not here.
        Some(PresenceType::Error) => {
            message::failed(engine, session, stanza, name);
            Ok(())
        }
        // §17.3: anything else is neither coming nor going.
        _ => Ok(()),
    }
}

/// Answers a presence that could not be taken, with what it was about (§7.2.5 to §7.2.11).
pub fn refuse(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>, error: &StanzaError) {
    let Some(to) = &stanza.to else { return };
    engine.trace(|| format!("room: refused: {}", error.condition.name()));
    let text = written(|out| {
        out.start("presence")
            .attr("from", to.as_str())
            .attr("to", stanza.from.as_str())
            .attr_opt("id", stanza.id.as_deref())
            .attr("type", "error");
        out.start("x").attr("xmlns", ns::MUC).end();
        error.write(out);
        out.end();
    });
    let delivery = crate::engine::delivery::Delivery::of(to.bare());
    engine.deliver(session, delivery, |out| {
        out.extend_from_slice(text.as_bytes())
    });
}

/// §7.2.1: available presence for a room.
fn arrive(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
    name: &str,
    nick: Option<&str>,
) -> Result<(), StanzaError> {
    // §7.2.1: without a nickname; §17.1: with one that nobody sees.
    let nick = nick.ok_or(Condition::JidMalformed)?;
    let key = occupant::key(nick);
    if key.is_empty() {
        return Err(Condition::JidMalformed.into());
    }
    if nick.len() > limits::NICK_BYTES {
        return Err(StanzaError::text(
            Condition::NotAcceptable,
            "that nickname is too long",
        ));
    }
    let x = stanza.xml.root().child(ns::MUC, "x");
    let known = room::take(engine, name)?;
    let seated = known.as_ref().and_then(|room| room.seat_of(session));
    match (known, seated, x) {
        (Some(mut room), Some(_), x) => {
            let outcome = change::take(engine, &mut room, session, stanza, nick, x.is_some());
            room::put_back(engine, room);
            outcome
        }
        // §7.2.18: a client that believes that it is here, and is not.
        (known, None, None) => {
            if let Some(room) = known {
                room::put_back(engine, room);
            }
            not_here(engine, session, stanza);
            Ok(())
        }
        (Some(mut room), None, Some(_)) => {
            if archive::read_first(engine, &mut room, session, stanza, nick) {
                room.is_awaited = true;
                room::put_back(engine, room);
                return Ok(());
            }
            let outcome = enter(engine, &mut room, session, stanza, nick, false);
            room::put_back(engine, room);
            outcome
        }
        (None, _, Some(_)) => {
            let mut room = make(engine, session, stanza, name)?;
            let outcome = enter(engine, &mut room, session, stanza, nick, true);
            if outcome.is_err() {
                room.over = true;
            }
            room::put_back(engine, room);
            outcome
        }
        (None, Some(_), None) => Ok(()),
    }
}

/// §10.1.1: a room that does not exist is made by who enters it, and waits for its configuration.
fn make(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
    name: &str,
) -> Result<Box<Room>, StanzaError> {
    if engine.config.rooms.create == RoomMakers::Admins && !engine.is_admin(session) {
        return Err(StanzaError::text(
            Condition::NotAllowed,
            "only administrators make rooms here",
        ));
    }
    let maker = stanza.from.local().unwrap_or_default();
    let rooms = engine.memory::<Rooms>();
    let own = rooms
        .loaded()
        .filter(|room| room.record.maker == maker && !room.kept)
        .count();
    if own >= limits::ROOMS_TEMPORARY {
        return Err(StanzaError::text(
            Condition::ResourceConstraint,
            "you have made too many rooms",
        ));
    }
    let mut room = Room::made(engine, name, maker);
    room.locked = true;
    let owner = Affiliated::new(stanza.from.bare(), Affiliation::Owner);
    room.affiliate(engine, owner)?;
    Ok(room)
}

/// §7.2.5 to §7.2.11: whether somebody may enter, and under which name.
fn admit(
    engine: &mut Engine,
    room: &mut Room,
    stanza: &Stanza<'_>,
    nick: &str,
) -> Result<String, StanzaError> {
    let from = Jid::from(&stanza.from);
    let mut affiliation = room.affiliation(engine, &from);
    // §7.2.10: until it is configured it is not there.
    if room.locked && affiliation != Affiliation::Owner {
        return Err(Condition::ItemNotFound.into());
    }
    // §7.2.7
    if affiliation == Affiliation::Outcast {
        return Err(Condition::Forbidden.into());
    }
    let x = stanza.xml.root().child(ns::MUC, "x");
    let password = x.and_then(|x| x.child(ns::MUC, "password"));
    let password = password.map(|password| password.text().into_owned());
    // XEP-0488 §4: a token makes members.
    let token = match (&password, affiliation) {
        (Some(token), Affiliation::None) => tokens::redeem(engine, room, &from, token)?,
        _ => false,
    };
    if token {
        affiliation = Affiliation::Member;
    }
    // §7.2.6
    if room.record.config.members_only && !has(affiliation, Right::EnterMembersOnly) {
        return Err(Condition::RegistrationRequired.into());
    }
    // §7.2.5
    if let Some(wanted) = &room.record.config.password
        && !token
        && !password.is_some_and(|given| {
            crate::auth::same_in_constant_time(given.as_bytes(), wanted.as_bytes())
        })
    {
        return Err(Condition::NotAuthorized.into());
    }
    // §7.10: nicknames that are locked down are put in the place of others.
    let nick = room.held_to(stanza.from.bare()).unwrap_or(nick).to_owned();
    check_nick(room, stanza.from.bare(), &nick)?;
    // §7.2.9: a person who is here already takes no more room.
    let is_here = room
        .called(&nick)
        .is_some_and(|place| room.occupants[place].bare.as_str() == stanza.from.bare());
    if !is_here {
        let most = match room.record.config.max_users {
            0 => limits::ROOM_OCCUPANTS,
            most => (most as usize).min(limits::ROOM_OCCUPANTS),
        };
        let extra = match has(affiliation, Right::Members) {
            true => limits::ROOM_OCCUPANTS_EXTRA,
            false => 0,
        };
        if room.occupants.len() >= most + extra {
            return Err(StanzaError::from(Condition::ServiceUnavailable).kind(ErrorType::Wait));
        }
    }
    Ok(nick)
}

/// §7.2.8: whether a nickname is somebody else's, who is here or has registered it.
pub fn check_nick(room: &Room, bare: &str, nick: &str) -> Result<(), StanzaError> {
    let key = occupant::key(nick);
    let taken = room
        .occupants
        .iter()
        .any(|other| *other.key == *key && other.bare.as_str() != bare);
    let reserved = room.reserved_by(&key).is_some_and(|owner| owner != bare);
    match taken || reserved {
        true => Err(Condition::Conflict.into()),
        false => Ok(()),
    }
}

fn enter(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    wanted: &str,
    created: bool,
) -> Result<(), StanzaError> {
    let nick = admit(engine, room, stanza, wanted)?;
    // Two spellings of one name are one name: a second device gets the first one's.
    let nick = match room.with_key(&occupant::key(&nick)) {
        Some(place) => room.occupants[place].nick.to_string(),
        None => nick,
    };
    let rooms = engine.memory::<Rooms>().of(session).len();
    if rooms >= limits::ROOMS_PER_SESSION {
        return Err(StanzaError::text(
            Condition::ResourceConstraint,
            "you are in too many rooms",
        ));
    }
    let jid = stanza.from.to_full().ok_or(Condition::JidMalformed)?;
    let came = room.called(&nick).is_none();
    if came && !room.comings.allows(&jid.to_bare(), engine.now.mono_ms) {
        return Err(StanzaError::text(
            Condition::ResourceConstraint,
            "you come and go too often: wait a few seconds",
        )
        .kind(ErrorType::Wait));
    }
    bind(engine, room, stanza)?;
    // Who has come does not decline.
    room.strike(engine, stanza.from.bare(), |what| {
        matches!(what, Noted::Invited(_))
    })?;
    let says = presence::said_in(engine, session, stanza);
    let said = says.all.clone();
    let before = room
        .called(&nick)
        .map(|place| room.occupants[place].shown().said.clone());
    let place = room.sit(engine, session, &jid, &nick, says)?;
    engine.trace(|| format!("room {}: {nick} enters", room.jid));
    let told = Told {
        said: &said,
        ..Told::default()
    };
    let news = came || before.is_some_and(|before| before != said);
    let others_told = Told {
        comes: came,
        ..told
    };
    // §10.1.1, §7.2.2
    let mut codes = introduce::codes(room);
    if created {
        codes.push(201);
    }
    if *room.occupants[place].nick != *wanted {
        codes.push(210);
    }
    if news {
        let occupant = &mut room.occupants[place];
        match came || occupant.passing.allows(engine.now.mono_ms) {
            true => presence::tell_others(engine, room, &room.occupants[place], &others_told),
            // §14.6: of a storm the others see the end.
            false => occupant.untold = true,
        }
        // The person's other devices hear of it, too.
        presence::tell_siblings(engine, &room.occupants[place], session, &told);
    }
    introduce::introduce(engine, room, session, stanza, &codes);
    Ok(())
}

/// Who comes by a name that was affiliated before there was such an account is meant from now on, and nobody who has the name later (HOLES 17).
fn bind(engine: &Engine, room: &mut Room, stanza: &Stanza<'_>) -> Result<(), StanzaError> {
    let unbound = room
        .people
        .get(stanza.from.bare())
        .filter(|one| one.account.is_none())
        .cloned();
    match unbound {
        Some(one) => room.affiliate(engine, one),
        None => Ok(()),
    }
}

/// §7.2.18: says to a client that it is not in the room.
fn not_here(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>) {
    let Some(to) = &stanza.to else { return };
    let text = written(|out| {
        out.start("presence")
            .attr("from", to.as_str())
            .attr("to", stanza.from.as_str())
            .attr("type", "unavailable");
        out.start("x").attr("xmlns", ns::MUC_USER);
        out.start("item")
            .attr("affiliation", "none")
            .attr("role", "none")
            .leaf("reason", "You are not in the room.")
            .end();
        for code in ["110", "307", "333"] {
            out.start("status").attr("code", code).end();
        }
        out.end().end();
    });
    let delivery = crate::engine::delivery::Delivery::of(to.bare());
    engine.deliver(session, delivery, |out| {
        out.extend_from_slice(text.as_bytes())
    });
}
