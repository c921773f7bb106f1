//! Where an operation stands in the log.

/// Bytes of a location in its fixed form.
pub(super) const LOCATION_BYTES: usize = 16;

/// Place of an operation in the log. No two operations ever have the same.
///
/// It is kept as it lies in an arena, little-endian, so that it is copied and compared as one piece: segment, offset and length of the
/// chunk (4 bytes each), offset in the chunk's body, size (2 each).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location([u8; LOCATION_BYTES]);

impl Location {
    /// An operation at `op` in the body of the chunk at `chunk`, that has `chunk_len` bytes, of a segment.
    #[must_use]
    pub const fn new(segment: u32, chunk: u32, chunk_len: u32, op: u16, size: ShortSize) -> Self {
        let low = segment as u64 | (chunk as u64) << 32;
        let high = chunk_len as u64 | (op as u64) << 32 | (size.0 as u64) << 48;
        Self((low as u128 | (high as u128) << 64).to_le_bytes())
    }

    const fn low(self) -> u64 {
        u128::from_le_bytes(self.0) as u64
    }

    const fn high(self) -> u64 {
        (u128::from_le_bytes(self.0) >> 64) as u64
    }

    /// Number of the segment.
    #[must_use]
    pub const fn segment(self) -> u32 {
        self.low() as u32
    }

    /// Offset of the chunk in the segment.
    #[must_use]
    pub const fn chunk(self) -> u32 {
        (self.low() >> 32) as u32
    }

    /// Length of the chunk.
    #[must_use]
    pub const fn chunk_len(self) -> u32 {
        self.high() as u32
    }

    /// Offset of the operation in the chunk's body.
    #[must_use]
    pub const fn op(self) -> u16 {
        (self.high() >> 32) as u16
    }

    /// Bytes of the log that the operation takes.
    #[must_use]
    pub const fn size(self) -> u64 {
        ShortSize((self.high() >> 48) as u16).bytes()
    }

    /// Its bytes.
    pub(super) const fn to_bytes(self) -> [u8; LOCATION_BYTES] {
        self.0
    }

    /// What [`Self::to_bytes`] has given.
    pub(super) const fn from_bytes(bytes: [u8; LOCATION_BYTES]) -> Self {
        Self(bytes)
    }
}

/// A count of bytes in two bytes: exact up to 4 KiB, above that rounded down by less than one in two thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ShortSize(u16);

const MANTISSA_BITS: u32 = 11;

impl ShortSize {
    /// The short form of a count of bytes, which has 42 bits at most.
    #[must_use]
    pub const fn of(bytes: u64) -> Self {
        let bits = u64::BITS - bytes.leading_zeros();
        if bits <= MANTISSA_BITS {
            return Self(bytes as u16);
        }
        // The highest bit is known to be set, so it is not kept: exponent 1 and up.
        let shift = bits - 1 - MANTISSA_BITS;
        Self(((shift + 1) << MANTISSA_BITS) as u16 | ((bytes >> shift) as u16 & ((1 << MANTISSA_BITS) - 1)))
    }

    /// The count of bytes.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        let exponent = (self.0 >> MANTISSA_BITS) as u32;
        let mantissa = (self.0 & ((1 << MANTISSA_BITS) - 1)) as u64;
        if exponent == 0 { mantissa } else { (mantissa | 1 << MANTISSA_BITS) << (exponent - 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_sizes_are_exact_where_they_are_small_and_close_where_they_are_large() {
        for bytes in (0..5000).chain([1 << 20, (1 << 30) - 1, (1 << 32) + 12_345]) {
            let short = ShortSize::of(bytes).bytes();
            assert!(short <= bytes && bytes - short <= bytes >> MANTISSA_BITS, "{bytes} became {short}");
            assert_eq!(ShortSize::of(short).bytes(), short);
            assert!(bytes > 4096 || short == bytes, "{bytes} became {short}");
        }
    }

    #[test]
    fn a_location_says_what_it_was_made_of() {
        let at = Location::new(0x0123_4567, 0x89ab_cdef, 0x1032_5476, 0x98ba, ShortSize::of(0x0bcd));
        assert_eq!((at.segment(), at.chunk(), at.chunk_len()), (0x0123_4567, 0x89ab_cdef, 0x1032_5476));
        assert_eq!((at.op(), at.size()), (0x98ba, 0x0bcd));
    }
}
