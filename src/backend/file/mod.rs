//! Records in a folder: an append-only log in segments, with an index in memory.

mod at_rest;
mod backup;
pub mod cache;
mod cancel;
mod chores;
pub mod compaction;
mod copying;
mod damage;
mod direct_write;
mod facts;
pub mod folder;
mod folder_fs;
mod frames;
pub mod fs;
mod group_commit;
mod hints;
pub mod index;
mod log;
mod manifest_file;
mod network_fs;
mod new_folder;
mod pieces;
pub mod preallocation;
mod reading;
mod reappend;
mod recover;
pub mod repair;
mod replace;
mod reserve;
pub mod rewrite;
pub mod rollback;
#[cfg(all(test, feature = "schedules"))]
mod schedules;
pub mod sealing;
pub mod segments;
mod survey;
mod syncing;
mod tail;
mod usage;
pub mod verify;
mod writer;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use self::cache::ValueCache;
use self::chores::Chores;
use self::folder::FolderHold;
use self::fs::Fs;
use self::group_commit::Queue;
use self::index::{Index, Unreachable};
use self::log::Log;
use self::segments::Wait;
use self::tail::Tail;
use self::writer::{Job, Writer};
use super::{AccountFacts, Applied, Backend, Batch, Completion, Facts, ValueSink};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::{Fingerprint, Secret};
use crate::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use crate::sync::{Mutex, MutexGuard};

pub use self::backup::{BackupOptions, BackupReport};
pub use self::cancel::Cancel;
pub use self::damage::DamageWatch;
use self::recover::Recovered;
pub use self::recover::RecoveryReport;

/// Length at which a segment ends and the next one begins.
pub const SEGMENT_BYTES: u64 = 16 << 20;
/// More records than this are freed on the writer thread.
const FREED_ELSEWHERE_RECORDS: usize = 256;

/// What an acknowledged batch survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A kill of the process.
    Process,
    /// A loss of power.
    Power,
}

/// How a file backend is opened.
#[derive(Debug, Clone)]
pub struct FileOptions {
    /// What an acknowledged batch survives.
    pub durability: Durability,
    /// With [`Durability::Process`]: a batch is on disk within this time.
    pub sync_interval: Duration,
    /// Bytes of cache for this cask alone; the shared cache where `None`.
    pub cache_bytes: Option<u64>,
    /// Length at which a segment ends.
    pub segment_bytes: u64,
    /// The operating system's boot id; zeros where there is none.
    pub boot_id: [u8; 16],
    /// Whether segments are compacted when it is worth while, without being asked.
    pub compacts: bool,
    /// Length from which a segment gets a hint where that is much shorter; with 0, every segment gets one.
    pub hint_from: u64,
    /// Whether a cask with [`Durability::Power`] preallocates in the background, without being asked.
    pub preallocates: bool,
    /// What seals the cask; `None` for a plain one.
    pub secret: Option<Secret>,
}

impl Default for FileOptions {
    fn default() -> Self {
        Self {
            durability: Durability::Process,
            sync_interval: Duration::from_secs(1),
            cache_bytes: None,
            segment_bytes: SEGMENT_BYTES,
            boot_id: folder::boot_id(),
            compacts: true,
            hint_from: hints::HINT_FROM_BYTES,
            preallocates: true,
            secret: None,
        }
    }
}

/// A cask in a folder.
///
/// # Concurrency
/// Locks, in the order in which they are taken: `compacting`, `preallocating`, `turn` (the whole of a drain, sync or close), `tail` (the append lock, never
/// held across a sync but while closing), `queue`, an account's index. `generation` comes before `tail` and after `turn`.
#[derive(Debug)]
pub struct FileBackend {
    this: Weak<Self>,
    log: Log,
    index: Index,
    cache: ValueCache,
    durability: Durability,
    sync_interval: Duration,
    cache_bytes: Option<u64>,
    fingerprint: Option<Fingerprint>,
    writer: Writer,
    chores: Chores,
    hold: Mutex<Option<FolderHold>>,
    report: RecoveryReport,
    turn: Mutex<()>,
    tail: Mutex<Tail>,
    queue: Mutex<Queue>,
    /// Length of the queue; batches leave it only under the append lock.
    queued: AtomicUsize,
    tick_due: AtomicBool,
    /// Held by whoever compacts; before all other locks.
    compacting: Mutex<()>,
    /// Backups that are being made; it grows under `compacting` only, and no segment is removed while there are any.
    pins: backup::Pins,
    compacts: bool,
    compaction_due: AtomicBool,
    /// Held by whoever preallocates.
    preallocating: Mutex<()>,
    preallocates: bool,
    preallocation_due: AtomicBool,
    /// Compaction and preallocation stop as soon as they can.
    closing: AtomicBool,
    damage: damage::FoundDamage,
    /// Room is set aside for a full disk.
    has_reserve: AtomicBool,
    /// A segment has ended since the cask was opened.
    has_rolled: AtomicBool,
    /// When the disk was last found to be full.
    full_at: Mutex<Option<Instant>>,
    hint_from: u64,
    /// Segments that have a hint, or for which it is not worth while.
    hinted: Mutex<HashSet<u64>>,
    closed: AtomicBool,
    ended: OnceLock<Error>,
    poisoned: OnceLock<Error>,
    generation: Mutex<u64>,
    guard: OnceLock<rollback::Guard>,
    counts: facts::LogCounts,
}

