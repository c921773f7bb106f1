//! Bytes on disk: checks, ciphers, frames, segment headers, the manifest, the key slot. Pure functions over slices; no I/O.
//!
//! `docs/format.md` draws every byte.

pub mod aead;
pub mod check;
pub mod cipher;
pub mod envelope;
pub mod frame;
pub mod hint;
pub mod key_slot;
pub mod manifest;
pub mod nonce;
pub mod preamble;
pub mod segment;

/// Highest sequence number, epoch and generation. No cask gets there, so what claims a higher one is refused, and one more than any is
/// a number.
pub const LAST_COUNT: u64 = u64::MAX >> 1;
/// Highest sequence number of a frame in a log that can be opened: the header of a segment behind it names the next one.
pub const LAST_SEQ: u64 = LAST_COUNT - 1;
/// Highest number of a segment, for the same reason: at 16 MiB each, they end at 32 PiB.
pub const LAST_SEGMENT: u64 = (u32::MAX >> 1) as u64;

/// The epoch or generation after this one. The last one stays, so that what was read is never followed by what no reader takes.
#[must_use]
pub const fn next_count(count: u64) -> u64 {
    if count < LAST_COUNT { count + 1 } else { LAST_COUNT }
}

/// Reads a little-endian `u16`.
#[must_use]
pub fn read_u16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Reads a little-endian `u32`.
#[must_use]
pub fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Reads a little-endian `u64`.
#[must_use]
pub fn read_u64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Reads sixteen bytes.
#[must_use]
pub fn read_id(bytes: &[u8], at: usize) -> Option<[u8; 16]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// Overwrites the bytes at an offset; does nothing where they do not fit.
pub fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    if let Some(slot) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..value.len())) {
        slot.copy_from_slice(value);
    }
}
