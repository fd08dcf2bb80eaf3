//! XEP-0030: Service Discovery. What the server and the accounts are and can comes from the table of features. An account answers
//! only itself and those whom it lets see its presence (§8): to everybody else it is not there.

use crate::engine::Engine;
use crate::engine::disco::{Identity, Info, Item, Node};
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

/// XEP-0030 §4.1 about the server, §4.2 about one of its nodes. Without a node these are its services.
fn server_items(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let node = iq.payload.attr("node");
    let items = match node.as_deref() {
        None => services(engine),
        Some(node) => server_node(engine, iq, node)?,
    };
    Ok(Answer::Payload(items.items_payload(node.as_deref())))
}

/// XEP-0030 §4.1: the hosts below the server's own.
fn services(engine: &Engine) -> Node {
    let item = |(host, name): (&str, &str)| Item {
        jid: host.to_owned(),
        node: String::new(),
        name: name.to_owned(),
    };
    Node {
        info: Info::default(),
        items: engine
            .services()
            .chain(engine.components().map(|host| (host, "")))
            .map(item)
            .collect(),
    }
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
    if let Some(node) = iq.payload.attr("node") {
        let info = account_node(engine, iq, &node)?.info;
        return Ok(Answer::Payload(info.payload(Some(&node))));
    }
    let features = engine.rows_on().flat_map(|row| row.account_features);
    let info = Info {
        identities: [("account", "registered")]
            .iter()
            .chain(engine.rows_on().flat_map(|row| row.account_identities))
            .map(|(category, kind)| Identity {
                category: (*category).to_owned(),
                kind: (*kind).to_owned(),
                ..Identity::default()
            })
            .collect(),
        features: features.map(|feature| (*feature).to_owned()).collect(),
        forms: Vec::new(),
    };
    Ok(Answer::Payload(info.payload(None)))
}

/// XEP-0030 §4.1 about an account, §4.2 about one of its nodes. Its resources are told by presence, not here.
fn account_items(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    engine.check_visible(iq)?;
    if let Some(node) = iq.payload.attr("node") {
        let found = account_node(engine, iq, &node)?;
        return Ok(Answer::Payload(found.items_payload(Some(&node))));
    }
    let mut items = Vec::new();
    for list in engine.features.iter().filter_map(|row| row.account_items) {
        items.extend(list(engine, iq)?);
    }
    let all = Node {
        items,
        ..Node::default()
    };
    Ok(Answer::Payload(all.items_payload(None)))
}

/// What the rows say of a node of an account; XEP-0030 §7: it may be nobody's.
fn account_node(engine: &mut Engine, iq: &Iq<'_, '_>, node: &str) -> Result<Node, StanzaError> {
    for look in engine.features.iter().filter_map(|row| row.account_node) {
        if let Some(found) = look(engine, iq, node) {
            return found;
        }
    }
    Err(Condition::ItemNotFound.into())
}