fn lock<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    mutex.lock().map_err(|_| Error::internal("an earlier fault left this cask in doubt"))
}

impl FileBackend {
    /// Opens the log in a folder, or begins one. `hold` is released when the backend closes.
    ///
    /// # Errors
    /// `Corrupt`, `Version`, `Key`, `Io`; then nothing was changed.
    pub fn open(path: &Path, fs: Arc<dyn Fs>, options: &FileOptions, hold: Option<FolderHold>) -> Result<Arc<Self>> {
        let writer = Writer::shared()?;
        let chores = Chores::shared()?;
        let fingerprint = options.secret.as_ref().map(Secret::fingerprint).transpose()?;
        let sealing = sealing::unlock_or_create(&*fs, path, options.secret.as_ref())?;
        let manifest = manifest_file::load_or_create(&*fs, path, &sealing)?;
        let cache = ValueCache::new(options.cache_bytes);
        let log = Log {
            folder: path.into(),
            segments: segments::Segments::new(cache.cask(), path, Arc::clone(&fs), sealing.cipher.clone()),
            fs,
            cask_id: manifest.cask_id,
            cipher: sealing.cipher,
            boot_id: options.boot_id,
            segment_bytes: options.segment_bytes,
            roll_at: AtomicU64::new(options.segment_bytes),
            preallocates: options.durability == Durability::Power,
        };
        let index = Index::default();
        let recovered = recover::recover(&log, &index, &manifest);
        let settled = recovered.and_then(|recovered| sealing::settle_slot(&*log.fs, path, &log.cipher).map(|()| recovered));
        let Recovered { mut tail, report, generation, hinted } = settled.inspect_err(|error| {
            if error.is_failed_sync() {
                manifest_file::leave_poison_marker(&*log.fs, path);
            }
        })?;
        tail.opened_seq = tail.next_seq;
        log.adapt(index.usage.live());
        let is_dirty = tail.dirty;
        let backend = Arc::new_cyclic(|this| Self {
            this: this.clone(),
            log,
            index,
            cache,
            durability: options.durability,
            sync_interval: options.sync_interval,
            cache_bytes: options.cache_bytes,
            fingerprint,
            writer,
            chores,
            hold: Mutex::new(hold),
            report,
            turn: Mutex::new(()),
            tail: Mutex::new(tail),
            queue: Mutex::default(),
            queued: AtomicUsize::new(0),
            tick_due: AtomicBool::new(false),
            compacting: Mutex::new(()),
            pins: backup::Pins::new(0),
            compacts: options.compacts,
            compaction_due: AtomicBool::new(false),
            preallocating: Mutex::new(()),
            preallocates: options.preallocates,
            preallocation_due: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            damage: damage::FoundDamage::default(),
            has_reserve: AtomicBool::new(false),
            has_rolled: AtomicBool::new(false),
            full_at: Mutex::new(None),
            hint_from: options.hint_from,
            hinted: Mutex::new(hinted),
            closed: AtomicBool::new(false),
            ended: OnceLock::new(),
            poisoned: OnceLock::new(),
            generation: Mutex::new(generation),
            guard: OnceLock::new(),
            counts: facts::LogCounts::default(),
        });
        if is_dirty {
            backend.schedule_tick();
        }
        backend.schedule_compaction();
        Ok(backend)
    }

    /// What opening had to cut off.
    #[must_use]
    pub const fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// Folder of the cask.
    #[must_use]
    pub fn folder(&self) -> &PathBuf {
        &self.log.folder
    }

    /// What an acknowledged batch survives.
    #[must_use]
    pub const fn durability(&self) -> Durability {
        self.durability
    }

    /// How long a batch may wait for its sync.
    #[must_use]
    pub const fn sync_interval(&self) -> Duration {
        self.sync_interval
    }

    /// Bytes of cache for this cask alone; `None` where it uses the shared cache.
    #[must_use]
    pub const fn cache_bytes(&self) -> Option<u64> {
        self.cache_bytes
    }

