//! The file system as one cask sees it: what is done in its folder is done in that folder, whatever has taken its place since.
//!
//! Whoever removes a folder and makes another one at the same path, as bots do when they are logged out, may do so at any moment: between
//! a look whether it is still there and what was to be done in it. By path, a manifest would be put over the new cask's, and its segments would
//! be removed for garbage. So the folder is held open, and names are looked up in it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::fs::Fs;

/// The file system, with the folder at a path held.
///
/// # Errors
/// What the operating system says.
#[cfg(unix)]
pub fn hold(path: &Path) -> io::Result<Arc<dyn Fs>> {
    Ok(Arc::new(held::FolderFs::hold(path)?))
}

/// The file system. Here a folder in which a file is open cannot be removed.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn hold(_: &Path) -> io::Result<Arc<dyn Fs>> {
    Ok(Arc::new(super::fs::OsFs))
}

#[cfg(unix)]
mod held {
    use std::ffi::OsStr;
    use std::fs::File;
    use std::io;
    use std::os::unix::ffi::OsStrExt as _;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, fstatvfs, linkat, openat, renameat, unlinkat};

    use super::super::fs::{Fs, FsFile, OsFs, copy_file};

    /// The operating system's file system, with one folder held.
    #[derive(Debug)]
    pub struct FolderFs {
        path: PathBuf,
        folder: File,
    }

    impl FolderFs {
        pub fn hold(path: &Path) -> io::Result<Self> {
            Ok(Self { path: path.into(), folder: File::open(path)? })
        }

        /// Name of a path that lies in the folder.
        fn name_of<'a>(&self, path: &'a Path) -> Option<&'a OsStr> {
            if path.parent()? == self.path { path.file_name() } else { None }
        }

        fn open_at(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
            Ok(openat(&self.folder, name, flags | OFlags::CLOEXEC, Mode::RUSR | Mode::WUSR)?.into())
        }
    }

    impl Fs for FolderFs {
        fn create_new(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
            let Some(name) = self.name_of(path) else { return OsFs.create_new(path) };
            Ok(Arc::new(self.open_at(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)?))
        }

        /// As [`OsFs`] does it.
        fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
            let Some(name) = self.name_of(path) else { return OsFs.open(path) };
            Ok(Arc::new(self.open_at(name, OFlags::RDONLY | OFlags::NONBLOCK)?))
        }

        fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
            if folder != self.path {
                return OsFs.list(folder);
            }
            let mut names = Vec::new();
            for entry in Dir::read_from(&self.folder)? {
                let entry = entry?;
                let name = entry.file_name().to_bytes();
                if name != b"." && name != b".." {
                    names.push(OsStr::from_bytes(name).to_string_lossy().into_owned());
                }
            }
            Ok(names)
        }

        /// A file that loses its last name in a rename gives its room back inside of it, under the folder's lock, in which a call that starts
        /// a segment would wait: for 100 ms and more where the disk is told of free blocks (`discard`). Held open, it gives it back later.
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            let (Some(from_name), Some(to_name)) = (self.name_of(from), self.name_of(to)) else { return OsFs.rename(from, to) };
            #[cfg(target_os = "linux")]
            let _replaced = openat(&self.folder, to_name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
            Ok(renameat(&self.folder, from_name, &self.folder, to_name)?)
        }

        fn free_bytes(&self, folder: &Path) -> Option<u64> {
            if folder != self.path {
                return OsFs.free_bytes(folder);
            }
            let facts = fstatvfs(&self.folder).ok()?;
            facts.f_bavail.checked_mul(facts.f_frsize)
        }

        fn trim(&self, path: &Path, len: u64) -> io::Result<()> {
            let Some(name) = self.name_of(path) else { return OsFs.trim(path, len) };
            self.open_at(name, OFlags::WRONLY)?.set_len(len)
        }

        fn remove(&self, path: &Path) -> io::Result<()> {
            let Some(name) = self.name_of(path) else { return OsFs.remove(path) };
            Ok(unlinkat(&self.folder, name, AtFlags::empty())?)
        }

        fn create_folder(&self, path: &Path) -> io::Result<()> {
            OsFs.create_folder(path)
        }

        fn remove_folder(&self, path: &Path) -> io::Result<()> {
            OsFs.remove_folder(path)
        }

        fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
            let Some(name) = self.name_of(from) else { return OsFs.link(from, to) };
            Ok(linkat(&self.folder, name, CWD, to, AtFlags::empty())?)
        }

        fn copy(&self, from: &Path, to: &Path, len: u64) -> io::Result<bool> {
            let Some(name) = self.name_of(from) else { return OsFs.copy(from, to, len) };
            copy_file(self.open_at(name, OFlags::RDONLY)?, to, len)
        }

        /// Opens nothing: a process without a free descriptor has not failed to sync.
        fn sync_folder(&self, folder: &Path) -> io::Result<()> {
            if folder != self.path {
                return OsFs.sync_folder(folder);
            }
            self.folder.sync_all()
        }
    }
}
