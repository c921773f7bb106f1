//! Compaction: what is still needed of segments that are mostly garbage is copied to new ones, in the background.
//!
//! A copy takes the place of its segments in one step, the manifest that names it. That step comes after the copy and its name
//! are on disk, and after everything is on disk on account of which a record was left out: so at any moment a crash leaves
//! either the segments or the copy, and never less than was acknowledged. Only then does the index follow, and the segments go.
//! The segments themselves need not be on disk: what of them is needed is in the copy, and what is not, nobody will miss.
//!
//! Copies stand where their segments stood, in the order of sequence numbers, and every record in them keeps that of its batch. A
//! tombstone is left out only where nothing older can hold a record that it keeps from coming back: where all that is older,
//! and not part of the same compaction, was written with every record left out that was dead by then.

mod choose;
mod copy;

use std::sync::PoisonError;

use self::choose::{Choice, cheapest, choose};
use self::copy::{Needs, copy};
use super::frames::{Frames, MISSING_FRAME};
use super::index::Location;
use super::reserve::is_full_disk;
use super::tail::SyncPlan;
use super::usage::Needed;
use super::{Durability, FileBackend, hints, lock, manifest_file};
use crate::codec::manifest::{Manifest, ManifestEntry};
use crate::codec::next_count;
use crate::error::{Error, ErrorKind, Result};
use crate::record::Op;
use crate::sync::atomic::Ordering;

/// A compaction that leaves more than this part of what it read is not worth another one right after it.
const LITTLE_GAIN: (u64, u64) = (9, 10);

/// Most compactions that are made in a row while nothing is written because the disk is full.
const MOST_WHILE_FULL: usize = 64;

impl FileBackend {
    /// Looks for something to compact, in the background.
    pub(super) fn schedule_compaction(&self) {
        if self.compacts && !self.compaction_due.swap(true, Ordering::AcqRel) {
            let cask = self.this.clone();
            self.chores.send(move || {
                if let Some(cask) = cask.upgrade() {
                    cask.compact_in_background();
                }
            });
        }
    }

    fn compact_in_background(&self) {
        self.compaction_due.store(false, Ordering::Release);
        while let Ok(Some(outcome)) = self.compact_once() {
            if outcome.is_little_gain() {
                break;
            }
        }
        // What is still there now will stay for a while.
        let _compacting = self.compacting.lock().unwrap_or_else(PoisonError::into_inner);
        self.write_missing_hints(&|| self.go_on_compacting().is_ok());
        if self.go_on_compacting().is_ok() {
            self.make_reserve();
        }
    }

    /// Compacts all that is worth it, the segment being written included. Blocks: call it off the JavaScript thread.
    ///
    /// # Errors
    /// Those of [`Self::compact_once`].
    pub fn compact_all(&self) -> Result<Compacted> {
        self.settle()?;
        let mut all = Compacted::default();
        while let Some(one) = self.compact_once()? {
            all.before += one.before;
            all.after += one.after;
            if one.is_little_gain() {
                break;
            }
        }
        Ok(all)
    }

    /// Compacts what is most worth it; gives `None` where nothing is.
    ///
    /// # Errors
    /// `Corrupt` for damage in what it reads, `Io`, `Poisoned`, `Closed`; the cask is as it was.
    pub fn compact_once(&self) -> Result<Option<Compacted>> {
        // Whatever a fault has left behind, nothing of it counts before the manifest says so.
        let _compacting = self.compacting.lock().unwrap_or_else(PoisonError::into_inner);
        self.go_on_compacting()?;
        if self.pins.load(Ordering::Acquire) > 0 {
            // A backup copies the segments as they are, and asks for compaction when it has ended.
            return Ok(None);
        }
        if let Some(damage) = self.damage() {
            return Err(damage);
        }
        let ended = self.candidates()?;
        let needed = |id: u64| u32::try_from(id).map_or_else(|_| Needed::default(), |id| self.index.usage.needed(id));
        self.log.adapt(self.index.usage.live());
        let choice = choose(&ended, &needed, self.log.segment_bytes);
        let Some(choice) = choice else { return Ok(None) };
        match self.compact_choice(&ended, choice) {
            Err(error) if is_full_disk(&error) && self.damage().is_none() => self.with_reserve(&error, || {
                // What gives back most for the least room that it takes, and then whatever else there is now room for.
                let Some(choice) = cheapest(&ended, &needed) else { return Err(error.clone()) };
                let first = self.compact_choice(&ended, choice)?;
                for _ in 0..MOST_WHILE_FULL {
                    let ended = self.candidates()?;
                    let Some(choice) = cheapest(&ended, &needed) else { break };
                    if self.compact_choice(&ended, choice).is_err() {
                        break;
                    }
                }
                Ok(first)
            }),
            outcome => outcome,
        }
    }

