//! Everyone sees everyone (`roster.everyone`): all accounts are each other's contacts without a subscription and without a record of it.
//!
//! What stands in a roster rules only between two who parted, by removing or unsubscribing: then both rosters say so (`RosterItem::apart`), and
//! from there on RFC 6121's states hold between them. So 500 accounts need no 250 000 records, and a broadcast looks at who is online.

use super::Engine;
use super::delivery::{Change, Delivery};
use super::session::{SessionId, User, write_presence_to};
use super::subscription::write_item;
use crate::store::{RosterItem, StoreError, Subscription};
use crate::xml::written;
use crate::xmpp::{BareJid, Jid};
use ring::digest::{Context, SHA256};
use std::rc::Rc;

/// All accounts, kept in memory from when somebody asks for a list to when one comes or goes: some 80 bytes each.
pub(super) struct Everyone {
    /// Sorted.
    jids: Vec<BareJid>,
    /// What tells this list from another.
    digest: [u8; 32],
}

impl Engine {
    /// Whether `watcher` may see how the user is: by subscription, or because everyone may. RFC 6121's `from`.
    pub fn lets_see(&self, user: &User, watcher: &str) -> bool {
        match user.contacts.get(watcher) {
            Some(contact) if contact.from => true,
            Some(contact) if contact.apart => false,
            _ => self.is_everyone(user, watcher),
        }
    }

    /// Whether the user sees how `contact` is, as far as the user's own list says. RFC 6121's `to`.
    pub fn wants_to_see(&self, user: &User, contact: &str) -> bool {
        match user.contacts.get(contact) {
            Some(contact) if contact.to => true,
            Some(contact) if contact.apart => false,
            _ => self.is_everyone(user, contact),
        }
    }

    /// Whether an address is an account's that could be among everyone, and not the user's own.
    fn is_everyone(&self, user: &User, other: &str) -> bool {
        self.config.roster.everyone
            && other != user.jid.as_str()
            && Jid::parse(other).is_ok_and(|jid| jid.local().is_some() && self.is_local(&jid))
    }

    /// The resources that may hear how a user is, with the address that they hear it at, the user's own among them; in an order that is
    /// always the same.
    pub fn audience(&self, user: &User) -> Vec<(SessionId, BareJid)> {
        let watchers: Vec<&BareJid> = match self.config.roster.everyone {
            true => self
                .everyone_here()
                .filter(|other| self.lets_see(user, other.jid.as_str()))
                .map(|other| &other.jid)
                .collect(),
            false => user
                .contacts
                .iter()
                .filter(|contact| contact.from)
                .map(|contact| &contact.jid)
                .collect(),
        };
        watchers
            .into_iter()
            .chain([&user.jid])
            .flat_map(|jid| self.available_at(jid).map(move |id| (id, jid.clone())))
            .collect()
    }

    /// Shows a session's presence to everyone who may see its user, and to the user's own available resources, itself too (RFC 6121 §4.2.2, §4.4.2, §4.5.2).
    /// Who is not here costs nothing, and nobody costs the disk.
    pub fn broadcast_presence(&mut self, session: SessionId, xml: &Rc<str>, change: Change) {
        let Some(user) = self.user_of(session) else {
            return;
        };
        let mut recipients = self.audience(user);
        recipients.retain(|(there, _)| !self.are_apart(session, *there));
        let Some(of) = self.session(session).map(|session| session.jid.clone()) else {
            return;
        };
        self.trace(|| format!("presence: to {} resources", recipients.len()));
        for (there, address) in recipients {
            let delivery = Delivery::of(of.bare()).presence(of.as_str(), change);
            self.deliver(there, delivery, |out| {
                write_presence_to(xml, address.as_str(), out)
            });
        }
        self.broadcast_beyond(session, xml);
    }

    /// All users who are there, by name.
    fn everyone_here(&self) -> impl Iterator<Item = &User> {
        let mut users: Vec<&User> = self.users.values().collect();
        users.retain(|user| !user.sessions.is_empty());
        users.sort_by(|a, b| a.name.cmp(&b.name));
        users.into_iter()
    }

    /// The users who are there and whom a user sees (RFC 6121 §4.3.2: both lists decide), the user too; in an order that is always the same.
    pub fn seen_by<'a>(&'a self, user: &'a User) -> Vec<&'a User> {
        let visible = |other: &&User| {
            self.wants_to_see(user, other.jid.as_str()) && self.lets_see(other, user.jid.as_str())
        };
        let there: Vec<&User> = match self.config.roster.everyone {
            true => self.everyone_here().filter(visible).collect(),
            false => user
                .contacts
                .iter()
                .filter_map(|contact| self.online_at(&contact.jid))
                .filter(visible)
                .collect(),
        };
        there.into_iter().chain([user]).collect()
    }

    /// Whether two see each other because everyone does.
    pub(super) fn shares(&mut self, name: &str, contact: &BareJid) -> Result<bool, StoreError> {
        let everyone = self.user(name)?.is_some_and(|user| {
            user.contacts
                .get(contact.as_str())
                .is_none_or(|contact| !contact.apart)
        });
        let local = Jid::from(contact);
        Ok(everyone
            && self.config.roster.everyone
            && self.is_local(&local)
            && local.local().is_some_and(|local| local != name)
            && match local.local() {
                Some(local) => self.store.account(local)?.is_some(),
                None => false,
            })
    }

