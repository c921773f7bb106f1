//! Reads the segments of a plan, enters what is intact, and accounts for what is not.

use std::path::{Path, PathBuf};

use super::super::cancel::Cancel;
use super::super::frames::MISSING_FRAME;
use super::super::fs::{Fs, read_at_most};
use super::files::Files;
use super::plan::Planned;
use super::salvage::{EMPTY_FRAME_BYTES, Hole, Stretch, stretches};
use super::{Damage, Piece, Survey};
use crate::codec::frame::{self, body_of_checked};
use crate::codec::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::error::{Error, Result};
use crate::record::MAX_BATCH_BYTES;

/// More than a segment has: one for a single batch has that and little else.
const MOST_SEGMENT_BYTES: usize = MAX_BATCH_BYTES + (256 << 20);

/// Reads the segments of a plan, one after the other.
pub(super) struct Reader<'a> {
    pub(super) fs: &'a dyn Fs,
    pub(super) folder: &'a Path,
    pub(super) cancel: Cancel<'a>,
    pub(super) files: &'a Files,
    pub(super) boot_id: [u8; 16],
    pub(super) is_poisoned: bool,
    pub(super) survey: Survey,
    /// W.
    pub(super) synced: u64,
    /// Sequence number that follows what was read.
    pub(super) next_seq: u64,
    /// The log has legally ended.
    pub(super) has_ended: bool,
}

