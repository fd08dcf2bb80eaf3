//! How the server is.

use super::finish;
use crate::engine::Engine;
use serde_json::{Value, json};

/// `status`: version, domain, uptime, and what is there.
pub fn status(engine: &mut Engine, call: u64, _: &Value) {
    let accounts = engine.store.accounts().map(|accounts| accounts.len());
    let outcome = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "domain": engine.config.domain,
        "data": engine.config.data.display().to_string(),
        "uptime_seconds": (engine.now.mono_ms - engine.started.mono_ms) / 1000,
        // A store that cannot be read for now is what the operator wants to know, and no reason to say nothing else.
        "accounts": accounts.as_ref().ok(),
        "archive_bytes": engine.store.archive_bytes().ok(),
        "connections": engine.streams().count(),
        "sessions": engine.sessions().count(),
        "components": engine.components().collect::<Vec<_>>(),
        "trouble": engine.store.trouble().or(accounts.as_ref().err().map(ToString::to_string)),
    });
    finish(engine, call, Ok(outcome));
}
