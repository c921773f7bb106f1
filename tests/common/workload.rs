//! Workloads on a file backend, with what is promised noted at each step.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use baileys_cask::backend::file::sealing::change_key;
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};
use baileys_cask::backend::{Backend, Completion};
use baileys_cask::lock::Limits;
use baileys_cask::secret::Secret;
use baileys_cask::store::{Accepted, Start, Store, Transaction};

use super::disk::{Disk, Event, Note};
use super::drive::{self, Started};
use super::loss::Chance;
use super::model::{Change, Changes, Records, creds, delete, named, put};
use super::nonces::Nonces;

/// One thing that is done to a cask.
#[derive(Debug, Clone)]
pub enum Step {
    Batch(Changes),
    /// Handed over one after the other before the first is waited for.
    AtOnce(Vec<Changes>),
    /// The parts are set by a transaction, every second one by a transaction inside it.
    Transaction(Vec<Changes>),
    Flush,
    /// Waits for the regular sync and its mark; needs a short sync interval.
    Tick,
    /// Ends the segment and compacts all that is worth it.
    Compact,
    /// Compacts what is worth it by now, as is done in the background: what was written last may not be on disk.
    Tidy,
    /// Brings the zeros ahead of the log to what they should be.
    Preallocate,
    Close,
    /// Goes away without closing, as a killed process does.
    Vanish,
    /// Goes away without closing, and gives the cask the other secret.
    ChangeKey,
}

/// A workload that ran to its end, with everything that happened on the way.
pub struct Run {
    pub disk: Disk,
    pub options: FileOptions,
    /// The records after each number of batches.
    pub states: Vec<Records>,
    /// What may seal the cask; none for a plain one.
    pub secrets: Vec<Secret>,
    /// What was used of them after the run.
    pub nonces: Arc<Nonces>,
    backend: Option<Arc<FileBackend>>,
}

impl Run {
    pub fn new(options: FileOptions) -> Self {
        let secrets = options.secret.iter().cloned().collect();
        let states = vec![Records::new()];
        Self { disk: Disk::default(), options, states, secrets, nonces: Arc::default(), backend: None }
    }

    /// Of a sealed cask, whose steps may give it one of these secrets after the other.
    pub fn sealed(options: FileOptions) -> Self {
        let secrets = [1, 2].map(|byte| Secret::key(&[byte; 32]).unwrap());
        Self { secrets: secrets.to_vec(), ..Self::new(FileOptions { secret: Some(secrets[0].clone()), ..options }) }
    }

    pub fn backend(&mut self) -> Arc<FileBackend> {
        let (disk, options) = (&self.disk, &self.options);
        Arc::clone(self.backend.get_or_insert_with(|| drive::open(disk, options).unwrap()))
    }

    pub fn vanish(&mut self) {
        if let Some(backend) = self.backend.take() {
            drive::vanish(backend);
        }
    }

    fn issue(&mut self, batch: &Changes) -> usize {
        let mut next = self.states.last().unwrap().clone();
        batch.apply(&mut next);
        self.states.push(next);
        let number = self.states.len() - 1;
        self.disk.note(Note::Issued(number));
        number
    }

    fn acknowledged(&self, number: usize) {
        self.disk.note(Note::Acknowledged(number));
        if self.options.durability == Durability::Power {
            self.disk.note(Note::Safe(number));
        }
    }

    pub fn batch(&mut self, batch: &Changes) {
        let backend = self.backend();
        let number = self.issue(batch);
        drive::apply(&*backend, batch).unwrap();
        self.acknowledged(number);
    }

    pub fn step(&mut self, step: &Step) {
        match step {
            Step::Batch(batch) => self.batch(batch),
            Step::AtOnce(batches) => {
                let backend = self.backend();
                let started: Vec<(usize, Started)> =
                    batches.iter().map(|batch| (self.issue(batch), drive::start(&*backend, batch))).collect();
                for (number, started) in started {
                    started.wait().unwrap();
                    self.acknowledged(number);
                }
            }
            Step::Transaction(parts) => {
                let account = &parts[0].account;
                let whole = Changes::new(account, parts.iter().flat_map(|part| part.changes.clone()).collect::<Vec<_>>());
                let store = Arc::new(Store::new(None, self.backend()));
                let number = self.issue(&whole);
                transact(&store, account, parts);
                self.acknowledged(number);
            }
            Step::Flush => {
                let number = self.states.len() - 1;
                drive::flush(&*self.backend()).unwrap();
                self.disk.note(Note::Safe(number));
            }
            Step::Tick => {
                let number = self.states.len() - 1;
                self.disk.wait_until("a mark", ends_with_mark);
                self.disk.note(Note::Safe(number));
            }
            Step::Compact => {
                let number = self.states.len() - 1;
                self.backend().compact_all().unwrap();
                self.disk.note(Note::Safe(number));
            }
            Step::Tidy => {
                let backend = self.backend();
                while backend.compact_once().unwrap().is_some() {}
            }
            Step::Preallocate => self.backend().preallocate(),
            Step::Close => {
                let number = self.states.len() - 1;
                self.backend().close().unwrap();
                self.backend = None;
                self.disk.note(Note::Safe(number));
            }
            Step::Vanish => self.vanish(),
            Step::ChangeKey => self.change_key(),
        }
    }

