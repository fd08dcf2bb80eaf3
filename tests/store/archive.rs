//! The archive: what is put there is found there, by every filter, in every volume, after everything that may happen to a disk.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;

use snug::limits;
use snug::store::archive::{Answer, ArchiveId, ArchiveReader, Query, Request, Row};
use snug::store::{Store, StoreError, UserId};

use crate::{Dir, Random, create, raw};

/// 2026-11-22T12:00:00Z.
const NOON: u64 = 1_795_348_800_000;

const ANNA: UserId = UserId::new(1);
const BERT: UserId = UserId::new(2);

fn keep(store: &Store, owner: UserId, at_ms: u64, with: &str, text: &str) -> ArchiveId {
    let tag = (at_ms ^ text.len() as u64).to_be_bytes();
    store
        .archive(owner, at_ms, tag, with, |out| {
            out.extend_from_slice(text.as_bytes())
        })
        .unwrap()
}

fn page(reader: &mut ArchiveReader, query: Query) -> (Vec<Row>, bool) {
    match reader.answer(Request::Page(query)).unwrap() {
        Answer::Page { rows, complete } => (rows, complete),
        other => panic!("{other:?}"),
    }
}

fn texts(reader: &mut ArchiveReader, query: Query) -> (String, bool) {
    let (rows, complete) = page(reader, query);
    let texts: Vec<&str> = rows.iter().map(|row| row.xml.as_str()).collect();
    (texts.join(" "), complete)
}

/// Does what is left to do when the store has turned to another volume.
fn settle(store: &Store, reader: &mut ArchiveReader, at_ms: u64) {
    if let Some(chore) = store.archive_chore(at_ms) {
        assert!(matches!(chore, Request::Settle));
        assert_eq!(reader.answer(chore).unwrap(), Answer::Done(true));
    }
}

/// Makes a new volume and turns to it.
fn roll(store: &Store, reader: &mut ArchiveReader, at_ms: u64) {
    assert_eq!(
        reader.answer(Request::Roll { at_ms }).unwrap(),
        Answer::Done(true)
    );
    // Turns, looks at what was left, and has nothing more to do in this month.
    settle(store, reader, at_ms);
    assert!(store.archive_chore(at_ms).is_none());
}

