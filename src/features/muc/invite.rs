//! XEP-0045 §7.8.2: invitations that go through the room, and their declination. Direct ones (XEP-0249) need no room.

use super::roles::{Act, Right, has};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::{Affiliated, Affiliation};
use crate::xml::{Element, written};
use crate::xmpp::{BareJid, Condition, Jid, Stanza, StanzaError, ns};
use std::collections::VecDeque;

/// Invitations that were sent lately: who may decline what, so that nobody lets a room speak to strangers.
#[derive(Default)]
struct Sent(VecDeque<Invitation>);

struct Invitation {
    room: BareJid,
    by: Box<str>,
    to: Box<str>,
}

/// Somebody invites others; each `<invite/>` is one.
pub fn invite(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    x: Element<'_>,
) -> Result<(), StanzaError> {
    let affiliation = room.affiliation(engine, &Jid::from(&stanza.from));
    let here = room.seat_of(session).map(|(place, _)| place);
    // §7.8.2: an occupant; those who look after the room may from outside.
    if here.is_none() && !has(affiliation, Right::Members) {
        return Err(Condition::NotAcceptable.into());
    }
    if here.is_some_and(|place| !room.occupants[place].role.allows(Act::Invite)) {
        return Err(Condition::Forbidden.into());
    }
    let members_only = room.record.config.members_only;
    let member_may = room.record.config.allow_invites && affiliation >= Affiliation::Member;
    // §9.5: in a members-only room it is admins who say who belongs to it.
    if members_only && !has(affiliation, Right::Members) && !member_may {
        return Err(Condition::Forbidden.into());
    }
    for one in x
        .children()
        .filter(|child| child.is(ns::MUC_USER, "invite"))
        .take(limits::ROOM_ITEMS)
    {
        let to = one.attr("to").ok_or(Condition::BadRequest)?;
        let to = Jid::parse(&to).map_err(|_| StanzaError::from(Condition::JidMalformed))?;
        let to = addressee(engine, room, &to)?;
        if room.affiliation(engine, &Jid::from(&to)) == Affiliation::Outcast
            && !has(affiliation, Right::Members)
        {
            return Err(Condition::Forbidden.into());
        }
        let known = room.affiliation(engine, &Jid::from(&to));
        if members_only && known < Affiliation::Member {
            // §9.5: who is invited to a room that only members enter becomes one.
            let mut new = match room.people.get(to.as_str()) {
                Some(one) => one.clone(),
                None => Affiliated::new(to.as_str(), Affiliation::Member),
            };
            new.affiliation = Affiliation::Member;
            room.affiliate(engine, new)?;
        }
        let reason = one
            .child(ns::MUC_USER, "reason")
            .map(|reason| reason.text());
        let thread = one
            .child(ns::MUC_USER, "continue")
            .map(|on| on.attr("thread").unwrap_or_default());
        send(
            engine,
            room,
            Some(stanza.from.bare()),
            to.as_str(),
            reason.as_deref(),
            thread.as_deref(),
        );
    }
    Ok(())
}

/// The account behind an address: its own, or that of an occupant of this room. `item-not-found` where there is none (§7.8.2).
fn addressee(engine: &Engine, room: &Room, to: &Jid<'_>) -> Result<BareJid, StanzaError> {
    let bare = match to.bare() == room.jid.as_str() {
        true => {
            let nick = to.resource().ok_or(Condition::ItemNotFound)?;
            let place = room.called(nick).ok_or(Condition::ItemNotFound)?;
            room.occupants[place].bare.clone()
        }
        false => to.to_bare(),
    };
    let jid = Jid::from(&bare);
    if !engine.is_local(&jid) {
        return Err(Condition::RemoteServerNotFound.into());
    }
    let there = match bare.local() {
        Some(name) => engine.store.account(name)?.is_some(),
        None => false,
    };
    match there {
        true => Ok(bare),
        false => Err(Condition::ItemNotFound.into()),
    }
}

/// Sends an invitation in the room's name; `by` is who invites, the room itself where there is none.
pub fn send(
    engine: &mut Engine,
    room: &Room,
    by: Option<&str>,
    to: &str,
    reason: Option<&str>,
    thread: Option<&str>,
) {
    let parsed = Jid::parse(to);
    let Some(name) = parsed.as_ref().ok().and_then(Jid::local) else {
        return;
    };
    let by = by.unwrap_or(room.jid.as_str());
    let password = room.record.config.password.as_deref();
    let inner = written(|out| {
        out.start("x").attr("xmlns", ns::MUC_USER);
        out.start("invite").attr("from", by);
        if let Some(reason) = reason {
            out.leaf("reason", reason);
        }
        if let Some(thread) = thread {
            out.start("continue")
                .attr_opt("thread", Some(thread).filter(|thread| !thread.is_empty()))
                .end();
        }
        out.end();
        if let Some(password) = password {
            out.leaf("password", password);
        }
        out.end();
    });
    match engine.tell_account_from(&room.jid, name, &inner, true) {
        Ok(_) => {
            let sent = &mut engine.memory::<Sent>().0;
            if sent.len() == limits::ROOM_INVITATIONS {
                sent.pop_front();
            }
            sent.push_back(Invitation {
                room: room.jid.clone(),
                by: by.into(),
                to: to.into(),
            });
        }
        Err(error) => log::error!("{to} could not be invited to {}: {error}", room.jid),
    }
}

/// Who was invited declines: who invited hears of it.
pub fn decline(
    engine: &mut Engine,
    room: &mut Room,
    stanza: &Stanza<'_>,
    decline: Element<'_>,
) -> Result<(), StanzaError> {
    let to = decline.attr("to").ok_or(Condition::BadRequest)?;
    let to = Jid::parse(&to).map_err(|_| StanzaError::from(Condition::JidMalformed))?;
    let by = addressee(engine, room, &to)?;
    let sent = &mut engine.memory::<Sent>().0;
    let place = sent.iter().position(|one| {
        one.room == room.jid && *one.by == *by.as_str() && *one.to == *stanza.from.bare()
    });
    let Some(place) = place else {
        return Err(Condition::ItemNotFound.into());
    };
    sent.remove(place);
    let inner = written(|out| {
        out.start("x").attr("xmlns", ns::MUC_USER);
        out.start("decline").attr("from", stanza.from.bare());
        if let Some(reason) = decline.child(ns::MUC_USER, "reason") {
            out.leaf("reason", &reason.text());
        }
        out.end().end();
    });
    let name = by.local().unwrap_or_default().to_owned();
    engine.tell_account_from(&room.jid, &name, &inner, true)?;
    Ok(())
}
