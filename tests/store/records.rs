//! Every kind of record: written, found after a restart, bounded, in the right order, and gone when it was removed.

use std::fs;

use snug::limits;
use snug::store::{OfflineKey, RosterItem, StoreError, Subscription, UserId};
use snug::xmpp::Jid;
use snug::xmpp::jid::BareJid;

use crate::{Dir, Random, contact, create, keys, raw, texts};

#[test]
fn every_kind_of_write_is_there_after_a_restart() {
    let dir = Dir::new("reopen");
    let store = dir.open();
    let secret = store.secret();
    let anna = create(&store, "anna");
    store.commit().unwrap();
    drop(store);

    let store = dir.open();
    assert_eq!(store.secret(), secret);
    let account = store.account("anna").unwrap().unwrap();
    assert_eq!(
        (account.id, account.name.as_str(), account.created_ms),
        (anna, "anna", 1_700_000_000_000)
    );
    assert_eq!(
        (
            account.sha1.unwrap().stored_key,
            account.sha256.unwrap().salt
        ),
        (vec![0; 32], vec![2; 16])
    );
    assert_eq!(
        (account.admin, account.locked, account.last_seen_ms),
        (false, false, 0)
    );
    assert!(matches!(
        store.create_account("anna", keys(3), keys(4), 0),
        Err(StoreError::Exists)
    ));
    store.set_keys("anna", keys(5), keys(6)).unwrap();
    assert!(matches!(
        store.set_keys("bert", keys(5), keys(6)),
        Err(StoreError::NoSuchAccount)
    ));
    store.commit().unwrap();
    drop(store);

    let store = dir.open();
    let mut account = store.account("anna").unwrap().unwrap();
    assert_eq!(
        (
            &account.sha1.as_ref().unwrap().salt,
            &account.sha256.as_ref().unwrap().salt
        ),
        (&vec![5; 16], &vec![6; 16])
    );
    (account.admin, account.locked, account.last_seen_ms) = (true, true, 77);
    store.put_account(&account).unwrap();
    account.id = UserId::new(99);
    assert!(matches!(
        store.put_account(&account),
        Err(StoreError::NoSuchAccount)
    ));
    store.commit().unwrap();
    drop(store);

    let store = dir.open();
    let account = store.account("anna").unwrap().unwrap();
    assert_eq!(
        (
            account.id,
            account.admin,
            account.locked,
            account.last_seen_ms
        ),
        (anna, true, true, 77)
    );
    let mut bert = contact("bert@chat.test");
    store.put_roster_item(anna, &bert).unwrap();
    store
        .put_roster_item(anna, &contact("carl@chat.test"))
        .unwrap();
    store.commit().unwrap();
    drop(store);

    let store = dir.open();
    assert_eq!(
        store.roster(anna).unwrap(),
        vec![bert.clone(), contact("carl@chat.test")]
    );
    assert!(
        store
            .remove_roster_item(anna, &BareJid::parse("carl@chat.test").unwrap())
            .unwrap()
    );
    assert!(
        !store
            .remove_roster_item(anna, &BareJid::parse("dora@chat.test").unwrap())
            .unwrap()
    );
    (bert.name, bert.subscription, bert.listed, bert.groups) =
        (None, Subscription::None, false, vec![]);
    bert.pending_in = Some(format!(
        "<presence type='subscribe'>{}</presence>",
        "x".repeat(100_000)
    ));
    store.put_roster_item(anna, &bert).unwrap();
    store.commit().unwrap();
    drop(store);

    let store = dir.open();
    assert_eq!(store.roster(anna).unwrap(), vec![bert.clone()]);
    assert_eq!(store.roster_item(anna, &bert.jid).unwrap(), Some(bert));
    let first = store.push_offline(anna, 1000, "<message id='1'/>").unwrap();
    store.push_offline(anna, 900, "<message id='2'/>").unwrap();
    store.commit().unwrap();
    drop(store);

    let store = dir.open();
    assert_eq!(
        texts(&store, anna),
        ["<message id='1'/>", "<message id='2'/>"]
    );
    assert_eq!(store.offline_count(anna).unwrap(), 2);
    assert_eq!(store.remove_offline(anna, first).unwrap(), 1);
    store.commit().unwrap();
    drop(store);

    let store = dir.open();
    assert_eq!(texts(&store, anna), ["<message id='2'/>"]);
    assert_eq!(store.offline_count(anna).unwrap(), 1);
    assert_eq!(store.delete_account("anna").unwrap(), anna);
    store.commit().unwrap();
    drop(store);

    let store = dir.open();
    assert!(store.account("anna").unwrap().is_none() && store.accounts().unwrap().is_empty());
    assert!(store.roster(anna).unwrap().is_empty() && texts(&store, anna).is_empty());
    assert!(matches!(
        store.delete_account("anna"),
        Err(StoreError::NoSuchAccount)
    ));
}