    fn change_key(&mut self) {
        self.vanish();
        let Some(secret) = self.options.secret.take() else { return };
        let other =
            self.secrets.iter().find(|other| other.fingerprint().unwrap() != secret.fingerprint().unwrap()).unwrap().clone();
        change_key(&self.disk, Path::new(drive::FOLDER), &secret, &other).unwrap();
        self.options.secret = Some(other);
    }

    pub fn steps(mut self, steps: &[Step]) -> Self {
        steps.iter().for_each(|step| self.step(step));
        self.vanish();
        if !self.secrets.is_empty() {
            self.nonces.take(&self.disk.events(), "the run");
        }
        self
    }
}

fn transact(store: &Arc<Store>, account: &str, parts: &[Changes]) {
    let account = store.account(account).unwrap();
    let begin = |around: Option<&Arc<Transaction>>| {
        let start = Start { around, label: Some("label"), ..Start::new(store, &account) };
        Transaction::begin(start, || panic!("nobody else holds the label")).unwrap().transaction
    };
    let outer = begin(None);
    for (position, part) in parts.iter().enumerate() {
        if position % 2 == 0 {
            stage(&outer, &part.pack()).unwrap();
        } else {
            let inner = begin(Some(&outer));
            stage(&inner, &part.pack()).unwrap();
            commit(&inner);
        }
    }
    commit(&outer);
}

/// Stages a batch that nothing stands against.
pub fn stage(transaction: &Arc<Transaction>, ops: &[u8]) -> baileys_cask::error::Result<()> {
    match transaction.set(ops, Limits::default(), &mut || panic!("nobody else holds the records")) {
        Accepted::Now(outcome) => outcome,
        waits => panic!("{waits:?}"),
    }
}

/// Commits and waits.
pub fn commit(transaction: &Arc<Transaction>) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let applied = transaction.commit(Limits::default(), &mut || -> Completion {
        let sender = sender.clone();
        Box::new(move |outcome| drop(sender.send(outcome)))
    });
    match applied {
        Accepted::Now(outcome) => outcome.unwrap(),
        Accepted::Queued | Accepted::Waits => receiver.recv_timeout(super::disk::PATIENCE).unwrap().unwrap(),
    }
}

/// Whether a mark is the last thing written to a segment.
pub fn ends_with_mark(events: &[Event]) -> bool {
    const MARK_BYTES: usize = 32;
    let names: BTreeMap<usize, &str> = events
        .iter()
        .filter_map(|event| match event {
            Event::Create { file, name } => Some((*file, name.as_str())),
            _ => None,
        })
        .collect();
    let last = events.iter().rev().find_map(|event| match event {
        Event::Write { file, bytes, .. } if names.get(file).is_some_and(|name| name.ends_with(".seg")) => Some(bytes.len()),
        _ => None,
    });
    last == Some(MARK_BYTES)
}

/// Sets, deletes, creds, a transaction, clear, drop, segments that end, a clean close, a kill and two reopens.
pub fn everything() -> Vec<Step> {
    let one = |account: &str, changes: &[Change]| Step::Batch(Changes::new(account, changes));
    let big = [7; 700];
    vec![
        one("a", &[put("s1", "one"), put("s2", "two"), creds("me")]),
        one("b", &[put("s1", "other account"), Change::Put(named("odd", "x"), b"y".to_vec())]),
        one("a", &[put("s1", "one again"), delete("s2")]),
        Step::Flush,
        one("a", &[put("s3", big)]),
        one("a", &[put("s4", big), put("s5", "five")]),
        Step::AtOnce(vec![
            Changes::new("a", [put("s6", "a")]),
            Changes::new("b", [put("s6", big)]),
            Changes::new("a", [put("s6", "b"), put("s7", "c")]),
            Changes::new("a", [delete("s7")]),
        ]),
        Step::Vanish,
        one("a", &[put("s8", "after a kill")]),
        Step::Flush,
        Step::Transaction(vec![
            Changes::new("a", [put("t1", "outer"), put("t2", "outer")]),
            Changes::new("a", [put("t2", "inner"), delete("s1")]),
            Changes::new("a", [put("t3", big)]),
        ]),
        one("a", &[Change::Clear]),
        one("a", &[put("s1", "after clear"), creds("still me")]),
        Step::Close,
        one("a", &[put("s2", "after close")]),
        one("b", &[Change::Drop]),
        one("b", &[put("s1", "after drop")]),
        Step::Vanish,
        one("c", &[put("huge", [9; 3000])]),
        Step::Flush,
        one("a", &[delete("s1"), put("s9", "last")]),
        one("a", &[Change::Drop]),
        Step::Close,
        one("a", &[put("s1", "back")]),
    ]
}

