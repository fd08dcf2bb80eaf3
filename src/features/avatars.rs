//! XEP-0084: User Avatar, XEP-0153: vCard-Based Avatars, XEP-0398: what makes one picture of both. A picture that is published at the nodes goes into
//! the vCard where everybody who sees the vCard may see the nodes; one in the vCard goes to the nodes; and its hash goes into presence. What was
//! converted is recognised by its hash, so that nothing goes round in a circle (HOLES 29).
//!
//! Left out: width and height of a picture out of a vCard, which would have to be read out of the picture.

use crate::engine::Engine;
use crate::engine::feature::Feature;
use crate::engine::pubsub::config::AccessModel;
use crate::engine::pubsub::publish::Publication;
use crate::engine::pubsub::{Change, Owner};
use crate::engine::session::SessionId;
use crate::store::{Document, DocumentKind};
use crate::xml::{self, Element, Splice, Writer, splice, written};
use crate::xmpp::{StanzaError, ns};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// The row of XEP-0084.
pub const AVATARS: Feature = Feature {
    spec: "XEP-0084",
    title: "User Avatar",
    ..Feature::NONE
};

/// The row of XEP-0153: the hash itself is put into presence in `engine/photo.rs`.
pub const VCARD_AVATARS: Feature = Feature {
    spec: "XEP-0153",
    title: "vCard-Based Avatars",
    ..Feature::NONE
};

/// The row of XEP-0398.
pub const CONVERSION: Feature = Feature {
    spec: "XEP-0398",
    title: "User Avatar to vCard-Based Avatars Conversion",
    account_features: &[ns::AVATAR_CONVERSION],
    published: Some(published),
    documents_kept: Some(kept),
    bound: Some(catch_up),
    node_missing: Some(wanted),
    ..Feature::NONE
};

/// A picture: its type, and its bytes as base64 without white space.
struct Picture {
    kind: String,
    base64: String,
    bytes: usize,
    /// SHA-1 in hexadecimal digits.
    hash: String,
}

impl Picture {
    /// `None` where it is no base64, or nothing.
    fn read(kind: &str, base64: &str) -> Option<Picture> {
        let base64: String = base64.split_ascii_whitespace().collect();
        let bytes = STANDARD.decode(&base64).ok().filter(|b| !b.is_empty())?;
        let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes);
        Some(Picture {
            kind: match kind.trim() {
                "" => "image/png".to_owned(),
                kind => kind.to_owned(),
            },
            base64,
            bytes: bytes.len(),
            hash: hash
                .as_ref()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect(),
        })
    }

    /// The one in a vCard.
    fn of_vcard(vcard: Element<'_>) -> Option<Picture> {
        let photo = vcard.child(ns::VCARD, "PHOTO")?;
        let text = |name| {
            let child = photo.child(ns::VCARD, name);
            child.map_or_else(String::new, |child| child.text().into_owned())
        };
        Picture::read(&text("TYPE"), &text("BINVAL"))
    }
}

fn published(engine: &mut Engine, owner: &Owner, change: &Change<'_>) {
    let (Change::Published { node, .. }
    | Change::Retracted { node, .. }
    | Change::Emptied { node }) = change;
    if *node != ns::AVATAR_METADATA {
        return;
    }
    let done = match change {
        Change::Published { xml, .. } => to_vcard(engine, owner, xml),
        // Retracted, emptied or deleted: it is as if there were no picture, and the one in the vCard must not bring it back.
        _ => match last_metadata(engine, owner) {
            Ok(None) => to_vcard(engine, owner, &no_picture()),
            Ok(Some(_)) => Ok(()),
            Err(error) => Err(error),
        },
    };
    if let Err(error) = done {
        log::warn!("an avatar could not be put into the vCard: {error:?}");
    }
}

/// XEP-0084 §3.5: metadata without a picture.
fn no_picture() -> String {
    format!("<metadata xmlns='{}'/>", ns::AVATAR_METADATA)
}

