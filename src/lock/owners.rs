//! Owners and their trees.

use super::few::Few;
use super::key::LockKey;
use super::slots::Slots;
use super::table::Table;
use super::types::{Begin, OwnerId, Reason, Refusal};

/// Bits of an id that number a place; the rest counts, so that an old id is not taken for a new owner.
const PLACE_BITS: u32 = 28;

/// Joins a place and a count to an id.
pub(super) const fn join_id(place: u32, serial: u64) -> u64 {
    (serial << PLACE_BITS) | place as u64
}

/// The place in an id.
pub(super) const fn place_of(id: u64) -> u32 {
    (id & ((1 << PLACE_BITS) - 1)) as u32
}

/// Why an owner may take no more locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doom {
    Given(Reason),
    Ended,
}

impl Doom {
    pub(super) fn refusal<K>(self) -> Refusal<K> {
        match self {
            Self::Given(reason) => Refusal::Doomed(reason),
            Self::Ended => Refusal::Ended,
        }
    }
}

/// One owner. A doomed owner holds nothing, waits for nothing, and has only doomed owners inside it.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) id: OwnerId,
    pub(super) parent: Option<u32>,
    /// Outermost owner around it. Of no meaning once it is doomed.
    pub(super) root: u32,
    /// How many owners are around it.
    pub(super) depth: u32,
    pub(super) children: Vec<u32>,
    /// Locks it holds itself, each once.
    pub(super) held: Few<u32>,
    pub(super) waits: Vec<u32>,
    pub(super) domain: u32,
    pub(super) last_resort: bool,
    pub(super) independent: bool,
    /// Made by `acquire_all`; it takes no other locks.
    pub(super) plain: bool,
    /// The caller's number for the one request that it was made for; 0 where there is none.
    pub(super) token: u32,
    pub(super) doomed: Option<Doom>,
}

impl Owner {
    /// Whether nothing can wait inside it but one wait of its own.
    pub(super) const fn is_simple(&self) -> bool {
        self.children.is_empty() && self.waits.len() < 2
    }
}

/// Whether `owner` is `around` or inside it.
pub(super) fn is_within(owners: &Slots<Owner>, owner: u32, around: u32) -> bool {
    if owner == around {
        return true;
    }
    let (Some(inner), Some(outer)) = (owners.get(owner), owners.get(around)) else { return false };
    if inner.root != outer.root {
        return false;
    }
    let (mut at, mut levels) = (owner, inner.depth.saturating_sub(outer.depth));
    while levels > 0 {
        match owners.get(at).and_then(|owner| owner.parent) {
            Some(parent) => at = parent,
            None => return false,
        }
        levels -= 1;
    }
    at == around
}

/// The outermost owner around `owner`, or itself, that is not around `other` as well.
///
/// Its end is what `other` waits for where `owner` is in its way: locks pass outwards until then.
pub(super) fn apart(owners: &Slots<Owner>, owner: u32, other: u32) -> u32 {
    let (Some(one), Some(two)) = (owners.get(owner), owners.get(other)) else { return owner };
    if one.root != two.root {
        return one.root;
    }
    let mut at = owner;
    while let Some(parent) = owners.get(at).and_then(|owner| owner.parent) {
        if is_within(owners, other, parent) {
            break;
        }
        at = parent;
    }
    at
}

/// The innermost owner around both.
pub(super) fn meeting(owners: &Slots<Owner>, one: u32, other: u32) -> Option<u32> {
    let mut at = Some(one);
    while let Some(owner) = at {
        if is_within(owners, other, owner) {
            return at;
        }
        at = owners.get(owner).and_then(|owner| owner.parent);
    }
    None
}

impl<K: LockKey> Table<K> {
    /// Place of an owner that has not ended.
    pub(super) fn owner_at(&self, id: OwnerId) -> Option<u32> {
        let at = place_of(id.0);
        self.owners.get(at).filter(|owner| owner.id == id).map(|_| at)
    }

    /// A new owner. Inside one that has ended or is doomed it is doomed from the start, or, where it is independent, part of what
    /// still lives around that one.
    pub(super) fn begin(&mut self, begin: Begin) -> u32 {
        let asked = begin.parent.map(|id| self.owner_at(id));
        let (mut parent, mut doomed) = (asked.flatten(), (asked == Some(None)).then_some(Doom::Ended));
        if begin.independent {
            doomed = None;
            while let Some(around) = parent.and_then(|at| self.owners.get(at)).filter(|around| around.doomed.is_some()) {
                parent = around.parent;
            }
        }
        let around = parent.and_then(|at| self.owners.get(at));
        let doomed = doomed.or(around.and_then(|around| around.doomed));
        let (root, depth) = around.map_or((0, 0), |around| (around.root, around.depth + 1));
        self.serial += 1;
        let serial = self.serial;
        let at = self.owners.insert(Owner {
            id: OwnerId(0),
            parent,
            root,
            depth,
            children: Vec::new(),
            held: Few::default(),
            waits: Vec::new(),
            domain: begin.domain,
            last_resort: begin.last_resort,
            independent: begin.independent,
            plain: false,
            token: 0,
            doomed,
        });
        if let Some(owner) = self.owners.get_mut(at) {
            owner.id = OwnerId(join_id(at, serial));
            if owner.parent.is_none() {
                owner.root = at;
            }
        }
        if let Some(around) = parent.and_then(|at| self.owners.get_mut(at)) {
            around.children.push(at);
        }
        at
    }

