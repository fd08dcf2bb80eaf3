//! XEP-0060 §7: publishing and retracting.

use super::Request;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::engine::pubsub::error::refused;
use crate::engine::pubsub::publish::{Publication, Wanted};
use crate::xml::{Element, written};
use crate::xmpp::{Condition, Form, FormType, StanzaError, ns};

/// §7.1.
pub fn publish(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(true)?;
    let node = request.node()?;
    let mut items = request
        .what
        .children()
        .filter(|child| child.is(ns::PUBSUB, "item"));
    let item = items.next();
    // §7.1.1: not more than one since version 1.13; of several, none is published (§12.11).
    if items.next().is_some() {
        return Err(refused(Condition::NotAllowed, "max-items-exceeded"));
    }
    let publication = Publication {
        node: &node,
        item: item.map(|item| wanted(&item)).transpose()?,
        options: options(request)?,
    };
    let id = engine.publish(&request.owner, &request.who, publication)?;
    // §7.1.2: the id, which the publisher need not know.
    Ok(Answer::Payload(written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB);
        out.start("publish").attr("node", &node);
        if let Some(id) = &id {
            out.start("item").attr("id", id).end();
        }
        out.end().end();
    })))
}

fn wanted(item: &Element<'_>) -> Result<Wanted, StanzaError> {
    let mut payloads = item.children();
    let payload = payloads.next();
    // §7.1.3.6.
    if payloads.next().is_some() {
        return Err(refused(Condition::BadRequest, "invalid-payload"));
    }
    let id = item.attr("id").filter(|id| !id.is_empty());
    Ok(Wanted {
        id: id.map(|id| id.into_owned()),
        xml: payload.map_or_else(String::new, |payload| payload.standalone()),
    })
}

/// §7.1.5.
fn options(request: &Request<'_, '_>) -> Result<Option<Form>, StanzaError> {
    let Some(options) = request.beside("publish-options") else {
        return Ok(None);
    };
    let form = Form::of(&options)?.ok_or(Condition::BadRequest)?;
    match form.kind == FormType::Submit && form.type_name() == Some(ns::PUBLISH_OPTIONS) {
        true => Ok(Some(form)),
        false => Err(Condition::BadRequest.into()),
    }
}

/// §7.2.
pub fn retract(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(true)?;
    let node = request.node()?;
    let mut ids = Vec::new();
    for item in request
        .what
        .children()
        .filter(|child| child.is(ns::PUBSUB, "item"))
    {
        ids.extend(item.attr("id").filter(|id| !id.is_empty()));
    }
    // §7.2.3.4; §12.11.
    let id = match &ids[..] {
        [] => return Err(refused(Condition::BadRequest, "item-required")),
        [id] => id,
        _ => return Err(refused(Condition::NotAllowed, "max-items-exceeded")),
    };
    let notify = matches!(request.what.attr("notify").as_deref(), Some("true" | "1"));
    engine.retract(&request.owner, &request.who, &node, id, notify)?;
    Ok(Answer::Empty)
}
