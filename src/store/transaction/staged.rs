//! Writes of a transaction that are not committed.
//!
//! They are kept as they came, packed: most transactions write few records, once each, and what they have staged is their batch then.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use crate::error::{Error, Result};
use crate::record::{CREDS_KEY, Op, OpReader};

/// Up to so many operations are gone through for a look-up; more of them get a table.
const FEW: usize = 8;
/// Bytes of operations that later ones have replaced, beyond as many that count, before they are given back.
const KEPT_GARBAGE: usize = 16 << 10;

/// What staged writes say about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    Value(&'a [u8]),
    Gone,
    NotTouched,
}

/// Places of the last operation on each key.
#[derive(Debug, Default)]
struct Table {
    places: HashTable<usize>,
    hasher: DefaultHashBuilder,
}

/// Puts and deletes, packed, in the order in which they came.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// Every record that no operation is about is gone.
    cleared: bool,
    ops: Vec<u8>,
    /// How many operations there are.
    count: usize,
    /// Bytes of operations that later ones on the same key have replaced.
    garbage: usize,
    /// Present where there are more than a few.
    table: Option<Table>,
}

impl Staged {
    pub(super) fn is_empty(&self) -> bool {
        !self.cleared && self.ops.is_empty()
    }

    pub(super) const fn is_cleared(&self) -> bool {
        self.cleared
    }

    /// The last operation on each key.
    pub(super) fn writes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.last_ops().filter_map(|(_, op)| write_of(op))
    }

    fn last_ops(&self) -> impl Iterator<Item = (usize, Op<'_>)> {
        places(&self.ops).filter(|(at, op)| self.garbage == 0 || write_of(*op).and_then(|(key, _)| self.place(key)) == Some(*at))
    }

    /// Where the last operation on a key begins.
    fn place(&self, key: &[u8]) -> Option<usize> {
        match &self.table {
            Some(table) => table.places.find(table.hasher.hash_one(key), |at| key_at(&self.ops, *at) == key).copied(),
            None => {
                places(&self.ops).filter(|(_, op)| write_of(*op).is_some_and(|(other, _)| other == key)).last().map(|(at, _)| at)
            }
        }
    }

    pub(super) fn look_up(&self, key: &[u8]) -> Seen<'_> {
        let found = if self.ops.is_empty() { None } else { self.place(key).and_then(|at| op_at(&self.ops, at)) };
        match found.and_then(write_of) {
            Some((_, Some(value))) => Seen::Value(value),
            Some((_, None)) => Seen::Gone,
            None if self.cleared && key != CREDS_KEY => Seen::Gone,
            None => Seen::NotTouched,
        }
    }

    /// Whether anything here concerns keys that start with `prefix`, creds aside.
    pub(super) fn touches(&self, prefix: &[u8]) -> bool {
        self.cleared || self.writes().any(|(key, _)| *key != *CREDS_KEY && key.starts_with(prefix))
    }

    fn clear(&mut self) {
        let creds = self.place(CREDS_KEY).and_then(|at| op_at(&self.ops, at)).map(packed);
        *self = Self { cleared: true, ..Self::default() };
        if let Some(creds) = creds {
            self.append(&creds);
        }
    }

    /// Adds checked operations.
    pub(super) fn add(&mut self, ops: &[u8]) -> Result<()> {
        let mut from = 0;
        for (at, op) in places(ops) {
            match op {
                Op::Put { .. } | Op::Delete { .. } => continue,
                Op::Clear => {
                    self.append(ops.get(from..at).unwrap_or_default());
                    self.clear();
                    from = at + 1;
                }
                Op::Drop => return Err(Error::internal("a drop inside a transaction")),
            }
        }
        self.append(ops.get(from..).unwrap_or_default());
        Ok(())
    }

    /// Adds puts and deletes.
    fn append(&mut self, ops: &[u8]) {
        let start = self.ops.len();
        if start == 0 && self.ops.capacity() < ops.len() {
            // What most often stays all that there is takes no more than it needs.
            self.ops.reserve_exact(ops.len());
        }
        for (at, op) in places(ops) {
            let Some((key, _)) = write_of(op) else { continue };
            if self.count > 0
                && let Some(before) = self.place(key)
            {
                self.garbage += len_at(&self.ops, before);
            }
            let place = self.ops.len();
            let end = at + len_of(op);
            self.ops.extend_from_slice(ops.get(at..end).unwrap_or_default());
            self.count += 1;
            self.enter(place);
        }
        if self.garbage > KEPT_GARBAGE + self.ops.len() / 2 || self.garbage == start && start > 0 {
            self.tidy();
        }
    }

    /// Notes where the last operation on a key begins, where there are many of them.
    fn enter(&mut self, place: usize) {
        if self.table.is_none() {
            if self.count <= FEW {
                return;
            }
            let mut table = Table::default();
            places(&self.ops).for_each(|(at, _)| table.enter(&self.ops, at));
            self.table = Some(table);
        } else if let Some(table) = &mut self.table {
            table.enter(&self.ops, place);
        }
    }

    /// Drops what later operations have replaced.
    fn tidy(&mut self) {
        let mut kept = Vec::with_capacity(self.ops.len() - self.garbage);
        self.last_ops().for_each(|(_, op)| op.pack(&mut kept));
        *self = Self { cleared: self.cleared, ..Self::default() };
        self.append(&kept);
    }

    /// Takes in what a child leaves, which comes after everything here.
    pub(super) fn absorb(&mut self, child: Self) {
        if child.cleared {
            self.clear();
        }
        if self.ops.is_empty() {
            *self = Self { cleared: self.cleared, ..child };
        } else {
            self.append(&child.ops);
        }
    }

    /// The packed batch.
    pub(super) fn pack(mut self) -> Vec<u8> {
        if self.garbage > 0 {
            self.tidy();
        }
        if !self.cleared {
            return self.ops;
        }
        let mut ops = Vec::with_capacity(self.ops.len() + 1);
        Op::Clear.pack(&mut ops);
        ops.extend_from_slice(&self.ops);
        ops
    }
}

