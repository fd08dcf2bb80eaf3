//! Who hears of an event, and how (XEP-0060 §12.3, XEP-0163 §4).
//!
//! A client hears of a node whose name and `+notify` stands among what it can (XEP-0060 §9.2): that of the owner, and of those who may see the owner's
//! presence and read the node. Who has subscribed expressly and shows no such wish hears at the bare JID.

use super::access::Relation;
use super::config::{AccessModel, ItemReply};
use super::{Node, Owner};
use crate::engine::Engine;
use crate::engine::delivery::Delivery;
use crate::engine::session::SessionId;
use crate::store::{NodeItem, StoreError};
use crate::xml::{Writer, written};
use crate::xmpp::{BareJid, Jid, ns, time};

/// What is told of a node.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// An item was published.
    Item(&'a NodeItem),
    /// Something was published where there are no items (§4.3).
    Nothing,
    /// Items were retracted.
    Retracted(&'a [&'a str]),
    /// All items are gone.
    Purged,
    /// The node is gone, and where it is now.
    Deleted(Option<&'a str>),
    /// The node is configured anew.
    Configured,
}

impl Node {
    /// The `<event/>`.
    pub fn event(&self, owner: &Owner, event: Event<'_>) -> String {
        let name = self.name();
        written(|out| {
            out.start("event").attr("xmlns", ns::PUBSUB_EVENT);
            match event {
                Event::Item(item) => {
                    out.start("items").attr("node", name);
                    self.write_item(out, owner, item, self.config().delivers_payloads());
                    out.end();
                }
                Event::Nothing => {
                    out.start("items").attr("node", name).end();
                }
                Event::Retracted(ids) => {
                    out.start("items").attr("node", name);
                    for id in ids {
                        out.start("retract").attr("id", id).end();
                    }
                    out.end();
                }
                Event::Purged => {
                    out.start("purge").attr("node", name).end();
                }
                Event::Deleted(uri) => {
                    out.start("delete").attr("node", name);
                    if let Some(uri) = uri {
                        out.start("redirect").attr("uri", uri).end();
                    }
                    out.end();
                }
                Event::Configured => {
                    out.start("configuration").attr("node", name);
                    if self.config().delivers_payloads() {
                        self.config().form(crate::xmpp::FormType::Result).write(out);
                    }
                    out.end();
                }
            }
            out.end();
        })
    }

    /// Writes an item, as events and answers have it. Who published it is said as the node is configured (XEP-0060 §7.1.2.3, §12.15); that it is
    /// the account is said by whom it comes from.
    pub fn write_item(&self, out: &mut Writer<'_>, owner: &Owner, item: &NodeItem, payload: bool) {
        let publisher = match self.config().item_reply() {
            ItemReply::Owner => Some(owner.jid.as_str()),
            ItemReply::Publisher => Some(&*item.publisher).filter(|one| *one != owner.jid.as_str()),
            ItemReply::Nobody => None,
        };
        out.start("item")
            .attr("id", &item.id)
            .attr_opt("publisher", publisher);
        if payload {
            out.raw(&item.xml);
        }
        out.end();
    }
}

impl Engine {
    /// Tells all who are to hear of it.
    pub(super) fn tell_subscribers(
        &mut self,
        owner: &Owner,
        name: &str,
        event: Event<'_>,
    ) -> Result<(), StoreError> {
        let mut to = self.hearers(owner, name)?;
        let Some(node) = self.pubsub.node(owner, name) else {
            return Ok(());
        };
        // §8.4.2: also those whom the owner has not answered.
        if matches!(event, Event::Deleted(_)) {
            to.extend(self.waiting(node));
        }
        let text = node.event(owner, event);
        let kind = message_type(node);
        self.send_event(owner, &to, kind, &text, None);
        Ok(())
    }

    /// The sessions that hear of a node now.
    pub(super) fn hearers(
        &mut self,
        owner: &Owner,
        name: &str,
    ) -> Result<Vec<SessionId>, StoreError> {
        // One who is away: its contacts and whom it blocks are read for the length of this entry.
        if let Some(local) = owner.jid.local() {
            self.user(local)?;
        }
        self.know(owner)?;
        match self.pubsub.node(owner, name) {
            Some(node) if node.config().notifies() => self.subscribers(owner, node),
            _ => Ok(Vec::new()),
        }
    }

    /// The sessions that wait for the owner's answer.
    fn waiting(&self, node: &Node) -> Vec<SessionId> {
        let jids = node.pending();
        let jids = jids.iter().filter_map(|jid| Jid::parse(jid).ok());
        jids.flat_map(|jid| self.sessions_for(&jid)).collect()
    }

