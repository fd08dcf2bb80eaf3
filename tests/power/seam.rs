//! Between the server and the kernel (`LD_PRELOAD`): every call that changes a file or a name, and every sync, is noted in a journal outside of the data
//! directory before it is made, so that the test can say what a disk would hold after a power cut. `tests/power.rs` compiles it with rustc alone.
//!
//! `SNUG_POWER_JOURNAL`: the journal's file, which is appended to; without it nothing is noted. Calls come one after the other, so that the
//! journal has their order; syncs do not hold up others. A sync is not made at all: it takes some milliseconds, as an SD card does, and is noted when it is
//! called and when it returns. `sync_file_range` is not noted: it promises nothing.
//!
//! `SNUG_POWER_DAYS`: so many days later it is for the server, so that a short test meets many months.
//!
//! `entry.rs` says what an entry is, `journal.rs` reads them.

mod entry;

use entry::{DONE, GROW, LENGTH, MAKE_DIRECTORY, OPEN, REMOVE, RENAME, SYNC, SYNCED, WRITE};
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::fs::{File, read_link};
use std::io::IoSlice;
use std::mem::ManuallyDrop;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock};
use std::time::Duration;

/// `struct timespec` where a long has 64 bits.
#[repr(C)]
struct Time {
    seconds: i64,
    nanoseconds: i64,
}

const CLOCK_REALTIME: c_int = 0;
const O_CREAT: c_int = 0o100;
const O_TRUNC: c_int = 0o1000;
const O_APPEND: c_int = 0o2000;
const AT_FDCWD: c_int = -100;
const F_GETFL: c_int = 3;
const SEEK_CUR: c_int = 1;
const FALLOC_FL_KEEP_SIZE: c_int = 1;
const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;

/// The longest that a sync takes, in microseconds.
const SYNC_TAKES_US: u64 = 8000;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void;
    fn fcntl(fd: c_int, command: c_int) -> c_int;
    fn lseek64(fd: c_int, offset: i64, whence: c_int) -> i64;
}

/// The function of this name that comes after ours.
macro_rules! next {
    ($name:literal, $($argument:ty),* => $result:ty) => {{
        static FOUND: AtomicUsize = AtomicUsize::new(0);
        let mut found = FOUND.load(Ordering::Relaxed);
        if found == 0 {
            let name: &CStr = $name;
            // SAFETY: a text that ends with a zero; the answer is checked.
            found = unsafe { dlsym(RTLD_NEXT, name.as_ptr()) } as usize;
            assert_ne!(found, 0, "{name:?}");
            FOUND.store(found, Ordering::Relaxed);
        }
        // SAFETY: the C library's function of this name takes and returns these.
        unsafe { std::mem::transmute::<usize, unsafe extern "C" fn($($argument),*) -> $result>(found) }
    }};
}

/// Ends the process with a word. Not a panic: its message would be noted, by whoever notes already.
fn fail(why: &str) -> ! {
    let write = next!(c"write", c_int, *const u8, usize => isize);
    // SAFETY: these bytes.
    unsafe { write(2, why.as_ptr(), why.len()) };
    std::process::abort()
}

/// The journal; whoever holds it is the only one who changes anything.
struct Journal {
    file: File,
    inode: u64,
}

static SYNCS: AtomicU64 = AtomicU64::new(0);

fn journal() -> Option<MutexGuard<'static, Journal>> {
    static JOURNAL: OnceLock<Option<Mutex<Journal>>> = OnceLock::new();
    let journal = JOURNAL.get_or_init(|| {
        let path = std::env::var_os("SNUG_POWER_JOURNAL")?;
        let path = std::ffi::CString::new(path.into_encoded_bytes()).expect("a path");
        let open = next!(c"open64", *const c_char, c_int, c_uint => c_int);
        // O_WRONLY | O_CLOEXEC: the test has made it.
        let flags = 1 | O_APPEND | 0o2000000;
        // SAFETY: a path that ends with a zero.
        let fd = unsafe { open(path.as_ptr(), flags, 0) };
        if fd < 0 {
            fail("the journal cannot be opened");
        }
        // SAFETY: it was just opened and is nobody else's.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let inode = file.metadata().expect("a file").ino();
        Some(Mutex::new(Journal { file, inode }))
    });
    journal
        .as_ref()
        .map(|journal| journal.lock().expect("no call fails while it is noted"))
}

impl Journal {
    fn note(&self, kind: u32, numbers: [u64; 3], payload: &[IoSlice]) {
        let length: usize = payload.iter().map(|part| part.len()).sum();
        let mut entry = Vec::with_capacity(32 + length);
        entry.extend_from_slice(&kind.to_le_bytes());
        entry.extend_from_slice(
            &u32::try_from(length)
                .expect("a stanza at most")
                .to_le_bytes(),
        );
        for number in numbers {
            entry.extend_from_slice(&number.to_le_bytes());
        }
        payload
            .iter()
            .for_each(|part| entry.extend_from_slice(part));
        let write = next!(c"write", c_int, *const u8, usize => isize);
        let mut rest = &entry[..];
        while !rest.is_empty() {
            // SAFETY: these bytes.
            let written = unsafe { write(self.file.as_raw_fd(), rest.as_ptr(), rest.len()) };
            if written <= 0 {
                fail("there is no room for the journal");
            }
            rest = &rest[written as usize..];
        }
    }