    /// An owner and all inside it, outermost first.
    pub(super) fn family(&self, owner: u32) -> Vec<u32> {
        let mut all = vec![owner];
        let mut next = 0;
        while let Some(at) = all.get(next).copied() {
            all.extend(self.owners.get(at).into_iter().flat_map(|owner| &owner.children));
            next += 1;
        }
        all
    }

    /// What is independent inside an owner that is about to end or to be doomed goes on outside it.
    fn move_independent(&mut self, around: u32) {
        let Some(owner) = self.owners.get(around).filter(|owner| !owner.children.is_empty()) else { return };
        let to = owner.parent;
        let all = self.independent_inside(around);
        // All of them before the first one moves: they keep their places among each other, too.
        all.iter().for_each(|inner| self.keep_places(*inner));
        all.into_iter().for_each(|inner| self.move_to(inner, to));
    }

    /// The outermost independent owners inside one.
    fn independent_inside(&self, owner: u32) -> Vec<u32> {
        let (mut found, mut open) = (Vec::new(), vec![owner]);
        while let Some(at) = open.pop() {
            for child in self.owners.get(at).into_iter().flat_map(|owner| &owner.children) {
                let independent = self.owners.get(*child).is_some_and(|child| child.independent && child.doomed.is_none());
                if independent { found.push(*child) } else { open.push(*child) }
            }
        }
        found
    }

    /// Lets waits go on before those that they go before by a lock around them, also where that lock goes.
    fn keep_places(&mut self, owner: u32) {
        for at in self.family(owner) {
            for wait in self.owners.get(at).map_or_else(Vec::new, |owner| owner.waits.clone()) {
                self.passed(wait).into_iter().for_each(|before| self.turn_round(wait, before));
            }
        }
    }

    /// Moves an owner, with all inside it, to another place in its tree, or out of it.
    fn move_to(&mut self, owner: u32, to: Option<u32>) {
        let (root, depth) = to.and_then(|to| self.owners.get(to)).map_or((owner, 0), |to| (to.root, to.depth + 1));
        let Some(found) = self.owners.get_mut(owner) else { return };
        let (from, levels) = (std::mem::replace(&mut found.parent, to), found.depth - depth);
        if let Some(from) = from.and_then(|from| self.owners.get_mut(from)) {
            from.children.retain(|child| *child != owner);
        }
        if let Some(to) = to.and_then(|to| self.owners.get_mut(to)) {
            to.children.push(owner);
        }
        for at in self.family(owner) {
            if let Some(found) = self.owners.get_mut(at) {
                found.root = root;
                found.depth -= levels;
            }
        }
    }

    /// Takes an owner and all inside it out of play: locks are free, waits refused. What is independent inside it goes on outside.
    pub(super) fn doom(&mut self, owner: u32, doom: Doom) {
        self.move_independent(owner);
        for at in self.family(owner) {
            let Some(found) = self.owners.get_mut(at) else { continue };
            if found.doomed.is_some() {
                continue;
            }
            found.doomed = Some(doom);
            let (held, waits) = (std::mem::take(&mut found.held), std::mem::take(&mut found.waits));
            waits.into_iter().for_each(|wait| self.refuse(wait, doom.refusal()));
            held.into_values().for_each(|entry| self.release(entry, at, None));
        }
    }

    /// Ends an owner. What still runs inside it is doomed, but for what is independent.
    pub(super) fn end(&mut self, at: u32, inherit: bool) {
        self.move_independent(at);
        let Some(owner) = self.owners.get_mut(at) else { return };
        let (parent, children) = (owner.parent, std::mem::take(&mut owner.children));
        let waits = std::mem::take(&mut owner.waits);
        for child in children {
            self.doom(child, Doom::Ended);
            if let Some(child) = self.owners.get_mut(child) {
                child.parent = None;
            }
        }
        waits.into_iter().for_each(|wait| self.refuse(wait, Refusal::Ended));
        let heir = parent.filter(|_| inherit);
        let held = self.owners.get_mut(at).map(|owner| std::mem::take(&mut owner.held)).unwrap_or_default();
        held.into_values().for_each(|entry| self.release(entry, at, heir));
        if let Some(around) = parent.and_then(|parent| self.owners.get_mut(parent))
            && let Some(place) = around.children.iter().position(|child| *child == at)
        {
            around.children.swap_remove(place);
        }
        self.owners.remove(at);
    }
}
