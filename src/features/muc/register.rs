//! XEP-0045 §7.10, §9.9: users who want to belong to a room, and the nickname that is then theirs. An open room takes them at once; where only members enter,
//! its admins are asked.

use super::affiliation::{self, By, Change};
use super::iq::Asks;
use super::occupant;
use super::roles::{Right, has};
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::Affiliation;
use crate::xml::written;
use crate::xmpp::{
    BareJid, Condition, Field, FieldType, Form, FormType, Jid, Stanza, StanzaError, ns,
};
use std::collections::VecDeque;

/// Requests that wait for an admin's answer: nobody is made a member who has not asked.
#[derive(Default)]
struct Asked(VecDeque<Request>);

struct Request {
    room: BareJid,
    who: Box<str>,
    nick: String,
}

/// What may be said beside the nickname: name and label.
const FIELDS: [(&str, &str); 5] = [
    ("muc#register_first", "Given Name"),
    ("muc#register_last", "Family Name"),
    ("muc#register_url", "Your URL"),
    ("muc#register_email", "Email Address"),
    ("muc#register_faqentry", "FAQ Entry"),
];

/// A request of `jabber:iq:register` for a room.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
    affiliation: Affiliation,
) -> Result<Answer, StanzaError> {
    // §7.10: the privilege is restricted, or taken away.
    if affiliation == Affiliation::Outcast || !room.record.config.register {
        return Err(Condition::NotAllowed.into());
    }
    match asks.is_set {
        false => Ok(Answer::Payload(requirements(room, asks, affiliation))),
        true => submitted(engine, room, asks, affiliation),
    }
}

fn requirements(room: &Room, asks: &Asks<'_, '_>, affiliation: Affiliation) -> String {
    let own = room.people.get(asks.stanza.from.bare());
    let nick = own.and_then(|own| own.nick.as_deref());
    let registered = affiliation >= Affiliation::Member && nick.is_some();
    written(|out| {
        out.start("query").attr("xmlns", ns::REGISTER);
        if registered {
            out.leaf("registered", "");
            out.leaf("username", nick.unwrap_or_default());
        } else {
            let title = format!("{} Registration", super::disco::title(&room.record));
            let mut form = Form::new(FormType::Form)
                .title(title)
                .instructions("Please choose the nickname that will be yours in this room.")
                .form_type(ns::MUC_REGISTER)
                .field(
                    Field::text("muc#register_roomnick", "Desired Nickname")
                        .required()
                        .value(nick.unwrap_or_default()),
                );
            for (var, label) in FIELDS {
                form = form.field(Field::text(var, label));
            }
            out.leaf(
                "instructions",
                "Fill in the form to register with this room.",
            );
            form.write(out);
        }
        out.end();
    })
}

fn submitted(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
    affiliation: Affiliation,
) -> Result<Answer, StanzaError> {
    let own = asks.stanza.from.bare().to_owned();
    // XEP-0077 §3.2
    if asks.payload.child(ns::REGISTER, "remove").is_some() {
        if affiliation != Affiliation::Member {
            return Err(Condition::NotAllowed.into());
        }
        let change = Change {
            jid: own,
            to: Affiliation::None,
            nick: None,
            reason: None,
        };
        return done(engine, room, asks, change);
    }
    let form = Form::of(&asks.payload)?.filter(|form| form.is_submitted(ns::MUC_REGISTER));
    let form = form.ok_or(Condition::BadRequest)?;
    let nick = form
        .value("muc#register_roomnick")
        .unwrap_or_default()
        .trim();
    let key = occupant::key(nick);
    if key.is_empty() || nick.len() > limits::NICK_BYTES {
        return Err(Condition::BadRequest.into());
    }
    let nick = room
        .jid
        .with_resource(nick)
        .map_err(|_| StanzaError::from(Condition::BadRequest))?;
    let nick = nick.resource().to_owned();
    let taken = room.reserved_by(&key).is_some_and(|other| other != own)
        || room
            .with_key(&key)
            .is_some_and(|place| room.occupants[place].bare.as_str() != own);
    if taken {
        return Err(Condition::Conflict.into());
    }
    if room.record.config.members_only && affiliation < Affiliation::Member {
        ask_admins(engine, room, asks, &form, nick);
        return Ok(Answer::Empty);
    }
    let change = Change {
        jid: own,
        to: affiliation.max(Affiliation::Member),
        nick: Some(nick),
        reason: None,
    };
    done(engine, room, asks, change)
}

