//! A client that has just come gets the last items of what it wants to hear of (XEP-0163 §4.3.4), of contacts who are away too: the wish is about
//! the presence of who hears, not of who published.
//!
//! What it costs: for a contact who is online, two reads the first time that its nodes are needed and one for each last item, and then nothing. For one
//! who is away one read for its account, one or two for its nodes; and only where there is something for this client, one for whom it blocks, one an
//! item, and one (may it see) that is all there is to read the next time, as long as there is room for the rest (`recent.rs`). A client that wants
//! to hear of nothing costs nothing. It is done in parts, so that neither the others nor the way to the client have to take it at once.

use super::access::Relation;
use super::config::{AccessModel, SendLast};
use super::event::{Event, message_type};
use super::{Node, Owner};
use crate::engine::Engine;
use crate::engine::blocklist::Blocklist;
use crate::engine::caps::Capabilities;
use crate::engine::session::{SessionId, User};
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
        let wishes = self.wishes(session, before);
        if wishes.is_empty() {
            return;
        }
        let contacts = match self.whom_it_sees(session) {
            Ok(contacts) => contacts,
            Err(error) => return log::error!("who published could not be read: {error}"),
        };
        self.owe(session, wishes, contacts);
    }

    fn owe(&mut self, session: SessionId, wishes: Vec<String>, contacts: Vec<BareJid>) {
        self.forget_owed(session);
        self.pubsub.owed.push(Owed {
            session,
            wishes,
            contacts,
        });
        self.pay_owed(session);
    }

    /// A client shows itself to an account that does not share its presence with it: it gets the last items of what everybody may read there
    /// (XEP-0060 §9.1.3).
    pub fn send_last_items_to_sharer(&mut self, session: SessionId, account: &BareJid) {
        let wishes = self.wishes(session, None);
        if !wishes.is_empty()
            && let Err(error) = self.send_last_of(session, &wishes, account)
        {
            log::error!("what {account} has published could not be read: {error}");
        }
    }

    /// An account blocks some no more: they hear of its nodes again, and it of theirs (XEP-0163 §4.3.3, XEP-0191 §3.4).
    pub fn send_last_items_after_block(&mut self, name: &str, before: &Blocklist) {
        let Some(user) = self.online(name) else {
            return;
        };
        let own = user.jid.clone();
        let freed = |user: &User, jid: &Jid<'_>| {
            // Nobody blocks themselves, even if the whole server is blocked.
            jid.bare() != user.jid.as_str() && before.blocks(jid) && !user.blocks(jid)
        };
        let to: Vec<SessionId> = self
            .audience(user)
            .into_iter()
            .map(|(session, _)| session)
            .filter(|session| {
                let there = self.session(*session);
                there.is_some_and(|there| freed(user, &Jid::from(&there.jid)))
            })
            .collect();
        let mine = user.sessions.clone();
        for session in to {
            self.send_last_items_to_sharer(session, &own);
        }
        for session in mine {
            let wishes = self.wishes(session, None);
            let contacts = match self.whom_it_sees(session) {
                Ok(contacts) if !wishes.is_empty() => contacts,
                Ok(_) => continue,
                Err(error) => return log::error!("who published could not be read: {error}"),
            };
            let Some(user) = self.online(name) else {
                return;
            };
            let again: Vec<BareJid> = contacts
                .into_iter()
                .filter(|contact| freed(user, &Jid::from(contact)))
                .collect();
            // What it is still owed of others comes all the same.
            let owed = self.pubsub.owed.iter_mut();
            match owed.into_iter().find(|owed| owed.session == session) {
                Some(owed) => owed.contacts.extend(again),
                None => self.owe(session, wishes, again),
            }
        }
    }

    /// Those that may read a node and could not `before` get its last item (XEP-0060 §12.2).
    pub(super) fn send_last_to_new(
        &mut self,
        owner: &Owner,
        name: &str,
        before: &[SessionId],
    ) -> Result<(), StoreError> {
        let now = self.hearers(owner, name)?;
        let new: Vec<SessionId> = now
            .into_iter()
            .filter(|session| !before.contains(session))
            .collect();
        self.send_last_to(owner, name, &new)
    }

    /// Sends sessions that may read a node its last item, with its time.
    pub(super) fn send_last_to(
        &mut self,
        owner: &Owner,
        name: &str,
        to: &[SessionId],
    ) -> Result<(), StoreError> {
        let sends = self
            .pubsub
            .node(owner, name)
            .is_some_and(|node| node.config().send_last() >= SendLast::OnSubscription);
        if !sends || to.is_empty() {
            return Ok(());
        }
        let item = self.last_item(owner, name)?;
        if let (Some(node), Some(item)) = (self.pubsub.node(owner, name), item) {
            let (event, kind) = (node.event(owner, Event::Item(&item)), message_type(node));
            self.send_event(owner, to, kind, &event, Some(item.at_ms));
        }
        Ok(())
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

    /// The nodes that a client wants to hear of; none while it does not show itself to anybody.
    fn wishes(&self, session: SessionId, before: Option<&Capabilities>) -> Vec<String> {
        let shows = self
            .session(session)
            .is_some_and(|state| state.presence.is_some() || !state.directed.is_empty());
        let Some(features) = self.features_of(session).filter(|_| shows) else {
            return Vec::new();
        };
        features
            .iter()
            .filter(|wish| before.is_none_or(|before| !before.has(wish)))
            .filter_map(|wish| wish.strip_suffix("+notify"))
            .map(str::to_owned)
            .collect()
    }

    /// Whose nodes a client may want to hear of: its own account's first, so it stands last. One that is not available to all hears of those alone to
    /// whom it shows itself.
    fn whom_it_sees(&self, session: SessionId) -> Result<Vec<BareJid>, StoreError> {
        let Some(user) = self.user_of(session) else {
            return Ok(Vec::new());
        };
        let state = self.session(session);
        let directed = state.into_iter().flat_map(|state| &state.directed);
        let mut shown: Vec<BareJid> = directed
            .filter_map(|to| BareJid::parse(to).ok())
            .filter(|to| to.local().is_some() && self.is_local(&Jid::from(to)))
            .collect();
        if state.is_none_or(|state| state.presence.is_none()) {
            return Ok(shown);
        }
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
        shown.retain(|jid| !seen.contains(jid));
        seen.append(&mut shown);
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
        let by_owner = self.owner_blocks(&owner, &jid)?;
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
        let may_read = |node: &&Node| node.may_read(relation).is_ok();
        if self.pubsub.node(owner, name).filter(may_read).is_none() {
            return Ok(0);
        }
        let item = self.last_item(owner, name)?;
        let (Some(node), Some(item)) = (self.pubsub.node(owner, name), item) else {
            return Ok(0);
        };
        let (event, kind) = (node.event(owner, Event::Item(&item)), message_type(node));
        self.send_event(owner, &[session], kind, &event, Some(item.at_ms));
        Ok(event.len())
    }
}
