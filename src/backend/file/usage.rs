//! How many bytes of each segment are still needed.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use rustc_hash::FxBuildHasher;

use super::index::Location;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{RwLock, RwLockReadGuard};

/// Bytes of one segment by what they are.
#[derive(Debug, Default)]
struct Counters {
    /// Of records that the index has there.
    live: AtomicU64,
    /// Of deletes, clears and drops: garbage, but needed while something older could come back without them.
    tombstones: AtomicU64,
}

/// What is needed of one segment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needed {
    /// Bytes of records that the index has there.
    pub live: u64,
    /// Bytes of deletes, clears and drops.
    pub tombstones: u64,
}

type Table = HashMap<u32, Arc<Counters>, FxBuildHasher>;

/// The counters of all segments of a cask. Sizes are those that [`Location::size`] tells, so what was added is subtracted again.
#[derive(Debug, Default)]
pub struct Usage {
    table: RwLock<Table>,
}

impl Usage {
    fn table(&self) -> RwLockReadGuard<'_, Table> {
        self.table.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the operations of a batch that stands in one segment.
    #[must_use]
    pub fn of_batch(&self, segment: u32) -> BatchUsage<'_> {
        let table = self.table();
        let table = if table.contains_key(&segment) {
            table
        } else {
            drop(table);
            self.table.write().unwrap_or_else(PoisonError::into_inner).entry(segment).or_default();
            self.table()
        };
        let own = table.get(&segment).cloned().unwrap_or_default();
        BatchUsage { table, segment, own, live: 0, tombstones: 0 }
    }

    /// What is needed of a segment.
    #[must_use]
    pub fn needed(&self, segment: u32) -> Needed {
        self.table().get(&segment).map_or_else(Needed::default, |counters| Needed {
            live: counters.live.load(Ordering::Relaxed),
            tombstones: counters.tombstones.load(Ordering::Relaxed),
        })
    }

    /// Bytes of all records.
    #[must_use]
    pub fn live(&self) -> u64 {
        self.table().values().map(|counters| counters.live.load(Ordering::Relaxed)).sum()
    }

    /// Forgets a segment that is gone.
    pub fn forget(&self, segment: u32) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).remove(&segment);
    }

    /// Records that the index no longer has.
    pub fn died(&self, locations: impl Iterator<Item = Location>) {
        let table = self.table();
        locations.for_each(|location| subtract(&table, location));
    }
}

fn subtract(table: &Table, location: Location) {
    if let Some(counters) = table.get(&location.segment()) {
        counters.live.fetch_sub(location.size(), Ordering::Relaxed);
    }
}

/// Counts for one batch. Its own segment's counters are told when it is dropped: an atomic addition for each record would make the
/// processor wait for one record's memory before it asks for the next one's. So drop it before anybody else can see the records.
#[derive(Debug)]
pub struct BatchUsage<'a> {
    table: RwLockReadGuard<'a, Table>,
    segment: u32,
    own: Arc<Counters>,
    /// What to add, which is below zero where older records of the segment died.
    live: u64,
    tombstones: u64,
}

impl BatchUsage<'_> {
    /// A record of the batch is what the index has.
    pub const fn added(&mut self, location: Location) {
        self.live = self.live.wrapping_add(location.size());
    }

    /// The batch has a delete, clear or drop of so many bytes.
    pub const fn tombstone(&mut self, bytes: u64) {
        self.tombstones += bytes;
    }

    /// The index no longer has this record.
    pub fn died(&mut self, location: Location) {
        if location.segment() == self.segment {
            self.live = self.live.wrapping_sub(location.size());
        } else {
            subtract(&self.table, location);
        }
    }
}

impl Drop for BatchUsage<'_> {
    fn drop(&mut self) {
        if self.live != 0 {
            self.own.live.fetch_add(self.live, Ordering::Relaxed);
        }
        if self.tombstones != 0 {
            self.own.tombstones.fetch_add(self.tombstones, Ordering::Relaxed);
        }
    }
}
