//! What becomes of others when something has gone wrong: nobody waits for ever, and nobody is doubled.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use baileys_cask::backend::file::Durability;
use baileys_cask::backend::memory::MemoryBackend;
use baileys_cask::backend::{Applied, Backend, Batch, Completion, ValueSink};
use baileys_cask::error::{Error, ErrorKind, Result};
use baileys_cask::store::{Account, Store};

use crate::common::disk::Disk;
use crate::common::drive::{open, options, start};
use crate::common::model::{Changes, put};

/// Records in memory, written when a test says so.
#[derive(Debug, Default)]
struct Slow(MemoryBackend, Mutex<Waiting>);

#[derive(Default)]
struct Waiting(Vec<Completion>);

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} waiting", self.0.len())
    }
}

impl Slow {
    fn fail_all(&self) {
        let waiting = std::mem::take(&mut self.1.lock().unwrap().0);
        waiting.into_iter().for_each(|completion| completion(Err(Error::internal("no room"))));
    }
}

impl Backend for Slow {
    fn get(&self, account: &str, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<()> {
        self.0.get(account, keys, sink)
    }

    fn apply(&self, _: Batch<'_>, completion: &mut dyn FnMut() -> Completion) -> Applied {
        self.1.lock().unwrap().0.push(completion());
        Applied::Later
    }

    fn apply_at_once(&self, _: Batch<'_>) -> Option<Result<()>> {
        None
    }

    fn keys(&self, account: &str, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.0.keys(account, prefix, sink)
    }

    fn accounts(&self) -> Result<Vec<String>> {
        self.0.accounts()
    }

    fn flush(&self, completion: Completion) {
        self.0.flush(completion);
    }

    fn close(&self) -> Result<()> {
        self.0.close()
    }
}

fn begin_drop(store: &Arc<Store>, account: &Arc<Account>) {
    assert!(matches!(store.drop_account(account, &mut || Box::new(|outcome| assert!(outcome.is_err()))), Applied::Later));
}

#[test]
fn a_drop_that_fails_gives_the_account_back() {
    let slow = Arc::new(Slow::default());
    let store = Arc::new(Store::new(None, Arc::clone(&slow) as Arc<dyn Backend>));
    let account = store.account("a").unwrap();
    begin_drop(&store, &account);
    assert_eq!(account.check().unwrap_err().kind(), ErrorKind::Dropped);
    slow.fail_all();
    account.check().unwrap();
    assert!(Arc::ptr_eq(&store.account("a").unwrap(), &account));
}

// Two that live at once would know nothing of each other's locks.
#[test]
fn a_drop_that_fails_does_not_bring_back_handles_beside_newer_ones() {
    let slow = Arc::new(Slow::default());
    let store = Arc::new(Store::new(None, Arc::clone(&slow) as Arc<dyn Backend>));
    let old = store.account("a").unwrap();
    begin_drop(&store, &old);
    let new = store.account("a").unwrap();
    assert!(!Arc::ptr_eq(&old, &new));
    slow.fail_all();
    new.check().unwrap();
    assert!(Arc::ptr_eq(&store.account("a").unwrap(), &new));
    assert_eq!(old.check().unwrap_err().kind(), ErrorKind::Dropped);
}

#[test]
fn after_a_fault_on_the_writer_thread_writes_are_refused_and_wait_for_nothing() {
    let disk = Disk::default();
    let backend = open(&disk, &options(Durability::Power)).unwrap();
    let (told, heard) = std::sync::mpsc::channel();
    let ops = Changes::new("a", &[put("k", "v")]).pack();
    backend.apply(Batch { account: "a", ops: &ops, fence: 0 }, &mut || {
        let told = told.clone();
        Box::new(move |_| {
            told.send(()).unwrap();
            panic!("a fault");
        })
    });
    heard.recv().unwrap();
    let outcome = catch_unwind(AssertUnwindSafe(|| start(&*backend, &Changes::new("a", &[put("k", "w")])).wait()));
    assert!(outcome.expect("an end").is_err());
}
