//! Data of an older snug is brought up to this one's schema, and kept as it was, for who has to go back.
//!
//! Before the first change the whole database goes into `backup/main.schema-<number>.dump`, a backup like every other (`backup.rs`), read back before it
//! counts. An older snug that finds newer data names it; `snug restore` puts it in the place of the database. The file `schema` in the data directory
//! has the number in digits, so that an installer can see without the database that it would be a step back.

use std::fs;
use std::path::{Path, PathBuf};

use super::backup;
use super::database::Database;
use super::error::StoreError;
use super::files::{beside, create_private_dir, parent, remove_if_there, sync_dir};
use super::keys::{META, META_SCHEMA, META_UPGRADING, SCHEMA};
use super::record::{RecordReader, RecordWriter};
use super::space::Space;

/// One step: changes the records of a schema to those of the next. It may have been cut short and is then done again from its beginning, so it must
/// be able to meet records that it has changed already.
pub(super) type Step = fn(&Database) -> Result<(), StoreError>;

/// The steps, the first from schema 1 to 2: as many as [`SCHEMA`] has predecessors.
pub(super) const STEPS: [Step; SCHEMA as usize - 1] = [];

/// The name of the file with the schema number.
const SCHEMA_FILE: &str = "schema";
/// Version of the records of `meta`.
const VERSION: u8 = 1;

/// The schema of a database, which never is without.
pub(super) fn schema_of(main: &Database) -> Result<u32, StoreError> {
    let value = main.get(META, META_SCHEMA)?.ok_or_else(|| {
        StoreError::Broken(format!(
            "{}: it has no schema number",
            main.path().display()
        ))
    })?;
    RecordReader::new(&value, VERSION)
        .and_then(|mut reader| reader.u32())
        .map_err(StoreError::record("meta"))
}

/// The value under [`META_SCHEMA`].
pub(super) fn schema_record(schema: u32) -> Vec<u8> {
    let mut record = RecordWriter::new(VERSION);
    record.u32(schema);
    record.finish()
}

/// Brings a database of an older schema up by these steps, after a backup; the sentence for the operator, or `None` where nothing had to be done.
/// `Newer`: it is of a schema that has no step.
pub(super) fn bring_up(
    main: &Database,
    space: &Space,
    steps: &[Step],
) -> Result<Option<String>, StoreError> {
    let known = steps.len() as u32 + 1;
    let schema = schema_of(main)?;
    if schema > known {
        return Err(newer(main.path(), schema, known));
    }
    if schema == known {
        return Ok(None);
    }
    let dump = backup_of(main.path(), schema);
    // An upgrade that was cut short has made its backup before it changed anything.
    if main.get(META, META_UPGRADING)?.is_none() {
        create_private_dir(parent(&dump))?;
        backup::write_as(main, space, &dump, schema)?;
        main.put(META, META_UPGRADING, &schema_record(schema))?;
        main.commit(main.written())?;
    }
    for step in steps.iter().skip(schema.saturating_sub(1) as usize) {
        step(main)?;
    }
    main.put(META, META_SCHEMA, &schema_record(known))?;
    main.remove(META, META_UPGRADING)?;
    main.commit(main.written())?;
    Ok(Some(format!(
        "The data was brought up from schema {schema} to {known}. As it was before, it is kept in {}.",
        dump.display()
    )))
}

/// What is said of data that a newer snug has written: with the command that goes back, where there is a way.
pub(super) fn newer(main: &Path, schema: u32, known: u32) -> StoreError {
    let back = (1..=known)
        .rev()
        .map(|schema| backup_of(main, schema))
        .find(|dump| dump.exists());
    StoreError::Newer {
        what: format!(
            "{} has schema {schema}, this snug knows {known}",
            main.display()
        ),
        back,
    }
}

/// Writes the schema number beside the database. It is for installers only: nothing depends on it here.
pub(super) fn tell_schema(dir: &Path) {
    let path = dir.join(SCHEMA_FILE);
    let text = format!("{SCHEMA}\n");
    if fs::read_to_string(&path).is_ok_and(|there| there == text) {
        return;
    }
    let new = beside(&path, "new");
    let written = fs::write(&new, text)
        .and_then(|()| fs::rename(&new, &path))
        .map_err(StoreError::io(&path))
        .and_then(|()| sync_dir(dir));
    if let Err(error) = written {
        log::debug!("{}: {error}", path.display());
    }
}

/// Refuses a data directory that a newer snug has written, without opening it: it may be in use. A directory that says nothing is not refused.
pub fn refuse_newer(dir: &Path) -> Result<(), StoreError> {
    let told = fs::read_to_string(dir.join(SCHEMA_FILE)).unwrap_or_default();
    match told.trim().parse() {
        Ok(schema) if schema > SCHEMA => Err(newer(&dir.join("main"), schema, SCHEMA)),
        _ => Ok(()),
    }
}

