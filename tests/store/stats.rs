//! What a cask tells about itself while calls of the file system fail.

use std::sync::Arc;

use baileys_cask::ErrorKind;
use baileys_cask::backend::file::{Durability, FileBackend};
use baileys_cask::error::Result;
use baileys_cask::lock::Limits;
use baileys_cask::record::Op;
use baileys_cask::store::{Accepted, Account, Settings, Start, Store, Transaction};

use crate::common::disk::{Disk, EIO, ENOSPC, Fault, Kind};
use crate::common::drive::{open, options};
use crate::common::faulty::{LEVELS, once};

struct Scene {
    disk: Disk,
    store: Arc<Store>,
    account: Arc<Account>,
}

impl Scene {
    fn new(level: Durability) -> Self {
        let disk = Disk::default();
        let backend: Arc<FileBackend> = open(&disk, &options(level)).unwrap();
        let store = Arc::new(Store::new(None, backend));
        let account = store.account("a").unwrap();
        let scene = Self { disk, store, account };
        scene.set().unwrap();
        scene
    }

    fn packed() -> Vec<u8> {
        let mut ops = Vec::new();
        Op::Put { key: b"\x02a", value: b"value" }.pack(&mut ops);
        ops
    }

    fn ended(&self, begin: impl FnOnce(&mut dyn FnMut() -> baileys_cask::backend::Completion) -> Accepted) -> Result<()> {
        let (tell, told) = std::sync::mpsc::channel();
        let accepted = begin(&mut || {
            let tell = tell.clone();
            Box::new(move |outcome| drop(tell.send(outcome)))
        });
        match accepted {
            Accepted::Now(outcome) => outcome,
            Accepted::Queued | Accepted::Waits => told.recv().unwrap(),
        }
    }

    fn set(&self) -> Result<()> {
        self.ended(|completion| self.store.set(&self.account, &Self::packed(), 1, Limits::default(), completion))
    }

    fn commit(&self) -> Result<()> {
        let start = Start { settings: Settings::default(), label: Some("label"), ..Start::new(&self.store, &self.account) };
        let transaction = Transaction::begin(start, || Box::new(|_| ())).unwrap().transaction;
        assert!(matches!(transaction.set(&Self::packed(), Limits::default(), &mut || Box::new(|_| ())), Accepted::Now(Ok(()))));
        self.ended(|completion| transaction.commit(Limits::default(), completion))
    }

    /// Batches that ended well, batches that failed, transactions that ended well and that did not.
    fn counts(&self) -> [u64; 4] {
        let activity = self.account.activity();
        [activity.commits.snapshot().count(), activity.failed_commits.get(), activity.committed.get(), activity.rolled_back.get()]
    }
}

#[test]
fn batches_that_fail_are_counted_as_such_and_nowhere_else() {
    for level in LEVELS {
        let scene = Scene::new(level);
        assert_eq!(scene.counts(), [1, 0, 0, 0]);
        scene.disk.fail(once(Fault::Errno(ENOSPC), |call| call.kind == Kind::Write));
        assert_eq!(scene.set().unwrap_err().kind(), ErrorKind::Io, "{level:?}");
        assert_eq!(scene.counts(), [1, 1, 0, 0], "{level:?}");
        scene.disk.fail(once(Fault::Errno(EIO), |call| call.kind == Kind::Write));
        scene.commit().unwrap_err();
        assert_eq!(scene.counts(), [1, 2, 0, 1], "{level:?}");
        scene.commit().unwrap();
        scene.set().unwrap();
        assert_eq!(scene.counts(), [3, 2, 1, 1], "{level:?}");
        let batches = scene.account.activity().batch_records.snapshot();
        assert_eq!((batches.count(), batches.sum), (3, 3), "{level:?}");
    }
}

#[test]
fn a_sync_that_fails_is_told() {
    let scene = Scene::new(Durability::Power);
    let log = scene.store.backend().facts().log.unwrap();
    assert!(!log.is_poisoned && log.syncs.count() >= 1);
    scene.disk.fail(once(Fault::Errno(EIO), |call| call.kind == Kind::Sync));
    scene.set().unwrap_err();
    let failed = scene.store.backend().facts().log.unwrap();
    assert!(failed.is_poisoned, "the cask takes no writes");
    assert_eq!(failed.syncs, log.syncs, "a sync that fails is none");
    assert_eq!(scene.set().unwrap_err().kind(), ErrorKind::Poisoned);
    assert_eq!(scene.counts(), [1, 2, 0, 0]);
}
