//! What an account would want to hear of at once, though not all of its devices can: a message, an invitation, a request. Who brings it tells it here, and
//! need not know who wakes the devices.

use super::Engine;
use crate::xml::Element;
use crate::xmpp::Jid;
use std::collections::HashSet;

/// Something that happened to an account.
pub struct Missed<'m> {
    /// Local part of the account's JID.
    pub account: &'m str,
    /// The one device that misses it; `None` for each that is not there.
    pub device: Option<&'m str>,
    /// Who it is from.
    pub from: &'m Jid<'m>,
    /// What it is.
    pub what: What<'m>,
}

/// What happened.
#[derive(Clone, Copy)]
pub enum What<'m> {
    /// Somebody wrote this.
    Message(Element<'m>),
    /// Somebody asks for a subscription.
    Request,
}

/// The accounts that want to be woken, whether they are there or not: the one question that everything asks that happens to somebody.
#[derive(Default)]
pub struct Sleepers(HashSet<Box<str>>);

impl Engine {
    /// Whether an account wants to be woken. Nothing is read for it.
    pub fn is_sleeper(&self, account: &str) -> bool {
        self.sleepers.0.contains(account)
    }

    /// Whether anybody does.
    pub fn has_sleepers(&self) -> bool {
        !self.sleepers.0.is_empty()
    }

    /// From now on an account wants to be woken, or does not any more.
    pub fn set_sleeper(&mut self, account: &str, wants: bool) {
        match wants {
            true => drop(self.sleepers.0.insert(account.into())),
            false => drop(self.sleepers.0.remove(account)),
        }
    }

    /// The number of what is being handled now: what has the same number comes of the same stanza.
    pub fn entry(&self) -> u64 {
        self.entries
    }

    /// Tells the rows that an account may have missed something, if it wants to be woken.
    pub fn missed(&mut self, missed: &Missed<'_>) {
        if self.is_sleeper(missed.account) {
            self.tell(|row| row.missed, |engine, hook| hook(engine, missed));
        }
    }
}
