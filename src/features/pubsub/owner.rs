//! XEP-0060 §8.8, §8.9: the owner sees and changes who is subscribed to a node, and what others are to it.

use super::Request;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::engine::pubsub::config::{AFFILIATIONS, name_of};
use crate::engine::pubsub::error::unsupported;
use crate::engine::pubsub::people::{State, write_subscription};
use crate::store::NodeAffiliation;
use crate::xml::written;
use crate::xmpp::{Condition, Jid, StanzaError, ns};

/// §8.8.
pub fn subscriptions(
    engine: &mut Engine,
    request: &Request<'_, '_>,
) -> Result<Answer, StanzaError> {
    request.check_owner()?;
    let name = request.node()?;
    let node = engine.node_of(&request.owner, &name)?;
    let node = node.ok_or(Condition::ItemNotFound)?;
    if !request.iq.is_set() {
        // §8.8.1.2: those that wait are not among them.
        let all: Vec<(String, State)> = node
            .people
            .iter()
            .flat_map(|person| person.subscribed())
            .filter(|(_, state)| *state == State::Subscribed)
            .collect();
        return Ok(Answer::Payload(written(|out| {
            out.start("pubsub").attr("xmlns", ns::PUBSUB_OWNER);
            out.start("subscriptions").attr("node", &name);
            for (jid, state) in &all {
                write_subscription(out, None, jid, *state);
            }
            out.end().end();
        })));
    }
    let mut wanted = Vec::new();
    for child in request.what.children() {
        let jid = child.attr("jid").ok_or(Condition::BadRequest)?;
        let jid = Jid::parse(&jid)
            .map_err(|_| Condition::BadRequest)?
            .into_owned();
        // §8.8.2.1: what is not said does not change.
        if let Some(state) = child.attr("subscription") {
            let state = State::named(&state).ok_or(Condition::NotAcceptable)?;
            wanted.push((jid, state));
        }
    }
    for (jid, state) in wanted {
        let node = engine.node_of(&request.owner, &name)?;
        if node.is_some_and(|node| node.subscription(&jid) == state) {
            continue;
        }
        engine.set_subscription(&request.owner, &name, &jid, state)?;
        engine.tell_subscription(&request.owner, &name, &jid, state);
    }
    Ok(Answer::Empty)
}

/// §8.9.
pub fn affiliations(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_owner()?;
    let name = request.node()?;
    let owner = request.owner.jid.as_str();
    let node = engine.node_of(&request.owner, &name)?;
    let node = node.ok_or(Condition::ItemNotFound)?;
    if !request.iq.is_set() {
        let mut all = vec![(owner.to_owned(), NodeAffiliation::Owner)];
        all.extend(
            node.people
                .iter()
                .map(|person| (person.jid.clone(), person.affiliation))
                .filter(|(_, affiliation)| *affiliation != NodeAffiliation::None),
        );
        return Ok(Answer::Payload(written(|out| {
            out.start("pubsub").attr("xmlns", ns::PUBSUB_OWNER);
            out.start("affiliations").attr("node", &name);
            for (jid, affiliation) in &all {
                out.start("affiliation")
                    .attr("jid", jid)
                    .attr("affiliation", name_of(*affiliation))
                    .end();
            }
            out.end().end();
        })));
    }
    let mut wanted: Vec<(String, NodeAffiliation)> = Vec::new();
    for child in request.what.children() {
        let jid = child.attr("jid").ok_or(Condition::BadRequest)?;
        let jid = Jid::parse(&jid).map_err(|_| Condition::BadRequest)?;
        let Some(affiliation) = child.attr("affiliation") else {
            continue;
        };
        // §8.9.2.4: nobody stands there twice.
        if wanted.iter().any(|(known, _)| known == jid.bare()) {
            return Err(Condition::BadRequest.into());
        }
        let found = AFFILIATIONS.iter().find(|(_, name)| *name == affiliation);
        match found {
            Some((found, _)) => wanted.push((jid.bare().to_owned(), *found)),
            None if affiliation == "publish-only" => {
                return Err(unsupported("publish-only-affiliation"));
            }
            None => return Err(Condition::BadRequest.into()),
        }
    }
    // §8.9.2.4: the account stays the owner, and the only one (XEP-0163 §2.2).
    let changes_owner = wanted
        .iter()
        .any(|(jid, affiliation)| (jid == owner) != (*affiliation == NodeAffiliation::Owner));
    if changes_owner {
        return Err(Condition::NotAcceptable.into());
    }
    for (jid, affiliation) in wanted.iter().filter(|(jid, _)| jid != owner) {
        engine.set_affiliation(&request.owner, &name, jid, *affiliation)?;
    }
    Ok(Answer::Empty)
}