/// The names in the archive's directory, sorted.
fn listing(dir: &Dir) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(dir.file("archive"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn what_is_archived_is_found_by_every_filter() {
    let dir = Dir::new("archive");
    let mut store = dir.open();
    let with = [
        "bert@chat.test/a",
        "carl@chat.test/c",
        "bert@chat.test/b",
        "bert@chat.test",
    ];
    let ids: Vec<ArchiveId> = (0..8)
        .map(|n| {
            keep(
                &store,
                ANNA,
                NOON + 1000 * n,
                with[n as usize % 4],
                &n.to_string(),
            )
        })
        .collect();
    keep(&store, BERT, NOON, "anna@chat.test/x", "another's");
    store.commit().unwrap();

    for restarts in [false, true] {
        if restarts {
            drop(store);
            store = dir.open();
        }
        let mut reader = store.archive_reader();
        let mut ask = |change: &dyn Fn(&mut Query)| {
            let mut query = Query::of(ANNA);
            change(&mut query);
            texts(&mut reader, query)
        };
        let all = |texts: &str| (texts.to_owned(), true);
        let more = |texts: &str| (texts.to_owned(), false);
        assert_eq!(ask(&|_| ()), all("0 1 2 3 4 5 6 7"));
        assert_eq!(ask(&|query| query.max = 3), more("0 1 2"));
        assert_eq!(ask(&|query| query.max = 8), all("0 1 2 3 4 5 6 7"));
        assert_eq!(ask(&|query| query.max = 0), more(""));
        let last = |query: &mut Query| (query.max, query.backward) = (3, true);
        assert_eq!(ask(&last), more("5 6 7"));
        assert_eq!(
            ask(&|query| {
                last(query);
                query.before = vec![ids[5]];
            }),
            more("2 3 4")
        );
        assert_eq!(
            ask(&|query| {
                last(query);
                query.before = vec![ids[5], ids[2]];
            }),
            all("0 1")
        );
        assert_eq!(ask(&|query| query.after = vec![ids[2], ids[5]]), all("6 7"));
        assert_eq!(
            ask(&|query| (query.start_ms, query.end_ms) = (Some(NOON + 2000), Some(NOON + 4999))),
            all("2 3 4")
        );
        assert_eq!(
            ask(&|query| query.with = Some("bert@chat.test".to_owned())),
            all("0 2 3 4 6 7")
        );
        assert_eq!(
            ask(&|query| query.with = Some("bert@chat.test/b".to_owned())),
            all("2 6")
        );
        assert_eq!(
            ask(&|query| {
                last(query);
                query.with = Some("bert@chat.test".to_owned());
            }),
            more("4 6 7")
        );
        assert_eq!(
            ask(&|query| query.with = Some("doris@chat.test".to_owned())),
            all("")
        );
        assert_eq!(ask(&|query| query.ids = vec![ids[6], ids[1]]), all("1 6"));
        assert_eq!(
            ask(&|query| {
                query.ids = vec![ids[6], ids[1], ids[2]];
                (query.max, query.backward) = (1, true);
            }),
            more("6")
        );
        // Two bytes of XML are two rows; a page has at least one.
        assert_eq!(ask(&|query| query.bytes = 2), more("0 1"));
        assert_eq!(ask(&|query| query.bytes = 0), more("0"));

        let unknown = ArchiveId {
            tag: [9; 8],
            ..ids[3]
        };
        for at in 0..3 {
            let mut query = Query::of(ANNA);
            [&mut query.after, &mut query.before, &mut query.ids][at].push(unknown);
            assert_eq!(
                reader.answer(Request::Page(query)).unwrap(),
                Answer::NoSuchId
            );
        }
        let Answer::Bounds(Some((first, last))) = reader.answer(Request::Bounds(ANNA)).unwrap()
        else {
            panic!("there are rows");
        };
        assert_eq!((first.id, first.at_ms), (ids[0], NOON));
        assert_eq!((last.id, last.at_ms), (ids[7], NOON + 7000));
        let nobody = UserId::new(77);
        assert_eq!(
            reader.answer(Request::Bounds(nobody)).unwrap(),
            Answer::Bounds(None)
        );
    }
}

/// A row as it should be.
#[derive(Clone)]
struct Known {
    id: ArchiveId,
    at_ms: u64,
    with: String,
    xml: String,
}

/// What a page should be, by the simplest means.
fn expected(rows: &[Known], query: &Query) -> Answer {
    let has = |id: &ArchiveId| rows.iter().any(|row| row.id == *id);
    let named = [&query.after, &query.before, &query.ids];
    if !named.into_iter().flatten().all(has) {
        return Answer::NoSuchId;
    }
    let is_with = |row: &Known| match &query.with {
        Some(with) if with.contains('/') => row.with == *with,
        Some(with) => row.with.split('/').next() == Some(with),
        None => true,
    };
    let mut wanted: Vec<&Known> = rows
        .iter()
        .filter(|row| {
            let stamp = row.id.stamp;
            is_with(row)
                && query.start_ms.is_none_or(|ms| ms <= stamp.ms)
                && query.end_ms.is_none_or(|ms| stamp.ms <= ms)
                && query.after.iter().all(|id| id.stamp < stamp)
                && query.before.iter().all(|id| stamp < id.stamp)
                && (query.ids.is_empty() || query.ids.contains(&row.id))
        })
        .collect();
    if query.backward {
        wanted.reverse();
    }
    let mut bytes = 0;
    let taken: Vec<&Known> = wanted
        .iter()
        .enumerate()
        .take_while(|(place, row)| {
            bytes += row.xml.len();
            *place < query.max && (*place == 0 || bytes <= query.bytes)
        })
        .map(|(_, row)| *row)
        .collect();
    let complete = taken.len() == wanted.len();
    let mut rows: Vec<Row> = taken
        .into_iter()
        .map(|row| Row {
            id: row.id,
            at_ms: row.at_ms,
            with: row.with.clone(),
            xml: row.xml.clone(),
        })
        .collect();
    if query.backward {
        rows.reverse();
    }
    Answer::Page { rows, complete }
}

#[test]
fn the_newest_row_that_matches_is_found_among_so_many() {
    let dir = Dir::new("archive-find");
    let store = dir.open();
    let mut reader = store.archive_reader();
    let mut ids = Vec::new();
    for n in 0..12 {
        if n == 5 {
            roll(&store, &mut reader, NOON + n);
        }
        let with = ["bert@chat.test/a", "bert@chat.test/b", "carl@chat.test"][n as usize % 3];
        ids.push(keep(&store, ANNA, NOON + n, with, &format!("row {n}")));
    }
    let mut find = |with: &str, text: &'static str, newest| {
        let request = Request::Find {
            owner: ANNA,
            with: with.to_owned(),
            matches: Box::new(move |xml| xml.contains(text)),
            newest,
        };
        match reader.answer(request).unwrap() {
            Answer::Found(row) => row.map(|row| row.xml),
            other => panic!("{other:?}"),
        }
    };
    let row = |n: u32| Some(format!("row {n}"));
    assert_eq!(find("bert@chat.test", "row", 1), row(10));
    assert_eq!(find("bert@chat.test/a", "row", 1), row(9));
    // It is the third with this contact, and in the volume before.
    assert_eq!(find("carl@chat.test", "row 5", 3), row(5));
    assert_eq!(find("carl@chat.test", "row 5", 2), None);
    assert_eq!(find("bert@chat.test", "row 3", 100), row(3));
    assert_eq!(find("bert@chat.test", "row 2", 100), None);
    assert_eq!(find("doris@chat.test", "row", 100), None);

    let mut get = |owner, id| reader.answer(Request::Get { owner, id }).unwrap();
    for (n, id) in ids.iter().enumerate() {
        let Answer::Found(Some(found)) = get(ANNA, *id) else {
            panic!("row {n}");
        };
        assert_eq!((found.id, found.xml), (*id, format!("row {n}")));
        assert_eq!(get(BERT, *id), Answer::Found(None));
    }
    let other = ArchiveId {
        tag: ids[4].tag,
        ..ids[3]
    };
    assert_eq!(get(ANNA, other), Answer::Found(None));
    let xml = b"never".to_vec();
    for id in [other, ids[0]] {
        assert!(!store.replace_archived(ANNA, &id, &xml).unwrap());
    }
    let replaced = reader.answer(Request::Replace {
        owner: ANNA,
        id: other,
        xml,
    });
    assert_eq!(replaced.unwrap(), Answer::Done(false));
}

#[test]
fn a_volume_begins_with_the_month_and_when_one_is_full() {
    let dir = Dir::new("archive-roll");
    let store = dir.open();
    let mut reader = store.archive_reader();
    // A server that archives has a volume before its first row.
    let chore = store.archive_chore(NOON).unwrap();
    assert!(matches!(chore, Request::Roll { at_ms: NOON }));
    reader.answer(chore).unwrap();
    assert!(store.archive_chore(NOON).is_none());
    keep(&store, ANNA, NOON, "bert@chat.test", "1");
    assert_eq!(listing(&dir), ["2026-11"]);
    // 2026-12-01T00:00:00Z, and the millisecond before.
    let december = NOON + 8 * DAY + DAY / 2;
    assert!(store.archive_chore(december - 1).is_none());
    let chore = store.archive_chore(december).unwrap();
    reader.answer(chore).unwrap();
    settle(&store, &mut reader, december);
    assert!(store.archive_chore(december).is_none());
    assert_eq!(listing(&dir), ["2026-11", "2026-12"]);
    assert!(dir.file("archive/2026-11/about").exists());
    // Nothing is in it: the next month finds it as it is.
    assert!(store.archive_chore(december + 40 * DAY).is_none());
    keep(&store, ANNA, december + 1, "bert@chat.test", "2");
    store.commit().unwrap();
    drop((store, reader));

    let december_volume = raw(dir.file("archive/2026-12"));
    let almost = limits::ARCHIVE_VOLUME_BYTES - limits::ARCHIVE_ROW_OWN_BYTES - 100;
    let meta = december_volume.open_tree("meta").unwrap();
    let record = [&[1, 8][..], &almost.to_be_bytes()].concat();
    meta.insert("bytes", record).unwrap();
    drop((meta, december_volume));
    let store = dir.open();
    let mut reader = store.archive_reader();
    assert!(store.archive_chore(december + 2).is_none());
    keep(&store, ANNA, december + 2, "bert@chat.test", "3");
    assert!(store.archive_chore(december + 2).is_none());
    keep(&store, ANNA, december + 2, "bert@chat.test", "4");
    let chore = store.archive_chore(december + 2).unwrap();
    reader.answer(chore).unwrap();
    // The clock has gone back meanwhile: time goes on from where it was.
    let last = keep(&store, ANNA, NOON, "bert@chat.test", "5");
    assert_eq!(listing(&dir), ["2026-11", "2026-12", "2026-12.2"]);
    assert_eq!(last.stamp.ms, december + 3);
    let (rows, _) = page(&mut reader, Query::of(ANNA));
    let texts: Vec<&str> = rows.iter().map(|row| row.xml.as_str()).collect();
    assert_eq!(texts, ["1", "2", "3", "4", "5"]);
    assert_eq!((rows[4].at_ms, rows[4].id), (NOON, last));
    settle(&store, &mut reader, december + 4);
    assert!(store.archive_chore(december + 4).is_none());
    store.commit().unwrap();
    drop((store, reader));

    // Made, and the plug was pulled before anything was written in it: as if it had not been.
    let store = dir.open();
    let mut reader = store.archive_reader();
    let at_ms = december + 5;
    reader.answer(Request::Roll { at_ms }).unwrap();
    assert_eq!(listing(&dir)[3], "2026-12.3");
    fs::create_dir(dir.file("archive/2026-12.4.making")).unwrap();
    fs::create_dir(dir.file("archive/2026-10.removing")).unwrap();
    drop((store, reader));
    let store = dir.open();
    assert_eq!(listing(&dir), ["2026-11", "2026-12", "2026-12.2"]);
    keep(&store, ANNA, at_ms, "bert@chat.test", "6");
    let mut reader = store.archive_reader();
    assert_eq!(texts_of(&mut reader, ANNA), "1 2 3 4 5 6");
}

#[test]
fn a_commit_covers_the_volume_before_and_what_was_written_there() {
    let dir = Dir::new("archive-commit");
    let store = dir.open();
    let committer = store.committer();
    let mut reader = store.archive_reader();
    let empty = store.ticket();
    keep(&store, ANNA, NOON, "bert@chat.test", "1");
    let first = store.ticket();
    roll(&store, &mut reader, NOON + 1);
    keep(&store, ANNA, NOON + 2, "bert@chat.test", "2");
    let second = store.ticket();
    assert!(empty < first && first < second && store.is_dirty());
    // It is still open for its commit, and read there.
    assert_eq!(texts_of(&mut reader, ANNA), "1 2");
    assert!(committer.commit(second).unwrap().wrote);
    assert!(!store.is_dirty());
    for ticket in [empty, first, second] {
        assert!(!committer.commit(ticket).unwrap().wrote);
    }
    // Three times more than fit, and a commit only at the end.
    for n in 3..6 {
        roll(&store, &mut reader, NOON + n);
        keep(&store, ANNA, NOON + n, "bert@chat.test", &n.to_string());
    }
    assert!(committer.commit(store.ticket()).unwrap().wrote && !store.is_dirty());
    drop((store, committer, reader));
    let store = dir.open();
    assert_eq!(texts_of(&mut store.archive_reader(), ANNA), "1 2 3 4 5");
    assert_eq!(listing(&dir).len(), 5);
}

#[test]
fn what_is_too_old_goes_and_the_oldest_of_what_is_too_much() {
    let dir = Dir::new("archive-retain");
    let store = dir.open();
    let mut reader = store.archive_reader();
    let retain = |reader: &mut ArchiveReader, days: u64, keep_days, max_bytes| {
        let now_ms = NOON + days * DAY;
        let request = Request::Retain {
            now_ms,
            keep_days,
            max_bytes,
        };
        reader.answer(request).unwrap() == Answer::Done(true)
    };
    // Without an archive there is nothing to do.
    assert!(!retain(&mut reader, 0, 1, 1));
    let ids: Vec<ArchiveId> = (0..6)
        .map(|month| {
            let at_ms = NOON + month * 30 * DAY;
            roll(&store, &mut reader, at_ms);
            keep(&store, ANNA, at_ms, "bert@chat.test", &month.to_string())
        })
        .collect();
    store.commit().unwrap();
    assert_eq!(listing(&dir).len(), 6);
    let aside = dir.file(&format!(
        "archive/2026-11.broken-{}",
        NOON / 1000 + 40 * DAY / 1000
    ));
    fs::create_dir(&aside).unwrap();
    fs::write(aside.join("db"), [7; 5000]).unwrap();

    assert!(!retain(&mut reader, 200, 0, u64::MAX));
    assert!(!retain(&mut reader, 90, 90, u64::MAX));
    // The row of day 0 is the last of its volume, and has 90 days and a moment.
    assert!(retain(&mut reader, 91, 90, u64::MAX));
    assert_eq!(texts_of(&mut reader, ANNA), "1 2 3 4 5");
    assert!(aside.exists());
    let of_the_gone = Query {
        after: vec![ids[0]],
        ..Query::of(ANNA)
    };
    let answer = reader.answer(Request::Page(of_the_gone)).unwrap();
    assert_eq!(answer, Answer::NoSuchId);
    assert!(retain(&mut reader, 130, 90, u64::MAX));
    assert_eq!(texts_of(&mut reader, ANNA), "2 3 4 5");
    assert!(retain(&mut reader, 131, 90, u64::MAX) && !aside.exists());

    // Each volume takes more than a megabyte with all that sled does.
    let each = blocks(&dir.file("archive/2027-02"));
    let all = blocks(&dir.file("archive"));
    assert!(!retain(&mut reader, 131, 0, all + each));
    assert!(retain(&mut reader, 131, 0, all - each / 2));
    assert_eq!(texts_of(&mut reader, ANNA), "3 4 5");
    // The one that is written in stays, whatever it takes; another one begins as soon as there is something in it.
    assert!(retain(&mut reader, 131, 0, 1));
    assert_eq!(texts_of(&mut reader, ANNA), "5");
    let now_ms = NOON + 151 * DAY;
    let chore = store.archive_chore(now_ms).unwrap();
    assert!(matches!(chore, Request::Roll { .. }));
    reader.answer(chore).unwrap();
    keep(&store, ANNA, now_ms, "bert@chat.test", "6");
    assert_eq!(texts_of(&mut reader, ANNA), "5 6");
    assert!(retain(&mut reader, 151, 0, 1));
    assert_eq!(texts_of(&mut reader, ANNA), "6");
    store.commit().unwrap();
    drop((store, reader));
    let store = dir.open();
    assert_eq!(texts_of(&mut store.archive_reader(), ANNA), "6");
    assert_eq!(listing(&dir).len(), 1);
}

#[test]
fn a_deleted_account_takes_its_rows_along_also_over_a_restart() {
    let dir = Dir::new("archive-deleted");
    let store = dir.open();
    let mut reader = store.archive_reader();
    // While there is no archive nothing is left to do.
    create(&store, "early");
    store.delete_account("early").unwrap();
    assert!(!matches!(
        store.archive_chore(NOON),
        Some(Request::Forget(_))
    ));

    let users = ["anna", "bert"].map(|name| create(&store, name));
    for month in 0..3 {
        let at_ms = NOON + month * 31 * DAY;
        roll(&store, &mut reader, at_ms);
        for user in users {
            keep(&store, user, at_ms, "carl@chat.test", &month.to_string());
        }
    }
    assert_eq!(store.delete_account("anna").unwrap(), users[0]);
    store.commit().unwrap();
    drop((store, reader));

    // Before anything of it was forgotten the plug was pulled. What was begun is known, once.
    let store = dir.open();
    let mut reader = store.archive_reader();
    let now_ms = NOON + 63 * DAY;
    let chore = store.archive_chore(now_ms).unwrap();
    assert!(matches!(chore, Request::Forget(user) if user == users[0]));
    assert_eq!(reader.answer(chore).unwrap(), Answer::Done(true));
    assert_eq!(texts_of(&mut reader, users[0]), "");
    assert_eq!(texts_of(&mut reader, users[1]), "0 1 2");
    assert_eq!(
        reader.answer(Request::Bounds(users[0])).unwrap(),
        Answer::Bounds(None)
    );
    drop((store, reader));

    // It was forgotten, and the plug was pulled before that was known: once more, and there is nothing to do.
    let store = dir.open();
    let mut reader = store.archive_reader();
    let chore = store.archive_chore(now_ms).unwrap();
    assert_eq!(reader.answer(chore).unwrap(), Answer::Done(false));
    store.archive_forgot(users[0]).unwrap();
    assert!(store.archive_chore(now_ms).is_none());
    store.commit().unwrap();
    drop((store, reader));
    let store = dir.open();
    assert!(store.archive_chore(now_ms).is_none());
    let another = create(&store, "anna");
    assert!(another > users[1]);
    assert_eq!(texts_of(&mut store.archive_reader(), another), "");

    // An account that arrives from elsewhere and does not come to its end leaves nothing to look for either.
    let arriving = store.begin_arrival("doris").unwrap();
    drop(store);
    let store = dir.open();
    assert!(!store.is_arriving(arriving, "doris").unwrap());
    assert!(!store.is_arriving(arriving, "").unwrap());
    assert!(matches!(store.archive_chore(now_ms), Some(Request::Forget(user)) if user == arriving));
}

#[test]
fn a_store_without_archive_reads_what_is_there_and_lets_it_go() {
    let dir = Dir::new("archive-off");
    let store = dir.open();
    let anna = create(&store, "anna");
    keep(&store, anna, NOON, "bert@chat.test", "1");
    store.commit().unwrap();
    drop(store);
    let store = Store::open_without_archive(&dir.0).unwrap();
    let refused = store.archive(anna, NOON, [0; 8], "bert@chat.test", |_| ());
    assert!(matches!(refused, Err(StoreError::ArchiveOff)));
    assert!(!store.is_archive_open() && store.archive_chore(NOON + 40 * DAY).is_none());
    let mut reader = store.archive_reader();
    assert_eq!(texts_of(&mut reader, anna), "1");
    store.delete_account("anna").unwrap();
    let chore = store.archive_chore(NOON).unwrap();
    reader.answer(chore).unwrap();
    assert_eq!(texts_of(&mut reader, anna), "");
    let before = listing(&dir);
    let retain = Request::Retain {
        now_ms: NOON + 40 * DAY,
        keep_days: 30,
        max_bytes: 0,
    };
    assert_eq!(reader.answer(retain).unwrap(), Answer::Done(true));
    assert_eq!((before.len(), listing(&dir).len()), (1, 0));
}

#[test]
fn a_broken_volume_is_set_aside_and_the_rest_works() {
    let dir = Dir::new("archive-broken");
    let store = dir.open();
    let mut reader = store.archive_reader();
    for month in 0..4 {
        let at_ms = NOON + month * 31 * DAY;
        roll(&store, &mut reader, at_ms);
        keep(&store, ANNA, at_ms, "bert@chat.test", &month.to_string());
        keep(
            &store,
            ANNA,
            at_ms,
            "bert@chat.test",
            "long enough to be somewhere in the file",
        );
    }
    store.commit().unwrap();
    assert_eq!(page(&mut reader, Query::of(ANNA)).0.len(), 8);
    drop((store, reader));
    assert_eq!(listing(&dir), ["2026-11", "2026-12", "2027-01", "2027-02"]);

    // Of the second, all that sled has written; of the third, what is known of it.
    let broken = dir.file("archive/2026-12");
    for entry in fs::read_dir(&broken).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "db" || name.starts_with("snap.") {
            let length = fs::metadata(&path).unwrap().len();
            fs::write(&path, vec![0xAB; length as usize]).unwrap();
        }
    }
    let about = dir.file("archive/2027-01/about");
    let mut bytes = fs::read(&about).unwrap();
    bytes[40] ^= 4;
    fs::write(&about, &bytes).unwrap();

    let store = dir.open();
    let mut reader = store.archive_reader();
    // Nobody looks where there is nothing to find.
    let mut query = Query::of(ANNA);
    (query.max, query.backward) = (2, true);
    assert_eq!(page(&mut reader, query.clone()).0.len(), 2);
    query.with = Some("nobody@chat.test".to_owned());
    assert_eq!(page(&mut reader, query).0.len(), 0);
    assert_eq!(texts_of(&mut reader, BERT), "");
    assert_eq!(listing(&dir)[1], "2026-12");
    let (rows, complete) = page(&mut reader, Query::of(ANNA));
    assert_eq!((rows.len(), complete), (6, true));
    let names = listing(&dir);
    assert_eq!(names.len(), 4);
    assert!(names[1].starts_with("2026-12.broken-"), "{names:?}");
    bytes[40] ^= 4;
    assert_eq!(fs::read(&about).unwrap(), bytes);
    drop((store, reader));

    // The one that is written in.
    let newest = dir.file("archive/2027-02/db");
    let length = fs::metadata(&newest).unwrap().len();
    fs::write(&newest, vec![0xAB; length as usize]).unwrap();
    for entry in fs::read_dir(dir.file("archive/2027-02")).unwrap() {
        let path = entry.unwrap().path();
        if path
            .file_name()
            .unwrap()
            .to_string_lossy()
            .starts_with("snap.")
        {
            fs::write(&path, b"no snapshot").unwrap();
        }
    }
    let store = Store::open(&dir.0).unwrap();
    assert_eq!(store.notices().len(), 1);
    assert!(
        store.notices()[0].contains("message archive"),
        "{:?}",
        store.notices()
    );
    let mut reader = store.archive_reader();
    assert_eq!(page(&mut reader, Query::of(ANNA)).0.len(), 4);
    // A new one begins, and not before what there is.
    let id = keep(&store, ANNA, NOON, "bert@chat.test", "again");
    assert!(id.stamp.ms > NOON + 62 * DAY);
    assert_eq!(page(&mut reader, Query::of(ANNA)).0.len(), 5);
    store.commit().unwrap();
    drop((store, reader));
    let store = dir.open();
    assert_eq!(
        page(&mut store.archive_reader(), Query::of(ANNA)).0.len(),
        5
    );
}

