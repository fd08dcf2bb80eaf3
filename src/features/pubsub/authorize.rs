//! XEP-0060 §8.6: the owner's answer to the question whether somebody may subscribe: a form in a message to the account itself.

use crate::engine::Engine;
use crate::engine::feature::{Outgoing, Step};
use crate::engine::session::SessionId;
use crate::xmpp::{Form, FormType, Jid, StanzaError, form, ns};

/// A message that leaves; one that is such an answer goes no further.
pub fn answered(engine: &mut Engine, outgoing: &mut Outgoing<'_, '_>) -> Step {
    let (session, stanza) = (outgoing.session, outgoing.stanza);
    let to_oneself = stanza
        .to
        .as_ref()
        .is_none_or(|to| to.as_str() == stanza.from.bare());
    if !to_oneself || stanza.stanza_type.is_error() {
        return Step::Continue;
    }
    let Some(x) = stanza.xml.root().child(form::NS, "x") else {
        return Step::Continue;
    };
    let form = match Form::read(&x) {
        Ok(form) if form.type_name() == Some(ns::SUBSCRIBE_AUTHORIZATION) => form,
        _ => return Step::Continue,
    };
    // Cancelled: it goes on waiting.
    if form.kind != FormType::Submit {
        return Step::Done("a subscription stays undecided");
    }
    if let Err(error) = decide(engine, session, &form) {
        engine.refuse(session, stanza, error);
    }
    Step::Done("a subscription is decided")
}

fn decide(engine: &mut Engine, session: SessionId, form: &Form) -> Result<(), StanzaError> {
    let (Some(owner), Some(node)) = (
        engine.session_owner(session),
        form.value("pubsub#node").map(str::to_owned),
    ) else {
        return Ok(());
    };
    let subscriber = form.value("pubsub#subscriber_jid").unwrap_or_default();
    if let Ok(jid) = Jid::parse(subscriber) {
        let allow = form.flag("pubsub#allow");
        engine.answer_subscription(&owner, &node, &jid, allow)?;
    }
    Ok(())
}
