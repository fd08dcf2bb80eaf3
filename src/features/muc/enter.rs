//! XEP-0045 §7.2, §7.6, §7.7, §7.14: a presence for a room: entering it, being in it otherwise, under another name, or no more.

use super::history::Wanted;
use super::occupant;
use super::presence::{self, Told};
use super::roles::{Right, has};
use super::room::{self, Room, Rooms};
use super::versions;
use super::{archive, message, tokens};
use crate::config::RoomMakers;
use crate::engine::Engine;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::{Affiliated, Affiliation};
use crate::xml::written;
use crate::xmpp::{Condition, ErrorType, Jid, PresenceType, Stanza, StanzaError, ns};
use std::rc::Rc;

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
            let said = occupant::said(stanza);
            leave_room(engine, session, name, &said, &[]);
            Ok(())
        }
        // §14: who cannot be reached is not here.
        Some(PresenceType::Error) => {
            message::failed(engine, session, stanza, name);
            Ok(())
        }
        // §17.3: anything else is neither coming nor going.
        _ => Ok(()),
    }
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

/// A session leaves all its rooms, with what it says last.
pub fn leave_all(engine: &mut Engine, session: SessionId, said: &str) {
    for name in engine.memory::<Rooms>().of(session) {
        leave_room(engine, session, &name, said, &[]);
    }
}

/// A session leaves a room, for everybody to see. Who is not in it is ignored (§17.3).
pub fn leave_room(engine: &mut Engine, session: SessionId, name: &str, said: &str, codes: &[u16]) {
    if !engine
        .memory::<Rooms>()
        .of(session)
        .iter()
        .any(|room| **room == *name)
    {
        return;
    }
    let outcome = room::visit(engine, name, |engine, room| {
        leave(engine, room, session, said, codes);
        Ok(())
    });
    if let Err(error) = outcome {
        log::error!(
            "{name}: an occupant could not leave: {}",
            error.condition.name()
        );
    }
}

