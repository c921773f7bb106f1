//! Bringing the log to disk, and saying in the manifest what of it is there.

use std::time::Instant;

use super::writer::Job;
use super::{FileBackend, lock, manifest_file};
use crate::codec::frame::FrameKind;
use crate::codec::next_count;
use crate::error::Result;
use crate::sync::atomic::Ordering;

impl FileBackend {
    pub(super) fn schedule_tick(&self) {
        // Nearly always it is due already, and a look tells. A tick that is not due any more looks at the tail after that: it has seen
        // what this thread has written, or this thread sees that it is not due.
        if !self.tick_due.load(Ordering::Acquire) && !self.tick_due.swap(true, Ordering::AcqRel) {
            self.writer.send(Job::Tick(self.this.clone(), Instant::now() + self.sync_interval));
        }
    }

    /// Brings all that was written to disk. Runs in turn, without the append lock.
    pub(super) fn sync(&self) -> Result<()> {
        self.check_writable()?;
        let plan = lock(&self.tail)?.begin_sync();
        let began = Instant::now();
        if let Err(error) = plan.run(&self.log) {
            return Err(self.poison(&error));
        }
        // A folder that was removed can be synced, and is lost all the same.
        if let Some(ended) = self.end_if_removed() {
            return Err(ended);
        }
        self.counts.syncs.add_duration(began.elapsed());
        lock(&self.tail)?.end_sync(&plan);
        Ok(())
    }

    /// The regular sync: brings everything to disk and says so in the log. Runs on the writer thread.
    pub(super) fn tick(&self) {
        self.tick_due.store(false, Ordering::Release);
        let Ok(_turn) = lock(&self.turn) else { return };
        if self.check_writable().is_err() || self.detach_if_removed() {
            return;
        }
        let dirty = lock(&self.tail).is_ok_and(|tail| tail.dirty);
        if dirty && self.sync().is_err() {
            return;
        }
        self.follow_with_guard();
        let Ok(mut tail) = lock(&self.tail) else { return };
        if tail.closed {
            return;
        }
        // What was written since has its own tick, or will.
        if !tail.dirty && tail.unmarked && tail.is_active() {
            // A mark that fails to be written costs nothing but the news it carries.
            let _ = self.log.append_empty(&mut tail, FrameKind::Mark);
        }
        let is_ahead = tail.is_ahead_of_manifest();
        drop(tail);
        // One that fails is tried again at the next tick.
        if is_ahead && self.write_manifest().is_ok() {
            self.schedule_compaction();
        }
    }

    pub(super) fn write_manifest(&self) -> Result<()> {
        let mut generation = lock(&self.generation)?;
        let manifest = {
            let tail = lock(&self.tail)?;
            manifest_file::describe(&self.log, &tail, next_count(*generation))
        };
        manifest_file::store(&*self.log.fs, &self.log.folder, &manifest, &self.log.cipher).map_err(|error| self.heed(error))?;
        *generation = manifest.generation;
        lock(&self.tail)?.through = manifest.through;
        Ok(())
    }

    /// Ends the segment being written, and lets the manifest speak for everything written so far.
    ///
    /// # Errors
    /// `Io`, `Poisoned`, `Closed`, `Detached`.
    pub(super) fn settle(&self) -> Result<()> {
        let _turn = lock(&self.turn)?;
        self.check_writable()?;
        let is_settled = {
            let mut tail = lock(&self.tail)?;
            self.log.end_segment(&mut tail);
            !tail.dirty && tail.unsynced.is_empty() && !tail.is_ahead_of_manifest()
        };
        if is_settled {
            return Ok(());
        }
        self.sync()?;
        self.write_manifest()
    }

    /// Writes what is queued and syncs. Runs on the writer thread.
    pub(super) fn flush_now(&self) -> Result<()> {
        let _turn = lock(&self.turn)?;
        self.drain_in_turn();
        self.check_writable()?;
        let tail = lock(&self.tail)?;
        // Marks ask for no sync: they hold nothing.
        let safe = !tail.dirty && tail.unsynced.is_empty();
        drop(tail);
        if safe { Ok(()) } else { self.sync() }
    }

    /// Ends the log so that the next open knows it is whole.
    pub(super) fn end_log(&self) -> Result<()> {
        let mut tail = lock(&self.tail)?;
        tail.closed = true;
        // Without its end frame the log is safe all the same, so a failure to write it is told last.
        let ended = if tail.is_active() { self.log.append_empty(&mut tail, FrameKind::End) } else { Ok(()) };
        self.log.end_segment(&mut tail);
        if let Some(spare) = tail.spare.take() {
            self.log.remove_spare(&spare);
        }
        if tail.unsynced.is_empty() && !tail.is_ahead_of_manifest() {
            return ended;
        }
        drop(tail);
        self.sync()?;
        self.write_manifest()?;
        self.write_missing_hints(&|| true);
        ended
    }
}
