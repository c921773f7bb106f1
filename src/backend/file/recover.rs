//! Opening a log: which segments are it, where it ends, and whether anything is missing that must be there.
//!
//! Let W be the highest sequence number that anything on disk claims to be on disk. Below W a missing or changed frame is
//! damage: opening fails and changes nothing. From W on the log ends at its first bad frame, and what lies behind is cut
//! off: after a loss of power, pages that were never synced may be missing in any order. Where the operating system has not
//! been restarted since the bytes were written, no page was lost, so there a bad frame before a good one is damage as well.
//!
//! The segments that the manifest names come first, segments of the log and copies alike, in the order in which it names them.
//! What follows is the line of segments that leads back to the last one of the log that the manifest speaks for.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use super::frames::frame_at;
use super::fs::{fill_from_start, read_all_into};
use super::hints;
use super::index::Index;
use super::log::Log;
use super::manifest_file::{self, POISON_MARKER, has_poison_marker};
use super::reappend::reappend;
use super::reserve::{RESERVE, is_full_disk};
use super::segments::{id_of_file_name, is_draft_name};
use super::tail::Tail;
use crate::codec::check::Salt;
use crate::codec::frame::{FRAME_HEADER_BYTES, FrameHeader};
use crate::codec::manifest::{Manifest, ManifestEntry};
use crate::codec::segment::{Link, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::error::{Error, Result};

/// What opening had to cut off the end of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Bytes cut off.
    pub cut_bytes: u64,
    /// Whole frames among them.
    pub cut_frames: u64,
}

/// A log that can be written to.
#[derive(Debug)]
pub struct Recovered {
    /// Where it goes on.
    pub tail: Tail,
    /// What was cut off.
    pub report: RecoveryReport,
    /// Of the manifest on disk.
    pub generation: u64,
    /// Segments that have a hint.
    pub hinted: HashSet<u64>,
}

#[derive(Debug)]
struct Found {
    path: PathBuf,
    /// `None` where the header is not whole.
    header: Option<SegmentHeader>,
    len: u64,
}

/// Where the log stops being readable.
#[derive(Debug)]
struct Break {
    path: PathBuf,
    offset: u64,
    /// Damage although nothing claims to be on disk.
    certain: bool,
}

/// Reads the log into the index and finds its end; cuts off what is legally broken.
///
/// # Errors
/// `Corrupt`, `Version`, `Key`, `Io`; then nothing was changed on disk.
pub fn recover(log: &Log, index: &Index, manifest: &Manifest) -> Result<Recovered> {
    let (read, folder) = read(log, index, manifest, true)?;
    read.finish(&folder)
}

/// Reads the log into the index and finds its end. Changes nothing on disk. Without hints it reads everything.
///
/// # Errors
/// `Corrupt`, `Version`, `Key`, `Io`.
pub(super) fn read<'a>(log: &'a Log, index: &'a Index, manifest: &'a Manifest, uses_hints: bool) -> Result<(Replay<'a>, Folder)> {
    let poisoned = has_poison_marker(&*log.fs, &log.folder);
    let folder = look_into(log)?;
    let found = &folder.found;
    let mut state = Replay::new(log, index, manifest, poisoned);
    if uses_hints {
        state.hints = folder.hints.iter().map(|(id, _)| *id).collect();
    }
    for entry in &manifest.segments {
        state.replay_named(entry, found)?;
    }
    state.last_seq = manifest.through.map_or(0, |link| link.last_seq);
    let chain = choose_chain(found, manifest);
    for (position, id) in chain.iter().enumerate() {
        let Some((segment, header)) = found.get(id).and_then(|segment| Some((segment, segment.header.as_ref()?))) else {
            continue;
        };
        let successor = chain.get(position + 1).and_then(|next| found.get(next)?.header.as_ref()?.predecessor);
        state.replay_segment(segment, header, successor)?;
        if state.broken.is_some() {
            break;
        }
    }
    if chain.is_empty() {
        state.look_behind_the_end(found)?;
    }
    state.account_for_the_rest(found, &chain)?;
    state.check()?;
    Ok((state, folder))
}

