//! XEP-0045 §8.2 to §8.5, §9, §10.3 to §10.8: lists of roles and affiliations, read and changed, with kicks and bans.

use super::affiliation::{self, By, Change};
use super::iq::Asks;
use super::occupant;
use super::roles::{self, Denied, Right, Role, Standing, affiliation_name, affiliation_named, has};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::Affiliation;
use crate::xml::{Element, Writer, written};
use crate::xmpp::{Condition, Jid, StanzaError, ns};
use std::borrow::Cow;

impl From<Denied> for StanzaError {
    fn from(denied: Denied) -> StanzaError {
        match denied {
            Denied::Forbidden => Condition::Forbidden.into(),
            Denied::NotAllowed => Condition::NotAllowed.into(),
        }
    }
}

/// A request of the namespace `muc#admin`.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let from = Jid::from(&asks.stanza.from);
    let place = room.seat_of(asks.session).map(|(place, _)| place);
    let own = Standing {
        affiliation: room.affiliation(engine, &from),
        role: place.map(|place| room.occupants[place].role),
    };
    let items: Vec<Element<'_>> = asks
        .payload
        .children()
        .filter(|child| child.is(ns::MUC_ADMIN, "item"))
        .take(limits::ROOM_ITEMS + 1)
        .collect();
    if items.is_empty() || items.len() > limits::ROOM_ITEMS {
        return Err(Condition::BadRequest.into());
    }
    if asks.is_set {
        return change(engine, room, asks, own, &items);
    }
    let [item] = items[..] else {
        return Err(Condition::BadRequest.into());
    };
    list(engine, room, own, item)
}

/// A list: of occupants by role (§8.5, §9.8), of people by affiliation (§9.2, §9.5, §10.5, §10.8).
fn list(
    engine: &Engine,
    room: &Room,
    own: Standing,
    item: Element<'_>,
) -> Result<Answer, StanzaError> {
    let (role, affiliation) = (item.attr("role"), item.attr("affiliation"));
    let payload = match (role, affiliation) {
        (Some(role), None) => {
            let role = Role::named(&role).ok_or(Condition::BadRequest)?;
            // §8: a moderator; §9.8: for the list of moderators, an admin.
            let may = own.role == Some(Role::Moderator) || has(own.affiliation, Right::Moderators);
            if !may {
                return Err(Condition::Forbidden.into());
            }
            written(|out| {
                out.start("query").attr("xmlns", ns::MUC_ADMIN);
                for one in room.occupants.iter().filter(|one| one.role == role) {
                    out.start("item")
                        .attr("affiliation", affiliation_name(one.affiliation))
                        .attr("jid", one.shown().jid.as_str())
                        .attr("nick", &one.nick)
                        .attr("role", one.role.name())
                        .end();
                }
                out.end();
            })
        }
        (None, Some(affiliation)) => {
            let wanted = affiliation_named(&affiliation).filter(|one| *one != Affiliation::None);
            let wanted = wanted.ok_or(Condition::BadRequest)?;
            check_list(room, own, wanted)?;
            let those = room.listed(engine, wanted)?;
            written(|out| {
                out.start("query").attr("xmlns", ns::MUC_ADMIN);
                for one in &those {
                    out.start("item")
                        .attr("affiliation", affiliation_name(wanted))
                        .attr("jid", &one.jid)
                        .attr_opt("nick", one.nick.as_deref());
                    write_reason(out, one.reason.as_deref());
                    out.end();
                }
                out.end();
            })
        }
        _ => return Err(Condition::BadRequest.into()),
    };
    Ok(Answer::Payload(payload))
}

fn write_reason(out: &mut Writer<'_>, reason: Option<&str>) {
    if let Some(reason) = reason {
        out.leaf("reason", reason);
    }
}

/// Who may see which list (HOLES 17): outcasts are for admins; members for those whom the configuration names; admins and owners for owners, and where JIDs
/// are no secret for whoever may see the members (§10.5, §10.8).
fn check_list(room: &Room, own: Standing, wanted: Affiliation) -> Result<(), StanzaError> {
    let open = affiliation::may_list(room, own.affiliation, own.role);
    let may = match wanted {
        Affiliation::Outcast => has(own.affiliation, Right::Members),
        Affiliation::Member => open,
        Affiliation::Admin | Affiliation::Owner => {
            has(own.affiliation, Right::Admins) || (room.record.config.non_anonymous && open)
        }
        Affiliation::None => false,
    };
    match may {
        true => Ok(()),
        false => Err(Condition::Forbidden.into()),
    }
}

/// One item of a change, checked.
enum Wish {
    /// An occupant's role; `None` is a kick.
    Role {
        nick: String,
        to: Option<Role>,
        reason: Option<String>,
    },
    Affiliation(Change),
}