#[test]
fn ids_are_never_given_twice() {
    let dir = Dir::new("ids");
    let mut seen = Vec::new();
    for round in 0..5 {
        let store = dir.open();
        for name in ["anna", "bert"] {
            seen.push(create(&store, name));
        }
        store.delete_account("anna").unwrap();
        seen.push(create(&store, "anna"));
        store.delete_account("anna").unwrap();
        store.delete_account("bert").unwrap();
        if round % 2 == 0 {
            store.commit().unwrap();
        }
    }
    let mut different = seen.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), seen.len(), "{seen:?}");
}

#[test]
fn a_deleted_account_leaves_nothing_to_the_next_of_its_name_nor_takes_from_others() {
    let dir = Dir::new("delete");
    let store = dir.open();
    let (anna, bert) = (create(&store, "anna"), create(&store, "bert"));
    let eve = Jid::parse("eve@chat.test/r").unwrap();
    for user in [anna, bert] {
        store
            .put_roster_item(user, &contact("carl@chat.test"))
            .unwrap();
        store.push_offline(user, 5, &"m".repeat(50_000)).unwrap();
        store.put_blocked(user, &eve).unwrap();
    }
    store.delete_account("anna").unwrap();
    let again = create(&store, "anna");
    assert_ne!(again, anna);
    for user in [anna, again] {
        assert!(store.roster(user).unwrap().is_empty() && texts(&store, user).is_empty());
        assert!(store.blocklist(user).unwrap().is_empty());
    }
    assert_eq!(store.blocklist(bert).unwrap(), [eve]);
    assert_eq!(store.roster(bert).unwrap().len(), 1);
    assert_eq!(texts(&store, bert), ["m".repeat(50_000)]);
    drop(store);
    // Not even pieces of long records.
    let main = raw(dir.file("main"));
    let pieces = main.open_tree("long").unwrap();
    let users: Vec<u32> = pieces
        .iter()
        .map(|entry| u32::from_be_bytes(entry.unwrap().0[1..5].try_into().unwrap()))
        .collect();
    assert!(
        !users.is_empty() && users.iter().all(|user| *user == bert.number()),
        "{users:?}"
    );
}

