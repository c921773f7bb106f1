//! The manifest and the poison marker in the folder.

use std::io;
use std::path::Path;

use super::folder::OWNER;
use super::fs::{Fs, read_if_there};
use super::log::Log;
use super::replace::replace;
use super::reserve::RESERVE;
use super::sealing::Sealing;
use super::segments::id_of_file_name;
use super::tail::Tail;
use crate::codec::cipher::{Cipher, random};
use crate::codec::manifest::Manifest;
use crate::error::{Error, Result};

/// File name of the manifest.
pub const MANIFEST: &str = "manifest";
/// File name under which a manifest is written before it takes its place.
pub const MANIFEST_TEMP: &str = "manifest.tmp";
/// More than the manifest of any cask: it would name four million segments.
pub(super) const MOST_MANIFEST_BYTES: usize = 256 << 20;
/// File that says that a sync has failed since the log was opened.
pub const POISON_MARKER: &str = "poisoned";

/// The manifest of a folder; `None` where the folder holds no cask.
///
/// # Errors
/// `Corrupt` where it is damaged, or segments have none; `Version`, `Key`, `Io`.
pub(super) fn load(fs: &dyn Fs, folder: &Path, cipher: &Cipher) -> Result<Option<Manifest>> {
    let path = folder.join(MANIFEST);
    if let Some(bytes) = read_if_there(fs, &path, MOST_MANIFEST_BYTES)? {
        return Manifest::decode(&bytes, &path, cipher).map(Some);
    }
    // The manifest is there before the first segment, so segments without one have lost it.
    if has_segments(fs, folder)? {
        return Err(Error::corrupt(&path, 0, "the folder has segments and no manifest"));
    }
    Ok(None)
}

/// Whether a folder has a segment.
///
/// # Errors
/// `Io`.
pub(super) fn has_segments(fs: &dyn Fs, folder: &Path) -> Result<bool> {
    let names = fs.list(folder).map_err(|cause| Error::io("readdir", folder, &cause))?;
    Ok(names.iter().any(|name| id_of_file_name(name).is_some()))
}

/// The manifest of the folder; a new one, safely on disk, where the folder holds no cask yet.
///
/// # Errors
/// Those of [`load`].
pub(super) fn load_or_create(fs: &dyn Fs, folder: &Path, sealing: &Sealing) -> Result<Manifest> {
    if let Some(manifest) = load(fs, folder, &sealing.cipher)? {
        // Its name may not be on disk, if whoever made it did not live to sync it. Before there is a segment, it has to be.
        if manifest.generation == 1 && !has_segments(fs, folder)? {
            store(fs, folder, &manifest, &sealing.cipher)?;
        }
        return Ok(manifest);
    }
    let cask_id = sealing.cask_id.map_or_else(random, Ok)?;
    let manifest = Manifest { cask_id, generation: 1, ..Manifest::default() };
    // Whether its name is on disk is uncertain after a failure, so the next open makes another one.
    store(fs, folder, &manifest, &sealing.cipher).inspect_err(|_| drop(fs.remove(&folder.join(MANIFEST))))?;
    Ok(manifest)
}

/// What can be said of a log whose ended segments are known.
#[must_use]
pub fn describe(log: &Log, tail: &Tail, generation: u64) -> Manifest {
    let (segments, through) = tail.on_disk();
    Manifest {
        cask_id: log.cask_id,
        generation,
        synced: tail.synced,
        segments: segments.to_vec(),
        through,
        next_id: u64::from(tail.next_id),
        epoch: tail.epoch,
    }
}

/// Puts a manifest in the place of the one before: after a crash exactly one of the two is there, whole.
///
/// # Errors
/// `Io`.
pub fn store(fs: &dyn Fs, folder: &Path, manifest: &Manifest, cipher: &Cipher) -> Result<()> {
    replace(fs, folder, MANIFEST, MANIFEST_TEMP, &manifest.encode(cipher)?)
}

/// Whether a manifest that [`store`] failed to bring to disk may be found in its place all the same.
#[must_use]
pub fn may_be_in_place(error: &Error) -> bool {
    matches!(error.syscall(), Some("rename" | "fsync"))
}

/// Leaves word for the next open that pages which look clean may not be on disk. The marker needs no sync itself: it lives
/// as long as the page cache that the next open must not trust.
///
/// A disk that refuses to sync may refuse a new file as well, and a process at its limit has no descriptor for one: then a file that is needed no more
/// gets the name.
pub fn leave_poison_marker(fs: &dyn Fs, folder: &Path) {
    let marker = folder.join(POISON_MARKER);
    match fs.create_new(&marker) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => {
            let _ = [RESERVE, OWNER].iter().any(|name| fs.rename(&folder.join(name), &marker).is_ok());
        }
        _ => {}
    }
}

/// Whether a sync failed the last time the log was open.
///
/// # Errors
/// `Io`: a marker that cannot be looked at must not pass for none.
pub fn has_poison_marker(fs: &dyn Fs, folder: &Path) -> Result<bool> {
    let marker = folder.join(POISON_MARKER);
    match fs.open(&marker) {
        Ok(_) => Ok(true),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(cause) => Err(Error::io("open", &marker, &cause)),
    }
}
