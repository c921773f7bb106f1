//! A table of records by a part of their hashes.
//!
//! Open addressing with linear probing, and deletion that moves back what follows. A slot is eight bytes: a tag, which is 32 bits of the
//! record's hash, and the record's offset in an arena. The tag tells where a slot belongs, in a table of any size, so that a table grows,
//! and is split, without a look at any key; and a look-up reads one line of memory before the one with the record itself, where a
//! table of offsets with bytes of control beside it reads two.

/// A record: 32 bits of its hash, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) tag: u32,
    pub(super) at: u32,
}

/// An offset that no record has.
const NOWHERE: u32 = u32::MAX;
const EMPTY: Slot = Slot { tag: 0, at: NOWHERE };

impl Slot {
    const fn is_empty(self) -> bool {
        self.at == NOWHERE
    }
}

/// Slots, three quarters of which are taken at most.
#[derive(Debug, Default)]
pub(super) struct Table {
    slots: Box<[Slot]>,
    len: u32,
}

/// How many slots so many records need.
const fn slots_for(records: usize) -> usize {
    if records == 0 { 0 } else { records + records.div_ceil(3) }
}

impl Table {
    /// A table with slots for so many records.
    pub(super) fn with_room(records: usize) -> Self {
        Self { slots: vec![EMPTY; slots_for(records)].into(), len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory that it takes.
    pub(super) const fn memory(&self) -> usize {
        self.slots.len() * size_of::<Slot>()
    }

    /// Where a tag belongs: slots are in the order of their tags, but for those that found their place taken.
    const fn home(&self, tag: u32) -> usize {
        ((tag as u64 * self.slots.len() as u64) >> 32) as usize
    }

    const fn after(&self, place: usize) -> usize {
        if place + 1 < self.slots.len() { place + 1 } else { 0 }
    }

    /// What `look` finds at the offset of a record with this tag.
    pub(super) fn find<T>(&self, tag: u32, mut look: impl FnMut(u32) -> Option<T>) -> Option<T> {
        let mut place = self.home(tag);
        loop {
            // Some slot is always empty, so this ends.
            let slot = self.slots.get(place).filter(|slot| !slot.is_empty())?;
            if slot.tag == tag
                && let Some(found) = look(slot.at)
            {
                return Some(found);
            }
            place = self.after(place);
        }
    }

    /// Something of the slot with which a search for this tag begins.
    pub(super) fn touch(&self, tag: u32) -> u32 {
        self.slots.get(self.home(tag)).map_or(0, |slot| slot.at)
    }

    fn place_of(&self, slot: Slot) -> Option<usize> {
        let mut place = self.home(slot.tag);
        while *self.slots.get(place).filter(|other| !other.is_empty())? != slot {
            place = self.after(place);
        }
        Some(place)
    }

    /// Adds a record that is not there.
    pub(super) fn insert(&mut self, slot: Slot) {
        self.reserve(1);
        self.len += 1;
        self.settle(slot);
    }

    fn settle(&mut self, slot: Slot) {
        let mut place = self.home(slot.tag);
        while self.slots.get(place).is_some_and(|taken| !taken.is_empty()) {
            place = self.after(place);
        }
        if let Some(empty) = self.slots.get_mut(place) {
            *empty = slot;
        }
    }

    /// Takes out a record.
    pub(super) fn remove(&mut self, slot: Slot) {
        let Some(mut hole) = self.place_of(slot) else { return };
        self.len -= 1;
        let mut place = hole;
        loop {
            place = self.after(place);
            let Some(slot) = self.slots.get(place).copied().filter(|slot| !slot.is_empty()) else { break };
            // It moves back where the hole lies on the way from its home to it.
            let from_home = self.distance(self.home(slot.tag), place);
            if from_home >= self.distance(hole, place) {
                self.set(hole, slot);
                hole = place;
            }
        }
        self.set(hole, EMPTY);
    }

    const fn distance(&self, from: usize, to: usize) -> usize {
        if to >= from { to - from } else { to + self.slots.len() - from }
    }

    fn set(&mut self, place: usize, slot: Slot) {
        if let Some(there) = self.slots.get_mut(place) {
            *there = slot;
        }
    }

    /// Makes room for so many more records.
    ///
    /// A shard has a sixteenth more room than records when it was split and is split again at twice as many, so two steps of two fifths
    /// are what it takes on its way, with five hundredths to spare for shards that are fuller than others.
    pub(super) fn reserve(&mut self, records: usize) {
        let needed = slots_for(self.len() + records);
        if needed > self.slots.len() {
            self.resize(needed.max(self.slots.len() + self.slots.len() * 2 / 5));
        }
    }

    /// Gives back memory where few of the slots are taken.
    pub(super) fn shrink(&mut self) {
        if self.slots.len() > 3 * self.len() {
            self.resize(slots_for(self.len() + self.len() / 8));
        }
    }

    /// Gives back memory where there is more room than for so many records, and by a quarter at least.
    pub(super) fn trim(&mut self, records: usize) {
        let needed = slots_for(records);
        if self.slots.len() > needed + needed / 4 {
            self.resize(needed);
        }
    }

    fn resize(&mut self, slots: usize) {
        let before = std::mem::replace(&mut self.slots, vec![EMPTY; slots].into());
        before.into_iter().filter(|slot| !slot.is_empty()).for_each(|slot| self.settle(slot));
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Slot> {
        self.slots.iter().copied().filter(|slot| !slot.is_empty())
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Slot> {
        self.slots.iter_mut().filter(|slot| !slot.is_empty())
    }

    /// Bytes of memory that it has allocated.
    #[cfg(test)]
    pub(super) const fn allocated(&self) -> usize {
        size_of_val(&*self.slots)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Tags at both ends and few in number: long rows that meet, and go round the end.
        #[test]
        fn a_table_does_as_a_list_of_slots(steps in proptest::collection::vec((any::<bool>(), 0..6_u32, 0..40_u32), 1..300)) {
            let (mut table, mut model) = (Table::default(), Vec::<Slot>::new());
            for (inserts, tag, at) in steps {
                // 0, 1, 2, and the three highest.
                let tag = if tag < 3 { tag } else { u32::MAX - (tag - 3) };
                let slot = Slot { tag, at };
                if !inserts {
                    model.retain(|other| *other != slot);
                    table.remove(slot);
                    table.shrink();
                } else if !model.contains(&slot) {
                    model.push(slot);
                    table.insert(slot);
                }
                prop_assert_eq!(table.len(), model.len());
                prop_assert!(slots_for(table.len()) <= table.slots.len() && table.slots.len() <= 3 * table.len().max(1));
                for slot in &model {
                    prop_assert_eq!(table.find(slot.tag, |at| (at == slot.at).then_some(at)), Some(slot.at));
                }
                let mut all: Vec<(u32, u32)> = table.iter().map(|slot| (slot.tag, slot.at)).collect();
                let mut expected: Vec<(u32, u32)> = model.iter().map(|slot| (slot.tag, slot.at)).collect();
                all.sort_unstable();
                expected.sort_unstable();
                prop_assert_eq!(all, expected);
            }
        }
    }

    #[test]
    fn tags_of_all_sizes_have_a_home_in_tables_of_all_sizes() {
        for records in 1..200_usize {
            let mut table = Table::with_room(records);
            let before = table.allocated();
            (0..records as u32).for_each(|n| table.insert(Slot { tag: u32::MAX / records as u32 * n, at: n }));
            assert_eq!(table.allocated(), before, "room for {records} was asked for");
            assert!(table.slots.len() > records, "a look-up would never end");
            assert_eq!(table.find(u32::MAX, |_| None::<()>), None);
        }
    }
}
