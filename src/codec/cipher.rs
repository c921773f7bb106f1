//! How the bytes of a cask are kept: plain, or sealed.
//!
//! Sealing takes two steps, as a check does. A chunk is encrypted outside the append lock, before its place is known, under a random
//! nonce; inside it, its tag is bound to the segment's salt and the offset by a keyed hash. So a sealed chunk validates in its place
//! alone, and nothing has to be encrypted anew when a write fails and the batch goes to another place.
//!
//! A nonce is never derived from a place: then it is unique whatever a crash, a restored copy or a fault of the log does to places.

use std::fmt;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::aead;
pub use super::aead::{KEY_BYTES, Key, NONCE_BYTES, TAG_BYTES};
use super::check::Salt;
use crate::error::{Error, Result};

/// Code of a cask that is not sealed.
pub const PLAIN: u16 = 0;
/// Code of XChaCha20-Poly1305 with places bound by BLAKE3.
pub const SEALED: u16 = 1;

/// The keys of a sealed cask, all made from its data key.
pub struct SealKeys {
    chunks: Key,
    files: Key,
    places: Key,
    data_key: Key,
    id: u32,
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealKeys").field("id", &self.id).finish_non_exhaustive()
    }
}

/// A key for one purpose.
fn derive(purpose: &str, data_key: &Key) -> Key {
    Zeroizing::new(blake3::derive_key(purpose, &**data_key))
}

impl SealKeys {
    /// The keys that a data key stands for; `id` is that of the key slot which holds it.
    #[must_use]
    pub fn new(data_key: Key, id: u32) -> Self {
        Self {
            chunks: derive("baileys-cask v1 chunks", &data_key),
            files: derive("baileys-cask v1 files", &data_key),
            places: derive("baileys-cask v1 places", &data_key),
            data_key,
            id,
        }
    }

    /// The key that all others are made from.
    #[must_use]
    pub const fn data_key(&self) -> &Key {
        &self.data_key
    }

    /// Number of the data key, as segments name it.
    #[must_use]
    pub const fn id(&self) -> u32 {
        self.id
    }

    /// Encrypts a chunk in place; `prefix` is authenticated and stays readable.
    pub(super) fn seal_chunk(&self, nonce: &[u8; NONCE_BYTES], prefix: &[u8], body: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        aead::seal(&self.chunks, nonce, prefix, body)
    }

    /// Decrypts a chunk with its tag in place; says whether it is the one that was sealed. Where it is not, it may be anything afterwards.
    pub(super) fn open_chunk(&self, nonce: &[u8; NONCE_BYTES], prefix: &[u8], body_and_tag: &mut [u8]) -> bool {
        aead::open(&self.chunks, nonce, prefix, body_and_tag)
    }

    /// Encrypts the rest of a small file in place: the manifest, a hint.
    pub(super) fn seal_file(&self, nonce: &[u8; NONCE_BYTES], header: &[u8], rest: &mut [u8]) -> Option<[u8; TAG_BYTES]> {
        aead::seal(&self.files, nonce, header, rest)
    }

    /// Decrypts the rest of a small file with its tag in place; says whether all of it is what was sealed.
    pub(super) fn open_file(&self, nonce: &[u8; NONCE_BYTES], header: &[u8], rest_and_tag: &mut [u8]) -> bool {
        aead::open(&self.files, nonce, header, rest_and_tag)
    }

    /// Hash of some bytes at their place, which nobody can make without the key.
    pub(super) fn bind(&self, bytes: &[u8], salt: &Salt, offset: u64) -> u64 {
        let mut hasher = blake3::Hasher::new_keyed(&self.places);
        hasher.update(salt).update(&offset.to_le_bytes()).update(bytes);
        let hash = hasher.finalize();
        hash.as_bytes().first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }

    /// Authenticates the header of a segment.
    pub(super) fn sign_header(&self, header: &[u8]) -> [u8; TAG_BYTES] {
        let hash = blake3::Hasher::new_keyed(&self.places).update(b"segment header").update(header).finalize();
        hash.as_bytes().first_chunk().copied().unwrap_or_default()
    }
}

/// How the bytes of a cask are kept.
#[derive(Debug, Clone, Default)]
pub enum Cipher {
    /// As they are, with checks against damage.
    #[default]
    Plain,
    /// Encrypted and authenticated.
    Sealed(Arc<SealKeys>),
}

impl Cipher {
    /// The keys of a sealed cask.
    #[must_use]
    pub fn keys(&self) -> Option<&SealKeys> {
        match self {
            Self::Plain => None,
            Self::Sealed(keys) => Some(keys),
        }
    }

    /// Whether the cask is sealed.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        matches!(self, Self::Sealed(_))
    }

    /// Code of the cipher, as headers have it.
    #[must_use]
    pub const fn code(&self) -> u16 {
        if self.is_sealed() { SEALED } else { PLAIN }
    }

    /// Number of its data key, as headers have it; 0 where it has none.
    #[must_use]
    pub fn key_id(&self) -> u32 {
        self.keys().map_or(0, SealKeys::id)
    }
}

/// Fills bytes from the operating system's source of random numbers.
///
/// # Errors
/// `Io` where it has none.
pub fn fill_random(bytes: &mut [u8]) -> Result<()> {
    getrandom::fill(bytes).map_err(|cause| {
        let cause = std::io::Error::other(cause.to_string());
        Error::io("getrandom", std::path::Path::new("the random source"), &cause)
    })
}

/// Random bytes from the operating system.
///
/// # Errors
/// `Io` where it has none.
pub fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    fill_random(&mut bytes)?;
    Ok(bytes)
}
