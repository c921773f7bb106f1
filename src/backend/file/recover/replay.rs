//! Reading a log into the index, segment by segment.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::cancel::Cancel;
use super::super::frames::{Frames, MISSING_FRAME};
use super::super::fs::FsFile;
use super::super::hints;
use super::super::index::Index;
use super::super::log::Log;
use super::super::manifest_file::MANIFEST;
use super::RecoveryReport;
use super::folder::{Found, Segments, choose_chain};
use super::named::{is_as_named, walk_named};
use super::room::Room;
use crate::codec::manifest::{Manifest, ManifestEntry};
use crate::codec::segment::{Link, SegmentHeader};
use crate::codec::{LAST_SEGMENT, LAST_SEQ};
use crate::error::{Error, Result};

/// Where the log stops being readable.
#[derive(Debug)]
pub(super) struct Break {
    path: PathBuf,
    offset: u64,
    /// Damage although nothing claims to be on disk.
    pub(super) certain: bool,
}

/// What is known of a log after so much of it was read.
pub(in super::super) struct Replay<'a> {
    pub(super) log: &'a Log,
    pub(super) index: &'a Index,
    pub(super) poisoned: bool,
    pub(super) last_seq: u64,
    /// W.
    pub(super) synced: u64,
    pub(super) manifest: &'a Manifest,
    pub(super) epoch: u64,
    /// Segments of the log that follow those the manifest names, up to where it ends.
    pub(super) lived: Vec<ManifestEntry>,
    pub(super) broken: Option<Break>,
    /// Segments of the chosen line that begin past the end of the log, and the torn rest of the last one.
    pub(super) report: RecoveryReport,
    pub(super) cut: bool,
    /// Some of the leftovers are segments that compaction has replaced, or copies that replace nothing.
    pub(super) replaced: bool,
    pub(super) leftovers: Vec<u64>,
    /// Frames that count.
    frames: u64,
    room: Room<'a>,
    /// Segments with a hint that may be used.
    hints: HashSet<u64>,
    /// Segments that came into the index by their hints.
    pub(super) hinted: HashSet<u64>,
}

impl<'a> Replay<'a> {
    pub(super) fn new(log: &'a Log, index: &'a Index, manifest: &'a Manifest, poisoned: bool, hints: HashSet<u64>) -> Self {
        Self {
            log,
            index,
            poisoned,
            last_seq: 0,
            // All that the manifest names is on disk, whatever else it says.
            synced: manifest.through.map_or(0, |link| link.last_seq).max(manifest.synced),
            manifest,
            epoch: manifest.epoch,
            lived: Vec::new(),
            broken: None,
            report: RecoveryReport::default(),
            cut: false,
            replaced: false,
            leftovers: Vec::new(),
            frames: 0,
            room: Room::new(index, 0),
            hints,
            hinted: HashSet::new(),
        }
    }

    /// Segments that count.
    pub(in super::super) fn segments(&self) -> u64 {
        (self.manifest.segments.len() + self.lived.len()) as u64
    }

