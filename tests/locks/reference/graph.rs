//! Who is in whose way, and what is done about circles.

use std::collections::BTreeSet;

use baileys_cask::lock::Mode;

use super::keys::{Key, overlap};
use super::{Cause, End, RefHold, RefWait, Reference};

impl Reference {
    pub fn around(&self, owner: usize) -> Vec<usize> {
        std::iter::successors(Some(owner), |at| self.owners[*at].parent).collect()
    }

    pub fn within(&self, owner: usize, around: usize) -> bool {
        self.around(owner).contains(&around)
    }

    pub(super) fn apart(&self, owner: usize, other: usize) -> usize {
        *self.around(owner).iter().rev().find(|at| !self.within(other, **at)).unwrap()
    }

    pub(super) fn holders_in_the_way(&self, owner: usize, key: Key, mode: Mode) -> Vec<usize> {
        let blocks = |hold: &&RefHold| overlap(hold.key, key) && mode.conflicts(hold.mode) && !self.within(owner, hold.owner);
        self.holds.iter().filter(blocks).map(|hold| hold.owner).collect()
    }

    /// Whether a holder for which the other one waits is around the one.
    pub(super) fn preferred(&self, one: usize, other: (usize, Key, Mode)) -> bool {
        self.holds.iter().any(|hold| {
            let waits = overlap(hold.key, other.1) && hold.mode.conflicts(other.2);
            waits && self.within(one, hold.owner) && !self.within(other.0, hold.owner)
        })
    }

    pub(super) fn goes_before(&self, one: &RefWait, one_key: Key, other: &RefWait, other_key: Key) -> bool {
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

    pub(super) fn waits_in_the_way(&self, wait: &RefWait, key: Key) -> Vec<&RefWait> {
        self.waits.iter().filter(|other| other.at.iter().any(|at| self.goes_before(other, *at, wait, key))).collect()
    }

    /// Keys at which something is in the way of a wait.
    pub(super) fn not_free(&self, wait: &RefWait) -> Vec<Key> {
        let is_taken = |key: &Key| {
            !self.holders_in_the_way(wait.owner, *key, wait.mode).is_empty() || !self.waits_in_the_way(wait, *key).is_empty()
        };
        wait.at.iter().copied().filter(is_taken).collect()
    }

    pub(super) fn is_blocked(&self, wait: &RefWait) -> bool {
        !self.not_free(wait).is_empty()
    }

    pub(super) fn edges(&self) -> Vec<(usize, usize, Cause)> {
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

    pub(super) fn closure(&self, edges: &[(usize, usize, Cause)], soft: bool) -> Vec<Vec<bool>> {
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

    pub(super) fn put_in_order(&mut self, owner: usize, new: usize) -> Option<End> {
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

    pub(super) fn wait_mut(&mut self, id: usize) -> &mut RefWait {
        self.waits.iter_mut().find(|wait| wait.id == id).unwrap()
    }

    pub(super) fn turn_round(&mut self, wait: usize, before: usize) {
        let (mine, other) = (self.wait_mut(wait).arrival, self.wait_mut(before).arrival);
        self.wait_mut(before).passes.retain(|arrival| *arrival != mine);
        self.wait_mut(wait).passes.push(other);
    }

    pub(super) fn victim(&self, edges: &[(usize, usize, Cause)], inside: impl Fn(usize) -> bool, new: usize) -> (usize, End) {
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
}
