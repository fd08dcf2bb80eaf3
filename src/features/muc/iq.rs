//! XEP-0045 §17.4: requests for the service, for a room, and through a room for an occupant.

use super::room::{self, Room};
use super::{
    about, admin, archive, card, disco, hats, mention_rules, moderation, owner, people, presence,
    register, search, tokens,
};
use crate::engine::Engine;
use crate::engine::delivery::Worth;
use crate::engine::feature::Answer;
use crate::engine::session::SessionId;
use crate::store::DocumentKind;
use crate::xml::{Element, Writer, written};
use crate::xmpp::{Condition, ErrorType, IqType, Jid, Stanza, StanzaError, ns};

/// A request for a room.
pub struct Asks<'s, 'a> {
    /// The stanza.
    pub stanza: &'s Stanza<'a>,
    /// Who asks.
    pub session: SessionId,
    /// Its only child.
    pub payload: Element<'s>,
    /// Whether something shall change.
    pub is_set: bool,
}

impl Asks<'_, '_> {
    /// The nickname of who asks, where they are in the room.
    pub fn by(&self, room: &Room) -> Option<String> {
        let (place, _) = room.seat_of(self.session)?;
        Some(room.occupants[place].nick.to_string())
    }
}

/// An iq for the service, a room or an occupant.
pub fn take(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
    to: &Jid<'_>,
) -> Result<Answer, StanzaError> {
    match (to.local(), to.resource()) {
        (Some(name), Some(nick)) if stanza.asks() => room::visit(engine, name, |engine, room| {
            to_occupant(engine, room, session, stanza, nick)
        }),
        (Some(name), Some(nick)) => {
            answered(engine, session, stanza, name, nick);
            Ok(Answer::Later)
        }
        // Nothing was asked by the room itself.
        _ if !stanza.asks() => Ok(Answer::Later),
        (None, _) => {
            let payload = stanza.payload().ok_or(Condition::BadRequest)?;
            let asks = Asks {
                stanza,
                session,
                payload,
                is_set: stanza.iq_type() == Some(IqType::Set),
            };
            to_service(engine, &asks)
        }
        (Some(name), None) => {
            let payload = stanza.payload().ok_or(Condition::BadRequest)?;
            let asks = Asks {
                stanza,
                session,
                payload,
                is_set: stanza.iq_type() == Some(IqType::Set),
            };
            room::visit(engine, name, |engine, room| to_room(engine, room, &asks))
        }
    }
}

fn to_service(engine: &mut Engine, asks: &Asks<'_, '_>) -> Result<Answer, StanzaError> {
    let payload = asks.payload;
    if asks.is_set {
        return Err(Condition::ServiceUnavailable.into());
    }
    if payload.is(ns::DISCO_INFO, "query") {
        disco::service_info(engine, payload)
    } else if payload.is(ns::DISCO_ITEMS, "query") {
        disco::rooms(engine, payload)
    } else if payload.is(search::NS, "search") {
        search::take(engine, payload)
    } else if payload.is(ns::PING, "ping") {
        Ok(Answer::Empty)
    } else {
        Err(Condition::ServiceUnavailable.into())
    }
}

fn to_room(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let payload = asks.payload;
    let in_room = room.seat_of(asks.session).is_some();
    // §10.1.1: until it is configured it is there for its owner alone; who is banned asks nothing.
    let from = Jid::from(&asks.stanza.from);
    let affiliation = room.affiliation(engine, &from);
    if room.locked && !in_room {
        return Err(Condition::ItemNotFound.into());
    }
    if payload.is_in(ns::MUC_OWNER) && payload.name() == "query" {
        owner::take(engine, room, asks)
    } else if payload.is(ns::MUC_ADMIN, "query") {
        admin::take(engine, room, asks)
    } else if payload.is(ns::REGISTER, "query") {
        register::take(engine, room, asks, affiliation)
    } else if payload.is(ns::VCARD, "vCard") {
        card::take(engine, room, asks)
    } else if payload.is(ns::MODERATION, "moderate") && asks.is_set {
        moderation::take(engine, room, asks)
    } else if payload.is(ns::COMMANDS, "command") && asks.is_set {
        hats::take(engine, room, asks)
    } else if payload.is_in(ns::ARCHIVE) {
        archive::take(engine, room, asks)
    } else if payload.is(ns::MENTIONS, "query") {
        mention_rules::take(engine, room, asks)
    } else if payload.is_in(tokens::NS) {
        tokens::take(engine, room, asks)
    } else if asks.is_set {
        Err(Condition::ServiceUnavailable.into())
    } else if payload.is(ns::DISCO_INFO, "query") {
        about::room_info(engine, room, asks)
    } else if payload.is(ns::DISCO_ITEMS, "query") {
        about::room_items(engine, room, asks)
    } else if payload.is(people::NS, "people") {
        people::take(engine, room, asks)
    } else if payload.is(ns::PING, "ping") {
        Ok(Answer::Empty)
    } else {
        Err(Condition::ServiceUnavailable.into())
    }
}

