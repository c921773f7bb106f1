//! Frames: one batch of one account each, in chunks that can be read and checked one by one.
//!
//! ```text
//! frame   header (32 bytes), chunks, zeros up to a multiple of 8
//! header  u32 payload length, u8 kind, 3 zeros, u64 sequence, u64 synced, u64 check of the 24 bytes before
//! chunk   u32 body length, 4 zeros, body, u64 check of all before
//! body    u8 length of the account's name, the name, operations
//! ```

use super::check::{Salt, bind, digest};
use super::{put, read_u32, read_u64};
use crate::record::{Op, OpReader};

/// Length of a frame header in bytes.
pub const FRAME_HEADER_BYTES: usize = 32;
/// A chunk takes no further operation once its body has this many bytes; a larger operation has a chunk of its own.
pub const CHUNK_TARGET_BYTES: usize = 16 << 10;
/// Bytes of a chunk around its body.
pub const CHUNK_OVERHEAD_BYTES: usize = 16;
const CHECKED_HEADER_BYTES: usize = FRAME_HEADER_BYTES - 8;
const CHUNK_PREFIX_BYTES: usize = 8;

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A batch.
    Batch,
    /// Says, with no batch at hand, up to where the log is on disk.
    Mark,
    /// The last frame of a log that was closed.
    End,
}

impl FrameKind {
    const fn code(self) -> u8 {
        match self {
            Self::Batch => 1,
            Self::Mark => 2,
            Self::End => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Batch),
            2 => Some(Self::Mark),
            3 => Some(Self::End),
            _ => None,
        }
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of all chunks.
    pub payload_len: u32,
    /// What the frame is for.
    pub kind: FrameKind,
    /// Position in commit order; grows by one from frame to frame.
    pub seq: u64,
    /// Sequence number up to which all was on disk when it was written.
    pub synced: u64,
}

impl FrameHeader {
    /// Bytes of the whole frame, padding included.
    #[must_use]
    pub const fn frame_len(&self) -> u64 {
        padded(FRAME_HEADER_BYTES as u64 + self.payload_len as u64)
    }

    /// Reads and checks a header at its place: `None` where there is none.
    #[must_use]
    pub fn decode(bytes: &[u8], salt: &Salt, offset: u64) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER_BYTES)?;
        let check = read_u64(header, CHECKED_HEADER_BYTES)?;
        if bind(digest(header.get(..CHECKED_HEADER_BYTES)?), salt, offset) != check {
            return None;
        }
        Some(Self {
            payload_len: read_u32(header, 0)?,
            kind: FrameKind::from_code(*header.get(4)?)?,
            seq: read_u64(header, 8)?,
            synced: read_u64(header, 16)?,
        })
    }
}

const fn padded(len: u64) -> u64 {
    len.next_multiple_of(8)
}

/// Appends an unfinished batch frame: everything but what depends on its place.
///
/// `ops` are operations that have passed [`crate::record::check_batch`]. Returns `false`, with `out` as it was, where they
/// are malformed all the same.
#[must_use]
pub fn encode_batch(out: &mut Vec<u8>, account: &str, ops: &[u8]) -> bool {
    let start = out.len();
    out.reserve(FRAME_HEADER_BYTES + ops.len() + ops.len() / 512 + account.len() + 64);
    begin(out, FrameKind::Batch);
    let mut reader = OpReader::new(ops);
    let (mut from, mut filled) = (0, 0);
    while let Some(op) = reader.next() {
        if op.is_err() {
            out.truncate(start);
            return false;
        }
        let to = reader.position();
        if to - from > CHUNK_TARGET_BYTES - 512 && filled > from {
            push_chunk(out, account, ops.get(from..filled).unwrap_or_default());
            from = filled;
        }
        filled = to;
    }
    push_chunk(out, account, ops.get(from..filled).unwrap_or_default());
    pad(out, start);
    true
}

/// Appends an unfinished frame without a payload.
pub fn encode_empty(out: &mut Vec<u8>, kind: FrameKind) {
    begin(out, kind);
}

fn begin(out: &mut Vec<u8>, kind: FrameKind) {
    out.extend_from_slice(&[0, 0, 0, 0, kind.code()]);
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES - 5]);
}

