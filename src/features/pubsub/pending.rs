//! XEP-0060 §8.7: a client of the owner asks again for what waits for an answer: an ad-hoc command (XEP-0050) of the account, which names the
//! nodes where somebody waits, and sends the questions of one of them. Nothing is remembered from one step to the next.

use crate::engine::Engine;
use crate::engine::disco::{Identity, Info, Item, Node};
use crate::engine::feature::{Answer, Iq};
use crate::engine::pubsub::{Node as PubsubNode, Owner};
use crate::xml::written;
use crate::xmpp::form::{self, FieldType};
use crate::xmpp::{Condition, Field, Form, FormType, Jid, StanzaError, ns};

/// What the command is called.
const NODE: &str = "http://jabber.org/protocol/pubsub#get-pending";
const NAME: &str = "Who wants to subscribe";

/// One step: without a form, the nodes; with one, the questions of a node.
pub fn command(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let named = iq.payload.attr("node");
    if named.as_deref() != Some(NODE) {
        return Err(Condition::ItemNotFound.into());
    }
    let owner = engine.session_owner(iq.session);
    let owner = owner.ok_or(Condition::ItemNotFound)?;
    let given = iq.payload.attr("sessionid").filter(|id| !id.is_empty());
    let id = match given {
        Some(id) => id.into_owned(),
        None => engine.random.id(),
    };
    if iq.payload.attr("action").as_deref() == Some("cancel") {
        return Ok(answer(&id, "canceled", None));
    }
    let Some(filled) = Form::of(&iq.payload)? else {
        return Ok(answer(&id, "executing", Some(&nodes(engine, &owner)?)));
    };
    let name = filled.value("pubsub#node").unwrap_or_default();
    let node = engine.node_of(&owner, name)?;
    let waiting = node.ok_or(Condition::ItemNotFound)?.pending();
    for jid in waiting.iter().filter_map(|jid| Jid::parse(jid).ok()) {
        engine.ask_owner(&owner, name, &jid)?;
    }
    Ok(answer(&id, "completed", None))
}

/// XEP-0050 §2.2: what commands an account has, and this one, for its owner.
pub fn disco(
    engine: &mut Engine,
    iq: &Iq<'_, '_>,
    node: &str,
) -> Option<Result<Node, StanzaError>> {
    let owner = engine.session_owner(iq.session)?;
    if (node != ns::COMMANDS && node != NODE) || iq.account != owner.name() {
        return None;
    }
    let is_list = node == ns::COMMANDS;
    let (kind, name) = match is_list {
        true => ("command-list", "Commands"),
        false => ("command-node", NAME),
    };
    let mut features = vec![ns::COMMANDS.to_owned()];
    let mut items = Vec::new();
    match is_list {
        true => items.push(Item {
            jid: owner.jid.as_str().to_owned(),
            node: NODE.to_owned(),
            name: NAME.to_owned(),
        }),
        false => features.push(form::NS.to_owned()),
    }
    let info = Info {
        identities: vec![Identity {
            category: "automation".to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
            ..Identity::default()
        }],
        features,
        forms: Vec::new(),
    };
    Some(Ok(Node { info, items }))
}

fn nodes(engine: &mut Engine, owner: &Owner) -> Result<Form, StanzaError> {
    let waiting = |node: &&PubsubNode| !node.pending().is_empty();
    let mut field = Field::new("pubsub#node", Some(FieldType::ListSingle)).label("Node");
    for node in engine.nodes_of(owner)?.filter(waiting) {
        field = field.option(node.config().title(), node.name());
    }
    Ok(Form::new(FormType::Form)
        .title(NAME)
        .form_type(ns::SUBSCRIBE_AUTHORIZATION)
        .field(field))
}

fn answer(id: &str, status: &str, form: Option<&Form>) -> Answer {
    Answer::Payload(written(|out| {
        out.start("command")
            .attr("xmlns", ns::COMMANDS)
            .attr("node", NODE)
            .attr("sessionid", id)
            .attr("status", status);
        if let Some(form) = form {
            out.start("actions").attr("execute", "complete");
            out.start("complete").end();
            out.end();
            form.write(out);
        }
        out.end();
    }))
}
