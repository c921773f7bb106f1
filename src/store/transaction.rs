//! Transactions: writes staged under a label's lock, committed as one batch.
//!
//! A transaction inside another one stages apart. When it ends well its writes go to its parent, when it fails they vanish;
//! only the outermost commit reaches the backend.
//!
//! States: running -> committing -> committed, or running -> rolled back. Nothing leaves the last two.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Account, LabelKey, Store};
use crate::backend::{Applied, Batch, Completion, ValueSink};
use crate::error::{Error, ErrorKind, Result};
use crate::lock::{Acquired, Begin, Ending, Limits, Mode, OwnerId, Refusal};
use crate::record::{CREDS_KEY, Op, OpReader, check_batch, check_key};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Running,
    Committing,
    Committed,
    RolledBack,
}

/// Writes that are not committed. `None` is a delete.
#[derive(Debug, Default)]
struct Staged {
    /// Every record not in `writes` is gone.
    cleared: bool,
    writes: HashMap<Box<[u8]>, Option<Box<[u8]>>>,
}

impl Staged {
    fn clear(&mut self) {
        self.cleared = true;
        self.writes.retain(|key, _| **key == *CREDS_KEY);
    }

    fn absorb(&mut self, child: Self) {
        if child.cleared {
            self.clear();
        }
        self.writes.extend(child.writes);
    }

    fn pack(&self) -> Vec<u8> {
        let mut ops = Vec::new();
        if self.cleared {
            Op::Clear.pack(&mut ops);
        }
        for (key, value) in &self.writes {
            match value {
                Some(value) => Op::Put { key, value }.pack(&mut ops),
                None => Op::Delete { key }.pack(&mut ops),
            }
        }
        ops
    }
}

#[derive(Debug)]
struct Inner {
    state: State,
    staged: Staged,
}

/// One transaction on one account.
#[derive(Debug)]
pub struct Transaction {
    store: Arc<Store>,
    account: Arc<Account>,
    parent: Option<Arc<Self>>,
    owner: OwnerId,
    label: Option<Box<str>>,
    inner: Mutex<Inner>,
}

/// A transaction that has its label's lock, or waits for it.
#[derive(Debug)]
pub struct Begun {
    /// The transaction.
    pub transaction: Arc<Transaction>,
    /// Whether `granted` will be called when it may go on.
    pub waits: bool,
}

/// Words for a label's lock that was not granted.
#[derive(Clone)]
struct Refused {
    label: Box<str>,
    /// Label of the transaction around it.
    outer: Option<Box<str>>,
}

impl Refused {
    fn error<K>(&self, refusal: &Refusal<K>) -> Error {
        let label = &self.label;
        match refusal {
            Refusal::Deadlock(_) => Error::new(
                ErrorKind::Deadlock,
                format!(
                    "waiting for label {label} would never end: its holder waits for this transaction; retry the transaction"
                ),
            )
            .with_text("label", &**label),
            // Nothing else ends a wait for a label.
            _ => ended(self.outer.as_deref().or(Some(label))),
        }
    }
}

/// The refusal of what belongs to a transaction that has ended.
fn ended(label: Option<&str>) -> Error {
    let named = label.map_or_else(String::new, |label| format!(" {label}"));
    Error::new(
        ErrorKind::TransactionEnded,
        format!("transaction{named} has ended; await everything that belongs to it inside its work"),
    )
    .with_text("label", label.unwrap_or_default())
}

/// What a look through the staged writes finds.
enum Seen {
    Staged(Box<[u8]>),
    Gone,
    NotTouched,
}

