//! The wait-for graph.
//!
//! Its nodes are owners. An owner waits for
//! - each owner that runs inside it,
//! - for each wait of its own and each **holder** in the way: the outermost owner around that holder which is not around the
//!   waiting one. Locks pass outwards, so its end is what frees the lock. These two are *hard* edges: no order of grants removes
//!   them.
//! - for each wait in the way that goes **before** it: likewise, for what will hold the lock first. These are *soft* edges: they
//!   are our own choice, for the sake of fairness.
//!
//! A circle of hard edges is a deadlock, and nothing else is: without one, some owner waits for no holder; let it go first, and so
//! on until all have ended. So a circle with a soft edge is never reported. It is opened by turning a soft edge round.
//!
//! The graph has no circle between calls. One can come into being only where an owner, `a`, begins to wait. Let D be `a` and
//! everything that it waits for by hard edges alone, and U all that wait for `a` by edges of either kind. If there is no hard
//! circle, then **each wait of a member of D behind one of U is turned round**: who must end before `a` can go on goes before who
//! waits for `a` anyway. That costs the one that is passed nothing, and closes no other circle. From D nothing leads to U any
//! more, and from outside U nothing ever did. A new edge starts at a member of U, or inside one, where others get only through
//! that member. It leads into D; or, where a wait of `a` itself goes before, to an owner around `a`, for which that member waits
//! already.
//!
//! An owner also begins to wait when a request for many keys comes to its next one, in the middle of the call that let it go on.
//! So the wait that a call has just begun may be refused for a circle that another one closes in that call.
//!
//! Nothing else makes a circle. A grant replaces edges to a wait by edges to the same owner as a holder. A wait that is preferred
//! (see `rules`) over one that came before it gives that one an edge into a tree that it waits for already. An end takes locks and
//! waits away; where an independent owner goes on after it, what it is preferred to by a lock that goes is turned round first, so
//! that no order changes.
//!
//! The victim is the waiting owner if it holds a lock of the circle itself, else the nearest owner around it that does; where that
//! lock is held by a relative, the nearest owner around both, since only its end frees that lock.

use std::collections::{HashMap, HashSet};

use super::key::LockKey;
use super::owners::{apart, is_within, meeting};
use super::rules::Obstacle;
use super::table::Table;
use super::types::{Deadlock, Refusal};

/// Why one owner waits for another.
#[derive(Debug, Clone, Copy)]
enum Cause {
    /// It runs inside it.
    Inside,
    /// A wait, at a lock that the holder has.
    Held { wait: u32, entry: u32, holder: u32 },
    /// A wait, and one that goes before it.
    Behind,
}

#[derive(Debug, Clone, Copy)]
struct Edge {
    to: u32,
    cause: Cause,
}

impl Edge {
    const fn is_hard(&self) -> bool {
        !matches!(self.cause, Cause::Behind)
    }
}

/// Edges of all owners that can be reached from one.
type Graph = HashMap<u32, Vec<Edge>>;

/// Nodes that can be reached from `start`, itself among them, by edges that `follow` accepts.
fn reach(graph: &Graph, start: u32, follow: impl Fn(&Edge) -> bool) -> HashSet<u32> {
    let (mut seen, mut open) = (HashSet::from([start]), vec![start]);
    while let Some(at) = open.pop() {
        for edge in graph.get(&at).into_iter().flatten().filter(|edge| follow(edge)) {
            if seen.insert(edge.to) {
                open.push(edge.to);
            }
        }
    }
    seen
}

/// Nodes from which `end` can be reached, itself among them, by edges that `follow` accepts.
fn reach_back(graph: &Graph, end: u32, follow: impl Fn(&Edge) -> bool) -> HashSet<u32> {
    let mut back: HashMap<u32, Vec<u32>> = HashMap::new();
    for (from, edges) in graph {
        edges.iter().filter(|edge| follow(edge)).for_each(|edge| back.entry(edge.to).or_default().push(*from));
    }
    let (mut seen, mut open) = (HashSet::from([end]), vec![end]);
    while let Some(at) = open.pop() {
        for from in back.get(&at).into_iter().flatten() {
            if seen.insert(*from) {
                open.push(*from);
            }
        }
    }
    seen
}

