//! Frames: one batch of one account each, in chunks that can be read and checked one by one.
//!
//! ```text
//! frame   header (32 bytes), chunks, zeros up to a multiple of 8
//! header  u32 payload length, u8 kind, u8 form, 2 zeros, u64 sequence, u64 synced, u64 check of the 24 bytes before
//! chunk   u32 body length, u8 form, 3 zeros, in the sealed form a nonce, body, in the sealed form a tag, u64 check
//! body    u8 length of the account's name, the name, operations
//! ```
//!
//! A frame of a sealed cask is encoded in the clear first, with room for nonces and tags, and sealed by copying it. So both have
//! their chunks and operations in the same places, and what was written can be indexed without decrypting it.

use super::check::{Salt, bind, digest};
use super::cipher::{Cipher, NONCE_BYTES, SealKeys, TAG_BYTES};
use super::nonce::FrameNonces;
use super::{LAST_COUNT, put, read_u32, read_u64};
use crate::error::{Error, Result};
use crate::record::{Op, OpReader};

/// Length of a frame header in bytes.
pub const FRAME_HEADER_BYTES: usize = 32;
/// A chunk takes no further operation once its body has this many bytes; a larger operation has a chunk of its own.
pub const CHUNK_TARGET_BYTES: usize = 16 << 10;
const CHECKED_HEADER_BYTES: usize = FRAME_HEADER_BYTES - 8;
const CHUNK_PREFIX_BYTES: usize = 8;
const CHECK_BYTES: usize = 8;
/// Where the form stands in a frame's header and in a chunk.
const FRAME_FORM_AT: usize = 5;
const CHUNK_FORM_AT: usize = 4;

/// Whether a frame has room for what sealing adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// It has none.
    Plain,
    /// It has.
    Sealed,
}

impl Form {
    /// The form of the frames of a cask.
    #[must_use]
    pub const fn of(cipher: &Cipher) -> Self {
        if cipher.is_sealed() { Self::Sealed } else { Self::Plain }
    }

    const fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Sealed => 1,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Plain),
            1 => Some(Self::Sealed),
            _ => None,
        }
    }

    /// Bytes of a chunk before its body.
    const fn before(self) -> usize {
        match self {
            Self::Plain => CHUNK_PREFIX_BYTES,
            Self::Sealed => CHUNK_PREFIX_BYTES + NONCE_BYTES,
        }
    }

    /// Bytes of a chunk after its body.
    const fn after(self) -> usize {
        match self {
            Self::Plain => CHECK_BYTES,
            Self::Sealed => TAG_BYTES + CHECK_BYTES,
        }
    }
}

/// Where the parts of a chunk lie in it.
#[derive(Debug, Clone, Copy)]
struct Shape {
    form: Form,
    body_len: usize,
}

impl Shape {
    fn read(chunk: &[u8]) -> Option<Self> {
        let form = Form::from_code(*chunk.get(CHUNK_FORM_AT)?)?;
        (chunk.get(CHUNK_FORM_AT + 1..CHUNK_PREFIX_BYTES)? == [0; 3]).then_some(())?;
        Some(Self { form, body_len: read_u32(chunk, 0)? as usize })
    }

    const fn body(self) -> std::ops::Range<usize> {
        let from = self.form.before();
        from..from.saturating_add(self.body_len)
    }

    /// Where the check stands, which is last.
    const fn check_at(self) -> usize {
        self.body().end.saturating_add(self.form.after() - CHECK_BYTES)
    }

    const fn len(self) -> usize {
        self.check_at().saturating_add(CHECK_BYTES)
    }
}

/// What a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// A batch.
    Batch,
    /// Says, with no batch at hand, up to where the log is on disk.
    Mark,
    /// The last frame of a log that was closed.
    End,
}

impl FrameKind {
    const fn code(self) -> u8 {
        match self {
            Self::Batch => 1,
            Self::Mark => 2,
            Self::End => 3,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Self::Batch),
            2 => Some(Self::Mark),
            3 => Some(Self::End),
            _ => None,
        }
    }
}

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Bytes of all chunks.
    pub payload_len: u32,
    /// What the frame is for.
    pub kind: FrameKind,
    /// Position in commit order; grows by one from frame to frame.
    pub seq: u64,
    /// Sequence number up to which all was on disk when it was written.
    pub synced: u64,
}