impl Transaction {
    /// Begins a transaction under a label's lock. `granted` is made only where it has to wait; it is called when the wait ends,
    /// with an error where it ends without the lock.
    ///
    /// # Errors
    /// `Dropped`, `TransactionEnded` for a parent that has ended, `Deadlock`.
    pub fn begin(
        store: &Arc<Store>,
        account: &Arc<Account>,
        parent: Option<&Arc<Self>>,
        label: Option<&str>,
        granted: impl FnOnce() -> Completion,
    ) -> Result<Begun> {
        account.check()?;
        if let Some(parent) = parent {
            parent.check_running(&parent.inner())?;
        }
        let owner = store.labels.begin(Begin { parent: parent.map(|parent| parent.owner), ..Begin::default() });
        let waits = match label {
            None => false,
            Some(label) => {
                let key = LabelKey { account: Arc::clone(account.name()), label: label.into() };
                let refused = Refused { label: label.into(), outer: parent.and_then(|parent| parent.label.clone()) };
                let acquired = store.labels.acquire(owner, &key, Mode::Exclusive, Limits::default(), || {
                    let (granted, refused) = (granted(), refused.clone());
                    Box::new(move |outcome| granted(outcome.map_err(|refusal| refused.error(&refusal))))
                });
                match acquired {
                    Acquired::Now => false,
                    Acquired::Later(_) => true,
                    Acquired::Refused(refusal) => {
                        store.labels.end(owner, Ending::Release);
                        return Err(refused.error(&refusal));
                    }
                }
            }
        };
        let inner = Mutex::new(Inner { state: State::Running, staged: Staged::default() });
        let transaction = Arc::new(Self {
            store: Arc::clone(store),
            account: Arc::clone(account),
            parent: parent.cloned(),
            owner,
            label: label.map(Into::into),
            inner,
        });
        Ok(Begun { transaction, waits })
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

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ended(&self) -> Error {
        ended(self.label.as_deref())
    }

    fn check_running(&self, inner: &Inner) -> Result<()> {
        if inner.state == State::Running { self.account.check() } else { Err(self.ended()) }
    }

    /// Refuses a transaction of which any level has ended.
    fn check_line(&self) -> Result<()> {
        let mut level = Some(self);
        while let Some(transaction) = level {
            transaction.check_running(&transaction.inner())?;
            level = transaction.parent.as_deref();
        }
        Ok(())
    }

    fn look_up(&self, key: &[u8]) -> Seen {
        let mut level = Some(self);
        while let Some(transaction) = level {
            let inner = transaction.inner();
            match inner.staged.writes.get(key) {
                Some(Some(value)) => return Seen::Staged(value.clone()),
                Some(None) => return Seen::Gone,
                None if inner.staged.cleared && key != CREDS_KEY => return Seen::Gone,
                None => level = transaction.parent.as_deref(),
            }
        }
        Seen::NotTouched
    }

    /// Reads values as this transaction sees them: its own writes, those around it, else what is committed.
    ///
    /// # Errors
    /// `TransactionEnded`, `InvalidArgument` for a bad id, and those of [`Store::get`].
    pub fn get(&self, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<()> {
        let backend = &self.store.backend;
        self.read(keys, sink, |keys, sink| backend.get(self.account.name(), keys, sink).map(|()| true)).map(|_| ())
    }

    /// Like [`Self::get`], but gives `false` where it would have to wait for a disk; what `sink` has received does not count.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub fn get_at_once(&self, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<bool> {
        let backend = &self.store.backend;
        self.read(keys, sink, |keys, sink| backend.get_at_once(self.account.name(), keys, sink))
    }

    fn read(
        &self,
        keys: &[&[u8]],
        sink: ValueSink<'_>,
        committed: impl FnOnce(&[&[u8]], ValueSink<'_>) -> Result<bool>,
    ) -> Result<bool> {
        self.check_line()?;
        keys.iter().try_for_each(|key| check_key(key))?;
        let seen: Vec<Seen> = keys.iter().map(|key| self.look_up(key)).collect();
        let not_touched: Vec<&[u8]> =
            keys.iter().zip(&seen).filter(|(_, seen)| matches!(seen, Seen::NotTouched)).map(|(key, _)| *key).collect();
        if not_touched.len() == keys.len() {
            return committed(keys, sink);
        }
        let mut values = Vec::with_capacity(not_touched.len());
        if !committed(&not_touched, &mut |value| values.push(value.map(<[u8]>::to_vec)))? {
            return Ok(false);
        }
        let mut values = values.into_iter();
        for seen in seen {
            match seen {
                Seen::Staged(value) => sink(Some(&value)),
                Seen::Gone => sink(None),
                Seen::NotTouched => sink(values.next().flatten().as_deref()),
            }
        }
        Ok(true)
    }

    /// Stages a batch.
    ///
    /// # Errors
    /// `TransactionEnded`, `InvalidArgument`; then nothing of it is staged.
    pub fn set(&self, ops: &[u8]) -> Result<()> {
        self.check_line()?;
        check_batch(ops)?;
        let mut inner = self.inner();
        self.check_running(&inner)?;
        for op in OpReader::new(ops).flatten() {
            match op {
                Op::Put { key, value } => {
                    inner.staged.writes.insert(key.into(), Some(value.into()));
                }
                Op::Delete { key } => {
                    inner.staged.writes.insert(key.into(), None);
                }
                Op::Clear => inner.staged.clear(),
                Op::Drop => return Err(Error::internal("a drop inside a transaction")),
            }
        }
        Ok(())
    }

    /// Keys that start with `prefix`, as this transaction sees them.
    ///
    /// # Errors
    /// `TransactionEnded`, and those of [`Store::keys`].
    pub fn keys(&self, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.check_line()?;
        let mut seen: HashMap<Box<[u8]>, bool> = HashMap::new();
        let mut cleared = false;
        let mut level = Some(self);
        while let Some(transaction) = level {
            let inner = transaction.inner();
            // A clear hides all that was there before it but the creds.
            let is_seen = |key: &[u8]| key.starts_with(prefix) && (!cleared || key == CREDS_KEY);
            for (key, value) in inner.staged.writes.iter().filter(|(key, _)| is_seen(key)) {
                seen.entry(key.clone()).or_insert(value.is_some());
            }
            cleared |= inner.staged.cleared;
            level = transaction.parent.as_deref();
        }
        seen.iter().filter(|(_, there)| **there).for_each(|(key, _)| sink(key));
        if cleared && !CREDS_KEY.starts_with(prefix) {
            return Ok(());
        }
        self.store.keys(&self.account, if cleared { CREDS_KEY } else { prefix }, &mut |key| {
            if !seen.contains_key(key) {
                sink(key);
            }
        })
    }

    /// Commits: into the parent, or as one batch. Locks are let go of when that has ended, well or not.
    pub fn commit(self: &Arc<Self>, completion: &mut dyn FnMut() -> Completion) -> Applied {
        match self.begin_commit() {
            Err(error) => {
                self.rollback();
                Applied::Now(Err(error))
            }
            Ok(staged) if self.parent.is_some() => {
                let outcome = self.pass_on(staged);
                self.end(&outcome);
                Applied::Now(outcome)
            }
            Ok(staged) => self.write(&staged, completion),
        }
    }

    fn begin_commit(&self) -> Result<Staged> {
        self.check_line()?;
        let mut inner = self.inner();
        self.check_running(&inner)?;
        inner.state = State::Committing;
        Ok(std::mem::take(&mut inner.staged))
    }

    fn pass_on(&self, staged: Staged) -> Result<()> {
        let Some(parent) = &self.parent else { return Ok(()) };
        let mut inner = parent.inner();
        parent.check_running(&inner)?;
        inner.staged.absorb(staged);
        Ok(())
    }

    fn write(self: &Arc<Self>, staged: &Staged, completion: &mut dyn FnMut() -> Completion) -> Applied {
        let ops = staged.pack();
        if ops.is_empty() {
            self.end(&Ok(()));
            return Applied::Now(Ok(()));
        }
        let entered = match self.account.enter() {
            Ok(entered) => entered,
            Err(error) => {
                let outcome = Err(error);
                self.end(&outcome);
                return Applied::Now(outcome);
            }
        };
        let batch = Batch { account: self.account.name(), ops: &ops, fence: 0 };
        let applied = self.store.backend.apply(batch, &mut || {
            let (inner, this) = (completion(), Arc::clone(self));
            Box::new(move |outcome| {
                this.end(&outcome);
                inner(outcome);
            })
        });
        drop(entered);
        if let Applied::Now(outcome) = &applied {
            self.end(outcome);
        }
        applied
    }

    fn end(&self, outcome: &Result<()>) {
        self.inner().state = if outcome.is_ok() { State::Committed } else { State::RolledBack };
        self.store.labels.end(self.owner, if outcome.is_ok() { Ending::Inherit } else { Ending::Release });
    }

    /// Undoes everything staged and lets go of the locks. Does nothing once commit has begun.
    pub fn rollback(&self) {
        let mut inner = self.inner();
        if inner.state == State::Running {
            inner.state = State::RolledBack;
            inner.staged = Staged::default();
            drop(inner);
            self.store.labels.end(self.owner, Ending::Release);
        }
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        self.rollback();
    }
}
