//! A file system in memory that fails nothing and records nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use baileys_cask::backend::file::fs::{Fs, FsFile};

/// Names in a folder and the bytes behind them.
pub type Image = BTreeMap<String, Vec<u8>>;

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<PathBuf, Arc<MemoryFile>>,
    folders: BTreeSet<PathBuf>,
}

/// Clones are the same file system.
#[derive(Debug, Clone, Default)]
pub struct MemoryFs(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl MemoryFs {
    /// One folder with these files.
    pub fn new(folder: &Path, image: &Image) -> Self {
        let this = Self::default();
        let mut state = this.state();
        state.folders.insert(folder.into());
        state.files =
            image.iter().map(|(name, bytes)| (folder.join(name), Arc::new(MemoryFile(Mutex::new(bytes.clone()))))).collect();
        drop(state);
        this
    }

    /// What is in a folder.
    pub fn image(&self, folder: &Path) -> Image {
        let state = self.state();
        let own = state.files.iter().filter(|(path, _)| path.parent() == Some(folder));
        own.map(|(path, file)| (name_of(path), file.0.lock().unwrap().clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    fn find(&self, path: &Path) -> io::Result<Arc<MemoryFile>> {
        self.state().files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

impl Fs for MemoryFs {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let mut state = self.state();
        if !state.folders.contains(path.parent().unwrap()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = Arc::new(MemoryFile::default());
        state.files.insert(path.into(), Arc::clone(&file));
        Ok(file)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(self.find(path)?)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        if !state.folders.contains(folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(state.files.keys().filter(|path| path.parent() == Some(folder)).map(|path| name_of(path)).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        if state.folders.remove(from) {
            state.folders.insert(to.into());
            let inside: Vec<PathBuf> = state.files.keys().filter(|path| path.parent() == Some(from)).cloned().collect();
            for path in inside {
                let file = state.files.remove(&path).unwrap();
                state.files.insert(to.join(name_of(&path)), file);
            }
            return Ok(());
        }
        let file = state.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        state.files.insert(to.into(), file);
        Ok(())
    }

    fn trim(&self, path: &Path, len: u64) -> io::Result<()> {
        self.find(path)?.0.lock().unwrap().truncate(usize::try_from(len).unwrap());
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.state().files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        if self.state().folders.insert(path.into()) { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) }
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        if self.state().folders.remove(path) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl FsFile for MemoryFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let bytes = self.0.lock().unwrap();
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buf.len());
        buf[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, new: &[u8], offset: u64) -> io::Result<usize> {
        let mut bytes = self.0.lock().unwrap();
        let offset = usize::try_from(offset).unwrap();
        if bytes.len() < offset + new.len() {
            bytes.resize(offset + new.len(), 0);
        }
        bytes[offset..offset + new.len()].copy_from_slice(new);
        Ok(new.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }
}
