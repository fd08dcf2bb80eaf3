//! Backups of a database: one file, read back before it counts, and the one before it is kept.
//!
//! `backup/main.dump`: the line `snug backup`, the head (schema, generation), one entry for each record (tree, key, value), an empty entry, the number of
//! entries, the SHA-256 of the entries, and the SHA-256 of the head and that. Lengths are u32, entries are records of `record.rs`.
//!
//! A backup is not one moment: the engine goes on while it is written. Each record is whole, and what one record says of another is put right when the
//! backup is restored: data of users who are not in it is left out, and ids that may have been given since are never given again.
//!
//! The generation is a number that stands in the database and in its backup. A database with a lower one than its backup has lost its end, which sled takes
//! for a torn write and does not tell: the backup is then the newer of the two.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use ring::digest::{Context, SHA256};

use super::account;
use super::database::Database;
use super::error::StoreError;
use super::files::{beside, create_private_dir, parent, sync_dir};
use super::keys::{
    ACCOUNTS, MAIN, MAIN_TREES, META, META_GENERATION, META_NEXT_USER, ROOMS, SCHEMA,
    TREES_OF_A_ROOM, TREES_OF_A_USER, Tree,
};
use super::record::{RecordReader, RecordWriter};
use super::rooms::records;
use super::space::Space;
use super::upgrade;
use crate::limits::{DISK_FREE_BYTES_LOW, STORE_RECORD_BYTES, USER_IDS_LEFT_FREE_AFTER_RESTORE};

/// What [`super::Committer::backup`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Backup {
    /// The last backup has the same records: nothing was written.
    Unchanged,
    /// Written, read back and found right.
    Written { records: u64, bytes: u64 },
}

/// What is known of a backup that was read from its beginning to its end and found right.
pub(super) struct Verified {
    pub schema: u32,
    pub generation: u64,
    digest: [u8; 32],
    records: u64,
}

const FIRST_LINE: &[u8] = b"snug backup\n";
/// Version of the head and of the entries.
const VERSION: u8 = 1;
/// Bytes of an entry: a record, its key, the name of its tree, and room for their lengths.
const ENTRY_BYTES: u32 = STORE_RECORD_BYTES as u32 + 1024;

/// The path of the last backup of a database.
pub(super) fn path_of(database: &Path) -> PathBuf {
    let name = database.file_name().unwrap_or_default();
    beside(&parent(database).join("backup").join(name), "dump")
}

/// The path of the backup before the last.
pub(super) fn previous(dump: &Path) -> PathBuf {
    beside(dump, "previous")
}

