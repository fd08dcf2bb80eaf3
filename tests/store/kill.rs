//! A process of its own that writes, and is killed or watched.

use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use snug::store::archive::{Answer, Query, Request};
use snug::store::{Store, UserId};
use snug::xmpp::jid::BareJid;

use crate::{Dir, Random, contact, create, open, texts};

#[test]
fn what_was_committed_is_there_after_kill_9() {
    let dir = Dir::new("kill");
    let mut random = Random(0x1ced);
    let mut safe: i64 = -1;
    let mut reached: i64 = -1;
    let mut volumes = 0;
    for round in 0..20 {
        let mut program = Command::new(std::env::current_exe().unwrap());
        let mut child = as_child(&mut program, &dir.0, (reached + 1) as u64, u64::MAX)
            .spawn()
            .unwrap();
        let mut killer = None;
        let mut lines = Vec::new();
        for line in BufReader::new(child.stderr.take().unwrap())
            .lines()
            .map_while(Result::ok)
        {
            // Sometimes before anything is safe, mostly behind the first commit, which opens the archive too.
            let begins = match round % 4 {
                0 => "child: open",
                _ => "child: safe",
            };
            if killer.is_none() && line.starts_with(begins) {
                let after = Duration::from_micros(random.number() % 60_000);
                let process = rustix::process::Pid::from_child(&child);
                killer = Some(std::thread::spawn(move || {
                    std::thread::sleep(after);
                    rustix::process::kill_process(process, rustix::process::Signal::KILL).unwrap();
                }));
            }
            if let Some(number) = line.strip_prefix("child: safe ") {
                safe = number.parse().unwrap();
            }
            lines.push(line);
        }
        killer
            .unwrap_or_else(|| panic!("round {round}: {lines:#?}"))
            .join()
            .unwrap();
        assert!(!child.wait().unwrap().success());

        // Everything up to some number that is not before the last acknowledged one, and nothing after it. Only the removal of many may be half done.
        let store = dir.open();
        let found = state_of(&store);
        let from = safe.max(reached);
        // The archive is another database, with an end of its own.
        let archived = archived_in(&store);
        assert!(
            (from..from + 8).any(|last| archived == archived_after(last)),
            "round {round}: {safe} was safe, archived {archived:?}"
        );
        reached = (from..from + 8)
            .rev()
            .find(|last| fits(&found, *last))
            .unwrap_or_else(|| {
                panic!(
                    "round {round}: {safe} was safe, found {found:?}, expected {:?} and on",
                    state_after(from)
                )
            });
        // The next child goes on where `main/` ends, and leaves out what the archive has beyond that.
        let user = store.account("writer").unwrap().unwrap().id;
        for number in archived_after(reached).into_iter().skip(archived.len()) {
            archive(&store, user, number);
        }
        store.commit().unwrap();
        volumes = volumes.max(fs::read_dir(dir.file("archive")).unwrap().count());
    }
    assert!(safe > 100 && volumes > 2, "{safe}, {volumes}");
}

#[test]
fn a_commit_is_one_fdatasync_and_without_writes_there_is_none() {
    let dir = Dir::new("strace");
    fs::create_dir(&dir.0).unwrap();
    let trace = dir.file("trace");
    let data = dir.file("data");
    drop(open(&data));
    let mut strace = Command::new("strace");
    // Every call on files and descriptors, by every thread.
    strace
        .args(["-f", "-y", "-e", "trace=%desc,%file,sync", "-s", "64", "-o"])
        .arg(&trace)
        .arg(std::env::current_exe().unwrap());
    strace.env("SNUG_STORE_BASE", dir.file("base"));
    let Some(_) = say_not_run(as_child(&mut strace, &data, 0, 200).output()) else {
        return;
    };
    let trace = fs::read_to_string(&trace).unwrap();
    let at = |what: &str| {
        trace
            .lines()
            .position(|line| line.contains(&format!("\"child: {what}\\n\"")))
            .unwrap()
    };
    let lines: Vec<&str> = trace.lines().collect();

    let working = &lines[at("open")..at("idle")];
    let calls = |lines: &[&str], name: &str| {
        let is_call = |line: &&&str| line.contains(&format!(" {name}("));
        lines.iter().filter(is_call).count()
    };
    assert_eq!((calls(working, "fsync"), calls(working, "sync")), (0, 0));
    // Of each database that was written in, once; the archive's file is another one than that of `main/`.
    let (mut commits, mut both) = (0, 0);
    for group in working.split(|line| line.contains("\"child: safe ")) {
        let synced = |name: &str| {
            let is_of = |line: &&&str| line.contains(" fdatasync(") && line.contains(name);
            group.iter().filter(is_of).count()
        };
        let (main, archive) = (synced("/main/db>"), synced("/archive/1970-01/db>"));
        assert!(main <= 1 && archive <= 1, "{main}, {archive}");
        assert_eq!(main + archive, calls(group, "fdatasync"));
        assert!(calls(group, "pwrite64") >= main + archive);
        commits += usize::from(main + archive > 0);
        both += usize::from(main + archive == 2);
    }
    assert!(
        commits > 80 && both > 10 && both < commits / 2,
        "{commits}, {both}"
    );

    // Twenty commits of nothing in a second: only what the clock of a thread may need, nothing on a file.
    let idle: Vec<&&str> = lines[at("idle") + 1..at("end")]
        .iter()
        .filter(|line| !line.contains("+++"))
        .collect();
    assert!(idle.is_empty(), "{idle:#?}");
}

