//! An allocator that counts for the thread that asks, so that tests beside each other do not disturb.
#![allow(dead_code)] // each test binary uses a part of it

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, and what it did for this thread.
pub struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

/// Allocations and reallocations of this thread until now.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Bytes that this thread allocated and did not free; what other threads freed for it still counts.
pub fn live() -> isize {
    LIVE.get()
}

/// The most bytes that lived since this was asked last.
pub fn peak() -> isize {
    PEAK.replace(LIVE.get())
}

fn note(bytes: isize) {
    let live = LIVE.get() + bytes;
    LIVE.set(live);
    if live > PEAK.get() {
        PEAK.set(live);
    }
}

// SAFETY: everything is the system allocator's; what is counted is counted in thread-locals without a destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        note(layout.size() as isize);
        // SAFETY: the caller's contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: the caller's contract.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        note(size as isize - layout.size() as isize);
        // SAFETY: the caller's contract.
        unsafe { System.realloc(at, layout, size) }
    }
}
