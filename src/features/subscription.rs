//! RFC 6121 §3: managing presence subscriptions, with pre-approval (§3.4). The states themselves are the engine's, since the roster moves
//! them too. Complete.

use crate::engine::Engine;
use crate::engine::delivery::Delivery;
use crate::engine::feature::{Feature, Step};
use crate::engine::session::SessionId;
use crate::engine::stream::{Stage, Stream};
use crate::limits;
use crate::xml::{Splice, Writer, splice};
use crate::xmpp::{Condition, Jid, Stanza, StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "RFC 6121 §3",
    title: "Managing Presence Subscriptions",
    stream_features: Some(offer),
    presence_out: Some(manage),
    available: Some(remind),
    ..Feature::NONE
};

/// RFC 6121 §3.4: pre-approval is offered where the roster is.
fn offer(_: &Engine, stream: &Stream, out: &mut Writer<'_>) {
    if let Stage::Negotiating(login) = &stream.stage
        && login.account.is_some()
    {
        out.start("sub").attr("xmlns", ns::PRE_APPROVAL).end();
    }
}

/// RFC 6121 §3.1.2 and its likes.
fn manage(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>) -> Step {
    let Some(kind) = stanza.presence_type().filter(|kind| kind.is_subscription()) else {
        return Step::Continue;
    };
    let Some(to) = &stanza.to else {
        // RFC 6121 §3: a subscription needs a contact.
        engine.refuse(session, stanza, Condition::BadRequest.into());
        return Step::Done("a subscription without a contact");
    };
    let Some(name) = engine.session(session).map(|session| session.user.clone()) else {
        return Step::Done("the session is gone");
    };
    // RFC 6121 §3.1.2: bare JIDs on both sides.
    let contact = to.to_bare();
    if contact.as_str() == stanza.from.bare() {
        return Step::Done("one sees oneself without a subscription");
    }
    if to.local().is_none() && engine.is_local(to) {
        return Step::Done("the server has no presence");
    }
    if !engine.is_local(to) && !engine.reaches(to) {
        engine.refuse(session, stanza, Condition::RemoteServerNotFound.into());
        return Step::Done("there is no way to that server");
    }
    if stanza.xml.text().len() > limits::REQUEST_BYTES {
        let error = StanzaError::text(Condition::NotAcceptable, "the request is too long");
        engine.refuse(session, stanza, error);
        return Step::Done("too long to be kept");
    }
    let mut xml = Vec::new();
    splice(
        &mut xml,
        stanza.xml,
        &Splice {
            from: Some(""),
            to: Some(""),
            lang: stanza.lang.as_deref(),
            ..Splice::default()
        },
    );
    let xml = String::from_utf8(xml).expect("a checked stanza is text");
    if let Err(error) = engine.subscription_out(&name, &contact, kind, Some(&xml)) {
        engine.refuse(session, stanza, error);
    }
    Step::Done("the subscription's states moved")
}

/// RFC 6121 §3.1.3: requests that wait for an answer come with every new available resource.
fn remind(engine: &mut Engine, session: SessionId) {
    let Some(user) = engine.user_of(session) else {
        return;
    };
    let id = user.id;
    let waiting: Vec<_> = user
        .contacts
        .iter()
        // XEP-0191 §3.3: who is blocked asks in vain.
        .filter(|contact| contact.pending_in && !user.blocks(&Jid::from(&contact.jid)))
        .map(|contact| contact.jid.clone())
        .collect();
    for contact in waiting {
        match engine.store.roster_item(id, &contact) {
            Ok(Some(item)) => {
                if let Some(xml) = item.pending_in {
                    engine.deliver(session, Delivery::of(contact.as_str()), |out| {
                        out.extend_from_slice(xml.as_bytes())
                    });
                }
            }
            Ok(None) => {}
            Err(error) => log::error!("a subscription request could not be read: {error}"),
        }
    }
}
