//! A cask, what it was handed over, what it has shown, and what has to hold of that.

use std::path::Path;
use std::sync::Mutex;
use std::sync::{Arc, Weak};
use std::time::Duration;

use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::Condvar;
use shuttle::thread;

use super::disk::Disk;
use crate::backend::file::{Durability, FileBackend, FileOptions};
use crate::backend::{Applied, Backend, Batch};
use crate::error::{Error, ErrorKind, Result};
use crate::record::Op;

pub const ACCOUNT: &str = "shop";
const FOLDER: &str = "/cask";
/// The record that every batch writes.
const SHARED: &[u8] = b"\x02shared";
/// Never comes while a test runs.
pub const NEVER: Duration = Duration::from_secs(1 << 20);
/// At once.
pub const NOW: Duration = Duration::ZERO;

pub const fn options(durability: Durability, sync_interval: Duration, cache_bytes: u64) -> FileOptions {
    FileOptions {
        durability,
        sync_interval,
        cache_bytes: Some(cache_bytes),
        // A handful of batches.
        segment_bytes: 1024,
        boot_id: [1; 16],
        compacts: false,
        hint_from: u64::MAX,
        preallocates: false,
        secret: None,
    }
}

pub fn open(disk: &Disk, options: &FileOptions) -> Arc<FileBackend> {
    FileBackend::open(Path::new(FOLDER), Arc::new(disk.clone()), options, None).unwrap()
}

pub fn get(cask: &FileBackend, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut found = None;
    cask.get(ACCOUNT, &[key], &mut |value| found = value.map(<[u8]>::to_vec))?;
    Ok(found)
}

/// A batch that was handed over. Times are those of [`World::now`].
#[derive(Debug, Default)]
struct Handed {
    bytes: usize,
    began: usize,
    returned: Option<usize>,
    is_queued: bool,
    outcomes: Vec<Result<()>>,
    /// At its first outcome: whether it was on disk.
    is_on_disk: bool,
}

/// One look at the shared record: which batches had been shown by then, and which one it showed.
#[derive(Debug)]
struct Look {
    before: Vec<usize>,
    seen: Option<usize>,
}

#[derive(Debug, Default)]
struct Notes {
    now: usize,
    handed: Vec<Handed>,
    /// Batches that were acknowledged or read.
    shown: Vec<usize>,
    looks: Vec<Look>,
}

pub struct World {
    this: Weak<Self>,
    pub disk: Disk,
    pub cask: Arc<FileBackend>,
    options: FileOptions,
    notes: Mutex<Notes>,
    /// How many outcomes have come.
    told: shuttle::sync::Mutex<usize>,
    tells: Condvar,
}

fn own_key(number: usize) -> Vec<u8> {
    format!("\x02own {number}").into_bytes()
}

fn value(number: usize, bytes: usize) -> Vec<u8> {
    let mut value = format!("<{number}>").into_bytes();
    value.resize(bytes, b'.');
    value
}

fn number_of(value: &[u8]) -> usize {
    let end = value.iter().position(|byte| *byte == b'>').unwrap();
    std::str::from_utf8(&value[1..end]).unwrap().parse().unwrap()
}

