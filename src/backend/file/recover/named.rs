//! Segments that the manifest names: all of each was on disk, so all of it has to be there.

use std::path::Path;

use super::super::frames::{Frames, MISSING_FRAME, Placed};
use crate::codec::manifest::ManifestEntry;
use crate::codec::segment::SegmentHeader;
use crate::error::{Error, Result};

/// Whether a segment is the one that the manifest names.
pub(in super::super) fn is_as_named(header: &SegmentHeader, entry: &ManifestEntry) -> bool {
    header.salt == entry.salt && header.is_copy == entry.is_copy
}

/// Visits the frames of a segment that the manifest names. They have to be those up to the length that it says: bytes past that are
/// leftovers of a cut.
///
/// # Errors
/// `Corrupt` where it is not what was written, told of the file at `path`; `Io`.
pub(in super::super) fn walk_named(
    mut frames: Frames<'_>,
    header: &SegmentHeader,
    entry: &ManifestEntry,
    path: &Path,
    mut visit: impl FnMut(&Placed<'_>),
) -> Result<()> {
    let mut next_seq = header.first_seq;
    while let Some(placed) =
        frames.next_frame(
            |found| {
                if entry.is_copy { (next_seq..=entry.last_seq).contains(&found.seq) } else { found.seq == next_seq }
            },
        )?
    {
        visit(&placed);
        next_seq = placed.header.seq + 1;
    }
    let reached = frames.reached();
    if reached < entry.length {
        return Err(Error::corrupt(path, reached, MISSING_FRAME));
    }
    if reached != entry.length || (!entry.is_copy && next_seq != entry.last_seq + 1) {
        return Err(Error::corrupt(path, reached, "the segment does not end where it did"));
    }
    Ok(())
}
