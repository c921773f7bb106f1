//! The value cache beside the index, while records are written, deleted, read and compacted.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::mpsc::channel;
use shuttle::thread::{self, JoinHandle};

use super::disk::Disk;
use super::explore;
use super::world::{ACCOUNT, NEVER, join, open, options};
use crate::backend::file::segments::{ChunkMemo, Read, Wait};
use crate::backend::file::{Durability, FileBackend};
use crate::backend::{Applied, Backend, Batch};
use crate::record::Op;

const RECORDS: usize = 2;
const ALL: [usize; RECORDS] = [0, 1];
/// So many versions of each record are written; every fourth one is a delete.
const VERSIONS: usize = 6;
const fn is_delete(version: usize) -> bool {
    version.is_multiple_of(4)
}

fn key(record: usize) -> Vec<u8> {
    format!("\x02{record}").into_bytes()
}

/// Of the same length or another, so that memory is used again or not.
fn value(record: usize, version: usize) -> Vec<u8> {
    let mut value = format!("{record} {version}").into_bytes();
    value.resize(150 + 20 * (version / 2 % 2), b' ');
    value
}

fn version_of(record: usize, value: &[u8]) -> usize {
    let text = std::str::from_utf8(value).unwrap().trim_end();
    let (of, version) = text.split_once(' ').unwrap();
    assert_eq!(of.parse(), Ok(record), "another record's value");
    version.parse().unwrap()
}

/// What is known of a record.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The last version whose write has begun.
    begun: usize,
    /// The last version that was acknowledged or read.
    shown: usize,
}

struct Records {
    cask: Arc<FileBackend>,
    known: Mutex<[Known; RECORDS]>,
}

impl Records {
    fn new(cache_bytes: u64) -> Arc<Self> {
        let cask = open(&Disk::default(), &options(Durability::Process, NEVER, cache_bytes));
        Arc::new(Self { cask, known: Mutex::default() })
    }

    fn known<T>(&self, record: usize, work: impl FnOnce(&mut Known) -> T) -> T {
        work(&mut self.known.lock().unwrap()[record])
    }

    /// Writes a version of some records, as one batch.
    fn write(&self, records: &[usize], version: usize) {
        let mut ops = Vec::new();
        for record in records {
            self.known(*record, |known| known.begun = version);
            let (key, value) = (key(*record), value(*record, version));
            if is_delete(version) { Op::Delete { key: &key } } else { Op::Put { key: &key, value: &value } }.pack(&mut ops);
        }
        let (sender, receiver) = channel();
        let applied = self.cask.apply(Batch { account: ACCOUNT, ops: &ops, fence: 0 }, &mut || {
            let sender = sender.clone();
            Box::new(move |outcome| sender.send(outcome).unwrap())
        });
        let outcome = if let Applied::Now(outcome) = applied { outcome } else { receiver.recv().unwrap() };
        outcome.unwrap();
        records.iter().for_each(|record| self.known(*record, |known| known.shown = known.shown.max(version)));
    }

    /// Takes note of a version that was read, where `before` had been shown when the read began; gives it.
    fn note(&self, record: usize, before: usize, seen: Option<&[u8]>) -> usize {
        let begun = self.known(record, |known| known.begun);
        let version = match seen {
            Some(value) => version_of(record, value),
            // The oldest delete that it may be; 0 is the time before the first write.
            None => (before..=begun).find(|version| is_delete(*version)).expect("a record was gone that nobody had deleted"),
        };
        assert!((before..=begun).contains(&version), "version {version} was read after {before} had been shown");
        self.known(record, |known| known.shown = known.shown.max(version));
        version
    }

    /// Reads one record or all of them, in one of both ways.
    fn read(&self) {
        let one = thread_rng().gen_range(0..RECORDS);
        let wait = if thread_rng().gen_bool(0.5) { Wait::Allowed } else { Wait::Refused };
        self.get(if thread_rng().gen_bool(0.3) { &ALL } else { &ALL[one..=one] }, wait);
    }

