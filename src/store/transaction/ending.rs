//! How a transaction ends.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::staged::Staged;
use super::{Granted, State, Transaction};
use crate::backend::{Applied, Batch, Completion};
use crate::error::Result;
use crate::flat;
use crate::lock::{Ending, Limits};
use crate::store::activity::Commit;
use crate::store::lock_name::LockName;
use crate::store::plain::{Accepted, complete};

impl Transaction {
    /// Commits: into the one around it, or as one batch. Locks are let go of when that has ended, well or not.
    pub fn commit(self: &Arc<Self>, limits: Limits, completion: &mut dyn FnMut() -> Completion) -> Accepted {
        match self.begin_commit(limits, completion) {
            Ok(Granted::Now) => self.finish(completion).into(),
            Ok(Granted::Later) => Accepted::Waits,
            Err(error) => {
                self.rollback();
                Accepted::Now(Err(error))
            }
        }
    }

    fn begin_commit(self: &Arc<Self>, limits: Limits, completion: &mut dyn FnMut() -> Completion) -> Result<Granted> {
        self.check_line()?;
        let mut inner = self.inner();
        self.check_running(&inner)?;
        inner.state = State::Preparing;
        self.is_open.store(false, Ordering::Release);
        if !self.settings.locks_at_commit || inner.staged.is_empty() {
            return Ok(Granted::Now);
        }
        let account = self.account.id();
        let clear = inner.staged.is_cleared().then(|| LockName::account(account));
        let records = inner.staged.writes().map(|(key, _)| LockName::record(account, key));
        let names = clear.into_iter().chain(records).collect();
        drop(inner);
        // As a plain set does: while it waits it keeps nobody from them.
        self.take_together(names, limits, || {
            let (this, done) = (Arc::clone(self), completion());
            Box::new(move |outcome| match outcome {
                Ok(()) => complete(|completion| this.finish(completion), done),
                Err(error) => {
                    this.rollback();
                    done(Err(error));
                }
            })
        })
    }

    fn finish(self: &Arc<Self>, completion: &mut dyn FnMut() -> Completion) -> Applied {
        let staged = {
            let mut inner = self.inner();
            if let Some(error) = &inner.doomed {
                let outcome = Err(error.clone());
                drop(inner);
                self.rollback();
                return Applied::Now(outcome);
            }
            // From here on nothing dooms it.
            inner.state = State::Committing;
            std::mem::take(&mut inner.staged)
        };
        if let Some(heir) = self.heir() {
            let outcome = Self::pass_on(&heir, staged);
            self.end(&outcome);
            return Applied::Now(outcome);
        }
        self.write(staged, completion)
    }

    fn pass_on(heir: &Self, staged: Staged) -> Result<()> {
        heir.check_line()?;
        let mut inner = heir.inner();
        heir.check_running(&inner)?;
        inner.staged.absorb(staged);
        Ok(())
    }

    fn write(self: &Arc<Self>, staged: Staged, completion: &mut dyn FnMut() -> Completion) -> Applied {
        if staged.is_empty() {
            self.end(&Ok(()));
            return Applied::Now(Ok(()));
        }
        let ops = staged.pack();
        let entered = match self.account.enter() {
            Ok(entered) => entered,
            Err(error) => {
                let outcome = Err(error);
                self.end(&outcome);
                return Applied::Now(outcome);
            }
        };
        let batch = Batch { account: self.account.name(), ops: &ops, fence: 0 };
        let commit = Commit::of(&ops);
        let applied = self.store.backend.apply(batch, &mut || {
            let (inner, this) = (completion(), Arc::clone(self));
            Box::new(move |outcome| {
                this.account.activity().ended(commit, &outcome);
                this.end(&outcome);
                flat::run(move || inner(outcome));
            })
        });
        drop(entered);
        if let Applied::Now(outcome) = &applied {
            self.account.activity().ended(commit, outcome);
            self.end(outcome);
        }
        applied
    }

    fn end(&self, outcome: &Result<()>) {
        self.inner().state = if outcome.is_ok() { State::Committed } else { State::RolledBack };
        self.account.activity().transaction_ended(outcome.is_ok());
        let inherits = outcome.is_ok() && self.heir().is_some();
        self.leave(if inherits { Ending::Inherit } else { Ending::Release });
    }

    /// Undoes everything staged and lets go of the locks. Does nothing once the commit has begun to write.
    pub fn rollback(&self) {
        let mut inner = self.inner();
        if matches!(inner.state, State::Running | State::Preparing) {
            inner.state = State::RolledBack;
            self.is_open.store(false, Ordering::Release);
            inner.staged = Staged::default();
            drop(inner);
            self.account.activity().transaction_ended(false);
            self.leave(Ending::Release);
        }
    }

    fn leave(&self, ending: Ending) {
        self.leave_line();
        self.store.live.remove(self.owner);
        self.store.locks.end(self.owner, ending);
    }
}
