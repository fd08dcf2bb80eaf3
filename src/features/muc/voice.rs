//! XEP-0045 §7.13, §8.6: a visitor asks for voice, and a moderator says yes.

use super::affiliation::{self, By};
use super::message;
use super::roles::{self, Act, Role};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::session::SessionId;
use crate::xml::written;
use crate::xmpp::{
    Condition, ErrorType, Field, FieldType, Form, FormType, Stanza, StanzaError, ns,
};

/// A form of `muc#request`: with `muc#request_allow` it is a moderator's, else a visitor's.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    form: &Form,
) -> Result<(), StanzaError> {
    let place = room.occupant_of(session)?;
    match form.get("muc#request_allow") {
        Some(_) => approve(engine, room, place, form),
        None => request(engine, room, place, stanza, form),
    }
}

/// §7.13: who asks has none yet; all moderators who are here get the form.
fn request(
    engine: &mut Engine,
    room: &mut Room,
    place: usize,
    stanza: &Stanza<'_>,
    form: &Form,
) -> Result<(), StanzaError> {
    if form.value("muc#role") != Some(Role::Participant.name()) {
        return Err(Condition::BadRequest.into());
    }
    let occupant = &room.occupants[place];
    if occupant.role != Role::Visitor {
        return Err(StanzaError::text(
            Condition::Conflict,
            "you have voice already",
        ));
    }
    // §14.6: moderators are asked in measure.
    if !room.occupants[place].passing.allows(engine.now.mono_ms) {
        return Err(StanzaError::text(
            Condition::ResourceConstraint,
            "you ask too often: wait a few seconds",
        )
        .kind(ErrorType::Wait));
    }
    let occupant = &room.occupants[place];
    let role = Field::new("muc#role", Some(FieldType::ListSingle))
        .label("Requested role")
        .value(Role::Participant.name())
        .option("Participant", Role::Participant.name());
    let jid = Field::new("muc#jid", Some(FieldType::JidSingle))
        .label("User ID")
        .value(stanza.from.as_str());
    let approval = Form::new(FormType::Form)
        .title("Voice request")
        .instructions(
            "To approve this request for voice, select the \"Grant voice to this person?\" checkbox and click OK. To skip this request, click the cancel button.",
        )
        .form_type(ns::MUC_REQUEST)
        .field(role)
        .field(jid)
        .field(Field::text("muc#roomnick", "Room Nickname").value(&*occupant.nick))
        .field(
            Field::new("muc#request_allow", Some(FieldType::Boolean))
                .label("Grant voice to this person?")
                .value("false"),
        );
    let id = engine.random.id();
    let text = written(|out| {
        out.start("message")
            .attr("from", room.jid.as_str())
            .attr("id", &id);
        approval.write(out);
        out.end();
    });
    message::announce_text(engine, room, &text, |role| role == Role::Moderator);
    Ok(())
}

/// §8.6: a moderator's answer.
fn approve(
    engine: &mut Engine,
    room: &mut Room,
    place: usize,
    form: &Form,
) -> Result<(), StanzaError> {
    if !room.occupants[place].role.allows(Act::Voice) {
        return Err(Condition::Forbidden.into());
    }
    if !form.flag("muc#request_allow") {
        return Ok(());
    }
    let nick = form.value("muc#roomnick").ok_or(Condition::BadRequest)?;
    let to = room.called(nick).ok_or(Condition::ItemNotFound)?;
    // Somebody else may have the name by now.
    let jid = form.value("muc#jid");
    let same = |jid: &str| {
        let seats = &room.occupants[to].seats;
        seats.iter().any(|seat| seat.jid.as_str() == jid)
    };
    if jid.is_some_and(|jid| !same(jid)) {
        return Err(Condition::ItemNotFound.into());
    }
    let (by, target) = (&room.occupants[place], &room.occupants[to]);
    if target.role != Role::Visitor {
        return Ok(());
    }
    roles::check_role(by.standing(), target.standing(), Some(Role::Participant))?;
    affiliation::set_role(engine, room, to, Role::Participant, None);
    room.remember_voice(engine, to);
    affiliation::tell_standing(engine, room, to, By::default(), None);
    Ok(())
}
