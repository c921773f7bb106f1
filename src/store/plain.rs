//! Batches outside of transactions. They take part as short transactions of their own: all their locks together or none.

use std::sync::Arc;
use std::time::Instant;

use super::activity::Commit;
use super::lock_name::LockName;
use super::transaction::expired;
use super::{Account, Store};
use crate::backend::{Applied, Batch, Completion};
use crate::error::{Error, Result};
use crate::flat;
use crate::lock::{Acquired, Ending, Limits, OwnerId, Refusal};
use crate::record::{OpReader, check_batch};

/// What became of a write by the time the call returned.
#[derive(Debug)]
pub enum Accepted {
    /// It ended on the calling thread; the completion was not asked for.
    Now(Result<()>),
    /// The backend has it; the completion will be called.
    Queued,
    /// It waits for locks; the completion will be called.
    Waits,
}

impl From<Applied> for Accepted {
    fn from(applied: Applied) -> Self {
        match applied {
            Applied::Now(outcome) => Self::Now(outcome),
            Applied::Later => Self::Queued,
        }
    }
}

impl Store {
    /// Applies one atomic batch. Where nothing stands against it, check and write are one step, and no lock comes into being.
    pub fn set(
        self: &Arc<Self>,
        account: &Arc<Account>,
        ops: &[u8],
        domain: u32,
        limits: Limits,
        completion: &mut dyn FnMut() -> Completion,
    ) -> Accepted {
        match self.set_at_once(account, ops) {
            Ok(Some(outcome)) => return Accepted::Now(outcome),
            Ok(None) => {}
            Err(error) => return Accepted::Now(Err(error)),
        }
        let (owner, acquired) = self.locks.acquire_all(domain, names_of(account, ops), limits, |owner| {
            let (store, account, ops, done) = (Arc::clone(self), Arc::clone(account), ops.to_vec(), completion());
            let began = Instant::now();
            Box::new(move |outcome| {
                account.activity().waited(began.elapsed());
                flat::run(move || match outcome {
                    Ok(()) => complete(|completion| apply_then_end(&store, owner, &account, &ops, completion), done),
                    Err(refusal) => {
                        store.locks.end(owner, Ending::Release);
                        done(Err(refused(&account, &refusal)));
                    }
                });
            })
        });
        match acquired {
            Acquired::Now => apply_then_end(self, owner, account, ops, completion).into(),
            Acquired::Later(_) => Accepted::Waits,
            Acquired::Refused(refusal) => {
                self.locks.end(owner, Ending::Release);
                Accepted::Now(Err(refused(account, &refusal)))
            }
        }
    }

    fn set_at_once(&self, account: &Account, ops: &[u8]) -> Result<Option<Result<()>>> {
        check_batch(ops)?;
        let _entered = account.enter()?;
        if ops.is_empty() {
            return Ok(Some(Ok(())));
        }
        let names = OpReader::new(ops).flatten().map(|op| LockName::of(account.id(), op));
        let batch = Batch { account: account.name(), ops, fence: 0 };
        let commit = Commit::of(ops);
        let applied = self.locks.if_free(names, || self.backend.apply_at_once(batch)).flatten();
        if let Some(outcome) = &applied {
            account.activity().ended(commit, outcome);
        }
        Ok(applied)
    }
}

/// The locks of a batch that has to wait, for a disk or for others: those of its records and no more, however many they are.
fn names_of(account: &Account, ops: &[u8]) -> Vec<LockName> {
    OpReader::new(ops).flatten().map(|op| LockName::of(account.id(), op)).collect()
}

fn refused(account: &Account, refusal: &Refusal<LockName>) -> Error {
    match refusal {
        Refusal::Expired { key, waited } => expired(account, key, *waited),
        // Its thread is going away: nobody hears this. It is no deadlock's victim and is inside of nothing.
        _ => Error::closed(),
    }
}

/// Applies a batch whose locks are held, and then ends their owner.
pub(super) fn apply_then_end(
    store: &Arc<Store>,
    owner: OwnerId,
    account: &Arc<Account>,
    ops: &[u8],
    completion: &mut dyn FnMut() -> Completion,
) -> Applied {
    let commit = Commit::of(ops);
    let applied = match account.enter() {
        Ok(_entered) => store.backend.apply(Batch { account: account.name(), ops, fence: 0 }, &mut || {
            let (store, account, done) = (Arc::clone(store), Arc::clone(account), completion());
            Box::new(move |outcome| {
                account.activity().ended(commit, &outcome);
                store.locks.end(owner, Ending::Release);
                // After the locks of all that were written with it: who is told first begins the next group too early.
                flat::run(move || done(outcome));
            })
        }),
        Err(error) => Applied::Now(Err(error)),
    };
    if let Applied::Now(outcome) = &applied {
        account.activity().ended(commit, outcome);
        store.locks.end(owner, Ending::Release);
    }
    applied
}

/// Does what may end now or later, and sees to it that `done` is called either way.
pub(super) fn complete(work: impl FnOnce(&mut dyn FnMut() -> Completion) -> Applied, done: Completion) {
    let mut done = Some(done);
    let applied = work(&mut || done.take().unwrap_or_else(|| Box::new(|_| ())));
    if let (Applied::Now(outcome), Some(done)) = (applied, done) {
        done(outcome);
    }
}
