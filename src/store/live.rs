//! The transactions that have not ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustc_hash::FxBuildHasher;

use super::{Account, Transaction};
use crate::lock::OwnerId;

/// Tells a wait: the domain of its thread, and the caller's number for it.
type WaitName = (u32, u32);

/// Transactions by the owner of their locks, and where those calls were made that were reported as old.
#[derive(Debug, Default)]
pub struct Live {
    transactions: Mutex<HashMap<OwnerId, Weak<Transaction>, FxBuildHasher>>,
    stacks_of_waits: Mutex<HashMap<WaitName, Arc<str>>>,
}

impl Live {
    fn transactions(&self) -> MutexGuard<'_, HashMap<OwnerId, Weak<Transaction>, FxBuildHasher>> {
        self.transactions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes one that begins.
    pub(super) fn add(&self, owner: OwnerId, transaction: &Arc<Transaction>) {
        self.transactions().insert(owner, Arc::downgrade(transaction));
    }

    /// Forgets one that has ended.
    pub(super) fn remove(&self, owner: OwnerId) {
        self.transactions().remove(&owner);
    }

    /// The one that owns locks, where it is one.
    pub(super) fn find(&self, owner: OwnerId) -> Option<Arc<Transaction>> {
        self.transactions().get(&owner)?.upgrade()
    }

    /// Those of one account.
    pub(super) fn of_account(&self, account: &Arc<Account>) -> Vec<Arc<Transaction>> {
        // Let go of outside the mutex: the last reference to one removes it here.
        let all: Vec<_> = self.transactions().values().filter_map(Weak::upgrade).collect();
        all.into_iter().filter(|transaction| Arc::ptr_eq(transaction.account(), account)).collect()
    }

    fn stacks_of_waits(&self) -> MutexGuard<'_, HashMap<WaitName, Arc<str>>> {
        self.stacks_of_waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where a call was made that waits for locks.
    pub fn note_wait(&self, domain: u32, token: u32, stack: &str) {
        self.stacks_of_waits().insert((domain, token), stack.into());
    }

    /// Forgets that again.
    pub fn forget_wait(&self, domain: u32, token: u32) {
        self.stacks_of_waits().remove(&(domain, token));
    }

    /// Forgets all that was noted for a thread that goes away.
    pub fn forget_waits(&self, domain: u32) {
        self.stacks_of_waits().retain(|(other, _), _| *other != domain);
    }

    /// Where a call was made that waits for locks, if that was noted.
    pub(super) fn stack_of_wait(&self, domain: u32, token: u32) -> Option<Arc<str>> {
        self.stacks_of_waits().get(&(domain, token)).cloned()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.transactions().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
