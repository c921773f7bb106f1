//! Counts what the thread that runs a test allocates.

#![allow(dead_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator.
struct Counting;

thread_local! {
    /// What it has allocated and not freed.
    pub static HELD: Cell<isize> = const { Cell::new(0) };
    /// The most of that at any time since it was set.
    pub static MOST: Cell<isize> = const { Cell::new(0) };
    /// The largest single allocation since it was set.
    pub static LARGEST: Cell<usize> = const { Cell::new(0) };
    /// Bytes that it was asked for.
    pub static ASKED: Cell<usize> = const { Cell::new(0) };
}

fn count(change: isize, size: usize) {
    let _ = HELD.try_with(|held| {
        held.set(held.get() + change);
        let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
    });
    let _ = LARGEST.try_with(|largest| largest.set(largest.get().max(size)));
    let _ = ASKED.try_with(|asked| asked.set(asked.get() + size));
}

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize, layout.size());
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        count(-(layout.size() as isize), 0);
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize, size);
        // SAFETY: the caller keeps the contract of this very call.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;
