//! XEP-0060 §5.2 to §5.5: what nodes there are, what they are, and what is published there; for who may read them (XEP-0163 §6.2).

use super::pending;
use crate::engine::Engine;
use crate::engine::disco::{Identity, Info, Item, Node};
use crate::engine::feature::Iq;
use crate::engine::pubsub::Owner;
use crate::engine::pubsub::access::Relation;
use crate::limits;
use crate::xmpp::{Field, Jid, StanzaError, ns, time};

/// §5.2: the nodes.
pub fn nodes(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Vec<Item>, StanzaError> {
    let Some((owner, who)) = asked(engine, iq)? else {
        return Ok(Vec::new());
    };
    let jid = owner.jid.as_str().to_owned();
    Ok(engine
        .nodes_of(&owner)?
        .filter(|node| node.may_subscribe(&who).is_ok())
        .map(|node| Item {
            jid: jid.clone(),
            node: node.name().to_owned(),
            name: node.config().title().to_owned(),
        })
        .collect())
}

/// §5.3, §5.4, §5.5: one node. One that the asker may not have is not there.
pub fn node(engine: &mut Engine, iq: &Iq<'_, '_>, name: &str) -> Option<Result<Node, StanzaError>> {
    pending::disco(engine, iq, name).or_else(|| found(engine, iq, name).transpose())
}

fn found(engine: &mut Engine, iq: &Iq<'_, '_>, name: &str) -> Result<Option<Node>, StanzaError> {
    let Some((owner, who)) = asked(engine, iq)? else {
        return Ok(None);
    };
    let node = engine.node_to_read(&owner, name)?;
    let Some(node) = node.filter(|node| node.may_subscribe(&who).is_ok()) else {
        return Ok(None);
    };
    let subscribers = node
        .people
        .iter()
        .flat_map(|person| &person.subscriptions)
        .filter(|one| !one.pending)
        .count();
    let text = |name: &str, value: String| Field::new(format!("pubsub#{name}"), None).value(value);
    let form = node
        .config()
        .metadata()
        .field(text("creator", node.stored.creator.clone()))
        .field(text("creation_date", time::format(node.stored.created_ms)))
        .field(text("owner", owner.jid.as_str().to_owned()))
        .field(text("num_subscribers", subscribers.to_string()));
    let info = Info {
        identities: vec![Identity {
            category: "pubsub".to_owned(),
            kind: "leaf".to_owned(),
            ..Identity::default()
        }],
        features: vec![ns::PUBSUB.to_owned()],
        forms: vec![form],
    };
    let stored = node.stored.clone();
    let mut items = Vec::new();
    // Only who asks for items wants them read.
    if node.may_read(&who).is_ok() && iq.payload.is_in(ns::DISCO_ITEMS) {
        let mut bytes = 0;
        for item in engine.store.items_from(owner.id, &stored, 0)? {
            let id = item?.1.id;
            bytes += id.len();
            if bytes > limits::ITEMS_ANSWER_BYTES {
                break;
            }
            items.push(Item {
                jid: owner.jid.as_str().to_owned(),
                node: String::new(),
                name: id,
            });
        }
    }
    Ok(Some(Node { info, items }))
}

fn asked(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Option<(Owner, Relation)>, StanzaError> {
    let Some(owner) = engine.account_owner(iq.account)? else {
        return Ok(None);
    };
    let who = engine.relation(&owner, &Jid::from(&iq.stanza.from), true)?;
    Ok(Some((owner, who)))
}
