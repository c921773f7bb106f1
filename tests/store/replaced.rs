//! A folder that is removed while a cask is open, and a new cask at its place: the old one must not touch what is there now.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;
use baileys_cask::backend::file::folder::Folder;
use baileys_cask::backend::file::fs::{Fs, FsFile};
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};
use baileys_cask::secret::Secret;
use baileys_cask::store::registry::{self, OpenRequest};
use baileys_cask::store::upkeep;
use zeroize::Zeroizing;

use crate::common::disk::PATIENCE;
use crate::common::drive::{flush, get, options, set, vanish};
use crate::common::model::{put, session};
use crate::common::places::{self, new_place};

fn at(path: &Path, options: &FileOptions, wrap: impl FnOnce(Arc<dyn Fs>) -> Arc<dyn Fs>) -> Arc<FileBackend> {
    let hold = Folder::prepare(path).unwrap().hold().unwrap();
    let fs = wrap(hold.fs().unwrap());
    FileBackend::open(path, fs, options, Some(hold)).unwrap()
}

fn open_at(path: &Path) -> Arc<FileBackend> {
    at(path, &options(Durability::Process), |fs| fs)
}

/// A file system that does something in the middle of what a cask does.
struct Interrupted {
    fs: Arc<dyn Fs>,
    when: When,
    what: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    is_due: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// Before a file is synced.
    Sync,
    /// After a manifest was renamed into its place, and its name was synced.
    Manifest,
}

impl fmt::Debug for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interrupted").field("when", &self.when).finish_non_exhaustive()
    }
}

impl Interrupted {
    fn interrupt(&self) {
        let what = self.what.lock().unwrap().take();
        if let Some(what) = what {
            what();
        }
    }
}

#[derive(Debug)]
struct Shared(Arc<Interrupted>);

#[derive(Debug)]
struct SharedFile(Arc<dyn FsFile>, Arc<Interrupted>);

impl FsFile for SharedFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buf, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        if self.1.when == When::Sync {
            self.1.interrupt();
        }
        self.0.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
}

impl Fs for Shared {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(SharedFile(self.0.fs.create_new(path)?, Arc::clone(&self.0))))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(SharedFile(self.0.fs.open(path)?, Arc::clone(&self.0))))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.0.fs.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.is_due.store(to.ends_with("manifest"), Ordering::SeqCst);
        self.0.fs.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.fs.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let synced = self.0.fs.sync_folder(folder);
        if self.0.is_due.swap(false, Ordering::SeqCst) && self.0.when == When::Manifest {
            self.0.interrupt();
        }
        synced
    }
}

/// A cask with garbage in several segments, and what is done in the middle of its work.
fn interrupted(path: &Path, when: When) -> (Arc<FileBackend>, Arc<Interrupted>) {
    let mut shared = None;
    let cask = at(path, &options(Durability::Process), |fs| {
        let interrupted = Arc::new(Interrupted { fs, when, what: Mutex::default(), is_due: AtomicBool::default() });
        shared = Some(Arc::clone(&interrupted));
        Arc::new(Shared(interrupted))
    });
    for n in 0..8_u8 {
        set(&*cask, "a", &[put("k", vec![n; 400])]).unwrap();
    }
    (cask, shared.unwrap())
}

/// Removes a cask's folder, as a bot does that was logged out, and opens a new cask there, of which the old one hears.
fn replace(path: PathBuf, old: &Arc<FileBackend>) -> (impl FnOnce() + Send + 'static, Arc<Mutex<Option<Arc<FileBackend>>>>) {
    let opened: Arc<Mutex<Option<Arc<FileBackend>>>> = Arc::default();
    let (kept, old) = (Arc::clone(&opened), Arc::downgrade(old));
    let work = move || {
        std::fs::remove_dir_all(&path).unwrap();
        let new = open_at(&path);
        assert!(old.upgrade().unwrap().detach_if_removed());
        set(&*new, "new", &[put("k", "of the new cask")]).unwrap();
        flush(&*new).unwrap();
        *kept.lock().unwrap() = Some(new);
    };
    (work, opened)
}

/// The process is killed and started again: the cask at the path has what was flushed there.
fn demand_whole(path: &Path, new: Arc<FileBackend>) {
    vanish(new);
    let again = open_at(path);
    assert_eq!(get(&*again, "new", &session("k")).unwrap().as_deref(), Some(&b"of the new cask"[..]));
    assert_eq!(again.report().cut_bytes, 0);
}

