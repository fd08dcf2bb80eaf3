//! The hash of an account's picture in its presence (XEP-0398 §4): known while the account is online, so that a broadcast reads nothing, and put into
//! what its clients send.

use super::Engine;
use super::delivery::Change;
use super::pubsub::Owner;
use super::session::SessionId;
use crate::store::{Document, DocumentKind, StoreError, UserId};
use crate::xml::{self, Element, Scope, Splice, splice, written};
use crate::xmpp::{Stanza, ns};
use std::collections::HashMap;
use std::rc::Rc;

/// The hashes of those who are online, in hexadecimal digits; empty where there is no picture.
#[derive(Default)]
pub(super) struct Photos {
    known: HashMap<UserId, Rc<str>>,
}

impl Photos {
    pub(super) fn forget(&mut self, id: UserId) {
        self.known.remove(&id);
    }

    pub(super) fn forget_all(&mut self) {
        self.known.clear();
    }

    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// What the server changes of a presence that a client shows to others.
#[derive(Default)]
pub struct Stamp<'s> {
    /// What is left out, in the order of the source.
    pub without: Vec<Element<'s>>,
    /// What goes behind the last child.
    pub append: String,
}

impl Engine {
    /// The hash of the picture of a session's user; empty without one. One read the first time while the user is online.
    pub fn photo_hash(&mut self, session: SessionId) -> Result<Rc<str>, StoreError> {
        let Some(owner) = self.session_owner(session) else {
            return Ok(Rc::from(""));
        };
        if let Some(known) = self.photos.known.get(&owner.id) {
            return Ok(known.clone());
        }
        let hash: Rc<str> = self.kept_hash(&owner)?.into();
        self.photos.known.insert(owner.id, hash.clone());
        Ok(hash)
    }

    /// The hash that is kept of an account's picture; empty without one.
    pub fn kept_hash(&self, owner: &Owner) -> Result<String, StoreError> {
        let kept = self.store.document(owner.id, DocumentKind::Photo, "")?;
        let document = kept.and_then(|text| xml::Document::parse(text).ok());
        Ok(document.map_or_else(String::new, |document| document.root().text().into_owned()))
    }

    /// An account has another picture, or none: its hash is kept, and shown to all who see the account.
    pub fn photo_changed(&mut self, owner: &Owner, hash: &str) -> Result<(), StoreError> {
        let before = self.kept_hash(owner)?;
        if before == hash {
            return Ok(());
        }
        let xml = match hash.is_empty() {
            true => String::new(),
            false => written(|out| {
                out.start("photo")
                    .attr("xmlns", ns::VCARD_UPDATE)
                    .text(hash);
                out.end();
            }),
        };
        let document = Document {
            kind: DocumentKind::Photo,
            name: String::new(),
            xml,
        };
        self.store.put_documents(owner.id, &[document])?;
        self.photos.forget(owner.id);
        for session in self.available_of(owner.name()) {
            self.show_again(session, &before);
        }
        Ok(())
    }

    /// XEP-0398 §4: the hash goes into every presence of a client that does not say that there is no picture.
    pub fn stamp<'s>(&mut self, session: SessionId, presence: Element<'s>) -> Stamp<'s> {
        if presence.attr("type").is_some() {
            return Stamp::default();
        }
        let hash = match self.photo_hash(session) {
            Ok(hash) if !hash.is_empty() => hash,
            Ok(_) => return Stamp::default(),
            Err(error) => {
                log::error!("the hash of a picture could not be read: {error}");
                return Stamp::default();
            }
        };
        let without = updates(presence);
        match shown_hash(&without).as_deref() {
            Some("") => Stamp::default(),
            Some(shown) if *shown == *hash && without.len() == 1 => Stamp::default(),
            _ => Stamp {
                without,
                append: update(&hash),
            },
        }
    }

    /// A presence as others get it: stamped, and for nobody yet.
    pub fn shown_presence(&mut self, session: SessionId, stanza: &Stanza<'_>) -> Rc<str> {
        let stamp = self.stamp(session, stanza.xml.root());
        let mut out = Vec::with_capacity(stanza.xml.text().len() + 128);
        splice(
            &mut out,
            stanza.xml,
            &Splice {
                from: Some(stanza.from.as_str()),
                lang: stanza.lang.as_deref(),
                to: Some(""),
                without: &stamp.without,
                append: &stamp.append,
                ..Splice::default()
            },
        );
        String::from_utf8(out)
            .expect("a checked stanza is text")
            .into()
    }

    /// Shows a session's presence again, with the hash that is the right one now in place of the one `before`.
    fn show_again(&mut self, session: SessionId, before: &str) {
        let state = self.session(session);
        let Some(presence) = state.and_then(|state| state.presence.clone()) else {
            return;
        };
        let scope = Scope::of_default(ns::CLIENT);
        let Ok(document) = xml::Document::parse_within(presence.xml.to_string(), scope) else {
            return;
        };
        let mut stamp = self.stamp(session, document.root());
        let mut told = stamp.append.clone();
        if stamp.append.is_empty() {
            let shown = updates(document.root());
            if before.is_empty() || shown_hash(&shown).as_deref() != Some(before) {
                return;
            }
            // There is none any more, and who saw one is told. What newcomers get says nothing, so that the next picture is put in again.
            (stamp.without, told) = (shown, update(""));
        }
        let text = |append: &str| -> Rc<str> {
            let mut out = Vec::with_capacity(presence.xml.len() + 128);
            let how = Splice {
                without: &stamp.without,
                append,
                ..Splice::default()
            };
            splice(&mut out, document.checked(), &how);
            String::from_utf8(out)
                .expect("a checked stanza is text")
                .into()
        };
        let (kept, told) = (text(&stamp.append), text(&told));
        if let Some(state) = self.session_mut(session)
            && let Some(presence) = &mut state.presence
        {
            presence.xml = kept;
        }
        self.broadcast_presence(session, &told, Change::Stays);
    }
}

/// The elements of XEP-0153 in a presence.
fn updates(presence: Element<'_>) -> Vec<Element<'_>> {
    let children = presence.children();
    children
        .filter(|child| child.is(ns::VCARD_UPDATE, "x"))
        .collect()
}

/// The hash that they show; empty where they say that there is no picture.
fn shown_hash(updates: &[Element<'_>]) -> Option<String> {
    let mut photos = updates
        .iter()
        .filter_map(|x| x.child(ns::VCARD_UPDATE, "photo"));
    photos.next().map(|photo| photo.text().trim().to_owned())
}

/// XEP-0153 §3.1.
fn update(hash: &str) -> String {
    written(|out| {
        out.start("x").attr("xmlns", ns::VCARD_UPDATE);
        out.leaf("photo", hash).end();
    })
}