impl FrameHeader {
    /// Bytes of the whole frame, padding included.
    #[must_use]
    pub const fn frame_len(&self) -> u64 {
        padded(FRAME_HEADER_BYTES as u64 + self.payload_len as u64)
    }

    /// Reads and checks a header at its place: `None` where there is none.
    #[must_use]
    pub fn decode(bytes: &[u8], salt: &Salt, offset: u64, cipher: &Cipher) -> Option<Self> {
        let header = bytes.get(..FRAME_HEADER_BYTES)?;
        // Before the check, which takes longer: whoever looks for a frame asks at each place.
        let kind = FrameKind::from_code(*header.get(4)?)?;
        if Form::from_code(*header.get(FRAME_FORM_AT)?) != Some(Form::of(cipher))
            || read_u64(header, CHECKED_HEADER_BYTES)? != header_check(header.get(..CHECKED_HEADER_BYTES)?, salt, offset, cipher)
        {
            return None;
        }
        let found = Self { payload_len: read_u32(header, 0)?, kind, seq: read_u64(header, 8)?, synced: read_u64(header, 16)? };
        (found.seq <= LAST_COUNT && found.synced <= LAST_COUNT).then_some(found)
    }
}

fn header_check(checked: &[u8], salt: &Salt, offset: u64, cipher: &Cipher) -> u64 {
    match cipher {
        Cipher::Plain => bind(digest(checked), salt, offset),
        Cipher::Sealed(keys) => keys.bind(checked, salt, offset),
    }
}

const fn padded(len: u64) -> u64 {
    len.next_multiple_of(8)
}

/// Appends an unfinished batch frame: everything but what depends on its place, in the clear.
///
/// `ops` are operations that have passed [`crate::record::check_batch`]. Returns `false`, with `out` as it was, where they
/// are malformed all the same.
#[must_use]
pub fn encode_batch(out: &mut Vec<u8>, account: &str, ops: &[u8], form: Form) -> bool {
    let start = out.len();
    out.reserve(FRAME_HEADER_BYTES + ops.len() + ops.len() / 128 + account.len() + 128);
    begin(out, FrameKind::Batch, form);
    let mut reader = OpReader::new(ops);
    let (mut from, mut filled) = (0, 0);
    while let Some(op) = reader.next() {
        if op.is_err() {
            out.truncate(start);
            return false;
        }
        let to = reader.position();
        if to - from > CHUNK_TARGET_BYTES - 512 && filled > from {
            push_chunk(out, account, ops.get(from..filled).unwrap_or_default(), form);
            from = filled;
        }
        filled = to;
    }
    push_chunk(out, account, ops.get(from..filled).unwrap_or_default(), form);
    pad(out, start);
    true
}

/// Appends an unfinished frame without a payload.
pub fn encode_empty(out: &mut Vec<u8>, kind: FrameKind, form: Form) {
    begin(out, kind, form);
}

fn begin(out: &mut Vec<u8>, kind: FrameKind, form: Form) {
    out.extend_from_slice(&[0, 0, 0, 0, kind.code(), form.code()]);
    out.extend_from_slice(&[0; FRAME_HEADER_BYTES - 6]);
}

fn push_chunk(out: &mut Vec<u8>, account: &str, ops: &[u8], form: Form) {
    let start = out.len();
    let body_len = 1 + account.len() + ops.len();
    out.extend_from_slice(&(body_len as u32).to_le_bytes());
    out.extend_from_slice(&[form.code(), 0, 0, 0]);
    if form == Form::Sealed {
        out.extend_from_slice(&[0; NONCE_BYTES]);
    }
    out.push(account.len() as u8);
    out.extend_from_slice(account.as_bytes());
    out.extend_from_slice(ops);
    match form {
        // The digest stands where the check goes until the chunk's place is known.
        Form::Plain => {
            let digest = digest(out.get(start..).unwrap_or_default());
            out.extend_from_slice(&digest.to_le_bytes());
        }
        Form::Sealed => out.extend_from_slice(&[0; TAG_BYTES + CHECK_BYTES]),
    }
}

