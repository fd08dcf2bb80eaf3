//! XEP-0488: invitations for whoever has them: a secret that makes a member of who enters with it.

use super::affiliation::{self, By, Change};
use super::iq::Asks;
use super::roles::{Right, Role, has};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::{Affiliation, InviteToken};
use crate::xml::{Writer, written};
use crate::xmpp::{Condition, ErrorType, Jid, StanzaError};

/// The namespace.
pub const NS: &str = "urn:xmpp:muc-token-invite:0";

/// A request of the namespace.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let from = Jid::from(&asks.stanza.from);
    // §7: moderators see and revoke what others have given out.
    let role = room.seat_of(asks.session);
    let role = role.map(|(place, _)| room.occupants[place].role);
    let all = room.allows(engine, &from, Right::Members) || role == Some(Role::Moderator);
    if !all && !may_give(engine, room, &from) {
        return Err(Condition::Forbidden.into());
    }
    let own = asks.stanza.from.bare().to_owned();
    let now_ms = engine.now.wall_ms;
    match (asks.payload.name(), asks.is_set) {
        ("request", true) => {
            let number = |name| {
                asks.payload
                    .attr(name)
                    .map(|text| text.trim().parse::<u32>())
            };
            if !may_give(engine, room, &from) {
                return Err(Condition::Forbidden.into());
            }
            let (uses, seconds) = match (number("counter").transpose(), number("delay").transpose())
            {
                (Ok(uses), Ok(seconds)) => (uses, seconds.unwrap_or(limits::ROOM_TOKEN_SECONDS)),
                _ => return Err(Condition::BadRequest.into()),
            };
            room.record.tokens.retain(|token| is_good(token, now_ms));
            if room.record.tokens.len() >= limits::ROOM_TOKENS {
                return Err(Condition::ResourceConstraint.into());
            }
            let token = InviteToken {
                token: engine.random.id(),
                by: own,
                uses,
                // §7: none is good for ever.
                until_ms: Some(now_ms + u64::from(seconds.min(limits::ROOM_TOKEN_SECONDS)) * 1000),
            };
            room.record.tokens.push(token.clone());
            room.keep(engine)?;
            Ok(Answer::Payload(written(|out| {
                write(out, &token, now_ms, true)
            })))
        }
        ("tokens", false) => Ok(Answer::Payload(written(|out| {
            out.start("tokens").attr("xmlns", NS);
            for token in &room.record.tokens {
                if is_good(token, now_ms) && (all || token.by == own) {
                    write(out, token, now_ms, false);
                }
            }
            out.end();
        }))),
        ("revoke", true) => {
            let text = asks.payload.text().trim().to_owned();
            let before = room.record.tokens.len();
            room.record
                .tokens
                .retain(|token| token.token != text || !(all || token.by == own));
            if room.record.tokens.len() == before {
                return Err(Condition::ItemNotFound.into());
            }
            room.keep(engine)?;
            Ok(Answer::Empty)
        }
        _ => Err(Condition::BadRequest.into()),
    }
}

/// §7: who may make members; others where members may invite.
fn may_give(engine: &Engine, room: &Room, who: &Jid<'_>) -> bool {
    let affiliation = room.affiliation(engine, who);
    has(affiliation, Right::Members)
        || (affiliation == Affiliation::Member && room.record.config.allow_invites)
}

/// Whether a password was a token, which then has made a member. One that has expired is said so (§3.5), and so is one of who may give none any more.
pub fn redeem(
    engine: &mut Engine,
    room: &mut Room,
    who: &Jid<'_>,
    text: &str,
) -> Result<bool, StanzaError> {
    let now_ms = engine.now.wall_ms;
    let known = |token: &InviteToken| {
        crate::auth::same_in_constant_time(token.token.as_bytes(), text.as_bytes())
    };
    let Some(place) = room.record.tokens.iter().position(known) else {
        return Ok(false);
    };
    let token = &room.record.tokens[place];
    let giver = Jid::parse(&token.by).is_ok_and(|giver| may_give(engine, room, &giver));
    if !giver || !is_good(token, now_ms) {
        return Err(StanzaError::from(Condition::NotAuthorized)
            .kind(ErrorType::Auth)
            .app(format!("<expired-token xmlns='{NS}'/>")));
    }
    if let Some(uses) = &mut room.record.tokens[place].uses {
        *uses -= 1;
    }
    room.keep(engine)?;
    let change = Change {
        jid: who.bare().to_owned(),
        to: Affiliation::Member,
        nick: None,
        reason: None,
    };
    let news = affiliation::apply(engine, room, vec![change], By::default())?;
    affiliation::tell_without_inviting(engine, room, news, By::default());
    Ok(true)
}

fn is_good(token: &InviteToken, now_ms: u64) -> bool {
    token.uses != Some(0) && token.until_ms.is_none_or(|until| now_ms < until)
}

fn write(out: &mut Writer<'_>, token: &InviteToken, now_ms: u64, alone: bool) {
    out.start("token").attr_opt("xmlns", alone.then_some(NS));
    if let Some(until) = token.until_ms {
        out.attr("delay", &(until.saturating_sub(now_ms) / 1000).to_string());
    }
    if let Some(uses) = token.uses {
        out.attr("counter", &uses.to_string());
    }
    out.text(&token.token).end();
}
