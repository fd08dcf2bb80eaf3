//! XEP-0054: vcard-temp, and XEP-0292: vCard4, both out of one vCard. It is read by oneself and by those who may see one's presence; to
//! everybody else there is nobody (HOLES 19), which also is the answer of an account without a vCard (§3.3). vCard4 comes in the iq of the
//! XEP's first versions, and in its node of XEP-0163; all are the same vCard.

use crate::engine::Engine;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::engine::pubsub::config::AccessModel;
use crate::engine::pubsub::publish::Publication;
use crate::engine::pubsub::{Change, Owner};
use crate::store::{Document, DocumentKind};
use crate::xml;
use crate::xmpp::{Condition, StanzaError, ns};

pub mod convert;

/// The row of vcard-temp.
pub const FEATURE: Feature = Feature {
    spec: "XEP-0054",
    title: "vcard-temp",
    server_features: &[ns::VCARD],
    account_features: &[ns::VCARD],
    iq: &[
        IqRoute {
            ns: ns::VCARD,
            name: "vCard",
            at: At::AnyAccount,
            takes: Takes::Get,
            handle: get,
        },
        // §3.2: nobody else's; that it is refused is all that a stranger may learn.
        IqRoute {
            ns: ns::VCARD,
            name: "vCard",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: set,
        },
    ],
    ..Feature::NONE
};

/// The row of vCard4.
pub const VCARD4: Feature = Feature {
    spec: "XEP-0292",
    title: "vCard4 Over XMPP",
    server_features: &[ns::VCARD4],
    account_features: &[ns::VCARD4],
    iq: &[
        IqRoute {
            ns: ns::VCARD4,
            name: "vcard",
            at: At::AnyAccount,
            takes: Takes::Get,
            handle: get4,
        },
        IqRoute {
            ns: ns::VCARD4,
            name: "vcard",
            at: At::OwnAccount,
            takes: Takes::Set,
            handle: set4,
        },
    ],
    published: Some(published),
    documents_kept: Some(changed),
    node_missing: Some(wanted),
    ..Feature::NONE
};

/// XEP-0054 §3.1, §3.3.
fn get(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = visible_user(engine, iq)?;
    match kept(engine, &user, DocumentKind::Vcard)? {
        Some(vcard) => Ok(Answer::Payload(vcard.text().to_owned())),
        None => Err(nothing(iq)),
    }
}

/// XEP-0054 §3.2: the whole vCard, as it came.
fn set(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = visible_user(engine, iq)?;
    if iq.payload.is_empty() {
        // What vCard4 has beside it goes too: there is no vCard any more.
        return keep(engine, &user, String::new(), Some(String::new()));
    }
    keep(engine, &user, iq.payload.standalone(), None)
}

/// XEP-0292 §9: the same vCard in the other's words.
fn get4(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = visible_user(engine, iq)?;
    let vcard = kept(engine, &user, DocumentKind::Vcard)?;
    let rest = kept(engine, &user, DocumentKind::Vcard4)?;
    if vcard.is_none() && rest.is_none() {
        return Err(nothing(iq));
    }
    Ok(Answer::Payload(convert::to_vcard4(
        vcard.as_ref().map(|vcard| vcard.root()),
        rest.as_ref().map(|rest| rest.root()),
    )))
}

/// XEP-0292 §9, backwards; what one form has no place for stays in the other.
fn set4(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = visible_user(engine, iq)?;
    if iq.payload.is_empty() {
        return keep(engine, &user, String::new(), Some(String::new()));
    }
    let old = kept(engine, &user, DocumentKind::Vcard)?;
    let new = convert::from_vcard4(&iq.payload, old.as_ref().map(|old| old.root()));
    keep(engine, &user, new.vcard, Some(new.rest))
}

fn keep(
    engine: &mut Engine,
    owner: &Owner,
    vcard: String,
    rest: Option<String>,
) -> Result<Answer, StanzaError> {
    engine.keep_vcard(owner, vcard, rest)?;
    Ok(Answer::Empty)
}

