//! Copies of an open cask.
//!
//! A backup is the log up to one moment: its segments, and a manifest of its own that names them. Segments do not change once
//! they have ended, so nobody waits while they are copied; only compaction, which would remove some, leaves the cask alone
//! meanwhile.

use std::io;
use std::path::Path;
use std::sync::PoisonError;

use super::cancel::Cancel;
use super::frames::Frames;
use super::fs::{FsFile, fill_at};
use super::new_folder::NewFolder;
use super::recover::{is_as_named, walk_named};
use super::{FileBackend, lock, manifest_file, sealing};
use crate::codec::manifest::{Manifest, ManifestEntry};
use crate::codec::segment::{Link, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::error::{Error, Result};
use crate::sync::atomic::{AtomicUsize, Ordering};

/// How a backup is made.
#[derive(Debug, Clone, Copy, Default)]
pub struct BackupOptions<'a> {
    /// Whether segments are shared with the cask as second names of the same files, where that is possible.
    pub hard_links: bool,
    /// Whether it is to stop, between segments.
    pub cancel: Cancel<'a>,
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Bytes of its segments.
    pub bytes: u64,
    /// Segments that are second names of the cask's own files.
    pub linked: usize,
    /// Segments that share their blocks with the cask's as long as neither changes.
    pub cloned: usize,
    /// Segments that were copied byte for byte.
    pub copied: usize,
    /// Of the manifest that it was made from.
    pub generation: u64,
    /// Sequence number of its last frame.
    pub last_seq: u64,
}

/// Keeps compaction from removing segments.
struct Pin<'a>(&'a FileBackend);

impl<'a> Pin<'a> {
    fn new(cask: &'a FileBackend) -> Self {
        cask.pins.fetch_add(1, Ordering::AcqRel);
        Self(cask)
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        if self.0.pins.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.schedule_compaction();
        }
    }
}

/// How many backups are being made of a cask.
pub(super) type Pins = AtomicUsize;

impl FileBackend {
    /// Makes a copy of everything acknowledged so far, as a cask of its own at `target`, where nothing or an empty folder may be.
    /// Blocks: call it off the JavaScript thread.
    ///
    /// # Errors
    /// `InvalidArgument` for a bad target, `Aborted`, `Corrupt` for damage in what is copied, `Io`, `Poisoned`, `Closed`,
    /// `Detached`. Nothing is at `target` then, or where its very last step has failed a whole backup whose name may not be on disk.
    ///
    /// # Concurrency
    /// Commits go on. Compaction waits.
    pub fn backup(&self, target: &Path, options: &BackupOptions<'_>) -> Result<BackupReport> {
        let (pin, manifest) = self.pin()?;
        let place = NewFolder::begin(&self.log.fs, target)?;
        let copied = self.copy_to(place.path(), &manifest, options);
        drop(pin);
        match copied {
            Ok(report) => place.finish().map(|()| report),
            Err(error) => {
                place.abandon();
                Err(error)
            }
        }
    }

    /// Pins the segments that hold everything acknowledged so far, and describes them.
    fn pin(&self) -> Result<(Pin<'_>, Manifest)> {
        // Whoever compacts has ended, and looks for pins before it begins again.
        let _compacting = self.compacting.lock().unwrap_or_else(PoisonError::into_inner);
        let written = lock(&self.tail)?.next_seq - 1;
        self.settle()?;
        let generation = *lock(&self.generation)?;
        let tail = lock(&self.tail)?;
        let (segments, through) = tail.on_disk();
        let synced = through.map_or(0, |link: Link| link.last_seq);
        if synced < written {
            return Err(Error::internal("a settled log lacks a frame"));
        }
        let manifest = Manifest {
            cask_id: self.log.cask_id,
            generation,
            // Not what is known of the whole log: that may have grown since it was settled.
            synced,
            segments: segments.to_vec(),
            through,
            next_id: u64::from(tail.next_id),
            epoch: tail.epoch,
        };
        Ok((Pin::new(self), manifest))
    }

    fn copy_to(&self, folder: &Path, manifest: &Manifest, options: &BackupOptions<'_>) -> Result<BackupReport> {
        let last_seq = manifest.synced;
        let mut report = BackupReport { generation: manifest.generation, last_seq, ..BackupReport::default() };
        // Before anything that is sealed under it.
        if self.log.cipher.is_sealed() {
            sealing::copy_slot(&*self.log.fs, &self.log.folder, folder)?;
        }
        for entry in &manifest.segments {
            options.cancel.check()?;
            if self.closing.load(Ordering::Acquire) {
                return Err(Error::closed());
            }
            self.copy_segment(folder, entry, options.hard_links, &mut report)?;
        }
        // Without it, segments are no cask.
        manifest_file::store(&*self.log.fs, folder, manifest, &self.log.cipher)?;
        Ok(report)
    }

    fn copy_segment(&self, folder: &Path, entry: &ManifestEntry, by_link: bool, report: &mut BackupReport) -> Result<()> {
        let fs = &*self.log.fs;
        let id = u32::try_from(entry.id).map_err(|_| Error::internal("a segment number is out of range"))?;
        let source = self.log.segments.path(id);
        let target = folder.join(super::segments::file_name(id));
        if by_link && link(fs, &source, &target)? {
            report.linked += 1;
        } else {
            match fs.copy(&source, &target, entry.length) {
                Ok(true) => report.cloned += 1,
                Ok(false) => report.copied += 1,
                Err(cause) if cause.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(Error::corrupt(&source, 0, "the segment is shorter than it was"));
                }
                Err(cause) => return Err(Error::io("copy", &target, &cause)),
            }
        }
        report.bytes += entry.length;
        let file = fs.open(&target).map_err(|cause| Error::io("open", &target, &cause))?;
        self.check_copy(entry, &*file, &target, &source)?;
        file.sync_data().map_err(|cause| Error::io("fdatasync", &target, &cause))
    }

    /// Makes sure that a copy is what the manifest says of its segment.
    fn check_copy(&self, entry: &ManifestEntry, file: &dyn FsFile, target: &Path, source: &Path) -> Result<()> {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let filled = fill_at(file, &mut bytes, 0).map_err(|cause| Error::io("read", target, &cause))?;
        let header = SegmentHeader::decode(bytes.get(..filled).unwrap_or_default(), source, &self.log.cipher)?
            .filter(|header| header.cask_id == self.log.cask_id && header.id == entry.id && is_as_named(header, entry));
        let Some(header) = header else {
            return Err(Error::corrupt(source, 0, "the segment was changed or exchanged"));
        };
        walk_named(Frames::new(file, target, header.salt, entry.length, &self.log.cipher), &header, entry, source, |_| {})
    }
}

/// Whether a second name was given to a file: on another file system, and where there are none, that cannot be.
fn link(fs: &dyn super::fs::Fs, source: &Path, target: &Path) -> Result<bool> {
    match fs.link(source, target) {
        Ok(()) => Ok(true),
        Err(cause) if matches!(cause.kind(), io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported) => Ok(false),
        // A file may have too many names, or the file system none to spare.
        Err(cause) if matches!(cause.kind(), io::ErrorKind::TooManyLinks | io::ErrorKind::PermissionDenied) => Ok(false),
        Err(cause) => Err(Error::io("link", target, &cause)),
    }
}
