//! The rules of the lock manager once more, as plainly as they can be said: flat lists, no indexes, everything computed anew.
//!
//! Quadratic and worse. What the manager does is compared with this; what both do is checked by a search that knows neither graph
//! nor queue: it ends owners one by one. It must find an order in which all can end after every step ([`Reference::completes`]),
//! and none in which the owner of a refused wait can, each time one is refused. That is asked at that moment, and not of the
//! state before the call: within one call, waits that were let past others go on to their next keys, and what they then hold and
//! want is part of the deadlock.

mod graph;
mod keys;
mod search;

use baileys_cask::lock::Mode;

pub use self::keys::{Key, overlap};

#[derive(Debug, Clone, Default)]
pub struct RefOwner {
    pub parent: Option<usize>,
    pub ended: bool,
    /// 0 is "an owner around it has ended".
    pub doomed: Option<u32>,
    pub plain: bool,
    pub last_resort: bool,
    pub independent: bool,
    pub domain: u32,
}

/// A request's limits. Time is a number here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefLimits {
    pub deadline: Option<u64>,
    pub token: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RefHold {
    pub owner: usize,
    pub key: Key,
    pub mode: Mode,
}

#[derive(Debug, Clone)]
pub struct RefWait {
    pub id: usize,
    pub owner: usize,
    pub mode: Mode,
    pub at: Vec<Key>,
    pub rest: Vec<(Key, Mode)>,
    pub arrival: usize,
    pub passes: Vec<usize>,
    pub limits: RefLimits,
}

/// How a request or a wait ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Granted,
    Deadlock {
        victim: usize,
        keys: Vec<Key>,
    },
    Cancelled,
    /// The key is in [`Reference::expired`]: any that was not free will do.
    Expired,
    Doomed(u32),
    Ended,
}

#[derive(Debug, Clone, Copy)]
enum Cause {
    Inside,
    Held { wait: usize, key: Key, holder: usize },
    Behind { wait: usize, before: usize },
}

#[derive(Debug, Clone, Default)]
pub struct Reference {
    pub owners: Vec<RefOwner>,
    pub holds: Vec<RefHold>,
    pub waits: Vec<RefWait>,
    pub told: Vec<(usize, End)>,
    /// Waits whose deadline has passed, with the keys that were not free for them then.
    pub expired: Vec<(usize, Vec<Key>)>,
    arrivals: usize,
    next_wait: usize,
}

impl Reference {
    pub fn begin(&mut self, mut parent: Option<usize>, domain: u32, last_resort: bool, independent: bool) -> usize {
        if independent {
            parent = parent.and_then(|parent| self.around(parent).into_iter().find(|at| self.owners[*at].doomed.is_none()));
        }
        let around = parent.map(|parent| self.owners[parent].clone());
        let doomed = around.as_ref().and_then(|around| if around.ended { Some(0) } else { around.doomed });
        let doomed = doomed.filter(|_| !independent);
        let parent = parent.filter(|_| !around.is_some_and(|around| around.ended));
        self.owners.push(RefOwner { parent, doomed, domain, last_resort, independent, ..RefOwner::default() });
        self.owners.len() - 1
    }

    pub fn join(&mut self, owner: usize) {
        self.owners[owner].independent = false;
    }

    /// What is independent inside an owner goes on outside it, and before those that it went before.
    fn move_independent(&mut self, from: usize) {
        let goes_on = |at: usize| at != from && self.owners[at].independent && self.owners[at].doomed.is_none();
        let outermost = |at: &usize| {
            goes_on(*at)
                && self.around(*at).into_iter().take_while(|at| *at != from).all(|around| around == *at || !goes_on(around))
        };
        let moved: Vec<usize> = self.members(from).into_iter().filter(outermost).collect();
        let mut turns = Vec::new();
        for wait in self.waits.iter().filter(|wait| moved.iter().any(|inner| self.within(wait.owner, *inner))) {
            for other in self.waits.iter().filter(|other| other.arrival < wait.arrival) {
                if wait.at.iter().any(|key| other.at.iter().any(|theirs| self.goes_before(wait, *key, other, *theirs))) {
                    turns.push((wait.id, other.id));
                }
            }
        }
        turns.into_iter().for_each(|(wait, before)| self.turn_round(wait, before));
        let to = self.owners[from].parent;
        moved.into_iter().for_each(|inner| self.owners[inner].parent = to);
    }

    fn hold(&mut self, owner: usize, key: Key, mode: Mode) {
        match self.holds.iter_mut().find(|hold| hold.owner == owner && hold.key == key) {
            Some(hold) => hold.mode = hold.mode.max(mode),
            None => self.holds.push(RefHold { owner, key, mode }),
        }
    }