/// XEP-0398 §3.1.
fn to_vcard(engine: &mut Engine, owner: &Owner, metadata: &str) -> Result<(), StanzaError> {
    // §7: only where those who see the vCard may see the picture too.
    for node in [ns::AVATAR_METADATA, ns::AVATAR_DATA] {
        let shown = engine.node_of(owner, node)?.is_none_or(|node| {
            matches!(
                node.config().access(),
                AccessModel::Open | AccessModel::Presence
            )
        });
        if !shown {
            return Ok(());
        }
    }
    let Ok(metadata) = xml::Document::parse(metadata.to_owned()) else {
        return Ok(());
    };
    let infos: Vec<Element<'_>> = metadata
        .root()
        .children()
        .filter(|child| child.is(ns::AVATAR_METADATA, "info"))
        .collect();
    let picture = match infos.iter().find(|info| info.attr("url").is_none()) {
        Some(info) => match at_node(engine, owner, info)? {
            Some(picture) => Some(picture),
            // Nothing, or not what its id says: it is nobody's picture.
            None => return Ok(()),
        },
        // XEP-0084 §3.5: no picture any more. One that is only at a URL is none of ours.
        None if infos.is_empty() => None,
        None => return Ok(()),
    };
    let vcard = engine.kept_document(owner, DocumentKind::Vcard, "")?;
    let old = vcard
        .as_ref()
        .and_then(|vcard| Picture::of_vcard(vcard.root()));
    let same = old.as_ref().map(|old| &old.hash) == picture.as_ref().map(|new| &new.hash);
    if same {
        return Ok(());
    }
    engine.keep_vcard(owner, with_picture(vcard.as_ref(), picture.as_ref()), None)
}

/// The picture that metadata speaks of.
fn at_node(
    engine: &mut Engine,
    owner: &Owner,
    info: &Element<'_>,
) -> Result<Option<Picture>, StanzaError> {
    let id = info.attr("id").unwrap_or_default();
    let Some(node) = engine.node_of(owner, ns::AVATAR_DATA)? else {
        return Ok(None);
    };
    let stored = node.stored.clone();
    let item = engine.store.item(owner.id, &stored, &id)?;
    let Some((_, item)) = item else {
        return Ok(None);
    };
    let Ok(data) = xml::Document::parse(item.xml) else {
        return Ok(None);
    };
    let kind = info.attr("type").unwrap_or_default();
    Ok(Picture::read(&kind, &data.root().text())
        .filter(|picture| picture.hash.eq_ignore_ascii_case(&id)))
}

/// A vCard with another picture, or without one.
fn with_picture(vcard: Option<&xml::Document>, picture: Option<&Picture>) -> String {
    let mut photo = String::new();
    if let Some(picture) = picture {
        Writer::new(&mut photo)
            .start("PHOTO")
            .attr("xmlns", ns::VCARD)
            .leaf("TYPE", &picture.kind)
            .leaf("BINVAL", &picture.base64)
            .end();
    }
    let Some(vcard) = vcard else {
        return match photo.is_empty() {
            true => String::new(),
            false => format!("<vCard xmlns='{}'>{photo}</vCard>", ns::VCARD),
        };
    };
    let old: Vec<Element<'_>> = vcard
        .root()
        .children()
        .filter(|child| child.is(ns::VCARD, "PHOTO"))
        .collect();
    let mut out = Vec::new();
    splice(
        &mut out,
        vcard.checked(),
        &Splice {
            without: &old,
            append: &photo,
            ..Splice::default()
        },
    );
    String::from_utf8(out).expect("a checked document is text")
}

fn kept(engine: &mut Engine, owner: &Owner, documents: &[Document]) {
    let vcard = documents
        .iter()
        .find(|document| document.kind == DocumentKind::Vcard);
    if let Some(vcard) = vcard
        && let Err(error) = to_nodes(engine, owner, &vcard.xml)
    {
        log::warn!("the picture of a vCard could not be published: {error:?}");
    }
}

