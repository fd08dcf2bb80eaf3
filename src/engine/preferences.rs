//! Whose messages a user wants to have archived (XEP-0441): the value that a user keeps in memory, and the question that every archived message asks.

use super::Engine;
use crate::config::ArchivePolicy;
use crate::store::{Document, DocumentKind, Store, StoreError, UserId};
use crate::xml::{self, Element, Writer, written};
use crate::xmpp::{Condition, Jid, StanzaError, ns};

/// What a user said. Who has said nothing has none, and it costs no heap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preferences {
    /// For whom no list names.
    pub default: ArchivePolicy,
    /// Whose messages are archived in any case; sorted.
    pub always: Vec<Jid<'static>>,
    /// Whose never are; sorted.
    pub never: Vec<Jid<'static>>,
}

impl Preferences {
    /// What somebody has who has said nothing.
    pub fn unsaid(default: ArchivePolicy) -> Preferences {
        Preferences {
            default,
            always: Vec::new(),
            never: Vec::new(),
        }
    }

    /// Reads `<prefs/>` (XEP-0441 §2.1). `bad-request` where the default is none, `jid-malformed` for a JID that is none. A list that is missing is empty.
    pub fn read(prefs: &Element<'_>) -> Result<Preferences, StanzaError> {
        let default = prefs.attr("default");
        let default = default.as_deref().and_then(ArchivePolicy::parse);
        let default = default.ok_or_else(|| {
            StanzaError::text(
                Condition::BadRequest,
                "the default is always, roster or never",
            )
        })?;
        Ok(Preferences {
            default,
            always: read_list(prefs, "always")?,
            never: read_list(prefs, "never")?,
        })
    }

    /// Writes `<prefs/>`.
    pub fn write(&self, out: &mut Writer<'_>) {
        out.start("prefs")
            .attr("xmlns", ns::ARCHIVE)
            .attr("default", self.default.name());
        for (name, list) in [("always", &self.always), ("never", &self.never)] {
            out.start(name);
            list.iter().for_each(|jid| {
                out.leaf("jid", jid.as_str());
            });
            out.end();
        }
        out.end();
    }

    /// What a user has said, if anything: one read of the store.
    pub fn load(store: &Store, user: UserId) -> Result<Option<Box<Preferences>>, StoreError> {
        let Some(text) = store.document(user, DocumentKind::ArchivePreferences, "")? else {
            return Ok(None);
        };
        let document = xml::Document::parse(text).ok();
        let read = document.and_then(|prefs| Preferences::read(&prefs.root()).ok());
        match read {
            Some(preferences) => Ok(Some(Box::new(preferences))),
            None => Err(StoreError::Broken(
                "the preferences of an archive are damaged".to_owned(),
            )),
        }
    }

    /// Keeps them for a user.
    pub fn keep(&self, store: &Store, user: UserId) -> Result<(), StoreError> {
        let document = Document {
            kind: DocumentKind::ArchivePreferences,
            name: String::new(),
            xml: written(|out| self.write(out)),
        };
        store.put_documents(user, &[document])
    }

    /// The policy for one JID. XEP-0441 §2.3: a JID of a list with a resource means that resource, one without means all. It does not say which list wins:
    /// here the nearer one, and of two equally near ones the one that archives less.
    fn of(&self, jid: &Jid<'_>) -> ArchivePolicy {
        let lists = |list: &[Jid<'_>], jid: &str| {
            list.binary_search_by(|listed| listed.as_str().cmp(jid))
                .is_ok()
        };
        for form in [jid.as_str(), jid.bare()] {
            if lists(&self.never, form) {
                return ArchivePolicy::Never;
            }
            if lists(&self.always, form) {
                return ArchivePolicy::Always;
            }
        }
        self.default
    }
}

