//! A folder in memory that knows what is on disk, and whose calls are places where threads are switched.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use crate::backend::file::fs::{Fs, FsFile};
use crate::sync::switch_point;

const EIO: i32 = 5;

#[derive(Debug, Default)]
struct Bytes {
    written: Vec<u8>,
    /// What a loss of power leaves.
    synced: Vec<u8>,
}

#[derive(Debug, Clone)]
struct File {
    bytes: Arc<Mutex<Bytes>>,
    fails: Arc<AtomicBool>,
}

/// The folder. None of its own locks is held where threads are switched.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    files: Arc<Mutex<BTreeMap<PathBuf, File>>>,
    fails: Arc<AtomicBool>,
}

impl Disk {
    /// Whether these bytes survive a loss of power.
    pub fn holds(&self, bytes: &[u8]) -> bool {
        self.files.lock().unwrap().values().any(|file| {
            let file = file.bytes.lock().unwrap();
            file.synced.windows(bytes.len()).any(|found| found == bytes)
        })
    }

    /// Leaves what survives a loss of power.
    pub fn lose_power(&self) {
        for file in self.files.lock().unwrap().values() {
            let bytes = &mut *file.bytes.lock().unwrap();
            bytes.written.clone_from(&bytes.synced);
        }
    }

    /// From now on every sync fails, also those that have begun.
    pub fn fail_syncs(&self) {
        self.fails.store(true, Ordering::SeqCst);
    }

    fn find(&self, path: &Path) -> io::Result<File> {
        self.files.lock().unwrap().get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

// The calls that make or rename files switch no threads: some are made once for all, while others wait for it in a way that the
// checker does not know.
impl Fs for Disk {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        let mut files = self.files.lock().unwrap();
        if files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = File { bytes: Arc::default(), fails: Arc::clone(&self.fails) };
        files.insert(path.into(), file.clone());
        Ok(Arc::new(file))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.find(path).map(|file| Arc::new(file) as Arc<dyn FsFile>)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let files = self.files.lock().unwrap();
        let names = files.keys().filter_map(|path| path.strip_prefix(folder).ok());
        Ok(names.map(|name| name.display().to_string()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let file = self.find(from)?;
        let mut files = self.files.lock().unwrap();
        files.remove(from);
        files.insert(to.into(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.files.lock().unwrap().remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }
}

impl FsFile for File {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        switch_point();
        let count = {
            let bytes = self.bytes.lock().unwrap();
            let rest = bytes.written.get(offset as usize..).unwrap_or_default();
            let count = rest.len().min(buf.len());
            buf[..count].copy_from_slice(&rest[..count]);
            count
        };
        switch_point();
        Ok(count)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        switch_point();
        {
            let mut file = self.bytes.lock().unwrap();
            let end = offset as usize + bytes.len();
            let len = file.written.len().max(end);
            file.written.resize(len, 0);
            file.written[offset as usize..end].copy_from_slice(bytes);
        }
        switch_point();
        Ok(bytes.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        switch_point();
        let written = self.bytes.lock().unwrap().written.clone();
        switch_point();
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        let mut bytes = self.bytes.lock().unwrap();
        // No offset is written twice, so of two syncs at once the longer one knows more.
        if bytes.synced.len() < written.len() {
            bytes.synced = written;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.bytes.lock().unwrap().written.resize(len as usize, 0);
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.lock().unwrap().written.len() as u64)
    }
}