#[test]
fn damage_found_while_writing_begins_another_volume() {
    let dir = Dir::new("archive-damage");
    let store = dir.open();
    let mut reader = store.archive_reader();
    roll(&store, &mut reader, NOON);
    for n in 0..2000 {
        let xml = format!("{n} {}", "x".repeat(300));
        keep(&store, UserId::new(n % 7 + 1), NOON, "bert@chat.test", &xml);
    }
    let accounts = create(&store, "anna");
    store.commit().unwrap();
    drop((store, reader));
    let store = dir.open();
    let committer = store.committer();
    // Nothing of it was read yet but the end.
    let db = fs::OpenOptions::new()
        .write(true)
        .open(dir.file("archive/2026-11/db"))
        .unwrap();
    let length = db.metadata().unwrap().len();
    db.write_all_at(&vec![0xAB; length as usize], 0).unwrap();

    let tag = [1; 8];
    let mut refused = 0;
    for owner in 1..8 {
        let kept = store.archive(UserId::new(owner), NOON + 1, tag, "bert@chat.test", |_| ());
        refused += usize::from(matches!(kept, Err(StoreError::Broken(_))));
    }
    assert!(refused > 0);
    // What was written there before the damage was found is lost; everything else goes on.
    let _ = committer.commit(store.ticket());
    store.push_offline(accounts, 1, "<m/>").unwrap();
    assert!(committer.commit(store.ticket()).unwrap().wrote);
    let chore = store.archive_chore(NOON + 2).unwrap();
    let mut reader = store.archive_reader();
    assert_eq!(reader.answer(chore).unwrap(), Answer::Done(true));
    let id = keep(&store, ANNA, NOON + 2, "bert@chat.test", "again");
    assert!(committer.commit(store.ticket()).unwrap().wrote);
    // Who reads is the one to set it aside.
    assert_eq!(texts_of(&mut reader, ANNA), "again");
    let names = listing(&dir);
    assert!(
        names.iter().any(|name| name.starts_with("2026-11.broken-")) && names.len() == 2,
        "{names:?}"
    );
    assert!(id.stamp.ms >= NOON + 2);
    drop((store, committer, reader));
    let store = dir.open();
    assert_eq!(texts_of(&mut store.archive_reader(), ANNA), "again");
}