    /// The segments that may be compacted.
    fn candidates(&self) -> Result<Vec<ManifestEntry>> {
        let tail = lock(&self.tail)?;
        Ok(match self.durability {
            // What is not on disk yet may be dead by now, and then never needs to be.
            Durability::Process => tail.ended.clone(),
            Durability::Power => tail.on_disk().0.to_vec(),
        })
    }

    fn compact_choice(&self, ended: &[ManifestEntry], choice: Choice) -> Result<Option<Compacted>> {
        let Choice { range, is_for_others } = choice;
        let (Some(older), Some(run)) = (ended.get(..range.start), ended.get(range.clone())) else { return Ok(None) };
        let mut copies = Vec::new();
        let outcome = self.compact(older, run, &mut copies);
        if let Err(Failed { error, copies_may_count }) = &outcome {
            if !copies_may_count {
                self.remove_segments(copies.iter().map(|copy| copy.id));
            }
            if error.kind() == ErrorKind::Corrupt {
                self.damage.note(error);
            }
        }
        outcome.map_err(|failed| failed.error)?;
        let compacted = Compacted {
            before: run.iter().map(|entry| entry.length).sum(),
            after: copies.iter().map(|copy| copy.length).sum(),
            is_for_others,
        };
        self.counts.compacted(&compacted);
        Ok(Some(compacted))
    }

    fn compact(
        &self,
        older: &[ManifestEntry],
        run: &[ManifestEntry],
        copies: &mut Vec<ManifestEntry>,
    ) -> std::result::Result<(), Failed> {
        let decided_seq = self.published_seq()?;
        let oldest_decision = older.iter().map(|entry| entry.decided_seq).min().unwrap_or(u64::MAX);
        copy(self, run, decided_seq, &Decision { cask: self, oldest_decision }, copies)?;
        if !copies.is_empty() {
            self.log.sync_names().map_err(|error| self.heed(error))?;
        }
        // Something was left out on account of what the index has known until then, which must not be lost after that. At `power` it is
        // on disk, but for what a killed process had written, and for marks, whose numbers would be given again.
        let is_safe = self.durability == Durability::Power && decided_seq <= lock(&self.tail)?.synced;
        if is_safe {
            self.swap(run, copies, None)?;
        } else {
            let _turn = lock(&self.turn)?;
            let plan = lock(&self.tail)?.begin_sync_without(run);
            plan.run(&self.log).map_err(|error| self.poison(&error))?;
            let swapped = self.swap(run, copies, Some(&plan));
            if swapped.is_err() {
                // They have to be brought to disk after all.
                lock(&self.tail)?.dirty = true;
                self.schedule_tick();
            }
            swapped?;
        }
        let from: Vec<u32> = run.iter().map(|entry| entry.id as u32).collect();
        for copy in &*copies {
            // Where it cannot, what is in the index stays there, and so do its segments, until the cask is opened again. Another
            // compaction would take what the index does not have in a copy for garbage, so there is none.
            self.follow(copy, &from).inspect_err(|error| self.damage.note(error)).map_err(Failed::after_swap)?;
            self.log.segments.unpin(copy.id as u32);
        }
        self.remove_segments(run.iter().map(|entry| entry.id));
        Ok(())
    }

