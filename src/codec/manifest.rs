//! The manifest: a lower bound of what must be on disk.

use std::path::Path;

use super::check::{Salt, digest};
use super::segment::Link;
use super::{preamble, put, read_id, read_u32, read_u64};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"BCASKMAN";
const FIXED_BYTES: usize = 120;
const ENTRY_BYTES: usize = 64;
/// The layout without copies, whose entries are all segments of the log.
const FIXED_BYTES_OF_LOG_ONLY: usize = 64;
const ENTRY_BYTES_OF_LOG_ONLY: usize = 40;

/// One segment that is safely on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ManifestEntry {
    /// Number of the segment.
    pub id: u64,
    /// Its salt.
    pub salt: Salt,
    /// Offset just after its last frame that counts.
    pub length: u64,
    /// Sequence number of the last frame that it stands for.
    pub last_seq: u64,
    /// Sequence number of the first.
    pub first_seq: u64,
    /// Sequence number up to which everything was known when it was decided which of its records to keep: none that was
    /// dead by then is in it. For a segment of the log, that of its last frame.
    pub decided_seq: u64,
    /// Whether it was written by compaction, and so is no link of the log.
    pub is_copy: bool,
}

impl ManifestEntry {
    /// Where the log leaves this segment.
    #[must_use]
    pub const fn link(&self) -> Link {
        Link { id: self.id, salt: self.salt, end: self.length, last_seq: self.last_seq }
    }
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
    /// Segments that are complete and on disk, in the order of their sequence numbers.
    pub segments: Vec<ManifestEntry>,
    /// Last segment of the log that these segments stand for: the one after it in the log follows them.
    pub through: Option<Link>,
    /// No segment has ever had this number or a larger one. 0 where that is not known.
    pub next_id: u64,
    /// Highest epoch so far.
    pub epoch: u64,
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
        if let Some(link) = self.through {
            put(&mut bytes, 64, &link.id.to_le_bytes());
            put(&mut bytes, 72, &link.salt);
            put(&mut bytes, 88, &link.end.to_le_bytes());
            put(&mut bytes, 96, &link.last_seq.to_le_bytes());
        }
        put(&mut bytes, 104, &self.next_id.to_le_bytes());
        put(&mut bytes, 112, &self.epoch.to_le_bytes());
        for entry in &self.segments {
            bytes.extend_from_slice(&entry.id.to_le_bytes());
            bytes.extend_from_slice(&entry.salt);
            bytes.extend_from_slice(&entry.length.to_le_bytes());
            bytes.extend_from_slice(&entry.last_seq.to_le_bytes());
            bytes.extend_from_slice(&entry.first_seq.to_le_bytes());
            bytes.extend_from_slice(&entry.decided_seq.to_le_bytes());
            bytes.extend_from_slice(&u64::from(entry.is_copy).to_le_bytes());
        }
        bytes.extend_from_slice(&digest(&bytes).to_le_bytes());
        bytes
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are not a whole, intact one; `Version` for another format version.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        let Some(header_len) = preamble::header_len(bytes, MAGIC) else {
            return Err(Error::corrupt(path, 0, "its first bytes are not those of a manifest"));
        };
        preamble::check_version(bytes, path)?;
        let fields = match header_len as usize {
            FIXED_BYTES => Self::fields(bytes, FIXED_BYTES, ENTRY_BYTES),
            FIXED_BYTES_OF_LOG_ONLY => Self::fields(bytes, FIXED_BYTES_OF_LOG_ONLY, ENTRY_BYTES_OF_LOG_ONLY),
            _ => None,
        };
        fields.ok_or_else(|| Error::corrupt(path, 24, "its check does not match its contents"))
    }

    fn fields(bytes: &[u8], fixed: usize, entry_bytes: usize) -> Option<Self> {
        let checked = bytes.get(..bytes.len().checked_sub(8)?)?;
        if digest(checked) != read_u64(bytes, checked.len())? {
            return None;
        }
        let count = read_u32(checked, 56)? as usize;
        let entries = checked.get(fixed..)?;
        if entries.len() != count.checked_mul(entry_bytes)? {
            return None;
        }
        let segments: Vec<ManifestEntry> = entries.chunks_exact(entry_bytes).map(read_entry).collect::<Option<_>>()?;
        let through = if fixed == FIXED_BYTES_OF_LOG_ONLY {
            segments.last().map(ManifestEntry::link)
        } else {
            match read_u64(checked, 64)? {
                0 => None,
                id => {
                    Some(Link { id, salt: read_id(checked, 72)?, end: read_u64(checked, 88)?, last_seq: read_u64(checked, 96)? })
                }
            }
        };
        Some(Self {
            cask_id: read_id(checked, 24)?,
            generation: read_u64(checked, 40)?,
            synced: read_u64(checked, 48)?,
            next_id: if fixed == FIXED_BYTES { read_u64(checked, 104)? } else { 0 },
            epoch: if fixed == FIXED_BYTES { read_u64(checked, 112)? } else { 0 },
            through,
            segments,
        })
    }
}

