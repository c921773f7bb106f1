//! The index against plain maps. Shards are small in this build, so that they are split and merged all the time.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::cache::ValueCache;
use super::super::usage::Needed;
use super::*;
use crate::codec::cipher::Cipher;
use crate::codec::frame::{Chunk, Form};
use crate::record::CREDS_KEY;

const ACCOUNT: &str = "default";

type Model = BTreeMap<Vec<u8>, Location>;

#[derive(Debug, Clone)]
enum Change {
    Put(Vec<u8>),
    Delete(Vec<u8>),
    /// All keys from one on, so many of them.
    DeleteMany(u32, u32),
    Clear,
    Drop,
}

#[derive(Debug, Clone)]
enum Step {
    /// A batch to the segment being written.
    Batch(Vec<Change>),
    /// So many new records at once.
    Fill(u32, u32),
    /// The same through a bulk load.
    Load(u32, u32, usize),
    /// So many records are said to be coming.
    Expect(usize),
    /// No more are coming.
    Trim,
    /// A segment is compacted, and the next one begins.
    Relocate,
}

fn key_of(n: u32) -> Vec<u8> {
    if n == 0 { CREDS_KEY.to_vec() } else { format!("\x02{n}{}", "x".repeat(n as usize % 37)).into_bytes() }
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        10 => (0..150_u32).prop_map(|n| Change::Put(key_of(n))),
        8 => (0..150_u32).prop_map(|n| Change::Delete(key_of(n))),
        2 => (0..400_u32, 1..200_u32).prop_map(|(from, count)| Change::DeleteMany(from, count)),
        1 => Just(Change::Clear),
        1 => Just(Change::Drop),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => proptest::collection::vec(change(), 1..12).prop_map(Step::Batch),
        2 => proptest::collection::vec(change(), CACHED_BATCH_OPS..5 * CACHED_BATCH_OPS).prop_map(Step::Batch),
        4 => (0..400_u32, 1..200_u32).prop_map(|(from, count)| Step::Fill(from, count)),
        2 => (0..400_u32, 1..200_u32, 0..300_usize).prop_map(|(from, count, reserved)| Step::Load(from, count, reserved)),
        2 => (0..900_usize).prop_map(Step::Expect),
        2 => Just(Step::Trim),
        2 => Just(Step::Relocate),
    ]
}

