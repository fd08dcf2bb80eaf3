//! Accounts: who may log in, and what is kept of a password (never the password).

use super::error::StoreError;
use super::keys::{
    self, ACCOUNTS, DELETED, META, META_NEXT_USER, TREES_OF_A_ROOM, TREES_OF_A_USER,
};
use super::record::{RecordError, RecordReader, RecordWriter};
use super::{Store, UserId};
use crate::auth::{Hash, ScramKeys};
use crate::limits::USER_IDS_LEFT_FREE_AFTER_RESTORE;

/// One account.
#[derive(Clone)]
pub struct Account {
    /// Never given to another account, not even after this one is deleted.
    pub id: UserId,
    /// The node part of the JID, prepared.
    pub name: String,
    /// Milliseconds since 1970.
    pub created_ms: u64,
    /// For SCRAM-SHA-1; none where the account came from a server that kept another hash only.
    pub sha1: Option<ScramKeys>,
    /// For SCRAM-SHA-256; none likewise. With neither nobody can log in until the account is given a password.
    pub sha256: Option<ScramKeys>,
    /// May administer the server.
    pub admin: bool,
    /// May not log in.
    pub locked: bool,
    /// Milliseconds since 1970 of the last logout; 0: never logged in.
    pub last_seen_ms: u64,
    /// Whether it was there before, so that it is not welcomed any more.
    pub welcomed: bool,
    /// The number of the last message of the day that it has seen; 0: none.
    pub motd: u32,
}

/// 2 added `welcomed` and `motd`; an account of version 1 is not new.
const VERSION: u8 = 2;
/// Of the lines in `deleted` and `meta`.
const LINE_VERSION: u8 = 1;

impl Account {
    /// An account with nothing but its name.
    pub fn new(id: UserId, name: &str, created_ms: u64) -> Account {
        Account {
            id,
            name: name.to_owned(),
            created_ms,
            sha1: None,
            sha256: None,
            admin: false,
            locked: false,
            last_seen_ms: 0,
            welcomed: false,
            motd: 0,
        }
    }

    /// Its keys for one hash.
    pub fn keys(&self, hash: Hash) -> Option<&ScramKeys> {
        match hash {
            Hash::Sha1 => self.sha1.as_ref(),
            Hash::Sha256 => self.sha256.as_ref(),
        }
    }
}

impl Store {
    /// The account of this name, prepared.
    pub fn account(&self, name: &str) -> Result<Option<Account>, StoreError> {
        match self.main.get(ACCOUNTS, &keys::account(name))? {
            Some(value) => decode(&value)
                .map(Some)
                .map_err(StoreError::record("accounts")),
            None => Ok(None),
        }
    }

    /// Makes an account. `Exists` if there is one of this name, `Full` if the disk is nearly full.
    ///
    /// Order of writes: the next id, then the account. After a crash between them an id is unused, which is right.
    pub fn create_account(
        &self,
        name: &str,
        sha1: ScramKeys,
        sha256: ScramKeys,
        now_ms: u64,
    ) -> Result<UserId, StoreError> {
        self.room_to_grow()?;
        let key = keys::account(name);
        if self.main.get(ACCOUNTS, &key)?.is_some() {
            return Err(StoreError::Exists);
        }
        let mut account = Account::new(self.take_id()?, name, now_ms);
        (account.sha1, account.sha256) = (Some(sha1), Some(sha256));
        // Who comes before there is a welcome is not new when there is one.
        account.welcomed = self.welcome()?.is_none();
        self.main.put(ACCOUNTS, &key, &encode(&account))?;
        Ok(account.id)
    }

    /// Replaces the keys of an account: a new password.
    pub fn set_keys(
        &self,
        name: &str,
        sha1: ScramKeys,
        sha256: ScramKeys,
    ) -> Result<(), StoreError> {
        let mut account = self.account(name)?.ok_or(StoreError::NoSuchAccount)?;
        (account.sha1, account.sha256) = (Some(sha1), Some(sha256));
        self.main
            .put(ACCOUNTS, &keys::account(name), &encode(&account))
    }

    /// Replaces an account as a whole: admin, locked, last seen. `NoSuchAccount` if there is none of this name and id.
    pub fn put_account(&self, account: &Account) -> Result<(), StoreError> {
        match self.account(&account.name)? {
            Some(old) if old.id == account.id => {
                self.main
                    .put(ACCOUNTS, &keys::account(&account.name), &encode(account))
            }
            _ => Err(StoreError::NoSuchAccount),
        }
    }