/// What the child does for a number: one call of the store each.
fn act(store: &Store, user: UserId, number: u64) {
    match number % 8 {
        0 => drop(create(store, &format!("user{number}"))),
        1 => store
            .put_roster_item(user, &contact(&format!("c{number}@chat.test")))
            .unwrap(),
        2 => archive(store, user, number),
        3 => {
            let mut account = store.account("writer").unwrap().unwrap();
            account.last_seen_ms = number;
            store.put_account(&account).unwrap();
        }
        4 => drop(
            store
                .delete_account(&format!("user{}", number - 4))
                .unwrap(),
        ),
        5 => drop(
            store
                .remove_roster_item(
                    user,
                    &BareJid::parse(&format!("c{}@chat.test", number - 4)).unwrap(),
                )
                .unwrap(),
        ),
        6 if number % 64 == 6 => {
            let waiting = store.offline(user).unwrap();
            if let Some((upto, _, _)) = waiting.iter().rfind(|(_, ms, _)| *ms <= number / 2) {
                store.remove_offline(user, *upto).unwrap();
            }
        }
        kind => drop(
            store
                .push_offline(user, number, &message(number, kind == 7))
                .unwrap(),
        ),
    }
}

/// Archives the row of a number; a few of them in a volume of their own.
fn archive(store: &Store, user: UserId, number: u64) {
    let tag = number.to_be_bytes();
    store
        .archive(user, number, tag, "friend@chat.test/x", |out| {
            out.extend_from_slice(message(number, number % 32 == 10).as_bytes())
        })
        .unwrap();
}

/// The numbers of the rows that are archived after all numbers up to `last`.
pub fn archived_after(last: i64) -> Vec<u64> {
    (0..=last)
        .map(|number| number as u64)
        .filter(|number| number % 8 == 2)
        .collect()
}

/// The numbers of the rows that are archived, which are whole, and found with their contact too.
pub fn archived_in(store: &Store) -> Vec<u64> {
    let user = store.account("writer").unwrap().unwrap().id;
    let mut reader = store.archive_reader();
    let mut page = |with: Option<&str>| {
        let mut query = Query::of(user);
        query.with = with.map(str::to_owned);
        match reader.answer(Request::Page(query)).unwrap() {
            Answer::Page { rows, .. } => rows,
            other => panic!("{other:?}"),
        }
    };
    let rows = page(None);
    assert_eq!(page(Some("friend@chat.test")), rows);
    rows.iter()
        .map(|row| {
            let number = number_of(&row.xml);
            assert_eq!(row.xml, message(number, number % 32 == 10));
            assert_eq!(row.id.tag, number.to_be_bytes());
            number
        })
        .collect()
}

fn message(number: u64, long: bool) -> String {
    format!(
        "<m n='{number}'>{}</m>",
        "x".repeat(if long { 13_000 } else { 30 })
    )
}

/// What is there after all numbers up to `last`: accounts, contacts, the number in the writer's record, waiting messages.
pub type State = (Vec<String>, Vec<String>, u64, Vec<String>);

pub fn state_after(last: i64) -> State {
    let mut state = State::default();
    for number in 0..=last {
        let number = number as u64;
        match number % 8 {
            0 => state.0.push(format!("user{number}")),
            1 => state.1.push(format!("c{number}@chat.test")),
            3 => state.2 = number,
            4 => state.0.clear(),
            5 => state.1.clear(),
            2 => {}
            6 if number % 64 == 6 => state.3.retain(|xml| number_of(xml) > number / 2),
            kind => state.3.push(message(number, kind == 7)),
        }
    }
    state
}

