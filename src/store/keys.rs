//! Every tree and every key of the store, on one page. Numbers in keys are big-endian, so that the order of keys is the order of numbers.
//!
//! The database `main/` (schema number in `SCHEMA`):
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | `schema` | u32: the schema number |
//! | | `upgrading` | u32: the schema that is being left, while it is (`upgrade.rs`) |
//! | | `secret` | 32 random bytes, made when the database is |
//! | | `next user` | u32: the next user id; only grows |
//! | | `motd` | number of the last message of the day, and its text unless it was deleted (`notice.rs`) |
//! | | `welcome` | what new accounts are told (`notice.rs`) |
//! | | `generation` | u64: number of the last backup |
//! | `accounts` | name of the account (node part of the JID, prepared), see [`bounded`] | [`super::Account`] |
//! | `deleted` | user id, u32 | name of an account whose deletion has begun: it is finished at the next open; empty when only what it has archived is left, then the line goes |
//! | `roster` | user id, u32 · bare JID of the contact, see [`bounded`] | [`super::RosterItem`] |
//! | `offline` | user id, u32 · milliseconds since 1970, u64 | one waiting message |
//! | `blocked` | user id, u32 · blocked JID of any form, see [`bounded`] | the whole JID, [`super::Store::blocklist`] |
//! | `documents` | user id, u32 · kind, u8 · name, see [`bounded`] | [`super::Document`] |
//! | `capabilities` | name and value of a hash with a space between, see [`bounded`] | what a client can that shows it |
//! | `directory` | user id, u32 | [`super::Entry`] |
//! | `nodes` | owner, u32 · name of the node, see [`bounded`] | [`super::Node`] |
//! | `items` | owner, u32 · node, u32 · place, u64 | [`super::NodeItem`] |
//! | `item ids` | owner, u32 · node, u32 · id of the item, see [`bounded`] | u64: its place |
//! | `affiliates` | owner, u32 · node, u32 · bare JID, see [`bounded`] | [`super::Affiliate`] |
//! | `rooms` | name of the room (node part of its JID, prepared), see [`bounded`] | [`super::RoomRecord`] |
//! | `affiliations` | room id, u32 · bare JID or domain, see [`bounded`] | [`super::Affiliated`] |
//! | `room cards` | room id, u32 | the vCard of a room, XML |
//! | `room notes` | room id, u32 · kind, u8 · bare JID, of an invitation with who invited behind a space, see [`bounded`] | [`super::RoomNote`] |
//! | `push` | user id, u32 · JID of the app server and its node with a line end between, see [`bounded`] | [`super::PushTarget`] |
//! | `long` | tree, u8 · key · number of the write, u64 · piece, u16 | a piece of a record too long for one value; only `database.rs` knows it |
//!
//! sled's default tree has one key, `commits`: the number of the last commit (`database.rs`).
//!
//! Each database of the archive, `archive/<year>-<month>` and where a month has several also `archive/<year>-<month>.<number from 2>` (schema number in
//! `ARCHIVE_SCHEMA`):
//!
//! | tree | key | value |
//! |---|---|---|
//! | `meta` | `schema` | u32: the schema number |
//! | | `begin` | u64: no stamp of this volume is before it, no stamp of an earlier volume is at it or behind it; not there while nothing was written |
//! | | `bytes` | u64: about how many bytes its rows count for (`archive/mod.rs`) |
//! | `messages` | user id, u32 · milliseconds since 1970, u64 · number within the millisecond, u16 | one archived message (`archive/row.rs`) |
//! | `contacts` | user id, u32 · hash of the contact's bare JID, u64 · slot of time, u32 | nothing but its version: in that slot there is a row with this contact |
//! | `long` | as above | as above |
//!
//! In the directory of each, beside sled's files and `commits`: `about`, what is known of it without opening it (`archive/about.rs`), and
//! `schema`, the number in digits.
//!
//! The first byte of every value is the version of its record (`record.rs`), and 0 for a record that is kept in pieces.
//!
//! Beside `main/`: `backup/main.dump` and `backup/main.dump.previous` (`backup.rs`), `lock`, `ballast`, `main.broken-<time>/` (set aside),
//! `main.making/` (half made, removed at the next open), `main.damaged` (a mark: read everything at the next open), `replaced-<number>/` (what a restore
//! took away), `schema` (the number, for installers); `archive/*.making`, `*.broken-<time>`, `*.damaged` likewise, and `archive/*.removing` (removed at the
//! next open). In `main/`, beside sled's files: `commits`, the number of the last commit.

