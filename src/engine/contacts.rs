//! A contact list's states in memory: who may see whom, without names and groups. The full items stay in the store.

use crate::store::{RosterItem, Store, StoreError, Subscription, UserId};
use crate::xmpp::BareJid;

/// The states of one contact (RFC 6121 appendix A): nine of them, as independent facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contact {
    /// Who it is.
    pub jid: BareJid,
    /// Whether the user sees the contact's presence.
    pub to: bool,
    /// Whether the contact sees the user's presence.
    pub from: bool,
    /// Pending out: the user asked and was not answered yet.
    pub asked: bool,
    /// Pending in: the contact asked and was not answered yet.
    pub pending_in: bool,
    /// Whether it stands in the list that clients see.
    pub listed: bool,
    /// Whether these facts hold although everyone sees everyone.
    pub apart: bool,
}

impl From<&RosterItem> for Contact {
    fn from(item: &RosterItem) -> Contact {
        Contact {
            jid: item.jid.clone(),
            to: matches!(item.subscription, Subscription::To | Subscription::Both),
            from: matches!(item.subscription, Subscription::From | Subscription::Both),
            asked: item.ask,
            pending_in: item.pending_in.is_some(),
            listed: item.listed,
            apart: item.apart,
        }
    }
}

/// All contacts of a user, sorted by JID.
#[derive(Clone, Debug, Default)]
pub struct Contacts {
    sorted: Vec<Contact>,
}

impl Contacts {
    /// Reads the states of a user's contacts: one scan of the store.
    pub fn load(store: &Store, id: UserId) -> Result<Contacts, StoreError> {
        let mut sorted: Vec<Contact> = store.roster(id)?.iter().map(Contact::from).collect();
        sorted.sort_by(|a, b| a.jid.cmp(&b.jid));
        sorted.shrink_to_fit();
        Ok(Contacts { sorted })
    }

    /// One contact by its normalised bare JID.
    pub fn get(&self, jid: &str) -> Option<&Contact> {
        self.place(jid).ok().map(|place| &self.sorted[place])
    }

    /// All of them, in the order of their JIDs.
    pub fn iter(&self) -> impl Iterator<Item = &Contact> {
        self.sorted.iter()
    }

    /// Takes over the state of an item that was just written to the store.
    pub fn put(&mut self, item: &RosterItem) {
        match self.place(item.jid.as_str()) {
            Ok(place) => self.sorted[place] = Contact::from(item),
            Err(place) => self.sorted.insert(place, Contact::from(item)),
        }
    }

    /// Forgets a contact that was just removed from the store.
    pub fn remove(&mut self, jid: &str) {
        if let Ok(place) = self.place(jid) {
            self.sorted.remove(place);
        }
    }

    fn place(&self, jid: &str) -> Result<usize, usize> {
        self.sorted
            .binary_search_by(|contact| contact.jid.as_str().cmp(jid))
    }
}
