//! XEP-0045 §10: what owners do: make a room theirs, configure it, destroy it.

use super::affiliation::{self, By, Change};
use super::config;
use super::iq::Asks;
use super::message;
use super::presence::{self, Told};
use super::roles::Right;
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::{Affiliation, RoomConfig};
use crate::xml::{Element, written};
use crate::xmpp::{Condition, Form, FormType, Jid, StanzaError, form, ns};
use std::collections::BTreeMap;

/// A request of the namespace `muc#owner`.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let from = Jid::from(&asks.stanza.from);
    if !room.allows(engine, &from, Right::Configure) {
        return Err(Condition::Forbidden.into());
    }
    if !asks.is_set {
        return Ok(Answer::Payload(configuration(room)));
    }
    if let Some(destroy) = asks.payload.child(ns::MUC_OWNER, "destroy") {
        return destroyed(engine, room, asks, destroy);
    }
    let Some(form) = asks.payload.child(form::NS, "x") else {
        return Err(Condition::BadRequest.into());
    };
    let form = Form::read(&form)?;
    match form.kind {
        // §10.1.3: then it is as if it had never been; §10.2: then it stays as it was.
        FormType::Cancel if room.locked => {
            let told = Told {
                gone: true,
                more: "<destroy/>",
                ..Told::default()
            };
            expel_all(engine, room, &told);
            room.destroy(engine)?;
            Ok(Answer::Empty)
        }
        FormType::Cancel => Ok(Answer::Empty),
        FormType::Submit => submitted(engine, room, asks, &form),
        FormType::Form | FormType::Result => Err(Condition::BadRequest.into()),
    }
}

/// §10.1.3, §10.2: the form with what is chosen now, and who looks after the room.
fn configuration(room: &Room) -> String {
    let instructions = match room.locked {
        true => {
            "Your room has been created. To accept the default configuration, click OK. To select a different configuration, please complete this form."
        }
        false => "Complete this form to modify the configuration of your room.",
    };
    let title = format!("Configuration for \"{}\" Room", room.record.name);
    let form = LISTS.into_iter().fold(
        config::form(&room.record.config, &title, instructions),
        |form, (var, label, affiliation)| {
            let mut field = form::Field::new(var, Some(form::FieldType::JidMulti)).label(label);
            let those = room.people.values();
            field.values = those
                .filter(|one| one.affiliation == affiliation)
                .map(|one| one.jid.clone())
                .collect();
            form.field(field)
        },
    );
    written(|out| {
        out.start("query").attr("xmlns", ns::MUC_OWNER);
        form.write(out);
        out.end();
    })
}

/// Fields of the form that are lists of people.
const LISTS: [(&str, &str, Affiliation); 2] = [
    (
        "muc#roomconfig_roomadmins",
        "Room Admins",
        Affiliation::Admin,
    ),
    (
        "muc#roomconfig_roomowners",
        "Room Owners",
        Affiliation::Owner,
    ),
];

fn submitted(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
    form: &Form,
) -> Result<Answer, StanzaError> {
    if !form.is_submitted(ns::MUC_ROOMCONFIG) {
        return Err(Condition::BadRequest.into());
    }
    let config = config::read(form, &room.record.config)?;
    let changes = listed(room, form)?;
    affiliation::check_together(room, &changes)?;
    let by = asks.by(room);
    let own = asks.stanza.from.bare().to_owned();
    let by = By {
        nick: by.as_deref(),
        jid: Some(&own),
    };
    let before = engine.store.ticket();
    configure(engine, room, config, &own)?;
    let news = affiliation::apply(engine, room, changes, by)?;
    room.locked = false;
    engine.respond(asks.session, asks.stanza, None, before);
    affiliation::tell(engine, room, news, by);
    Ok(Answer::Later)
}

/// The people that the form's lists add and leave out (§10.2): each list is a whole one. Who is in both is an owner.
fn listed(room: &Room, form: &Form) -> Result<Vec<Change>, StanzaError> {
    let mut wanted: BTreeMap<String, Affiliation> = BTreeMap::new();
    for (var, _, affiliation) in LISTS {
        for text in form.values(var).iter().map(|text| text.trim()) {
            if text.is_empty() {
                continue;
            }
            let jid = Jid::parse(text).map_err(|_| StanzaError::from(Condition::JidMalformed))?;
            // §9.2: a domain is banned, or nothing.
            jid.local().ok_or(Condition::NotAcceptable)?;
            wanted.insert(jid.bare().to_owned(), affiliation);
        }
    }
    let is_whole = |affiliation: Affiliation| {
        let list = LISTS.iter().find(|(.., listed)| *listed == affiliation);
        list.is_some_and(|(var, ..)| form.get(var).is_some())
    };
    let people = room.people.values();
    let gone = people.filter(|one| is_whole(one.affiliation) && !wanted.contains_key(&one.jid));
    let mut changes: Vec<(String, Affiliation)> = gone
        .map(|one| (one.jid.clone(), Affiliation::None))
        .collect();
    changes.extend(wanted.into_iter().filter(|(jid, to)| {
        let now = room.people.get(jid.as_str());
        now.is_none_or(|one| one.affiliation != *to)
    }));
    let change = |(jid, to)| Change {
        jid,
        to,
        nick: None,
        reason: None,
    };
    Ok(changes.into_iter().map(change).collect())
}