use super::archive::Stamp;
use super::database::Kind;
use crate::limits::{ARCHIVE_CACHE_BYTES, STORE_CACHE_BYTES, STORE_KEY_BYTES};

/// The schema of `main/`. A database with a higher one is refused; `upgrade.rs` says how a lower one is brought up.
pub const SCHEMA: u32 = 1;

/// A tree of a database: its place in the list that the database was opened with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tree(pub u8);

/// The trees of `main/`, in the order of the constants below. A new one goes to the end: the places are part of the keys of `long`.
pub const MAIN_TREES: [&str; 18] = [
    "meta",
    "accounts",
    "deleted",
    "roster",
    "offline",
    "blocked",
    "documents",
    "capabilities",
    "directory",
    "nodes",
    "items",
    "item ids",
    "affiliates",
    "rooms",
    "affiliations",
    "room cards",
    "room notes",
    "push",
];
/// The database of all but the archive.
pub static MAIN: Kind = Kind {
    trees: &MAIN_TREES,
    cache_bytes: STORE_CACHE_BYTES,
    sweeps: true,
};

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
/// Nodes of publish-subscribe, by owner.
pub const NODES: Tree = Tree(9);
/// What is published at nodes, in the order of publication.
pub const ITEMS: Tree = Tree(10);
/// Where an item stands.
pub const ITEM_IDS: Tree = Tree(11);
/// Who has something to do with a node.
pub const AFFILIATES: Tree = Tree(12);
/// Rooms by name.
pub const ROOMS: Tree = Tree(13);
/// Who is what in a room.
pub const AFFILIATIONS: Tree = Tree(14);
/// What rooms show of themselves.
pub const ROOM_CARDS: Tree = Tree(15);
/// What rooms remember of people beside their lists.
pub const ROOM_NOTES: Tree = Tree(16);
/// Whom accounts want to be woken by.
pub const PUSH: Tree = Tree(17);

/// The trees whose keys begin with a room's id, which is out of the same numbers as users': what goes when the room goes.
pub const TREES_OF_A_ROOM: [Tree; 3] = [AFFILIATIONS, ROOM_CARDS, ROOM_NOTES];

/// The trees whose keys begin with a user id: what goes when the account goes. A new tree of an account's data must be named here.
pub const TREES_OF_A_USER: [Tree; 10] = [
    ROSTER, OFFLINE, BLOCKED, DOCUMENTS, DIRECTORY, NODES, ITEMS, ITEM_IDS, AFFILIATES, PUSH,
];

/// Keys of `meta`.
pub const META_SCHEMA: &[u8] = b"schema";
/// See [`META_SCHEMA`].
pub const META_UPGRADING: &[u8] = b"upgrading";
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

/// The schema of a database of the archive.
pub const ARCHIVE_SCHEMA: u32 = 1;

/// The databases of the archive. They may have many long records, and are opened while somebody waits: nothing is swept.
pub static ARCHIVE: Kind = Kind {
    trees: &["meta", "messages", "contacts"],
    cache_bytes: ARCHIVE_CACHE_BYTES,
    sweeps: false,
};

/// Archived messages of all accounts; `meta` has the same place as in `main/`.
pub const MESSAGES: Tree = Tree(1);
/// When there are messages with whom.
pub const CONTACTS: Tree = Tree(2);

/// Keys of `meta` in the archive.
pub const META_BEGIN: &[u8] = b"begin";
/// See [`META_BEGIN`].
pub const META_BYTES: &[u8] = b"bytes";

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

/// What all keys of a user's data begin with, in the trees of [`TREES_OF_A_USER`]; also the key in `deleted`. The same for a room's id.
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