#[test]
fn a_volume_of_a_newer_snug_is_refused_and_left_as_it_is() {
    let dir = Dir::new("archive-newer");
    let store = dir.open();
    let mut reader = store.archive_reader();
    roll(&store, &mut reader, NOON);
    keep(&store, ANNA, NOON, "bert@chat.test", "1");
    roll(&store, &mut reader, NOON + 31 * DAY);
    keep(&store, ANNA, NOON + 31 * DAY, "bert@chat.test", "2");
    store.commit().unwrap();
    drop((store, reader));
    let set = |schema: &[u8]| {
        let volume = raw(dir.file("archive/2026-12"));
        let meta = volume.open_tree("meta").unwrap();
        meta.insert("schema", schema).unwrap();
    };
    set(b"\x01\x04\0\0\0\x02");
    let refused = Store::open(&dir.0).err().expect("a newer schema");
    assert!(matches!(refused, StoreError::Newer { .. }), "{refused}");
    set(b"\x01\x04\0\0\0\x01");
    let store = dir.open();
    assert_eq!(texts_of(&mut store.archive_reader(), ANNA), "1 2");
    drop(store);

    // It is seen without opening it, too: a start that opens it later is refused all the same.
    let told = dir.file("archive/2026-12/schema");
    assert_eq!(fs::read_to_string(&told).unwrap(), "1\n");
    fs::write(&told, "2\n").unwrap();
    let refused = Store::open_archive_later(&dir.0)
        .err()
        .expect("a newer schema");
    assert!(matches!(refused, StoreError::Newer { .. }), "{refused}");
}

