//! XEP-0357: Push Notifications. A device that is not there is told through an app server that something waits for it.
//!
//! | file | what it is |
//! |---|---|
//! | this one | the row; enabling and disabling (§5, §6), also by the app server (§8) |
//! | `targets.rs` | what accounts have enabled, in memory, and what was not told yet |
//! | `notify.rs` | what is worth a notification, when it goes, and what its answer means (§7) |
//!
//! A device is not there while its session has no connection: it may have none, or one that waits for its client (XEP-0198). Which device is behind a node
//! is the one that enabled it, by its resource. How an app server is reached is the engine's (`engine/beyond.rs`). Its content: `push.contents`.

mod notify;
mod targets;

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Incoming, Iq, IqRoute, Step, Takes};
use crate::limits;
use crate::store::PushTarget;
use crate::xmpp::{Condition, Form, Jid, StanzaError, form, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0357",
    title: "Push Notifications",
    account_features: &[ns::PUSH],
    iq: &[
        IqRoute {
            ns: ns::PUSH,
            name: "enable",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: enable,
        },
        IqRoute {
            ns: ns::PUSH,
            name: "disable",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: disable,
        },
    ],
    message_in: Some(withdrawn),
    message_delivered: Some(notify::delivered),
    missed: Some(notify::note),
    lost: Some(notify::lost),
    bound: Some(notify::is_back),
    resumed: Some(notify::is_back),
    tick: Some(notify::go_on),
    reopened: Some(targets::read_again),
    account_deleted: Some(targets::forget_account),
    password_changed: Some(targets::password_changed),
    ..Feature::NONE
};

/// §5: from now on what happens is told to this node, also in place of what was said of it before.
fn enable(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let jid = app_server(iq)?;
    if engine.is_local(&jid) || engine.service_at(&jid).is_some() {
        let text = "an app server is a component, or on another server";
        return Err(StanzaError::text(Condition::NotAcceptable, text));
    }
    // Better that the client hears it now than that it waits for what never comes.
    if !engine.reaches(&jid) {
        return Err(Condition::RemoteServerNotFound.into());
    }
    let node = iq.payload.attr("node").unwrap_or_default().into_owned();
    let options = match (Form::of(&iq.payload)?, iq.payload.child(form::NS, "x")) {
        (Some(form), Some(x)) if form.is_submitted(ns::PUBLISH_OPTIONS) => x.standalone(),
        (None, _) => String::new(),
        _ => {
            let text = "that form has no publish options";
            return Err(StanzaError::text(Condition::BadRequest, text));
        }
    };
    if node.len() > limits::NODE_TEXT_BYTES || options.len() > limits::PUSH_TEXT_BYTES {
        let text = "that is too long to be kept";
        return Err(StanzaError::text(Condition::NotAcceptable, text));
    }
    let (Some(user), Some(session)) = (engine.user_of(iq.session), engine.session(iq.session))
    else {
        return Err(Condition::ItemNotFound.into());
    };
    let (id, who) = (user.id, session.jid.clone());
    let target = PushTarget {
        account: iq.account.to_owned(),
        resource: who.resource().to_owned(),
        jid: jid.as_str().to_owned(),
        node,
        options,
        since_ms: engine.now.wall_ms,
    };
    let known = targets::all(engine).of(iq.account);
    let is_new = !known.iter().any(|one| one.is_at(&target.jid, &target.node));
    if is_new && known.len() >= limits::PUSH_PER_ACCOUNT {
        let text = "too many app servers are enabled for this account";
        return Err(StanzaError::text(Condition::ResourceConstraint, text));
    }
    engine.store.put_push_target(id, &target)?;
    log::info!("{who} wants to be woken by {jid}");
    targets::put(engine, id, target);
    Ok(Answer::Empty)
}

/// §6: one node, or all of an app server. What was not enabled is disabled already.
fn disable(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let jid = app_server(iq)?;
    let node = iq.payload.attr("node");
    targets::remove(engine, iq.account, jid.as_str(), node.as_deref())?;
    Ok(Answer::Empty)
}

/// §5, §6: both need a JID.
fn app_server(iq: &Iq<'_, '_>) -> Result<Jid<'static>, StanzaError> {
    let jid = iq.payload.attr("jid").ok_or(Condition::BadRequest)?;
    match Jid::parse(&jid) {
        Ok(jid) => Ok(jid.into_owned()),
        Err(_) => Err(Condition::JidMalformed.into()),
    }
}

/// §8: an app server takes from an account what it may publish at a node.
fn withdrawn(engine: &mut Engine, incoming: &mut Incoming<'_, '_>) -> Step {
    let (stanza, account) = (incoming.stanza, incoming.account);
    let from = stanza.from.as_str();
    if !targets::all(engine)
        .of(account)
        .iter()
        .any(|one| one.kept.jid == from)
    {
        return Step::Continue;
    }
    let Some(pubsub) = stanza.xml.root().child(ns::PUBSUB, "pubsub") else {
        return Step::Continue;
    };
    let own = engine.bare_jid(account);
    let is_over = pubsub.children().any(|child| {
        child.is(ns::PUBSUB, "affiliation")
            && child.attr("affiliation").as_deref() == Some("none")
            && child
                .attr("jid")
                .is_some_and(|jid| Jid::parse(&jid).is_ok_and(|jid| jid.as_str() == own.as_str()))
    });
    if let Some(node) = pubsub.attr("node").filter(|_| is_over) {
        log::info!("{from} does not wake {account} any more");
        if let Err(error) = targets::remove(engine, account, from, Some(&node)) {
            log::error!(
                "a node for push could not be removed: {:?}",
                error.condition
            );
        }
    }
    Step::Continue
}