/// The files of a log.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// All segments by their numbers.
    found: BTreeMap<u64, Found>,
    /// Copies that were not finished.
    drafts: Vec<PathBuf>,
    /// Hints, by the numbers of their segments.
    hints: Vec<(u64, PathBuf)>,
}

fn look_into(log: &Log) -> Result<Folder> {
    let mut found = BTreeMap::new();
    let names = log.fs.list(&log.folder).map_err(|cause| Error::io("readdir", &log.folder, &cause))?;
    let drafts = names.iter().filter(|name| is_draft_name(name)).map(|name| log.folder.join(name)).collect();
    let hints = names.iter().filter_map(|name| Some((hints::id_of_hint_name(name)?, log.folder.join(name)))).collect();
    for (name, id) in names.iter().filter_map(|name| Some((name, id_of_file_name(name)?))) {
        let path = log.folder.join(name);
        let file = log.fs.open(&path).map_err(|cause| Error::io("open", &path, &cause))?;
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        let len = file.len().map_err(|cause| Error::io("fstat", &path, &cause))?;
        let filled = fill_from_start(&*file, &mut bytes).map_err(|cause| Error::io("read", &path, &cause))?;
        let header = SegmentHeader::decode(bytes.get(..filled).unwrap_or_default(), &path)?;
        if let Some(header) = &header {
            if header.cask_id != log.cask_id {
                return Err(Error::corrupt(&path, 24, "the segment belongs to another cask"));
            }
            if header.id != id || u32::try_from(id).is_err() {
                return Err(Error::corrupt(&path, 40, "the segment's number is not that of its file name"));
            }
        }
        found.insert(id, Found { path, header, len });
    }
    Ok(Folder { found, drafts, hints })
}

/// The newest segment from which an unbroken line of predecessors leads back to the last one that the manifest speaks for, or to
/// the first of all, with that line, oldest first.
fn choose_chain(found: &BTreeMap<u64, Found>, manifest: &Manifest) -> Vec<u64> {
    // Numbers only grow along the log, so nothing older leads back to it.
    let newer = manifest.through.map_or(0, |link| link.id) + 1;
    found.range(newer..).rev().find_map(|(head, _)| line_back(found, *head, manifest.through)).unwrap_or_default()
}

fn line_back(found: &BTreeMap<u64, Found>, head: u64, through: Option<Link>) -> Option<Vec<u64>> {
    let mut line = vec![head];
    let mut header = found.get(&head)?.header.as_ref()?;
    loop {
        if header.is_copy {
            return None;
        }
        let Some(link) = header.predecessor else { break through.is_none().then_some(()) };
        if Some(link) == through {
            break Some(());
        }
        // Numbers only grow, so a line that does not descend is no line, and this ends.
        if link.id >= header.id {
            return None;
        }
        header = found.get(&link.id)?.header.as_ref()?;
        if header.salt != link.salt {
            return None;
        }
        line.push(link.id);
    }?;
    line.reverse();
    Some(line)
}

/// What is known of a log after so much of it was read.
pub(super) struct Replay<'a> {
    log: &'a Log,
    index: &'a Index,
    poisoned: bool,
    last_seq: u64,
    /// W.
    synced: u64,
    manifest: &'a Manifest,
    epoch: u64,
    /// Segments of the log that follow those the manifest names, up to where it ends.
    lived: Vec<ManifestEntry>,
    broken: Option<Break>,
    /// Segments of the chosen line that begin past the end of the log, and the torn rest of the last one.
    report: RecoveryReport,
    cut: bool,
    /// Some of the leftovers are segments that compaction has replaced, or copies that replace nothing.
    replaced: bool,
    leftovers: Vec<u64>,
    /// Frames that count.
    frames: u64,
    /// Memory for the bytes of one segment after the other.
    bytes: Vec<u8>,
    /// Segments with a hint that may be used.
    hints: HashSet<u64>,
    /// Segments that came into the index by their hints.
    hinted: HashSet<u64>,
}