impl<K: LockKey> Table<K> {
    /// Restores the graph after `owner` has begun to wait. Gives the reason why its new wait must be refused.
    ///
    /// Circles are opened by turning soft edges round, deadlocks by refusing a wait: another one's is refused here.
    pub(super) fn put_in_order(&mut self, owner: u32, new_wait: u32) -> Option<Refusal<K>> {
        while self.may_be_waited_for(owner, new_wait) {
            let graph = self.graph(owner);
            let ahead = reach(&graph, owner, Edge::is_hard);
            if ahead.iter().any(|at| graph.get(at).into_iter().flatten().any(|edge| edge.is_hard() && edge.to == owner)) {
                let circle: HashSet<u32> = reach_back(&graph, owner, Edge::is_hard).intersection(&ahead).copied().collect();
                let (wait, deadlock) = self.choose_victim(&graph, &circle, new_wait)?;
                let refusal = Refusal::Deadlock(Box::new(deadlock));
                if wait == new_wait {
                    return Some(refusal);
                }
                self.refuse(wait, refusal);
                continue;
            }
            let waiting = reach_back(&graph, owner, |_| true);
            self.let_past(owner, &ahead, &waiting);
            return None;
        }
        None
    }

    /// Whether anyone can wait for this owner or one around it: a cheap look before the graph is made.
    ///
    /// Who waits for something that a member of its tree holds, or waits for first, waits for one around this owner if it is a
    /// stranger, and maybe if it is a relative. A sibling does so only where the member runs inside this owner: else the two have the
    /// same owners around them. So a long line of siblings is no reason to make a graph for each of them.
    fn may_be_waited_for(&self, owner: u32, new_wait: u32) -> bool {
        let Some(found) = self.owners.get(owner) else { return false };
        let mut seen = HashSet::new();
        for member in self.family(found.root) {
            let Some(state) = self.owners.get(member) else { continue };
            let waits = state.waits.iter().filter(|wait| **wait != new_wait).filter_map(|wait| self.waits.get(*wait));
            for entry in state.held.iter().chain(waits.flat_map(|wait| &wait.at)) {
                if self.has_enclosing() {
                    return true;
                }
                let is_inside = is_within(&self.owners, member, owner);
                if !is_inside && !seen.insert(*entry) {
                    continue;
                }
                let waits_for_it = |wait: &u32| {
                    let waiting = self.waits.get(*wait).and_then(|wait| self.owners.get(wait.owner));
                    *wait != new_wait
                        && waiting
                            .is_some_and(|waiting| is_inside || waiting.root != found.root || waiting.parent != found.parent)
                };
                if self.entries.get(*entry).is_some_and(|entry| entry.queue.iter().any(waits_for_it)) {
                    return true;
                }
            }
        }
        false
    }

