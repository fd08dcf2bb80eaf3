//! A disk and what was written to it since the last sync: what may be there after the power was cut.
//!
//! The model is a journaling file system with ordered data (ext4's default), at its worst:
//! - What a file held when its `fsync` or `fdatasync` was called is there once that call has returned. `sync_file_range` promises nothing.
//! - Of what was written since then each page of 4 KiB, or each sector of 512 B where the device itself was interrupted, has any of the states that it went
//!   through, independent of the others: writes may be missing wholly, partly, or in any subset. What is missing before something that is there reads as zeros.
//! - A file that was cut short is so or is not; if not, nothing is there of what was written after it was cut.
//! - Names (creations, removals, renames) are there once an `fsync` of their directory has returned; else any beginning of their sequence is. A rename is done or
//!   not done, never half. The sync of a file promises nothing about its name.
#![allow(dead_code)] // each test binary uses a part of it

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

/// A disk under one directory.
#[derive(Clone)]
pub struct Disk {
    nodes: Vec<Node>,
}

/// A file or a directory of a [`Disk`], also when it has lost its name.
pub type Id = usize;

/// The directory that the disk is.
pub const ROOT: Id = 0;

/// A moment of one file or directory: everything before it is kept once [`Disk::synced`] was given it.
#[derive(Clone, Copy)]
pub struct Mark(u64);

/// What a cut has left out and kept of what was not synced.
#[derive(Clone, Copy, Debug, Default)]
pub struct Loss {
    /// Bytes that are not there, or are older than they were.
    pub bytes_lost: u64,
    /// Bytes that were not synced and are there.
    pub bytes_kept: u64,
    /// Creations, removals and renames that were undone.
    pub names_lost: u64,
    /// Those that were not synced and are there.
    pub names_kept: u64,
}

#[derive(Clone)]
enum Node {
    File(Content),
    Directory(Names),
}

#[derive(Clone, Default)]
struct Content {
    synced: Vec<u8>,
    since: Vec<Change>,
    /// Changes that were synced: what [`Mark`] counts from.
    count: u64,
}

#[derive(Clone)]
enum Change {
    Write { at: u64, bytes: Vec<u8> },
    Length(u64),
}

#[derive(Clone, Default)]
struct Names {
    synced: BTreeMap<String, Id>,
    since: Vec<Naming>,
    count: u64,
}

#[derive(Clone)]
enum Naming {
    Enter(String, Id),
    Leave(String),
    Rename(String, String),
}

impl Loss {
    /// Counts both.
    pub fn add(&mut self, other: &Loss) {
        self.bytes_lost += other.bytes_lost;
        self.bytes_kept += other.bytes_kept;
        self.names_lost += other.names_lost;
        self.names_kept += other.names_kept;
    }
}

impl Disk {
    /// With nothing on it.
    pub fn empty() -> Disk {
        Disk {
            nodes: vec![Node::Directory(Names::default())],
        }
    }

    /// What a directory holds now, all of it synced; sockets are left out.
    pub fn read(path: &Path) -> Disk {
        let mut disk = Disk::empty();
        disk.read_into(ROOT, path);
        disk
    }

    fn read_into(&mut self, directory: Id, path: &Path) {
        for entry in fs::read_dir(path).expect("a directory that was made") {
            let entry = entry.expect("an entry");
            let (name, kind) = (name_of(&entry.path()), entry.file_type().expect("a type"));
            let node = if kind.is_dir() {
                Node::Directory(Names::default())
            } else if kind.is_file() {
                Node::File(Content {
                    synced: fs::read(entry.path()).expect("a file that can be read"),
                    ..Content::default()
                })
            } else {
                assert!(kind.is_socket(), "{}", entry.path().display());
                continue;
            };
            let id = self.add(node);
            self.names(directory).synced.insert(name, id);
            if kind.is_dir() {
                self.read_into(id, &entry.path());
            }
        }
    }

    /// Makes `path`, which must not be there, into this disk with everything that was written. Every inode number and what it is.
    pub fn write_to(&self, path: &Path) -> HashMap<u64, Id> {
        let mut inodes = HashMap::new();
        self.write_from(ROOT, path, &mut inodes);
        inodes
    }

    fn write_from(&self, id: Id, path: &Path, inodes: &mut HashMap<u64, Id>) {
        match &self.nodes[id] {
            Node::File(content) => {
                let mut options = fs::OpenOptions::new();
                options.write(true).create_new(true).mode(0o600);
                let mut file = options.open(path).expect("a new file");
                std::io::Write::write_all(&mut file, &content.now()).expect("room for it");
            }
            Node::Directory(names) => {
                let made = fs::DirBuilder::new().mode(0o700).create(path);
                made.expect("a new directory");
                for (name, id) in names.now() {
                    self.write_from(id, &path.join(name), inodes);
                }
            }
        }
        inodes.insert(fs::metadata(path).expect("it was made").ino(), id);
    }

