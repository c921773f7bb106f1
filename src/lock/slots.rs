//! Numbered places for values, reused lowest first, so that memory goes back when there are fewer.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Below this many places memory is kept: giving it back and asking again costs more than it holds.
const KEPT: usize = 256;

/// Values by number.
#[derive(Debug)]
pub(super) struct Slots<T> {
    slots: Vec<Option<T>>,
    /// Places that are free, lowest first, and some that no longer exist.
    free: BinaryHeap<Reverse<u32>>,
    len: usize,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: BinaryHeap::new(), len: 0 }
    }
}

impl<T> Slots<T> {
    pub(super) fn insert(&mut self, value: T) -> u32 {
        self.len += 1;
        while let Some(Reverse(at)) = self.free.pop() {
            // A place that was cut off and made again is in the heap and in use.
            if let Some(slot @ None) = self.slots.get_mut(at as usize) {
                *slot = Some(value);
                return at;
            }
        }
        self.slots.push(Some(value));
        // 2^32 values do not fit into memory.
        (self.slots.len() - 1) as u32
    }

    pub(super) fn get(&self, at: u32) -> Option<&T> {
        self.slots.get(at as usize).and_then(Option::as_ref)
    }

    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut T> {
        self.slots.get_mut(at as usize).and_then(Option::as_mut)
    }

    pub(super) fn remove(&mut self, at: u32) -> Option<T> {
        let value = self.slots.get_mut(at as usize).and_then(Option::take)?;
        self.len -= 1;
        if at as usize + 1 == self.slots.len() {
            while let Some(None) = self.slots.last() {
                self.slots.pop();
            }
        } else {
            self.free.push(Reverse(at));
        }
        self.give_back();
        Some(value)
    }

    /// Numbers past the end stay in the heap until they are met or the values have become few.
    fn give_back(&mut self) {
        if self.slots.capacity() > KEPT && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
        if self.free.len() > KEPT && self.free.len() > self.slots.len() * 2 {
            let end = self.slots.len() as u32;
            self.free.retain(|Reverse(at)| *at < end);
            self.free.shrink_to(self.free.len() * 2);
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) fn capacity(&self) -> usize {
        self.slots.capacity() + self.free.capacity()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        self.slots.iter().enumerate().filter_map(|(at, slot)| Some((at as u32, slot.as_ref()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::Slots;

    #[test]
    fn places_are_reused_and_memory_goes_back() {
        let mut slots = Slots::default();
        let all: Vec<u32> = (0..100_000).map(|n| slots.insert(n)).collect();
        assert_eq!(all.last(), Some(&99_999));
        all.iter().filter(|at| **at != 3).for_each(|at| assert_eq!(slots.remove(*at), Some(*at)));
        assert_eq!((slots.len(), slots.get(3)), (1, Some(&3)));
        assert!(slots.capacity() < 2048, "{}", slots.capacity());
        assert_eq!((slots.insert(7), slots.remove(9)), (0, None));
    }

    #[test]
    fn a_place_that_was_cut_off_is_not_given_out_twice() {
        let mut slots = Slots::default();
        (0..4).for_each(|n| assert_eq!(slots.insert(n), n));
        for at in [1, 2, 3, 0] {
            slots.remove(at);
        }
        let again: Vec<u32> = (0..4).map(|n| slots.insert(n)).collect();
        assert_eq!(again.iter().collect::<std::collections::BTreeSet<_>>().len(), 4, "{again:?}");
    }
}