fn read_entry(entry: &[u8]) -> Option<ManifestEntry> {
    let last_seq = read_u64(entry, 32)?;
    let is_long = entry.len() == ENTRY_BYTES;
    Some(ManifestEntry {
        id: read_u64(entry, 0)?,
        salt: read_id(entry, 8)?,
        length: read_u64(entry, 24)?,
        last_seq,
        first_seq: if is_long { read_u64(entry, 40)? } else { 0 },
        decided_seq: if is_long { read_u64(entry, 48)? } else { last_seq },
        is_copy: is_long && read_u64(entry, 56)? & 1 == 1,
    })
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
            segments: vec![
                ManifestEntry { id: 8, salt: [9; 16], length: 4096, last_seq: 40, first_seq: 3, decided_seq: 71, is_copy: true },
                ManifestEntry { id: 6, salt: [8; 16], length: 512, last_seq: 70, first_seq: 41, decided_seq: 70, is_copy: false },
            ],
            through: Some(Link { id: 6, salt: [8; 16], end: 512, last_seq: 70 }),
            next_id: 9,
            epoch: 4,
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

    #[test]
    fn a_manifest_that_knows_nothing_of_copies_is_read() {
        let mut bytes = vec![0; FIXED_BYTES_OF_LOG_ONLY];
        preamble::write(&mut bytes, MAGIC, FIXED_BYTES_OF_LOG_ONLY as u32);
        put(&mut bytes, 24, &[3; 16]);
        put(&mut bytes, 40, &5_u64.to_le_bytes());
        put(&mut bytes, 48, &77_u64.to_le_bytes());
        put(&mut bytes, 56, &2_u32.to_le_bytes());
        for (id, last_seq) in [(1_u64, 60_u64), (2, 70)] {
            bytes.extend_from_slice(&id.to_le_bytes());
            bytes.extend_from_slice(&[9; 16]);
            bytes.extend_from_slice(&4096_u64.to_le_bytes());
            bytes.extend_from_slice(&last_seq.to_le_bytes());
        }
        bytes.extend_from_slice(&digest(&bytes).to_le_bytes());
        let manifest = Manifest::decode(&bytes, Path::new("m")).unwrap();
        let entry = |id, last_seq| ManifestEntry {
            id,
            salt: [9; 16],
            length: 4096,
            last_seq,
            first_seq: 0,
            decided_seq: last_seq,
            is_copy: false,
        };
        assert_eq!(manifest.segments, [entry(1, 60), entry(2, 70)]);
        assert_eq!(manifest.through, Some(Link { id: 2, salt: [9; 16], end: 4096, last_seq: 70 }));
        assert_eq!((manifest.synced, manifest.generation, manifest.next_id), (77, 5, 0));
    }
}