#[test]
fn an_archive_that_is_opened_late_says_the_same_of_damage() {
    let dir = Dir::new("archive-late");
    let store = dir.open();
    let mut reader = store.archive_reader();
    for month in 0..2 {
        roll(&store, &mut reader, NOON + month * 31 * DAY);
        keep(
            &store,
            ANNA,
            NOON + month * 31 * DAY,
            "bert@chat.test",
            "long enough to be somewhere in the file",
        );
    }
    store.commit().unwrap();
    drop((store, reader));
    for entry in fs::read_dir(dir.file("archive/2026-12")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name == "db" || name.starts_with("snap.") {
            fs::write(&path, b"neither a log nor a snapshot").unwrap();
        }
    }
    let store = Store::open_archive_later(&dir.0).unwrap();
    assert!(store.archive_rests() && store.notices().is_empty());
    assert_eq!(store.ticket(), store.ticket());
    assert!(!store.is_dirty());
    // The first row finds the damage: it is set aside, and the row goes into a new volume, not before what there is.
    let id = keep(&store, ANNA, NOON, "bert@chat.test", "again");
    assert!(id.stamp.ms > NOON);
    assert!(!store.archive_rests() && store.is_dirty());
    assert!(
        listing(&dir)
            .iter()
            .any(|name| name.starts_with("2026-12.broken-")),
        "{:?}",
        listing(&dir)
    );
    store.commit().unwrap();
    drop(store);
    let store = Store::open_archive_later(&dir.0).unwrap();
    let mut reader = store.archive_reader();
    assert_eq!(page(&mut reader, Query::of(ANNA)).0.len(), 2);
    // The reading side has opened it, and the writing side goes on in it.
    keep(&store, ANNA, NOON, "bert@chat.test", "and again");
    assert_eq!(page(&mut reader, Query::of(ANNA)).0.len(), 3);
}

