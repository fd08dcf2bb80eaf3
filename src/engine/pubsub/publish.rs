//! What changes nodes: made, configured, published to, emptied, deleted (XEP-0060 §7, §8). Who may ask for it was decided before; what is written
//! here is told to those who are to hear of it, and to the rows of the table.

use super::access::Relation;
use super::config::WhenFull;
use super::error::{refused, unsupported};
use super::event::Event;
use super::settings::{Settings, changed};
use super::{Change, Node, Owner};
use crate::engine::Engine;
use crate::limits;
use crate::store::{self, NodeItem, StoreError};
use crate::xmpp::{Condition, Form, StanzaError, ns};
use std::rc::Rc;

/// What is to be published.
#[derive(Clone, Debug)]
pub struct Publication<'a> {
    /// The node.
    pub node: &'a str,
    /// The item; a node that neither keeps nor shows anything takes none.
    pub item: Option<Wanted>,
    /// What must hold at the node, and how it is made where it is not there (§7.1.5).
    pub options: Option<Form>,
}

/// An item to be published.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Its id; one is made where none is given.
    pub id: Option<String>,
    /// The payload: one element in which everything is declared; nothing where there is none.
    pub xml: String,
}

impl<'a> Publication<'a> {
    /// Of one item, to a node as it is.
    pub fn new(node: &'a str, id: Option<String>, xml: String) -> Publication<'a> {
        Publication {
            node,
            item: Some(Wanted { id, xml }),
            options: None,
        }
    }
}

/// Nodes that their specifications make private: one that is made for a publication without a word about it is no one else's
/// (XEP-0402 §4.1, XEP-0490 §4.2, XEP-0292 §4, XEP-0223 §4).
const PRIVATE: [&str; 4] = [
    ns::BOOKMARKS,
    ns::DISPLAYED,
    "urn:xmpp:contacts",
    "storage:bookmarks",
];

impl Engine {
    /// Publishes an item. A node that is not there is made, if the publisher is the owner (§7.1.4). The item's id; none where there was no item.
    pub fn publish(
        &mut self,
        owner: &Owner,
        by: &Relation,
        wanted: Publication<'_>,
    ) -> Result<Option<String>, StanzaError> {
        let Publication {
            node: name,
            item,
            options,
        } = wanted;
        self.know(owner)?;
        match (self.pubsub.node(owner, name), &options) {
            (Some(node), _) if !node.may_publish(by) => return Err(Condition::Forbidden.into()),
            (Some(node), Some(options)) => node.config().check(options)?,
            (Some(_), None) => {}
            (None, _) if !by.is_owner => return Err(Condition::ItemNotFound.into()),
            (None, options) => {
                let mut settings = match options {
                    Some(options) => changed(&[], options, true)?,
                    None => Settings::new(),
                };
                let said = |form: &Form| form.value("pubsub#access_model").is_some();
                if PRIVATE.contains(&name) && !options.as_ref().is_some_and(said) {
                    settings.extend(super::settings::settings(&[("access_model", "whitelist")]));
                }
                self.create_node(owner, name, &by.bare, settings)?;
            }
        }
        let Some(node) = self.pubsub.node(owner, name) else {
            return Err(Condition::ItemNotFound.into());
        };
        let Some(item) = node.config().check_item(item)? else {
            self.tell_subscribers(owner, name, Event::Nothing)?;
            return Ok(None);
        };
        let persists = node.config().persists();
        let item = NodeItem {
            id: item.id.unwrap_or_else(|| self.random.id()),
            publisher: by.bare.clone(),
            at_ms: self.now.wall_ms,
            xml: item.xml,
        };
        check_text(&item.id)?;
        let mut gone = Vec::new();
        if persists {
            gone = self.keep_item(owner, name, by, &item)?;
        }
        self.tell_subscribers(owner, name, Event::Item(&item))?;
        if !gone.is_empty() {
            let gone: Vec<&str> = gone.iter().map(String::as_str).collect();
            self.tell_subscribers(owner, name, Event::Retracted(&gone))?;
        }
        let change = Change::Published {
            node: name,
            id: &item.id,
            xml: &item.xml,
        };
        self.tell_change(owner, change);
        Ok(Some(item.id))
    }

