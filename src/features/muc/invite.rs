//! XEP-0045 §7.8.2: invitations that go through the room, and their declination. Direct ones (XEP-0249) need no room.

use super::affiliation::{self, By, Change};
use super::roles::{Act, Right, has};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::{Affiliation, Noted};
use crate::xml::{Element, written};
use crate::xmpp::{BareJid, Condition, Jid, Stanza, StanzaError, ns};
use std::borrow::Cow;

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
    let wanted: Vec<Invited<'_>> = x
        .children()
        .filter(|child| child.is(ns::MUC_USER, "invite"))
        .take(limits::ROOM_ITEMS)
        .map(|child| read(engine, room, affiliation, child))
        .collect::<Result<_, _>>()?;
    let own = stanza.from.bare();
    let by = By {
        nick: None,
        jid: Some(own),
    };
    for one in wanted {
        let to = Jid::from(&one.to);
        if members_only && room.affiliation(engine, &to) < Affiliation::Member {
            // §7.8.2: who is invited to a room that only members enter becomes one.
            let change = Change {
                jid: to.bare().to_owned(),
                to: Affiliation::Member,
                nick: None,
                reason: None,
            };
            let news = affiliation::apply(engine, room, vec![change], by)?;
            affiliation::tell_without_inviting(engine, room, news, by);
        }
        let to = match one.resource {
            Some(resource) => one.to.with_resource(&resource).ok(),
            None => None,
        }
        .map_or(to, |full| Jid::from(&full).into_owned());
        send(
            engine,
            room,
            Some(own),
            &to,
            one.reason.as_deref(),
            one.thread.as_deref(),
        );
    }
    Ok(())
}

/// One invitation, checked.
struct Invited<'s> {
    to: BareJid,
    /// The device that was named (§7.9).
    resource: Option<String>,
    reason: Option<Cow<'s, str>>,
    thread: Option<Cow<'s, str>>,
}

fn read<'s>(
    engine: &Engine,
    room: &Room,
    by: Affiliation,
    invite: Element<'s>,
) -> Result<Invited<'s>, StanzaError> {
    let text = invite.attr("to").ok_or(Condition::BadRequest)?;
    let jid = Jid::parse(&text).map_err(|_| StanzaError::from(Condition::JidMalformed))?;
    let to = addressee(engine, room, &jid)?;
    if room.affiliation(engine, &Jid::from(&to)) == Affiliation::Outcast && !has(by, Right::Members)
    {
        return Err(Condition::Forbidden.into());
    }
    let reason = affiliation::reason(invite, ns::MUC_USER)?;
    let is_account = jid.bare() == to.as_str();
    Ok(Invited {
        resource: jid.resource().filter(|_| is_account).map(str::to_owned),
        to,
        reason,
        thread: invite
            .child(ns::MUC_USER, "continue")
            .map(|on| on.attr("thread").unwrap_or_default()),
    })
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
    room: &mut Room,
    by: Option<&str>,
    to: &Jid<'_>,
    reason: Option<&str>,
    thread: Option<&str>,
) {
    let Some(name) = to.local() else {
        return;
    };
    let by = by.unwrap_or(room.jid.as_str()).to_owned();
    // XEP-0191 §3.3: whom somebody blocks does not reach them through a room either, and does not learn it.
    if blocks(engine, name, &by) {
        return;
    }
    let password = room.record.config.password.as_deref();
    let inner = written(|out| {
        out.start("x").attr("xmlns", ns::MUC_USER);
        out.start("invite").attr("from", &by);
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
    let told = engine.tell_account_from(&room.jid, (name, to.resource()), &inner, true);
    let outcome = match told {
        // Who may decline what is noted, so that nobody lets a room speak to strangers.
        Ok(true) => room.note(engine, to.bare(), Noted::Invited(by)),
        Ok(false) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = outcome {
        log::error!("{to} could not be invited to {}: {error}", room.jid);
    }
}

fn blocks(engine: &Engine, account: &str, jid: &str) -> bool {
    Jid::parse(jid).is_ok_and(|jid| engine.blocks(account, &jid).unwrap_or(false))
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
    let is_room = to.as_str() == room.jid.as_str();
    let by = match is_room {
        true => room.jid.clone(),
        false => addressee(engine, room, &to)?,
    };
    let invited = room.strike(engine, stanza.from.bare(), |what| {
        *what == Noted::Invited(by.as_str().to_owned())
    })?;
    if !invited {
        return Err(Condition::ItemNotFound.into());
    }
    // Where the room itself has invited there is nobody to hear it.
    if is_room {
        return Ok(());
    }
    let inner = written(|out| {
        out.start("x").attr("xmlns", ns::MUC_USER);
        out.start("decline").attr("from", stanza.from.bare());
        if let Some(reason) = decline.child(ns::MUC_USER, "reason") {
            out.leaf("reason", &reason.text());
        }
        out.end().end();
    });
    let name = by.local().unwrap_or_default().to_owned();
    if blocks(engine, &name, stanza.from.bare()) {
        return Ok(());
    }
    engine.tell_account_from(&room.jid, (&name, None), &inner, true)?;
    Ok(())
}
