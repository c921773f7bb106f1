//! Transactions: writes staged under locks that are held to the end, committed as one batch.
//!
//! A transaction inside another one of its account stages apart. When it ends well its writes and locks go to its parent, when it
//! fails they vanish; only the outermost commit reaches the backend. An independent one commits by itself, unless it has touched
//! what is staged around it: then it has joined, and is like any other. A transaction inside one of another account commits by
//! itself too; its locks are linked to those around it, so that deadlocks are found.
//!
//! States: running -> preparing -> committing -> committed, or -> rolled back from each of them. Nothing leaves the last two. While it
//! prepares it waits for the locks of its commit. Up to there it can be doomed: its locks are free, all its calls and its commit are
//! refused with the error that doomed it, and it still has to be ended.

mod access;
mod ending;
mod line;
mod locked;
mod refusal;
mod staged;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use self::locked::Locked;
pub(super) use self::refusal::expired;
use self::staged::Staged;
use super::lock_name::{LockName, ReadLocks};
use super::{Account, Store};
use crate::backend::Completion;
use crate::error::{Error, ErrorKind, Result};
use crate::flat;
use crate::lock::{Acquired, Begin, Limits, Mode, OwnerId, Reason, Refusal};
use crate::record::check_key;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Preparing,
    Committing,
    Committed,
    RolledBack,
}

/// How a transaction takes part.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// What its reads lock.
    pub read_locks: ReadLocks,
    /// Its writes take their locks when it commits, and not before.
    pub locks_at_commit: bool,
    /// It commits by itself also inside another transaction of its account.
    pub independent: bool,
    /// It becomes a deadlock's victim only where nobody else can.
    pub last_resort: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { read_locks: ReadLocks::ALL, locks_at_commit: false, independent: false, last_resort: false }
    }
}

/// What a transaction begins with.
#[derive(Debug, Clone, Copy)]
pub struct Start<'a> {
    /// The cask.
    pub store: &'a Arc<Store>,
    /// The account it works on.
    pub account: &'a Arc<Account>,
    /// The transaction it runs inside of, on whatever account of the cask.
    pub around: Option<&'a Arc<Transaction>>,
    /// Its label.
    pub label: Option<&'a str>,
    /// Keys of records that it locks before anything else.
    pub records: &'a [&'a [u8]],
    /// How it takes part.
    pub settings: Settings,
    /// The caller's number for its thread.
    pub domain: u32,
    /// Limits of the wait for its label and records.
    pub limits: Limits,
}

impl<'a> Start<'a> {
    /// A transaction without label, as most of what it can be is most often left out.
    #[must_use]
    pub fn new(store: &'a Arc<Store>, account: &'a Arc<Account>) -> Self {
        Self {
            store,
            account,
            around: None,
            label: None,
            records: &[],
            settings: Settings::default(),
            domain: 0,
            limits: Limits::default(),
        }
    }
}

#[derive(Debug)]
struct Inner {
    state: State,
    staged: Staged,
    /// The record that it has locked last, to read it.
    locked: Locked,
    doomed: Option<Error>,
}

/// One transaction on one account.
#[derive(Debug)]
pub struct Transaction {
    store: Arc<Store>,
    account: Arc<Account>,
    /// Whether it began inside another one.
    inside: bool,
    /// What it runs inside of, on whatever account; see `line`.
    around: Mutex<Option<Arc<Self>>>,
    owner: OwnerId,
    label: Option<Box<str>>,
    settings: Settings,
    domain: u32,
    /// An independent one that has touched what is staged around it.
    joined: AtomicBool,
    /// Something has begun inside it.
    has_inner: AtomicBool,
    /// It runs and is not doomed, as `inner` says too. Cleared under its mutex, and never set again.
    is_open: AtomicBool,
    /// Where its call was made, once it was reported as old: for those who look from other threads.
    stack: OnceLock<Box<str>>,
    inner: Mutex<Inner>,
}

