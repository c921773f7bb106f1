//! Exclusive locks that transactions hold to their end. Knows neither storage nor Node.js.
//!
//! Owners form trees, as nested transactions do. An owner may take a lock that only its ancestors hold; siblings exclude each
//! other. An owner that ends well hands its locks to its parent, so a lock is free for others only when the outermost owner
//! has ended. Waiters are served in order of arrival, and nobody waits in a circle: the wait that would close one is refused.
//!
//! Locks exist only while they are held or waited for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Identifies an owner within its lock manager.
pub type OwnerId = u64;

/// Called once when a wait ends with the lock granted. Not called where the wait is given up.
pub type Grant = Box<dyn FnOnce() + Send>;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acquired {
    /// The lock is held.
    Now,
    /// The owner waits; its grant will be called.
    Later,
    /// Waiting would never end. Nothing has changed.
    Deadlock,
}

/// What happens to the locks of an owner that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// They go to its parent; without one they are free.
    Inherit,
    /// They are free, but for those that an ancestor holds too.
    Release,
}

struct Waiter {
    owner: OwnerId,
    grant: Grant,
}

struct Lock {
    /// From the outermost owner inwards: each is an ancestor of the next.
    holders: Vec<OwnerId>,
    queue: VecDeque<Waiter>,
}

struct Owner<K> {
    parent: Option<OwnerId>,
    children: Vec<OwnerId>,
    held: Vec<K>,
    waits_for: Option<K>,
}

struct State<K> {
    next_owner: OwnerId,
    owners: HashMap<OwnerId, Owner<K>>,
    locks: HashMap<K, Lock>,
}

/// Exclusive locks by key.
pub struct LockManager<K> {
    state: Mutex<State<K>>,
}

impl<K> Debug for LockManager<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LockManager").finish_non_exhaustive()
    }
}

impl<K: Hash + Eq + Clone> Default for LockManager<K> {
    fn default() -> Self {
        Self { state: Mutex::new(State { next_owner: 1, owners: HashMap::new(), locks: HashMap::new() }) }
    }
}

impl<K: Hash + Eq + Clone> LockManager<K> {
    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new owner, inside another one or on its own. It lives until [`Self::end`].
    pub fn begin(&self, parent: Option<OwnerId>) -> OwnerId {
        let mut state = self.state();
        let id = state.next_owner;
        state.next_owner += 1;
        if let Some(above) = parent.and_then(|parent| state.owners.get_mut(&parent)) {
            above.children.push(id);
        }
        state.owners.insert(id, Owner { parent, children: Vec::new(), held: Vec::new(), waits_for: None });
        id
    }

    /// Takes a lock, or queues for it. `grant` is made only where the owner has to wait.
    pub fn acquire(&self, owner: OwnerId, key: &K, grant: impl FnOnce() -> Grant) -> Acquired {
        let mut state = self.state();
        let State { locks, owners, .. } = &mut *state;
        let lock = locks.entry(key.clone()).or_insert_with(|| Lock { holders: Vec::new(), queue: VecDeque::new() });
        if lock.holders.contains(&owner) {
            return Acquired::Now;
        }
        // Descendants of the holder go before all who wait: those wait for the holder, and it waits for its descendants.
        let open = lock.holders.iter().all(|holder| is_within(owners, owner, *holder));
        if open && (lock.queue.is_empty() || !lock.holders.is_empty()) {
            lock.holders.push(owner);
            if let Some(owner) = owners.get_mut(&owner) {
                owner.held.push(key.clone());
            }
            return Acquired::Now;
        }
        if state.would_close_circle(owner, key) {
            return Acquired::Deadlock;
        }
        if let Some(lock) = state.locks.get_mut(key) {
            lock.queue.push_back(Waiter { owner, grant: grant() });
        }
        if let Some(owner) = state.owners.get_mut(&owner) {
            owner.waits_for = Some(key.clone());
        }
        Acquired::Later
    }

