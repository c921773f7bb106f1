//! What a key must be able to say.

use std::hash::Hash;

/// Names a lock, and the lock that encloses it.
///
/// Keys form trees, such as record < family < account. A lock covers everything below its key: a shared lock on a family
/// excludes writers of its records, an exclusive lock on an account excludes everything in it.
///
/// # Shape
/// `Ord` is the order in which [`super::LockManager::acquire_sorted`] takes keys. `a.parent() == Some(b)` requires
/// `b.encloses()`, and the answers for one key never change.
pub trait LockKey: Clone + Eq + Hash + Ord {
    /// The key that encloses this one. Only asked while locks of enclosing keys exist.
    fn parent(&self) -> Option<Self> {
        None
    }

    /// Whether this key may enclose others.
    fn encloses(&self) -> bool {
        false
    }
}
