//! What the store can fail with; what is shown to an operator says what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::record::RecordError;

/// Why the store did not do what it was asked for. Nothing of it was done, or nothing of it will be found after a restart.
#[derive(Debug)]
pub enum StoreError {
    /// The disk is full or nearly so, or was a moment ago: what was written since the last commit may be lost. The peer hears
    /// `resource-constraint`, type `wait`.
    Full,
    /// Data that cannot be read: which, and what was found.
    Broken(String),
    /// The data was written by a newer snug: what, with the version found and the one known here, and the backup from before its upgrade, if it is there.
    Newer { what: String, back: Option<PathBuf> },
    /// The system refused: the path, and why.
    Io(PathBuf, io::Error),
    /// Another process has the data directory.
    InUse { dir: PathBuf, holder: Option<u32> },
    /// An account of this name is there already.
    Exists,
    /// There is no account of this name.
    NoSuchAccount,
    /// A record longer than `limits::STORE_RECORD_BYTES`.
    TooLong,
    /// The account's queue of waiting messages is full. The sender hears `service-unavailable`.
    QueueFull,
    /// The account keeps too much: `limits::DOCUMENTS_BYTES`. The peer hears `resource-constraint`.
    TooMuch,
    /// The archive is closed: `archive.enabled` is false.
    ArchiveOff,
}

impl StoreError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> StoreError + '_ {
        move |error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => StoreError::Io(path.to_path_buf(), error),
        }
    }

    pub(crate) fn record(what: &str) -> impl FnOnce(RecordError) -> StoreError + '_ {
        move |error| match error {
            RecordError::Newer { found, known } => StoreError::Newer {
                what: format!("a record of `{what}` has version {found}, this snug knows {known}"),
                back: None,
            },
            RecordError::Damaged => StoreError::Broken(format!("a record of `{what}` is damaged")),
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StoreError::Full => f.write_str("the disk with the data directory is full: free some space there, snug goes on by itself"),
            StoreError::Broken(what) => write!(
                f,
                "the data cannot be read: {what}. Restart snug: it then checks everything, sets a broken database aside and restores the last backup"
            ),
            StoreError::Newer { what, back: None } => {
                write!(f, "the data was written by a newer snug ({what}): start that newer snug again, or choose another directory with --data")
            }
            StoreError::Newer { what, back: Some(dump) } => {
                write!(
                    f,
                    "the data was written by a newer snug ({what}): start that newer snug again, or stop it and give up what came since the upgrade with `snug restore {}`",
                    dump.display()
                )
            }
            StoreError::Io(path, error) => match error.kind() {
                io::ErrorKind::PermissionDenied => write!(f, "{}: {error}: make it belong to the user that runs snug", path.display()),
                io::ErrorKind::ReadOnlyFilesystem => write!(f, "{}: {error}: mount that file system for writing, or choose another directory with --data", path.display()),
                _ => write!(f, "{}: {error}: see whether the disk is sound and the path is right", path.display()),
            },
            StoreError::InUse { dir, holder } => {
                write!(f, "{} is in use by another snug", dir.display())?;
                if let Some(process) = holder {
                    write!(f, " (process {process})")?;
                }
                f.write_str(": stop that one first, or give this one a directory of its own with --data")
            }
            StoreError::Exists => f.write_str("there is an account of this name already: choose another name"),
            StoreError::NoSuchAccount => f.write_str("there is no account of this name: `snug user list` shows those that there are"),
            StoreError::TooLong => write!(f, "more than {} KiB in one record: send less at once", crate::limits::STORE_RECORD_BYTES / 1024),
            StoreError::QueueFull => f.write_str("too many messages wait for this account: they go when it logs in"),
            StoreError::ArchiveOff => f.write_str("there is no archive: set archive.enabled = true and restart snug"),
            StoreError::TooMuch => write!(f, "the account keeps {} KiB here already: remove some of it first", crate::limits::DOCUMENTS_BYTES / 1024),
        }
    }
}

impl std::error::Error for StoreError {}
