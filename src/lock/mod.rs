//! Locks that transactions hold to their end. Knows neither storage nor Node.js, has no threads and no timers.
//!
//! # Owners
//! Owners form trees, as nested transactions do (Moss's rules). An owner may take what only owners around it hold in a conflicting
//! mode; siblings exclude each other. An owner that ends well hands its locks to its parent, so a lock is free for others only when
//! the outermost owner has ended. A plain set ([`LockManager::acquire_all`]) is an owner without a tree that takes all its locks
//! together and holds none while it waits; so nobody ever waits for what it holds in a circle.
//!
//! # Order
//! First come, first served: a request waits behind every conflicting one that came before it, a shared one behind an exclusive
//! one too. Exceptions, each because the one that is passed waits for the one that passes anyway:
//! - a holder, and what runs inside a holder, goes before strangers;
//! - an owner does not wait behind those who, directly or not, wait for it or for an owner that it waits for.
//!
//! # Deadlocks
//! Found when a wait begins, exactly: see the `deadlock` module for the graph, the proof, and the choice of the victim.
//!
//! # Locks that enclose others
//! A [`LockKey`] says what encloses it, such as record < family < account. Requests for two keys of which one encloses the other
//! meet as if they were for one key. There are no intent locks and no counters: while no lock of an enclosing key exists, a
//! record's lock never asks for its family, and costs what a lock without a family costs. The first request for an enclosing key
//! looks once through all locks for those below it; from then on, as long as its lock exists, locks that come and go below it are
//! entered in its list. Enclosing locks are rare (`list` and `clear` inside a transaction), so the cost lies with them. It is exact
//! because the list is: what a family's lock meets are the very holders and waits of its records, with their owners, modes and
//! places in line; a counter would have to be asked whose the counted ones are before a member of the same tree could pass.
//!
//! # Existence
//! Locks exist only while they are held or waited for, and memory goes back when they have become few.
//!
//! # Concurrency
//! Every method takes the one mutex once and does all its work inside. Callbacks are called after that, exactly once per wait.

mod deadlock;
mod few;
mod key;
mod owners;
mod rules;
mod section;
mod slots;
mod snapshot;
mod table;
mod types;
mod waits;

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::VecDeque;
use std::fmt::Debug;
use std::marker::PhantomData;
use std::sync::Mutex;
use std::time::{Duration, Instant};

pub use self::key::LockKey;
use self::owners::Doom;
pub use self::section::Section;
pub use self::snapshot::{HolderView, LockView, WaiterView};
pub use self::table::Table;
pub use self::types::{Acquired, Begin, Callback, Deadlock, Ending, Limits, Mode, OwnerId, Reason, Refusal, WaitId};
use self::waits::{Clock, Goal};

/// Locks by key.
///
/// # Example
/// ```
/// use baileys_cask::lock::{Acquired, Begin, Ending, Limits, LockKey, LockManager, Mode};
///
/// #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
/// struct Label(&'static str);
/// impl LockKey for Label {}
///
/// let locks: LockManager<Label> = LockManager::default();
/// let (one, two) = (locks.begin(Begin::default()), locks.begin(Begin::default()));
/// let never = || -> baileys_cask::lock::Callback<Label> { unreachable!() };
/// assert_eq!(locks.acquire(one, &Label("a"), Mode::Exclusive, Limits::default(), never), Acquired::Now);
/// let (tell, told) = std::sync::mpsc::channel();
/// let waits = locks.acquire(two, &Label("a"), Mode::Exclusive, Limits::default(), || Box::new(move |end| drop(tell.send(end))));
/// assert!(matches!(waits, Acquired::Later(_)));
/// locks.end(one, Ending::Release);
/// assert_eq!(told.recv(), Ok(Ok(())));
/// ```
pub struct LockManager<K, S = Mutex<Table<K>>> {
    table: S,
    keys: PhantomData<fn() -> K>,
}

impl<K, S> Debug for LockManager<K, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockManager").finish_non_exhaustive()
    }
}

impl<K: LockKey, S: Section<Table<K>>> Default for LockManager<K, S> {
    fn default() -> Self {
        Self { table: S::from(Table::new()), keys: PhantomData }
    }
}

