//! XEP-0054: vcard-temp, and XEP-0292: vCard4, both out of one vCard. It is read by oneself and by those who may see one's presence; to
//! everybody else there is nobody (HOLES 19), which also is the answer of an account without a vCard (§3.3). vCard4 comes in the iq of the
//! XEP's first versions; its PEP node comes with PEP.

use crate::engine::Engine;
use crate::engine::directory::entry_of;
use crate::engine::feature::{Answer, At, Feature, Iq, IqRoute, Takes};
use crate::store::{Document, DocumentKind, Entry, UserId};
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
    leaves_out: "the PEP node, until there is PEP",
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
    ..Feature::NONE
};

/// XEP-0054 §3.1, §3.3.
fn get(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = visible_user(engine, iq)?;
    match kept(engine, user, DocumentKind::Vcard)? {
        Some(vcard) => Ok(Answer::Payload(vcard.text().to_owned())),
        None => Err(nothing(iq)),
    }
}

/// XEP-0054 §3.2: the whole vCard, as it came.
fn set(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = visible_user(engine, iq)?;
    if iq.payload.is_empty() {
        // What vCard4 has beside it goes too: there is no vCard any more.
        return keep(engine, iq, user, String::new(), Some(String::new()));
    }
    keep(engine, iq, user, iq.payload.standalone(), None)
}

/// XEP-0292 §9: the same vCard in the other's words.
fn get4(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<Answer, StanzaError> {
    let user = visible_user(engine, iq)?;
    let vcard = kept(engine, user, DocumentKind::Vcard)?;
    let rest = kept(engine, user, DocumentKind::Vcard4)?;
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
        return keep(engine, iq, user, String::new(), Some(String::new()));
    }
    let old = kept(engine, user, DocumentKind::Vcard)?;
    let new = convert::from_vcard4(&iq.payload, old.as_ref().map(|old| old.root()));
    keep(engine, iq, user, new.vcard, Some(new.rest))
}

/// Keeps a vCard, the entry of the directory that is made of it, and what vCard4 has beside it where that changes.
fn keep(
    engine: &mut Engine,
    iq: &Iq<'_, '_>,
    user: UserId,
    vcard: String,
    rest: Option<String>,
) -> Result<Answer, StanzaError> {
    let document = |kind, xml| Document {
        kind,
        name: String::new(),
        xml,
    };
    let entry = match vcard.is_empty() {
        true => Entry::default(),
        false => entry_of(iq.account, &parsed(vcard.clone())?.root()),
    };
    let mut documents = vec![document(DocumentKind::Vcard, vcard)];
    documents.extend(rest.map(|rest| document(DocumentKind::Vcard4, rest)));
    engine.store.put_documents(user, &documents)?;
    engine.store.put_entry(user, &entry)?;
    Ok(Answer::Empty)
}

fn visible_user(engine: &mut Engine, iq: &Iq<'_, '_>) -> Result<UserId, StanzaError> {
    engine.check_visible(iq)?;
    let user = engine.user(iq.account)?.map(|user| user.id);
    user.ok_or(Condition::ServiceUnavailable.into())
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
    user: UserId,
    kind: DocumentKind,
) -> Result<Option<xml::Document>, StanzaError> {
    engine
        .store
        .document(user, kind, "")?
        .map(parsed)
        .transpose()
}

fn parsed(text: String) -> Result<xml::Document, StanzaError> {
    xml::Document::parse(text).map_err(|error| {
        log::error!("a vCard cannot be read: {error:?}");
        Condition::InternalServerError.into()
    })
}