impl Table {
    fn enter(&mut self, ops: &[u8], at: usize) {
        let Self { places, hasher } = self;
        let key = key_at(ops, at);
        let hash = |place: &usize| hasher.hash_one(key_at(ops, *place));
        match places.find_mut(hasher.hash_one(key), |place| key_at(ops, *place) == key) {
            Some(place) => *place = at,
            None => {
                places.insert_unique(hasher.hash_one(key), at, hash);
            }
        }
    }
}

/// Packed operations with their places.
fn places(ops: &[u8]) -> impl Iterator<Item = (usize, Op<'_>)> {
    let mut reader = OpReader::new(ops);
    std::iter::from_fn(move || {
        let at = reader.position();
        reader.next()?.ok().map(|op| (at, op))
    })
}

fn op_at(ops: &[u8], at: usize) -> Option<Op<'_>> {
    OpReader::new(ops.get(at..)?).next()?.ok()
}

fn key_at(ops: &[u8], at: usize) -> &[u8] {
    op_at(ops, at).and_then(write_of).map_or(&[], |(key, _)| key)
}

fn len_at(ops: &[u8], at: usize) -> usize {
    op_at(ops, at).map_or(0, len_of)
}

/// Key and new value of a put or a delete.
const fn write_of(op: Op<'_>) -> Option<(&[u8], Option<&[u8]>)> {
    match op {
        Op::Put { key, value } => Some((key, Some(value))),
        Op::Delete { key } => Some((key, None)),
        Op::Clear | Op::Drop => None,
    }
}

const fn len_of(op: Op<'_>) -> usize {
    match op {
        Op::Put { key, value } => 7 + key.len() + value.len(),
        Op::Delete { key } => 3 + key.len(),
        Op::Clear | Op::Drop => 1,
    }
}

