//! Room ahead of the log: the file of the next segment, filled with zeros before the log gets there.
//!
//! A sync takes about half the time where what was written went to blocks that the file had, and on disk as such, so that neither
//! its length nor its blocks have changed. So a cask that syncs every batch has zeros written and synced in the background.
//!
//! Only a file that is not a segment yet is filled: no zero can come to lie over a frame, in whatever order a disk does things; a
//! failure concerns no segment; and no commit's sync waits for zeros of the same file. The file becomes a segment when its header is
//! written, at the moment when the log has used up the zeros of the one before, and goes no further than that where the
//! next one is ready. While there is none, the log goes on without: nothing ever waits for zeros.

use std::sync::Arc;
use std::sync::PoisonError;

use super::fs::{FsFile, write_all_at};
use super::{Durability, FileBackend, lock};
use crate::sync::atomic::Ordering;

/// The first file of a session has this part of a full segment.
const FIRST_PART: u64 = 64;
/// There are so many times as many zeros ahead as the session has written bytes, up to a whole segment: who writes little shall not
/// pay for much, and who writes much shall not fill many small files.
const AHEAD: u64 = 4;
/// Zeros are added when so many parts of what should be there are missing.
const ADDED_PARTS: u64 = 8;
/// Nothing is preallocated where fewer than so many segments would fit on the disk.
const LEFT_FREE: u64 = 8;
/// Zeros written at once.
static ZEROS: [u8; 256 << 10] = [0; 256 << 10];

/// A file of zeros that becomes the next segment.
#[derive(Debug)]
pub struct Spare {
    /// Number of the segment that it becomes.
    pub id: u32,
    /// It.
    pub file: Arc<dyn FsFile>,
    /// Its length; all of it is on disk.
    pub zeroed: u64,
}

/// Zeros to be added where `ahead` are there and a session has written so many bytes; `None` where that is enough. There are `most` of
/// them at most.
#[must_use]
pub fn zeros_ahead(appended: u64, ahead: u64, segment_bytes: u64, most: u64) -> Option<u64> {
    let first = segment_bytes / FIRST_PART;
    let wanted = (appended * AHEAD).checked_ilog2().map_or(0, |log| 1 << log).min(most);
    let added = (wanted / ADDED_PARTS).max(first).max(1);
    (wanted >= first && ahead + added <= wanted).then_some(added)
}

impl FileBackend {
    /// Looks for zeros to be added, in the background.
    pub(super) fn schedule_preallocation(&self) {
        let is_due = self.preallocates
            && self.log.preallocates
            && lock(&self.tail).is_ok_and(|tail| tail.missing_zeros(&self.log).is_some());
        if is_due && !self.preallocation_due.swap(true, Ordering::AcqRel) {
            let cask = self.this.clone();
            self.chores.send(move || {
                if let Some(cask) = cask.upgrade() {
                    cask.preallocation_due.store(false, Ordering::Release);
                    cask.preallocate();
                }
            });
        }
    }

    /// Brings the zeros ahead of the log to what they should be, where it preallocates. Blocks: call it off the JavaScript thread.
    /// Fails in silence: the log does without.
    pub fn preallocate(&self) {
        if self.durability != Durability::Power {
            return;
        }
        let _preallocating = self.preallocating.lock().unwrap_or_else(PoisonError::into_inner);
        while self.add_zeros().is_some() {}
    }

    /// Adds what is to be added at once; `None` where nothing is.
    fn add_zeros(&self) -> Option<()> {
        // Whoever has another cask at this path by now has no use for our files.
        if self.closing.load(Ordering::Acquire) || self.check_writable().is_err() || self.detach_if_removed() {
            return None;
        }
        // While it is away, the log goes on without it.
        let (added, spare, id) = {
            let mut tail = lock(&self.tail).ok()?;
            let added = tail.missing_zeros(&self.log)?;
            let spare = tail.spare.take();
            let id = spare.as_ref().map_or_else(|| tail.take_id(), |spare| Ok(spare.id)).ok()?;
            (added, spare, id)
        };
        if self.log.fs.free_bytes(&self.log.folder).is_some_and(|free| free < self.log.segment_bytes * LEFT_FREE) {
            // What little room there is belongs to batches.
            if let Some(spare) = spare {
                self.log.remove_spare(&spare);
            }
            lock(&self.tail).ok()?.postpone_preallocation(self.log.roll_at());
            return None;
        }
        let grown = match spare {
            Some(spare) => self.grow(spare, added),
            None => match self.log.create_file(id) {
                Ok(file) => self.grow(Spare { id, file, zeroed: 0 }, added),
                Err(_) => None,
            },
        };
        let mut tail = lock(&self.tail).ok()?;
        let Some(grown) = grown else {
            tail.postpone_preallocation(self.log.roll_at());
            return None;
        };
        if let Some(overtaken) = tail.put_spare(grown) {
            self.log.remove_spare(&overtaken);
        }
        Some(())
    }

    /// Adds zeros to a file; gives nothing back, and leaves no file, where that fails.
    fn grow(&self, mut spare: Spare, added: u64) -> Option<Spare> {
        let end = spare.zeroed + added;
        let written = |spare: &mut Spare| {
            while spare.zeroed < end {
                let len = usize::try_from(end - spare.zeroed).unwrap_or(usize::MAX).min(ZEROS.len());
                write_all_at(&*spare.file, ZEROS.get(..len)?, spare.zeroed).ok()?;
                spare.zeroed += len as u64;
            }
            spare.file.sync_data().ok()
        };
        if written(&mut spare).is_some() {
            return Some(spare);
        }
        self.log.remove_spare(&spare);
        None
    }
}
