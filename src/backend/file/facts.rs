//! What a cask in a folder tells about itself.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use super::FileBackend;
use super::compaction::Compacted;
use crate::backend::{AccountFacts, Facts, LogFacts};
use crate::stats::{Counter, Durations, Sizes};

/// What the log counts while it is open.
#[derive(Debug, Default)]
pub(super) struct LogCounts {
    /// How long syncs took.
    pub(super) syncs: Durations,
    /// How long it took to read a value that was not cached.
    pub(super) reads: Durations,
    /// How many batches that had to wait were written together.
    pub(super) groups: Sizes,
    compactions: Counter,
    compacted_bytes: Counter,
    copied_bytes: Counter,
}

impl LogCounts {
    /// Counts a compaction.
    pub(super) fn compacted(&self, compacted: &Compacted) {
        self.compactions.count();
        self.compacted_bytes.add(compacted.before);
        self.copied_bytes.add(compacted.after);
    }
}

impl FileBackend {
    pub(super) fn visit_account_facts(&self, sink: &mut dyn FnMut(AccountFacts<'_>)) {
        self.index.visit(|name, account| {
            account.with_families(|families| sink(AccountFacts { name, families, reads: &account.reads }));
        });
    }

    pub(super) fn all_facts(&self) -> Facts {
        let mut index_bytes = 0;
        self.index.visit(|_, account| index_bytes += account.memory() as u64);
        let (cache_bytes, cache_capacity) = self.cache.room();
        Facts { log: Some(self.log_facts()), index_bytes, cache_bytes, cache_capacity, cache_is_shared: self.cache.is_shared() }
    }

    fn log_facts(&self) -> LogFacts {
        let counts = &self.counts;
        // Whatever a fault has left behind: it changes nothing.
        let (segments, bytes, appended_bytes) = self.tail.lock().unwrap_or_else(PoisonError::into_inner).extent();
        LogFacts {
            segments,
            bytes,
            live_bytes: self.index.usage.live(),
            queued_batches: self.queued.load(Ordering::Relaxed) as u64,
            appended_bytes,
            compactions: counts.compactions.get(),
            compacted_bytes: counts.compacted_bytes.get(),
            copied_bytes: counts.copied_bytes.get(),
            is_poisoned: self.poisoned.get().is_some(),
            syncs: counts.syncs.snapshot(),
            reads: counts.reads.snapshot(),
            groups: counts.groups.snapshot(),
        }
    }
}
