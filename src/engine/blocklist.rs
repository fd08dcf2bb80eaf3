//! Who is blocked (XEP-0191): the value that a user keeps in memory, and the questions that everybody asks before a stanza passes between two
//! people. What a user blocks counts in both directions.

use super::session::{SessionId, User};
use super::{Engine, feature::Gate};
use crate::store::{Store, StoreError, UserId};
use crate::xmpp::{Jid, Stanza};

/// The JIDs that a user blocks, sorted. Most users block nobody, and then it costs no heap.
#[derive(Clone, Debug, Default)]
pub struct Blocklist {
    sorted: Vec<Jid<'static>>,
}

impl Blocklist {
    /// Reads a user's list: one scan of the store.
    pub fn load(store: &Store, id: UserId) -> Result<Blocklist, StoreError> {
        let mut sorted = store.blocklist(id)?;
        sorted.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        sorted.shrink_to_fit();
        Ok(Blocklist { sorted })
    }

    /// Whether nobody is blocked.
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The JIDs as the user gave them, normalised and sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Jid<'static>> {
        self.sorted.iter()
    }

    /// Whether this very JID stands in the list.
    pub fn lists(&self, jid: &str) -> bool {
        self.place(jid).is_ok()
    }

    /// Whether the list blocks a JID, by any of the forms that cover it.
    pub fn blocks(&self, jid: &Jid<'_>) -> bool {
        !self.is_empty() && forms(jid).any(|form| self.lists(form))
    }

    /// Takes over a JID that was just written to the store.
    pub fn add(&mut self, jid: Jid<'static>) {
        if let Err(place) = self.place(jid.as_str()) {
            self.sorted.insert(place, jid);
        }
    }

    /// Forgets a JID that was just removed from the store.
    pub fn remove(&mut self, jid: &str) {
        if let Ok(place) = self.place(jid) {
            self.sorted.remove(place);
        }
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.sorted = Vec::new();
    }

    fn place(&self, jid: &str) -> Result<usize, usize> {
        self.sorted
            .binary_search_by(|blocked| blocked.as_str().cmp(jid))
    }
}

/// XEP-0191 §6: the items that match a JID: itself, its bare form, its domain. `domain/resource` is matched by itself alone.
fn forms<'j>(jid: &'j Jid<'_>) -> impl Iterator<Item = &'j str> {
    let (full, bare, domain) = (jid.as_str(), jid.bare(), jid.domain());
    let bare = (bare != full).then_some(bare);
    let domain = (domain != jid.bare()).then_some(domain);
    [Some(full), bare, domain].into_iter().flatten()
}

/// Whom nobody can block: the resources of the same account (XEP-0191 §5), and the server itself, which the user's
/// clients need to undo the block of everybody on it.
fn is_exempt(own: &Jid<'_>, jid: &Jid<'_>) -> bool {
    jid.domain() == own.domain() && (jid.bare() == own.bare() || jid.is_domain())
}

impl User {
    /// Whether this user blocks a JID.
    pub fn blocks(&self, jid: &Jid<'_>) -> bool {
        self.blocklist.blocks(jid) && !is_exempt(&Jid::from(&self.jid), jid)
    }
}

impl Engine {
    /// Whether a local account blocks a JID; an account that does not exist blocks nobody. One that is offline is asked in the store, by at most
    /// four reads.
    pub fn blocks(&self, name: &str, jid: &Jid<'_>) -> Result<bool, StoreError> {
        if let Some(user) = self.loaded(name) {
            return Ok(user.blocks(jid));
        }
        let Some(account) = self.store.account(name)? else {
            return Ok(false);
        };
        if is_exempt(&Jid::from(&self.bare_jid(name)), jid) {
            return Ok(false);
        }
        for form in forms(jid) {
            if self.store.is_listed_as_blocked(account.id, form)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether one of two sessions is blocked by the other's user: then neither sees the other's presence.
    pub fn are_apart(&self, one: SessionId, other: SessionId) -> bool {
        let blocks = |by: SessionId, whom: SessionId| {
            let user = self.user_of(by).filter(|user| !user.blocklist.is_empty());
            user.zip(self.session(whom))
                .is_some_and(|(user, whom)| user.blocks(&Jid::from(&whom.jid)))
        };
        blocks(one, other) || blocks(other, one)
    }

    /// Asks every row whether a stanza may go from its sender to another account or to a service.
    pub(super) fn run_gates(&mut self, session: SessionId, stanza: &Stanza<'_>) -> Gate {
        for row in self.features {
            let Some(gate) = row.gate else { continue };
            match gate(self, session, stanza) {
                Gate::Pass => {}
                closed => {
                    self.trace(|| format!("gate: {} does not let it pass", row.spec));
                    return closed;
                }
            }
        }
        Gate::Pass
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(jids: &[&str]) -> Blocklist {
        let mut list = Blocklist::default();
        for jid in jids {
            list.add(Jid::parse(jid).unwrap().into_owned());
        }
        list
    }

    fn blocked(item: &str) -> Vec<&'static str> {
        const ALL: [&str; 8] = [
            "eve@a.test/r",
            "eve@a.test/s",
            "eve@a.test",
            "bob@a.test/r",
            "a.test/r",
            "a.test",
            "eve@b.test/r",
            "x.a.test",
        ];
        let list = list(&[item]);
        ALL.into_iter()
            .filter(|jid| list.blocks(&Jid::parse(jid).unwrap()))
            .collect()
    }

    #[test]
    fn each_form_matches_what_the_xep_says() {
        assert_eq!(blocked("eve@a.test/r"), ["eve@a.test/r"]);
        assert_eq!(
            blocked("eve@a.test"),
            ["eve@a.test/r", "eve@a.test/s", "eve@a.test"]
        );
        assert_eq!(blocked("a.test/r"), ["a.test/r"]);
        assert_eq!(
            blocked("a.test"),
            [
                "eve@a.test/r",
                "eve@a.test/s",
                "eve@a.test",
                "bob@a.test/r",
                "a.test/r",
                "a.test"
            ]
        );
    }

    #[test]
    fn a_jid_stands_in_it_once() {
        let mut list = list(&["b@a.test", "a@a.test", "b@a.test"]);
        let texts: Vec<_> = list.iter().map(Jid::as_str).collect();
        assert_eq!(texts, ["a@a.test", "b@a.test"]);
        list.remove("b@a.test");
        list.remove("c@a.test");
        assert!(!list.lists("b@a.test") && list.lists("a@a.test"));
        list.clear();
        assert!(list.is_empty());
    }
}
