//! Hints: what the index needs to know of a segment, so that opening reads no values.
//!
//! ```text
//! header  preamble, cask, u64 number, salt and u64 length of the segment, u32 groups, u32 0, u64 0
//! group   u8 length of the account's name, the name, u32 operations, u32 their bytes, operations
//! end     u64 digest of all before
//! ```
//!
//! Of a sealed cask, an envelope holds the groups.
//!
//! A hint says nothing that its segment does not say. It is bound to the segment's salt and length and is never synced: one that
//! is missing, torn or of another segment is not read, and nothing is lost by that.

use super::check::{Salt, digest};
use super::cipher::Cipher;
use super::{envelope, preamble, put, read_id, read_u32, read_u64};
use crate::error::Result;

const MAGIC: &[u8; 8] = b"BCASKHNT";
const HEADER_BYTES: usize = 88;
const LENGTH_AT: usize = 64;
const COUNT_AT: usize = 72;

/// Which segment a hint is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HintOf {
    /// Identity of the cask.
    pub cask_id: [u8; 16],
    /// Number of the segment.
    pub id: u64,
    /// Its salt.
    pub salt: Salt,
    /// Offset just after its last frame that counts.
    pub length: u64,
}

/// An operation of the segment that a later one of it has not made void.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HintOp<'a> {
    /// A record and the place of its value.
    Put {
        /// Key of the record.
        key: &'a [u8],
        /// Offset of the chunk in the segment; it does not fall from one operation of an account to the next.
        chunk: u32,
        /// Length of the chunk.
        chunk_len: u32,
        /// Offset of the operation in the chunk's body.
        op: u32,
        /// Bytes of the log that it takes.
        size: u64,
    },
    /// A record is gone.
    Delete {
        /// Key of the record.
        key: &'a [u8],
        /// Bytes of the log that it takes.
        size: u64,
    },
    /// Every record is gone; creds stay.
    Clear {
        /// Bytes of the log that it takes.
        size: u64,
    },
    /// Every record and the creds are gone.
    Drop {
        /// Bytes of the log that it takes.
        size: u64,
    },
}

impl HintOp<'_> {
    /// Whether a segment of this length can hold it: reading a value takes as much memory as its chunk is said to have.
    fn is_within(&self, length: u64) -> bool {
        match *self {
            Self::Put { chunk, chunk_len, op, size, .. } => {
                let end = u64::from(chunk) + u64::from(chunk_len);
                end <= length && op < chunk_len && u16::try_from(op).is_ok() && size <= length
            }
            Self::Delete { size, .. } | Self::Clear { size } | Self::Drop { size } => size <= length,
        }
    }
}

/// Writes a hint, one account after the other.
#[derive(Debug)]
pub struct HintWriter {
    bytes: Vec<u8>,
    groups: u32,
    /// Where the group that is written has its counts.
    counts_at: usize,
    ops: u32,
    last_chunk: Option<u32>,
}

impl HintWriter {
    /// An empty hint.
    #[must_use]
    pub fn new(of: &HintOf) -> Self {
        let mut bytes = vec![0; HEADER_BYTES];
        preamble::write(&mut bytes, MAGIC, HEADER_BYTES as u32);
        put(&mut bytes, 24, &of.cask_id);
        put(&mut bytes, 40, &of.id.to_le_bytes());
        put(&mut bytes, 48, &of.salt);
        put(&mut bytes, LENGTH_AT, &of.length.to_le_bytes());
        Self { bytes, groups: 0, counts_at: 0, ops: 0, last_chunk: None }
    }

    /// Starts the operations of an account.
    pub fn begin(&mut self, account: &str) {
        self.end_group();
        self.groups += 1;
        self.bytes.push(account.len() as u8);
        self.bytes.extend_from_slice(account.as_bytes());
        self.counts_at = self.bytes.len();
        self.bytes.extend_from_slice(&[0; 8]);
        self.last_chunk = None;
    }

    /// Adds an operation of the account, in the order in which they stand in the segment.
    pub fn push(&mut self, op: &HintOp<'_>) {
        self.ops += 1;
        match *op {
            HintOp::Put { key, chunk, chunk_len, op, size } => {
                self.number((key.len() as u64) << 2);
                self.bytes.extend_from_slice(key);
                // One more than the distance, and 0 for the chunk of the put before.
                let step = self.last_chunk.map_or(u64::from(chunk) + 1, |last| match chunk.checked_sub(last) {
                    Some(0) => 0,
                    step => u64::from(step.unwrap_or(0)) + 1,
                });
                self.number(step);
                if step > 0 {
                    self.number(u64::from(chunk_len));
                }
                self.number(u64::from(op));
                self.number(size);
                self.last_chunk = Some(chunk);
            }
            HintOp::Delete { key, size } => {
                self.number((key.len() as u64) << 2 | 1);
                self.bytes.extend_from_slice(key);
                self.number(size);
            }
            HintOp::Clear { size } => self.number(size << 2 | 2),
            HintOp::Drop { size } => self.number(size << 2 | 3),
        }
    }

