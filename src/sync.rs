//! Locks, channels and threads as the file backend uses them: the standard library's, or, where the feature `schedules` builds the
//! unit tests, those of the schedule checker, which can switch threads at each of them.

/// Whether the schedule checker runs the threads. What only saves time is left out then: it would hide most schedules.
pub const IS_CHECKED: bool = cfg!(all(test, feature = "schedules"));

#[cfg(not(all(test, feature = "schedules")))]
mod chosen {
    pub use std::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic, mpsc};
    pub use std::{thread, thread_local};

    /// A place where the schedule checker may switch threads, for what has locks of its own that it knows nothing of.
    #[inline]
    pub const fn switch_point() {}
}

#[cfg(all(test, feature = "schedules"))]
mod chosen {
    pub use shuttle::sync::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard, atomic, mpsc};
    pub use shuttle::{thread, thread_local};

    pub fn switch_point() {
        thread::yield_now();
    }
}

pub use chosen::*;
