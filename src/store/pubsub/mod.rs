//! Nodes of publish-subscribe (XEP-0060) and what is published there, by owner: an account, or later a service. Items stand in the order of their
//! publication and are found by their id.
//!
//! A publication is several writes, and a power cut may come between any two of them. The node's record decides what counts: rows at places that it has
//! not given out yet are not there, and neither is the one that it calls stale.

mod items;
mod records;

use super::error::StoreError;
use super::keys::{self, AFFILIATES, ITEM_IDS, ITEMS, NODES};
use super::record::RecordError;
use super::{Store, UserId};
use records::{decode_affiliate, decode_node, encode_affiliate, encode_node};

/// A node, without its items and without those who have something to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What its rows are filed under; given by [`Store::create_node`].
    pub number: u32,
    /// Its name: the NodeID.
    pub name: String,
    /// Its configuration where it differs from the default of its owner: name and value, a name with several values several times.
    pub settings: Vec<(String, String)>,
    /// Bare JID of who made it.
    pub creator: String,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// How many items it has.
    pub items: u32,
    /// Bytes of their XML and ids.
    pub bytes: u64,
    /// The place of the next item.
    pub next: u64,
    /// Rows before this place are not there.
    pub first: u64,
    /// Nor is the row at this place.
    pub stale: u64,
}

/// An item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeItem {
    /// Its id at the node.
    pub id: String,
    /// Bare JID of who published it.
    pub publisher: String,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// Its payload: one element in which everything is declared, or nothing.
    pub xml: String,
}

/// What somebody is to a node (XEP-0060 §4.1). The byte stands in records and never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum NodeAffiliation {
    /// May not even look.
    Outcast,
    /// Nothing in particular.
    #[default]
    None,
    /// May look where few may.
    Member,
    /// May publish too.
    Publisher,
    /// May do everything.
    Owner,
    /// May publish, and may not look.
    PublishOnly,
}

/// A subscription of somebody to a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeSubscription {
    /// The resource that it is for; empty for the bare JID.
    pub resource: String,
    /// Whether an owner still has to agree (XEP-0060 §8.6).
    pub pending: bool,
}

/// Somebody who has something to do with a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Affiliate {
    /// Bare JID.
    pub jid: String,
    /// What it is to the node.
    pub affiliation: NodeAffiliation,
    /// What it is subscribed with, each resource once.
    pub subscriptions: Vec<NodeSubscription>,
}

impl Node {
    /// A node without anything, before it is made.
    pub fn new(name: &str, creator: &str, created_ms: u64) -> Node {
        Node {
            number: 0,
            name: name.to_owned(),
            settings: Vec::new(),
            creator: creator.to_owned(),
            created_ms,
            items: 0,
            bytes: 0,
            // Place 0 is nobody's: it stands for "none" in `stale`.
            next: 1,
            first: 1,
            stale: 0,
        }
    }

    fn has(&self, place: u64) -> bool {
        (self.first..self.next).contains(&place) && place != self.stale
    }
}

impl NodeItem {
    fn bytes(&self) -> u64 {
        (self.xml.len() + self.id.len()) as u64
    }
}

impl Store {
    /// All nodes of an owner: one read. In the order of their names (long ones in the order of their beginnings).
    pub fn nodes(&self, owner: UserId) -> Result<Vec<Node>, StoreError> {
        self.main
            .scan(NODES, &keys::user(owner.number()))?
            .map(|entry| decode_node(&entry?.1).map_err(StoreError::record("nodes")))
            .collect()
    }

    /// All who have something to do with an owner's nodes, with the number of the node: one read.
    pub fn affiliates(&self, owner: UserId) -> Result<Vec<(u32, Affiliate)>, StoreError> {
        self.main
            .scan(AFFILIATES, &keys::user(owner.number()))?
            .map(|entry| {
                let (key, value) = entry?;
                let number = keys::node_number(&key).ok_or_else(|| damaged("affiliates"))?;
                let affiliate =
                    decode_affiliate(&value).map_err(StoreError::record("affiliates"))?;
                Ok((number, affiliate))
            })
            .collect()
    }

    /// One of them, at the node of a number: one read.
    pub fn affiliate(
        &self,
        owner: UserId,
        node: u32,
        bare: &str,
    ) -> Result<Option<Affiliate>, StoreError> {
        let key = keys::at_node(owner.number(), node, bare);
        let found = self.main.get(AFFILIATES, &key)?;
        found
            .map(|value| decode_affiliate(&value).map_err(StoreError::record("affiliates")))
            .transpose()
    }

    /// Makes a node under a number that no other node of the owner has. What a deletion cut short has left under that number goes. `Full` if the disk is
    /// nearly full.
    pub fn create_node(&self, owner: UserId, node: &Node) -> Result<(), StoreError> {
        self.room_to_grow()?;
        self.remove_rows(owner, node.number)?;
        self.put_node(owner, node)
    }

    /// Keeps what has changed of a node.
    pub fn put_node(&self, owner: UserId, node: &Node) -> Result<(), StoreError> {
        let key = keys::node(owner.number(), &node.name);
        self.main.put(NODES, &key, &encode_node(node))
    }

    /// Deletes a node with all that belongs to it.
    pub fn remove_node(&self, owner: UserId, node: &Node) -> Result<(), StoreError> {
        let key = keys::node(owner.number(), &node.name);
        self.main.remove(NODES, &key)?;
        self.remove_rows(owner, node.number)
    }

    fn remove_rows(&self, owner: UserId, number: u32) -> Result<(), StoreError> {
        let prefix = keys::of_node(owner.number(), number);
        for tree in [ITEMS, ITEM_IDS, AFFILIATES] {
            self.main.remove_range(tree, &prefix, None)?;
        }
        Ok(())
    }

    /// Keeps what somebody is to a node, or forgets it where that is nothing.
    pub fn put_affiliate(
        &self,
        owner: UserId,
        node: u32,
        affiliate: &Affiliate,
    ) -> Result<(), StoreError> {
        let key = keys::at_node(owner.number(), node, &affiliate.jid);
        if affiliate.affiliation == NodeAffiliation::None && affiliate.subscriptions.is_empty() {
            return self.main.remove(AFFILIATES, &key).map(drop);
        }
        self.room_to_grow()?;
        self.main
            .put(AFFILIATES, &key, &encode_affiliate(affiliate))
    }
}

fn damaged(what: &'static str) -> StoreError {
    StoreError::record(what)(RecordError::Damaged)
}
