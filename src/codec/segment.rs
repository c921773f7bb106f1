//! The header of a segment: which cask and boot it belongs to, and where exactly its predecessor ends.

use std::path::Path;

use super::check::{Salt, digest};
use super::{preamble, put, read_id, read_u16, read_u32, read_u64};
use crate::error::{Error, ErrorKind, Result};

/// Length of a segment header in bytes; the first frame follows it.
pub const SEGMENT_HEADER_BYTES: usize = 256;
const MAGIC: &[u8; 8] = b"BCASKSEG";
const CHECK_AT: usize = SEGMENT_HEADER_BYTES - 8;

/// Where the log leaves a segment for the next one. Bytes of it past `end` are not part of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    /// Segment left.
    pub id: u64,
    /// Its salt.
    pub salt: Salt,
    /// Offset just after its last frame that counts.
    pub end: u64,
    /// Sequence number of that frame.
    pub last_seq: u64,
}

/// What a segment says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentHeader {
    /// Identity of the cask.
    pub cask_id: [u8; 16],
    /// Number of the segment; never used again in this cask.
    pub id: u64,
    /// Salt of its checks.
    pub salt: Salt,
    /// Grows with each open.
    pub epoch: u64,
    /// The operating system's boot id when it was made; zeros where there is none.
    pub boot_id: [u8; 16],
    /// Cipher; 0 is none.
    pub cipher: u16,
    /// Whether compaction wrote it: its frames are copies with gaps between their sequence numbers, and it is no link of the log.
    pub is_copy: bool,
    /// Key the cipher uses; 0 is none.
    pub key_id: u32,
    /// Sequence number of the first frame.
    pub first_seq: u64,
    /// Sequence number up to which all was on disk when it was made.
    pub synced: u64,
    /// The segment before it; none for the first.
    pub predecessor: Option<Link>,
    /// How long the file was before its header was written, all of it zeros. At least the header's length where the log that it is
    /// part of preallocates, and 0 where it does not.
    pub preallocated: u64,
}

impl SegmentHeader {
    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        preamble::write(&mut bytes, MAGIC, SEGMENT_HEADER_BYTES as u32);
        put(&mut bytes, 24, &self.cask_id);
        put(&mut bytes, 40, &self.id.to_le_bytes());
        put(&mut bytes, 48, &self.salt);
        put(&mut bytes, 64, &self.epoch.to_le_bytes());
        put(&mut bytes, 72, &self.boot_id);
        put(&mut bytes, 88, &self.cipher.to_le_bytes());
        put(&mut bytes, 90, &u16::from(self.is_copy).to_le_bytes());
        put(&mut bytes, 92, &self.key_id.to_le_bytes());
        put(&mut bytes, 96, &self.first_seq.to_le_bytes());
        put(&mut bytes, 104, &self.synced.to_le_bytes());
        if let Some(link) = self.predecessor {
            put(&mut bytes, 112, &link.id.to_le_bytes());
            put(&mut bytes, 120, &link.salt);
            put(&mut bytes, 136, &link.end.to_le_bytes());
            put(&mut bytes, 144, &link.last_seq.to_le_bytes());
        }
        put(&mut bytes, 152, &self.preallocated.to_le_bytes());
        let check = digest(bytes.get(..CHECK_AT).unwrap_or_default());
        put(&mut bytes, CHECK_AT, &check.to_le_bytes());
        bytes
    }

    /// Reads a header: `None` where the bytes are not a whole, intact one.
    ///
    /// # Errors
    /// `Version` for another format version, `Key` for a sealed segment.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Option<Self>> {
        if preamble::header_len(bytes, MAGIC).is_none() {
            return Ok(None);
        }
        preamble::check_version(bytes, path)?;
        let Some(header) = Self::fields(bytes) else { return Ok(None) };
        if header.cipher != 0 {
            return Err(Error::new(
                ErrorKind::Key,
                format!("{} is sealed, and this version of baileys-cask opens plain casks only", path.display()),
            )
            .with_text("path", path.display().to_string()));
        }
        Ok(Some(header))
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let whole = bytes.get(..SEGMENT_HEADER_BYTES)?;
        if digest(whole.get(..CHECK_AT)?) != read_u64(whole, CHECK_AT)? {
            return None;
        }
        let predecessor = match read_u64(whole, 112)? {
            0 => None,
            id => Some(Link { id, salt: read_id(whole, 120)?, end: read_u64(whole, 136)?, last_seq: read_u64(whole, 144)? }),
        };
        Some(Self {
            cask_id: read_id(whole, 24)?,
            id: read_u64(whole, 40)?,
            salt: read_id(whole, 48)?,
            epoch: read_u64(whole, 64)?,
            boot_id: read_id(whole, 72)?,
            cipher: read_u16(whole, 88)?,
            is_copy: read_u16(whole, 90)? & 1 == 1,
            key_id: read_u32(whole, 92)?,
            first_seq: read_u64(whole, 96)?,
            synced: read_u64(whole, 104)?,
            predecessor,
            preallocated: read_u64(whole, 152)?,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn sample() -> SegmentHeader {
        SegmentHeader {
            cask_id: [1; 16],
            id: 7,
            salt: [2; 16],
            epoch: 3,
            boot_id: [4; 16],
            cipher: 0,
            is_copy: true,
            key_id: 0,
            first_seq: 100,
            synced: 90,
            predecessor: Some(Link { id: 6, salt: [5; 16], end: 4096, last_seq: 99 }),
            preallocated: 1 << 20,
        }
    }

    #[test]
    fn header_reads_back() {
        let header = sample();
        assert_eq!(SegmentHeader::decode(&header.encode(), Path::new("x")).unwrap(), Some(header));
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let bytes = sample().encode();
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes;
            flipped[at / 8] ^= 1 << (at % 8);
            assert_eq!(SegmentHeader::decode(&flipped, Path::new("x")).unwrap(), None, "bit {at}");
        }
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = sample().encode();
        put(&mut bytes, 8, &9_u16.to_le_bytes());
        let check = digest(&bytes[..16]);
        put(&mut bytes, 16, &check.to_le_bytes());
        let error = SegmentHeader::decode(&bytes, Path::new("x")).unwrap_err();
        assert_eq!((error.kind(), error.number("found")), (ErrorKind::Version, Some(9)));
    }
}
