//! What the seam (`seam.rs`) has noted of one server, put on the disk that it began with.

use crate::entry::{DONE, GROW, LENGTH, MAKE_DIRECTORY, OPEN, REMOVE, RENAME, SYNC, SYNCED, WRITE};
use crate::unsynced::{Disk, Id, Mark, ROOT};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

/// Reads a journal onto a disk.
pub struct Replay {
    /// The disk, with what is not synced.
    pub disk: Disk,
    /// What has which inode.
    pub inodes: HashMap<u64, Id>,
    /// Syncs that have returned.
    pub syncs: u64,
    root: PathBuf,
    /// The call that was being made when the journal ended, if one was.
    unfinished: Option<Unfinished>,
    /// Syncs that have not returned, by their number.
    syncing: BTreeMap<u64, Option<(Id, Mark)>>,
}

/// A call that did not return.
struct Unfinished {
    before: Disk,
    /// What it was writing; nothing, if it was no write.
    file: Id,
    at: u64,
    bytes: Vec<u8>,
}

/// One entry: see `entry.rs`.
struct Entry<'a> {
    kind: u32,
    numbers: [u64; 3],
    payload: &'a [u8],
}

impl Replay {
    /// What was noted by a server that began with this disk under `root`, where its files had these inodes.
    pub fn new(journal: &[u8], root: &Path, disk: Disk, inodes: HashMap<u64, Id>) -> Replay {
        let mut replay = Replay {
            disk,
            inodes,
            syncs: 0,
            root: root.to_path_buf(),
            unfinished: None,
            syncing: BTreeMap::new(),
        };
        let mut rest = journal;
        let mut call = None;
        while let Some(entry) = next(&mut rest) {
            match (entry.kind, call.take()) {
                (DONE, Some(call)) => replay.call(&call, Some(&entry)),
                (SYNC, before) => {
                    let file = replay.inodes.get(&entry.numbers[1]).copied();
                    let sync = file.map(|id| (id, replay.disk.mark(id)));
                    replay.syncing.insert(entry.numbers[0], sync);
                    call = before;
                }
                (SYNCED, before) => {
                    let sync = replay.syncing.remove(&entry.numbers[0]);
                    if let Some((id, mark)) = sync.expect("it was called before it returned") {
                        replay.disk.synced(id, mark);
                        replay.syncs += 1;
                    }
                    call = before;
                }
                (_, None) => call = Some(entry),
                (kind, Some(_)) => panic!("the journal has a call {kind} within another"),
            }
        }
        if let Some(call) = call {
            let [inode, at, _] = call.numbers;
            let file = replay.inodes.get(&inode).filter(|_| call.kind == WRITE);
            replay.unfinished = Some(Unfinished {
                before: replay.disk.clone(),
                file: file.copied().unwrap_or(ROOT),
                at,
                bytes: file.map_or(Vec::new(), |_| call.payload.to_vec()),
            });
            replay.call(&call, None);
        }
        replay
    }

    /// Compares the disk with what the server has left, and takes of the call that was being made what is there. An error is the place of a difference;
    /// `but` are names that are not compared.
    pub fn compare(&mut self, left: &Disk, but: &[&str]) -> Result<(), String> {
        let Some(different) = self.disk.difference(left, but) else {
            return Ok(());
        };
        let Some(call) = self.unfinished.take() else {
            return Err(different);
        };
        // It was not even begun; or a write that was interrupted has come to the end of some page.
        let ends =
            (1..call.bytes.len()).filter(|done| (call.at as usize + done).is_multiple_of(4096));
        for done in [0].into_iter().chain(ends) {
            let mut disk = call.before.clone();
            if done > 0 {
                disk.write(call.file, call.at, &call.bytes[..done]);
            }
            if disk.difference(left, but).is_none() {
                self.disk = disk;
                return Ok(());
            }
        }
        Err(different)
    }

