//! What the control socket and the command line do. One verb, one function; the same with a running server and without one.
//!
//! A request is one JSON object, `{"verb":"user.add","name":"anna","password":"…"}`; its answer is one too, with `ok`, and where that is
//! false an `error` that says what to do.

pub mod announcements;
pub mod moving;
pub mod portable;
pub mod rooms;
pub mod sessions;
pub mod status;
pub mod users;

use crate::engine::administration::{Refusal, Then};
use crate::engine::{Effect, Engine, Input};
use crate::store::ArchiveReader;
use crate::xmpp::BareJid;
use serde_json::{Value, json};

/// What a verb says at the end: the answer's fields, or a sentence that says what to do.
pub type Outcome = Result<Value, String>;

/// Who does what comes over the control socket, in the log.
const OPERATOR: &str = "the operator";

/// One verb of the control socket.
struct Verb {
    name: &'static str,
    /// Whether it makes sense without a running server.
    offline: bool,
    run: fn(&mut Engine, call: u64, request: &Value),
}

const VERBS: &[Verb] = &[
    Verb {
        name: "user.add",
        offline: true,
        run: users::add,
    },
    Verb {
        name: "user.del",
        offline: true,
        run: users::del,
    },
    Verb {
        name: "user.passwd",
        offline: true,
        run: users::passwd,
    },
    Verb {
        name: "user.lock",
        offline: true,
        run: users::lock,
    },
    Verb {
        name: "user.unlock",
        offline: true,
        run: users::unlock,
    },
    Verb {
        name: "user.admin",
        offline: true,
        run: users::admin,
    },
    Verb {
        name: "user.list",
        offline: true,
        run: users::list,
    },
    Verb {
        name: "user.show",
        offline: true,
        run: users::show,
    },
    Verb {
        name: "room.add",
        offline: true,
        run: rooms::add,
    },
    Verb {
        name: "room.del",
        offline: true,
        run: rooms::del,
    },
    Verb {
        name: "room.list",
        offline: true,
        run: rooms::list,
    },
    Verb {
        name: "room.show",
        offline: true,
        run: rooms::show,
    },
    Verb {
        name: "room.invite",
        offline: true,
        run: rooms::invite,
    },
    Verb {
        name: "room.topic",
        offline: true,
        run: rooms::topic,
    },
    Verb {
        name: "export.names",
        offline: true,
        run: moving::names,
    },
    Verb {
        name: "export.part",
        offline: true,
        run: moving::part,
    },
    Verb {
        name: "export.rooms",
        offline: true,
        run: moving::rooms::names,
    },
    Verb {
        name: "export.room",
        offline: true,
        run: moving::rooms::part,
    },
    Verb {
        name: "import.rooms",
        offline: true,
        run: moving::rooms::known,
    },
    Verb {
        name: "import.room",
        offline: true,
        run: moving::rooms::done,
    },
    Verb {
        name: "import.names",
        offline: true,
        run: moving::known,
    },
    Verb {
        name: "import.begin",
        offline: true,
        run: moving::begin,
    },
    Verb {
        name: "import.items",
        offline: true,
        run: moving::items,
    },
    Verb {
        name: "import.finish",
        offline: true,
        run: moving::done,
    },
    Verb {
        name: "import.abandon",
        offline: true,
        run: moving::abandon,
    },
    Verb {
        name: "import.commit",
        offline: true,
        run: moving::commit,
    },
    Verb {
        name: "online",
        offline: false,
        run: sessions::online,
    },
    Verb {
        name: "kick",
        offline: false,
        run: sessions::kick,
    },
    Verb {
        name: "announce",
        offline: false,
        run: announcements::announce,
    },
    Verb {
        name: "motd.set",
        offline: true,
        run: announcements::set_motd,
    },
    Verb {
        name: "motd.show",
        offline: true,
        run: announcements::show_motd,
    },
    Verb {
        name: "motd.delete",
        offline: true,
        run: announcements::delete_motd,
    },
    Verb {
        name: "welcome.set",
        offline: true,
        run: announcements::set_welcome,
    },
    Verb {
        name: "welcome.show",
        offline: true,
        run: announcements::show_welcome,
    },
    Verb {
        name: "welcome.delete",
        offline: true,
        run: announcements::delete_welcome,
    },
    Verb {
        name: "status",
        offline: false,
        run: status::status,
    },
];

