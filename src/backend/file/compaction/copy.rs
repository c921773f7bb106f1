//! Copies of what is still needed of some segments.

use super::super::frames::{Placed, frames};
use super::super::fs::{read_all_into, write_all_at};
use super::super::index::{Location, for_each_op};
use super::super::log::random_id;
use super::super::segments::draft_name;
use super::super::usage::Needed;
use super::super::{FileBackend, lock};
use crate::codec::frame::{self, FrameKind};
use crate::codec::manifest::ManifestEntry;
use crate::codec::segment::SegmentHeader;
use crate::error::{Error, Result};
use crate::record::Op;

/// A new segment, whole and on disk.
#[derive(Debug)]
pub(super) struct Copy {
    pub(super) entry: ManifestEntry,
    /// All of its bytes.
    pub(super) bytes: Vec<u8>,
}

impl Copy {
    /// Its frames with their offsets.
    pub(super) fn frames(&self) -> impl Iterator<Item = (usize, &[u8])> {
        frames(&self.bytes, self.entry.salt, self.entry.length).flatten().map(|placed| (placed.at, placed.bytes))
    }
}

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
    copies: &mut Vec<Copy>,
) -> Result<()> {
    let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
    let mut copier = Copier { cask, decided_seq, first_seq: first.first_seq, draft: None, copies };
    let mut bytes = Vec::new();
    let mut ops = Vec::new();
    let mut unfinished = Vec::new();
    for entry in run {
        let id = u32::try_from(entry.id).map_err(|_| Error::internal("a segment number is out of range"))?;
        // Nothing comes to be needed of a segment that has ended.
        if cask.index.usage.needed(id) == Needed::default() {
            continue;
        }
        let path = cask.log.segments.path(id);
        let (salt, file) = cask.log.segments.open(id)?;
        read_all_into(&*file, &mut bytes).map_err(|cause| Error::io("read", &path, &cause))?;
        for placed in frames(&bytes, salt, entry.length) {
            cask.go_on_compacting()?;
            let damaged = |at| Error::corrupt(&path, at as u64, "a frame that was written here is missing or changed");
            let Placed { at, header, bytes: frame } = placed.map_err(damaged)?;
            if header.kind == FrameKind::Batch {
                ops.clear();
                let account = frame::chunks(frame).next().map(|chunk| chunk.body.account).unwrap_or_default();
                for_each_op(frame::chunks(frame), id, at as u64, |op, location| {
                    if needs.needs(account, op, header.seq, location) {
                        op.pack(&mut ops);
                    }
                });
                if !ops.is_empty() {
                    unfinished.clear();
                    if !frame::encode_batch(&mut unfinished, account, &ops) {
                        return Err(Error::internal("malformed operations in a copy"));
                    }
                    copier.push(&mut unfinished, header.seq)?;
                }
            }
        }
    }
    copier.finish(last.last_seq)
}

struct Draft {
    id: u32,
    header: SegmentHeader,
    bytes: Vec<u8>,
    last_seq: u64,
}

struct Copier<'a> {
    cask: &'a FileBackend,
    decided_seq: u64,
    /// First sequence number that the next copy stands for.
    first_seq: u64,
    draft: Option<Draft>,
    copies: &'a mut Vec<Copy>,
}

impl Copier<'_> {
    fn push(&mut self, frame: &mut [u8], seq: u64) -> Result<()> {
        let segment_bytes = self.cask.log.segment_bytes;
        if let Some(last_seq) = self
            .draft
            .as_ref()
            .filter(|draft| (draft.bytes.len() + frame.len()) as u64 > segment_bytes)
            .map(|draft| draft.last_seq)
        {
            self.finish(last_seq)?;
        }
        let draft = match &mut self.draft {
            Some(draft) => draft,
            none => none.insert(Draft::new(self.cask, self.first_seq)?),
        };
        frame::finish(frame, seq, draft.header.synced, &draft.header.salt, draft.bytes.len() as u64);
        draft.bytes.extend_from_slice(frame);
        draft.last_seq = seq;
        Ok(())
    }

    /// Brings the draft to disk as a segment that stands for everything up to a sequence number.
    fn finish(&mut self, last_seq: u64) -> Result<()> {
        let Some(draft) = self.draft.take() else { return Ok(()) };
        let log = &self.cask.log;
        let temporary = log.folder.join(draft_name(draft.id));
        let place = log.segments.path(draft.id);
        let file = log.fs.create_new(&temporary).map_err(|cause| Error::io("open", &temporary, &cause))?;
        let written = write_all_at(&*file, &draft.bytes, 0)
            .map_err(|(_, cause)| Error::io("write", &temporary, &cause))
            // A copy that fails to be synced is thrown away: nothing counts on it.
            .and_then(|()| file.sync_data().map_err(|cause| Error::io("fsync", &temporary, &cause)))
            .and_then(|()| log.fs.rename(&temporary, &place).map_err(|cause| Error::io("rename", &place, &cause)));
        if let Err(error) = written {
            let _ = log.fs.remove(&temporary);
            return Err(error);
        }
        log.segments.insert(draft.id, draft.header.salt, None);
        let entry = ManifestEntry {
            id: u64::from(draft.id),
            salt: draft.header.salt,
            length: draft.bytes.len() as u64,
            first_seq: self.first_seq,
            last_seq,
            decided_seq: self.decided_seq,
            is_copy: true,
        };
        self.first_seq = last_seq + 1;
        self.copies.push(Copy { entry, bytes: draft.bytes });
        Ok(())
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
            salt: random_id()?,
            epoch,
            boot_id: cask.log.boot_id,
            cipher: 0,
            is_copy: true,
            key_id: 0,
            first_seq,
            synced,
            predecessor: None,
            preallocated: 0,
        };
        Ok(Self { id, bytes: header.encode().to_vec(), header, last_seq: first_seq })
    }
}
