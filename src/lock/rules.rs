//! Who is in whose way.
//!
//! Two things stand in the way of a request: **holders** of overlapping locks in a conflicting mode that are not around its owner,
//! and **waits** on overlapping locks that conflict with it and go before it.

use super::key::LockKey;
use super::owners::is_within;
use super::table::Table;
use super::types::Mode;

/// What is in the way of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// An owner that holds a lock.
    Holder(u32),
    /// A wait that goes before it.
    Wait(u32),
}

/// A request at one lock, as the rules see it.
#[derive(Clone, Copy)]
struct Request<'a> {
    owner: u32,
    mode: Mode,
    arrival: u64,
    passes: &'a [u64],
    entry: u32,
}

impl<K: LockKey> Table<K> {
    /// Whether a request that arrives now would have to wait.
    pub(super) fn would_block(&self, owner: u32, mode: Mode, entry: u32) -> bool {
        let request = Request { owner, mode, arrival: u64::MAX, passes: &[], entry };
        self.obstacles_of(request, &mut |_| false)
    }

    /// Whether something that runs inside an owner holds what that owner wants.
    pub(super) fn is_held_inside(&self, owner: u32, mode: Mode, entry: u32) -> bool {
        self.owners.get(owner).is_some_and(|owner| !owner.children.is_empty())
            && self.overlapping(entry).as_slice().iter().any(|at| {
                self.entries
                    .get(*at)
                    .into_iter()
                    .flat_map(|entry| entry.holders.iter())
                    .any(|hold| hold.owner != owner && hold.mode.conflicts(mode) && is_within(&self.owners, hold.owner, owner))
            })
    }

    /// Whether anything is in the way of a wait at one of its locks.
    pub(super) fn is_blocked(&self, wait: u32, entry: u32) -> bool {
        self.obstacles(wait, entry, &mut |_| false)
    }

    /// Shows what is in the way of a wait at one of its locks, until `visit` gives `false`. Gives whether it showed anything.
    pub(super) fn obstacles(&self, wait: u32, entry: u32, visit: &mut dyn FnMut(Obstacle) -> bool) -> bool {
        self.request(wait, entry).is_some_and(|request| self.obstacles_of(request, visit))
    }