pub fn number_of(xml: &str) -> u64 {
    xml.split('\'').nth(1).unwrap().parse().unwrap()
}

/// Whether this is what is there after all numbers up to `last`, or that and a beginning of a removal of many, which no single write can be.
pub fn fits(found: &State, last: i64) -> bool {
    let before = state_after(last);
    if *found == before {
        return true;
    }
    let after = state_after(last + 1);
    (last + 1) % 64 == 6
        && (&found.0, &found.1, found.2) == (&before.0, &before.1, before.2)
        && before.3.ends_with(&found.3)
        && found.3.ends_with(&after.3)
}

pub fn state_of(store: &Store) -> State {
    let accounts = store.accounts().unwrap();
    let writer = accounts
        .iter()
        .find(|account| account.name == "writer")
        .unwrap();
    let names = accounts
        .iter()
        .filter(|account| account.id != writer.id)
        .map(|account| account.name.clone());
    let contacts = store
        .roster(writer.id)
        .unwrap()
        .into_iter()
        .map(|item| item.jid.to_string());
    let waiting = texts(store, writer.id);
    assert_eq!(
        store.offline_count(writer.id).unwrap(),
        waiting.len() as u64
    );
    (
        names.collect(),
        contacts.collect(),
        writer.last_seen_ms,
        waiting,
    )
}

/// Not a test: what runs in a process of its own for the two below.
#[test]
#[ignore = "run by other tests"]
fn child() {
    let Some(dir) = std::env::var_os("SNUG_STORE_CHILD") else {
        return;
    };
    let number = |name: &str| std::env::var(name).unwrap().parse::<u64>().unwrap();
    let store = open(Path::new(&dir));
    let user = store
        .account("writer")
        .unwrap()
        .map_or_else(|| create(&store, "writer"), |account| account.id);
    // The first row makes the first volume.
    let begun = archived_in(&store);
    if begun.is_empty() {
        archive(&store, user, 2);
    }
    let archived = begun.last().copied().unwrap_or(2);
    let rolls = std::env::var_os("SNUG_STORE_BASE").is_none();
    let mut reader = store.archive_reader();
    let mut dirty = false;
    store.commit().unwrap();
    if let Some(base) = std::env::var_os("SNUG_STORE_BASE") {
        assert!(
            Command::new("cp")
                .arg("-a")
                .arg(&dir)
                .arg(base)
                .status()
                .unwrap()
                .success()
        );
    }
    say("open");
    for number in number("SNUG_STORE_FIRST")..number("SNUG_STORE_LAST") {
        let acts = number % 8 != 2 || number > archived;
        if acts {
            act(&store, user, number);
        }
        if rolls && number % 32 == 5 {
            reader.answer(Request::Roll { at_ms: number }).unwrap();
        }
        dirty |= acts;
        // Groups of different sizes.
        if number % 7 < 3 {
            assert_eq!(store.commit().unwrap().wrote, dirty);
            dirty = false;
            say(&format!("safe {number}"));
        }
    }
    store.commit().unwrap();
    say("idle");
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(50));
        assert!(!store.commit().unwrap().wrote);
    }
    say("end");
    std::process::exit(0);
}

/// A line that is in the pipe when this returns: one system call, so that it can be found in a trace, too.
fn say(line: &str) {
    std::io::stderr()
        .write_all(format!("child: {line}\n").as_bytes())
        .unwrap();
}

/// What strace has come back with, or a loud word that there is nothing.
pub fn say_not_run(output: io::Result<Output>) -> Option<Output> {
    let output = match output {
        Ok(output) => output,
        Err(error) => {
            eprintln!("NOT RUN: strace: {error}: install strace to see what is written and synced");
            return None;
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() && said.contains("ptrace") {
        eprintln!("NOT RUN: strace may not trace here: {said}");
        return None;
    }
    assert!(output.status.success(), "{said}");
    Some(output)
}

/// The child's environment and arguments.
pub fn as_child<'a>(
    command: &'a mut Command,
    dir: &Path,
    first: u64,
    last: u64,
) -> &'a mut Command {
    command
        .env("SNUG_STORE_CHILD", dir)
        .env("SNUG_STORE_FIRST", first.to_string())
        .env("SNUG_STORE_LAST", last.to_string())
        .args(["--exact", "kill::child", "--ignored", "--nocapture"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
}