#[test]
fn an_archive_that_cannot_be_opened_costs_one_try_and_comes_back() {
    let dir = Dir::new("archive-closed");
    let store = dir.open();
    keep(&store, ANNA, NOON, "bert@chat.test", "1");
    store.commit().unwrap();
    drop(store);
    // A volume of a newer snug that does not say so in its file.
    let set = |schema: &[u8]| {
        let volume = raw(dir.file("archive/2026-11"));
        volume
            .open_tree("meta")
            .unwrap()
            .insert("schema", schema)
            .unwrap();
    };
    set(b"\x01\x04\0\0\0\x02");
    let store = Store::open_archive_later(&dir.0).unwrap();
    let mut reader = store.archive_reader();
    let kept = || store.archive(ANNA, NOON, [1; 8], "bert@chat.test", |out| out.push(b'2'));
    assert!(matches!(kept(), Err(StoreError::Newer { .. })));
    assert!(matches!(kept(), Err(StoreError::Broken(_))));
    assert!(matches!(store.archive_chore(NOON), Some(Request::Open)));
    assert!(reader.answer(Request::Open).is_err());
    // Nothing was set aside, and what is not the archive's works.
    assert_eq!(listing(&dir), ["2026-11"]);
    create(&store, "anna");
    store.commit().unwrap();
    set(b"\x01\x04\0\0\0\x01");
    assert!(matches!(kept(), Err(StoreError::Broken(_))));
    reader.answer(Request::Open).unwrap();
    kept().unwrap();
    assert_eq!(texts_of(&mut reader, ANNA), "1 2");
}