#[test]
fn an_old_cask_puts_no_manifest_in_the_place_of_the_new_ones() {
    let (_parent, path) = new_place();
    let (old, interrupted) = interrupted(&path, When::Sync);
    let (work, opened) = replace(path.clone(), &old);
    *interrupted.what.lock().unwrap() = Some(Box::new(work));
    let error = old.compact_all().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Detached, "{error}");
    let new = opened.lock().unwrap().take().expect("the folder was replaced");
    demand_whole(&path, new);
}

#[test]
fn an_old_casks_compaction_removes_nothing_of_the_new_one() {
    let (_parent, path) = new_place();
    let (old, interrupted) = interrupted(&path, When::Manifest);
    flush(&*old).unwrap();
    let (work, opened) = replace(path.clone(), &old);
    *interrupted.what.lock().unwrap() = Some(Box::new(work));
    // Whether it is done or finds that the folder is gone: what it removes is its own.
    let _ = old.compact_once();
    let new = opened.lock().unwrap().take().expect("the folder was replaced");
    demand_whole(&path, new);
}

#[test]
fn an_old_cask_that_has_not_looked_yet_makes_no_segment_in_the_new_one() {
    let (_parent, path) = new_place();
    let old = open_at(&path);
    set(&*old, "a", &[put("k", [0; 400])]).unwrap();
    std::fs::remove_dir_all(&path).unwrap();
    let new = open_at(&path);
    set(&*new, "new", &[put("k", "of the new cask")]).unwrap();
    let refused = (1..5_u8).find_map(|n| set(&*old, "a", &[put("k", vec![n; 400])]).err());
    assert_eq!(refused.expect("the next segment cannot be made").kind(), ErrorKind::Detached);
    demand_whole(&path, new);
}

#[test]
fn closing_an_old_cask_leaves_what_the_new_one_has() {
    let (_parent, path) = new_place();
    let compacting = FileOptions { compacts: true, ..options(Durability::Process) };
    let open = || {
        let cask = at(&path, &compacting, |fs| fs);
        for n in 0..12_u8 {
            set(&*cask, "a", &[put(&n.to_string(), vec![n; 400])]).unwrap();
        }
        let deadline = Instant::now() + PATIENCE;
        while !path.join("reserve").exists() {
            assert!(Instant::now() < deadline, "no room was set aside");
            std::thread::yield_now();
        }
        cask
    };
    let old = open();
    std::fs::remove_dir_all(&path).unwrap();
    let _new = open();
    assert!(old.detach_if_removed());
    let _ = old.close();
    for name in ["reserve", "owner", "lock", "manifest"] {
        assert!(path.join(name).exists(), "closing the old cask has removed the {name} of the new one");
    }
}

#[test]
fn a_key_change_leaves_a_cask_alone_that_has_taken_the_place_of_its_own() {
    let (parent, path) = new_place();
    let [first, second] = [1, 2].map(|byte| Secret::key(&[byte; 32]).unwrap());
    let words = Secret::passphrase(Zeroizing::new(b"words".to_vec())).unwrap();
    let sealed = |path: &Path, secret: &Secret| registry::open(&OpenRequest { secret: Some(secret.clone()), ..places::at(path) });
    sealed(&path, &first).unwrap().close().unwrap();
    let (of_change, from, to) = (path.clone(), first.clone(), words.clone());
    let change = std::thread::spawn(move || upkeep::change_key(&of_change, &from, &to));
    let deadline = Instant::now() + PATIENCE;
    while !path.join("owner").exists() {
        assert!(Instant::now() < deadline, "nobody came to change the key");
        std::thread::yield_now();
    }
    // While the passphrase is stretched, which takes some tenths of a second.
    let (old_path, new_path) = (parent.path().join("old"), parent.path().join("new"));
    let new = sealed(&new_path, &second).unwrap();
    set(places::backend(&new), "new", &[put("k", "of the new cask")]).unwrap();
    new.close().unwrap();
    std::fs::rename(&path, &old_path).unwrap();
    std::fs::rename(&new_path, &path).unwrap();
    let changed = change.join().unwrap();
    let new = sealed(&path, &second).expect("the new cask has its own key slot");
    assert_eq!(get(places::backend(&new), "new", &session("k")).unwrap().as_deref(), Some(&b"of the new cask"[..]));
    new.close().unwrap();
    let secret = if changed.is_ok() { words } else { first };
    sealed(&old_path, &secret).expect("the old cask has its key slot as well").close().unwrap();
}
