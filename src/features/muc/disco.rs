//! XEP-0045 §6: what the service, a room and its occupants tell of themselves; pages of rooms (XEP-0059), what may be found (XEP-0128), the reserved nickname
//! (§7.12), and the people of a room in one answer.

use super::iq::Asks;
use super::roles::{Right, affiliation_name};
use super::room::{Room, Rooms};
use super::{affiliation, archive, card, hats, mentions, search, tokens};
use crate::engine::Engine;
use crate::engine::disco::{Identity, Info, Item, Node};
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::{Affiliation, RoomRecord, StoreError};
use crate::xml::{Element, Writer, written};
use crate::xmpp::{
    Condition, Field, FieldType, Form, FormType, Jid, Page, PageRequest, StanzaError, ns, rsm, time,
};

/// The namespace of a question that snug answers: the people of a room, all in one.
pub const PEOPLE: &str = "urn:snug:room-people:0";
/// §7.12
const RESERVED_NICK: &str = "x-roomuser-item";
/// §17.6
const TRAFFIC: &str = "http://jabber.org/protocol/muc#traffic";

/// What every room can.
const ROOM_FEATURES: &[&str] = &[
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::MUC,
    "http://jabber.org/protocol/muc#stable_id",
    "http://jabber.org/protocol/muc#self-ping-optimization",
    ns::MUC_ROOMCONFIG,
    ns::MUC_ROOMINFO,
    ns::MUC_REQUEST,
    ns::STANZA_ID,
    ns::OCCUPANT_ID,
    ns::HATS,
    ns::COMMANDS,
    ns::MODERATION,
    ns::RETRACTION,
    ns::MAV,
    ns::VCARD,
    ns::PING,
    tokens::NS,
    mentions::EXPLICIT,
    PEOPLE,
];

/// What the service itself can.
const SERVICE_FEATURES: &[&str] = &[
    ns::DISCO_INFO,
    ns::DISCO_ITEMS,
    ns::MUC,
    "http://jabber.org/protocol/muc#stable_id",
    "muc_rooms",
    rsm::NS,
    search::NS,
    ns::VCARD,
    ns::PING,
];

fn conference(name: &str) -> Identity {
    Identity {
        category: "conference".to_owned(),
        kind: "text".to_owned(),
        lang: String::new(),
        name: name.to_owned(),
    }
}

fn owned(features: &[&str]) -> Vec<String> {
    features.iter().map(|one| (*one).to_owned()).collect()
}

/// §6.2: the service.
pub fn service_info(_: &mut Engine, payload: Element<'_>) -> Result<Answer, StanzaError> {
    if payload.attr("node").is_some() {
        return Err(Condition::ItemNotFound.into());
    }
    let info = Info {
        identities: vec![conference("Rooms")],
        features: owned(SERVICE_FEATURES),
        forms: Vec::new(),
    };
    Ok(Answer::Payload(info.payload(None)))
}

/// §6.3: the public rooms, by name; a page of them where they are many.
pub fn rooms(engine: &mut Engine, payload: Element<'_>) -> Result<Answer, StanzaError> {
    if payload.attr("node").is_some() {
        return Err(Condition::ItemNotFound.into());
    }
    let page = PageRequest::of(&payload)?;
    let wanted = page.clone().unwrap_or_default();
    if wanted.is_backward() || wanted.index.is_some() {
        return Err(StanzaError::text(
            Condition::FeatureNotImplemented,
            "rooms are listed forward",
        ));
    }
    let most = wanted.max.unwrap_or(limits::ROOM_PAGE);
    let after = wanted.after.unwrap_or_default();
    let after = match after.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => String::new(),
    };
    let most = most.min(limits::ROOM_PAGE);
    let host = engine.config.rooms_host();
    let mut found = public_rooms(engine, &after, most + 1)?;
    let more = found.len() > most;
    found.truncate(most);
    let jid = |record: &RoomRecord| format!("{}@{host}", record.name);
    let items = written(|out| {
        out.start("query").attr("xmlns", ns::DISCO_ITEMS);
        for record in &found {
            out.start("item")
                .attr("jid", &jid(record))
                .attr("name", title(record))
                .end();
        }
        if more || page.is_some() {
            let ends = found.first().zip(found.last());
            let ends = ends.map(|(first, last)| (jid(first), jid(last)));
            Page {
                ends: ends.as_ref().map(|(first, last)| (&**first, &**last)),
                ..Page::default()
            }
            .write(out);
        }
        out.end();
    });
    Ok(Answer::Payload(items))
}