/// Puts a backup in the place of the database of `dir`, which nobody has open; where the database and later backups were put, if there were any.
pub(super) fn restore(dir: &Path, dump: &Path) -> Result<Option<PathBuf>, StoreError> {
    let found = backup::verify(dump)?;
    if found.schema > SCHEMA {
        return Err(newer(dump, found.schema, SCHEMA));
    }
    let path = dir.join("main");
    let last = backup::path_of(&path);
    let aside = (1..)
        .map(|number| dir.join(format!("replaced-{number}")))
        .find(|aside| !aside.exists())
        .expect("some number is free");
    let mut moved = Vec::new();
    if path.exists() {
        moved.push(path.clone());
    }
    // A backup that is newer than the database is taken for the better of the two at the next start.
    moved.extend(
        [backup::previous(&last), last]
            .into_iter()
            .filter(|other| other.exists() && !same_file(other, dump)),
    );
    if moved.is_empty() {
        backup::restore(dump, &path)?;
        return Ok(None);
    }
    create_private_dir(&aside)?;
    for old in &moved {
        let new = aside.join(old.file_name().unwrap_or_default());
        fs::rename(old, &new).map_err(StoreError::io(old))?;
    }
    sync_dir(&aside)?;
    sync_dir(dir)?;
    remove_if_there(&beside(&path, "damaged"))?;
    if let Err(error) = backup::restore(dump, &path) {
        for old in &moved {
            let new = aside.join(old.file_name().unwrap_or_default());
            fs::rename(&new, old).map_err(StoreError::io(old))?;
        }
        let _ = fs::remove_dir(&aside);
        return Err(error);
    }
    Ok(Some(aside))
}

/// The backup that was made before a database left this schema.
fn backup_of(main: &Path, schema: u32) -> PathBuf {
    let name = backup::path_of(main);
    name.with_file_name(format!("main.schema-{schema}.dump"))
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::ScramKeys;
    use crate::store::keys::MAIN;
    use crate::store::{Store, StoreError};

    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let path =
                std::env::temp_dir().join(format!("snug-upgrade-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            Scratch(path)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const MOTD: &[u8] = b"motd";

    /// A step as a later snug has one: it changes a record.
    fn to_next(main: &Database) -> Result<(), StoreError> {
        main.put(META, MOTD, b"\x01as the next snug writes it")
    }

    /// Like that, but the plug is pulled in its midst.
    fn cut_short(main: &Database) -> Result<(), StoreError> {
        to_next(main)?;
        main.commit(main.written())?;
        Err(StoreError::Full)
    }

    /// A store with one account, closed.
    fn store_with_anna(dir: &Path) {
        let store = Store::open(dir).expect("an empty directory");
        let keys = || ScramKeys {
            salt: vec![1; 16],
            iterations: 10_000,
            stored_key: vec![2; 20],
            server_key: vec![3; 20],
        };
        store
            .create_account("anna", keys(), keys(), 0)
            .expect("a new account");
        store.commit().expect("a commit");
    }

    fn next(steps: &[Step], dir: &Path) -> Result<Option<String>, StoreError> {
        let main = Database::open(&dir.join("main"), &MAIN)?;
        bring_up(&main, &Space::new(dir), steps)
    }

    #[test]
    fn an_upgrade_keeps_what_was_and_an_older_snug_names_the_way_back() {
        let scratch = Scratch::new("back");
        let dir = &scratch.0;
        store_with_anna(dir);
        let all: Vec<Step> = STEPS.iter().copied().chain([to_next as Step]).collect();
        let said = next(&all, dir).expect("an upgrade").expect("a sentence");
        assert!(
            said.contains(&format!("main.schema-{SCHEMA}.dump")),
            "{said}"
        );
        assert_eq!(next(&all, dir).expect("done already"), None);
        fs::write(dir.join("schema"), format!("{}\n", SCHEMA + 1)).expect("what that snug tells");

        let dump = dir.join(format!("backup/main.schema-{SCHEMA}.dump"));
        let command = format!("snug restore {}", dump.display());
        for refused in [
            Store::open(dir).err().expect("newer data"),
            refuse_newer(dir).expect_err("newer data"),
        ] {
            assert!(matches!(refused, StoreError::Newer { .. }), "{refused}");
            assert!(refused.to_string().contains(&command), "{refused}");
        }
        let aside = Store::restore(dir, &dump)
            .expect("the way back")
            .expect("what was there is kept");
        assert!(aside.join("main/db").exists());
        refuse_newer(dir).expect("it is this snug's again");
        let store = Store::open(dir).expect("the data as it was");
        assert!(store.account("anna").expect("readable").is_some());
        assert!(store.notices().is_empty(), "{:?}", store.notices());
    }

    #[test]
    fn an_upgrade_that_was_cut_short_is_done_again_and_its_backup_stays() {
        let scratch = Scratch::new("cut");
        let dir = &scratch.0;
        store_with_anna(dir);
        let steps = |last: Step| STEPS.iter().copied().chain([last]).collect::<Vec<Step>>();
        next(&steps(cut_short), dir).expect_err("the plug is pulled");
        let dump = dir.join(format!("backup/main.schema-{SCHEMA}.dump"));
        let before = fs::read(&dump).expect("the backup of before");
        assert!(next(&steps(to_next), dir).expect("a second try").is_some());
        assert_eq!(fs::read(&dump).expect("still there"), before);
        let main = Database::open(&dir.join("main"), &MAIN).expect("whole");
        assert_eq!(schema_of(&main).expect("a number"), SCHEMA + 1);
        assert!(main.get(META, META_UPGRADING).expect("readable").is_none());
    }

    #[test]
    fn a_restore_puts_nothing_aside_that_it_cannot_replace() {
        let scratch = Scratch::new("refused");
        let dir = &scratch.0;
        store_with_anna(dir);
        let none = dir.join("backup/none.dump");
        Store::restore(dir, &none).expect_err("there is no such file");
        fs::write(dir.join("damaged.dump"), b"snug backup\n").expect("a file");
        Store::restore(dir, &dir.join("damaged.dump")).expect_err("it is damaged");
        let store = Store::open(dir).expect("untouched");
        assert!(store.account("anna").expect("readable").is_some());
        assert!(matches!(
            Store::restore(dir, &none),
            Err(StoreError::InUse { .. })
        ));
    }
}
