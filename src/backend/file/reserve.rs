//! Room that is set aside for the day when the disk is full.
//!
//! A disk may be full of what is dead of a cask, and compaction needs room to give any back: for a copy, and for the manifest that
//! names it. So a file of zeros is kept, and given up for that when there is none. While it is used nothing is appended: writers
//! who are refused and try again would take the room before compaction does.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::fs::write_all_at;
use super::{FileBackend, lock};
use crate::error::{Error, Result};
use crate::sync::atomic::Ordering;

/// File name of the room that is set aside.
pub const RESERVE: &str = "reserve";
/// It has this part of a segment's length.
const RESERVE_PART: u64 = 16;
/// It is made when there are so many times its length of segments: an idle cask needs none.
const MADE_FROM: u64 = 3;
/// How long after one attempt to make room the next one is made.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);
/// What the operating system says of a full disk, and of a quota that is used up.
#[cfg(windows)]
const FULL: [u64; 1] = [112];
#[cfg(not(windows))]
const FULL: [u64; 2] = [rustix::io::Errno::NOSPC.raw_os_error() as u64, rustix::io::Errno::DQUOT.raw_os_error() as u64];

/// Whether an error says that there is no room left.
#[must_use]
pub fn is_full_disk(error: &Error) -> bool {
    error.syscall().is_some() && error.number("errno").is_some_and(|errno| FULL.contains(&errno))
}

impl FileBackend {
    fn reserve_path(&self) -> PathBuf {
        self.log.folder.join(RESERVE)
    }

    /// The disk is full: what is dead of this cask may be what fills it. One attempt for all who are refused within a short time.
    pub(super) fn make_room(&self) {
        let Ok(mut full_at) = self.full_at.lock() else { return };
        if full_at.is_none_or(|at| at.elapsed() >= BETWEEN_ATTEMPTS) {
            *full_at = Some(Instant::now());
            self.schedule_compaction();
        }
    }

    /// Sets room aside, where there is none yet and the cask is of a size. Fails in silence: it is tried again.
    pub(super) fn make_reserve(&self) {
        let bytes = self.log.segment_bytes / RESERVE_PART;
        let taken: u64 = lock(&self.tail).map_or(0, |tail| tail.ended.iter().map(|entry| entry.length).sum());
        if taken < bytes * MADE_FROM || self.has_reserve.load(Ordering::Acquire) {
            return;
        }
        let path = self.reserve_path();
        let Ok(file) = self.log.fs.create_new(&path) else { return };
        // Room that is only promised may not be there when it is needed.
        let zeros = vec![0; usize::try_from(bytes).unwrap_or(0)];
        if write_all_at(&*file, &zeros, 0).is_ok() {
            self.has_reserve.store(true, Ordering::Release);
        } else {
            let _ = self.log.fs.remove(&path);
        }
    }

    /// Does some work that makes room, on a full disk: with the room that was set aside, and while nobody takes any of it.
    pub(super) fn with_reserve<T>(&self, full: &Error, work: impl FnOnce() -> Result<T>) -> Result<T> {
        lock(&self.tail)?.refused = Some(full.clone());
        if !self.give_up_reserve() {
            // Hints can be made again.
            self.give_up_hints();
        }
        let outcome = work();
        // Before anybody else takes the room: it will be needed again.
        self.make_reserve();
        if let Ok(mut tail) = lock(&self.tail) {
            tail.refused = None;
        }
        outcome
    }

    /// Gives the room back that was set aside; says whether there was some.
    pub(super) fn give_up_reserve(&self) -> bool {
        let was_there = self.has_reserve.swap(false, Ordering::AcqRel);
        if was_there {
            let _ = self.log.fs.remove(&self.reserve_path());
        }
        was_there
    }

    /// A segment has ended. The first time, room is set aside at once: the disk may be full before compaction comes to it.
    pub(super) fn after_roll(&self) {
        if self.compacts && !self.has_rolled.swap(true, Ordering::AcqRel) {
            self.make_reserve();
        }
        self.schedule_compaction();
    }
}
