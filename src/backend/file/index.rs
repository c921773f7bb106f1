//! Where each record's value is: the index in memory, by account.

use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;
use hashbrown::hash_table::Entry;
use hashbrown::{DefaultHashBuilder, HashTable};

use super::cache::ValueCache;
use super::usage::Usage;
use crate::codec::frame::{self, Chunk, FRAME_HEADER_BYTES};
use crate::codec::hint::{HintGroup, HintOp};
use crate::record::{CREDS_KEY, Op, OpReader};

/// Shards of a cask's table of accounts. The default grows with the machine's cores, and a process may have a thousand tables.
pub const ACCOUNT_TABLE_SHARDS: usize = 4;
/// A batch of more operations than this bypasses the value cache: a bulk load must not push out what is hot.
const CACHED_BATCH_OPS: usize = 64;
/// A value above this size is not cached when it is written.
const CACHED_VALUE_BYTES: usize = 64 << 10;

/// Place of an operation in the log. No two operations ever have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the chunk in the segment.
    pub chunk: u32,
    /// Length of the chunk.
    pub chunk_len: u32,
    /// Offset of the operation in the chunk's body.
    pub op: u16,
    /// Bytes of the log that the operation takes, in short.
    pub size: ShortSize,
}

impl Location {
    /// Bytes of the log that the operation takes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size.bytes()
    }
}

/// A count of bytes in two bytes: exact up to 4 KiB, above that rounded down by less than one in two thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortSize(u16);

const MANTISSA_BITS: u32 = 11;

impl ShortSize {
    /// The short form of a count of bytes, which has 42 bits at most.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        let bits = u64::BITS - bytes.leading_zeros();
        if bits <= MANTISSA_BITS {
            return Self(bytes as u16);
        }
        // The highest bit is known to be set, so it is not kept: exponent 1 and up.
        let shift = bits - 1 - MANTISSA_BITS;
        Self(((shift + 1) << MANTISSA_BITS) as u16 | ((bytes >> shift) as u16 & ((1 << MANTISSA_BITS) - 1)))
    }

    /// The count of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        let exponent = (self.0 >> MANTISSA_BITS) as u32;
        let mantissa = (self.0 & ((1 << MANTISSA_BITS) - 1)) as u64;
        if exponent == 0 { mantissa } else { (mantissa | 1 << MANTISSA_BITS) << (exponent - 1) }
    }
}

/// What the index says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Hash of its key, which it keeps as long as the cask is open. Hardly any other record of this process has it.
    pub hash: u64,
    /// Where its value is.
    pub location: Location,
}

/// Bytes of a key up to which it lies in the table itself: those of a session or a LID mapping.
const SHORT_KEY_BYTES: usize = 22;

#[derive(Debug)]
enum Key {
    Short(u8, [u8; SHORT_KEY_BYTES]),
    Long(Box<[u8]>),
}

impl Key {
    fn new(key: &[u8]) -> Self {
        let mut bytes = [0; SHORT_KEY_BYTES];
        match bytes.get_mut(..key.len()) {
            Some(short) => {
                short.copy_from_slice(key);
                Self::Short(key.len() as u8, bytes)
            }
            None => Self::Long(key.into()),
        }
    }

    fn bytes(&self) -> &[u8] {
        match self {
            Self::Short(length, bytes) => bytes.get(..usize::from(*length)).unwrap_or_default(),
            Self::Long(bytes) => bytes,
        }
    }
}

#[derive(Debug)]
struct Record {
    key: Key,
    location: Location,
}

/// Hashes the keys of one account. Each account has a seed of its own, so equal keys of two accounts have different hashes.
#[derive(Debug, Default)]
struct KeyHasher(DefaultHashBuilder);

