//! XEP-0045 §6.2, §6.3: what the service tells of itself, and its rooms in pages (XEP-0059).

use super::room::Rooms;
use super::search;
use crate::engine::Engine;
use crate::engine::disco::{Identity, Info};
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::{RoomRecord, StoreError};
use crate::xml::{Element, written};
use crate::xmpp::{Condition, Page, PageRequest, StanzaError, ns, rsm};

/// What the service itself can.
const SERVICE_FEATURES: &[&str] = &[
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::MUC,
    "http://jabber.org/protocol/muc#stable_id",
    "muc_rooms",
    // The rooms keep archives. Profanity 0.13 never asks its own account for the feature, only the server and its services.
    ns::ARCHIVE,
    rsm::NS,
    ns::OCCUPANT_ID,
    search::NS,
    ns::VCARD,
    ns::PING,
];

/// §6.2: the service.
pub fn service_info(_: &mut Engine, payload: Element<'_>) -> Result<Answer, StanzaError> {
    if payload.attr("node").is_some() {
        return Err(Condition::ItemNotFound.into());
    }
    let info = Info {
        identities: vec![conference("Rooms")],
        features: owned(SERVICE_FEATURES),
        forms: Vec::new(),
    };
    Ok(Answer::Payload(info.payload(None)))
}

/// §6.3: the public rooms, by name; a page of them where they are many.
pub fn rooms(engine: &mut Engine, payload: Element<'_>) -> Result<Answer, StanzaError> {
    if payload.attr("node").is_some() {
        return Err(Condition::ItemNotFound.into());
    }
    let page = PageRequest::of(&payload)?;
    let wanted = page.clone().unwrap_or_default();
    if wanted.index.is_some() {
        return Err(StanzaError::text(
            Condition::FeatureNotImplemented,
            "rooms are listed from one to the next",
        ));
    }
    let most = wanted.max.unwrap_or(limits::ROOM_PAGE);
    let most = most.min(limits::ROOM_PAGE);
    let (mut found, count) = match (&wanted.before, &wanted.after) {
        // XEP-0059 §2.7: how many there are, as far as is looked.
        _ if most == 0 => {
            let all = public_rooms(engine, "", limits::ROOM_SEARCHED)?;
            (Vec::new(), Some(all.len()))
        }
        (Some(before), _) => (public_rooms_before(engine, name_in(before), most)?, None),
        (None, after) => {
            let after = after.as_deref().map_or("", name_in);
            let found = public_rooms(engine, after, most + 1)?;
            // Counting is cheap where all fit.
            let all = (after.is_empty() && found.len() <= most).then_some(found.len());
            (found, all)
        }
    };
    let more = found.len() > most;
    found.truncate(most);
    let host = engine.config.rooms_host();
    let jid = |record: &RoomRecord| format!("{}@{host}", record.name);
    let ends = found.first().zip(found.last());
    let ends = ends.map(|(first, last)| (jid(first), jid(last)));
    let items = written(|out| {
        out.start("query").attr("xmlns", ns::DISCO_ITEMS);
        for record in &found {
            out.start("item")
                .attr("jid", &jid(record))
                .attr("name", title(record))
                .end();
        }
        if more || page.is_some() {
            let is_first = wanted.before.is_none() && wanted.after.is_none();
            Page {
                ends: ends.as_ref().map(|(first, last)| (&**first, &**last)),
                index: is_first.then_some(0),
                count: count.map(|count| count as u64),
            }
            .write(out);
        }
        out.end();
    });
    Ok(Answer::Payload(items))
}

/// The name of a room in its address. Who names no address begins at the end that they come from.
fn name_in(jid: &str) -> &str {
    jid.split_once('@').map_or("", |(name, _)| name)
}

/// The public rooms behind a name, those that are kept and those that are only in memory.
pub fn public_rooms(
    engine: &mut Engine,
    after: &str,
    most: usize,
) -> Result<Vec<RoomRecord>, StoreError> {
    let kept = public(engine.store.rooms_after(after)?, most)?;
    let mut found = with_others(engine, kept)?;
    found.retain(|record| *record.name > *after);
    found.truncate(most);
    Ok(found)
}

/// The public rooms nearest before a name, or the last ones with an empty name; by name.
fn public_rooms_before(
    engine: &mut Engine,
    before: &str,
    most: usize,
) -> Result<Vec<RoomRecord>, StoreError> {
    let kept = public(engine.store.rooms_before(before)?, most)?;
    let mut found = with_others(engine, kept)?;
    found.retain(|record| before.is_empty() || *record.name < *before);
    found.drain(..found.len().saturating_sub(most));
    Ok(found)
}

fn public(
    records: impl Iterator<Item = Result<RoomRecord, StoreError>>,
    most: usize,
) -> Result<Vec<RoomRecord>, StoreError> {
    let is_public = |record: &Result<RoomRecord, StoreError>| {
        record.as_ref().map_or(true, |record| record.config.public)
    };
    records.filter(is_public).take(most).collect()
}

/// Adds the public rooms that are only in memory, and the lobby that nobody has changed yet; by name.
fn with_others(
    engine: &mut Engine,
    mut found: Vec<RoomRecord>,
) -> Result<Vec<RoomRecord>, StoreError> {
    let lobby = engine.config.rooms.lobby.clone();
    if !lobby.is_empty()
        && engine.store.room(&lobby)?.is_none()
        && let Some(room) = super::room::take(engine, &lobby)?
    {
        found.push(room.record.clone());
        super::room::put_back(engine, room);
    }
    let rooms = engine.memory::<Rooms>();
    let temporary = rooms
        .loaded()
        .filter(|room| !room.kept && !room.locked && room.record.config.public);
    found.extend(temporary.map(|room| room.record.clone()));
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by(|a, b| a.name == b.name);
    Ok(found)
}

/// What people read: its title, or its name.
pub fn title(record: &RoomRecord) -> &str {
    match record.config.title.as_str() {
        "" => &record.name,
        title => title,
    }
}

/// What a service or a room of it is.
pub fn conference(name: &str) -> Identity {
    Identity {
        category: "conference".to_owned(),
        kind: "text".to_owned(),
        lang: String::new(),
        name: name.to_owned(),
    }
}

/// Names, as an answer holds them.
pub fn owned(features: &[&str]) -> Vec<String> {
    features.iter().map(|one| (*one).to_owned()).collect()
}
