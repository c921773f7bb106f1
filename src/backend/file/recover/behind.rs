//! What lies behind the end of a log, and in files that are no part of it.

use super::super::frames::Frames;
use super::super::fs::FsFile;
use super::super::pieces::end_of_content;
use super::folder::{Found, Segments, preallocated_before};
use super::replay::Replay;
use crate::codec::frame::FRAME_HEADER_BYTES;
use crate::codec::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::error::{Error, Result};

impl Replay<'_> {
    /// Nothing says that the log has left the last segment that the manifest names: bytes behind its end are told of.
    pub(super) fn look_behind_the_end(&mut self, found: &Segments) -> Result<()> {
        let Some(link) = self.manifest.through.filter(|link| self.manifest.segments.iter().any(|entry| entry.id == link.id))
        else {
            return Ok(());
        };
        let Some((segment, header)) = found.get(&link.id).and_then(|segment| Some((segment, segment.header.as_ref()?))) else {
            return Ok(());
        };
        if let Some(behind) = self.count_behind(segment, header, link.end)? {
            self.break_at(segment, link.end, behind > 0 && self.keeps_pages(header));
        }
        Ok(())
    }

    /// Looks at the segments that are no part of the log: leftovers of an earlier cut, and what a loss of power has orphaned.
    pub(super) fn account_for_the_rest(&mut self, found: &Segments, chain: &[u64]) -> Result<()> {
        let head = chain.last().copied().unwrap_or(0);
        let counts = |id: &u64| self.lived.iter().chain(&self.manifest.segments).any(|entry| entry.id == *id);
        let rest: Vec<u64> = found.keys().copied().filter(|id| !counts(id)).collect();
        for (id, segment) in rest.iter().filter_map(|id| Some((id, found.get(id)?))) {
            self.leftovers.push(*id);
            // What compaction has replaced, or not yet put in the place of anything.
            if *id <= self.spoken_for() || segment.header.as_ref().is_some_and(|header| header.is_copy) {
                self.replaced = true;
                continue;
            }
            let Some(header) = &segment.header else {
                let content = end_of_content(&*self.open(segment)?, segment.len);
                // Preallocated, and not a segment yet.
                if content.map_err(|cause| Error::io("read", &segment.path, &cause))? > 0 || !preallocated_before(found, *id) {
                    self.cut = true;
                    self.report.cut_bytes += segment.len;
                }
                continue;
            };
            let skipped_by_a_cut = *id < head && !chain.contains(id);
            if skipped_by_a_cut {
                continue;
            }
            self.claim(header.synced, header.epoch);
            let frames = self.count_behind(segment, header, SEGMENT_HEADER_BYTES as u64)?;
            self.cut = true;
            let is_certain = frames.is_some_and(|frames| frames > 0) && self.keeps_pages(header);
            if is_certain && self.broken.as_ref().is_none_or(|broken| !broken.certain) {
                self.break_at(segment, 112, true);
            }
        }
        Ok(())
    }

    /// Counts what was written to a segment behind the end of the log, and heeds what it claims; gives how many whole frames there are,
    /// and `None` where nothing is behind it.
    pub(super) fn count_behind(&mut self, segment: &Found, header: &SegmentHeader, from: u64) -> Result<Option<u64>> {
        if segment.len <= from {
            return Ok(None);
        }
        let file = self.open(segment)?;
        let end = written_end(&*file, segment, header)?;
        if end <= from {
            return Ok(None);
        }
        let mut bytes = Frames::new(&*file, &segment.path, header.salt, end, &self.log.cipher);
        let mut frames = 0;
        let mut at = from.next_multiple_of(8);
        while at + FRAME_HEADER_BYTES as u64 <= end {
            match bytes.header_at(at)? {
                Some(header) => {
                    self.claim(header.synced, 0);
                    frames += u64::from(bytes.frame_at(at, header)?.is_some());
                    at += FRAME_HEADER_BYTES as u64;
                }
                None => at += 8,
            }
        }
        self.report.cut_frames += frames;
        self.report.cut_bytes += end - from;
        self.cut = true;
        Ok(Some(frames))
    }
}

/// Where ends what may have been written to a segment: all of it but the zeros at its end, where it had them from the beginning.
fn written_end(file: &dyn FsFile, segment: &Found, header: &SegmentHeader) -> Result<u64> {
    if segment.len > header.preallocated {
        return Ok(segment.len);
    }
    let content = end_of_content(file, segment.len).map_err(|cause| Error::io("read", &segment.path, &cause))?;
    Ok(content.next_multiple_of(8).min(segment.len))
}