fn pad(out: &mut Vec<u8>, start: usize) {
    let payload_len = out.len() - start - FRAME_HEADER_BYTES;
    put(out, start, &(payload_len as u32).to_le_bytes());
    let target = start + padded((out.len() - start) as u64) as usize;
    out.resize(target, 0);
}

/// The chunks of a frame: where each begins, and its shape. All of a chunk lies in the frame.
fn shapes(frame: &[u8]) -> impl Iterator<Item = (usize, Shape)> {
    let payload_end = FRAME_HEADER_BYTES + read_u32(frame, 0).unwrap_or(0) as usize;
    let mut next = FRAME_HEADER_BYTES;
    std::iter::from_fn(move || {
        let at = next;
        let shape = Shape::read(frame.get(at..payload_end)?)?;
        next = at.saturating_add(shape.len());
        (next <= payload_end).then_some((at, shape))
    })
}

/// Appends the sealed copy of an unfinished frame, which is unfinished too.
///
/// # Errors
/// `Io` where there are no random numbers for a nonce; `out` is as it was then.
pub fn seal(frame: &[u8], keys: &SealKeys, out: &mut Vec<u8>) -> Result<()> {
    let nonces = FrameNonces::draw()?;
    let start = out.len();
    out.extend_from_slice(frame);
    for (number, (at, shape)) in (0_u32..).zip(shapes(frame)) {
        let nonce = nonces.of(number);
        let chunk = out.get_mut(start + at..).unwrap_or_default();
        let (prefix, rest) = chunk.split_at_mut(CHUNK_PREFIX_BYTES.min(chunk.len()));
        put(rest, 0, &nonce);
        let body = rest.get_mut(NONCE_BYTES..NONCE_BYTES + shape.body_len);
        let tag = body.and_then(|body| keys.seal_chunk(&nonce, prefix, body));
        let Some(tag) = tag else {
            out.truncate(start);
            return Err(Error::internal("a chunk cannot be sealed"));
        };
        put(rest, NONCE_BYTES + shape.body_len, &tag);
    }
    Ok(())
}

/// Completes an unfinished frame, sealed where the cask is, for its place in the log.
pub fn finish(frame: &mut [u8], seq: u64, synced: u64, salt: &Salt, offset: u64, cipher: &Cipher) {
    let mut at = FRAME_HEADER_BYTES;
    let payload_end = FRAME_HEADER_BYTES + read_u32(frame, 0).unwrap_or(0) as usize;
    while at < payload_end {
        let Some(chunk) = frame.get_mut(at..) else { break };
        let Some(shape) = Shape::read(chunk) else { break };
        let check_at = shape.check_at();
        let check = match cipher {
            Cipher::Plain => read_u64(chunk, check_at).map(|digest| bind(digest, salt, offset + at as u64)),
            Cipher::Sealed(keys) => {
                let tag = chunk.get(shape.body().end..check_at);
                tag.map(|tag| keys.bind(tag, salt, offset + at as u64))
            }
        };
        let Some(check) = check else { break };
        put(chunk, check_at, &check.to_le_bytes());
        at += shape.len();
    }
    put(frame, 8, &seq.to_le_bytes());
    put(frame, 16, &synced.to_le_bytes());
    let check = header_check(frame.get(..CHECKED_HEADER_BYTES).unwrap_or_default(), salt, offset, cipher);
    put(frame, CHECKED_HEADER_BYTES, &check.to_le_bytes());
}

/// Makes a finished frame unfinished again, so that it can be written to another place.
pub fn unfinish(frame: &mut [u8]) {
    let places: Vec<(usize, Shape)> = shapes(frame).filter(|(_, shape)| shape.form == Form::Plain).collect();
    for (at, shape) in places {
        let check_at = at + shape.check_at();
        let digest = digest(frame.get(at..check_at).unwrap_or_default());
        put(frame, check_at, &digest.to_le_bytes());
    }
}

