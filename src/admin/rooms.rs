//! Verbs about rooms. What they do is `features/muc/operations.rs`; here a request is read and an answer written.

use super::{OPERATOR, done, finish, says, text, with_name};
use crate::engine::Engine;
use crate::features::muc::operations::{self, Details, Summary, Wanted};
use serde_json::{Value, json};

const NAMELESS: &str = "the request names no room";

/// `room.add`: name, title, owner, members_only, hidden.
pub fn add(engine: &mut Engine, call: u64, request: &Value) {
    let optional = |name: &str| request[name].as_str().map(str::to_owned);
    let wanted = Wanted {
        title: optional("title"),
        owner: optional("owner"),
        members_only: request["members_only"].as_bool().unwrap_or(false),
        hidden: request["hidden"].as_bool().unwrap_or(false),
    };
    with_name(engine, call, request, NAMELESS, |engine, name| {
        let then = done(call, |jid| format!("made the room {jid}"));
        operations::add(engine, OPERATOR, name, &wanted, then);
    });
}

/// `room.del`: name, reason. Who is in it hears the reason.
pub fn del(engine: &mut Engine, call: u64, request: &Value) {
    let reason = request["reason"].as_str();
    with_name(engine, call, request, NAMELESS, |engine, name| {
        let then = done(call, |jid| format!("destroyed the room {jid}"));
        operations::del(engine, OPERATOR, name, reason, then);
    });
}

/// `room.list`: every room.
pub fn list(engine: &mut Engine, call: u64, _: &Value) {
    let outcome = operations::list(engine).map_err(says).map(|rooms| {
        let rooms: Vec<Value> = rooms.iter().map(describe).collect();
        json!({"rooms": rooms})
    });
    finish(engine, call, outcome);
}

/// `room.show`: name.
pub fn show(engine: &mut Engine, call: u64, request: &Value) {
    let outcome = text(request, "name", NAMELESS)
        .and_then(|name| operations::show(engine, name).map_err(says))
        .map(|details| tell(&details));
    finish(engine, call, outcome);
}

/// `room.invite`: name, account, reason. The account becomes a member.
pub fn invite(engine: &mut Engine, call: u64, request: &Value) {
    let reason = request["reason"].as_str();
    let account = text(request, "account", "the request invites nobody").map(str::to_owned);
    let account = match account {
        Ok(account) => account,
        Err(error) => return finish(engine, call, Err(error)),
    };
    with_name(engine, call, request, NAMELESS, |engine, name| {
        let then = done(call, |jid| format!("invited {jid}, now a member"));
        operations::invite(engine, OPERATOR, name, &account, reason, then);
    });
}

/// `room.topic`: name, text.
pub fn topic(engine: &mut Engine, call: u64, request: &Value) {
    let text = request["text"].as_str().unwrap_or_default();
    with_name(engine, call, request, NAMELESS, |engine, name| {
        let then = done(call, |jid| format!("{jid} has another subject"));
        operations::topic(engine, OPERATOR, name, text, then);
    });
}

fn describe(room: &Summary) -> Value {
    json!({
        "jid": room.jid,
        "title": room.title,
        "occupants": room.occupants,
        "persistent": room.persistent,
        "public": room.public,
        "members_only": room.members_only,
    })
}

fn tell(room: &Details) -> Value {
    let of = |wanted: &str| -> Vec<&str> {
        let those = room.people.iter().filter(|(_, what)| *what == wanted);
        those.map(|(jid, _)| jid.as_str()).collect()
    };
    let mut told = describe(&room.summary);
    told["description"] = json!(room.config.description);
    told["subject"] = json!(room.subject);
    told["created_ms"] = json!(room.created_ms);
    told["moderated"] = json!(room.config.moderated);
    told["non_anonymous"] = json!(room.config.non_anonymous);
    told["max_users"] = match room.config.max_users {
        0 => Value::Null,
        most => json!(most),
    };
    told["everyone"] = json!(room.everyone);
    told["nicks"] = json!(room.nicks);
    told["owners"] = json!(of("owner"));
    told["admins"] = json!(of("admin"));
    told["members"] = json!(of("member"));
    told["outcasts"] = json!(of("outcast"));
    told
}
