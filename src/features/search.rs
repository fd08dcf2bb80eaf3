//! XEP-0055: Jabber Search, over the accounts of this server that have a vCard with a name, a nickname or an e-mail address. Who has none cannot
//! be found; the operator can switch it off. Complete, with the data form of §3.

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::limits;
use crate::store::Entry;
use crate::xml::{Element, Writer, written};
use crate::xmpp::{Condition, Field, FieldType, Form, FormType, StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0055",
    title: "Jabber Search (of the accounts here that have a vCard)",
    server_features: &[ns::SEARCH],
    wanted: Some(|config| config.directory.enabled),
    iq: &[
        IqRoute {
            ns: ns::SEARCH,
            name: "query",
            at: At::Server,
            takes: Takes::Get,
            handle: fields,
        },
        IqRoute {
            ns: ns::SEARCH,
            name: "query",
            at: At::Server,
            takes: Takes::Set,
            handle: search,
        },
    ],
    ..Feature::NONE
};

/// The fields, as the schema of XEP-0055 names them, and what people read.
const FIELDS: [(&str, &str); 4] = [
    ("first", "Given Name"),
    ("last", "Family Name"),
    ("nick", "Nickname"),
    ("email", "E-Mail"),
];

const INSTRUCTIONS: &str = "Fill in one or more fields; people match that have in each what you wrote there. * matches all.";

/// XEP-0055 §2.1: what can be asked for, in both forms.
fn fields(_: &mut Engine, _: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let mut form = Form::new(FormType::Form)
        .title("User Directory Search")
        .instructions(INSTRUCTIONS)
        .form_type(ns::SEARCH);
    for (name, label) in FIELDS {
        form = form.field(Field::text(name, label));
    }
    Ok(Answer::Payload(written(|out| {
        out.start("query").attr("xmlns", ns::SEARCH);
        out.leaf("instructions", INSTRUCTIONS);
        for (name, _) in FIELDS {
            out.leaf(name, "");
        }
        form.write(out);
        out.end();
    })))
}

/// XEP-0055 §2.1, §3: who matches, in the form in which it was asked; the first `limits::SEARCH_RESULTS` of them.
fn search(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let form = Form::of(&iq.payload)?;
    let wanted = match &form {
        Some(form) if form.is_submitted(ns::SEARCH) => {
            FIELDS.map(|(name, _)| form.value(name).unwrap_or_default().to_owned())
        }
        Some(_) => return Err(Condition::BadRequest.into()),
        None => FIELDS.map(|(name, _)| plain(&iq.payload, name)),
    };
    let wanted = wanted.map(|text| text.trim().to_lowercase());
    if wanted.iter().all(String::is_empty) {
        return Err(StanzaError::text(
            Condition::BadRequest,
            "fill in one field at least",
        ));
    }
    let mut found = Vec::new();
    for entry in engine.store.entries()? {
        let entry = entry?;
        if !matches(&entry, &wanted) {
            continue;
        }
        let jid = engine.bare_jid(&entry.account).to_string();
        found.push((jid, entry));
        if found.len() == limits::SEARCH_RESULTS {
            break;
        }
    }
    Ok(Answer::Payload(written(|out| {
        out.start("query").attr("xmlns", ns::SEARCH);
        match form.is_some() {
            true => write_form(&found, out),
            false => write_items(&found, out),
        }
        out.end();
    })))
}

fn plain(query: &Element<'_>, name: &str) -> String {
    let child = query.child(ns::SEARCH, name);
    child.map_or_else(String::new, |child| child.text().into_owned())
}

/// Whether every field that was filled in stands in the entry's, whatever the case; stars stand for anything.
fn matches(entry: &Entry, wanted: &[String; 4]) -> bool {
    wanted.iter().zip(entry.values()).all(|(wanted, value)| {
        let text = wanted.trim_matches('*');
        wanted.is_empty() || (!value.is_empty() && value.to_lowercase().contains(text))
    })
}

/// XEP-0055 §2.1.
fn write_items(found: &[(String, Entry)], out: &mut Writer<'_>) {
    for (jid, entry) in found {
        out.start("item").attr("jid", jid);
        for ((name, _), value) in FIELDS.into_iter().zip(entry.values()) {
            out.leaf(name, value);
        }
        out.end();
    }
}

/// XEP-0055 §3, as a table of XEP-0004 §3.4.
fn write_form(found: &[(String, Entry)], out: &mut Writer<'_>) {
    let mut form = Form::new(FormType::Result).form_type(ns::SEARCH);
    form.reported = vec![Field::new("jid", Some(FieldType::JidSingle)).label("Jabber ID")];
    for (name, label) in FIELDS {
        form.reported.push(Field::text(name, label));
    }
    for (jid, entry) in found {
        let mut item = vec![Field::new("jid", None).value(jid)];
        for ((name, _), value) in FIELDS.into_iter().zip(entry.values()) {
            item.push(Field::new(name, None).value(value));
        }
        form.items.push(item);
    }
    form.write(out);
}
