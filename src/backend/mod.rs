//! Where records live: a small trait, its in-memory form and the file log.

mod facts;
mod families;
pub mod file;
pub mod memory;

use crate::error::Result;

pub use self::facts::{AccountFacts, Facts, LogFacts, ReadCounts};
pub use self::families::{Count, Families};

/// Called once with the outcome of a batch or a flush, on whatever thread it ended.
pub type Completion = Box<dyn FnOnce(Result<()>) + Send>;

/// What became of a batch by the time `apply` returned.
#[derive(Debug)]
pub enum Applied {
    /// It ended on the calling thread; the completion was not asked for.
    Now(Result<()>),
    /// It is queued; the completion will be called.
    Later,
}

/// One atomic batch of one account.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    /// Account it belongs to.
    pub account: &'a str,
    /// Packed operations that have passed [`crate::record::check_batch`].
    pub ops: &'a [u8],
    /// Fencing token of the writer. A backend shared by several machines refuses a smaller one than it has seen; a backend
    /// that one process holds alone has no use for it.
    pub fence: u64,
}

/// Receives the value under each key, in the order of the keys; `None` where there is no record.
pub type ValueSink<'a> = &'a mut dyn FnMut(Option<&[u8]>);

/// Keeps records and applies batches.
///
/// # Concurrency
/// Every method may be called from any thread. A batch is seen whole or not at all by `get` and `keys`, and in the order in
/// which batches were applied.
pub trait Backend: Send + Sync + std::fmt::Debug {
    /// Reads the values under `keys`, all as of one instant. Stops at the first that cannot be read.
    ///
    /// # Errors
    /// `Io`, `Corrupt`, `Closed`, `Detached`.
    fn get(&self, account: &str, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<()>;

    /// Like [`Self::get`], but gives `false` where it would have to wait for a disk. `sink` may then have received a part,
    /// which does not count.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    fn get_at_once(&self, account: &str, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<bool> {
        self.get(account, keys, sink).map(|()| true)
    }

    /// Applies a batch. `completion` is called at most once, and only where the batch is queued.
    fn apply(&self, batch: Batch<'_>, completion: &mut dyn FnMut() -> Completion) -> Applied;

    /// Applies a batch that is seen by others when this returns; `None`, and nothing done, where that would mean to wait.
    fn apply_at_once(&self, batch: Batch<'_>) -> Option<Result<()>>;

    /// The keys of one account that start with `prefix`, as of one instant, in no particular order.
    ///
    /// # Errors
    /// `Closed`, `Detached`.
    fn keys(&self, account: &str, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()>;

    /// Names of the accounts that hold creds or a record.
    ///
    /// # Errors
    /// `Closed`, `Detached`.
    fn accounts(&self) -> Result<Vec<String>>;

    /// What there is of each account that has had a record since the cask was opened; nothing where nothing is counted. `sink` must be
    /// quick: an account may be locked meanwhile.
    fn visit_accounts(&self, _sink: &mut dyn FnMut(AccountFacts<'_>)) {}

    /// What it tells about itself.
    fn facts(&self) -> Facts {
        Facts::default()
    }

    /// Calls `completion` once everything acknowledged before is safe from a loss of power.
    fn flush(&self, completion: Completion);

    /// Ends the backend. Blocks until what is queued has ended.
    ///
    /// # Errors
    /// `Io` where the log could not be closed cleanly; what was acknowledged is there all the same.
    fn close(&self) -> Result<()>;
}
