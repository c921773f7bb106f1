//! What a backend tells about itself, for people and machines to look at.

use super::Families;
use crate::stats::{Counter, DURATIONS, SIZES, Snapshot};

/// What became of reads, record by record.
#[derive(Debug, Default)]
pub struct ReadCounts {
    /// Found in memory.
    pub cached: Counter,
    /// Read from the log.
    pub log: Counter,
    /// Not there.
    pub absent: Counter,
}

/// What a backend has of one account.
#[derive(Debug, Clone, Copy)]
pub struct AccountFacts<'a> {
    /// Its name.
    pub name: &'a str,
    /// How many records of each family there are.
    pub families: &'a Families,
    /// What became of its reads since the cask was opened.
    pub reads: &'a ReadCounts,
}

/// What a backend tells about itself. Where it has no log, what belongs to one is 0.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The log, where there is one.
    pub log: Option<LogFacts>,
    /// Bytes of memory that the index of records takes.
    pub index_bytes: u64,
    /// Bytes in the cache of values that this cask uses.
    pub cache_bytes: u64,
    /// Bytes that it may have.
    pub cache_capacity: u64,
    /// Whether other casks use it too.
    pub cache_is_shared: bool,
}

/// What a log tells about itself, since it was opened where it counts.
#[derive(Debug, Clone, Default)]
pub struct LogFacts {
    /// Segments that it consists of.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Bytes of them that records take.
    pub live_bytes: u64,
    /// Batches that wait to be written.
    pub queued_batches: u64,
    /// Bytes that were appended.
    pub appended_bytes: u64,
    /// Compactions.
    pub compactions: u64,
    /// Bytes of the segments that they have replaced.
    pub compacted_bytes: u64,
    /// Bytes of the segments that have taken their places.
    pub copied_bytes: u64,
    /// Whether a sync has failed, so that nothing is written any more.
    pub is_poisoned: bool,
    /// How long syncs took, in nanoseconds.
    pub syncs: Snapshot<{ DURATIONS.len() + 1 }>,
    /// How long it took to read a value that was not cached, in nanoseconds.
    pub reads: Snapshot<{ DURATIONS.len() + 1 }>,
    /// How many batches that had to wait were written together.
    pub groups: Snapshot<{ SIZES.len() + 1 }>,
}
