//! What is open in this process, shared by all its threads.
//!
//! Opening what is already open gives another handle to the same store; the store closes with its last handle. Folders are
//! told apart by the identity of their lock file, not by path.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use super::Store;
use crate::backend::file::folder::{Folder, FolderKey};
use crate::backend::file::rollback::NOTED_EVERY;
use crate::backend::file::{Durability, FileBackend, FileOptions, RecoveryReport};
use crate::backend::memory::MemoryBackend;
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Where a cask is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a folder.
    Folder(PathBuf),
    /// In memory, under a name.
    Named(String),
    /// In memory, for this handle alone.
    Private,
}

/// How to open a cask. `None` leaves an option to the store that is open already, or to the default.
#[derive(Debug, Clone)]
pub struct OpenRequest {
    /// Where it is.
    pub place: Place,
    /// What an acknowledged batch survives.
    pub durability: Option<Durability>,
    /// How long a batch may wait for its sync.
    pub sync_interval: Option<Duration>,
    /// Cache of its own, in bytes.
    pub cache_bytes: Option<u64>,
    /// State file that tells whether the cask is an older copy.
    pub rollback_guard: Option<PathBuf>,
    /// Whether a cask is made where there is none.
    pub creates: bool,
    /// What seals the cask. Unlike the others, leaving it out means that the cask is plain.
    pub secret: Option<Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Folder(FolderKey),
    Named(String),
}

/// Where one cask is open, or not.
#[derive(Debug, Default)]
struct SlotState {
    /// Held while the cask is opened or closed, however long that takes, so nobody meets a half-open store.
    turn: Mutex<()>,
    /// Held for a look only, and after `turn` where both are.
    open: Mutex<Option<Open>>,
}

impl SlotState {
    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> MutexGuard<'_, Option<Open>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Slot = Arc<SlotState>;

#[derive(Debug)]
struct Open {
    store: Arc<Store>,
    file: Option<Arc<FileBackend>>,
    handles: usize,
}

/// Shared by every worker thread on purpose: they see one store for one folder.
fn slots() -> &'static Mutex<HashMap<Key, Slot>> {
    static SLOTS: OnceLock<Mutex<HashMap<Key, Slot>>> = OnceLock::new();
    SLOTS.get_or_init(Mutex::default)
}

/// A handle to an open cask. Give it back with [`StoreHandle::close`].
#[derive(Debug)]
pub struct StoreHandle {
    store: Arc<Store>,
    file: Option<Arc<FileBackend>>,
    slot: Slot,
    key: Option<Key>,
    /// What opening the store had to cut off.
    pub report: RecoveryReport,
    /// Things its user may want to know, in sentences.
    pub warnings: Vec<String>,
}

fn slot_of(key: &Key) -> Slot {
    Arc::clone(slots().lock().unwrap_or_else(PoisonError::into_inner).entry(key.clone()).or_default())
}

/// Opens a cask, or takes another handle to one that is open. Blocks on the disk: call it off the JavaScript thread.
///
/// # Errors
/// `InvalidArgument`, `Locked`, `Corrupt`, `Version`, `Key`, `Io`.
pub fn open(request: &OpenRequest) -> Result<StoreHandle> {
    match &request.place {
        Place::Private => {
            let store = Arc::new(Store::new(None, Arc::new(MemoryBackend::default())));
            let (slot, report) = (Slot::default(), RecoveryReport::default());
            Ok(StoreHandle { store, file: None, slot, key: None, report, warnings: Vec::new() })
        }
        Place::Named(name) => {
            let key = Key::Named(name.clone());
            share_or(&key, request, Vec::new(), |_| Ok((Arc::new(Store::new(None, Arc::new(MemoryBackend::default()))), None)))
        }
        Place::Folder(path) => open_folder(path, request),
    }
}