/// A finished frame of some operations.
pub(super) fn frame_of(account: &str, ops: &[Op<'_>]) -> Vec<u8> {
    let mut packed = Vec::new();
    ops.iter().for_each(|op| op.pack(&mut packed));
    let mut bytes = Vec::new();
    assert!(frame::encode_batch(&mut bytes, account, &packed, Form::Plain));
    frame::finish(&mut bytes, 1, 0, &[7; 16], 0, &Cipher::Plain);
    bytes
}

/// An index, what it should have, and the log that it is of.
struct World {
    index: Index,
    model: Model,
    cache: ValueCache,
    segment: u32,
    /// Frames of the segment being written, with their offsets.
    log: Vec<(u64, Vec<u8>)>,
    end: u64,
    tombstones: BTreeMap<u32, u64>,
}

impl World {
    fn new() -> Self {
        let (index, cache) = (Index::default(), ValueCache::new(Some(0)));
        Self { index, model: Model::new(), cache, segment: 1, log: Vec::new(), end: 256, tombstones: BTreeMap::new() }
    }

    fn publish(&mut self, changes: &[Change]) {
        let mut keys: Vec<Change> = Vec::new();
        for change in changes {
            match change {
                Change::DeleteMany(from, count) => keys.extend((*from..from + count).map(|n| Change::Delete(key_of(n)))),
                other => keys.push(other.clone()),
            }
        }
        let value = [5; 40];
        let ops: Vec<Op<'_>> = keys
            .iter()
            .map(|change| match change {
                Change::Put(key) => Op::Put { key, value: &value },
                Change::Delete(key) => Op::Delete { key },
                Change::Clear => Op::Clear,
                Change::Drop | Change::DeleteMany(..) => Op::Drop,
            })
            .collect();
        let bytes = frame_of(ACCOUNT, &ops);
        self.follow(&bytes);
        let unreachable = self.index.publish(&bytes, self.segment, self.end, Some(&self.cache));
        self.index.free(&unreachable);
        self.append(bytes);
    }

    fn append(&mut self, bytes: Vec<u8>) {
        let at = self.end;
        self.end += bytes.len() as u64;
        self.log.push((at, bytes));
    }

    /// Does to the model what a frame does.
    fn follow(&mut self, bytes: &[u8]) {
        for_each_op(frame::chunks(bytes), self.segment, self.end, |op, location| {
            if !matches!(op, Op::Put { .. }) {
                *self.tombstones.entry(self.segment).or_default() += location.size();
            }
            match op {
                Op::Put { key, .. } => drop(self.model.insert(key.to_vec(), location)),
                Op::Delete { key } => drop(self.model.remove(key)),
                Op::Clear => self.model.retain(|key, _| key == CREDS_KEY),
                Op::Drop => self.model.clear(),
            }
        });
    }

    fn load(&mut self, from: u32, count: u32, reserved: usize) {
        let keys: Vec<Vec<u8>> = (from..from + count).map(key_of).collect();
        let ops: Vec<Op<'_>> = keys.iter().map(|key| Op::Put { key, value: b"loaded" }).collect();
        let bytes = frame_of(ACCOUNT, &ops);
        self.follow(&bytes);
        let unreachable = self.index.change(ACCOUNT, self.segment, |changes| {
            changes.reserve(reserved, reserved * 20);
            for_each_op(frame::chunks(&bytes), self.segment, self.end, |op, location| {
                if let Op::Put { key, .. } = op {
                    changes.put(key, location);
                }
            });
        });
        self.index.free(&unreachable);
        self.append(bytes);
    }

    /// Copies what is needed of the segment being written, tombstones included, and begins another one.
    fn relocate(&mut self) {
        let (from, to) = (self.segment, self.segment + 1);
        let mut end = 256;
        for (at, bytes) in std::mem::take(&mut self.log) {
            let mut needed = Vec::new();
            for_each_op(frame::chunks(&bytes), from, at, |op, location| match op {
                Op::Put { key, .. } if self.model.get(key) != Some(&location) => {}
                op => needed.push(op),
            });
            let copy = frame_of(ACCOUNT, &needed);
            for_each_op(frame::chunks(&copy), to, end, |op, location| match op {
                Op::Put { key, .. } => drop(self.model.insert(key.to_vec(), location)),
                _ => *self.tombstones.entry(to).or_default() += location.size(),
            });
            self.index.relocate(&copy, to, end, &[from], &self.cache);
            end += copy.len() as u64;
        }
        self.index.usage.forget(from);
        self.tombstones.remove(&from);
        self.segment = to + 1;
        self.end = 256;
    }

    fn trim(&self) {
        let Some(account) = self.index.account(ACCOUNT) else { return };
        account.trim();
        account.check_trimmed();
    }

    fn check(&self) {
        let account = self.index.account(ACCOUNT);
        let mut listed = Vec::new();
        if let Some(account) = &account {
            account.keys(b"", &mut |key| listed.push(key.to_vec()));
        }
        listed.sort_unstable();
        assert_eq!(listed.iter().collect::<Vec<_>>(), self.model.keys().collect::<Vec<_>>());
        let keys: Vec<Vec<u8>> = (0..620).map(key_of).collect();
        let borrowed: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut found = Vec::new();
        if let Some(account) = &account {
            account.find_all(&borrowed, &mut found);
            account.check();
        }
        for (key, found) in keys.iter().zip(found) {
            let expected = self.model.get(key).copied();
            assert_eq!(found.map(|found| found.location), expected);
            assert_eq!(self.index.has(ACCOUNT, key), expected.is_some());
            assert!(expected.is_none_or(|location| self.index.is_live(ACCOUNT, key, location)));
        }
        assert_eq!(self.index.accounts(), if self.model.is_empty() { vec![] } else { vec![ACCOUNT.to_owned()] });
        for segment in 1..=self.segment {
            let live: u64 = self.model.values().filter(|at| at.segment() == segment).map(|at| at.size()).sum();
            let tombstones = self.tombstones.get(&segment).copied().unwrap_or(0);
            assert_eq!(self.index.usage.needed(segment), Needed { live, tombstones }, "segment {segment}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_index_does_as_a_map(steps in proptest::collection::vec(step(), 1..40)) {
        let mut world = World::new();
        for step in &steps {
            match step {
                Step::Batch(changes) => world.publish(changes),
                Step::Fill(from, count) => {
                    let puts: Vec<Change> = (*from..from + count).map(|n| Change::Put(key_of(n))).collect();
                    world.publish(&puts);
                }
                Step::Load(from, count, reserved) => world.load(*from, *count, *reserved),
                Step::Expect(records) => world.index.account(ACCOUNT).into_iter().for_each(|account| account.expect(*records)),
                Step::Trim => world.trim(),
                Step::Relocate => world.relocate(),
            }
            world.check();
        }
    }
}

#[test]
fn a_batch_is_relocated_with_the_lock_free_between_its_chunks() {
    let index = Index::default();
    let cache = ValueCache::new(Some(0));
    let keys: Vec<Vec<u8>> = (0..50).map(key_of).collect();
    let value = [1; 3000];
    let ops: Vec<Op<'_>> = keys.iter().map(|key| Op::Put { key, value: &value }).collect();
    let bytes = frame_of(ACCOUNT, &ops);
    let _ = index.publish(&bytes, 1, 256, None);
    let account = index.account(ACCOUNT).unwrap();
    let mut seen = 0;
    let chunks = frame::chunks(&bytes).inspect(|_: &Chunk<'_>| {
        assert!(!account.is_locked(), "chunk {seen}");
        seen += 1;
        // What was moved so far is found in its new place, and the rest where it was.
        assert!(keys.iter().all(|key| account.find(key).is_some()));
    });
    index.relocate_chunks(&account, chunks, OpPlaces::new(2, 512), &[1], &cache);
    assert!(seen > 5, "{seen} chunks");
    assert!(keys.iter().all(|key| account.find(key).unwrap().location.segment() == 2));
}

#[test]
fn a_batch_is_seen_whole_while_shards_are_split_and_merged() {
    let index = Index::default();
    let keys: Vec<Vec<u8>> = (1..400).map(key_of).collect();
    let puts: Vec<Op<'_>> = keys.iter().map(|key| Op::Put { key, value: b"v" }).collect();
    let deletes: Vec<Op<'_>> = keys.iter().map(|key| Op::Delete { key }).collect();
    let (puts, deletes) = (frame_of(ACCOUNT, &puts), frame_of(ACCOUNT, &deletes));
    let _ = index.publish(&deletes, 1, 256, None);
    let account = index.account(ACCOUNT).unwrap();
    let borrowed: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for round in 1..100_u64 {
                let _ = index.publish(&puts, 1, round * 8, None);
                let _ = index.publish(&deletes, 1, round * 8, None);
            }
        });
        while !writer.is_finished() {
            let mut found = Vec::new();
            account.find_all(&borrowed, &mut found);
            let there = found.iter().flatten().count();
            assert!(there == 0 || there == keys.len(), "{there} of {}", keys.len());
            let mut listed = 0;
            account.keys(b"\x02", &mut |_| listed += 1);
            assert!(listed == 0 || listed == keys.len(), "{listed} of {}", keys.len());
        }
    });
}

