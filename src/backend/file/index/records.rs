//! One account's records, in shards of a few thousand.
//!
//! As records are added, one shard after the other is split in two, in turn, whenever the average passes a limit (linear hashing);
//! as they are removed, the last one is merged into the one that it came from. So no more than one shard is ever moved at once, and
//! no directory is needed. A shard has one to two times the average.

use super::arena::record_bytes;
use super::hasher::{KeyHasher, tag};
use super::location::Location;
use super::shard::{Shard, with_spare};

/// Records of a shard on average, before one is split.
const SHARD_RECORDS: usize = if cfg!(test) { 12 } else { 2000 };
/// Bytes of records of a shard on average, before one is split.
const SHARD_BYTES: usize = if cfg!(test) { 1024 } else { 128 << 10 };

/// Records by their keys. An account with few of them has one shard and nothing else.
#[derive(Debug)]
pub(super) enum Records {
    One(Shard),
    Many(Many),
}

#[derive(Debug)]
pub(super) struct Many {
    shards: Vec<Shard>,
    /// Of all shards.
    records: usize,
    /// Of all shards.
    bytes: usize,
    /// So many shards are not merged, however few records they have: more are to come.
    kept: usize,
}

impl Default for Records {
    fn default() -> Self {
        Self::One(Shard::default())
    }
}

/// Which of some shards a record with this tag is in.
const fn place(tag: u32, shards: usize) -> usize {
    let mask = shards.next_power_of_two() - 1;
    let place = tag as usize & mask;
    // A shard that does not exist yet: its records are in the one that will be split for it.
    if place < shards { place } else { place & (mask >> 1) }
}

/// A shard has one in so many of all records: in a shard that is still to be split are twice as many as in one that was.
const fn one_in(shard: usize, shards: usize) -> usize {
    let all = shards.next_power_of_two();
    let half = all / 2;
    if shard < half && shard + half >= shards { half } else { all }
}

/// The shard that is split to make this one.
const fn parent(shard: usize) -> usize {
    shard - (shard + 1).next_power_of_two() / 2
}

impl Records {
    pub(super) const fn len(&self) -> usize {
        match self {
            Self::One(shard) => shard.len(),
            Self::Many(many) => many.records,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::One(shard) => shard.bytes(),
            Self::Many(many) => many.bytes,
        }
    }

    /// Bytes of memory that they take.
    pub(super) fn memory(&self) -> usize {
        let shards = match self {
            Self::One(_) => 0,
            Self::Many(many) => many.shards.capacity() * size_of::<Shard>(),
        };
        shards + self.shards().iter().map(Shard::memory).sum::<usize>()
    }

    fn shards(&self) -> &[Shard] {
        match self {
            Self::One(shard) => std::slice::from_ref(shard),
            Self::Many(many) => &many.shards,
        }
    }

    fn shards_mut(&mut self) -> &mut [Shard] {
        match self {
            Self::One(shard) => std::slice::from_mut(shard),
            Self::Many(many) => &mut many.shards,
        }
    }

    #[inline]
    fn shard(&self, hash: u64) -> Option<&Shard> {
        match self {
            Self::One(shard) => Some(shard),
            Self::Many(many) => many.shards.get(place(tag(hash), many.shards.len())),
        }
    }

    fn shard_mut(&mut self, hash: u64) -> Option<&mut Shard> {
        match self {
            Self::One(shard) => Some(shard),
            Self::Many(many) => {
                let place = place(tag(hash), many.shards.len());
                many.shards.get_mut(place)
            }
        }
    }

    #[inline]
    pub(super) fn find(&self, hash: u64, key: &[u8]) -> Option<Location> {
        self.shard(hash)?.find(hash, key)
    }

    /// Reads what putting records with these hashes is going to read first. Each lies somewhere else, in memory that no cache has, and
    /// nothing here waits for one before it asks for the next: so many are fetched in the time of one.
    #[inline]
    pub(super) fn touch(&self, hashes: impl Iterator<Item = u64>) {
        let touched = hashes.filter_map(|hash| Some(self.shard(hash)?.touch(hash))).fold(0, |all, one| all ^ one);
        std::hint::black_box(touched);
    }

    /// Gives a record that is there the place that `to` makes of its place, if any; gives the place it had then.
    pub(super) fn replace(&mut self, hash: u64, key: &[u8], to: impl Fn(Location) -> Option<Location>) -> Option<Location> {
        self.shard_mut(hash)?.replace(hash, key, to)
    }

    /// Gives where the record was before.
    pub(super) fn put(&mut self, hasher: &KeyHasher, hash: u64, key: &[u8], location: Location) -> Option<Location> {
        let before = self.replace(hash, key, |_| Some(location));
        if before.is_none() {
            self.insert(hasher, hash, key, location);
        }
        before
    }

    #[inline(never)]
    fn insert(&mut self, hasher: &KeyHasher, hash: u64, key: &[u8], location: Location) {
        if let Some(shard) = self.shard_mut(hash) {
            shard.insert(hasher, hash, key, location);
        }
        if let Self::Many(many) = self {
            many.records += 1;
            many.bytes += record_bytes(key);
        }
        let shards = self.shards().len();
        if self.len() > shards * SHARD_RECORDS || self.bytes() > shards * SHARD_BYTES {
            self.split(hasher);
        }
    }

