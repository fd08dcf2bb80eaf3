//! What the clients can (XEP-0115), remembered by verified hash: one that is known is never asked, also after a restart.
//!
//! What is remembered is the text S that the hash is of, and nothing but S decides what somebody can: the answers of two clients that have the
//! same S are the same here, whatever they made of its parts. A forged answer with the hash of another client so takes nothing from that client
//! and adds nothing to it (XEP-0115 §8.2; HOLES 18).

use super::Engine;
use super::delivery::Delivery;
use super::disco::{self, Info};
use super::session::SessionId;
use crate::limits;
use crate::xml::{Element, written};
use crate::xmpp::ns;
use std::collections::HashMap;
use std::rc::{Rc, Weak};

/// What a client can.
#[derive(Debug, PartialEq, Eq)]
pub struct Capabilities {
    text: Box<str>,
}

impl Capabilities {
    /// Whether it has a feature.
    pub fn has(&self, feature: &str) -> bool {
        self.iter().any(|part| part == feature)
    }

    /// All that it said of itself: features, and among them what it is and what stood in its forms.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.text.split('<').filter(|part| !part.is_empty())
    }
}

/// What the server knows of one client.
#[derive(Default)]
pub struct SessionCapabilities {
    /// The hash's name and value that it showed last, with a space between; empty before.
    shown: Box<str>,
    known: Option<Rc<Capabilities>>,
    /// What was known of it before, while it is not known what it can now.
    before: Option<Rc<Capabilities>>,
    /// The id of the question that it has not answered.
    asked: Option<Box<str>>,
    /// How many hashes were learned from it.
    learned: u8,
}

/// Those that sessions have now, by what their clients show.
#[derive(Default)]
pub(super) struct Known {
    live: HashMap<Box<str>, Weak<Capabilities>>,
}

impl Engine {
    /// What the client of a session can, as far as it is known.
    pub fn features_of(&self, session: SessionId) -> Option<&Capabilities> {
        self.session(session)?.capabilities.known.as_deref()
    }

    /// A client shows its capabilities (XEP-0115 §6.1). One that nobody has shown before is asked, once.
    pub fn capabilities_shown(&mut self, session: SessionId, c: &Element<'_>) {
        let attr = |name| c.attr(name).unwrap_or_default();
        let (hash, node, ver) = (attr("hash"), attr("node"), attr("ver"));
        // §5.4: without a hash it is of the time before 2008, and says nothing.
        let short = hash.len() + ver.len() <= limits::CAPS_NAME_BYTES
            && node.len() <= limits::CAPS_NAME_BYTES;
        if hash.is_empty() || ver.is_empty() || node.is_empty() || !short {
            return;
        }
        let before = self
            .session(session)
            .map(|known| &*known.capabilities.shown);
        if before.is_none_or(|shown| shown.split_once(' ') == Some((&*hash, &*ver))) {
            return;
        }
        let shown = format!("{hash} {ver}").into_boxed_str();
        let known = self.known_capabilities(&hash, &shown);
        let asked = known.is_none().then(|| self.random.id().into_boxed_str());
        if let Some(id) = &asked {
            self.trace(|| "caps: asked".to_owned());
            let domain = self.config.domain.clone();
            let jid = self.session(session).map(|session| session.jid.to_string());
            let text = written(|out| {
                out.start("iq")
                    .attr("from", &domain)
                    .attr_opt("to", jid.as_deref())
                    .attr("id", id)
                    .attr("type", "get");
                out.start("query")
                    .attr("xmlns", ns::DISCO_INFO)
                    .attr("node", &format!("{node}#{ver}"))
                    .end()
                    .end();
            });
            self.deliver(session, Delivery::of(&domain), |out| {
                out.extend_from_slice(text.as_bytes())
            });
        }
        let is_known = known.is_some();
        if let Some(session) = self.session_mut(session) {
            let mine = &mut session.capabilities;
            mine.before = mine.known.take().or(mine.before.take());
            (mine.shown, mine.known, mine.asked) = (shown, known, asked);
        }
        if is_known {
            self.tell_capabilities(session);
        }
    }