/// Writes a backup of `main/` if its records differ from those in the last one.
pub(super) fn write(main: &Database, space: &Space) -> Result<Backup, StoreError> {
    let dump = path_of(main.path());
    create_private_dir(parent(&dump))?;
    let (mut digest, mut bytes) = (Context::new(&SHA256), 0);
    each_entry(main, |entry| {
        bytes += 4 + entry.len() as u64;
        hash_entry(&mut digest, entry);
        Ok(())
    })?;
    let last = match verify(&dump) {
        Ok(last) => Some(last),
        Err(StoreError::Broken(why)) => {
            log::error!("{why}: it is replaced by a new backup");
            None
        }
        Err(StoreError::Io(_, error)) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if last
        .as_ref()
        .is_some_and(|last| last.digest == digest.finish().as_ref())
    {
        return Ok(Backup::Unchanged);
    }
    if space.free() < bytes.saturating_add(DISK_FREE_BYTES_LOW) {
        return Err(StoreError::Full);
    }
    let generation = generation(main)?.max(last.as_ref().map_or(0, |last| last.generation)) + 1;
    let mut record = RecordWriter::new(VERSION);
    record.u64(generation);
    main.put(META, META_GENERATION, &record.finish())?;
    main.commit_all()?;

    let new = beside(&dump, "new");
    let verified = write_verified(main, &new, SCHEMA, generation)?;
    // A last backup that could not be read must not push out the one before it.
    if last.is_some() {
        fs::rename(&dump, previous(&dump)).map_err(StoreError::io(&dump))?;
    }
    fs::rename(&new, &dump).map_err(StoreError::io(&dump))?;
    sync_dir(parent(&dump))?;
    let bytes = fs::metadata(&dump).map_err(StoreError::io(&dump))?.len();
    Ok(Backup::Written {
        records: verified.records,
        bytes,
    })
}

/// Writes a backup of a database of this schema to `dump`, whatever was written before. It is of the generation of the last backup: not newer than any.
pub(super) fn write_as(
    main: &Database,
    space: &Space,
    dump: &Path,
    schema: u32,
) -> Result<(), StoreError> {
    let mut bytes = 0;
    each_entry(main, |entry| {
        bytes += 4 + entry.len() as u64;
        Ok(())
    })?;
    if space.free() < bytes.saturating_add(DISK_FREE_BYTES_LOW) {
        return Err(StoreError::Full);
    }
    let new = beside(dump, "new");
    write_verified(main, &new, schema, generation(main)?)?;
    fs::rename(&new, dump).map_err(StoreError::io(dump))?;
    sync_dir(parent(dump))
}

/// Makes the database `path` from a backup, which is verified first; `path` must not be there.
pub(super) fn restore(dump: &Path, path: &Path) -> Result<Verified, StoreError> {
    let verified = verify(dump)?;
    if verified.schema > SCHEMA {
        return Err(upgrade::newer(dump, verified.schema, SCHEMA));
    }
    Database::make(path, &MAIN, |database| {
        let mut users = HashSet::new();
        let mut next = 1;
        read(dump, |entry| {
            let damaged = || StoreError::Broken(format!("{}: an entry is damaged", dump.display()));
            let mut reader =
                RecordReader::new(entry, VERSION).map_err(StoreError::record("backup"))?;
            let (name, key, value) = (|| Ok((reader.text()?, reader.bytes()?, reader.bytes()?)))()
                .map_err(StoreError::record("backup"))?;
            let tree = MAIN_TREES
                .iter()
                .position(|tree| *tree == name)
                .map(|place| Tree(place as u8))
                .ok_or_else(damaged)?;
            if tree == META && key == META_NEXT_USER {
                next =
                    next.max(account::read_next_user(value).map_err(StoreError::record("meta"))?);
                return Ok(());
            }
            if tree == ACCOUNTS {
                // Accounts come before what they own: the order of the trees.
                let id = account::id_of(value).map_err(StoreError::record("accounts"))?;
                users.insert(id);
                next = next.max(id.saturating_add(1));
            }
            if tree == ROOMS {
                let id = records::id_of(value).map_err(StoreError::record("rooms"))?;
                users.insert(id);
                next = next.max(id.saturating_add(1));
            }
            if TREES_OF_A_USER.contains(&tree) || TREES_OF_A_ROOM.contains(&tree) {
                let id = key
                    .first_chunk::<4>()
                    .map(|id| u32::from_be_bytes(*id))
                    .ok_or_else(damaged)?;
                next = next.max(id.saturating_add(1));
                if !users.contains(&id) {
                    return Ok(());
                }
            }
            database.put(tree, key, value)
        })?;
        let next = next.saturating_add(USER_IDS_LEFT_FREE_AFTER_RESTORE);
        database.put(META, META_NEXT_USER, &account::next_user_record(next))?;
        let mut record = RecordWriter::new(VERSION);
        record.u64(verified.generation);
        database.put(META, META_GENERATION, &record.finish())
    })?;
    Ok(verified)
}

/// Reads a backup from its beginning to its end. `Broken`: it is not what was written; `Io` with `NotFound`: there is none.
pub(super) fn verify(dump: &Path) -> Result<Verified, StoreError> {
    read(dump, |_| Ok(()))
}

/// The generation in a backup's head, without a look at the rest: it may be damaged.
pub(super) fn generation_of_head(dump: &Path) -> Option<u64> {
    let mut input = BufReader::new(File::open(dump).ok()?);
    let (_, head) = read_head(&mut input).ok()?;
    Some(head.1)
}

/// The generation of a database; 0 before its first backup.
pub(super) fn generation(main: &Database) -> Result<u64, StoreError> {
    match main.get(META, META_GENERATION)? {
        Some(value) => RecordReader::new(&value, VERSION)
            .and_then(|mut reader| reader.u64())
            .map_err(StoreError::record("meta")),
        None => Ok(0),
    }
}

/// Writes a file and reads it back; what is not right does not stay.
fn write_verified(
    main: &Database,
    path: &Path,
    schema: u32,
    generation: u64,
) -> Result<Verified, StoreError> {
    let written = write_file(main, path, schema, generation).and_then(|()| verify(path));
    if written.is_err() {
        let _ = fs::remove_file(path);
    }
    written
}

fn write_file(
    main: &Database,
    path: &Path,
    schema: u32,
    generation: u64,
) -> Result<(), StoreError> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io(path))?;
    let mut output = BufWriter::new(file);
    let mut head = RecordWriter::new(VERSION);
    head.u32(schema).u64(generation);
    let head = head.finish();
    let mut put = |bytes: &[u8]| output.write_all(bytes).map_err(StoreError::io(path));
    put(FIRST_LINE)?;
    put(&(head.len() as u32).to_be_bytes())?;
    put(&head)?;
    let (mut digest, mut count) = (Context::new(&SHA256), 0u64);
    each_entry(main, |entry| {
        hash_entry(&mut digest, entry);
        count += 1;
        put(&(entry.len() as u32).to_be_bytes())?;
        put(entry)
    })?;
    let digest = digest.finish();
    put(&0u32.to_be_bytes())?;
    put(&count.to_be_bytes())?;
    put(digest.as_ref())?;
    put(&whole_digest(&head, count, digest.as_ref()))?;
    let file = output
        .into_inner()
        .map_err(|error| StoreError::io(path)(error.into_error()))?;
    file.sync_all().map_err(StoreError::io(path))?;
    // So that what is read back comes from the disk.
    let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed);
    Ok(())
}

