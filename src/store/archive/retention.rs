//! What goes with time, and when the archive takes too much of the disk: whole volumes, the oldest first.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::volume::{VolumeName, Volumes};
use crate::limits::ARCHIVE_VOLUME_SHARE;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::files::{beside, remove_if_there, sync_dir};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Something in the directory of the archive that can go.
struct Candidate {
    name: VolumeName,
    /// The second in which it was set aside, if it was.
    aside: Option<u64>,
    path: PathBuf,
}

/// Removes what is too old, then the oldest while there is too much; how many directories went. `top_of` says what the last stamp of an old volume is, and
/// lets go of it.
pub(super) fn retain(
    volumes: &Volumes,
    now_ms: u64,
    keep_days: u32,
    max_bytes: u64,
    mut top_of: impl FnMut(VolumeName) -> Result<Option<u64>, StoreError>,
) -> Result<usize, StoreError> {
    let mut removed = 0;
    let mut kept = Vec::new();
    for candidate in candidates(volumes)? {
        let top_ms = match candidate.aside {
            // Nothing was written in it since.
            Some(second) => second.saturating_mul(1000),
            None => match top_of(candidate.name)? {
                Some(top_ms) => top_ms,
                // Damaged, and set aside at this moment.
                None => continue,
            },
        };
        let keep_ms = u64::from(keep_days) * DAY_MS;
        if keep_days > 0 && top_ms.saturating_add(keep_ms) < now_ms {
            remove(volumes, &candidate)?;
            log::info!(
                "{} was removed: its messages are older than {keep_days} days (archive.keep_days)",
                candidate.path.display()
            );
            removed += 1;
        } else {
            let bytes = size(&candidate.path)?;
            kept.push((candidate, bytes));
        }
    }
    let current = match volumes.current() {
        Some(current) => size(&volumes.path(current.name))?,
        None => 0,
    };
    // So that not all of it goes when the oldest does.
    volumes.set_full(current > max_bytes / ARCHIVE_VOLUME_SHARE);
    let mut bytes = current + kept.iter().map(|(_, bytes)| bytes).sum::<u64>();
    for (candidate, freed) in kept {
        if bytes <= max_bytes {
            break;
        }
        remove(volumes, &candidate)?;
        log::warn!(
            "{} was removed: the message archive took more than the {} MiB it may (archive.max_mb)",
            candidate.path.display(),
            max_bytes >> 20
        );
        bytes -= freed;
        removed += 1;
    }
    Ok(removed)
}

impl Store {
    /// Bytes that the archive takes on the disk, with what was set aside: a look at each of its files.
    pub fn archive_bytes(&self) -> Result<u64, StoreError> {
        match size(self.archive.volumes.dir()) {
            Err(StoreError::Io(_, error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
            found => found,
        }
    }
}

/// Everything but the volume that is written in, the oldest first.
fn candidates(volumes: &Volumes) -> Result<Vec<Candidate>, StoreError> {
    let mut found: Vec<Candidate> = volumes
        .old()
        .into_iter()
        .map(|name| Candidate {
            name,
            aside: None,
            path: volumes.path(name),
        })
        .collect();
    let entries = match fs::read_dir(volumes.dir()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(StoreError::io(volumes.dir())(error)),
    };
    for entry in entries {
        let entry = entry.map_err(StoreError::io(volumes.dir()))?;
        let text = entry.file_name();
        let text = text.to_string_lossy();
        // `2026-11.2.broken-1795348800`, perhaps with `-1` behind.
        if let Some((volume, aside)) = text.split_once(".broken-")
            && let Some(name) = VolumeName::parse(volume)
        {
            let second = aside.split('-').next().unwrap_or_default().parse();
            found.push(Candidate {
                name,
                aside: Some(second.unwrap_or(0)),
                path: entry.path(),
            });
        }
    }
    found.sort_by_key(|candidate| (candidate.name, candidate.aside));
    Ok(found)
}

/// Removes a directory: it is not found under its name from the first moment on, also after a crash.
fn remove(volumes: &Volumes, candidate: &Candidate) -> Result<(), StoreError> {
    let path = &candidate.path;
    let removing = beside(&volumes.path(candidate.name), "removing");
    if removing.exists() {
        fs::remove_dir_all(&removing).map_err(StoreError::io(&removing))?;
    }
    fs::rename(path, &removing).map_err(StoreError::io(path))?;
    if candidate.aside.is_none() {
        volumes.forget(candidate.name);
        remove_if_there(&beside(path, "damaged"))?;
    }
    sync_dir(volumes.dir())?;
    fs::remove_dir_all(&removing).map_err(StoreError::io(&removing))
}

/// Bytes that a directory of files, and of directories of files, takes on the disk.
fn size(dir: &Path) -> Result<u64, StoreError> {
    let mut bytes = 0;
    for entry in fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let entry = entry.map_err(StoreError::io(dir))?;
        match entry.metadata() {
            Ok(about) if about.is_dir() => bytes += size(&entry.path())?,
            Ok(about) => bytes += about.blocks() * 512,
            // sled removes files of its own meanwhile.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(StoreError::io(&entry.path())(error)),
        }
    }
    Ok(bytes)
}