    /// Reads some records with one call; gives their versions, or none where it would have had to wait.
    fn get(&self, records: &[usize], wait: Wait) -> Vec<usize> {
        let before: Vec<usize> = records.iter().map(|record| self.known(*record, |known| known.shown)).collect();
        let keys: Vec<Vec<u8>> = records.iter().map(|record| key(*record)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut seen: Vec<Option<Vec<u8>>> = Vec::new();
        let mut sink = |value: Option<&[u8]>| seen.push(value.map(<[u8]>::to_vec));
        let is_there = match wait {
            Wait::Refused => self.cask.get_at_once(ACCOUNT, &keys, &mut sink).unwrap(),
            Wait::Allowed => self.cask.get(ACCOUNT, &keys, &mut sink).map(|()| true).unwrap(),
        };
        if !is_there {
            return Vec::new();
        }
        let read = records.iter().zip(before).zip(&seen);
        read.map(|((record, before), seen)| self.note(*record, before, seen.as_deref())).collect()
    }

    /// Leaves the cache what it may come to at any time where it is full: without the record.
    fn evict(&self, record: usize) {
        if let Some(found) = self.cask.index.account(ACCOUNT).and_then(|records| records.find(&key(record))) {
            self.cask.cache.remove(found.hash);
        }
    }

    /// Makes sure that the value which is cached for the place that the index has is the one in that place. Gives whether there
    /// was one.
    fn compare(&self, record: usize) -> bool {
        let key = key(record);
        let Some(found) = self.cask.index.account(ACCOUNT).and_then(|records| records.find(&key)) else { return false };
        let Some(cached) = self.cask.cache.get(found) else { return false };
        let mut memo = ChunkMemo::default();
        match self.cask.log.segments.read(ACCOUNT, &key, found.location, Wait::Allowed, &mut memo).unwrap() {
            Read::Value(value) => assert_eq!(value, &*cached, "what is cached is not what is there"),
            Read::Gone => {}
            Read::WouldWait => panic!("it was allowed to wait"),
        }
        true
    }
}

fn start(records: &Arc<Records>, work: impl FnOnce(&Records) + Send + 'static) -> JoinHandle<()> {
    let records = Arc::clone(records);
    thread::spawn(move || work(&records))
}

fn scenario(cache_bytes: u64, compared: &AtomicUsize, compacted: &AtomicUsize) {
    let records = Records::new(cache_bytes);
    let mut threads: Vec<_> = (0..RECORDS)
        .map(|record| start(&records, move |records| (1..=VERSIONS).for_each(|version| records.write(&[record], version))))
        .collect();
    threads.extend((0..2).map(|_| start(&records, |records| (0..8).for_each(|_| records.read()))));
    let done = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let counts = Arc::clone(&done);
    threads.push(start(&records, move |records| {
        for _ in 0..3 {
            let one = records.cask.compact_all().unwrap();
            counts.1.fetch_add(usize::from(one.before > 0), Ordering::Relaxed);
        }
    }));
    let counts = Arc::clone(&done);
    threads.push(start(&records, move |records| {
        for turn in 0..6 {
            counts.0.fetch_add(usize::from(records.compare(turn % RECORDS)), Ordering::Relaxed);
        }
    }));
    threads.push(start(&records, |records| (0..8).for_each(|turn| records.evict(turn % RECORDS))));
    join(threads);
    (0..RECORDS).for_each(|record| {
        records.compare(record);
    });
    (0..3).for_each(|_| records.read());
    assert!((0..RECORDS).all(|record| records.known(record, |known| known.shown == VERSIONS)));
    records.cask.close().unwrap();
    compared.fetch_add(done.0.load(Ordering::Relaxed), Ordering::Relaxed);
    compacted.fetch_add(done.1.load(Ordering::Relaxed), Ordering::Relaxed);
}

#[test]
fn a_read_gives_nothing_older_than_what_was_shown_before() {
    static COMPARED: AtomicUsize = AtomicUsize::new(0);
    static COMPACTED: AtomicUsize = AtomicUsize::new(0);
    // Room for all values, and for about one.
    explore(600, || scenario(4096, &COMPARED, &COMPACTED));
    explore(150, || scenario(400, &COMPARED, &COMPACTED));
    let (compared, compacted) = (COMPARED.load(Ordering::Relaxed), COMPACTED.load(Ordering::Relaxed));
    assert!(compared > 0 && compacted > 0, "{compared} cached values were compared, {compacted} compactions made");
}

#[test]
fn a_slow_read_leaves_nothing_old_in_the_cache() {
    static COMPACTED: AtomicUsize = AtomicUsize::new(0);
    explore(400, || {
        let records = Records::new(4096);
        // The version that follows has another length, or the same one.
        let first = thread_rng().gen_range(1..=2);
        records.write(&[0], first);
        records.evict(0);
        let is_read_before = thread_rng().gen_bool(0.5);
        join(vec![
            start(&records, |records| drop(records.get(&[0], Wait::Allowed))),
            start(&records, move |records| records.write(&[0], first + 1)),
        ]);
        if is_read_before {
            assert_eq!(records.get(&[0], Wait::Allowed), [first + 1]);
        }
        // Where the read left an old value, it must not pass for the one that is copied now.
        let compacted = records.cask.compact_all().unwrap();
        COMPACTED.fetch_add(usize::from(compacted.before > 0), Ordering::Relaxed);
        assert_eq!(records.get(&[0], Wait::Allowed), [first + 1]);
        records.compare(0);
        records.cask.close().unwrap();
    });
    assert!(COMPACTED.load(Ordering::Relaxed) > 0);
}

#[test]
fn records_of_one_batch_are_read_together() {
    explore(400, || {
        let records = Records::new(4096);
        records.write(&ALL, 2);
        join(vec![
            start(&records, |records| {
                let versions = records.get(&ALL, Wait::Allowed);
                assert_eq!(versions[0], versions[1], "a part of a batch was read");
            }),
            // Of the same length, so that it goes to where the one before it is cached.
            start(&records, |records| records.write(&ALL, 3)),
            start(&records, |records| records.evict(thread_rng().gen_range(0..RECORDS))),
        ]);
        records.cask.close().unwrap();
    });
}
