//! Transactions and plain sets from many threads at once: no update is lost, nothing is seen by halves, nothing stays locked.

use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread;

use baileys_cask::backend::file::fs::OsFs;
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};
use baileys_cask::backend::memory::MemoryBackend;
use baileys_cask::backend::{Applied, Backend, Batch, Completion, ValueSink};
use baileys_cask::error::{Error, ErrorKind, Result};
use baileys_cask::lock::Limits;
use baileys_cask::record::Op;
use baileys_cask::store::{Accepted, Account, Granted, Settings, Start, Store, Transaction};

use crate::common::disk::PATIENCE;
use crate::common::model::session;

const THREADS: usize = 4;
const ROUNDS: u64 = 300;

/// The stores of each kind: with writes that end at once, and with writes that are queued.
fn stores() -> Vec<(&'static str, Arc<Store>, Option<tempfile::TempDir>)> {
    let mut all = vec![("memory", Arc::new(Store::new(None, Arc::new(MemoryBackend::default()))), None)];
    for (name, durability) in [("process", Durability::Process), ("power", Durability::Power)] {
        let folder = tempfile::tempdir().unwrap();
        let options = FileOptions { durability, ..FileOptions::default() };
        let backend: Arc<dyn Backend> = FileBackend::open(folder.path(), Arc::new(OsFs), &options, None).unwrap();
        all.push((name, Arc::new(Store::new(None, backend)), Some(folder)));
    }
    all
}

fn put(pairs: &[(&str, u64)]) -> Vec<u8> {
    let mut ops = Vec::new();
    for (id, value) in pairs {
        Op::Put { key: &session(id), value: &value.to_le_bytes() }.pack(&mut ops);
    }
    ops
}

fn number(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| u64::from_le_bytes(value.try_into().unwrap()))
}

/// Makes a call and waits until it has ended.
fn ended(call: impl FnOnce(&mut dyn FnMut() -> Completion) -> Accepted) -> Result<()> {
    let (sender, receiver) = mpsc::channel();
    let accepted = call(&mut || {
        let sender = sender.clone();
        Box::new(move |outcome| drop(sender.send(outcome)))
    });
    match accepted {
        Accepted::Now(outcome) => outcome,
        Accepted::Queued | Accepted::Waits => receiver.recv_timeout(PATIENCE).expect("an end"),
    }
}

fn granted(call: impl FnOnce(Box<dyn FnOnce() -> Completion>) -> Result<Granted>) -> Result<()> {
    let (sender, receiver) = mpsc::channel();
    let granted = call(Box::new(move || Box::new(move |outcome| drop(sender.send(outcome)))))?;
    if granted == Granted::Now { Ok(()) } else { receiver.recv_timeout(PATIENCE).expect("an end of the wait") }
}

fn begin(store: &Arc<Store>, account: &Arc<Account>, label: Option<&str>, settings: Settings) -> Result<Arc<Transaction>> {
    let (sender, receiver) = mpsc::channel();
    let start = Start { label, settings, ..Start::new(store, account) };
    let begun = Transaction::begin(start, || Box::new(move |outcome| drop(sender.send(outcome))))?;
    if begun.waits {
        receiver.recv_timeout(PATIENCE).expect("an end of the wait")?;
    }
    Ok(begun.transaction)
}

fn read(transaction: &Arc<Transaction>, ids: &[&str]) -> Result<Vec<u64>> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| session(id)).collect();
    let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    granted(|tell| transaction.lock_reads(&keys, Limits::default(), tell))?;
    let mut values = Vec::new();
    transaction.get(&keys, &mut |value| values.push(number(value)))?;
    Ok(values)
}

fn write(transaction: &Arc<Transaction>, pairs: &[(&str, u64)]) -> Result<()> {
    ended(|completion| transaction.set(&put(pairs), Limits::default(), completion))
}

fn commit(transaction: &Arc<Transaction>) -> Result<()> {
    ended(|completion| transaction.commit(Limits::default(), completion))
}

fn committed(store: &Store, account: &Account, id: &str) -> u64 {
    let mut value = 0;
    store.get(account, &[&session(id)], &mut |found| value = number(found)).unwrap();
    value
}

/// Runs a transaction until it is no deadlock's victim.
fn retried(mut work: impl FnMut() -> Result<()>) -> u64 {
    let mut tries = 0;
    loop {
        tries += 1;
        match work() {
            Ok(()) => return tries,
            Err(error) if error.kind() == ErrorKind::Deadlock => {}
            Err(error) => panic!("{error}"),
        }
    }
}

fn assert_idle(name: &str, store: &Store) {
    assert!(store.lock_manager().is_empty(), "{name}: {:?}", store.locks());
    assert!(store.live().is_empty(), "{name}");
}

