//! The core of publish-subscribe (XEP-0060): nodes, what is published there, who may see it and who hears of it. It does not matter to it whether the
//! owner of the nodes is an account (XEP-0163) or a service.
//!
//! What an owner's nodes are is read from the store when the owner is first needed, in two reads, and kept while the owner is online; for one who is
//! away as long as there is room (`recent.rs`). Items are read when somebody asks for them; only the last ones, which every client wants that comes,
//! are kept, again as long as there is room.

pub mod access;
pub mod config;
pub mod error;
pub mod event;
pub mod last;
pub mod people;
pub mod publish;
mod recent;
pub mod settings;

use super::Engine;
use super::blocklist::Blocklist;
use super::session::SessionId;
use crate::store::{self, Affiliate, StoreError, UserId};
use crate::xmpp::{BareJid, Jid};
use config::Config;
use std::collections::{BTreeMap, HashMap};

/// Whose nodes they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// What its nodes are filed under.
    pub id: UserId,
    /// The address that requests go to and events come from.
    pub jid: BareJid,
}

/// A node: what stands in the store, and those who have something to do with it.
#[derive(Clone, Debug)]
pub struct Node {
    /// What stands in the store.
    pub stored: store::Node,
    /// Who has something to do with it, by bare JID.
    pub people: Vec<Affiliate>,
}

impl Node {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.stored.name
    }

    /// Its configuration.
    pub fn config(&self) -> Config<'_> {
        Config(&self.stored.settings)
    }

    /// What is known of a bare JID here.
    pub fn person(&self, bare: &str) -> Option<&Affiliate> {
        self.people.iter().find(|person| person.jid == bare)
    }
}

/// What happened at a node of an account: what other rows are told (see [`Feature::published`](super::feature::Feature::published)).
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// An item was published.
    Published {
        /// The node.
        node: &'a str,
        /// The item's id.
        id: &'a str,
        /// Its payload, one element in which everything is declared; empty where there is none.
        xml: &'a str,
    },
    /// An item was retracted.
    Retracted {
        /// The node.
        node: &'a str,
        /// The item's id.
        id: &'a str,
    },
    /// All items are gone, perhaps with the node.
    Emptied {
        /// The node.
        node: &'a str,
    },
}

/// The nodes that are known, by owner.
#[derive(Default)]
pub(super) struct Known {
    owners: HashMap<UserId, Nodes>,
    /// Owners that were read although they are not online: when this entry ends they are among those who are away.
    visiting: Vec<Owner>,
    /// Owners who are not online and whose nodes are kept.
    away: recent::Away,
    /// Whom owners who are not online block, where that was asked and is short.
    blocklists: HashMap<UserId, Blocklist>,
    /// Last items.
    last: recent::LastItems,
    /// Whether changes are not told to the rows: see [`Engine::quietly`].
    quiet: bool,
    /// Clients that are still owed the last items of some contacts.
    pub(super) owed: Vec<last::Owed>,
}

/// The nodes of one owner, by name.
type Nodes = BTreeMap<Box<str>, Node>;

impl Known {
    fn node(&self, owner: &Owner, name: &str) -> Option<&Node> {
        self.owners.get(&owner.id)?.get(name)
    }

    /// A node that is about to change: what its last item was is not known any more.
    fn node_mut(&mut self, owner: &Owner, name: &str) -> Option<&mut Node> {
        let node = self.owners.get_mut(&owner.id)?.get_mut(name)?;
        self.last.forget((owner.id, node.stored.number));
        Some(node)
    }

    /// Forgets an owner who was online and is not any more, or is no more.
    pub(super) fn forget(&mut self, id: UserId, name: &str) {
        self.owners.remove(&id);
        self.blocklists.remove(&id);
        self.away.forget(name);
    }

    /// Forgets everything: the store has lost what was not committed.
    pub(super) fn forget_all(&mut self) {
        self.owners.clear();
        self.blocklists.clear();
        self.away.clear();
        self.last.clear();
    }

    /// Whether nothing is kept but what may be kept of those who are away.
    pub(super) fn is_empty(&self) -> bool {
        self.owners.len() <= self.away.len() && self.visiting.is_empty() && self.owed.is_empty()
    }
}

impl Engine {
    /// An account as the owner of nodes; `None` where there is no such account. At most one read, where it is offline.
    pub fn account_owner(&self, name: &str) -> Result<Option<Owner>, StoreError> {
        if let Some(user) = self.online(name) {
            return Ok(Some(Owner {
                id: user.id,
                jid: user.jid.clone(),
            }));
        }
        let id = match self.pubsub.away.id(name) {
            Some(id) => Some(id),
            None => self.store.account(name)?.map(|account| account.id),
        };
        Ok(id.map(|id| Owner {
            id,
            jid: self.bare_jid(name),
        }))
    }

    /// The account of a session as the owner of nodes.
    pub fn session_owner(&self, session: SessionId) -> Option<Owner> {
        self.user_of(session).map(|user| Owner {
            id: user.id,
            jid: user.jid.clone(),
        })
    }

    /// All nodes of an owner, by name. At most two reads, none where the owner is online and was needed before.
    pub fn nodes_of(&mut self, owner: &Owner) -> Result<impl Iterator<Item = &Node>, StoreError> {
        self.know(owner)?;
        Ok(self
            .pubsub
            .owners
            .get(&owner.id)
            .into_iter()
            .flat_map(BTreeMap::values))
    }

    /// One node. Reads as [`Engine::nodes_of`].
    pub fn node_of(&mut self, owner: &Owner, name: &str) -> Result<Option<&Node>, StoreError> {
        self.know(owner)?;
        Ok(self.pubsub.node(owner, name))
    }

    /// Makes sure that an owner's nodes are in memory.
    pub(super) fn know(&mut self, owner: &Owner) -> Result<(), StoreError> {
        if self.pubsub.owners.contains_key(&owner.id) {
            return Ok(());
        }
        let mut nodes: Nodes = self
            .store
            .nodes(owner.id)?
            .into_iter()
            .map(|stored| (stored.name.as_str().into(), Node::from(stored)))
            .collect();
        if !nodes.is_empty() {
            for (number, person) in self.store.affiliates(owner.id)? {
                let node = nodes.values_mut().find(|node| node.stored.number == number);
                // Of a node that is gone: a deletion was cut short.
                if let Some(node) = node {
                    node.people.push(person);
                }
            }
        }
        self.pubsub.owners.insert(owner.id, nodes);
        if !self.is_here(owner) {
            self.pubsub.visiting.push(owner.clone());
        }
        Ok(())
    }

    /// Keeps the owners that were only looked at among those who are away.
    pub(super) fn leave_nodes(&mut self) {
        while let Some(owner) = self.pubsub.visiting.pop() {
            if !self.is_here(&owner) {
                self.keep_away(&owner);
            }
        }
    }

    fn is_here(&self, owner: &Owner) -> bool {
        self.online_at(&owner.jid)
            .is_some_and(|user| user.id == owner.id && !user.sessions.is_empty())
    }
}

impl From<store::Node> for Node {
    fn from(stored: store::Node) -> Node {
        Node {
            stored,
            people: Vec::new(),
        }
    }
}

impl Owner {
    /// Whether an address is the owner's own.
    pub fn is(&self, jid: &Jid<'_>) -> bool {
        jid.bare() == self.jid.as_str()
    }

    /// The local part of an account's address.
    pub fn name(&self) -> &str {
        self.jid.local().unwrap_or_default()
    }
}