/// What a compaction may meet: records that were set again, deleted, cleared, dropped and set after that, in segments old and new;
/// copies that are compacted again; and everything of an account gone.
pub fn compacted() -> Vec<Step> {
    let one = |account: &str, changes: &[Change]| Step::Batch(Changes::new(account, changes));
    let big = [7; 700];
    vec![
        one("a", &[put("s1", "one"), put("s2", "two"), creds("me")]),
        one("b", &[put("s1", "stays"), put("s2", big)]),
        one("a", &[put("s3", big)]),
        one("a", &[put("s3", "small"), delete("s2")]),
        one("b", &[put("s2", "small")]),
        // Nothing of the log is on disk yet, and no manifest names any of it.
        Step::Tidy,
        one("a", &[put("s3", "smaller")]),
        Step::Compact,
        one("a", &[put("s4", big), put("s5", "five")]),
        one("a", &[delete("s4")]),
        one("c", &[put("s1", big)]),
        one("c", &[Change::Clear, put("s2", "after clear"), creds("of c")]),
        Step::Vanish,
        one("b", &[put("s3", big)]),
        one("b", &[Change::Drop]),
        Step::Compact,
        one("a", &[put("s2", "back"), put("s4", "back")]),
        one("a", &[put("s6", big)]),
        Step::Flush,
        one("a", &[put("s6", "small"), delete("s1")]),
        Step::Close,
        one("b", &[put("s1", "again")]),
        one("c", &[Change::Drop]),
        Step::Compact,
        one("a", &[put("s7", big), put("s8", big)]),
        one("b", &[put("s7", big)]),
        Step::Close,
        one("a", &[put("s7", "in the place of one that is on disk"), delete("s8")]),
        one("b", &[Change::Clear]),
        Step::Tidy,
        one("a", &[put("s9", "after that")]),
        Step::Vanish,
        Step::Tidy,
        one("a", &[Change::Drop]),
        one("b", &[Change::Drop]),
        Step::Compact,
        one("a", &[put("s1", "from nothing")]),
    ]
}

/// A workload after each step of which the zeros ahead of the log are brought to what they should be.
pub fn preallocating(steps: Vec<Step>) -> Vec<Step> {
    let is_open_after = |step: &Step| !matches!(step, Step::Close | Step::Vanish);
    let with_zeros = |step: Step| [Some(step.clone()), is_open_after(&step).then_some(Step::Preallocate)];
    steps.into_iter().flat_map(with_zeros).flatten().collect()
}

/// A workload by chance, with compactions now and then.
pub fn random_compacted(seed: u64, length: usize) -> Vec<Step> {
    let mut chance = Chance(!seed);
    let steps = random(seed, length).into_iter();
    let between = |chance: &mut Chance| match chance.below(10) {
        0 => Some(Step::Compact),
        1 | 2 => Some(Step::Tidy),
        _ => None,
    };
    steps.flat_map(|step| [between(&mut chance), Some(step)].into_iter().flatten()).collect()
}

/// A workload by chance.
pub fn random(seed: u64, length: usize) -> Vec<Step> {
    let mut chance = Chance(seed);
    (0..length)
        .map(|_| match chance.below(20) {
            0 => Step::Flush,
            1 => Step::Close,
            2 => Step::Vanish,
            3 | 4 => Step::AtOnce((0..3).map(|_| random_batch(&mut chance)).collect()),
            5 => {
                let part = random_batch(&mut chance);
                let more = Changes { account: part.account.clone(), ..random_batch(&mut chance) };
                let is_drop = |part: &Changes| part.changes.contains(&Change::Drop);
                if is_drop(&part) || is_drop(&more) { Step::Batch(part) } else { Step::Transaction(vec![part, more]) }
            }
            _ => Step::Batch(random_batch(&mut chance)),
        })
        .collect()
}

fn random_batch(chance: &mut Chance) -> Changes {
    let account = ["a", "b"][chance.below(2)];
    if chance.below(12) == 0 {
        let change = if chance.flip() { Change::Clear } else { Change::Drop };
        return Changes::new(account, [change, put("after", chance.next().to_le_bytes())]);
    }
    let count = 1 + chance.below(4);
    let changes: Vec<Change> = (0..count)
        .map(|_| {
            let id = chance.below(6).to_string();
            match chance.below(6) {
                0 => delete(&id),
                1 => creds(chance.next().to_le_bytes()),
                2 => put(&id, vec![chance.next() as u8; chance.below(900)]),
                _ => put(&id, chance.next().to_le_bytes()),
            }
        })
        .collect();
    Changes::new(account, changes)
}
