//! Going along the frames of a segment.

use std::path::Path;

use super::fs::FsFile;
use super::pieces::Pieces;
use crate::codec::check::Salt;
use crate::codec::frame::{self, FRAME_HEADER_BYTES, FrameHeader};
use crate::codec::segment::SEGMENT_HEADER_BYTES;
use crate::error::{Error, Result};

/// A whole, valid frame in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'b> {
    /// Offset in the segment.
    pub(super) at: u64,
    pub(super) header: FrameHeader,
    /// All of it, checked.
    pub(super) bytes: &'b [u8],
}

impl Placed<'_> {
    /// Offset after it.
    pub(super) const fn end(&self) -> u64 {
        self.at + self.header.frame_len()
    }
}

/// A frame that its header tells of, from the bytes that stand in its place: this is where bytes of a segment come to be trusted.
fn checked<'b>(bytes: &'b [u8], header: FrameHeader, salt: &Salt, at: u64) -> Option<Placed<'b>> {
    frame::verify(bytes, &header, salt, at).then_some(Placed { at, header, bytes })
}

/// The whole, valid frame at an offset of a segment that is in memory.
pub(super) fn frame_at<'b>(bytes: &'b [u8], at: usize, salt: &Salt) -> Option<Placed<'b>> {
    let rest = bytes.get(at..)?;
    let header = FrameHeader::decode(rest, salt, at as u64)?;
    checked(rest.get(..usize::try_from(header.frame_len()).ok()?)?, header, salt, at as u64)
}

/// The frames of a segment, of which no more is in memory than a piece, or one frame where that is longer.
#[derive(Debug)]
pub(super) struct Frames<'f> {
    pieces: Pieces<'f>,
    path: &'f Path,
    salt: Salt,
    reached: u64,
}

impl<'f> Frames<'f> {
    /// Those of a file that begin and end before an offset.
    pub(super) const fn new(file: &'f dyn FsFile, path: &'f Path, salt: Salt, end: u64) -> Self {
        Self { pieces: Pieces::new(file, end), path, salt, reached: SEGMENT_HEADER_BYTES as u64 }
    }

    /// The next frame; `None` where no whole, valid one follows, or none that fits.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn next_frame(&mut self, fits: impl FnOnce(&FrameHeader) -> bool) -> Result<Option<Placed<'_>>> {
        let at = self.reached;
        let Some(header) = self.header_at(at)?.filter(fits) else { return Ok(None) };
        let Self { pieces, path, salt, reached } = self;
        let placed = read_checked(pieces, path, salt, at, header)?;
        if let Some(placed) = &placed {
            *reached = placed.end();
        }
        Ok(placed)
    }

    /// Offset after the last frame that [`Self::next_frame`] has given.
    pub(super) const fn reached(&self) -> u64 {
        self.reached
    }

    /// The intact header at an offset.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn header_at(&mut self, at: u64) -> Result<Option<FrameHeader>> {
        let bytes = self.pieces.get(at, FRAME_HEADER_BYTES).map_err(|cause| Error::io("read", self.path, &cause))?;
        Ok(bytes.and_then(|bytes| FrameHeader::decode(bytes, &self.salt, at)))
    }

    /// The whole, valid frame that has this header.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn frame_at(&mut self, at: u64, header: FrameHeader) -> Result<Option<Placed<'_>>> {
        read_checked(&mut self.pieces, self.path, &self.salt, at, header)
    }
}

fn read_checked<'p>(
    pieces: &'p mut Pieces<'_>,
    path: &Path,
    salt: &Salt,
    at: u64,
    header: FrameHeader,
) -> Result<Option<Placed<'p>>> {
    let Ok(len) = usize::try_from(header.frame_len()) else { return Ok(None) };
    let bytes = pieces.get(at, len).map_err(|cause| Error::io("read", path, &cause))?;
    Ok(bytes.and_then(|bytes| checked(bytes, header, salt, at)))
}
