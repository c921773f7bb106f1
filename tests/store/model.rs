//! Random operations on a store, against plain maps.

use std::sync::Arc;

use baileys_cask::ErrorKind;
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};
use baileys_cask::backend::memory::MemoryBackend;
use baileys_cask::backend::{Backend, Completion};
use baileys_cask::lock::Limits;
use baileys_cask::record::{self, CREDS_KEY};
use baileys_cask::store::{Accepted, Account, Start, Store, Transaction};
use proptest::prelude::*;
use proptest::sample::select;

use crate::common::disk::{Disk, PATIENCE};
use crate::common::drive::{self, flush, options, records, vanish};
use crate::common::model::{Change, Changes, Records, named, session};
use crate::common::workload::{commit, stage};

/// What happens inside a transaction.
#[derive(Debug, Clone)]
enum Inside {
    Set(Vec<Change>),
    /// A transaction inside, and whether it commits.
    Nested(Vec<Inside>, bool),
}

#[derive(Debug, Clone)]
enum Step {
    Set(&'static str, Vec<Change>),
    Drop(&'static str),
    Transaction(&'static str, Vec<Inside>, bool),
    Flush,
    Reopen { closes: bool },
}

fn keys() -> Vec<Vec<u8>> {
    let mut keys: Vec<Vec<u8>> = (0..5).map(|n| session(&n.to_string())).collect();
    keys.extend([named("odd", "1"), named("odder", "1"), CREDS_KEY.to_vec()]);
    keys
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => (any::<u8>(), 200_usize..1500).prop_map(|(byte, len)| vec![byte; len]),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (select(keys()), value()).prop_map(|(key, value)| Change::Put(key, value)),
        3 => select(keys()).prop_map(Change::Delete),
        1 => Just(Change::Clear),
    ]
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    proptest::collection::vec(change(), 1..6)
}

fn inside() -> impl Strategy<Value = Inside> {
    changes().prop_map(Inside::Set).prop_recursive(3, 12, 4, |inner| {
        (proptest::collection::vec(inner, 0..4), any::<bool>()).prop_map(|(parts, commits)| Inside::Nested(parts, commits))
    })
}

fn step() -> impl Strategy<Value = Step> {
    let account = || select(vec!["a", "b"]);
    prop_oneof![
        8 => (account(), changes()).prop_map(|(account, changes)| Step::Set(account, changes)),
        1 => account().prop_map(Step::Drop),
        6 => (account(), proptest::collection::vec(inside(), 1..4), any::<bool>())
            .prop_map(|(account, parts, commits)| Step::Transaction(account, parts, commits)),
        1 => Just(Step::Flush),
        2 => any::<bool>().prop_map(|closes| Step::Reopen { closes }),
    ]
}

fn done(applied: impl FnOnce(&mut dyn FnMut() -> Completion) -> Accepted) {
    let (sender, receiver) = std::sync::mpsc::channel();
    let outcome = applied(&mut || {
        let sender = sender.clone();
        Box::new(move |outcome| drop(sender.send(outcome)))
    });
    match outcome {
        Accepted::Now(outcome) => outcome.unwrap(),
        Accepted::Queued | Accepted::Waits => receiver.recv_timeout(PATIENCE).unwrap().unwrap(),
    }
}

fn begin(store: &Arc<Store>, account: &Arc<Account>, around: Option<&Arc<Transaction>>) -> Arc<Transaction> {
    let start = Start { around, label: Some("label"), ..Start::new(store, account) };
    let begun = Transaction::begin(start, || panic!("nobody else holds the label")).unwrap();
    assert!(!begun.waits);
    begun.transaction
}

/// What a transaction reads, key by key and by listing, is what the model holds.
fn assert_reads(transaction: &Transaction, account: &str, model: &Records) {
    let keys = keys();
    let borrowed: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
    let mut found = Vec::new();
    transaction.get(&borrowed, &mut |value| found.push(value.map(<[u8]>::to_vec))).unwrap();
    let empty = Default::default();
    let expected = model.get(account).unwrap_or(&empty);
    for (key, value) in keys.iter().zip(found) {
        assert_eq!(value.as_ref(), expected.get(key), "{key:?}");
    }
    for prefix in [&b""[..], b"\x02", &named("odd", ""), CREDS_KEY] {
        let mut listed = Vec::new();
        transaction.keys(prefix, &mut |key| listed.push(key.to_vec())).unwrap();
        listed.sort_unstable();
        let expected: Vec<&Vec<u8>> = expected.keys().filter(|key| key.starts_with(prefix)).collect();
        assert_eq!(listed.iter().collect::<Vec<_>>(), expected, "listed by {prefix:?}");
    }
}

fn run_inside(store: &Arc<Store>, transaction: &Arc<Transaction>, parts: &[Inside], model: &mut Records) {
    let account = transaction.account();
    for part in parts {
        match part {
            Inside::Set(changes) => {
                let batch = Changes::new(account.name(), changes.as_slice());
                stage(transaction, &batch.pack()).unwrap();
                batch.apply(model);
            }
            Inside::Nested(parts, commits) => {
                let inner = begin(store, account, Some(transaction));
                let mut inner_model = model.clone();
                run_inside(store, &inner, parts, &mut inner_model);
                if *commits {
                    commit(&inner);
                    *model = inner_model;
                } else {
                    inner.rollback();
                }
                let error = stage(&inner, &[]).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TransactionEnded);
            }
        }
        assert_reads(transaction, account.name(), model);
    }
}

fn run(steps: &[Step], open: &mut dyn FnMut(Option<bool>) -> Arc<dyn Backend>) {
    let mut store = Arc::new(Store::new(None, open(None)));
    let mut model = Records::new();
    for step in steps {
        match step {
            Step::Set(account, changes) => {
                let batch = Changes::new(account, changes.as_slice());
                let handle = store.account(account).unwrap();
                done(|completion| store.set(&handle, &batch.pack(), 0, Limits::default(), completion));
                batch.apply(&mut model);
            }
            Step::Drop(account) => {
                let handle = store.account(account).unwrap();
                done(|completion| store.drop_account(&handle, completion).into());
                assert_eq!(handle.check().unwrap_err().kind(), ErrorKind::Dropped);
                model.remove(*account);
            }
            Step::Transaction(account, parts, commits) => {
                let transaction = begin(&store, &store.account(account).unwrap(), None);
                let mut inner_model = model.clone();
                run_inside(&store, &transaction, parts, &mut inner_model);
                assert_eq!(records(store.backend()).unwrap(), model, "nothing is there before the commit");
                if *commits {
                    commit(&transaction);
                    model = inner_model;
                } else {
                    transaction.rollback();
                }
            }
            Step::Flush => flush(store.backend()).unwrap(),
            Step::Reopen { closes } => {
                assert!(store.lock_manager().is_empty() && store.live().is_empty(), "nothing is held outside a transaction");
                drop(store);
                store = Arc::new(Store::new(None, open(Some(*closes))));
            }
        }
        assert_eq!(records(store.backend()).unwrap(), model, "after {step:?}");
    }
}

fn run_on_file(steps: &[Step], options: &FileOptions) {
    let disk = Disk::default();
    let mut current: Option<Arc<FileBackend>> = None;
    run(steps, &mut |closes| {
        if let Some(backend) = current.take() {
            if closes == Some(true) {
                backend.close().unwrap();
            }
            vanish(backend);
        }
        let backend = drive::open(&disk, options).unwrap();
        assert_eq!(*backend.report(), Default::default(), "nothing is cut off");
        current = Some(Arc::clone(&backend));
        backend
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_in_memory_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..25)) {
        let backend: Arc<dyn Backend> = Arc::new(MemoryBackend::default());
        run(&steps, &mut |_| Arc::clone(&backend));
    }

    #[test]
    fn a_store_in_a_folder_does_what_the_model_does(
        steps in proptest::collection::vec(step(), 1..40),
        is_power in any::<bool>(),
        cache_bytes in select(vec![Some(0), Some(2000), None]),
        segment_bytes in select(vec![400, 1024, 4096]),
    ) {
        let durability = if is_power { Durability::Power } else { Durability::Process };
        run_on_file(&steps, &FileOptions { cache_bytes, segment_bytes, ..options(durability) });
    }

    // Syncs and marks come in between, from the writer thread.
    #[test]
    fn a_store_that_syncs_all_the_time_does_what_the_model_does(steps in proptest::collection::vec(step(), 1..40)) {
        let sync_interval = std::time::Duration::ZERO;
        run_on_file(&steps, &FileOptions { sync_interval, ..options(Durability::Process) });
    }

    #[test]
    fn packed_operations_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let is_batch = record::check_batch(&bytes).is_ok();
        let reads = record::OpReader::new(&bytes).all(|op| op.is_ok());
        prop_assert!(reads || !is_batch);
    }
}
