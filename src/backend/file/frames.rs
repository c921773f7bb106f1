//! Going along the frames of a segment.

use crate::codec::check::Salt;
use crate::codec::frame::{self, FrameHeader};
use crate::codec::segment::SEGMENT_HEADER_BYTES;

/// A whole, valid frame in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'b> {
    /// Offset in the segment.
    pub(super) at: usize,
    pub(super) header: FrameHeader,
    pub(super) bytes: &'b [u8],
}

/// The whole, valid frame at an offset.
pub(super) fn frame_at<'b>(bytes: &'b [u8], at: usize, salt: &Salt) -> Option<(FrameHeader, &'b [u8])> {
    let rest = bytes.get(at..)?;
    let header = FrameHeader::decode(rest, salt, at as u64)?;
    let frame = rest.get(..usize::try_from(header.frame_len()).ok()?)?;
    frame::verify(frame, &header, salt, at as u64).then_some((header, frame))
}

/// The frames of a segment up to where it ends. Where one is missing or changed, its offset is the last that there is.
pub(super) fn frames(bytes: &[u8], salt: Salt, end: u64) -> impl Iterator<Item = Result<Placed<'_>, usize>> {
    let mut next = Some(SEGMENT_HEADER_BYTES);
    std::iter::from_fn(move || {
        let at = next.take().filter(|at| (*at as u64) < end)?;
        let Some((header, frame)) = frame_at(bytes, at, &salt) else { return Some(Err(at)) };
        next = Some(at + frame.len());
        Some(Ok(Placed { at, header, bytes: frame }))
    })
}
