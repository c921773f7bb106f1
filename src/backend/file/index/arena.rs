//! Records one behind the other in one piece of memory.
//!
//! ```text
//! location (16 bytes), u16 length of the key, key
//! ```
//!
//! A record that is removed stays where it is, as garbage, until what is needed is copied to a new arena. So a record costs 18 bytes
//! beside its key, and what a look-up compares lies beside what it is looking for.

use super::location::{LOCATION_BYTES, Location};

/// Bytes of a record before its key.
pub(super) const RECORD_HEADER_BYTES: usize = LOCATION_BYTES + 2;

/// Bytes that a record takes.
pub(super) const fn record_bytes(key: &[u8]) -> usize {
    RECORD_HEADER_BYTES + key.len()
}

/// Records by their offsets.
#[derive(Debug, Default)]
pub(super) struct Arena {
    bytes: Vec<u8>,
    garbage: u32,
}

impl Arena {
    /// An arena with room for so many bytes of records, and little more.
    pub(super) fn with_room(bytes: usize) -> Self {
        let mut arena = Self::default();
        arena.reserve(bytes);
        arena
    }

    /// Bytes of records that were not removed.
    pub(super) const fn live(&self) -> usize {
        self.bytes.len() - self.garbage as usize
    }

    /// Bytes of memory that it takes.
    pub(super) const fn memory(&self) -> usize {
        self.bytes.capacity()
    }

    /// Whether this part of all bytes, or more, is garbage.
    pub(super) const fn garbage_is_at_least(&self, one_in: usize) -> bool {
        self.garbage > 0 && self.garbage as usize * one_in >= self.bytes.len()
    }

    pub(super) const fn has_room(&self, bytes: usize) -> bool {
        self.bytes.capacity() - self.bytes.len() >= bytes
    }

    /// Makes room. What is unused is an eighth at most: no arena is so large that it would matter how often it is copied.
    pub(super) fn reserve(&mut self, bytes: usize) {
        if !self.has_room(bytes) {
            let len = self.bytes.len();
            self.bytes.reserve_exact(allocation(bytes.max(len / 8) + len) - len);
        }
    }

    /// Gives back memory where there is more room than so many bytes, and by a quarter at least.
    pub(super) fn trim(&mut self, bytes: usize) {
        let bytes = bytes.max(self.bytes.len());
        if self.bytes.capacity() > bytes + bytes / 4 {
            self.bytes.shrink_to(allocation(bytes));
        }
    }

    /// Something of the last record, behind which the next one is put.
    pub(super) fn touch(&self) -> u32 {
        self.bytes.last().map_or(0, |byte| u32::from(*byte))
    }

    /// Adds a record and gives its offset.
    pub(super) fn push(&mut self, key: &[u8], location: Location) -> u32 {
        self.reserve(record_bytes(key));
        // Shards are split by bytes as well, long before an offset has more than 32 bits.
        let at = self.bytes.len() as u32;
        // A key in a batch has 16 bits of length.
        let [low, high] = (key.len() as u16).to_le_bytes();
        let mut header = [0; RECORD_HEADER_BYTES];
        if let Some((place, length)) = header.split_first_chunk_mut() {
            *place = location.to_bytes();
            length.copy_from_slice(&[low, high]);
        }
        self.bytes.extend_from_slice(&header);
        self.bytes.extend_from_slice(key);
        at
    }

    /// Key and place of a record.
    pub(super) fn get(&self, at: u32) -> Option<(&[u8], Location)> {
        let (location, rest) = self.bytes.get(at as usize..)?.split_first_chunk()?;
        let (length, rest) = rest.split_first_chunk()?;
        Some((rest.get(..usize::from(u16::from_le_bytes(*length)))?, Location::from_bytes(*location)))
    }

    /// Key of a record.
    pub(super) fn key(&self, at: u32) -> &[u8] {
        self.get(at).map_or(&[], |(key, _)| key)
    }

    /// Place of a record, where it has this key.
    pub(super) fn find(&self, at: u32, key: &[u8]) -> Option<Location> {
        let (found, location) = self.get(at)?;
        is_same(found, key).then_some(location)
    }

    /// Gives a record the place that `to` makes of its place, if any, where it has this key; gives the place it had then.
    pub(super) fn replace(&mut self, at: u32, key: &[u8], to: impl FnOnce(Location) -> Option<Location>) -> Option<Location> {
        let (location, rest) = self.bytes.get_mut(at as usize..)?.split_first_chunk_mut()?;
        let (length, rest) = rest.split_first_chunk()?;
        if !is_same(rest.get(..usize::from(u16::from_le_bytes(*length)))?, key) {
            return None;
        }
        let before = Location::from_bytes(*location);
        *location = to(before)?.to_bytes();
        Some(before)
    }

