//! What of a segment's bytes is whole. Pure functions over slices.

use crate::codec::check::Salt;
use crate::codec::frame::{Body, FRAME_HEADER_BYTES, FrameHeader, body_of_checked, plausible_chunk, read_chunk};
use crate::record::{Op, OpReader};

use super::super::frames::frame_at;

/// Bytes of a frame without a payload: a mark or an end.
pub(super) const EMPTY_FRAME_BYTES: u64 = FRAME_HEADER_BYTES as u64;

/// A part of a segment.
#[derive(Debug)]
pub(super) enum Stretch {
    /// A whole, valid frame.
    Frame(FrameHeader),
    /// Bytes at which no whole frame begins.
    Hole(Hole),
}

/// Bytes at which no whole frame begins, up to the next one that is whole or whose header is.
#[derive(Debug, Default)]
pub(super) struct Hole {
    /// Offset of its first byte.
    pub(super) from: usize,
    /// Offset after its last byte.
    pub(super) to: usize,
    /// The header of the one frame that it is, where that is intact.
    pub(super) header: Option<FrameHeader>,
    /// Intact chunks in it: offset and length.
    pub(super) chunks: Vec<(usize, usize)>,
    /// Offset after the last byte that may belong to a record and is not intact; `None` where the chunks are all there was.
    pub(super) lost_until: Option<usize>,
    /// Keys that damaged chunks seem to hold, with their accounts. They may be damaged themselves.
    pub(super) likely: Vec<(String, Vec<u8>)>,
}

/// Visits all parts of the frames of a segment, in order, with the offset of each.
pub(super) fn stretches(bytes: &[u8], from: usize, salt: &Salt, mut visit: impl FnMut(usize, Stretch)) {
    let mut at = from;
    while at < bytes.len() {
        if let Some(placed) = frame_at(bytes, at, salt) {
            visit(at, Stretch::Frame(placed.header));
            at += placed.bytes.len();
            continue;
        }
        let hole = match header_at(bytes, at, salt) {
            Some(header) => known_hole(bytes, at, header, salt),
            None => unknown_hole(bytes, at, salt),
        };
        let to = hole.to;
        visit(at, Stretch::Hole(hole));
        at = to;
    }
}

fn header_at(bytes: &[u8], at: usize, salt: &Salt) -> Option<FrameHeader> {
    FrameHeader::decode(bytes.get(at..)?, salt, at as u64)
}

/// The intact chunk at an offset.
fn chunk_at(bytes: &[u8], at: usize, salt: &Salt) -> Option<usize> {
    let rest = bytes.get(at..)?;
    // Most places can be told to hold none without digesting them.
    if !plausible_chunk(rest) {
        return None;
    }
    read_chunk(rest, salt, at as u64).map(|(_, len)| len)
}

/// A frame whose header is intact, and whose payload is not.
fn known_hole(bytes: &[u8], at: usize, header: FrameHeader, salt: &Salt) -> Hole {
    let end_of = |len: u64| at.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
    let to = end_of(header.frame_len()).min(bytes.len());
    let payload_end = end_of(EMPTY_FRAME_BYTES + u64::from(header.payload_len));
    let mut hole = Hole { from: at, to, header: Some(header), ..Hole::default() };
    let present = bytes.get(..payload_end.min(to)).unwrap_or_default();
    let mut next = at + FRAME_HEADER_BYTES;
    while next < payload_end {
        if let Some(len) = chunk_at(present, next, salt) {
            hole.chunks.push((next, len));
            next += len;
            continue;
        }
        // Chunks follow each other without a gap, so a damaged one ends where an intact one begins.
        let resumed = (next + 1..present.len()).find(|place| chunk_at(present, *place, salt).is_some());
        let end = resumed.unwrap_or(payload_end);
        hole.likely.extend(likely_keys(present.get(next..end.min(present.len())).unwrap_or_default()));
        hole.lost_until = Some(end);
        next = end;
    }
    hole
}

/// Bytes of which not even a header is left, up to the next header that is.
fn unknown_hole(bytes: &[u8], at: usize, salt: &Salt) -> Hole {
    let mut hole = Hole { from: at, ..Hole::default() };
    let mut next = at;
    // Frames begin at multiples of eight, and so do their first chunks.
    while next < bytes.len() && (next == at || header_at(bytes, next, salt).is_none()) {
        let mut end = next;
        while let Some(len) = chunk_at(bytes, end, salt) {
            hole.chunks.push((end, len));
            end += len;
        }
        next = if end > next { end.next_multiple_of(8) } else { next + 8 };
    }
    hole.to = next.min(bytes.len());
    // The chunks of one frame whose header alone is gone lie one behind the other.
    let mut reached = at + FRAME_HEADER_BYTES;
    for (from, len) in &hole.chunks {
        if *from == reached {
            reached += len;
        }
    }
    if reached.next_multiple_of(8) != hole.to {
        hole.lost_until = Some(hole.to);
        hole.likely = likely_keys(bytes.get(at + FRAME_HEADER_BYTES..hole.to).unwrap_or_default());
    }
    hole
}

/// Keys in a chunk whose check fails, read as if it did not. They are told to people and trusted by nobody.
fn likely_keys(chunk: &[u8]) -> Vec<(String, Vec<u8>)> {
    let Some(Body { account, ops, .. }) = body_of_checked(chunk) else { return Vec::new() };
    OpReader::new(ops)
        .map_while(Result::ok)
        .filter_map(|op| match op {
            Op::Put { key, .. } | Op::Delete { key } if crate::record::check_key(key).is_ok() => {
                Some((account.to_string(), key.to_vec()))
            }
            _ => None,
        })
        .collect()
}
