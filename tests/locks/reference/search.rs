//! What knows neither graph nor queue: a search for an order in which all can end.

use std::collections::BTreeSet;

use super::keys::overlap;
use super::{RefHold, Reference};

impl Reference {
    /// Whether some order of grants lets every owner end well. Knows what is held and wanted, and Moss's rules; no graph.
    pub fn completes(&self) -> bool {
        self.can_end(None)
    }

    /// Whether some order of grants lets this owner end well, or all of them.
    pub(super) fn can_end(&self, wanted: Option<usize>) -> bool {
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
