//! XEP-0488: invitations for whoever has them: a secret that makes a member of who enters with it.

use super::iq::Asks;
use super::roles::{Right, has};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::{Affiliated, Affiliation, InviteToken};
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
    let affiliation = room.affiliation(engine, &Jid::from(&asks.stanza.from));
    let all = has(affiliation, Right::Members);
    // §3: who may make members; others where members may invite.
    let invites = affiliation == Affiliation::Member && room.record.config.allow_invites;
    if !all && !invites {
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
            let (uses, seconds) = match (number("counter").transpose(), number("delay").transpose())
            {
                (Ok(uses), Ok(seconds)) => (uses, seconds),
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
                until_ms: seconds.map(|seconds| now_ms + u64::from(seconds) * 1000),
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

/// Whether a password was a token, which then has made a member. One that has expired is said so (§4).
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
    let token = &mut room.record.tokens[place];
    if !is_good(token, now_ms) {
        return Err(StanzaError::from(Condition::NotAuthorized)
            .kind(ErrorType::Auth)
            .app(format!("<expired-token xmlns='{NS}'/>")));
    }
    let mut one = match room.people.get(who.bare()) {
        Some(one) => one.clone(),
        None => Affiliated::new(who.bare(), Affiliation::Member),
    };
    one.affiliation = Affiliation::Member;
    if let Some(uses) = &mut token.uses {
        *uses -= 1;
    }
    room.affiliate(engine, one)?;
    room.keep(engine)?;
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