    /// Whether the cask is sealed.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.log.cipher.is_sealed()
    }

    /// Whether a secret is the one that the cask was opened with; `None` for none.
    ///
    /// # Errors
    /// `Io` where there are no random numbers.
    pub fn is_opened_with(&self, secret: Option<&Secret>) -> Result<bool> {
        Ok(secret.map(Secret::fingerprint).transpose()? == self.fingerprint)
    }

    fn check_readable(&self) -> Result<()> {
        if let Some(error) = self.ended.get() {
            return Err(error.clone());
        }
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
    }

    fn check_writable(&self) -> Result<()> {
        self.check_readable()?;
        self.poisoned.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// Ends the backend because its folder is no longer there; says whether it is.
    pub fn detach_if_removed(&self) -> bool {
        let removed = lock(&self.hold).is_ok_and(|hold| hold.as_ref().is_some_and(|hold| !hold.is_in_place()));
        if removed {
            let shown = self.log.folder.display().to_string();
            let _ = self.ended.set(
                Error::new(
                    ErrorKind::Detached,
                    format!("{shown} was removed or replaced while it was open; open the path again"),
                )
                .with_text("path", shown),
            );
        }
        removed
    }

    fn poison(&self, error: &Error) -> Error {
        // Syncing what is gone fails as well, and says nothing about the disk.
        if let Some(ended) = self.end_if_removed() {
            return ended;
        }
        let shown = self.log.folder.display().to_string();
        let poisoned = self.poisoned.get_or_init(|| {
            manifest_file::leave_poison_marker(&*self.log.fs, &self.log.folder);
            Error::new(
                ErrorKind::Poisoned,
                format!(
                    "{}; what is on disk is uncertain, so {shown} takes no writes until it is closed and opened again",
                    error.message()
                ),
            )
            .with_text("path", shown.clone())
        });
        poisoned.clone()
    }

    fn end_if_removed(&self) -> Option<Error> {
        if self.detach_if_removed() { self.ended.get().cloned() } else { None }
    }

    /// What an error of the log means for the cask: a sync that failed poisons it, a folder that is gone ends it.
    fn heed(&self, error: Error) -> Error {
        if reserve::is_full_disk(&error) {
            self.make_room();
        }
        if error.is_failed_sync() { self.poison(&error) } else { self.end_if_removed().unwrap_or(error) }
    }

    fn discard(&self, unreachable: Unreachable) {
        match unreachable.records() {
            0 => {}
            1..=FREED_ELSEWHERE_RECORDS => self.index.free(&unreachable),
            _ => match self.this.upgrade() {
                Some(this) => self.writer.send(Job::Free(this, unreachable)),
                None => drop(unreachable),
            },
        }
    }

    /// Frees records that no one can reach. Runs on the writer thread where there are many.
    fn free(&self, unreachable: Unreachable) {
        self.index.free(&unreachable);
        drop(unreachable);
    }
}

impl Backend for FileBackend {
    fn get(&self, account: &str, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<()> {
        self.read(account, keys, Wait::Allowed, sink).map(|_| ())
    }

    fn get_at_once(&self, account: &str, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<bool> {
        self.read(account, keys, Wait::Refused, sink)
    }

    fn apply(&self, batch: Batch<'_>, completion: &mut dyn FnMut() -> Completion) -> Applied {
        let applied = self.with_frame(batch, |frame| match self.write_at_once(frame) {
            Some(outcome) => outcome.map(|()| Applied::Now(Ok(()))),
            None => self.enqueue(batch, frame, completion).map(|()| Applied::Later),
        });
        applied.unwrap_or_else(|error| Applied::Now(Err(error)))
    }

    fn apply_at_once(&self, batch: Batch<'_>) -> Option<Result<()>> {
        if self.durability == Durability::Power {
            return None;
        }
        self.with_frame(batch, |frame| Ok(self.write_at_once(frame))).unwrap_or_else(|error| Some(Err(error)))
    }

    fn keys(&self, account: &str, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.check_readable()?;
        if let Some(records) = self.index.account(account) {
            records.keys(prefix, sink);
        }
        Ok(())
    }

    fn accounts(&self) -> Result<Vec<String>> {
        self.check_readable()?;
        Ok(self.index.accounts())
    }

    fn visit_accounts(&self, sink: &mut dyn FnMut(AccountFacts<'_>)) {
        self.visit_account_facts(sink);
    }

    fn facts(&self) -> Facts {
        self.all_facts()
    }

    fn flush(&self, completion: Completion) {
        match self.this.upgrade() {
            Some(this) => self.writer.send(Job::Flush(this, completion)),
            None => completion(Err(Error::closed())),
        }
    }

    fn close(&self) -> Result<()> {
        self.closing.store(true, Ordering::Release);
        let _compacting = self.compacting.lock().unwrap_or_else(PoisonError::into_inner);
        let _preallocating = self.preallocating.lock().unwrap_or_else(PoisonError::into_inner);
        let _turn = lock(&self.turn)?;
        lock(&self.queue)?.closed = true;
        self.drain_in_turn();
        let ended = if self.check_writable().is_ok() { self.end_log() } else { Ok(()) };
        self.give_up_reserve();
        self.follow_at_once();
        self.closed.store(true, Ordering::Release);
        if let Ok(mut tail) = self.tail.lock() {
            tail.closed = true;
        }
        self.log.segments.close();
        if let Some(hold) = lock(&self.hold)?.take() {
            hold.release(&*self.log.fs);
        }
        ended
    }
}
