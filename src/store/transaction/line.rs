//! What a transaction runs inside of.
//!
//! One that commits by itself outlives those around it, and a chain of such, each begun inside the one before, can become as long as the
//! program runs. So what has ended leaves the line: its place is taken by what was around it.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};

use super::{State, Transaction};

impl Transaction {
    fn link(&self) -> MutexGuard<'_, Option<Arc<Self>>> {
        self.around.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_ended(&self) -> bool {
        matches!(self.inner().state, State::Committed | State::RolledBack)
    }

    /// What it runs inside of, on whatever account. For one that leaves its writes to the one around it, that one, ended or not.
    pub(super) fn around(&self) -> Option<Arc<Self>> {
        if !self.inside {
            return None;
        }
        let mut link = self.link();
        loop {
            let around = link.clone()?;
            if self.leaves_writes_to(&around) || !around.has_ended() {
                return Some(around);
            }
            *link = around.link().clone();
        }
    }

    fn leaves_writes_to(&self, around: &Self) -> bool {
        Arc::ptr_eq(&self.account, &around.account) && (!self.settings.independent || self.joined.load(Ordering::Acquire))
    }

    /// The one that gets its writes and locks when it ends well; `None` where it commits by itself.
    pub(super) fn heir(&self) -> Option<Arc<Self>> {
        self.around().filter(|around| self.leaves_writes_to(around))
    }

    /// The next one around it, where that is on the same account.
    pub(super) fn parent(&self) -> Option<Arc<Self>> {
        self.around().filter(|around| Arc::ptr_eq(&self.account, &around.account))
    }

    /// Leaves the line. What runs inside it finds what is around it here.
    pub(super) fn leave_line(&self) {
        if !self.inside {
            return;
        }
        let mut link = self.link();
        while let Some(around) = link.as_ref().filter(|around| around.has_ended()) {
            let next = around.link().clone();
            *link = next;
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.rollback();
        // One after the other: dropped inside each other, many of them would fill the stack.
        let mut next = self.around.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        while let Some(around) = next {
            next = Arc::into_inner(around)
                .and_then(|mut around| around.around.get_mut().unwrap_or_else(PoisonError::into_inner).take());
        }
    }
}