/// The public rooms behind a name, those that are kept and those that are only in memory.
pub fn public_rooms(
    engine: &mut Engine,
    after: &str,
    most: usize,
) -> Result<Vec<RoomRecord>, StoreError> {
    let mut found: Vec<RoomRecord> = Vec::new();
    for record in engine.store.rooms_after(after)? {
        if found.len() >= most {
            break;
        }
        let record = record?;
        if record.config.public {
            found.push(record);
        }
    }
    let lobby = engine.config.rooms.lobby.clone();
    if !lobby.is_empty()
        && engine.store.room(&lobby)?.is_none()
        && let Some(room) = super::room::take(engine, &lobby)?
    {
        found.push(room.record.clone());
        super::room::put_back(engine, room);
    }
    let rooms = engine.memory::<Rooms>();
    let temporary = rooms
        .loaded()
        .filter(|room| !room.kept && !room.locked && room.record.config.public);
    found.extend(temporary.map(|room| room.record.clone()));
    found.retain(|record| *record.name > *after);
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by(|a, b| a.name == b.name);
    found.truncate(most);
    Ok(found)
}

/// What people read: its title, or its name.
pub fn title(record: &RoomRecord) -> &str {
    match record.config.title.as_str() {
        "" => &record.name,
        title => title,
    }
}

/// §6.4: a room; §7.12, §17.6: its nodes.
pub fn room_info(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    match asks.payload.attr("node").as_deref() {
        None => {}
        Some(RESERVED_NICK) => {
            let own = room.people.get(asks.stanza.from.bare());
            let nick = own.and_then(|own| own.nick.as_deref());
            let info = Info {
                identities: nick.map(conference).into_iter().collect(),
                ..Info::default()
            };
            return Ok(Answer::Payload(info.payload(Some(RESERVED_NICK))));
        }
        // §17.6: nothing is held back.
        Some(TRAFFIC) => return Err(Condition::ServiceUnavailable.into()),
        Some(_) => return Err(Condition::ItemNotFound.into()),
    }
    let config = &room.record.config;
    let mut features = owned(ROOM_FEATURES);
    if archive::is_on(engine, room) {
        features.extend(owned(&[ns::ARCHIVE, ns::ARCHIVE_EXTENDED]));
    }
    if config.register {
        features.push(ns::REGISTER.to_owned());
    }
    for (yes, one, other) in [
        (config.public, "muc_public", "muc_hidden"),
        (config.members_only, "muc_membersonly", "muc_open"),
        (config.moderated, "muc_moderated", "muc_unmoderated"),
        (
            config.non_anonymous,
            "muc_nonanonymous",
            "muc_semianonymous",
        ),
        (
            config.password.is_some(),
            "muc_passwordprotected",
            "muc_unsecured",
        ),
        (config.persistent, "muc_persistent", "muc_temporary"),
    ] {
        features.push(if yes { one } else { other }.to_owned());
    }
    let form = room_form(engine, room)?;
    let info = Info {
        identities: vec![conference(title(&room.record))],
        features,
        forms: vec![form],
    };
    Ok(Answer::Payload(info.payload(None)))
}

/// §15.5.4: `muc#roominfo`.
fn room_form(engine: &mut Engine, room: &mut Room) -> Result<Form, StanzaError> {
    let yes_or_no = |yes: bool| if yes { "1" } else { "0" };
    let subject = room
        .record
        .subject
        .as_ref()
        .map(|subject| subject.text())
        .unwrap_or_default();
    let avatar = card::hash(engine, room)?;
    let rate = room.activity.rate(engine.now.wall_ms);
    let config = &room.record.config;
    // XEP-0502 §5: only of rooms into which everybody could look.
    let open =
        config.persistent && config.public && !config.members_only && config.password.is_none();
    let rate = rate.filter(|_| open).map(|rate| format!("{rate:.2}"));
    // §13.4: what is said in a room that not everybody may enter is for those who may.
    let subject = match config.members_only || config.password.is_some() {
        true => String::new(),
        false => subject,
    };
    let occupants = room.occupants.len().to_string();
    let history = config.max_history.to_string();
    let slow = config.slow_seconds.to_string();
    let rows = [
        (
            "muc#roominfo_description",
            "Description",
            FieldType::TextSingle,
            Some(&*config.description),
        ),
        (
            "muc#roominfo_subject",
            "Current Discussion Topic",
            FieldType::TextSingle,
            Some(&*subject),
        ),
        (
            "muc#roominfo_occupants",
            "Number of occupants",
            FieldType::TextSingle,
            Some(&*occupants),
        ),
        (
            "muc#roominfo_lang",
            "Language of discussion",
            FieldType::TextSingle,
            Some(&*config.lang),
        ),
        (
            "muc#roomconfig_changesubject",
            "Subject can be modified",
            FieldType::Boolean,
            Some(yes_or_no(config.change_subject)),
        ),
        (
            "muc#maxhistoryfetch",
            "Maximum Number of History Messages Returned by Room",
            FieldType::TextSingle,
            Some(&*history),
        ),
        (
            "muc#roominfo_slow_mode_duration",
            "Seconds between two messages",
            FieldType::TextSingle,
            Some(&*slow),
        ),
        (
            "muc#roominfo_avatarhash",
            "Avatar hash",
            FieldType::TextMulti,
            avatar.as_deref(),
        ),
        (
            "{urn:xmpp:muc-activity}message-activity",
            "Messages per hour",
            FieldType::TextSingle,
            rate.as_deref(),
        ),
    ];
    let mut form = Form::new(FormType::Result).form_type(ns::MUC_ROOMINFO);
    for (var, label, kind, value) in rows {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            form = form.field(Field::new(var, Some(kind)).label(label).value(value));
        }
    }
    Ok(form)
}