impl<'a> Replay<'a> {
    fn new(log: &'a Log, index: &'a Index, manifest: &'a Manifest, poisoned: bool) -> Self {
        Self {
            log,
            index,
            poisoned,
            last_seq: 0,
            synced: manifest.synced,
            manifest,
            epoch: manifest.epoch,
            lived: Vec::new(),
            broken: None,
            report: RecoveryReport::default(),
            cut: false,
            replaced: false,
            leftovers: Vec::new(),
            frames: 0,
            bytes: Vec::new(),
            hints: HashSet::new(),
            hinted: HashSet::new(),
        }
    }

    /// Segments that count.
    pub(super) fn segments(&self) -> u64 {
        (self.manifest.segments.len() + self.lived.len()) as u64
    }

    /// Frames in them.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// What opening would cut off.
    pub(super) const fn report(&self) -> &RecoveryReport {
        &self.report
    }

    /// Number of the newest segment of the log that the manifest speaks for.
    fn spoken_for(&self) -> u64 {
        self.manifest.through.map_or(0, |link| link.id)
    }

    /// Whether no page of this segment can have been lost: it was written since the operating system last started.
    fn keeps_pages(&self, header: &SegmentHeader) -> bool {
        !self.poisoned && header.boot_id != [0; 16] && header.boot_id == self.log.boot_id
    }

