//! The rules of the lock manager once more, as plainly as they can be said: flat lists, no indexes, everything computed anew.
//!
//! Quadratic and worse. What the manager does is compared with this; what both do is checked by a search that knows neither graph
//! nor queue: it ends owners one by one. It must find an order in which all can end after every step ([`Reference::completes`]),
//! and none in which the owner of a refused wait can, each time one is refused. That is asked at that moment, and not of the
//! state before the call: within one call, waits that were let past others go on to their next keys, and what they then hold and
//! want is part of the deadlock.

use std::collections::BTreeSet;

use baileys_cask::lock::{LockKey, Mode};

/// Keys of all kinds, few of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// Encloses nothing.
    Label(u8),
    /// Encloses families.
    Account(u8),
    /// Encloses records.
    Family(u8, u8),
    /// Account, family, id.
    Record(u8, u8, u8),
}

impl LockKey for Key {
    fn parent(&self) -> Option<Self> {
        match *self {
            Self::Label(_) | Self::Account(_) => None,
            Self::Family(account, _) => Some(Self::Account(account)),
            Self::Record(account, family, _) => Some(Self::Family(account, family)),
        }
    }

    fn encloses(&self) -> bool {
        matches!(self, Self::Account(_) | Self::Family(..))
    }
}

fn above(key: Key) -> Vec<Key> {
    std::iter::successors(Some(key), Key::parent).collect()
}

/// Whether one key is the other or encloses it.
pub fn overlap(one: Key, other: Key) -> bool {
    above(one).contains(&other) || above(other).contains(&one)
}

#[derive(Debug, Clone, Default)]
pub struct RefOwner {
    pub parent: Option<usize>,
    pub ended: bool,
    /// 0 is "an owner around it has ended".
    pub doomed: Option<u32>,
    pub plain: bool,
    pub last_resort: bool,
    pub independent: bool,
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
}

/// How a request or a wait ended.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    Granted,
    Deadlock { victim: usize, keys: Vec<Key> },
    Cancelled,
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
    arrivals: usize,
    next_wait: usize,
}

