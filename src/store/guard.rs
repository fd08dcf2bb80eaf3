//! Calls of sled that come back as a value or an error, whatever is on the disk.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Once;

use super::error::StoreError;
use super::files::beside;

/// What sled came back with instead of a value.
pub(super) enum Failure {
    Error(sled::Error),
    Panic(String),
}

impl Failure {
    /// What it means for whoever asked.
    pub fn into_error(self, path: &Path) -> StoreError {
        match self {
            // What is cut short where more must be is damage, other errors of the system are not about the data.
            Failure::Error(sled::Error::Io(error))
                if matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData
                ) =>
            {
                StoreError::Broken(format!("{}: {error}", path.display()))
            }
            Failure::Error(sled::Error::Io(error)) => StoreError::io(path)(error),
            Failure::Error(error) => StoreError::Broken(format!("{}: {error}", path.display())),
            Failure::Panic(message) => StoreError::Broken(format!("{}: {message}", path.display())),
        }
    }
}

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Calls sled so that its panics are values; they are not printed, for whoever gets the value says it better.
pub(super) fn guarded<T>(act: impl FnOnce() -> sled::Result<T>) -> Result<T, Failure> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if !GUARDED.get() {
                print(panic);
            }
        }));
    });
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(act));
    GUARDED.set(false);
    match result {
        Ok(result) => result.map_err(Failure::Error),
        Err(panic) => Err(Failure::Panic(
            match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
                (Some(text), _) => (*text).to_owned(),
                (_, Some(text)) => text.clone(),
                _ => "sled panicked".to_owned(),
            },
        )),
    }
}

/// Leaves a mark that makes the next open read everything.
pub(super) fn mark_damaged(path: &Path) {
    let mark = beside(path, "damaged");
    if let Err(error) = File::create(&mark) {
        log::error!(
            "{}: {error}: the next start will not know that the database is damaged",
            mark.display()
        );
    }
}