    /// Does what a call has done; where it did not return, what it would have.
    fn call(&mut self, call: &Entry, done: Option<&Entry>) {
        let result = done.map_or(0, |done| done.numbers[0] as i64);
        let inode = done.map(|done| done.numbers[1]);
        if result < 0 {
            return;
        }
        let [first, second, _] = call.numbers;
        match call.kind {
            // Files that are not on this disk: the journal notes all.
            WRITE | LENGTH | GROW if !self.inodes.contains_key(&first) => {}
            WRITE => {
                let written = done.map_or(call.payload.len(), |_| result as usize);
                self.disk
                    .write(self.inodes[&first], second, &call.payload[..written]);
            }
            LENGTH => self.disk.set_length(self.inodes[&first], second),
            GROW => {
                let (file, length) = (self.inodes[&first], second);
                if self.disk.length(file) < length {
                    self.disk.set_length(file, length);
                }
            }
            OPEN => {
                let Some(path) = self.within(call.payload) else {
                    return;
                };
                match self.disk.find(&path) {
                    Some(file) if second == 1 => self.disk.set_length(file, 0),
                    Some(_) => {}
                    None => self.enter(&path, inode, Disk::make_file),
                }
            }
            MAKE_DIRECTORY => {
                if let Some(path) = self.within(call.payload) {
                    self.enter(&path, inode, Disk::make_directory);
                }
            }
            REMOVE => {
                if let Some(path) = self.within(call.payload) {
                    let (directory, name) = self.place(&path);
                    self.disk.remove(directory, name);
                }
            }
            RENAME => self.rename(call.payload),
            kind => panic!("the journal has a call {kind}"),
        }
    }

    fn enter(
        &mut self,
        path: &str,
        inode: Option<u64>,
        make: impl FnOnce(&mut Disk, Id, &str) -> Id,
    ) {
        let (directory, name) = self.place(path);
        let id = make(&mut self.disk, directory, name);
        if let Some(inode) = inode {
            self.inodes.insert(inode, id);
        }
    }

    fn rename(&mut self, paths: &[u8]) {
        let cut = paths.iter().position(|byte| *byte == 0);
        let (from, to) = paths.split_at(cut.expect("two paths"));
        let (from, to) = (self.within(from), self.within(&to[1..]));
        // A socket is not on the disk.
        let Some(from) = from.filter(|path| self.disk.find(path).is_some()) else {
            return;
        };
        let to = to.unwrap_or_else(|| panic!("{from} leaves the data directory"));
        let ((directory, from), (other, to)) = (self.place(&from), self.place(&to));
        assert_eq!(
            directory, other,
            "{from} goes to another directory: the model of the disk (tests/common/unsynced.rs) has no renames between directories"
        );
        self.disk.rename(directory, from, to);
    }

    /// The path below the disk's directory; `None`: it is not on this disk.
    fn within(&self, path: &[u8]) -> Option<String> {
        let path = Path::new(std::str::from_utf8(path).expect("a path in UTF-8"));
        let path = path.strip_prefix(&self.root).ok()?;
        Some(path.to_str().expect("a path in UTF-8").to_owned())
    }

    fn place<'a>(&self, path: &'a str) -> (Id, &'a str) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let directory = self.disk.find(parent);
        (
            directory.unwrap_or_else(|| panic!("{parent:?} is not there for {name:?}")),
            name,
        )
    }
}

/// The first entry; `None` at the end, or where the writer was stopped within one.
fn next<'a>(journal: &mut &'a [u8]) -> Option<Entry<'a>> {
    let (head, rest) = journal.split_at_checked(32)?;
    let word = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().expect("4 bytes"));
    let number = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().expect("8 bytes"));
    let (payload, rest) = rest.split_at_checked(word(4) as usize)?;
    *journal = rest;
    Some(Entry {
        kind: word(0),
        numbers: [number(8), number(16), number(24)],
        payload,
    })
}