impl World {
    pub fn new(options: FileOptions) -> Arc<Self> {
        let disk = Disk::default();
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            cask: open(&disk, &options),
            disk,
            options,
            notes: Mutex::default(),
            told: shuttle::sync::Mutex::default(),
            tells: Condvar::new(),
        })
    }

    fn noted<T>(&self, work: impl FnOnce(&mut Notes) -> T) -> T {
        let mut notes = self.notes.lock().unwrap();
        notes.now += 1;
        work(&mut notes)
    }

    /// Hands over a batch of any size: a larger one is never written at once.
    pub fn hand_over(&self) -> usize {
        let bytes = if thread_rng().gen_bool(0.3) { 300 } else { 40 };
        let number = self.noted(|notes| {
            notes.handed.push(Handed { bytes, began: notes.now, ..Handed::default() });
            notes.handed.len() - 1
        });
        let mut ops = Vec::new();
        let value = value(number, bytes);
        Op::Put { key: &own_key(number), value: &value }.pack(&mut ops);
        Op::Put { key: SHARED, value: &value }.pack(&mut ops);
        let applied = self.cask.apply(Batch { account: ACCOUNT, ops: &ops, fence: 0 }, &mut || {
            let world = self.this.upgrade().unwrap();
            Box::new(move |outcome| world.tell(number, outcome))
        });
        let is_queued = matches!(applied, Applied::Later);
        self.noted(|notes| {
            let now = notes.now;
            let handed = &mut notes.handed[number];
            (handed.returned, handed.is_queued) = (Some(now), is_queued);
        });
        if let Applied::Now(outcome) = applied {
            self.tell(number, outcome);
        }
        number
    }

    fn tell(&self, number: usize, outcome: Result<()>) {
        let is_ok = outcome.is_ok();
        let bytes = self.noted(|notes| notes.handed[number].bytes);
        let is_on_disk = self.disk.holds(&value(number, bytes));
        self.noted(|notes| {
            if is_ok {
                notes.shown.push(number);
            }
            let handed = &mut notes.handed[number];
            if handed.outcomes.is_empty() {
                handed.is_on_disk = is_on_disk;
            }
            handed.outcomes.push(outcome);
        });
        if is_ok {
            self.look();
        }
        *self.told.lock().unwrap() += 1;
        self.tells.notify_all();
    }

    /// Reads the shared record.
    pub fn look(&self) {
        let before = self.noted(|notes| notes.shown.clone());
        match get(&self.cask, SHARED) {
            Ok(found) => self.noted(|notes| {
                let seen = found.as_deref().map(number_of);
                notes.shown.extend(seen);
                notes.looks.push(Look { before, seen });
            }),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        }
    }

    /// Waits for everything that was handed over.
    fn wait(&self) {
        let mut told = self.told.lock().unwrap();
        while self.noted(|notes| notes.handed.iter().any(|handed| handed.outcomes.is_empty())) {
            told = self.tells.wait(told).unwrap();
        }
    }

    /// Brings to disk what has been acknowledged, and makes sure of that; begins when something has.
    pub fn flush(&self) {
        let mut told = self.told.lock().unwrap();
        while *told == 0 {
            told = self.tells.wait(told).unwrap();
        }
        drop(told);
        let acknowledged: Vec<(usize, usize)> = self.noted(|notes| {
            let all = notes.handed.iter().enumerate();
            all.filter(|(_, handed)| matches!(&handed.outcomes[..], [Ok(())]))
                .map(|(number, handed)| (number, handed.bytes))
                .collect()
        });
        assert!(!acknowledged.is_empty());
        let (sender, receiver) = shuttle::sync::mpsc::channel();
        self.cask.flush(Box::new(move |outcome| sender.send(outcome).unwrap()));
        receiver.recv().expect("a flush was never told of").unwrap();
        for (number, bytes) in acknowledged {
            assert!(self.disk.holds(&value(number, bytes)), "a flush has left out batch {number}");
        }
    }

    /// Closes the cask; makes sure that all that were queued by then have been told.
    pub fn close(&self) {
        let is_waiting = |handed: &Handed| handed.is_queued && handed.outcomes.is_empty();
        let queued: Vec<usize> =
            self.noted(|notes| (0..notes.handed.len()).filter(|at| is_waiting(&notes.handed[*at])).collect());
        self.cask.close().unwrap();
        let lost = self.noted(|notes| queued.into_iter().find(|at| is_waiting(&notes.handed[*at])));
        assert_eq!(lost, None, "a batch was still queued when the cask had been closed");
    }

    /// Place of a batch in the log, where it counts.
    fn place(&self, number: usize) -> Option<(u32, u32)> {
        let found = self.cask.index.account(ACCOUNT)?.find(&own_key(number))?;
        Some((found.location.segment(), found.location.chunk()))
    }

    /// What has to hold once all threads have ended. Gives the outcomes.
    pub fn judge(&self) -> Vec<Result<()>> {
        self.wait();
        let notes = std::mem::take(&mut *self.notes.lock().unwrap());
        let places: Vec<Option<(u32, u32)>> = (0..notes.handed.len()).map(|number| self.place(number)).collect();
        for (number, handed) in notes.handed.iter().enumerate() {
            assert_eq!(handed.outcomes.len(), 1, "batch {number} was told of more than once");
            assert_eq!(handed.outcomes[0].is_ok(), places[number].is_some(), "batch {number} is not what it was told to be");
            let is_safe = self.options.durability == Durability::Process || handed.is_on_disk || handed.outcomes[0].is_err();
            assert!(is_safe, "batch {number} was acknowledged before it was on disk");
        }
        for (before, earlier) in places.iter().zip(&notes.handed) {
            for (after, later) in places.iter().zip(&notes.handed) {
                let is_ordered = earlier.returned.unwrap() < later.began && before.is_some() && after.is_some();
                assert!(!is_ordered || before < after, "a batch has overtaken one that was handed over before it");
            }
        }
        for Look { before, seen } in &notes.looks {
            let shown = before.iter().filter_map(|number| places[*number]).max();
            let seen = seen.map(|number| places[number].expect("a batch that was refused has been seen"));
            assert!(shown <= seen, "{seen:?} was read after {shown:?} had been shown");
        }
        notes.handed.into_iter().flat_map(|handed| handed.outcomes).collect()
    }

    /// After the cask was closed: whoever opens it again finds all that was acknowledged, and nothing that was refused, also where
    /// power was lost meanwhile.
    pub fn reopen(&self, outcomes: &[Result<()>]) {
        self.disk.lose_power();
        let cask = open(&self.disk, &self.options);
        let last = (0..outcomes.len()).filter(|number| outcomes[*number].is_ok()).max_by_key(|number| self.place(*number));
        for (number, outcome) in outcomes.iter().enumerate() {
            let found = get(&cask, &own_key(number)).unwrap();
            assert_eq!(found.as_deref().map(number_of), outcome.is_ok().then_some(number), "batch {number} after opening again");
        }
        assert_eq!(get(&cask, SHARED).unwrap().as_deref().map(number_of), last);
        cask.close().unwrap();
    }
}

pub fn start(world: &Arc<World>, work: impl FnOnce(&World) + Send + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || work(&world))
}

/// Threads that hand over batches and do not wait for them, and one that reads.
pub fn busy(world: &Arc<World>, threads: usize, batches: usize) -> Vec<thread::JoinHandle<()>> {
    let mut all: Vec<_> = (0..threads)
        .map(|_| {
            start(world, move |world| {
                for _ in 0..batches {
                    world.hand_over();
                }
            })
        })
        .collect();
    all.push(start(world, |world| (0..4).for_each(|_| world.look())));
    all
}

pub fn join(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

pub fn is_closed(error: &Error) -> bool {
    error.kind() == ErrorKind::Closed
}
