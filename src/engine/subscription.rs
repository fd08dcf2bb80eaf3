//! The subscription state machine (RFC 6121 §3 and appendix A) and the contact list's pushes: what the roster and the presence chapters share.
//!
//! Appendix A's nine states are four independent facts of a contact: `to`, `from`, pending out (`ask`) and pending in.

use super::contacts::Contact;
use super::delivery::{Change, Delivery};
use super::missed::{Missed, What};
use super::session::{SessionId, write_presence_to};
use super::{Engine, session};
use crate::limits;
use crate::store::{RosterItem, StoreError, Subscription};
use crate::xml::{Writer, written};
use crate::xmpp::{BareJid, Condition, Jid, PresenceType, StanzaError, ns};

impl Engine {
    /// A user's item for a contact, as it is or as it begins.
    pub fn contact_item(
        &mut self,
        name: &str,
        contact: &BareJid,
    ) -> Result<Option<RosterItem>, StoreError> {
        let Some(id) = self.user(name)?.map(|user| user.id) else {
            return Ok(None);
        };
        let item = self.store.roster_item(id, contact)?;
        Ok(Some(
            item.unwrap_or_else(|| RosterItem::new(contact.clone())),
        ))
    }

    /// Keeps a changed item, or forgets it where it says nothing any more.
    pub(super) fn keep_contact(&mut self, name: &str, item: &RosterItem) -> Result<(), StoreError> {
        let Some(id) = self.user(name)?.map(|user| user.id) else {
            return Ok(());
        };
        let before = self.store.roster_item(id, &item.jid)?;
        let before = before.unwrap_or_else(|| RosterItem::new(item.jid.clone()));
        let empty = item.is_empty();
        match empty {
            true => drop(self.store.remove_roster_item(id, &item.jid)?),
            false => self.store.put_roster_item(id, item)?,
        }
        if let Some(user) = self.user(name)? {
            match empty {
                true => user.contacts.remove(item.jid.as_str()),
                false => user.contacts.put(item),
            }
        }
        self.tell(
            |row| row.contact_changed,
            |engine, hook| hook(engine, name, &before, item),
        );
        Ok(())
    }

    /// Keeps a changed item and tells the resources that asked for the roster once it is on the disk (RFC 6121 §2.1.6).
    pub fn save_contact(&mut self, name: &str, item: &RosterItem) -> Result<(), StoreError> {
        self.keep_contact(name, item)?;
        if item.listed {
            let shown = self.shown(name, item);
            self.push_item(name, &shown, true);
        }
        Ok(())
    }

    /// Keeps a changed item; that somebody asks or does not ask any more is no news for the roster (RFC 6121 §2.1.2.5).
    fn change_contact(
        &mut self,
        name: &str,
        before: &RosterItem,
        item: &RosterItem,
    ) -> Result<(), StoreError> {
        let shown = RosterItem {
            pending_in: item.pending_in.clone(),
            ..before.clone()
        };
        match shown == *item {
            true => self.keep_contact(name, item),
            false => self.save_contact(name, item),
        }
    }

    /// Removes a contact from a roster and cancels both subscriptions (RFC 6121 §2.5.2).
    pub fn remove_contact(&mut self, name: &str, contact: &BareJid) -> Result<bool, StoreError> {
        let parted = self.part(name, contact)?;
        let Some(item) = self.contact_item(name, contact)?.filter(|item| item.listed) else {
            return Ok(false);
        };
        let facts = Facts::of(&item);
        if facts.to || facts.asked {
            self.route_subscription(name, contact, PresenceType::Unsubscribe, None)?;
        }
        if facts.from {
            self.show_presence(name, contact, false);
        }
        if facts.from || facts.pending_in {
            self.route_subscription(name, contact, PresenceType::Unsubscribed, None)?;
        }
        // Where everyone sees everyone, that these two do not any more is remembered.
        let apart = parted || item.apart;
        let left = RosterItem {
            apart,
            ..RosterItem::new(contact.clone())
        };
        self.keep_contact(name, &left)?;
        self.push_item(name, &left, false);
        Ok(true)
    }

    /// Tells the resources that asked for the roster of an item that is there, or that it is not any more (RFC 6121 §2.1.6, §2.5.2).
    pub(super) fn push_item(&mut self, name: &str, item: &RosterItem, there: bool) {
        self.push_roster(name, |out| {
            if there {
                return write_item(item, out);
            }
            out.start("item")
                .attr("jid", item.jid.as_str())
                .attr("subscription", "remove")
                .end();
        });
    }

