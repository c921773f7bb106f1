//! The cache of hot values, bounded by bytes over the whole process.
//!
//! A value lies under its record and carries its location in the log. A location is written once, and a hit counts only where it
//! is the one that the index has: so a slow read can never put an old value in the place of a new one.

use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::{Cache, DefaultLifecycle, EntryAction, EntryResult};

use super::index::{Found, Location};
use crate::sync::switch_point;

/// Bytes that all casks of the process share.
pub const PROCESS_CACHE_BYTES: u64 = 64 << 20;
/// Rough cost of an entry beside its value.
const ENTRY_BYTES: u64 = 96;
/// Expected size of a value, for sizing the cache's tables.
const TYPICAL_VALUE_BYTES: u64 = 512;

/// A record, by the hash of its key. Where two of a cask share one, they push each other out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    cask: u32,
    record: u64,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.record ^ u64::from(self.cask));
    }
}

/// Spreads one number, a hash by itself, over all bits.
#[derive(Debug, Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u64(u64::from(*byte)));
    }

    fn write_u64(&mut self, value: u64) {
        // Half of the golden ratio's digits; the product's upper half makes up for the lower one, whose lowest bits know little.
        let product = u128::from(self.0 ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

#[derive(Debug, Clone)]
struct Cached {
    location: Location,
    value: Arc<[u8]>,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Key, Cached> for ByBytes {
    fn weight(&self, _: &Key, cached: &Cached) -> u64 {
        cached.value.len() as u64 + ENTRY_BYTES
    }
}

type Values = Cache<Key, Cached, ByBytes, BuildHasherDefault<Spread>>;

fn values(capacity: u64) -> Values {
    let items = (capacity / TYPICAL_VALUE_BYTES).max(64) as usize;
    Cache::with(items, capacity, ByBytes, BuildHasherDefault::default(), DefaultLifecycle::default())
}

/// Shared by every cask of the process, in all its threads: one budget, however many folders are open.
fn shared() -> &'static Values {
    static SHARED: OnceLock<Values> = OnceLock::new();
    SHARED.get_or_init(|| values(PROCESS_CACHE_BYTES))
}

/// Sets bytes of the shared cache aside for one cask, or gives them back.
fn reserve(change: impl FnOnce(u64) -> u64) {
    static RESERVED: Mutex<u64> = Mutex::new(0);
    let mut reserved = RESERVED.lock().unwrap_or_else(PoisonError::into_inner);
    *reserved = change(*reserved);
    shared().set_capacity(PROCESS_CACHE_BYTES.saturating_sub(*reserved));
}

/// A number no other cask opened by this process has had.
fn next_cask() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// One cask's view of the cache.
#[derive(Debug)]
pub struct ValueCache {
    cask: u32,
    own: Option<Values>,
    reserved: u64,
    enabled: bool,
}

impl ValueCache {
    /// A view of the shared cache; with `bytes`, that much of it set aside for one cask, no caching where it is 0.
    #[must_use]
    pub fn new(bytes: Option<u64>) -> Self {
        let reserved = bytes.unwrap_or(0);
        let own = bytes.filter(|bytes| *bytes > 0).map(values);
        if reserved > 0 {
            reserve(|all| all.saturating_add(reserved));
        }
        Self { cask: next_cask(), own, reserved, enabled: bytes != Some(0) }
    }

    /// Number of the cask, unique in this process.
    #[must_use]
    pub const fn cask(&self) -> u32 {
        self.cask
    }

    fn values(&self) -> &Values {
        switch_point();
        self.own.as_ref().unwrap_or_else(|| shared())
    }

    /// Bytes in the cache that the cask uses, and how many it may have.
    #[must_use]
    pub fn room(&self) -> (u64, u64) {
        if self.enabled { (self.values().weight(), self.values().capacity()) } else { (0, 0) }
    }

    /// Whether other casks use the same cache.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.enabled && self.own.is_none()
    }

    const fn key(&self, record: u64) -> Key {
        Key { cask: self.cask, record }
    }

    /// The value of a record, where the one that the index has is cached.
    #[must_use]
    pub fn get(&self, found: Found) -> Option<Arc<[u8]>> {
        if !self.enabled {
            return None;
        }
        let cached = self.values().get(&self.key(found.hash))?;
        (cached.location == found.location).then_some(cached.value)
    }

    /// Keeps a value in the place of the record's last one.
    pub fn insert(&self, found: Found, value: &[u8]) {
        if self.enabled {
            self.values().insert(self.key(found.hash), Cached { location: found.location, value: value.into() });
        }
    }

    /// Keeps a value in the place of the record's last one, and in its memory where it has the same length and nobody reads it.
    pub fn replace(&self, found: Found, value: &[u8]) {
        if !self.enabled {
            return;
        }
        let key = self.key(found.hash);
        let entry = self.values().entry(&key, Some(Duration::ZERO), |_, cached| match Arc::get_mut(&mut cached.value) {
            Some(bytes) if bytes.len() == value.len() => {
                bytes.copy_from_slice(value);
                cached.location = found.location;
                EntryAction::Retain(())
            }
            _ => EntryAction::Remove,
        });
        match entry {
            EntryResult::Retained(()) => {}
            EntryResult::Vacant(place) => {
                // Fails only where it was emptied meanwhile.
                let _ = place.insert(Cached { location: found.location, value: value.into() });
            }
            _ => self.insert(found, value),
        }
    }

    /// A record was copied: what is cached of it is what is found in its new place.
    pub fn relocate(&self, from: Found, to: Location) {
        if !self.enabled {
            return;
        }
        let entry = self.values().entry(&self.key(from.hash), Some(Duration::ZERO), |_, cached| {
            if cached.location == from.location {
                cached.location = to;
            }
            EntryAction::Retain(())
        });
        // Dropping the place of one that is not cached leaves nothing behind.
        drop(entry);
    }

    /// Forgets the value of a record, which no look-up can reach any more.
    pub fn remove(&self, record: u64) {
        if self.enabled {
            self.values().remove(&self.key(record));
        }
    }
}

impl Drop for ValueCache {
    fn drop(&mut self) {
        if self.reserved > 0 {
            let reserved = self.reserved;
            reserve(|all| all.saturating_sub(reserved));
        } else if self.enabled {
            let cask = self.cask;
            shared().retain(|key, _| key.cask != cask);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::index::ShortSize;
    use super::*;

    const OLD: Found = found(0);
    const NEW: Found = found(1000);

    const fn found(chunk: u32) -> Found {
        Found { hash: 7, location: Location::new(1, chunk, 1, 0, ShortSize::of(9)) }
    }

    #[test]
    fn only_the_value_at_the_location_of_the_index_is_a_hit() {
        let cache = ValueCache::new(None);
        cache.insert(OLD, b"old");
        assert_eq!(*cache.get(OLD).unwrap(), *b"old");
        assert!(cache.get(NEW).is_none());
        cache.replace(NEW, b"new");
        assert_eq!(*cache.get(NEW).unwrap(), *b"new");
        assert!(cache.get(OLD).is_none());
        // A read of the old place that took its time.
        cache.insert(OLD, b"old");
        assert!(cache.get(NEW).is_none());
    }

    #[test]
    fn who_reads_a_value_keeps_it_while_it_is_replaced() {
        let cache = ValueCache::new(None);
        for new in [&b"new"[..], b"longer"] {
            cache.insert(OLD, b"old");
            let read = cache.get(OLD).unwrap();
            cache.replace(NEW, new);
            assert_eq!((&*read, &*cache.get(NEW).unwrap()), (&b"old"[..], new));
        }
    }

    #[test]
    fn a_value_of_another_length_and_one_of_a_record_that_was_not_cached_are_kept() {
        let cache = ValueCache::new(None);
        for value in [&b"first"[..], b"second", b"2nd", b"3rd", b""] {
            cache.replace(NEW, value);
            assert_eq!(*cache.get(NEW).unwrap(), *value);
        }
        cache.remove(NEW.hash);
        assert!(cache.get(NEW).is_none());
    }

    #[test]
    fn casks_see_nothing_of_each_other() {
        let (one, other) = (ValueCache::new(None), ValueCache::new(None));
        one.insert(OLD, b"one");
        assert!(other.get(OLD).is_none());
        drop(other);
        assert!(one.get(OLD).is_some());
    }

    #[test]
    fn a_cache_stays_within_its_bytes_while_values_grow() {
        let cache = ValueCache::new(Some(64 << 10));
        for length in (0..4096).step_by(64) {
            for record in 0..64 {
                cache.replace(Found { hash: record, ..NEW }, &vec![1; length]);
            }
        }
        assert!(cache.values().weight() <= 64 << 10, "{}", cache.values().weight());
        assert!(cache.values().len() > 8);
    }
}
