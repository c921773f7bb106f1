//! Changes of one account's records that are seen together.

use super::account::{AccountIndex, Contents, Unreachable};
use super::arena::RECORD_HEADER_BYTES;
use super::hasher::KeyHasher;
use super::location::Location;
use crate::backend::Families;
use crate::backend::file::usage::BatchUsage;
use crate::record::CREDS_KEY;
use crate::sync::RwLockWriteGuard;

/// Changes of one account's records. Nobody reads the account while this lives, so all of them are seen at once.
#[derive(Debug)]
pub struct Changes<'a> {
    hasher: &'a KeyHasher,
    // Dropped before the lock is let go: then what is counted of a record is there before it can die.
    usage: BatchUsage<'a>,
    contents: RwLockWriteGuard<'a, Contents>,
    unreachable: Unreachable,
}

/// What putting a record came to.
#[derive(Debug, Clone, Copy)]
pub struct Put {
    /// Hash of its key.
    pub hash: u64,
    /// Whether there was one before.
    pub replaces: bool,
}

impl<'a> Changes<'a> {
    #[inline]
    pub(super) fn new(account: &'a AccountIndex, usage: BatchUsage<'a>) -> Self {
        Self { hasher: &account.hasher, usage, contents: account.write(), unreachable: Unreachable::default() }
    }

    /// Makes room for so many records in all, with keys of so many bytes in all, which then do not move on their way in. A count that
    /// is too high costs memory until [`AccountIndex::trim`], one that is too low costs time.
    pub fn reserve(&mut self, records: usize, key_bytes: usize) {
        self.contents.records.reserve(self.hasher, records, records * RECORD_HEADER_BYTES + key_bytes);
    }

    /// There is a record, new or changed.
    #[inline]
    pub fn put(&mut self, key: &[u8], location: Location) -> Put {
        let hash = self.hasher.hash(key);
        Put { hash, replaces: self.put_hashed(hash, key, location) }
    }

    /// There is a delete that takes so many bytes of the log; gives the hash of the record that was there.
    pub fn delete(&mut self, key: &[u8], size: u64) -> Option<u64> {
        self.usage.tombstone(size);
        let hash = self.hasher.hash(key);
        let Contents { records, families } = &mut *self.contents;
        let before = records.remove(self.hasher, hash, key)?;
        families.removed(key, before.size());
        self.usage.died(before);
        Some(hash)
    }

    /// There is a clear, which leaves the creds, or a drop, which does not. It takes so many bytes of the log.
    pub fn clear(&mut self, size: u64, leaves_creds: bool) {
        self.usage.tombstone(size);
        let hash = self.hasher.hash(CREDS_KEY);
        let Contents { records, families } = &mut *self.contents;
        let creds = records.remove(self.hasher, hash, CREDS_KEY);
        self.unreachable.0.push(std::mem::take(records));
        *families = Families::default();
        match creds {
            Some(creds) if leaves_creds => {
                records.put(self.hasher, hash, CREDS_KEY, creds);
                families.added(CREDS_KEY, creds.size());
            }
            Some(creds) => self.usage.died(creds),
            None => {}
        }
    }

    /// The hash of a key.
    #[inline]
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash(key)
    }

    /// Reads what putting records with these hashes is going to read. See `Records::touch`.
    #[inline]
    pub(super) fn touch(&self, hashes: impl Iterator<Item = u64>) {
        self.contents.records.touch(hashes);
    }

    /// There is a record, new or changed, whose key has this hash; gives whether there was one before.
    #[inline]
    pub(super) fn put_hashed(&mut self, hash: u64, key: &[u8], location: Location) -> bool {
        let Contents { records, families } = &mut *self.contents;
        let before = records.put(self.hasher, hash, key, location);
        self.usage.added(location);
        match before {
            Some(before) => {
                families.resized(key, before.size(), location.size());
                self.usage.died(before);
            }
            None => families.added(key, location.size()),
        }
        before.is_some()
    }

    #[inline]
    pub(super) fn finish(self) -> Unreachable {
        self.unreachable
    }
}
