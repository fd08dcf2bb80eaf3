//! The files of an installed snug: a few, each whole or not there at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::machine::Machine;
use crate::cli::Failure;
use crate::config::INSTALLED_DATA;

/// The binary.
pub(super) const BINARY: &str = "/usr/local/bin/snug";
/// The unit.
const UNIT: &str = "/usr/local/lib/systemd/system/snug.service";
/// The unit of the ports, which nothing enables.
const PORTS: &str = "/usr/local/lib/systemd/system/snug.socket";
/// What makes the unit start with the machine: `systemctl enable` makes the same link.
const WANTED: &str = "/etc/systemd/system/multi-user.target.wants/snug.service";
/// The user.
pub(super) const USER: &str = "/etc/sysusers.d/snug.conf";
/// The directories.
pub(super) const DIRECTORIES: &str = "/etc/tmpfiles.d/snug.conf";
/// Where an operator may have put a configuration.
const CONFIGURATION: &str = "/etc/snug";

/// What was written, and the binary that was there before.
pub(super) struct Files {
    changed: bool,
    /// The binary, and where the one before it is kept until the new one has started.
    before: Option<(PathBuf, PathBuf)>,
}

/// What [`Files::put_back`] found.
pub(super) enum Unchanged {
    /// There was no other binary before.
    Same,
    /// The binary of before is in its place again.
    Back,
}

impl Files {
    /// Writes what is not there or differs.
    pub(super) fn install(machine: &Machine) -> Result<Files, Failure> {
        let unit = include_str!("../../../systemd/snug.service").replace("/usr/bin/snug", BINARY);
        let texts = [
            (UNIT, unit.as_str()),
            (PORTS, include_str!("../../../systemd/snug.socket")),
            (USER, include_str!("../../../systemd/snug.sysusers")),
            (DIRECTORIES, include_str!("../../../systemd/snug.tmpfiles")),
        ];
        let mut files = Files {
            changed: false,
            before: None,
        };
        files.install_binary(&machine.path(BINARY))?;
        for (path, text) in texts {
            let path = machine.path(path);
            if fs::read(&path).is_ok_and(|there| there == text.as_bytes()) {
                continue;
            }
            write_whole(&path, 0o644, &mut text.as_bytes())?;
            files.changed = true;
        }
        let wanted = machine.path(WANTED);
        if fs::symlink_metadata(&wanted).is_err() {
            let cannot = cannot(&wanted);
            make_directory(&wanted)?;
            std::os::unix::fs::symlink(UNIT, &wanted).map_err(cannot)?;
            files.changed = true;
        }
        Ok(files)
    }

    /// Whether anything was not as it is now.
    pub(super) fn changed(&self) -> bool {
        self.changed
    }

    /// Puts the binary of before into its place again.
    pub(super) fn put_back(&mut self) -> Unchanged {
        match self.before.take() {
            Some((binary, before)) if fs::rename(&before, &binary).is_ok() => Unchanged::Back,
            _ => Unchanged::Same,
        }
    }

    /// The new binary stays.
    pub(super) fn finish(&mut self) {
        if let Some((_, before)) = self.before.take() {
            let _ = fs::remove_file(before);
        }
    }

    fn install_binary(&mut self, binary: &Path) -> Result<(), Failure> {
        let own = std::env::current_exe().map_err(|error| {
            format!("this program does not find itself: {error}; call it by its whole path")
        })?;
        let mut source = File::open(&own).map_err(cannot(&own))?;
        if same(&own, binary) {
            return Ok(());
        }
        let before = binary.with_extension("before");
        if binary.exists() {
            // A link, so that there is a binary at every moment.
            let _ = fs::remove_file(&before);
            fs::hard_link(binary, &before).map_err(cannot(&before))?;
            self.before = Some((binary.to_owned(), before));
        }
        self.changed = true;
        write_whole(binary, 0o755, &mut source)
    }
}

/// Removes what [`Files::install`] wrote; what is not there is no error.
pub(super) fn remove(machine: &Machine) -> Result<(), Failure> {
    for path in [WANTED, UNIT, PORTS, USER, DIRECTORIES, BINARY] {
        let path = machine.path(path);
        if_there(fs::remove_file(&path)).map_err(cannot(&path))?;
    }
    Ok(())
}

/// Removes the data and the configuration.
pub(super) fn purge(machine: &Machine) -> Result<(), Failure> {
    for path in [INSTALLED_DATA, CONFIGURATION] {
        let path = machine.path(path);
        match fs::remove_dir_all(&path) {
            // A disk of its own is mounted there: it is empty now, and stays.
            Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
            ended => if_there(ended).map_err(cannot(&path))?,
        }
    }
    Ok(())
}

/// Writes a file under another name first, so that a cut leaves the old one or the new one.
fn write_whole(path: &Path, mode: u32, source: &mut impl Read) -> Result<(), Failure> {
    make_directory(path)?;
    let new = path.with_extension("new");
    if_there(fs::remove_file(&new)).map_err(cannot(&new))?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(&new)
        .and_then(|mut file| {
            io::copy(source, &mut file)?;
            file.flush()?;
            // Whatever the umask is.
            file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(mode))?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&new, path))
        .and_then(|()| File::open(path.parent().unwrap_or(path))?.sync_all());
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written.map_err(cannot(path))
}

fn make_directory(path: &Path) -> Result<(), Failure> {
    let directory = path.parent().unwrap_or(path);
    fs::create_dir_all(directory).map_err(cannot(directory))
}

/// Whether two files have the same content.
fn same(one: &Path, other: &Path) -> bool {
    match (fs::read(one), fs::read(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => false,
    }
}

fn if_there(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        ended => ended,
    }
}

fn cannot(path: &Path) -> impl Fn(io::Error) -> Failure + '_ {
    move |error| {
        let hint = match error.kind() {
            ErrorKind::PermissionDenied => "do this as root, with sudo",
            ErrorKind::ReadOnlyFilesystem => "mount that file system for writing",
            ErrorKind::StorageFull => "free some space there",
            _ => "see whether the disk is sound",
        };
        Failure::from(format!("{}: {error}: {hint}", path.display()))
    }
}