    fn tell_capabilities(&mut self, session: SessionId) {
        let before = self
            .session_mut(session)
            .and_then(|session| session.capabilities.before.take());
        self.tell(
            |row| row.capabilities_known,
            |engine, hook| hook(engine, session, before.as_deref()),
        );
    }

    /// A client answers the question of this id, with nothing if it refuses. Whether there was such a question.
    ///
    /// XEP-0115 §5.4: only what hashes to what was shown is remembered for others; the rest counts for this client alone.
    pub fn capabilities_told(
        &mut self,
        session: SessionId,
        id: &str,
        query: Option<&Element<'_>>,
    ) -> bool {
        let Some(told) = self.session_mut(session) else {
            return false;
        };
        let mine = &mut told.capabilities;
        if mine.asked.as_deref() != Some(id) {
            return false;
        }
        mine.asked = None;
        let shown = mine.shown.clone();
        let may_teach = mine.learned < limits::CAPS_LEARNED;
        let text = query
            .and_then(Info::read)
            .map(|info| info.text())
            .filter(|text| text.len() <= limits::CAPS_BYTES);
        let Some(text) = text else {
            self.trace(|| "caps: no answer that counts".to_owned());
            return true;
        };
        let (hash, ver) = shown.split_once(' ').unwrap_or_default();
        let verified = disco::verification(hash, &text).is_some_and(|right| right == ver);
        let known = Rc::new(Capabilities {
            text: text.into_boxed_str(),
        });
        self.trace(|| {
            format!(
                "caps: told, {}",
                if verified { "verified" } else { "for itself" }
            )
        });
        if verified && may_teach {
            if let Err(error) = self
                .store
                .put_capabilities(&shown, self.now.wall_ms, &known.text)
            {
                log::warn!("what a client can could not be kept: {error}");
            }
            self.capabilities.remember(&shown, &known);
        }
        if let Some(session) = self.session_mut(session) {
            session.capabilities.learned += u8::from(verified && may_teach);
            session.capabilities.known = Some(known);
        }
        self.tell_capabilities(session);
        true
    }

    fn known_capabilities(&mut self, hash: &str, shown: &str) -> Option<Rc<Capabilities>> {
        if !disco::is_known_hash(hash) {
            return None;
        }
        if let Some(known) = self.capabilities.live.get(shown).and_then(Weak::upgrade) {
            return Some(known);
        }
        match self.store.capabilities(shown) {
            Ok(text) => {
                let known = Rc::new(Capabilities {
                    text: text?.into_boxed_str(),
                });
                self.capabilities.remember(shown, &known);
                Some(known)
            }
            Err(error) => {
                log::error!("what a client can could not be read: {error}");
                None
            }
        }
    }
}

impl Known {
    /// Only what a session has stays in memory.
    fn remember(&mut self, shown: &str, known: &Rc<Capabilities>) {
        self.live.retain(|_, known| known.strong_count() > 0);
        self.live.insert(shown.into(), Rc::downgrade(known));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_can_is_a_matter_of_the_hashed_text_alone() {
        // The same text, once with features and once with a form that hides two of them.
        let caps = Capabilities {
            text: "client/pc//X<urn:a<urn:b<urn:c<".into(),
        };
        for feature in ["urn:a", "urn:b", "urn:c"] {
            assert!(caps.has(feature));
        }
        assert!(!caps.has("urn") && !caps.has("") && !caps.has("urn:a<urn:b"));
        assert_eq!(caps.iter().count(), 4);
    }

    #[test]
    fn only_what_somebody_has_stays_in_memory() {
        let mut known = Known::default();
        let held = Rc::new(Capabilities { text: "a<".into() });
        known.remember("sha-1 a", &held);
        for number in 0..100 {
            let gone = Rc::new(Capabilities { text: "b<".into() });
            known.remember(&format!("sha-1 {number}"), &gone);
        }
        assert_eq!(known.live.len(), 2);
        assert!(known.live["sha-1 a"].upgrade().is_some());
    }
}
