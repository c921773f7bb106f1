//! One account's records behind one lock.

use std::sync::PoisonError;

use super::Found;
use super::hasher::KeyHasher;
use super::location::Location;
use super::records::Records;
use crate::backend::{Families, ReadCounts};
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// One account's records behind one lock, so that a batch is seen whole or not at all.
#[derive(Debug, Default)]
pub struct AccountIndex {
    pub(super) hasher: KeyHasher,
    contents: RwLock<Contents>,
    /// What became of its reads.
    pub reads: ReadCounts,
}

/// Records, and how many there are of each family.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) records: Records,
    pub(super) families: Families,
}

impl AccountIndex {
    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What there is under the keys, all as of one instant.
    pub fn find_all(&self, keys: &[&[u8]], out: &mut Vec<Option<Found>>) {
        let contents = self.read();
        out.extend(keys.iter().map(|key| find(&contents.records, self.hasher.hash(key), key)));
    }

    /// What there is under one key.
    #[must_use]
    #[inline]
    pub fn find(&self, key: &[u8]) -> Option<Found> {
        let hash = self.hasher.hash(key);
        find(&self.read().records, hash, key)
    }

    /// Calls `sink` with every key that starts with `prefix`.
    pub fn keys(&self, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) {
        self.read().records.iter().map(|(key, _)| key).filter(|key| key.starts_with(prefix)).for_each(sink);
    }

    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> usize {
        self.read().records.len()
    }

    /// So many records are to come in all: makes room for them. A count that is too high costs memory until [`Self::trim`], one that
    /// is too low costs time.
    pub fn expect(&self, records: usize) {
        self.write().records.expect(&self.hasher, records);
    }

    /// Gives back the room that was made for records which have not come.
    pub fn trim(&self) {
        self.write().records.trim(&self.hasher);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records() == 0
    }

    /// How many records there are of each family, and what they take of the log.
    pub fn with_families<T>(&self, look: impl FnOnce(&Families) -> T) -> T {
        look(&self.read().families)
    }

    /// Bytes of memory that its records take here.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.read().records.memory()
    }

    /// Panics where what is counted is not what is there, or where more memory is held than is promised.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let contents = self.read();
        contents.records.check(&self.hasher);
        let mut counted = Families::default();
        contents.records.iter().for_each(|(key, location)| counted.added(key, location.size()));
        let sorted = |families: &Families| {
            let mut all: Vec<_> = families.iter().map(|(prefix, count)| (prefix.to_vec(), count)).collect();
            all.sort_by(|one, other| one.0.cmp(&other.0));
            all
        };
        assert_eq!(sorted(&contents.families), sorted(&counted));
    }

    /// Panics where there is room for many more records than there are.
    #[cfg(test)]
    pub(super) fn check_trimmed(&self) {
        self.read().records.check_trimmed();
    }

    /// Whether somebody reads or changes the records.
    #[cfg(test)]
    pub(super) fn is_locked(&self) -> bool {
        self.contents.try_write().is_err()
    }
}

#[inline]
fn find(records: &Records, hash: u64, key: &[u8]) -> Option<Found> {
    records.find(hash, key).map(|location| Found { hash, location })
}

/// Records that no one can reach any more; freeing many of them takes a while.
#[derive(Debug, Default)]
#[must_use]
pub struct Unreachable(pub(super) Vec<Records>);

impl Unreachable {
    /// How many records are to be freed.
    #[must_use]
    pub fn records(&self) -> usize {
        self.0.iter().map(Records::len).sum()
    }

    pub(super) fn locations(&self) -> impl Iterator<Item = Location> {
        self.0.iter().flat_map(Records::iter).map(|(_, location)| location)
    }
}
