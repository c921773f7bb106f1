//! What opening does to the folder once it is known where the log ends: cuts off what is behind that, and tidies up.

use std::path::PathBuf;

use super::super::manifest_file::{self, POISON_MARKER};
use super::super::reappend::reappend;
use super::super::reserve::{RESERVE, is_full_disk};
use super::super::tail::Tail;
use super::Recovered;
use super::folder::{Folder, Segments};
use super::replay::Replay;
use crate::codec::manifest::ManifestEntry;
use crate::codec::next_count;

use crate::codec::segment::SEGMENT_HEADER_BYTES;
use crate::error::{Error, Result};

impl Replay<'_> {
    /// Makes the log one that can be written to.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn finish(mut self, folder: &Folder) -> Result<Recovered> {
        let Folder { found, drafts, hints } = folder;
        let mut tail = Tail::empty();
        let next_id = self.next_id(found);
        tail.next_id = u32::try_from(next_id).map_err(|_| Error::internal("a segment number is out of range"))?;
        // Whatever is done from here on may need room. It is set aside again in due time.
        let _ = self.log.fs.remove(&self.log.folder.join(RESERVE));
        tail.next_seq = self.last_seq + 1;
        tail.epoch = next_count(self.epoch);
        tail.synced = self.synced;
        tail.through = self.manifest.through;
        tail.left = self.lived.last().map(ManifestEntry::link).or(self.manifest.through);
        // A segment without frames may be newer than the last frame known to be on disk, and is a link of the line all the same.
        let is_empty = |entry: &ManifestEntry| entry.length == SEGMENT_HEADER_BYTES as u64;
        let may_be_unsynced =
            |entry: &&ManifestEntry| entry.last_seq > self.synced || (entry.last_seq == self.synced && is_empty(entry));
        tail.unsynced = self.lived.iter().filter(may_be_unsynced).map(|entry| entry.id as u32).collect();
        tail.ended = self.manifest.segments.clone();
        for entry in tail.ended.iter_mut().filter(|entry| entry.first_seq == 0) {
            // An older manifest does not say.
            entry.first_seq =
                found.get(&entry.id).and_then(|segment| segment.header.as_ref()).map_or(0, |header| header.first_seq);
        }
        tail.ended.extend_from_slice(&self.lived);
        for entry in &mut tail.ended {
            // Of what is not there nothing was decided, and the next batch has its number.
            entry.decided_seq = entry.decided_seq.min(self.last_seq);
        }
        // Whoever syncs them needs no free descriptor for it then.
        for entry in self.lived.iter().filter(|entry| tail.unsynced.contains(&(entry.id as u32))) {
            if let Some(segment) = found.get(&entry.id) {
                self.log.segments.insert(entry.id as u32, entry.salt, Some(self.open(segment)?));
            }
        }
        // What a killed process left behind is synced in due time, and then the manifest says so.
        tail.names_dirty = !tail.unsynced.is_empty();
        tail.dirty = tail.names_dirty;
        if self.poisoned {
            let named = self.manifest.segments.len();
            self.leftovers.extend(reappend(self.log, self.index, &mut tail, named)?);
        } else if self.cut {
            // The header that says where the log ends is on disk before anything behind that end is touched.
            tail.cut = true;
            self.log.start_segment(&mut tail)?;
        } else if !self.leftovers.is_empty()
            && let Some(last) = self.lived.last()
        {
            // An earlier open has made the cut and not lived to tidy up; be sure of its header first.
            let (_, file) = self.log.segments.open(last.id as u32)?;
            file.sync_data().map_err(|cause| Error::io("fdatasync", &self.log.segments.path(last.id as u32), &cause))?;
            self.log.sync_names()?;
        }
        let mut generation = self.manifest.generation;
        if self.replaced {
            // Whether the manifest that replaced them is on disk is known only of one that is written now.
            generation = next_count(generation);
            let manifest = manifest_file::describe(self.log, &tail, generation);
            match manifest_file::store(&*self.log.fs, &self.log.folder, &manifest, &self.log.cipher) {
                Ok(()) => tail.through = manifest.through,
                // On a full disk they stay, and the cask opens all the same: nothing counts on them.
                Err(error) if is_full_disk(&error) && !manifest_file::may_be_in_place(&error) => {
                    generation = self.manifest.generation;
                    self.leftovers.clear();
                }
                Err(error) => return Err(error),
            }
        }
        self.leftovers.sort_unstable();
        let leftovers = self.leftovers.iter().rev().filter_map(|id| Some(found.get(id)?.path.as_path()));
        for path in leftovers.chain(drafts.iter().map(PathBuf::as_path)) {
            self.log.fs.remove(path).map_err(|cause| Error::io("unlink", path, &cause))?;
        }
        self.trim(found);
        if self.poisoned {
            let marker = self.log.folder.join(POISON_MARKER);
            self.log.fs.remove(&marker).map_err(|cause| Error::io("unlink", &marker, &cause))?;
            self.log.sync_names()?;
        }
        for (_, path) in hints.iter().filter(|(id, _)| !tail.ended.iter().any(|entry| entry.id == *id)) {
            // Of a segment that is gone; nothing depends on it.
            let _ = self.log.fs.remove(path);
        }
        Ok(Recovered { tail, report: self.report, generation, hinted: self.hinted })
    }

    /// Gives back the room behind the ends of segments. What is there is no part of the log, so a failure costs nothing else.
    fn trim(&self, found: &Segments) {
        for entry in self.lived.iter().chain(&self.manifest.segments) {
            if let Some(segment) = found.get(&entry.id).filter(|segment| segment.len > entry.length) {
                let _ = self.log.fs.trim(&segment.path, entry.length);
            }
        }
    }
}
