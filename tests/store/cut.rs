//! Power cuts: what the disk may hold at any moment, put together from a trace of what was written and what was synced.
//!
//! A disk keeps what `fdatasync` has returned for, and of what was written since then any part: each page of 4 KiB on its own, in any combination.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use snug::store::Store;

use crate::kill::{as_child, fits, say_not_run, state_of};
use crate::{Dir, Random};

/// One line of the trace that matters.
enum Event {
    /// The file, the place, the bytes.
    Write(String, u64, Vec<u8>),
    /// `fdatasync` was called, and covers what was written before.
    Sync,
    /// It has returned.
    Synced,
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
    let events = read_trace(&fs::read_to_string(&trace).unwrap());
    let syncs = events
        .iter()
        .filter(|event| matches!(event, Event::Synced))
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
fn put_together(base: &Path, image: &Path, events: &[Event], synced: bool, random: &mut Random) {
    let copied = Command::new("cp")
        .arg("-a")
        .arg(base)
        .arg(image)
        .status()
        .unwrap();
    assert!(copied.success());
    // Everything before the call of the last fdatasync that has returned.
    let returned = events
        .iter()
        .rposition(|event| matches!(event, Event::Synced))
        .unwrap_or(0);
    let kept = events[..returned]
        .iter()
        .rposition(|event| matches!(event, Event::Sync))
        .unwrap_or(0);
    for (number, event) in events.iter().enumerate() {
        let Event::Write(name, place, bytes) = event else {
            continue;
        };
        let file = fs::OpenOptions::new()
            .write(true)
            .open(image.join("main").join(name))
            .unwrap();
        let whole = synced && number < kept && name == "db";
        let mut place = *place;
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            let (page, rest) = bytes.split_at(bytes.len().min(4096 - (place % 4096) as usize));
            if whole || random.number() & 8 == 0 {
                file.write_all_at(page, place).unwrap();
            }
            place += page.len() as u64;
            bytes = rest;
        }
    }
}

fn read_trace(trace: &str) -> Vec<Event> {
    let mut events = Vec::new();
    for line in trace.lines() {
        let Some((_, call)) = line.split_once(' ') else {
            continue;
        };
        let call = call.trim_start();
        if call.starts_with("<... fdatasync resumed>") {
            events.push(Event::Synced);
        } else if call.starts_with("fdatasync(") {
            events.push(Event::Sync);
            if !call.contains("<unfinished") {
                events.push(Event::Synced);
            }
        } else if let Some(call) = call.strip_prefix("pwrite64(") {
            let path = &call[call.find('<').unwrap() + 1..call.find('>').unwrap()];
            let (bytes, rest) = quoted(call);
            let place = rest
                .trim_start_matches([',', ' '])
                .split([',', ')', '<'])
                .nth(1)
                .unwrap()
                .trim();
            let path = String::from_utf8(unhex(path)).unwrap();
            let name = path.rsplit('/').next().unwrap().to_owned();
            events.push(Event::Write(name, place.parse().unwrap(), bytes));
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
