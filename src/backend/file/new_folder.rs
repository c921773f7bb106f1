//! A folder that is written under another name first, so that under its own it is there whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{INCOMPLETE, LOCK, PARTIAL_SUFFIX, refuse_argument};
use super::fs::Fs;
use crate::error::{Error, Result};

/// A folder that is not finished.
///
/// Under its own name it is whole: everything in it is on disk before it gets that name. Until then it has the suffix
/// `.partial` and a file `incomplete` in it, and is refused for either.
#[derive(Debug)]
pub(super) struct NewFolder {
    fs: Arc<dyn Fs>,
    target: PathBuf,
    partial: PathBuf,
}

fn refuse(path: &Path, what: &str) -> Error {
    refuse_argument("target", path, what)
}

impl NewFolder {
    /// Begins a folder that is to be found at `target`, where nothing or an empty folder may be.
    ///
    /// # Errors
    /// `InvalidArgument` where something else is there, or is left of an earlier attempt; `Io`.
    pub(super) fn begin(fs: &Arc<dyn Fs>, target: &Path) -> Result<Self> {
        let Some(name) = target.file_name().map(|name| name.to_string_lossy().into_owned()) else {
            return Err(refuse(target, "is no name for a new folder"));
        };
        if name.ends_with(PARTIAL_SUFFIX) {
            return Err(refuse(target, "has the name of a folder that is not finished; give another one"));
        }
        match fs.list(target) {
            Ok(names) if names.is_empty() => {}
            Ok(_) => return Err(refuse(target, "is not empty; give the path of a folder that does not exist yet")),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {}
            Err(cause) if cause.kind() == io::ErrorKind::NotADirectory => {
                return Err(refuse(target, "is no folder; give the path of a folder that does not exist yet"));
            }
            Err(cause) => return Err(Error::io("readdir", target, &cause)),
        }
        let partial = target.with_file_name(format!("{name}{PARTIAL_SUFFIX}"));
        match fs.create_folder(&partial) {
            Ok(()) => {}
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                return Err(refuse(
                    &partial,
                    "is there already: another one is being written, or an earlier one was not finished; remove it in that case",
                ));
            }
            // A volume that is not mounted must not become a folder of this disk.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                return Err(refuse(target, "lies in a folder that does not exist; mount or make that one first"));
            }
            Err(cause) => return Err(Error::io("mkdir", &partial, &cause)),
        }
        let folder = Self { fs: Arc::clone(fs), target: target.into(), partial };
        match folder.mark() {
            Ok(()) => Ok(folder),
            Err(error) => {
                folder.abandon();
                Err(error)
            }
        }
    }

    fn mark(&self) -> Result<()> {
        let marker = self.partial.join(INCOMPLETE);
        self.fs.create_new(&marker).map_err(|cause| Error::io("open", &marker, &cause))?;
        // Whoever looks at what was never opened holds it by this file as well.
        let lock = self.partial.join(LOCK);
        self.fs.create_new(&lock).map_err(|cause| Error::io("open", &lock, &cause))?;
        // Before anything else is in the folder: whatever a loss of power leaves of it, the marker is there.
        self.sync(&self.partial)
    }

    /// Where it is while it is not finished.
    pub(super) fn path(&self) -> &Path {
        &self.partial
    }

    /// Gives the folder its own name. All files in it, and their names, have to be on disk.
    ///
    /// # Errors
    /// `Io`; then it is not finished, unless only its name may not be on disk.
    pub(super) fn finish(self) -> Result<()> {
        let renamed = self.unmark_and_rename();
        if renamed.is_err() {
            self.abandon();
            return renamed;
        }
        self.sync(self.target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")))
    }

    fn unmark_and_rename(&self) -> Result<()> {
        let marker = self.partial.join(INCOMPLETE);
        self.fs.remove(&marker).map_err(|cause| Error::io("unlink", &marker, &cause))?;
        self.sync(&self.partial)?;
        match self.fs.remove_folder(&self.target) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(Error::io("rmdir", &self.target, &cause)),
            _ => {}
        }
        self.fs.rename(&self.partial, &self.target).map_err(|cause| Error::io("rename", &self.target, &cause))
    }

    fn sync(&self, folder: &Path) -> Result<()> {
        self.fs.sync_folder(folder).map_err(|cause| Error::io("fsync", folder, &cause))
    }

    /// Removes what there is of it, as far as that can be done.
    pub(super) fn abandon(self) {
        let names = self.fs.list(&self.partial).unwrap_or_default();
        // The marker goes last: what is left of the folder must not pass for a whole one.
        let (markers, others): (Vec<String>, Vec<String>) = names.into_iter().partition(|name| name == INCOMPLETE);
        for name in others.into_iter().chain(markers) {
            if self.fs.remove(&self.partial.join(name)).is_err() {
                return;
            }
        }
        let _ = self.fs.remove_folder(&self.partial);
    }
}