    /// Frames in them.
    pub(in super::super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// What opening would cut off.
    pub(in super::super) const fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// Number of the newest segment of the log that the manifest speaks for.
    pub(super) fn spoken_for(&self) -> u64 {
        self.manifest.through.map_or(0, |link| link.id)
    }

    /// A number that no segment has had.
    pub(super) fn next_id(&self, found: &Segments) -> u64 {
        let newest = found.keys().next_back().copied().unwrap_or(0);
        (newest.max(self.spoken_for()) + 1).max(self.manifest.next_id)
    }

    /// Reads all of it.
    ///
    /// # Errors
    /// `Corrupt` where something is missing that must be there, `Aborted`, `Io`.
    pub(super) fn run(&mut self, found: &Segments, cancel: Cancel<'_>) -> Result<()> {
        let chain = choose_chain(found, self.manifest);
        self.room = Room::new(self.index, self.bytes_to_read(found, &chain));
        for entry in &self.manifest.segments {
            cancel.check()?;
            self.replay_named(entry, found)?;
        }
        self.last_seq = self.manifest.through.map_or(0, |link| link.last_seq);
        for (position, id) in chain.iter().enumerate() {
            let Some((segment, header)) = found.get(id).and_then(|segment| Some((segment, segment.header.as_ref()?))) else {
                continue;
            };
            let successor = chain.get(position + 1).and_then(|next| found.get(next)?.header.as_ref()?.predecessor);
            cancel.check()?;
            self.replay_segment(segment, header, successor)?;
            if self.broken.is_some() {
                break;
            }
        }
        if chain.is_empty() {
            self.look_behind_the_end(found)?;
        }
        self.room.trim();
        self.account_for_the_rest(found, &chain)?;
        self.check(found)
    }

    /// What there is to read at most. The last segment may be nothing but zeros that were put ahead of it.
    fn bytes_to_read(&self, found: &Segments, chain: &[u64]) -> u64 {
        let named = self.manifest.segments.iter().filter_map(|entry| Some(found.get(&entry.id)?.len.min(entry.length)));
        let others = chain.iter().filter_map(|id| {
            let segment = found.get(id)?;
            let zeros = segment.header.as_ref()?.preallocated;
            (segment.len > zeros || chain.last() != Some(id)).then_some(segment.len)
        });
        named.chain(others).fold(0, u64::saturating_add)
    }

    /// Whether no page of this segment can have been lost: it was written since the operating system last started.
    pub(super) fn keeps_pages(&self, header: &SegmentHeader) -> bool {
        !self.poisoned && header.boot_id != [0; 16] && header.boot_id == self.log.boot_id
    }

    /// Replays a segment that the manifest names.
    fn replay_named(&mut self, entry: &ManifestEntry, found: &Segments) -> Result<()> {
        let Some(segment) = found.get(&entry.id) else {
            return Err(Error::corrupt(&self.log.segments.path(entry.id as u32), 0, "the segment is missing"));
        };
        let Some(header) = segment.header.as_ref().filter(|header| is_as_named(header, entry) && segment.len >= entry.length)
        else {
            return Err(Error::corrupt(&segment.path, 0, "the segment was changed or exchanged"));
        };
        self.claim(header.synced, header.epoch);
        let id = header.id as u32;
        self.log.segments.insert(id, header.salt, None);
        if self.hints.contains(&entry.id) && hints::load(self.log, self.index, entry) {
            self.hinted.insert(entry.id);
            self.room.passed(entry.length);
            return Ok(());
        }
        let file = self.open(segment)?;
        let frames = Frames::new(&*file, &segment.path, header.salt, entry.length, &self.log.cipher);
        walk_named(frames, header, entry, &segment.path, |placed| {
            self.frames += 1;
            self.index.free(&self.index.publish(placed.bytes, id, placed.at, None));
            self.room.passed(placed.bytes.len() as u64);
        })
    }

    /// Replays a segment that the manifest does not name, up to where the log ends or goes on in the next one.
    fn replay_segment(&mut self, segment: &Found, header: &SegmentHeader, successor: Option<Link>) -> Result<()> {
        self.claim(header.synced, header.epoch);
        let id = header.id as u32;
        self.log.segments.insert(id, header.salt, None);
        // The successor's header says where this segment ends; bytes past that are leftovers of a cut.
        let limit = successor.map_or(segment.len, |link| link.end.min(segment.len));
        let file = self.open(segment)?;
        let mut frames = Frames::new(&*file, &segment.path, header.salt, limit, &self.log.cipher);
        if header.first_seq != self.last_seq + 1 {
            self.break_at(segment, 96, true);
        } else {
            while let Some(placed) = frames.next_frame(|found| found.seq == self.last_seq + 1)? {
                self.claim(placed.header.synced, 0);
                self.frames += 1;
                self.index.free(&self.index.publish(placed.bytes, id, placed.at, None));
                self.room.passed(placed.bytes.len() as u64);
                self.last_seq = placed.header.seq;
            }
        }
        let end = frames.reached();
        self.lived.push(ManifestEntry {
            id: header.id,
            salt: header.salt,
            length: end,
            last_seq: self.last_seq,
            first_seq: header.first_seq,
            decided_seq: self.last_seq,
            is_copy: false,
        });
        match successor {
            _ if self.broken.is_some() => {}
            Some(link) if end == link.end && self.last_seq == link.last_seq => {}
            Some(_) => {
                self.cut = true;
                self.count_behind(segment, header, end)?;
                self.break_at(segment, end, self.keeps_pages(header));
            }
            None => {
                if let Some(behind) = self.count_behind(segment, header, end)? {
                    self.break_at(segment, end, behind > 0 && self.keeps_pages(header));
                }
            }
        }
        Ok(())
    }

    pub(super) fn open(&self, segment: &Found) -> Result<Arc<dyn FsFile>> {
        self.log.fs.open(&segment.path).map_err(|cause| Error::io("open", &segment.path, &cause))
    }

    /// Heeds what a header says: up to where the log was on disk, and how often it had been opened.
    pub(super) fn claim(&mut self, synced: u64, epoch: u64) {
        self.synced = self.synced.max(synced);
        self.epoch = self.epoch.max(epoch);
    }

    pub(super) fn break_at(&mut self, segment: &Found, offset: u64, certain: bool) {
        self.broken = Some(Break { path: segment.path.clone(), offset, certain });
    }

    /// Refuses a log that lacks what must be there, and one whose numbers leave none for what comes next.
    fn check(&self, found: &Segments) -> Result<()> {
        let manifest = || self.log.folder.join(MANIFEST);
        if self.last_seq > LAST_SEQ {
            return Err(Error::corrupt(&manifest(), 0, "the log has more batches than any cask can have"));
        }
        if (self.poisoned || self.cut) && self.next_id(found) > LAST_SEGMENT {
            return Err(Error::corrupt(&manifest(), 104, "the log has more segments than any cask can have"));
        }
        if let Some(broken) = &self.broken
            && (broken.certain || self.last_seq < self.synced)
        {
            return Err(Error::corrupt(&broken.path, broken.offset, MISSING_FRAME));
        }
        if self.last_seq < self.synced {
            let last = self.lived.last().map(ManifestEntry::link).or(self.manifest.through);
            let path = self.log.segments.path(last.map_or(1, |link| link.id as u32));
            return Err(Error::corrupt(&path, last.map_or(0, |link| link.end), "the log is shorter than it was"));
        }
        Ok(())
    }
}
