//! A folder in memory that records every change and every sync, and fails where it is told to. Beside it there may be others.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use baileys_cask::backend::file::fs::{Fs, FsFile};

use super::drive::FOLDER;

/// Names in the folder and the bytes behind them.
pub type Image = BTreeMap<String, Vec<u8>>;
/// Identity of a file, whatever its name is.
pub type FileId = usize;

pub const EIO: i32 = 5;
pub const EMFILE: i32 = 24;
pub const ENOSPC: i32 = 28;
/// How long a test waits for something that has to happen.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a test knows at a point of the log of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// So many batches have been handed over.
    Issued(usize),
    /// The batch of this number (from 1) was acknowledged.
    Acknowledged(usize),
    /// The first so many batches are promised to survive a loss of power.
    Safe(usize),
}

/// One change, sync or note, in the order in which they happened.
#[derive(Debug, Clone)]
pub enum Event {
    Create {
        file: FileId,
        name: String,
    },
    Write {
        file: FileId,
        offset: usize,
        bytes: Arc<[u8]>,
    },
    SetLen {
        file: FileId,
        len: usize,
    },
    Sync {
        file: FileId,
    },
    /// The kernel reported an error and forgot about the pages.
    SyncFailed {
        file: FileId,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove {
        name: String,
    },
    /// A file has one more name.
    Link {
        file: FileId,
        name: String,
    },
    SyncFolder,
    /// The same for the names.
    SyncFolderFailed,
    /// Another folder, whose files' names begin with its label whatever it is called.
    CreateFolder {
        name: String,
        label: String,
    },
    RemoveFolder {
        name: String,
    },
    RenameFolder {
        from: String,
        to: String,
    },
    /// Names in another folder; the empty label is that of the folder that they all are in.
    SyncOther {
        label: String,
    },
    Note(Note),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Create,
    Open,
    List,
    Read,
    Len,
    Write,
    SetLen,
    Sync,
    Rename,
    Remove,
    SyncFolder,
    CreateFolder,
    RemoveFolder,
    Link,
}

/// One call of the file system, as a fault plan sees it.
#[derive(Debug, Clone)]
pub struct Call {
    /// Counts every call from 0.
    pub number: usize,
    pub kind: Kind,
    /// Name of the file, empty for the folder.
    pub name: String,
}

#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Nothing happens, and this comes back.
    Errno(i32),
    /// A write takes only so many bytes.
    Short(usize),
    /// A write takes so many bytes, though never all, and fails all the same.
    TornWrite(usize, i32),
    /// A write takes all bytes, or a rename is done, and fails all the same.
    DoneButFailed(i32),
}

impl Fault {
    fn error(self) -> io::Error {
        let (Self::Errno(code) | Self::TornWrite(_, code) | Self::DoneButFailed(code)) = self else {
            return io::ErrorKind::Interrupted.into();
        };
        io::Error::from_raw_os_error(code)
    }
}

type Plan = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;

