//! Rooms on their way out and in: as accounts, with verbs of their own where they differ.

use super::super::portable::read::{self, Item};
use super::super::portable::rooms::{self, RoomFact};
use super::super::portable::write;
use super::{Outcome, archived, arriving, field, finish, pieces, progress, sentence, told};
use crate::engine::Engine;
use crate::features::muc::operations;
use crate::limits;
use crate::store::{RoomConfig, RoomRecord, StoreError};
use crate::xmpp::BareJid;
use serde_json::{Value, json};

/// `export.rooms`: after. Names of rooms in their order, and whether there are more.
pub fn names(engine: &mut Engine, call: u64, request: &Value) {
    let after = request["after"].as_str().unwrap_or_default();
    let names = (|| -> Result<Vec<String>, StoreError> {
        let rooms = engine.store.rooms_after(after)?;
        let rooms = rooms.take(limits::MOVED_NAMES);
        rooms.map(|room| room.map(|room| room.name)).collect()
    })();
    let outcome = names.map_err(sentence).map(|names| {
        let more = names.len() == limits::MOVED_NAMES;
        json!({"host": engine.config.rooms_host(), "names": names, "more": more})
    });
    finish(engine, call, outcome);
}

/// `export.room`: name, next. The next pieces of a room; `gone` if it was destroyed meanwhile.
pub fn part(engine: &mut Engine, call: u64, request: &Value) {
    let room = field(request, "name").and_then(|name| engine.store.room(name).map_err(sentence));
    let room = match room {
        Ok(Some(room)) => room,
        Ok(None) => return finish(engine, call, Ok(json!({"gone": true}))),
        Err(error) => return finish(engine, call, Err(error)),
    };
    let from = progress(request);
    match write::in_archive(from) {
        Some(from) => archived(engine, call, room.id, from, json!({})),
        None => {
            let part = rooms::part(&engine.store, &room, from).map_err(sentence);
            finish(engine, call, part.map(|part| told(&part, json!({}))));
        }
    }
}

/// `import.rooms`: names. Those of them that are rooms here.
pub fn known(engine: &mut Engine, call: u64, request: &Value) {
    let names = request["names"].as_array().map_or(&[][..], Vec::as_slice);
    let names = names.iter().filter_map(Value::as_str);
    let mut known = Vec::new();
    for name in names.take(limits::MOVED_NAMES) {
        match operations::is_there(engine, name) {
            Ok(true) => known.push(name),
            Ok(false) => {}
            Err(error) => return finish(engine, call, Err(sentence(error))),
        }
    }
    finish(engine, call, Ok(json!({"known": known})));
}

/// The part of `import.begin` that is a room's.
pub(super) fn begin(engine: &mut Engine, name: &str) -> Outcome {
    match BareJid::new(Some(name), &engine.config.rooms_host()) {
        Ok(jid) if jid.local() == Some(name) => {}
        Ok(_) => return Err(format!("{name:?} is not a name in its normal form")),
        Err(error) => return Err(format!("{name:?} cannot be the name of a room: {error}")),
    }
    if operations::is_there(engine, name).map_err(sentence)? {
        return Err(format!("there is a room {name:?} already"));
    }
    let id = engine.store.begin_room_arrival(name).map_err(sentence)?;
    Ok(json!({"id": id.number()}))
}

/// `import.room`: name, id, pieces. Makes the room, of what it is among the pieces.
pub fn done(engine: &mut Engine, call: u64, request: &Value) {
    let outcome = (|| {
        let room = new_room(engine, request)?;
        if operations::is_there(engine, &room.name).map_err(sentence)? {
            return Err(format!(
                "a room {:?} was made here meanwhile: it was left as it is, and the one of the file was not imported",
                room.name
            ));
        }
        engine.store.finish_room_arrival(&room).map_err(sentence)?;
        Ok(json!({}))
    })();
    finish(engine, call, outcome);
}

fn new_room(engine: &mut Engine, request: &Value) -> Result<RoomRecord, String> {
    let (name, id) = arriving(engine, request)?;
    let mut room = RoomRecord {
        id,
        name,
        salt: engine.random.bytes(),
        created_ms: engine.now.wall_ms,
        maker: String::new(),
        everyone: false,
        config: RoomConfig {
            persistent: true,
            ..RoomConfig::DEFAULT
        },
        subject: None,
        hats: Vec::new(),
        tokens: Vec::new(),
    };
    for piece in pieces(request)? {
        let Item::Room(fact) = read::read(&piece)? else {
            return Err("a piece comes too late: send it before the end".to_owned());
        };
        match fact {
            RoomFact::About {
                created_ms,
                maker,
                salt,
                everyone,
            } => {
                (room.created_ms, room.maker, room.everyone) = (created_ms, maker, everyone);
                room.salt = salt.unwrap_or(room.salt);
            }
            RoomFact::Config(config) => {
                room.config = *config;
            }
            RoomFact::Subject(subject) => room.subject = Some(subject),
            RoomFact::Hat(hat) if room.hats.len() < limits::ROOM_HATS => room.hats.push(hat),
            RoomFact::Token(token) if room.tokens.len() < limits::ROOM_TOKENS => {
                room.tokens.push(token);
            }
            RoomFact::Hat(_) | RoomFact::Token(_) => {}
            RoomFact::Card(xml) => engine.store.put_room_card(id, &xml).map_err(sentence)?,
        }
    }
    Ok(room)
}
