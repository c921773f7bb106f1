//! Records that compaction has copied are found in their copies.

use super::account::{AccountIndex, Contents};
use super::location::Location;
use super::{Found, Index, OpPlaces};
use crate::backend::file::cache::ValueCache;
use crate::codec::frame::{self, Chunk};
use crate::record::Op;

impl Index {
    /// Makes records that the index has in one of `from` be found in a copy of the frame they are in: a finished, checked frame.
    ///
    /// It is no matter which of the two is found, so the account is locked for one chunk at a time: a reader never waits for a whole
    /// batch to be moved.
    pub fn relocate(&self, bytes: &[u8], segment: u32, offset: u64, from: &[u32], cache: &ValueCache) {
        let mut chunks = frame::chunks(bytes).peekable();
        let Some(account) = chunks.peek().and_then(|first| self.account(first.body.account)) else { return };
        self.relocate_chunks(&account, chunks, OpPlaces::new(segment, offset), from, cache);
    }

    /// The same for the chunks of a frame.
    pub(super) fn relocate_chunks<'a>(
        &self,
        account: &AccountIndex,
        chunks: impl Iterator<Item = Chunk<'a>>,
        mut places: OpPlaces,
        from: &[u32],
        cache: &ValueCache,
    ) {
        let mut copies: Vec<(u64, &[u8], Location)> = Vec::new();
        for chunk in chunks {
            // Read and hashed without the lock, so that it is free for some of the time even while one chunk follows the other.
            let mut tombstones = 0;
            copies.clear();
            places.visit(chunk, |op, location| match op {
                Op::Put { key, .. } => copies.push((account.hasher.hash(key), key, location)),
                Op::Delete { .. } | Op::Clear | Op::Drop => tombstones += location.size(),
            });
            let mut usage = self.usage.of_batch(places.segment());
            usage.tombstone(tombstones);
            let mut contents = account.write();
            let Contents { records, families } = &mut *contents;
            for (hash, key, location) in &copies {
                // None of these segments takes a record any more, so a record that is in one of them is the one that was copied.
                let is_copied = |at: Location| from.contains(&at.segment()).then_some(*location);
                if let Some(before) = records.replace(*hash, key, is_copied) {
                    cache.relocate(Found { hash: *hash, location: before }, *location);
                    families.resized(key, before.size(), location.size());
                    usage.added(*location);
                    usage.died(before);
                }
            }
            // Counted before anybody else can see the records.
            drop(usage);
            drop(contents);
        }
    }
}
