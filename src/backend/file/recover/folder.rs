//! The files of a log, and which of its segments follow those that the manifest names.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use super::super::fs::fill_at;
use super::super::hints;
use super::super::log::Log;
use super::super::segments::{id_of_file_name, is_draft_name};
use crate::codec::LAST_SEGMENT;
use crate::codec::manifest::Manifest;
use crate::codec::segment::{Link, SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::error::{Error, Result};

/// The file of a segment.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    /// `None` where the header is not whole.
    pub(super) header: Option<SegmentHeader>,
    pub(super) len: u64,
}

/// All segments by their numbers.
pub(super) type Segments = BTreeMap<u64, Found>;

/// The files of a log.
#[derive(Debug, Default)]
pub(in super::super) struct Folder {
    pub(super) found: Segments,
    /// Copies that were not finished.
    pub(super) drafts: Vec<PathBuf>,
    /// Hints, by the numbers of their segments.
    pub(super) hints: Vec<(u64, PathBuf)>,
}

impl Folder {
    /// Finds the files of a log.
    ///
    /// # Errors
    /// `Corrupt` for a segment that belongs elsewhere, `Version`, `Key`, `Io`.
    pub(super) fn look_into(log: &Log) -> Result<Self> {
        let mut found = Segments::new();
        let names = log.fs.list(&log.folder).map_err(|cause| Error::io("readdir", &log.folder, &cause))?;
        let drafts = names.iter().filter(|name| is_draft_name(name)).map(|name| log.folder.join(name)).collect();
        let hints = names.iter().filter_map(|name| Some((hints::id_of_hint_name(name)?, log.folder.join(name)))).collect();
        for (name, id) in names.iter().filter_map(|name| Some((name, id_of_file_name(name)?))) {
            let path = log.folder.join(name);
            if id > LAST_SEGMENT {
                return Err(Error::corrupt(&path, 40, "no segment has such a number"));
            }
            let file = log.fs.open(&path).map_err(|cause| Error::io("open", &path, &cause))?;
            let mut bytes = [0; SEGMENT_HEADER_BYTES];
            let len = file.len().map_err(|cause| Error::io("fstat", &path, &cause))?;
            let filled = fill_at(&*file, &mut bytes, 0).map_err(|cause| Error::io("read", &path, &cause))?;
            let header = SegmentHeader::decode(bytes.get(..filled).unwrap_or_default(), &path, &log.cipher)?;
            if let Some(header) = &header {
                if header.cask_id != log.cask_id {
                    return Err(Error::corrupt(&path, 24, "the segment belongs to another cask"));
                }
                if header.id != id {
                    return Err(Error::corrupt(&path, 40, "the segment's number is not that of its file name"));
                }
            }
            found.insert(id, Found { path, header, len });
        }
        Ok(Self { found, drafts, hints })
    }

    /// Numbers of the segments that have a hint.
    pub(super) fn hinted(&self) -> HashSet<u64> {
        self.hints.iter().map(|(id, _)| *id).collect()
    }
}

/// The newest segment from which an unbroken line of predecessors leads back to the last one that the manifest speaks for, or to
/// the first of all, with that line, oldest first.
pub(super) fn choose_chain(found: &Segments, manifest: &Manifest) -> Vec<u64> {
    // Numbers only grow along the log, so nothing older leads back to it.
    let newer = manifest.through.map_or(0, |link| link.id) + 1;
    found.range(newer..).rev().find_map(|(head, _)| line_back(found, *head, manifest.through)).unwrap_or_default()
}

fn line_back(found: &Segments, head: u64, through: Option<Link>) -> Option<Vec<u64>> {
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

/// Whether the log was preallocating when a file was made: the newest of its segments that is older says so.
pub(super) fn preallocated_before(found: &Segments, id: u64) -> bool {
    let older = found.range(..id).rev().filter_map(|(_, segment)| segment.header.as_ref());
    older.filter(|header| !header.is_copy).map(|header| header.preallocated > 0).next().unwrap_or(false)
}