/// §6.5: who is in a room, for those who are in it themselves; others learn nothing.
pub fn room_items(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let asked = asks.payload.attr("node");
    if asked.as_deref() == Some(ns::COMMANDS) {
        let owner = room.allows(engine, &Jid::from(&asks.stanza.from), Right::Configure);
        let node = match owner {
            true => hats::node(room),
            false => Node::default(),
        };
        return Ok(Answer::Payload(node.items_payload(asked.as_deref())));
    }
    let mut node = Node::default();
    if let Some((own, _)) = room.seat_of(asks.session) {
        for (place, one) in room.occupants.iter().enumerate() {
            if place == own || room.shows(one.role) {
                node.items.push(Item {
                    jid: one.jid.as_str().to_owned(),
                    node: String::new(),
                    name: String::new(),
                });
            }
        }
    }
    Ok(Answer::Payload(node.items_payload(asked.as_deref())))
}

/// One row of the people of a room.
struct Person<'r> {
    jid: &'r str,
    nick: Option<&'r str>,
    affiliation: Affiliation,
    role: Option<&'static str>,
    said: Option<&'r str>,
    active_ms: Option<u64>,
    hats: String,
}

/// The people of a room in one answer: who belongs to it and who is in it, with role, hats, presence and when they were last active. For those who may see
/// the list of members.
///
/// `<people xmlns='urn:snug:room-people:0'><person jid='' nick='' affiliation='' role='' active=''>presence, hats</person></people>`: `nick` is the nickname
/// in the room, or the registered one; `role` and what is inside are there for who is in the room; `active` is a time of XEP-0082.
pub fn people(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let from = Jid::from(&asks.stanza.from);
    let own = room.affiliation(engine, &from);
    let role = room
        .seat_of(asks.session)
        .map(|(place, _)| room.occupants[place].role);
    if !affiliation::may_list(room, own, role) {
        return Err(Condition::Forbidden.into());
    }
    let all = super::roles::has(own, Right::Members);
    let mut rows: Vec<Person<'_>> = Vec::new();
    for one in &room.occupants {
        rows.push(Person {
            jid: one.bare.as_str(),
            nick: Some(&one.nick),
            affiliation: one.affiliation,
            role: Some(one.role.name()),
            said: Some(&one.shown().said),
            active_ms: Some(one.active_ms),
            hats: one.hats.to_string(),
        });
    }
    for one in room.people.values() {
        let here = room
            .occupants
            .iter()
            .any(|other| other.bare.as_str() == one.jid);
        let shown =
            one.affiliation > Affiliation::None || (all && one.affiliation != Affiliation::None);
        if !here && shown {
            rows.push(Person {
                jid: &one.jid,
                nick: one.nick.as_deref(),
                affiliation: one.affiliation,
                role: None,
                said: None,
                active_ms: None,
                hats: room.hats_of(&one.jid).into(),
            });
        }
    }
    let payload = written(|out| {
        out.start("people").attr("xmlns", PEOPLE);
        rows.iter().for_each(|row| write_person(out, row));
        out.end();
    });
    Ok(Answer::Payload(payload))
}

fn write_person(out: &mut Writer<'_>, person: &Person<'_>) {
    let active = person.active_ms.map(time::format);
    out.start("person")
        .attr("affiliation", affiliation_name(person.affiliation))
        .attr("jid", person.jid)
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
