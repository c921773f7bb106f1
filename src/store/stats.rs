//! What a cask holds and has done, for people and machines to look at.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use super::{Account, ActivitySnapshot, Store};
use crate::backend::{Facts, Families};
use crate::stats::Counter;

/// What an account holds, and what it has done since its cask was opened.
#[derive(Debug, Clone, Default)]
pub struct AccountStats {
    /// Its name.
    pub name: String,
    /// Its records by family.
    pub families: Families,
    /// Records that were read from memory, from the log, and were not there.
    pub reads: [u64; 3],
    /// What it has done.
    pub activity: ActivitySnapshot,
}

/// What a cask holds and has done.
#[derive(Debug, Clone, Default)]
pub struct Totals {
    /// What its backend tells.
    pub facts: Facts,
    /// All accounts together, those that were dropped included; no name.
    pub sum: AccountStats,
    /// Transactions that have not ended.
    pub open_transactions: u64,
    /// Locks that are held or waited for.
    pub locks: u64,
    /// Calls that wait for locks.
    pub lock_waiters: u64,
}

impl Store {
    /// What it holds and has done. `sink` receives each account that holds something or was used since the cask was opened.
    pub fn stats(&self, mut sink: impl FnMut(&AccountStats)) -> Totals {
        let dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used: HashMap<Arc<str>, Arc<Account>> =
            self.accounts.iter().map(|entry| (Arc::clone(entry.key()), Arc::clone(entry.value()))).collect();
        let mut sum = AccountStats { activity: dropped.snapshot(), ..AccountStats::default() };
        let mut of_backend = Vec::with_capacity(used.len());
        self.backend.visit_accounts(&mut |facts| {
            let reads = [&facts.reads.cached, &facts.reads.log, &facts.reads.absent].map(Counter::get);
            let activity = ActivitySnapshot::default();
            of_backend.push(AccountStats { name: facts.name.into(), families: facts.families.clone(), reads, activity });
        });
        for mut stats in of_backend {
            let account = used.remove(&*stats.name);
            if let Some(account) = &account {
                stats.activity = account.activity().snapshot();
            }
            sum.families.absorb(&stats.families);
            for (all, more) in sum.reads.iter_mut().zip(stats.reads) {
                *all += more;
            }
            sum.activity.absorb(&stats.activity);
            // One that was dropped has left its counts only.
            if account.is_some() || !stats.families.is_empty() {
                sink(&stats);
            }
        }
        for (name, account) in used {
            let stats =
                AccountStats { name: name.to_string(), activity: account.activity().snapshot(), ..AccountStats::default() };
            sum.activity.absorb(&stats.activity);
            sink(&stats);
        }
        drop(dropped);
        let (locks, lock_waiters) = self.locks.counts();
        Totals {
            facts: self.backend.facts(),
            sum,
            open_transactions: self.live.len() as u64,
            locks: locks as u64,
            lock_waiters: lock_waiters as u64,
        }
    }
}
