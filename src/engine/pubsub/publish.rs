//! What changes nodes: made, configured, published to, emptied, deleted (XEP-0060 §7, §8). Who may ask for it was decided before; what is written
//! here is told to those who are to hear of it, and to the rows of the table.

use super::access::Relation;
use super::config::{Settings, changed};
use super::error::{refused, unsupported};
use super::event::Event;
use super::{Change, Node, Owner};
use crate::engine::Engine;
use crate::limits;
use crate::store::{self, NodeItem, StoreError};
use crate::xmpp::{Condition, Form, StanzaError};

/// What is to be published.
#[derive(Clone, Debug)]
pub struct Publication<'a> {
    /// The node.
    pub node: &'a str,
    /// The item's id; one is made where none is given.
    pub id: Option<String>,
    /// The payload: one element in which everything is declared; nothing where there is none.
    pub xml: String,
    /// What must hold at the node, and how it is made where it is not there (§7.1.5).
    pub options: Option<Form>,
}

impl Engine {
    /// Publishes an item. A node that is not there is made, if the publisher is the owner (§7.1.4). The item's id.
    pub fn publish(
        &mut self,
        owner: &Owner,
        by: &Relation,
        wanted: Publication<'_>,
    ) -> Result<String, StanzaError> {
        let Publication {
            node: name,
            id,
            xml,
            options,
        } = wanted;
        self.know(owner)?;
        match (self.pubsub.node(owner, name), &options) {
            (Some(node), _) if !node.may_publish(by) => return Err(Condition::Forbidden.into()),
            (Some(node), Some(options)) => node.config().check(options)?,
            (Some(_), None) => {}
            (None, _) if !by.is_owner => return Err(Condition::ItemNotFound.into()),
            (None, options) => {
                let settings = match options {
                    Some(options) => changed(&[], options, true)?,
                    None => Settings::new(),
                };
                self.create_node(owner, name, &by.bare, settings)?;
            }
        }
        let Some(node) = self.pubsub.node(owner, name) else {
            return Err(Condition::ItemNotFound.into());
        };
        // §7.1.3.5, §7.1.3.7.
        if xml.len() > node.config().max_payload() {
            return Err(refused(Condition::NotAcceptable, "payload-too-big"));
        }
        if xml.is_empty() && node.config().delivers_payloads() {
            return Err(refused(Condition::BadRequest, "payload-required"));
        }
        let persists = node.config().persists();
        let keep = node.config().max_items();
        let item = NodeItem {
            id: id.unwrap_or_else(|| self.random.id()),
            publisher: by.bare.clone(),
            at_ms: self.now.wall_ms,
            xml,
        };
        check_text(&item.id)?;
        if persists {
            self.keep_item(owner, name, &item, keep)?;
        }
        self.tell_subscribers(owner, name, Event::Item(&item))?;
        let change = Change::Published {
            node: name,
            id: &item.id,
            xml: &item.xml,
        };
        self.tell_change(owner, change);
        Ok(item.id)
    }

    fn keep_item(
        &mut self,
        owner: &Owner,
        name: &str,
        item: &NodeItem,
        keep: u32,
    ) -> Result<(), StanzaError> {
        let kept: u64 = self.nodes_of(owner)?.map(|node| node.stored.bytes).sum();
        let Engine { store, pubsub, .. } = self;
        let Some(node) = pubsub.node_mut(owner, name) else {
            return Err(Condition::ItemNotFound.into());
        };
        // What many clients publish anew at each login, and is what is there already: an SD card need not hear of it.
        let last = store.last_item(owner.id, &node.stored)?;
        let same = |last: &NodeItem| {
            (&last.id, &last.xml, &last.publisher) == (&item.id, &item.xml, &item.publisher)
        };
        if last.as_ref().is_some_and(same) {
            return Ok(());
        }
        let grows = (item.xml.len() + item.id.len()) as u64;
        let replaced = match last {
            Some(last) if keep == 1 => (last.xml.len() + last.id.len()) as u64,
            _ => store
                .item(owner.id, &node.stored, &item.id)?
                .map_or(0, |(_, old)| (old.xml.len() + old.id.len()) as u64),
        };
        if kept + grows > limits::ITEMS_BYTES_PER_OWNER + replaced {
            return Err(StoreError::TooMuch.into());
        }
        store.put_item(owner.id, &mut node.stored, item)?;
        store.trim_items(owner.id, &mut node.stored, keep)?;
        Ok(())
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
        if notifies {
            self.tell_subscribers(owner, name, Event::Configured)?;
        }
        Ok(())
    }

    /// Removes an item (§7.2); `notify` says that subscribers shall be told although the node is not configured so.
    pub fn retract(
        &mut self,
        owner: &Owner,
        name: &str,
        id: &str,
        notify: bool,
    ) -> Result<(), StanzaError> {
        self.know(owner)?;
        let Engine { store, pubsub, .. } = self;
        let Some(node) = pubsub.node_mut(owner, name) else {
            return Err(Condition::ItemNotFound.into());
        };
        // §7.2.3.5.
        if !node.config().persists() {
            return Err(unsupported("persistent-items"));
        }
        let tells = notify || node.config().notifies_retract();
        if !store.remove_item(owner.id, &mut node.stored, id)? {
            return Err(Condition::ItemNotFound.into());
        }
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
