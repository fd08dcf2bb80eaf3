//! XEP-0425: a moderator takes back what somebody said: everybody hears of it, and a tombstone stands in its place, however old it is.

use super::archive::{self, Speaker};
use super::iq::Asks;
use super::message;
use super::retraction::{self, Burial};
use super::roles::Act;
use super::room::{self, Room};
use crate::engine::Engine;
use crate::engine::dispatch::Asked;
use crate::engine::feature::Answer;
use crate::limits;
use crate::xml::{Writer, written};
use crate::xmpp::{Condition, StanzaError, ns};

/// `<moderate id=''><retract/><reason/></moderate>`
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let place = room.occupant_of(asks.session)?;
    let moderator = &room.occupants[place];
    if !moderator.role.allows(Act::Moderate) {
        return Err(StanzaError::text(
            Condition::Forbidden,
            "Only moderators are allowed to moderate other participants' messages",
        ));
    }
    if asks.payload.child(ns::RETRACTION, "retract").is_none() {
        return Err(Condition::BadRequest.into());
    }
    let id = asks.payload.attr("id").ok_or(Condition::BadRequest)?;
    let reason = asks
        .payload
        .child(ns::MODERATION, "reason")
        .map(|reason| reason.text().into_owned());
    if reason
        .as_ref()
        .is_some_and(|reason| reason.len() > limits::ROOM_TEXT_BYTES)
    {
        return Err(Condition::NotAcceptable.into());
    }
    let own_id = engine.random.id();
    let inside = |out: &mut Writer<'_>| {
        out.start("moderated")
            .attr("xmlns", ns::MODERATION)
            .attr("by", moderator.jid.as_str());
        out.raw(&message::stamp(&moderator.id)).end();
        if let Some(reason) = &reason {
            out.leaf("reason", reason);
        }
        out.end();
    };
    let retract = written(|out| {
        out.start("retract")
            .attr("xmlns", ns::RETRACTION)
            .attr("id", &id);
        inside(out);
    });
    let burial = Burial {
        id: id.into_owned(),
        author: None,
        retracted: written(|out| {
            retraction::retracted(out, Some(&own_id), engine.now.wall_ms);
            inside(out);
        }),
    };
    let asked = Asked::new(asks.session, asks.stanza);
    let name = room.record.name.clone();
    let message = Announcement {
        id: own_id,
        retract,
    };
    let later = message.clone();
    let then = move |engine: &mut Engine, done: Result<(), StanzaError>| {
        let told =
            done.and_then(|()| room::visit(engine, &name, |engine, room| later.send(engine, room)));
        engine.when_committed(move |engine, fine| {
            let told = match fine {
                true => told.map(|()| None),
                false => Err(Condition::InternalServerError.into()),
            };
            engine.answer(&asked, told);
        });
    };
    match burial.begin(engine, room, asks.session, Box::new(then)) {
        Some(done) => {
            done?;
            message.send(engine, room)?;
            Ok(Answer::Empty)
        }
        None => Ok(Answer::Later),
    }
}

/// The room's own message that something was taken back.
#[derive(Clone)]
struct Announcement {
    id: String,
    retract: String,
}

impl Announcement {
    /// To everybody, and into the archive for who is away.
    fn send(&self, engine: &mut Engine, room: &mut Room) -> Result<(), StanzaError> {
        let text = written(|out| {
            out.start("message")
                .attr("from", room.jid.as_str())
                .attr("id", &self.id)
                .attr("type", "groupchat")
                .raw(&self.retract)
                .end();
        });
        let speaker = Speaker::room(room);
        let kept = archive::keep(engine, room, &speaker, text.as_bytes())?;
        let id = kept.map_or(self.id.clone(), |kept| kept.text().as_str().to_owned());
        let text = message::with_id(&text, room.jid.as_str(), &id);
        message::announce_text(engine, room, &text, |_| true);
        Ok(())
    }
}