    /// Replays a segment that the manifest names: all of it was on disk, so all of it has to be there.
    fn replay_named(&mut self, entry: &ManifestEntry, found: &BTreeMap<u64, Found>) -> Result<()> {
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
            return Ok(());
        }
        let bytes = self.read(segment)?;
        let publish = |_: &FrameHeader, at: usize, frame: &[u8]| {
            self.frames += 1;
            self.index.free(&self.index.publish(frame, id, at as u64, None));
        };
        walk_named(&bytes, header, entry, publish).map_err(|(at, what)| Error::corrupt(&segment.path, at as u64, what))?;
        self.bytes = bytes;
        Ok(())
    }

    fn replay_segment(&mut self, segment: &Found, header: &SegmentHeader, successor: Option<Link>) -> Result<()> {
        let bytes = self.read(segment)?;
        self.claim(header.synced, header.epoch);
        let id = header.id as u32;
        self.log.segments.insert(id, header.salt, None);
        // The successor's header says where this segment ends; bytes past that are leftovers of a cut.
        let limit = successor.map_or(bytes.len() as u64, |link| link.end);
        let counted = bytes.get(..usize::try_from(limit).unwrap_or(usize::MAX)).unwrap_or(&bytes);
        let mut at = SEGMENT_HEADER_BYTES;
        if header.first_seq != self.last_seq + 1 {
            self.break_at(segment, 96, true);
        }
        while self.broken.is_none() && at < counted.len() {
            let Some((frame_header, frame)) = frame_at(counted, at, &header.salt).filter(|(h, _)| h.seq == self.last_seq + 1)
            else {
                break;
            };
            self.claim(frame_header.synced, 0);
            self.frames += 1;
            self.index.free(&self.index.publish(frame, id, at as u64, None));
            self.last_seq = frame_header.seq;
            at += frame.len();
        }
        self.lived.push(ManifestEntry {
            id: header.id,
            salt: header.salt,
            length: at as u64,
            last_seq: self.last_seq,
            first_seq: header.first_seq,
            decided_seq: self.last_seq,
            is_copy: false,
        });
        if self.broken.is_none() {
            match successor {
                Some(link) if at as u64 == link.end && self.last_seq == link.last_seq => {}
                Some(_) => {
                    self.count_behind(written(&bytes, header), at, &header.salt);
                    self.break_at(segment, at as u64, self.keeps_pages(header));
                }
                None if at < written(&bytes, header).len() => {
                    let behind = self.count_behind(written(&bytes, header), at, &header.salt);
                    self.break_at(segment, at as u64, behind > 0 && self.keeps_pages(header));
                }
                None => {}
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    /// Nothing says that the log has left the last segment that the manifest names: bytes behind its end are told of.
    fn look_behind_the_end(&mut self, found: &BTreeMap<u64, Found>) -> Result<()> {
        let Some(link) = self.manifest.through.filter(|link| self.manifest.segments.iter().any(|entry| entry.id == link.id))
        else {
            return Ok(());
        };
        let Some((segment, header)) = found.get(&link.id).and_then(|segment| Some((segment, segment.header.as_ref()?))) else {
            return Ok(());
        };
        if segment.len > link.end {
            let bytes = self.read(segment)?;
            let end = usize::try_from(link.end).unwrap_or(bytes.len());
            if end < written(&bytes, header).len() {
                let behind = self.count_behind(written(&bytes, header), end, &header.salt);
                self.break_at(segment, link.end, behind > 0 && self.keeps_pages(header));
            }
            self.bytes = bytes;
        }
        Ok(())
    }

    /// The bytes of a segment, in memory that the caller should give back.
    fn read(&mut self, segment: &Found) -> Result<Vec<u8>> {
        let mut bytes = std::mem::take(&mut self.bytes);
        let file = self.log.fs.open(&segment.path).map_err(|cause| Error::io("open", &segment.path, &cause))?;
        read_all_into(&*file, &mut bytes).map_err(|cause| Error::io("read", &segment.path, &cause))?;
        Ok(bytes)
    }

    fn claim(&mut self, synced: u64, epoch: u64) {
        self.synced = self.synced.max(synced);
        self.epoch = self.epoch.max(epoch);
    }

    fn break_at(&mut self, segment: &Found, offset: u64, certain: bool) {
        self.broken = Some(Break { path: segment.path.clone(), offset, certain });
    }

    /// Counts what lies behind the end of the log in a segment, and heeds what it claims.
    fn count_behind(&mut self, bytes: &[u8], from: usize, salt: &Salt) -> u64 {
        let mut frames = 0;
        let mut at = from.next_multiple_of(8);
        while at + FRAME_HEADER_BYTES <= bytes.len() {
            match bytes.get(at..).and_then(|rest| FrameHeader::decode(rest, salt, at as u64)) {
                Some(header) => {
                    self.claim(header.synced, 0);
                    frames += u64::from(frame_at(bytes, at, salt).is_some());
                    at += FRAME_HEADER_BYTES;
                }
                None => at += 8,
            }
        }
        self.report.cut_frames += frames;
        self.report.cut_bytes += bytes.len().saturating_sub(from) as u64;
        self.cut = true;
        frames
    }

    /// Looks at the segments that are no part of the log: leftovers of an earlier cut, and what a loss of power has orphaned.
    fn account_for_the_rest(&mut self, found: &BTreeMap<u64, Found>, chain: &[u64]) -> Result<()> {
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
                let bytes = self.read(segment)?;
                // Preallocated, and not a segment yet.
                if bytes.iter().any(|byte| *byte != 0) || !preallocated_before(found, *id) {
                    self.cut = true;
                    self.report.cut_bytes += bytes.len() as u64;
                }
                self.bytes = bytes;
                continue;
            };
            let skipped_by_a_cut = *id < head && !chain.contains(id);
            if skipped_by_a_cut {
                continue;
            }
            let bytes = self.read(segment)?;
            self.claim(header.synced, header.epoch);
            let frames = self.count_behind(written(&bytes, header), SEGMENT_HEADER_BYTES, &header.salt);
            if frames > 0 && self.keeps_pages(header) && self.broken.as_ref().is_none_or(|broken| !broken.certain) {
                self.break_at(segment, 112, true);
            }
            self.bytes = bytes;
        }
        Ok(())
    }

    /// Refuses a log that lacks what must be there.
    fn check(&self) -> Result<()> {
        if let Some(broken) = &self.broken
            && (broken.certain || self.last_seq < self.synced)
        {
            return Err(Error::corrupt(&broken.path, broken.offset, "a frame that was written here is missing or changed"));
        }
        if self.last_seq < self.synced {
            let last = self.lived.last().map(ManifestEntry::link).or(self.manifest.through);
            let path = self.log.segments.path(last.map_or(1, |link| link.id as u32));
            return Err(Error::corrupt(&path, last.map_or(0, |link| link.end), "the log is shorter than it was"));
        }
        Ok(())
    }

    fn finish(mut self, folder: &Folder) -> Result<Recovered> {
        let Folder { found, drafts, hints } = folder;
        // Whatever is done from here on may need room. It is set aside again in due time.
        let _ = self.log.fs.remove(&self.log.folder.join(RESERVE));
        let mut tail = Tail::empty();
        let spoken_for = self.spoken_for();
        let above_all = found.keys().next_back().map_or(1, |newest| newest + 1).max(spoken_for + 1).max(self.manifest.next_id);
        tail.next_id = u32::try_from(above_all).map_err(|_| Error::internal("segment numbers are used up"))?;
        tail.next_seq = self.last_seq + 1;
        tail.epoch = self.epoch + 1;
        tail.synced = self.synced;
        tail.through = self.manifest.through;
        tail.left = self.lived.last().map(ManifestEntry::link).or(self.manifest.through);
        // A segment without frames may be newer than the last frame known to be on disk, and is a link of the line all the same.
        let is_empty = |entry: &ManifestEntry| entry.length == SEGMENT_HEADER_BYTES as u64;
        let may_be_unsynced =
            |entry: &&ManifestEntry| entry.last_seq > self.synced || (entry.last_seq == self.synced && is_empty(entry));
        tail.unsynced = self.lived.iter().filter(may_be_unsynced).map(|entry| entry.id as u32).collect();
        tail.ended = self.manifest.segments.clone();
        for entry in tail.ended.iter_mut().filter(|entry| entry.first_seq == 0) {
            // An older manifest does not say.
            entry.first_seq =
                found.get(&entry.id).and_then(|segment| segment.header.as_ref()).map_or(0, |header| header.first_seq);
        }
        tail.ended.extend_from_slice(&self.lived);
        // What a killed process left behind is synced in due time, and then the manifest says so.
        tail.names_dirty = !tail.unsynced.is_empty();
        tail.dirty = tail.names_dirty;
        if self.poisoned {
            let named = self.manifest.segments.len();
            self.leftovers.extend(reappend(self.log, self.index, &mut tail, named)?);
        } else if self.cut {
            // The header that says where the log ends is on disk before anything behind that end is touched.
            tail.cut = true;
            self.log.start_segment(&mut tail)?;
        } else if !self.leftovers.is_empty()
            && let Some(last) = self.lived.last()
        {
            // An earlier open has made the cut and not lived to tidy up; be sure of its header first.
            let (_, file) = self.log.segments.open(last.id as u32)?;
            file.sync_data().map_err(|cause| Error::io("fdatasync", &self.log.segments.path(last.id as u32), &cause))?;
            self.log.sync_names()?;
        }
        let mut generation = self.manifest.generation;
        if self.replaced {
            // Whether the manifest that replaced them is on disk is known only of one that is written now.
            generation += 1;
            let manifest = manifest_file::describe(self.log, &tail, generation);
            match manifest_file::store(&*self.log.fs, &self.log.folder, &manifest) {
                Ok(()) => tail.through = manifest.through,
                // On a full disk they stay, and the cask opens all the same: nothing counts on them.
                Err(error) if is_full_disk(&error) && !manifest_file::may_be_in_place(&error) => {
                    generation -= 1;
                    self.leftovers.clear();
                }
                Err(error) => return Err(error),
            }
        }
        self.leftovers.sort_unstable();
        let leftovers = self.leftovers.iter().rev().filter_map(|id| Some(found.get(id)?.path.as_path()));
        for path in leftovers.chain(drafts.iter().map(PathBuf::as_path)) {
            self.log.fs.remove(path).map_err(|cause| Error::io("unlink", path, &cause))?;
        }
        self.trim(found);
        if self.poisoned {
            let marker = self.log.folder.join(POISON_MARKER);
            self.log.fs.remove(&marker).map_err(|cause| Error::io("unlink", &marker, &cause))?;
            self.log.sync_names()?;
        }
        for (_, path) in hints.iter().filter(|(id, _)| !tail.ended.iter().any(|entry| entry.id == *id)) {
            // Of a segment that is gone; nothing depends on it.
            let _ = self.log.fs.remove(path);
        }
        Ok(Recovered { tail, report: self.report, generation, hinted: self.hinted })
    }

    /// Gives back the room behind the ends of segments. What is there is no part of the log, so a failure costs nothing else.
    fn trim(&self, found: &BTreeMap<u64, Found>) {
        for entry in self.lived.iter().chain(&self.manifest.segments) {
            if let Some(segment) = found.get(&entry.id).filter(|segment| segment.len > entry.length) {
                let _ = self.log.fs.trim(&segment.path, entry.length);
            }
        }
    }
}