/// XEP-0398 §3.2, and the hash of §4.
fn to_nodes(engine: &mut Engine, owner: &Owner, vcard: &str) -> Result<(), StanzaError> {
    let vcard = xml::Document::parse(vcard.to_owned()).ok();
    let picture = vcard.and_then(|vcard| Picture::of_vcard(vcard.root()));
    let before = engine.kept_hash(owner)?;
    let hash = picture.as_ref().map_or("", |picture| &picture.hash);
    if before == hash {
        return Ok(());
    }
    engine.photo_changed(owner, hash)?;
    let shown = last_metadata(engine, owner)?;
    match picture {
        Some(picture) if shown.as_deref() != Some(&picture.hash) => {
            publish_picture(engine, owner, &picture)
        }
        // The picture that was here was the one of the nodes: it is gone there too.
        None if shown.as_deref() == Some(&before) => {
            publish(engine, owner, ns::AVATAR_METADATA, None, no_picture())
        }
        _ => Ok(()),
    }
}

/// The id of the metadata that was published last.
fn last_metadata(engine: &mut Engine, owner: &Owner) -> Result<Option<String>, StanzaError> {
    let Some(node) = engine.node_of(owner, ns::AVATAR_METADATA)? else {
        return Ok(None);
    };
    let stored = node.stored.clone();
    Ok(engine
        .store
        .last_item(owner.id, &stored)?
        .map(|item| item.id))
}

fn publish_picture(
    engine: &mut Engine,
    owner: &Owner,
    picture: &Picture,
) -> Result<(), StanzaError> {
    let data = written(|out| {
        out.start("data")
            .attr("xmlns", ns::AVATAR_DATA)
            .text(&picture.base64)
            .end();
    });
    let metadata = written(|out| {
        out.start("metadata").attr("xmlns", ns::AVATAR_METADATA);
        out.start("info")
            .attr("bytes", &picture.bytes.to_string())
            .attr("id", &picture.hash)
            .attr("type", &picture.kind)
            .end();
        out.end();
    });
    let id = Some(picture.hash.clone());
    publish(engine, owner, ns::AVATAR_DATA, id.clone(), data)?;
    publish(engine, owner, ns::AVATAR_METADATA, id, metadata)
}

fn publish(
    engine: &mut Engine,
    owner: &Owner,
    node: &str,
    id: Option<String>,
    xml: String,
) -> Result<(), StanzaError> {
    let by = engine.in_the_name_of(owner);
    let publication = Publication::new(node, id, xml);
    engine.publish(owner, &by, publication).map(drop)
}

/// The hash of a picture that is in the vCard already when an account comes from another server, or from a snug that did not keep it.
fn catch_up(engine: &mut Engine, session: SessionId) {
    let first = engine
        .user_of(session)
        .is_some_and(|user| user.sessions.len() == 1);
    let Some(owner) = engine.session_owner(session).filter(|_| first) else {
        return;
    };
    let look = |engine: &mut Engine| -> Result<(), StanzaError> {
        if !engine.kept_hash(&owner)?.is_empty() {
            return Ok(());
        }
        let vcard = engine.kept_document(&owner, DocumentKind::Vcard, "")?;
        match vcard.and_then(|vcard| Picture::of_vcard(vcard.root())) {
            Some(picture) => Ok(engine.photo_changed(&owner, &picture.hash)?),
            None => Ok(()),
        }
    };
    if let Err(error) = look(engine) {
        log::warn!(
            "the picture of {} could not be looked at: {error:?}",
            owner.jid
        );
    }
}

/// A picture that was in the vCard before there were nodes: as of an account that came from another server.
fn wanted(engine: &mut Engine, owner: &Owner, node: &str) {
    if node != ns::AVATAR_METADATA && node != ns::AVATAR_DATA {
        return;
    }
    let found = engine.kept_document(owner, DocumentKind::Vcard, "");
    let picture = found
        .ok()
        .flatten()
        .and_then(|vcard| Picture::of_vcard(vcard.root()));
    if let Some(picture) = picture {
        let done = engine
            .photo_changed(owner, &picture.hash)
            .map_err(StanzaError::from)
            .and_then(|()| publish_picture(engine, owner, &picture));
        if let Err(error) = done {
            log::warn!("the picture of a vCard could not be published: {error:?}");
        }
    }
}
