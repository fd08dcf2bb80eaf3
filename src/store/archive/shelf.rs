//! The reading side's volumes: which there are, in their order, and those that are open.

use std::time::Instant;

use super::about::About;
use super::reader::{ArchiveReader, Opened};
use super::volume::{self, VolumeName};
use crate::limits::ARCHIVE_OPEN_VOLUMES;
use crate::store::database::Database;
use crate::store::error::StoreError;

/// A volume as a query sees it.
pub(super) struct Part {
    pub source: Source,
    pub begin_ms: u64,
    /// Its last millisecond: the one before the next volume.
    pub end_ms: u64,
}

pub(super) enum Source {
    /// Opened when it is needed.
    Old(VolumeName),
    /// The one that is written in.
    Current(Database),
}

impl ArchiveReader {
    /// All volumes in their order.
    pub(super) fn parts(&mut self) -> Result<Vec<Part>, StoreError> {
        let volumes = self.volumes.clone();
        let mut parts = Vec::new();
        // First the one that is written in: if it is left meanwhile, it is there twice for this moment, and not missing.
        let current = volumes.current();
        for name in volumes.old() {
            if current.as_ref().is_some_and(|current| current.name == name) {
                continue;
            }
            if let Some(begin_ms) = self.begin_of(name)? {
                parts.push(Part {
                    source: Source::Old(name),
                    begin_ms,
                    end_ms: 0,
                });
            }
        }
        parts.extend(current.map(|current| Part {
            begin_ms: current.begin_ms,
            source: Source::Current(current.database),
            end_ms: 0,
        }));
        let mut end_ms = u64::MAX;
        for part in parts.iter_mut().rev() {
            part.end_ms = end_ms;
            end_ms = part.begin_ms.saturating_sub(1);
        }
        Ok(parts)
    }

    /// Where an old volume begins; `None` if it is no more.
    pub(super) fn begin_of(&mut self, name: VolumeName) -> Result<Option<u64>, StoreError> {
        if let Some(begin_ms) = self.begins.get(&name) {
            return Ok(Some(*begin_ms));
        }
        let Some(about) = self.about(name)? else {
            return Ok(None);
        };
        self.begins.insert(name, about.begin_ms);
        Ok(Some(about.begin_ms))
    }

    /// What is known of an old volume; `None` if it is no more. The first time it is found out and written down.
    pub(super) fn about(&mut self, name: VolumeName) -> Result<Option<About>, StoreError> {
        let path = self.volumes.path(name);
        if let Some(about) = About::read(&path) {
            return Ok(Some(about));
        }
        let part = Part {
            source: Source::Old(name),
            begin_ms: 0,
            end_ms: 0,
        };
        let about = self.with_volume(&part, |volume| {
            // What was written last must be there as surely as what is said of it.
            volume.commit_all()?;
            About::find_out(volume, volume::begin(volume)?.unwrap_or(0))
        })?;
        if let Some(about) = &about
            && let Err(error) = about.write(&path)
        {
            log::warn!("{}: {error}", path.display());
        }
        Ok(about)
    }

    pub(super) fn is_open(&self, name: VolumeName) -> bool {
        self.open.iter().any(|opened| opened.name == name)
    }

    /// Does something with a volume; `None` if it is no more, or is damaged and was set aside.
    pub(super) fn with_volume<T>(
        &mut self,
        part: &Part,
        mut act: impl FnMut(&Database) -> Result<T, StoreError>,
    ) -> Result<Option<T>, StoreError> {
        let name = match &part.source {
            Source::Current(volume) => return act(volume).map(Some),
            Source::Old(name) => *name,
        };
        let outcome = self.opened(name).and_then(|volume| act(&volume));
        match outcome {
            Ok(value) => Ok(Some(value)),
            Err(StoreError::Broken(why)) => {
                self.set_aside(name, &why)?;
                Ok(None)
            }
            Err(error) => {
                // Whatever it was, the next one begins afresh.
                self.open.retain(|opened| opened.name != name);
                Err(error)
            }
        }
    }

    fn opened(&mut self, name: VolumeName) -> Result<Database, StoreError> {
        if let Some(place) = self.open.iter().position(|opened| opened.name == name) {
            let mut opened = self.open.remove(place);
            opened.used = Instant::now();
            let database = opened.database.clone();
            self.open.push(opened);
            return Ok(database);
        }
        // Left a moment ago, and still open for its last commit: it cannot be opened twice.
        let database = match self.volumes.left(name) {
            Some(database) => database,
            None => volume::open_volume(&self.volumes.path(name))?.0,
        };
        self.keep_open(name, database.clone());
        Ok(database)
    }

    fn keep_open(&mut self, name: VolumeName, database: Database) {
        if self.open.len() >= ARCHIVE_OPEN_VOLUMES {
            self.open.remove(0);
        }
        self.open.push(Opened {
            name,
            database,
            used: Instant::now(),
        });
    }

    fn set_aside(&mut self, name: VolumeName, why: &str) -> Result<(), StoreError> {
        self.open.retain(|opened| opened.name != name);
        self.begins.remove(&name);
        self.volumes.forget(name);
        let notice = volume::set_aside(&self.volumes.path(name), why)?;
        log::error!("{notice}");
        Ok(())
    }
}
