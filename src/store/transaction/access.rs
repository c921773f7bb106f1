//! Reads and writes inside a transaction.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::staged::{Seen, Staged};
use super::{Granted, Transaction};
use crate::backend::{Applied, Completion, ValueSink};
use crate::error::Result;
use crate::flat;
use crate::lock::{Acquired, Begin, Ending, Limits, Mode, OwnerId};
use crate::record::{CREDS_KEY, Op, OpReader, check_batch, check_key};
use crate::store::lock_name::LockName;
use crate::store::plain::{Accepted, apply_then_end, complete};

/// What a look through the staged writes finds.
enum Found {
    Value(Box<[u8]>),
    Gone,
    NotTouched,
}

impl Transaction {
    /// Takes the locks of records that are about to be read. `granted` is made only where it has to wait.
    ///
    /// # Errors
    /// `TransactionEnded`, `InvalidArgument` for a bad id, `Deadlock`, and what doomed the transaction. They doom it.
    pub fn lock_reads(self: &Arc<Self>, keys: &[&[u8]], limits: Limits, granted: impl FnOnce() -> Completion) -> Result<Granted> {
        let checked = self.check_line().and_then(|()| keys.iter().try_for_each(|key| check_key(key)));
        checked.map_err(|error| self.failed(error))?;
        let name = |key: &[u8]| LockName::record(self.account.id(), key);
        let locks = self.settings.read_locks;
        if let [key] = keys {
            return match locks.mode(key) {
                Some(Mode::Exclusive) => {
                    let taken = self.take(name(key), Mode::Exclusive, limits, granted)?;
                    if taken == Granted::Now {
                        self.inner().locked.set(key);
                    }
                    Ok(taken)
                }
                Some(mode) => self.take(name(key), mode, limits, granted),
                None => Ok(Granted::Now),
            };
        }
        let names: Vec<_> = keys.iter().filter_map(|key| Some((name(key), locks.mode(key)?))).collect();
        if names.is_empty() { Ok(Granted::Now) } else { self.take_sorted(names, limits, granted) }
    }

    /// Takes the lock of a family that is about to be listed.
    ///
    /// # Errors
    /// Those of [`Self::lock_reads`].
    pub fn lock_family(self: &Arc<Self>, prefix: &[u8], limits: Limits, granted: impl FnOnce() -> Completion) -> Result<Granted> {
        self.check_line().map_err(|error| self.failed(error))?;
        if self.settings.read_locks.mode(prefix).is_none() {
            return Ok(Granted::Now);
        }
        self.take(LockName::family(self.account.id(), prefix), Mode::Shared, limits, granted)
    }

    /// Makes this an ordinary part of what is around it where that has staged something it touches.
    fn join_where(&self, touched: impl Fn(&Staged) -> bool) {
        let (mut around, mut levels, mut joining) = (self.parent(), Vec::new(), 0);
        while let Some(ancestor) = around {
            around = ancestor.parent();
            if touched(&ancestor.inner().staged) {
                joining = levels.len() + 1;
            }
            levels.push(ancestor);
        }
        // The outermost that is touched stays as it is; this one and all between join it.
        let inner = levels.iter().map(|level| &**level);
        for level in std::iter::once(self).chain(inner).take(joining).filter(|level| level.settings.independent) {
            if !level.joined.swap(true, Ordering::AcqRel) {
                self.store.locks.join(level.owner);
            }
        }
    }

    /// Whether a level of it may have to join another one.
    fn may_join(&self) -> bool {
        if !self.inside {
            return false;
        }
        if self.settings.independent && !self.joined() {
            return self.parent().is_some();
        }
        let mut level = self.parent();
        while let Some(transaction) = level {
            let parent = transaction.parent();
            if transaction.settings.independent && !transaction.joined() {
                return parent.is_some();
            }
            level = parent;
        }
        false
    }

    fn look_up(&self, key: &[u8]) -> Found {
        let mut found = self.staged_here(key);
        let mut level = self.parent();
        while let (Found::NotTouched, Some(transaction)) = (&found, level) {
            found = transaction.staged_here(key);
            level = transaction.parent();
        }
        found
    }

    fn staged_here(&self, key: &[u8]) -> Found {
        match self.inner().staged.look_up(key) {
            Seen::Value(value) => Found::Value(value.into()),
            Seen::Gone => Found::Gone,
            Seen::NotTouched => Found::NotTouched,
        }
    }

    /// Reads values as this transaction sees them: its own writes, those around it, else what is committed. Takes no locks:
    /// [`Self::lock_reads`] comes before it.
    ///
    /// # Errors
    /// `TransactionEnded`, `InvalidArgument` for a bad id, what doomed the transaction, and those of [`crate::store::Store::get`].
    /// They doom it.
    pub fn get(&self, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<()> {
        let backend = &self.store.backend;
        let read = self.read(keys, sink, |keys, sink| backend.get(self.account.name(), keys, sink).map(|()| true));
        read.map(|_| ()).map_err(|error| self.failed(error))
    }

    /// Like [`Self::get`], but gives `false` where it would have to wait for a disk; what `sink` has received does not count.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub fn get_at_once(&self, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<bool> {
        let backend = &self.store.backend;
        let read = self.read(keys, sink, |keys, sink| backend.get_at_once(self.account.name(), keys, sink));
        read.map_err(|error| self.failed(error))
    }

