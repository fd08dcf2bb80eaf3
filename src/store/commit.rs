//! What runs on the storage thread: commits, backups, and getting well after a full disk.

use std::sync::Arc;

use super::archive::{self, Volumes};
use super::backup::{self, Backup};
use super::database::{Database, Written};
use super::error::StoreError;
use super::space::Space;

/// A moment in the sequence of writes: what was written before it is safe once [`Committer::commit`] has been given it. The tickets of one store grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket {
    pub(super) main: Written,
    /// Writes in all volumes of the archive.
    pub(super) archive: u64,
}

/// Makes what was written survive a power cut. Everything here waits for the disk, so it is sent to the storage thread, one
/// call at a time; clones are the same store.
#[derive(Clone)]
pub struct Committer {
    pub(super) main: Database,
    pub(super) volumes: Arc<Volumes>,
    pub(super) space: Arc<Space>,
}

/// What a commit did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Whether anything had to be written: if not, no system call was made.
    pub wrote: bool,
    /// Whether the disk is nearly full.
    pub space_is_low: bool,
}

impl Committer {
    /// Makes everything before `upto` safe. An acknowledgement that waits for an earlier or the same ticket may go out when this is `Ok`.
    ///
    /// `Full` and other errors: what was written since the last commit is lost, and the store was reopened if that was possible.
    pub fn commit(&self, upto: Ticket) -> Result<Committed, StoreError> {
        // Both, also where one fails. First the archive, so that `main/` never speaks of rows that are not there.
        let archive = archive::commit(&self.volumes, upto.archive);
        let main = self.main.commit(upto.main);
        match archive.and_then(|archive| main.map(|main| archive || main)) {
            Ok(wrote) => Ok(Committed {
                wrote,
                space_is_low: if wrote {
                    self.space.look()
                } else {
                    self.space.is_low()
                },
            }),
            Err(error) => {
                for database in self.failed() {
                    log::error!("{}: {error}", database.path().display());
                }
                if self.has_failed()
                    && let Err(error) = self.recover()
                {
                    log::error!("the store could not be reopened: {error}");
                }
                Err(error)
            }
        }
    }

    /// Whether [`Committer::recover`] has something to do: ask it every few seconds. No system call.
    pub fn is_ailing(&self) -> bool {
        self.has_failed() || self.space.is_low()
    }

    /// Reopens databases after an error of writing, giving the ballast back first if the disk is full, and looks whether there is room again.
    pub fn recover(&self) -> Result<(), StoreError> {
        for database in self.failed() {
            if self.space.free() < crate::limits::DISK_FREE_BYTES_LOW {
                self.space.release();
            }
            database.recover()?;
            log::warn!(
                "{}: reopened; what was not yet acknowledged is lost",
                database.path().display()
            );
        }
        self.space.look();
        Ok(())
    }

    fn has_failed(&self) -> bool {
        !self.failed().is_empty()
    }

    /// The databases that must be reopened.
    fn failed(&self) -> Vec<Database> {
        let archive = self.volumes.written().into_iter();
        let mut databases: Vec<Database> = archive.map(|volume| volume.database).collect();
        databases.push(self.main.clone());
        databases.retain(Database::has_failed);
        databases
    }

    /// Writes a backup if anything has changed since the last one, and keeps the one before. Reads everything, so damage is found here too.
    pub fn backup(&self) -> Result<Backup, StoreError> {
        backup::write(&self.main, &self.space)
    }
}