    /// The bytes of the hint.
    ///
    /// # Errors
    /// `Io` where there are no random numbers to seal it with.
    pub fn finish(mut self, cipher: &Cipher) -> Result<Vec<u8>> {
        self.end_group();
        put(&mut self.bytes, COUNT_AT, &self.groups.to_le_bytes());
        let mut bytes = match cipher.keys() {
            None => self.bytes,
            Some(keys) => {
                let (header, groups) = self.bytes.split_at(HEADER_BYTES.min(self.bytes.len()));
                envelope::seal(header.to_vec(), groups, keys)?
            }
        };
        bytes.extend_from_slice(&digest(&bytes).to_le_bytes());
        Ok(bytes)
    }

    fn end_group(&mut self) {
        if self.counts_at > 0 {
            let from = self.counts_at;
            let len = self.bytes.len() - from - 8;
            put(&mut self.bytes, from, &self.ops.to_le_bytes());
            put(&mut self.bytes, from + 4, &(len as u32).to_le_bytes());
            self.ops = 0;
        }
    }

    /// Seven bits at a time, lowest first.
    fn number(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.bytes.push(value as u8);
    }
}

/// The operations of one account.
#[derive(Debug, Clone, Copy)]
pub struct HintGroup<'a> {
    /// The account.
    pub account: &'a str,
    /// How many puts are among its operations.
    pub puts: usize,
    /// Bytes of their keys.
    pub key_bytes: usize,
    bytes: &'a [u8],
}

/// The checked bytes of a hint, which were read back whole: its header and, in the clear, its groups. `None` where they are not a
/// whole, intact hint of this segment.
#[must_use]
pub fn open(mut bytes: Vec<u8>, of: &HintOf, cipher: &Cipher) -> Option<Vec<u8>> {
    if preamble::header_len(&bytes, MAGIC)? as usize != HEADER_BYTES || !preamble::is_this_version(&bytes) {
        return None;
    }
    let end = bytes.len().checked_sub(8)?;
    let found = HintOf {
        cask_id: read_id(&bytes, 24)?,
        id: read_u64(&bytes, 40)?,
        salt: read_id(&bytes, 48)?,
        length: read_u64(&bytes, LENGTH_AT)?,
    };
    if found != *of || digest(bytes.get(..end)?) != read_u64(&bytes, end)? {
        return None;
    }
    bytes.truncate(end);
    if let Some(keys) = cipher.keys() {
        let groups = envelope::open(&bytes, HEADER_BYTES, keys)?;
        bytes.truncate(HEADER_BYTES);
        bytes.extend_from_slice(&groups);
    }
    Some(bytes)
}

/// The groups of an opened hint; `None` where they are malformed.
#[must_use]
pub fn groups(opened: &[u8]) -> Option<Vec<HintGroup<'_>>> {
    let segment_length = read_u64(opened, LENGTH_AT)?;
    let mut rest = opened.get(HEADER_BYTES..)?;
    let mut groups = Vec::new();
    for _ in 0..read_u32(opened, COUNT_AT)? {
        let (&length, after) = rest.split_first()?;
        let (name, after) = after.split_at_checked(usize::from(length))?;
        let (counts, after) = after.split_at_checked(8)?;
        let (ops, after) = after.split_at_checked(read_u32(counts, 4)? as usize)?;
        let mut group = HintGroup { account: std::str::from_utf8(name).ok()?, puts: 0, key_bytes: 0, bytes: ops };
        // What is counted on later is checked now, while nothing was done on account of it.
        let mut count = 0;
        for op in group.ops() {
            let op = op.filter(|op| op.is_within(segment_length))?;
            count += 1;
            if let HintOp::Put { key, .. } = op {
                group.puts += 1;
                group.key_bytes += key.len();
            }
        }
        if count != read_u32(counts, 0)? {
            return None;
        }
        groups.push(group);
        rest = after;
    }
    rest.is_empty().then_some(groups)
}