    /// Makes a record garbage.
    pub(super) fn discard(&mut self, at: u32) {
        self.garbage += record_bytes(self.key(at)) as u32;
    }

    /// Takes a record out; those behind it move up, so nobody may have kept their offsets.
    pub(super) fn take_out(&mut self, at: u32) {
        let end = at as usize + record_bytes(self.key(at));
        if end <= self.bytes.len() {
            self.bytes.drain(at as usize..end);
        }
        if self.bytes.capacity() / 2 > self.bytes.len() {
            self.bytes.shrink_to(allocation(self.bytes.len()));
        }
    }

    /// Copies a record of another arena and gives its offset here.
    pub(super) fn copy(&mut self, from: &Self, at: u32) -> u32 {
        from.get(at).map_or(0, |(key, location)| self.push(key, location))
    }

    /// Bytes of records that were removed.
    #[cfg(test)]
    pub(super) const fn garbage(&self) -> usize {
        self.garbage as usize
    }

    /// Offsets of all records, those that are garbage included.
    pub(super) fn offsets(&self) -> impl Iterator<Item = u32> {
        let mut at = 0;
        std::iter::from_fn(move || {
            let here = at;
            at += record_bytes(self.get(here)?.0) as u32;
            Some(here)
        })
    }
}

/// Whether two keys are equal. Most have 8 to 32 bytes, for which a call costs more than to compare them.
fn is_same(one: &[u8], other: &[u8]) -> bool {
    match one.len() {
        length if length != other.len() => false,
        8..16 => (one.first_chunk::<8>(), one.last_chunk::<8>()) == (other.first_chunk::<8>(), other.last_chunk::<8>()),
        16..=32 => (one.first_chunk::<16>(), one.last_chunk::<16>()) == (other.first_chunk::<16>(), other.last_chunk::<16>()),
        _ => one == other,
    }
}

/// Bytes to ask for where so many are needed: what common allocators give out, which is eight less than a multiple of sixteen.
const fn allocation(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16) - 8 }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::location::ShortSize;
    use super::*;

    fn place(chunk: u32) -> Location {
        Location::new(1, chunk, 2, 3, ShortSize::of(4))
    }

    #[test]
    fn records_of_every_length_of_key_come_back() {
        let mut arena = Arena::default();
        let keys: Vec<Vec<u8>> = (1..40).chain([300, 4353, 65_535]).map(|length| vec![length as u8; length]).collect();
        let places: Vec<u32> = keys.iter().zip(0..).map(|(key, chunk)| arena.push(key, place(chunk))).collect();
        assert_eq!(arena.offsets().collect::<Vec<_>>(), places);
        for ((key, at), chunk) in keys.iter().zip(&places).zip(0..) {
            assert_eq!(arena.get(*at).unwrap(), (&**key, place(chunk)));
            assert_eq!(arena.find(*at, key), Some(place(chunk)));
            for place in 0..key.len() {
                let mut other = key.clone();
                *other.get_mut(place).unwrap() ^= 1;
                assert_eq!(arena.find(*at, &other), None, "byte {place} of {}", key.len());
            }
            assert_eq!(arena.find(*at, key.get(1..).unwrap()), None);
        }
    }

    #[test]
    fn room_that_nobody_uses_is_an_eighth_at_most() {
        let mut arena = Arena::default();
        for n in 0..5000_u32 {
            arena.push(&n.to_le_bytes(), place(n));
            let (used, all) = (arena.bytes.len(), arena.bytes.capacity());
            assert!(all - used <= used / 8 + 16, "{used} of {all}");
        }
    }

    #[test]
    fn what_was_removed_counts_as_garbage_and_what_was_taken_out_is_gone() {
        let mut arena = Arena::default();
        let places: Vec<u32> = (0..4).map(|n| arena.push(b"key", place(n))).collect();
        arena.discard(*places.first().unwrap());
        assert_eq!(arena.live(), 3 * record_bytes(b"key"));
        assert!(arena.garbage_is_at_least(4) && !arena.garbage_is_at_least(3));
        let mut copy = Arena::with_room(arena.live());
        for at in places.iter().skip(1) {
            copy.copy(&arena, *at);
        }
        copy.take_out(0);
        let left: Vec<Location> = copy.offsets().map(|at| copy.get(at).unwrap().1).collect();
        assert_eq!(left, [place(2), place(3)]);
        assert_eq!(copy.replace(0, b"key", |_| Some(place(9))), Some(place(2)));
        assert_eq!(copy.replace(0, b"other", |_| Some(place(8))), None);
        assert_eq!(copy.replace(0, b"key", |_| None), None);
        assert_eq!(copy.get(0).unwrap(), (&b"key"[..], place(9)));
    }
}
