//! Rows that are brought along from another server: they get the volumes that they would have had here.

use std::fs;

use snug::store::archive::{Answer, ArchiveReader, OldRow, Query, Request, Stamp};
use snug::store::{Store, StoreError, UserId};

use crate::Dir;

/// 2026-11-22T12:00:00Z.
const NOON: u64 = 1_795_348_800_000;
const DAY: u64 = 24 * 60 * 60 * 1000;

const ANNA: UserId = UserId::new(1);
const BERT: UserId = UserId::new(2);

fn keep(store: &Store, owner: UserId, at_ms: u64, text: &str) {
    let tag = [5; 8];
    let kept = store.archive(owner, at_ms, tag, "carl@chat.test", |out| {
        out.extend_from_slice(text.as_bytes());
    });
    kept.unwrap();
}

fn old(at_ms: u64, with: &str, xml: &str) -> OldRow {
    OldRow {
        stamp: Stamp { ms: at_ms, seq: 0 },
        tag: [9; 8],
        at_ms,
        with: with.to_owned(),
        xml: xml.to_owned(),
    }
}

fn insert(
    reader: &mut ArchiveReader,
    owner: UserId,
    rows: Vec<OldRow>,
) -> Result<Answer, StoreError> {
    reader.answer(Request::Insert { owner, rows })
}

fn texts(reader: &mut ArchiveReader, query: Query) -> String {
    match reader.answer(Request::Page(query)).unwrap() {
        Answer::Page { rows, .. } => {
            let texts: Vec<&str> = rows.iter().map(|row| row.xml.as_str()).collect();
            texts.join(" ")
        }
        other => panic!("{other:?}"),
    }
}

fn volumes(dir: &Dir) -> Vec<String> {
    let entries = fs::read_dir(dir.file("archive")).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn old_rows_get_a_volume_for_each_month_before_what_there_is() {
    let dir = Dir::new("moved");
    let store = dir.open();
    let mut reader = store.archive_reader();
    keep(&store, BERT, NOON, "b1");
    store.commit().unwrap();
    assert_eq!(volumes(&dir), ["2026-11"]);

    let anna = |days: u64, text: &str| old(NOON - days * DAY, "dora@chat.test/r", text);
    // November began on the first of it from now on; two in one millisecond stand behind each other.
    let rows = vec![
        anna(0, "a6"),
        anna(75, "a1"),
        anna(75, "a2"),
        anna(22, "a4"),
        anna(20, "a5"),
        anna(23, "a3"),
    ];
    insert(&mut reader, ANNA, rows).unwrap();
    assert_eq!(volumes(&dir), ["2026-09", "2026-10", "2026-11"]);
    assert_eq!(texts(&mut reader, Query::of(ANNA)), "a1 a2 a3 a4 a5 a6");
    // One between those that are there, and one long before.
    insert(&mut reader, ANNA, vec![anna(50, "a2b"), anna(400, "a0")]).unwrap();
    assert_eq!(volumes(&dir), ["2025-10", "2026-09", "2026-10", "2026-11"]);
    let all = "a0 a1 a2 a2b a3 a4 a5 a6";
    assert_eq!(texts(&mut reader, Query::of(ANNA)), all);
    assert_eq!(texts(&mut reader, Query::of(BERT)), "b1");
    let mut query = Query::of(ANNA);
    (query.start_ms, query.end_ms) = (Some(NOON - 60 * DAY), Some(NOON - 21 * DAY));
    assert_eq!(texts(&mut reader, query.clone()), "a2b a3 a4");
    query.with = Some("dora@chat.test".to_owned());
    assert_eq!(texts(&mut reader, query.clone()), "a2b a3 a4");
    query.with = Some("nobody@chat.test".to_owned());
    assert_eq!(texts(&mut reader, query), "");

    // What is said from now on stands behind.
    keep(&store, ANNA, NOON, "a7");
    keep(&store, BERT, NOON + 1, "b2");
    store.commit().unwrap();
    reader.answer(Request::Settle).unwrap();
    for old in ["2025-10", "2026-09", "2026-10"] {
        assert!(dir.file(&format!("archive/{old}/about")).exists(), "{old}");
    }
    drop((store, reader));

    let store = Store::open_archive_later(&dir.0).unwrap();
    let mut reader = store.archive_reader();
    assert_eq!(texts(&mut reader, Query::of(ANNA)), format!("{all} a7"));
    assert_eq!(texts(&mut reader, Query::of(BERT)), "b1 b2");
    // Rows go with time, as if they had been written here.
    let retain = Request::Retain {
        now_ms: NOON + DAY,
        keep_days: 30,
        max_bytes: 0,
    };
    assert_eq!(reader.answer(retain).unwrap(), Answer::Done(true));
    assert_eq!(volumes(&dir), ["2026-10", "2026-11"]);
    assert_eq!(texts(&mut reader, Query::of(ANNA)), "a2b a3 a4 a5 a6 a7");
}

#[test]
fn an_archive_may_begin_with_old_rows() {
    let dir = Dir::new("moved-first");
    let store = dir.open();
    let mut reader = store.archive_reader();
    let rows = vec![old(NOON - 40 * DAY, "x", "a1"), old(NOON, "x", "a2")];
    insert(&mut reader, ANNA, rows).unwrap();
    reader.answer(Request::Settle).unwrap();
    assert_eq!(volumes(&dir), ["2026-10", "2026-11"]);
    // The clock is behind what came: time never runs backwards.
    keep(&store, ANNA, NOON - DAY, "a3");
    assert_eq!(texts(&mut reader, Query::of(ANNA)), "a1 a2 a3");
    store.commit().unwrap();
    assert_eq!(volumes(&dir), ["2026-10", "2026-11", "2026-11.2"]);
    drop((store, reader));
    // Another start with nothing in between goes on in the last one.
    let store = Store::open_archive_later(&dir.0).unwrap();
    keep(&store, ANNA, NOON, "a4");
    assert_eq!(
        texts(&mut store.archive_reader(), Query::of(ANNA)),
        "a1 a2 a3 a4"
    );
}

#[test]
fn without_an_archive_old_rows_are_refused() {
    let dir = Dir::new("moved-off");
    let store = Store::open_without_archive(&dir.0).unwrap();
    let refused = insert(&mut store.archive_reader(), ANNA, vec![old(NOON, "x", "a")]);
    assert!(matches!(refused, Err(StoreError::ArchiveOff)));
}

#[test]
fn who_is_deleted_takes_old_rows_along() {
    let dir = Dir::new("moved-deleted");
    let store = dir.open();
    let mut reader = store.archive_reader();
    let id = store.begin_arrival("anna").unwrap();
    insert(&mut reader, id, vec![old(NOON - 40 * DAY, "x", "a1")]).unwrap();
    insert(&mut reader, BERT, vec![old(NOON - 40 * DAY, "x", "b1")]).unwrap();
    store.commit().unwrap();
    // The import was given up, and the plug is pulled.
    drop((store, reader));
    let store = dir.open();
    let mut reader = store.archive_reader();
    let chore = store.archive_chore(NOON);
    assert!(matches!(chore, Some(Request::Forget(owner)) if owner == id));
    reader.answer(Request::Forget(id)).unwrap();
    store.archive_forgot(id).unwrap();
    assert_eq!(texts(&mut reader, Query::of(id)), "");
    assert_eq!(texts(&mut reader, Query::of(BERT)), "b1");
}
