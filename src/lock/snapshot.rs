//! What is held and waited for, for people to look at.

use std::time::{Duration, Instant};

use super::key::LockKey;
use super::owners::is_within;
use super::table::Table;
use super::types::{Mode, OwnerId, WaitId};

/// One lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LockView<K> {
    /// Its key.
    pub key: K,
    /// Who holds it, longest first. Empty where what is waited for is a lock that encloses it or lies below it, or where all who
    /// wait are plain sets that wait for another key.
    pub holders: Vec<HolderView>,
    /// Who waits for it, in the order of service: relatives of holders first, then by arrival.
    pub waiters: Vec<WaiterView>,
}

/// One owner's hold on one lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HolderView {
    /// The owner.
    pub owner: OwnerId,
    /// The thread it belongs to.
    pub domain: u32,
    /// How it holds the lock.
    pub mode: Mode,
    /// The number of the request that a plain set was made for; 0 for other owners.
    pub token: u32,
    /// Since when.
    pub age: Duration,
}

/// One wait at one lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaiterView {
    /// The wait.
    pub wait: WaitId,
    /// The owner that waits.
    pub owner: OwnerId,
    /// The thread it belongs to.
    pub domain: u32,
    /// How it wants the lock.
    pub mode: Mode,
    /// The caller's number for the wait.
    pub token: u32,
    /// Since when; for a request for many keys, since its first wait.
    pub age: Duration,
}

impl<K: LockKey> Table<K> {
    /// Every lock, in no order.
    pub(super) fn snapshot(&self) -> Vec<LockView<K>> {
        let now = Instant::now();
        let mut views = Vec::with_capacity(self.entries.len());
        for (_, entry) in self.entries.iter() {
            let mut holders = Vec::new();
            for hold in entry.holders.iter() {
                let Some(owner) = self.owners.get(hold.owner) else { continue };
                let age = now.saturating_duration_since(hold.since);
                let token = owner.token;
                holders.push(HolderView { owner: owner.id, domain: owner.domain, mode: hold.mode, token, age });
            }
            let (mut first, mut later) = (Vec::new(), Vec::new());
            for at in &entry.queue {
                let Some(wait) = self.waits.get(*at) else { continue };
                let Some(owner) = self.owners.get(wait.owner) else { continue };
                let age = now.saturating_duration_since(wait.since);
                let view =
                    WaiterView { wait: wait.id, owner: owner.id, domain: owner.domain, mode: wait.mode, token: wait.token, age };
                let is_relative = entry.holders.iter().any(|hold| is_within(&self.owners, wait.owner, hold.owner));
                if is_relative { first.push(view) } else { later.push(view) }
            }
            first.extend(later);
            views.push(LockView { key: entry.key.clone(), holders, waiters: first });
        }
        views
    }
}
