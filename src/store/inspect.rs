//! Who holds what and who waits, for people to look at.

use std::sync::Arc;
use std::time::Duration;

use super::Store;
use super::lock_name::{LockKind, LockName};
use super::naming::record_of;
use crate::error::RecordFact;
use crate::lock::{Mode, OwnerId};

/// One lock.
#[derive(Debug, Clone)]
pub struct LockInfo {
    /// Its namespace.
    pub kind: LockKind,
    /// The label, where it is one's.
    pub label: Option<String>,
    /// Account, family and id, as far as it has them.
    pub record: RecordFact,
    /// Who holds it, longest first.
    pub holders: Vec<Party>,
    /// Who waits for it, in the order of service.
    pub waiters: Vec<Party>,
}

/// One that holds a lock or waits for it.
#[derive(Debug, Clone)]
pub struct Party {
    /// Tells transactions apart while they live.
    pub owner: OwnerId,
    /// Account of the transaction; `None` for a plain set.
    pub account: Option<String>,
    /// Its label.
    pub label: Option<String>,
    /// The caller's number for its thread.
    pub domain: u32,
    /// How it holds the lock, or wants it.
    pub mode: Mode,
    /// Since when.
    pub age: Duration,
    /// The caller's number for its wait, or for its write that holds locks meanwhile; 0 for a transaction that holds some.
    pub token: u32,
    /// Where its call was made, once its thread has reported it as old.
    pub stack: Option<Arc<str>>,
}

impl Store {
    /// Every lock with its holders and waiters.
    #[must_use]
    pub fn locks(&self) -> Vec<LockInfo> {
        let views = self.locks.snapshot();
        views
            .into_iter()
            .map(|view| {
                let holders = view
                    .holders
                    .iter()
                    .map(|holder| self.party(holder.owner, holder.domain, holder.mode, holder.age, holder.token));
                let waiters = view
                    .waiters
                    .iter()
                    .map(|waiter| self.party(waiter.owner, waiter.domain, waiter.mode, waiter.age, waiter.token));
                LockInfo {
                    kind: view.key.kind(),
                    label: label_of(&view.key),
                    record: record_of(&view.key),
                    holders: holders.collect(),
                    waiters: waiters.collect(),
                }
            })
            .collect()
    }

    fn party(&self, owner: OwnerId, domain: u32, mode: Mode, age: Duration, token: u32) -> Party {
        let transaction = self.live.find(owner);
        let account = transaction.as_ref().map(|transaction| transaction.account().name().to_string());
        let label = transaction.as_ref().and_then(|transaction| transaction.label().map(str::to_string));
        let stack = match (&transaction, token) {
            (Some(transaction), 0) => transaction.stack().map(Into::into),
            (None, 0) => None,
            _ => self.live.stack_of_wait(domain, token),
        };
        Party { owner, account, label, domain, mode, age, token, stack }
    }
}

fn label_of(name: &LockName) -> Option<String> {
    (name.kind() == LockKind::Label).then(|| String::from_utf8_lossy(name.name()).into_owned())
}