impl Reference {
    pub fn begin(&mut self, mut parent: Option<usize>, last_resort: bool, independent: bool) -> usize {
        if independent {
            parent = parent.and_then(|parent| self.around(parent).into_iter().find(|at| self.owners[*at].doomed.is_none()));
        }
        let around = parent.map(|parent| self.owners[parent].clone());
        let doomed = around.as_ref().and_then(|around| if around.ended { Some(0) } else { around.doomed });
        let doomed = doomed.filter(|_| !independent);
        let parent = parent.filter(|_| !around.is_some_and(|around| around.ended));
        self.owners.push(RefOwner { parent, doomed, last_resort, independent, ..RefOwner::default() });
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

    pub fn around(&self, owner: usize) -> Vec<usize> {
        std::iter::successors(Some(owner), |at| self.owners[*at].parent).collect()
    }

    pub fn within(&self, owner: usize, around: usize) -> bool {
        self.around(owner).contains(&around)
    }

    fn apart(&self, owner: usize, other: usize) -> usize {
        *self.around(owner).iter().rev().find(|at| !self.within(other, **at)).unwrap()
    }

    fn holders_in_the_way(&self, owner: usize, key: Key, mode: Mode) -> Vec<usize> {
        let blocks = |hold: &&RefHold| overlap(hold.key, key) && mode.conflicts(hold.mode) && !self.within(owner, hold.owner);
        self.holds.iter().filter(blocks).map(|hold| hold.owner).collect()
    }

    /// Whether a holder for which the other one waits is around the one.
    fn preferred(&self, one: usize, other: (usize, Key, Mode)) -> bool {
        self.holds.iter().any(|hold| {
            let waits = overlap(hold.key, other.1) && hold.mode.conflicts(other.2);
            waits && self.within(one, hold.owner) && !self.within(other.0, hold.owner)
        })
    }

    fn goes_before(&self, one: &RefWait, one_key: Key, other: &RefWait, other_key: Key) -> bool {
        if one.arrival == other.arrival
            || !overlap(one_key, other_key)
            || !one.mode.conflicts(other.mode)
            || self.within(other.owner, one.owner)
            || other.passes.contains(&one.arrival)
        {
            return false;
        }
        if one.passes.contains(&other.arrival) {
            return true;
        }
        let one_first = self.preferred(one.owner, (other.owner, other_key, other.mode));
        let other_first = self.preferred(other.owner, (one.owner, one_key, one.mode));
        !other_first && (one_first || one.arrival < other.arrival)
    }

    fn waits_in_the_way(&self, wait: &RefWait, key: Key) -> Vec<&RefWait> {
        self.waits.iter().filter(|other| other.at.iter().any(|at| self.goes_before(other, *at, wait, key))).collect()
    }

    fn is_blocked(&self, wait: &RefWait) -> bool {
        wait.at.iter().any(|key| {
            !self.holders_in_the_way(wait.owner, *key, wait.mode).is_empty() || !self.waits_in_the_way(wait, *key).is_empty()
        })
    }

    fn edges(&self) -> Vec<(usize, usize, Cause)> {
        let mut edges = Vec::new();
        for (at, owner) in self.owners.iter().enumerate() {
            if let (Some(parent), false) = (owner.parent, owner.ended) {
                edges.push((parent, at, Cause::Inside));
            }
        }
        for wait in &self.waits {
            for key in &wait.at {
                for holder in self.holders_in_the_way(wait.owner, *key, wait.mode) {
                    edges.push((wait.owner, self.apart(holder, wait.owner), Cause::Held { wait: wait.id, key: *key, holder }));
                }
                for other in self.waits_in_the_way(wait, *key) {
                    let cause = Cause::Behind { wait: wait.id, before: other.id };
                    edges.push((wait.owner, self.apart(other.owner, wait.owner), cause));
                }
            }
        }
        edges
    }

    fn closure(&self, edges: &[(usize, usize, Cause)], soft: bool) -> Vec<Vec<bool>> {
        let count = self.owners.len();
        let mut reach = vec![vec![false; count]; count];
        for (from, to, cause) in edges {
            if soft || !matches!(cause, Cause::Behind { .. }) {
                reach[*from][*to] = true;
            }
        }
        for middle in 0..count {
            for from in 0..count {
                for to in 0..count {
                    reach[from][to] |= reach[from][middle] && reach[middle][to];
                }
            }
        }
        reach
    }

    /// Whether anyone waits for itself, by edges of any kind.
    pub fn has_circle(&self) -> bool {
        let reach = self.closure(&self.edges(), true);
        (0..self.owners.len()).any(|at| reach[at][at])
    }

    /// Whether some order of grants lets every owner end well. Knows what is held and wanted, and Moss's rules; no graph.
    pub fn completes(&self) -> bool {
        self.can_end(None)
    }

    /// Whether some order of grants lets this owner end well, or all of them.
    fn can_end(&self, wanted: Option<usize>) -> bool {
        let left = (0..self.owners.len()).filter(|at| !self.owners[*at].ended).collect();
        self.clone().can_end_from(wanted, left, &mut BTreeSet::new())
    }

    fn can_end_from(mut self, wanted: Option<usize>, mut left: BTreeSet<usize>, failed: &mut BTreeSet<BTreeSet<usize>>) -> bool {
        loop {
            if wanted.map_or(left.is_empty(), |wanted| !left.contains(&wanted)) {
                return true;
            }
            let can_end = |at: &usize| {
                !left.iter().any(|other| self.owners[*other].parent == Some(*at))
                    && self
                        .waits
                        .iter()
                        .filter(|wait| wait.owner == *at)
                        .all(|wait| wait.at.iter().all(|key| self.holders_in_the_way(*at, *key, wait.mode).is_empty()))
            };
            let able: Vec<usize> = left.iter().copied().filter(can_end).collect();
            // An end that only frees locks, or passes on no new ones, takes nothing from anyone: no need to try it later as well.
            let harmless = |at: &usize| self.owners[*at].parent.is_none() || !self.waits.iter().any(|wait| wait.owner == *at);
            if let Some(at) = able.iter().copied().find(harmless) {
                left.remove(&at);
                self.end_well(at);
                continue;
            }
            if failed.contains(&left) {
                return false;
            }
            for at in able {
                let (mut then, mut fewer) = (self.clone(), left.clone());
                fewer.remove(&at);
                then.end_well(at);
                if then.can_end_from(wanted, fewer, failed) {
                    return true;
                }
            }
            failed.insert(left);
            return false;
        }
    }

    /// Grants all that an owner waits for, and ends it.
    fn end_well(&mut self, owner: usize) {
        let granted: Vec<RefHold> = (self.waits.iter().filter(|wait| wait.owner == owner))
            .flat_map(|wait| wait.at.iter().map(|key| RefHold { owner, key: *key, mode: wait.mode }))
            .collect();
        self.holds.extend(granted);
        self.waits.retain(|wait| wait.owner != owner);
        match self.owners[owner].parent {
            Some(parent) => self.holds.iter_mut().filter(|hold| hold.owner == owner).for_each(|hold| hold.owner = parent),
            None => self.holds.retain(|hold| hold.owner != owner),
        }
    }

    fn hold(&mut self, owner: usize, key: Key, mode: Mode) {
        match self.holds.iter_mut().find(|hold| hold.owner == owner && hold.key == key) {
            Some(hold) => hold.mode = hold.mode.max(mode),
            None => self.holds.push(RefHold { owner, key, mode }),
        }
    }

    /// Opens circles; gives the end of the new wait where that is a deadlock's victim.
    fn put_in_order(&mut self, owner: usize, new: usize) -> Option<End> {
        loop {
            let edges = self.edges();
            let hard = self.closure(&edges, false);
            if hard[owner][owner] {
                let inside = |at: usize| at == owner || (hard[owner][at] && hard[at][owner]);
                let (wait, end) = self.victim(&edges, inside, new);
                let refused = self.wait_mut(wait).owner;
                assert!(!self.can_end(Some(refused)), "{refused} is refused for nothing: {end:?}");
                if wait == new {
                    return Some(end);
                }
                self.refuse(wait, end);
                continue;
            }
            let any = self.closure(&edges, true);
            let ahead = |at: usize| at == owner || hard[owner][at];
            let waiting = |at: usize| at == owner || any[at][owner];
            for (from, to, cause) in &edges {
                if let Cause::Behind { wait, before } = cause
                    && ahead(*from)
                    && waiting(*to)
                    && (*to == owner || !ahead(*to))
                {
                    self.turn_round(*wait, *before);
                }
            }
            return None;
        }
    }

    fn wait_mut(&mut self, id: usize) -> &mut RefWait {
        self.waits.iter_mut().find(|wait| wait.id == id).unwrap()
    }

    fn turn_round(&mut self, wait: usize, before: usize) {
        let (mine, other) = (self.wait_mut(wait).arrival, self.wait_mut(before).arrival);
        self.wait_mut(before).passes.retain(|arrival| *arrival != mine);
        self.wait_mut(wait).passes.push(other);
    }

    fn victim(&self, edges: &[(usize, usize, Cause)], inside: impl Fn(usize) -> bool, new: usize) -> (usize, End) {
        let circle: Vec<(usize, usize, Key, usize)> = (edges.iter())
            .filter(|(from, to, _)| inside(*from) && inside(*to))
            .filter_map(|(_, to, cause)| match cause {
                Cause::Held { wait, key, holder } => Some((*wait, *to, *key, *holder)),
                _ => None,
            })
            .collect();
        let keys: BTreeSet<Key> = circle.iter().map(|(_, _, key, _)| *key).collect();
        let victim_of = |id: usize| {
            let waiting = self.waits.iter().find(|wait| wait.id == id).unwrap().owner;
            // The nearest owner around the waiting one that has a lock of the circle, or has who holds one inside it.
            *self
                .around(waiting)
                .iter()
                .find(|at| circle.iter().any(|(_, end, _, holder)| self.within(waiting, *end) && self.within(*holder, **at)))
                .unwrap()
        };
        let end = |id: usize| (id, End::Deadlock { victim: victim_of(id), keys: keys.iter().copied().collect() });
        let may = |id: usize| !self.owners[victim_of(id)].last_resort;
        if may(new) {
            return end(new);
        }
        let arrival = |id: &usize| self.waits.iter().find(|wait| wait.id == *id).unwrap().arrival;
        let other = circle.iter().map(|(wait, ..)| *wait).filter(|wait| may(*wait)).max_by_key(arrival);
        end(other.unwrap_or(new))
    }

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
            if self.holds.iter().any(|hold| hold.owner == owner && hold.key == key && hold.mode >= mode) {
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

    /// Asks for keys in this order. Gives the wait's number, or how the request ended at once.
    pub fn acquire(&mut self, owner: usize, keys: &[(Key, Mode)]) -> Result<usize, End> {
        let state = &self.owners[owner];
        if state.ended || state.plain {
            return Err(End::Ended);
        }
        match state.doomed {
            Some(0) => return Err(End::Ended),
            Some(reason) => return Err(End::Doomed(reason)),
            None => {}
        }
        let wait = self.new_wait(owner, keys.to_vec());
        self.advance(wait);
        self.settle();
        self.outcome(wait)
    }

    fn new_wait(&mut self, owner: usize, rest: Vec<(Key, Mode)>) -> usize {
        self.next_wait += 1;
        let id = self.next_wait;
        self.waits.push(RefWait { id, owner, mode: Mode::Exclusive, at: Vec::new(), rest, arrival: 0, passes: Vec::new() });
        id
    }

    fn outcome(&mut self, wait: usize) -> Result<usize, End> {
        match self.told.iter().position(|(other, _)| *other == wait) {
            Some(at) => Err(self.told.remove(at).1),
            None => Ok(wait),
        }
    }

    pub fn acquire_all(&mut self, keys: &[Key]) -> (usize, Result<usize, End>) {
        let owner = self.begin(None, false, false);
        self.owners[owner].plain = true;
        let wait = self.new_wait(owner, Vec::new());
        self.arrivals += 1;
        let arrival = self.arrivals;
        let found = self.wait_mut(wait);
        (found.at, found.arrival) = (keys.to_vec(), arrival);
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

    /// What conflicts among the holds, if anything.
    pub fn conflict(&self) -> Option<(RefHold, RefHold)> {
        let strangers =
            |one: &RefHold, other: &RefHold| !self.within(one.owner, other.owner) && !self.within(other.owner, one.owner);
        self.holds.iter().enumerate().find_map(|(at, one)| {
            let other = self.holds[at + 1..]
                .iter()
                .find(|other| overlap(one.key, other.key) && one.mode.conflicts(other.mode) && strangers(one, other))?;
            Some((*one, *other))
        })
    }
}
