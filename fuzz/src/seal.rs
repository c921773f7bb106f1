//! Makes the checks of bytes right, so that what is behind them is reached: whoever can write to a folder can do the same.

use baileys_cask::codec::check::{Salt, bind, digest};
use baileys_cask::codec::frame::FRAME_HEADER_BYTES;
use baileys_cask::codec::segment::SEGMENT_HEADER_BYTES;
use baileys_cask::codec::{preamble, put, read_id, read_u32};

const CHUNK_PREFIX_BYTES: usize = 8;

/// Makes a preamble, and the digest at the end of the file, right.
fn seal_whole(bytes: &mut Vec<u8>, magic: &[u8; 8], header_len: usize) {
    if bytes.len() < header_len + 8 {
        bytes.resize(header_len + 8, 0);
    }
    preamble::write(bytes, magic, header_len as u32);
    let end = bytes.len() - 8;
    let check = digest(&bytes[..end]);
    put(bytes, end, &check.to_le_bytes());
}

/// Makes a manifest of what may be one, with as many segments as it has room for; of the old layout where it says so.
pub fn manifest(bytes: &mut Vec<u8>) {
    let is_old = read_u32(bytes, 12) == Some(64);
    let (fixed, entry) = if is_old { (64, 40) } else { (120, 64) };
    bytes.resize(bytes.len().max(fixed + 8), 0);
    let count = (bytes.len() - fixed - 8) / entry;
    bytes.truncate(fixed + count * entry + 8);
    put(bytes, 56, &(count as u32).to_le_bytes());
    seal_whole(bytes, b"BCASKMAN", fixed);
}

/// Makes the checks of a hint right.
pub fn hint(bytes: &mut Vec<u8>) {
    seal_whole(bytes, b"BCASKHNT", 88);
}

/// Makes the checks of a key slot right.
pub fn key_slot(bytes: &mut [u8]) {
    let len = bytes.len();
    // The preamble states the length of the whole slot.
    preamble::write(bytes, b"BCASKKEY", len as u32);
    let check = digest(&bytes[..len - 8]);
    put(bytes, len - 8, &check.to_le_bytes());
}

/// Makes the check of a segment's header right.
pub fn segment_header(bytes: &mut Vec<u8>) {
    bytes.resize(bytes.len().max(SEGMENT_HEADER_BYTES), 0);
    preamble::write(bytes, b"BCASKSEG", SEGMENT_HEADER_BYTES as u32);
    let check = digest(&bytes[..SEGMENT_HEADER_BYTES - 8]);
    put(bytes, SEGMENT_HEADER_BYTES - 8, &check.to_le_bytes());
}

/// Makes the checks of a segment right: of its header, and of whatever stands where frames do. With a sequence number, frames are numbered
/// from there on.
pub fn segment(bytes: &mut Vec<u8>, first_seq: Option<u64>) {
    segment_header(bytes);
    let salt = read_id(bytes, 48).unwrap_or_default();
    frames(bytes, SEGMENT_HEADER_BYTES, &salt, 0, first_seq);
}

/// Makes the checks of frames right that stand one behind the other from an offset on, in bytes that lie at `base` in their segment.
pub fn frames(bytes: &mut [u8], from: usize, salt: &Salt, base: u64, first_seq: Option<u64>) {
    let mut at = from;
    let mut seq = first_seq;
    while let Some(payload_len) = read_u32(bytes, at).filter(|_| at + FRAME_HEADER_BYTES <= bytes.len()) {
        let payload_end = (at + FRAME_HEADER_BYTES).saturating_add(payload_len as usize);
        chunks(bytes, at + FRAME_HEADER_BYTES, payload_end.min(bytes.len()), salt, base);
        if let Some(number) = seq {
            put(bytes, at + 8, &number.to_le_bytes());
            seq = Some(number.wrapping_add(1));
        }
        let check = bind(digest(&bytes[at..at + 24]), salt, base + at as u64);
        put(bytes, at + 24, &check.to_le_bytes());
        at = payload_end.next_multiple_of(8);
        // A frame of zeros would be followed by one of zeros.
        if payload_len == 0 && bytes.get(at..).is_none_or(|rest| rest.iter().all(|byte| *byte == 0)) {
            break;
        }
    }
}

/// The last chunk ends where its frame does.
fn chunks(bytes: &mut [u8], from: usize, end: usize, salt: &Salt, base: u64) {
    let mut at = from;
    while at + CHUNK_PREFIX_BYTES + 8 <= end {
        let most = end - at - CHUNK_PREFIX_BYTES - 8;
        let body_len = (read_u32(bytes, at).unwrap_or(0) as usize).min(most);
        put(bytes, at, &(body_len as u64).to_le_bytes());
        let check_at = at + CHUNK_PREFIX_BYTES + body_len;
        let check = bind(digest(&bytes[at..check_at]), salt, base + at as u64);
        put(bytes, check_at, &check.to_le_bytes());
        at = check_at + 8;
    }
}
