//! XEP-0280: Message Carbons, with all of its rules (§6.1), of which `urn:xmpp:carbons:rules:0` tells. Complete.
//!
//! Who gets a message by RFC 6121 gets no copy of it, the sending client neither; every other client of the account that asked for copies gets one,
//! whatever its priority. Nobody but this server makes copies: what a peer sends as one is taken out of its message (`Engine::forged`) and not copied.

use crate::engine::Engine;
use crate::engine::content;
use crate::engine::delivery::{Delivery, Worth};
use crate::engine::feature::{
    Answer, At, Feature, Incoming, Iq, IqRoute, Outgoing, Reached, Step, Takes,
};
use crate::engine::route::stamped;
use crate::engine::session::SessionId;
use crate::xml::{Splice, escaped, splice, written};
use crate::xmpp::{Jid, MessageType, Stanza, StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0280",
    title: "Message Carbons",
    server_features: &[ns::CARBONS, ns::CARBONS_RULES],
    iq: &[
        IqRoute {
            ns: ns::CARBONS,
            name: "enable",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: |engine, iq| switch(engine, iq, true),
        },
        IqRoute {
            ns: ns::CARBONS,
            name: "disable",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: |engine, iq| switch(engine, iq, false),
        },
    ],
    message_out: Some(sent),
    message_delivered: Some(delivered),
    refused: Some(refused),
    ..Feature::NONE
};

/// Which side of a conversation the account is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Sent,
    Received,
}

/// §4, §5: for the session that asks; §10.1: as often as it likes.
fn switch(engine: &mut Engine, iq: &Iq<'_, '_>, on: bool) -> Result<Answer, StanzaError> {
    if let Some(session) = engine.session_mut(iq.session) {
        session.carbons = on;
    }
    Ok(Answer::Empty)
}

/// §8: a copy for each of the sender's other clients. What somebody sends to their own account is copied where it is delivered, so that nobody
/// gets it twice.
fn sent(engine: &mut Engine, outgoing: &mut Outgoing<'_, '_>) -> Step {
    let (stanza, session) = (outgoing.stanza, outgoing.session);
    let account = stanza.from.local().unwrap_or_default();
    if !is_to_oneself(stanza) && wants_copies(engine, account) {
        let to_occupant = occupant(engine, Side::Sent, stanza);
        let has_it = |engine: &mut Engine, there| {
            there == session || is_apart(engine, session, there, to_occupant)
        };
        copy(
            engine,
            account,
            Side::Sent,
            stanza,
            &outgoing.append,
            has_it,
        );
    }
    Step::Continue
}

/// §7: a copy for each of the account's clients that did not get the message itself.
fn delivered(engine: &mut Engine, incoming: &Incoming<'_, '_>, reached: Reached) {
    let stanza = incoming.stanza;
    if !wants_copies(engine, incoming.account) {
        return;
    }
    let side = match is_to_oneself(stanza) {
        true => Side::Sent,
        false => Side::Received,
    };
    let has_it = |engine: &mut Engine, there: SessionId| {
        let got = match reached {
            Reached::One(one) => one == there,
            Reached::Messageable => engine.is_messageable(there),
            Reached::Nobody => false,
        };
        got || is_of(engine, there, stanza)
    };
    copy(
        engine,
        incoming.account,
        side,
        stanza,
        &incoming.append,
        has_it,
    );
}

/// §6.1: an error that answers what was copied is copied too. This one is the server's own.
fn refused(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>, error: &StanzaError) {
    let account = stanza.from.local().unwrap_or_default();
    if !wants_copies(engine, account) || is_eligible(engine, account, Side::Sent, stanza).is_err() {
        return;
    }
    let from = stanza.to.as_ref().map(Jid::as_str);
    let text = written(|out| {
        out.start("message")
            .attr("xmlns", ns::CLIENT)
            .attr_opt("from", from)
            .attr("to", stanza.from.as_str())
            .attr_opt("id", stanza.id.as_deref())
            .attr("type", "error");
        error.write(out);
        out.end();
    });
    let source = stanza.to.as_ref().map_or(stanza.from.bare(), Jid::bare);
    let to_occupant = occupant(engine, Side::Sent, stanza);
    let mut place = 0;
    while let Some(there) = next_copy(engine, account, &mut place) {
        if there != session && !is_apart(engine, session, there, to_occupant) {
            let how = Delivery::of(source);
            deliver_copy(engine, there, how, Some("error"), Side::Received, |out| {
                out.extend_from_slice(text.as_bytes())
            });
        }
    }
}

