//! The end of the log: where the next frame goes.
//!
//! No offset of a segment is ever written twice. A failed write ends its segment, and so does every open; the next commit
//! starts a new segment, whose header says exactly where the one before it ends. Bytes past that end are no part of the log.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::fs::{Fs, FsFile, write_all_at};
use super::preallocation::{Spare, zeros_ahead};
use super::segments::Segments;
use crate::codec::check::Salt;
use crate::codec::frame::{self, FRAME_HEADER_BYTES, FrameKind};
use crate::codec::manifest::ManifestEntry;
use crate::codec::read_u32;
use crate::codec::segment::{Link, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::error::{Error, Result};

/// The segment that takes the next frame.
#[derive(Debug)]
struct Active {
    id: u32,
    salt: Salt,
    file: Arc<dyn FsFile>,
    first_seq: u64,
    end: u64,
    /// Length up to which the file was filled with zeros before it became a segment.
    preallocated: u64,
}

impl Active {
    /// Whether the log goes on in a preallocated segment rather than write so many bytes past the zeros of this one.
    fn makes_way(&self, spare: &Spare, len: u64) -> bool {
        self.end + len > self.preallocated && SEGMENT_HEADER_BYTES as u64 + len <= spare.zeroed
    }
}

/// The changing part of the log, behind the append lock.
#[derive(Debug)]
pub struct Tail {
    active: Option<Active>,
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
    appended: u64,
    /// Sequence number of the first frame since the log was opened.
    pub opened_seq: u64,
    /// Ended segments that have zeros behind their last frame, with the length that they shall have.
    untrimmed: Vec<(u32, u64)>,
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
        self.next_id = id.checked_add(1).ok_or_else(|| Error::internal("segment numbers are used up"))?;
        Ok(id)
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
        let last_of_log = entries.iter().rev().find(|entry| !entry.is_copy).map(ManifestEntry::link);
        // Copies stand for segments up to `through`; one of the log that is listed behind them comes after it.
        (entries, last_of_log.filter(|link| self.through.is_none_or(|through| link.id > through.id)).or(self.through))
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
        let last_of_log = run.iter().chain(behind).rev().find(|entry| !entry.is_copy).map(ManifestEntry::link);
        Some(Replaced {
            synced,
            segments: [before, copies, behind].concat(),
            through: last_of_log.filter(|link| self.through.is_none_or(|through| link.id > through.id)).or(self.through),
        })
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

/// What became of a run of frames.
#[derive(Debug)]
pub struct Written {
    /// Segment they went to.
    pub segment: u32,
    /// Offset of the first.
    pub offset: u64,
    /// Bytes of the frames that were written whole; the rest failed.
    pub whole: usize,
    /// Why the rest failed.
    pub error: Option<Error>,
}

/// The fixed part of the log.
#[derive(Debug)]
pub struct Log {
    /// Folder of the cask.
    pub folder: PathBuf,
    /// File system.
    pub fs: Arc<dyn Fs>,
    /// Segments as readers see them.
    pub segments: Segments,
    /// Identity of the cask.
    pub cask_id: [u8; 16],
    /// The operating system's boot id; zeros where there is none.
    pub boot_id: [u8; 16],
    /// Length at which a segment ends at the latest.
    pub segment_bytes: u64,
    /// Length at which the segment being written ends.
    pub roll_at: AtomicU64,
    /// Whether segments may be preallocated.
    pub preallocates: bool,
}

/// Random bytes from the operating system.
///
/// # Errors
/// `Io` where it has none.
pub fn random_id() -> Result<[u8; 16]> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|cause| {
        Error::io("getrandom", std::path::Path::new("the random source"), &std::io::Error::other(cause.to_string()))
    })?;
    Ok(bytes)
}

/// A cask that needs less than a segment ends its segments earlier, but not before they have this length.
const LEAST_SEGMENT_BYTES: u64 = 4 << 20;

impl Log {
    /// Length at which the segment being written ends.
    #[must_use]
    pub fn roll_at(&self) -> u64 {
        self.roll_at.load(Ordering::Relaxed)
    }

    /// Sets that length by what is needed of the log: garbage is given back a segment at a time, so a small cask has small ones.
    pub fn adapt(&self, live: u64) {
        let least = LEAST_SEGMENT_BYTES.min(self.segment_bytes);
        self.roll_at.store(live.saturating_mul(2).clamp(least, self.segment_bytes), Ordering::Relaxed);
    }