fn leave(engine: &mut Engine, room: &mut Room, session: SessionId, said: &str, codes: &[u16]) {
    let Some((place, seat)) = room.seat_of(session) else {
        return;
    };
    // §10.1.3: a room that nobody has configured goes with its maker.
    let more = match room.locked {
        true => "<destroy/>",
        false => "",
    };
    let told = Told {
        gone: true,
        said,
        codes,
        more,
        ..Told::default()
    };
    if room.occupants[place].seats.len() == 1 {
        let occupant = room.remove(engine, place);
        // §7.14: first the one who leaves.
        presence::tell_own(engine, &occupant, &told);
        presence::tell_others(engine, room, &occupant, &told);
        return;
    }
    // The person stays, with another device.
    let before = room.occupants[place].shown().said.clone();
    let seat = room.stand_up(engine, place, seat);
    presence::tell_seat(engine, &room.occupants[place], &seat, &told);
    let now = room.occupants[place].shown().said.clone();
    if now != before {
        let told = Told {
            said: &now,
            ..Told::default()
        };
        presence::tell_all(engine, room, place, &told);
    }
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
            let outcome = change(engine, &mut room, session, stanza, nick, x.is_some());
            room::put_back(engine, room);
            outcome
        }
        // §7.2.17: a client that believes that it is here, and is not.
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
    let own = room.people.get(stanza.from.bare());
    let registered = own.and_then(|own| own.nick.clone());
    let nick = match registered {
        // §7.10: nicknames that are locked down are put in the place of others.
        Some(registered) if room.record.config.locked_nicks => registered,
        _ => nick.to_owned(),
    };
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
fn check_nick(room: &Room, bare: &str, nick: &str) -> Result<(), StanzaError> {
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
    bind(engine, room, stanza)?;
    let said = occupant::said(stanza);
    let came = room.called(&nick).is_none();
    let before = room
        .called(&nick)
        .map(|place| room.occupants[place].shown().said.clone());
    let jid = stanza.from.to_full().ok_or(Condition::JidMalformed)?;
    let place = room.sit(engine, session, &jid, &nick, said.clone())?;
    engine.trace(|| format!("room {}: {nick} enters", room.jid));
    let told = Told {
        said: &said,
        ..Told::default()
    };
    let news = came || before.is_some_and(|before| before != said);
    let others_told = Told { ..told };
    let mut codes = Vec::new();
    // §7.2.3, §7.2.12, §10.1.1, §7.2.2
    if room.record.config.non_anonymous {
        codes.push(100);
    }
    if room.record.config.logged {
        codes.push(170);
    }
    if created {
        codes.push(201);
    }
    if *room.occupants[place].nick != *wanted {
        codes.push(210);
    }
    if news {
        presence::tell_others(engine, room, &room.occupants[place], &others_told);
        // The person's other devices hear of it, too.
        let occupant = &room.occupants[place];
        for seat in occupant.seats.iter().filter(|seat| seat.session != session) {
            presence::tell_seat(engine, occupant, seat, &told);
        }
    }
    introduce(engine, room, session, stanza, &codes);
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

/// §7.1: all that one who enters gets, in its order: who is here, themselves, what was said, what it is about.
fn introduce(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    codes: &[u16],
) {
    let Some((place, seat)) = room.seat_of(session) else {
        return;
    };
    let x = stanza.xml.root().child(ns::MUC, "x");
    let occupant = &room.occupants[place];
    let seat = &occupant.seats[seat];
    let mav = x.and_then(|x| x.child(ns::MAV, "mav"));
    let mut more = String::new();
    if let Some(mav) = mav {
        // XEP-0463 §4.2: before any presence.
        let since = mav.attr("since");
        affiliations(engine, room, place, seat, since.as_deref());
        more = written(|out| {
            out.start("mav")
                .attr("xmlns", ns::MAV)
                .attr("until", &room.versions.now())
                .end();
        });
    }
    presence::tell_who_is_there(engine, room, place, seat);
    let told = Told {
        said: &seat.said,
        own: codes,
        more: &more,
        id: stanza.id.as_deref(),
        ..Told::default()
    };
    presence::tell_seat(engine, occupant, seat, &told);
    let most = (room.record.config.max_history as usize).min(limits::ROOM_HISTORY);
    let wanted = Wanted::of(x, engine.now.wall_ms, most);
    let room_jid = Jid::from(&room.jid);
    for text in room.history.pick(&wanted, room.jid.as_str(), &seat.to) {
        message::hand_whole(engine, &room_jid, seat, &text);
    }
    let subject = message::subject_text(room, &seat.to);
    message::hand_whole(engine, &room_jid, seat, &subject);
}

/// XEP-0463 §4.2: what changed since a version, or all where it is not known. JIDs are for those who may see them.
fn affiliations(
    engine: &mut Engine,
    room: &Room,
    place: usize,
    seat: &super::occupant::Seat,
    since: Option<&str>,
) {
    let occupant = &room.occupants[place];
    if !room.record.config.non_anonymous && !has(occupant.affiliation, Right::Members) {
        return;
    }
    let changes = since.and_then(|since| room.versions.since(since));
    let all = || {
        let items = room.people.values();
        items
            .filter(|one| one.affiliation != Affiliation::None)
            .map(|one| (one.jid.as_str(), one.affiliation))
            .collect()
    };
    let (since, items) = match changes {
        Some(changes) if changes.is_empty() => return,
        Some(changes) => (since, changes),
        None => (None, all()),
    };
    let text = written(|out| {
        out.start("message").attr("from", room.jid.as_str());
        out.start("x").attr("xmlns", ns::MUC_USER);
        versions::write(out, since, &room.versions.now(), &items);
        out.end().end();
    });
    presence::hand(
        engine,
        &Jid::from(&room.jid),
        seat,
        &text,
        None,
        crate::engine::delivery::Worth::Now,
    );
}

/// A presence of one who is in the room: under another name, otherwise than before, or out of step with it.
fn change(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    nick: &str,
    resync: bool,
) -> Result<(), StanzaError> {
    let Some((place, _)) = room.seat_of(session) else {
        return Ok(());
    };
    if *room.occupants[place].nick != *nick {
        rename(engine, room, place, nick, stanza)?;
    }
    let Some((place, seat)) = room.seat_of(session) else {
        return Ok(());
    };
    let said: Rc<str> = occupant::said(stanza);
    let before = room.occupants[place].shown().said.clone();
    // The device that spoke last is the one that is shown.
    let mut own = room.occupants[place].seats.remove(seat);
    own.said = said.clone();
    room.occupants[place].seats.push(own);
    room.occupants[place].active_ms = engine.now.wall_ms;
    let told = Told {
        said: &said,
        id: stanza.id.as_deref(),
        ..Told::default()
    };
    if before != said {
        let now_ms = engine.now.mono_ms;
        match room.occupants[place].passing.allows(now_ms) {
            true => presence::tell_others(engine, room, &room.occupants[place], &told),
            // §13.6: of a storm the others see the end.
            false => room.occupants[place].untold = true,
        }
    }
    if resync {
        // §7.2.1: exactly as if it had just entered.
        let mut codes = Vec::new();
        if room.record.config.non_anonymous {
            codes.push(100);
        }
        if room.record.config.logged {
            codes.push(170);
        }
        introduce(engine, room, session, stanza, &codes);
    } else {
        // What changes nothing is not told to others: a storm of it stays with who makes it (§13.6).
        presence::tell_own(engine, &room.occupants[place], &told);
    }
    Ok(())
}

/// §7.6: another nickname, for all devices of the person.
fn rename(
    engine: &mut Engine,
    room: &mut Room,
    place: usize,
    nick: &str,
    stanza: &Stanza<'_>,
) -> Result<(), StanzaError> {
    let bare = room.occupants[place].bare.clone();
    let registered = room.people.get(bare.as_str());
    if room.record.config.locked_nicks
        && registered.is_some_and(|one| one.nick.as_deref().is_some_and(|own| own != nick))
    {
        return Err(Condition::NotAcceptable.into());
    }
    check_nick(room, bare.as_str(), nick)?;
    let jid = room
        .jid
        .with_resource(nick)
        .map_err(|_| StanzaError::from(Condition::JidMalformed))?;
    let said = room.occupants[place].shown().said.clone();
    let told = Told {
        gone: true,
        nick: Some(nick),
        codes: &[303],
        id: stanza.id.as_deref(),
        ..Told::default()
    };
    presence::tell_all(engine, room, place, &told);
    // The same person may be here under the other name as well: then it is one.
    let mut place = place;
    if let Some(other) = room.called(nick).filter(|other| *other != place) {
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
    let told = Told {
        said: &said,
        ..Told::default()
    };
    presence::tell_all(engine, room, place, &told);
    Ok(())
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

/// §7.2.17: says to a client that it is not in the room.
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