fn open_folder(path: &Path, request: &OpenRequest) -> Result<StoreHandle> {
    let mut folder = if request.creates { Folder::prepare(path) } else { Folder::existing(path) }?;
    let warnings = std::mem::take(&mut folder.warnings);
    let key = Key::Folder(folder.key().clone());
    detach_predecessors(folder.path(), &key);
    share_or(&key, request, warnings, move |warnings| {
        let path = folder.path().to_path_buf();
        let hold = folder.hold()?;
        let fs = hold.fs()?;
        let defaults = FileOptions::default();
        let options = FileOptions {
            durability: request.durability.unwrap_or(defaults.durability),
            sync_interval: request.sync_interval.unwrap_or(defaults.sync_interval),
            cache_bytes: request.cache_bytes,
            secret: request.secret.clone(),
            ..defaults
        };
        let backend = FileBackend::open(&path, fs, &options, Some(hold))?;
        if let Some(state) = &request.rollback_guard {
            warnings.extend(backend.guard_rollback(state, NOTED_EVERY));
        }
        Ok((Arc::new(Store::new(Some(path), Arc::clone(&backend) as _)), Some(backend)))
    })
}

/// Ends stores that were open at this path before the folder was replaced, so that their users hear of it.
fn detach_predecessors(path: &Path, key: &Key) {
    let others: Vec<Slot> = {
        let slots = slots().lock().unwrap_or_else(PoisonError::into_inner);
        slots.iter().filter(|(other, _)| *other != key).map(|(_, slot)| Arc::clone(slot)).collect()
    };
    for slot in others {
        let file = slot.open().as_ref().and_then(|open| open.file.clone());
        if let Some(file) = file.filter(|file| file.folder() == path) {
            file.detach_if_removed();
        }
    }
}

fn share_or(
    key: &Key,
    request: &OpenRequest,
    mut warnings: Vec<String>,
    open: impl FnOnce(&mut Vec<String>) -> Result<(Arc<Store>, Option<Arc<FileBackend>>)>,
) -> Result<StoreHandle> {
    let slot = slot_of(key);
    let turn = slot.turn();
    let mut guard = slot.open();
    // A folder that was removed keeps its lock file's identity only for those who had it open: let them go.
    if guard.as_ref().is_some_and(|open| open.file.as_ref().is_some_and(|file| file.detach_if_removed())) {
        *guard = None;
    }
    if let Some(open) = guard.as_mut() {
        check_same_options(open, request)?;
        open.handles += 1;
        let report = open.file.as_ref().map_or_else(RecoveryReport::default, |file| *file.report());
        let (store, file) = (Arc::clone(&open.store), open.file.clone());
        drop(guard);
        drop(turn);
        return Ok(StoreHandle { store, file, slot, key: Some(key.clone()), report, warnings });
    }
    drop(guard);
    let (store, file) = match open(&mut warnings) {
        Ok(opened) => opened,
        Err(error) => {
            drop(turn);
            forget(key, slot);
            return Err(error);
        }
    };
    let report = file.as_ref().map_or_else(RecoveryReport::default, |file| *file.report());
    *slot.open() = Some(Open { store: Arc::clone(&store), file: file.clone(), handles: 1 });
    drop(turn);
    Ok(StoreHandle { store, file, slot, key: Some(key.clone()), report, warnings })
}

fn check_same_options(open: &Open, request: &OpenRequest) -> Result<()> {
    let Some(file) = &open.file else { return Ok(()) };
    if !file.is_opened_with(request.secret.as_ref())? {
        let what = match (&request.secret, file.is_sealed()) {
            (None, _) => "is open and sealed; give its encryptionKey",
            (Some(_), true) => "is open, and was opened with another encryptionKey",
            (Some(_), false) => "is open and not sealed, and an encryptionKey was given",
        };
        return Err(Error::key(file.folder(), what));
    }
    let contradicts = |option: &str, asked: String, has: String| {
        Error::new(
            ErrorKind::InvalidArgument,
            format!(
                "{} is already open with {option} {has}, and {asked} was asked for; leave {option} out or give the same",
                file.folder().display()
            ),
        )
        .with_text("argument", option)
    };
    if let Some(asked) = request.durability.filter(|asked| *asked != file.durability()) {
        let name = |durability| if durability == Durability::Power { "'power'" } else { "'process'" };
        return Err(contradicts("durability", name(asked).into(), name(file.durability()).into()));
    }
    if let Some(asked) = request.sync_interval.filter(|asked| *asked != file.sync_interval()) {
        return Err(contradicts("syncIntervalMs", asked.as_millis().to_string(), file.sync_interval().as_millis().to_string()));
    }
    if let Some(asked) = request.cache_bytes.filter(|asked| Some(*asked) != file.cache_bytes()) {
        let has = file.cache_bytes().map_or_else(|| "left to the shared cache".into(), |bytes| bytes.to_string());
        return Err(contradicts("cacheBytes", asked.to_string(), has));
    }
    if let Some(asked) = request.rollback_guard.as_deref().filter(|asked| Some(*asked) != file.rollback_guard()) {
        let has = file.rollback_guard().map_or_else(|| "left out".into(), |state| state.display().to_string());
        return Err(contradicts("rollbackGuard", asked.display().to_string(), has));
    }
    Ok(())
}