    /// Makes the index have in a copy what it has in one of these segments.
    fn follow(&self, copy: &ManifestEntry, from: &[u32]) -> Result<()> {
        let id = copy.id as u32;
        let path = self.log.segments.path(id);
        let (salt, file) = self.log.segments.open(id)?;
        let frames = Frames::new(&*file, &path, salt, copy.length, &self.log.cipher);
        let mut hint = self.new_hint(copy);
        frames.visit_all(MISSING_FRAME, |placed| {
            self.index.relocate(placed.bytes, id, placed.at, from, &self.cache);
            if let Some(hint) = &mut hint {
                hint.add(placed);
            }
            Ok(())
        })?;
        if let Some(hint) = hint {
            self.write_hint(copy, hint);
        }
        Ok(())
    }

    /// Whether compaction may go on, or why not.
    fn go_on_compacting(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) { Err(Error::closed()) } else { self.check_writable() }
    }

    /// Sequence number up to which every batch is in the index.
    fn published_seq(&self) -> Result<u64> {
        // Batches that wait for a sync are written and not yet published, but that is all in one turn. Others are written and
        // published under the append lock.
        let _turn = if self.durability == Durability::Power { Some(lock(&self.turn)?) } else { None };
        Ok(lock(&self.tail)?.next_seq - 1)
    }

    /// Puts copies in the place of segments, in the manifest. What a plan says was synced.
    fn swap(&self, run: &[ManifestEntry], copies: &[ManifestEntry], plan: Option<&SyncPlan>) -> std::result::Result<(), Failed> {
        self.go_on_compacting()?;
        let mut generation = lock(&self.generation)?;
        let manifest = {
            let tail = lock(&self.tail)?;
            let replaced = tail.with_copies(run, copies, plan);
            let replaced = replaced.ok_or_else(|| Error::internal("the segments to replace are not where they were"))?;
            Manifest {
                synced: replaced.synced,
                segments: replaced.segments,
                through: replaced.through,
                ..manifest_file::describe(&self.log, &tail, next_count(*generation))
            }
        };
        manifest_file::store(&*self.log.fs, &self.log.folder, &manifest, &self.log.cipher).map_err(|error| {
            let copies_may_count = manifest_file::may_be_in_place(&error);
            Failed { error: self.heed(error), copies_may_count }
        })?;
        *generation = manifest.generation;
        lock(&self.tail)?.replace(run, copies, plan, manifest.through);
        Ok(())
    }

    fn remove_segments(&self, ids: impl Iterator<Item = u64>) {
        for id in ids.filter_map(|id| u32::try_from(id).ok()) {
            self.log.segments.forget(id);
            self.index.usage.forget(id);
            // One that stays is no part of the log any more, and goes when the cask is opened next.
            let _ = self.log.fs.remove(&self.log.segments.path(id));
            if lock(&self.hinted).is_ok_and(|mut hinted| hinted.remove(&u64::from(id))) {
                hints::remove(&self.log, u64::from(id));
            }
        }
    }
}

/// What one compaction did, in bytes of segments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Read and replaced.
    pub before: u64,
    /// Written.
    pub after: u64,
    /// It was done so that another one can shrink more.
    is_for_others: bool,
}

impl Compacted {
    const fn is_little_gain(&self) -> bool {
        !self.is_for_others && self.after * LITTLE_GAIN.1 > self.before * LITTLE_GAIN.0
    }
}

#[derive(Debug)]
struct Failed {
    error: Error,
    /// The manifest on disk may name the copies.
    copies_may_count: bool,
}

impl Failed {
    const fn after_swap(error: Error) -> Self {
        Self { error, copies_may_count: true }
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, copies_may_count: false }
    }
}

struct Decision<'a> {
    cask: &'a FileBackend,
    /// The earliest decision upon what is older than the segments that are compacted.
    oldest_decision: u64,
}

impl Needs for Decision<'_> {
    fn needs(&self, account: &str, op: Op<'_>, seq: u64, at: Location) -> bool {
        match op {
            Op::Put { key, .. } => self.cask.index.is_live(account, key, at),
            // What came after it stands for it, and outlives it.
            Op::Delete { key } => self.oldest_decision < seq && !self.cask.index.has(account, key),
            Op::Clear | Op::Drop => self.oldest_decision < seq,
        }
    }
}
