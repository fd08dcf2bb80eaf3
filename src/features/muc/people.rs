//! The people of a room in pages (XEP-0059): who belongs to it and who is in it, with role, hats, nickname, presence and when they were last active, for those
//! who may see the list of members. An extension of snug's own; the README has an example.
//!
//! `<people xmlns='urn:snug:room-people:0'><person jid='' nick='' affiliation='' role='' active=''>presence, hats</person></people>`: `nick` is the nickname
//! in the room, or the registered one; `role` and the presence are there for who is in the room; `active` is a time of XEP-0082, of who is not in the room
//! the time that they were last active in it, as long as the room is in memory.

use super::affiliation;
use super::iq::Asks;
use super::roles::{Right, Role, affiliation_name, has};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::{Account, Affiliation, StoreError};
use crate::xml::{Writer, written};
use crate::xmpp::{Condition, Jid, Page, PageRequest, StanzaError, ns, time};
use std::collections::HashSet;

/// The namespace of the question.
pub const NS: &str = "urn:snug:room-people:0";

/// One row of the people of a room.
struct Person<'r> {
    key: Key,
    nick: Option<&'r str>,
    affiliation: Affiliation,
    role: Option<&'static str>,
    said: Option<&'r str>,
    active_ms: Option<u64>,
    hats: Box<str>,
}

/// The order of the rows: by account, then by domain, then by nickname, since a person may be here under several.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    local: String,
    domain: String,
    nick: String,
}

/// The request, of a page or of the first one.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let from = Jid::from(&asks.stanza.from);
    let own = room.affiliation(engine, &from);
    let place = room.seat_of(asks.session).map(|(place, _)| place);
    let role = place.map(|place| room.occupants[place].role);
    if !affiliation::may_list(room, own, role) {
        return Err(Condition::Forbidden.into());
    }
    let asked = PageRequest::of(&asks.payload)?;
    let page = asked.clone().unwrap_or_default();
    if page.index.is_some() {
        return Err(StanzaError::text(
            Condition::FeatureNotImplemented,
            "people are listed from one to the next",
        ));
    }
    let here: HashSet<&str> = room.occupants.iter().map(|one| one.bare.as_str()).collect();
    let all = has(own, Right::Members) || role == Some(Role::Moderator);
    let mut rows: Vec<Person<'_>> = (0..room.occupants.len())
        .filter(|here| all || Some(*here) == place || room.shows(room.occupants[*here].role))
        .map(|here| present(room, here))
        .collect();
    let belonging = room.people.values().filter(|one| {
        one.affiliation > Affiliation::None
            || (has(own, Right::Members) && one.affiliation != Affiliation::None)
    });
    rows.extend(
        belonging
            .filter(|one| !here.contains(one.jid.as_str()))
            .map(|one| absent(room, &one.jid, one.affiliation)),
    );
    let most = page.max.unwrap_or(limits::ROOM_PAGE).min(limits::ROOM_PAGE);
    if room.record.everyone {
        rows.extend(accounts(engine, room, &here, &page, most + 1)?);
    }
    rows.sort_by(|one, other| one.key.cmp(&other.key));
    // Of a room of everybody the whole is not counted: that would be one read for each account.
    let count = (!room.record.everyone).then_some(rows.len() as u64);
    let whole = rows.len();
    let (first, rows) = cut(rows, &page, most);
    let is_part = asked.is_some() || rows.len() < whole;
    let ends = rows.first().zip(rows.last());
    let ends = ends.map(|(first, last)| (first.key.id(), last.key.id()));
    let told = Page {
        ends: ends.as_ref().map(|(first, last)| (&**first, &**last)),
        index: count.map(|_| first as u64),
        count,
    };
    let payload = written(|out| {
        out.start("people").attr("xmlns", NS);
        rows.iter().for_each(|row| write(out, row));
        if is_part {
            told.write(out);
        }
        out.end();
    });
    Ok(Answer::Payload(payload))
}

fn present(room: &Room, place: usize) -> Person<'_> {
    let one = &room.occupants[place];
    Person {
        key: Key::of(one.bare.as_str(), &one.nick),
        nick: Some(&one.nick),
        affiliation: one.affiliation,
        role: Some(one.role.name()),
        said: Some(&one.shown().said),
        active_ms: Some(one.active_ms),
        hats: one.hats.clone(),
    }
}

