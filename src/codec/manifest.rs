//! The manifest: a lower bound of what must be on disk.

use std::path::Path;

use super::check::{Salt, digest};
use super::{preamble, put, read_id, read_u32, read_u64};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"BCASKMAN";
const FIXED_BYTES: usize = 64;
const ENTRY_BYTES: usize = 40;

/// One segment that is safely on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Number of the segment.
    pub id: u64,
    /// Its salt.
    pub salt: Salt,
    /// Offset just after its last frame that counts.
    pub length: u64,
    /// Sequence number of that frame.
    pub last_seq: u64,
}

/// What was known to be on disk when it was written. A shorter log is damage; a longer one is normal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Identity of the cask.
    pub cask_id: [u8; 16],
    /// Grows with each manifest written.
    pub generation: u64,
    /// Sequence number up to which all was on disk.
    pub synced: u64,
    /// Segments that are complete and on disk.
    pub segments: Vec<ManifestEntry>,
}

impl Manifest {
    /// The manifest's bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0; FIXED_BYTES];
        preamble::write(&mut bytes, MAGIC, FIXED_BYTES as u32);
        put(&mut bytes, 24, &self.cask_id);
        put(&mut bytes, 40, &self.generation.to_le_bytes());
        put(&mut bytes, 48, &self.synced.to_le_bytes());
        put(&mut bytes, 56, &(self.segments.len() as u32).to_le_bytes());
        for entry in &self.segments {
            bytes.extend_from_slice(&entry.id.to_le_bytes());
            bytes.extend_from_slice(&entry.salt);
            bytes.extend_from_slice(&entry.length.to_le_bytes());
            bytes.extend_from_slice(&entry.last_seq.to_le_bytes());
        }
        bytes.extend_from_slice(&digest(&bytes).to_le_bytes());
        bytes
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are not a whole, intact one; `Version` for another format version.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        if preamble::header_len(bytes, MAGIC).is_none() {
            return Err(Error::corrupt(path, 0, "its first bytes are not those of a manifest"));
        }
        preamble::check_version(bytes, path)?;
        Self::fields(bytes).ok_or_else(|| Error::corrupt(path, 24, "its check does not match its contents"))
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        let checked = bytes.get(..bytes.len().checked_sub(8)?)?;
        if digest(checked) != read_u64(bytes, checked.len())? {
            return None;
        }
        let count = read_u32(checked, 56)? as usize;
        let entries = checked.get(FIXED_BYTES..)?;
        if entries.len() != count.checked_mul(ENTRY_BYTES)? {
            return None;
        }
        let segments = entries
            .chunks_exact(ENTRY_BYTES)
            .map(|entry| {
                Some(ManifestEntry {
                    id: read_u64(entry, 0)?,
                    salt: read_id(entry, 8)?,
                    length: read_u64(entry, 24)?,
                    last_seq: read_u64(entry, 32)?,
                })
            })
            .collect::<Option<_>>()?;
        Some(Self {
            cask_id: read_id(checked, 24)?,
            generation: read_u64(checked, 40)?,
            synced: read_u64(checked, 48)?,
            segments,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn manifest_reads_back_and_notices_every_flipped_byte_and_truncation() {
        let manifest = Manifest {
            cask_id: [3; 16],
            generation: 5,
            synced: 77,
            segments: vec![ManifestEntry { id: 1, salt: [9; 16], length: 4096, last_seq: 70 }],
        };
        let bytes = manifest.encode();
        assert_eq!(Manifest::decode(&bytes, Path::new("m")).unwrap(), manifest);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 0x10;
            assert!(Manifest::decode(&flipped, Path::new("m")).is_err(), "byte {at}");
            assert!(Manifest::decode(&bytes[..at], Path::new("m")).is_err(), "length {at}");
        }
    }
}
