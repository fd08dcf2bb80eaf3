//! The items of a node: published, found, read in order, trimmed. What a power cut leaves of half a publication counts for nothing.

use super::records::{decode_item, decode_place, encode_item, encode_place};
use super::{Node, NodeItem, damaged};
use crate::store::database::Value;
use crate::store::error::StoreError;
use crate::store::keys::{self, ITEM_IDS, ITEMS};
use crate::store::{Store, UserId};

impl Store {
    /// Publishes an item at the end of a node; one with the same id is replaced, whether there was one. `TooLong` above 300 KiB, `Full` if the
    /// disk is nearly full.
    pub fn put_item(
        &self,
        owner: UserId,
        node: &mut Node,
        item: &NodeItem,
    ) -> Result<bool, StoreError> {
        self.room_to_grow()?;
        self.sweep(owner, node)?;
        let old = self.find(owner, node, &item.id)?;
        let place = node.next;
        let key = |place| keys::item(owner.number(), node.number, place);
        self.main.put(ITEMS, &key(place), &encode_item(item))?;
        let id_key = keys::at_node(owner.number(), node.number, &item.id);
        self.main.put(ITEM_IDS, &id_key, &encode_place(place))?;
        let mut changed = node.clone();
        changed.next += 1;
        changed.items += 1;
        changed.bytes += item.bytes();
        if let Some((old_place, old)) = &old {
            changed.items = changed.items.saturating_sub(1);
            changed.bytes = changed.bytes.saturating_sub(old.bytes());
            changed.stale = *old_place;
        }
        self.put_node(owner, &changed)?;
        if let Some((old_place, _)) = &old {
            self.main.remove(ITEMS, &key(*old_place))?;
        }
        *node = changed;
        Ok(old.is_some())
    }

    /// Removes an item; whether it was there.
    pub fn remove_item(
        &self,
        owner: UserId,
        node: &mut Node,
        id: &str,
    ) -> Result<bool, StoreError> {
        match self.find(owner, node, id)? {
            Some((place, item)) => self.drop_item(owner, node, place, &item).map(|()| true),
            None => Ok(false),
        }
    }

    /// Removes the oldest items of a node until it has at most `keep`; their ids, in that order.
    pub fn trim_items(
        &self,
        owner: UserId,
        node: &mut Node,
        keep: u32,
    ) -> Result<Vec<String>, StoreError> {
        let mut gone = Vec::new();
        while node.items > keep {
            let Some((place, item)) = self.items_from(owner, node, 0)?.next().transpose()? else {
                // The count was wrong, by a power cut: what there is, is what counts.
                node.items = 0;
                node.bytes = 0;
                self.put_node(owner, node)?;
                break;
            };
            self.drop_item(owner, node, place, &item)?;
            gone.push(item.id);
        }
        Ok(gone)
    }

    /// Removes the items that were published up to this time (milliseconds since 1970), as far as no younger one stands before them.
    pub fn expire_items(
        &self,
        owner: UserId,
        node: &mut Node,
        until_ms: u64,
    ) -> Result<(), StoreError> {
        loop {
            let oldest = self.items_from(owner, node, 0)?.next().transpose()?;
            let Some((place, item)) = oldest else {
                break;
            };
            if item.at_ms > until_ms {
                break;
            }
            self.drop_item(owner, node, place, &item)?;
        }
        Ok(())
    }

    fn drop_item(
        &self,
        owner: UserId,
        node: &mut Node,
        place: u64,
        item: &NodeItem,
    ) -> Result<(), StoreError> {
        self.sweep(owner, node)?;
        node.items = node.items.saturating_sub(1);
        node.bytes = node.bytes.saturating_sub(item.bytes());
        match node.items {
            0 => (node.first, node.bytes) = (node.next, 0),
            _ => node.stale = place,
        }
        self.put_node(owner, node)?;
        let key = keys::item(owner.number(), node.number, place);
        self.main.remove(ITEMS, &key)?;
        let key = keys::at_node(owner.number(), node.number, &item.id);
        self.main.remove(ITEM_IDS, &key).map(drop)
    }

    /// Removes the stale row where a power cut has left it, before another one is called so.
    fn sweep(&self, owner: UserId, node: &Node) -> Result<(), StoreError> {
        let key = keys::item(owner.number(), node.number, node.stale);
        if node.stale != 0 && self.main.get(ITEMS, &key)?.is_some() {
            self.main.remove(ITEMS, &key)?;
        }
        Ok(())
    }

    /// Removes all items of a node.
    pub fn purge_items(&self, owner: UserId, node: &mut Node) -> Result<(), StoreError> {
        (node.items, node.bytes, node.first) = (0, 0, node.next);
        self.put_node(owner, node)?;
        let prefix = keys::of_node(owner.number(), node.number);
        self.main.remove_range(ITEMS, &prefix, None)?;
        self.main.remove_range(ITEM_IDS, &prefix, None)?;
        Ok(())
    }