fn absent<'r>(room: &'r Room, jid: &str, affiliation: Affiliation) -> Person<'r> {
    let known = room.people.get(jid);
    Person {
        key: Key::of(jid, ""),
        nick: known.and_then(|one| one.nick.as_deref()),
        affiliation,
        role: None,
        said: None,
        active_ms: room.left.get(jid).copied(),
        hats: room.hats_of(jid),
    }
}

/// The accounts of the server that are members of a room of everybody and nothing else in it: as many as a page needs, on its side of where it begins.
fn accounts<'r>(
    engine: &Engine,
    room: &'r Room,
    here: &HashSet<&str>,
    page: &PageRequest,
    most: usize,
) -> Result<Vec<Person<'r>>, StoreError> {
    let person = |account: Account| {
        let jid = engine.bare_jid(&account.name);
        let implied = room.implied(jid.as_str(), &account);
        let implied = implied.filter(|_| !here.contains(jid.as_str()));
        implied.map(|affiliation| absent(room, jid.as_str(), affiliation))
    };
    let from = |id: &Option<String>| id.as_deref().map(Key::named).unwrap_or_default();
    let mut found = Vec::new();
    let mut keep = |account: Result<_, StoreError>, beyond: &dyn Fn(&Key) -> bool| {
        found.extend(person(account?).filter(|row| beyond(&row.key)));
        Ok::<bool, StoreError>(found.len() >= most)
    };
    if page.is_backward() {
        let before = from(&page.before);
        for account in engine.store.accounts_back_from(&before.local)? {
            if keep(account, &|key| before.local.is_empty() || *key < before)? {
                break;
            }
        }
    } else {
        let after = from(&page.after);
        for account in engine.store.accounts_from(&after.local)? {
            if keep(account, &|key| *key > after)? {
                break;
            }
        }
    }
    Ok(found)
}

/// The rows of a page, and the place of the first in the whole.
fn cut<'r>(mut rows: Vec<Person<'r>>, page: &PageRequest, most: usize) -> (usize, Vec<Person<'r>>) {
    // Who is gone meanwhile still has a place in the order: nobody is left out by that.
    let (first, last) = match &page.before {
        Some(before) => {
            let end = match before.as_str() {
                "" => rows.len(),
                before => rows.partition_point(|row| row.key < Key::named(before)),
            };
            (end.saturating_sub(most), end)
        }
        None => {
            let after = page.after.as_deref().map(Key::named);
            let first = after.map_or(0, |after| rows.partition_point(|row| row.key <= after));
            (first, rows.len().min(first.saturating_add(most)))
        }
    };
    rows.truncate(last);
    rows.drain(..first);
    (first, rows)
}

impl Default for Key {
    fn default() -> Key {
        Key::of("", "")
    }
}

impl Key {
    fn of(jid: &str, nick: &str) -> Key {
        let (local, domain) = jid.split_once('@').unwrap_or(("", jid));
        Key {
            local: local.to_owned(),
            domain: domain.to_owned(),
            nick: nick.to_owned(),
        }
    }

    /// Out of the id of a page. No bare JID has a space.
    fn named(id: &str) -> Key {
        let (jid, nick) = id.split_once(' ').unwrap_or((id, ""));
        Key::of(jid, nick)
    }

    fn jid(&self) -> String {
        match self.local.as_str() {
            "" => self.domain.clone(),
            local => format!("{local}@{}", self.domain),
        }
    }

    fn id(&self) -> String {
        match self.nick.as_str() {
            "" => self.jid(),
            nick => format!("{} {nick}", self.jid()),
        }
    }
}

fn write(out: &mut Writer<'_>, person: &Person<'_>) {
    let active = person.active_ms.map(time::format);
    out.start("person")
        .attr("affiliation", affiliation_name(person.affiliation))
        .attr("jid", &person.key.jid())
        .attr_opt("nick", person.nick)
        .attr_opt("role", person.role)
        .attr_opt("active", active.as_deref());
    if let Some(said) = person.said {
        out.start("presence")
            .attr("xmlns", ns::CLIENT)
            .raw(said)
            .end();
    }
    out.raw(&person.hats).end();
}
