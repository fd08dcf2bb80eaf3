//! RFC 6121 §4: exchanging presence: initial, subsequent, unavailable, directed, and probes. Complete.

use crate::engine::Engine;
use crate::engine::delivery::{Change, Delivery};
use crate::engine::feature::{Feature, Step};
use crate::engine::session::{Presence, SessionId, unavailable, write_presence_to};
use crate::limits;
use crate::xmpp::{Condition, Jid, PresenceType, Stanza, StanzaError, ns};
use std::rc::Rc;

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "RFC 6121 §4",
    title: "Exchanging Presence Information",
    presence_out: Some(publish),
    ended: Some(leave),
    ..Feature::NONE
};

/// Takes every presence that is not about subscriptions.
fn publish(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>) -> Step {
    let Some(presence_type) = stanza.presence_type() else {
        return Step::Continue;
    };
    // §4.6.1: with a `to` it is directed, also to oneself.
    let outcome = match presence_type {
        PresenceType::Available if stanza.to.is_none() => available(engine, session, stanza),
        PresenceType::Unavailable if stanza.to.is_none() => {
            let xml = engine.shown_presence(session, stanza);
            unavailable_now(engine, session, xml);
            Ok("unavailable")
        }
        PresenceType::Probe => probe(engine, session, stanza),
        _ => directed(engine, session, stanza),
    };
    match outcome {
        Ok(why) => Step::Done(why),
        Err(error) => {
            engine.refuse(session, stanza, error);
            Step::Done("refused")
        }
    }
}

/// RFC 6121 §4.2, §4.4: the resource says that it is there, or how.
fn available(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
) -> Result<&'static str, StanzaError> {
    let priority = priority(stanza)?;
    let xml = engine.shown_presence(session, stanza);
    let Some(state) = engine.session_mut(session) else {
        return Ok("the session is gone");
    };
    // Who was shown it by directed presence already does not see it come.
    let shown = !state.directed.is_empty();
    let before = state.presence.replace(Presence { priority, xml });
    let Some(presence) = state.presence.clone() else {
        return Ok("the session is gone");
    };
    let change = match before.is_none() && !shown {
        true => Change::Comes,
        false => Change::Stays,
    };
    engine.broadcast_presence(session, &presence.xml, change);
    if before.is_none() {
        ask_around(engine, session);
        engine.tell(|row| row.available, |engine, hook| hook(engine, session));
    }
    // RFC 6121 §8.5.2.1.1: from now on it takes messages.
    if priority >= 0 && before.as_ref().is_none_or(|before| before.priority < 0) {
        engine.tell(|row| row.messageable, |engine, hook| hook(engine, session));
    }
    Ok(match before {
        None => "initial presence",
        Some(_) => "subsequent presence",
    })
}

/// RFC 6121 §4.7.2.3: −128 to 127, zero when it is not said.
fn priority(stanza: &Stanza<'_>) -> Result<i8, StanzaError> {
    match stanza.xml.root().child(ns::CLIENT, "priority") {
        None => Ok(0),
        Some(priority) => {
            let text = priority.text();
            match text.trim() {
                "" => Ok(0),
                number => number.parse().map_err(|_| Condition::BadRequest.into()),
            }
        }
    }
}

/// RFC 6121 §4.3.1: the newly available resource learns who is there. Contacts on this server are asked in memory, without a probe: those who
/// are offline cost nothing, and nothing is what is heard of them (§4.3.2 leaves the `unavailable` of the absent to the server).
fn ask_around(engine: &mut Engine, session: SessionId) {
    let Some(user) = engine.user_of(session) else {
        return;
    };
    let bare = user.jid.clone();
    let shown: Vec<SessionId> = engine
        .seen_by(user)
        .into_iter()
        .flat_map(|there| &there.sessions)
        .copied()
        .filter(|there| *there != session && !engine.are_apart(session, *there))
        .collect();
    for there in shown {
        show_session(engine, session, there, bare.as_str());
    }
    engine.probe_beyond(session);
}

fn show_session(engine: &mut Engine, to: SessionId, there: SessionId, address: &str) {
    let Some((presence, jid)) = engine
        .session(there)
        .and_then(|there| Some((there.presence.clone()?, there.jid.clone())))
    else {
        return;
    };
    let delivery = Delivery::of(jid.bare()).presence(jid.as_str(), Change::Stays);
    engine.deliver(to, delivery, |out| presence.write_to(address, out));
}

/// RFC 6121 §4.3.2: how somebody is, for who may know. Who may not know gets the same answer whether the account exists or not: none.
fn probe(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
) -> Result<&'static str, StanzaError> {
    let Some(to) = &stanza.to else {
        return Err(Condition::BadRequest.into());
    };
    if !engine.is_local(to) {
        engine.forward_beyond(stanza)?;
        return Ok("probed beyond");
    }
    let Some(name) = to.local() else {
        return Ok("nobody's presence");
    };
    let allowed = engine.is_visible_to(name, stanza.from.bare())?;
    if !allowed {
        return Ok("not allowed to see this presence");
    }
    // XEP-0191 §3.3: who is blocked gets no answer, not even that of an account that is away.
    if engine.blocks(name, &Jid::from(&stanza.from))? {
        return Ok("blocked");
    }
    let sessions = reached(engine, session, to);
    let address = stanza.from.as_str();
    for there in &sessions {
        show_session(engine, session, *there, address);
    }
    let reached = sessions.iter().any(|there| {
        engine
            .session(*there)
            .is_some_and(|there| there.presence.is_some())
    });
    if !reached {
        // §4.3.2: gone, from the address that was asked.
        let mut xml = String::new();
        crate::xml::Writer::new(&mut xml)
            .start("presence")
            .attr("from", to.as_str())
            .attr("type", "unavailable")
            .end();
        engine.deliver(session, Delivery::of(to.bare()), |out| {
            write_presence_to(&xml, address, out)
        });
    }
    Ok("probed")
}