    /// Opens circles; gives the end of the new wait where that is a deadlock's victim.
    fn refuse(&mut self, wait: usize, end: End) {
        self.waits.retain(|other| other.id != wait);
        self.told.push((wait, end));
    }

    /// Takes keys until one is not free; queues there. Gives the wait's end where it has one.
    fn advance(&mut self, wait: usize) {
        loop {
            let found = self.wait_mut(wait);
            let owner = found.owner;
            found.at.clear();
            if found.rest.is_empty() {
                return self.refuse(wait, End::Granted);
            }
            let (key, mode) = found.rest.remove(0);
            // Whoever runs inside it may have taken what it holds.
            let has = |hold: &RefHold| hold.owner == owner && hold.key == key && hold.mode >= mode;
            if self.holds.iter().any(has) && self.holders_in_the_way(owner, key, mode).is_empty() {
                continue;
            }
            self.arrivals += 1;
            let arrival = self.arrivals;
            let found = self.wait_mut(wait);
            (found.at, found.mode, found.arrival, found.passes) = (vec![key], mode, arrival, Vec::new());
            if self.is_blocked(&self.waits.iter().find(|other| other.id == wait).unwrap().clone()) {
                if let Some(end) = self.put_in_order(owner, wait) {
                    self.refuse(wait, end);
                }
                return;
            }
            self.wait_mut(wait).at.clear();
            self.hold(owner, key, mode);
        }
    }

    fn settle(&mut self) {
        loop {
            let mut order: Vec<&RefWait> = self.waits.iter().collect();
            order.sort_by_key(|wait| wait.arrival);
            let Some(wait) = order.into_iter().find(|wait| !wait.at.is_empty() && !self.is_blocked(wait)).cloned() else {
                return;
            };
            self.wait_mut(wait.id).at.clear();
            wait.at.iter().for_each(|key| self.hold(wait.owner, *key, wait.mode));
            if self.waits.iter().any(|other| other.id == wait.id) {
                self.advance(wait.id);
            }
        }
    }

    fn ready(&self, owner: usize) -> Result<(), End> {
        let state = &self.owners[owner];
        match state.doomed {
            _ if state.ended || state.plain => Err(End::Ended),
            Some(0) => Err(End::Ended),
            Some(reason) => Err(End::Doomed(reason)),
            None => Ok(()),
        }
    }

    /// Asks for keys all together. Gives the wait's number, or how the request ended at once.
    pub fn acquire_together(&mut self, owner: usize, keys: &[Key], limits: RefLimits) -> Result<usize, End> {
        self.ready(owner)?;
        let wait = self.new_wait(owner, Vec::new(), limits);
        self.stand_in_line(wait, keys);
        let standing = self.waits.iter().find(|other| other.id == wait).cloned();
        if standing.is_some_and(|wait| self.is_blocked(&wait))
            && let Some(end) = self.put_in_order(owner, wait)
        {
            self.refuse(wait, end);
        }
        self.settle();
        self.outcome(wait)
    }

    /// Puts a wait at the end of the lines of keys that it wants all together.
    fn stand_in_line(&mut self, wait: usize, keys: &[Key]) {
        self.arrivals += 1;
        let arrival = self.arrivals;
        let found = self.wait_mut(wait);
        (found.at, found.arrival) = (keys.to_vec(), arrival);
        if keys.is_empty() {
            self.refuse(wait, End::Granted);
        }
    }

    /// Asks for keys in this order. Gives the wait's number, or how the request ended at once.
    pub fn acquire(&mut self, owner: usize, keys: &[(Key, Mode)], limits: RefLimits) -> Result<usize, End> {
        self.ready(owner)?;
        let wait = self.new_wait(owner, keys.to_vec(), limits);
        self.advance(wait);
        self.settle();
        self.outcome(wait)
    }

    fn new_wait(&mut self, owner: usize, rest: Vec<(Key, Mode)>, limits: RefLimits) -> usize {
        self.next_wait += 1;
        let id = self.next_wait;
        self.waits.push(RefWait {
            id,
            owner,
            mode: Mode::Exclusive,
            at: Vec::new(),
            rest,
            arrival: 0,
            passes: Vec::new(),
            limits,
        });
        id
    }

    fn outcome(&mut self, wait: usize) -> Result<usize, End> {
        match self.told.iter().position(|(other, _)| *other == wait) {
            Some(at) => Err(self.told.remove(at).1),
            None => Ok(wait),
        }
    }

