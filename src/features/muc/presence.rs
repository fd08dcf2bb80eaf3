//! Presence of occupants: how the room tells it (XEP-0045 §7.2.2 to §7.2.4, §17.3), and to whom. The text is made once for each of the few ways that it
//! looks, and each recipient gets a copy with an own head.

use super::occupant::{self, Occupant, Said, Seat};
use super::roles::{Role, affiliation_name};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::delivery::{Change, Delivery, Worth};
use crate::engine::session::SessionId;
use crate::store::{Affiliation, Ticket};
use crate::xml::written;
use crate::xmpp::{Jid, Stanza, ns};
use std::cell::RefCell;
use std::rc::Rc;

/// One presence of an occupant.
#[derive(Clone, Copy, Default)]
pub struct Told<'a> {
    /// Whether the occupant leaves.
    pub gone: bool,
    /// Whether nobody was shown this nickname before.
    pub comes: bool,
    /// What the occupant says, as XML.
    pub said: &'a str,
    /// The new nickname, where it changes (§7.6).
    pub nick: Option<&'a str>,
    /// Who did this to the occupant.
    pub actor: Option<&'a str>,
    /// Why.
    pub reason: Option<&'a str>,
    /// Status codes for everybody.
    pub codes: &'a [u16],
    /// Status codes for the occupant's own devices, beside 110.
    pub own: &'a [u16],
    /// More in the `<x/>`, as XML.
    pub more: &'a str,
    /// The id of the stanza that this answers, for the occupant's own devices.
    pub id: Option<&'a str>,
}

/// An occupant's presence as it was written last for those who come, with the JID and without: who enters a room of many gets copies of what is there.
#[derive(Default)]
pub struct Shown([RefCell<Option<Written>>; 2]);

/// One of the two, and all that it says: where any of that is otherwise now, it is written again.
struct Written {
    nick: Rc<str>,
    said: Rc<str>,
    jid: Box<str>,
    hats: Box<str>,
    role: Role,
    affiliation: Affiliation,
    text: Rc<str>,
}

impl Written {
    fn is_of(&self, occupant: &Occupant) -> bool {
        let shown = occupant.shown();
        self.role == occupant.role
            && self.affiliation == occupant.affiliation
            && Rc::ptr_eq(&self.nick, &occupant.nick)
            && Rc::ptr_eq(&self.said, &shown.said)
            && *self.jid == *shown.jid.as_str()
            && self.hats == occupant.hats
    }
}

/// The presence of one who is there, as it is.
fn text_of_stay(occupant: &Occupant, jid: bool) -> Rc<str> {
    let mut kept = occupant.written.0[usize::from(jid)].borrow_mut();
    if let Some(written) = kept.as_ref().filter(|written| written.is_of(occupant)) {
        return written.text.clone();
    }
    let shown = occupant.shown();
    let told = Told {
        said: &shown.said,
        ..Told::default()
    };
    let text: Rc<str> = text(occupant, &told, jid, false).into();
    *kept = Some(Written {
        nick: occupant.nick.clone(),
        said: shown.said.clone(),
        jid: shown.jid.as_str().into(),
        hats: occupant.hats.clone(),
        role: occupant.role,
        affiliation: occupant.affiliation,
        text: text.clone(),
    });
    text
}

/// The presence without its `to`, as those see it who may or may not see the JID.
pub fn text(occupant: &Occupant, told: &Told<'_>, jid: bool, own: bool) -> String {
    written(|out| {
        out.start("presence").attr("from", occupant.jid.as_str());
        if own {
            out.attr_opt("id", told.id);
        }
        if told.gone {
            out.attr("type", "unavailable");
        }
        let said = match jid {
            true => told.said,
            false => without_photo(occupant, told.said),
        };
        out.raw(said);
        out.start("x").attr("xmlns", ns::MUC_USER).raw(told.more);
        let role = match told.gone && told.nick.is_none() {
            true => "none",
            false => occupant.role.name(),
        };
        let jid = jid.then(|| occupant.shown().jid.as_str());
        out.start("item")
            .attr("affiliation", affiliation_name(occupant.affiliation))
            .attr_opt("jid", jid)
            .attr_opt("nick", told.nick)
            .attr("role", role);
        if let Some(actor) = told.actor {
            out.start("actor").attr("nick", actor).end();
        }
        if let Some(reason) = told.reason {
            out.leaf("reason", reason);
        }
        out.end();
        let own_codes = if own { told.own } else { &[] };
        let self_presence: &[u16] = if own { &[110] } else { &[] };
        for code in told.codes.iter().chain(own_codes).chain(self_presence) {
            out.start("status").attr("code", &code.to_string()).end();
        }
        out.end();
        out.raw(&occupant.hats);
        out.start("occupant-id")
            .attr("xmlns", ns::OCCUPANT_ID)
            .attr("id", &occupant.id)
            .end();
        out.end();
    })
}

/// Tells the occupant's own devices.
pub fn tell_own(engine: &mut Engine, occupant: &Occupant, told: &Told<'_>) {
    let text = text(occupant, told, true, true);
    for seat in &occupant.seats {
        hand_presence(engine, occupant, seat, &text, Worth::Now);
    }
}

