//! Where each record's value is: the index in memory, by account.

use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;

use super::cache::ValueCache;
use crate::codec::frame::{self, FRAME_HEADER_BYTES};
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
}

type Records = hashbrown::HashMap<Box<[u8]>, Location>;

/// One account's records behind one lock, so that a batch is seen whole or not at all.
#[derive(Debug, Default)]
pub struct AccountIndex {
    records: RwLock<Records>,
}

impl AccountIndex {
    /// Locations of the keys, all as of one instant.
    pub fn locate(&self, keys: &[&[u8]], out: &mut Vec<Option<Location>>) {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        out.extend(keys.iter().map(|key| records.get(*key).copied()));
    }

    /// Location of one key.
    #[must_use]
    pub fn locate_one(&self, key: &[u8]) -> Option<Location> {
        self.records.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    /// Calls `sink` with every key that starts with `prefix`.
    pub fn keys(&self, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.keys().filter(|key| key.starts_with(prefix)).for_each(|key| sink(key));
    }

    fn is_empty(&self) -> bool {
        self.records.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
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
    accounts: DashMap<Box<str>, Arc<AccountIndex>>,
}

impl Default for Index {
    fn default() -> Self {
        Self { accounts: DashMap::with_shard_amount(ACCOUNT_TABLE_SHARDS) }
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
        let mut records = account.records.write().unwrap_or_else(PoisonError::into_inner);
        for chunk in chunks {
            let mut ops = OpReader::new(chunk.body.ops);
            let mut at = ops.position();
            while let Some(Ok(op)) = ops.next() {
                let location = Location {
                    segment,
                    chunk: (offset + chunk.at as u64) as u32,
                    chunk_len: chunk.len as u32,
                    op: (chunk.body.ops_at + at) as u16,
                };
                at = ops.position();
                let replaced = apply(&mut records, op, location, &mut unreachable);
                if let (Some(cache), Some(old)) = (cache, replaced) {
                    cache.remove(old);
                }
                if let (Some(cache), Op::Put { value, .. }) = (cache_values, op)
                    && value.len() <= CACHED_VALUE_BYTES
                {
                    cache.insert(location, value);
                }
            }
        }
        unreachable
    }
}

/// Whether the frame holds few operations; counts no further than it has to.
fn is_small_batch(bytes: &[u8]) -> bool {
    // An operation has three bytes at least, so most frames are known to be small without counting.
    bytes.len() <= FRAME_HEADER_BYTES + 3 * CACHED_BATCH_OPS
        || frame::chunks(bytes).flat_map(|chunk| OpReader::new(chunk.body.ops)).take(CACHED_BATCH_OPS + 1).count()
            <= CACHED_BATCH_OPS
}

fn apply(records: &mut Records, op: Op<'_>, location: Location, unreachable: &mut Unreachable) -> Option<Location> {
    match op {
        Op::Put { key, .. } => match records.get_mut(key) {
            Some(slot) => Some(std::mem::replace(slot, location)),
            None => records.insert(key.into(), location),
        },
        Op::Delete { key } => records.remove(key),
        Op::Clear => {
            let creds = records.remove(CREDS_KEY);
            unreachable.0.push(std::mem::take(records));
            records.extend(creds.map(|location| (CREDS_KEY.into(), location)));
            None
        }
        Op::Drop => {
            unreachable.0.push(std::mem::take(records));
            None
        }
    }
}