/// Changes: all that was asked, or nothing (§9.2).
fn change(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
    own: Standing,
    items: &[Element<'_>],
) -> Result<Answer, StanzaError> {
    let mut wishes = Vec::new();
    for item in items {
        match wish(engine, room, asks, own, *item) {
            Ok(wish) => wishes.push(wish),
            // §8.4, §9.7: with the item that it is about.
            Err(error) if error.condition == Condition::NotAllowed => {
                let part = written(|out| {
                    out.start("query").attr("xmlns", ns::MUC_ADMIN);
                    out.raw(&item.standalone()).end();
                });
                engine.refuse_with(asks.session, asks.stanza, &part, &error);
                return Ok(Answer::Later);
            }
            Err(error) => return Err(error),
        }
    }
    let mut kicks = Vec::new();
    let mut turns = Vec::new();
    let mut changes = Vec::new();
    for wish in wishes {
        match wish {
            Wish::Role {
                nick,
                to: None,
                reason,
            } => kicks.push((nick, reason)),
            Wish::Role {
                nick,
                to: Some(role),
                reason,
            } => turns.push((nick, role, reason)),
            Wish::Affiliation(change) => changes.push(change),
        }
    }
    affiliation::check_together(room, &changes)?;
    let nick = asks.by(room);
    let jid = asks.stanza.from.bare().to_owned();
    let by = By {
        nick: nick.as_deref(),
        jid: Some(&jid),
    };
    let before = engine.store.ticket();
    let news = affiliation::apply(engine, room, changes, by)?;
    let mut kicked = Vec::new();
    for (nick, reason) in kicks {
        if let Some(place) = room.called(&nick) {
            kicked.push(affiliation::expel(engine, room, place, &[307], by, reason));
        }
    }
    // §8.2: first those who go, then who sent them, then the others.
    engine.respond(asks.session, asks.stanza, None, before);
    for one in &kicked {
        affiliation::tell_removed(engine, room, one, by, "");
    }
    for (nick, role, reason) in turns {
        if let Some(place) = room.called(&nick) {
            affiliation::set_role(engine, room, place, role, reason.as_deref());
            room.remember_voice(engine, place);
            affiliation::tell_standing(engine, room, place, by, reason.as_deref());
        }
    }
    affiliation::tell(engine, room, news, by);
    Ok(Answer::Later)
}

fn wish(
    engine: &Engine,
    room: &Room,
    asks: &Asks<'_, '_>,
    own: Standing,
    item: Element<'_>,
) -> Result<Wish, StanzaError> {
    let reason = affiliation::reason(item, ns::MUC_ADMIN)?.map(Cow::into_owned);
    let nick = item.attr("nick");
    match (item.attr("role"), item.attr("affiliation")) {
        (Some(role), None) => {
            let to = match &*role {
                "none" => None,
                name => Some(Role::named(name).ok_or(Condition::BadRequest)?),
            };
            let nick = nick.ok_or(Condition::BadRequest)?;
            // §8: not even that there is nobody is for everybody to know.
            if own.role != Some(Role::Moderator) && !has(own.affiliation, Right::Moderators) {
                return Err(Condition::Forbidden.into());
            }
            let place = room.called(&nick).ok_or(Condition::ItemNotFound)?;
            let by = Standing {
                // Who looks after the room may do it from outside.
                role: own.role.or(Some(Role::Moderator)),
                ..own
            };
            roles::check_role(by, room.occupants[place].standing(), to)?;
            Ok(Wish::Role {
                nick: nick.into_owned(),
                to,
                reason,
            })
        }
        (None, Some(affiliation)) => {
            let to = affiliation_named(&affiliation).ok_or(Condition::BadRequest)?;
            if !has(own.affiliation, Right::Members) {
                return Err(Condition::Forbidden.into());
            }
            let jid = match (item.attr("jid"), &nick) {
                (Some(jid), _) => {
                    let jid = Jid::parse(jid.trim());
                    let jid = jid.map_err(|_| StanzaError::from(Condition::JidMalformed))?;
                    jid.bare().to_owned()
                }
                // Some clients name an occupant.
                (None, Some(nick)) => {
                    let place = room.called(nick).ok_or(Condition::ItemNotFound)?;
                    room.occupants[place].bare.as_str().to_owned()
                }
                (None, None) => return Err(Condition::BadRequest.into()),
            };
            let nick = match item.attr("jid") {
                Some(_) => nick.map(|nick| nick.into_owned()),
                None => None,
            };
            checked(engine, room, asks, own, jid, to, nick, reason)
        }
        // §17.4: one or the other.
        _ => Err(Condition::BadRequest.into()),
    }
}

#[expect(clippy::too_many_arguments, reason = "the parts of one item")]
fn checked(
    engine: &Engine,
    room: &Room,
    asks: &Asks<'_, '_>,
    own: Standing,
    jid: String,
    to: Affiliation,
    nick: Option<String>,
    reason: Option<String>,
) -> Result<Wish, StanzaError> {
    let parsed = Jid::parse(&jid).map_err(|_| StanzaError::from(Condition::JidMalformed))?;
    // A domain can be banned (§9.2), and be nothing else.
    if parsed.local().is_none() && to > Affiliation::None {
        return Err(Condition::NotAcceptable.into());
    }
    let from = match parsed.local() {
        Some(_) => room.affiliation(engine, &parsed),
        None => room
            .people
            .get(jid.as_str())
            .map_or(Affiliation::None, |one| one.affiliation),
    };
    roles::check_affiliation(own.affiliation, from, to)?;
    // §9.1: nobody bans themselves, by whatever address covers them.
    let own_jid = &asks.stanza.from;
    if to == Affiliation::Outcast && (jid == own_jid.bare() || jid == own_jid.domain()) {
        return Err(Condition::Conflict.into());
    }
    if let Some(nick) = nick.as_deref().filter(|nick| !nick.is_empty()) {
        let key = occupant::key(nick);
        let valid = nick.len() <= limits::NICK_BYTES && !key.is_empty();
        if !valid || room.jid.with_resource(nick).is_err() {
            return Err(Condition::NotAcceptable.into());
        }
        if room.reserved_by(&key).is_some_and(|other| other != jid) {
            return Err(Condition::Conflict.into());
        }
    }
    Ok(Wish::Affiliation(Change {
        jid,
        to,
        nick,
        reason,
    }))
}
