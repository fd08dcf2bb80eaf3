//! Rosters: the contacts of each account, RFC 6121 §2.

use super::error::StoreError;
use super::keys::{self, ROSTER};
use super::record::{RecordError, RecordReader, RecordWriter};
use super::{Store, UserId};
use crate::xmpp::jid::BareJid;

/// Whose presence goes to whom (RFC 6121 §2.1.2.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Subscription {
    /// Nobody's.
    #[default]
    None,
    /// The user sees the contact.
    To,
    /// The contact sees the user.
    From,
    /// Both.
    Both,
}

/// One contact of one account. A contact that is not in the roster but has asked for a subscription (RFC 6121 §3.1.3) is an item too:
/// `None + Pending In` and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterItem {
    /// The contact.
    pub jid: BareJid,
    /// What the user calls the contact.
    pub name: Option<String>,
    /// In the order the client gave them.
    pub groups: Vec<String>,
    /// See [`Subscription`].
    pub subscription: Subscription,
    /// The user has asked for the contact's presence (`ask='subscribe'`).
    pub ask: bool,
    /// The user has approved a subscription before it was asked for (RFC 6121 §3.4).
    pub approved: bool,
    /// The contact has asked for the user's presence: the subscribe stanza, as it is shown to the user.
    pub pending_in: Option<String>,
    /// Whether it is in the roster that clients see; false for one that only has `pending_in` or is only `apart`.
    pub listed: bool,
    /// Whether the two parted: what stands here holds between them, and not that everyone sees everyone (`roster.everyone`).
    pub apart: bool,
}

impl RosterItem {
    /// An item that says nothing yet.
    pub fn new(jid: BareJid) -> RosterItem {
        RosterItem {
            jid,
            name: None,
            groups: Vec::new(),
            subscription: Subscription::None,
            ask: false,
            approved: false,
            pending_in: None,
            listed: false,
            apart: false,
        }
    }

    /// Whether it still says nothing, and need not be kept.
    pub fn is_empty(&self) -> bool {
        !self.listed && !self.approved && !self.apart && self.pending_in.is_none()
    }
}

const VERSION: u8 = 1;

impl Store {
    /// All contacts of an account: one scan.
    pub fn roster(&self, user: UserId) -> Result<Vec<RosterItem>, StoreError> {
        self.main
            .scan(ROSTER, &keys::user(user.number()))?
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("roster")))
            .collect()
    }

    /// One contact of an account.
    pub fn roster_item(
        &self,
        user: UserId,
        contact: &BareJid,
    ) -> Result<Option<RosterItem>, StoreError> {
        match self
            .main
            .get(ROSTER, &keys::contact(user.number(), contact.as_str()))?
        {
            Some(value) => decode(&value)
                .map(Some)
                .map_err(StoreError::record("roster")),
            None => Ok(None),
        }
    }

    /// Adds or replaces a contact. `Full` if the disk is nearly full, `TooLong` for an item of more than 300 KiB.
    pub fn put_roster_item(&self, user: UserId, item: &RosterItem) -> Result<(), StoreError> {
        self.room_to_grow()?;
        self.main.put(
            ROSTER,
            &keys::contact(user.number(), item.jid.as_str()),
            &encode(item),
        )
    }

    /// Removes a contact; whether there was one.
    pub fn remove_roster_item(&self, user: UserId, contact: &BareJid) -> Result<bool, StoreError> {
        self.main
            .remove(ROSTER, &keys::contact(user.number(), contact.as_str()))
    }
}

fn encode(item: &RosterItem) -> Vec<u8> {
    let subscription = match item.subscription {
        Subscription::None => 0,
        Subscription::To => 1,
        Subscription::From => 2,
        Subscription::Both => 3,
    };
    let mut writer = RecordWriter::new(VERSION);
    writer
        .text(item.jid.as_str())
        .optional(item.name.as_deref())
        .byte(subscription)
        .flag(item.ask)
        .flag(item.approved)
        .flag(item.listed)
        .flag(item.apart);
    writer
        .optional(item.pending_in.as_deref())
        .u32(item.groups.len() as u32);
    for group in &item.groups {
        writer.text(group);
    }
    writer.finish()
}

fn decode(value: &[u8]) -> Result<RosterItem, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let jid = BareJid::parse(reader.text()?).map_err(|_| RecordError::Damaged)?;
    let name = reader.optional()?.map(str::to_owned);
    let subscription = match reader.byte()? {
        0 => Subscription::None,
        1 => Subscription::To,
        2 => Subscription::From,
        3 => Subscription::Both,
        _ => return Err(RecordError::Damaged),
    };
    let (ask, approved) = (reader.flag()?, reader.flag()?);
    let (listed, apart) = (reader.flag()?, reader.flag()?);
    let pending_in = reader.optional()?.map(str::to_owned);
    // No room is made for a number that the bytes only claim.
    let count = reader.u32()?;
    let mut groups = Vec::new();
    for _ in 0..count {
        groups.push(reader.text()?.to_owned());
    }
    reader.end()?;
    Ok(RosterItem {
        jid,
        name,
        groups,
        subscription,
        ask,
        approved,
        pending_in,
        listed,
        apart,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_contact_or_an_error() {
        let item = RosterItem {
            jid: BareJid::parse("bert@chat.test").unwrap(),
            name: Some("Bert".to_owned()),
            groups: vec!["Friends".to_owned(), String::new()],
            subscription: Subscription::From,
            ask: true,
            approved: false,
            pending_in: Some("<presence/>".to_owned()),
            listed: true,
            apart: false,
        };
        crate::store::record::tests::no_bytes_panic(&encode(&item), |bytes| {
            decode(bytes).map(|item| encode(&item))
        });
    }

    #[test]
    fn a_number_of_groups_that_is_a_lie_takes_no_memory() {
        let mut writer = RecordWriter::new(VERSION);
        writer
            .text("b@c")
            .optional(None)
            .byte(0)
            .flag(false)
            .flag(false)
            .flag(true);
        writer.optional(None).u32(u32::MAX);
        assert_eq!(decode(&writer.finish()), Err(RecordError::Damaged));
    }
}
