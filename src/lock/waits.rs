//! Waits: how they queue, are granted and end.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::collections::VecDeque;
use std::time::Instant;

use super::key::LockKey;
use super::owners::{Doom, join_id, place_of};
use super::table::{Hold, Table};
use super::types::{Callback, Limits, Mode, Refusal, WaitId};

/// The time, read where it is first asked for, and once.
pub(super) type Clock = LazyCell<Instant>;

/// What a wait is for.
#[derive(Debug)]
pub(super) enum Goal<K> {
    /// The lock it queues for, and then these, one after the other.
    Each(VecDeque<(K, Mode)>),
    /// All locks it queues for at once, and none before.
    All,
}

/// One request that was not granted at once.
pub(super) struct Wait<K> {
    pub(super) id: WaitId,
    pub(super) owner: u32,
    pub(super) mode: Mode,
    pub(super) goal: Goal<K>,
    /// Locks in whose queues it stands.
    pub(super) at: Vec<u32>,
    /// Place in `at` of the lock that was last seen not to be free; looked at first.
    pub(super) witness: usize,
    /// Number of its arrival in the queue, or queues, in which it stands.
    pub(super) arrival: u64,
    /// Arrivals of waits that came before and that it goes before all the same; see `deadlock`.
    pub(super) passes: Vec<u64>,
    pub(super) since: Instant,
    pub(super) deadline: Option<Instant>,
    /// The caller's number for it.
    pub(super) token: u32,
    /// Absent while the request that may become this wait is still being decided.
    pub(super) callback: Option<Callback<K>>,
    /// How it ended, where that was before it got its callback.
    pub(super) done: Option<Result<(), Refusal<K>>>,
}

impl<K: LockKey> Table<K> {
    /// Place of a wait that has not ended.
    pub(super) fn wait_at(&self, id: WaitId) -> Option<u32> {
        let at = place_of(id.0);
        self.waits.get(at).filter(|wait| wait.id == id).map(|_| at)
    }

