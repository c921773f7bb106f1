//! Notices a cask that is older than one this machine has seen.
//!
//! A copy that is restored brings back old ratchets. A state file outside of the folder keeps, for each cask, how far its log
//! has been seen on disk; a log that ends before that is an older copy. Many casks and processes share the file.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::writer::Job;
use super::{FileBackend, lock};
use crate::error::{Error, ErrorKind, Result};
use crate::sync::Mutex;
use crate::sync::atomic::{AtomicBool, Ordering};

/// While a cask is written to, the state file follows at this distance.
pub const NOTED_EVERY: Duration = Duration::from_secs(5);
const FORMAT: u64 = 1;
/// Others have the state file for some milliseconds at a time.
const LONGEST_WAIT: Duration = Duration::from_secs(2);
const BETWEEN_TRIES: Duration = Duration::from_millis(2);

/// How far a cask has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Generation of its manifest.
    pub generation: u64,
    /// Sequence number up to which all of it was on disk.
    pub synced: u64,
}

/// Notes for one cask, and when that was done last.
#[derive(Debug)]
pub(super) struct Guard {
    state: PathBuf,
    /// At most so often the state file follows.
    every: Duration,
    noted: Mutex<Option<(Seen, Instant)>>,
    /// A look at it is due that no write asks for.
    is_scheduled: AtomicBool,
}

/// Raises what the state file says of a cask; gives what it said before.
///
/// # Errors
/// `Io`; `InvalidArgument` where the file is no such state file. Then it stays as it was.
pub fn note(state: &Path, cask_id: [u8; 16], seen: Seen) -> Result<Option<Seen>> {
    let _lock = hold(state)?;
    let mut casks = read(state)?;
    let name: String = cask_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let number = |entry: &Value, field: &str| entry.get(field).and_then(Value::as_u64).unwrap_or(0);
    let before = casks.get(&name).map(|entry| Seen { generation: number(entry, "generation"), synced: number(entry, "synced") });
    let highest = before.map_or(seen, |before| Seen {
        generation: before.generation.max(seen.generation),
        synced: before.synced.max(seen.synced),
    });
    if Some(highest) != before {
        casks.insert(name, json!({ "generation": highest.generation, "synced": highest.synced }));
        write(state, casks)?;
    }
    Ok(before)
}

/// Keeps others away from the state file. The lock file stays, so that all lock the same one.
fn hold(state: &Path) -> Result<File> {
    let path = with_suffix(state, ".lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(|cause| Error::io("open", &path, &cause))?;
    // Whoever has stopped with the lock must not keep a cask from opening and closing.
    let deadline = Instant::now() + LONGEST_WAIT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::WouldBlock) => return Err(Error::io("flock", &path, &io::ErrorKind::TimedOut.into())),
            Err(TryLockError::Error(cause)) => return Err(Error::io("flock", &path, &cause)),
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(suffix);
    name.into()
}

fn read(state: &Path) -> Result<Map<String, Value>> {
    let bytes = match fs::read(state) {
        Ok(bytes) => bytes,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(Map::new()),
        Err(cause) => return Err(Error::io("read", state, &cause)),
    };
    parse_state(&bytes).ok_or_else(|| {
        Error::new(ErrorKind::InvalidArgument, format!("{} is no state file of a rollback guard", state.display()))
            .with_text("path", state.display().to_string())
            .with_text("argument", "rollbackGuard")
    })
}

/// What a state file says, by the identities of casks; `None` where it is none.
#[must_use]
pub fn parse_state(bytes: &[u8]) -> Option<Map<String, Value>> {
    let mut parsed: Value = serde_json::from_slice(bytes).ok()?;
    if parsed.get("version").and_then(Value::as_u64) != Some(FORMAT) {
        return None;
    }
    match parsed.get_mut("casks").map(Value::take) {
        Some(Value::Object(casks)) => Some(casks),
        _ => None,
    }
}

fn write(state: &Path, casks: Map<String, Value>) -> Result<()> {
    let temp = with_suffix(state, ".tmp");
    let text = json!({ "version": FORMAT, "casks": casks }).to_string();
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temp).map_err(|cause| Error::io("open", &temp, &cause))?;
    file.write_all(text.as_bytes()).map_err(|cause| Error::io("write", &temp, &cause))?;
    file.sync_all().map_err(|cause| Error::io("fsync", &temp, &cause))?;
    fs::rename(&temp, state).map_err(|cause| Error::io("rename", state, &cause))?;
    #[cfg(unix)]
    {
        let parent = state.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(parent).and_then(|folder| folder.sync_all()).map_err(|cause| Error::io("fsync", parent, &cause))?;
    }
    Ok(())
}

impl FileBackend {
    /// Keeps a state file from now on, written at most once in `every`, and says what is to be told of what it has said of this cask.
    /// Nothing that is wrong with the file keeps the cask from being used.
    pub fn guard_rollback(&self, state: &Path, every: Duration) -> Vec<String> {
        let guard = self.guard.get_or_init(|| Guard {
            state: state.into(),
            every,
            noted: Mutex::default(),
            is_scheduled: AtomicBool::new(false),
        });
        let Ok(last_seq) = lock(&self.tail).map(|tail| tail.next_seq - 1) else { return Vec::new() };
        let shown = self.log.folder.display();
        match self.note_now(guard) {
            Ok(Some(before)) if before.synced > last_seq => vec![format!(
                "{shown} is an older copy of a cask: its log ends at batch {last_seq}, and this machine has seen it at batch {} (manifest \
                 {}). Sessions and sender keys in it are old, and an old ratchet must not be used again: restore a newer copy, or \
                 remove those records. {} remembers it",
                before.synced,
                before.generation,
                guard.state.display()
            )],
            Ok(_) => Vec::new(),
            Err(error) => vec![format!("the rollback guard of {shown} does not work: {error}")],
        }
    }

    fn note_now(&self, guard: &Guard) -> Result<Option<Seen>> {
        let generation = *lock(&self.generation)?;
        let seen = Seen { generation, synced: lock(&self.tail)?.synced };
        let before = note(&guard.state, self.log.cask_id, seen);
        *guard.noted.lock().unwrap_or_else(PoisonError::into_inner) = Some((seen, Instant::now()));
        before
    }

    /// Lets the state file follow, in the background and not too often. Runs with each regular sync.
    pub(super) fn follow_with_guard(&self) {
        let Some(guard) = self.guard.get() else { return };
        let Ok(synced) = lock(&self.tail).map(|tail| tail.synced) else { return };
        let noted = *guard.noted.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((_, at)) = noted.filter(|(seen, _)| seen.synced < synced) else { return };
        if at.elapsed() >= guard.every {
            guard.is_scheduled.store(false, Ordering::Release);
            if let Some(cask) = self.this.upgrade() {
                self.chores.send(move || cask.follow_at_once());
            }
        } else if !guard.is_scheduled.swap(true, Ordering::AcqRel) {
            // Nothing more may be written, and no regular sync come by itself.
            self.writer.send(Job::Tick(self.this.clone(), at + guard.every));
        }
    }

    /// The same at once. A failure is told when the cask is opened next, and costs nothing before.
    pub(super) fn follow_at_once(&self) {
        if let Some(guard) = self.guard.get() {
            let _ = self.note_now(guard);
        }
    }

    /// The state file that is kept, where one is.
    #[must_use]
    pub fn rollback_guard(&self) -> Option<&Path> {
        self.guard.get().map(|guard| guard.state.as_path())
    }
}
