//! XEP-0060 §8.8, §8.9: the owner sees and changes who is subscribed to a node, and what others are to it.

use super::Request;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::engine::pubsub::config::{AFFILIATIONS, name_of};
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
            wanted.push((jid, State::named(&state)));
        }
    }
    let mut undone = Vec::new();
    for (jid, state) in wanted {
        let node = engine.node_of(&request.owner, &name)?;
        let before = node.map_or(State::None, |node| node.subscription(&jid));
        if state == Some(before) {
            continue;
        }
        let done = match state {
            Some(state) => engine.set_subscription(&request.owner, &name, &jid, state),
            None => Err(Condition::NotAcceptable.into()),
        };
        match (done, state) {
            (Ok(()), Some(state)) => {
                engine.tell_subscription(&request.owner, &name, &jid, state);
            }
            _ => undone.push((jid, before)),
        }
    }
    if undone.is_empty() {
        return Ok(Answer::Empty);
    }
    // §8.8.2.4: what was not done, as it is.
    let undone = written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB_OWNER);
        out.start("subscriptions").attr("node", &name);
        for (jid, state) in &undone {
            write_subscription(out, None, jid.as_str(), *state);
        }
        out.end().end();
    });
    Ok(Answer::Partly(undone, Condition::NotAcceptable.into()))
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
        return Ok(Answer::Payload(listed(&name, &all)));
    }
    let mut wanted: Vec<(String, Option<NodeAffiliation>)> = Vec::new();
    for child in request.what.children() {
        let jid = child.attr("jid").ok_or(Condition::BadRequest)?;
        let jid = Jid::parse(&jid).map_err(|_| Condition::BadRequest)?;
        // §8.9.2.1: what is not said does not change.
        let Some(affiliation) = child.attr("affiliation") else {
            continue;
        };
        // §8.9.2.4: nobody stands there twice.
        if wanted.iter().any(|(known, _)| known == jid.bare()) {
            return Err(Condition::BadRequest.into());
        }
        let found = AFFILIATIONS.iter().find(|(_, name)| *name == affiliation);
        wanted.push((jid.bare().to_owned(), found.map(|(found, _)| *found)));
    }
    let mut undone = Vec::new();
    for (jid, affiliation) in wanted {
        let node = engine.node_of(&request.owner, &name)?;
        let before = match node.and_then(|node| node.person(&jid)) {
            _ if jid == owner => NodeAffiliation::Owner,
            Some(person) => person.affiliation,
            None => NodeAffiliation::None,
        };
        let done = match affiliation {
            Some(affiliation) if affiliation == before => Ok(()),
            // The account stays the owner, and the only one (XEP-0163 §2.2).
            Some(NodeAffiliation::Owner) | None => Err(Condition::NotAcceptable.into()),
            Some(_) if before == NodeAffiliation::Owner => Err(Condition::NotAcceptable.into()),
            Some(affiliation) => engine.set_affiliation(&request.owner, &name, &jid, affiliation),
        };
        if done.is_err() {
            undone.push((jid, before));
        }
    }
    match undone.is_empty() {
        true => Ok(Answer::Empty),
        // §8.9.2.4: what was not done, as it is.
        false => Ok(Answer::Partly(
            listed(&name, &undone),
            Condition::NotAcceptable.into(),
        )),
    }
}

fn listed(node: &str, all: &[(String, NodeAffiliation)]) -> String {
    written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB_OWNER);
        out.start("affiliations").attr("node", node);
        for (jid, affiliation) in all {
            out.start("affiliation")
                .attr("jid", jid)
                .attr("affiliation", name_of(*affiliation))
                .end();
        }
        out.end().end();
    })
}
