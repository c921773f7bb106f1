//! What of a segment's bytes is whole. Pure functions over slices.

use crate::codec::check::Salt;
use crate::codec::cipher::Cipher;
use crate::codec::frame::{self, Body, FRAME_HEADER_BYTES, FrameHeader, body_of_checked, is_chunk};
use crate::record::{Op, OpReader};

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

/// Visits all parts of the frames of a segment, in order, with the offset of each. Decrypts what is intact and sealed where it lies.
pub(super) fn stretches(bytes: &mut [u8], from: usize, salt: &Salt, cipher: &Cipher, mut visit: impl FnMut(usize, Stretch)) {
    let mut at = from;
    let mut opened = Vec::new();
    while at < bytes.len() {
        let header = header_at(bytes, at, salt, cipher);
        if let Some(header) = header
            && let Some(len) = open_frame(bytes, at, &header, salt, cipher, &mut opened)
        {
            visit(at, Stretch::Frame(header));
            at += len;
            continue;
        }
        let hole = match header {
            Some(header) => known_hole(bytes, at, header, salt, cipher),
            None => unknown_hole(bytes, at, salt, cipher),
        };
        let to = hole.to;
        visit(at, Stretch::Hole(hole));
        at = to;
    }
}

fn header_at(bytes: &[u8], at: usize, salt: &Salt, cipher: &Cipher) -> Option<FrameHeader> {
    FrameHeader::decode(bytes.get(at..)?, salt, at as u64, cipher)
}

/// Length of the whole, valid frame with this header.
fn open_frame(
    bytes: &mut [u8],
    at: usize,
    header: &FrameHeader,
    salt: &Salt,
    cipher: &Cipher,
    opened: &mut Vec<u8>,
) -> Option<usize> {
    let frame = bytes.get_mut(at..)?.get_mut(..usize::try_from(header.frame_len()).ok()?)?;
    let len = frame::open(frame, header, salt, at as u64, cipher, opened)?.len();
    if cipher.is_sealed() {
        frame.copy_from_slice(opened);
    }
    Some(len)
}

/// Length of the intact chunk at an offset.
fn open_chunk(bytes: &mut [u8], at: usize, salt: &Salt, cipher: &Cipher) -> Option<usize> {
    let rest = bytes.get_mut(at..)?;
    if is_chunk(rest, salt, at as u64, cipher) { frame::open_chunk(rest, salt, at as u64, cipher) } else { None }
}

/// A frame whose header is intact, and whose payload is not.
fn known_hole(bytes: &mut [u8], at: usize, header: FrameHeader, salt: &Salt, cipher: &Cipher) -> Hole {
    let end_of = |len: u64| at.saturating_add(usize::try_from(len).unwrap_or(usize::MAX));
    let to = end_of(header.frame_len()).min(bytes.len());
    let payload_end = end_of(EMPTY_FRAME_BYTES + u64::from(header.payload_len));
    let mut hole = Hole { from: at, to, header: Some(header), ..Hole::default() };
    let present = bytes.get_mut(..payload_end.min(to)).unwrap_or_default();
    let mut next = at + FRAME_HEADER_BYTES;
    while next < payload_end {
        if let Some(len) = open_chunk(present, next, salt, cipher) {
            hole.chunks.push((next, len));
            next += len;
            continue;
        }
        // Chunks follow each other without a gap, so a damaged one ends where an intact one begins.
        let begins = |place: &usize| present.get(*place..).is_some_and(|rest| is_chunk(rest, salt, *place as u64, cipher));
        let resumed = (next + 1..present.len()).find(begins);
        let end = resumed.unwrap_or(payload_end);
        hole.likely.extend(likely_keys(present.get(next..end.min(present.len())).unwrap_or_default(), cipher));
        hole.lost_until = Some(end);
        next = end;
    }
    hole
}

/// Bytes of which not even a header is left, up to the next header that is.
fn unknown_hole(bytes: &mut [u8], at: usize, salt: &Salt, cipher: &Cipher) -> Hole {
    let mut hole = Hole { from: at, ..Hole::default() };
    let mut next = at;
    // Frames begin at multiples of eight, and so do their first chunks.
    while next < bytes.len() && (next == at || header_at(bytes, next, salt, cipher).is_none()) {
        let mut end = next;
        while let Some(len) = open_chunk(bytes, end, salt, cipher) {
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
        hole.likely = likely_keys(bytes.get(at + FRAME_HEADER_BYTES..hole.to).unwrap_or_default(), cipher);
    }
    hole
}

/// Keys in a chunk whose check fails, read as if it did not. They are told to people and trusted by nobody. Nothing of a sealed one
/// can be read.
fn likely_keys(chunk: &[u8], cipher: &Cipher) -> Vec<(String, Vec<u8>)> {
    if cipher.is_sealed() {
        return Vec::new();
    }
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
