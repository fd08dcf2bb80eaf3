//! Free space of the disk under the data directory, and the ballast that is given back when there is none.
//!
//! sled can go on after a full disk only by being reopened, and to reopen it writes. So some space is kept in a file of ours, and long before the
//! last byte the store refuses what would make it grow.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::limits::{BALLAST_BYTES, DISK_FREE_BYTES_LOW};

/// What is known of the disk.
pub struct Space {
    dir: PathBuf,
    low: AtomicBool,
}

impl Space {
    /// Looks at the disk of the data directory and puts the ballast there if there is room.
    pub fn new(dir: &Path) -> Space {
        let space = Space {
            dir: dir.to_path_buf(),
            low: AtomicBool::new(false),
        };
        space.look();
        space
    }

    /// Whether the disk was nearly full when it was last looked at.
    pub fn is_low(&self) -> bool {
        self.low.load(Ordering::Acquire)
    }

    /// Looks again; whether the disk is nearly full. One system call, and the ballast is put back when there is room for it again.
    pub fn look(&self) -> bool {
        let free = self.free();
        let was_low = self.is_low();
        // Not low again before there is room for the ballast too, so that it does not change with every message.
        let bound = if was_low {
            DISK_FREE_BYTES_LOW + BALLAST_BYTES
        } else {
            DISK_FREE_BYTES_LOW
        };
        let low = free < bound;
        self.low.store(low, Ordering::Release);
        if low != was_low {
            if low {
                log::warn!(
                    "{}: {} MiB free: free some space there; until then messages for those who are away, contacts and new accounts are refused",
                    self.dir.display(),
                    free >> 20
                );
            } else {
                log::info!(
                    "{}: {} MiB free: everything is stored again",
                    self.dir.display(),
                    free >> 20
                );
            }
        }
        if !low && free >= DISK_FREE_BYTES_LOW + BALLAST_BYTES && !self.ballast().exists() {
            self.load();
        }
        low
    }

    /// Gives the ballast back.
    pub fn release(&self) {
        self.low.store(true, Ordering::Release);
        let ballast = self.ballast();
        if let Err(error) = fs::remove_file(&ballast)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            log::error!("{}: {error}: remove this file by hand", ballast.display());
        }
    }

    /// Free bytes for this user. A file system that does not say counts as empty.
    pub fn free(&self) -> u64 {
        match rustix::fs::statvfs(&self.dir) {
            Ok(disk) if disk.f_blocks > 0 => disk.f_bavail.saturating_mul(disk.f_frsize),
            _ => u64::MAX,
        }
    }

    /// Bytes of the whole disk. A file system that does not say counts as endless.
    pub fn size(&self) -> u64 {
        match rustix::fs::statvfs(&self.dir) {
            Ok(disk) if disk.f_blocks > 0 => disk.f_blocks.saturating_mul(disk.f_frsize),
            _ => u64::MAX,
        }
    }

    fn ballast(&self) -> PathBuf {
        self.dir.join("ballast")
    }

    fn load(&self) {
        let ballast = self.ballast();
        let load = || -> std::io::Result<()> {
            let mut file = File::create(&ballast)?;
            // Real blocks in one call where the file system can; bytes that differ where it cannot, so that none is compressed or left out.
            if rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, BALLAST_BYTES)
                .is_ok()
            {
                return Ok(());
            }
            let mut block = [0u8; 64 * 1024];
            let mut state = 0x9e37_79b9_7f4a_7c15_u64;
            for _ in 0..BALLAST_BYTES / block.len() as u64 {
                for bytes in block.chunks_exact_mut(8) {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    bytes.copy_from_slice(&state.to_ne_bytes());
                }
                file.write_all(&block)?;
            }
            Ok(())
        };
        if let Err(error) = load() {
            log::warn!(
                "{}: {error}: there is no ballast for a full disk",
                ballast.display()
            );
            let _ = fs::remove_file(&ballast);
        }
    }
}