fn packed(op: Op<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(len_of(op));
    op.pack(&mut out);
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

    #[derive(Debug, Clone)]
    enum Step {
        Put(u8, usize),
        Delete(u8),
        Creds,
        Clear,
    }

    fn key(id: u8) -> Vec<u8> {
        vec![2, b'a' + id]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            8 => (0..14_u8, prop_oneof![Just(3), Just(40), Just(9000)]).prop_map(|(id, length)| Step::Put(id, length)),
            4 => (0..14_u8).prop_map(Step::Delete),
            1 => Just(Step::Creds),
            1 => Just(Step::Clear),
        ]
    }

    /// Staged writes, and what they have to say: whether all else is gone, and the last write of each record.
    #[derive(Debug, Default)]
    struct Both(Staged, bool, Writes);

    impl Both {
        fn add(&mut self, batch: &[Step], number: usize) {
            let mut ops = Vec::new();
            for (at, step) in batch.iter().enumerate() {
                let value = |length: usize| vec![(number * 31 + at) as u8; length];
                match step {
                    Step::Put(id, length) => {
                        Op::Put { key: &key(*id), value: &value(*length) }.pack(&mut ops);
                        self.2.insert(key(*id), Some(value(*length)));
                    }
                    Step::Delete(id) => {
                        Op::Delete { key: &key(*id) }.pack(&mut ops);
                        self.2.insert(key(*id), None);
                    }
                    Step::Creds => {
                        Op::Put { key: CREDS_KEY, value: &value(5) }.pack(&mut ops);
                        self.2.insert(CREDS_KEY.to_vec(), Some(value(5)));
                    }
                    Step::Clear => {
                        Op::Clear.pack(&mut ops);
                        self.1 = true;
                        self.2.retain(|key, _| key == CREDS_KEY);
                    }
                }
            }
            self.0.add(&ops).unwrap();
        }

        fn check(&self) {
            let Self(staged, cleared, writes) = self;
            assert_eq!((staged.is_cleared(), staged.is_empty()), (*cleared, !cleared && writes.is_empty()));
            assert_eq!(&written(staged.writes()), writes);
            for key in (0..15).map(key).chain([CREDS_KEY.to_vec()]) {
                let seen = match writes.get(&key) {
                    Some(Some(value)) => Seen::Value(value),
                    Some(None) => Seen::Gone,
                    None if *cleared && key != CREDS_KEY => Seen::Gone,
                    None => Seen::NotTouched,
                };
                assert_eq!(staged.look_up(&key), seen);
                let is_touched = writes.keys().any(|other| other.starts_with(&key) && other != CREDS_KEY);
                assert_eq!(staged.touches(&key), *cleared || is_touched);
            }
            let live: usize =
                writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(3, |value| value.len() + 7)).sum();
            assert!(staged.ops.len() <= 2 * live + 2 * KEPT_GARBAGE, "{} bytes for {live}", staged.ops.len());
        }
    }

    fn written<'a>(writes: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>) -> Writes {
        let mut all = Writes::new();
        for (key, value) in writes {
            assert_eq!(all.insert(key.to_vec(), value.map(<[u8]>::to_vec)), None, "each record once");
        }
        all
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn what_is_staged_is_what_was_written_last(
            batches in prop::collection::vec(prop::collection::vec(step(), 0..12), 0..30),
            child in prop::collection::vec(prop::collection::vec(step(), 0..12), 0..6),
        ) {
            let (mut parent, mut inner) = (Both::default(), Both::default());
            for (number, batch) in batches.iter().enumerate() {
                parent.add(batch, number);
                parent.check();
            }
            for (number, batch) in child.iter().enumerate() {
                inner.add(batch, 100 + number);
                inner.check();
            }
            let Both(staged, cleared, writes) = inner;
            parent.0.absorb(staged);
            if cleared {
                parent.1 = true;
                parent.2.retain(|key, _| key == CREDS_KEY);
            }
            parent.2.extend(writes);
            parent.check();
            let Both(staged, cleared, writes) = parent;
            let packed = staged.pack();
            let mut ops = OpReader::new(&packed).map(Result::unwrap).peekable();
            assert_eq!(ops.next_if_eq(&Op::Clear).is_some(), cleared);
            assert_eq!(written(ops.map(|op| write_of(op).unwrap())), writes);
        }
    }
}
