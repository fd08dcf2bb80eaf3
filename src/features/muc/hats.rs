//! XEP-0317: hats: made, given and taken away by owners with ad-hoc commands of the room (XEP-0050). Each asks for one form, so nothing is remembered between
//! its steps: a form that is sent along at once is taken, too.

use super::affiliation;
use super::affiliation::By;
use super::iq::Asks;
use super::message;
use super::roles::Right;
use super::room::Room;
use crate::engine::Engine;
use crate::engine::disco::{Identity, Info, Item, Node};
use crate::engine::feature::Answer;
use crate::limits;
use crate::store::{Affiliated, Affiliation, Hat};
use crate::xml::written;
use crate::xmpp::{Condition, Field, FieldType, Form, FormType, Jid, StanzaError, form, ns};
use ring::digest;

const COMMANDS: &str = "urn:xmpp:hats:commands";
/// The commands: the end of the node, and what people see.
const ALL: [(&str, &str); 6] = [
    ("create", "Create or change a hat"),
    ("destroy", "Destroy a hat"),
    ("list", "List the hats"),
    ("assign", "Give somebody a hat"),
    ("unassign", "Take a hat away"),
    ("list-assigned", "List who wears which hat"),
];

/// The commands as disco#items lists them (XEP-0050 §3.1).
pub fn node(room: &Room) -> Node {
    let item = |(name, title): (&str, &str)| Item {
        jid: room.jid.as_str().to_owned(),
        node: format!("{COMMANDS}:{name}"),
        name: title.to_owned(),
    };
    Node {
        items: ALL.into_iter().map(item).collect(),
        ..Node::default()
    }
}

/// What a command is (XEP-0050 §3.1, with its node), if there is one.
pub fn info(node: &str) -> Option<Info> {
    let name = node.strip_prefix(COMMANDS)?.strip_prefix(':')?;
    let (_, title) = ALL.iter().find(|(known, _)| *known == name)?;
    Some(Info {
        identities: vec![Identity {
            category: "automation".to_owned(),
            kind: "command-node".to_owned(),
            lang: String::new(),
            name: (*title).to_owned(),
        }],
        features: vec![ns::COMMANDS.to_owned(), form::NS.to_owned()],
        forms: Vec::new(),
    })
}

/// XEP-0317 §2: another one whenever the hats of the room are other ones; `None` where there are none.
pub fn hash(room: &Room) -> Option<String> {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    for hat in &room.record.hats {
        for text in [&hat.uri, &hat.title, &hat.hue] {
            context.update(&(text.len() as u64).to_be_bytes());
            context.update(text.as_bytes());
        }
    }
    let hash = context.finish();
    let hex = hash.as_ref().iter().map(|byte| format!("{byte:02x}"));
    (!room.record.hats.is_empty()).then(|| hex.collect())
}

/// `<command/>` for a room.
pub fn take(
    engine: &mut Engine,
    room: &mut Room,
    asks: &Asks<'_, '_>,
) -> Result<Answer, StanzaError> {
    let node = asks.payload.attr("node").unwrap_or_default();
    let name = node
        .strip_prefix(COMMANDS)
        .and_then(|rest| rest.strip_prefix(':'));
    let known = name.and_then(|name| ALL.iter().find(|(known, _)| *known == name));
    let (name, _) = *known.ok_or(Condition::ItemNotFound)?;
    if !room.allows(engine, &Jid::from(&asks.stanza.from), Right::Configure) {
        return Err(Condition::Forbidden.into());
    }
    let session = match asks.payload.attr("sessionid") {
        Some(session) => session.into_owned(),
        None => engine.random.id(),
    };
    let answer = |status: &str, form: Option<&Form>| {
        Answer::Payload(written(|out| {
            out.start("command")
                .attr("xmlns", ns::COMMANDS)
                .attr("node", &node)
                .attr("sessionid", &session)
                .attr("status", status);
            if let Some(form) = form {
                form.write(out);
            }
            out.end();
        }))
    };
    if asks.payload.attr("action").as_deref() == Some("cancel") {
        return Ok(answer("canceled", None));
    }
    match name {
        "list" => return Ok(answer("completed", Some(&listed(room)))),
        "list-assigned" => return Ok(answer("completed", Some(&assigned(room)))),
        _ => {}
    }
    let Some(form) = Form::of(&asks.payload)? else {
        return Ok(answer("executing", Some(&blank(room, name))));
    };
    if !form.is_submitted(COMMANDS) {
        return Err(Condition::BadRequest.into());
    }
    let before = engine.store.ticket();
    let wearers = match name {
        "create" => create(engine, room, &form)?,
        "destroy" => destroy(engine, room, &form)?,
        "assign" => wear(engine, room, &form, true)?,
        _ => wear(engine, room, &form, false)?,
    };
    let Answer::Payload(payload) = answer("completed", None) else {
        return Err(Condition::InternalServerError.into());
    };
    engine.respond(asks.session, asks.stanza, Some(&payload), before);
    refresh(engine, room, &wearers);
    if ["create", "destroy"].contains(&name) {
        message::announce_codes(engine, room, &[104]);
    }
    Ok(Answer::Later)
}

