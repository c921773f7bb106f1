//! The key slot: the data key of a sealed cask, wrapped by its user's key.
//!
//! ```text
//! preamble, cask, u32 number of the data key, u32 kdf, u32 KiB of memory, u32 passes, u32 lanes, u32 0, 16 bytes salt, 24 bytes nonce,
//! 32 bytes data key, encrypted, 16 bytes tag, u64 digest of all before
//! ```

use std::path::Path;

use zeroize::Zeroizing;

use super::aead::{self, KEY_BYTES, Key, NONCE_BYTES, TAG_BYTES};
use super::check::digest;
use super::{preamble, put, read_id, read_u32, read_u64};
use crate::error::{Error, Result};

/// Length of a key slot in bytes.
pub const KEY_SLOT_BYTES: usize = 160;
const MAGIC: &[u8; 8] = b"BCASKKEY";
const NONCE_AT: usize = 80;
const WRAPPED_AT: usize = NONCE_AT + NONCE_BYTES;
const TAG_AT: usize = WRAPPED_AT + KEY_BYTES;
const CHECK_AT: usize = TAG_AT + TAG_BYTES;

/// How the key that wraps comes from the user's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kdf {
    /// The user's key has 32 random bytes.
    Raw,
    /// It is a passphrase.
    Argon2id(Argon2Cost),
}

/// What one guess of a passphrase costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Cost {
    /// Memory in KiB.
    pub memory: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes.
    pub lanes: u32,
}

impl Argon2Cost {
    /// What new slots have: the second choice of RFC 9106, section 4.
    pub const DEFAULT: Self = Self { memory: 64 << 10, passes: 3, lanes: 4 };
    /// Nothing more is done for a slot, whatever it asks for: its numbers are not authenticated before the work is done.
    pub const MOST: Self = Self { memory: 256 << 10, passes: 16, lanes: 16 };

    fn is_bearable(self) -> bool {
        let Self { memory, passes, lanes } = self;
        (1..=Self::MOST.lanes).contains(&lanes)
            && (1..=Self::MOST.passes).contains(&passes)
            && (8 * lanes..=Self::MOST.memory).contains(&memory)
    }
}

/// What a key slot says in the clear; all of it is authenticated when the data key is unwrapped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeySlot {
    /// Identity of the cask.
    pub cask_id: [u8; 16],
    /// Number of the data key.
    pub key_id: u32,
    /// How the key that wraps comes from the user's.
    pub kdf: Kdf,
    /// Salt of the passphrase; random for a raw key as well.
    pub salt: [u8; 16],
}

impl KeySlot {
    fn head(&self) -> [u8; NONCE_AT] {
        let mut bytes = [0; NONCE_AT];
        preamble::write(&mut bytes, MAGIC, KEY_SLOT_BYTES as u32);
        put(&mut bytes, 24, &self.cask_id);
        put(&mut bytes, 40, &self.key_id.to_le_bytes());
        if let Kdf::Argon2id(cost) = self.kdf {
            put(&mut bytes, 44, &1_u32.to_le_bytes());
            put(&mut bytes, 48, &cost.memory.to_le_bytes());
            put(&mut bytes, 52, &cost.passes.to_le_bytes());
            put(&mut bytes, 56, &cost.lanes.to_le_bytes());
        }
        put(&mut bytes, 64, &self.salt);
        bytes
    }

    /// The bytes of a slot that holds a data key.
    #[must_use]
    pub fn encode(&self, data_key: &Key, wrapping: &Key, nonce: &[u8; NONCE_BYTES]) -> Option<[u8; KEY_SLOT_BYTES]> {
        let head = self.head();
        let mut wrapped = Zeroizing::new(**data_key);
        let tag = aead::seal(wrapping, nonce, &head, &mut *wrapped)?;
        let mut bytes = [0; KEY_SLOT_BYTES];
        put(&mut bytes, 0, &head);
        put(&mut bytes, NONCE_AT, nonce);
        put(&mut bytes, WRAPPED_AT, &*wrapped);
        put(&mut bytes, TAG_AT, &tag);
        let check = digest(bytes.get(..CHECK_AT).unwrap_or_default());
        put(&mut bytes, CHECK_AT, &check.to_le_bytes());
        Some(bytes)
    }