/// RFC 6121 §4.6: presence for one address, outside of subscriptions.
fn directed(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
) -> Result<&'static str, StanzaError> {
    let Some(to) = &stanza.to else {
        return Ok("an error for nobody");
    };
    if !engine.is_local(to) {
        engine.forward_beyond(stanza)?;
        remember(engine, session, stanza, to)?;
        return Ok("directed presence, beyond");
    }
    if to.local().is_none() {
        return Ok("the server takes no presence");
    }
    let is_new = remember(engine, session, stanza, to)?;
    // RFC 6121 §8.5.2.1.2: an error is for one resource or for nobody.
    let nobody = to.is_bare() && stanza.presence_type() == Some(PresenceType::Error);
    let sessions = if nobody {
        Vec::new()
    } else {
        reached(engine, session, to)
    };
    let reached = !sessions.is_empty();
    if reached {
        // XEP-0398 §4: also into directed presence.
        let stamp = engine.stamp(session, stanza.xml.root());
        for there in sessions {
            engine.forward_without(there, stanza, &stamp.without, &stamp.append);
        }
    }
    if is_new {
        engine.tell(|row| row.directed, |engine, hook| hook(engine, session, to));
    }
    Ok(match reached {
        true => "directed presence",
        false => "directed presence to nobody",
    })
}

/// RFC 6121 §8.5.3.1: exactly this resource, available or not; §8.5.2.1.2: all that are available; §8.5.3.2.2: else nobody. None where one blocks the
/// other (XEP-0191 §3.3), so that everything else goes on as for somebody who is away.
fn reached(engine: &Engine, session: SessionId, to: &Jid<'_>) -> Vec<SessionId> {
    let name = to.local().unwrap_or_default();
    let mut sessions = match to.resource() {
        Some(resource) => engine.session_at(name, resource).into_iter().collect(),
        None => engine.available_of(name),
    };
    sessions.retain(|there| !engine.are_apart(session, *there));
    sessions
}

/// RFC 6121 §4.6.3: who got directed presence must hear that it is over. Whether it got none before.
fn remember(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
    to: &Jid<'_>,
) -> Result<bool, StanzaError> {
    // A resource that is only connected hears no broadcast: what is said to one is always remembered.
    let broadcast = to.is_bare() && hears_broadcasts(engine, session, to);
    let Some(state) = engine.session_mut(session) else {
        return Ok(false);
    };
    let place = state
        .directed
        .iter()
        .position(|known| **known == *to.as_str());
    match (stanza.presence_type(), place) {
        (Some(PresenceType::Available), None) if !broadcast => {
            if state.directed.len() >= limits::DIRECTED {
                return Err(StanzaError::text(
                    Condition::ResourceConstraint,
                    "directed presence was sent to too many addresses",
                ));
            }
            state.directed.push(to.as_str().into());
            return Ok(true);
        }
        (Some(PresenceType::Unavailable), Some(place)) => {
            state.directed.swap_remove(place);
        }
        _ => {}
    }
    Ok(false)
}

/// Whether an address learns from broadcasts how this session is: it is available, and the other may see it (RFC 6121 §4.6.3).
fn hears_broadcasts(engine: &Engine, session: SessionId, to: &Jid<'_>) -> bool {
    let available = engine
        .session(session)
        .is_some_and(|session| session.presence.is_some());
    available
        && engine
            .user_of(session)
            .is_some_and(|user| to.bare() == user.jid.as_str() || engine.lets_see(user, to.bare()))
}

/// RFC 6121 §4.5: the resource says that it goes.
fn unavailable_now(engine: &mut Engine, session: SessionId, xml: Rc<str>) {
    let Some(state) = engine.session_mut(session) else {
        return;
    };
    let directed = std::mem::take(&mut state.directed);
    if state.presence.is_some() {
        engine.broadcast_presence(session, &xml, Change::Goes);
    }
    for address in directed {
        tell_gone(engine, session, &address, &xml);
    }
    if let Some(state) = engine.session_mut(session) {
        state.presence = None;
    }
}

/// RFC 6121 §4.6.3: also to those who only ever got directed presence, and not again to those who heard it already.
fn tell_gone(engine: &mut Engine, session: SessionId, address: &str, xml: &str) {
    let Ok(to) = Jid::parse(address) else { return };
    let heard = hears_broadcasts(engine, session, &to);
    if !engine.is_local(&to) {
        if !heard {
            engine.show_beyond(&to, xml);
        }
        return;
    }
    let Some(of) = engine.session(session).map(|session| session.jid.clone()) else {
        return;
    };
    for there in reached(engine, session, &to) {
        let available = engine
            .session(there)
            .is_some_and(|there| there.presence.is_some());
        if heard && available {
            continue;
        }
        let delivery = Delivery::of(of.bare()).presence(of.as_str(), Change::Goes);
        engine.deliver(there, delivery, |out| write_presence_to(xml, address, out));
    }
}

/// RFC 6121 §4.5.2: a session that ends without a word was available until now.
fn leave(engine: &mut Engine, session: SessionId) {
    let Some(jid) = engine.session(session).map(|session| session.jid.clone()) else {
        return;
    };
    unavailable_now(engine, session, unavailable(&jid));
}