impl<'a> HintGroup<'a> {
    /// The operations; `None` once where the bytes are malformed.
    pub fn ops(&self) -> impl Iterator<Item = Option<HintOp<'a>>> + use<'a> {
        let mut reader = Reader { bytes: self.bytes, last: None };
        let mut is_over = false;
        std::iter::from_fn(move || {
            if is_over || reader.bytes.is_empty() {
                return None;
            }
            let op = reader.op();
            is_over = op.is_none();
            Some(op)
        })
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// Chunk of the last put, and its length.
    last: Option<(u32, u32)>,
}

impl<'a> Reader<'a> {
    fn op(&mut self) -> Option<HintOp<'a>> {
        let head = self.number()?;
        match head & 3 {
            0 => {
                let key = self.key(head >> 2)?;
                let step = self.number()?;
                let (chunk, chunk_len) = match (step.checked_sub(1), self.last) {
                    (None, last) => last?,
                    (Some(step), last) => {
                        let chunk = u32::try_from(step).ok()?.checked_add(last.map_or(0, |(chunk, _)| chunk))?;
                        (chunk, u32::try_from(self.number()?).ok()?)
                    }
                };
                self.last = Some((chunk, chunk_len));
                Some(HintOp::Put { key, chunk, chunk_len, op: u32::try_from(self.number()?).ok()?, size: self.number()? })
            }
            1 => Some(HintOp::Delete { key: self.key(head >> 2)?, size: self.number()? }),
            2 => Some(HintOp::Clear { size: head >> 2 }),
            _ => Some(HintOp::Drop { size: head >> 2 }),
        }
    }

