//! Checks that bind bytes to the place they were written to.
//!
//! A check is taken in two steps. The digest of the bytes is taken outside the append lock, before their place is known;
//! inside it, eight bytes are bound to the segment's salt and the offset. So bytes that are stale, embedded in a value,
//! copied or swapped never validate anywhere but where they belong.

use xxhash_rust::xxh3::xxh3_64;

/// Random bytes that make the checks of one segment its own.
pub type Salt = [u8; 16];

/// Digest of bytes, independent of their place.
#[must_use]
pub fn digest(bytes: &[u8]) -> u64 {
    xxh3_64(bytes)
}

/// The check of bytes with this digest at this offset of the segment with this salt.
#[must_use]
pub fn bind(digest: u64, salt: &Salt, offset: u64) -> u64 {
    let mut input = [0; 32];
    let (place, salted) = input.split_at_mut(16);
    let (first, second) = place.split_at_mut(8);
    first.copy_from_slice(&digest.to_le_bytes());
    second.copy_from_slice(&offset.to_le_bytes());
    salted.copy_from_slice(salt);
    xxh3_64(&input)
}
