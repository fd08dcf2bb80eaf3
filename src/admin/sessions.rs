//! Verbs about who is connected.

use super::{OPERATOR, finish, says, text};
use crate::engine::Engine;
use crate::engine::session::Session;
use serde_json::{Value, json};

/// `online`: every bound resource.
pub fn online(engine: &mut Engine, call: u64, _: &Value) {
    let sessions: Vec<Value> = engine
        .sessions()
        .map(|session| describe(engine, session))
        .collect();
    finish(engine, call, Ok(json!({"sessions": sessions})));
}

fn describe(engine: &Engine, session: &Session) -> Value {
    let stream = session.conn.and_then(|conn| engine.stream(conn));
    let state = match session.conn {
        Some(_) => "connected",
        None => "waits for its client",
    };
    json!({
        "jid": session.jid.as_str(),
        "state": state,
        "address": stream.map(|stream| stream.peer.to_canonical().to_string()),
        "tls": stream.and_then(|stream| stream.tls.as_ref()).map(|tls| tls.version),
        "priority": session.presence.as_ref().map(|presence| presence.priority),
        "since_ms": session.since_ms,
        "lost_ms": session.lost_ms,
    })
}

/// `kick`: jid, reason. A bare JID means all resources of the account.
pub fn kick(engine: &mut Engine, call: u64, request: &Value) {
    let reason = request["reason"]
        .as_str()
        .unwrap_or("the operator ended this connection");
    let outcome = text(request, "jid", "the request names nobody")
        .and_then(|jid| engine.sessions_called(&[jid]).map_err(says))
        .map(|sessions| {
            let kicked = sessions.len();
            engine.end_these(OPERATOR, sessions, reason);
            json!({"kicked": kicked})
        });
    finish(engine, call, outcome);
}
