//! How memory goes back to the system.
//!
//! glibc gives big blocks to the system as soon as they are freed, until the first big one was: from then on it keeps those of that size for later. Opening a
//! database allocates and frees half a megabyte several times, on whichever thread does it, so that a server that has made one database had 6 MB more for ever,
//! and one in whose archive somebody has gone back by a year 25 MB more.

/// Bytes from which a block goes back to the system: what glibc begins with.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const BIG_BYTES: std::ffi::c_int = 128 * 1024;

/// Makes big blocks go back to the system for good. Other allocators than glibc's are left as they are.
pub fn give_back_big_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // In glibc's <malloc.h>.
        const M_MMAP_THRESHOLD: std::ffi::c_int = -3;
        unsafe extern "C" {
            safe fn mallopt(parameter: std::ffi::c_int, value: std::ffi::c_int) -> std::ffi::c_int;
        }
        if mallopt(M_MMAP_THRESHOLD, BIG_BYTES) == 0 {
            ::log::debug!("the allocator keeps its own rules");
        }
    }
}