#[test]
fn increments_under_different_labels_are_all_counted() {
    for (name, store, _folder) in stores() {
        let account = store.account("a").unwrap();
        let barrier = Barrier::new(THREADS);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let (store, account, barrier) = (&store, &account, &barrier);
                scope.spawn(move || {
                    barrier.wait();
                    for _ in 0..ROUNDS {
                        retried(|| {
                            let transaction = begin(store, account, Some(&format!("label {thread}")), Settings::default())?;
                            let n = read(&transaction, &["n"])?[0];
                            write(&transaction, &[("n", n + 1)])?;
                            commit(&transaction)
                        });
                    }
                });
            }
        });
        assert_eq!(committed(&store, &account, "n"), THREADS as u64 * ROUNDS, "{name}");
        assert_idle(name, &store);
    }
}

/// Ends the other thread also where this one panics.
struct SetAtEnd<'a>(&'a AtomicBool);

impl Drop for SetAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

#[test]
fn a_plain_set_never_falls_between_a_read_and_the_write_made_from_it() {
    for (name, store, _folder) in stores() {
        let account = store.account("a").unwrap();
        let (begun, done) = (AtomicBool::new(false), AtomicBool::new(false));
        let sets = thread::scope(|scope| {
            let (store, account, begun, done) = (&store, &account, &begun, &done);
            let setter = scope.spawn(move || {
                // Sets both to one number, in one batch: whoever finds them out of order has met half of it, or has lost one.
                let mut n = 0;
                while !done.load(Ordering::Acquire) {
                    n += 1;
                    ended(|completion| {
                        store.set(account, &put(&[("l", n * 1000), ("r", n * 1000)]), 0, Limits::default(), completion)
                    })
                    .unwrap();
                    begun.store(true, Ordering::Release);
                }
                n
            });
            scope.spawn(move || {
                let _done = SetAtEnd(done);
                let mut last = 0;
                while !begun.load(Ordering::Acquire) {
                    thread::yield_now();
                }
                for _ in 0..ROUNDS {
                    retried(|| {
                        let transaction = begin(store, account, None, Settings::default())?;
                        let l = read(&transaction, &["l"])?[0];
                        thread::yield_now();
                        let r = read(&transaction, &["r"])?[0];
                        assert!(l >= r && l / 1000 >= last, "{name}: {l} {r} after {last}");
                        last = l / 1000;
                        thread::yield_now();
                        write(&transaction, &[("l", l + 1), ("r", l + 1)])?;
                        commit(&transaction)
                    });
                }
            });
            setter.join().unwrap()
        });
        let (l, r) = (committed(&store, &account, "l"), committed(&store, &account, "r"));
        assert!(l == r && l / 1000 == sets, "{name}: {l} {r}, {sets} sets");
        assert_idle(name, &store);
    }
}

#[test]
fn transfers_in_all_directions_keep_the_sum() {
    for (name, store, _folder) in stores() {
        let account = store.account("a").unwrap();
        let ids = ["a", "b", "c", "d"];
        ended(|completion| store.set(&account, &put(&ids.map(|id| (id, 1000))), 0, Limits::default(), completion)).unwrap();
        let tries: u64 = thread::scope(|scope| {
            let workers: Vec<_> = (0..THREADS)
                .map(|thread| {
                    let (store, account) = (&store, &account);
                    scope.spawn(move || {
                        let mut tries = 0;
                        for round in 0..ROUNDS as usize {
                            let (from, to) = (ids[(thread + round) % 4], ids[(thread + round * 3 + 1) % 4]);
                            if from == to {
                                continue;
                            }
                            tries += retried(|| {
                                let transaction = begin(store, account, None, Settings::default())?;
                                let (one, other) = (read(&transaction, &[from])?[0], read(&transaction, &[to])?[0]);
                                write(&transaction, &[(from, one - 1), (to, other + 1)])?;
                                commit(&transaction)
                            });
                        }
                        tries
                    })
                })
                .collect();
            workers.into_iter().map(|worker| worker.join().unwrap()).sum()
        });
        let sum: u64 = ids.iter().map(|id| committed(&store, &account, id)).sum();
        assert_eq!(sum, 4000, "{name}, after {tries} tries");
        assert_idle(name, &store);
    }
}