/// One chunk of a frame.
#[derive(Debug, Clone, Copy)]
pub struct Chunk<'a> {
    /// Offset of the chunk from the start of the frame.
    pub at: usize,
    /// Bytes of the whole chunk.
    pub len: usize,
    /// Its account and operations.
    pub body: Body<'a>,
}

/// The body of a chunk.
#[derive(Debug, Clone, Copy)]
pub struct Body<'a> {
    /// Account whose batch it is.
    pub account: &'a str,
    /// Packed operations.
    pub ops: &'a [u8],
    /// Offset of the operations from the start of the body.
    pub ops_at: usize,
}

impl<'a> Body<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        let length = usize::from(*bytes.first()?);
        let account = std::str::from_utf8(bytes.get(1..1 + length)?).ok()?;
        Some(Self { account, ops: bytes.get(1 + length..)?, ops_at: 1 + length })
    }

    /// The operation that starts at an offset of the body.
    #[must_use]
    pub fn op_at(&self, at: usize) -> Option<Op<'a>> {
        OpReader::new(self.ops.get(at.checked_sub(self.ops_at)?..)?).next()?.ok()
    }
}

/// The shape of the chunk at the start of `bytes`. All of a plain one has been checked then; of a sealed one, that it is in its place.
fn checked_shape(bytes: &[u8], salt: &Salt, offset: u64, cipher: &Cipher) -> Option<Shape> {
    let shape = Shape::read(bytes).filter(|shape| shape.form == Form::of(cipher))?;
    let check = match cipher {
        Cipher::Plain => bind(digest(bytes.get(..shape.check_at())?), salt, offset),
        Cipher::Sealed(keys) => keys.bind(bytes.get(shape.body().end..shape.check_at())?, salt, offset),
    };
    (read_u64(bytes, shape.check_at())? == check).then_some(shape)
}

/// Checks the chunk at the start of `bytes` and gives its length. Decrypts it where it lies if it is sealed: from then on its body can
/// be read, and it does not pass a check any more.
#[must_use]
pub fn open_chunk(bytes: &mut [u8], salt: &Salt, offset: u64, cipher: &Cipher) -> Option<usize> {
    let shape = checked_shape(bytes, salt, offset, cipher)?;
    if let Some(keys) = cipher.keys() {
        let (prefix, rest) = bytes.split_at_mut_checked(CHUNK_PREFIX_BYTES)?;
        let (nonce, rest) = rest.split_first_chunk_mut()?;
        keys.open_chunk(nonce, prefix, rest.get_mut(..shape.body_len + TAG_BYTES)?).then_some(())?;
    }
    Body::parse(bytes.get(shape.body())?).map(|_| shape.len())
}

/// Whether the bytes look like the start of a chunk, which for a plain one is quicker to tell than whether they are.
fn is_plausible(bytes: &[u8], cipher: &Cipher) -> bool {
    cipher.is_sealed() || body_of_checked(bytes).is_some_and(|body| !OpReader::new(body.ops).any(|op| op.is_err()))
}

/// Whether a chunk of this place begins there. All of a plain one is checked; of a sealed one, its tag and its place.
#[must_use]
pub fn is_chunk(bytes: &[u8], salt: &Salt, offset: u64, cipher: &Cipher) -> bool {
    is_plausible(bytes, cipher) && checked_shape(bytes, salt, offset, cipher).is_some()
}

/// The body of a chunk that has been checked, and decrypted, before.
#[must_use]
pub fn body_of_checked(chunk: &[u8]) -> Option<Body<'_>> {
    Body::parse(chunk.get(Shape::read(chunk)?.body())?)
}

/// The chunks of a frame in the clear that this process has encoded or has checked before.
pub fn chunks(frame: &[u8]) -> impl Iterator<Item = Chunk<'_>> {
    shapes(frame).map_while(|(at, shape)| {
        let body = Body::parse(frame.get(at..)?.get(shape.body())?)?;
        Some(Chunk { at, len: shape.len(), body })
    })
}

