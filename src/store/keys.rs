//! Every tree and every key of the store, on one page. Numbers in keys are big-endian, so that the order of keys is the order of numbers.
//!
//! The database `main/` (schema number in `SCHEMA`):
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | `schema` | u32: the schema number |
//! | | `secret` | 32 random bytes, made when the database is |
//! | | `next user` | u32: the next user id; only grows |
//! | | `motd` | number of the last message of the day, and its text unless it was deleted (`notice.rs`) |
//! | | `welcome` | what new accounts are told (`notice.rs`) |
//! | | `generation` | u64: number of the last backup |
//! | `accounts` | name of the account (node part of the JID, prepared), see [`bounded`] | [`super::Account`] |
//! | `deleted` | user id, u32 | name of an account whose deletion has begun: it is finished at the next open, then the line goes |
//! | `roster` | user id, u32 · bare JID of the contact, see [`bounded`] | [`super::RosterItem`] |
//! | `offline` | user id, u32 · milliseconds since 1970, u64 | one waiting message |
//! | `blocked` | user id, u32 · blocked JID of any form, see [`bounded`] | the whole JID, [`super::Store::blocklist`] |
//! | `documents` | user id, u32 · kind, u8 · name, see [`bounded`] | [`super::Document`] |
//! | `capabilities` | name and value of a hash with a space between, see [`bounded`] | what a client can that shows it |
//! | `directory` | user id, u32 | [`super::Entry`] |
//! | `long` | tree, u8 · key · number of the write, u64 · piece, u16 | a piece of a record too long for one value; only `database.rs` knows it |
//!
//! sled's default tree has one key, `commits`: the number of the last commit (`database.rs`).
//!
//! The first byte of every value is the version of its record (`record.rs`), and 0 for a record that is kept in pieces.
//!
//! Beside `main/`: `backup/main.dump` and `backup/main.dump.previous` (`backup.rs`), `lock`, `ballast`, `main.broken-<time>/` (set aside),
//! `main.making/` (half made, removed at the next open), `main.damaged` (a mark: read everything at the next open). In `main/`, beside sled's files: `commits`, the number of the last commit.

use crate::limits::STORE_KEY_BYTES;

/// The schema of `main/`. A database with a higher one is refused; what is added here says how a lower one is brought up.
pub const SCHEMA: u32 = 1;

/// A tree of a database: its place in the list that the database was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree(pub u8);

/// The trees of `main/`, in the order of the constants below. A new one goes to the end: the places are part of the keys of `long`.
pub const MAIN_TREES: [&str; 9] = [
    "meta",
    "accounts",
    "deleted",
    "roster",
    "offline",
    "blocked",
    "documents",
    "capabilities",
    "directory",
];
/// What the database says about itself.
pub const META: Tree = Tree(0);
/// Accounts by name.
pub const ACCOUNTS: Tree = Tree(1);
/// Accounts whose deletion has begun.
pub const DELETED: Tree = Tree(2);
/// Contacts of all accounts.
pub const ROSTER: Tree = Tree(3);
/// Messages that wait for their recipient.
pub const OFFLINE: Tree = Tree(4);
/// Whom accounts have blocked.
pub const BLOCKED: Tree = Tree(5);
/// XML that accounts keep here.
pub const DOCUMENTS: Tree = Tree(6);
/// What clients can.
pub const CAPABILITIES: Tree = Tree(7);
/// What accounts are found by.
pub const DIRECTORY: Tree = Tree(8);

/// The trees whose keys begin with a user id: what goes when the account goes. A new tree of an account's data must be named here.
pub const TREES_OF_A_USER: [Tree; 5] = [ROSTER, OFFLINE, BLOCKED, DOCUMENTS, DIRECTORY];

/// Keys of `meta`.
pub const META_SCHEMA: &[u8] = b"schema";
/// See [`META_SCHEMA`].
pub const META_SECRET: &[u8] = b"secret";
/// See [`META_SCHEMA`].
pub const META_NEXT_USER: &[u8] = b"next user";
/// See [`META_SCHEMA`].
pub const META_GENERATION: &[u8] = b"generation";
/// See [`META_SCHEMA`].
pub const META_MOTD: &[u8] = b"motd";
/// See [`META_SCHEMA`].
pub const META_WELCOME: &[u8] = b"welcome";

