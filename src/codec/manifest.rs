//! The manifest: a lower bound of what must be on disk.

use std::path::Path;

use super::check::{Salt, digest};
use super::cipher::{Cipher, SealKeys};
use super::envelope;
use super::segment::Link;
use super::{LAST_COUNT, LAST_SEGMENT, preamble, put, read_id, read_u32, read_u64};
use crate::error::{Error, Result};

const MAGIC: &[u8; 8] = b"BCASKMAN";
const FIXED_BYTES: usize = 120;
const ENTRY_BYTES: usize = 64;
/// The layout without copies, whose entries are all segments of the log.
const FIXED_BYTES_OF_LOG_ONLY: usize = 64;
const ENTRY_BYTES_OF_LOG_ONLY: usize = 40;
/// The layout of a sealed cask: the cask's identity stays readable, and an envelope holds what follows it in a plain one.
const FIXED_BYTES_OF_SEALED: usize = 40 + envelope::HEAD_BYTES;
const ENVELOPE_AT: usize = 40;

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
    ///
    /// # Errors
    /// `Io` where there are no random numbers to seal it with.
    pub fn encode(&self, cipher: &Cipher) -> Result<Vec<u8>> {
        let mut bytes = self.encode_plain();
        if let Some(keys) = cipher.keys() {
            bytes = Self::seal(&bytes, keys)?;
        }
        bytes.extend_from_slice(&digest(&bytes).to_le_bytes());
        Ok(bytes)
    }

    fn encode_plain(&self) -> Vec<u8> {
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
        bytes
    }

    fn seal(plain: &[u8], keys: &SealKeys) -> Result<Vec<u8>> {
        let mut header = vec![0; ENVELOPE_AT];
        preamble::write(&mut header, MAGIC, FIXED_BYTES_OF_SEALED as u32);
        put(&mut header, 24, plain.get(24..ENVELOPE_AT).unwrap_or_default());
        envelope::seal(header, plain.get(ENVELOPE_AT..).unwrap_or_default(), keys)
    }

    /// Whether the bytes are the whole, intact manifest of a sealed cask, as its header says.
    ///
    /// # Errors
    /// As [`Self::decode`].
    pub fn is_sealed(bytes: &[u8], path: &Path) -> Result<bool> {
        Ok(Self::checked(bytes, path)?.1 == FIXED_BYTES_OF_SEALED)
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are not a whole, intact one, or one that was made without the cask's key; `Version` for another format
    /// version; `Key` for that of a sealed cask where there is no key.
    pub fn decode(bytes: &[u8], path: &Path, cipher: &Cipher) -> Result<Self> {
        let (checked, header_len) = Self::checked(bytes, path)?;
        let damaged = || Error::corrupt(path, 24, "its check does not match its contents");
        match (header_len, cipher) {
            (FIXED_BYTES, Cipher::Plain) => Self::fields(checked, FIXED_BYTES, ENTRY_BYTES).ok_or_else(damaged),
            (FIXED_BYTES_OF_LOG_ONLY, Cipher::Plain) => {
                Self::fields(checked, FIXED_BYTES_OF_LOG_ONLY, ENTRY_BYTES_OF_LOG_ONLY).ok_or_else(damaged)
            }
            (FIXED_BYTES_OF_SEALED, Cipher::Sealed(keys)) => Self::open(checked, keys).ok_or_else(|| {
                Error::corrupt(path, ENVELOPE_AT as u64, "it is of another cask, or was changed by somebody without the key")
            }),
            (FIXED_BYTES_OF_SEALED, Cipher::Plain) => Err(Error::needs_key(path.parent().unwrap_or(path))),
            (FIXED_BYTES | FIXED_BYTES_OF_LOG_ONLY, Cipher::Sealed(_)) => {
                Err(Error::corrupt(path, 12, "the manifest is not sealed, and the cask is"))
            }
            _ => Err(damaged()),
        }
    }

    /// What the digest covers, and the length of the header.
    fn checked<'b>(bytes: &'b [u8], path: &Path) -> Result<(&'b [u8], usize)> {
        let Some(header_len) = preamble::header_len(bytes, MAGIC) else {
            return Err(Error::corrupt(path, 0, "its first bytes are not those of a manifest"));
        };
        preamble::check_version(bytes, path)?;
        let checked = bytes.len().checked_sub(8).and_then(|end| bytes.get(..end));
        let checked = checked.filter(|checked| read_u64(bytes, checked.len()) == Some(digest(checked)));
        let checked = checked.ok_or_else(|| Error::corrupt(path, 24, "its check does not match its contents"))?;
        Ok((checked, header_len as usize))
    }

    fn open(sealed: &[u8], keys: &SealKeys) -> Option<Self> {
        let rest = envelope::open(sealed, ENVELOPE_AT, keys)?;
        let mut plain = sealed.get(..ENVELOPE_AT)?.to_vec();
        plain.extend_from_slice(&rest);
        Self::fields(&plain, FIXED_BYTES, ENTRY_BYTES)
    }

    fn fields(checked: &[u8], fixed: usize, entry_bytes: usize) -> Option<Self> {
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
        let found = Self {
            cask_id: read_id(checked, 24)?,
            generation: read_u64(checked, 40)?,
            synced: read_u64(checked, 48)?,
            next_id: if fixed == FIXED_BYTES { read_u64(checked, 104)? } else { 0 },
            epoch: if fixed == FIXED_BYTES { read_u64(checked, 112)? } else { 0 },
            through,
            segments,
        };
        found.is_in_range().then_some(found)
    }

    /// Whether its numbers are such as a cask can get to. No segment has the number 0, which stands for none, and none stands for more
    /// than the log that all of them stand for, or is a newer part of it.
    fn is_in_range(&self) -> bool {
        let (last_id, last_seq) = self.through.map_or((0, 0), |link| (link.id, link.last_seq));
        let links = self.segments.iter().map(ManifestEntry::link).chain(self.through);
        let counts = self.segments.iter().flat_map(|entry| [entry.first_seq, entry.decided_seq]);
        [self.generation, self.synced, self.epoch].into_iter().chain(counts).all(|count| count <= LAST_COUNT)
            && self.next_id <= LAST_SEGMENT + 1
            && self.segments.iter().all(|entry| entry.last_seq <= last_seq && (entry.is_copy || entry.id <= last_id))
            && links.into_iter().all(|link| (1..=LAST_SEGMENT).contains(&link.id) && link.last_seq <= LAST_COUNT)
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
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::*;
    use crate::error::ErrorKind;

    fn sealed(key: u8) -> Cipher {
        Cipher::Sealed(Arc::new(SealKeys::new(Zeroizing::new([key; 32]), 1)))
    }

    fn sample() -> Manifest {
        Manifest {
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
        }
    }

    fn decode(bytes: &[u8], cipher: &Cipher) -> Result<Manifest> {
        Manifest::decode(bytes, Path::new("m"), cipher)
    }

    #[test]
    fn manifest_reads_back_and_notices_every_flipped_byte_and_truncation() {
        for cipher in [Cipher::Plain, sealed(1)] {
            let bytes = sample().encode(&cipher).unwrap();
            assert_eq!(decode(&bytes, &cipher).unwrap(), sample());
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x10;
                assert!(decode(&flipped, &cipher).is_err(), "byte {at}");
                assert!(decode(&bytes[..at], &cipher).is_err(), "length {at}");
            }
        }
    }

    #[test]
    fn a_sealed_manifest_cannot_be_changed_without_the_key() {
        let bytes = sample().encode(&sealed(1)).unwrap();
        for at in 24..bytes.len() - 8 {
            let mut forged = bytes[..bytes.len() - 8].to_vec();
            forged[at] ^= 1;
            let check = digest(&forged);
            forged.extend_from_slice(&check.to_le_bytes());
            assert_eq!(decode(&forged, &sealed(1)).unwrap_err().kind(), ErrorKind::Corrupt, "byte {at}");
        }
    }

    #[test]
    fn manifests_of_other_ciphers_and_keys_are_refused() {
        let kind = |written: &Cipher, read: &Cipher| decode(&sample().encode(written).unwrap(), read).unwrap_err().kind();
        assert_eq!(kind(&sealed(1), &Cipher::Plain), ErrorKind::Key);
        assert_eq!(kind(&Cipher::Plain, &sealed(1)), ErrorKind::Corrupt);
        assert_eq!(kind(&sealed(2), &sealed(1)), ErrorKind::Corrupt);
    }

    // The digest is no proof against bytes that were made on purpose, and what opens must be able to go on.
    #[test]
    fn a_manifest_with_numbers_that_no_cask_gets_to_is_refused() {
        let entry =
            ManifestEntry { id: 1, salt: [9; 16], length: 256, last_seq: 7, first_seq: 1, decided_seq: 7, is_copy: false };
        let good = Manifest { segments: vec![entry], through: Some(entry.link()), next_id: 2, epoch: 1, ..Manifest::default() };
        let is_read = |manifest: &Manifest| decode(&manifest.encode(&Cipher::Plain).unwrap(), &Cipher::Plain).is_ok();
        assert!(is_read(&good));
        let with = |entry: ManifestEntry| Manifest { segments: vec![entry], ..good.clone() };
        for (refused, what) in [
            (with(ManifestEntry { id: 0, ..entry }), "a segment with the number of none"),
            (with(ManifestEntry { id: LAST_SEGMENT + 1, ..entry }), "a number of a segment"),
            (with(ManifestEntry { last_seq: 8, ..entry }), "a segment that stands for more than the log"),
            (with(ManifestEntry { id: 2, ..entry }), "a segment that is newer than the log"),
            (Manifest { through: None, ..good.clone() }, "a segment of a log that has none"),
            (with(ManifestEntry { first_seq: u64::MAX, ..entry }), "a first sequence number"),
            (with(ManifestEntry { decided_seq: u64::MAX, ..entry }), "a decision"),
            (Manifest { through: Some(Link { id: u64::MAX, ..entry.link() }), ..good.clone() }, "the segment that it ends with"),
            (Manifest { through: Some(Link { last_seq: u64::MAX, ..entry.link() }), ..good.clone() }, "its last sequence number"),
            (Manifest { generation: u64::MAX, ..good.clone() }, "a generation"),
            (Manifest { synced: u64::MAX, ..good.clone() }, "what is on disk"),
            (Manifest { epoch: u64::MAX, ..good.clone() }, "an epoch"),
            (Manifest { next_id: u64::from(u32::MAX), ..good.clone() }, "the next number"),
        ] {
            assert!(!is_read(&refused), "{what}");
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
        let manifest = decode(&bytes, &Cipher::Plain).unwrap();
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