    /// Ends an owner: gives up its wait and passes on or frees what it holds. Ending an owner twice does nothing.
    pub fn end(&self, owner: OwnerId, ending: Ending) {
        let mut granted = Vec::new();
        {
            let mut state = self.state();
            let Some(ended) = state.owners.remove(&owner) else { return };
            let heir = ended.parent.filter(|parent| ending == Ending::Inherit && state.owners.contains_key(parent));
            if let Some(above) = ended.parent.and_then(|parent| state.owners.get_mut(&parent)) {
                above.children.retain(|child| *child != owner);
            }
            if let Some(key) = ended.waits_for {
                if let Some(lock) = state.locks.get_mut(&key) {
                    lock.queue.retain(|waiter| waiter.owner != owner);
                }
                state.serve(&key, &mut granted);
            }
            for key in ended.held {
                state.leave(&key, owner, heir);
                state.serve(&key, &mut granted);
            }
        }
        // Outside the lock: a grant may call back.
        granted.into_iter().for_each(|grant| grant());
    }

    /// How many locks and owners exist.
    pub fn len(&self) -> (usize, usize) {
        let state = self.state();
        (state.locks.len(), state.owners.len())
    }

    /// Whether nothing is held or waited for.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }
}

/// Whether `owner` is `ancestor` or a descendant of it.
fn is_within<K>(owners: &HashMap<OwnerId, Owner<K>>, owner: OwnerId, ancestor: OwnerId) -> bool {
    let mut at = Some(owner);
    while let Some(id) = at {
        if id == ancestor {
            return true;
        }
        at = owners.get(&id).and_then(|owner| owner.parent);
    }
    false
}

impl<K: Hash + Eq + Clone> State<K> {
    fn leave(&mut self, key: &K, owner: OwnerId, heir: Option<OwnerId>) {
        let Some(lock) = self.locks.get_mut(key) else { return };
        match heir {
            Some(heir) if !lock.holders.contains(&heir) => {
                lock.holders.iter_mut().filter(|holder| **holder == owner).for_each(|holder| *holder = heir);
                if let Some(heir) = self.owners.get_mut(&heir) {
                    heir.held.push(key.clone());
                }
            }
            _ => lock.holders.retain(|holder| *holder != owner),
        }
    }

    /// Grants a lock to whoever may have it now, in order of arrival, and forgets a lock that nobody wants.
    fn serve(&mut self, key: &K, granted: &mut Vec<Grant>) {
        let Some(lock) = self.locks.get_mut(key) else { return };
        let owners = &mut self.owners;
        while let Some(next) =
            lock.queue.iter().position(|waiter| lock.holders.iter().all(|holder| is_within(owners, waiter.owner, *holder)))
        {
            let Some(waiter) = lock.queue.remove(next) else { break };
            lock.holders.push(waiter.owner);
            if let Some(owner) = owners.get_mut(&waiter.owner) {
                owner.held.push(key.clone());
                owner.waits_for = None;
            }
            granted.push(waiter.grant);
        }
        if lock.holders.is_empty() && lock.queue.is_empty() {
            self.locks.remove(key);
        }
    }

    /// The outermost owner around `owner` that is not around `other` as well.
    fn outermost_apart(&self, owner: OwnerId, other: OwnerId) -> OwnerId {
        let mut at = owner;
        while let Some(parent) = self.owners.get(&at).and_then(|owner| owner.parent) {
            if is_within(&self.owners, other, parent) {
                break;
            }
            at = parent;
        }
        at
    }

    /// Whether `owner`, waiting for `key`, would in the end wait for itself or for an owner around it.
    ///
    /// A wait for a lock is a wait for the end of the whole tree that holds it, as far as the waiter is not part of it. Such a
    /// tree waits for every lock that any owner in it waits for.
    fn would_close_circle(&self, owner: OwnerId, key: &K) -> bool {
        let mut seen = HashSet::new();
        let mut trees = self.trees_in_the_way(owner, key);
        while let Some(tree) = trees.pop() {
            if is_within(&self.owners, owner, tree) {
                return true;
            }
            if !seen.insert(tree) {
                continue;
            }
            let mut members = vec![tree];
            while let Some(member) = members.pop() {
                let Some(found) = self.owners.get(&member) else { continue };
                members.extend(&found.children);
                if let Some(wanted) = &found.waits_for {
                    trees.extend(self.trees_in_the_way(member, wanted));
                }
            }
        }
        false
    }

    fn trees_in_the_way(&self, owner: OwnerId, key: &K) -> Vec<OwnerId> {
        let holders = self.locks.get(key).map(|lock| lock.holders.as_slice()).unwrap_or_default();
        holders
            .iter()
            .filter(|holder| !is_within(&self.owners, owner, **holder))
            .map(|holder| self.outermost_apart(*holder, owner))
            .collect()
    }
}

#[cfg(test)]
mod tests;
