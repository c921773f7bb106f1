//! The changing part of the log, behind the append lock: the segment being written, those that have ended, and what is on disk.

use std::sync::Arc;

use super::fs::FsFile;
use super::log::Log;
use super::preallocation::{Spare, zeros_ahead};
use crate::codec::LAST_SEGMENT;
use crate::codec::check::Salt;
use crate::codec::manifest::ManifestEntry;
use crate::codec::segment::{Link, SEGMENT_HEADER_BYTES};
use crate::error::{Error, Result};

/// The segment that takes the next frame.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) id: u32,
    pub(super) salt: Salt,
    pub(super) file: Arc<dyn FsFile>,
    pub(super) first_seq: u64,
    pub(super) end: u64,
    /// Length up to which the file was filled with zeros before it became a segment.
    pub(super) preallocated: u64,
    /// Its header is what cuts off bytes behind the end of the one before.
    pub(super) cuts: bool,
}

impl Active {
    /// Whether the log goes on in a preallocated segment rather than write so many bytes past the zeros of this one.
    pub(super) fn makes_way(&self, spare: &Spare, len: u64) -> bool {
        self.end + len > self.preallocated && SEGMENT_HEADER_BYTES as u64 + len <= spare.zeroed
    }
}

/// The changing part of the log, behind the append lock.
#[derive(Debug)]
pub struct Tail {
    pub(super) active: Option<Active>,
    /// Where the log leaves its last ended segment.
    pub left: Option<Link>,
    /// Bytes that are no part of the log may follow `left`: the next header has to be on disk before anything counts on it.
    pub cut: bool,
    /// Sequence number of the next frame.
    pub next_seq: u64,
    /// Number of the next segment.
    pub next_id: u32,
    /// Grows with each open.
    pub epoch: u64,
    /// Sequence number up to which all is on disk.
    pub synced: u64,
    /// Ended segments whose bytes may not be on disk.
    pub unsynced: Vec<u32>,
    /// Ended segments and the copies that stand for some of them, in the order of their sequence numbers.
    pub ended: Vec<ManifestEntry>,
    /// Last segment of the log that the manifest speaks for.
    pub through: Option<Link>,
    /// The folder's names may not be on disk.
    pub names_dirty: bool,
    /// A batch was written since the last sync began.
    pub dirty: bool,
    /// Frames were written that no mark covers.
    pub unmarked: bool,
    /// A segment ended and nobody has looked yet.
    pub rolled: bool,
    /// Nothing is appended for now, and why.
    pub refused: Option<Error>,
    /// What becomes the next segment, while nobody adds to it. Its number is greater than those of all segments of the log.
    pub spare: Option<Spare>,
    /// Nothing is preallocated before so many bytes were appended.
    pub preallocates_from: u64,
    /// Bytes appended since the log was opened.
    pub(super) appended: u64,
    /// Sequence number of the first frame since the log was opened.
    pub opened_seq: u64,
    /// Ended segments that have zeros behind their last frame, with the length that they shall have.
    pub(super) untrimmed: Vec<(u32, u64)>,
    /// The log takes nothing any more.
    pub closed: bool,
}