    /// RFC 6121 §2.1.6: sends a changed item to every resource that asked for the roster, once it is on the disk.
    fn push_roster(&mut self, name: &str, item: impl Fn(&mut Writer<'_>)) {
        let interested = self.interested_of(name);
        if interested.is_empty() {
            return;
        }
        let is_versioned =
            |id: &SessionId| self.session(*id).is_some_and(|session| session.versioned);
        let version = match interested.iter().any(is_versioned) {
            true => self.roster_version(name).ok(),
            false => None,
        };
        let ticket = self.ticket();
        let bare = self.bare_jid(name);
        for there in interested {
            let Some((to, versioned)) = self
                .session(there)
                .map(|session| (session.jid.clone(), session.versioned))
            else {
                continue;
            };
            let version = version.as_deref().filter(|_| versioned);
            let id = self.random.id();
            let text = written(|out| {
                out.start("iq")
                    .attr("to", to.as_str())
                    .attr("id", &id)
                    .attr("type", "set");
                out.start("query")
                    .attr("xmlns", ns::ROSTER)
                    .attr_opt("ver", version);
                item(out);
                out.end().end();
            });
            self.deliver(
                there,
                Delivery::of(bare.as_str()).behind(Some(ticket)),
                |out| out.extend_from_slice(text.as_bytes()),
            );
        }
    }

    /// A user's client sends subscription presence (RFC 6121 §3.1.2, §3.1.5, §3.2.2, §3.3.2; appendix A.2). `xml` is the stanza
    /// without `from` and `to`, or nothing for an empty one.
    pub fn subscription_out(
        &mut self,
        name: &str,
        contact: &BareJid,
        kind: PresenceType,
        xml: Option<&str>,
    ) -> Result<(), StanzaError> {
        match kind {
            // Those who see each other anyway have nothing to allow, and what they ask for is answered at once.
            PresenceType::Subscribed if self.shares(name, contact)? => return Ok(()),
            PresenceType::Subscribe if self.shares(name, contact)? => {
                let granted = stamp(
                    "<presence type='subscribed'/>",
                    contact.as_str(),
                    self.bare_jid(name).as_str(),
                );
                self.deliver_subscription(name, contact, PresenceType::Subscribed, &granted);
                return Ok(());
            }
            PresenceType::Unsubscribe | PresenceType::Unsubscribed => {
                self.part(name, contact)?;
            }
            _ => {}
        }
        let Some(mut item) = self.contact_item(name, contact)? else {
            return Ok(());
        };
        let before = item.clone();
        let had = Facts::of(&item);
        let mut facts = had;
        let routed = facts.outbound(kind);
        facts.put(&mut item);
        match kind {
            PresenceType::Subscribe => item.listed = true,
            PresenceType::Subscribed => {
                // RFC 6121 §3.4.2: where nobody asked yet, it is approved beforehand.
                item.approved |= !facts.from;
                item.listed = true;
            }
            PresenceType::Unsubscribed => item.approved = false,
            _ => {}
        }
        if item != before {
            if item.listed {
                self.check_room(name, &before)?;
            }
            self.change_contact(name, &before, &item)?;
        }
        self.trace(|| {
            let fate = if routed { "routed" } else { "not routed" };
            format!("subscription: {name} {had:?} -> {facts:?}, {fate}")
        });
        // RFC 6121 §3.2.2: who loses the subscription hears that the user is gone while it still stands.
        if had.from && !facts.from {
            self.show_presence(name, contact, false);
        }
        if routed {
            self.route_subscription(name, contact, kind, xml)?;
        }
        if !had.from && facts.from {
            self.show_presence(name, contact, true);
        }
        Ok(())
    }

    /// Brings a user's subscription presence to the contact.
    fn route_subscription(
        &mut self,
        name: &str,
        contact: &BareJid,
        kind: PresenceType,
        xml: Option<&str>,
    ) -> Result<(), StoreError> {
        let from = self.bare_jid(name);
        let local = Jid::from(contact);
        let plain;
        let xml = match xml {
            Some(xml) => xml,
            None => {
                let mut text = String::new();
                Writer::new(&mut text)
                    .start("presence")
                    .attr_opt("type", kind.name())
                    .end();
                plain = text;
                &plain
            }
        };
        match local.local().filter(|_| self.is_local(&local)) {
            Some(there) => self.subscription_in(there, &from, kind, xml),
            None => {
                // RFC 6120 §10.4: where there is no way, it is dropped after the roster knows it.
                self.tell_beyond(&local, &stamp(xml, from.as_str(), contact.as_str()));
                Ok(())
            }
        }
    }

    /// Subscription presence reaches a local account (RFC 6121 §3.1.3, §3.1.6, §3.2.3, §3.3.3; appendix A.3).
    pub(super) fn subscription_in(
        &mut self,
        name: &str,
        from: &BareJid,
        kind: PresenceType,
        xml: &str,
    ) -> Result<(), StoreError> {
        // RFC 6121 §8.5.1: an account that does not exist is silent.
        let Some(mut item) = self.contact_item(name, from)? else {
            return Ok(());
        };
        let apart = self.are_accounts_apart(name, from)?;
        if apart && matches!(kind, PresenceType::Subscribe | PresenceType::Subscribed) {
            // XEP-0191 §3.3: no answer, and nothing is kept.
            self.trace(|| format!("subscription: {name} and {from} are apart, dropped"));
            return Ok(());
        }
        let before = item.clone();
        let had = Facts::of(&item);
        let mut facts = had;
        let asks = kind == PresenceType::Subscribe;
        // RFC 6121 §3.1.3: one who is subscribed already, or is approved beforehand (§3.4.3), is answered by the server.
        let answered = asks && (had.from || item.approved);
        if asks && !answered && !had.pending_in {
            let waiting = self.count_contacts(name, |contact| contact.pending_in)?;
            if waiting >= limits::REQUESTS {
                return Ok(());
            }
        }
        // What takes a subscription away moves the states between those who are apart, whose lists must not contradict each other, but without a word.
        let delivered = !answered && facts.inbound(kind) && !apart;
        facts.from |= answered;
        facts.put(&mut item);
        let stamped = stamp(xml, from.as_str(), self.bare_jid(name).as_str());
        if answered {
            (item.approved, item.listed) = (false, true);
        } else if asks {
            // RFC 6121 §3.1.3: kept, with what it says, until it is answered.
            item.pending_in = Some(stamped.clone());
        }
        self.trace(|| {
            let fate = ["not delivered", "delivered"][usize::from(delivered)];
            format!("subscription: {name} {had:?} -> {facts:?}, {fate}")
        });
        if delivered {
            self.deliver_subscription(name, from, kind, &stamped);
        }
        if item != before {
            self.change_contact(name, &before, &item)?;
        }
        if delivered && asks {
            self.missed(&Missed {
                account: name,
                device: None,
                from: &Jid::from(from),
                what: What::Request,
            });
        }
        if had.from && !facts.from {
            self.show_presence(name, from, false);
        }
        if answered {
            self.route_subscription(name, from, PresenceType::Subscribed, None)?;
            self.show_presence(name, from, true);
        }
        Ok(())
    }

    /// RFC 6121 §3.1.3: requests go to available resources; §3.1.6, §3.2.3, §3.3.3: the rest to those that asked for the roster.
    fn deliver_subscription(
        &mut self,
        name: &str,
        from: &BareJid,
        kind: PresenceType,
        stamped: &str,
    ) {
        let to = match kind {
            PresenceType::Subscribe => self.available_of(name),
            _ => self.interested_of(name),
        };
        for there in to {
            self.deliver(there, Delivery::of(from.as_str()), |out| {
                out.extend_from_slice(stamped.as_bytes())
            });
        }
    }

    /// Sends the current presence of all available resources of a user to a contact, or that they are gone for it (RFC 6121 §3.1.5, §3.2.2,
    /// §3.3.3). It waits for the commit of what changed the subscription, so that it arrives behind the roster push that explains it.
    pub fn show_presence(&mut self, name: &str, contact: &BareJid, available: bool) {
        let local = Jid::from(contact);
        let Some(there) = local.local().filter(|_| self.is_local(&local)) else {
            return self.show_presence_beyond(name, contact, available);
        };
        let bare = self.bare_jid(name);
        // Behind the contact's roster push, which waits for the disk: Profanity 0.13 drops presence of whom it does not see as subscribed.
        let ticket = self.ticket();
        for from in self.available_of(name) {
            let Some(session) = self.session(from) else {
                continue;
            };
            let (xml, change) = match (&session.presence, available) {
                (Some(presence), true) => (presence.xml.clone(), Change::Stays),
                _ => (session::unavailable(&session.jid), Change::Goes),
            };
            let of = session.jid.clone();
            for to in self.available_of(there) {
                // XEP-0191 §3.3: who is blocked saw the user go when the block began.
                if self.are_apart(from, to) {
                    continue;
                }
                let delivery = Delivery::of(bare.as_str())
                    .behind(Some(ticket))
                    .presence(of.as_str(), change);
                self.deliver(to, delivery, |out| {
                    write_presence_to(&xml, contact.as_str(), out)
                });
            }
        }
        self.tell(
            |row| row.presence_shown,
            |engine, hook| hook(engine, name, contact, available),
        );
    }

    /// The same for a contact beyond.
    fn show_presence_beyond(&mut self, name: &str, contact: &BareJid, available: bool) {
        for from in self.available_of(name) {
            let Some(session) = self.session(from) else {
                continue;
            };
            let xml = match (&session.presence, available) {
                (Some(presence), true) => presence.xml.clone(),
                _ => session::unavailable(&session.jid),
            };
            self.show_beyond(&Jid::from(contact), &xml);
        }
    }

    /// Whether an account and a contact are apart: one blocks the other (XEP-0191).
    fn are_accounts_apart(&self, name: &str, contact: &BareJid) -> Result<bool, StoreError> {
        let there = Jid::from(contact);
        if self.blocks(name, &there)? {
            return Ok(true);
        }
        match there.local().filter(|_| self.is_local(&there)) {
            Some(other) => self.blocks(other, &Jid::from(&self.bare_jid(name))),
            None => Ok(false),
        }
    }

    fn count_contacts(
        &mut self,
        name: &str,
        which: impl Fn(&Contact) -> bool,
    ) -> Result<usize, StoreError> {
        let user = self.user(name)?;
        Ok(user.map_or(0, |user| {
            user.contacts
                .iter()
                .filter(|contact| which(contact))
                .count()
        }))
    }

    /// Whether one more contact fits.
    pub fn check_room(&mut self, name: &str, before: &RosterItem) -> Result<(), StanzaError> {
        // Requests of strangers are no contacts: they must not keep the user from having some.
        let count = self.count_contacts(name, |contact| contact.listed)?;
        match before.listed || count < limits::CONTACTS {
            true => Ok(()),
            false => Err(StanzaError::text(
                Condition::ResourceConstraint,
                "the contact list is full",
            )),
        }
    }
}

/// What a contact's state is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Facts {
    to: bool,
    from: bool,
    asked: bool,
    pending_in: bool,
}