fn read_list(prefs: &Element<'_>, name: &str) -> Result<Vec<Jid<'static>>, StanzaError> {
    let mut jids = Vec::new();
    for child in prefs
        .child(ns::ARCHIVE, name)
        .iter()
        .flat_map(Element::children)
    {
        if child.is(ns::ARCHIVE, "jid") {
            let jid = Jid::parse(child.text().trim()).map(Jid::into_owned);
            jids.push(jid.map_err(|_| Condition::JidMalformed)?);
        }
    }
    jids.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    jids.dedup();
    Ok(jids)
}

impl Engine {
    /// Whether the archive of a local account takes messages to and from a JID. Of somebody offline two reads of the store, or three.
    pub fn archives(&self, name: &str, id: UserId, with: &Jid<'_>) -> Result<bool, StoreError> {
        let kept;
        let said = match self.online(name) {
            Some(user) => user.archiving.as_deref(),
            None => {
                kept = Preferences::load(&self.store, id)?;
                kept.as_deref()
            }
        };
        match said.map_or(self.config.archive.default, |said| said.of(with)) {
            ArchivePolicy::Always => Ok(true),
            ArchivePolicy::Never => Ok(false),
            ArchivePolicy::Roster => self.is_listed(name, id, with),
        }
    }

    /// Whether a JID's bare form stands in the contact list as clients see it (XEP-0441 §2.3.1). What somebody writes to themselves is as near as that.
    fn is_listed(&self, name: &str, id: UserId, jid: &Jid<'_>) -> Result<bool, StoreError> {
        let local = self.is_local(jid).then(|| jid.local()).flatten();
        if local == Some(name) {
            return Ok(true);
        }
        let contact = match self.online(name) {
            Some(user) => {
                let contact = user.contacts.get(jid.bare());
                contact.map(|contact| (contact.listed, contact.apart))
            }
            None => {
                let contact = self.store.roster_item(id, &jid.to_bare())?;
                contact.map(|contact| (contact.listed, contact.apart))
            }
        };
        match (contact, local) {
            (Some((true, _)), _) => Ok(true),
            (Some((_, true)), _) => Ok(false),
            (_, Some(local)) if self.config.roster.everyone => {
                Ok(self.store.account(local)?.is_some())
            }
            _ => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Preferences, StanzaError> {
        Preferences::read(&xml::Document::parse(text.to_owned()).expect("XML").root())
    }

    #[test]
    fn what_is_written_is_read() {
        let text = "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>romeo@montague.lit</jid></always><never><jid>a&amp;b@montague.lit</jid>\
            <jid>montague@montague.lit/r</jid></never></prefs>";
        let preferences = read(&text.replace("a&amp;b@", "montague@")).expect("preferences");
        let written = written(|out| preferences.write(out));
        assert_eq!(read(&written), Ok(preferences));
        let unsaid = Preferences::unsaid(ArchivePolicy::Always);
        assert_eq!(
            read("<prefs xmlns='urn:xmpp:mam:2' default='always'/>"),
            Ok(unsaid)
        );
    }

    #[test]
    fn the_nearer_list_wins_and_then_the_one_that_archives_less() {
        let text = "<prefs xmlns='urn:xmpp:mam:2' default='roster'><always><jid>a@x/r</jid><jid>b@x</jid><jid>c@x</jid></always>\
            <never><jid>a@x</jid><jid>B@X</jid><jid>c@x/r</jid></never></prefs>";
        let preferences = read(text).expect("preferences");
        let policy = |jid| preferences.of(&Jid::parse(jid).expect("a JID"));
        assert_eq!(policy("a@x/r"), ArchivePolicy::Always);
        assert_eq!(policy("a@x/s"), ArchivePolicy::Never);
        assert_eq!(policy("b@x/r"), ArchivePolicy::Never);
        assert_eq!(policy("c@x/r"), ArchivePolicy::Never);
        assert_eq!(policy("c@x"), ArchivePolicy::Always);
        assert_eq!(policy("d@x"), ArchivePolicy::Roster);
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for (text, condition) in [
            ("<prefs xmlns='urn:xmpp:mam:2'/>", Condition::BadRequest),
            (
                "<prefs xmlns='urn:xmpp:mam:2' default=''/>",
                Condition::BadRequest,
            ),
            (
                "<prefs xmlns='urn:xmpp:mam:2' default='Always'/>",
                Condition::BadRequest,
            ),
            (
                "<prefs xmlns='urn:xmpp:mam:2' default='never'><always><jid>a@@b</jid></always></prefs>",
                Condition::JidMalformed,
            ),
            (
                "<prefs xmlns='urn:xmpp:mam:2' default='never'><never><jid/></never></prefs>",
                Condition::JidMalformed,
            ),
        ] {
            assert_eq!(read(text).expect_err(text).condition, condition, "{text}");
        }
    }
}