    /// Makes of the sharing of two a subscription of both, in both their lists, so that it can end as RFC 6121 says. Whether there was
    /// such a sharing.
    pub(super) fn part(&mut self, name: &str, contact: &BareJid) -> Result<bool, StoreError> {
        if !self.shares(name, contact)? {
            return Ok(false);
        }
        let Some(other) = contact.local().map(str::to_owned) else {
            return Ok(false);
        };
        let own = self.bare_jid(name);
        for (name, contact) in [(name, contact), (other.as_str(), &own)] {
            if let Some(item) = self.contact_item(name, contact)? {
                let item = RosterItem {
                    apart: true,
                    ..self.shown(name, &item)
                };
                self.keep_contact(name, &item)?;
            }
        }
        Ok(true)
    }

    /// An item as clients see it: one of everyone is subscribed both ways, and in everyone's group where its owner chose none.
    pub fn shown(&self, name: &str, item: &RosterItem) -> RosterItem {
        let local = Jid::from(&item.jid);
        let shared = self.config.roster.everyone
            && !item.apart
            && self.is_local(&local)
            && local.local().is_some_and(|local| local != name);
        if !shared {
            return item.clone();
        }
        let mut shown = item.clone();
        if !item.listed {
            shown.name = local.local().map(str::to_owned);
            shown.groups = vec![self.config.roster.group.clone()];
        }
        (shown.subscription, shown.ask, shown.approved) = (Subscription::Both, false, false);
        (shown.pending_in, shown.listed) = (None, true);
        shown
    }

    /// A user's whole contact list, as clients see it: what its owner put there, and everyone.
    pub fn roster(&mut self, name: &str) -> Result<Vec<RosterItem>, StoreError> {
        let mut items = self.own_items(name)?;
        if self.config.roster.everyone {
            let everyone = self.everyone()?;
            let missing: Vec<RosterItem> = everyone
                .jids
                .iter()
                .filter(|jid| jid.local() != Some(name))
                .filter(|jid| items.binary_search_by(|item| item.jid.cmp(jid)).is_err())
                .map(|jid| RosterItem::new(jid.clone()))
                .collect();
            items.extend(missing);
            items.sort_by(|a, b| a.jid.cmp(&b.jid));
            items = items.iter().map(|item| self.shown(name, item)).collect();
        }
        items.retain(|item| item.listed);
        Ok(items)
    }

    /// The version of a user's contact list (RFC 6121 §2.6): what it is made of, hashed. So nothing has to be counted or kept, and it holds over
    /// restarts and restored backups; and a list of everyone needs not be made to be told from another.
    pub fn roster_version(&mut self, name: &str) -> Result<String, StoreError> {
        use base64::Engine as _;
        let mut hash = Context::new(&SHA256);
        if self.config.roster.everyone {
            hash.update(&self.everyone()?.digest);
            hash.update(self.config.roster.group.as_bytes());
        }
        for item in self.own_items(name)? {
            let shown = self.shown(name, &item);
            if shown.listed {
                hash.update(written(|out| write_item(&shown, out)).as_bytes());
            } else if item.apart {
                // One of everyone who is not in this list.
                hash.update(item.jid.as_str().as_bytes());
                hash.update(b"\n");
            }
        }
        Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(&hash.finish().as_ref()[..12]))
    }

    /// What a user's list is to the store, sorted.
    fn own_items(&mut self, name: &str) -> Result<Vec<RosterItem>, StoreError> {
        let Some(id) = self.user(name)?.map(|user| user.id) else {
            return Ok(Vec::new());
        };
        let mut items = self.store.roster(id)?;
        items.sort_by(|a, b| a.jid.cmp(&b.jid));
        Ok(items)
    }

    fn everyone(&mut self) -> Result<Rc<Everyone>, StoreError> {
        if let Some(everyone) = &self.everyone {
            return Ok(everyone.clone());
        }
        let accounts = self.store.accounts()?;
        let mut jids: Vec<BareJid> = accounts.iter().map(|a| self.bare_jid(&a.name)).collect();
        jids.sort();
        let mut hash = Context::new(&SHA256);
        for jid in &jids {
            hash.update(jid.as_str().as_bytes());
            hash.update(b"\n");
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(hash.finish().as_ref());
        let everyone = Rc::new(Everyone { jids, digest });
        self.everyone = Some(everyone.clone());
        Ok(everyone)
    }

    /// Accounts came or went: who they are is asked again.
    pub(super) fn forget_everyone(&mut self) {
        self.everyone = None;
    }

    /// Everyone who looks at a list learns that an account came, or that it is gone.
    pub(super) fn tell_everyone(&mut self, name: &str, came: bool) {
        self.forget_everyone();
        if !self.config.roster.everyone {
            return;
        }
        let item = RosterItem::new(self.bare_jid(name));
        let others: Vec<_> = self
            .everyone_here()
            .map(|user| user.name.clone())
            .filter(|other| **other != *name)
            .collect();
        for other in others {
            let shown = self.shown(&other, &item);
            self.push_item(&other, &shown, came);
        }
    }

    /// Takes an account that is gone out of everyone's list.
    pub(super) fn forget_everywhere(&mut self, name: &str) -> Result<(), StoreError> {
        if !self.config.roster.everyone {
            return Ok(());
        }
        let gone = self.bare_jid(name);
        for account in self.store.accounts()? {
            self.store.remove_roster_item(account.id, &gone)?;
        }
        for user in self.users.values_mut() {
            user.contacts.remove(gone.as_str());
        }
        self.tell_everyone(name, false);
        Ok(())
    }
}