/// A transaction that has its locks, or waits for them.
#[derive(Debug)]
pub struct Begun {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Whether `granted` will be called when it may go on.
    pub waits: bool,
}

/// Whether what was asked for is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Granted {
    /// Now.
    Now,
    /// The callback will tell.
    Later,
}

impl Transaction {
    /// Begins a transaction with the locks of its label and records. `granted` is made only where it has to wait; it is called when
    /// the wait ends, with an error where it ends without them. Then the transaction has to be rolled back.
    ///
    /// # Errors
    /// `InvalidArgument`, `Dropped`, `TransactionEnded` for one around it that has ended, `Deadlock`, and what doomed one around it.
    pub fn begin(start: Start<'_>, granted: impl FnOnce() -> Completion) -> Result<Begun> {
        let Start { store, account, label, settings, domain, .. } = start;
        account.check()?;
        start.records.iter().try_for_each(|key| check_key(key))?;
        let around = start.around.filter(|around| Arc::ptr_eq(&around.store, store));
        if let Some(around) = around {
            around.check_line()?;
        }
        if let Some(around) = around {
            around.has_inner.store(true, Ordering::Release);
        }
        let nested = around.is_some_and(|around| Arc::ptr_eq(&around.account, account));
        let owner = store.locks.begin(Begin {
            parent: around.map(|around| around.owner),
            domain,
            last_resort: settings.last_resort,
            independent: around.is_some() && (settings.independent || !nested),
        });
        let transaction = Arc::new(Self {
            store: Arc::clone(store),
            account: Arc::clone(account),
            inside: around.is_some(),
            around: Mutex::new(around.cloned()),
            owner,
            label: label.map(Into::into),
            settings,
            domain,
            joined: AtomicBool::new(false),
            has_inner: AtomicBool::new(false),
            is_open: AtomicBool::new(true),
            stack: OnceLock::new(),
            inner: Mutex::new(Inner {
                state: State::Running,
                staged: Staged::default(),
                locked: Locked::default(),
                doomed: None,
            }),
        });
        store.live.add(owner, &transaction);
        let label = label.map(|label| LockName::label(account.id(), label));
        let waits = if start.records.is_empty() {
            let Some(label) = label else { return Ok(Begun { transaction, waits: false }) };
            transaction.take(label, Mode::Exclusive, start.limits, granted)?
        } else {
            let records = start.records.iter().map(|key| LockName::record(account.id(), key));
            let names = label.into_iter().chain(records).map(|name| (name, Mode::Exclusive)).collect();
            transaction.take_sorted(names, start.limits, granted)?
        };
        Ok(Begun { transaction, waits: waits == Granted::Later })
    }

    /// Account it works on.
    #[must_use]
    pub const fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Store it works on.
    #[must_use]
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// The owner of its locks.
    #[must_use]
    pub const fn owner(&self) -> OwnerId {
        self.owner
    }