/// XEP-0292 §4: a vCard4 at its node is the account's vCard, where everybody who sees the vCard may read the node.
fn published(engine: &mut Engine, owner: &Owner, change: &Change<'_>) {
    let Change::Published {
        node: ns::VCARD4_NODE,
        xml,
        ..
    } = change
    else {
        return;
    };
    let keep = |engine: &mut Engine| -> Result<(), StanzaError> {
        let shown = engine.node_of(owner, ns::VCARD4_NODE)?.is_some_and(|node| {
            let access = node.config().access();
            matches!(access, AccessModel::Open | AccessModel::Presence)
        });
        let Some(vcard4) = xml::Document::parse((*xml).to_owned())
            .ok()
            .filter(|_| shown)
        else {
            return Ok(());
        };
        let old = kept(engine, owner, DocumentKind::Vcard)?;
        let rest = kept(engine, owner, DocumentKind::Vcard4)?;
        let new = convert::from_vcard4(&vcard4.root(), old.as_ref().map(|old| old.root()));
        if is_same(&new, old.as_ref(), rest.as_ref()) {
            return Ok(());
        }
        engine.keep_vcard(owner, new.vcard, Some(new.rest))
    };
    if let Err(error) = keep(engine) {
        log::warn!("a vCard4 could not be kept as the vCard: {error:?}");
    }
}

/// The other way: the node follows the vCard, once somebody has wanted it.
fn changed(engine: &mut Engine, owner: &Owner, documents: &[Document]) {
    let is_vcard = |document: &Document| document.kind == DocumentKind::Vcard;
    let there = engine.node_of(owner, ns::VCARD4_NODE);
    if documents.iter().any(is_vcard) && matches!(there, Ok(Some(_))) {
        follow(engine, owner);
    }
}

/// Whether a vCard and what vCard4 has beside it are what is kept.
fn is_same(
    new: &convert::Converted,
    vcard: Option<&xml::Document>,
    rest: Option<&xml::Document>,
) -> bool {
    let text = |document: Option<&xml::Document>| {
        document.map_or_else(String::new, |document| document.text().to_owned())
    };
    new.vcard == text(vcard) && new.rest == text(rest)
}

fn wanted(engine: &mut Engine, owner: &Owner, node: &str) {
    if node == ns::VCARD4_NODE {
        follow(engine, owner);
    }
}

fn follow(engine: &mut Engine, owner: &Owner) {
    let publish = |engine: &mut Engine| -> Result<(), StanzaError> {
        let vcard = kept(engine, owner, DocumentKind::Vcard)?;
        let rest = kept(engine, owner, DocumentKind::Vcard4)?;
        let node = engine.node_of(owner, ns::VCARD4_NODE)?;
        let node = node.map(|node| node.stored.clone());
        if vcard.is_none() && rest.is_none() && node.is_none() {
            return Ok(());
        }
        // What was published there and became the vCard is not published again in other words.
        if let Some(node) = node
            && let Some(item) = engine.store.last_item(owner.id, &node)?
            && let Ok(item) = xml::Document::parse(item.xml)
            && is_same(
                &convert::from_vcard4(&item.root(), vcard.as_ref().map(|vcard| vcard.root())),
                vcard.as_ref(),
                rest.as_ref(),
            )
        {
            return Ok(());
        }
        let xml = convert::to_vcard4(
            vcard.as_ref().map(|vcard| vcard.root()),
            rest.as_ref().map(|rest| rest.root()),
        );
        let by = engine.in_the_name_of(owner);
        let publication = Publication::new(ns::VCARD4_NODE, Some("current".to_owned()), xml);
        engine.quietly(|engine| engine.publish(owner, &by, publication).map(drop))
    };
    if let Err(error) = publish(engine) {
        log::warn!("a vCard could not be published as vCard4: {error:?}");
    }
}

fn visible_user(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Owner, StanzaError> {
    engine.check_visible(iq)?;
    let owner = engine.account_owner(iq.account)?;
    owner.ok_or(Condition::ServiceUnavailable.into())
}

/// XEP-0054 §3.1 for oneself; §3.3 for others, who hear the same of an account that is not there.
fn nothing(iq: &Iq<'_, '_>) -> StanzaError {
    match iq.stanza.from.local() == Some(iq.account) {
        true => Condition::ItemNotFound.into(),
        false => Condition::ServiceUnavailable.into(),
    }
}

fn kept(
    engine: &Engine,
    owner: &Owner,
    kind: DocumentKind,
) -> Result<Option<xml::Document>, StanzaError> {
    engine.kept_document(owner, kind, "")
}