    /// What has this path, its parts joined by `/`, now.
    pub fn find(&self, path: &str) -> Option<Id> {
        path.split('/')
            .filter(|part| !part.is_empty())
            .try_fold(ROOT, |id, name| match &self.nodes[id] {
                Node::Directory(names) => names.now().get(name).copied(),
                Node::File(_) => None,
            })
    }

    /// Makes an empty file.
    pub fn make_file(&mut self, directory: Id, name: &str) -> Id {
        self.enter(directory, name, Node::File(Content::default()))
    }

    /// Makes an empty directory.
    pub fn make_directory(&mut self, directory: Id, name: &str) -> Id {
        self.enter(directory, name, Node::Directory(Names::default()))
    }

    fn enter(&mut self, directory: Id, name: &str, node: Node) -> Id {
        let id = self.add(node);
        let entered = Naming::Enter(name.to_owned(), id);
        self.names(directory).since.push(entered);
        id
    }

    /// Takes the name of a file or directory away.
    pub fn remove(&mut self, directory: Id, name: &str) {
        let left = Naming::Leave(name.to_owned());
        self.names(directory).since.push(left);
    }

    /// Gives what has one name another, in the same directory; what had that is gone.
    pub fn rename(&mut self, directory: Id, from: &str, to: &str) {
        let renamed = Naming::Rename(from.to_owned(), to.to_owned());
        self.names(directory).since.push(renamed);
    }

    /// Writes into a file.
    pub fn write(&mut self, file: Id, at: u64, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.content(file).since.push(Change::Write { at, bytes });
    }

    /// Makes a file longer or shorter.
    pub fn set_length(&mut self, file: Id, length: u64) {
        self.content(file).since.push(Change::Length(length));
    }

    /// The length of a file now.
    pub fn length(&self, file: Id) -> u64 {
        match &self.nodes[file] {
            Node::File(content) => content.length(),
            Node::Directory(_) => panic!("a directory has no length"),
        }
    }

    /// The moment of this file or directory: what a sync that is called now will cover.
    pub fn mark(&self, id: Id) -> Mark {
        Mark(match &self.nodes[id] {
            Node::File(content) => content.count + content.since.len() as u64,
            Node::Directory(names) => names.count + names.since.len() as u64,
        })
    }

    /// A sync that was called at this moment has returned.
    pub fn synced(&mut self, id: Id, mark: Mark) {
        match &mut self.nodes[id] {
            Node::File(content) => {
                let changes = mark.0.saturating_sub(content.count) as usize;
                for change in content.since.drain(..changes) {
                    change.apply(&mut content.synced);
                }
                content.count += changes as u64;
            }
            Node::Directory(names) => {
                let changes = mark.0.saturating_sub(names.count) as usize;
                for naming in names.since.drain(..changes) {
                    naming.apply(&mut names.synced);
                }
                names.count += changes as u64;
            }
        }
    }

    /// What may be there when the power is cut now. `below` gives random numbers below its argument.
    pub fn after_cut(&self, below: &mut impl FnMut(u64) -> u64) -> (Disk, Loss) {
        let mut loss = Loss::default();
        let nodes = self.nodes.iter().map(|node| match node {
            Node::File(content) => Node::File(Content {
                synced: content.after_cut(below, &mut loss),
                ..Content::default()
            }),
            Node::Directory(names) => Node::Directory(Names {
                synced: names.after_cut(below, &mut loss),
                ..Names::default()
            }),
        });
        let disk = Disk {
            nodes: nodes.collect(),
        };
        (disk, loss)
    }

    /// The first place where another disk holds something else now; `but` are names that are not compared.
    pub fn difference(&self, other: &Disk, but: &[&str]) -> Option<String> {
        differ((self, Some(ROOT)), (other, Some(ROOT)), "", but)
    }

    /// Takes it all and leaves an empty disk.
    pub fn take(&mut self) -> Disk {
        std::mem::replace(self, Disk::empty())
    }

    fn add(&mut self, node: Node) -> Id {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn names(&mut self, id: Id) -> &mut Names {
        match &mut self.nodes[id] {
            Node::Directory(names) => names,
            Node::File(_) => panic!("a file holds no names"),
        }
    }

    fn content(&mut self, id: Id) -> &mut Content {
        match &mut self.nodes[id] {
            Node::File(content) => content,
            Node::Directory(_) => panic!("a directory holds no bytes"),
        }
    }
}

impl Content {
    fn now(&self) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        self.since
            .iter()
            .for_each(|change| change.apply(&mut bytes));
        bytes
    }

