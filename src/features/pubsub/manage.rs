//! XEP-0060 §8.1 to §8.5: the owner makes, configures, empties and deletes nodes.

use super::Request;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::engine::pubsub::config::Config;
use crate::engine::pubsub::error::refused;
use crate::engine::pubsub::settings::{Settings, changed};
use crate::xml::{Element, written};
use crate::xmpp::{Condition, Form, FormType, StanzaError, ns};

/// §8.1.
pub fn create(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(true)?;
    request.check_owner()?;
    let settings = match request.beside("configure") {
        // §8.1.3.
        Some(configure) if configure.attr("node").is_some() => {
            return Err(Condition::BadRequest.into());
        }
        Some(configure) => match submitted(&configure)? {
            Some(form) => changed(&[], &form, false)?,
            None => Settings::new(),
        },
        None => Settings::new(),
    };
    let given = request.what.attr("node").filter(|node| !node.is_empty());
    // §8.1.1: an instant node.
    let name = match &given {
        Some(name) => name.to_string(),
        None => engine.random.id(),
    };
    engine.create_node(&request.owner, &name, &request.who.bare, settings)?;
    if given.is_some() {
        return Ok(Answer::Empty);
    }
    Ok(Answer::Payload(written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB);
        out.start("create").attr("node", &name).end();
        out.end();
    })))
}

/// §8.2.
pub fn configure(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_owner()?;
    let name = request.node()?;
    let node = engine.node_of(&request.owner, &name)?;
    let node = node.ok_or(Condition::ItemNotFound)?;
    if !request.iq.is_set() {
        let form = node.config().form(FormType::Form);
        return Ok(Answer::Payload(written(|out| {
            out.start("pubsub").attr("xmlns", ns::PUBSUB_OWNER);
            out.start("configure").attr("node", &name);
            form.write(out);
            out.end().end();
        })));
    }
    let form = Form::of(&request.what)?.ok_or(Condition::BadRequest)?;
    // §8.2.4: who gives it up changes nothing.
    if form.kind == FormType::Cancel {
        return Ok(Answer::Empty);
    }
    let form = submitted(&request.what)?.ok_or(Condition::BadRequest)?;
    engine.configure_node(&request.owner, &name, &form)?;
    Ok(Answer::Empty)
}

/// §8.3.
pub fn default(_: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(false)?;
    let form = Config(&[]).form(FormType::Form);
    Ok(Answer::Payload(written(|out| {
        out.start("pubsub").attr("xmlns", ns::PUBSUB_OWNER);
        out.start("default");
        form.write(out);
        out.end().end();
    })))
}

/// §8.4.
pub fn delete(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(true)?;
    request.check_owner()?;
    let name = request.node()?;
    let redirect = request.what.child(ns::PUBSUB_OWNER, "redirect");
    let uri = redirect.and_then(|redirect| redirect.attr("uri"));
    engine.delete_node(&request.owner, &name, uri.as_deref())?;
    Ok(Answer::Empty)
}

/// §8.5.
pub fn purge(engine: &mut Engine, request: &Request<'_, '_>) -> Result<Answer, StanzaError> {
    request.check_type(true)?;
    request.check_owner()?;
    let name = request.node()?;
    engine.purge_node(&request.owner, &name)?;
    Ok(Answer::Empty)
}

/// The form of a configuration, filled in.
fn submitted(parent: &Element<'_>) -> Result<Option<Form>, StanzaError> {
    let Some(form) = Form::of(parent)? else {
        return Ok(None);
    };
    match form.is_submitted(ns::NODE_CONFIG) {
        true => Ok(Some(form)),
        false => Err(refused(Condition::BadRequest, "invalid-options")),
    }
}