impl<K: LockKey, S: Section<Table<K>>> LockManager<K, S> {
    /// Works on the table, grants what can be granted, and tells those whose wait has ended.
    fn change<R>(&self, work: impl FnOnce(&mut Table<K>) -> R) -> R {
        let (done, outbox) = self.table.enter(|table| {
            let done = work(table);
            table.settle();
            (done, std::mem::take(&mut table.outbox))
        });
        // Outside the mutex: a callback may call the manager.
        outbox.into_iter().for_each(|(callback, outcome)| callback(outcome));
        done
    }

    /// A new owner, inside another one or on its own. It lives until [`Self::end`] or [`Self::end_domain`].
    ///
    /// Inside an owner that has ended or is doomed, every request of it is refused.
    pub fn begin(&self, begin: Begin) -> OwnerId {
        self.table.enter(|table| {
            let at = table.begin(begin);
            table.owners.get(at).map_or(OwnerId(0), |owner| owner.id)
        })
    }

    /// Takes a lock, or queues for it. What the owner holds already, in this mode or a stronger one, it is given again, but behind
    /// what runs inside it and has taken the lock since.
    ///
    /// `callback` is made only where the owner has to wait, inside the mutex: it must not call the manager.
    pub fn acquire(
        &self,
        owner: OwnerId,
        key: &K,
        mode: Mode,
        limits: Limits,
        callback: impl FnOnce() -> Callback<K>,
    ) -> Acquired<K> {
        self.change(|table| table.acquire(owner, Cow::Borrowed(key), mode, limits, callback))
    }

    /// Takes many locks one after the other in the order of their keys, waiting at each that is not free: one call, one outcome.
    ///
    /// Where it is refused, the owner keeps what it has taken until it ends. A key that is given twice is taken once, in the
    /// stronger mode. A list of one key costs what [`Self::acquire`] costs, without a copy of the key. `callback` is as there.
    pub fn acquire_sorted(
        &self,
        owner: OwnerId,
        keys: impl IntoIterator<Item = (K, Mode)>,
        limits: Limits,
        callback: impl FnOnce() -> Callback<K>,
    ) -> Acquired<K> {
        let mut keys = keys.into_iter();
        if keys.size_hint() == (1, Some(1))
            && let Some((key, mode)) = keys.next()
        {
            // One key needs no list.
            return self.change(|table| table.acquire(owner, Cow::Owned(key), mode, limits, callback));
        }
        let mut keys: Vec<(K, Mode)> = keys.collect();
        // The stronger mode of a key comes first, and the second one is dropped.
        keys.sort_unstable_by(|one, other| one.0.cmp(&other.0).then(other.1.cmp(&one.1)));
        keys.dedup_by(|second, first| second.0 == first.0);
        self.change(|table| {
            let at = match table.ready(owner) {
                Ok(at) => at,
                Err(doom) => return Acquired::Refused(doom.refusal()),
            };
            let now: Clock = LazyCell::new(Instant::now);
            let mut rest = VecDeque::from(keys);
            while let Some((key, mode)) = rest.pop_front() {
                if let Some(entry) = table.take(at, Cow::Owned(key), mode, &now) {
                    return table.wait_for_each(at, (entry, mode), rest, limits, callback);
                }
            }
            Acquired::Now
        })
    }

    /// Takes many locks for itself alone, all together or none: the locks of a plain set.
    ///
    /// The owner is made here, and takes no other locks: so it holds nothing while it waits, closes no circle and is no deadlock's
    /// victim. It lives until [`Self::end`], also where it was refused. `callback` is as in [`Self::acquire`].
    pub fn acquire_all(
        &self,
        domain: u32,
        mut keys: Vec<K>,
        limits: Limits,
        callback: impl FnOnce(OwnerId) -> Callback<K>,
    ) -> (OwnerId, Acquired<K>) {
        keys.sort_unstable();
        keys.dedup();
        self.change(|table| {
            let owner = table.begin(Begin { domain, ..Begin::default() });
            let id = table.owners.get_mut(owner).map_or(OwnerId(0), |owner| {
                owner.plain = true;
                owner.token = limits.token;
                owner.id
            });
            // Nobody waits for an owner that holds nothing and whose wait is the last in line: there is nothing to put in order.
            let acquired = match table.take_together(owner, keys, limits) {
                None => Acquired::Now,
                Some(wait) => table.begin_wait(wait, || callback(id)),
            };
            (id, acquired)
        })
    }