    /// Reads what a slot says in the clear.
    ///
    /// # Errors
    /// `Corrupt` where the bytes are not a whole, intact slot, or ask for more work or memory than any that this package makes;
    /// `Version` for another format version.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Self> {
        let Some(header_len) = preamble::header_len(bytes, MAGIC) else {
            return Err(Error::corrupt(path, 0, "its first bytes are not those of a key slot"));
        };
        preamble::check_version(bytes, path)?;
        let is_whole = header_len as usize == KEY_SLOT_BYTES && bytes.len() == KEY_SLOT_BYTES;
        let slot = if is_whole { Self::fields(bytes) } else { None };
        let slot = slot.ok_or_else(|| Error::corrupt(path, 24, "its check does not match its contents"))?;
        match slot.kdf {
            Kdf::Argon2id(cost) if !cost.is_bearable() => {
                Err(Error::corrupt(path, 48, "it asks for more memory or work than a key slot may"))
            }
            _ => Ok(slot),
        }
    }

    fn fields(bytes: &[u8]) -> Option<Self> {
        if digest(bytes.get(..CHECK_AT)?) != read_u64(bytes, CHECK_AT)? {
            return None;
        }
        let kdf = match read_u32(bytes, 44)? {
            0 => Kdf::Raw,
            1 => Kdf::Argon2id(Argon2Cost {
                memory: read_u32(bytes, 48)?,
                passes: read_u32(bytes, 52)?,
                lanes: read_u32(bytes, 56)?,
            }),
            _ => return None,
        };
        let slot = Self { cask_id: read_id(bytes, 24)?, key_id: read_u32(bytes, 40)?, kdf, salt: read_id(bytes, 64)? };
        // What is not read must not be there.
        (slot.head() == *bytes.get(..NONCE_AT)?).then_some(slot)
    }

    /// The data key in the bytes of a slot; `None` where the key is not the one that wraps it, or the slot was changed.
    #[must_use]
    pub fn unwrap(bytes: &[u8], wrapping: &Key) -> Option<Key> {
        let (head, rest) = bytes.split_at_checked(NONCE_AT)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let mut wrapped: Zeroizing<[u8; KEY_BYTES + TAG_BYTES]> = Zeroizing::new(*rest.first_chunk()?);
        if !aead::open(wrapping, nonce, head, &mut *wrapped) {
            return None;
        }
        wrapped.first_chunk().map(|key| Zeroizing::new(*key))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn key(byte: u8) -> Key {
        Zeroizing::new([byte; KEY_BYTES])
    }

    fn slot(kdf: Kdf) -> KeySlot {
        KeySlot { cask_id: [3; 16], key_id: 1, kdf, salt: [4; 16] }
    }

    fn bytes(kdf: Kdf) -> [u8; KEY_SLOT_BYTES] {
        slot(kdf).encode(&key(1), &key(2), &[5; NONCE_BYTES]).unwrap()
    }

    fn with_digest(mut bytes: [u8; KEY_SLOT_BYTES]) -> [u8; KEY_SLOT_BYTES] {
        let check = digest(&bytes[..CHECK_AT]);
        put(&mut bytes, CHECK_AT, &check.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8]) -> Result<KeySlot> {
        KeySlot::decode(bytes, Path::new("key"))
    }

    #[test]
    fn a_slot_reads_back_and_gives_its_key_to_the_right_key_alone() {
        for kdf in [Kdf::Raw, Kdf::Argon2id(Argon2Cost::DEFAULT)] {
            assert_eq!(decode(&bytes(kdf)).unwrap(), slot(kdf));
            assert_eq!(KeySlot::unwrap(&bytes(kdf), &key(2)).unwrap(), key(1));
            assert!(KeySlot::unwrap(&bytes(kdf), &key(3)).is_none());
        }
    }

    #[test]
    fn every_flipped_byte_and_truncation_of_a_slot_is_noticed() {
        let whole = bytes(Kdf::Argon2id(Argon2Cost::DEFAULT));
        for at in 0..whole.len() {
            let mut flipped = whole;
            flipped[at] ^= 1;
            assert_eq!(decode(&flipped).unwrap_err().kind(), ErrorKind::Corrupt, "byte {at}");
            assert!(decode(&whole[..at]).is_err(), "length {at}");
        }
        assert!(decode(&[&whole[..], &[0]].concat()).is_err());
    }

    #[test]
    fn an_edited_slot_gives_no_key() {
        let whole = bytes(Kdf::Argon2id(Argon2Cost::DEFAULT));
        for at in 24..CHECK_AT {
            let mut edited = whole;
            edited[at] ^= 1;
            let edited = with_digest(edited);
            assert!(KeySlot::unwrap(&edited, &key(2)).is_none(), "byte {at}");
        }
    }

    #[test]
    fn parameters_out_of_bounds_are_refused() {
        let most = Argon2Cost::MOST;
        let refused = [
            Argon2Cost { memory: most.memory + 1, ..most },
            Argon2Cost { memory: u32::MAX, ..most },
            Argon2Cost { passes: 0, ..most },
            Argon2Cost { passes: most.passes + 1, ..most },
            Argon2Cost { lanes: 0, ..most },
            Argon2Cost { lanes: u32::MAX, ..most },
            Argon2Cost { memory: 8 * most.lanes - 1, ..most },
        ];
        for cost in refused {
            assert_eq!(decode(&bytes(Kdf::Argon2id(cost))).unwrap_err().kind(), ErrorKind::Corrupt, "{cost:?}");
        }
        assert!(decode(&bytes(Kdf::Argon2id(most))).is_ok());
    }
}