/// A key on the stack.
pub type Key = heapless::Vec<u8, STORE_KEY_BYTES>;

/// Bytes of a name that stand in a key as they are.
const NAME_BYTES: usize = 88;

/// Appends a name to a key: as it is up to 88 bytes, else its first 55 bytes, a zero byte and the SHA-256 of the whole. No name has a zero byte, so the two
/// forms never meet; the record has the whole name.
pub fn bounded(key: &mut Key, name: &str) {
    let bytes = name.as_bytes();
    let fits = if bytes.len() <= NAME_BYTES {
        key.extend_from_slice(bytes)
    } else {
        let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
        key.extend_from_slice(&bytes[..NAME_BYTES - 33])
            .and_then(|()| key.extend_from_slice(&[0]))
            .and_then(|()| key.extend_from_slice(digest.as_ref()))
    };
    fits.expect("88 bytes of name fit in every key that has one");
}

/// The key of an account.
pub fn account(name: &str) -> Key {
    let mut key = Key::new();
    bounded(&mut key, name);
    key
}

/// What all keys of a user's data begin with, in the trees of [`TREES_OF_A_USER`]; also the key in `deleted`.
pub fn user(id: u32) -> Key {
    let mut key = Key::new();
    key.extend_from_slice(&id.to_be_bytes())
        .expect("4 bytes fit in an empty key");
    key
}

/// The key of a contact.
pub fn contact(id: u32, jid: &str) -> Key {
    let mut key = user(id);
    bounded(&mut key, jid);
    key
}

/// The key of a blocked JID.
pub fn blocked(id: u32, jid: &str) -> Key {
    let mut key = user(id);
    bounded(&mut key, jid);
    key
}

/// What all keys of a user's documents of one kind begin with.
pub fn documents(id: u32, kind: u8) -> Key {
    let mut key = user(id);
    key.push(kind).expect("5 bytes fit in a key");
    key
}

/// The key of a document.
pub fn document(id: u32, kind: u8, name: &str) -> Key {
    let mut key = documents(id, kind);
    bounded(&mut key, name);
    key
}

/// The key of what a client can.
pub fn capabilities(name: &str) -> Key {
    let mut key = Key::new();
    bounded(&mut key, name);
    key
}

/// The key of a waiting message.
pub fn waiting(id: u32, ms: u64) -> Key {
    let mut key = user(id);
    key.extend_from_slice(&ms.to_be_bytes())
        .expect("12 bytes fit in a key");
    key
}

/// The time in the key of a waiting message, or `None` for a key that is none.
pub fn waiting_ms(key: &[u8]) -> Option<u64> {
    let ms: [u8; 8] = key.get(4..)?.try_into().ok()?;
    Some(u64::from_be_bytes(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_have_short_keys_of_their_own() {
        let a = format!("{}a@b", "x".repeat(1000));
        let b = format!("{}b@b", "x".repeat(1000));
        assert_ne!(contact(7, &a), contact(7, &b));
        assert_eq!(contact(7, &a), contact(7, &a));
        assert_ne!(contact(7, &a), contact(8, &a));
        let edge = "y".repeat(NAME_BYTES);
        assert_eq!(&contact(1, &edge)[4..], edge.as_bytes());
        assert_eq!(contact(1, &format!("{edge}y")).len(), 4 + NAME_BYTES);
    }

    #[test]
    fn waiting_messages_sort_by_user_then_time() {
        let mut keys = vec![
            waiting(2, 1),
            waiting(1, u64::MAX),
            waiting(1, 256),
            waiting(1, 255),
        ];
        keys.sort();
        assert_eq!(
            keys,
            vec![
                waiting(1, 255),
                waiting(1, 256),
                waiting(1, u64::MAX),
                waiting(2, 1)
            ]
        );
        assert_eq!(waiting_ms(&waiting(9, 77)), Some(77));
        assert_eq!(waiting_ms(b"abc"), None);
    }
}