impl Reader<'_> {
    fn header(&self, planned: &Planned) -> Option<&SegmentHeader> {
        self.files.segment(planned.id, &planned.salt)?.header.as_ref()
    }

    fn bytes(&self, planned: &Planned) -> Result<Vec<u8>> {
        self.cancel.check()?;
        let Some(file) = self.files.segment(planned.id, &planned.salt) else { return Ok(Vec::new()) };
        let open = self.fs.open(&file.path).map_err(|cause| Error::io("open", &file.path, &cause))?;
        read_at_most(&*open, MOST_SEGMENT_BYTES).map_err(|cause| Error::io("read", &file.path, &cause))
    }

    /// What may have been written to a segment.
    fn written<'b>(&self, planned: &Planned, bytes: &'b [u8]) -> &'b [u8] {
        self.header(planned).map_or(bytes, |header| written(bytes, header))
    }

    fn path(&self, planned: &Planned) -> PathBuf {
        self.files.segment(planned.id, &planned.salt).map_or_else(
            || self.folder.join(super::super::segments::file_name(u32::try_from(planned.id).unwrap_or(u32::MAX))),
            |file| file.path.clone(),
        )
    }

    /// Finds W: what is claimed by the headers of segments, and by the frames of those that the manifest does not name.
    pub(super) fn claim_synced(&mut self, older: &[Planned], line: &[Planned]) -> Result<()> {
        for planned in older.iter().chain(line) {
            self.synced = self.synced.max(self.header(planned).map_or(0, |header| header.synced));
        }
        for planned in line {
            let mut synced = 0;
            let mut bytes = self.bytes(planned)?;
            stretches(&mut bytes, SEGMENT_HEADER_BYTES, &planned.salt, &self.survey.cipher, |_, stretch| match stretch {
                Stretch::Frame(header) | Stretch::Hole(Hole { header: Some(header), .. }) => synced = header.synced.max(synced),
                Stretch::Hole(_) => {}
            });
            self.synced = self.synced.max(synced);
        }
        Ok(())
    }

    fn keeps_pages(&self, planned: &Planned) -> bool {
        let boot_id = self.header(planned).map_or([0; 16], |header| header.boot_id);
        !self.is_poisoned && boot_id != [0; 16] && boot_id == self.boot_id
    }

    /// Whether there are frames of which no page can have been lost.
    pub(super) fn keeps_frames(&self, planned: &Planned) -> Result<bool> {
        let mut has_frames = false;
        if self.keeps_pages(planned) {
            let mut bytes = self.bytes(planned)?;
            stretches(&mut bytes, SEGMENT_HEADER_BYTES, &planned.salt, &self.survey.cipher, |_, stretch| {
                has_frames |= matches!(stretch, Stretch::Frame(_));
            });
        }
        Ok(has_frames)
    }

    /// Without a manifest: the log began with the first frame of all, or nobody knows what was before.
    pub(super) fn expect_beginning(&mut self, older: &[Planned], line: &[Planned]) {
        let Some(first) = older.first().or(line.first()) else { return };
        let begin = line.first().and_then(|planned| planned.first_seq);
        if older.iter().any(|planned| planned.is_copy) {
            let what = "without the manifest it cannot be told whether this and other segments that compaction wrote are whole";
            self.lose(&self.path(first), 0, what, (1, begin.map_or(u64::MAX, |begin| begin.saturating_sub(1))));
            return;
        }
        let first_seq = first.first_seq.unwrap_or(1);
        if first_seq > 1 {
            self.lose(
                &self.path(first),
                0,
                "what was before this segment is missing, or compaction has removed it",
                (1, first_seq - 1),
            );
            self.next_seq = first_seq;
        }
    }

    /// Reads one segment. `later_keeps`: whether there are frames in later ones of which no page can have been lost.
    pub(super) fn read(&mut self, planned: &Planned, later_keeps: bool) -> Result<()> {
        let path = self.path(planned);
        if self.has_ended {
            return self.cut_written(planned, 0);
        }
        if !self.begin(planned, &path, later_keeps) {
            self.has_ended = true;
            return self.cut_written(planned, 0);
        }
        let mut bytes = self.bytes(planned)?;
        let source = self.survey.sources.len() as u32;
        self.survey.sources.push((path, planned.salt));
        let limit = planned.end.unwrap_or(bytes.len() as u64);
        let counted = usize::try_from(limit).unwrap_or(usize::MAX).min(bytes.len());
        let mut parts = Vec::new();
        let frames = bytes.get_mut(..counted).unwrap_or_default();
        let from = SEGMENT_HEADER_BYTES.min(counted);
        stretches(frames, from, &planned.salt, &self.survey.cipher, |at, stretch| parts.push((at, stretch)));
        if planned.end.is_none() {
            // Zeros that it had from the beginning are no part of it.
            let end = self.written(planned, &bytes).len();
            parts.retain(|(at, part)| matches!(part, Stretch::Frame(_)) || *at < end);
        }
        let mut segment = Segment { planned, bytes: &bytes, source, later_keeps, frames_behind: 0, pending: None };
        segment.frames_behind = parts.iter().filter(|(_, stretch)| matches!(stretch, Stretch::Frame(_))).count();
        for (at, stretch) in parts {
            self.take(&mut segment, at, stretch);
            if self.has_ended {
                return self.cut_written(planned, at);
            }
        }
        if (counted as u64) < limit {
            let hole = segment.pending.get_or_insert(Hole { from: counted, ..Hole::default() });
            hole.to = usize::try_from(limit).unwrap_or(usize::MAX);
            hole.lost_until = Some(hole.to);
        }
        let from = segment.pending.as_ref().map_or(counted, |hole| hole.from);
        self.end(&mut segment);
        if self.has_ended { self.cut_written(planned, from) } else { Ok(()) }
    }

    /// Looks at where a segment begins; says whether the log goes on there.
    fn begin(&mut self, planned: &Planned, path: &Path, later_keeps: bool) -> bool {
        let is_there = self.header(planned).is_some();
        if !is_there {
            if !planned.is_named && self.next_seq > self.synced && !later_keeps {
                return false;
            }
            let is_missing = self.files.segment(planned.id, &planned.salt).is_none();
            let what = if is_missing { "the segment is missing" } else { "the segment's header is damaged" };
            self.survey.damages.push(Damage::harmless(path, 0, what));
        }
        let Some(first_seq) = planned.first_seq.or_else(|| self.header(planned).map(|header| header.first_seq)) else {
            return true;
        };
        if planned.is_named {
            // Without a manifest, what a copy holds is not taken from what it has replaced as well.
            self.next_seq = if planned.end.is_none() { self.next_seq.max(first_seq) } else { first_seq };
        } else if first_seq > self.next_seq {
            self.lose(path, 96, "batches before this segment are missing", (self.next_seq, first_seq - 1));
            self.next_seq = first_seq;
        } else if first_seq < self.next_seq {
            self.survey.damages.push(Damage::harmless(path, 96, "the segment begins where the one before it has not ended"));
        }
        true
    }

    fn take(&mut self, segment: &mut Segment<'_>, at: usize, stretch: Stretch) {
        let last_seq = segment.planned.last_seq.unwrap_or(u64::MAX);
        let fits = |seq: u64, next_seq: u64| (next_seq..=last_seq).contains(&seq);
        match stretch {
            Stretch::Frame(header) if fits(header.seq, self.next_seq) => {
                self.gap_before(segment, at, header.seq);
                if self.has_ended {
                    return;
                }
                segment.frames_behind -= 1;
                self.survey.frames += 1;
                let frame = segment.bytes.get(at..).unwrap_or_default();
                for chunk in frame::chunks(frame) {
                    self.enter(segment, (at + chunk.at, chunk.len), header.seq);
                }
                self.next_seq = header.seq + 1;
            }
            Stretch::Frame(header) => {
                segment.frames_behind -= 1;
                // Of segments that were replaced by copies, which come first, nothing counts.
                let is_replaced = segment.planned.is_named && segment.planned.end.is_none() && header.seq < self.next_seq;
                if !is_replaced {
                    let to = at + usize::try_from(header.frame_len()).unwrap_or(0);
                    segment.add(Hole { from: at, to, ..Hole::default() });
                }
            }
            Stretch::Hole(hole) => match hole.header.map(|header| header.seq).filter(|seq| fits(*seq, self.next_seq)) {
                Some(seq) => {
                    self.gap_before(segment, at, seq);
                    if !self.has_ended {
                        self.gap(segment, at, (seq, seq), Some(hole));
                        self.next_seq = seq + 1;
                    }
                }
                None => segment.add(hole),
            },
        }
    }

    /// Accounts for what is missing before a frame.
    fn gap_before(&mut self, segment: &mut Segment<'_>, at: usize, seq: u64) {
        let pending = segment.pending.take();
        if pending.is_some() || (seq > self.next_seq && !segment.planned.is_copy) {
            self.gap(segment, at, (self.next_seq, seq - 1), pending);
        }
    }

    fn end(&mut self, segment: &mut Segment<'_>) {
        let pending = segment.pending.take();
        let at = segment.bytes.len();
        let Some(last_seq) = segment.planned.last_seq else {
            if pending.is_some() {
                self.gap(segment, at, (self.next_seq, self.synced.max(self.next_seq)), pending);
                self.next_seq = self.next_seq.max(self.synced + 1);
            }
            return;
        };
        if pending.is_some() || (self.next_seq <= last_seq && !segment.planned.is_copy) {
            self.gap(segment, at, (self.next_seq, last_seq), pending);
        }
        self.next_seq = self.next_seq.max(last_seq + 1);
    }

    /// Accounts for missing batches of these sequence numbers, and the bytes that stand in their place.
    fn gap(&mut self, segment: &Segment<'_>, at: usize, seqs: (u64, u64), hole: Option<Hole>) {
        let planned = segment.planned;
        let from = hole.as_ref().map_or(at, |hole| hole.from);
        let is_damage = planned.is_named
            || seqs.0 <= self.synced
            || segment.later_keeps
            || (self.keeps_pages(planned) && (planned.has_successor || segment.frames_behind > 0));
        if !is_damage {
            self.has_ended = true;
            return;
        }
        let path = self.survey.sources.last().map(|(path, _)| path.clone()).unwrap_or_default();
        let Some(hole) = hole else {
            return self.lose(&path, from as u64, "batches are missing here", seqs);
        };
        for chunk in &hole.chunks {
            self.enter(segment, *chunk, seqs.0);
        }
        let what = MISSING_FRAME;
        let count = seqs.1.saturating_add(1).saturating_sub(seqs.0);
        let holds_one = count == 1 || planned.is_copy;
        let holds_marks =
            hole.header.is_none() && !planned.is_copy && (hole.to - hole.from) as u64 == EMPTY_FRAME_BYTES.saturating_mul(count);
        if count == 0 || holds_marks || (holds_one && hole.lost_until.is_none()) {
            self.survey.damages.push(Damage::harmless(&path, from as u64, what));
            return;
        }
        if count > 1 {
            self.lose(&path, from as u64, what, seqs);
        } else {
            let account = hole.chunks.first().and_then(|(at, _)| body_of_checked(segment.bytes.get(*at..)?));
            let account = account.map(|body| body.account.to_string());
            let until = (seqs.0, hole.lost_until.unwrap_or(hole.to) as u64);
            self.survey.ledger.lose(until, account.as_deref());
            self.survey.damages.push(Damage { lost: Some(seqs), account, ..Damage::harmless(&path, from as u64, what) });
        }
        if let Some(damage) = self.survey.damages.last_mut() {
            damage.likely = hole.likely;
        }
    }

    /// Notes that batches are lost.
    fn lose(&mut self, path: &Path, offset: u64, what: &str, seqs: (u64, u64)) {
        self.survey.ledger.lose((seqs.1, u64::MAX), None);
        self.survey.damages.push(Damage { lost: Some(seqs), ..Damage::harmless(path, offset, what) });
    }

    /// Enters an intact chunk.
    fn enter(&mut self, segment: &Segment<'_>, (at, len): (usize, usize), seq: u64) {
        if let Some(body) = segment.bytes.get(at..).and_then(body_of_checked) {
            let piece = self.survey.pieces.len() as u32;
            self.survey.pieces.push(Piece { source: segment.source, at: at as u32, len: len as u32 });
            self.survey.ledger.enter(&body, (seq, at as u64), piece);
        }
    }

    /// Counts what lies behind the end of the log in a segment.
    fn cut_written(&mut self, planned: &Planned, from: usize) -> Result<()> {
        let mut bytes = self.bytes(planned)?;
        let end = self.written(planned, &bytes).len();
        let behind = from.min(end);
        let frames_from = behind.max(SEGMENT_HEADER_BYTES).min(end);
        let mut frames = 0;
        let written = bytes.get_mut(..end).unwrap_or_default();
        stretches(written, frames_from, &planned.salt, &self.survey.cipher, |_, stretch| {
            frames += u64::from(matches!(stretch, Stretch::Frame(_)));
        });
        self.survey.torn_frames += frames;
        self.survey.torn_bytes += (end - behind) as u64;
        Ok(())
    }

    /// Nothing says that the log has left the last segment that the manifest names: frames behind its end belong to a log that goes on.
    pub(super) fn look_behind(&mut self, last: Option<&Planned>) -> Result<()> {
        let Some((last, end)) = last.and_then(|last| Some((last, last.end?))) else { return Ok(()) };
        let bytes = self.bytes(last)?;
        let end = usize::try_from(end).unwrap_or(usize::MAX);
        if self.written(last, &bytes).len() > end {
            let before = self.survey.torn_frames;
            self.cut_written(last, end)?;
            if self.survey.torn_frames > before && self.keeps_pages(last) {
                let what = "frames lie behind the end of the last segment, and what followed it is missing";
                self.lose(&self.path(last), end as u64, what, (self.next_seq, u64::MAX));
            }
        }
        Ok(())
    }

    /// Accounts for what should be there and is not.
    pub(super) fn finish(&mut self, older: &[Planned], line: &[Planned]) -> Result<()> {
        if !self.has_ended && self.next_seq <= self.synced {
            let (path, offset) = match line.last().or(older.last()) {
                Some(last) => (self.path(last), self.files.segment(last.id, &last.salt).map_or(0, |file| file.len)),
                None => (self.folder.to_path_buf(), 0),
            };
            self.lose(&path, offset, "the log is shorter than it was", (self.next_seq, self.synced));
        }
        let is_planned = |id: u64| older.iter().chain(line).any(|planned| planned.id == id);
        let has_losses = self.survey.has_losses();
        for file in self.files.segments.iter().filter(|file| file.header.is_none() && !is_planned(file.id)) {
            if self.files.is_preallocated(self.fs, file)? {
                continue;
            }
            if has_losses && file.len > SEGMENT_HEADER_BYTES as u64 {
                let what = "the segment's header is damaged, and nothing tells what it holds";
                self.lose(&file.path, 0, what, (1, u64::MAX));
            } else {
                self.survey.torn_bytes += file.len;
            }
        }
        Ok(())
    }
}

/// What may have been written to a segment: all of it but the zeros at its end, where it had them from the beginning.
fn written<'b>(bytes: &'b [u8], header: &SegmentHeader) -> &'b [u8] {
    if bytes.len() as u64 > header.preallocated {
        return bytes;
    }
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end.next_multiple_of(8)).unwrap_or(bytes)
}

/// A segment while it is read.
struct Segment<'a> {
    planned: &'a Planned,
    bytes: &'a [u8],
    source: u32,
    later_keeps: bool,
    /// Whole frames that were not yet come to.
    frames_behind: usize,
    /// Bytes since the last frame.
    pending: Option<Hole>,
}

impl Segment<'_> {
    fn add(&mut self, hole: Hole) {
        match &mut self.pending {
            Some(pending) => {
                pending.to = hole.to;
                pending.chunks.extend(hole.chunks);
                pending.lost_until = Some(hole.to);
                pending.likely.extend(hole.likely);
            }
            None => self.pending = Some(hole),
        }
    }
}
