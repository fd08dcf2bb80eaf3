//! Whom accounts want to be woken by: app servers of XEP-0357.

use super::error::StoreError;
use super::keys::{self, PUSH};
use super::record::{RecordError, RecordReader, RecordWriter};
use super::{Store, UserId};

/// An app server's node that an account has enabled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushTarget {
    /// The account's name: the node part of the JID, prepared.
    pub account: String,
    /// The resource of the device that enabled it: it is not woken while it is there.
    pub resource: String,
    /// The app server's JID, normalised.
    pub jid: String,
    /// Its node; empty where there is none.
    pub node: String,
    /// What it wants with each notification, as XML: a form; empty where it wants nothing.
    pub options: String,
    /// When it was enabled, in milliseconds since 1970.
    pub since_ms: u64,
}

const VERSION: u8 = 1;

impl Store {
    /// All that all accounts have enabled. A scan: for the start.
    pub fn push_targets(&self) -> Result<Vec<(UserId, PushTarget)>, StoreError> {
        let damaged = || StoreError::record("push")(RecordError::Damaged);
        self.main
            .scan(PUSH, b"")?
            .map(|entry| {
                let (key, value) = entry?;
                let (user, _) = key.split_first_chunk::<4>().ok_or_else(damaged)?;
                let target = decode(&value).map_err(StoreError::record("push"))?;
                Ok((UserId::new(u32::from_be_bytes(*user)), target))
            })
            .collect()
    }

    /// How many an account has enabled. A scan of these.
    pub fn count_push_targets(&self, user: UserId) -> Result<usize, StoreError> {
        let mut count = 0;
        for entry in self.main.scan(PUSH, &keys::user(user.number()))? {
            entry?;
            count += 1;
        }
        Ok(count)
    }

    /// Adds one to an account's, or replaces that of the same JID and node. `Full` if the disk is nearly full.
    pub fn put_push_target(&self, user: UserId, target: &PushTarget) -> Result<(), StoreError> {
        self.room_to_grow()?;
        let key = keys::push(user.number(), &target.jid, &target.node);
        self.main.put(PUSH, &key, &encode(target))
    }

    /// Removes one of an account's; whether it was there.
    pub fn remove_push_target(
        &self,
        user: UserId,
        jid: &str,
        node: &str,
    ) -> Result<bool, StoreError> {
        self.main
            .remove(PUSH, &keys::push(user.number(), jid, node))
    }
}

fn encode(target: &PushTarget) -> Vec<u8> {
    let mut writer = RecordWriter::new(VERSION);
    writer
        .text(&target.account)
        .text(&target.resource)
        .text(&target.jid)
        .text(&target.node)
        .text(&target.options)
        .u64(target.since_ms);
    writer.finish()
}

fn decode(value: &[u8]) -> Result<PushTarget, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let mut text = || reader.text().map(str::to_owned);
    let target = PushTarget {
        account: text()?,
        resource: text()?,
        jid: text()?,
        node: text()?,
        options: text()?,
        since_ms: reader.u64()?,
    };
    reader.end()?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_bytes_are_a_target_or_an_error() {
        let target = PushTarget {
            account: "anna".to_owned(),
            resource: "phone".to_owned(),
            jid: "push.example.org".to_owned(),
            node: "a".to_owned(),
            options: String::new(),
            since_ms: 7,
        };
        crate::store::record::tests::no_bytes_panic(&encode(&target), |bytes| {
            decode(bytes).map(|target| encode(&target))
        });
    }
}