#[test]
fn writes_that_lock_at_the_commit_wait_for_those_who_hold_their_records() {
    for (name, store, _folder) in stores() {
        let account = store.account("a").unwrap();
        let holder = begin(&store, &account, None, Settings::default()).unwrap();
        assert_eq!(read(&holder, &["n"]).unwrap(), [0]);
        let late = Settings { read_locks: baileys_cask::store::ReadLocks::NONE, locks_at_commit: true, ..Settings::default() };
        let other = begin(&store, &account, Some("label"), late).unwrap();
        write(&other, &[("n", 7)]).unwrap();
        let (sender, receiver) = mpsc::channel();
        let accepted = other.commit(Limits::default(), &mut || {
            let sender = sender.clone();
            Box::new(move |outcome| drop(sender.send(outcome)))
        });
        assert!(matches!(accepted, Accepted::Waits), "{name}: {accepted:?}");
        write(&holder, &[("n", 1)]).unwrap();
        commit(&holder).unwrap();
        receiver.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!(committed(&store, &account, "n"), 7, "{name}");
        assert_idle(name, &store);
    }
}

#[test]
fn a_long_line_of_plain_sets_is_served_in_order_without_a_deep_stack() {
    for (name, store, _folder) in stores() {
        let account = store.account("a").unwrap();
        let holder = begin(&store, &account, None, Settings::default()).unwrap();
        write(&holder, &[("n", 0)]).unwrap();
        let (sender, receiver) = mpsc::channel();
        let count = if name == "power" { 500 } else { 20_000 };
        for n in 1..=count {
            let accepted = store.set(&account, &put(&[("n", n)]), 0, Limits::default(), &mut || {
                let sender = sender.clone();
                Box::new(move |outcome: Result<()>| drop(sender.send((n, outcome))))
            });
            assert!(matches!(accepted, Accepted::Waits), "{name}");
        }
        commit(&holder).unwrap();
        for n in 1..=count {
            let (which, outcome) = receiver.recv_timeout(PATIENCE).unwrap();
            assert_eq!((which, outcome.is_ok()), (n, true), "{name}");
        }
        assert_eq!(committed(&store, &account, "n"), count, "{name}");
        assert_idle(name, &store);
    }
}

#[test]
fn a_transaction_that_is_let_go_of_frees_its_locks_and_writes_nothing() {
    for (name, store, _folder) in stores() {
        let account = store.account("a").unwrap();
        let transaction = begin(&store, &account, Some("label"), Settings::default()).unwrap();
        write(&transaction, &[("n", 1)]).unwrap();
        drop(transaction);
        assert_idle(name, &store);
        assert_eq!(committed(&store, &account, "n"), 0, "{name}");
    }
}

#[test]
fn a_doomed_transaction_frees_its_locks_and_cannot_commit() {
    for (name, store, _folder) in stores() {
        let account = store.account("a").unwrap();
        let transaction = begin(&store, &account, Some("label"), Settings::default()).unwrap();
        write(&transaction, &[("n", 1)]).unwrap();
        assert!(transaction.doom(Error::new(ErrorKind::TransactionTimeout, "too long")));
        let (locks, owners) = store.lock_manager().len();
        assert_eq!((locks, owners), (0, 1), "{name}");
        assert_eq!(read(&transaction, &["n"]).unwrap_err().kind(), ErrorKind::TransactionTimeout);
        assert_eq!(write(&transaction, &[("n", 2)]).unwrap_err().kind(), ErrorKind::TransactionTimeout);
        assert_eq!(commit(&transaction).unwrap_err().kind(), ErrorKind::TransactionTimeout);
        assert_eq!(committed(&store, &account, "n"), 0, "{name}");
        assert_idle(name, &store);
    }
}

#[test]
fn a_big_batch_that_has_to_wait_holds_up_nobody_else_of_its_family_and_is_applied_whole() {
    for (name, store, _folder) in stores() {
        let account = store.account("a").unwrap();
        let holder = begin(&store, &account, None, Settings::default()).unwrap();
        write(&holder, &[("7", 1)]).unwrap();
        let ids: Vec<String> = (0..5000).map(|n| n.to_string()).collect();
        let batch: Vec<(&str, u64)> = ids.iter().map(|id| (id.as_str(), 9)).collect();
        let (sender, receiver) = mpsc::channel();
        let accepted = store.set(&account, &put(&batch), 0, Limits::default(), &mut || {
            let sender = sender.clone();
            Box::new(move |outcome| drop(sender.send(outcome)))
        });
        assert!(matches!(accepted, Accepted::Waits), "{name}");
        let stranger = begin(&store, &account, None, Settings::default()).unwrap();
        write(&stranger, &[("stranger", 1)]).unwrap();
        commit(&stranger).unwrap();
        commit(&holder).unwrap();
        receiver.recv_timeout(PATIENCE).unwrap().unwrap();
        assert_eq!((committed(&store, &account, "7"), committed(&store, &account, "4999")), (9, 9), "{name}");
        assert_idle(name, &store);
    }
}

type Hook = Mutex<Option<Box<dyn FnOnce() + Send>>>;