fn push_chunk(out: &mut Vec<u8>, account: &str, ops: &[u8]) {
    let start = out.len();
    let body_len = 1 + account.len() + ops.len();
    out.extend_from_slice(&(body_len as u32).to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(account.len() as u8);
    out.extend_from_slice(account.as_bytes());
    out.extend_from_slice(ops);
    // The digest stands where the check goes until the chunk's place is known.
    let digest = digest(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&digest.to_le_bytes());
}

fn pad(out: &mut Vec<u8>, start: usize) {
    let payload_len = out.len() - start - FRAME_HEADER_BYTES;
    put(out, start, &(payload_len as u32).to_le_bytes());
    let target = start + padded((out.len() - start) as u64) as usize;
    out.resize(target, 0);
}

/// Completes an unfinished frame for its place in the log.
pub fn finish(frame: &mut [u8], seq: u64, synced: u64, salt: &Salt, offset: u64) {
    let mut at = FRAME_HEADER_BYTES;
    let payload_end = FRAME_HEADER_BYTES + read_u32(frame, 0).unwrap_or(0) as usize;
    while at < payload_end {
        let Some(body_len) = read_u32(frame, at) else { break };
        let check_at = at + CHUNK_PREFIX_BYTES + body_len as usize;
        let Some(digest) = read_u64(frame, check_at) else { break };
        put(frame, check_at, &bind(digest, salt, offset + at as u64).to_le_bytes());
        at = check_at + 8;
    }
    put(frame, 8, &seq.to_le_bytes());
    put(frame, 16, &synced.to_le_bytes());
    let check = bind(digest(frame.get(..CHECKED_HEADER_BYTES).unwrap_or_default()), salt, offset);
    put(frame, CHECKED_HEADER_BYTES, &check.to_le_bytes());
}

/// Makes a finished frame unfinished again, so that it can be written to another place.
pub fn unfinish(frame: &mut [u8]) {
    let places: Vec<(usize, usize)> = chunks(frame).map(|chunk| (chunk.at, chunk.at + chunk.len - 8)).collect();
    for (at, check_at) in places {
        let digest = digest(frame.get(at..check_at).unwrap_or_default());
        put(frame, check_at, &digest.to_le_bytes());
    }
}

/// One chunk of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// Offset of the chunk from the start of the frame.
    pub at: usize,
    /// Bytes of the whole chunk.
    pub len: usize,
    /// Its account and operations.
    pub body: Body<'a>,
}

/// The body of a chunk.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// Account whose batch it is.
    pub account: &'a str,
    /// Packed operations.
    pub ops: &'a [u8],
    /// Offset of the operations from the start of the body.
    pub ops_at: usize,
}

impl<'a> Body<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let length = usize::from(*bytes.first()?);
        let account = std::str::from_utf8(bytes.get(1..1 + length)?).ok()?;
        Some(Self { account, ops: bytes.get(1 + length..)?, ops_at: 1 + length })
    }

    /// The operation that starts at an offset of the body.
    #[must_use]
    pub fn op_at(&self, at: usize) -> Option<Op<'a>> {
        OpReader::new(self.ops.get(at.checked_sub(self.ops_at)?..)?).next()?.ok()
    }
}

/// Checks the chunk at the start of `bytes` and gives its body and its length.
#[must_use]
pub fn read_chunk<'a>(bytes: &'a [u8], salt: &Salt, offset: u64) -> Option<(Body<'a>, usize)> {
    let body_len = read_u32(bytes, 0)? as usize;
    let check_at = CHUNK_PREFIX_BYTES.checked_add(body_len)?;
    let check = read_u64(bytes, check_at)?;
    if bind(digest(bytes.get(..check_at)?), salt, offset) != check {
        return None;
    }
    Some((Body::parse(bytes.get(CHUNK_PREFIX_BYTES..check_at)?)?, check_at + 8))
}

/// Whether the bytes look like the start of a chunk, which is quicker to tell than whether they are.
#[must_use]
pub fn plausible_chunk(bytes: &[u8]) -> bool {
    let has_zeros = bytes.get(4..CHUNK_PREFIX_BYTES) == Some(&[0; 4]);
    has_zeros && body_of_checked(bytes).is_some_and(|body| !OpReader::new(body.ops).any(|op| op.is_err()))
}

/// The body of a chunk that has been checked before.
#[must_use]
pub fn body_of_checked(chunk: &[u8]) -> Option<Body<'_>> {
    let body_len = read_u32(chunk, 0)? as usize;
    Body::parse(chunk.get(CHUNK_PREFIX_BYTES..CHUNK_PREFIX_BYTES.checked_add(body_len)?)?)
}

/// The chunks of a finished frame that this process has just written or has checked before.
pub fn chunks(frame: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    let payload_end = FRAME_HEADER_BYTES + read_u32(frame, 0).unwrap_or(0) as usize;
    let mut at = FRAME_HEADER_BYTES;
    std::iter::from_fn(move || {
        if at >= payload_end {
            return None;
        }
        let body_len = read_u32(frame, at)? as usize;
        let from = at + CHUNK_PREFIX_BYTES;
        let body = Body::parse(frame.get(from..from + body_len)?)?;
        let chunk = Chunk { at, len: body_len + CHUNK_OVERHEAD_BYTES, body };
        at += chunk.len;
        Some(chunk)
    })
}