#[test]
fn a_record_that_was_written_anew_is_not_found_in_the_copy_of_the_old_one() {
    let index = Index::default();
    let cache = ValueCache::new(Some(0));
    let bytes = frame_of(ACCOUNT, &[Op::Put { key: b"\x02a", value: b"" }, Op::Put { key: b"\x02b", value: b"" }]);
    let _ = index.publish(&bytes, 1, 256, None);
    let _ = index.publish(&frame_of(ACCOUNT, &[Op::Put { key: b"\x02a", value: b"" }]), 3, 256, None);
    index.relocate(&bytes, 2, 256, &[1], &cache);
    let account = index.account(ACCOUNT).unwrap();
    let segments = [b"\x02a", b"\x02b"].map(|key| account.find(key).unwrap().location.segment());
    assert_eq!(segments, [3, 2]);
}

#[test]
fn what_a_batch_takes_is_counted_before_another_one_can_replace_it() {
    const ROUNDS: u64 = 20_000;
    let index = Index::default();
    let frame = frame_of(ACCOUNT, &[Op::Put { key: b"\x02a", value: b"v" }]);
    let mut bytes = 0;
    for_each_op(frame::chunks(&frame), 1, 256, |_, location| bytes += location.size());
    std::thread::scope(|scope| {
        let writers = [1, 2].map(|segment| {
            let (index, frame) = (&index, &frame);
            scope.spawn(move || (0..ROUNDS).for_each(|round| index.free(&index.publish(frame, segment, 256 + round * 8, None))))
        });
        while !writers.iter().all(|writer| writer.is_finished()) {
            for segment in [1, 2] {
                let live = index.usage.needed(segment).live;
                assert!(live <= 2 * bytes, "{live} bytes are needed of segment {segment}");
            }
        }
    });
    let live = [1, 2].map(|segment| index.usage.needed(segment).live);
    assert!(live == [0, bytes] || live == [bytes, 0], "{live:?} of {bytes}");
}