/// The key of a node of an app server. No JID has a line end.
pub fn push(id: u32, jid: &str, node: &str) -> Key {
    let mut key = user(id);
    bounded(&mut key, &format!("{jid}\n{node}"));
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

/// The key of a room.
pub fn room(name: &str) -> Key {
    account(name)
}

/// The key of somebody's affiliation with a room.
pub fn affiliation(id: u32, jid: &str) -> Key {
    contact(id, jid)
}

/// The key of a note of a room.
pub fn room_note(id: u32, kind: u8, name: &str) -> Key {
    document(id, kind, name)
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

/// The key of an archived message.
pub fn archived(id: u32, stamp: Stamp) -> Key {
    let mut key = user(id);
    key.extend_from_slice(&stamp.ms.to_be_bytes())
        .and_then(|()| key.extend_from_slice(&stamp.seq.to_be_bytes()))
        .expect("14 bytes fit in a key");
    key
}

/// Whose message has this key, and its stamp; `None` for a key that is none.
pub fn archived_parts(key: &[u8]) -> Option<(u32, Stamp)> {
    let (user, rest) = key.split_first_chunk::<4>()?;
    let (ms, seq) = rest.split_first_chunk::<8>()?;
    let stamp = Stamp {
        ms: u64::from_be_bytes(*ms),
        seq: u16::from_be_bytes(seq.try_into().ok()?),
    };
    Some((u32::from_be_bytes(*user), stamp))
}

/// What all keys of `contacts` begin with that are about this contact of a user, by the hash of its bare JID.
pub fn with_contact(id: u32, hash: u64) -> Key {
    let mut key = user(id);
    key.extend_from_slice(&hash.to_be_bytes())
        .expect("12 bytes fit in a key");
    key
}

/// A key of `contacts`.
pub fn contact_slot(id: u32, hash: u64, slot: u32) -> Key {
    let mut key = with_contact(id, hash);
    key.extend_from_slice(&slot.to_be_bytes())
        .expect("16 bytes fit in a key");
    key
}

/// The key of a node.
pub fn node(owner: u32, name: &str) -> Key {
    let mut key = user(owner);
    bounded(&mut key, name);
    key
}

/// What all keys of a node begin with, in `items`, `item ids` and `affiliates`.
pub fn of_node(owner: u32, node: u32) -> Key {
    let mut key = user(owner);
    key.extend_from_slice(&node.to_be_bytes())
        .expect("8 bytes fit in a key");
    key
}

/// The key of an item by its place.
pub fn item(owner: u32, node: u32, place: u64) -> Key {
    let mut key = of_node(owner, node);
    key.extend_from_slice(&place.to_be_bytes())
        .expect("16 bytes fit in a key");
    key
}

/// The hash of the contact in a key of `contacts`, or `None` for a key that is none.
pub fn hash_of(key: &[u8]) -> Option<u64> {
    let (hash, _slot) = key.get(4..)?.split_first_chunk::<8>()?;
    Some(u64::from_be_bytes(*hash))
}

/// The slot in a key of `contacts`, or `None` for a key that is none.
pub fn slot_of(key: &[u8]) -> Option<u32> {
    let slot: [u8; 4] = key.get(12..)?.try_into().ok()?;
    Some(u32::from_be_bytes(slot))
}

/// The hash of a bare JID in keys of `contacts`: FNV-1a. Two contacts with the same hash cost a look at rows that are then left out, no more.
pub fn hash_of_contact(bare: &str) -> u64 {
    bare.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The place in the key of an item, or `None` for a key that is none.
pub fn place(key: &[u8]) -> Option<u64> {
    let place: [u8; 8] = key.get(8..)?.try_into().ok()?;
    Some(u64::from_be_bytes(place))
}

/// The key of what has a name at a node: an item's id, or somebody's bare JID.
pub fn at_node(owner: u32, node: u32, name: &str) -> Key {
    let mut key = of_node(owner, node);
    bounded(&mut key, name);
    key
}

/// The number of the node in a key that begins with [`of_node`].
pub fn node_number(key: &[u8]) -> Option<u32> {
    let number: [u8; 4] = key.get(4..8)?.try_into().ok()?;
    Some(u32::from_be_bytes(number))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archived_messages_sort_by_user_then_stamp() {
        let at = |ms, seq| Stamp { ms, seq };
        let sorted = [
            archived(1, at(255, 0)),
            archived(1, at(255, 256)),
            archived(1, at(256, 1)),
            archived(2, at(0, 0)),
        ];
        assert!(sorted.is_sorted());
        assert_eq!(archived_parts(&sorted[1]), Some((1, at(255, 256))));
        assert_eq!(archived_parts(&sorted[1][..13]), None);
        assert_eq!(slot_of(&contact_slot(1, 2, 3)), Some(3));
        assert!(contact_slot(1, 2, 3).starts_with(&with_contact(1, 2)));
        // The published values of FNV-1a.
        assert_eq!(hash_of_contact(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash_of_contact("a"), 0xaf63_dc4c_8601_ec8c);
    }

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
