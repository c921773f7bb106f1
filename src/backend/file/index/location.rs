//! Where an operation stands in the log.

/// Bytes of a location in its fixed form.
pub(super) const LOCATION_BYTES: usize = 16;

/// Place of an operation in the log. No two operations ever have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Location {
    /// Number of the segment.
    pub segment: u32,
    /// Offset of the chunk in the segment.
    pub chunk: u32,
    /// Length of the chunk.
    pub chunk_len: u32,
    /// Offset of the operation in the chunk's body.
    pub op: u16,
    /// Bytes of the log that the operation takes, in short.
    pub size: ShortSize,
}

impl Location {
    /// Bytes of the log that the operation takes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size.bytes()
    }

    /// Its fixed form.
    pub(super) const fn to_bytes(self) -> [u8; LOCATION_BYTES] {
        // As one number, which is written at once.
        let high = self.chunk_len as u64 | (self.op as u64) << 32 | (self.size.0 as u64) << 48;
        let low = self.segment as u64 | (self.chunk as u64) << 32;
        (low as u128 | (high as u128) << 64).to_le_bytes()
    }

    /// What [`Self::to_bytes`] has made.
    pub(super) const fn from_bytes(bytes: [u8; LOCATION_BYTES]) -> Self {
        let both = u128::from_le_bytes(bytes);
        let (low, high) = (both as u64, (both >> 64) as u64);
        Self {
            segment: low as u32,
            chunk: (low >> 32) as u32,
            chunk_len: high as u32,
            op: (high >> 32) as u16,
            size: ShortSize((high >> 48) as u16),
        }
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
    fn a_location_comes_back_from_its_fixed_form() {
        let size = ShortSize::of(0x0bcd);
        let location = Location { segment: 0x0123_4567, chunk: 0x89ab_cdef, chunk_len: 0x1032_5476, op: 0x98ba, size };
        assert_eq!(Location::from_bytes(location.to_bytes()), location);
    }
}