    /// Deletes an account and all that it had; its id.
    ///
    /// Order of writes: a line in `deleted`, the account, its data tree by tree, the line without the name. After a crash anywhere behind the first write the
    /// next open does the rest. The line goes when the reading side has forgotten what was archived: [`Store::archive_chore`].
    pub fn delete_account(&self, name: &str) -> Result<UserId, StoreError> {
        let account = self.account(name)?.ok_or(StoreError::NoSuchAccount)?;
        let mut line = RecordWriter::new(LINE_VERSION);
        line.text(name);
        self.main
            .put(DELETED, &keys::user(account.id.number()), &line.finish())?;
        self.finish_deletion(account.id.number(), name)?;
        Ok(account.id)
    }

    /// The names of the first accounts in that order.
    pub fn account_names(&self, most: usize) -> Result<Vec<String>, StoreError> {
        self.main
            .scan(ACCOUNTS, b"")?
            .take(most)
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("accounts")))
            .map(|account| Ok(account?.name))
            .collect()
    }

    /// All accounts, in the order of their names (long names in the order of their beginnings). A scan: for the command line.
    pub fn accounts(&self) -> Result<Vec<Account>, StoreError> {
        self.main
            .scan(ACCOUNTS, b"")?
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("accounts")))
            .collect()
    }

    /// The accounts from this name on, itself too, in the order of [`Store::accounts`]; from the first with an empty name. Reads no more than is taken.
    pub fn accounts_from(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<Account, StoreError>> + use<'_>, StoreError> {
        let from = keys::account(name);
        let entries = self.main.scan_from(ACCOUNTS, b"", &from)?;
        Ok(entries.map(|entry| decode(&entry?.1).map_err(StoreError::record("accounts"))))
    }

    /// The accounts up to this name, itself too, the last first; from the last with an empty name. Reads no more than is taken.
    pub fn accounts_back_from(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Result<Account, StoreError>> + use<'_>, StoreError> {
        let to = keys::account(name);
        // No name begins with a byte that no UTF-8 has.
        let last: &[u8] = if name.is_empty() { &[0xff] } else { &to };
        let entries = self.main.scan_between(ACCOUNTS, b"", b"", last)?;
        Ok(entries
            .rev()
            .map(|entry| decode(&entry?.1).map_err(StoreError::record("accounts"))))
    }

    /// Does the rest of deletions that a crash has interrupted.
    pub(super) fn finish_deletions(&self) -> Result<(), StoreError> {
        let begun: Vec<_> = self.main.scan(DELETED, b"")?.collect::<Result<_, _>>()?;
        for (key, line) in begun {
            let damaged = || StoreError::record("deleted")(RecordError::Damaged);
            let id = u32::from_be_bytes(key.as_ref().try_into().map_err(|_| damaged())?);
            let mut reader =
                RecordReader::new(&line, LINE_VERSION).map_err(StoreError::record("deleted"))?;
            let name = reader.text().map_err(StoreError::record("deleted"))?;
            self.finish_deletion(id, name)?;
        }
        Ok(())
    }

    /// Takes an id that nobody had.
    pub(super) fn take_id(&self) -> Result<UserId, StoreError> {
        let id = self.next_user()?;
        let next = id
            .checked_add(1)
            .ok_or_else(|| StoreError::Broken("all user ids are used up".to_owned()))?;
        self.main
            .put(META, META_NEXT_USER, &next_user_record(next))?;
        Ok(UserId::new(id))
    }

    pub(super) fn finish_deletion(&self, id: u32, name: &str) -> Result<(), StoreError> {
        // After an error half-way somebody else may have the name by now.
        if self
            .account(name)?
            .is_some_and(|account| account.id.number() == id)
        {
            self.main.remove(ACCOUNTS, &keys::account(name))?;
        }
        self.remove_room_record(id, name)?;
        let user = keys::user(id);
        for tree in TREES_OF_A_USER.into_iter().chain(TREES_OF_A_ROOM) {
            self.main.remove_range(tree, &user, None)?;
        }
        if self.begin_forgetting(UserId::new(id)) {
            // Only the archive is left. No account has the empty name.
            let mut line = RecordWriter::new(LINE_VERSION);
            line.text("");
            self.main.put(DELETED, &user, &line.finish())
        } else {
            self.main.remove(DELETED, &user).map(drop)
        }
    }

    /// Leaves ids free that accounts may have had of which nothing is known any more.
    pub(super) fn skip_ids(&self) -> Result<(), StoreError> {
        let next = self
            .next_user()?
            .saturating_add(USER_IDS_LEFT_FREE_AFTER_RESTORE);
        self.main.put(META, META_NEXT_USER, &next_user_record(next))
    }

    fn next_user(&self) -> Result<u32, StoreError> {
        let value = self
            .main
            .get(META, META_NEXT_USER)?
            .ok_or_else(|| StoreError::Broken("the next user id is missing".to_owned()))?;
        read_next_user(&value).map_err(StoreError::record("meta"))
    }
}