/// Calls `take` with every record of the database, but not with the generation: it says nothing of what is kept.
fn each_entry(
    main: &Database,
    mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    for (place, name) in main.trees().iter().enumerate() {
        let tree = Tree(place as u8);
        for record in main.scan(tree, b"")? {
            let (key, value) = record?;
            if tree == META && key == META_GENERATION {
                continue;
            }
            let mut entry = RecordWriter::new(VERSION);
            entry.text(name).bytes(&key).bytes(&value);
            take(&entry.finish())?;
        }
    }
    Ok(())
}

fn hash_entry(digest: &mut Context, entry: &[u8]) {
    digest.update(&(entry.len() as u32).to_be_bytes());
    digest.update(entry);
}

fn whole_digest(head: &[u8], count: u64, entries: &[u8]) -> [u8; 32] {
    let mut digest = Context::new(&SHA256);
    digest.update(head);
    digest.update(&count.to_be_bytes());
    digest.update(entries);
    digest
        .finish()
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes")
}

/// Reads a backup and gives every entry to `take`. What is wrong with the file shows at its end at the latest: `take` may have been called by then.
fn read(
    dump: &Path,
    mut take: impl FnMut(&[u8]) -> Result<(), StoreError>,
) -> Result<Verified, StoreError> {
    let broken = |what: &str| StoreError::Broken(format!("{}: {what}", dump.display()));
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData => {
            broken("it is cut short or changed")
        }
        _ => StoreError::io(dump)(error),
    };
    let mut input = BufReader::new(File::open(dump).map_err(StoreError::io(dump))?);
    let (head, (schema, generation)) = read_head(&mut input).map_err(failed)?;
    let (mut digest, mut count) = (Context::new(&SHA256), 0u64);
    let mut entry = Vec::new();
    loop {
        let length = u32::from_be_bytes(chunk(&mut input).map_err(failed)?);
        if length == 0 {
            break;
        }
        if length > ENTRY_BYTES {
            return Err(broken("an entry is too long"));
        }
        entry.resize(length as usize, 0);
        input.read_exact(&mut entry).map_err(failed)?;
        hash_entry(&mut digest, &entry);
        count += 1;
        take(&entry)?;
    }
    let digest: [u8; 32] = digest
        .finish()
        .as_ref()
        .try_into()
        .expect("SHA-256 has 32 bytes");
    let said = u64::from_be_bytes(chunk(&mut input).map_err(failed)?);
    let entries: [u8; 32] = chunk(&mut input).map_err(failed)?;
    let whole: [u8; 32] = chunk(&mut input).map_err(failed)?;
    let more = input.read(&mut [0]).map_err(failed)?;
    if said != count
        || entries != digest
        || whole != whole_digest(&head, count, &digest)
        || more != 0
    {
        return Err(broken("its checksum is wrong"));
    }
    Ok(Verified {
        schema,
        generation,
        digest,
        records: count,
    })
}

/// The head's bytes, and its schema and generation.
fn read_head(input: &mut impl Read) -> io::Result<(Vec<u8>, (u32, u64))> {
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    if chunk::<12>(input)? != *FIRST_LINE {
        return Err(invalid());
    }
    let length = u32::from_be_bytes(chunk(input)?) as usize;
    if length > 1024 {
        return Err(invalid());
    }
    let mut head = vec![0; length];
    input.read_exact(&mut head)?;
    let fields = (|| {
        let mut reader = RecordReader::new(&head, VERSION)?;
        Ok::<_, super::record::RecordError>((reader.u32()?, reader.u64()?))
    })();
    let fields = fields.map_err(|_| invalid())?;
    Ok((head, fields))
}

fn chunk<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}
