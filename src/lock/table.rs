//! The locks that exist, by key, and which of them overlap.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashSet, VecDeque};
use std::hash::BuildHasher;
use std::time::Instant;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::few::Few;
use super::key::LockKey;
use super::owners::Owner;
use super::slots::Slots;
use super::types::{Callback, Mode, Refusal};
use super::waits::Wait;

/// Below this many keys the index keeps its memory.
const KEPT: usize = 1024;

/// One owner's hold on one lock.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) owner: u32,
    pub(super) mode: Mode,
    pub(super) since: Instant,
}

/// Locks below one of an enclosing key.
#[derive(Debug)]
struct Below(HashSet<u32>);

/// One lock. Exists while it is held or waited for.
#[derive(Debug)]
pub(super) struct Entry<K> {
    pub(super) key: K,
    hash: u64,
    pub(super) holders: Few<Hold>,
    /// Waits in order of arrival.
    pub(super) queue: VecDeque<u32>,
    /// Present for enclosing keys only, and apart, so that the others' entries are small.
    below: Option<Box<Below>>,
}

/// A wait that has ended, and how.
pub(super) type Outcome<K> = (Callback<K>, Result<(), Refusal<K>>);

/// Everything a manager knows; what its mutex guards.
pub struct Table<K> {
    pub(super) owners: Slots<Owner>,
    pub(super) entries: Slots<Entry<K>>,
    index: HashTable<u32>,
    hasher: DefaultHashBuilder,
    pub(super) waits: Slots<Wait<K>>,
    /// Counts owners and waits, so that their numbers are never used again.
    pub(super) serial: u64,
    /// Counts arrivals in queues.
    pub(super) arrivals: u64,
    /// How many locks of enclosing keys exist. While there are none, keys do not overlap and nothing asks for their parents.
    enclosing: usize,
    /// How many pairs of waits have been turned round; see `deadlock`.
    pub(super) turned: usize,
    pub(super) deadlines: BTreeSet<(Instant, u32)>,
    /// Waits that may have become grantable, in order of arrival. Empty between calls.
    pub(super) candidates: BTreeSet<(u64, u32)>,
    /// Waits for many keys that go on to their next one. Empty between calls.
    pub(super) advancing: VecDeque<u32>,
    /// What is to be told when the mutex is free. Empty between calls.
    pub(super) outbox: Vec<Outcome<K>>,
}

impl<K> std::fmt::Debug for Table<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Table").field("locks", &self.entries.len()).field("owners", &self.owners.len()).finish_non_exhaustive()
    }
}

/// Locks that overlap one lock, itself among them.
pub(super) enum Overlap {
    One(u32),
    Many(Vec<u32>),
}

impl Overlap {
    pub(super) fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(entry) => std::slice::from_ref(entry),
            Self::Many(entries) => entries,
        }
    }
}

impl<K: LockKey> Table<K> {
    /// A table in which nothing is held.
    pub(super) fn new() -> Self {
        Self {
            owners: Slots::default(),
            entries: Slots::default(),
            index: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            waits: Slots::default(),
            serial: 0,
            arrivals: 0,
            enclosing: 0,
            turned: 0,
            deadlines: BTreeSet::new(),
            candidates: BTreeSet::new(),
            advancing: VecDeque::new(),
            outbox: Vec::new(),
        }
    }

    /// Number of the lock of a key, if it exists.
    pub(super) fn find(&self, key: &K) -> Option<u32> {
        self.find_hashed(self.hasher.hash_one(key), key)
    }

    fn find_hashed(&self, hash: u64, key: &K) -> Option<u32> {
        self.index.find(hash, |at| self.entries.get(*at).is_some_and(|entry| entry.key == *key)).copied()
    }

