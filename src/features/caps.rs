//! XEP-0115: Entity Capabilities: the server's own in the stream's features, and those of clients, which others ask the engine for. Left out: the
//! optimisation of §8.4, by which a server would take the hash out of presence.

use crate::engine::Engine;
use crate::engine::disco::{NODE, Node};
use crate::engine::feature::{Feature, Iq, Step};
use crate::engine::session::SessionId;
use crate::engine::stream::{Stage, Stream};
use crate::xml::Writer;
use crate::xmpp::{PresenceType, Stanza, StanzaError, ns};

/// The row. It stands before presence, which takes every presence that reaches it.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0115",
    title: "Entity Capabilities",
    leaves_out: "the optimisation of presence (§8.4)",
    server_features: &[ns::CAPS],
    disco_node: Some(own_node),
    stream_features: Some(offer),
    presence_out: Some(look),
    answered: Some(hear),
    ..Feature::NONE
};

/// XEP-0115 §6.3, once it is known who asks.
fn offer(engine: &Engine, stream: &Stream, out: &mut Writer<'_>) {
    if let Stage::Negotiating(login) = &stream.stage
        && login.account.is_some()
    {
        out.start("c")
            .attr("xmlns", ns::CAPS)
            .attr("hash", "sha-1")
            .attr("node", NODE)
            .attr("ver", engine.server_verification())
            .end();
    }
}

/// XEP-0115 §6.2: the server's answer by the node of its capabilities is the one without a node.
fn own_node(engine: &mut Engine, _: &Iq<'_, '_>, node: &str) -> Option<Result<Node, StanzaError>> {
    let version = node.strip_prefix(NODE)?.strip_prefix('#')?;
    (version == engine.server_verification()).then(|| {
        Ok(Node {
            info: engine.server_info(),
            items: Vec::new(),
        })
    })
}

/// XEP-0115 §6.1: what a client shows to everybody, and one that shows itself to nobody but some, to them.
fn look(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>) -> Step {
    let is_hidden = engine
        .session(session)
        .is_some_and(|state| state.presence.is_none());
    if (stanza.to.is_none() || is_hidden)
        && stanza.presence_type() == Some(PresenceType::Available)
        && let Some(c) = stanza.xml.root().child(ns::CAPS, "c")
    {
        engine.capabilities_shown(session, &c);
    }
    Step::Continue
}

/// XEP-0115 §6.2: a client's answer, or its refusal.
fn hear(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>) -> Step {
    let query = stanza
        .payload()
        .filter(|payload| !stanza.stanza_type.is_error() && payload.is(ns::DISCO_INFO, "query"));
    let id = stanza.id.as_deref().unwrap_or_default();
    match engine.capabilities_told(session, id, query.as_ref()) {
        true => Step::Done("the client's capabilities"),
        false => Step::Continue,
    }
}