#[test]
fn waiting_messages_keep_their_order_when_the_clock_does_not() {
    let dir = Dir::new("clock");
    let store = dir.open();
    let anna = create(&store, "anna");
    let clock = [5000, 5000, 10, u64::MAX / 2, 7, 8];
    let keys: Vec<OfflineKey> = clock
        .iter()
        .map(|ms| {
            store
                .push_offline(anna, *ms, &format!("<m at='{ms}'/>"))
                .unwrap()
        })
        .collect();
    assert!(keys.is_sorted_by(|one, next| one < next), "{keys:?}");
    let offline = store.offline(anna).unwrap();
    assert_eq!(
        offline.iter().map(|(_, ms, _)| *ms).collect::<Vec<_>>(),
        clock
    );
    assert_eq!(
        offline.iter().map(|(key, _, _)| *key).collect::<Vec<_>>(),
        keys
    );

    // In parts: each has at least one message, none comes twice.
    let mut parts = Vec::new();
    let mut after = None;
    loop {
        let part = store.offline_from(anna, after, 20).unwrap();
        let Some((last, _, _)) = part.last() else {
            break;
        };
        after = Some(*last);
        parts.extend(part);
    }
    assert_eq!(parts, offline);

    assert_eq!(store.remove_offline(anna, keys[2]).unwrap(), 3);
    assert_eq!(store.remove_offline(anna, keys[2]).unwrap(), 0);
    assert_eq!(store.offline(anna).unwrap(), offline[3..]);
}

#[test]
fn the_queue_of_waiting_messages_is_bounded() {
    let dir = Dir::new("bounded");
    let store = dir.open();
    let (anna, bert) = (create(&store, "anna"), create(&store, "bert"));
    for n in 0..limits::OFFLINE_MESSAGES {
        store.push_offline(anna, n, "<m/>").unwrap();
    }
    assert!(matches!(
        store.push_offline(anna, 0, "<m/>"),
        Err(StoreError::QueueFull)
    ));
    let (second, _, _) = store.offline(anna).unwrap()[1];
    store.remove_offline(anna, second).unwrap();
    store.push_offline(anna, 0, "<m/>").unwrap();
    store.push_offline(anna, 0, "<m/>").unwrap();
    assert!(matches!(
        store.push_offline(anna, 0, "<m/>"),
        Err(StoreError::QueueFull)
    ));
    assert_eq!(store.offline_count(anna).unwrap(), limits::OFFLINE_MESSAGES);

    let big = "x".repeat(250_000);
    let fit = limits::OFFLINE_BYTES / 250_000;
    for n in 0..fit {
        store.push_offline(bert, n, &big).unwrap();
    }
    assert!(matches!(
        store.push_offline(bert, 0, &big),
        Err(StoreError::QueueFull)
    ));
    let tally = store.offline_tally(bert).unwrap();
    assert_eq!((tally.messages, tally.bytes), (fit, fit * 250_000));
    let too_long = "x".repeat(limits::STORE_RECORD_BYTES);
    assert!(matches!(
        store.push_offline(anna, 0, &too_long),
        Err(StoreError::QueueFull)
    ));
    store.delete_account("anna").unwrap();
    let anna = create(&store, "anna");
    assert!(matches!(
        store.push_offline(anna, 0, &too_long),
        Err(StoreError::TooLong)
    ));
    assert_eq!(store.offline_count(anna).unwrap(), 0);
}

#[test]
fn long_records_come_back_whole_and_leave_no_pieces() {
    let dir = Dir::new("long");
    let store = dir.open();
    let anna = create(&store, "anna");
    let mut item = contact("bert@chat.test");
    let piece = limits::STORE_PIECE_BYTES;
    // Around one piece, two pieces, and the most that a stanza can be; up and down, so that pieces of the one before must go.
    let lengths = [
        0,
        piece - 200,
        piece - 60,
        piece,
        2 * piece,
        50_000,
        262_144,
        299_000,
        10,
        60_000,
        1,
    ];
    for (round, length) in lengths.into_iter().enumerate() {
        item.pending_in = Some("é".repeat(length / 2));
        store.put_roster_item(anna, &item).unwrap();
        assert_eq!(store.roster(anna).unwrap(), vec![item.clone()]);
        if round % 3 == 0 {
            store.commit().unwrap();
        }
    }
    drop(store);
    let main = raw(dir.file("main"));
    assert!(main.open_tree("long").unwrap().is_empty());
    drop(main);

    // Pieces that a crash has left without a head go at the next start, those of a head stay.
    let store = dir.open();
    item.pending_in = Some("y".repeat(100_000));
    store.put_roster_item(anna, &item).unwrap();
    drop(store);
    let main = raw(dir.file("main"));
    let long = main.open_tree("long").unwrap();
    let pieces = long.len();
    let (key, value) = long.first().unwrap().unwrap();
    let mut orphan = key.to_vec();
    let write = orphan.len() - 3;
    orphan[write] += 1;
    long.insert(orphan, &value).unwrap();
    orphan = key.to_vec();
    orphan[1] ^= 1;
    long.insert(orphan, &value).unwrap();
    long.insert(b"?", &value).unwrap();
    drop((main, long));
    let store = dir.open();
    assert_eq!(store.roster(anna).unwrap(), vec![item]);
    drop(store);
    let main = raw(dir.file("main"));
    assert_eq!(main.open_tree("long").unwrap().len(), pieces);
}

