//! XEP-0060 §5.6, §5.7, §6.1, §6.2: what somebody does about its own subscriptions, and what it is to the nodes.

use super::Request;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::engine::pubsub::config::name_of;
use crate::engine::pubsub::error::{refused, unsupported};
use crate::engine::pubsub::people::{State, write_subscription};
use crate::store::NodeAffiliation;
use crate::xml::written;
use crate::xmpp::{Condition, Jid, StanzaError, ns};

/// §6.1.
pub fn subscribe(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(true)?;
    let node = request.node()?;
    if request.beside("options").is_some() {
        return Err(unsupported("subscription-options"));
    }
    // §6.1.3.1: only an address of one's own.
    let invalid = || refused(Condition::BadRequest, "invalid-jid");
    let jid = request.what.attr("jid").ok_or_else(invalid)?;
    let jid = Jid::parse(&jid).map_err(|_| invalid())?;
    if jid.bare() != request.who.bare {
        return Err(invalid());
    }
    let state = engine.subscribe(&request.owner, &node, &request.who, &jid)?;
    Ok(Answer::Payload(written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB);
        write_subscription(out, Some(&node), jid.as_str(), state);
        out.end();
    })))
}

/// §6.2.
pub fn unsubscribe(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(true)?;
    let node = request.node()?;
    let jid = request.what.attr("jid").ok_or(Condition::BadRequest)?;
    let jid = Jid::parse(&jid).map_err(|_| Condition::BadRequest)?;
    // §6.2.3.3.
    if jid.bare() != request.who.bare {
        return Err(Condition::Forbidden.into());
    }
    engine.unsubscribe(&request.owner, &node, &jid)?;
    Ok(Answer::Empty)
}

/// §5.6.
pub fn subscriptions(
    engine: &mut Engine,
    request: &Request<'_, '_>,
) -> Result<Answer, StanzaError> {
    request.check_type(false)?;
    let node = request.what.attr("node");
    let mut mine: Vec<(String, String, State)> = Vec::new();
    for found in engine.nodes_of(&request.owner)? {
        if node.as_ref().is_none_or(|node| *node == found.name())
            && let Some(person) = found.person(&request.who.bare)
        {
            let all = person.subscribed();
            mine.extend(all.map(|(jid, state)| (found.name().to_owned(), jid, state)));
        }
    }
    Ok(Answer::Payload(written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB);
        out.start("subscriptions").attr_opt("node", node.as_deref());
        for (node, jid, state) in &mine {
            write_subscription(out, Some(node), jid, *state);
        }
        out.end().end();
    })))
}

/// §5.7.
pub fn affiliations(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(false)?;
    let node = request.what.attr("node");
    let mine: Vec<(String, NodeAffiliation)> = engine
        .nodes_of(&request.owner)?
        .filter(|found| node.as_ref().is_none_or(|node| *node == found.name()))
        .map(|found| (found.name().to_owned(), found.affiliation(&request.who)))
        .filter(|(_, affiliation)| *affiliation != NodeAffiliation::None)
        .collect();
    Ok(Answer::Payload(written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB);
        out.start("affiliations").attr_opt("node", node.as_deref());
        for (node, affiliation) in &mine {
            out.start("affiliation")
                .attr("node", node)
                .attr("affiliation", name_of(*affiliation))
                .end();
        }
        out.end().end();
    })))
}