struct State {
    names: BTreeMap<String, FileId>,
    /// Labels of the other folders, by name.
    folders: BTreeMap<String, String>,
    files: Vec<Vec<u8>>,
    events: Vec<Event>,
    calls: Vec<Call>,
    /// By the name of the file.
    bytes_read: BTreeMap<String, usize>,
    /// What is said to be free.
    free_bytes: Option<u64>,
    plan: Option<Plan>,
    /// While set, a sync waits here.
    sync_gate: bool,
    syncs_waiting: usize,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// A folder in memory. Clones are the same folder.
#[derive(Clone)]
pub struct Disk(Arc<Shared>);

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

impl Default for Disk {
    fn default() -> Self {
        Self::new(&Image::new())
    }
}

impl Disk {
    /// A folder whose contents are all safely on disk.
    pub fn new(image: &Image) -> Self {
        let names = image.keys().cloned().zip(0..).collect();
        let files = image.values().cloned().collect();
        let state = State {
            names,
            folders: BTreeMap::new(),
            files,
            events: Vec::new(),
            calls: Vec::new(),
            bytes_read: BTreeMap::new(),
            free_bytes: None,
            plan: None,
            sync_gate: false,
            syncs_waiting: 0,
        };
        Self(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() }))
    }

    /// A folder to which these events have happened; what they did not sync is still at stake.
    pub fn resume(image: &Image, events: &[Event]) -> Self {
        let disk = Self::new(image);
        let mut state = disk.state();
        for event in events {
            match event {
                Event::Create { file, name } => {
                    assert_eq!(*file, state.files.len(), "files are numbered as they are made");
                    state.files.push(Vec::new());
                    state.names.insert(name.clone(), *file);
                }
                Event::Write { file, offset, bytes } => overwrite(&mut state.files[*file], *offset, bytes),
                Event::SetLen { file, len } => state.files[*file].resize(*len, 0),
                Event::Rename { from, to } => {
                    let file = state.names.remove(from).unwrap();
                    state.names.insert(to.clone(), file);
                }
                Event::Remove { name } => drop(state.names.remove(name).unwrap()),
                Event::Link { file, name } => drop(state.names.insert(name.clone(), *file)),
                Event::CreateFolder { name, label } => drop(state.folders.insert(name.clone(), label.clone())),
                Event::RemoveFolder { name } => drop(state.folders.remove(name).unwrap()),
                Event::RenameFolder { from, to } => {
                    let label = state.folders.remove(from).unwrap();
                    state.folders.insert(to.clone(), label);
                }
                Event::SyncOther { .. } => {}
                Event::Sync { .. } | Event::SyncFailed { .. } => {}
                Event::SyncFolder | Event::SyncFolderFailed | Event::Note(_) => {}
            }
        }
        state.events = events.to_vec();
        drop(state);
        disk
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// The folder as a program sees it now.
    pub fn image(&self) -> Image {
        let state = self.state();
        let own = state.names.iter().filter(|(name, _)| !name.contains('/'));
        own.map(|(name, file)| (name.clone(), state.files[*file].clone())).collect()
    }

    /// Another folder as a program sees it now.
    pub fn image_of(&self, folder: &str) -> Option<Image> {
        let state = self.state();
        let label = state.folders.get(folder)?;
        let all = state.names.iter().map(|(name, file)| (name.clone(), state.files[*file].clone())).collect();
        Some(image_with_label(&all, label))
    }

    /// Names of the other folders.
    pub fn folders(&self) -> Vec<String> {
        self.state().folders.keys().cloned().collect()
    }

    /// Changes a file behind the back of whoever has it open.
    pub fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        let file = state.names[name];
        change(&mut state.files[file]);
    }

    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// Says from now on that so many bytes are free.
    pub fn say_free(&self, bytes: u64) {
        self.state().free_bytes = Some(bytes);
    }

    /// Bytes that were read, by the name of the file.
    pub fn bytes_read(&self) -> BTreeMap<String, usize> {
        self.state().bytes_read.clone()
    }

    pub fn note(&self, note: Note) {
        self.state().events.push(Event::Note(note));
    }

    /// Fails calls as the plan says, from now on.
    pub fn fail(&self, plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        self.state().plan = Some(Box::new(plan));
    }

    /// Fails nothing any more.
    pub fn heal(&self) {
        self.state().plan = None;
    }

    /// Waits until the events satisfy the condition.
    pub fn wait_until(&self, what: &str, mut found: impl FnMut(&[Event]) -> bool) {
        let state = self.state();
        let waited = self.0.changed.wait_timeout_while(state, PATIENCE, |state| !found(&state.events)).unwrap();
        assert!(!waited.1.timed_out(), "{what} did not happen");
    }

    /// Holds every sync of a file until [`Self::open_gate`].
    pub fn close_gate(&self) {
        self.state().sync_gate = true;
    }

    pub fn open_gate(&self) {
        self.state().sync_gate = false;
        self.0.changed.notify_all();
    }

    /// Waits until somebody stands before the gate.
    pub fn wait_at_gate(&self) {
        let waited = self.0.changed.wait_timeout_while(self.state(), PATIENCE, |state| state.syncs_waiting == 0).unwrap();
        assert!(!waited.1.timed_out(), "nobody came to sync");
    }

    fn call(&self, kind: Kind, name: &str) -> (MutexGuard<'_, State>, Option<Fault>) {
        let mut state = self.state();
        let call = Call { number: state.calls.len(), kind, name: name.into() };
        state.calls.push(call.clone());
        let fault = state.plan.as_mut().and_then(|plan| plan(&call));
        (state, fault)
    }

    fn plain_call(&self, kind: Kind, name: &str) -> io::Result<MutexGuard<'_, State>> {
        match self.call(kind, name) {
            (state, None | Some(Fault::Short(_))) => Ok(state),
            (_, Some(fault)) => Err(fault.error()),
        }
    }

    fn push(&self, mut state: MutexGuard<'_, State>, event: Event) {
        state.events.push(event);
        self.0.changed.notify_all();
    }

    fn handle(&self, file: FileId, name: String) -> Arc<dyn FsFile> {
        Arc::new(Handle { disk: self.clone(), file, name })
    }
}