    fn length(&self) -> u64 {
        let mut length = self.synced.len() as u64;
        for change in &self.since {
            match change {
                Change::Write { at, bytes } => length = length.max(at + bytes.len() as u64),
                Change::Length(new) => length = *new,
            }
        }
        length
    }

    fn after_cut(&self, below: &mut impl FnMut(u64) -> u64, loss: &mut Loss) -> Vec<u8> {
        let changes = self.since.len();
        let manner = below(8);
        let unit = if below(2) == 0 { 512 } else { 4096 };
        // The last state of all units that may be there: of what follows a shortening that is not there, nothing is.
        let mut bound = changes;
        // How many of the changes each unit has seen.
        let mut seen: HashMap<u64, usize> = HashMap::new();
        let common = below(changes as u64 + 1) as usize;
        let mut seen_by = |unit: u64, below: &mut dyn FnMut(u64) -> u64| {
            *seen.entry(unit).or_insert_with(|| match manner {
                0 => 0,
                1 => changes,
                // A beginning of all that was written.
                2 => common,
                // Nearly everything: holes.
                3 | 4 if below(8) > 0 => changes,
                _ => below(changes as u64 + 1) as usize,
            })
        };
        let mut bytes = self.synced.clone();
        for (number, change) in self.since.iter().enumerate() {
            match change {
                Change::Write { at, bytes: written } => {
                    let (mut at, mut rest) = (*at, &written[..]);
                    while !rest.is_empty() {
                        let room = (unit - at % unit) as usize;
                        let (part, next) = rest.split_at(rest.len().min(room));
                        if number < bound && number < seen_by(at / unit, below) {
                            put(&mut bytes, at, part);
                            loss.bytes_kept += part.len() as u64;
                        } else {
                            loss.bytes_lost += part.len() as u64;
                        }
                        at += part.len() as u64;
                        rest = next;
                    }
                }
                Change::Length(length) if number < bound => {
                    let kept = match manner {
                        0 => false,
                        1 => true,
                        _ => below(2) == 0,
                    };
                    if kept {
                        bytes.resize(*length as usize, 0);
                    } else if *length < bytes.len() as u64 {
                        bound = number;
                    }
                }
                Change::Length(_) => {}
            }
        }
        // The length may be ahead of what was written: zeros.
        if bound == changes && manner > 1 && below(4) == 0 {
            bytes.resize(bytes.len().max(self.length() as usize), 0);
        }
        bytes
    }
}

impl Change {
    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Change::Write { at, bytes } => put(content, *at, bytes),
            Change::Length(length) => content.resize(*length as usize, 0),
        }
    }
}

impl Names {
    fn now(&self) -> BTreeMap<String, Id> {
        let mut names = self.synced.clone();
        self.since
            .iter()
            .for_each(|naming| naming.apply(&mut names));
        names
    }

    fn after_cut(
        &self,
        below: &mut impl FnMut(u64) -> u64,
        loss: &mut Loss,
    ) -> BTreeMap<String, Id> {
        let kept = match below(4) {
            0 => 0,
            1 => self.since.len(),
            _ => below(self.since.len() as u64 + 1) as usize,
        };
        loss.names_kept += kept as u64;
        loss.names_lost += (self.since.len() - kept) as u64;
        let mut names = self.synced.clone();
        for naming in &self.since[..kept] {
            naming.apply(&mut names);
        }
        names
    }
}

impl Naming {
    fn apply(&self, names: &mut BTreeMap<String, Id>) {
        match self {
            Naming::Enter(name, id) => drop(names.insert(name.clone(), *id)),
            Naming::Leave(name) => drop(names.remove(name)),
            Naming::Rename(from, to) => {
                if let Some(id) = names.remove(from) {
                    names.insert(to.clone(), id);
                }
            }
        }
    }
}

fn put(content: &mut Vec<u8>, at: u64, bytes: &[u8]) {
    let (at, end) = (at as usize, at as usize + bytes.len());
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(bytes);
}

/// A disk, and what stands at one path on it.
type Place<'a> = (&'a Disk, Option<Id>);

/// The names in the directory there, if it is one.
fn names_at((disk, id): Place) -> Option<BTreeMap<String, Id>> {
    match &disk.nodes[id?] {
        Node::Directory(names) => Some(names.now()),
        Node::File(_) => None,
    }
}