impl Tail {
    /// A log without frames.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            active: None,
            left: None,
            cut: false,
            next_seq: 1,
            next_id: 1,
            epoch: 1,
            synced: 0,
            unsynced: Vec::new(),
            ended: Vec::new(),
            through: None,
            names_dirty: false,
            dirty: false,
            unmarked: false,
            rolled: false,
            refused: None,
            spare: None,
            preallocates_from: 0,
            appended: 0,
            opened_seq: 1,
            untrimmed: Vec::new(),
            closed: false,
        }
    }

    /// A number for a new segment.
    ///
    /// # Errors
    /// `Internal` where there is none left.
    pub fn take_id(&mut self) -> Result<u32> {
        let id = self.next_id;
        if u64::from(id) > LAST_SEGMENT {
            return Err(Error::internal("segment numbers are used up"));
        }
        self.next_id = id + 1;
        Ok(id)
    }

    /// How many segments the log consists of, their bytes, and how many bytes were appended since it was opened.
    #[must_use]
    pub fn extent(&self) -> (u64, u64, u64) {
        let ended = self.ended.iter().map(|entry| entry.length);
        let lengths = ended.chain(self.active.as_ref().map(|active| active.end));
        let (segments, bytes) = lengths.fold((0, 0), |(segments, bytes), length| (segments + 1, bytes + length));
        (segments, bytes, self.appended)
    }

    /// Whether a segment is being written.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        self.active.is_some()
    }

    /// Bytes that still fit into the segment being written; into its zeros, where it has some left and the next one is there.
    #[must_use]
    pub fn room(&self, roll_at: u64) -> u64 {
        let Some(active) = &self.active else { return roll_at };
        let zeros = active.preallocated.saturating_sub(active.end);
        if zeros > 0 && self.spare.is_some() { zeros } else { roll_at.saturating_sub(active.end) }
    }

    /// Zeros to be added ahead of the end of the log; `None` where there are enough, or nothing is known to be on disk yet.
    #[must_use]
    pub fn missing_zeros(&self, log: &Log) -> Option<u64> {
        if self.closed || self.refused.is_some() || self.synced < self.opened_seq || self.appended < self.preallocates_from {
            return None;
        }
        let rest = self.active.as_ref().map_or(0, |active| active.preallocated.saturating_sub(active.end));
        let spare = self.spare.as_ref().map_or(0, |spare| spare.zeroed);
        zeros_ahead(self.appended, rest + spare, log.segment_bytes, log.roll_at())
    }

    /// Takes a file back that was preallocated; gives it to the caller where the log has overtaken it: numbers grow along the log.
    pub fn put_spare(&mut self, spare: Spare) -> Option<Spare> {
        let active = self.active.as_ref().map(|active| u64::from(active.id));
        let newest = active.or(self.left.map(|link| link.id));
        if newest.is_none_or(|id| id < u64::from(spare.id)) {
            self.spare = Some(spare);
            return None;
        }
        Some(spare)
    }

    /// Asks for no zeros before another segment's worth was written: whatever is in the way now is there for a while.
    pub fn postpone_preallocation(&mut self, segment_bytes: u64) {
        self.preallocates_from = self.appended + segment_bytes;
    }

    /// Whether an ended segment is known to be on disk. One without frames may be newer than the last sync.
    #[must_use]
    pub fn is_on_disk(&self, entry: &ManifestEntry) -> bool {
        entry.last_seq <= self.synced && !self.unsynced.iter().any(|id| u64::from(*id) == entry.id)
    }

    /// The oldest ended segments, as many as are on disk without one missing in between, and where the log leaves the last of them
    /// that belongs to it.
    #[must_use]
    pub fn on_disk(&self) -> (&[ManifestEntry], Option<Link>) {
        let count = self.ended.iter().take_while(|entry| self.is_on_disk(entry)).count();
        let entries = self.ended.get(..count).unwrap_or_default();
        (entries, self.through_with(entries.iter()))
    }

    /// Last segment of the log that a manifest speaks for which names these segments, or copies of them, last.
    fn through_with<'a>(&self, entries: impl DoubleEndedIterator<Item = &'a ManifestEntry>) -> Option<Link> {
        let last_of_log = entries.rev().find(|entry| !entry.is_copy).map(ManifestEntry::link);
        // Copies stand for segments up to `through`; one of the log that is listed behind them comes after it.
        last_of_log.filter(|link| self.through.is_none_or(|through| link.id > through.id)).or(self.through)
    }

    /// The segments that the manifest on disk names.
    #[must_use]
    pub fn named(&self) -> &[ManifestEntry] {
        let (on_disk, _) = self.on_disk();
        let is_named = |entry: &&ManifestEntry| entry.is_copy || self.through.is_some_and(|through| entry.id <= through.id);
        on_disk.get(..on_disk.iter().take_while(is_named).count()).unwrap_or_default()
    }

    /// Where some ended segments lie side by side.
    #[must_use]
    pub fn position(&self, run: &[ManifestEntry]) -> Option<usize> {
        let first = run.first()?;
        let at = self.ended.iter().position(|entry| entry.id == first.id)?;
        (self.ended.get(at..at + run.len()) == Some(run)).then_some(at)
    }

    /// Whether there are segments on disk that the manifest does not speak for.
    #[must_use]
    pub fn is_ahead_of_manifest(&self) -> bool {
        self.on_disk().1 != self.through
    }

    /// What has to be synced for all that was written so far to be on disk. Clears `dirty`.
    pub fn begin_sync(&mut self) -> SyncPlan {
        self.begin_sync_without(&[])
    }

    /// The same, but for segments that copies on disk are about to replace.
    pub fn begin_sync_without(&mut self, replaced: &[ManifestEntry]) -> SyncPlan {
        self.dirty = false;
        let is_replaced = |id: &u32| replaced.iter().any(|entry| entry.id == u64::from(*id));
        SyncPlan {
            active: self.active.as_ref().map(|active| Arc::clone(&active.file)),
            ended: self.unsynced.iter().copied().filter(|id| !is_replaced(id)).collect(),
            untrimmed: std::mem::take(&mut self.untrimmed),
            names: std::mem::take(&mut self.names_dirty),
            target: self.next_seq - 1,
        }
    }

    /// The segments that a manifest may name once a plan was carried out and copies were put in the place of `run`, and where the
    /// log goes on behind them.
    #[must_use]
    pub fn with_copies(&self, run: &[ManifestEntry], copies: &[ManifestEntry], plan: Option<&SyncPlan>) -> Option<Replaced> {
        let at = self.position(run)?;
        let synced = plan.map_or(self.synced, |plan| plan.target.max(self.synced));
        let is_synced = |id: u32| !self.unsynced.contains(&id) || plan.is_some_and(|plan| plan.ended.contains(&id));
        let is_on_disk = |entry: &&ManifestEntry| entry.last_seq <= synced && is_synced(entry.id as u32);
        let (before, rest) = self.ended.split_at_checked(at)?;
        let behind = rest.get(run.len()..)?;
        // Copies would leave a gap before them otherwise.
        if !before.iter().all(|entry| is_on_disk(&entry)) {
            return None;
        }
        let behind = behind.get(..behind.iter().take_while(is_on_disk).count())?;
        let through = self.through_with(run.iter().chain(behind));
        Some(Replaced { synced, segments: [before, copies, behind].concat(), through })
    }

    /// Notes that the manifest says so.
    pub fn replace(&mut self, run: &[ManifestEntry], copies: &[ManifestEntry], plan: Option<&SyncPlan>, through: Option<Link>) {
        if let Some(at) = self.position(run) {
            self.ended.splice(at..at + run.len(), copies.iter().copied());
        }
        self.unsynced.retain(|id| !run.iter().any(|entry| entry.id == u64::from(*id)));
        if let Some(plan) = plan {
            self.end_sync(plan);
        }
        self.through = through;
    }

    /// Notes that a plan was carried out.
    pub fn end_sync(&mut self, plan: &SyncPlan) {
        self.synced = self.synced.max(plan.target);
        self.unsynced.retain(|id| !plan.ended.contains(id));
    }
}