/// Checks a whole frame whose header has been decoded: every chunk, every operation, and the padding.
#[must_use]
pub fn verify(frame: &[u8], header: &FrameHeader, salt: &Salt, offset: u64) -> bool {
    let payload_end = FRAME_HEADER_BYTES + header.payload_len as usize;
    let Some(payload) = frame.get(..payload_end) else { return false };
    let Some(padding) = frame.get(payload_end..header.frame_len() as usize) else { return false };
    let mut at = FRAME_HEADER_BYTES;
    let mut account = None;
    while at < payload_end {
        let Some((body, len)) = payload.get(at..).and_then(|rest| read_chunk(rest, salt, offset + at as u64)) else {
            return false;
        };
        if *account.get_or_insert(body.account) != body.account || OpReader::new(body.ops).any(|op| op.is_err()) {
            return false;
        }
        at += len;
    }
    (header.kind == FrameKind::Batch) == account.is_some() && padding.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    const SALT: Salt = [7; 16];

    fn frame_of(ops: &[Op<'_>], offset: u64) -> Vec<u8> {
        let mut packed = Vec::new();
        ops.iter().for_each(|op| op.pack(&mut packed));
        let mut frame = Vec::new();
        assert!(encode_batch(&mut frame, "default", &packed));
        finish(&mut frame, 5, 3, &SALT, offset);
        frame
    }

    fn is_valid(frame: &[u8], salt: &Salt, offset: u64) -> bool {
        FrameHeader::decode(frame, salt, offset).is_some_and(|header| verify(frame, &header, salt, offset))
    }

    #[test]
    fn frame_reads_back() {
        let frame = frame_of(&[Op::Put { key: b"\x02a", value: b"one" }, Op::Delete { key: b"\x02b" }], 4096);
        let header = FrameHeader::decode(&frame, &SALT, 4096).unwrap();
        assert_eq!((header.seq, header.synced, header.kind), (5, 3, FrameKind::Batch));
        assert_eq!(header.frame_len(), frame.len() as u64);
        assert!(verify(&frame, &header, &SALT, 4096));
        let chunk = chunks(&frame).next().unwrap();
        assert_eq!(chunk.body.account, "default");
        let first = chunk.body.op_at(chunk.body.ops_at).unwrap();
        assert_eq!(first, Op::Put { key: b"\x02a", value: b"one" });
    }

    #[test]
    fn a_frame_is_valid_only_in_its_place() {
        let frame = frame_of(&[Op::Put { key: b"\x02a", value: b"one" }], 4096);
        assert!(is_valid(&frame, &SALT, 4096));
        assert!(!is_valid(&frame, &SALT, 4104));
        assert!(!is_valid(&frame, &[8; 16], 4096));
    }

    #[test]
    fn every_flipped_byte_and_truncation_of_a_frame_is_noticed() {
        let frame = frame_of(&[Op::Put { key: b"\x02abc", value: &[9; 100] }, Op::Clear], 256);
        assert!(is_valid(&frame, &SALT, 256));
        for at in 0..frame.len() {
            let mut flipped = frame.clone();
            flipped[at] ^= 0x40;
            assert!(!is_valid(&flipped, &SALT, 256), "byte {at}");
            assert!(!is_valid(&frame[..at], &SALT, 256), "length {at}");
        }
    }

    #[test]
    fn a_large_batch_is_split_into_chunks_and_a_large_value_has_its_own() {
        let small = vec![1; 1000];
        let large = vec![2; 100_000];
        let mut ops: Vec<Op<'_>> = (0..40).map(|_| Op::Put { key: b"\x02small", value: &small }).collect();
        ops.insert(20, Op::Put { key: b"\x02large", value: &large });
        let frame = frame_of(&ops, 0);
        assert!(is_valid(&frame, &SALT, 0));
        let mut read = Vec::new();
        for chunk in chunks(&frame) {
            let inside: Vec<_> = OpReader::new(chunk.body.ops).map(Result::unwrap).collect();
            assert!(chunk.len <= CHUNK_TARGET_BYTES || inside.len() == 1, "{} bytes, {} ops", chunk.len, inside.len());
            read.extend(inside);
        }
        assert_eq!(read, ops);
    }

    #[test]
    fn marks_and_ends_have_no_payload() {
        for kind in [FrameKind::Mark, FrameKind::End] {
            let mut frame = Vec::new();
            encode_empty(&mut frame, kind);
            finish(&mut frame, 9, 8, &SALT, 512);
            let header = FrameHeader::decode(&frame, &SALT, 512).unwrap();
            assert_eq!((header.kind, header.seq, header.frame_len()), (kind, 9, 32));
            assert!(verify(&frame, &header, &SALT, 512));
        }
    }
}