/// Checks a whole frame whose header has been decoded: every chunk, every operation, and the padding. Gives it in the clear: the bytes
/// themselves, or where they are sealed `opened`, which holds a decrypted copy then.
#[must_use]
pub fn open<'b>(
    frame: &'b [u8],
    header: &FrameHeader,
    salt: &Salt,
    offset: u64,
    cipher: &Cipher,
    opened: &'b mut Vec<u8>,
) -> Option<&'b [u8]> {
    let payload_end = FRAME_HEADER_BYTES + header.payload_len as usize;
    let frame = frame.get(..header.frame_len() as usize)?;
    if frame.get(payload_end..)?.iter().any(|byte| *byte != 0) {
        return None;
    }
    let mut at = FRAME_HEADER_BYTES;
    let clear = if cipher.is_sealed() {
        opened.clear();
        opened.extend_from_slice(frame);
        while at < payload_end {
            at += open_chunk(opened.get_mut(at..payload_end)?, salt, offset + at as u64, cipher)?;
        }
        &*opened
    } else {
        while at < payload_end {
            at += checked_shape(frame.get(at..payload_end)?, salt, offset + at as u64, cipher)?.len();
        }
        frame
    };
    let (mut account, mut reached) = (None, FRAME_HEADER_BYTES);
    for chunk in chunks(clear) {
        let Body { account: name, ops, .. } = chunk.body;
        if *account.get_or_insert(name) != name || OpReader::new(ops).any(|op| op.is_err()) {
            return None;
        }
        reached += chunk.len;
    }
    (reached == payload_end && (header.kind == FrameKind::Batch) == account.is_some()).then_some(clear)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use std::sync::Arc;

    use zeroize::Zeroizing;

    use super::*;

    const SALT: Salt = [7; 16];

    fn sealed(key: u8) -> Cipher {
        Cipher::Sealed(Arc::new(SealKeys::new(Zeroizing::new([key; 32]), 1)))
    }

    fn both() -> [Cipher; 2] {
        [Cipher::Plain, sealed(1)]
    }

    fn frame_of(ops: &[Op<'_>], offset: u64, cipher: &Cipher) -> Vec<u8> {
        let mut packed = Vec::new();
        ops.iter().for_each(|op| op.pack(&mut packed));
        let mut clear = Vec::new();
        assert!(encode_batch(&mut clear, "default", &packed, Form::of(cipher)));
        let mut frame = Vec::new();
        match cipher {
            Cipher::Plain => frame = clear,
            Cipher::Sealed(keys) => seal(&clear, keys, &mut frame).unwrap(),
        }
        finish(&mut frame, 5, 3, &SALT, offset, cipher);
        frame
    }

    fn opened(frame: &[u8], salt: &Salt, offset: u64, cipher: &Cipher) -> Option<Vec<u8>> {
        let header = FrameHeader::decode(frame, salt, offset, cipher)?;
        open(frame, &header, salt, offset, cipher, &mut Vec::new()).map(<[u8]>::to_vec)
    }

    fn is_valid(frame: &[u8], salt: &Salt, offset: u64, cipher: &Cipher) -> bool {
        opened(frame, salt, offset, cipher).is_some()
    }

    #[test]
    fn frame_reads_back() {
        for cipher in both() {
            let frame = frame_of(&[Op::Put { key: b"\x02a", value: b"one" }, Op::Delete { key: b"\x02b" }], 4096, &cipher);
            let header = FrameHeader::decode(&frame, &SALT, 4096, &cipher).unwrap();
            assert_eq!((header.seq, header.synced, header.kind), (5, 3, FrameKind::Batch));
            assert_eq!(header.frame_len(), frame.len() as u64);
            let frame = opened(&frame, &SALT, 4096, &cipher).unwrap();
            let chunk = chunks(&frame).next().unwrap();
            assert_eq!(chunk.body.account, "default");
            let first = chunk.body.op_at(chunk.body.ops_at).unwrap();
            assert_eq!(first, Op::Put { key: b"\x02a", value: b"one" });
        }
    }

    #[test]
    fn a_frame_with_numbers_that_no_cask_gets_to_is_none() {
        for cipher in both() {
            let mut frame = frame_of(&[Op::Clear], 4096, &cipher);
            for (seq, synced) in [(LAST_COUNT + 1, 3), (u64::MAX, 3), (5, u64::MAX)] {
                unfinish(&mut frame);
                finish(&mut frame, seq, synced, &SALT, 4096, &cipher);
                assert!(!is_valid(&frame, &SALT, 4096, &cipher), "{seq}, {synced}");
            }
            unfinish(&mut frame);
            finish(&mut frame, LAST_COUNT, LAST_COUNT, &SALT, 4096, &cipher);
            assert!(is_valid(&frame, &SALT, 4096, &cipher), "the highest numbers there are");
        }
    }

    #[test]
    fn a_chunk_whose_last_bytes_are_not_in_the_frame_is_none() {
        for (form, after) in [(Form::Plain, 8), (Form::Sealed, 24)] {
            let mut frame = Vec::new();
            assert!(encode_batch(&mut frame, "default", &[3], form));
            assert_eq!(chunks(&frame).count(), 1);
            // What of a chunk comes before its body, and the body, are there.
            let payload = read_u32(&frame, 0).unwrap();
            for missing in 1..=after {
                put(&mut frame, 0, &(payload - missing).to_le_bytes());
                assert_eq!(chunks(&frame).count(), 0, "{form:?}, {missing} bytes are missing");
            }
        }
    }

    #[test]
    fn a_frame_is_valid_only_in_its_place() {
        for cipher in both() {
            let frame = frame_of(&[Op::Put { key: b"\x02a", value: b"one" }], 4096, &cipher);
            assert!(is_valid(&frame, &SALT, 4096, &cipher));
            assert!(!is_valid(&frame, &SALT, 4104, &cipher));
            assert!(!is_valid(&frame, &[8; 16], 4096, &cipher));
        }
    }

    #[test]
    fn a_sealed_frame_is_valid_under_its_own_keys_alone() {
        let cipher = sealed(1);
        let frame = frame_of(&[Op::Put { key: b"\x02a", value: b"one" }], 4096, &cipher);
        assert!(!is_valid(&frame, &SALT, 4096, &sealed(2)));
        assert!(!is_valid(&frame, &SALT, 4096, &Cipher::Plain));
        let plain = frame_of(&[Op::Put { key: b"\x02a", value: b"one" }], 4096, &Cipher::Plain);
        assert!(!is_valid(&plain, &SALT, 4096, &cipher));
    }

    #[test]
    fn nothing_of_a_sealed_batch_can_be_read_and_no_two_are_alike() {
        let ops = [Op::Put { key: b"\x024915112345678.0", value: b"the value itself" }];
        let (one, other) = (frame_of(&ops, 4096, &sealed(1)), frame_of(&ops, 4096, &sealed(1)));
        for secret in [&b"4915112345678"[..], b"the value itself", b"default"] {
            assert!(!one.windows(secret.len()).any(|window| window == secret), "{}", String::from_utf8_lossy(secret));
        }
        assert_eq!(one[..FRAME_HEADER_BYTES], other[..FRAME_HEADER_BYTES]);
        assert!(one[40..].iter().zip(&other[40..]).filter(|(a, b)| a == b).count() < one.len() / 4);
    }

    #[test]
    fn every_flipped_byte_and_truncation_of_a_frame_is_noticed() {
        for cipher in both() {
            let frame = frame_of(&[Op::Put { key: b"\x02abc", value: &[9; 100] }, Op::Clear], 256, &cipher);
            assert!(is_valid(&frame, &SALT, 256, &cipher));
            for at in 0..frame.len() {
                let mut flipped = frame.clone();
                flipped[at] ^= 0x40;
                assert!(!is_valid(&flipped, &SALT, 256, &cipher), "byte {at}");
                assert!(!is_valid(&frame[..at], &SALT, 256, &cipher), "length {at}");
            }
        }
    }

    #[test]
    fn chunks_of_a_sealed_frame_cannot_be_exchanged() {
        let cipher = sealed(1);
        let value = vec![3; CHUNK_TARGET_BYTES];
        let put = |key| Op::Put { key, value: &value };
        let frame = frame_of(&[put(b"\x02a"), put(b"\x02b")], 256, &cipher);
        let places: Vec<(usize, Shape)> = shapes(&frame).collect();
        let ((first, shape), (second, same)) = (places[0], places[1]);
        assert_eq!(places.len(), 2);
        assert_eq!(shape.len(), same.len());
        let mut exchanged = frame.clone();
        exchanged.copy_within(second..second + same.len(), first);
        exchanged[second..second + same.len()].copy_from_slice(&frame[first..first + shape.len()]);
        assert!(!is_valid(&exchanged, &SALT, 256, &cipher));
        // Nor may one take the other's tag along with its check.
        let mut exchanged = frame.clone();
        exchanged.copy_within(second..second + same.check_at(), first);
        assert!(!is_valid(&exchanged, &SALT, 256, &cipher));
    }

    #[test]
    fn a_frame_can_go_to_another_place() {
        for cipher in both() {
            let mut frame = frame_of(&[Op::Put { key: b"\x02a", value: b"one" }], 4096, &cipher);
            unfinish(&mut frame);
            finish(&mut frame, 8, 3, &[9; 16], 512, &cipher);
            assert!(is_valid(&frame, &[9; 16], 512, &cipher));
        }
    }

    #[test]
    fn a_large_batch_is_split_into_chunks_and_a_large_value_has_its_own() {
        let small = vec![1; 1000];
        let large = vec![2; 100_000];
        let mut ops: Vec<Op<'_>> = (0..40).map(|_| Op::Put { key: b"\x02small", value: &small }).collect();
        ops.insert(20, Op::Put { key: b"\x02large", value: &large });
        for cipher in both() {
            let frame = opened(&frame_of(&ops, 0, &cipher), &SALT, 0, &cipher).unwrap();
            let mut read = Vec::new();
            for chunk in chunks(&frame) {
                let inside: Vec<_> = OpReader::new(chunk.body.ops).map(Result::unwrap).collect();
                assert!(chunk.len <= CHUNK_TARGET_BYTES || inside.len() == 1, "{} bytes, {} ops", chunk.len, inside.len());
                read.extend(inside);
            }
            assert_eq!(read, ops);
        }
    }

    #[test]
    fn the_places_of_operations_are_the_same_in_the_clear_and_as_written() {
        let (a, b) = ([1; 9000], [2; 9000]);
        let ops = [Op::Put { key: b"\x02a", value: &a }, Op::Put { key: b"\x02b", value: &b }];
        let mut packed = Vec::new();
        ops.iter().for_each(|op| op.pack(&mut packed));
        let mut clear = Vec::new();
        assert!(encode_batch(&mut clear, "default", &packed, Form::Sealed));
        let written = frame_of(&ops, 0, &sealed(1));
        let places = |frame: &[u8]| chunks(frame).map(|chunk| (chunk.at, chunk.len, chunk.body.ops_at)).collect::<Vec<_>>();
        assert_eq!(places(&clear), places(&opened(&written, &SALT, 0, &sealed(1)).unwrap()));
        assert_eq!(clear.len(), written.len());
    }

    #[test]
    fn marks_and_ends_have_no_payload() {
        for cipher in both() {
            for kind in [FrameKind::Mark, FrameKind::End] {
                let mut frame = Vec::new();
                encode_empty(&mut frame, kind, Form::of(&cipher));
                finish(&mut frame, 9, 8, &SALT, 512, &cipher);
                let header = FrameHeader::decode(&frame, &SALT, 512, &cipher).unwrap();
                assert_eq!((header.kind, header.seq, header.frame_len()), (kind, 9, 32));
                assert!(is_valid(&frame, &SALT, 512, &cipher));
            }
        }
    }
}
