//! What an account has done since its cask was opened.

use std::time::{Duration, Instant};

use crate::error::{ErrorKind, Result};
use crate::record::OpReader;
use crate::stats::{Counter, DURATIONS, Durations, SIZES, Sizes, Snapshot};

/// Counts of one account. All its handles share them.
#[derive(Debug, Default)]
pub struct Activity {
    /// How long it took from handing a batch over until it was acknowledged. Batches that failed are not among them.
    pub commits: Durations,
    /// Records that those batches wrote or removed.
    pub batch_records: Sizes,
    /// Bytes of those batches.
    pub written_bytes: Counter,
    /// Batches that failed.
    pub failed_commits: Counter,
    /// Transactions that ended well, those inside of others included.
    pub committed: Counter,
    /// Transactions that were undone.
    pub rolled_back: Counter,
    /// How long those waited that had to wait for locks, whatever came of it.
    pub lock_waits: Durations,
    /// Waits that would never have ended.
    pub deadlocks: Counter,
    /// Waits that were longer than allowed.
    pub lock_timeouts: Counter,
    /// Transactions that held locks, or ran, longer than allowed.
    pub transaction_timeouts: Counter,
    /// Transactions that the caller's signal has ended.
    pub aborted: Counter,
}

/// A batch on its way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commit {
    began: Instant,
    records: u64,
    bytes: u64,
}

impl Commit {
    /// A batch that is handed over now.
    pub(super) fn of(ops: &[u8]) -> Self {
        Self { began: Instant::now(), records: OpReader::new(ops).count() as u64, bytes: ops.len() as u64 }
    }
}

impl Activity {
    /// A batch has ended.
    pub(super) fn ended(&self, commit: Commit, outcome: &Result<()>) {
        if outcome.is_err() {
            return self.failed_commits.count();
        }
        self.commits.add_duration(commit.began.elapsed());
        self.batch_records.add(commit.records);
        self.written_bytes.add(commit.bytes);
    }

    /// A wait for locks has ended.
    pub(super) fn waited(&self, waited: Duration) {
        self.lock_waits.add_duration(waited);
    }

    /// A transaction was doomed, for that reason. Deadlocks and waits that were too long are counted where they are found: one may
    /// doom several.
    pub(super) fn doomed(&self, kind: ErrorKind) {
        match kind {
            ErrorKind::TransactionTimeout => self.transaction_timeouts.count(),
            ErrorKind::Aborted => self.aborted.count(),
            _ => {}
        }
    }

    /// A transaction has ended.
    pub(super) fn transaction_ended(&self, well: bool) {
        if well { &self.committed } else { &self.rolled_back }.count();
    }

    /// Takes over what another account has done, which begins anew.
    pub(super) fn take_over(&self, other: &Self) {
        self.commits.take_over(&other.commits);
        self.batch_records.take_over(&other.batch_records);
        self.lock_waits.take_over(&other.lock_waits);
        for (counter, more) in self.counters().into_iter().zip(other.counters()) {
            counter.take_over(more);
        }
    }

    const fn counters(&self) -> [&Counter; COUNTERS] {
        [
            &self.written_bytes,
            &self.failed_commits,
            &self.committed,
            &self.rolled_back,
            &self.deadlocks,
            &self.lock_timeouts,
            &self.transaction_timeouts,
            &self.aborted,
        ]
    }

    /// What it has counted so far.
    #[must_use]
    pub fn snapshot(&self) -> ActivitySnapshot {
        ActivitySnapshot {
            commits: self.commits.snapshot(),
            batch_records: self.batch_records.snapshot(),
            lock_waits: self.lock_waits.snapshot(),
            counters: self.counters().map(Counter::get),
        }
    }
}

const COUNTERS: usize = 8;

/// What an account, or several, had done at one time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ActivitySnapshot {
    /// See [`Activity::commits`].
    pub commits: Snapshot<{ DURATIONS.len() + 1 }>,
    /// See [`Activity::batch_records`].
    pub batch_records: Snapshot<{ SIZES.len() + 1 }>,
    /// See [`Activity::lock_waits`].
    pub lock_waits: Snapshot<{ DURATIONS.len() + 1 }>,
    /// `written_bytes`, `failed_commits`, `committed`, `rolled_back`, `deadlocks`, `lock_timeouts`, `transaction_timeouts`, `aborted`.
    pub counters: [u64; COUNTERS],
}

impl ActivitySnapshot {
    /// Adds what another one had done.
    pub fn absorb(&mut self, other: &Self) {
        self.commits.absorb(&other.commits);
        self.batch_records.absorb(&other.batch_records);
        self.lock_waits.absorb(&other.lock_waits);
        for (count, more) in self.counters.iter_mut().zip(other.counters) {
            *count += more;
        }
    }
}
