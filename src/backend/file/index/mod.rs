//! Where each record's value is: the index in memory, by account.
//!
//! ```text
//! Index -> AccountIndex (one lock) -> Records -> Shard (table of offsets) -> Arena (places and keys)
//! ```

mod account;
mod arena;
mod changes;
mod hasher;
mod location;
mod ops;
mod records;
mod relocate;
mod shard;
mod table;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use dashmap::DashMap;
use hashbrown::DefaultHashBuilder;

pub use self::account::{AccountIndex, Unreachable};
pub use self::changes::{Changes, Put};
pub use self::location::{Location, ShortSize};
pub use self::ops::{OpPlaces, for_each_op};
use super::cache::ValueCache;
use super::usage::Usage;
use crate::codec::frame::{self, Chunk};
use crate::codec::hint::{HintGroup, HintOp};
use crate::record::Op;

/// Shards of a cask's table of accounts. The default grows with the machine's cores, and a process may have a thousand tables.
pub const ACCOUNT_TABLE_SHARDS: usize = 4;
/// A batch of more operations than this bypasses the value cache: a bulk load must not push out what is hot.
const CACHED_BATCH_OPS: usize = 64;
/// Memory of so many records is asked for at once.
const TOUCHED_AT_ONCE: usize = 32;
/// A value above this size is not cached when it is written.
const CACHED_VALUE_BYTES: usize = 64 << 10;

/// What the index says of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Hash of its key, which it keeps as long as the cask is open. Hardly any other record of this process has it.
    pub hash: u64,
    /// Where its value is.
    pub location: Location,
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

    fn account_or_new(&self, name: &str) -> Arc<AccountIndex> {
        self.account(name).unwrap_or_else(|| Arc::clone(self.accounts.entry(name.into()).or_default().value()))
    }

    /// Accounts that hold creds or a record, in order of their names.
    #[must_use]
    pub fn accounts(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.accounts.iter().filter(|entry| !entry.value().is_empty()).map(|entry| entry.key().to_string()).collect();
        names.sort_unstable();
        names
    }

    /// Visits all accounts, by their names.
    pub fn visit(&self, mut visit: impl FnMut(&str, &AccountIndex)) {
        self.accounts.iter().for_each(|entry| visit(entry.key(), entry.value()));
    }

    /// Makes a finished, checked frame visible: all of it at once. `cache` receives its values where they are likely to be
    /// read soon.
    pub fn publish(&self, bytes: &[u8], segment: u32, offset: u64, cache: Option<&ValueCache>) -> Unreachable {
        let mut chunks = frame::chunks(bytes).peekable();
        let Some(first) = chunks.peek() else { return Unreachable::default() };
        let account = self.account_or_new(first.body.account);
        let has_few = ops::has_few_ops(bytes, CACHED_BATCH_OPS);
        let mut changes = Changes::new(&account, self.usage.of_batch(segment));
        if !has_few {
            publish_many(&mut changes, chunks, segment, offset, cache);
            return changes.finish();
        }
        for_each_op(chunks, segment, offset, |op, location| match op {
            Op::Put { key, value } => {
                let Put { hash, replaces } = changes.put(key, location);
                match cache.filter(|_| value.len() <= CACHED_VALUE_BYTES) {
                    Some(cache) if replaces => cache.replace(Found { hash, location }, value),
                    Some(cache) => cache.insert(Found { hash, location }, value),
                    None if replaces => cache.into_iter().for_each(|cache| cache.remove(hash)),
                    None => {}
                }
            }
            Op::Delete { key } => {
                if let (Some(hash), Some(cache)) = (changes.delete(key, location.size()), cache) {
                    cache.remove(hash);
                }
            }
            Op::Clear | Op::Drop => changes.clear(location.size(), op == Op::Clear),
        });
        changes.finish()
    }

    /// Changes an account by what tells where the operations of a segment are without having their values, in the order of the log:
    /// all that `work` does is seen at once.
    ///
    /// It holds the account's lock meanwhile, so it is for opening. Begin with [`Changes::reserve`] where it is known how many
    /// records there will be. Every location has to be in `segment`, and every size has to be the one that [`for_each_op`] tells,
    /// which is what the usage of the segment counts.
    ///
    /// ```
    /// use baileys_cask::backend::file::index::{Index, Location, ShortSize};
    ///
    /// let index = Index::default();
    /// let at = |chunk| Location::new(7, chunk, 90, 8, ShortSize::of(122));
    /// let unreachable = index.change("default", 7, |changes| {
    ///     changes.reserve(2, 10);
    ///     changes.put(b"\x02alice", at(256));
    ///     changes.put(b"\x02bob", at(384));
    ///     changes.delete(b"\x02alice", 64);
    /// });
    /// index.free(&unreachable);
    /// assert!(!index.has("default", b"\x02alice"));
    /// assert!(index.is_live("default", b"\x02bob", at(384)));
    /// ```
    pub fn change(&self, account: &str, segment: u32, work: impl FnOnce(&mut Changes<'_>)) -> Unreachable {
        let account = self.account_or_new(account);
        let mut changes = Changes::new(&account, self.usage.of_batch(segment));
        work(&mut changes);
        changes.finish()
    }

    /// Does what a hint says that a segment does to an account.
    pub fn load(&self, group: &HintGroup<'_>, segment: u32) {
        let unreachable = self.change(group.account, segment, |changes| {
            // Many of them may be there already, from older segments.
            changes.reserve(group.puts, group.key_bytes);
            for op in group.ops().flatten() {
                match op {
                    HintOp::Put { key, chunk, chunk_len, op, size } => {
                        changes.put(key, Location::new(segment, chunk, chunk_len, op as u16, ShortSize::of(size)));
                    }
                    HintOp::Delete { key, size } => {
                        changes.delete(key, size);
                    }
                    HintOp::Clear { size } => changes.clear(size, true),
                    HintOp::Drop { size } => changes.clear(size, false),
                }
            }
        });
        self.free(&unreachable);
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

    /// Tells what frees records that they take no room in the log any more.
    pub fn free(&self, unreachable: &Unreachable) {
        self.usage.died(unreachable.locations());
    }
}

/// Does the operations of a frame that has many. They are hashed some at a time, and the memory of all of those is touched before
/// the first one is done.
fn publish_many<'a>(
    changes: &mut Changes<'_>,
    chunks: impl Iterator<Item = Chunk<'a>>,
    segment: u32,
    offset: u64,
    cache: Option<&ValueCache>,
) {
    let mut puts: Vec<(u64, &[u8], Location)> = Vec::with_capacity(TOUCHED_AT_ONCE);
    let forget = |hash| cache.into_iter().for_each(|cache| cache.remove(hash));
    let put_all = |changes: &mut Changes<'_>, puts: &mut Vec<(u64, &[u8], Location)>| {
        changes.touch(puts.iter().map(|(hash, ..)| *hash));
        for (hash, key, location) in puts.drain(..) {
            if changes.put_hashed(hash, key, location) {
                forget(hash);
            }
        }
    };
    for_each_op(chunks, segment, offset, |op, location| match op {
        Op::Put { key, .. } => {
            puts.push((changes.hash(key), key, location));
            if puts.len() == TOUCHED_AT_ONCE {
                put_all(changes, &mut puts);
            }
        }
        Op::Delete { key } => {
            put_all(changes, &mut puts);
            changes.delete(key, location.size()).into_iter().for_each(forget);
        }
        Op::Clear | Op::Drop => {
            put_all(changes, &mut puts);
            changes.clear(location.size(), op == Op::Clear);
        }
    });
    put_all(changes, &mut puts);
}
