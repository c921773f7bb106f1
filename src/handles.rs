//! Small numbers that stand for things, with a generation so that a stale number is refused.

/// Bits of a handle that hold the index; the bits above hold the generation.
const INDEX_BITS: u32 = 20;
const INDEX_MASK: i32 = (1 << INDEX_BITS) - 1;
/// Generations that fit above the index in a positive `i32`.
const GENERATIONS: i32 = 1 << (31 - INDEX_BITS);

#[derive(Debug)]
struct Slot<T> {
    generation: i32,
    value: Option<T>,
}

/// A table of handles. Handles are positive.
#[derive(Debug)]
pub(crate) struct Handles<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
}

impl<T> Default for Handles<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new() }
    }
}

impl<T> Handles<T> {
    /// Gives a value a handle; `None` where a million are in use.
    pub(crate) fn insert(&mut self, value: T) -> Option<i32> {
        let index = match self.free.pop() {
            Some(index) => index,
            None if self.slots.len() < INDEX_MASK as usize => {
                self.slots.push(Slot { generation: 0, value: None });
                self.slots.len() - 1
            }
            None => return None,
        };
        let slot = self.slots.get_mut(index)?;
        slot.value = Some(value);
        // Index 0 stands for slot 0 as 1, so that no handle is 0.
        Some(slot.generation << INDEX_BITS | (index as i32 + 1))
    }

    fn slot(&self, handle: i32) -> Option<usize> {
        let index = usize::try_from((handle & INDEX_MASK) - 1).ok()?;
        let slot = self.slots.get(index)?;
        (handle > 0 && slot.generation == handle >> INDEX_BITS).then_some(index)
    }

    /// The value of a handle.
    pub(crate) fn get(&self, handle: i32) -> Option<&T> {
        self.slots.get(self.slot(handle)?)?.value.as_ref()
    }

    /// Takes the value of a handle, which is refused from then on.
    pub(crate) fn remove(&mut self, handle: i32) -> Option<T> {
        let index = self.slot(handle)?;
        let slot = self.slots.get_mut(index)?;
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) % GENERATIONS;
        self.free.push(index);
        Some(value)
    }

    /// Every value with its handle.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (i32, &T)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(index, slot)| Some((slot.generation << INDEX_BITS | (index as i32 + 1), slot.value.as_ref()?)))
    }

    /// Takes every value that passes.
    pub(crate) fn remove_if(&mut self, mut passes: impl FnMut(&T) -> bool) -> Vec<T> {
        let doomed: Vec<i32> = self.iter().filter(|(_, value)| passes(value)).map(|(handle, _)| handle).collect();
        doomed.into_iter().filter_map(|handle| self.remove(handle)).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_stale_handle_is_refused() {
        let mut handles = Handles::default();
        let first = handles.insert("a").unwrap();
        assert_eq!(handles.remove(first), Some("a"));
        let second = handles.insert("b").unwrap();
        assert_ne!(first, second);
        assert_eq!((handles.get(first), handles.get(second)), (None, Some(&"b")));
        assert_eq!((handles.get(0), handles.get(-1), handles.get(i32::MAX)), (None, None, None));
    }
}
