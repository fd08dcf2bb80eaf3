//! XEP-0030: Service Discovery. What the server and the accounts are and can comes from the table of features. An account answers
//! only itself and those whom it lets see its presence (§8): to everybody else it is not there.

use crate::engine::Engine;
use crate::engine::disco::{Identity, Info, Node};
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::xmpp::{Condition, StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0030",
    title: "Service Discovery",
    server_features: &[ns::DISCO_INFO, ns::DISCO_ITEMS],
    account_features: &[ns::DISCO_INFO, ns::DISCO_ITEMS],
    iq: &[
        IqRoute {
            ns: ns::DISCO_INFO,
            name: "query",
            at: At::Server,
            takes: Takes::Get,
            handle: server_info,
        },
        IqRoute {
            ns: ns::DISCO_ITEMS,
            name: "query",
            at: At::Server,
            takes: Takes::Get,
            handle: server_items,
        },
        IqRoute {
            ns: ns::DISCO_INFO,
            name: "query",
            at: At::AnyAccount,
            takes: Takes::Get,
            handle: account_info,
        },
        IqRoute {
            ns: ns::DISCO_ITEMS,
            name: "query",
            at: At::AnyAccount,
            takes: Takes::Get,
            handle: account_items,
        },
    ],
    ..Feature::NONE
};

/// What the rows' forms add to the server's answer.
pub const EXTENSIONS: Feature = Feature {
    spec: "XEP-0128",
    title: "Service Discovery Extensions",
    ..Feature::NONE
};

/// XEP-0030 §3.1 about the server, §3.2 about one of its nodes.
fn server_info(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let node = iq.payload.attr("node");
    let info = match node.as_deref() {
        None => engine.server_info(),
        Some(node) => server_node(engine, iq, node)?.info,
    };
    Ok(Answer::Payload(info.payload(node.as_deref())))
}

/// XEP-0030 §4.1 about the server, §4.2 about one of its nodes. Without a node there is nothing below.
fn server_items(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let node = iq.payload.attr("node");
    let items = match node.as_deref() {
        None => Node::default(),
        Some(node) => server_node(engine, iq, node)?,
    };
    Ok(Answer::Payload(items.items_payload(node.as_deref())))
}

/// What the rows say of a node of the server; XEP-0030 §7: it may be nobody's.
fn server_node(engine: &mut Engine, iq: &Iq<'_, '_>, node: &str) -> Result<Node, StanzaError> {
    for look in engine.features.iter().filter_map(|row| row.disco_node) {
        if let Some(found) = look(engine, iq, node) {
            return found;
        }
    }
    Err(Condition::ItemNotFound.into())
}

/// XEP-0030 §3.1 about an account (§8: only to those who may see its presence).
fn account_info(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    engine.check_visible(iq)?;
    no_node(iq)?;
    let features = engine.rows_on().flat_map(|row| row.account_features);
    let info = Info {
        identities: vec![Identity {
            category: "account".to_owned(),
            kind: "registered".to_owned(),
            ..Identity::default()
        }],
        features: features.map(|feature| (*feature).to_owned()).collect(),
        forms: Vec::new(),
    };
    Ok(Answer::Payload(info.payload(None)))
}

/// XEP-0030 §4.1 about an account. Its resources are told by presence, not here.
fn account_items(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    engine.check_visible(iq)?;
    no_node(iq)?;
    Ok(Answer::Payload(Node::default().items_payload(None)))
}

/// XEP-0030 §7: accounts have no nodes.
fn no_node(iq: &Iq<'_, '_>) -> Result<(), StanzaError> {
    match iq.payload.attr("node") {
        None => Ok(()),
        Some(_) => Err(Condition::ItemNotFound.into()),
    }
}