    /// Keeps an item; the ids of those that went to make room, where subscribers are to be told of them.
    fn keep_item(
        &mut self,
        owner: &Owner,
        name: &str,
        by: &Relation,
        item: &NodeItem,
    ) -> Result<Vec<String>, StanzaError> {
        self.expire_items(owner, name)?;
        let kept: u64 = self.nodes_of(owner)?.map(|node| node.stored.bytes).sum();
        let last = self.last_item(owner, name)?;
        let expires = self
            .pubsub
            .node(owner, name)
            .is_some_and(|node| node.config().expires_after_ms().is_some());
        // What many clients publish anew at each login, and is what is there already: an SD card need not hear of it.
        let same = |last: &Rc<NodeItem>| {
            (&last.id, &last.xml, &last.publisher) == (&item.id, &item.xml, &item.publisher)
        };
        if !expires && last.as_ref().is_some_and(same) {
            return Ok(Vec::new());
        }
        let Engine { store, pubsub, .. } = self;
        let Some(node) = pubsub.node_mut(owner, name) else {
            return Err(Condition::ItemNotFound.into());
        };
        let keep = node.config().max_items();
        let old = match last {
            Some(last) if last.id == item.id || keep == 1 => Some(last),
            _ => store
                .item(owner.id, &node.stored, &item.id)?
                .map(|(_, old)| Rc::new(old)),
        };
        let replaces = old.as_ref().is_some_and(|old| old.id == item.id);
        if let Some(old) = &old
            && replaces
            && !node.may_change(by, &old.publisher)
        {
            return Err(Condition::Forbidden.into());
        }
        let when_full = node.config().when_full();
        // §7.1.3.4.
        if when_full == WhenFull::Reject && !replaces && node.stored.items >= keep {
            return Err(refused(Condition::Conflict, "node-full"));
        }
        let grows = (item.xml.len() + item.id.len()) as u64;
        let goes = old.map_or(0, |old| (old.xml.len() + old.id.len()) as u64);
        if kept + grows > limits::ITEMS_BYTES_PER_OWNER + goes {
            return Err(StoreError::TooMuch.into());
        }
        store.put_item(owner.id, &mut node.stored, item)?;
        let gone = store.trim_items(owner.id, &mut node.stored, keep)?;
        let of = (owner.id, node.stored.number);
        // §7.1.2.5: of a node with one item everybody knows that the old one is gone.
        let told =
            when_full == WhenFull::RetractOldest && node.config().notifies_retract() && keep > 1;
        pubsub.last.keep(of, Some(Rc::new(item.clone())));
        Ok(if told { gone } else { Vec::new() })
    }

    /// Removes what has been at a node for too long (`item_expire`). It is looked at when it is needed; nobody is told.
    pub(super) fn expire_items(&mut self, owner: &Owner, name: &str) -> Result<(), StoreError> {
        let now_ms = self.now.wall_ms;
        let Engine { store, pubsub, .. } = self;
        let expires = pubsub
            .node(owner, name)
            .filter(|node| node.stored.items > 0)
            .and_then(|node| node.config().expires_after_ms());
        if let Some(after_ms) = expires
            && let Some(node) = pubsub.node_mut(owner, name)
        {
            store.expire_items(owner.id, &mut node.stored, now_ms.saturating_sub(after_ms))?;
        }
        Ok(())
    }

    /// One node whose items are about to be read.
    pub fn node_to_read(&mut self, owner: &Owner, name: &str) -> Result<Option<&Node>, StoreError> {
        self.know(owner)?;
        self.expire_items(owner, name)?;
        Ok(self.pubsub.node(owner, name))
    }

    /// Makes a node (§8.1).
    pub fn create_node(
        &mut self,
        owner: &Owner,
        name: &str,
        creator: &str,
        settings: Settings,
    ) -> Result<(), StanzaError> {
        check_text(name)?;
        self.know(owner)?;
        let now_ms = self.now.wall_ms;
        let Engine { store, pubsub, .. } = self;
        let nodes = pubsub.owners.entry(owner.id).or_default();
        // §8.1.1.
        if nodes.contains_key(name) {
            return Err(Condition::Conflict.into());
        }
        if nodes.len() >= limits::NODES_PER_OWNER {
            return Err(StanzaError::text(
                Condition::ResourceConstraint,
                "there are too many nodes already",
            ));
        }
        let numbers = nodes.values().map(|node| node.stored.number);
        let node = store::Node {
            number: numbers.max().unwrap_or(0) + 1,
            settings,
            ..store::Node::new(name, creator, now_ms)
        };
        store.create_node(owner.id, &node)?;
        nodes.insert(name.into(), Node::from(node));
        Ok(())
    }

    /// Makes a node where it is not there: for what the server itself publishes in its owner's name.
    pub fn ensure_node(
        &mut self,
        owner: &Owner,
        name: &str,
        settings: Settings,
    ) -> Result<(), StanzaError> {
        match self.node_of(owner, name)?.is_some() {
            true => Ok(()),
            false => self.create_node(owner, name, owner.jid.as_str(), settings),
        }
    }