    /// Number of the lock of a key, which exists from now on. The caller fills it or calls [`Self::drop_if_idle`].
    pub(super) fn find_or_create(&mut self, key: Cow<'_, K>) -> u32 {
        let hash = self.hasher.hash_one(key.as_ref());
        if let Some(at) = self.find_hashed(hash, &key) {
            return at;
        }
        let mut below = None;
        if key.encloses() {
            // The one look through the table that spares every record's lock from counting itself in its family.
            let all = self.entries.iter().filter(|(_, other)| is_below(&other.key, &key)).map(|(at, _)| at);
            below = Some(Box::new(Below(all.collect())));
            self.enclosing += 1;
        }
        let entry = Entry { key: key.into_owned(), hash, holders: Few::default(), queue: VecDeque::new(), below };
        let at = self.entries.insert(entry);
        let entries = &self.entries;
        self.index.insert_unique(hash, at, |at| entries.get(*at).map_or(0, |entry| entry.hash));
        self.for_enclosing(at, |below, at| {
            below.insert(at);
        });
        at
    }

    /// Forgets a lock that nobody holds or waits for.
    pub(super) fn drop_if_idle(&mut self, at: u32) {
        let Some(entry) = self.entries.get(at) else { return };
        if !entry.holders.is_empty() || !entry.queue.is_empty() {
            return;
        }
        let hash = entry.hash;
        self.for_enclosing(at, |below, at| {
            below.remove(&at);
        });
        if let Ok(found) = self.index.find_entry(hash, |other| *other == at) {
            found.remove();
        }
        if self.entries.remove(at).is_some_and(|entry| entry.key.encloses()) {
            self.enclosing -= 1;
        }
        if self.index.capacity() > KEPT && self.index.len() < self.index.capacity() / 8 {
            let entries = &self.entries;
            self.index.shrink_to(self.index.len() * 2, |at| entries.get(*at).map_or(0, |entry| entry.hash));
        }
    }

    fn for_enclosing(&mut self, at: u32, mut work: impl FnMut(&mut HashSet<u32>, u32)) {
        if self.enclosing == 0 {
            return;
        }
        let mut key = self.entries.get(at).and_then(|entry| entry.key.parent());
        while let Some(around) = key {
            if let Some(found) = self.find(&around)
                && let Some(below) = self.entries.get_mut(found).and_then(|entry| entry.below.as_mut())
            {
                work(&mut below.0, at);
            }
            key = around.parent();
        }
    }

    /// Whether keys can overlap at all now.
    pub(super) const fn has_enclosing(&self) -> bool {
        self.enclosing > 0
    }

    /// All locks that overlap this one.
    pub(super) fn overlapping(&self, at: u32) -> Overlap {
        if self.enclosing == 0 {
            return Overlap::One(at);
        }
        let mut all = vec![at];
        if let Some(entry) = self.entries.get(at) {
            let mut key = entry.key.parent();
            while let Some(around) = key {
                all.extend(self.find(&around));
                key = around.parent();
            }
            all.extend(entry.below.iter().flat_map(|below| &below.0));
        }
        Overlap::Many(all)
    }

    /// Whether nothing that overlaps a key is held or waited for.
    pub(super) fn is_free(&self, key: &K) -> bool {
        if self.find(key).is_some() || (key.encloses() && self.entries.iter().any(|(_, entry)| is_below(&entry.key, key))) {
            return false;
        }
        let mut around = if self.enclosing == 0 { None } else { key.parent() };
        while let Some(key) = around {
            if self.find(&key).is_some() {
                return false;
            }
            around = key.parent();
        }
        true
    }

    /// Places that memory is kept for, used or not.
    pub(super) fn capacity(&self) -> usize {
        self.owners.capacity() + self.entries.capacity() + self.waits.capacity() + self.index.capacity()
    }
}

fn is_below<K: LockKey>(key: &K, around: &K) -> bool {
    let mut at = key.parent();
    while let Some(key) = at {
        if key == *around {
            return true;
        }
        at = key.parent();
    }
    false
}