    /// Takes many locks for an owner, all together or none: while it waits it holds none of them that it did not hold before.
    ///
    /// `callback` is as in [`Self::acquire`].
    pub fn acquire_together(
        &self,
        owner: OwnerId,
        mut keys: Vec<K>,
        limits: Limits,
        callback: impl FnOnce() -> Callback<K>,
    ) -> Acquired<K> {
        keys.sort_unstable();
        keys.dedup();
        self.change(|table| {
            let at = match table.ready(owner) {
                Ok(at) => at,
                Err(doom) => return Acquired::Refused(doom.refusal()),
            };
            let Some(wait) = table.take_together(at, keys, limits) else { return Acquired::Now };
            if let Some(refusal) = table.put_in_order(at, wait) {
                table.refuse(wait, refusal);
            }
            table.begin_wait(wait, callback)
        })
    }

    /// Whether nothing that overlaps these keys is held or waited for.
    pub fn is_free(&self, keys: impl IntoIterator<Item = K>) -> bool {
        self.if_free(keys, || ()).is_some()
    }

    /// How many locks are held or waited for, and how many waits there are.
    pub fn counts(&self) -> (usize, usize) {
        self.table.enter(|table| (table.entries.len(), table.waits.len()))
    }

    /// Does some work that no lock stands against, without creating locks: check and work are one step.
    ///
    /// Gives `None`, and has not done the work, where anything that overlaps these keys is held or waited for. Where no lock exists
    /// at all, the keys are not looked at.
    ///
    /// # Concurrency
    /// The work runs inside the mutex: it must be short, must not wait and must not call the manager.
    pub fn if_free<R>(&self, keys: impl IntoIterator<Item = K>, work: impl FnOnce() -> R) -> Option<R> {
        self.table.enter(|table| (table.entries.len() == 0 || keys.into_iter().all(|key| table.is_free(&key))).then(work))
    }

    /// Ends an owner: refuses its waits, passes on or frees what it holds, and dooms what still runs inside it. Ending an owner
    /// twice does nothing.
    pub fn end(&self, owner: OwnerId, ending: Ending) {
        self.change(|table| {
            if let Some(at) = table.owner_at(owner) {
                table.end(at, ending == Ending::Inherit);
            }
        });
    }

    /// Takes an owner and all inside it out of play: their locks are free but for those that an owner around it holds too, their
    /// waits and all their later requests are refused. They still have to be ended. A second reason does not replace the first.
    pub fn doom(&self, owner: OwnerId, reason: Reason) {
        self.change(|table| {
            if let Some(at) = table.owner_at(owner) {
                table.doom(at, Doom::Given(reason));
            }
        });
    }

    /// The same for several at once: what one of them lets go of goes to none of the others.
    pub fn doom_all(&self, owners: impl IntoIterator<Item = OwnerId>, reason: Reason) {
        self.change(|table| {
            for owner in owners {
                if let Some(at) = table.owner_at(owner) {
                    table.doom(at, Doom::Given(reason));
                }
            }
        });
    }

    /// Gives up a wait: its callback is called with [`Refusal::Cancelled`]. Gives whether it still waited.
    pub fn cancel(&self, wait: WaitId) -> bool {
        self.change(|table| match table.wait_at(wait) {
            Some(at) => {
                table.refuse(at, Refusal::Cancelled);
                true
            }
            None => false,
        })
    }

    /// Makes an independent owner an ordinary part of the one around it.
    pub fn join(&self, owner: OwnerId) {
        self.table.enter(|table| {
            if let Some(at) = table.owner_at(owner)
                && let Some(found) = table.owners.get_mut(at)
            {
                found.independent = false;
            }
        });
    }

    /// Gives up all waits of a thread that goes away: their callbacks are called with [`Refusal::Cancelled`].
    pub fn cancel_domain(&self, domain: u32) {
        self.change(|table| {
            let is_of = |owner: u32| table.owners.get(owner).is_some_and(|owner| owner.domain == domain);
            let waits: Vec<u32> = table.waits.iter().filter(|(_, wait)| is_of(wait.owner)).map(|(at, _)| at).collect();
            waits.into_iter().for_each(|at| table.refuse(at, Refusal::Cancelled));
        });
    }

    /// Ends all owners of a thread that is gone, and with them what runs inside them.
    pub fn end_domain(&self, domain: u32) {
        self.change(|table| {
            let ended: Vec<u32> = table.owners.iter().filter(|(_, owner)| owner.domain == domain).map(|(at, _)| at).collect();
            // All are doomed first: while one ends, nothing is granted to another that is about to.
            ended.iter().for_each(|at| table.doom(*at, Doom::Ended));
            ended.iter().for_each(|at| table.end(*at, false));
        });
    }