/// The form of a command, still to be filled in.
fn blank(room: &Room, name: &str) -> Form {
    let form = |title, end: &str| {
        Form::new(FormType::Form)
            .title(title)
            .instructions(format!("Fill out this form to {end}."))
            .form_type(COMMANDS)
    };
    let hats = || {
        let mut field = Field::new("hats#uri", Some(FieldType::ListSingle))
            .label("The hat")
            .required();
        for hat in &room.record.hats {
            field = field.option(&hat.title, &hat.uri);
        }
        field
    };
    let jid = || {
        Field::new("hats#jid", Some(FieldType::JidSingle))
            .label("The JID of the user")
            .required()
    };
    match name {
        "create" => form("Creating a Hat", "create a hat")
            .field(Field::text("hats#title", "Hat Title").required())
            .field(Field::text("hats#uri", "Hat URI").required())
            .field(Field::text("hats#hue", "Hat Hue")),
        "destroy" => form("Destroying a Hat", "destroy a hat").field(hats()),
        "assign" => form("Assigning a Hat", "give somebody a hat")
            .field(jid())
            .field(hats()),
        _ => form("Removing a Hat", "take a hat away")
            .field(jid())
            .field(hats()),
    }
}

fn row(hat: &Hat) -> Vec<Field> {
    [
        ("hats#title", &hat.title),
        ("hats#uri", &hat.uri),
        ("hats#hue", &hat.hue),
    ]
    .map(|(var, value)| Field::new(var, None).value(value.as_str()))
    .into()
}

fn listed(room: &Room) -> Form {
    let mut form = Form::new(FormType::Result)
        .title("Hats List")
        .form_type(COMMANDS);
    form.reported = ["hats#title", "hats#uri", "hats#hue"]
        .map(|var| Field::new(var, None))
        .into();
    form.items = room.record.hats.iter().map(row).collect();
    form
}

fn assigned(room: &Room) -> Form {
    let mut form = Form::new(FormType::Result)
        .title("Assigned Hats List")
        .form_type(COMMANDS);
    form.reported = ["hats#jid", "hats#title", "hats#uri", "hats#hue"]
        .map(|var| Field::new(var, None))
        .into();
    for one in room.people.values() {
        let worn = room
            .record
            .hats
            .iter()
            .filter(|hat| one.hats.contains(&hat.uri));
        for hat in worn {
            let mut fields = vec![Field::new("hats#jid", None).value(one.jid.as_str())];
            fields.extend(row(hat));
            form.items.push(fields);
        }
    }
    form
}

/// Who wears a hat.
fn wearers(room: &Room, uri: &str) -> Vec<String> {
    let those = room.people.values();
    those
        .filter(|one| one.hats.iter().any(|hat| hat == uri))
        .map(|one| one.jid.clone())
        .collect()
}

