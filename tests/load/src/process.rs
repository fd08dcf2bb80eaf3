//! What a server process has cost so far: CPU time of all its threads and children, and memory.
//!
//! CPU time is the process's CPU clock (nanoseconds, threads that have ended included), summed over the
//! process and its descendants, plus what ended children left in `/proc/PID/stat`. Never the wall clock.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

/// CPU time that the process and its descendants have used since they started, in user and kernel mode.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    let mut sum = own_cpu(pid)? + ended_children_cpu(pid)?;
    for child in descendants(pid) {
        // A child that ends between the listing and here is counted in its parent's next reading.
        if let (Ok(own), Ok(ended)) = (own_cpu(child), ended_children_cpu(child)) {
            sum += own + ended;
        }
    }
    Ok(sum)
}

/// CPU time of the calling process: what the load generator itself has used.
pub fn own() -> io::Result<Duration> {
    clock(libc::CLOCK_PROCESS_CPUTIME_ID)
}

/// Memory of a process and its descendants, in KiB.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Memory {
    /// Resident set.
    pub rss: u64,
    /// Resident, shared pages divided among those who share them.
    pub pss: u64,
}

/// The memory that the process and its descendants hold now.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let mut sum = own_memory(pid)?;
    for child in descendants(pid) {
        if let Ok(child) = own_memory(child) {
            sum.rss += child.rss;
            sum.pss += child.pss;
        }
    }
    Ok(sum)
}

/// Bytes that the process and its descendants have caused to be written to a device since they started: what the kernel counts when a page of a
/// file becomes dirty, without the file system's own journal. On a file system in memory it is 0.
pub fn written(pid: u32) -> io::Result<u64> {
    let own = |pid: u32| -> io::Result<u64> {
        let io = fs::read_to_string(format!("/proc/{pid}/io"))?;
        let line = io
            .lines()
            .find_map(|line| line.strip_prefix("write_bytes:"));
        Ok(line
            .and_then(|number| number.trim().parse().ok())
            .unwrap_or(0))
    };
    let mut sum = own(pid)?;
    for child in descendants(pid) {
        sum += own(child).unwrap_or(0);
    }
    Ok(sum)
}

/// Waits until the process has done nothing for 300 ms, at most `limit`: what a load left behind
/// (closing, logging, collecting garbage) is then in its account.
pub fn settle(pid: u32, limit: Duration) -> io::Result<()> {
    let start = Instant::now();
    let mut before = cpu(pid)?;
    while start.elapsed() < limit {
        thread::sleep(Duration::from_millis(300));
        let now = cpu(pid)?;
        if now - before < Duration::from_millis(2) {
            return Ok(());
        }
        before = now;
    }
    Ok(())
}

fn own_cpu(pid: u32) -> io::Result<Duration> {
    let mut id: libc::clockid_t = 0;
    // SAFETY: `id` is a valid place to write one clock id.
    let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut id) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    clock(id)
}

fn clock(id: libc::clockid_t) -> io::Result<Duration> {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place to write one timespec.
    if unsafe { libc::clock_gettime(id, &mut time) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}

/// `cutime + cstime` of `/proc/PID/stat`: what children that have been waited for used.
fn ended_children_cpu(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The command's name, the second field, may hold spaces: count from its closing parenthesis.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |index: usize| {
        fields
            .get(index)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // SAFETY: sysconf has no preconditions.
    let ticks_a_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as u64;
    Ok(Duration::from_millis(
        (ticks(13) + ticks(14)) * 1000 / ticks_a_second,
    ))
}

fn own_memory(pid: u32) -> io::Result<Memory> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let kib = |name: &str| {
        let line = rollup.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_whitespace().nth(1))
            .and_then(|number| number.parse().ok())
            .unwrap_or(0)
    };
    Ok(Memory {
        rss: kib("Rss:"),
        pss: kib("Pss:"),
    })
}

fn descendants(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        let Ok(threads) = fs::read_dir(format!("/proc/{parent}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let children = fs::read_to_string(thread.path().join("children")).unwrap_or_default();
            for child in children
                .split_whitespace()
                .filter_map(|child| child.parse().ok())
            {
                found.push(child);
                parents.push(child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_work_of_this_process_and_of_its_children() {
        let pid = std::process::id();
        let before = cpu(pid).unwrap();
        let spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        assert!(
            std::process::Command::new("sh")
                .args(["-c", spin])
                .status()
                .unwrap()
                .success()
        );
        let child = cpu(pid).unwrap() - before;
        assert!(child >= Duration::from_millis(20), "{child:?}");
        assert!(memory(pid).unwrap().rss > 500);
    }
}
