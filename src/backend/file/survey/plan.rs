//! Which segments make up a log that may lack some, and in which order.

use super::files::{Files, SegmentFile};
use crate::codec::check::Salt;
use crate::codec::manifest::Manifest;
use crate::codec::segment::{Link, SegmentHeader};

/// One segment that should be there.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) id: u64,
    pub(super) salt: Salt,
    /// Sequence number of its first frame, where it is known.
    pub(super) first_seq: Option<u64>,
    /// Offset where the log leaves it, where it is known.
    pub(super) end: Option<u64>,
    /// Sequence number of the last frame that it stands for, where it is known.
    pub(super) last_seq: Option<u64>,
    pub(super) is_copy: bool,
    /// Whether all of it was on disk.
    pub(super) is_named: bool,
    /// Whether something was written behind it.
    pub(super) has_successor: bool,
}

impl Planned {
    fn of(header: &SegmentHeader) -> Self {
        Self {
            id: header.id,
            salt: header.salt,
            first_seq: Some(header.first_seq),
            end: None,
            last_seq: None,
            is_copy: header.is_copy,
            is_named: false,
            has_successor: false,
        }
    }

    fn left_at(self, link: Option<Link>) -> Self {
        let Some(link) = link else { return self };
        Self { end: Some(link.end), last_seq: Some(link.last_seq), has_successor: true, ..self }
    }
}

/// The segments that the manifest names.
pub(super) fn named(manifest: &Manifest) -> Vec<Planned> {
    let plan = |entry: &crate::codec::manifest::ManifestEntry| Planned {
        id: entry.id,
        salt: entry.salt,
        first_seq: Some(entry.first_seq).filter(|first_seq| *first_seq > 0),
        end: Some(entry.length),
        last_seq: Some(entry.last_seq),
        is_copy: entry.is_copy,
        is_named: true,
        has_successor: true,
    };
    manifest.segments.iter().map(plan).collect()
}

/// The segments of the log that follow what the manifest speaks for, oldest first: those that the newest one leads back to, and where
/// a link is broken those before it that may belong there.
pub(super) fn line(files: &Files, through: Option<Link>) -> Vec<Planned> {
    let floor = through.map_or(0, |link| link.id);
    let is_link = |file: &&SegmentFile| file.header.as_ref().is_some_and(|header| !header.is_copy && header.id > floor);
    let newest_below = |limit: u64| {
        let headers = files.segments.iter().filter(is_link).filter_map(|file| file.header.as_ref());
        headers.filter(|header| header.id < limit).max_by_key(|header| header.id)
    };
    let mut line = Vec::new();
    let mut next = newest_below(u64::MAX).map(|header| (header, None));
    while let Some((header, left)) = next {
        line.push(Planned::of(header).left_at(left));
        let Some(link) = header.predecessor.filter(|link| link.id > floor && link.id < header.id) else { break };
        let file = files.segment(link.id, &link.salt);
        next = match file.and_then(|file| file.header.as_ref()) {
            Some(header) => Some((header, Some(link))),
            None => {
                line.push(Planned { id: link.id, salt: link.salt, first_seq: None, ..Planned::of(header) }.left_at(Some(link)));
                newest_below(link.id).map(|header| (header, None))
            }
        };
    }
    line.reverse();
    let mut successor = false;
    for planned in line.iter_mut().rev() {
        planned.has_successor |= std::mem::replace(&mut successor, true);
    }
    line
}

/// What was there before the line begins, as far as that can be told without a manifest: segments of the log, and copies, of which nothing
/// tells how long they were.
pub(super) fn before(files: &Files, line: &[Planned]) -> Vec<Planned> {
    let begin = line.first().and_then(|planned| planned.first_seq).unwrap_or(u64::MAX);
    let is_older = |header: &&SegmentHeader| header.first_seq < begin && !line.iter().any(|planned| planned.id == header.id);
    let mut older: Vec<Planned> =
        files.segments.iter().filter_map(|file| file.header.as_ref()).filter(is_older).map(Planned::of).collect();
    older.sort_by_key(|planned| (planned.first_seq, !planned.is_copy, planned.id));
    older.dedup_by_key(|planned| planned.id);
    let starts: Vec<u64> = older.iter().filter_map(|planned| planned.first_seq).collect();
    for planned in &mut older {
        planned.is_named = true;
        let next = starts.iter().copied().chain([begin]).filter(|start| Some(*start) > planned.first_seq).min();
        planned.last_seq = next.filter(|_| !planned.is_copy).map(|next| next - 1);
    }
    older
}
