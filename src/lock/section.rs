//! The one mutex of a manager, as an interface.

use std::sync::{Mutex, PoisonError};

/// Lets one thread at a time work on a value.
///
/// Outside tests this is the standard library's mutex: sections are short and nothing waits inside. The schedule checker has a
/// mutex of its own, at which it can switch threads.
pub trait Section<T>: From<T> {
    /// Runs `work` alone.
    fn enter<R>(&self, work: impl FnOnce(&mut T) -> R) -> R;
}

impl<T> Section<T> for Mutex<T> {
    fn enter<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