/// What a manifest says once copies have taken the place of segments.
#[derive(Debug)]
pub struct Replaced {
    /// Sequence number up to which all is on disk.
    pub synced: u64,
    /// Segments to name.
    pub segments: Vec<ManifestEntry>,
    /// Last segment of the log that they stand for.
    pub through: Option<Link>,
}

/// Files to sync, and what is on disk afterwards.
#[derive(Debug)]
pub struct SyncPlan {
    active: Option<Arc<dyn FsFile>>,
    ended: Vec<u32>,
    untrimmed: Vec<(u32, u64)>,
    names: bool,
    target: u64,
}

impl SyncPlan {
    /// Waits for the disk. Call it without the append lock.
    ///
    /// # Errors
    /// `Io`; what is on disk is uncertain then.
    pub fn run(&self, log: &Log) -> Result<()> {
        for (id, len) in &self.untrimmed {
            // What cannot be trimmed costs room, and is no part of the log all the same.
            let _ = log.segments.open(*id).map(|(_, file)| file.set_len(*len));
        }
        for id in &self.ended {
            let path = log.segments.path(*id);
            let (_, file) = log.segments.open(*id)?;
            file.sync_data().map_err(|cause| Error::io("fdatasync", &path, &cause))?;
        }
        if let Some(file) = &self.active {
            file.sync_data().map_err(|cause| Error::io("fdatasync", &log.folder, &cause))?;
        }
        if self.names {
            log.sync_names()?;
        }
        self.ended.iter().for_each(|id| log.segments.unpin(*id));
        Ok(())
    }
}