#[test]
fn nothing_ever_lies_in_a_file_that_is_not_synced() {
    // sled writes nodes of 128 KiB and more to files in `blobs/` and never syncs those. The worst that accounts can do: the longest names, values of the
    // longest kind that stay in one piece, removals between, so that nodes split and merge.
    let dir = Dir::new("blobs");
    let store = dir.open();
    let anna = create(&store, "anna");
    let mut random = Random(1);
    let jid = |n: u64| format!("{}{n}@{}.test", "l".repeat(60), "d".repeat(60));
    let mut item = contact("bert@chat.test");
    item.pending_in = Some("x".repeat(limits::STORE_PIECE_BYTES - 350));
    for round in 0..1500 {
        item.jid = BareJid::parse(&jid(random.number() % 300)).unwrap();
        if random.number().is_multiple_of(3) {
            store.remove_roster_item(anna, &item.jid).unwrap();
        } else {
            store.put_roster_item(anna, &item).unwrap();
        }
        if round % 50 == 0 {
            store
                .push_offline(anna, round, &"o".repeat(60_000))
                .unwrap();
            store.commit().unwrap();
        }
        assert_eq!(
            fs::read_dir(dir.file("main/blobs")).unwrap().count(),
            0,
            "round {round}"
        );
    }
    assert!(store.roster(anna).unwrap().len() > 100);
}

#[test]
fn names_of_any_length_are_kept_apart() {
    let dir = Dir::new("names");
    let store = dir.open();
    let names: Vec<String> = (0..4).map(|n| format!("{}{n}", "ä".repeat(500))).collect();
    let ids: Vec<UserId> = names.iter().map(|name| create(&store, name)).collect();
    let contacts: Vec<RosterItem> = names
        .iter()
        .map(|name| contact(&format!("{name}@chat.test")))
        .collect();
    for item in &contacts {
        store.put_roster_item(ids[0], item).unwrap();
    }
    drop(store);
    let store = dir.open();
    for (name, id) in names.iter().zip(&ids) {
        let account = store.account(name).unwrap().unwrap();
        assert_eq!((&account.name, account.id), (name, *id));
    }
    let mut roster = store.roster(ids[0]).unwrap();
    roster.sort_by(|one, next| one.jid.as_str().cmp(next.jid.as_str()));
    assert_eq!(roster, contacts);
}

#[test]
fn a_commit_is_for_those_who_wrote_before_it() {
    let dir = Dir::new("tickets");
    let store = dir.open();
    let committer = store.committer();
    assert!(!store.is_dirty());
    let before = store.ticket();
    create(&store, "anna");
    let ticket = store.ticket();
    assert!(ticket > before && store.is_dirty());
    assert!(!committer.commit(before).unwrap().wrote);
    assert!(store.is_dirty());
    assert!(
        std::thread::spawn(move || committer.commit(ticket).unwrap().wrote)
            .join()
            .unwrap()
    );
    assert!(!store.is_dirty());
    assert!(!store.commit().unwrap().wrote);
}