/// Whether a message is for its sender's own account.
fn is_to_oneself(stanza: &Stanza<'_>) -> bool {
    stanza
        .to
        .as_ref()
        .is_none_or(|to| to.bare() == stanza.from.bare())
}

/// Whether a session is the one that sent a stanza.
fn is_of(engine: &Engine, session: SessionId, stanza: &Stanza<'_>) -> bool {
    engine
        .session(session)
        .is_some_and(|session| session.jid.as_str() == stanza.from.as_str())
}

/// Whether there may be somebody to copy for: most accounts have one client, or none that asked.
fn wants_copies(engine: &Engine, account: &str) -> bool {
    engine.online(account).is_some_and(|user| {
        let asked = |id: &SessionId| engine.session(*id).is_some_and(|session| session.carbons);
        user.sessions.len() > 1 && user.sessions.iter().any(asked)
    })
}

/// The next client of the account that asked for copies.
fn next_copy(engine: &Engine, account: &str, place: &mut usize) -> Option<SessionId> {
    let sessions = &engine.online(account)?.sessions;
    let asked = |id: &SessionId| engine.session(*id).is_some_and(|session| session.carbons);
    let found = *place + sessions.get(*place..)?.iter().position(asked)?;
    *place = found + 1;
    Some(sessions[found])
}

/// Copies a message for each client of the account that asked, but for those that have it, or shall not.
fn copy(
    engine: &mut Engine,
    account: &str,
    side: Side,
    stanza: &Stanza<'_>,
    append: &str,
    has_it: impl Fn(&mut Engine, SessionId) -> bool,
) {
    if let Err(why) = is_eligible(engine, account, side, stanza) {
        engine.trace(|| format!("carbons: no copies: {why}"));
        return;
    }
    note(engine, account, side, stanza);
    let forged = engine.forged(stanza);
    // §6.1, its note: so a client sees that it is no chat with a person. Where the sender's did not say so, nothing is doubled.
    let in_room = stanza.xml.root().child(ns::MUC_USER, "x").is_some();
    let marked;
    let append = match occupant(engine, side, stanza) {
        Some(_) if !in_room => {
            marked = format!("<x xmlns='{}'/>{append}", ns::MUC_USER);
            &marked
        }
        _ => append,
    };
    let how = Splice {
        // XEP-0297 §3.2: it stands inside of another namespace.
        xmlns: Some(ns::CLIENT),
        ..stamped(stanza, &forged, append)
    };
    let kind = stanza.xml.root().attr("type");
    let mut copies = 0;
    let mut place = 0;
    while let Some(there) = next_copy(engine, account, &mut place) {
        if has_it(engine, there) {
            continue;
        }
        copies += 1;
        let delivery = Delivery::of(stanza.from.bare()).worth(Worth::of(stanza));
        deliver_copy(engine, there, delivery, kind.as_deref(), side, |out| {
            splice(out, stanza.xml, &how)
        });
    }
    engine.trace(|| format!("carbons: {copies} copies for {account}"));
}

/// §7, §8: the wrapper comes from the account's bare JID, for one full JID, with the type of what it wraps.
fn deliver_copy(
    engine: &mut Engine,
    there: SessionId,
    delivery: Delivery<'_>,
    kind: Option<&str>,
    side: Side,
    inner: impl FnOnce(&mut Vec<u8>),
) {
    let Some(to) = engine.session(there).map(|session| session.jid.clone()) else {
        return;
    };
    let name = match side {
        Side::Sent => "sent",
        Side::Received => "received",
    };
    engine.deliver(there, delivery, |out| {
        let attributes = [
            ("<message from='", Some(to.bare())),
            ("' to='", Some(to.as_str())),
            ("' type='", kind),
        ];
        for (name, value) in attributes {
            if let Some(value) = value {
                out.extend_from_slice(name.as_bytes());
                out.extend_from_slice(escaped(value).as_bytes());
            }
        }
        let wrapper = [
            "'><",
            name,
            " xmlns='",
            ns::CARBONS,
            "'><forwarded xmlns='",
            ns::FORWARD,
            "'>",
        ];
        for part in wrapper {
            out.extend_from_slice(part.as_bytes());
        }
        inner(out);
        for part in ["</forwarded></", name, "></message>"] {
            out.extend_from_slice(part.as_bytes());
        }
    });
}

