//! XEP-0191: Blocking Command. Blocking is polite (§4): subscriptions stay as they are, and nobody is told. Complete.
//!
//! Where the sender's user blocks the addressee, or the addressee the sender, the gate stops messages and requests. Presence goes on to where it would be
//! delivered and is dropped there: who is blocked must not see by its own contact list or limits that it is.

use crate::engine::Engine;
use crate::engine::delivery::{Change, Delivery};
use crate::engine::feature::{Answer, At, Feature, Gate, Iq, IqRoute, Takes};
use crate::engine::session::{SessionId, unavailable, write_presence_to};
use crate::limits;
use crate::xml::{Element, written};
use crate::xmpp::{Condition, ErrorType, FullJid, IqType, Jid, Kind, Stanza, StanzaError, ns};
use std::collections::BTreeMap;

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0191",
    title: "Blocking Command",
    server_features: &[ns::BLOCKING],
    iq: &[
        IqRoute {
            ns: ns::BLOCKING,
            name: "blocklist",
            at: At::OwnAccount,
            takes: Takes::Get,
            handle: list,
        },
        IqRoute {
            ns: ns::BLOCKING,
            name: "block",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: block,
        },
        IqRoute {
            ns: ns::BLOCKING,
            name: "unblock",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: unblock,
        },
    ],
    gate: Some(gate),
    ..Feature::NONE
};

/// XEP-0191 §3.3: what passes between two people of whom one blocks the other.
fn gate(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>) -> Gate {
    let Some(to) = &stanza.to else {
        return Gate::Pass;
    };
    if engine.user_of(session).is_some_and(|user| user.blocks(to)) {
        return Gate::Refuse(is_blocked());
    }
    if stanza.kind == Kind::Presence {
        return Gate::Pass;
    }
    let Some(name) = to.local().filter(|_| engine.is_local(to)) else {
        return Gate::Pass;
    };
    match engine.blocks(name, &Jid::from(&stanza.from)) {
        Ok(false) => Gate::Pass,
        Ok(true) if stanza.stanza_type.is_error() || stanza.iq_type() == Some(IqType::Result) => {
            Gate::Drop("its recipient blocks its sender")
        }
        // As from an account that does not exist.
        Ok(true) => Gate::Refuse(Condition::ServiceUnavailable.into()),
        Err(error) => Gate::Refuse(error.into()),
    }
}

/// XEP-0191 §3.3: what the user hears who writes to somebody blocked.
fn is_blocked() -> StanzaError {
    StanzaError::from(Condition::NotAcceptable)
        .kind(ErrorType::Cancel)
        .app("<blocked xmlns='urn:xmpp:blocking:errors'/>")
}

/// XEP-0191 §3.2: the list, and from now on its changes.
fn list(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    if let Some(session) = engine.session_mut(iq.session) {
        session.knows_blocklist = true;
    }
    let Some(user) = engine.user_of(iq.session) else {
        return Err(Condition::ItemNotFound.into());
    };
    Ok(Answer::Payload(written(|out| {
        out.start("blocklist").attr("xmlns", ns::BLOCKING);
        for jid in user.blocklist.iter() {
            out.start("item").attr("jid", jid.as_str()).end();
        }
        out.end();
    })))
}

/// XEP-0191 §3.3: blocks JIDs, all of them or none.
fn block(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let items = items(iq)?;
    if items.is_empty() {
        return Err(Condition::BadRequest.into());
    }
    let Some(user) = engine.user_of(iq.session) else {
        return Err(Condition::ItemNotFound.into());
    };
    let (id, own) = (user.id, user.jid.clone());
    // §5: never one's own resources.
    if items.values().any(|(jid, _)| jid.bare() == own.as_str()) {
        return Err(StanzaError::text(
            Condition::NotAllowed,
            "nobody can block themselves",
        ));
    }
    let fresh: Vec<Jid<'static>> = items
        .values()
        .map(|(jid, _)| jid)
        .filter(|jid| !user.blocklist.lists(jid.as_str()))
        .cloned()
        .collect();
    let after = user.blocklist.iter().chain(&fresh);
    let (count, bytes) = after.fold((0, 0), |(count, bytes), jid| {
        (count + 1, bytes + jid.as_str().len())
    });
    if !fresh.is_empty() && (count > limits::BLOCKED || bytes > limits::BLOCKED_BYTES) {
        return Err(StanzaError::text(
            Condition::ResourceConstraint,
            "the block list is full",
        ));
    }
    let goodbyes: Vec<Seen> = pairs(engine, iq.account, &fresh)
        .into_iter()
        .filter(|(from, to)| !engine.are_apart(*from, *to))
        .filter_map(|(from, to)| Seen::between(engine, from, to, true))
        .collect();
    for (done, jid) in fresh.iter().enumerate() {
        if let Err(error) = engine.store.put_blocked(id, jid) {
            for jid in &fresh[..done] {
                engine.store.remove_blocked(id, jid)?;
            }
            return Err(error.into());
        }
    }
    if let Some(user) = engine.user(iq.account)? {
        for jid in fresh {
            user.blocklist.add(jid);
        }
    }
    for seen in goodbyes {
        seen.goes(engine);
    }
    forget_directed(engine, iq.account);
    push(engine, iq.account, "block", items.keys().map(|jid| &**jid));
    for (jid, item) in items.values() {
        engine.tell(
            |row| row.blocked,
            |engine, hook| hook(engine, iq.session, jid, *item),
        );
    }
    Ok(Answer::Empty)
}