    /// A wait that stands in no queue yet.
    pub(super) fn new_wait(&mut self, owner: u32, mode: Mode, goal: Goal<K>, since: Instant, limits: Limits) -> u32 {
        let Limits { deadline, token } = limits;
        self.serial += 1;
        let serial = self.serial;
        let wait = self.waits.insert(Wait {
            id: WaitId(0),
            owner,
            mode,
            goal,
            at: Vec::new(),
            witness: 0,
            arrival: 0,
            passes: Vec::new(),
            since,
            deadline,
            token,
            callback: None,
            done: None,
        });
        if let Some(found) = self.waits.get_mut(wait) {
            found.id = WaitId(join_id(wait, serial));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, wait));
        }
        if let Some(owner) = self.owners.get_mut(owner) {
            owner.waits.push(wait);
        }
        wait
    }

    /// Puts a wait at the end of the queues of these locks.
    pub(super) fn enqueue(&mut self, wait: u32, entries: Vec<u32>) {
        self.arrivals += 1;
        for at in &entries {
            if let Some(entry) = self.entries.get_mut(*at) {
                entry.queue.push_back(wait);
            }
        }
        if let Some(wait) = self.waits.get_mut(wait) {
            wait.arrival = self.arrivals;
            wait.at = entries;
            wait.witness = 0;
        }
    }

    /// Takes a wait out of its queues. The caller decides what becomes of the locks.
    fn dequeue(&mut self, wait: u32) -> Vec<u32> {
        let Some(found) = self.waits.get_mut(wait) else { return Vec::new() };
        self.turned -= found.passes.len();
        found.passes = Vec::new();
        let entries = std::mem::take(&mut found.at);
        for at in &entries {
            if let Some(entry) = self.entries.get_mut(*at)
                && let Some(place) = entry.queue.iter().position(|other| *other == wait)
            {
                entry.queue.remove(place);
            }
        }
        entries
    }

    /// Forgets a wait and tells how it ended.
    fn finish(&mut self, wait: u32, outcome: Result<(), Refusal<K>>) {
        let Some(found) = self.waits.get_mut(wait) else { return };
        if found.callback.is_none() {
            // Its request has not returned: that one tells, and forgets it.
            found.done = Some(outcome);
        } else if let Some(callback) = self.forget(wait) {
            self.outbox.push((callback, outcome));
        }
    }

    /// Forgets a wait that stands in no queue.
    pub(super) fn forget(&mut self, wait: u32) -> Option<Callback<K>> {
        let found = self.waits.remove(wait)?;
        if let Some(deadline) = found.deadline {
            self.deadlines.remove(&(deadline, wait));
        }
        if let Some(owner) = self.owners.get_mut(found.owner)
            && let Some(place) = owner.waits.iter().position(|other| *other == wait)
        {
            owner.waits.swap_remove(place);
        }
        found.callback
    }

    /// Ends a wait that was not granted.
    pub(super) fn refuse(&mut self, wait: u32, refusal: Refusal<K>) {
        for at in self.dequeue(wait) {
            self.touch(at);
            self.drop_if_idle(at);
        }
        self.finish(wait, Err(refusal));
    }

    /// Gives an owner a lock, or a stronger hold on it.
    pub(super) fn hold(&mut self, at: u32, owner: u32, mode: Mode, since: Instant) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        if let Some(hold) = entry.holders.iter_mut().find(|hold| hold.owner == owner) {
            hold.mode = hold.mode.max(mode);
        } else {
            entry.holders.push(Hold { owner, mode, since });
            if let Some(owner) = self.owners.get_mut(owner) {
                owner.held.push(at);
            }
        }
    }

    /// Takes a lock from an owner, and gives it to the heir.
    pub(super) fn release(&mut self, at: u32, owner: u32, heir: Option<u32>) {
        let Some(hold) = self.entries.get_mut(at).and_then(|entry| entry.holders.take(|hold| hold.owner == owner)) else {
            return;
        };
        if let Some(heir) = heir {
            self.hold(at, heir, hold.mode, hold.since);
        }
        self.touch(at);
        self.drop_if_idle(at);
    }

    /// Notes the waits that a change at a lock may have made grantable.
    pub(super) fn touch(&mut self, at: u32) {
        for other in self.overlapping(at).as_slice() {
            let Some(entry) = self.entries.get(*other).filter(|entry| !entry.queue.is_empty()) else { continue };
            // Behind the first that needs the lock for itself only those are grantable that may go before it: members of a
            // holder's tree, relatives of the one that waits, and those that were turned round.
            let all = self.turned > 0
                || self.has_enclosing()
                || entry.holders.iter().any(|hold| {
                    self.owners.get(hold.owner).is_some_and(|owner| !owner.children.is_empty() || !owner.waits.is_empty())
                });
            for wait in &entry.queue {
                let Some(found) = self.waits.get(*wait) else { continue };
                self.candidates.insert((found.arrival, *wait));
                if !all
                    && found.mode == Mode::Exclusive
                    && self.owners.get(found.owner).is_some_and(super::owners::Owner::is_simple)
                {
                    break;
                }
            }
        }
    }

    /// Grants what can be granted, first come first served, until nothing changes.
    pub(super) fn settle(&mut self) {
        loop {
            if let Some(wait) = self.advancing.pop_front() {
                if let Some(refusal) = self.advance(wait) {
                    self.refuse(wait, refusal);
                }
            } else if let Some((arrival, wait)) = self.candidates.pop_first() {
                if self.waits.get(wait).is_some_and(|wait| wait.arrival == arrival && !wait.at.is_empty()) && self.may_have(wait)
                {
                    self.grant(wait);
                }
            } else {
                return;
            }
        }
    }

    /// Whether nothing is in the way of a wait.
    fn may_have(&mut self, wait: u32) -> bool {
        let Some(found) = self.waits.get(wait) else { return false };
        // The lock that was not free last time is most often not free now.
        let first = found.at.get(found.witness).copied();
        if first.is_some_and(|entry| self.is_blocked(wait, entry)) {
            return false;
        }
        let blocked = found.at.iter().position(|entry| Some(*entry) != first && self.is_blocked(wait, *entry));
        if let (Some(place), Some(found)) = (blocked, self.waits.get_mut(wait)) {
            found.witness = place;
        }
        blocked.is_none()
    }

    fn grant(&mut self, wait: u32) {
        let Some(found) = self.waits.get(wait) else { return };
        let (owner, mode) = (found.owner, found.mode);
        let goes_on = matches!(&found.goal, Goal::Each(rest) if !rest.is_empty());
        let now = Instant::now();
        let entries = self.dequeue(wait);
        entries.iter().for_each(|at| self.hold(*at, owner, mode, now));
        if goes_on {
            self.advancing.push_back(wait);
        } else {
            self.finish(wait, Ok(()));
        }
        // Last: beside a holder that waits no more, a long line need not be looked through.
        entries.into_iter().for_each(|at| self.touch(at));
    }

    /// Takes the next keys of a wait for many, until one is not free.
    pub(super) fn advance(&mut self, wait: u32) -> Option<Refusal<K>> {
        let now: Clock = LazyCell::new(Instant::now);
        loop {
            let found = self.waits.get_mut(wait)?;
            let Goal::Each(rest) = &mut found.goal else { return None };
            let owner = found.owner;
            let Some((key, mode)) = rest.pop_front() else {
                self.finish(wait, Ok(()));
                return None;
            };
            found.mode = mode;
            if let Some(at) = self.take(owner, Cow::Owned(key), mode, &now) {
                self.enqueue(wait, vec![at]);
                return self.put_in_order(owner, wait);
            }
        }
    }

    /// Takes a lock that is free for an owner; gives the lock to queue for where it is not. The clock is read where it is taken.
    pub(super) fn take(&mut self, owner: u32, key: Cow<'_, K>, mode: Mode, now: &Clock) -> Option<u32> {
        let at = self.find_or_create(key);
        let is_known = self.entries.get(at).is_some_and(|entry| !entry.holders.is_empty() || !entry.queue.is_empty());
        if is_known || self.has_enclosing() {
            let held = self.entries.get(at).and_then(|entry| entry.holders.iter().find(|hold| hold.owner == owner));
            // What runs inside it may have taken what it holds.
            if held.is_some_and(|hold| hold.mode >= mode) && !self.is_held_inside(owner, mode, at) {
                return None;
            }
            if self.would_block(owner, mode, at) {
                return Some(at);
            }
        }
        self.hold(at, owner, mode, **now);
        if is_known || self.has_enclosing() {
            // Those inside its owner go before strangers now.
            self.touch(at);
        }
        None
    }

    /// Takes locks for an owner where all of them are free for it; gives a wait that stands in line for all of them where they are not.
    pub(super) fn take_together(&mut self, owner: u32, keys: Vec<K>, limits: Limits) -> Option<u32> {
        let now = Instant::now();
        let entries: Vec<u32> = keys.into_iter().map(|key| self.find_or_create(Cow::Owned(key))).collect();
        let Some(witness) = entries.iter().position(|entry| self.would_block(owner, Mode::Exclusive, *entry)) else {
            entries.iter().for_each(|entry| self.hold(*entry, owner, Mode::Exclusive, now));
            // Those inside its owner go before strangers now.
            entries.into_iter().for_each(|entry| self.touch(entry));
            return None;
        };
        let wait = self.new_wait(owner, Mode::Exclusive, Goal::All, now, limits);
        self.enqueue(wait, entries);
        if let Some(found) = self.waits.get_mut(wait) {
            found.witness = witness;
        }
        Some(wait)
    }

    /// Why an owner may take nothing, if so.
    pub(super) fn doom_of(&self, owner: u32) -> Option<Doom> {
        self.owners.get(owner).map_or(Some(Doom::Ended), |owner| if owner.plain { Some(Doom::Ended) } else { owner.doomed })
    }
}