impl Facts {
    fn of(item: &RosterItem) -> Facts {
        Facts {
            to: matches!(item.subscription, Subscription::To | Subscription::Both),
            from: matches!(item.subscription, Subscription::From | Subscription::Both),
            asked: item.ask,
            pending_in: item.pending_in.is_some(),
        }
    }

    /// Appendix A.2: what the user's own stanza changes, and whether it is routed to the contact.
    fn outbound(&mut self, kind: PresenceType) -> bool {
        match kind {
            PresenceType::Subscribe => {
                self.asked |= !self.to;
                true
            }
            PresenceType::Unsubscribe => {
                (self.to, self.asked) = (false, false);
                true
            }
            PresenceType::Subscribed => {
                let asked_for = std::mem::take(&mut self.pending_in);
                self.from |= asked_for;
                asked_for
            }
            PresenceType::Unsubscribed => {
                let had = self.from || self.pending_in;
                (self.from, self.pending_in) = (false, false);
                had
            }
            _ => false,
        }
    }

    /// Appendix A.3: what the contact's stanza changes, and whether it is delivered to the user.
    fn inbound(&mut self, kind: PresenceType) -> bool {
        match kind {
            PresenceType::Subscribe => !std::mem::replace(&mut self.pending_in, true),
            PresenceType::Unsubscribe => {
                let had = self.from || self.pending_in;
                (self.from, self.pending_in) = (false, false);
                had
            }
            PresenceType::Subscribed => {
                let asked = std::mem::take(&mut self.asked);
                self.to |= asked;
                asked
            }
            PresenceType::Unsubscribed => {
                let had = self.to || self.asked;
                (self.to, self.asked) = (false, false);
                had
            }
            _ => false,
        }
    }