/// A backend in memory that does something else in the middle of its next read.
#[derive(Default)]
struct Interrupted {
    records: MemoryBackend,
    hook: Hook,
}

impl Debug for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Interrupted").finish_non_exhaustive()
    }
}

impl Backend for Interrupted {
    fn get(&self, account: &str, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<()> {
        let hook = self.hook.lock().unwrap().take();
        if let Some(hook) = hook {
            hook();
        }
        self.records.get(account, keys, sink)
    }

    fn apply(&self, batch: Batch<'_>, completion: &mut dyn FnMut() -> Completion) -> Applied {
        self.records.apply(batch, completion)
    }

    fn apply_at_once(&self, batch: Batch<'_>) -> Option<Result<()>> {
        self.records.apply_at_once(batch)
    }

    fn keys(&self, account: &str, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.records.keys(account, prefix, sink)
    }

    fn accounts(&self) -> Result<Vec<String>> {
        self.records.accounts()
    }

    fn flush(&self, completion: Completion) {
        self.records.flush(completion);
    }

    fn close(&self) -> Result<()> {
        self.records.close()
    }
}

#[test]
fn a_read_that_is_under_way_when_its_transaction_is_doomed_shows_nothing_from_after_that() {
    let backend = Arc::new(Interrupted::default());
    let store = Arc::new(Store::new(None, Arc::clone(&backend) as Arc<dyn Backend>));
    let account = store.account("a").unwrap();
    let set = |n| ended(|completion| store.set(&account, &put(&[("n", n)]), 0, Limits::default(), completion));
    set(1).unwrap();
    let transaction = begin(&store, &account, None, Settings::default()).unwrap();
    assert_eq!(read(&transaction, &["n"]).unwrap(), [1]);
    let (doomed, writer, other) = (Arc::clone(&transaction), Arc::clone(&store), Arc::clone(&account));
    *backend.hook.lock().unwrap() = Some(Box::new(move || {
        // As another thread does that closes a circle of waits: the locks are free, and who waited for them goes on.
        assert!(doomed.doom(Error::new(ErrorKind::Deadlock, "the victim")));
        ended(|completion| writer.set(&other, &put(&[("n", 2)]), 0, Limits::default(), completion)).unwrap();
    }));
    let seen = read(&transaction, &["n"]);
    assert_eq!(seen.unwrap_err().kind(), ErrorKind::Deadlock);
}

/// The lock that a transaction has taken to read a record is not asked for again to write it; but nothing inside it may have it then, and it
/// is the lock of that record only.
#[test]
fn a_write_of_what_was_read_waits_for_what_runs_inside_and_a_write_of_something_else_for_its_lock() {
    for (name, store, _folder) in stores() {
        let account = store.account("a").unwrap();
        let begin = |around| {
            let start = Start { around, ..Start::new(&store, &account) };
            Transaction::begin(start, || unreachable!("there is nothing to wait for")).unwrap().transaction
        };
        let at_once = |transaction: &Arc<Transaction>, id, value| {
            let accepted = transaction.set(&put(&[(id, value)]), Limits::default(), &mut || unreachable!("it is free"));
            assert!(matches!(accepted, Accepted::Now(Ok(()))), "{name}: {accepted:?}");
        };
        let (sender, receiver) = mpsc::channel();
        let waits = |transaction: &Arc<Transaction>, id, value| {
            let accepted = transaction.set(&put(&[(id, value)]), Limits::default(), &mut || {
                let sender = sender.clone();
                Box::new(move |outcome| drop(sender.send(outcome)))
            });
            assert!(matches!(accepted, Accepted::Waits), "{name}: {accepted:?}");
        };
        let outer = begin(None);
        let key = session("x");
        let read = outer.lock_reads(&[&key], Limits::default(), || unreachable!("it is free"));
        assert_eq!(read.unwrap(), Granted::Now, "{name}");
        at_once(&outer, "x", 1);
        let stranger = begin(None);
        at_once(&stranger, "xy", 2);
        waits(&outer, "xy", 3);
        stranger.rollback();
        receiver.recv_timeout(PATIENCE).unwrap().unwrap();
        let inner = begin(Some(&outer));
        at_once(&inner, "x", 4);
        waits(&outer, "x", 5);
        ended(|completion| inner.commit(Limits::default(), completion)).unwrap();
        receiver.recv_timeout(PATIENCE).unwrap().unwrap();
        ended(|completion| outer.commit(Limits::default(), completion)).unwrap();
        let keys = [session("x"), session("xy")];
        let mut values = Vec::new();
        store.get(&account, &[&keys[0], &keys[1]], &mut |value| values.push(number(value))).unwrap();
        assert_eq!(values, [5, 3], "{name}");
    }
}