/// The files of the folder with a label.
pub fn image_with_label(all: &Image, label: &str) -> Image {
    let inside = |(name, bytes): (&String, &Vec<u8>)| Some((name.strip_prefix(label)?.strip_prefix('/')?.into(), bytes.clone()));
    all.iter().filter_map(inside).collect()
}

fn last_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Folder in which the others are, the cask's own among them.
const ROOT: &str = "/";

impl State {
    /// What the names in a folder begin with: nothing in that of the cask.
    fn prefix(&self, folder: &Path) -> io::Result<String> {
        if folder == Path::new(FOLDER) {
            return Ok(String::new());
        }
        let label = self.folders.get(&last_of(folder)).ok_or(io::ErrorKind::NotFound)?;
        Ok(format!("{label}/"))
    }

    fn name(&self, path: &Path) -> io::Result<String> {
        Ok(self.prefix(path.parent().unwrap())? + &last_of(path))
    }
}

impl Fs for Disk {
    fn free_bytes(&self, _: &Path) -> Option<u64> {
        self.state().free_bytes
    }

    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let mut state = self.plain_call(Kind::Create, &last_of(path))?;
        let name = state.name(path)?;
        if state.names.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = state.files.len();
        state.files.push(Vec::new());
        state.names.insert(name.clone(), file);
        self.push(state, Event::Create { file, name });
        Ok(self.handle(file, last_of(path)))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let state = self.plain_call(Kind::Open, &last_of(path))?;
        let file = *state.names.get(&state.name(path)?).ok_or(io::ErrorKind::NotFound)?;
        drop(state);
        Ok(self.handle(file, last_of(path)))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.plain_call(Kind::List, "")?;
        let prefix = state.prefix(folder)?;
        let inside = state.names.keys().filter_map(|name| name.strip_prefix(&prefix));
        Ok(inside.filter(|name| !name.contains('/')).map(str::to_string).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (mut state, fault) = self.call(Kind::Rename, &last_of(from));
        let fault = fault.filter(|fault| !matches!(fault, Fault::Short(_)));
        if let Some(fault) = fault.filter(|fault| !matches!(fault, Fault::DoneButFailed(_))) {
            return Err(fault.error());
        }
        if from.parent() == Some(Path::new(ROOT)) {
            let (from, to) = (last_of(from), last_of(to));
            let label = state.folders.remove(&from).ok_or(io::ErrorKind::NotFound)?;
            assert!(!state.folders.contains_key(&to), "a folder in the way");
            state.folders.insert(to.clone(), label);
            self.push(state, Event::RenameFolder { from, to });
            return fault.map_or(Ok(()), |fault| Err(fault.error()));
        }
        let (from, to) = (state.name(from)?, state.name(to)?);
        let file = state.names.remove(&from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(to.clone(), file);
        self.push(state, Event::Rename { from, to });
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn trim(&self, path: &Path, len: u64) -> io::Result<()> {
        let mut state = self.plain_call(Kind::SetLen, &last_of(path))?;
        let file = *state.names.get(&state.name(path)?).ok_or(io::ErrorKind::NotFound)?;
        let len = usize::try_from(len).unwrap();
        assert!(len <= state.files[file].len(), "trimming makes nothing longer");
        state.files[file].truncate(len);
        self.push(state, Event::SetLen { file, len });
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.plain_call(Kind::Remove, &last_of(path))?;
        let name = state.name(path)?;
        state.names.remove(&name).ok_or(io::ErrorKind::NotFound)?;
        self.push(state, Event::Remove { name });
        Ok(())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        assert_eq!(path.parent(), Some(Path::new(ROOT)));
        let name = last_of(path);
        let mut state = self.plain_call(Kind::CreateFolder, &name)?;
        if state.folders.contains_key(&name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let label = format!("{}:{name}", state.events.len());
        state.folders.insert(name.clone(), label.clone());
        self.push(state, Event::CreateFolder { name, label });
        Ok(())
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        let name = last_of(path);
        let mut state = self.plain_call(Kind::RemoveFolder, &name)?;
        let prefix = state.prefix(path)?;
        if state.names.keys().any(|name| name.starts_with(&prefix)) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.folders.remove(&name);
        self.push(state, Event::RemoveFolder { name });
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.plain_call(Kind::Link, &last_of(to))?;
        let (from, name) = (state.name(from)?, state.name(to)?);
        let file = *state.names.get(&from).ok_or(io::ErrorKind::NotFound)?;
        state.names.insert(name.clone(), file);
        self.push(state, Event::Link { file, name });
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let (state, fault) = self.call(Kind::SyncFolder, &last_of(folder));
        if folder != Path::new(FOLDER) {
            if let Some(fault) = fault {
                return Err(fault.error());
            }
            let label =
                if folder == Path::new(ROOT) { String::new() } else { state.prefix(folder)?.trim_end_matches('/').into() };
            self.push(state, Event::SyncOther { label });
            return Ok(());
        }
        if let Some(fault) = fault {
            self.push(state, Event::SyncFolderFailed);
            return Err(fault.error());
        }
        self.push(state, Event::SyncFolder);
        Ok(())
    }
}

struct Handle {
    disk: Disk,
    file: FileId,
    name: String,
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl FsFile for Handle {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let (mut state, fault) = self.disk.call(Kind::Read, &self.name);
        if let Some(fault) = fault.filter(|fault| !matches!(fault, Fault::Short(_))) {
            return Err(fault.error());
        }
        let bytes = &state.files[self.file];
        let rest = bytes.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let mut count = rest.len().min(buf.len());
        if let Some(Fault::Short(limit)) = fault {
            count = count.min(limit);
        }
        buf[..count].copy_from_slice(&rest[..count]);
        *state.bytes_read.entry(self.name.clone()).or_default() += count;
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let (mut state, fault) = self.disk.call(Kind::Write, &self.name);
        let (count, error) = match fault {
            None => (bytes.len(), None),
            Some(Fault::Errno(code)) => (0, Some(code)),
            Some(Fault::Short(count)) => (count.min(bytes.len()), None),
            Some(Fault::TornWrite(count, code)) => (count.min(bytes.len() - 1), Some(code)),
            Some(Fault::DoneButFailed(code)) => (bytes.len(), Some(code)),
        };
        if count > 0 {
            let offset = usize::try_from(offset).unwrap();
            overwrite(&mut state.files[self.file], offset, &bytes[..count]);
            self.disk.push(state, Event::Write { file: self.file, offset, bytes: bytes[..count].into() });
        }
        error.map_or(Ok(count), |code| Err(io::Error::from_raw_os_error(code)))
    }

    fn sync_data(&self) -> io::Result<()> {
        let (mut state, fault) = self.disk.call(Kind::Sync, &self.name);
        state.syncs_waiting += 1;
        self.disk.0.changed.notify_all();
        let (mut state, timeout) = self.disk.0.changed.wait_timeout_while(state, PATIENCE, |state| state.sync_gate).unwrap();
        assert!(!timeout.timed_out(), "the gate before a sync was never opened");
        state.syncs_waiting -= 1;
        if let Some(fault) = fault {
            self.disk.push(state, Event::SyncFailed { file: self.file });
            return Err(fault.error());
        }
        self.disk.push(state, Event::Sync { file: self.file });
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.plain_call(Kind::SetLen, &self.name)?;
        let len = usize::try_from(len).unwrap();
        state.files[self.file].resize(len, 0);
        self.disk.push(state, Event::SetLen { file: self.file, len });
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.plain_call(Kind::Len, &self.name)?.files[self.file].len() as u64)
    }
}

/// Writes bytes into a file's contents; a gap before them reads as zeros.
pub fn overwrite(file: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// Files that were filled with zeros before anything else was written to them, with the length that they had then, and whether they
/// became segments.
pub fn preallocated(events: &[Event]) -> BTreeMap<FileId, (usize, bool)> {
    let mut found = BTreeMap::new();
    let is_reserve =
        |event: &Event, id: FileId| matches!(event, Event::Create { file, name } if *file == id && name == "reserve");
    for event in events {
        let Event::Write { file, offset, bytes } = event else { continue };
        if events.iter().any(|event| is_reserve(event, *file)) {
            continue;
        }
        let is_zero = bytes.iter().all(|byte| *byte == 0);
        match found.get_mut(file) {
            None => drop(found.insert(*file, (if is_zero { bytes.len() } else { 0 }, false))),
            Some((len, false)) if is_zero && *len > 0 => *len = offset + bytes.len(),
            Some((len, became)) => *became |= *len > 0,
        }
    }
    found.retain(|_, (len, _)| *len > 0);
    found
}