/// Tells one of the occupant's own devices.
pub fn tell_seat(engine: &mut Engine, occupant: &Occupant, seat: &Seat, told: &Told<'_>) {
    let text = text(occupant, told, true, true);
    hand_presence(engine, occupant, seat, &text, Worth::Now);
}

/// Tells the occupant's own devices but one.
pub fn tell_siblings(engine: &mut Engine, occupant: &Occupant, but: SessionId, told: &Told<'_>) {
    for seat in occupant.seats.iter().filter(|seat| seat.session != but) {
        tell_seat(engine, occupant, seat, told);
    }
}

/// Tells everybody else in the room, if the presence of this role is shown (§7.2.2).
pub fn tell_others(engine: &mut Engine, room: &Room, occupant: &Occupant, told: &Told<'_>) {
    if !room.shows(occupant.role) {
        return;
    }
    // With the JID, and without.
    let mut texts: [Option<String>; 2] = [None, None];
    for other in &room.occupants {
        if other.nick == occupant.nick {
            continue;
        }
        let reveals = room.reveals_to(other.role);
        let text =
            texts[usize::from(reveals)].get_or_insert_with(|| text(occupant, told, reveals, false));
        for seat in &other.seats {
            hand_presence(engine, occupant, seat, text, worth(occupant, told));
        }
    }
}

/// Tells everybody, the occupant's own devices last.
pub fn tell_all(engine: &mut Engine, room: &Room, place: usize, told: &Told<'_>) {
    tell_others(engine, room, &room.occupants[place], told);
    tell_own(engine, &room.occupants[place], told);
}

/// Tells one who enters who is there already: O(occupants), and for each a copy of a text that is there.
pub fn tell_who_is_there(engine: &mut Engine, room: &Room, own: usize, seat: &Seat) {
    let reveals = room.reveals_to(room.occupants[own].role);
    for (place, occupant) in room.occupants.iter().enumerate() {
        if place == own || !room.shows(occupant.role) {
            continue;
        }
        let text = text_of_stay(occupant, reveals);
        let worth = worth(occupant, &Told::default());
        hand_presence(engine, occupant, seat, &text, worth);
    }
}

/// XEP-0352: how another occupant is may wait; that somebody was made to leave or has another name, or that the room is no more, does not.
fn worth<'a>(of: &'a Occupant, told: &Told<'_>) -> Worth<'a> {
    match told.gone {
        _ if !told.codes.is_empty() || !told.more.is_empty() => Worth::Now,
        true => Worth::Presence(of.jid.as_str(), Change::Goes),
        false if told.comes => Worth::Presence(of.jid.as_str(), Change::Comes),
        false => Worth::Presence(of.jid.as_str(), Change::Stays),
    }
}

fn hand_presence(engine: &mut Engine, of: &Occupant, to: &Seat, text: &str, worth: Worth<'_>) {
    hand(engine, &Jid::from(&of.jid), to, text, None, worth);
}

/// Hands a stanza of the room, which has no `to` yet, to one device.
pub fn hand(
    engine: &mut Engine,
    from: &Jid<'_>,
    to: &Seat,
    text: &str,
    ticket: Option<Ticket>,
    worth: Worth<'_>,
) {
    if is_blocked(engine, to, from) {
        return;
    }
    let delivery = Delivery::of(from.bare()).behind(ticket).worth(worth);
    engine.deliver(to.session, delivery, |out| copy(out, text, &to.to));
}

/// XEP-0191 §3.3: whoever blocks a room or an occupant hears nothing of it. Most block nobody.
fn is_blocked(engine: &Engine, to: &Seat, from: &Jid<'_>) -> bool {
    engine
        .user_of(to.session)
        .is_some_and(|user| !user.blocklist.is_empty() && user.blocks(from))
}

/// The shared text with a recipient's own head: what stands before the first attribute, the `to`, and the rest.
fn copy(out: &mut Vec<u8>, text: &str, to: &str) {
    let name = match text.as_bytes().get(1) {
        Some(b'm') => "<message".len(),
        Some(b'i') => "<iq".len(),
        _ => "<presence".len(),
    };
    out.extend_from_slice(&text.as_bytes()[..name]);
    out.extend_from_slice(to.as_bytes());
    out.extend_from_slice(&text.as_bytes()[name..]);
}

/// What others may see of the presence of somebody who comes or is here: with the hash of their picture (XEP-0398 §4 names joins).
pub fn said_in(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>) -> Said {
    let stamp = engine.stamp(session, stanza.xml.root());
    occupant::said(stanza, &stamp.append)
}

/// XEP-0398 §8: a picture tells who somebody is, so who does not see that is not told of it by the server.
fn without_photo<'t>(occupant: &Occupant, said: &'t str) -> &'t str {
    let photo = occupant.shown().photo.as_deref();
    photo
        .and_then(|photo| said.strip_suffix(photo))
        .unwrap_or(said)
}
