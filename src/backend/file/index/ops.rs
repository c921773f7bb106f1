//! The operations of a frame with their places.

use super::location::{Location, ShortSize};
use crate::codec::frame::{self, Chunk, FRAME_HEADER_BYTES};
use crate::record::{Op, OpReader};

/// Goes through the chunks of a finished frame, one after the other.
#[derive(Debug)]
pub struct OpPlaces {
    segment: u32,
    offset: u64,
    /// Bytes around operations, which go with the first one that follows.
    around: usize,
}

impl OpPlaces {
    /// For a frame that stands at this offset of the segment.
    #[must_use]
    pub const fn new(segment: u32, offset: u64) -> Self {
        Self { segment, offset, around: FRAME_HEADER_BYTES }
    }

    /// Number of the segment.
    #[must_use]
    pub const fn segment(&self) -> u32 {
        self.segment
    }

    /// Visits the operations of the next chunk.
    #[inline(always)]
    pub fn visit<'a>(&mut self, chunk: Chunk<'a>, mut visit: impl FnMut(Op<'a>, Location)) {
        let mut ops = OpReader::new(chunk.body.ops);
        let mut at = ops.position();
        self.around += chunk.len - chunk.body.ops.len();
        while let Some(Ok(op)) = ops.next() {
            let size = (ops.position() - at + std::mem::take(&mut self.around)) as u64;
            let location = Location::new(
                self.segment,
                (self.offset + chunk.at as u64) as u32,
                chunk.len as u32,
                (chunk.body.ops_at + at) as u16,
                ShortSize::of(size),
            );
            at = ops.position();
            visit(op, location);
        }
    }
}

/// Visits the operations of a finished frame with their places.
pub fn for_each_op<'a>(
    chunks: impl Iterator<Item = Chunk<'a>>,
    segment: u32,
    offset: u64,
    mut visit: impl FnMut(Op<'a>, Location),
) {
    let mut places = OpPlaces::new(segment, offset);
    for chunk in chunks {
        places.visit(chunk, &mut visit);
    }
}

/// Whether the frame holds so many operations at most; counts no further than it has to.
pub(super) fn has_few_ops(bytes: &[u8], most: usize) -> bool {
    // An operation has three bytes at least, so most frames are known to be small without counting.
    bytes.len() <= FRAME_HEADER_BYTES + 3 * most
        || frame::chunks(bytes).flat_map(|chunk| OpReader::new(chunk.body.ops)).take(most + 1).count() <= most
}