/// XEP-0191 §3.4: blocks JIDs no more; §3.5: none at all.
fn unblock(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let items = items(iq)?;
    let Some(user) = engine.user_of(iq.session) else {
        return Err(Condition::ItemNotFound.into());
    };
    let (id, before) = (user.id, user.blocklist.clone());
    let all = items.is_empty();
    // Something that is no item is not "all".
    if all && iq.payload.children().next().is_some() {
        return Err(Condition::BadRequest.into());
    }
    let gone: Vec<Jid<'static>> = user
        .blocklist
        .iter()
        .filter(|jid| all || items.contains_key(jid.as_str()))
        .cloned()
        .collect();
    let apart: Vec<(SessionId, SessionId)> = pairs(engine, iq.account, &gone)
        .into_iter()
        .filter(|(from, to)| engine.are_apart(*from, *to))
        .collect();
    if all {
        engine.store.clear_blocked(id)?;
    } else {
        for jid in &gone {
            engine.store.remove_blocked(id, jid)?;
        }
    }
    if let Some(user) = engine.user(iq.account)? {
        match all {
            true => user.blocklist.clear(),
            false => gone
                .iter()
                .for_each(|jid| user.blocklist.remove(jid.as_str())),
        }
    }
    push(
        engine,
        iq.account,
        "unblock",
        items.keys().map(|jid| &**jid),
    );
    for (from, to) in apart {
        // Another item, or the other side, may still keep them apart.
        if !engine.are_apart(from, to)
            && let Some(seen) = Seen::between(engine, from, to, false)
        {
            seen.comes(engine);
        }
    }
    engine.send_last_items_after_block(iq.account, &before);
    Ok(Answer::Empty)
}

/// The items of a request by their normalised JIDs. A JID that stands there twice counts once.
fn items<'s>(
    iq: &Iq<'s, '_>,
) -> Result<BTreeMap<Box<str>, (Jid<'static>, Element<'s>)>, StanzaError> {
    let mut items = BTreeMap::new();
    for item in iq.payload.children() {
        if !item.is(ns::BLOCKING, "item") {
            continue;
        }
        let text = item.attr("jid").ok_or(Condition::BadRequest)?;
        let jid = Jid::parse(&text)
            .map_err(|_| Condition::JidMalformed)?
            .into_owned();
        items.entry(jid.as_str().into()).or_insert((jid, item));
    }
    Ok(items)
}

/// XEP-0191 §3.3 to §3.5: tells the resources that asked for the list what became of it, once that is on the disk.
fn push<'j>(
    engine: &mut Engine,
    name: &str,
    what: &'static str,
    jids: impl Iterator<Item = &'j str> + Clone,
) {
    let ticket = engine.ticket();
    let bare = engine.bare_jid(name);
    for there in engine.sessions_of(name) {
        let Some(to) = engine
            .session(there)
            .filter(|session| session.knows_blocklist)
            .map(|session| session.jid.clone())
        else {
            continue;
        };
        let id = engine.random.id();
        let text = written(|out| {
            out.start("iq")
                .attr("to", to.as_str())
                .attr("id", &id)
                .attr("type", "set");
            out.start(what).attr("xmlns", ns::BLOCKING);
            for jid in jids.clone() {
                out.start("item").attr("jid", jid).end();
            }
            out.end().end();
        });
        engine.deliver(
            there,
            Delivery::of(bare.as_str()).behind(Some(ticket)),
            |out| out.extend_from_slice(text.as_bytes()),
        );
    }
}

