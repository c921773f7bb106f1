//! The header of a segment: which cask and boot it belongs to, and where exactly its predecessor ends.

use std::path::Path;

use super::check::{Salt, digest};
use super::cipher::{Cipher, PLAIN, TAG_BYTES};
use super::{LAST_COUNT, LAST_SEGMENT, preamble, put, read_id, read_u16, read_u32, read_u64};
use crate::error::{Error, Result};

/// Length of a segment header in bytes; the first frame follows it.
pub const SEGMENT_HEADER_BYTES: usize = 256;
const MAGIC: &[u8; 8] = b"BCASKSEG";
const CHECK_AT: usize = SEGMENT_HEADER_BYTES - 8;
const SIGNATURE_AT: usize = CHECK_AT - TAG_BYTES;

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
    /// Whether compaction wrote it: its frames are copies with gaps between their sequence numbers, and it is no link of the log.
    pub is_copy: bool,
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
    pub fn encode(&self, cipher: &Cipher) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut bytes = [0; SEGMENT_HEADER_BYTES];
        preamble::write(&mut bytes, MAGIC, SEGMENT_HEADER_BYTES as u32);
        put(&mut bytes, 24, &self.cask_id);
        put(&mut bytes, 40, &self.id.to_le_bytes());
        put(&mut bytes, 48, &self.salt);
        put(&mut bytes, 64, &self.epoch.to_le_bytes());
        put(&mut bytes, 72, &self.boot_id);
        put(&mut bytes, 88, &cipher.code().to_le_bytes());
        put(&mut bytes, 90, &u16::from(self.is_copy).to_le_bytes());
        put(&mut bytes, 92, &cipher.key_id().to_le_bytes());
        put(&mut bytes, 96, &self.first_seq.to_le_bytes());
        put(&mut bytes, 104, &self.synced.to_le_bytes());
        if let Some(link) = self.predecessor {
            put(&mut bytes, 112, &link.id.to_le_bytes());
            put(&mut bytes, 120, &link.salt);
            put(&mut bytes, 136, &link.end.to_le_bytes());
            put(&mut bytes, 144, &link.last_seq.to_le_bytes());
        }
        put(&mut bytes, 152, &self.preallocated.to_le_bytes());
        if let Some(keys) = cipher.keys() {
            let signature = keys.sign_header(bytes.get(..SIGNATURE_AT).unwrap_or_default());
            put(&mut bytes, SIGNATURE_AT, &signature);
        }
        let check = digest(bytes.get(..CHECK_AT).unwrap_or_default());
        put(&mut bytes, CHECK_AT, &check.to_le_bytes());
        bytes
    }

    /// Reads a header: `None` where the bytes are not a whole, intact one.
    ///
    /// # Errors
    /// `Version` for another format version; `Key` for a sealed segment in a cask that is not; `Corrupt` for a plain one in a sealed
    /// cask, and for one that was sealed with another key or changed by somebody who has none.
    pub fn decode(bytes: &[u8], path: &Path, cipher: &Cipher) -> Result<Option<Self>> {
        if preamble::header_len(bytes, MAGIC).is_none() {
            return Ok(None);
        }
        preamble::check_version(bytes, path)?;
        let Some(header) = Self::fields(bytes) else { return Ok(None) };
        let (code, key_id) = (read_u16(bytes, 88), read_u32(bytes, 92));
        if code != Some(cipher.code()) {
            return Err(match code {
                Some(PLAIN) => Error::corrupt(path, 88, "the segment is not sealed, and the cask is"),
                _ => Error::needs_key(path),
            });
        }
        if let Some(keys) = cipher.keys() {
            if key_id != Some(keys.id()) {
                return Err(Error::corrupt(path, 92, "the segment is sealed with a key that is not the cask's"));
            }
            let signed = bytes.get(..SIGNATURE_AT).unwrap_or_default();
            let signature = bytes.get(SIGNATURE_AT..SIGNATURE_AT + TAG_BYTES).unwrap_or_default();
            if keys.sign_header(signed) != *signature {
                return Err(Error::corrupt(
                    path,
                    SIGNATURE_AT as u64,
                    "the segment's header was changed by somebody without the key",
                ));
            }
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
        let found = Self {
            cask_id: read_id(whole, 24)?,
            id: read_u64(whole, 40)?,
            salt: read_id(whole, 48)?,
            epoch: read_u64(whole, 64)?,
            boot_id: read_id(whole, 72)?,
            is_copy: read_u16(whole, 90)? & 1 == 1,
            first_seq: read_u64(whole, 96)?,
            synced: read_u64(whole, 104)?,
            predecessor,
            preallocated: read_u64(whole, 152)?,
        };
        let counts = [found.epoch, found.first_seq, found.synced, found.predecessor.map_or(0, |link| link.last_seq)];
        let is_in_range = counts.into_iter().all(|count| count <= LAST_COUNT) && (1..=LAST_SEGMENT).contains(&found.id);
        is_in_range.then_some(found)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::super::cipher::SealKeys;
    use super::*;
    use crate::error::ErrorKind;

    fn sealed(key: u8, id: u32) -> Cipher {
        Cipher::Sealed(Arc::new(SealKeys::new(Zeroizing::new([key; 32]), id)))
    }

    fn sample() -> SegmentHeader {
        SegmentHeader {
            cask_id: [1; 16],
            id: 7,
            salt: [2; 16],
            epoch: 3,
            boot_id: [4; 16],
            is_copy: true,
            first_seq: 100,
            synced: 90,
            predecessor: Some(Link { id: 6, salt: [5; 16], end: 4096, last_seq: 99 }),
            preallocated: 1 << 20,
        }
    }

    fn decode(bytes: &[u8], cipher: &Cipher) -> Result<Option<SegmentHeader>> {
        SegmentHeader::decode(bytes, Path::new("x"), cipher)
    }

    #[test]
    fn header_reads_back() {
        for cipher in [Cipher::Plain, sealed(1, 1)] {
            assert_eq!(decode(&sample().encode(&cipher), &cipher).unwrap(), Some(sample()));
        }
    }

    // One more than any of them has to be a number.
    #[test]
    fn a_header_with_numbers_that_no_cask_gets_to_is_none() {
        let link = sample().predecessor.unwrap();
        for header in [
            SegmentHeader { id: 0, ..sample() },
            SegmentHeader { id: LAST_SEGMENT + 1, ..sample() },
            SegmentHeader { epoch: u64::MAX, ..sample() },
            SegmentHeader { first_seq: u64::MAX, ..sample() },
            SegmentHeader { synced: u64::MAX, ..sample() },
            SegmentHeader { predecessor: Some(Link { last_seq: u64::MAX, ..link }), ..sample() },
        ] {
            assert_eq!(decode(&header.encode(&Cipher::Plain), &Cipher::Plain).unwrap(), None, "{header:?}");
        }
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        for cipher in [Cipher::Plain, sealed(1, 1)] {
            let bytes = sample().encode(&cipher);
            for at in 0..bytes.len() * 8 {
                let mut flipped = bytes;
                flipped[at / 8] ^= 1 << (at % 8);
                assert_eq!(decode(&flipped, &cipher).unwrap(), None, "bit {at}");
            }
        }
    }

    #[test]
    fn a_sealed_header_cannot_be_changed_without_the_key() {
        let cipher = sealed(1, 1);
        let bytes = sample().encode(&cipher);
        for at in (24..88).chain(96..SIGNATURE_AT + TAG_BYTES) {
            let mut forged = bytes;
            forged[at] ^= 1;
            let check = digest(&forged[..CHECK_AT]);
            put(&mut forged, CHECK_AT, &check.to_le_bytes());
            // A number that no cask gets to makes it none at all.
            let refusal = decode(&forged, &cipher).map_err(|error| error.kind());
            assert!(matches!(refusal, Ok(None) | Err(ErrorKind::Corrupt)), "byte {at}: {refusal:?}");
        }
    }

    #[test]
    fn headers_of_other_ciphers_and_keys_are_refused() {
        let (plain, one) = (Cipher::Plain, sealed(1, 1));
        let kind = |written: &Cipher, read: &Cipher| decode(&sample().encode(written), read).unwrap_err().kind();
        assert_eq!(kind(&one, &plain), ErrorKind::Key);
        assert_eq!(kind(&plain, &one), ErrorKind::Corrupt);
        assert_eq!(kind(&sealed(1, 2), &one), ErrorKind::Corrupt);
        assert_eq!(kind(&sealed(2, 1), &one), ErrorKind::Corrupt);
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = sample().encode(&Cipher::Plain);
        put(&mut bytes, 8, &9_u16.to_le_bytes());
        let check = digest(&bytes[..16]);
        put(&mut bytes, 16, &check.to_le_bytes());
        let error = decode(&bytes, &Cipher::Plain).unwrap_err();
        assert_eq!((error.kind(), error.number("found")), (ErrorKind::Version, Some(9)));
    }
}
