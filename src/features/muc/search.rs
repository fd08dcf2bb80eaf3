//! XEP-0433: searching for public rooms of this server.

use super::disco::{public_rooms, title};
use super::room::Rooms;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::RoomRecord;
use crate::xml::{Element, written};
use crate::xmpp::{Condition, Field, FieldType, Form, FormType, StanzaError};

/// The namespace.
pub const NS: &str = "urn:xmpp:channel-search:0:search";
const PARAMETERS: &str = "urn:xmpp:channel-search:0:search-params";
const BY_USERS: &str = "{urn:xmpp:channel-search:0:order}nusers";
const BY_ADDRESS: &str = "{urn:xmpp:channel-search:0:order}address";
const RSM: &str = "http://jabber.org/protocol/rsm";

/// A request: without a form it is for the form (§4.2).
pub fn take(engine: &mut Engine, payload: Element<'_>) -> Result<Answer, StanzaError> {
    let Some(form) = Form::of(&payload)? else {
        return Ok(Answer::Payload(written(|out| {
            out.start("search").attr("xmlns", NS);
            blank().write(out);
            out.end();
        })));
    };
    if !form.is_submitted(PARAMETERS) {
        return Err(Condition::BadRequest.into());
    }
    let words: Vec<String> = match form.flag("all") {
        true => Vec::new(),
        false => {
            let text = form.value("q").unwrap_or_default().to_lowercase();
            text.split_whitespace().map(str::to_owned).collect()
        }
    };
    if words.is_empty() && !form.flag("all") {
        return Err(StanzaError::text(
            Condition::BadRequest,
            "say what to search for",
        ));
    }
    let least = form.value("min_users").unwrap_or("0").trim();
    let least: usize = least.parse().map_err(|_| Condition::BadRequest)?;
    let inside = |var| form.get(var).is_none() || form.flag(var);
    let looks = (
        inside("sinname"),
        inside("sindescription"),
        inside("sinaddr"),
    );
    let set = payload.child(RSM, "set");
    let text = |name| {
        set.and_then(|set| set.child(RSM, name))
            .map(|one| one.text())
    };
    let most = match text("max") {
        Some(max) => max.trim().parse().map_err(|_| Condition::BadRequest)?,
        None => limits::ROOM_PAGE,
    };
    let after = text("after");
    let host = engine.config.rooms_host();
    let all = public_rooms(engine, "", limits::ROOM_SEARCHED)?;
    let rooms = engine.memory::<Rooms>();
    let mut found: Vec<(usize, RoomRecord)> = all
        .into_iter()
        .filter(|record| words.iter().all(|word| matches(record, word, looks)))
        .map(|record| {
            let here = rooms
                .get(&record.name)
                .map_or(0, |room| room.occupants.len());
            (here, record)
        })
        .filter(|(here, _)| *here >= least)
        .collect();
    match form.value("key") {
        Some(BY_ADDRESS) => found.sort_by(|a, b| a.1.name.cmp(&b.1.name)),
        Some(BY_USERS) | None => {
            found.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.name.cmp(&b.1.name)));
        }
        Some(_) => return Err(Condition::FeatureNotImplemented.into()),
    }
    let jid = |record: &RoomRecord| format!("{}@{host}", record.name);
    if let Some(after) = after.filter(|after| !after.is_empty()) {
        let place = found.iter().position(|(_, record)| jid(record) == *after);
        let place = place.ok_or(Condition::ItemNotFound)?;
        found.drain(..=place);
    }
    let more = found.len() > most.min(limits::ROOM_PAGE);
    found.truncate(most.min(limits::ROOM_PAGE));
    Ok(Answer::Payload(written(|out| {
        out.start("result").attr("xmlns", NS);
        for (here, record) in &found {
            let config = &record.config;
            out.start("item").attr("address", &jid(record));
            out.leaf("name", title(record));
            if !config.description.is_empty() {
                out.leaf("description", &config.description);
            }
            if !config.lang.is_empty() {
                out.leaf("language", &config.lang);
            }
            out.leaf("nusers", &here.to_string())
                .leaf("service-type", "xep-0045");
            if !config.members_only && config.password.is_none() {
                out.leaf("is-open", "");
            }
            let anonymity = match config.non_anonymous {
                true => "none",
                false => "semi",
            };
            out.leaf("anonymity-mode", anonymity).end();
        }
        if more || set.is_some() {
            out.start("set").attr("xmlns", RSM);
            if let (Some((_, first)), Some((_, last))) = (found.first(), found.last()) {
                out.leaf("first", &jid(first)).leaf("last", &jid(last));
            }
            out.leaf("max", &most.to_string()).end();
        }
        out.end();
    })))
}

fn matches(
    record: &RoomRecord,
    word: &str,
    (name, description, address): (bool, bool, bool),
) -> bool {
    let within = |wanted: bool, text: &str| wanted && text.to_lowercase().contains(word);
    within(name, &record.config.title)
        || within(description, &record.config.description)
        || within(address, &record.name)
}

fn blank() -> Form {
    let flag = |var, label, preset| {
        Field::new(var, Some(FieldType::Boolean))
            .label(label)
            .value(preset)
    };
    Form::new(FormType::Form)
        .form_type(PARAMETERS)
        .field(Field::text("q", "Search for"))
        .field(flag("all", "Return all entries (ignore search terms)", "0"))
        .field(flag("sinname", "Search in name", "1"))
        .field(flag("sindescription", "Search in description", "1"))
        .field(flag("sinaddr", "Search in address", "1"))
        .field(Field::text("min_users", "Minimum number of users").value("0"))
        .field(
            Field::new("key", Some(FieldType::ListSingle))
                .label("Sort results by")
                .value(BY_USERS)
                .option("Number of online users", BY_USERS)
                .option("Address", BY_ADDRESS),
        )
}
