//! XEP-0160: Best Practices for Handling Offline Messages, with the delay of XEP-0203 and the hints of XEP-0334. Complete.

use crate::engine::Engine;
use crate::engine::content;
use crate::engine::delivery::Delivery;
use crate::engine::feature::{Feature, Incoming, Step};
use crate::engine::route::stamped;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::{StoreError, UserId};
use crate::xml::{Document, Writer, splice};
use crate::xmpp::{Jid, MessageType, ns, time};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0160",
    title: "Best Practices for Handling Offline Messages",
    server_features: &["msgoffline"],
    undelivered: Some(keep),
    messageable: Some(hand_over),
    tick: Some(go_on),
    ..Feature::NONE
};

/// XEP-0160 §3: what is worth keeping waits for the account's next resource.
fn keep(engine: &mut Engine, incoming: &mut Incoming<'_, '_>) -> Step {
    let stanza = incoming.stanza;
    if !matches!(
        stanza.message_type(),
        Some(MessageType::Chat | MessageType::Normal)
    ) {
        return Step::Continue;
    }
    if let Some(why) = is_passing(incoming) {
        return Step::Done(why);
    }
    let mut delay = std::mem::take(&mut incoming.append);
    if !incoming.returned {
        Writer::new(&mut delay)
            .start("delay")
            .attr("xmlns", ns::DELAY)
            .attr("from", &engine.config.domain)
            .attr("stamp", &time::format(engine.now.wall_ms))
            .end();
    }
    let forged = match incoming.returned {
        true => Vec::new(),
        false => engine.forged(stanza),
    };
    let mut xml = Vec::with_capacity(stanza.xml.text().len() + delay.len() + 64);
    splice(&mut xml, stanza.xml, &stamped(stanza, &forged, &delay));
    let xml = String::from_utf8(xml).expect("a checked stanza is text");
    match engine
        .store
        .push_offline(incoming.id, engine.now.wall_ms, &xml)
    {
        Ok(_) => Step::Done("kept until the account is there again"),
        // It is not lost, and its sender must not hear that it is.
        Err(StoreError::QueueFull | StoreError::Full | StoreError::TooLong)
            if incoming.archived =>
        {
            Step::Done("it waits in the archive alone")
        }
        // XEP-0160 §3: the sender hears that nobody will read it.
        Err(StoreError::QueueFull | StoreError::Full | StoreError::TooLong) => Step::Continue,
        Err(error) => {
            log::error!(
                "a message for {} could not be kept: {error}",
                incoming.account
            );
            match incoming.archived {
                true => Step::Done("it waits in the archive alone"),
                false => Step::Continue,
            }
        }
    }
}

/// What nobody misses later: hints against storing (XEP-0334 §4), and messages that say nothing but how somebody types (XEP-0085 §5.6).
fn is_passing(incoming: &Incoming<'_, '_>) -> Option<&'static str> {
    let root = incoming.stanza.xml.root();
    // XEP-0334 §4.4: the wish to be stored is the stronger one.
    if content::hints(root, "store") {
        return None;
    }
    // §4.1 `no-permanent-store` speaks of archives; a queue is none.
    if content::hints(root, "no-store") {
        return Some("it does not want to be kept");
    }
    content::is_typing(root).then_some("a chat state alone is not kept")
}

/// XEP-0160 §2: the first resource that takes messages gets what waits, in order; then it is forgotten: where the client acknowledges what it gets
/// (XEP-0198), not before it has. A part at a time: what would not fit into the way to a slow client stays safe until there is room.
fn hand_over(engine: &mut Engine, session: SessionId) {
    let Some((id, bare)) = engine
        .user_of(session)
        .map(|user| (user.id, user.jid.clone()))
    else {
        return;
    };
    let more = match hand_over_part(engine, session, id) {
        Ok(more) => more,
        Err(error) => {
            log::error!("what waits for {bare} could not be handed over: {error}");
            false
        }
    };
    if let Some(state) = engine.session_mut(session) {
        state.messages_wait = more;
        if !more {
            state.shown = Default::default();
        }
    }
}

/// Whether there was something, so that more may wait behind it.
fn hand_over_part(engine: &mut Engine, session: SessionId, id: UserId) -> Result<bool, StoreError> {
    let Some(name) = engine.session(session).map(|session| session.user.clone()) else {
        return Ok(false);
    };
    // What another resource got and may still acknowledge is its own.
    let in_hand = engine.in_hand(&name);
    let acknowledges = engine.is_managed(session);
    let one_by_one = acknowledges || !in_hand.is_empty();
    let mut after = None;
    loop {
        let part = engine
            .store
            .offline_from(id, after, limits::OFFLINE_PART_BYTES)?;
        let Some((last, _, _)) = part.last() else {
            return Ok(false);
        };
        after = Some(*last);
        let mut some = false;
        for (key, _, xml) in &part {
            if in_hand.binary_search(key).is_ok() {
                continue;
            }
            some = true;
            let mut delivery = Delivery::of_several();
            if is_from_blocked(engine, session, xml) {
                engine.trace(|| "offline: one is from somebody blocked since".to_owned());
            } else if engine.was_shown(session, xml) {
                engine.trace(|| "offline: one was read in the archive".to_owned());
            } else {
                delivery.waiting = acknowledges.then_some(*key);
                engine.deliver(session, delivery, |out| {
                    out.extend_from_slice(xml.as_bytes())
                });
            }
            if one_by_one && delivery.waiting.is_none() {
                engine.store.remove_waiting(id, *key)?;
            }
        }
        if some {
            engine.trace(|| format!("offline: {} messages", part.len()));
            if !one_by_one {
                engine.store.remove_offline(id, *last)?;
            }
            return Ok(true);
        }
    }
}

/// XEP-0191 §3.3: once somebody is blocked, nothing is delivered from there, also not what came before. Most users block nobody, and then no message is
/// parsed.
fn is_from_blocked(engine: &Engine, session: SessionId, xml: &str) -> bool {
    let user = engine.user_of(session);
    let Some(user) = user.filter(|user| !user.blocklist.is_empty()) else {
        return false;
    };
    Document::parse(xml.to_owned()).is_ok_and(|message| {
        let from = message.root().attr("from");
        from.is_some_and(|from| Jid::parse(&from).is_ok_and(|from| user.blocks(&from)))
    })
}

/// Hands over the next part to clients that took the one before.
fn go_on(engine: &mut Engine) {
    let ready: Vec<SessionId> = engine
        .sessions()
        .filter(|session| session.messages_wait)
        .filter(|session| session.conn.is_some())
        .filter(|session| engine.on_its_way(session.id()) < limits::OFFLINE_PART_BYTES)
        .map(|session| session.id())
        .collect();
    for session in ready {
        match engine.is_messageable(session) {
            true => hand_over(engine, session),
            false => {
                if let Some(state) = engine.session_mut(session) {
                    state.messages_wait = false;
                }
            }
        }
    }
}