    /// One item. Two reads.
    pub fn item(
        &self,
        owner: UserId,
        node: &Node,
        id: &str,
    ) -> Result<Option<(u64, NodeItem)>, StoreError> {
        self.find(owner, node, id)
    }

    /// The items of a node from a place on, the oldest first, with their places: one read.
    pub fn items_from<'a>(
        &'a self,
        owner: UserId,
        node: &'a Node,
        place: u64,
    ) -> Result<impl Iterator<Item = Result<(u64, NodeItem), StoreError>> + use<'a>, StoreError>
    {
        let prefix = keys::of_node(owner.number(), node.number);
        let from = keys::item(owner.number(), node.number, place.max(node.first));
        let entries = self.main.scan_from(ITEMS, &prefix, &from)?;
        Ok(entries.filter_map(|entry| counted(node, entry)))
    }

    /// The items of a node before a place, the newest first, with their places: one read.
    pub fn items_before<'a>(
        &'a self,
        owner: UserId,
        node: &'a Node,
        place: u64,
    ) -> Result<impl Iterator<Item = Result<(u64, NodeItem), StoreError>> + use<'a>, StoreError>
    {
        let prefix = keys::of_node(owner.number(), node.number);
        let first = keys::item(owner.number(), node.number, 0);
        // Places begin with 1: there is none before the first.
        let last = place.min(node.next).saturating_sub(1);
        let last = keys::item(owner.number(), node.number, last);
        let entries = self.main.scan_between(ITEMS, &prefix, &first, &last)?;
        Ok(entries.rev().filter_map(|entry| counted(node, entry)))
    }

    /// The item that was published last: one read.
    pub fn last_item(&self, owner: UserId, node: &Node) -> Result<Option<NodeItem>, StoreError> {
        if node.items == 0 {
            return Ok(None);
        }
        let last = self.items_before(owner, node, node.next)?.next();
        Ok(last.transpose()?.map(|(_, item)| item))
    }

    fn find(
        &self,
        owner: UserId,
        node: &Node,
        id: &str,
    ) -> Result<Option<(u64, NodeItem)>, StoreError> {
        if node.items == 0 {
            return Ok(None);
        }
        let key = keys::at_node(owner.number(), node.number, id);
        let Some(value) = self.main.get(ITEM_IDS, &key)? else {
            return Ok(None);
        };
        let place = decode_place(&value).map_err(StoreError::record("item ids"))?;
        if place >= node.next {
            // A publication that did not come to its end: the one before it stands.
            let mut items = self.items_from(owner, node, 0)?;
            let found = items.find(|item| item.as_ref().map_or(true, |(_, item)| item.id == id));
            return found.transpose();
        }
        let key = keys::item(owner.number(), node.number, place);
        let Some(value) = self.main.get(ITEMS, &key)?.filter(|_| node.has(place)) else {
            return Ok(None);
        };
        let item = decode_item(&value).map_err(StoreError::record("items"))?;
        Ok((item.id == id).then_some((place, item)))
    }
}

