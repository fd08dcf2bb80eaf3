//! XEP-0049: Private XML Storage: what a client keeps here for itself, one document for each namespace and name. Complete.

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::engine::pubsub::Owner;
use crate::store::{Document, DocumentKind};
use crate::xml::{Element, written};
use crate::xmpp::{Condition, StanzaError, ns};

/// The row.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0049",
    title: "Private XML Storage",
    server_features: &[ns::PRIVATE],
    account_features: &[ns::PRIVATE],
    // §2.3: to others it is nobody's; of the two errors it allows, the one that says nothing (HOLES 19).
    iq: &[
        IqRoute {
            ns: ns::PRIVATE,
            name: "query",
            at: At::OwnAccount,
            takes: Takes::Get,
            handle: get,
        },
        IqRoute {
            ns: ns::PRIVATE,
            name: "query",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: set,
        },
    ],
    ..Feature::NONE
};

/// XEP-0049 §2.3: what is kept under the names that are asked for; where nothing is, the empty element comes back.
fn get(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = owner(engine, iq)?;
    let wanted = elements(&iq.payload)?;
    // §2.3: one namespace at a time.
    if wanted.iter().any(|element| !element.is_in(&wanted[0].ns())) {
        return Err(StanzaError::text(
            Condition::NotAcceptable,
            "ask for one namespace at a time",
        ));
    }
    let mut found = Vec::new();
    for element in &wanted {
        let kept = engine
            .store
            .document(user.id, DocumentKind::Private, &name(element))?;
        found.push(kept.unwrap_or_else(|| empty(element)));
    }
    let payload = written(|out| {
        out.start("query").attr("xmlns", ns::PRIVATE);
        for xml in &found {
            out.raw(xml);
        }
        out.end();
    });
    Ok(Answer::Payload(payload))
}

/// XEP-0049 §2.3: keeps every element. An empty one is what is read where nothing is kept, so it is not kept either.
fn set(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = owner(engine, iq)?;
    let documents: Vec<Document> = elements(&iq.payload)?
        .iter()
        .map(|element| Document {
            kind: DocumentKind::Private,
            name: name(element),
            xml: match element.is_empty() {
                true => String::new(),
                false => element.standalone(),
            },
        })
        .collect();
    engine.keep_documents(&user, &documents)?;
    Ok(Answer::Empty)
}

/// The elements of a request: at least one, each in a namespace of its own that is not reserved, and none twice.
fn elements<'a>(query: &Element<'a>) -> Result<Vec<Element<'a>>, StanzaError> {
    let refused = |why: &'static str| StanzaError::text(Condition::NotAcceptable, why);
    let elements: Vec<Element<'a>> = query.children().collect();
    // §2.3: "Not Acceptable" is a must here; the "Bad Format" of its example is no condition of RFC 6120.
    if elements.is_empty() {
        return Err(refused(
            "there must be an element with a namespace of its own",
        ));
    }
    for (place, element) in elements.iter().enumerate() {
        let space = element.ns();
        if space.is_empty() || space == ns::PRIVATE {
            return Err(refused("each element must have a namespace of its own"));
        }
        // §2.3, §3.
        let reserved = ["jabber:", "http://jabber.org/"];
        if space == ns::VCARD || reserved.iter().any(|start| space.starts_with(start)) {
            return Err(refused("this namespace is reserved"));
        }
        let before = &elements[..place];
        if before.iter().any(|other| other.is(&space, element.name())) {
            return Err(refused("an element stands there twice"));
        }
    }
    Ok(elements)
}

/// What a document is filed under: a namespace has no space in it.
fn name(element: &Element<'_>) -> String {
    format!("{} {}", element.ns(), element.name())
}

/// The element that is asked for, without anything.
fn empty(element: &Element<'_>) -> String {
    format!(
        "<{} xmlns='{}'/>",
        element.name(),
        crate::xml::escaped(&element.ns())
    )
}

fn owner(engine: &Engine, iq: &Iq<'_, '_>) -> Result<Owner, StanzaError> {
    let owner = engine.session_owner(iq.session);
    owner.ok_or(Condition::ItemNotFound.into())
}
