//! Copies of what is still needed of some segments.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::frames::{Frames, MISSING_FRAME};
use super::super::fs::{FsFile, write_all_at};
use super::super::index::{Location, for_each_op};
use super::super::pieces::PIECE_BYTES;
use super::super::segments::draft_name;
use super::super::usage::Needed;
use super::super::{FileBackend, lock};
use crate::codec::cipher::random;
use crate::codec::frame::{self, Form, FrameKind};
use crate::codec::manifest::ManifestEntry;
use crate::codec::segment::SegmentHeader;
use crate::error::{Error, Result};
use crate::record::Op;

/// Which records and tombstones are needed, as the index has it at this moment.
pub(super) trait Needs {
    /// Whether an operation of a batch is needed.
    fn needs(&self, account: &str, op: Op<'_>, seq: u64, at: Location) -> bool;
}

/// Copies what is needed of `run` to new segments, whose bytes are on disk when this returns, though not yet their names. On failure
/// those that were finished are the caller's to remove.
pub(super) fn copy(
    cask: &FileBackend,
    run: &[ManifestEntry],
    decided_seq: u64,
    needs: &dyn Needs,
    copies: &mut Vec<ManifestEntry>,
) -> Result<()> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
    let mut copier = Copier { cask, decided_seq, first_seq: first.first_seq, draft: None, copies };
    let copied = run.iter().try_for_each(|entry| copier.copy(entry, needs)).and_then(|()| copier.finish(last.last_seq));
    if copied.is_err() {
        copier.abandon();
    }
    copied
}

/// A copy that is being written.
struct Draft {
    id: u32,
    header: SegmentHeader,
    file: Arc<dyn FsFile>,
    /// Where it is until it is whole.
    path: PathBuf,
    /// Bytes that were written to it.
    written: u64,
    /// What follows those.
    pending: Vec<u8>,
    last_seq: u64,
}

struct Copier<'a> {
    cask: &'a FileBackend,
    decided_seq: u64,
    /// First sequence number that the next copy stands for.
    first_seq: u64,
    draft: Option<Draft>,
    copies: &'a mut Vec<ManifestEntry>,
}

impl Copier<'_> {
    /// Copies what is needed of one segment.
    fn copy(&mut self, entry: &ManifestEntry, needs: &dyn Needs) -> Result<()> {
        let cask = self.cask;
        let id = u32::try_from(entry.id).map_err(|_| Error::internal("a segment number is out of range"))?;
        // Nothing comes to be needed of a segment that has ended.
        if cask.index.usage.needed(id) == Needed::default() {
            return Ok(());
        }
        let path = cask.log.segments.path(id);
        let (salt, file) = cask.log.segments.open(id)?;
        let frames = Frames::new(&*file, &path, salt, entry.length, &cask.log.cipher);
        let mut ops = Vec::new();
        let mut unfinished = Vec::new();
        frames.visit_all(MISSING_FRAME, |placed| {
            cask.go_on_compacting()?;
            if placed.header.kind != FrameKind::Batch {
                return Ok(());
            }
            ops.clear();
            let chunks = || frame::chunks(placed.bytes);
            let account = chunks().next().map(|chunk| chunk.body.account).unwrap_or_default();
            for_each_op(chunks(), id, placed.at, |op, location| {
                if needs.needs(account, op, placed.header.seq, location) {
                    op.pack(&mut ops);
                }
            });
            if ops.is_empty() {
                return Ok(());
            }
            unfinished.clear();
            if !frame::encode_batch(&mut unfinished, account, &ops, Form::of(&cask.log.cipher)) {
                return Err(Error::internal("malformed operations in a copy"));
            }
            self.push(&unfinished, placed.header.seq)
        })
    }

    fn push(&mut self, frame: &[u8], seq: u64) -> Result<()> {
        let log = &self.cask.log;
        let most = log.segment_bytes;
        let full = self.draft.as_ref().filter(|draft| draft.len() + frame.len() as u64 > most).map(|draft| draft.last_seq);
        if let Some(last_seq) = full {
            self.finish(last_seq)?;
        }
        let draft = match &mut self.draft {
            Some(draft) => draft,
            none => none.insert(Draft::new(self.cask, self.first_seq)?),
        };
        let (at, offset) = (draft.pending.len(), draft.len());
        log.prepare(frame, &mut draft.pending)?;
        let written = draft.pending.get_mut(at..).unwrap_or_default();
        frame::finish(written, seq, draft.header.synced, &draft.header.salt, offset, &log.cipher);
        draft.last_seq = seq;
        if draft.pending.len() >= PIECE_BYTES { draft.write() } else { Ok(()) }
    }

    /// Brings the draft to disk as a segment that stands for everything up to a sequence number.
    fn finish(&mut self, last_seq: u64) -> Result<()> {
        let Some(draft) = &mut self.draft else { return Ok(()) };
        let log = &self.cask.log;
        let place = log.segments.path(draft.id);
        draft.write()?;
        // A copy that fails to be synced is thrown away: nothing counts on it.
        draft.file.sync_data().map_err(|cause| Error::io("fsync", &draft.path, &cause))?;
        log.fs.rename(&draft.path, &place).map_err(|cause| Error::io("rename", &place, &cause))?;
        // Held until the index has followed, which needs no free descriptor then.
        log.segments.insert(draft.id, draft.header.salt, Some(Arc::clone(&draft.file)));
        self.copies.push(ManifestEntry {
            id: u64::from(draft.id),
            salt: draft.header.salt,
            length: draft.len(),
            first_seq: self.first_seq,
            last_seq,
            decided_seq: self.decided_seq,
            is_copy: true,
        });
        self.first_seq = last_seq + 1;
        self.draft = None;
        Ok(())
    }

    /// Removes what was not finished.
    fn abandon(&mut self) {
        if let Some(draft) = self.draft.take() {
            let _ = self.cask.log.fs.remove(&draft.path);
        }
    }
}

impl Draft {
    fn new(cask: &FileBackend, first_seq: u64) -> Result<Self> {
        let (id, synced, epoch) = {
            let mut tail = lock(&cask.tail)?;
            (tail.take_id()?, tail.synced, tail.epoch)
        };
        let header = SegmentHeader {
            cask_id: cask.log.cask_id,
            id: u64::from(id),
            salt: random()?,
            epoch,
            boot_id: cask.log.boot_id,
            is_copy: true,
            first_seq,
            synced,
            predecessor: None,
            preallocated: 0,
        };
        let path = cask.log.folder.join(draft_name(id));
        let file = cask.log.fs.create_new(&path).map_err(|cause| Error::io("open", &path, &cause))?;
        Ok(Self { id, file, path, written: 0, pending: header.encode(&cask.log.cipher).to_vec(), header, last_seq: first_seq })
    }

    const fn len(&self) -> u64 {
        self.written + self.pending.len() as u64
    }

    /// Writes what is pending.
    fn write(&mut self) -> Result<()> {
        write_all_at(&*self.file, &self.pending, self.written).map_err(|(_, cause)| Error::io("write", &self.path, &cause))?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        self.pending.shrink_to(2 * PIECE_BYTES);
        Ok(())
    }
}