/// All rows of an owner, oldest first.
fn texts_of(reader: &mut ArchiveReader, owner: UserId) -> String {
    texts(reader, Query::of(owner)).0
}

/// Bytes that a directory takes.
fn blocks(path: &Path) -> u64 {
    let about = fs::metadata(path).unwrap();
    if about.is_file() {
        return about.blocks() * 512;
    }
    fs::read_dir(path)
        .unwrap()
        .map(|entry| blocks(&entry.unwrap().path()))
        .sum()
}

#[test]
fn every_query_is_what_a_simple_filter_finds() {
    for seed in 1..=2 {
        against_a_model(seed);
    }
}

fn against_a_model(seed: u64) {
    let dir = Dir::new("model");
    let mut store = dir.open();
    let mut reader = store.archive_reader();
    let mut random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let mut known: BTreeMap<UserId, Vec<Known>> = BTreeMap::new();
    let mut clock = NOON;
    let mut queries = 0;
    for step in 0..1200 {
        let mut any = |below: u64| random.number() % below;
        let owner = UserId::new(any(3) as u32 + 1);
        match any(200) {
            0 => {
                if any(2) == 0 {
                    store.commit().unwrap();
                }
                drop((store, reader));
                store = dir.open();
                reader = store.archive_reader();
            }
            1 => roll(&store, &mut reader, clock),
            // The writing side finds out by itself.
            2 => {
                reader.answer(Request::Roll { at_ms: clock }).unwrap();
            }
            3 if any(10) == 0 => {
                let gone = reader.answer(Request::Forget(owner)).unwrap();
                let there = known.remove(&owner).is_some_and(|rows| !rows.is_empty());
                assert_eq!(gone, Answer::Done(there), "seed {seed}, step {step}");
            }
            4..=8 => {
                let Some(rows) = known.get_mut(&owner).filter(|rows| !rows.is_empty()) else {
                    continue;
                };
                let place = any(rows.len() as u64) as usize;
                let row = &mut rows[place];
                row.xml = format!("replaced in step {step}");
                let xml = row.xml.clone().into_bytes();
                let id = row.id;
                if !store.replace_archived(owner, &id, &xml).unwrap() {
                    let replaced = reader.answer(Request::Replace { owner, id, xml });
                    assert_eq!(replaced.unwrap(), Answer::Done(true));
                }
            }
            9..=80 => {
                let rows = known.get(&owner).cloned().unwrap_or_default();
                let some_id = |number: u64, own: u64| match rows.len() as u64 {
                    0 => ArchiveId::parse("AAAAAAAAAAAAAAAAAAAAAA").unwrap(),
                    _ if own == 0 => ArchiveId {
                        tag: [1; 8],
                        ..rows[(number % rows.len() as u64) as usize].id
                    },
                    count => rows[(number % count) as usize].id,
                };
                let mut ids = |most: u64| -> Vec<ArchiveId> {
                    (0..any(most + 1))
                        .map(|_| some_id(any(10_000), any(25)))
                        .collect()
                };
                let (mut after, mut before, mut some) = (ids(2), ids(2), ids(6));
                let which = any(8);
                if which & 1 == 0 {
                    after.clear();
                }
                if which & 2 == 0 {
                    before.clear();
                }
                if which != 7 {
                    some.clear();
                }
                let mut moment = |one_in: u64| {
                    (any(one_in) == 0)
                        .then(|| NOON.saturating_sub(DAY) + any(clock - NOON + 2 * DAY))
                };
                let (start_ms, end_ms) = (moment(4), moment(4));
                let with = [
                    "bert@chat.test",
                    "bert@chat.test/a",
                    "carl@chat.test/b",
                    "carl@chat.test",
                    "nobody@chat.test",
                ];
                let query = Query {
                    owner,
                    with: (any(2) == 0).then(|| with[any(5) as usize].to_owned()),
                    start_ms,
                    end_ms,
                    after,
                    from: snug::store::archive::Stamp::FIRST,
                    before,
                    ids: some,
                    max: [0, 1, 3, 20, usize::MAX][any(5) as usize],
                    backward: any(2) == 0,
                    bytes: [0, 50, 1000, usize::MAX, usize::MAX][any(5) as usize],
                };
                let expected = expected(&rows, &query);
                let found = reader.answer(Request::Page(query.clone())).unwrap();
                assert_eq!(found, expected, "seed {seed}, step {step}: {query:?}");
                let edges = reader.answer(Request::Bounds(owner)).unwrap();
                let Answer::Bounds(edges) = edges else {
                    panic!("{edges:?}");
                };
                assert_eq!(
                    edges.map(|(first, last)| (first.id, first.at_ms, last.id, last.at_ms)),
                    rows.first().zip(rows.last()).map(|(first, last)| (
                        first.id,
                        first.at_ms,
                        last.id,
                        last.at_ms
                    )),
                    "seed {seed}, step {step}"
                );
                queries += 1;
            }
            _ => {
                for _ in 0..any(4) + 1 {
                    let pace = [0, 1, 1000, 600_000, 2 * 60 * 60_000, DAY][any(6) as usize];
                    clock += any(pace + 1);
                    // The clock of this moment, which may be behind.
                    let at_ms = match any(8) {
                        0 => clock - any(20 * DAY),
                        _ => clock,
                    };
                    let with = [
                        "bert@chat.test/a",
                        "bert@chat.test/b",
                        "bert@chat.test",
                        "carl@chat.test/b",
                    ];
                    let with = with[any(4) as usize];
                    let length = [0, 20, 200, 9000][any(4) as usize] as usize;
                    let xml = format!("{step}{}", "x".repeat(length));
                    let tag = any(u64::MAX).to_be_bytes();
                    let id = store
                        .archive(owner, at_ms, tag, with, |out| {
                            out.extend_from_slice(xml.as_bytes())
                        })
                        .unwrap();
                    let rows = known.entry(owner).or_default();
                    let last = rows.last().map(|row| row.id.stamp);
                    assert!(last.is_none_or(|last| last < id.stamp) && id.stamp.ms >= at_ms);
                    rows.push(Known {
                        id,
                        at_ms,
                        with: with.to_owned(),
                        xml,
                    });
                }
            }
        }
    }
    let volumes = listing(&dir).len();
    assert!(
        queries > 200 && volumes > 4,
        "seed {seed}: {queries} queries, {volumes} volumes"
    );
}

const DAY: u64 = 24 * 60 * 60 * 1000;
