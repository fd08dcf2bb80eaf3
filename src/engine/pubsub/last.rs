//! A client that has just come gets the last items of what it wants to hear of (XEP-0163 §4.3.4), of contacts who are away too: the wish is about
//! the presence of who hears, not of who published.
//!
//! What it costs: for a contact who is online one read an item that is sent, and two the first time that its nodes are needed while it is online. For
//! one who is away one read for its account, one or two for its nodes; and only where there is something for this client, two more (is it
//! blocked, may it see) and one an item. A client that wants to hear of nothing costs nothing. It is done in parts, so that neither the others
//! nor the way to the client have to take it at once.

use super::Owner;
use super::access::Relation;
use super::config::{AccessModel, SendLast};
use super::event::{Event, message_type};
use crate::engine::Engine;
use crate::engine::caps::Capabilities;
use crate::engine::session::SessionId;
use crate::limits;
use crate::store::StoreError;
use crate::xmpp::{BareJid, Jid};

/// What a client is still owed.
pub(in crate::engine) struct Owed {
    session: SessionId,
    /// The nodes that it wants to hear of.
    wishes: Vec<String>,
    /// Whose nodes were not looked at yet; the last one is next.
    contacts: Vec<BareJid>,
}

impl Engine {
    /// Begins to send a client the last items of the nodes that it wants to hear of, but for those that it wanted `before` already.
    pub fn send_last_items(&mut self, session: SessionId, before: Option<&Capabilities>) {
        let available = self
            .session(session)
            .is_some_and(|state| state.presence.is_some());
        let wishes = self.wishes(session, before);
        if !available || wishes.is_empty() {
            return;
        }
        let contacts = match self.whom_it_sees(session) {
            Ok(contacts) => contacts,
            Err(error) => return log::error!("who published could not be read: {error}"),
        };
        self.forget_owed(session);
        self.pubsub.owed.push(Owed {
            session,
            wishes,
            contacts,
        });
        self.pay_owed(session);
    }

    /// Goes on with those that took most of what they were sent.
    pub fn pay_all_owed(&mut self) {
        let ready: Vec<SessionId> = self
            .pubsub
            .owed
            .iter()
            .map(|owed| owed.session)
            .filter(|session| {
                let conn = self.session(*session).and_then(|state| state.conn);
                conn.is_some_and(|conn| self.queued(conn) < limits::LAST_ITEMS_PART_BYTES)
            })
            .collect();
        for session in ready {
            self.pay_owed(session);
        }
    }

    /// Forgets what a session that ends is owed.
    pub fn forget_owed(&mut self, session: SessionId) {
        self.pubsub.owed.retain(|owed| owed.session != session);
    }

    /// A contact begins to see an account: its clients get the last items of what they want to hear of (XEP-0163 §4.3.4: "to all new subscribers").
    pub fn send_last_items_to_contact(&mut self, name: &str, contact: &BareJid) {
        let to: Vec<SessionId> = self.available_at(contact).collect();
        for session in to {
            let wishes = self.wishes(session, None);
            if wishes.is_empty() {
                continue;
            }
            let owner = self.bare_jid(name);
            if let Err(error) = self.send_last_of(session, &wishes, &owner) {
                log::error!("what {name:?} has published could not be read: {error}");
            }
        }
    }

    fn pay_owed(&mut self, session: SessionId) {
        let place = |owed: &Owed| owed.session == session;
        let Some(place) = self.pubsub.owed.iter().position(place) else {
            return;
        };
        let mut owed = self.pubsub.owed.swap_remove(place);
        let (mut bytes, mut looked_at) = (0, 0);
        while bytes < limits::LAST_ITEMS_PART_BYTES && looked_at < limits::LAST_ITEMS_PART_CONTACTS
        {
            let Some(contact) = owed.contacts.pop() else {
                return;
            };
            looked_at += 1;
            match self.send_last_of(session, &owed.wishes, &contact) {
                Ok(sent) => bytes += sent,
                Err(error) => {
                    log::error!("what {contact} has published could not be read: {error}")
                }
            }
        }
        if !owed.contacts.is_empty() {
            self.pubsub.owed.push(owed);
        }
    }

    /// The nodes that a client wants to hear of.
    fn wishes(&self, session: SessionId, before: Option<&Capabilities>) -> Vec<String> {
        let Some(features) = self.features_of(session) else {
            return Vec::new();
        };
        features
            .iter()
            .filter(|wish| before.is_none_or(|before| !before.has(wish)))
            .filter_map(|wish| wish.strip_suffix("+notify"))
            .map(str::to_owned)
            .collect()
    }

    /// Whose nodes a client may want to hear of: its own account's first, so it stands last.
    fn whom_it_sees(&self, session: SessionId) -> Result<Vec<BareJid>, StoreError> {
        let Some(user) = self.user_of(session) else {
            return Ok(Vec::new());
        };
        let mut seen: Vec<BareJid> = match self.config.roster.everyone {
            true => self
                .store
                .accounts()?
                .iter()
                .map(|account| self.bare_jid(&account.name))
                .filter(|jid| self.wants_to_see(user, jid.as_str()))
                .collect(),
            false => user
                .contacts
                .iter()
                .filter(|contact| contact.to && self.is_local(&Jid::from(&contact.jid)))
                .map(|contact| contact.jid.clone())
                .collect(),
        };
        seen.retain(|jid| *jid != user.jid);
        seen.push(user.jid.clone());
        Ok(seen)
    }

    /// Sends a client the last items of what it wants to hear of one account; the bytes of it.
    fn send_last_of(
        &mut self,
        session: SessionId,
        wishes: &[String],
        account: &BareJid,
    ) -> Result<usize, StoreError> {
        let Some(jid) = self.session(session).map(|state| state.jid.clone()) else {
            return Ok(0);
        };
        let jid = Jid::from(&jid);
        let Some(owner) = self.account_owner(account.local().unwrap_or_default())? else {
            return Ok(0);
        };
        let offered: Vec<(String, bool)> = self
            .nodes_of(&owner)?
            .filter(|node| node.stored.items > 0 && node.config().notifies())
            .filter(|node| node.config().send_last() == SendLast::OnPresence)
            .filter(|node| wishes.iter().any(|wish| wish == node.name()))
            .map(|node| {
                let groups = node.config().access() == AccessModel::Roster;
                (node.name().to_owned(), groups)
            })
            .collect();
        if offered.is_empty() {
            return Ok(0);
        }
        let by_other = self
            .user_of(session)
            .is_some_and(|user| user.blocks(&Jid::from(&owner.jid)));
        let by_owner = self.blocks(owner.name(), &jid)?;
        if by_other || by_owner {
            return Ok(0);
        }
        let groups = offered.iter().any(|(_, groups)| *groups);
        let relation = self.relation(&owner, &jid, groups)?;
        let mut sent = 0;
        for (name, _) in offered {
            sent += self.send_last_item(session, &owner, &name, &relation)?;
        }
        Ok(sent)
    }

    fn send_last_item(
        &mut self,
        session: SessionId,
        owner: &Owner,
        name: &str,
        relation: &Relation,
    ) -> Result<usize, StoreError> {
        let Some(node) = self
            .pubsub
            .node(owner, name)
            .filter(|node| node.may_read(relation).is_ok())
        else {
            return Ok(0);
        };
        let Some(item) = self.store.last_item(owner.id, &node.stored)? else {
            return Ok(0);
        };
        let (event, kind) = (node.event(owner, Event::Item(&item)), message_type(node));
        self.send_event(owner, &[session], kind, &event, Some(item.at_ms));
        Ok(event.len())
    }
}
