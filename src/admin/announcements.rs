//! Verbs about what the server tells its users itself.

use super::{OPERATOR, Outcome, finish, says, text};
use crate::engine::Engine;
use crate::engine::administration::Then;
use crate::engine::announce::Announced;
use serde_json::{Value, json};

/// `announce`: text, all. To everybody who is there; with `all` also to who comes later.
pub fn announce(engine: &mut Engine, call: u64, request: &Value) {
    let all = request["all"].as_bool().unwrap_or(false);
    with_text(engine, call, request, |engine, text| {
        let then: Then<Announced> = Box::new(move |engine, outcome| {
            let answer = |told: Announced| json!({"online": told.online, "waiting": told.waiting, "missed": told.missed, "message": format!("{told}.")});
            finish(engine, call, outcome.map(answer).map_err(says));
        });
        engine.announce(OPERATOR, text, all, then);
    });
}

/// `motd.set`: text.
pub fn set_motd(engine: &mut Engine, call: u64, request: &Value) {
    with_text(engine, call, request, |engine, text| {
        let then = done(
            call,
            "The message of the day is set: each account sees it once.",
        );
        engine.set_motd(OPERATOR, text, true, then);
    });
}

/// `motd.show`.
pub fn show_motd(engine: &mut Engine, call: u64, _: &Value) {
    let outcome = match engine.store.motd() {
        Ok(Some(motd)) => Ok(json!({"text": motd.text})),
        Ok(None) => Err(no_motd()),
        Err(error) => Err(error.to_string()),
    };
    finish(engine, call, outcome);
}

/// `motd.delete`.
pub fn delete_motd(engine: &mut Engine, call: u64, _: &Value) {
    let then = deleted(call, "The message of the day is deleted.", no_motd);
    engine.delete_motd(OPERATOR, then);
}

/// `welcome.set`: text.
pub fn set_welcome(engine: &mut Engine, call: u64, request: &Value) {
    with_text(engine, call, request, |engine, text| {
        let then = done(
            call,
            "The welcome is set: new accounts see it at their first login.",
        );
        engine.set_welcome(OPERATOR, text, then);
    });
}

/// `welcome.show`.
pub fn show_welcome(engine: &mut Engine, call: u64, _: &Value) {
    let outcome = match engine.store.welcome() {
        Ok(Some(text)) => Ok(json!({"text": text})),
        Ok(None) => Err(no_welcome()),
        Err(error) => Err(error.to_string()),
    };
    finish(engine, call, outcome);
}

/// `welcome.delete`.
pub fn delete_welcome(engine: &mut Engine, call: u64, _: &Value) {
    let then = deleted(call, "The welcome is deleted.", no_welcome);
    engine.delete_welcome(OPERATOR, then);
}

fn no_motd() -> String {
    "there is no message of the day: `snug motd set` sets one".to_owned()
}

fn no_welcome() -> String {
    "there is no welcome: `snug welcome set` sets one".to_owned()
}

fn with_text(engine: &mut Engine, call: u64, request: &Value, run: impl FnOnce(&mut Engine, &str)) {
    match text(request, "text", "the request has no text") {
        Ok(text) => run(engine, text),
        Err(error) => finish(engine, call, Err(error)),
    }
}

fn done(call: u64, message: &'static str) -> Then<()> {
    Box::new(move |engine, outcome| {
        let outcome: Outcome = outcome.map(|()| json!({"message": message})).map_err(says);
        finish(engine, call, outcome);
    })
}

fn deleted(call: u64, message: &'static str, missing: fn() -> String) -> Then<bool> {
    Box::new(move |engine, outcome| {
        let outcome = match outcome {
            Ok(true) => Ok(json!({"message": message})),
            Ok(false) => Err(missing()),
            Err(refusal) => Err(says(refusal)),
        };
        finish(engine, call, outcome);
    })
}