    /// Configures a node anew (§8.2).
    pub fn configure_node(
        &mut self,
        owner: &Owner,
        name: &str,
        form: &Form,
    ) -> Result<(), StanzaError> {
        self.know(owner)?;
        let mut before = self.hearers(owner, name)?;
        let Engine { store, pubsub, .. } = self;
        let Some(node) = pubsub.node_mut(owner, name) else {
            return Err(Condition::ItemNotFound.into());
        };
        let settings = changed(&node.stored.settings, form, false)?;
        let mut stored = store::Node {
            settings,
            ..node.stored.clone()
        };
        store.put_node(owner.id, &stored)?;
        let config = super::config::Config(&stored.settings);
        let keep = match config.persists() {
            true => config.max_items(),
            false => 0,
        };
        store.trim_items(owner.id, &mut stored, keep)?;
        node.stored = stored;
        let notifies = node.config().notifies_config();
        self.cancel_unallowed(owner, name)?;
        before.extend(self.settle_pending(owner, name)?);
        if notifies {
            self.tell_subscribers(owner, name, Event::Configured)?;
        }
        // §12.2: who may read it from now on gets the last item.
        self.send_last_to_new(owner, name, &before)?;
        Ok(())
    }

    /// Removes an item in somebody's name (§7.2); `notify` says that subscribers shall be told although the node is not configured so.
    pub fn retract(
        &mut self,
        owner: &Owner,
        by: &Relation,
        name: &str,
        id: &str,
        notify: bool,
    ) -> Result<(), StanzaError> {
        self.know(owner)?;
        self.expire_items(owner, name)?;
        let Engine { store, pubsub, .. } = self;
        let Some(node) = pubsub.node_mut(owner, name) else {
            return Err(Condition::ItemNotFound.into());
        };
        if !node.may_publish(by) {
            return Err(Condition::Forbidden.into());
        }
        // §7.2.3.5.
        if !node.config().persists() {
            return Err(unsupported("persistent-items"));
        }
        let tells = notify || node.config().notifies_retract();
        let Some((_, item)) = store.item(owner.id, &node.stored, id)? else {
            return Err(Condition::ItemNotFound.into());
        };
        if !node.may_change(by, &item.publisher) {
            return Err(Condition::Forbidden.into());
        }
        store.remove_item(owner.id, &mut node.stored, id)?;
        if tells {
            self.tell_subscribers(owner, name, Event::Retracted(&[id]))?;
        }
        self.tell_change(owner, Change::Retracted { node: name, id });
        Ok(())
    }

    /// Removes all items (§8.5).
    pub fn purge_node(&mut self, owner: &Owner, name: &str) -> Result<(), StanzaError> {
        self.know(owner)?;
        let Engine { store, pubsub, .. } = self;
        let Some(node) = pubsub.node_mut(owner, name) else {
            return Err(Condition::ItemNotFound.into());
        };
        // §8.5.3.3.
        if !node.config().persists() {
            return Err(unsupported("persistent-items"));
        }
        store.purge_items(owner.id, &mut node.stored)?;
        if node.config().notifies_retract() {
            self.tell_subscribers(owner, name, Event::Purged)?;
        }
        self.tell_change(owner, Change::Emptied { node: name });
        Ok(())
    }

    /// Deletes a node with all that belongs to it (§8.4), and says where it is now.
    pub fn delete_node(
        &mut self,
        owner: &Owner,
        name: &str,
        redirect: Option<&str>,
    ) -> Result<(), StanzaError> {
        let Some(node) = self.node_of(owner, name)? else {
            return Err(Condition::ItemNotFound.into());
        };
        let (stored, notifies) = (node.stored.clone(), node.config().notifies_delete());
        if notifies {
            self.tell_subscribers(owner, name, Event::Deleted(redirect))?;
        }
        self.store.remove_node(owner.id, &stored)?;
        // Another node may get its number.
        self.pubsub.last.forget((owner.id, stored.number));
        if let Some(nodes) = self.pubsub.owners.get_mut(&owner.id) {
            nodes.remove(name);
        }
        self.tell_change(owner, Change::Emptied { node: name });
        Ok(())
    }

    /// Does something whose changes are not told to the rows: what one of them converts is no news to it.
    pub fn quietly<T>(&mut self, act: impl FnOnce(&mut Engine) -> T) -> T {
        let before = std::mem::replace(&mut self.pubsub.quiet, true);
        let done = act(self);
        self.pubsub.quiet = before;
        done
    }

    fn tell_change(&mut self, owner: &Owner, change: Change<'_>) {
        if self.pubsub.quiet {
            return;
        }
        self.tell(
            |row| row.published,
            |engine, hook| hook(engine, owner, &change),
        );
    }

    /// The owner as who publishes: what the server does in its name.
    pub fn in_the_name_of(&self, owner: &Owner) -> Relation {
        Relation {
            bare: owner.jid.as_str().to_owned(),
            is_owner: true,
            sees: true,
            groups: Vec::new(),
        }
    }
}

/// A node's name or an item's id.
fn check_text(text: &str) -> Result<(), StanzaError> {
    match text.is_empty() || text.len() > limits::NODE_TEXT_BYTES {
        true => Err(StanzaError::text(
            Condition::NotAcceptable,
            "a name is empty or too long",
        )),
        false => Ok(()),
    }
}
