//! What runs on the storage thread: commits, backups, and getting well after a full disk.

use std::sync::Arc;

use super::backup::{self, Backup};
use super::database::{Database, Ticket};
use super::error::StoreError;
use super::space::Space;

/// Makes what was written survive a power cut. Everything here waits for the disk, so it is sent to the storage thread, one
/// call at a time; clones are the same store.
#[derive(Clone)]
pub struct Committer {
    pub(super) main: Database,
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
        match self.main.commit(upto) {
            Ok(wrote) => Ok(Committed {
                wrote,
                space_is_low: if wrote {
                    self.space.look()
                } else {
                    self.space.is_low()
                },
            }),
            Err(error) => {
                if self.main.has_failed() {
                    log::error!("{}: {error}", self.main.path().display());
                    if let Err(error) = self.recover() {
                        log::error!("{}: {error}", self.main.path().display());
                    }
                }
                Err(error)
            }
        }
    }

    /// Whether [`Committer::recover`] has something to do: ask it every few seconds. No system call.
    pub fn is_ailing(&self) -> bool {
        self.main.has_failed() || self.space.is_low()
    }

    /// Reopens the database after an error of writing, giving the ballast back first if the disk is full, and looks whether there is room again.
    pub fn recover(&self) -> Result<(), StoreError> {
        if self.main.has_failed() {
            if self.space.free() < crate::limits::DISK_FREE_BYTES_LOW {
                self.space.release();
            }
            self.main.recover()?;
            log::warn!(
                "{}: reopened; what was not yet acknowledged is lost",
                self.main.path().display()
            );
        }
        self.space.look();
        Ok(())
    }

    /// Writes a backup if anything has changed since the last one, and keeps the one before. Reads everything, so damage is found here too.
    pub fn backup(&self) -> Result<Backup, StoreError> {
        backup::write(&self.main, &self.space)
    }
}