/// A row, where it counts.
fn counted(
    node: &Node,
    entry: Result<(sled::IVec, Value), StoreError>,
) -> Option<Result<(u64, NodeItem), StoreError>> {
    let read = || {
        let (key, value) = entry?;
        let place = keys::place(&key).ok_or_else(|| damaged("items"))?;
        if !node.has(place) {
            return Ok(None);
        }
        let item = decode_item(&value).map_err(StoreError::record("items"))?;
        Ok(Some((place, item)))
    };
    read().transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::pubsub::{Affiliate, NodeAffiliation, NodeSubscription};

    const OWNER: UserId = UserId::new(7);

    fn made(dir: &std::path::Path) -> (Store, Node) {
        let store = Store::open(dir).expect("a store");
        let mut node = Node::new("urn:example", "anna@chat.test", 5);
        node.number = 1;
        store.create_node(OWNER, &node).expect("a node");
        (store, node)
    }

    fn item(id: &str, xml: &str) -> NodeItem {
        NodeItem {
            id: id.to_owned(),
            publisher: "anna@chat.test".to_owned(),
            at_ms: 9,
            xml: xml.to_owned(),
        }
    }

    fn listed(store: &Store, node: &Node) -> Vec<String> {
        let all = store.items_from(OWNER, node, 0).expect("items");
        all.map(|item| item.expect("an item").1)
            .map(|item| format!("{}={}", item.id, item.xml))
            .collect()
    }

    fn dir(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("snug-pubsub-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        dir
    }

    #[test]
    fn items_stand_in_the_order_of_publication_and_are_found_by_id() {
        let dir = dir("order");
        let (store, mut node) = made(&dir);
        for id in ["c", "a", "b"] {
            assert!(!store.put_item(OWNER, &mut node, &item(id, "1")).unwrap());
        }
        assert!(store.put_item(OWNER, &mut node, &item("c", "22")).unwrap());
        assert_eq!(listed(&store, &node), ["a=1", "b=1", "c=22"]);
        assert_eq!((node.items, node.bytes), (3, 7));
        let last = store.last_item(OWNER, &node).unwrap().unwrap();
        assert_eq!(last.xml, "22");
        assert_eq!(
            store.item(OWNER, &node, "a").unwrap().unwrap().1,
            item("a", "1")
        );
        assert_eq!(store.trim_items(OWNER, &mut node, 2).unwrap(), ["a"]);
        assert!(store.item(OWNER, &node, "a").unwrap().is_none());
        assert!(store.remove_item(OWNER, &mut node, "c").unwrap());
        assert!(!store.remove_item(OWNER, &mut node, "c").unwrap());
        assert_eq!(listed(&store, &node), ["b=1"]);
        // What is in memory is what is on the disk.
        assert_eq!(store.nodes(OWNER).unwrap(), [node.clone()]);
        store.purge_items(OWNER, &mut node).unwrap();
        assert_eq!(listed(&store, &node), [""; 0]);
        assert_eq!((node.items, node.bytes), (0, 0));
        store.put_item(OWNER, &mut node, &item("b", "3")).unwrap();
        assert_eq!(listed(&store, &node), ["b=3"]);
        store.remove_node(OWNER, &node).unwrap();
        assert_eq!(store.nodes(OWNER).unwrap(), []);
        assert_eq!(listed(&store, &node), [""; 0]);
        drop(store);
        let _ = std::fs::remove_dir_all(dir);
    }

    #[test]
    fn half_a_publication_counts_for_nothing() {
        let dir = dir("half");
        let (store, mut node) = made(&dir);
        store.put_item(OWNER, &mut node, &item("a", "1")).unwrap();
        let before = node.clone();
        // The plug is pulled before the node's record is written: the old item stands, by id too.
        let mut lost = node.clone();
        store.put_item(OWNER, &mut lost, &item("a", "2")).unwrap();
        let (place, old) = (before.next - 1, item("a", "1"));
        let key = keys::item(OWNER.number(), node.number, place);
        store.main.put(ITEMS, &key, &encode_item(&old)).unwrap();
        store.put_node(OWNER, &before).unwrap();
        assert_eq!(listed(&store, &before), ["a=1"]);
        assert_eq!(
            store.item(OWNER, &before, "a").unwrap(),
            Some((place, old.clone()))
        );
        // It is pulled after: the new one stands, although the old row is still there.
        store.put_node(OWNER, &lost).unwrap();
        assert_eq!(listed(&store, &lost), ["a=2"]);
        // And does not come back when another row becomes stale.
        let mut later = lost.clone();
        store.put_item(OWNER, &mut later, &item("a", "3")).unwrap();
        assert_eq!(listed(&store, &later), ["a=3"]);
        store.put_item(OWNER, &mut node, &item("a", "2")).unwrap();
        store.main.put(ITEMS, &key, &encode_item(&old)).unwrap();
        let id_key = keys::at_node(OWNER.number(), node.number, "a");
        store
            .main
            .put(ITEM_IDS, &id_key, &encode_place(place))
            .unwrap();
        // The place that was not given out is used again.
        node = before;
        store.put_item(OWNER, &mut node, &item("b", "3")).unwrap();
        assert_eq!(listed(&store, &node), ["a=1", "b=3"]);
        drop(store);
        let _ = std::fs::remove_dir_all(dir);
    }

    #[test]
    fn long_payloads_and_the_end_of_an_account() {
        let dir = dir("long");
        let (store, mut node) = made(&dir);
        let long = "x".repeat(200_000);
        store.put_item(OWNER, &mut node, &item("a", &long)).unwrap();
        store.put_item(OWNER, &mut node, &item("b", "1")).unwrap();
        let newest: Vec<_> = store
            .items_before(OWNER, &node, u64::MAX)
            .unwrap()
            .map(|item| item.unwrap().1.id)
            .collect();
        assert_eq!(newest, ["b", "a"]);
        assert_eq!(
            store.item(OWNER, &node, "a").unwrap().unwrap().1.xml.len(),
            200_000
        );
        let friend = Affiliate {
            jid: "ben@chat.test".to_owned(),
            affiliation: NodeAffiliation::Member,
            subscriptions: vec![NodeSubscription {
                resource: String::new(),
                pending: true,
            }],
        };
        store.put_affiliate(OWNER, node.number, &friend).unwrap();
        assert_eq!(
            store.affiliates(OWNER).unwrap(),
            [(node.number, friend.clone())]
        );
        let nothing = Affiliate {
            affiliation: NodeAffiliation::None,
            subscriptions: Vec::new(),
            ..friend
        };
        store.put_affiliate(OWNER, node.number, &nothing).unwrap();
        assert_eq!(store.affiliates(OWNER).unwrap(), []);
        drop(store);
        let _ = std::fs::remove_dir_all(dir);
    }
}