    fn put(self, item: &mut RosterItem) {
        item.subscription = match (self.to, self.from) {
            (false, false) => Subscription::None,
            (true, false) => Subscription::To,
            (false, true) => Subscription::From,
            (true, true) => Subscription::Both,
        };
        item.ask = self.asked;
        if !self.pending_in {
            item.pending_in = None;
        }
    }
}

/// RFC 6121 §2.1.2: an item as clients see it.
pub fn write_item(item: &RosterItem, out: &mut Writer<'_>) {
    let subscription = match item.subscription {
        Subscription::None => "none",
        Subscription::To => "to",
        Subscription::From => "from",
        Subscription::Both => "both",
    };
    out.start("item");
    if item.approved {
        out.attr("approved", "true");
    }
    if item.ask {
        out.attr("ask", "subscribe");
    }
    out.attr("jid", item.jid.as_str())
        .attr_opt("name", item.name.as_deref())
        .attr("subscription", subscription);
    for group in &item.groups {
        out.leaf("group", group);
    }
    out.end();
}

/// A presence that has neither `from` nor `to`, with both.
fn stamp(xml: &str, from: &str, to: &str) -> String {
    let mut with_from = Vec::with_capacity(xml.len() + from.len() + to.len() + 16);
    write_presence_to(xml, to, &mut with_from);
    let mut text =
        String::from_utf8(with_from).expect("what was text is text with an attribute more");
    let escaped = format!(" from='{}'", crate::xml::escaped(from));
    text.insert_str("<presence".len(), &escaped);
    text
}