/// The bytes of the file there, if it is one.
fn bytes_at((disk, id): Place) -> Option<Vec<u8>> {
    match &disk.nodes[id?] {
        Node::File(content) => Some(content.now()),
        Node::Directory(_) => None,
    }
}

/// Where two disks differ, in and under this path.
fn differ(one: Place, other: Place, path: &str, but: &[&str]) -> Option<String> {
    if let (Some(names), Some(others)) = (names_at(one), names_at(other)) {
        let every: BTreeSet<&String> = names.keys().chain(others.keys()).collect();
        let mut every = every
            .into_iter()
            .filter(|name| !but.contains(&name.as_str()));
        return every.find_map(|name| {
            let one = (one.0, names.get(name).copied());
            let other = (other.0, others.get(name).copied());
            differ(one, other, &format!("{path}/{name}"), but)
        });
    }
    let (Some(bytes), Some(others)) = (bytes_at(one), bytes_at(other)) else {
        return Some(format!("{path}: of another kind, or only here or there"));
    };
    if bytes.len() != others.len() {
        return Some(format!(
            "{path}: {} bytes, not {}",
            others.len(),
            bytes.len()
        ));
    }
    let at = bytes
        .iter()
        .zip(&others)
        .position(|(byte, other)| byte != other);
    at.map(|at| format!("{path}: another byte at {at}"))
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .and_then(|name| name.to_str())
        .expect("a name in UTF-8")
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Makes a disk, cuts its power a thousand times and gives every state that a file was in; `None`: it was not there.
    fn states(make: impl FnOnce(&mut Disk), path: &str) -> BTreeSet<Option<Vec<u8>>> {
        let mut disk = Disk::empty();
        make(&mut disk);
        let mut seed = 7_u64;
        let mut below = |bound: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % bound
        };
        let cuts = (0..1000).map(|_| {
            let (image, _) = disk.after_cut(&mut below);
            bytes_at((&image, image.find(path)))
        });
        cuts.collect()
    }

    #[test]
    fn what_was_synced_stays_and_the_rest_is_there_in_any_part() {
        let state = |first: u8, second: u8| Some([[first; 512], [second; 512]].concat());
        let make = |disk: &mut Disk| {
            let file = disk.make_file(ROOT, "file");
            disk.write(file, 0, &[1; 1024]);
            let (name, mark) = (disk.mark(ROOT), disk.mark(file));
            // Written while the sync is under way: not promised.
            disk.write(file, 512, &[2; 512]);
            disk.synced(ROOT, name);
            disk.synced(file, mark);
            disk.write(file, 0, &[3; 512]);
        };
        let all = [state(1, 1), state(1, 2), state(3, 1), state(3, 2)];
        assert_eq!(states(make, "file"), BTreeSet::from(all));
    }

    #[test]
    fn a_name_is_safe_with_its_directory_and_a_rename_is_never_half() {
        let make = |disk: &mut Disk| {
            let old = disk.make_file(ROOT, "file");
            disk.write(old, 0, b"old");
            let (name, mark) = (disk.mark(ROOT), disk.mark(old));
            disk.synced(ROOT, name);
            disk.synced(old, mark);
            let new = disk.make_file(ROOT, "new");
            disk.write(new, 0, b"new");
            let mark = disk.mark(new);
            disk.synced(new, mark);
            disk.rename(ROOT, "new", "file");
        };
        let all = [Some(b"old".to_vec()), Some(b"new".to_vec())];
        assert_eq!(states(make, "file"), BTreeSet::from(all));
        // Without the sync of the file a name may have nothing behind it.
        let make = |disk: &mut Disk| {
            let new = disk.make_file(ROOT, "new");
            disk.write(new, 0, b"new");
            disk.rename(ROOT, "new", "file");
            let name = disk.mark(ROOT);
            disk.synced(ROOT, name);
        };
        let all = [Some(vec![]), Some(vec![0; 3]), Some(b"new".to_vec())];
        assert_eq!(states(make, "file"), BTreeSet::from(all));
    }

    #[test]
    fn nothing_survives_that_was_written_after_a_shortening_that_did_not() {
        let make = |disk: &mut Disk| {
            let file = disk.make_file(ROOT, "file");
            disk.write(file, 0, b"long");
            let (name, mark) = (disk.mark(ROOT), disk.mark(file));
            disk.synced(ROOT, name);
            disk.synced(file, mark);
            disk.set_length(file, 0);
            disk.write(file, 0, b"new");
        };
        let all = [&b"long"[..], b"", b"new", b"\0\0\0"].map(|state| Some(state.to_vec()));
        assert_eq!(states(make, "file"), BTreeSet::from(all));
    }
}