    fn graph(&self, start: u32) -> Graph {
        let mut graph = Graph::new();
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            if graph.contains_key(&at) {
                continue;
            }
            let edges = self.edges(at);
            open.extend(edges.iter().map(|edge| edge.to));
            graph.insert(at, edges);
        }
        graph
    }

    fn edges(&self, from: u32) -> Vec<Edge> {
        let Some(owner) = self.owners.get(from) else { return Vec::new() };
        let mut edges: Vec<Edge> = owner.children.iter().map(|child| Edge { to: *child, cause: Cause::Inside }).collect();
        for wait in &owner.waits {
            for entry in self.waits.get(*wait).into_iter().flat_map(|wait| &wait.at) {
                let line = self.last_of_line(*wait, *entry);
                self.obstacles(*wait, *entry, &mut |obstacle| {
                    let (end, cause) = match (obstacle, line) {
                        (Obstacle::Holder(holder), _) => (Some(holder), Cause::Held { wait: *wait, entry: *entry, holder }),
                        (Obstacle::Wait(_), Some(before)) | (Obstacle::Wait(before), None) => {
                            (self.waits.get(before).map(|wait| wait.owner), Cause::Behind)
                        }
                    };
                    edges.extend(end.map(|end| Edge { to: apart(&self.owners, end, from), cause }));
                    // Waits come after holders.
                    line.is_none() || matches!(obstacle, Obstacle::Holder(_))
                });
            }
        }
        edges
    }

    /// Turns round every wait of a member of `ahead` behind a member of `waiting` that is not ahead as well.
    fn let_past(&mut self, owner: u32, ahead: &HashSet<u32>, waiting: &HashSet<u32>) {
        let mut turns = Vec::new();
        for from in ahead {
            for wait in self.owners.get(*from).into_iter().flat_map(|owner| &owner.waits) {
                for entry in self.waits.get(*wait).into_iter().flat_map(|wait| &wait.at) {
                    // All that are before it, not the last of the line only.
                    self.obstacles(*wait, *entry, &mut |obstacle| {
                        if let Obstacle::Wait(before) = obstacle
                            && let Some(other) = self.waits.get(before)
                        {
                            let to = apart(&self.owners, other.owner, *from);
                            if waiting.contains(&to) && (to == owner || !ahead.contains(&to)) {
                                turns.push((*wait, before));
                            }
                        }
                        true
                    });
                }
            }
        }
        turns.into_iter().for_each(|(wait, before)| self.turn_round(wait, before));
    }

    /// Makes `wait` go before `before`.
    pub(super) fn turn_round(&mut self, wait: u32, before: u32) {
        let arrival_of = |wait: u32| self.waits.get(wait).map(|wait| wait.arrival);
        let (Some(mine), Some(other)) = (arrival_of(wait), arrival_of(before)) else { return };
        if let Some(found) = self.waits.get_mut(before)
            && let Some(place) = found.passes.iter().position(|arrival| *arrival == mine)
        {
            found.passes.swap_remove(place);
            self.turned -= 1;
        }
        if let Some(found) = self.waits.get_mut(wait)
            && !found.passes.contains(&other)
        {
            found.passes.push(other);
            self.turned += 1;
        }
        self.candidates.insert((mine, wait));
    }

    /// Decides whose wait a deadlock ends: the new one, unless that makes a victim of an owner that is so in the last resort only
    /// and there is another choice; then the latest of the others.
    fn choose_victim(&self, graph: &Graph, circle: &HashSet<u32>, new_wait: u32) -> Option<(u32, Deadlock<K>)> {
        let within = |from: u32| graph.get(&from).into_iter().flatten().filter(|edge| circle.contains(&edge.to));
        let mut held = Vec::new();
        let mut waits = Vec::new();
        for from in circle {
            for edge in within(*from) {
                if let Cause::Held { wait, entry, holder } = edge.cause {
                    held.push((edge.to, holder, entry));
                    waits.push(wait);
                }
            }
        }
        let mut keys: Vec<K> =
            held.iter().filter_map(|(_, _, at)| self.entries.get(*at).map(|entry| entry.key.clone())).collect();
        keys.sort_unstable();
        keys.dedup();
        let victim_of = |wait: u32| {
            let owner = self.waits.get(wait)?.owner;
            held.iter()
                .filter(|(end, _, _)| is_within(&self.owners, owner, *end))
                .filter_map(|(_, holder, _)| self.owners.get(meeting(&self.owners, owner, *holder)?))
                .max_by_key(|victim| victim.depth)
        };
        let with = |wait: u32| victim_of(wait).map(|victim| (wait, Deadlock { victim: victim.id, keys: keys.clone() }));
        if victim_of(new_wait).is_some_and(|victim| !victim.last_resort) {
            return with(new_wait);
        }
        let arrival_of = |wait: &u32| self.waits.get(*wait).map(|wait| wait.arrival);
        let other = waits
            .iter()
            .copied()
            .filter(|wait| victim_of(*wait).is_some_and(|victim| !victim.last_resort))
            .max_by_key(arrival_of);
        with(other.unwrap_or(new_wait))
    }
}
