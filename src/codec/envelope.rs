//! An envelope: the sealed rest of a small file.
//!
//! ```text
//! head  u16 cipher, u16 0, u32 key, 24 bytes nonce
//! body  encrypted
//! tag   16 bytes, over the file's header, the head and the body
//! ```

use super::cipher::{NONCE_BYTES, SEALED, SealKeys, TAG_BYTES, random};
use super::{read_u16, read_u32};
use crate::error::{Error, Result};

/// Bytes before the body.
pub const HEAD_BYTES: usize = 8 + NONCE_BYTES;

/// Puts `body` into an envelope behind the header of its file.
///
/// # Errors
/// `Io` where there are no random numbers.
pub fn seal(header: Vec<u8>, body: &[u8], keys: &SealKeys) -> Result<Vec<u8>> {
    let nonce = random::<NONCE_BYTES>()?;
    let mut bytes = header;
    bytes.extend_from_slice(&SEALED.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&keys.id().to_le_bytes());
    bytes.extend_from_slice(&nonce);
    let head_end = bytes.len();
    bytes.extend_from_slice(body);
    let (head, body) = bytes.split_at_mut(head_end);
    let tag = keys.seal_file(&nonce, head, body).ok_or_else(|| Error::internal("a file cannot be sealed"))?;
    bytes.extend_from_slice(&tag);
    Ok(bytes)
}

/// What is in the envelope that begins at `at` and ends with the file; `None` where it is not one that was made with these keys, for
/// the header before it.
#[must_use]
pub fn open(bytes: &[u8], at: usize, keys: &SealKeys) -> Option<Vec<u8>> {
    let body_at = at.checked_add(HEAD_BYTES)?;
    if read_u16(bytes, at)? != SEALED || read_u32(bytes, at + 4)? != keys.id() {
        return None;
    }
    let (head, sealed) = bytes.split_at_checked(body_at)?;
    let mut body = sealed.to_vec();
    let is_sealed = keys.open_file(head.last_chunk()?, head, &mut body);
    body.truncate(body.len().checked_sub(TAG_BYTES)?);
    is_sealed.then_some(body)
}
