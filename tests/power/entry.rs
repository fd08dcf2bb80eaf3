//! The kinds of a journal's entries: what `seam.rs` writes and `journal.rs` reads.
//!
//! An entry is 32 bytes, little-endian, and a payload: its kind and the payload's length (u32 each), three numbers (u64), the payload. A call is noted before it
//! is made and followed by `DONE`, with nothing but syncs between.

/// Inode, place; the bytes.
pub const WRITE: u32 = 1;
/// Inode, length.
pub const LENGTH: u32 = 2;
/// 1 if it is made when it is not there, 1 if it is emptied; the path.
pub const OPEN: u32 = 3;
/// The path.
pub const MAKE_DIRECTORY: u32 = 4;
/// The path of a file or directory.
pub const REMOVE: u32 = 5;
/// Two paths, a zero byte between.
pub const RENAME: u32 = 6;
/// Inode, the length that it has at least.
pub const GROW: u32 = 7;
/// Of the call before: what it returned, the inode of what it opened or made.
pub const DONE: u32 = 10;
/// A number, and the inode: a sync that is called.
pub const SYNC: u32 = 11;
/// The number: that sync returns.
pub const SYNCED: u32 = 12;