    /// Its label.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.label.as_deref()
    }

    /// Whether it was to be independent and has touched what is staged around it, so that it commits with it.
    #[must_use]
    pub fn joined(&self) -> bool {
        self.joined.load(Ordering::Acquire)
    }

    /// Why its calls are refused while its work still runs, if they are.
    #[must_use]
    pub fn doomed_by(&self) -> Option<ErrorKind> {
        self.inner().doomed.as_ref().map(Error::kind)
    }

    /// Lets others know where its call was made.
    pub fn note_stack(&self, stack: &str) {
        let _ = self.stack.set(stack.into());
    }

    /// Where its call was made, if that was noted.
    #[must_use]
    pub fn stack(&self) -> Option<&str> {
        self.stack.get().map(|stack| &**stack)
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check_running(&self, inner: &Inner) -> Result<()> {
        if let Some(error) = &inner.doomed {
            return Err(error.clone());
        }
        if inner.state == State::Running { self.account.check() } else { Err(self.ended()) }
    }

    /// Refuses a transaction that has ended or is doomed, or that will leave its writes to one of which that is so.
    fn check_line(&self) -> Result<()> {
        // Who has doomed it has cleared this before letting go of its locks, so whatever came to be because of that is seen after it.
        if !self.inside && self.is_open.load(Ordering::Acquire) {
            return self.account.check();
        }
        self.check_running(&self.inner())?;
        let mut level = self.heir();
        while let Some(transaction) = level {
            transaction.check_running(&transaction.inner())?;
            level = transaction.heir();
        }
        Ok(())
    }

    /// Frees its locks, drops its writes and refuses everything from now on with `error`. Gives whether that is so: not where its
    /// commit has begun to write, nor where it was doomed before. It still has to be ended.
    pub fn doom(&self, error: Error) -> bool {
        let is_doomed = self.mark_doomed(error);
        if is_doomed {
            self.store.locks.doom(self.owner, Reason(0));
        }
        is_doomed
    }

    /// Dooms several of one store, as if in one moment: none of them gets what another one lets go of.
    pub(in crate::store) fn doom_all(store: &Store, transactions: &[Arc<Self>], error: &Error) {
        let doomed = transactions.iter().filter(|transaction| transaction.mark_doomed(error.clone()));
        let owners: Vec<OwnerId> = doomed.map(|transaction| transaction.owner).collect();
        store.locks.doom_all(owners, Reason(0));
    }

    fn mark_doomed(&self, error: Error) -> bool {
        let mut inner = self.inner();
        if !matches!(inner.state, State::Running | State::Preparing) || inner.doomed.is_some() {
            return false;
        }
        self.account.activity().doomed(error.kind());
        inner.doomed = Some(error);
        self.is_open.store(false, Ordering::Release);
        inner.staged = Staged::default();
        true
    }

    /// A call of it that has failed dooms it, whatever its work does with the error: libsignal turns every error of a read into
    /// "no session", and a commit after that would replace a healthy one. A wrong argument is no such error.
    fn failed(&self, error: Error) -> Error {
        if !matches!(error.kind(), ErrorKind::TransactionEnded | ErrorKind::InvalidArgument) {
            self.doom(error.clone());
        }
        error
    }

    /// Takes one lock, or waits for it.
    fn take(
        self: &Arc<Self>,
        name: LockName,
        mode: Mode,
        limits: Limits,
        granted: impl FnOnce() -> Completion,
    ) -> Result<Granted> {
        self.outcome(self.store.locks.acquire_sorted(self.owner, [(name, mode)], limits, || self.when_granted(granted())))
    }

    /// Takes several, in their order.
    fn take_sorted(
        self: &Arc<Self>,
        names: Vec<(LockName, Mode)>,
        limits: Limits,
        granted: impl FnOnce() -> Completion,
    ) -> Result<Granted> {
        self.outcome(self.store.locks.acquire_sorted(self.owner, names, limits, || self.when_granted(granted())))
    }

    /// Takes several, all together or none.
    fn take_together(
        self: &Arc<Self>,
        names: Vec<LockName>,
        limits: Limits,
        granted: impl FnOnce() -> Completion,
    ) -> Result<Granted> {
        self.outcome(self.store.locks.acquire_together(self.owner, names, limits, || self.when_granted(granted())))
    }

    fn outcome(&self, acquired: Acquired<LockName>) -> Result<Granted> {
        match acquired {
            Acquired::Now => Ok(Granted::Now),
            Acquired::Later(_) => Ok(Granted::Later),
            Acquired::Refused(refusal) => Err(self.failed(self.refusal(refusal))),
        }
    }

    fn when_granted(self: &Arc<Self>, granted: Completion) -> crate::lock::Callback<LockName> {
        let (this, began) = (Arc::clone(self), Instant::now());
        Box::new(move |outcome: std::result::Result<(), Refusal<LockName>>| {
            this.account.activity().waited(began.elapsed());
            flat::run(move || granted(outcome.map_err(|refusal| this.failed(this.refusal(refusal)))));
        })
    }
}
