//! A part of an account's records: a table over an arena.

use super::arena::{Arena, record_bytes};
use super::hasher::{KeyHasher, tag};
use super::location::Location;
use super::table::{Slot, Table};

/// So many records are looked through one by one, without a table.
const FEW: usize = 8;
/// When so much of an arena is garbage, it is copied: one in so many bytes.
const MOST_GARBAGE_ONE_IN: usize = 3;
/// The same when the arena is full, and would have to grow.
const MOST_GARBAGE_IN_FULL_ONE_IN: usize = 4;

/// A little more than is known to be needed: hashes do not fill all shards to the same height.
pub(super) const fn with_spare(count: usize) -> usize {
    count + count / 16
}

/// Records, each findable by its hash and key.
///
/// Where the table is empty the arena has few records and no garbage. Otherwise the table has each record of the arena that is none.
#[derive(Debug, Default)]
pub(super) struct Shard {
    table: Table,
    arena: Arena,
    records: u32,
}

impl Shard {
    pub(super) const fn len(&self) -> usize {
        self.records as usize
    }

    /// Bytes of the records.
    pub(super) const fn bytes(&self) -> usize {
        self.arena.live()
    }

    /// Bytes of memory that it takes.
    pub(super) fn memory(&self) -> usize {
        self.arena.memory() + self.table.memory()
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Location> {
        if self.table.is_empty() { self.find_in_few(key) } else { self.table.find(tag(hash), |at| self.arena.find(at, key)) }
    }

    /// Something of what putting a record with this hash is going to read, and nothing that has a meaning.
    #[inline]
    pub(super) fn touch(&self, hash: u64) -> u32 {
        self.table.touch(tag(hash)) ^ self.arena.touch()
    }

    // Apart from the rest, so that the rest is small enough to become a part of who calls it.
    #[inline(never)]
    fn find_in_few(&self, key: &[u8]) -> Option<Location> {
        self.arena.offsets().find_map(|at| self.arena.find(at, key))
    }

    fn offset_of(&self, hash: u64, key: &[u8]) -> Option<u32> {
        let look = |at| self.arena.find(at, key).map(|_| at);
        if self.table.is_empty() { self.arena.offsets().find_map(look) } else { self.table.find(tag(hash), look) }
    }

    /// Gives a record that is there the place that `to` makes of its place, if any; gives the place it had then.
    pub(super) fn replace(&mut self, hash: u64, key: &[u8], to: impl Fn(Location) -> Option<Location>) -> Option<Location> {
        if self.table.is_empty() {
            let at = self.offset_of(hash, key)?;
            return self.arena.replace(at, key, to);
        }
        self.table.find(tag(hash), |at| self.arena.replace(at, key, &to))
    }

    /// Adds a record that is not there.
    pub(super) fn insert(&mut self, hasher: &KeyHasher, hash: u64, key: &[u8], location: Location) {
        let bytes = record_bytes(key);
        if !self.arena.has_room(bytes) && self.arena.garbage_is_at_least(MOST_GARBAGE_IN_FULL_ONE_IN) {
            self.compact(bytes);
        }
        if self.table.is_empty() && self.len() >= FEW {
            self.table.reserve(self.len() + 1);
            for at in self.arena.offsets() {
                self.table.insert(Slot { tag: tag(hasher.hash(self.arena.key(at))), at });
            }
        }
        let at = self.arena.push(key, location);
        if !self.table.is_empty() {
            self.table.insert(Slot { tag: tag(hash), at });
        }
        self.records += 1;
    }

    /// Gives the place of the record that was there.
    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) -> Option<Location> {
        let at = self.offset_of(hash, key)?;
        let location = self.arena.get(at).map(|(_, location)| location);
        self.records -= 1;
        if self.table.is_empty() {
            self.arena.take_out(at);
        } else {
            self.table.remove(Slot { tag: tag(hash), at });
            self.arena.discard(at);
            if self.arena.garbage_is_at_least(MOST_GARBAGE_ONE_IN) {
                self.compact(0);
            }
        }
        location
    }

