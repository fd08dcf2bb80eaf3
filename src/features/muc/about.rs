//! XEP-0045 §6.4, §6.5: what a room tells of itself: what it is and can, what may be found of it (XEP-0128), the reserved nickname (§7.12), and who is in it.

use super::disco::{conference, owned, title};
use super::iq::Asks;
use super::roles::Right;
use super::room::Room;
use super::{archive, hats, mention_rules, mentions, people, tokens};
use crate::engine::Engine;
use crate::engine::disco::{Info, Item, Node};
use crate::engine::feature::Answer;
use crate::store::RoomSubject;
use crate::xmpp::{Condition, Field, FieldType, Form, FormType, Jid, StanzaError, ns};

/// §7.12
const RESERVED_NICK: &str = "x-roomuser-item";
/// §18.1.1
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
    ns::RETRACTION_TOMBSTONE,
    ns::MAV,
    ns::VCARD,
    ns::PING,
    tokens::NS,
    people::NS,
];

/// §6.4: a room; §7.12, §18.1.1: its nodes.
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
        // §18.1.1: nothing is held back.
        Some(TRAFFIC) => return Err(Condition::ServiceUnavailable.into()),
        Some(node) => {
            let info = hats::info(node).ok_or(Condition::ItemNotFound)?;
            return Ok(Answer::Payload(info.payload(Some(node))));
        }
    }
    let config = &room.record.config;
    let mut features = owned(ROOM_FEATURES);
    features.extend(owned(&mentions::FEATURES));
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

/// §16.5.4: one field of `muc#roominfo`.
struct Row {
    var: &'static str,
    label: &'static str,
    kind: FieldType,
    /// The value; without one, or with an empty one, the field is left out.
    value: fn(&Room) -> Option<String>,
}

const ROWS: &[Row] = &[
    Row {
        var: "muc#roominfo_description",
        label: "Description",
        kind: FieldType::TextSingle,
        value: |room| Some(room.record.config.description.clone()),
    },
    Row {
        var: "muc#roominfo_subject",
        label: "Current Discussion Topic",
        kind: FieldType::TextSingle,
        // §14.4: what is said in a room that not everybody may enter is for those who may.
        value: |room| match is_open(room) {
            true => room.record.subject.as_ref().map(RoomSubject::text),
            false => None,
        },
    },
    Row {
        var: "muc#roominfo_occupants",
        label: "Number of occupants",
        kind: FieldType::TextSingle,
        value: |room| Some(room.occupants.len().to_string()),
    },
    Row {
        var: "muc#roominfo_lang",
        label: "Language of discussion",
        kind: FieldType::TextSingle,
        value: |room| Some(room.record.config.lang.clone()),
    },
    Row {
        var: "muc#roomconfig_changesubject",
        label: "Subject can be modified",
        kind: FieldType::Boolean,
        value: |room| Some(u8::from(room.record.config.change_subject).to_string()),
    },
    Row {
        var: "muc#maxhistoryfetch",
        label: "Maximum Number of History Messages Returned by Room",
        kind: FieldType::TextSingle,
        value: |room| Some(room.record.config.max_history.to_string()),
    },
    Row {
        var: "muc#roominfo_slow_mode_duration",
        label: "Seconds between two messages",
        kind: FieldType::TextSingle,
        value: |room| Some(room.record.config.slow_seconds.to_string()),
    },
];

/// Whether everybody could look into a room.
fn is_open(room: &Room) -> bool {
    !room.record.config.members_only && room.record.config.password.is_none()
}

/// §16.5.4: `muc#roominfo`.
fn room_form(engine: &mut Engine, room: &mut Room) -> Result<Form, StanzaError> {
    let mut form = Form::new(FormType::Result).form_type(ns::MUC_ROOMINFO);
    for row in ROWS {
        let value = (row.value)(room).filter(|value| !value.is_empty());
        if let Some(value) = value {
            form = form.field(
                Field::new(row.var, Some(row.kind))
                    .label(row.label)
                    .value(value),
            );
        }
    }
    // XEP-0486 §3.3
    let hashes = room.pictures(engine)?;
    if !hashes.is_empty() {
        let mut field = Field::new("muc#roominfo_avatarhash", Some(FieldType::TextMulti));
        field.values = hashes.to_vec();
        form = form.field(field.label("Avatar hash"));
    }
    // XEP-0317 §2
    if let Some(hash) = hats::hash(room) {
        form = form.field(Field::text("hats#hash", "Hats hash").value(hash));
    }
    // XEP-0502 §9: only of rooms into which everybody could look.
    let config = &room.record.config;
    let shown = config.persistent && config.public && is_open(room);
    let rate = room.activity.rate(engine.now.wall_ms);
    if let Some(rate) = rate.filter(|_| shown) {
        form = form.field(
            Field::text(
                "{urn:xmpp:muc-activity}message-activity",
                "Messages per hour",
            )
            .value(format!("{rate:.2}")),
        );
    }
    // XEP-0513 §3.6
    let fields = mention_rules::fields(&room.record.config.mentions);
    form.fields.extend(fields);
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