fn create(engine: &mut Engine, room: &mut Room, form: &Form) -> Result<Vec<String>, StanzaError> {
    let text = |var| form.value(var).unwrap_or_default().trim().to_owned();
    let hat = Hat {
        uri: text("hats#uri"),
        title: text("hats#title"),
        hue: text("hats#hue"),
    };
    let hue_fits = hat.hue.is_empty()
        || hat
            .hue
            .parse::<f64>()
            .is_ok_and(|hue| (0.0..=360.0).contains(&hue));
    let title_fits = !hat.title.is_empty() && hat.title.len() <= limits::ROOM_HAT_BYTES;
    let wrong = [
        (!is_uri(&hat.uri), "a hat has a URI, such as urn:hats:cook"),
        (!title_fits, "a hat has a title of a few words"),
        (!hue_fits, "the hue of a hat is an angle from 0 to 360"),
    ];
    if let Some((_, why)) = wrong.into_iter().find(|(wrong, _)| *wrong) {
        return Err(StanzaError::text(Condition::NotAcceptable, why));
    }
    let uri = hat.uri.clone();
    let hats = &mut room.record.hats;
    match hats.iter().position(|known| known.uri == uri) {
        Some(place) => hats[place] = hat,
        None if hats.len() >= limits::ROOM_HATS => {
            return Err(Condition::ResourceConstraint.into());
        }
        None => hats.push(hat),
    }
    room.keep(engine)?;
    Ok(wearers(room, &uri))
}

fn destroy(engine: &mut Engine, room: &mut Room, form: &Form) -> Result<Vec<String>, StanzaError> {
    let uri = form.value("hats#uri").or_else(|| form.value("hat"));
    let uri = uri.ok_or(Condition::BadRequest)?;
    let known = room.record.hats.iter().position(|hat| hat.uri == uri);
    let place = known.ok_or(Condition::ItemNotFound)?;
    let those = wearers(room, uri);
    for jid in &those {
        change(engine, room, jid, |hats| hats.retain(|hat| hat != uri))?;
    }
    room.record.hats.remove(place);
    room.keep(engine)?;
    Ok(those)
}

fn wear(
    engine: &mut Engine,
    room: &mut Room,
    form: &Form,
    on: bool,
) -> Result<Vec<String>, StanzaError> {
    let uri = form.value("hats#uri").ok_or(Condition::BadRequest)?;
    let jid = form.value("hats#jid").ok_or(Condition::BadRequest)?;
    let jid = Jid::parse(jid.trim()).map_err(|_| StanzaError::from(Condition::JidMalformed))?;
    if jid.local().is_none() {
        return Err(Condition::JidMalformed.into());
    }
    if !room.record.hats.iter().any(|hat| hat.uri == uri) {
        return Err(Condition::ItemNotFound.into());
    }
    let uri = uri.to_owned();
    change(engine, room, jid.bare(), |hats| {
        hats.retain(|hat| *hat != uri);
        if on {
            hats.push(uri);
        }
    })?;
    Ok(vec![jid.bare().to_owned()])
}

/// Changes what somebody wears, and keeps it.
fn change(
    engine: &mut Engine,
    room: &mut Room,
    jid: &str,
    act: impl FnOnce(&mut Vec<String>),
) -> Result<(), StanzaError> {
    let mut one = match room.people.get(jid) {
        Some(one) => one.clone(),
        None => Affiliated::new(jid, Affiliation::None),
    };
    act(&mut one.hats);
    room.affiliate(engine, one)
}

/// RFC 3986 §3: a scheme and something behind it, of characters that stand in a URI.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let scheme_fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    let rest_fits = !rest.is_empty()
        && rest
            .chars()
            .all(|c| c.is_ascii_graphic() && !"<>\"\\^`{|}".contains(c));
    scheme_fits && rest_fits && text.len() <= limits::ROOM_HAT_BYTES
}

/// XEP-0317 §3.5: everybody sees the hats of now.
fn refresh(engine: &mut Engine, room: &mut Room, wearers: &[String]) {
    for place in 0..room.occupants.len() {
        let bare = room.occupants[place].bare.as_str().to_owned();
        if wearers.contains(&bare) {
            room.occupants[place].hats = room.hats_of(&bare);
            affiliation::tell_standing(engine, room, place, By::default(), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uris_name_hats() {
        for good in [
            "http://tech.example.edu/hats#TeacherAssistant",
            "urn:hats:cook",
            "xmpp:a@b",
        ] {
            assert!(is_uri(good), "{good}");
        }
        let long = format!("urn:{}", "x".repeat(limits::ROOM_HAT_BYTES));
        for bad in [
            "", "cook", "urn:", ":x", "1:x", "urn:a b", "urn:<x>", "urn:ä", &*long,
        ] {
            assert!(!is_uri(bad), "{bad}");
        }
    }
}
