//! Histograms with fixed bounds: adding to one allocates nothing and waits for nobody.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds, inclusive and ascending; what is above the last one has a bucket of its own.
pub type Buckets = &'static [u64];

/// Bounds for durations, in nanoseconds: 5 us to 10 s.
pub const DURATIONS: Buckets = &[
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
];

/// Bounds for how many there are of something.
pub const SIZES: Buckets = &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 10_000];

/// How often values of each size were seen, and their sum. `N` is one more than there are bounds.
#[derive(Debug)]
pub struct Histogram<const N: usize> {
    bounds: Buckets,
    counts: [AtomicU64; N],
    sum: AtomicU64,
}

/// A histogram of durations.
pub type Durations = Histogram<{ DURATIONS.len() + 1 }>;
/// A histogram of sizes.
pub type Sizes = Histogram<{ SIZES.len() + 1 }>;

impl Default for Durations {
    fn default() -> Self {
        Self::new(DURATIONS)
    }
}

impl Default for Sizes {
    fn default() -> Self {
        Self::new(SIZES)
    }
}

impl<const N: usize> Histogram<N> {
    fn new(bounds: Buckets) -> Self {
        Self { bounds, counts: [const { AtomicU64::new(0) }; N], sum: AtomicU64::new(0) }
    }

    /// Adds a value.
    #[inline]
    pub fn add(&self, value: u64) {
        let place = self.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.bounds.len());
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Adds a duration.
    #[inline]
    pub fn add_duration(&self, duration: Duration) {
        self.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Takes over what another one has seen, which begins anew.
    pub fn take_over(&self, other: &Self) {
        for (count, more) in self.counts.iter().zip(&other.counts) {
            count.fetch_add(more.swap(0, Ordering::Relaxed), Ordering::Relaxed);
        }
        self.sum.fetch_add(other.sum.swap(0, Ordering::Relaxed), Ordering::Relaxed);
    }

    /// What it has seen.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<N> {
        let mut counts = [0; N];
        for (count, seen) in counts.iter_mut().zip(&self.counts) {
            *count = seen.load(Ordering::Relaxed);
        }
        Snapshot { counts, sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// What a histogram had seen at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Snapshot<const N: usize> {
    /// How many values were in each bucket; none is counted in two.
    pub counts: [u64; N],
    /// Sum of all values.
    pub sum: u64,
}

impl<const N: usize> Default for Snapshot<N> {
    fn default() -> Self {
        Self { counts: [0; N], sum: 0 }
    }
}

impl<const N: usize> Snapshot<N> {
    /// How many values there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Adds what another one had seen.
    pub fn absorb(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.sum = self.sum.wrapping_add(other.sum);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_in_the_first_bucket_whose_bound_it_does_not_pass() {
        for (place, bound) in SIZES.iter().enumerate() {
            let sizes = Sizes::default();
            sizes.add(*bound);
            sizes.add(bound + 1);
            let seen = sizes.snapshot();
            let mut expected = [0; SIZES.len() + 1];
            *expected.get_mut(place).unwrap() += 1;
            // The next whole number, where it is a bound, is in the next bucket too.
            *expected.get_mut(place + 1).unwrap() += 1;
            assert_eq!(seen.counts, expected, "{bound}");
            assert_eq!((seen.count(), seen.sum), (2, 2 * bound + 1));
        }
    }

    #[test]
    fn nothing_and_what_is_longer_than_all_bounds_are_counted() {
        let durations = Durations::default();
        durations.add_duration(Duration::ZERO);
        durations.add_duration(Duration::from_secs(3600));
        let seen = durations.snapshot();
        assert_eq!((*seen.counts.first().unwrap(), *seen.counts.last().unwrap()), (1, 1));
        assert_eq!(seen.sum, 3_600_000_000_000);
    }

    #[test]
    fn one_takes_up_what_another_has_seen() {
        let (one, other) = (Sizes::default(), Sizes::default());
        one.add(3);
        other.add(3);
        other.add(70);
        one.take_over(&other);
        let (left, seen) = (other.snapshot(), one.snapshot());
        assert_eq!((seen.count(), seen.sum), (3, 76));
        assert_eq!((left.count(), left.sum), (0, 0));
        let mut both = seen;
        both.absorb(&seen);
        assert_eq!((both.count(), both.sum, both.counts.get(2)), (6, 152, Some(&4)));
    }

    #[test]
    fn bounds_ascend() {
        for bounds in [SIZES, DURATIONS] {
            assert!(bounds.is_sorted_by(|one, next| one < next));
        }
    }
}