impl KeyHasher {
    fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

type Records = HashTable<Record>;

/// One account's records behind one lock, so that a batch is seen whole or not at all.
#[derive(Debug, Default)]
pub struct AccountIndex {
    hasher: KeyHasher,
    records: RwLock<Records>,
}

impl AccountIndex {
    /// What there is under the keys, all as of one instant.
    pub fn find_all(&self, keys: &[&[u8]], out: &mut Vec<Option<Found>>) {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        out.extend(keys.iter().map(|key| find(&records, self.hasher.hash(key), key)));
    }

    /// What there is under one key.
    #[must_use]
    pub fn find(&self, key: &[u8]) -> Option<Found> {
        let hash = self.hasher.hash(key);
        find(&self.records.read().unwrap_or_else(PoisonError::into_inner), hash, key)
    }

    /// Calls `sink` with every key that starts with `prefix`.
    pub fn keys(&self, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.iter().map(|record| record.key.bytes()).filter(|key| key.starts_with(prefix)).for_each(sink);
    }

    fn is_empty(&self) -> bool {
        self.records.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

fn find(records: &Records, hash: u64, key: &[u8]) -> Option<Found> {
    records.find(hash, |record| record.key.bytes() == key).map(|record| Found { hash, location: record.location })
}

/// Records that no one can reach any more; freeing many of them takes a while.
#[derive(Debug, Default)]
#[must_use]
pub struct Unreachable(Vec<Records>);

impl Unreachable {
    /// How many records are to be freed.
    #[must_use]
    pub fn records(&self) -> usize {
        self.0.iter().map(Records::len).sum()
    }
}

/// The records of all accounts.
#[derive(Debug)]
pub struct Index {
    accounts: DashMap<Box<str>, Arc<AccountIndex>, DefaultHashBuilder>,
    /// What of each segment is needed.
    pub usage: Usage,
}

impl Default for Index {
    fn default() -> Self {
        let accounts = DashMap::with_hasher_and_shard_amount(DefaultHashBuilder::default(), ACCOUNT_TABLE_SHARDS);
        Self { accounts, usage: Usage::default() }
    }
}

impl Index {
    /// The records of an account, where it has ever had one.
    #[must_use]
    pub fn account(&self, name: &str) -> Option<Arc<AccountIndex>> {
        self.accounts.get(name).map(|entry| Arc::clone(entry.value()))
    }

    /// Accounts that hold creds or a record, in order of their names.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.accounts.iter().filter(|entry| !entry.value().is_empty()).map(|entry| entry.key().to_string()).collect();
        names.sort_unstable();
        names
    }

    /// Makes a finished, checked frame visible: all of it at once. `cache` receives its values where they are likely to be
    /// read soon.
    pub fn publish(&self, bytes: &[u8], segment: u32, offset: u64, cache: Option<&ValueCache>) -> Unreachable {
        let mut unreachable = Unreachable::default();
        let mut chunks = frame::chunks(bytes).peekable();
        let Some(first) = chunks.peek() else { return unreachable };
        let account = self
            .account(first.body.account)
            .unwrap_or_else(|| Arc::clone(self.accounts.entry(first.body.account.into()).or_default().value()));
        let cache_values = cache.filter(|_| is_small_batch(bytes));
        let usage = self.usage.of_batch(segment);
        let mut records = account.records.write().unwrap_or_else(PoisonError::into_inner);
        for_each_op(chunks, segment, offset, |op, location| match op {
            Op::Put { key, value } => {
                let hash = account.hasher.hash(key);
                let before = put(&mut records, &account.hasher, hash, key, location);
                usage.added(location);
                if let Some(before) = before {
                    usage.died(before);
                }
                match cache_values.filter(|_| value.len() <= CACHED_VALUE_BYTES) {
                    Some(cache) if before.is_none() => cache.insert(Found { hash, location }, value),
                    Some(cache) => cache.replace(Found { hash, location }, value),
                    None if before.is_none() => {}
                    None => cache.into_iter().for_each(|cache| cache.remove(hash)),
                }
            }
            Op::Delete { key } => {
                usage.tombstone(location.size());
                let hash = account.hasher.hash(key);
                if let Some(before) = remove(&mut records, hash, key) {
                    usage.died(before);
                    cache.into_iter().for_each(|cache| cache.remove(hash));
                }
            }
            Op::Clear | Op::Drop => {
                usage.tombstone(location.size());
                let hash = account.hasher.hash(CREDS_KEY);
                let creds = remove(&mut records, hash, CREDS_KEY);
                unreachable.0.push(std::mem::take(&mut *records));
                match creds {
                    Some(location) if op == Op::Clear => {
                        put(&mut records, &account.hasher, hash, CREDS_KEY, location);
                    }
                    Some(location) => usage.died(location),
                    None => {}
                }
            }
        });
        unreachable
    }

    /// Does what a hint says that a segment does to an account.
    pub fn load(&self, group: &HintGroup<'_>, segment: u32) {
        let account = self
            .account(group.account)
            .unwrap_or_else(|| Arc::clone(self.accounts.entry(group.account.into()).or_default().value()));
        let usage = self.usage.of_batch(segment);
        let mut records = account.records.write().unwrap_or_else(PoisonError::into_inner);
        records.reserve(group.count, |record| account.hasher.hash(record.key.bytes()));
        for op in group.ops().flatten() {
            match op {
                HintOp::Put { key, chunk, chunk_len, op, size } => {
                    let location = Location { segment, chunk, chunk_len, op: op as u16, size: ShortSize::of(size) };
                    usage.added(location);
                    if let Some(before) = put(&mut records, &account.hasher, account.hasher.hash(key), key, location) {
                        usage.died(before);
                    }
                }
                HintOp::Delete { key, size } => {
                    usage.tombstone(size);
                    if let Some(before) = remove(&mut records, account.hasher.hash(key), key) {
                        usage.died(before);
                    }
                }
                HintOp::Clear { size } | HintOp::Drop { size } => {
                    usage.tombstone(size);
                    let is_clear = matches!(op, HintOp::Clear { .. });
                    let hash = account.hasher.hash(CREDS_KEY);
                    let creds = remove(&mut records, hash, CREDS_KEY);
                    std::mem::take(&mut *records).iter().for_each(|record| usage.died(record.location));
                    match creds {
                        Some(location) if is_clear => drop(put(&mut records, &account.hasher, hash, CREDS_KEY, location)),
                        Some(location) => usage.died(location),
                        None => {}
                    }
                }
            }
        }
    }

    /// Whether the index has this very place for a record.
    #[must_use]
    pub fn is_live(&self, account: &str, key: &[u8], location: Location) -> bool {
        self.account(account).and_then(|records| records.find(key)).is_some_and(|found| found.location == location)
    }

    /// Whether there is a record.
    #[must_use]
    pub fn has(&self, account: &str, key: &[u8]) -> bool {
        self.account(account).is_some_and(|records| records.find(key).is_some())
    }

    /// Makes records that the index has in one of `from` be found in a copy of the frame they are in: a finished, checked frame.
    pub fn relocate(&self, bytes: &[u8], segment: u32, offset: u64, from: &[u32], cache: &ValueCache) {
        let mut chunks = frame::chunks(bytes).peekable();
        let Some(account) = chunks.peek().and_then(|first| self.account(first.body.account)) else { return };
        let usage = self.usage.of_batch(segment);
        let mut records = account.records.write().unwrap_or_else(PoisonError::into_inner);
        for_each_op(chunks, segment, offset, |op, location| {
            let Op::Put { key, .. } = op else { return usage.tombstone(location.size()) };
            let hash = account.hasher.hash(key);
            // None of these segments takes a record any more, so a record that is in one of them is the one that was copied.
            let Some(record) = records.find_mut(hash, |record| record.key.bytes() == key) else { return };
            if from.contains(&record.location.segment) {
                cache.relocate(Found { hash, location: record.location }, location);
                usage.added(location);
                usage.died(std::mem::replace(&mut record.location, location));
            }
        });
    }

    /// Tells what frees records that they take no room in the log any more.
    pub fn free(&self, unreachable: &Unreachable) {
        self.usage.died(unreachable.0.iter().flatten().map(|record| record.location));
    }
}

/// Visits the operations of a finished frame with their places.
pub fn for_each_op<'a>(
    chunks: impl Iterator<Item = Chunk<'a>>,
    segment: u32,
    offset: u64,
    mut visit: impl FnMut(Op<'a>, Location),
) {
    // What is around the operations goes with the first one.
    let mut around = FRAME_HEADER_BYTES;
    for chunk in chunks {
        let mut ops = OpReader::new(chunk.body.ops);
        let mut at = ops.position();
        around += chunk.len - chunk.body.ops.len();
        while let Some(Ok(op)) = ops.next() {
            let size = (ops.position() - at + std::mem::take(&mut around)) as u64;
            let location = Location {
                segment,
                chunk: (offset + chunk.at as u64) as u32,
                chunk_len: chunk.len as u32,
                op: (chunk.body.ops_at + at) as u16,
                size: ShortSize::of(size),
            };
            at = ops.position();
            visit(op, location);
        }
    }
}

/// Gives where the record was before.
fn put(records: &mut Records, hasher: &KeyHasher, hash: u64, key: &[u8], location: Location) -> Option<Location> {
    match records.entry(hash, |record| record.key.bytes() == key, |record| hasher.hash(record.key.bytes())) {
        Entry::Occupied(mut entry) => Some(std::mem::replace(&mut entry.get_mut().location, location)),
        Entry::Vacant(entry) => {
            entry.insert(Record { key: Key::new(key), location });
            None
        }
    }
}

fn remove(records: &mut Records, hash: u64, key: &[u8]) -> Option<Location> {
    let entry = records.find_entry(hash, |record| record.key.bytes() == key).ok()?;
    Some(entry.remove().0.location)
}

/// Whether the frame holds few operations; counts no further than it has to.
fn is_small_batch(bytes: &[u8]) -> bool {
    // An operation has three bytes at least, so most frames are known to be small without counting.
    bytes.len() <= FRAME_HEADER_BYTES + 3 * CACHED_BATCH_OPS
        || frame::chunks(bytes).flat_map(|chunk| OpReader::new(chunk.body.ops)).take(CACHED_BATCH_OPS + 1).count()
            <= CACHED_BATCH_OPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_sizes_are_exact_where_they_are_small_and_close_where_they_are_large() {
        for bytes in (0..5000).chain([1 << 20, (1 << 30) - 1, (1 << 32) + 12_345]) {
            let short = ShortSize::of(bytes).bytes();
            assert!(short <= bytes && bytes - short <= bytes >> MANTISSA_BITS, "{bytes} became {short}");
            assert_eq!(ShortSize::of(short).bytes(), short);
            assert!(bytes > 4096 || short == bytes, "{bytes} became {short}");
        }
    }

    #[test]
    fn keys_short_and_long_are_kept_as_they_are() {
        for length in 1..=2 * SHORT_KEY_BYTES {
            let key: Vec<u8> = (0..length as u8).collect();
            let kept = Key::new(&key);
            assert_eq!(kept.bytes(), key);
            assert_eq!(matches!(kept, Key::Short(..)), length <= SHORT_KEY_BYTES);
        }
        assert_eq!(size_of::<Record>(), 40);
    }

    #[test]
    fn equal_keys_of_two_accounts_have_different_hashes() {
        let (one, other) = (KeyHasher::default(), KeyHasher::default());
        assert_eq!(one.hash(b"\x02a"), one.hash(b"\x02a"));
        assert_ne!(one.hash(b"\x02a"), other.hash(b"\x02a"));
    }
}
