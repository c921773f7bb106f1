//! Counters and histograms that any thread adds to at any time, for people and machines to look at.
//!
//! Nothing is decided by what they say: adding is relaxed, and a look sees each number as of some moment near it.

mod histogram;

use std::sync::atomic::{AtomicU64, Ordering};

pub use self::histogram::{Buckets, DURATIONS, Durations, Histogram, SIZES, Sizes, Snapshot};

/// A number that grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds one.
    #[inline]
    pub fn count(&self) {
        self.add(1);
    }

    /// Adds so many.
    #[inline]
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// Takes over what another one has counted, which begins anew.
    pub fn take_over(&self, other: &Self) {
        self.add(other.0.swap(0, Ordering::Relaxed));
    }

    /// How many there were.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