/// What may have been written to a segment: all of it but the zeros at its end, where it had them from the beginning.
pub(super) fn written<'b>(bytes: &'b [u8], header: &SegmentHeader) -> &'b [u8] {
    if bytes.len() as u64 > header.preallocated {
        return bytes;
    }
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.get(..end.next_multiple_of(8)).unwrap_or(bytes)
}

/// Whether the log was preallocating when a file was made: the newest of its segments that is older says so.
fn preallocated_before(found: &BTreeMap<u64, Found>, id: u64) -> bool {
    let older = found.range(..id).rev().filter_map(|(_, segment)| segment.header.as_ref());
    older.filter(|header| !header.is_copy).map(|header| header.preallocated > 0).next().unwrap_or(false)
}

/// Whether a segment is the one that the manifest names.
pub(super) fn is_as_named(header: &SegmentHeader, entry: &ManifestEntry) -> bool {
    header.salt == entry.salt && header.is_copy == entry.is_copy
}

/// Visits the frames of a segment that the manifest names, with their offsets: all of it was on disk, so all of it has to be there.
///
/// # Errors
/// Where it is not what was written, and what is wrong.
pub(super) fn walk_named(
    bytes: &[u8],
    header: &SegmentHeader,
    entry: &ManifestEntry,
    mut visit: impl FnMut(&FrameHeader, usize, &[u8]),
) -> std::result::Result<(), (usize, &'static str)> {
    // Bytes past its end are leftovers of a cut.
    let counted = bytes.get(..usize::try_from(entry.length).unwrap_or(usize::MAX)).unwrap_or(bytes);
    let mut at = SEGMENT_HEADER_BYTES;
    let mut next_seq = header.first_seq;
    while at < counted.len() {
        let fits = |found: &FrameHeader| {
            if entry.is_copy { (next_seq..=entry.last_seq).contains(&found.seq) } else { found.seq == next_seq }
        };
        let Some((frame_header, frame)) = frame_at(counted, at, &header.salt).filter(|(header, _)| fits(header)) else {
            return Err((at, "a frame that was written here is missing or changed"));
        };
        visit(&frame_header, at, frame);
        next_seq = frame_header.seq + 1;
        at += frame.len();
    }
    if at as u64 != entry.length || (!entry.is_copy && next_seq != entry.last_seq + 1) {
        return Err((at, "the segment does not end where it did"));
    }
    Ok(())
}