/// The sessions of a user with those that JIDs name, both ways: who may begin or cease to see whom.
fn pairs(engine: &Engine, name: &str, jids: &[Jid<'_>]) -> Vec<(SessionId, SessionId)> {
    let Some(user) = engine.online(name) else {
        return Vec::new();
    };
    let mut named: Vec<SessionId> = Vec::new();
    for jid in jids.iter().filter(|jid| engine.is_local(jid)) {
        match (jid.local(), jid.resource()) {
            (Some(other), Some(resource)) => named.extend(engine.session_at(other, resource)),
            (Some(other), None) => named.extend(engine.sessions_of(other)),
            // §6: everybody on the server. Of strangers only those matter to whom presence was directed.
            (None, None) => {
                let directs = user
                    .sessions
                    .iter()
                    .filter_map(|id| engine.session(*id))
                    .any(|session| !session.directed.is_empty());
                let matters = engine.sessions().filter(|session| {
                    directs
                        || !session.directed.is_empty()
                        || engine.lets_see(user, session.jid.bare())
                        || engine.wants_to_see(user, session.jid.bare())
                });
                named.extend(matters.map(|session| session.id()));
            }
            (None, Some(_)) => {}
        }
    }
    named.sort();
    named.dedup();
    named.retain(|id| !user.sessions.contains(id));
    let mut pairs = Vec::new();
    for own in &user.sessions {
        for other in &named {
            pairs.extend([(*own, *other), (*other, *own)]);
        }
    }
    pairs
}

/// A session that another one sees.
struct Seen {
    from: SessionId,
    to: SessionId,
    /// The address at which the other hears of it.
    address: Box<str>,
}

impl Seen {
    /// Whether presence of one session reaches another: by a subscription, or also because it was directed there (RFC 6121 §4.2.2, §4.6).
    fn between(engine: &Engine, from: SessionId, to: SessionId, directed: bool) -> Option<Seen> {
        let (sender, there) = (engine.session(from)?, engine.session(to)?);
        let (bare, full) = (there.jid.bare(), there.jid.as_str());
        let hears = there.presence.is_some();
        let visible = engine.lets_see(engine.user_of(from)?, bare);
        let subscribed = hears && sender.presence.is_some() && visible;
        let directed_to =
            |address: &str| directed && sender.directed.iter().any(|d| **d == *address);
        let address = if subscribed || hears && directed_to(bare) {
            bare
        } else if directed_to(full) {
            full
        } else {
            return None;
        };
        Some(Seen {
            from,
            to,
            address: address.into(),
        })
    }

    /// XEP-0191 §3.3: the other sees it go, once the block is on the disk.
    fn goes(self, engine: &mut Engine) {
        if let Some(jid) = engine.session(self.from).map(|from| from.jid.clone()) {
            self.send(engine, &jid, &unavailable(&jid), Change::Goes);
        }
    }

    /// XEP-0191 §3.4: the other sees how it is, once the block's end is on the disk.
    fn comes(self, engine: &mut Engine) {
        let from = engine.session(self.from);
        if let Some((jid, presence)) =
            from.and_then(|from| Some((from.jid.clone(), from.presence.clone()?)))
        {
            self.send(engine, &jid, &presence.xml, Change::Stays);
        }
    }

    fn send(&self, engine: &mut Engine, of: &FullJid, xml: &str, change: Change) {
        let ticket = engine.ticket();
        let delivery = Delivery::of(of.bare())
            .behind(Some(ticket))
            .presence(of.as_str(), change);
        engine.deliver(self.to, delivery, |out| {
            write_presence_to(xml, &self.address, out)
        });
    }
}

/// Who is blocked has heard that the user is gone: nothing is owed there any more (RFC 6121 §4.6.3).
fn forget_directed(engine: &mut Engine, name: &str) {
    for id in engine.sessions_of(name) {
        let Some((user, session)) = engine.user_of(id).zip(engine.session(id)) else {
            continue;
        };
        let mut kept = session.directed.clone();
        kept.retain(|address| !Jid::parse(address).is_ok_and(|to| user.blocks(&to)));
        if let Some(session) = engine.session_mut(id) {
            session.directed = kept;
        }
    }
}
