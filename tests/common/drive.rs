//! Short ways to drive a backend.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use baileys_cask::Result;
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};
use baileys_cask::backend::{Applied, Backend, Batch};

use super::disk::{Disk, PATIENCE};
use super::model::{Change, Changes, Records};

pub const FOLDER: &str = "/cask";
pub const BOOT: [u8; 16] = [1; 16];
/// Never comes while a test runs.
pub const NEVER: Duration = Duration::from_secs(1 << 20);

/// Options under which nothing happens by itself.
pub fn options(durability: Durability) -> FileOptions {
    FileOptions {
        durability,
        sync_interval: NEVER,
        cache_bytes: Some(0),
        segment_bytes: 1024,
        boot_id: BOOT,
        compacts: false,
        hint_from: u64::MAX,
        preallocates: false,
        secret: None,
    }
}

pub fn open(disk: &Disk, options: &FileOptions) -> Result<Arc<FileBackend>> {
    FileBackend::open(Path::new(FOLDER), Arc::new(disk.clone()), options, None)
}

/// Lets go of a backend without closing it, and waits until the writer thread has done so too.
pub fn vanish(backend: Arc<FileBackend>) {
    let gone = Arc::downgrade(&backend);
    drop(backend);
    let deadline = Instant::now() + PATIENCE;
    while gone.strong_count() > 0 {
        assert!(Instant::now() < deadline, "somebody else keeps the backend");
        std::thread::yield_now();
    }
}

/// A batch that was handed over.
#[derive(Debug)]
pub enum Started {
    Ended(Result<()>),
    Waits(Receiver<Result<()>>),
}

impl Started {
    pub fn wait(self) -> Result<()> {
        match self {
            Self::Ended(outcome) => outcome,
            Self::Waits(outcome) => outcome.recv_timeout(PATIENCE).expect("a completion never came"),
        }
    }

    /// The outcome, where the batch has ended.
    pub fn now(self) -> Option<Result<()>> {
        match self {
            Self::Ended(outcome) => Some(outcome),
            Self::Waits(outcome) => outcome.try_recv().ok(),
        }
    }
}

/// Hands over a batch and does not wait for it.
pub fn start(backend: &dyn Backend, batch: &Changes) -> Started {
    let ops = batch.pack();
    let (sender, receiver) = channel();
    let applied = backend.apply(Batch { account: &batch.account, ops: &ops, fence: 0 }, &mut || {
        let sender = sender.clone();
        Box::new(move |outcome| drop(sender.send(outcome)))
    });
    match applied {
        Applied::Now(outcome) => Started::Ended(outcome),
        Applied::Later => Started::Waits(receiver),
    }
}

pub fn apply(backend: &dyn Backend, batch: &Changes) -> Result<()> {
    start(backend, batch).wait()
}

pub fn set(backend: &dyn Backend, account: &str, changes: &[Change]) -> Result<()> {
    apply(backend, &Changes::new(account, changes))
}

pub fn flush(backend: &dyn Backend) -> Result<()> {
    let (sender, receiver) = channel();
    backend.flush(Box::new(move |outcome| drop(sender.send(outcome))));
    receiver.recv_timeout(PATIENCE).expect("a flush never ended")
}

pub fn get(backend: &dyn Backend, account: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
    let mut found = None;
    backend.get(account, &[key], &mut |value| found = value.map(<[u8]>::to_vec))?;
    Ok(found)
}

pub fn keys(backend: &dyn Backend, account: &str, prefix: &[u8]) -> Result<Vec<Vec<u8>>> {
    let mut keys = Vec::new();
    backend.keys(account, prefix, &mut |key| keys.push(key.to_vec()))?;
    keys.sort_unstable();
    Ok(keys)
}

/// Everything the backend holds, read value by value.
pub fn records(backend: &dyn Backend) -> Result<Records> {
    let mut all = Records::new();
    for account in backend.accounts()? {
        let keys = keys(backend, &account, b"")?;
        let borrowed: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut values = Vec::new();
        backend.get(&account, &borrowed, &mut |value| values.push(value.map(<[u8]>::to_vec)))?;
        assert_eq!(values.len(), keys.len(), "one answer for each key");
        let pairs = keys.iter().cloned().zip(values.into_iter().map(|value| value.expect("a listed key has a value")));
        all.insert(account.clone(), pairs.collect());
    }
    Ok(all)
}