    fn key(&mut self, length: u64) -> Option<&'a [u8]> {
        // No key of a batch is longer.
        let (key, rest) = self.bytes.split_at_checked(usize::from(u16::try_from(length).ok()?))?;
        self.bytes = rest;
        Some(key)
    }

    fn number(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.bytes.split_first()?;
            self.bytes = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::super::cipher::SealKeys;
    use super::*;

    const OF: HintOf = HintOf { cask_id: [1; 16], id: 7, salt: [2; 16], length: 1 << 34 };

    fn sample() -> Vec<(&'static str, Vec<HintOp<'static>>)> {
        let put = |key: &'static [u8], chunk, chunk_len, op, size| HintOp::Put { key, chunk, chunk_len, op, size };
        vec![
            (
                "one",
                vec![
                    HintOp::Drop { size: 70 },
                    put(b"\x02a", 288, 90, 9, 150),
                    put(b"\x02b", 288, 90, 40, 12),
                    HintOp::Delete { key: b"\x02c", size: 1 << 33 },
                    put(&[9; 200], 289, u32::MAX, 9, 300),
                    put(b"\x02d", u32::MAX, 16, 15, 0),
                ],
            ),
            ("two", vec![put(b"\x02a", 0, 20, 9, 20), HintOp::Clear { size: 3 }]),
        ]
    }

    fn ciphers() -> [Cipher; 2] {
        [Cipher::Plain, Cipher::Sealed(Arc::new(SealKeys::new(Zeroizing::new([1; 32]), 1)))]
    }

    fn is_read(bytes: &[u8], of: &HintOf, cipher: &Cipher) -> bool {
        open(bytes.to_vec(), of, cipher).is_some_and(|opened| groups(&opened).is_some())
    }

    fn written(cipher: &Cipher) -> Vec<u8> {
        let mut writer = HintWriter::new(&OF);
        for (account, ops) in sample() {
            writer.begin(account);
            ops.iter().for_each(|op| writer.push(op));
        }
        writer.finish(cipher).unwrap()
    }

    #[test]
    fn a_hint_reads_back() {
        for cipher in ciphers() {
            let opened = open(written(&cipher), &OF, &cipher).unwrap();
            let read = groups(&opened).unwrap();
            let found: Vec<(&str, Vec<HintOp<'_>>)> =
                read.iter().map(|group| (group.account, group.ops().map(Option::unwrap).collect())).collect();
            assert_eq!(found, sample());
            for (group, (_, ops)) in read.iter().zip(sample()) {
                let keys: Vec<usize> =
                    ops.iter().filter_map(|op| if let HintOp::Put { key, .. } = op { Some(key.len()) } else { None }).collect();
                assert_eq!((group.puts, group.key_bytes), (keys.len(), keys.iter().sum()), "{}", group.account);
            }
        }
    }

    #[test]
    fn a_hint_without_operations_reads_back() {
        for cipher in ciphers() {
            let opened = open(HintWriter::new(&OF).finish(&cipher).unwrap(), &OF, &cipher).unwrap();
            assert_eq!(groups(&opened).unwrap().len(), 0);
        }
    }

    #[test]
    fn every_flipped_byte_and_truncation_of_a_hint_is_noticed() {
        for cipher in ciphers() {
            let bytes = written(&cipher);
            for at in 0..bytes.len() {
                let mut flipped = bytes.clone();
                flipped[at] ^= 0x10;
                assert!(!is_read(&flipped, &OF, &cipher), "byte {at}");
                assert!(!is_read(&bytes[..at], &OF, &cipher), "length {at}");
            }
        }
    }

    #[test]
    fn a_hint_of_another_segment_is_not_read() {
        for cipher in ciphers() {
            let bytes = written(&cipher);
            for of in [
                HintOf { cask_id: [3; 16], ..OF },
                HintOf { id: 8, ..OF },
                HintOf { salt: [3; 16], ..OF },
                HintOf { length: 4104, ..OF },
            ] {
                assert!(!is_read(&bytes, &of, &cipher), "{of:?}");
            }
        }
    }

    fn with_digest(mut bytes: Vec<u8>) -> Vec<u8> {
        let check = digest(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes
    }

    #[test]
    fn a_sealed_hint_cannot_be_made_or_changed_without_the_key() {
        let [plain, sealed] = ciphers();
        let bytes = written(&sealed);
        for at in 24..bytes.len() - 8 {
            let mut forged = bytes[..bytes.len() - 8].to_vec();
            forged[at] ^= 1;
            assert!(!is_read(&with_digest(forged), &OF, &sealed), "byte {at}");
        }
        assert!(!is_read(&written(&plain), &OF, &sealed));
        assert!(!bytes.windows(200).any(|window| window == [9; 200]));
    }

    // Reading a value takes as much memory as its chunk is said to have, and its place is kept in two bytes.
    #[test]
    fn a_hint_that_names_places_outside_of_its_segment_is_refused() {
        let of = HintOf { length: 4096, ..OF };
        let fits = |op: HintOp<'_>| {
            let mut writer = HintWriter::new(&of);
            writer.begin("one");
            writer.push(&op);
            is_read(&writer.finish(&Cipher::Plain).unwrap(), &of, &Cipher::Plain)
        };
        let put = |chunk, chunk_len, op, size| HintOp::Put { key: b"\x02a", chunk, chunk_len, op, size };
        assert!(fits(put(4000, 96, 95, 4096)));
        assert!(!fits(put(4000, 97, 9, 50)), "a chunk behind the end");
        assert!(!fits(put(300, u32::MAX, 9, 50)), "a chunk that is longer than the segment");
        assert!(!fits(put(300, 90, 90, 50)), "an operation behind its chunk");
        assert!(!fits(put(300, 90, 9, 4097)), "an operation that takes more than the segment has");
        assert!(!fits(HintOp::Clear { size: 4097 }) && !fits(HintOp::Delete { key: b"\x02a", size: 1 << 40 }));
    }

    // The index keeps the length of a key in two bytes, as batches do.
    #[test]
    fn a_hint_with_a_key_that_no_batch_can_have_is_refused() {
        for (length, is_good) in [(65_535, true), (65_536, false), (65_541, false)] {
            let key = vec![2; length];
            for op in
                [HintOp::Put { key: &key, chunk: 300, chunk_len: 90, op: 9, size: 50 }, HintOp::Delete { key: &key, size: 50 }]
            {
                let mut writer = HintWriter::new(&OF);
                writer.begin("one");
                writer.push(&op);
                assert_eq!(is_read(&writer.finish(&Cipher::Plain).unwrap(), &OF, &Cipher::Plain), is_good, "{length}");
            }
        }
    }

    // The digest is no proof against bytes that were made on purpose.
    #[test]
    fn malformed_operations_under_a_good_digest_are_refused() {
        let bytes = written(&Cipher::Plain);
        let ops_at = HEADER_BYTES + 1 + 3 + 8;
        for at in HEADER_BYTES..bytes.len() - 8 {
            for byte in [0, 1, 0x7f, 0xff] {
                let mut forged = bytes[..bytes.len() - 8].to_vec();
                forged[at] = byte;
                let opened = open(with_digest(forged), &OF, &Cipher::Plain).unwrap();
                if let Some(groups) = groups(&opened) {
                    assert!(groups.iter().all(|group| group.ops().all(|op| op.is_some())), "byte {at}");
                }
            }
        }
        let mut endless = bytes[..bytes.len() - 8].to_vec();
        endless[ops_at..ops_at + 10].fill(0xff);
        assert!(!is_read(&with_digest(endless), &OF, &Cipher::Plain));
    }
}
