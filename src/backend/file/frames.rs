//! Going along the frames of a segment.

use std::path::Path;

use super::fs::FsFile;
use super::pieces::Pieces;
use crate::codec::check::Salt;
use crate::codec::cipher::Cipher;
use crate::codec::frame::{self, FRAME_HEADER_BYTES, FrameHeader};
use crate::codec::segment::SEGMENT_HEADER_BYTES;
use crate::error::{Error, Result};

/// What is said of a segment that does not reach as far as it did.
pub(super) const MISSING_FRAME: &str = "a frame that was written here is missing or changed";

/// A whole, valid frame in its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'b> {
    /// Offset in the segment.
    pub(super) at: u64,
    pub(super) header: FrameHeader,
    /// All of it, checked and in the clear.
    pub(super) bytes: &'b [u8],
}

impl<'b> Placed<'b> {
    /// The frame that has this header: this is where bytes of a segment come to be trusted. `opened` takes those of a sealed one.
    fn read(
        pieces: &'b mut Pieces<'_>,
        path: &Path,
        salt: &Salt,
        at: u64,
        header: FrameHeader,
        cipher: &Cipher,
        opened: &'b mut Vec<u8>,
    ) -> Result<Option<Self>> {
        let Ok(len) = usize::try_from(header.frame_len()) else { return Ok(None) };
        let bytes = pieces.get(at, len).map_err(|cause| Error::io("read", path, &cause))?;
        let bytes = bytes.and_then(|bytes| frame::open(bytes, &header, salt, at, cipher, opened));
        Ok(bytes.map(|bytes| Self { at, header, bytes }))
    }

    /// Offset after it.
    pub(super) const fn end(&self) -> u64 {
        self.at + self.header.frame_len()
    }
}

/// The frames of a segment, of which no more is in memory than a piece, or one frame where that is longer.
#[derive(Debug)]
pub(super) struct Frames<'f> {
    pieces: Pieces<'f>,
    path: &'f Path,
    salt: Salt,
    cipher: &'f Cipher,
    /// The last frame in the clear, where it is sealed.
    opened: Vec<u8>,
    reached: u64,
}

impl<'f> Frames<'f> {
    /// Those of a file that begin and end before an offset.
    pub(super) const fn new(file: &'f dyn FsFile, path: &'f Path, salt: Salt, end: u64, cipher: &'f Cipher) -> Self {
        let reached = SEGMENT_HEADER_BYTES as u64;
        Self { pieces: Pieces::new(file, end), path, salt, cipher, opened: Vec::new(), reached }
    }

    /// The next frame; `None` where no whole, valid one follows, or none that fits.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn next_frame(&mut self, fits: impl FnOnce(&FrameHeader) -> bool) -> Result<Option<Placed<'_>>> {
        let at = self.reached;
        let Some(header) = self.header_at(at)?.filter(fits) else { return Ok(None) };
        let Self { pieces, path, salt, cipher, opened, reached } = self;
        let placed = Placed::read(pieces, path, salt, at, header, cipher, opened)?;
        if let Some(placed) = &placed {
            *reached = placed.end();
        }
        Ok(placed)
    }

    /// Visits all frames, which have to reach up to the end.
    ///
    /// # Errors
    /// `Corrupt` with `what` where they do not, `Io`, and what a visit gives.
    pub(super) fn visit_all(mut self, what: &str, mut visit: impl FnMut(&Placed<'_>) -> Result<()>) -> Result<()> {
        while let Some(placed) = self.next_frame(|_| true)? {
            visit(&placed)?;
        }
        if self.reached < self.pieces.len() { Err(Error::corrupt(self.path, self.reached, what)) } else { Ok(()) }
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
        Ok(bytes.and_then(|bytes| FrameHeader::decode(bytes, &self.salt, at, self.cipher)))
    }

    /// The whole, valid frame that has this header.
    ///
    /// # Errors
    /// `Io`.
    pub(super) fn frame_at(&mut self, at: u64, header: FrameHeader) -> Result<Option<Placed<'_>>> {
        let Self { pieces, path, salt, cipher, opened, .. } = self;
        Placed::read(pieces, path, salt, at, header, cipher, opened)
    }
}
