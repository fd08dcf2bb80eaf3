//! XEP-0045: Multi-User Chat, and what stands on it. A service of its own: the table hands what is for its host to [`take`] below.
//!
//! | file | what it is |
//! |---|---|
//! | `room.rs` | one room in memory, and all of them |
//! | `lists.rs`, `notes.rs` | who is something in it; what it remembers of others |
//! | `occupant.rs` | who is in a room, with a seat for each device |
//! | `roles.rs` | the tables of privileges |
//! | `enter.rs`, `introduce.rs`, `change.rs`, `leave.rs` | coming, being there under a nickname, going |
//! | `presence.rs` | how all that is told |
//! | `message.rs`, `private.rs`, `subject.rs` | what is said to all, to one, and what the room is about |
//! | `absent.rs` | who is not there to hear it |
//! | `history.rs`, `archive.rs`, `retraction.rs`, `moderation.rs` | what was said before, and what was taken back |
//! | `iq.rs` | where requests go |
//! | `admin.rs`, `affiliation.rs` | lists, kicks, bans; and what follows from a change |
//! | `owner.rs`, `config.rs` | configuration, and its form |
//! | `invite.rs`, `register.rs`, `voice.rs` | invitations, membership, voice |
//! | `disco.rs`, `about.rs`, `search.rs` | what is found of rooms |
//! | `people.rs` | a room's people in one answer |
//! | `mentions.rs`, `mention_rules.rs` | whom a message mentions, and who may do that |
//! | `hats.rs`, `tokens.rs`, `versions.rs`, `card.rs`, `activity.rs` | what else stands on it |
//! | `operations.rs` | what an administrator of the server does, by whichever door |
//!
//! An input takes a room out of [`room::Rooms`], changes it, and puts it back: no two hold one at once.

mod about;
mod absent;
mod activity;
mod admin;
mod affiliation;
mod archive;
mod card;
mod change;
pub mod config;
mod disco;
mod enter;
mod hats;
mod history;
mod introduce;
mod invite;
mod iq;
mod leave;
mod lists;
pub mod mention_rules;
mod mentions;
mod message;
mod moderation;
mod notes;
mod occupant;
pub mod operations;
mod owner;
mod people;
mod presence;
mod private;
mod register;
mod retraction;
pub mod roles;
mod room;
mod search;
mod subject;
mod tokens;
mod versions;
mod voice;

use crate::engine::Engine;
use crate::engine::feature::{Answer, Feature, Step};
use crate::engine::service::Service;
use crate::engine::session::SessionId;
use crate::xmpp::{Condition, Jid, Kind, PresenceType, Stanza, StanzaError};
use presence::Told;
use room::Rooms;

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0045",
    title: "Multi-User Chat",
    leaves_out: "occupants of other servers; contact addresses, logs and nodes in what is found of a room (§16.5.4); messages that wait for approval (§18.1)",
    service: Some(Service {
        host: |config| config.rooms.enabled.then(|| config.rooms_host()),
        name: "Rooms",
        take,
    }),
    wanted: Some(|config| config.rooms.enabled),
    one_occupant: Some(are_one_occupant),
    presence_out: Some(goes_offline),
    ended: Some(|engine, session| leave::leave_all(engine, session, "")),
    stopping: Some(stop),
    tick: Some(tick),
    account_deleted: Some(forget_account),
    reopened: Some(write_again),
    ..Feature::NONE
};

/// What stands on rooms, each in a file of this folder.
pub const SELF_PING: Feature = extension("XEP-0410", "MUC Self-Ping (Schrödinger's Chat)");
/// `room.rs`
pub const OCCUPANT_ID: Feature =
    extension("XEP-0421", "Occupant Identifiers for Semi-Anonymous MUCs");
/// What one client says to another: relayed like any message.
pub const DIRECT_INVITATIONS: Feature = extension("XEP-0249", "Direct MUC Invitations");
/// `moderation.rs`
pub const MODERATION: Feature = extension("XEP-0425", "Moderated Message Retraction");
/// `hats.rs`
pub const HATS: Feature = extension("XEP-0317", "Hats");
/// `versions.rs`
pub const VERSIONS: Feature = extension("XEP-0463", "MUC Affiliations Versioning");
/// `card.rs`
pub const AVATARS: Feature = extension("XEP-0486", "MUC Avatars");
/// `tokens.rs`
pub const TOKENS: Feature = extension("XEP-0488", "MUC Token Invite");
/// `message.rs`
pub const SLOW_MODE: Feature = extension("XEP-0500", "MUC Slow Mode");
/// `activity.rs`
pub const ACTIVITY: Feature = extension("XEP-0502", "MUC Activity Indicator");
/// `search.rs`
pub const SEARCH: Feature = extension("XEP-0433", "Extended Channel Search");
/// `mentions.rs`
pub const MENTIONS: Feature = extension("XEP-0452", "MUC Mention Notifications");
/// `mentions.rs`
pub const EXPLICIT_MENTIONS: Feature = Feature {
    leaves_out: "spaces, which there are none of, and mentions of whole servers",
    ..extension("XEP-0513", "Explicit Mentions")
};

