//! Root's commands on a directory that is another user's, as an installed service's is.

use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use super::{Failure, control};

/// What root does in a directory that is another user's is done as that user: root's files in it would lock the service out. Where a server runs,
/// it is asked, and nothing is written here.
pub(super) fn become_owner(data: &Path) -> Result<(), Failure> {
    let Ok(directory) = std::fs::metadata(data) else {
        return Ok(());
    };
    let running = || UnixStream::connect(data.join(control::SOCKET)).is_ok();
    if !rustix::process::geteuid().is_root() || directory.uid() == 0 || running() {
        return Ok(());
    }
    let own = std::env::current_exe().map_err(|error| {
        format!("this program does not find itself: {error}; call it by its whole path")
    })?;
    // This process becomes that one, which is not root: it does not come here again.
    let error = Command::new(own)
        .args(std::env::args_os().skip(1))
        .gid(directory.gid())
        .uid(directory.uid())
        .exec();
    Err(Failure::from(format!(
        "{} belongs to user {}, and this program cannot be started as that user: {error}; put it where everybody may start it, as `snug install` does",
        data.display(),
        directory.uid()
    )))
}