/// The record of the next user id.
pub(super) fn next_user_record(next: u32) -> Vec<u8> {
    let mut writer = RecordWriter::new(LINE_VERSION);
    writer.u32(next);
    writer.finish()
}

/// The number in the record of the next user id.
pub(super) fn read_next_user(value: &[u8]) -> Result<u32, RecordError> {
    let mut reader = RecordReader::new(value, LINE_VERSION)?;
    let next = reader.u32()?;
    reader.end()?;
    Ok(next)
}

/// The id in the record of an account.
pub(super) fn id_of(value: &[u8]) -> Result<u32, RecordError> {
    decode(value).map(|account| account.id.number())
}

pub(super) fn encode(account: &Account) -> Vec<u8> {
    let mut writer = RecordWriter::new(VERSION);
    writer
        .u32(account.id.number())
        .text(&account.name)
        .u64(account.created_ms);
    for keys in [&account.sha1, &account.sha256] {
        // Missing keys are empty ones without a round.
        let empty: (&[u8], u32, &[u8], &[u8]) = (&[], 0, &[], &[]);
        let (salt, iterations, stored_key, server_key) = keys.as_ref().map_or(empty, |keys| {
            (
                &keys.salt,
                keys.iterations,
                &keys.stored_key,
                &keys.server_key,
            )
        });
        writer
            .bytes(salt)
            .u32(iterations)
            .bytes(stored_key)
            .bytes(server_key);
    }
    writer
        .flag(account.admin)
        .flag(account.locked)
        .u64(account.last_seen_ms)
        .flag(account.welcomed)
        .u32(account.motd);
    writer.finish()
}

fn decode(value: &[u8]) -> Result<Account, RecordError> {
    let mut reader = RecordReader::new(value, VERSION)?;
    let is_new_form = reader.version() >= 2;
    let account = Account {
        id: UserId::new(reader.u32()?),
        name: reader.text()?.to_owned(),
        created_ms: reader.u64()?,
        sha1: scram_keys(&mut reader)?,
        sha256: scram_keys(&mut reader)?,
        admin: reader.flag()?,
        locked: reader.flag()?,
        last_seen_ms: reader.u64()?,
        welcomed: !is_new_form || reader.flag()?,
        motd: if is_new_form { reader.u32()? } else { 0 },
    };
    reader.end()?;
    Ok(account)
}

fn scram_keys(reader: &mut RecordReader<'_>) -> Result<Option<ScramKeys>, RecordError> {
    let keys = ScramKeys {
        salt: reader.bytes()?.to_vec(),
        iterations: reader.u32()?,
        stored_key: reader.bytes()?.to_vec(),
        server_key: reader.bytes()?.to_vec(),
    };
    let missing = keys.iterations == 0
        && [&keys.salt, &keys.stored_key, &keys.server_key]
            .iter()
            .all(|bytes| bytes.is_empty());
    Ok((!missing).then_some(keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account() -> Account {
        let keys = ScramKeys {
            salt: vec![1; 16],
            iterations: 10_000,
            stored_key: vec![2; 32],
            server_key: vec![3; 32],
        };
        Account {
            id: UserId::new(7),
            name: "anna".to_owned(),
            created_ms: 1,
            sha1: Some(keys),
            sha256: None,
            admin: true,
            locked: false,
            last_seen_ms: 2,
            welcomed: false,
            motd: 3,
        }
    }

    #[test]
    fn any_bytes_are_an_account_or_an_error() {
        crate::store::record::tests::no_bytes_panic(&encode(&account()), |bytes| {
            decode(bytes).map(|account| encode(&account))
        });
    }

    #[test]
    fn an_account_of_version_1_is_not_new() {
        let written = encode(&account());
        let read = decode(&written).expect("what was written");
        assert_eq!((read.welcomed, read.motd, read.admin), (false, 3, true));
        // The two fields that version 1 did not have: 2 and 5 bytes.
        let mut old = written[..written.len() - 7].to_vec();
        old[0] = 1;
        let read = decode(&old).expect("an older record");
        assert_eq!((read.welcomed, read.motd, read.admin), (true, 0, true));
        assert_eq!(read.last_seen_ms, 2);
        old[0] = 2;
        assert!(decode(&old).is_err());
    }
}
