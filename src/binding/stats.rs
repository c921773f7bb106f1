//! What a cask holds and has done, as JavaScript reads it: numbers first, as `f64`, then their names as JSON.
//!
//! The numbers, in this order; `js/stats.js` reads them:
//!
//! ```text
//! count of numbers
//! cask      open transactions, locks, waiters; index bytes; cache bytes, capacity, 1 where it is shared;
//!           0, or 1 and: segments, bytes, live bytes, queued batches, appended bytes, compactions, bytes compacted, bytes copied,
//!           1 where it is poisoned, histograms of syncs, of reads, of groups
//! sum, and then each account
//!           count of families, and of each: place of its name, records, bytes; reads from memory, from the log, of nothing;
//!           histograms of commits, of records per batch, of waits for locks; plain counters
//! ```
//!
//! A histogram is the sum of its values, and how many there are in each bucket.

use std::collections::HashMap;

use rustc_hash::FxBuildHasher;
use serde_json::json;

use crate::backend::{Facts, LogFacts};
use crate::record::{CREDS_KEY, family_name};
use crate::stats::{DURATIONS, SIZES, Snapshot};
use crate::store::{AccountStats, Store};

#[derive(Default)]
struct Names {
    /// `None` for the creds, which are no family.
    families: Vec<Option<String>>,
    places: HashMap<Box<[u8]>, usize, FxBuildHasher>,
    accounts: Vec<String>,
}

impl Names {
    fn place(&mut self, prefix: &[u8]) -> usize {
        if let Some(place) = self.places.get(prefix) {
            return *place;
        }
        let name = (prefix != CREDS_KEY).then(|| family_name(prefix).unwrap_or_default());
        self.families.push(name);
        self.places.insert(prefix.into(), self.families.len() - 1);
        self.families.len() - 1
    }
}

/// JavaScript counts up to 2^53 exactly, which takes years.
fn push(numbers: &mut Vec<f64>, more: impl IntoIterator<Item = u64>) {
    numbers.extend(more.into_iter().map(|number| number as f64));
}

fn push_histogram<const N: usize>(numbers: &mut Vec<f64>, histogram: &Snapshot<N>) {
    push(numbers, [histogram.sum]);
    push(numbers, histogram.counts);
}

fn push_log(numbers: &mut Vec<f64>, log: &LogFacts) {
    push(numbers, [log.segments, log.bytes, log.live_bytes, log.queued_batches, log.appended_bytes]);
    push(numbers, [log.compactions, log.compacted_bytes, log.copied_bytes, u64::from(log.is_poisoned)]);
    push_histogram(numbers, &log.syncs);
    push_histogram(numbers, &log.reads);
    push_histogram(numbers, &log.groups);
}

fn push_facts(numbers: &mut Vec<f64>, facts: &Facts) {
    push(numbers, [facts.index_bytes, facts.cache_bytes, facts.cache_capacity, u64::from(facts.cache_is_shared)]);
    push(numbers, [u64::from(facts.log.is_some())]);
    if let Some(log) = &facts.log {
        push_log(numbers, log);
    }
}

fn push_account(numbers: &mut Vec<f64>, names: &mut Names, account: &AccountStats) {
    push(numbers, [account.families.iter().count() as u64]);
    for (prefix, count) in account.families.iter() {
        push(numbers, [names.place(prefix) as u64, count.records, count.bytes]);
    }
    push(numbers, account.reads);
    push_histogram(numbers, &account.activity.commits);
    push_histogram(numbers, &account.activity.batch_records);
    push_histogram(numbers, &account.activity.lock_waits);
    push(numbers, account.activity.counters);
}

/// Packs all there is to tell of a store; with `accounts`, of each account too.
pub(super) fn pack(store: &Store, accounts: bool) -> Vec<u8> {
    let (mut names, mut of_accounts) = (Names::default(), Vec::new());
    let totals = store.stats(|account| {
        if accounts {
            push_account(&mut of_accounts, &mut names, account);
            names.accounts.push(account.name.clone());
        }
    });
    let mut numbers = Vec::with_capacity(256 + of_accounts.len());
    push(&mut numbers, [0]);
    push(&mut numbers, [totals.open_transactions, totals.locks, totals.lock_waiters]);
    push_facts(&mut numbers, &totals.facts);
    push_account(&mut numbers, &mut names, &totals.sum);
    numbers.extend(of_accounts);
    let count = numbers.len() as f64;
    if let Some(first) = numbers.first_mut() {
        *first = count;
    }
    let words = json!({ "families": names.families, "accounts": names.accounts, "durations": DURATIONS, "sizes": SIZES });
    let mut packed: Vec<u8> = Vec::with_capacity(numbers.len() * 8 + 1024);
    packed.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
    packed.extend_from_slice(words.to_string().as_bytes());
    packed
}