    fn request(&self, wait: u32, entry: u32) -> Option<Request<'_>> {
        let found = self.waits.get(wait)?;
        Some(Request { owner: found.owner, mode: found.mode, arrival: found.arrival, passes: &found.passes, entry })
    }

    fn obstacles_of(&self, request: Request<'_>, visit: &mut dyn FnMut(Obstacle) -> bool) -> bool {
        let mut any = false;
        let overlap = self.overlapping(request.entry);
        for at in overlap.as_slice() {
            for hold in self.entries.get(*at).into_iter().flat_map(|entry| entry.holders.iter()) {
                if hold.mode.conflicts(request.mode) && !is_within(&self.owners, request.owner, hold.owner) {
                    any = true;
                    if !visit(Obstacle::Holder(hold.owner)) {
                        return true;
                    }
                }
            }
        }
        let by_arrival = self.is_by_arrival(request.entry);
        for at in overlap.as_slice() {
            for wait in self.entries.get(*at).into_iter().flat_map(|entry| &entry.queue) {
                if by_arrival && self.waits.get(*wait).is_some_and(|other| other.arrival >= request.arrival) {
                    return any;
                }
                if self.request(*wait, *at).is_some_and(|other| self.goes_before(other, request)) {
                    any = true;
                    if !visit(Obstacle::Wait(*wait)) {
                        return true;
                    }
                }
            }
        }
        any
    }

    /// Waits that came before this one, and that it goes before all the same.
    pub(super) fn passed(&self, wait: u32) -> Vec<u32> {
        let mut passed = Vec::new();
        for entry in self.waits.get(wait).into_iter().flat_map(|wait| &wait.at) {
            let Some(mine) = self.request(wait, *entry) else { continue };
            for at in self.overlapping(*entry).as_slice() {
                let queue = self.entries.get(*at).into_iter().flat_map(|entry| entry.queue.iter().copied());
                passed.extend(queue.filter(|other| {
                    let other = self.request(*other, *at).filter(|other| other.arrival < mine.arrival);
                    other.is_some_and(|other| self.goes_before(mine, other))
                }));
            }
        }
        passed
    }

    /// Whether those who wait for a lock are served by arrival, without exception: nobody was turned round, and no holder, nor
    /// anything inside it, waits. Long lines are searched only where this is not so.
    fn is_by_arrival(&self, entry: u32) -> bool {
        self.turned == 0
            && !self.has_enclosing()
            && self
                .entries
                .get(entry)
                .into_iter()
                .flat_map(|entry| entry.holders.iter())
                .all(|hold| self.owners.get(hold.owner).is_some_and(|owner| owner.children.is_empty() && owner.waits.is_empty()))
    }

    /// The wait just before this one, if whoever waits for that one waits for all that came before.
    ///
    /// Then one edge of the wait-for graph stands for all of them, and a long line is no square of edges.
    pub(super) fn last_of_line(&self, wait: u32, entry: u32) -> Option<u32> {
        let mine = self.waits.get(wait).filter(|mine| mine.mode == Mode::Exclusive)?;
        if !self.is_by_arrival(entry) {
            return None;
        }
        let queue = &self.entries.get(entry)?.queue;
        // In order of arrival, so the place is found by halving.
        let place = queue.partition_point(|other| self.waits.get(*other).is_some_and(|other| other.arrival < mine.arrival));
        let last = *queue.get(place.checked_sub(1)?)?;
        let found = self.waits.get(last).filter(|found| found.mode == Mode::Exclusive)?;
        // An outermost owner waits for all that came before, and a sibling for all for which this one does. It must be one that
        // stands in the way: nobody waits behind an owner around it.
        let parent = self.owners.get(found.owner)?.parent;
        let waits_for_all = parent.is_none() || parent == self.owners.get(mine.owner)?.parent;
        (waits_for_all && !is_within(&self.owners, mine.owner, found.owner)).then_some(last)
    }

    /// Whether `one` is to be granted before `other`, which then has to wait for its end.
    fn goes_before(&self, one: Request<'_>, other: Request<'_>) -> bool {
        if one.arrival == other.arrival || !one.mode.conflicts(other.mode) || is_within(&self.owners, other.owner, one.owner) {
            return false;
        }
        if other.passes.contains(&one.arrival) {
            return false;
        }
        if one.passes.contains(&other.arrival) {
            return true;
        }
        let (one_first, other_first) = self.preferred(one, other);
        // Two that are both preferred, such as two holders that want more, hold back each other by what they hold.
        !other_first && (one_first || one.arrival < other.arrival)
    }

    /// Whether each of two waits is of a holder, or inside one, for which the other one waits.
    ///
    /// Such a wait goes first: the other one waits for that holder, and the holder for what runs inside it. A stranger that only
    /// wants to read what is held for reading does not wait for the holder, but for a writer that does; so the holder that wants to
    /// write is let past it when it begins to wait (see `deadlock`). To prefer it here would be wrong: where a grant has just made
    /// it a holder, the stranger may be the next in line, and one for which it waits elsewhere.
    fn preferred(&self, one: Request<'_>, other: Request<'_>) -> (bool, bool) {
        let is_behind = |behind: Request<'_>, first: Request<'_>| {
            self.overlapping(behind.entry).as_slice().iter().any(|at| {
                self.entries.get(*at).into_iter().flat_map(|entry| entry.holders.iter()).any(|hold| {
                    hold.mode.conflicts(behind.mode)
                        && is_within(&self.owners, first.owner, hold.owner)
                        && !is_within(&self.owners, behind.owner, hold.owner)
                })
            })
        };
        (is_behind(other, one), is_behind(one, other))
    }
}