    fn note_path(&self, kind: u32, numbers: [u64; 3], path: &Path) {
        let path = path.as_os_str().as_encoded_bytes();
        self.note(kind, numbers, &[IoSlice::new(path)]);
    }

    /// Notes what a call has returned, and returns it.
    fn done<T: Into<i64> + Copy>(&self, result: T, inode: u64) -> T {
        self.note(DONE, [result.into() as u64, inode, 0], &[]);
        result
    }

    /// The inode and the length of a file that is none of the journal's; `None`: no file, nothing to note.
    fn file(&self, fd: c_int) -> Option<(u64, u64)> {
        let (inode, length, is_file) = look(fd)?;
        (is_file && inode != self.inode).then_some((inode, length))
    }
}

/// Inode, length, and whether it is an ordinary file.
fn look(fd: c_int) -> Option<(u64, u64, bool)> {
    if fd < 0 {
        return None;
    }
    // SAFETY: it is only looked at, and not closed.
    let file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    let metadata = file.metadata().ok()?;
    Some((metadata.ino(), metadata.len(), metadata.is_file()))
}

/// A path without a directory to begin at; the name stands for what it stood for when the call was made.
fn absolute(directory: c_int, path: *const c_char) -> PathBuf {
    // SAFETY: the caller's path, as the C library's function wants it.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    // SAFETY: these bytes were an OsStr's, or are a path of the system's.
    let path = Path::new(unsafe { std::ffi::OsStr::from_encoded_bytes_unchecked(path) });
    let begin = match directory {
        _ if path.is_absolute() => return path.to_owned(),
        AT_FDCWD => std::env::current_dir().expect("a directory"),
        fd => read_link(format!("/proc/self/fd/{fd}")).expect("an open directory"),
    };
    begin.join(path)
}

fn noted_write(
    fd: c_int,
    place: Option<i64>,
    parts: &[IoSlice],
    call: impl FnOnce() -> isize,
) -> isize {
    let Some(journal) = journal() else {
        return call();
    };
    let Some((inode, length)) = journal.file(fd) else {
        drop(journal);
        return call();
    };
    let place = match place {
        Some(place) => place as u64,
        // SAFETY: asks for flags and place of an open file.
        None if unsafe { fcntl(fd, F_GETFL) } & O_APPEND != 0 => length,
        None => unsafe { lseek64(fd, 0, SEEK_CUR) as u64 },
    };
    journal.note(WRITE, [inode, place, 0], parts);
    journal.done(call() as i64, 0) as isize
}

fn noted_open(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    call: impl FnOnce() -> c_int,
) -> c_int {
    if flags & (O_CREAT | O_TRUNC) == 0 {
        return call();
    }
    let Some(journal) = journal() else {
        return call();
    };
    let (make, empty) = (flags & O_CREAT != 0, flags & O_TRUNC != 0);
    let numbers = [u64::from(make), u64::from(empty), 0];
    journal.note_path(OPEN, numbers, &absolute(directory, path));
    let fd = call();
    journal.done(fd, look(fd).map_or(0, |(inode, _, _)| inode))
}

fn noted_name(
    kind: u32,
    directory: c_int,
    path: *const c_char,
    call: impl FnOnce() -> c_int,
) -> c_int {
    let Some(journal) = journal() else {
        return call();
    };
    let path = absolute(directory, path);
    journal.note_path(kind, [0; 3], &path);
    let result = call();
    let inode = match kind {
        MAKE_DIRECTORY => std::fs::metadata(&path).map_or(0, |made| made.ino()),
        _ => 0,
    };
    journal.done(result, inode)
}

fn noted_rename(from: PathBuf, to: PathBuf, call: impl FnOnce() -> c_int) -> c_int {
    let Some(journal) = journal() else {
        return call();
    };
    let [from, to] = [&from, &to].map(|path| IoSlice::new(path.as_os_str().as_encoded_bytes()));
    journal.note(RENAME, [0; 3], &[from, IoSlice::new(b"\0"), to]);
    journal.done(call(), 0)
}

fn noted_length(kind: u32, fd: c_int, length: i64, call: impl FnOnce() -> c_int) -> c_int {
    let Some(journal) = journal() else {
        return call();
    };
    let Some((inode, _)) = journal.file(fd) else {
        drop(journal);
        return call();
    };
    journal.note(kind, [inode, length as u64, 0], &[]);
    journal.done(call(), 0)
}

