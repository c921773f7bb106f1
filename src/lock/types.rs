//! What callers hand in and get back.

use std::time::{Duration, Instant};

/// Identifies an owner within its lock manager. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OwnerId(pub(super) u64);

/// Identifies a wait within its lock manager. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WaitId(pub(super) u64);

/// Why an owner was doomed: a number that means something to the caller only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub u32);

/// How a lock is held. The stronger mode is the greater one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mode {
    /// Beside other shared holders.
    Shared,
    /// Alone, but for ancestors.
    Exclusive,
}

impl Mode {
    /// Whether two strangers may not hold overlapping locks in these modes.
    #[must_use]
    pub const fn conflicts(self, other: Self) -> bool {
        !matches!((self, other), (Self::Shared, Self::Shared))
    }
}

/// What an owner is, said when it begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Begin {
    /// The owner around it.
    pub parent: Option<OwnerId>,
    /// The caller's number for the thread it belongs to; see [`super::LockManager::end_domain`].
    pub domain: u32,
    /// Becomes a deadlock's victim only where no other waiting owner of the circle can.
    pub last_resort: bool,
    /// Lives on where an owner around it is doomed or ends: its work does not depend on theirs.
    ///
    /// It may take what they hold, as every owner inside them. In the wait-for graph it counts as their part all the same: a
    /// circle may be seen where it would have ended in time, but none is missed.
    pub independent: bool,
}

/// What happens to the locks of an owner that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// They go to its parent, where the stronger mode wins; without a parent they are free.
    Inherit,
    /// They are free. What an ancestor holds too stays the ancestor's, in the ancestor's mode.
    ///
    /// The ending of a failure, and of an independent child that has committed by itself.
    Release,
}

/// Called exactly once for a wait, outside the manager's mutex, in the thread whose call ended the wait.
///
/// It may call the manager. It must not panic: other waits that ended with it would never hear of it.
pub type Callback<K> = Box<dyn FnOnce(Result<(), Refusal<K>>) + Send>;

/// What became of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired<K> {
    /// Everything asked for is held. There will be no callback.
    Now,
    /// The owner waits; the callback will be called.
    Later(WaitId),
    /// Nothing more is held than before, but for keys of a sorted request taken before the one that was refused. There will be
    /// no callback.
    Refused(Refusal<K>),
}

/// Why a request was not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal<K> {
    /// Waiting would never end.
    Deadlock(Box<Deadlock<K>>),
    /// Its deadline has passed.
    Expired {
        /// The key that was not free.
        key: K,
        /// How long the request has waited.
        waited: Duration,
    },
    /// [`super::LockManager::cancel`] was called.
    Cancelled,
    /// The owner, or one around it, was doomed.
    Doomed(Reason),
    /// The owner, one around it, or its domain has ended.
    Ended,
}

/// A circle of owners each of which waits for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deadlock<K> {
    /// The owner to be given up and tried again: the one whose wait was refused, or the nearest around it that has locks of the
    /// circle. Until it ends or is doomed the others of the circle wait.
    pub victim: OwnerId,
    /// Keys that are waited for in the circle, in order.
    pub keys: Vec<K>,
}

/// Limits of one request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Instant from which [`super::LockManager::expire`] refuses the wait.
    pub deadline: Option<Instant>,
    /// The caller's number for the wait, for those who look at [`super::LockManager::snapshot`].
    pub token: u32,
}