/// §6.1: whether a message is copied, or why it is not.
fn is_eligible(
    engine: &Engine,
    account: &str,
    side: Side,
    stanza: &Stanza<'_>,
) -> Result<(), &'static str> {
    let root = stanza.xml.root();
    let kind = stanza.message_type().unwrap_or(MessageType::Normal);
    // §9, XEP-0334 §4.3. Either is enough: who writes one of them means both.
    if root.child(ns::CARBONS, "private").is_some() || content::hints(root, "no-copy") {
        return Err("its sender wants none");
    }
    if root.children().any(content::is_relayed) {
        return Err("it pretends to be a copy itself");
    }
    if kind == MessageType::Groupchat {
        return Err("a room sends it to all who are there");
    }
    if content::is_invitation(root) {
        return Ok(());
    }
    if occupant(engine, side, stanza).is_some() {
        return Ok(());
    }
    // From an occupant; what a room says itself comes from its bare JID.
    let in_room = root.child(ns::MUC_USER, "x").is_some();
    if side == Side::Received && in_room && stanza.from.is_full() {
        return Err("a room sends it to all who share the nick");
    }
    let copied = match kind {
        MessageType::Chat => true,
        MessageType::Normal if root.child(ns::CLIENT, "body").is_some() => true,
        _ if content::is_instant_messaging(root) => true,
        MessageType::Error => answers(engine, account, side, stanza),
        MessageType::Normal | MessageType::Headline | MessageType::Groupchat => false,
    };
    copied.then_some(()).ok_or("no instant message")
}

/// The bare JID of the other side of a conversation.
fn other_side<'s>(side: Side, stanza: &'s Stanza<'_>) -> &'s str {
    match (side, &stanza.to) {
        (Side::Sent, Some(to)) => to.bare(),
        _ => stanza.from.bare(),
    }
}

/// Whether an error answers a message that was eligible. §10.3: not by what it repeats. One for the bare JID answers nothing that a client sent.
fn answers(engine: &Engine, account: &str, side: Side, stanza: &Stanza<'_>) -> bool {
    let to_client = stanza.to.as_ref().is_some_and(Jid::is_full);
    let exchanges = engine
        .online(account)
        .and_then(|user| user.exchanges.as_ref());
    exchanges
        .zip(stanza.id.as_deref())
        .is_some_and(|(known, id)| to_client && known.has(other_side(side, stanza), id))
}

/// Remembers what an error may answer.
fn note(engine: &mut Engine, account: &str, side: Side, stanza: &Stanza<'_>) {
    if let Some(id) = stanza
        .id
        .as_deref()
        .filter(|_| !stanza.stanza_type.is_error())
        && let Some(user) = engine.online_mut(account)
    {
        let exchanges = user.exchanges.get_or_insert_default();
        exchanges.note(other_side(side, stanza), id);
    }
}

/// §6.1: the occupant of a room for whom a message is that the account sends.
fn occupant<'s, 'a>(engine: &Engine, side: Side, stanza: &'s Stanza<'a>) -> Option<&'s Jid<'a>> {
    let to = stanza.to.as_ref().filter(|to| to.is_full())?;
    let in_room = stanza.xml.root().child(ns::MUC_USER, "x").is_some();
    let to_occupant = side == Side::Sent && (in_room || engine.service_at(to).is_some());
    to_occupant.then_some(to)
}

/// §6.1, its note: what is said to an occupant is for the clients that share the sender's nick. Where the sender has none, it is not known which these are.
fn is_apart(
    engine: &mut Engine,
    session: SessionId,
    there: SessionId,
    occupant: Option<&Jid<'_>>,
) -> bool {
    occupant.is_some_and(|room| engine.are_one_occupant(session, there, room) == Some(false))
}