const fn extension(spec: &'static str, title: &'static str) -> Feature {
    Feature {
        spec,
        title,
        wanted: Some(|config| config.rooms.enabled),
        ..Feature::NONE
    }
}

/// A stanza of a session for the service.
fn take(
    engine: &mut Engine,
    session: SessionId,
    stanza: &Stanza<'_>,
) -> Result<Answer, StanzaError> {
    let Some(to) = &stanza.to else {
        return Err(Condition::BadRequest.into());
    };
    match (stanza.kind, to.local()) {
        (Kind::Iq, _) => iq::take(engine, session, stanza, to),
        (Kind::Presence, Some(name)) => {
            if let Err(error) = enter::take(engine, session, stanza, name, to.resource()) {
                enter::refuse(engine, session, stanza, &error);
            }
            Ok(Answer::Later)
        }
        (Kind::Message, Some(name)) => {
            message::take(engine, session, stanza, name, to.resource())?;
            Ok(Answer::Later)
        }
        // The service itself talks with nobody.
        (Kind::Presence, None) => Ok(Answer::Later),
        (Kind::Message, None) => Err(Condition::ServiceUnavailable.into()),
    }
}

/// §7.2.8: whether two devices of somebody are in a room under one nick.
fn are_one_occupant(
    engine: &mut Engine,
    one: SessionId,
    other: SessionId,
    room: &Jid<'_>,
) -> Option<bool> {
    engine
        .service_at(room)
        .filter(|service| service.name == "Rooms")?;
    let room = engine.memory::<Rooms>().get(room.local()?)?;
    let place = |session| room.seat_of(session).map(|(place, _)| place);
    let own = place(one)?;
    Some(place(other) == Some(own))
}

/// §7.14: who becomes unavailable leaves all rooms, with what they say last.
fn goes_offline(engine: &mut Engine, session: SessionId, stanza: &Stanza<'_>) -> Step {
    let gone = stanza.presence_type() == Some(PresenceType::Unavailable);
    if gone && stanza.to.is_none() {
        leave::leave_all(engine, session, &occupant::said(stanza, "").all);
    }
    Step::Continue
}

/// §11.2: the service ends, and says so to everybody.
fn stop(engine: &mut Engine) {
    let rooms = engine.memory::<Rooms>();
    let names: Vec<String> = rooms
        .loaded()
        .map(|room| room.record.name.clone())
        .collect();
    for name in names {
        let outcome = room::visit(engine, &name, |engine, room| {
            let told = Told {
                gone: true,
                codes: &[332],
                ..Told::default()
            };
            owner::expel_all(engine, room, &told);
            Ok(())
        });
        if outcome.is_err() {
            log::error!("the room {name} did not end in order");
        }
    }
}

/// The store was opened again and lost what was not committed: of rooms in which somebody is, it gets what they are.
fn write_again(engine: &mut Engine) {
    let rooms = engine.memory::<Rooms>();
    let names: Vec<String> = rooms
        .loaded()
        .filter(|room| room.kept)
        .map(|room| room.record.name.clone())
        .collect();
    for name in names {
        let outcome = room::visit(engine, &name, |engine, room| Ok(room.write_again(engine)?));
        if let Err(error) = outcome {
            log::error!(
                "the room {name} could not be written again: {}",
                error.condition.name()
            );
        }
    }
}

fn tick(engine: &mut Engine) {
    change::tell_untold(engine);
    let now_ms = engine.now.mono_ms;
    engine.memory::<Rooms>().forget_idle(now_ms);
}

/// An account goes: what it was in rooms goes with it, where it was not banned (HOLES 17). In rooms that are not in memory it is left out when they are read.
fn forget_account(engine: &mut Engine, name: &str) {
    let jid = engine.bare_jid(name);
    let rooms = engine.memory::<Rooms>();
    let names: Vec<String> = rooms
        .loaded()
        .filter(|room| {
            room.people.contains_key(jid.as_str())
                || room.left.contains_key(jid.as_str())
                || room.notes.iter().any(|note| note.jid == jid.as_str())
        })
        .map(|room| room.record.name.clone())
        .collect();
    for name in names {
        let outcome = room::visit(engine, &name, |engine, room| {
            affiliation::forget(engine, room, jid.as_str())
        });
        if let Err(error) = outcome {
            log::error!(
                "{jid} could not be taken out of the room {name}: {}",
                error.condition.name()
            );
        }
    }
}