    /// Those who share their presence with an account that does not share its own with them (§9.1.3): of its open nodes they hear as if they had
    /// subscribed, for as long.
    fn sharers<'e>(&'e self, owner: &'e Owner) -> impl Iterator<Item = SessionId> + use<'e> {
        self.sessions()
            .filter(|session| {
                let mut directed = session.directed.iter();
                directed.any(|to| **to == *owner.jid.as_str())
            })
            .map(|session| session.id())
    }

    fn subscribers(&self, owner: &Owner, node: &Node) -> Result<Vec<SessionId>, StoreError> {
        let wish = format!("{}+notify", node.name());
        let mut to: Vec<SessionId> = Vec::new();
        if let Some(user) = self.loaded_at(&owner.jid) {
            for (session, _) in self.audience(user) {
                if self.wants(session, &wish) && self.may_hear(owner, node, session)? {
                    to.push(session);
                }
            }
        }
        if node.config().access() == AccessModel::Open {
            for session in self.sharers(owner) {
                if !to.contains(&session)
                    && self.wants(session, &wish)
                    && self.may_hear(owner, node, session)?
                {
                    to.push(session);
                }
            }
        }
        for person in &node.people {
            let Ok(bare) = BareJid::parse(&person.jid) else {
                continue;
            };
            for subscription in person.subscriptions.iter().filter(|one| !one.pending) {
                let mut there: Vec<SessionId> = self.available_at(&bare).collect();
                match &*subscription.resource {
                    // XEP-0163 §4.3.2: to those that say so, else to the bare JID as any headline.
                    "" if there.iter().any(|session| self.wants(*session, &wish)) => {
                        there.retain(|session| self.wants(*session, &wish));
                    }
                    "" => there.retain(|session| self.is_messageable(*session)),
                    resource => {
                        let name = bare.local().unwrap_or_default();
                        let here = self.session_at(name, resource);
                        there = here
                            .filter(|_| self.online_at(&bare).is_some())
                            .into_iter()
                            .collect();
                    }
                }
                for session in there {
                    if !to.contains(&session) && self.may_hear(owner, node, session)? {
                        to.push(session);
                    }
                }
            }
        }
        Ok(to)
    }

    /// Whether a client says that it wants to hear of a node.
    pub(super) fn wants(&self, session: SessionId, wish: &str) -> bool {
        self.features_of(session)
            .is_some_and(|features| features.has(wish))
    }

    /// Whether a session may hear of a node: by the node's access model, and neither blocks the other (XEP-0163 §4.3.3).
    fn may_hear(&self, owner: &Owner, node: &Node, session: SessionId) -> Result<bool, StoreError> {
        let Some(state) = self.session(session) else {
            return Ok(false);
        };
        let jid = Jid::from(&state.jid);
        let by_owner = self.blocks(owner.name(), &jid)?;
        let by_other = self
            .user_of(session)
            .is_some_and(|user| user.blocks(&Jid::from(&owner.jid)));
        if by_owner || by_other {
            return Ok(false);
        }
        let groups = node.config().access() == AccessModel::Roster;
        let relation: Relation = self.relation(owner, &jid, groups)?;
        Ok(node.may_read(&relation).is_ok())
    }

    /// Sends one event to several sessions: what they get differs in the address alone, the rest is written once.
    pub(super) fn send_event(
        &mut self,
        owner: &Owner,
        to: &[SessionId],
        kind: &'static str,
        event: &str,
        delayed_ms: Option<u64>,
    ) {
        self.trace(|| format!("event: to {} resources", to.len()));
        if to.is_empty() {
            return;
        }
        let tail = event_tail(&self.random.id(), kind, event, delayed_ms);
        for session in to {
            let Some(jid) = self.session(*session).map(|session| session.jid.clone()) else {
                continue;
            };
            let from = owner.jid.clone();
            self.deliver(*session, Delivery::of(from.as_str()), |out| {
                out.extend_from_slice(b"<message from='");
                out.extend_from_slice(crate::xml::escaped(from.as_str()).as_bytes());
                out.extend_from_slice(b"' to='");
                out.extend_from_slice(crate::xml::escaped(jid.as_str()).as_bytes());
                out.extend_from_slice(tail.as_bytes());
            });
        }
    }
}

/// The type that a node's events have.
pub(super) fn message_type(node: &Node) -> &'static str {
    match node.config().message_type() {
        "normal" => "normal",
        _ => "headline",
    }
}

/// What stands behind the addresses.
fn event_tail(id: &str, kind: &'static str, event: &str, delayed_ms: Option<u64>) -> String {
    let mut tail = format!("' type='{kind}' id='{id}'>{event}");
    if let Some(ms) = delayed_ms {
        Writer::new(&mut tail)
            .start("delay")
            .attr("xmlns", ns::DELAY)
            .attr("stamp", &time::format(ms))
            .end();
    }
    tail.push_str("</message>");
    tail
}
