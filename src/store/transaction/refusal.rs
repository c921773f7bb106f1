//! Words for locks that were not granted.

use std::time::Duration;

use super::Transaction;
use crate::error::{Error, ErrorKind};
use crate::lock::{Deadlock, Reason, Refusal};
use crate::store::Account;
use crate::store::lock_name::LockName;
use crate::store::naming::{facts_of, words_of};

impl Transaction {
    /// The refusal of what belongs to a transaction that has ended.
    pub(super) fn ended(&self) -> Error {
        let named = self.label.as_deref().map_or_else(String::new, |label| format!(" {label}"));
        let message = format!("transaction{named} has ended; await everything that belongs to it inside its work");
        let error = Error::new(ErrorKind::TransactionEnded, message);
        if let Some(label) = self.label.as_deref() { error.with_text("label", label) } else { error }
    }

    /// The error for a refused lock. A deadlock's victim and everything inside it that leads to this transaction is doomed by it.
    pub(super) fn refusal(&self, refusal: Refusal<LockName>) -> Error {
        match refusal {
            Refusal::Deadlock(deadlock) => self.deadlock(&deadlock),
            Refusal::Expired { key, waited } => expired(&self.account, &key, waited),
            // The thread is going away, or something around it has ended; what is doomed says so itself.
            Refusal::Cancelled | Refusal::Doomed(_) | Refusal::Ended => self.check_around().err().unwrap_or_else(|| self.ended()),
        }
    }

    fn check_around(&self) -> crate::error::Result<()> {
        self.check_running(&self.inner())?;
        let mut level = self.around();
        while let Some(transaction) = level {
            transaction.check_running(&transaction.inner())?;
            level = transaction.around();
        }
        Ok(())
    }

    fn deadlock(&self, deadlock: &Deadlock<LockName>) -> Error {
        self.account.activity().deadlocks.count();
        let mut around = Vec::new();
        let is_victim = |level: &Self| level.owner == deadlock.victim;
        let mut next = if is_victim(self) { None } else { self.around() };
        while let Some(level) = next {
            next = if is_victim(&level) { None } else { level.around() };
            around.push(level);
        }
        let victim = around.last().map_or(self, |level| &**level);
        let named = victim.label.as_deref().map_or_else(String::new, |label| format!(" {label}"));
        let words = deadlock.keys.iter().map(words_of).collect::<Vec<_>>().join(", then ");
        let message = format!(
            "waiting would never end: who holds what transaction{named} waits for waits for it ({words}); retry the transaction{named}"
        );
        let mut error = facts_of(Error::new(ErrorKind::Deadlock, message), &deadlock.keys);
        if let Some(label) = victim.label.as_deref() {
            error = error.with_text("label", label);
        }
        self.doom(error.clone());
        around.iter().for_each(|level| {
            level.doom(error.clone());
        });
        // Also where its commit had begun.
        self.store.locks.doom(victim.owner, Reason(0));
        error
    }
}

/// The error for a wait that was too long, which counts as one of the account.
pub(in crate::store) fn expired(account: &Account, name: &LockName, waited: Duration) -> Error {
    account.activity().lock_timeouts.count();
    let waited = waited.as_millis();
    let message =
        format!("waited {waited} ms for {}, longer than lockTimeoutMs allows; cask.locks() shows who holds it", words_of(name));
    facts_of(Error::new(ErrorKind::LockTimeout, message), std::slice::from_ref(name))
        .with_number("waitedMs", u64::try_from(waited).unwrap_or(u64::MAX))
}