/// Makes a configuration the room's, and tells who is in it what that means for them.
pub fn configure(
    engine: &mut Engine,
    room: &mut Room,
    config: RoomConfig,
    by: &str,
) -> Result<(), StanzaError> {
    if config.persistent && !room.kept && !room.record.maker.is_empty() {
        check_count(engine, &room.record.maker)?;
    }
    let before = std::mem::replace(&mut room.record.config, config);
    if let Err(error) = room.keep(engine) {
        room.record.config = before;
        return Err(error.into());
    }
    engine.trace(|| format!("room {}: configured by {by}", room.jid));
    if room.locked {
        return Ok(());
    }
    let config = room.record.config.clone();
    if config.members_only && !before.members_only {
        remove_strangers(engine, room);
    }
    show_and_hide(engine, room, &before);
    let codes = codes(&before, &config);
    if !codes.is_empty() {
        message::announce_codes(engine, room, &codes);
    }
    Ok(())
}

/// §10.2.1: what the room says of a change.
fn codes(before: &RoomConfig, now: &RoomConfig) -> Vec<u16> {
    let mut codes = Vec::new();
    match (before.logged, now.logged) {
        (false, true) => codes.push(170),
        (true, false) => codes.push(171),
        _ => {}
    }
    match (before.non_anonymous, now.non_anonymous) {
        (false, true) => codes.push(172),
        (true, false) => codes.push(173),
        _ => {}
    }
    let other = RoomConfig {
        logged: now.logged,
        non_anonymous: now.non_anonymous,
        ..before.clone()
    };
    if other != *now {
        codes.push(104);
    }
    codes
}

/// §10.2: who is no member leaves a room that is for members from now on.
fn remove_strangers(engine: &mut Engine, room: &mut Room) {
    let mut removed = Vec::new();
    while let Some(place) = room
        .occupants
        .iter()
        .position(|one| one.affiliation <= Affiliation::None)
    {
        let by = By::default();
        removed.push(affiliation::expel(engine, room, place, &[322], by, None));
    }
    for one in &removed {
        affiliation::tell_removed(engine, room, one, By::default(), "");
    }
}

/// Roles that are shown from now on, or no more.
fn show_and_hide(engine: &mut Engine, room: &mut Room, before: &RoomConfig) {
    let now = room.record.config.broadcast;
    if now == before.broadcast {
        return;
    }
    for place in 0..room.occupants.len() {
        let bit = room.occupants[place].role.bit();
        match (before.broadcast & bit != 0, now & bit != 0) {
            (true, false) => {
                room.record.config.broadcast |= bit;
                let told = Told {
                    gone: true,
                    ..Told::default()
                };
                presence::tell_others(engine, room, &room.occupants[place], &told);
                room.record.config.broadcast = now;
            }
            (false, true) => {
                let said = room.occupants[place].shown().said.clone();
                let told = Told {
                    said: &said,
                    ..Told::default()
                };
                presence::tell_others(engine, room, &room.occupants[place], &told);
            }
            _ => {}
        }
    }
}

/// Whether somebody may keep one more room.
fn check_count(engine: &Engine, maker: &str) -> Result<(), StanzaError> {
    let mut own = 0;
    for room in engine.store.rooms_after("")? {
        own += usize::from(room?.maker == maker);
    }
    match own >= limits::ROOMS_KEPT {
        true => Err(StanzaError::text(
            Condition::ResourceConstraint,
            "you have made too many rooms that stay",
        )),
        false => Ok(()),
    }
}

/// §10.9: the room is no more, and everybody hears where it goes on.
fn destroyed(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
    destroy: Element<'_>,
) -> Result<Answer, StanzaError> {
    let venue = destroy.attr("jid");
    if let Some(venue) = &venue
        && Jid::parse(venue).is_err()
    {
        return Err(Condition::JidMalformed.into());
    }
    let inside = |name| {
        let child = destroy.child(ns::MUC_OWNER, name)?;
        Some(child.text().into_owned())
    };
    let (reason, password) = (inside("reason"), inside("password"));
    let before = engine.store.ticket();
    end(
        engine,
        room,
        venue.as_deref(),
        reason.as_deref(),
        password.as_deref(),
    )?;
    engine.respond(asks.session, asks.stanza, None, before);
    Ok(Answer::Later)
}

/// Destroys a room: one presence for each device (§10.9).
pub fn end(
    engine: &mut Engine,
    room: &mut Room,
    venue: Option<&str>,
    reason: Option<&str>,
    password: Option<&str>,
) -> Result<(), StanzaError> {
    let more = written(|out| {
        out.start("destroy").attr_opt("jid", venue);
        if let Some(password) = password {
            out.leaf("password", password);
        }
        if let Some(reason) = reason {
            out.leaf("reason", reason);
        }
        out.end();
    });
    let told = Told {
        gone: true,
        more: &more,
        ..Told::default()
    };
    expel_all(engine, room, &told);
    room.destroy(engine)?;
    log::info!("the room {} was destroyed", room.jid);
    Ok(())
}

/// Everybody has to go, and hears only that.
pub fn expel_all(engine: &mut Engine, room: &mut Room, told: &Told<'_>) {
    while !room.occupants.is_empty() {
        let mut occupant = room.remove(engine, 0);
        // §10.9: nobody is anything in a room that is no more.
        occupant.affiliation = Affiliation::None;
        presence::tell_own(engine, &occupant, told);
    }
}