    pub fn acquire_all(&mut self, domain: u32, keys: &[Key], limits: RefLimits) -> (usize, Result<usize, End>) {
        let owner = self.begin(None, domain, false, false);
        self.owners[owner].plain = true;
        let wait = self.new_wait(owner, Vec::new(), limits);
        self.stand_in_line(wait, keys);
        self.settle();
        (owner, self.outcome(wait))
    }

    fn members(&self, owner: usize) -> Vec<usize> {
        (0..self.owners.len()).filter(|at| !self.owners[*at].ended && self.within(*at, owner)).collect()
    }

    fn strip(&mut self, owner: usize, end: &End) {
        let waits: Vec<usize> = self.waits.iter().filter(|wait| wait.owner == owner).map(|wait| wait.id).collect();
        waits.into_iter().for_each(|wait| self.refuse(wait, end.clone()));
        self.holds.retain(|hold| hold.owner != owner);
    }

    fn doom_inner(&mut self, owner: usize, reason: u32) {
        self.move_independent(owner);
        let end = if reason == 0 { End::Ended } else { End::Doomed(reason) };
        for at in self.members(owner) {
            if self.owners[at].doomed.is_none() {
                self.owners[at].doomed = Some(reason);
                self.strip(at, &end);
            }
        }
    }

    pub fn doom(&mut self, owner: usize, reason: u32) {
        if !self.owners[owner].ended {
            self.doom_inner(owner, reason);
            self.settle();
        }
    }

    pub fn end(&mut self, owner: usize, inherit: bool) {
        if self.owners[owner].ended {
            return;
        }
        self.move_independent(owner);
        for at in 0..self.owners.len() {
            if self.owners[at].parent == Some(owner) && !self.owners[at].ended {
                self.doom_inner(at, 0);
                self.owners[at].parent = None;
            }
        }
        if let (true, Some(parent)) = (inherit, self.owners[owner].parent) {
            let (mine, others) = self.holds.iter().partition::<Vec<RefHold>, _>(|hold| hold.owner == owner);
            self.holds = others;
            mine.into_iter().for_each(|hold| self.hold(parent, hold.key, hold.mode));
        }
        self.strip(owner, &End::Ended);
        self.owners[owner].ended = true;
        self.settle();
    }

    /// All of them are doomed first, then all end.
    pub fn end_all(&mut self, owners: &[usize]) {
        owners
            .iter()
            .filter(|at| !self.owners[**at].ended)
            .copied()
            .collect::<Vec<_>>()
            .into_iter()
            .for_each(|at| self.doom_inner(at, 0));
        owners.iter().for_each(|at| self.end(*at, false));
        self.settle();
    }

    pub fn cancel(&mut self, wait: usize) -> bool {
        let there = self.waits.iter().any(|other| other.id == wait);
        if there {
            self.refuse(wait, End::Cancelled);
            self.settle();
        }
        there
    }

    fn living(&self, domain: u32) -> impl Fn(usize) -> bool + '_ {
        move |at| !self.owners[at].ended && self.owners[at].domain == domain
    }

    pub fn cancel_domain(&mut self, domain: u32) {
        let waits: Vec<usize> = self.waits.iter().filter(|wait| self.living(domain)(wait.owner)).map(|wait| wait.id).collect();
        waits.into_iter().for_each(|wait| self.refuse(wait, End::Cancelled));
        self.settle();
    }

    pub fn end_domain(&mut self, domain: u32) {
        let gone: Vec<usize> = (0..self.owners.len()).filter(|at| self.living(domain)(*at)).collect();
        self.end_all(&gone);
    }

    /// Refuses what is late. Gives the earliest deadline of the others.
    pub fn expire(&mut self, now: u64) -> Option<u64> {
        let (late, others): (Vec<_>, Vec<_>) =
            self.waits.iter().partition(|wait| wait.limits.deadline.is_some_and(|at| at <= now));
        let earliest = others.into_iter().filter_map(|wait| wait.limits.deadline).min();
        let late: Vec<(usize, Vec<Key>)> = late.into_iter().map(|wait| (wait.id, self.not_free(wait))).collect();
        for (wait, keys) in late {
            self.refuse(wait, End::Expired);
            self.expired.push((wait, keys));
        }
        self.settle();
        earliest
    }

    /// Whether nothing that overlaps these keys is held or waited for.
    pub fn is_free(&self, keys: &[Key]) -> bool {
        let mut taken = self.holds.iter().map(|hold| hold.key).chain(self.waits.iter().flat_map(|wait| wait.at.iter().copied()));
        !taken.any(|taken| keys.iter().any(|key| overlap(*key, taken)))
    }
}
