//! Scenario: messages one at a time, each alone: what one makes the server write to the disk.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::accounts;
use crate::chat::{Load, Until};
use crate::client::{Client, Way};
use crate::plan::{Figure, Plan};
use crate::process;
use crate::server::Setup;

/// Messages.
const MESSAGES: u32 = 40;

/// Between two of them: what a server writes a little later still belongs to the first.
const PAUSE: Duration = Duration::from_millis(150);

/// The two who write: those after the ones that chat.
const ACCOUNTS: std::ops::Range<usize> = 20..22;

/// KiB that are written for each: what reaches the disk, where it is one of its own (`tests/load/run` makes it), with what the file system writes for itself; and
/// what the kernel counts for the server's process, where a page that is written again counts again, and on new kernels with its neighbours.
pub fn run(setup: &Setup, plan: &Plan) -> Result<Vec<Figure>, String> {
    let failed = |error: io::Error| format!("read what {} has written: {error}", setup.name);
    let accounts = accounts::prepare(setup, ACCOUNTS.end, plan.hash)?;
    let (writer, reader) = (&accounts[ACCOUNTS.start], &accounts[ACCOUNTS.start + 1]);
    let server = setup.start()?;
    let mut sender = Client::session(&server, Way::StartTls, plan.hash, writer)?;
    let receiver = Client::session(&server, Way::StartTls, plan.hash, reader)?;
    let acked = sender.enable_acks()?;
    let mut load = Load::new()?;
    load.add(sender, receiver, &reader.jid(), acked)?;
    load.chat(1, Until::Count(5))?;
    let written = || -> io::Result<(u64, Option<u64>)> {
        process::settle(server.pid, Duration::from_secs(5))?;
        let disk = reached_disk(setup.directory())?;
        Ok((process::written(server.pid)?, disk))
    };
    let (counted, disk) = written().map_err(failed)?;
    for _ in 0..MESSAGES {
        load.chat(1, Until::Count(1))?;
        thread::sleep(PAUSE);
    }
    let (counted_after, disk_after) = written().map_err(failed)?;
    let each = |bytes: u64| bytes as f64 / 1024.0 / f64::from(MESSAGES);
    let mut figures = vec![Figure::of("lone-counted", each(counted_after - counted))];
    if let (Some(before), Some(after)) = (disk, disk_after) {
        figures.push(Figure::of("lone", each(after - before)));
    }
    Ok(figures)
}

/// Bytes that have reached the disk of this directory when all of them have; None: others use it too.
fn reached_disk(directory: &Path) -> io::Result<Option<u64>> {
    let directory = File::open(directory)?;
    // SAFETY: an open descriptor, and nothing else goes in.
    if unsafe { libc::syncfs(directory.as_raw_fd()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let device = directory.metadata()?.dev();
    let (major, minor) = (libc::major(device), libc::minor(device));
    let device = Path::new("/sys/dev/block").join(format!("{major}:{minor}"));
    if !device.join("loop").exists() {
        return Ok(None);
    }
    // The seventh number: sectors of 512 bytes that were written.
    let stat = fs::read_to_string(device.join("stat"))?;
    let sectors = stat.split_whitespace().nth(6).map(str::parse::<u64>);
    Ok(sectors.and_then(Result::ok).map(|sectors| sectors * 512))
}
