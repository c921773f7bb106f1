//! The transactions that have not ended.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::{Account, Transaction};
use crate::lock::OwnerId;

/// Transactions by the owner of their locks.
#[derive(Debug, Default)]
pub struct Live {
    transactions: Mutex<HashMap<OwnerId, Weak<Transaction>>>,
}

impl Live {
    fn transactions(&self) -> MutexGuard<'_, HashMap<OwnerId, Weak<Transaction>>> {
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