/// Another handle to a cask that is open in this process; opens nothing and waits for nothing.
///
/// # Errors
/// `Closed` where it is not open.
pub fn attach(place: &Place) -> Result<StoreHandle> {
    let (key, shown) = match place {
        Place::Folder(path) => (Folder::key_at(path).map(Key::Folder), path.display().to_string()),
        Place::Named(name) => (Some(Key::Named(name.clone())), name.clone()),
        Place::Private => (None, String::new()),
    };
    let not_open =
        || Error::new(ErrorKind::Closed, format!("no cask is open at {shown} in this process; open it with openCask()"));
    let key = key.ok_or_else(not_open)?;
    let slot = slots().lock().unwrap_or_else(PoisonError::into_inner).get(&key).map(Arc::clone).ok_or_else(not_open)?;
    let mut guard = slot.open();
    let open = guard.as_mut().ok_or_else(not_open)?;
    open.handles += 1;
    let report = open.file.as_ref().map_or_else(RecoveryReport::default, |file| *file.report());
    let (store, file) = (Arc::clone(&open.store), open.file.clone());
    drop(guard);
    Ok(StoreHandle { store, file, slot, key: Some(key), report, warnings: Vec::new() })
}

/// Whether a folder is open in this process.
#[must_use]
pub fn is_open(path: &Path) -> bool {
    let slot = |key| slots().lock().unwrap_or_else(PoisonError::into_inner).get(&key).map(Arc::clone);
    let slot: Option<Slot> = Folder::key_at(path).map(Key::Folder).and_then(slot);
    slot.is_some_and(|slot| slot.open().is_some())
}

impl StoreHandle {
    /// The log in its folder; `None` in memory.
    #[must_use]
    pub const fn file(&self) -> Option<&Arc<FileBackend>> {
        self.file.as_ref()
    }

    /// The store.
    #[must_use]
    pub const fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Gives the handle back; the last one closes the store. Blocks on the disk: call it off the JavaScript thread.
    ///
    /// # Errors
    /// `Io` where the log could not be ended cleanly; what was acknowledged is there all the same.
    pub fn close(self) -> Result<()> {
        let Some(key) = self.key else { return self.store.backend().close() };
        let turn = self.slot.turn();
        let mut guard = self.slot.open();
        match guard.as_mut() {
            Some(open) if Arc::ptr_eq(&open.store, &self.store) => {
                open.handles -= 1;
                if open.handles > 0 {
                    return Ok(());
                }
                if let Some(file) = &open.file {
                    // Nothing is left to end in a folder that was removed.
                    file.detach_if_removed();
                }
                *guard = None;
            }
            // The folder was removed and its store let go of; this was one of its handles.
            _ => {}
        }
        drop(guard);
        let outcome = self.store.backend().close();
        drop(turn);
        forget(&key, self.slot);
        outcome
    }
}

/// Removes an empty slot. Whoever else has it in hand may be about to open in it, so it goes only when nobody has.
fn forget(key: &Key, slot: Slot) {
    let mut slots = slots().lock().unwrap_or_else(PoisonError::into_inner);
    drop(slot);
    let unused = |slot: &Slot| Arc::strong_count(slot) == 1 && slot.open().is_none();
    if slots.get(key).is_some_and(unused) {
        slots.remove(key);
    }
}
