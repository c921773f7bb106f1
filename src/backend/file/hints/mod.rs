//! Hint files: made when a segment will stay for a while, read when a cask opens.
//!
//! They are caches. None is ever synced, and a failure to write one is nobody's failure.

mod making;
mod survivors;

use std::path::PathBuf;

pub(super) use self::making::HintMaker;
use super::FileBackend;
use super::frames::Frames;
use super::fs::{read_all, write_all_at};
use super::index::Index;
use super::lock;
use super::log::Log;
use super::segments::id_of_file_name;
use crate::codec::hint::{self, HintOf};
use crate::codec::manifest::ManifestEntry;
use crate::error::Result;

/// A segment from this length on gets a hint: a smaller one is read as fast.
pub const HINT_FROM_BYTES: u64 = 128 << 10;

/// File name of the hint of a segment.
#[must_use]
fn file_name(id: u64) -> String {
    format!("{id:016x}.hint")
}

/// Number of the segment that a file is the hint of.
#[must_use]
pub fn id_of_hint_name(name: &str) -> Option<u64> {
    id_of_file_name(&format!("{}.seg", name.strip_suffix(".hint")?))
}

fn path(log: &Log, id: u64) -> PathBuf {
    log.folder.join(file_name(id))
}

const fn describe(log: &Log, entry: &ManifestEntry) -> HintOf {
    HintOf { cask_id: log.cask_id, id: entry.id, salt: entry.salt, length: entry.length }
}

/// Brings a segment into the index by its hint; says whether there was one. Otherwise nothing was done.
pub(super) fn load(log: &Log, index: &Index, entry: &ManifestEntry) -> bool {
    let Ok(file) = log.fs.open(&path(log, entry.id)) else { return false };
    // Not to be longer than its segment by much is what it is for.
    if file.len().is_ok_and(|len| len > entry.length.saturating_mul(2)) {
        return false;
    }
    let Ok(bytes) = read_all(&*file) else { return false };
    let Some(opened) = hint::open(bytes, &describe(log, entry), &log.cipher) else { return false };
    let Some(groups) = hint::groups(&opened) else { return false };
    groups.iter().for_each(|group| index.load(group, entry.id as u32));
    true
}

/// Removes the hint of a segment that is gone.
pub(super) fn remove(log: &Log, id: u64) {
    let _ = log.fs.remove(&path(log, id));
}

/// Writes a hint; says whether all of it was written.
fn write(log: &Log, id: u64, hint: &[u8]) -> bool {
    let path = path(log, id);
    // One that was not read is of no use.
    let _ = log.fs.remove(&path);
    let Ok(file) = log.fs.create_new(&path) else { return false };
    let is_whole = write_all_at(&*file, hint, 0).is_ok();
    if !is_whole {
        let _ = log.fs.remove(&path);
    }
    is_whole
}

impl FileBackend {
    /// Writes the hints of all segments that the manifest names and that have none. Whoever calls it keeps compaction out.
    pub(super) fn write_missing_hints(&self, go_on: &dyn Fn() -> bool) {
        let Ok(named) = lock(&self.tail).map(|tail| tail.named().to_vec()) else { return };
        for entry in &named {
            if !go_on() {
                return;
            }
            let is_there = lock(&self.hinted).is_ok_and(|hinted| hinted.contains(&entry.id));
            if !is_there
                && let Some(mut hint) = self.new_hint(entry)
                // What cannot be read now, or is damaged, is met when it is needed.
                && self.read_for_hint(entry, &mut hint).is_ok_and(|is_whole| is_whole)
            {
                self.write_hint(entry, hint);
            }
        }
    }

    /// Removes all hints.
    pub(super) fn give_up_hints(&self) {
        if let Ok(mut hinted) = lock(&self.hinted) {
            hinted.drain().for_each(|id| remove(&self.log, id));
        }
    }

    /// A hint to be made of a segment; `None` where it gets none.
    pub(super) fn new_hint(&self, entry: &ManifestEntry) -> Option<HintMaker> {
        (entry.length >= self.hint_from).then(|| HintMaker::new(describe(&self.log, entry), self.hint_from == 0))
    }

    /// Goes along a segment; says whether it was intact as far as a hint has need of it.
    fn read_for_hint(&self, entry: &ManifestEntry, hint: &mut HintMaker) -> Result<bool> {
        let (salt, file) = self.log.segments.open(entry.id as u32)?;
        let path = self.log.segments.path(entry.id as u32);
        let mut frames = Frames::new(&*file, &path, salt, entry.length, &self.log.cipher);
        while hint.is_worth_it()
            && let Some(placed) = frames.next_frame(|_| true)?
        {
            hint.add(&placed);
        }
        Ok(!hint.is_worth_it() || frames.reached() >= entry.length)
    }

    /// Writes the hint that was made of all frames of a segment, where it is worth it.
    pub(super) fn write_hint(&self, entry: &ManifestEntry, hint: HintMaker) {
        let is_done = hint.finish(&self.log.cipher).is_none_or(|hint| hint.is_ok_and(|hint| write(&self.log, entry.id, &hint)));
        if is_done && let Ok(mut hinted) = lock(&self.hinted) {
            hinted.insert(entry.id);
        }
    }
}