    /// Appends a run of unfinished frames with one write. Frames that were written whole before a failure count.
    ///
    /// The run has to fit into [`Tail::room`]; a run that does not gets a segment of its own.
    pub fn append(&self, tail: &mut Tail, run: &mut [u8]) -> Written {
        let len = run.len() as u64;
        if let Some(error) = &tail.refused {
            return Written { segment: 0, offset: 0, whole: 0, error: Some(error.clone()) };
        }
        let is_full = |active: &Active| {
            active.end + len > self.roll_at() || tail.spare.as_ref().is_some_and(|spare| active.makes_way(spare, len))
        };
        if tail.active.as_ref().is_some_and(|active| active.end > SEGMENT_HEADER_BYTES as u64 && is_full(active)) {
            self.end_segment(tail);
        }
        if tail.active.is_none()
            && let Err(error) = self.start_segment(tail)
        {
            return Written { segment: 0, offset: 0, whole: 0, error: Some(error) };
        }
        let Some(active) = tail.active.as_mut() else {
            return Written { segment: 0, offset: 0, whole: 0, error: Some(Error::internal("no segment to write to")) };
        };
        let offset = active.end;
        let mut seq = tail.next_seq;
        for_each_frame(run, |at, frame| {
            frame::finish(frame, seq, tail.synced, &active.salt, offset + at as u64);
            seq += 1;
        });
        let outcome = write_all_at(&*active.file, run, offset);
        let segment = active.id;
        let (whole, error) = match outcome {
            Ok(()) => (run.len(), None),
            Err((written, cause)) => {
                let error = Error::io("write", &self.segments.path(segment), &cause);
                (whole_frames(run, written), Some(error))
            }
        };
        tail.next_seq += count_frames(run, whole);
        tail.appended += whole as u64;
        active.end = offset + whole as u64;
        tail.dirty = true;
        tail.unmarked = true;
        let Some(error) = error else { return Written { segment, offset, whole, error } };
        if active.end == SEGMENT_HEADER_BYTES as u64 && self.fs.remove(&self.segments.path(segment)).is_ok() {
            // Nothing of it counts, and retries on a full disk must not leave a heap of headers behind.
            tail.active = None;
            tail.cut = true;
            self.segments.forget(segment);
            return Written { segment, offset, whole, error: Some(error) };
        }
        // Takes back what it can of the torn rest; the next header cuts it off in any case.
        let taken_back = active.file.set_len(active.end);
        if taken_back.is_ok() {
            active.preallocated = 0;
        }
        self.end_segment(tail);
        tail.cut = true;
        // What stays may be a whole frame, and would count if the process died before the next header.
        let cut_now = if taken_back.is_err() { self.start_segment(tail) } else { Ok(()) };
        let error = cut_now.err().filter(Error::is_failed_sync).unwrap_or(error);
        Written { segment, offset, whole, error: Some(error) }
    }

