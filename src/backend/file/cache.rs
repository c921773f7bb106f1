//! The cache of hot values, bounded by bytes over the whole process.
//!
//! Values are keyed by their location in the log, and a location is written once. So an entry never goes stale: a value that
//! was replaced is no longer looked up, and a slow read can never put an old value in the place of a new one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::index::Location;

/// Bytes that all casks of the process share.
pub const PROCESS_CACHE_BYTES: u64 = 64 << 20;
/// Rough cost of an entry beside its value.
const ENTRY_BYTES: u64 = 96;
/// Expected size of a value, for sizing the cache's tables.
const TYPICAL_VALUE_BYTES: u64 = 512;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    cask: u32,
    location: Location,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<Key, Arc<[u8]>> for ByBytes {
    fn weight(&self, _: &Key, value: &Arc<[u8]>) -> u64 {
        value.len() as u64 + ENTRY_BYTES
    }
}

type Values = Cache<Key, Arc<[u8]>, ByBytes>;

fn values(capacity: u64) -> Values {
    Cache::with_weighter((capacity / TYPICAL_VALUE_BYTES).max(64) as usize, capacity, ByBytes)
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
        self.own.as_ref().unwrap_or_else(|| shared())
    }

    /// The value at a location, where it is cached.
    #[must_use]
    pub fn get(&self, location: Location) -> Option<Arc<[u8]>> {
        if self.enabled { self.values().get(&Key { cask: self.cask, location }) } else { None }
    }

    /// Keeps a value.
    pub fn insert(&self, location: Location, value: &[u8]) {
        if self.enabled {
            self.values().insert(Key { cask: self.cask, location }, value.into());
        }
    }

    /// Forgets a value that no look-up can reach any more.
    pub fn remove(&self, location: Location) {
        if self.enabled {
            self.values().remove(&Key { cask: self.cask, location });
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