fn noted_sync(fd: c_int, call: impl FnOnce() -> c_int) -> c_int {
    let Some(journal) = journal() else {
        return call();
    };
    let Some((inode, _, _)) = look(fd) else {
        return call();
    };
    let number = SYNCS.fetch_add(1, Ordering::Relaxed);
    journal.note(SYNC, [number, inode, 0], &[]);
    drop(journal);
    let takes = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    std::thread::sleep(Duration::from_micros(takes % SYNC_TAKES_US));
    let journal = self::journal().expect("it is there");
    journal.note(SYNCED, [number, 0, 0], &[]);
    0
}

// The C library's functions. Variable arguments are named: they are passed alike where this runs.

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, bytes: *const u8, length: usize) -> isize {
    let real = next!(c"write", c_int, *const u8, usize => isize);
    let part = IoSlice::new(unsafe { slice(bytes, length) });
    noted_write(fd, None, &[part], || unsafe { real(fd, bytes, length) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, parts: *const IoSlice<'_>, count: c_int) -> isize {
    let real = next!(c"writev", c_int, *const IoSlice<'_>, c_int => isize);
    let all = unsafe { std::slice::from_raw_parts(parts, count.max(0) as usize) };
    noted_write(fd, None, all, || unsafe { real(fd, parts, count) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, bytes: *const u8, length: usize, place: i64) -> isize {
    let real = next!(c"pwrite64", c_int, *const u8, usize, i64 => isize);
    let part = IoSlice::new(unsafe { slice(bytes, length) });
    noted_write(fd, Some(place), &[part], || unsafe {
        real(fd, bytes, length, place)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64(
    fd: c_int,
    parts: *const IoSlice<'_>,
    count: c_int,
    place: i64,
) -> isize {
    let real = next!(c"pwritev64", c_int, *const IoSlice<'_>, c_int, i64 => isize);
    let all = unsafe { std::slice::from_raw_parts(parts, count.max(0) as usize) };
    noted_write(fd, Some(place), all, || unsafe {
        real(fd, parts, count, place)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, length: i64) -> c_int {
    let real = next!(c"ftruncate64", c_int, i64 => c_int);
    noted_length(LENGTH, fd, length, || unsafe { real(fd, length) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, place: i64, length: i64) -> c_int {
    let real = next!(c"fallocate64", c_int, c_int, i64, i64 => c_int);
    match mode {
        0 => noted_length(GROW, fd, place + length, || unsafe {
            real(fd, mode, place, length)
        }),
        FALLOC_FL_KEEP_SIZE => unsafe { real(fd, mode, place, length) },
        _ => fail("the journal has no entry for this mode of fallocate"),
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    let real = next!(c"fsync", c_int => c_int);
    noted_sync(fd, || unsafe { real(fd) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    let real = next!(c"fdatasync", c_int => c_int);
    noted_sync(fd, || unsafe { real(fd) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn sync_file_range(_: c_int, _: i64, _: i64, _: c_uint) -> c_int {
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    let real = next!(c"open64", *const c_char, c_int, c_uint => c_int);
    noted_open(AT_FDCWD, path, flags, || unsafe { real(path, flags, mode) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(
    directory: c_int,
    path: *const c_char,
    flags: c_int,
    mode: c_uint,
) -> c_int {
    let real = next!(c"openat64", c_int, *const c_char, c_int, c_uint => c_int);
    noted_open(directory, path, flags, || unsafe {
        real(directory, path, flags, mode)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: c_uint) -> c_int {
    let real = next!(c"mkdir", *const c_char, c_uint => c_int);
    noted_name(MAKE_DIRECTORY, AT_FDCWD, path, || unsafe {
        real(path, mode)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    let real = next!(c"unlink", *const c_char => c_int);
    noted_name(REMOVE, AT_FDCWD, path, || unsafe { real(path) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    let real = next!(c"rmdir", *const c_char => c_int);
    noted_name(REMOVE, AT_FDCWD, path, || unsafe { real(path) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(directory: c_int, path: *const c_char, flags: c_int) -> c_int {
    let real = next!(c"unlinkat", c_int, *const c_char, c_int => c_int);
    noted_name(REMOVE, directory, path, || unsafe {
        real(directory, path, flags)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: c_int, time: *mut Time) -> c_int {
    static LATER: OnceLock<i64> = OnceLock::new();
    let real = next!(c"clock_gettime", c_int, *mut Time => c_int);
    let result = unsafe { real(clock, time) };
    if result == 0 && clock == CLOCK_REALTIME {
        let later = LATER.get_or_init(|| {
            let days = std::env::var("SNUG_POWER_DAYS").unwrap_or_default();
            days.parse::<i64>().map_or(0, |days| days * 86_400)
        });
        unsafe { (*time).seconds += later };
    }
    result
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    let real = next!(c"rename", *const c_char, *const c_char => c_int);
    noted_rename(
        absolute(AT_FDCWD, from),
        absolute(AT_FDCWD, to),
        || unsafe { real(from, to) },
    )
}

/// # Safety
/// What the C library's functions demand: so many bytes are there.
unsafe fn slice<'a>(bytes: *const u8, length: usize) -> &'a [u8] {
    match length {
        0 => &[],
        _ => unsafe { std::slice::from_raw_parts(bytes, length) },
    }
}