    fn read(
        &self,
        keys: &[&[u8]],
        sink: ValueSink<'_>,
        committed: impl FnOnce(&[&[u8]], ValueSink<'_>) -> Result<bool>,
    ) -> Result<bool> {
        self.check_line()?;
        keys.iter().try_for_each(|key| check_key(key))?;
        if self.may_join() {
            self.join_where(|staged| keys.iter().any(|key| staged.look_up(key) != Seen::NotTouched));
            self.check_line()?;
        }
        let complete = self.read_through(keys, sink, committed)?;
        // Another thread may have doomed it meanwhile. Then its locks were free, and what was read may have come after.
        self.check_line()?;
        Ok(complete)
    }

    /// Reads without taking part: no locks, and what is staged around is seen without joining it.
    ///
    /// # Errors
    /// `InvalidArgument` for a bad id, `Dropped`, and those of [`crate::store::Store::get`].
    pub fn peek(&self, keys: &[&[u8]], sink: ValueSink<'_>, at_once: bool) -> Result<bool> {
        self.account.check()?;
        keys.iter().try_for_each(|key| check_key(key))?;
        let backend = &self.store.backend;
        self.read_through(keys, sink, |keys, sink| {
            if at_once {
                backend.get_at_once(self.account.name(), keys, sink)
            } else {
                backend.get(self.account.name(), keys, sink).map(|()| true)
            }
        })
    }

    fn read_through(
        &self,
        keys: &[&[u8]],
        sink: ValueSink<'_>,
        committed: impl FnOnce(&[&[u8]], ValueSink<'_>) -> Result<bool>,
    ) -> Result<bool> {
        if let [key] = keys {
            match self.look_up(key) {
                Found::Value(value) => sink(Some(&value)),
                Found::Gone => sink(None),
                Found::NotTouched => return committed(keys, sink),
            }
            return Ok(true);
        }
        let found: Vec<Found> = keys.iter().map(|key| self.look_up(key)).collect();
        let not_touched: Vec<&[u8]> =
            keys.iter().zip(&found).filter(|(_, found)| matches!(found, Found::NotTouched)).map(|(key, _)| *key).collect();
        if not_touched.len() == keys.len() {
            return committed(keys, sink);
        }
        let mut values = Vec::with_capacity(not_touched.len());
        if !committed(&not_touched, &mut |value| values.push(value.map(<[u8]>::to_vec)))? {
            return Ok(false);
        }
        let mut values = values.into_iter();
        for found in found {
            match found {
                Found::Value(value) => sink(Some(&value)),
                Found::Gone => sink(None),
                Found::NotTouched => sink(values.next().flatten().as_deref()),
            }
        }
        Ok(true)
    }

    /// Stages a batch under the locks of its records. `completion` is made only where it has to wait for them.
    ///
    /// Fails with `TransactionEnded`, `InvalidArgument`, `Deadlock`, or what doomed the transaction; then nothing of it is staged,
    /// and the transaction is doomed.
    pub fn set(self: &Arc<Self>, ops: &[u8], limits: Limits, completion: &mut dyn FnMut() -> Completion) -> Accepted {
        match self.lock_writes(ops, limits, completion) {
            Ok(Granted::Later) => Accepted::Waits,
            Ok(Granted::Now) => Accepted::Now(self.stage(ops)),
            Err(error) => Accepted::Now(Err(error)),
        }
    }

    fn lock_writes(self: &Arc<Self>, ops: &[u8], limits: Limits, completion: &mut dyn FnMut() -> Completion) -> Result<Granted> {
        self.check_line().and_then(|()| check_batch(ops)).map_err(|error| self.failed(error))?;
        if self.settings.locks_at_commit {
            return Ok(Granted::Now);
        }
        let account = self.account.id();
        let granted = || -> Completion {
            let (this, ops, done) = (Arc::clone(self), ops.to_vec(), completion());
            Box::new(move |outcome| done(outcome.and_then(|()| this.stage(&ops))))
        };
        let mut reader = OpReader::new(ops).flatten();
        match (reader.next(), reader.next()) {
            (None, _) => Ok(Granted::Now),
            (Some(op), None) if self.holds_already(op) => Ok(Granted::Now),
            (Some(op), None) => self.take(LockName::of(account, op), Mode::Exclusive, limits, granted),
            _ => {
                let names = OpReader::new(ops).flatten().map(|op| (LockName::of(account, op), Mode::Exclusive));
                self.take_sorted(names.collect(), limits, granted)
            }
        }
    }

    /// Whether the lock of a write is its own for sure: it has taken it to read, and nothing inside it can have taken it since. It
    /// goes only when this ends or is doomed, and then nothing is staged.
    fn holds_already(&self, op: Op<'_>) -> bool {
        let (Op::Put { key, .. } | Op::Delete { key }) = op else { return false };
        !self.has_inner.load(Ordering::Acquire) && self.inner().locked.is(key)
    }

    fn stage(&self, ops: &[u8]) -> Result<()> {
        self.stage_checked(ops).map_err(|error| self.failed(error))
    }

    fn stage_checked(&self, ops: &[u8]) -> Result<()> {
        self.check_line()?;
        if self.may_join() {
            self.join_where(|staged| {
                OpReader::new(ops).flatten().any(|op| match op {
                    Op::Put { key, .. } | Op::Delete { key } => staged.look_up(key) != Seen::NotTouched,
                    Op::Clear | Op::Drop => staged.touches(b""),
                })
            });
            self.check_line()?;
        }
        let mut inner = self.inner();
        self.check_running(&inner)?;
        inner.staged.add(ops)
    }

    /// Saves creds at once, without taking part; where `setCreds` was called here or around, in its place.
    ///
    /// # Errors
    /// As [`crate::store::Store::set`], as the outcome.
    pub fn save_creds(self: &Arc<Self>, ops: &[u8], limits: Limits, completion: &mut dyn FnMut() -> Completion) -> Accepted {
        if let Err(error) = check_batch(ops) {
            return Accepted::Now(Err(error));
        }
        let begin = Begin { parent: Some(self.owner), domain: self.domain, independent: true, ..Begin::default() };
        self.has_inner.store(true, Ordering::Release);
        let owner = self.store.locks.begin(begin);
        let name = LockName::record(self.account.id(), CREDS_KEY);
        let acquired = self.store.locks.acquire(owner, &name, Mode::Exclusive, limits, || {
            let (this, ops, done) = (Arc::clone(self), ops.to_vec(), completion());
            let began = Instant::now();
            Box::new(move |outcome| {
                this.account.activity().waited(began.elapsed());
                flat::run(move || match outcome {
                    Ok(()) => complete(|completion| this.put_creds(owner, &ops, completion), done),
                    Err(refusal) => {
                        this.store.locks.end(owner, Ending::Release);
                        done(Err(this.refusal(refusal)));
                    }
                });
            })
        });
        match acquired {
            Acquired::Now => self.put_creds(owner, ops, completion).into(),
            Acquired::Later(_) => Accepted::Waits,
            Acquired::Refused(refusal) => {
                self.store.locks.end(owner, Ending::Release);
                Accepted::Now(Err(self.refusal(refusal)))
            }
        }
    }

    fn put_creds(self: &Arc<Self>, owner: OwnerId, ops: &[u8], completion: &mut dyn FnMut() -> Completion) -> Applied {
        let mut level = Some(Arc::clone(self));
        while let Some(transaction) = level {
            let mut inner = transaction.inner();
            if inner.staged.look_up(CREDS_KEY) != Seen::NotTouched {
                let staged = transaction.check_running(&inner).and_then(|()| inner.staged.add(ops));
                drop(inner);
                self.store.locks.end(owner, Ending::Release);
                return Applied::Now(staged);
            }
            drop(inner);
            level = transaction.parent();
        }
        apply_then_end(&self.store, owner, &self.account, ops, completion)
    }

    /// Keys that start with `prefix`, as this transaction sees them. Takes no locks: [`Self::lock_family`] comes before it.
    ///
    /// # Errors
    /// `TransactionEnded`, what doomed the transaction, and those of [`crate::store::Store::keys`]. They doom it.
    pub fn keys(&self, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.keys_seen(prefix, sink).map_err(|error| self.failed(error))
    }

    fn keys_seen(&self, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.check_line()?;
        if self.may_join() {
            self.join_where(|staged| staged.touches(prefix));
            self.check_line()?;
        }
        let mut seen: HashMap<Box<[u8]>, bool> = HashMap::new();
        let mut cleared = false;
        let mut add = |level: &Self| {
            let inner = level.inner();
            // A clear hides all that was there before it but the creds.
            let is_seen = |key: &[u8]| key.starts_with(prefix) && (!cleared || key == CREDS_KEY);
            for (key, value) in inner.staged.writes().filter(|(key, _)| is_seen(key)) {
                seen.entry(key.into()).or_insert(value.is_some());
            }
            cleared |= inner.staged.is_cleared();
        };
        add(self);
        let mut level = self.parent();
        while let Some(transaction) = level {
            add(&transaction);
            level = transaction.parent();
        }
        seen.iter().filter(|(_, there)| **there).for_each(|(key, _)| sink(key));
        if cleared && !CREDS_KEY.starts_with(prefix) {
            return Ok(());
        }
        self.store.keys(&self.account, if cleared { CREDS_KEY } else { prefix }, &mut |key| {
            if !seen.contains_key(key) {
                sink(key);
            }
        })?;
        // As after every read.
        self.check_line()
    }
}