    /// Gives where the record was.
    pub(super) fn remove(&mut self, hasher: &KeyHasher, hash: u64, key: &[u8]) -> Option<Location> {
        let location = self.shard_mut(hash)?.remove(hash, key)?;
        if let Self::Many(many) = self {
            many.records -= 1;
            many.bytes -= record_bytes(key);
            self.merge_one(hasher);
        }
        Some(location)
    }

    /// Merges a shard where there are too many for the records; gives whether it has.
    fn merge_one(&mut self, hasher: &KeyHasher) -> bool {
        let Self::Many(many) = self else { return false };
        // Far enough from where one is split that no shard goes to and fro.
        let fewer = many.shards.len() - 1;
        let too_many = fewer >= many.kept && many.records < fewer * SHARD_RECORDS / 2 && many.bytes < fewer * SHARD_BYTES / 2;
        if too_many {
            self.merge(hasher);
        }
        too_many
    }

    fn split(&mut self, hasher: &KeyHasher) {
        if let Self::One(shard) = self {
            let (records, bytes) = (shard.len(), shard.bytes());
            *self = Self::Many(Many { shards: vec![std::mem::take(shard)], records, bytes, kept: 0 });
        }
        let Self::Many(many) = self else { return };
        let new = many.shards.len();
        if let Some(shard) = many.shards.get_mut(parent(new)) {
            let shard = shard.split_off(hasher, |tag| place(tag, new + 1) == new);
            many.shards.push(shard);
        }
    }

    fn merge(&mut self, hasher: &KeyHasher) {
        let Self::Many(many) = self else { return };
        let Some(last) = many.shards.pop() else { return };
        let parent = parent(many.shards.len());
        if let Some(shard) = many.shards.get_mut(parent) {
            shard.absorb(hasher, &last);
        }
        if many.shards.len() > 1 {
            if many.shards.capacity() > 2 * many.shards.len() {
                many.shards.shrink_to(many.shards.len() + many.shards.len() / 4);
            }
        } else if let Some(only) = many.shards.pop() {
            *self = Self::One(only);
        }
    }

    /// Makes room for so many records of so many bytes in all.
    pub(super) fn reserve(&mut self, hasher: &KeyHasher, records: usize, bytes: usize) {
        if records <= self.len() {
            return;
        }
        let wanted = records.div_ceil(SHARD_RECORDS).max(bytes.div_ceil(SHARD_BYTES));
        while self.shards().len() < wanted {
            self.split(hasher);
        }
        let shards = self.shards().len();
        for (at, shard) in self.shards_mut().iter_mut().enumerate() {
            let one_in = one_in(at, shards);
            shard.reserve(with_spare(records / one_in), with_spare(bytes / one_in));
        }
    }

    /// Makes room for so many records in all, which are as long as those that are there. Their shards stay until [`Self::trim`],
    /// whatever is deleted.
    pub(super) fn expect(&mut self, hasher: &KeyHasher, records: usize) {
        let bytes = self.bytes() as u128 * records as u128 / self.len().max(1) as u128;
        self.reserve(hasher, records, usize::try_from(bytes).unwrap_or(0));
        if let Self::Many(many) = self {
            many.kept = many.shards.len();
        }
    }

    /// Gives back the room that was made for records which have not come.
    pub(super) fn trim(&mut self, hasher: &KeyHasher) {
        if let Self::Many(many) = self {
            many.kept = 0;
        }
        while self.merge_one(hasher) {}
        self.shards_mut().iter_mut().for_each(Shard::trim);
    }

    /// Keys and places of all records.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&[u8], Location)> {
        self.shards().iter().flat_map(Shard::iter)
    }

    /// Panics where there is room for many more records than there are.
    #[cfg(test)]
    pub(super) fn check_trimmed(&self) {
        let shards = self.shards().len();
        assert!(self.len() >= (shards - 1) * SHARD_RECORDS / 2 || self.bytes() >= (shards - 1) * SHARD_BYTES / 2);
        self.shards().iter().for_each(Shard::check_trimmed);
    }

    /// Panics where what is counted is not what is there, or where more memory is held than is promised.
    #[cfg(test)]
    pub(super) fn check(&self, hasher: &KeyHasher) {
        let shards = self.shards();
        let (len, bytes) = (self.len(), shards.iter().map(Shard::bytes).sum::<usize>());
        assert_eq!(len, self.iter().count());
        assert_eq!(bytes, self.iter().map(|(key, _)| record_bytes(key)).sum::<usize>());
        if let Self::Many(many) = self {
            assert_eq!(bytes, many.bytes);
            assert!(shards.len() > 1 && many.shards.capacity() <= 2 * shards.len().max(4));
        }
        for (at, shard) in shards.iter().enumerate() {
            shard.check();
            assert!(shard.iter().all(|(key, _)| place(tag(hasher.hash(key)), shards.len()) == at));
        }
    }
}
