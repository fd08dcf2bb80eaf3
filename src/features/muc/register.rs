//! XEP-0045 §7.10, §9.9: users who want to belong to a room, and the nickname that is then theirs. An open room takes them at once; where only members enter,
//! its admins are asked.

use super::affiliation::{self, By, Change};
use super::change;
use super::iq::Asks;
use super::occupant;
use super::roles::Right;
use super::room::Room;
use crate::engine::Engine;
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::{Affiliation, Noted};
use crate::xml::written;
use crate::xmpp::{
    Condition, ErrorType, Field, FieldType, Form, FormType, Jid, Stanza, StanzaError, ns,
};

/// What may be said beside the nickname: name, label and type.
const FIELDS: [(&str, &str, FieldType); 5] = [
    ("muc#register_first", "Given Name", FieldType::TextSingle),
    ("muc#register_last", "Family Name", FieldType::TextSingle),
    ("muc#register_url", "Your URL", FieldType::TextSingle),
    ("muc#register_email", "Email Address", FieldType::TextSingle),
    ("muc#register_faqentry", "FAQ Entry", FieldType::TextMulti),
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
            for (var, label, kind) in FIELDS {
                form = form.field(Field::new(var, Some(kind)).label(label));
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
        ask_admins(engine, room, asks, &form, nick)?;
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
    let who = change.jid.clone();
    let news = affiliation::apply(engine, room, vec![change], By::default())?;
    engine.respond(asks.session, asks.stanza, None, before);
    affiliation::tell(engine, room, news, By::default());
    change::hold(engine, room, &who)?;
    Ok(Answer::Later)
}

/// §9.9: the form goes to those who say who belongs to the room, whether they are in it or not.
fn ask_admins(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
    form: &Form,
    nick: String,
) -> Result<(), StanzaError> {
    let who = asks.stanza.from.bare();
    let waiting = room.notes.iter().find_map(|note| match &note.what {
        Noted::Asks(wanted) if note.jid == who => Some((*wanted == nick, note.at_ms)),
        _ => None,
    });
    // Admins are not asked again and again.
    if let Some((same, at_ms)) = waiting
        && engine.now.wall_ms.saturating_sub(at_ms) < limits::ROOM_ASK_AGAIN_MS
    {
        return match same {
            true => Ok(()),
            false => Err(StanzaError::text(
                Condition::ResourceConstraint,
                "your request waits for an answer: ask for another nickname later",
            )
            .kind(ErrorType::Wait)),
        };
    }
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
    for (var, label, kind) in FIELDS {
        let mut field = Field::new(var, Some(kind)).label(label);
        let said = form.values(var).join("\n");
        let said: String = said.chars().take(limits::ROOM_TEXT_BYTES / 16).collect();
        field.values = said.lines().map(str::to_owned).collect();
        if !field.values.is_empty() {
            request = request.field(field);
        }
    }
    request = request.field(
        Field::new("muc#register_allow", Some(FieldType::Boolean))
            .label("Allow this person to register with the room?")
            .value("0"),
    );
    let inner = written(|out| request.write(out));
    room.note(engine, who, Noted::Asks(nick))?;
    for name in room.looked_after_by(engine)? {
        if let Err(error) = engine.tell_account_from(&room.jid, (&name, None), &inner, true) {
            log::error!("{name} could not be asked about {}: {error}", room.jid);
        }
    }
    Ok(())
}

/// An admin answers.
pub fn approve(
    engine: &mut Engine,
    room: &mut Room,
    stanza: &Stanza<'_>,
    form: &Form,
) -> Result<(), StanzaError> {
    if !room.allows(engine, &Jid::from(&stanza.from), Right::Members) {
        return Err(Condition::Forbidden.into());
    }
    let nick = form.value("muc#register_roomnick").unwrap_or_default();
    let who = form.value("muc#register_jid");
    // Nobody is made a member who has not asked.
    let asked = room.notes.iter().find_map(|note| match &note.what {
        Noted::Asks(wanted) if *wanted == nick && who.is_none_or(|who| who == note.jid) => {
            Some(note.jid.clone())
        }
        _ => None,
    });
    let who = asked.ok_or(Condition::ItemNotFound)?;
    // Somebody else may have got the name by now; then they ask for another one.
    let taken = room.reserved_by(&occupant::key(nick));
    if form.flag("muc#register_allow") && taken.is_some_and(|other| other != who) {
        return Err(Condition::Conflict.into());
    }
    room.strike(engine, &who, |what| matches!(what, Noted::Asks(_)))?;
    if !form.flag("muc#register_allow") {
        return Ok(());
    }
    let from = Jid::parse(&who).map_err(|_| StanzaError::from(Condition::ItemNotFound))?;
    // Who was banned, or made more than a member, since they asked stays what they are.
    if room.affiliation(engine, &from) != Affiliation::None {
        return Ok(());
    }
    let change = Change {
        jid: who.clone(),
        to: Affiliation::Member,
        nick: Some(nick.to_owned()),
        reason: None,
    };
    let news = affiliation::apply(engine, room, vec![change], By::default())?;
    affiliation::tell(engine, room, news, By::default());
    change::hold(engine, room, &who)
}