    /// Refuses the waits whose deadline is not after `now`. Gives the earliest deadline of the others.
    pub fn expire(&self, now: Instant) -> Option<Instant> {
        self.change(|table| {
            loop {
                let (deadline, wait) = table.deadlines.first().copied()?;
                if deadline > now {
                    return Some(deadline);
                }
                table.deadlines.pop_first();
                let Some(found) = table.waits.get(wait) else { continue };
                let waited = now.saturating_duration_since(found.since);
                let at = found.at.get(found.witness).or(found.at.first());
                let refusal = match at.and_then(|at| table.entries.get(*at)) {
                    Some(entry) => Refusal::Expired { key: entry.key.clone(), waited },
                    None => Refusal::Cancelled,
                };
                table.refuse(wait, refusal);
            }
        })
    }

    /// Every lock with its holders and waiters, in the order of the keys.
    ///
    /// Copied inside the mutex, sorted outside.
    pub fn snapshot(&self) -> Vec<LockView<K>> {
        let mut views = self.table.enter(|table| table.snapshot());
        views.sort_unstable_by(|one, other| one.key.cmp(&other.key));
        views.iter_mut().for_each(|view| view.holders.sort_by_key(|holder| std::cmp::Reverse(holder.age)));
        views
    }

    /// How long an owner has held its first lock; `None` while it holds none.
    pub fn held_for(&self, owner: OwnerId) -> Option<Duration> {
        let now = Instant::now();
        self.table.enter(|table| {
            let at = table.owner_at(owner)?;
            let first = *table.owners.get(at)?.held.iter().next()?;
            let hold = table.entries.get(first)?.holders.iter().find(|hold| hold.owner == at)?;
            Some(now.saturating_duration_since(hold.since))
        })
    }

    /// How many locks and owners exist.
    pub fn len(&self) -> (usize, usize) {
        self.table.enter(|table| (table.entries.len(), table.owners.len()))
    }

    /// Whether nothing is held or waited for, and no owner lives.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// Places for locks, owners and waits that memory is kept for, used or not.
    pub fn capacity(&self) -> usize {
        self.table.enter(|table| table.capacity())
    }
}

impl<K: LockKey> Table<K> {
    fn ready(&self, owner: OwnerId) -> Result<u32, Doom> {
        let at = self.owner_at(owner).ok_or(Doom::Ended)?;
        self.doom_of(at).map_or(Ok(at), Err)
    }

    fn acquire(
        &mut self,
        owner: OwnerId,
        key: Cow<'_, K>,
        mode: Mode,
        limits: Limits,
        callback: impl FnOnce() -> Callback<K>,
    ) -> Acquired<K> {
        let at = match self.ready(owner) {
            Ok(at) => at,
            Err(doom) => return Acquired::Refused(doom.refusal()),
        };
        match self.take(at, key, mode, &LazyCell::new(Instant::now)) {
            None => Acquired::Now,
            Some(entry) => self.wait_for_each(at, (entry, mode), VecDeque::new(), limits, callback),
        }
    }

    /// Queues for a lock that was not free, and then for the rest.
    fn wait_for_each(
        &mut self,
        owner: u32,
        (entry, mode): (u32, Mode),
        rest: VecDeque<(K, Mode)>,
        limits: Limits,
        callback: impl FnOnce() -> Callback<K>,
    ) -> Acquired<K> {
        let wait = self.new_wait(owner, mode, Goal::Each(rest), Instant::now(), limits);
        self.enqueue(wait, vec![entry]);
        if let Some(refusal) = self.put_in_order(owner, wait) {
            self.refuse(wait, refusal);
        }
        self.begin_wait(wait, callback)
    }

    /// Gives a wait its callback, unless it has ended by now: room made for it on the way may have been enough.
    fn begin_wait(&mut self, wait: u32, callback: impl FnOnce() -> Callback<K>) -> Acquired<K> {
        self.settle();
        let Some(found) = self.waits.get_mut(wait) else { return Acquired::Refused(Refusal::Ended) };
        if let Some(outcome) = found.done.take() {
            self.forget(wait);
            return outcome.map_or_else(Acquired::Refused, |()| Acquired::Now);
        }
        found.callback = Some(callback());
        Acquired::Later(found.id)
    }
}

#[cfg(test)]
mod tests;