    /// Appends a frame without a payload.
    ///
    /// # Errors
    /// `Io`.
    pub fn append_empty(&self, tail: &mut Tail, kind: FrameKind) -> Result<()> {
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES);
        frame::encode_empty(&mut frame, kind);
        let dirty = tail.dirty;
        let written = self.append(tail, &mut frame);
        // A frame that holds nothing asks for no sync.
        tail.dirty = dirty;
        tail.unmarked = false;
        written.error.map_or(Ok(()), Err)
    }

    /// Ends the segment being written; the next frame starts another one.
    pub fn end_segment(&self, tail: &mut Tail) {
        if let Some(active) = tail.active.take() {
            let last_seq = tail.next_seq - 1;
            let id = u64::from(active.id);
            tail.left = Some(Link { id, salt: active.salt, end: active.end, last_seq });
            tail.ended.push(ManifestEntry {
                id,
                salt: active.salt,
                length: active.end,
                last_seq,
                first_seq: active.first_seq,
                decided_seq: last_seq,
                is_copy: false,
            });
            tail.unsynced.push(active.id);
            if active.end < active.preallocated {
                tail.untrimmed.push((active.id, active.end));
            }
            tail.rolled = true;
        }
    }

    /// Starts a segment. Where it cuts something off, its header is on disk when this returns.
    ///
    /// # Errors
    /// `Io`; then no segment was started.
    pub fn start_segment(&self, tail: &mut Tail) -> Result<()> {
        if let Some(spare) = tail.spare.take() {
            match self.start_with(tail, spare.id, spare.file, spare.zeroed) {
                // Another file may do. But what is on disk after a failed sync is uncertain.
                Err(error) if !error.is_failed_sync() => {}
                outcome => return outcome,
            }
        }
        let id = tail.take_id()?;
        let file = self.create_file(id)?;
        self.start_with(tail, id, file, 0)
    }

    fn start_with(&self, tail: &mut Tail, id: u32, file: Arc<dyn FsFile>, preallocated: u64) -> Result<()> {
        let header = self.next_header(tail, id, preallocated)?;
        if let Err(error) = self.write_header(&*file, &header, tail.cut) {
            let _ = self.fs.remove(&self.segments.path(id));
            return Err(error);
        }
        self.activate(tail, &header, file);
        Ok(())
    }

    /// Makes the file of a new segment.
    ///
    /// # Errors
    /// `Io`.
    pub fn create_file(&self, id: u32) -> Result<Arc<dyn FsFile>> {
        let path = self.segments.path(id);
        self.fs.create_new(&path).map_err(|cause| Error::io("open", &path, &cause))
    }

    /// Removes a file that has not become a segment. One that stays is removed when the log is opened next.
    pub fn remove_spare(&self, spare: &Spare) {
        let _ = self.fs.remove(&self.segments.path(spare.id));
    }

    /// Starts a segment whose header is still to be written: nothing in it, or behind it, is part of the log before that.
    ///
    /// # Errors
    /// `Io`; then no segment was started.
    pub fn start_headless_segment(&self, tail: &mut Tail) -> Result<(SegmentHeader, Arc<dyn FsFile>)> {
        let id = tail.take_id()?;
        let header = self.next_header(tail, id, 0)?;
        let file = self.create_file(id)?;
        self.activate(tail, &header, Arc::clone(&file));
        Ok((header, file))
    }

    fn next_header(&self, tail: &Tail, id: u32, preallocated: u64) -> Result<SegmentHeader> {
        Ok(SegmentHeader {
            cask_id: self.cask_id,
            id: u64::from(id),
            salt: random_id()?,
            epoch: tail.epoch,
            boot_id: self.boot_id,
            cipher: 0,
            is_copy: false,
            key_id: 0,
            first_seq: tail.next_seq,
            synced: tail.synced,
            predecessor: tail.left,
            preallocated: if self.preallocates { preallocated.max(SEGMENT_HEADER_BYTES as u64) } else { 0 },
        })
    }

    fn activate(&self, tail: &mut Tail, header: &SegmentHeader, file: Arc<dyn FsFile>) {
        let id = header.id as u32;
        tail.cut = false;
        tail.names_dirty = true;
        self.segments.insert(id, header.salt, Some(Arc::clone(&file)));
        let SegmentHeader { salt, first_seq, preallocated, .. } = *header;
        tail.active = Some(Active { id, salt, file, first_seq, end: SEGMENT_HEADER_BYTES as u64, preallocated });
    }

    /// Writes the header of a segment; with `sync`, it is on disk when this returns.
    ///
    /// # Errors
    /// `Io`.
    pub fn write_header(&self, file: &dyn FsFile, header: &SegmentHeader, sync: bool) -> Result<()> {
        let path = self.segments.path(header.id as u32);
        write_all_at(file, &header.encode(), 0).map_err(|(_, cause)| Error::io("write", &path, &cause))?;
        if sync {
            file.sync_data().map_err(|cause| Error::io("fdatasync", &path, &cause))?;
            self.sync_names()?;
        }
        Ok(())
    }

    /// Waits until the folder's names are on disk.
    ///
    /// # Errors
    /// `Io`.
    pub fn sync_names(&self) -> Result<()> {
        self.fs.sync_folder(&self.folder).map_err(|cause| Error::io("fsync", &self.folder, &cause))
    }
}

fn frame_len(run: &[u8], at: usize) -> Option<usize> {
    let payload = read_u32(run, at)? as usize;
    Some((FRAME_HEADER_BYTES + payload).next_multiple_of(8))
}

fn for_each_frame(run: &mut [u8], mut visit: impl FnMut(usize, &mut [u8])) {
    let mut at = 0;
    while let Some(len) = frame_len(run, at) {
        let Some(frame) = run.get_mut(at..at + len) else { break };
        visit(at, frame);
        at += len;
    }
}

/// Bytes of the frames that lie wholly within the first `written` bytes.
fn whole_frames(run: &[u8], written: usize) -> usize {
    let mut at = 0;
    while let Some(len) = frame_len(run, at) {
        if at + len > written {
            break;
        }
        at += len;
    }
    at
}

fn count_frames(run: &[u8], bytes: usize) -> u64 {
    let (mut at, mut count) = (0, 0);
    while at < bytes {
        let Some(len) = frame_len(run, at) else { break };
        at += len;
        count += 1;
    }
    count
}