/// Makes the change, answers, and tells the others.
fn done(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
    change: Change,
) -> Result<Answer, StanzaError> {
    let before = engine.store.ticket();
    let news = affiliation::apply(engine, room, vec![change], By::default())?;
    engine.respond(asks.session, asks.stanza, None, before);
    affiliation::tell(engine, room, news, By::default());
    Ok(Answer::Later)
}

/// §9.9: the form goes to those who say who belongs to the room, whether they are in it or not.
fn ask_admins(engine: &mut Engine, room: &Room, asks: &Asks<'_, '_>, form: &Form, nick: String) {
    let who = asks.stanza.from.bare();
    let mut request = Form::new(FormType::Form)
        .title("Registration request")
        .instructions(
            "To approve this registration request, select the \"Allow this person to register with the room?\" checkbox and click OK. To skip this request, click the cancel button.",
        )
        .form_type(ns::MUC_REGISTER)
        .field(
            Field::new("muc#register_jid", Some(FieldType::JidSingle))
                .label("User ID")
                .value(who),
        )
        .field(Field::text("muc#register_roomnick", "Desired Nickname").value(&*nick));
    for (var, label) in FIELDS {
        if let Some(value) = form.value(var).filter(|value| !value.is_empty()) {
            let value: String = value.chars().take(limits::ROOM_TEXT_BYTES / 16).collect();
            request = request.field(Field::text(var, label).value(value));
        }
    }
    request = request.field(
        Field::new("muc#register_allow", Some(FieldType::Boolean))
            .label("Allow this person to register with the room?")
            .value("0"),
    );
    let inner = written(|out| request.write(out));
    let admins: Vec<String> = room
        .people
        .values()
        .filter(|one| has(one.affiliation, Right::Members))
        .map(|one| one.jid.clone())
        .collect();
    for admin in admins {
        let jid = Jid::parse(&admin);
        let Some(name) = jid.as_ref().ok().and_then(Jid::local) else {
            continue;
        };
        if let Err(error) = engine.tell_account_from(&room.jid, name, &inner, true) {
            log::error!("{admin} could not be asked about {}: {error}", room.jid);
        }
    }
    let asked = &mut engine.memory::<Asked>().0;
    asked.retain(|one| one.room != room.jid || *one.who != *who);
    let own = asked.iter().filter(|one| one.room == room.jid).count();
    if own >= limits::ROOM_REQUESTS
        && let Some(oldest) = asked.iter().position(|one| one.room == room.jid)
    {
        asked.remove(oldest);
    }
    asked.push_back(Request {
        room: room.jid.clone(),
        who: who.into(),
        nick,
    });
}

/// An admin answers.
pub fn approve(
    engine: &mut Engine,
    room: &mut Room,
    session: SessionId,
    stanza: &Stanza<'_>,
    form: &Form,
) -> Result<(), StanzaError> {
    if !room.allows(engine, &Jid::from(&stanza.from), Right::Members) {
        return Err(Condition::Forbidden.into());
    }
    let _ = session;
    let nick = form.value("muc#register_roomnick").unwrap_or_default();
    let asked = &mut engine.memory::<Asked>().0;
    let place = asked
        .iter()
        .position(|one| one.room == room.jid && one.nick == nick);
    let Some(request) = place.and_then(|place| asked.remove(place)) else {
        return Err(Condition::ItemNotFound.into());
    };
    if !form.flag("muc#register_allow") {
        return Ok(());
    }
    let change = Change {
        jid: request.who.into(),
        to: Affiliation::Member,
        nick: Some(request.nick),
        reason: None,
    };
    let news = affiliation::apply(engine, room, vec![change], By::default())?;
    affiliation::tell(engine, room, news, By::default());
    Ok(())
}
