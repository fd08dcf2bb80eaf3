//! What is kept in memory of owners who are away, and of last items: whoever comes online wants them of all its contacts (XEP-0163 §4.3.4), and an SD
//! card is not asked each time. Both are bounded in bytes, and nothing of it decides more than the store would: what changes at a node goes through
//! the same value, and what only its owner changes is forgotten when the owner has been there.

use super::{Known, Node, Owner};
use crate::engine::Engine;
use crate::engine::blocklist::Blocklist;
use crate::limits;
use crate::store::{NodeItem, StoreError, UserId};
use crate::xmpp::Jid;
use std::collections::HashMap;
use std::hash::Hash;
use std::rc::Rc;

/// Values by key, in two generations: when the young ones have half of the bytes, the old ones go and the young ones are the old ones.
pub(super) struct Recent<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    young_bytes: usize,
    /// Bytes of both.
    most: usize,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    fn new(most: usize) -> Recent<K, V> {
        Recent {
            young: HashMap::new(),
            old: HashMap::new(),
            young_bytes: 0,
            most,
        }
    }

    /// What is kept under a key.
    pub fn get(&self, key: &K) -> Option<&V> {
        let found = self.young.get(key).or_else(|| self.old.get(key));
        found.map(|(value, _)| value)
    }

    /// Keeps a value that weighs so many bytes; those that went for it.
    fn keep(&mut self, key: K, value: V, bytes: usize) -> impl Iterator<Item = V> + use<K, V> {
        self.forget(&key);
        self.young_bytes += bytes;
        self.young.insert(key, (value, bytes));
        let mut gone = HashMap::new();
        if self.young_bytes > self.most / 2 {
            gone = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            self.young_bytes = 0;
        }
        gone.into_values().map(|(value, _)| value)
    }

    /// Forgets what is kept under a key.
    fn forget(&mut self, key: &K) -> Option<V> {
        if let Some((value, bytes)) = self.young.remove(key) {
            self.young_bytes -= bytes;
            return Some(value);
        }
        self.old.remove(key).map(|(value, _)| value)
    }

    fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    fn clear(&mut self) {
        *self = Recent::new(self.most);
    }
}

/// Owners who are away and whose nodes are kept, by the name of the account.
pub(super) struct Away(Recent<Box<str>, UserId>);

impl Default for Away {
    fn default() -> Away {
        Away(Recent::new(limits::AWAY_NODES_BYTES))
    }
}

impl Away {
    /// The id of an account that is kept.
    pub fn id(&self, name: &str) -> Option<UserId> {
        self.0.get(&name.into()).copied()
    }

    /// How many are kept.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets one.
    pub fn forget(&mut self, name: &str) {
        self.0.forget(&name.into());
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// The last items of nodes, by owner and number of the node; `None` where a node has none.
pub(super) struct LastItems(Recent<(UserId, u32), Option<Rc<NodeItem>>>);

impl Default for LastItems {
    fn default() -> LastItems {
        LastItems(Recent::new(limits::LAST_ITEMS_KEPT_BYTES))
    }
}

impl LastItems {
    /// Keeps the last item of a node, unless it is long.
    pub fn keep(&mut self, of: (UserId, u32), item: Option<Rc<NodeItem>>) {
        let text = item.as_ref().map_or(0, |item| {
            item.id.len() + item.publisher.len() + item.xml.len()
        });
        match text > limits::LAST_ITEM_KEPT_BYTES {
            true => self.forget(of),
            false => drop(self.0.keep(of, item, text + limits::KEPT_OWN_BYTES)),
        }
    }

    /// Forgets what is kept of a node: it has changed.
    pub fn forget(&mut self, of: (UserId, u32)) {
        self.0.forget(&of);
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

impl Engine {
    /// The item that was published last at a node that is known: at most one read.
    pub(super) fn last_item(
        &mut self,
        owner: &Owner,
        name: &str,
    ) -> Result<Option<Rc<NodeItem>>, StoreError> {
        self.expire_items(owner, name)?;
        let Engine { store, pubsub, .. } = self;
        let Some(node) = pubsub.node(owner, name) else {
            return Ok(None);
        };
        let of = (owner.id, node.stored.number);
        if let Some(kept) = pubsub.last.0.get(&of) {
            return Ok(kept.clone());
        }
        let item = store.last_item(owner.id, &node.stored)?.map(Rc::new);
        pubsub.last.keep(of, item.clone());
        Ok(item)
    }

    /// Keeps the nodes of an owner who was only looked at, in place of others.
    pub(super) fn keep_away(&mut self, owner: &Owner) {
        let Known {
            owners,
            away,
            blocklists,
            ..
        } = &mut self.pubsub;
        let Some(nodes) = owners.get(&owner.id) else {
            return;
        };
        let bytes = nodes.values().map(weight).sum::<usize>() + 2 * limits::KEPT_OWN_BYTES;
        for gone in away.0.keep(owner.name().into(), owner.id, bytes) {
            owners.remove(&gone);
            blocklists.remove(&gone);
        }
    }

    /// Whether an owner blocks somebody: no read where it is online, at most one where it is away.
    pub(super) fn owner_blocks(
        &mut self,
        owner: &Owner,
        jid: &Jid<'_>,
    ) -> Result<bool, StoreError> {
        if let Some(user) = self.loaded_at(&owner.jid) {
            return Ok(user.blocks(jid));
        }
        if let Some(kept) = self.pubsub.blocklists.get(&owner.id) {
            return Ok(!owner.is(jid) && kept.blocks(jid));
        }
        let blocklist = Blocklist::load(&self.store, owner.id)?;
        let blocks = !owner.is(jid) && blocklist.blocks(jid);
        let bytes: usize = blocklist.iter().map(|jid| jid.as_str().len()).sum();
        if bytes <= limits::KEPT_OWN_BYTES && self.pubsub.owners.contains_key(&owner.id) {
            self.pubsub.blocklists.insert(owner.id, blocklist);
        }
        Ok(blocks)
    }
}

/// What a node weighs, roughly.
fn weight(node: &Node) -> usize {
    let settings = node.stored.settings.iter();
    let settings: usize = settings.map(|(name, value)| name.len() + value.len()).sum();
    let people: usize = node
        .people
        .iter()
        .map(|person| limits::KEPT_OWN_BYTES + person.jid.len())
        .sum();
    let texts = 2 * node.stored.name.len() + node.stored.creator.len();
    2 * limits::KEPT_OWN_BYTES + texts + settings + people
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes() {
        let mut recent: Recent<u32, u32> = Recent::new(100);
        let mut gone = Vec::new();
        for key in 0..1000 {
            gone.extend(recent.keep(key, key, 10));
            let bytes = 10 * recent.len();
            assert!(bytes <= 110, "{bytes}");
            assert_eq!(recent.get(&key), Some(&key));
        }
        assert_eq!(gone.len() + recent.len(), 1000);
        assert!(gone.iter().all(|key| recent.get(key).is_none()));
        gone.sort_unstable();
        assert_eq!(gone[..], (0..gone.len() as u32).collect::<Vec<_>>()[..]);
        // What is kept again weighs once, and is gone when it is forgotten.
        for _ in 0..50 {
            assert_eq!(recent.keep(7, 7, 10).count(), 0);
        }
        assert_eq!(recent.forget(&7), Some(7));
        assert_eq!(recent.forget(&7), None);
    }
}