/// Takes one line of the control socket. Answers with [`Effect::Reply`], now or after a commit.
pub fn control(engine: &mut Engine, call: u64, line: &str) {
    let request: Value = match serde_json::from_str(line) {
        Ok(request) => request,
        Err(error) => {
            return finish(
                engine,
                call,
                Err(format!("the request is not JSON: {error}")),
            );
        }
    };
    let name = request["verb"].as_str().unwrap_or_default();
    match VERBS.iter().find(|verb| verb.name == name) {
        Some(verb) => (verb.run)(engine, call, &request),
        None => finish(
            engine,
            call,
            Err(format!(
                "there is no verb {name:?}; this snug is version {}",
                env!("CARGO_PKG_VERSION")
            )),
        ),
    }
}

/// Does a request on an engine without connections, while no server runs: what the engine wants done is done here, until it has answered.
pub fn offline(engine: &mut Engine, archive: &mut ArchiveReader, request: &Value) -> Value {
    let name = request["verb"].as_str().unwrap_or_default();
    if !VERBS.iter().any(|verb| verb.name == name && verb.offline) {
        return json!({"ok": false, "exit": 3, "error": format!("{name} needs a running server: start it with `snug run`, or name its directory with --data")});
    }
    let now = engine.now;
    engine.enter(
        now,
        Input::Control {
            call: 0,
            line: &request.to_string(),
        },
    );
    while let Some(effect) = engine.effects() {
        match effect {
            Effect::Commit { ticket } => {
                let result = engine.store.commit().map(drop);
                engine.enter(now, Input::Committed { ticket, result });
            }
            Effect::Derive {
                job,
                password,
                keys,
            } => {
                let keys = crate::auth::keys::derive_all(&password, &keys);
                engine.enter(now, Input::Derived { job, keys });
            }
            Effect::Read { job, request } => {
                let answer = archive.answer(request);
                engine.enter(now, Input::Read { job, answer });
            }
            Effect::Reply { line, .. } => {
                return serde_json::from_str(&line).unwrap_or(Value::Null);
            }
            Effect::Output(_)
            | Effect::Resume { .. }
            | Effect::Close(_)
            | Effect::Stop
            | Effect::Exit => {}
        }
    }
    json!({"ok": false, "error": "the request was not answered: this is a fault of snug"})
}

/// Answers a request.
fn finish(engine: &mut Engine, call: u64, outcome: Outcome) {
    let answer = match outcome {
        Ok(mut answer) => {
            answer["ok"] = Value::Bool(true);
            answer
        }
        Err(error) => json!({"ok": false, "error": error}),
    };
    engine.reply(call, answer.to_string());
}

/// Answers once what was written is on the disk.
fn finish_committed(engine: &mut Engine, call: u64, outcome: Outcome) {
    engine.when_committed(move |engine, fine| {
        let outcome = match fine {
            true => outcome,
            false => Err("it could not be written to the disk: look at the log".to_owned()),
        };
        finish(engine, call, outcome);
    });
}

/// A refusal as the operator hears it: with what to do at this door.
fn says(refusal: Refusal) -> String {
    match &refusal {
        Refusal::NoAccount(_) => format!("{refusal}: `snug user list` shows those there are"),
        Refusal::Taken(name) => {
            format!("{refusal}: `snug user passwd {name}` gives it another password")
        }
        Refusal::NoRoom(_) => format!("{refusal}: `snug room list` shows those there are"),
        Refusal::RoomTaken(name) => format!("{refusal}: `snug room show {name}` tells of it"),
        Refusal::NoRooms => format!("{refusal}; set it to true in snug.toml"),
        Refusal::NotConnected(_) => format!("{refusal}: `snug online` shows who is"),
        Refusal::NotKept => format!("{refusal}: look at the log"),
        Refusal::NoText => format!("{refusal}: say something, or use --stdin"),
        _ => refusal.to_string(),
    }
}

/// A text of a request that must be there.
fn text<'r>(request: &'r Value, name: &str, missing: &str) -> Result<&'r str, String> {
    request[name].as_str().ok_or_else(|| missing.to_owned())
}

/// Does something with what the request names; `nameless` is the answer to one that names nothing.
fn with_name(
    engine: &mut Engine,
    call: u64,
    request: &Value,
    nameless: &str,
    run: impl FnOnce(&mut Engine, &str),
) {
    match text(request, "name", nameless) {
        Ok(name) => run(engine, name),
        Err(error) => finish(engine, call, Err(error)),
    }
}

/// Answers with an address and a sentence about it.
fn done(call: u64, sentence: impl FnOnce(&BareJid) -> String + 'static) -> Then<BareJid> {
    Box::new(move |engine, outcome| {
        let outcome: Outcome = outcome
            .map(|jid| json!({"jid": jid.as_str(), "message": sentence(&jid)}))
            .map_err(says);
        finish(engine, call, outcome);
    })
}
