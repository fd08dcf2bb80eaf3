//! Power cuts: what the disk may hold at any moment, put together from a trace of what was written and what was synced.
//!
//! What a disk keeps of what was not synced: `common/unsynced.rs`.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use snug::store::Store;

use crate::kill::{archived_after, archived_in, as_child, fits, say_not_run, state_of};
use crate::unsynced::Disk;
use crate::{Dir, Random};

/// One line of the trace that matters.
enum Event {
    /// The file, the place, the bytes.
    Write(String, u64, Vec<u8>),
    /// `fdatasync` of this file was called, and covers what was written there before.
    Sync(String),
    /// It has returned.
    Synced(String),
    /// The child has an answer: everything up to this number is safe.
    Safe(i64),
}

#[test]
fn what_was_committed_is_there_after_a_power_cut() {
    let dir = Dir::new("cut");
    fs::create_dir(&dir.0).unwrap();
    let (trace, data, base) = (dir.file("trace"), dir.file("data"), dir.file("base"));
    let mut strace = Command::new("strace");
    strace
        .args([
            "-f",
            "-y",
            "-xx",
            "-s",
            "2000000",
            "-e",
            "trace=pwrite64,fdatasync,write",
        ])
        .arg("-o")
        .arg(&trace)
        .arg(std::env::current_exe().unwrap())
        .env("SNUG_STORE_BASE", &base);
    let Some(_) = say_not_run(as_child(&mut strace, &data, 0, 500).output()) else {
        return;
    };
    let base = Disk::read(&base);
    let events = read_trace(&fs::read_to_string(&trace).unwrap(), &data);
    let syncs = events
        .iter()
        .filter(|event| matches!(event, Event::Synced(_)))
        .count();
    assert!(syncs > 200, "{syncs}");

    let mut random = Random(0xc07);
    let mut lost_without_sync = 0;
    for round in 0..60 {
        let cut = (random.number() % events.len() as u64) as usize;
        let safe = events[..cut]
            .iter()
            .rev()
            .find_map(|event| {
                if let Event::Safe(number) = event {
                    Some(*number)
                } else {
                    None
                }
            })
            .unwrap_or(-1);
        let image = Dir::new("image");
        put_together(&base, &image.0, &events[..cut], true, &mut random);
        let store = Store::open(&image.0)
            .unwrap_or_else(|error| panic!("round {round}, cut {cut}: {error}"));
        assert_eq!(
            store.notices(),
            &[] as &[String],
            "round {round}, cut {cut}"
        );
        let found = state_of(&store);
        assert!(
            (safe..safe + 8).any(|last| fits(&found, last)),
            "round {round}, cut {cut}: {safe} was safe, found {found:?}"
        );
        // The child archived the first row before its first number.
        let archived = archived_in(&store);
        assert!(
            (safe.max(2)..safe + 8).any(|last| archived == archived_after(last)),
            "round {round}, cut {cut}: {safe} was safe, archived {archived:?}"
        );
        drop(store);

        // The same without the syncs: if that lost nothing, this test would prove nothing.
        if round % 10 == 0 {
            let image = Dir::new("unsynced");
            put_together(&base, &image.0, &events[..cut], false, &mut random);
            lost_without_sync += match Store::open(&image.0) {
                Ok(store) if store.notices().is_empty() => {
                    let found = state_of(&store);
                    usize::from(!(safe..safe + 8).any(|last| fits(&found, last)))
                }
                _ => 1,
            };
        }
    }
    assert!(lost_without_sync > 0);
}

/// What may be on the disk after these events.
fn put_together(base: &Disk, image: &Path, events: &[Event], synced: bool, random: &mut Random) {
    let mut disk = base.clone();
    let file = |disk: &Disk, name: &str| {
        let found = disk.find(name);
        found.unwrap_or_else(|| panic!("{name} is not in the base"))
    };
    let mut called = HashMap::new();
    for event in events {
        match event {
            Event::Write(name, place, bytes) => disk.write(file(&disk, name), *place, bytes),
            Event::Sync(name) => {
                let mark = disk.mark(file(&disk, name));
                called.insert(name, mark);
            }
            Event::Synced(name) if synced => {
                let mark = called.get(name).expect("it was called before it returned");
                disk.synced(file(&disk, name), *mark);
            }
            Event::Synced(_) | Event::Safe(_) => {}
        }
    }
    let (disk, _) = disk.after_cut(&mut |bound| random.number() % bound);
    disk.write_to(image);
}

fn read_trace(trace: &str, data: &Path) -> Vec<Event> {
    let mut events = Vec::new();
    // Which file a thread is syncing.
    let mut syncing = HashMap::new();
    // The file in `name(3<path>`, from the data directory on.
    let file_of = |call: &str| {
        let path = &call[call.find('<').unwrap() + 1..call.find('>').unwrap()];
        let path = String::from_utf8(unhex(path)).unwrap();
        let below = Path::new(&path).strip_prefix(data).ok()?;
        Some(below.to_str().unwrap().to_owned())
    };
    for line in trace.lines() {
        let Some((thread, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        if call.starts_with("<... fdatasync resumed>") {
            events.extend(syncing.remove(thread).map(Event::Synced));
        } else if call.starts_with("fdatasync(") {
            let Some(file) = file_of(call) else { continue };
            events.push(Event::Sync(file.clone()));
            if call.contains("<unfinished") {
                syncing.insert(thread, file);
            } else {
                events.push(Event::Synced(file));
            }
        } else if let Some(call) = call.strip_prefix("pwrite64(") {
            let Some(file) = file_of(call) else { continue };
            let (bytes, rest) = quoted(call);
            let place = rest
                .trim_start_matches([',', ' '])
                .split([',', ')', '<'])
                .nth(1)
                .unwrap()
                .trim();
            events.push(Event::Write(file, place.parse().unwrap(), bytes));
        } else if call.starts_with("write(2<") {
            let text = String::from_utf8_lossy(&quoted(call).0).into_owned();
            if text == "child: open\n" {
                // What the child did before is in the base.
                events.clear();
            }
            if let Some(number) = text.strip_prefix("child: safe ") {
                events.push(Event::Safe(number.trim().parse().unwrap()));
            }
        }
    }
    events
}

/// The bytes between quotation marks, and what follows.
fn quoted(call: &str) -> (Vec<u8>, &str) {
    let (_, text) = call.split_once('"').unwrap();
    let (hex, rest) = text.split_once('"').unwrap();
    (unhex(hex), rest)
}

fn unhex(text: &str) -> Vec<u8> {
    text.split("\\x")
        .skip(1)
        .map(|byte| u8::from_str_radix(byte, 16).unwrap())
        .collect()
}
