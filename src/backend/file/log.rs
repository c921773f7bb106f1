//! The end of the log: where the next frame goes.
//!
//! No offset of a segment is ever written twice. A failed write ends its segment, and so does every open; the next commit
//! starts a new segment, whose header says exactly where the one before it ends. Bytes past that end are no part of the log.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::fs::{Fs, FsFile, write_all_at};
use super::preallocation::Spare;
use super::segments::Segments;
use super::tail::{Active, Tail};
use crate::codec::cipher::{Cipher, random};
use crate::codec::frame::{self, FRAME_HEADER_BYTES, Form, FrameKind};
use crate::codec::manifest::ManifestEntry;
use crate::codec::segment::{Link, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::codec::{LAST_SEQ, read_u32};
use crate::error::{Error, Result};
use crate::sync::atomic::{AtomicU64, Ordering};

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
    /// How its bytes are kept.
    pub cipher: Cipher,
    /// The operating system's boot id; zeros where there is none.
    pub boot_id: [u8; 16],
    /// Length at which a segment ends at the latest.
    pub segment_bytes: u64,
    /// Length at which the segment being written ends.
    pub roll_at: AtomicU64,
    /// Whether segments may be preallocated.
    pub preallocates: bool,
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

    /// Adds an encoded frame to a run as it goes to disk: of a sealed cask, sealed.
    ///
    /// # Errors
    /// `Io` where there are no random numbers; the run is as it was then.
    pub fn prepare(&self, frame: &[u8], run: &mut Vec<u8>) -> Result<()> {
        match self.cipher.keys() {
            None => run.extend_from_slice(frame),
            Some(keys) => frame::seal(frame, keys, run)?,
        }
        Ok(())
    }

    /// Appends a run of unfinished frames, which [`Self::prepare`] has made, with one write. Frames that were written whole before a failure count.
    ///
    /// The run has to fit into [`Tail::room`]; a run that does not gets a segment of its own.
    pub fn append(&self, tail: &mut Tail, run: &mut [u8]) -> Written {
        let len = run.len() as u64;
        if let Some(error) = &tail.refused {
            return Written { segment: 0, offset: 0, whole: 0, error: Some(error.clone()) };
        }
        let left = (LAST_SEQ + 1).saturating_sub(tail.next_seq);
        if left < len && left < count_frames(run, run.len()) {
            let error = Error::internal("sequence numbers are used up");
            return Written { segment: 0, offset: 0, whole: 0, error: Some(error) };
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
            frame::finish(frame, seq, tail.synced, &active.salt, offset + at as u64, &self.cipher);
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
        if active.end == SEGMENT_HEADER_BYTES as u64 {
            // Retries on a full disk must not leave a heap of headers behind. But this one may be what cuts something off.
            let is_needless = if active.cuts { self.take_back(tail.left) } else { Ok(true) };
            match is_needless {
                Ok(true) if self.fs.remove(&self.segments.path(segment)).is_ok() => {
                    tail.active = None;
                    tail.cut = true;
                    self.segments.forget(segment);
                    return Written { segment, offset, whole, error: Some(error) };
                }
                Ok(_) => {}
                Err(failed_sync) => return Written { segment, offset, whole, error: Some(failed_sync) },
            }
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

    /// Cuts a segment off at the end that the log has left it at, on disk, so that no header is needed for that; says whether that could be
    /// done.
    ///
    /// # Errors
    /// `Io` where the sync failed: what is on disk is uncertain then.
    fn take_back(&self, left: Option<Link>) -> Result<bool> {
        let Some(link) = left else { return Ok(true) };
        let path = self.segments.path(link.id as u32);
        match self.fs.trim(&path, link.end) {
            Ok(()) => {}
            // Copies stand for it.
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(_) => return Ok(false),
        }
        let Ok(file) = self.fs.open(&path) else { return Ok(false) };
        file.sync_data().map_err(|cause| Error::io("fdatasync", &path, &cause))?;
        Ok(true)
    }

    /// Appends a frame without a payload, where there is a sequence number for it: a log may do without.
    ///
    /// # Errors
    /// `Io`.
    pub fn append_empty(&self, tail: &mut Tail, kind: FrameKind) -> Result<()> {
        if tail.next_seq > LAST_SEQ {
            return Ok(());
        }
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES);
        frame::encode_empty(&mut frame, kind, Form::of(&self.cipher));
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
            salt: random()?,
            epoch: tail.epoch,
            boot_id: self.boot_id,
            is_copy: false,
            first_seq: tail.next_seq,
            synced: tail.synced,
            predecessor: tail.left,
            preallocated: if self.preallocates { preallocated.max(SEGMENT_HEADER_BYTES as u64) } else { 0 },
        })
    }

    fn activate(&self, tail: &mut Tail, header: &SegmentHeader, file: Arc<dyn FsFile>) {
        let id = header.id as u32;
        let cuts = std::mem::take(&mut tail.cut);
        tail.names_dirty = true;
        self.segments.insert(id, header.salt, Some(Arc::clone(&file)));
        let SegmentHeader { salt, first_seq, preallocated, .. } = *header;
        tail.active = Some(Active { id, salt, file, first_seq, end: SEGMENT_HEADER_BYTES as u64, preallocated, cuts });
    }

    /// Writes the header of a segment; with `sync`, it is on disk when this returns.
    ///
    /// # Errors
    /// `Io`.
    pub fn write_header(&self, file: &dyn FsFile, header: &SegmentHeader, sync: bool) -> Result<()> {
        let path = self.segments.path(header.id as u32);
        write_all_at(file, &header.encode(&self.cipher), 0).map_err(|(_, cause)| Error::io("write", &path, &cause))?;
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