/// §17.4: to an occupant, whose own address is not revealed, nor the sender's. A ping of oneself is answered at once (XEP-0410 §3.2).
fn to_occupant(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    nick: &str,
) -> Result<Answer, StanzaError> {
    let payload = stanza.payload().ok_or(Condition::BadRequest)?;
    let Some((place, seat)) = room.seat_of(session) else {
        // §6.6: disco from outside.
        let outside = match payload.is_in(ns::DISCO_INFO) || payload.is_in(ns::DISCO_ITEMS) {
            true => Condition::BadRequest,
            false => Condition::NotAcceptable,
        };
        // XEP-0410 §3.1
        return Err(StanzaError::from(outside).kind(match outside {
            Condition::NotAcceptable => ErrorType::Cancel,
            other => other.usual_type(),
        }));
    };
    let to = room.called(nick).ok_or(Condition::ItemNotFound)?;
    if to == place && payload.is(ns::PING, "ping") {
        return Ok(Answer::Empty);
    }
    // RFC 6121 §2.1.6: only an account's server says what stands in its list.
    if payload.is_in(ns::ROSTER) {
        return Err(Condition::ServiceUnavailable.into());
    }
    // XEP-0054: a vCard is the account's, so its server answers; for those who know whose it is.
    let role = room.occupants[place].role;
    if payload.is(ns::VCARD, "vCard")
        && stanza.iq_type() == Some(IqType::Get)
        && (room.reveals_to(role) || to == place)
    {
        let whose = room.occupants[to].bare.clone();
        let id = engine.online_at(&whose).map(|user| user.id);
        let kept = match id {
            Some(id) => engine.store.document(id, DocumentKind::Vcard, "")?,
            None => None,
        };
        let empty = || format!("<vCard xmlns='{}'/>", ns::VCARD);
        return Ok(Answer::Payload(kept.unwrap_or_else(empty)));
    }
    let id = stanza.id.as_deref().unwrap_or_default();
    // The answer comes back with it, and tells to which device: nothing has to be remembered.
    let id = format!("{}:{id}", room.occupants[place].seats[seat].number);
    let kind = match stanza.iq_type() {
        Some(IqType::Set) => "set",
        _ => "get",
    };
    let from = room.occupants[place].jid.clone();
    let seat = room.occupants[to].shown();
    let text = written(|out| {
        iq(out, from.as_str(), &id, kind);
        out.raw(&payload.standalone()).end();
    });
    let from = Jid::from(&from);
    presence::hand(engine, &from, seat, &text, None, Worth::Now);
    Ok(Answer::Later)
}

/// The head, without a `to`: it comes with the seat.
fn iq(out: &mut Writer<'_>, from: &str, id: &str, kind: &str) {
    out.start("iq")
        .attr("from", from)
        .attr("id", id)
        .attr("type", kind);
}

/// An occupant answers a request that came through the room.
fn answered(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>, name: &str, nick: &str) {
    let id = stanza.id.as_deref().unwrap_or_default();
    let Some((number, id)) = id.split_once(':') else {
        return;
    };
    let Ok(number) = number.parse::<u32>() else {
        return;
    };
    // What answers nothing is dropped (RFC 6120 §8.2.3).
    let _ = room::visit(engine, name, |engine, room| {
        let place = room.occupant_of(session)?;
        let Some(to) = room.called(nick) else {
            return Ok(());
        };
        let those = &room.occupants[to].seats;
        let Some(seat) = those.iter().find(|seat| seat.number == number) else {
            return Ok(());
        };
        let from = &room.occupants[place].jid;
        let kind = match stanza.iq_type() {
            Some(IqType::Error) => "error",
            _ => "result",
        };
        let text = written(|out| {
            iq(out, from.as_str(), id, kind);
            for child in stanza.xml.root().children() {
                out.raw(&child.standalone());
            }
            out.end();
        });
        presence::hand(engine, &Jid::from(from), seat, &text, None, Worth::Now);
        Ok(())
    });
}