    /// Gives the memory of garbage back, but keeps room for so many bytes.
    fn compact(&mut self, room: usize) {
        let mut arena = Arena::with_room(self.arena.live() + room);
        for slot in self.table.iter_mut() {
            slot.at = arena.copy(&self.arena, slot.at);
        }
        self.arena = arena;
        if self.len() <= FEW {
            self.table = Table::default();
        } else {
            self.table.shrink();
        }
    }

    /// All records, by their tags and offsets.
    fn slots(&self, hasher: &KeyHasher) -> impl Iterator<Item = Slot> {
        let few = self.table.is_empty().then(|| self.arena.offsets());
        let few = few.into_iter().flatten().map(|at| Slot { tag: tag(hasher.hash(self.arena.key(at))), at });
        self.table.iter().chain(few)
    }

    /// Keys and places of all records.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Location)> {
        let few = self.table.is_empty().then(|| self.arena.offsets());
        self.table.iter().map(|slot| slot.at).chain(few.into_iter().flatten()).filter_map(|at| self.arena.get(at))
    }

    /// Moves the records with such tags to a shard of their own.
    pub(super) fn split_off(&mut self, hasher: &KeyHasher, moves: impl Fn(u32) -> bool) -> Self {
        let (moved, kept): (Vec<Slot>, Vec<Slot>) = self.slots(hasher).partition(|slot| moves(slot.tag));
        let moved = self.copy_of(&moved);
        *self = self.copy_of(&kept);
        moved
    }

    fn copy_of(&self, records: &[Slot]) -> Self {
        let bytes: usize = records.iter().map(|slot| record_bytes(self.arena.key(slot.at))).sum();
        // They are about to grow again.
        let mut arena = Arena::with_room(with_spare(bytes));
        let has_table = records.len() > FEW;
        let mut table = Table::with_room(if has_table { with_spare(records.len()) } else { 0 });
        for slot in records {
            let at = arena.copy(&self.arena, slot.at);
            if has_table {
                table.insert(Slot { at, ..*slot });
            }
        }
        Self { table, arena, records: records.len() as u32 }
    }

    /// Takes over all records of another shard.
    pub(super) fn absorb(&mut self, hasher: &KeyHasher, other: &Self) {
        self.reserve(self.len() + other.len(), self.bytes() + other.bytes());
        for (key, location) in other.iter() {
            self.insert(hasher, hasher.hash(key), key, location);
        }
    }

    /// Makes room for so many records of so many bytes in all.
    pub(super) fn reserve(&mut self, records: usize, bytes: usize) {
        let room = bytes.saturating_sub(self.bytes());
        if !self.arena.has_room(room) && self.arena.garbage_is_at_least(MOST_GARBAGE_IN_FULL_ONE_IN) {
            self.compact(room);
        } else {
            self.arena.reserve(room);
        }
        if records > FEW {
            self.table.reserve(records.saturating_sub(self.table.len()));
        }
    }

    /// Gives back room that was made for more records than have come.
    pub(super) fn trim(&mut self) {
        self.table.trim(with_spare(self.table.len()));
        self.arena.trim(with_spare(self.bytes()));
    }

    /// Panics where there is room for many more records than there are: beside what is garbage, a third is unused at most.
    #[cfg(test)]
    pub(super) fn check_trimmed(&self) {
        let (table, arena) = (self.table.memory(), self.arena.memory());
        let records = if self.table.is_empty() { 0 } else { self.len() };
        assert!(table <= (records * 4 / 3 + 2) * 8 * 4 / 3 + 16, "a table of {table} bytes for {records} records");
        assert!(arena <= (self.bytes() + self.arena.garbage()) * 4 / 3 + 24, "{arena} bytes for {}", self.bytes());
    }

    /// Panics where what is counted is not what is there, or where more memory is held than is promised.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.len(), self.iter().count());
        assert!(self.table.is_empty() || self.table.len() == self.len());
        assert!(!self.table.is_empty() || self.len() <= FEW && self.arena.garbage() == 0);
        assert!(!self.arena.garbage_is_at_least(MOST_GARBAGE_ONE_IN));
    }
}
