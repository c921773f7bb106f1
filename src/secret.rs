//! What a user gives to seal a cask: a key, or a passphrase.

use std::fmt;
use std::sync::{Condvar, Mutex, OnceLock, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use zeroize::{Zeroize as _, Zeroizing};

use crate::codec::cipher::{KEY_BYTES, Key, random};
use crate::codec::key_slot::{Argon2Cost, Kdf};
use crate::error::{Error, ErrorKind, Result};

/// A user's key. It is wiped when it is let go.
#[derive(Clone)]
pub enum Secret {
    /// 32 random bytes, which stay where they are: a move would leave a copy that nobody wipes.
    Key(Box<Key>),
    /// Words that somebody has to remember.
    Passphrase(Zeroizing<Vec<u8>>),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Key(_) => "Secret::Key",
            Self::Passphrase(_) => "Secret::Passphrase",
        })
    }
}

/// Tells whether two secrets are the same without keeping either. It means nothing outside of this process.
#[derive(Clone, PartialEq, Eq)]
pub struct Fingerprint(blake3::Hash);

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fingerprint")
    }
}

impl Secret {
    /// A key of 32 bytes.
    ///
    /// # Errors
    /// `InvalidArgument` for another length.
    pub fn key(bytes: &[u8]) -> Result<Self> {
        if bytes.len() != KEY_BYTES {
            return Err(refuse("encryptionKey has 32 bytes, or is a passphrase"));
        }
        let mut key: Box<Key> = Box::default();
        key.copy_from_slice(bytes);
        Ok(Self::Key(key))
    }

    /// A passphrase.
    ///
    /// # Errors
    /// `InvalidArgument` for an empty one.
    pub fn passphrase(bytes: Zeroizing<Vec<u8>>) -> Result<Self> {
        if bytes.is_empty() { Err(refuse("a passphrase must not be empty")) } else { Ok(Self::Passphrase(bytes)) }
    }

    /// How a new slot derives the key that wraps from this secret.
    #[must_use]
    pub const fn kdf(&self) -> Kdf {
        match self {
            Self::Key(_) => Kdf::Raw,
            Self::Passphrase(_) => Kdf::Argon2id(Argon2Cost::DEFAULT),
        }
    }

    /// The key that wraps; `None` where the slot takes a secret of the other kind. A passphrase takes a tenth of a second and the
    /// memory that `kdf` says: call it off the JavaScript thread.
    ///
    /// # Errors
    /// `Io` where there is no memory.
    pub fn wrapping_key(&self, kdf: Kdf, salt: &[u8; 16]) -> Result<Option<Key>> {
        let wrapping = |material: &[u8]| Zeroizing::new(blake3::derive_key("baileys-cask v1 key slot", material));
        match (self, kdf) {
            (Self::Key(key), Kdf::Raw) => Ok(Some(wrapping(&key[..]))),
            (Self::Passphrase(words), Kdf::Argon2id(cost)) => Ok(Some(wrapping(&stretch(words, cost, salt)?[..]))),
            _ => Ok(None),
        }
    }

    /// What tells it from others in this process.
    ///
    /// # Errors
    /// `Io` where there are no random numbers.
    pub fn fingerprint(&self) -> Result<Fingerprint> {
        static KEY: OnceLock<[u8; KEY_BYTES]> = OnceLock::new();
        let key = match KEY.get() {
            Some(key) => key,
            None => {
                let fresh = random()?;
                KEY.get_or_init(|| fresh)
            }
        };
        let (kind, bytes): (&[u8], &[u8]) = match self {
            Self::Key(key) => (b"k", &***key),
            Self::Passphrase(words) => (b"p", words),
        };
        Ok(Fingerprint(blake3::Hasher::new_keyed(key).update(kind).update(bytes).finalize()))
    }
}

fn refuse(what: &str) -> Error {
    Error::new(ErrorKind::InvalidArgument, what).with_text("argument", "encryptionKey")
}

/// So many passphrases are stretched at once: each needs its memory.
const AT_ONCE: usize = 2;

/// A place among those who stretch a passphrase.
struct Turn;

static STRETCHING: Mutex<usize> = Mutex::new(0);
static ENDED: Condvar = Condvar::new();

impl Turn {
    fn take() -> Self {
        let count = STRETCHING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = ENDED.wait_while(count, |count| *count >= AT_ONCE).unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        Self
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        *STRETCHING.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        ENDED.notify_one();
    }
}

fn stretch(words: &[u8], cost: Argon2Cost, salt: &[u8; 16]) -> Result<Key> {
    let _turn = Turn::take();
    let unfit = |_| Error::internal("parameters of Argon2 that were checked are refused");
    let params = Params::new(cost.memory, cost.passes, cost.lanes, Some(KEY_BYTES)).map_err(unfit)?;
    let mut blocks: Vec<Block> = Vec::new();
    blocks.try_reserve_exact(params.block_count()).map_err(|_| {
        let cause = std::io::Error::from(std::io::ErrorKind::OutOfMemory);
        Error::io("malloc", std::path::Path::new("the memory for a passphrase"), &cause)
    })?;
    blocks.resize(params.block_count(), Block::default());
    let mut key = Zeroizing::new([0; KEY_BYTES]);
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let done = argon2.hash_password_into_with_memory(words, salt, &mut *key, &mut blocks);
    blocks.iter_mut().for_each(|block| block.as_mut().zeroize());
    done.map_err(unfit)?;
    Ok(key)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const CHEAP: Kdf = Kdf::Argon2id(Argon2Cost { memory: 8, passes: 1, lanes: 1 });

    fn words(text: &str) -> Secret {
        Secret::passphrase(Zeroizing::new(text.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn wrapping_keys_depend_on_secret_and_salt() {
        let key = |secret: &Secret, salt| secret.wrapping_key(CHEAP, &[salt; 16]).unwrap().unwrap();
        assert_eq!(key(&words("one"), 1), key(&words("one"), 1));
        assert_ne!(key(&words("one"), 1), key(&words("one"), 2));
        assert_ne!(key(&words("one"), 1), key(&words("two"), 1));
    }

    #[test]
    fn a_secret_of_the_other_kind_gives_none() {
        assert!(words("one").wrapping_key(Kdf::Raw, &[1; 16]).unwrap().is_none());
        assert!(Secret::key(&[1; 32]).unwrap().wrapping_key(CHEAP, &[1; 16]).unwrap().is_none());
    }

    #[test]
    fn a_passphrase_of_32_letters_is_not_the_key_of_these_bytes() {
        let letters = "a".repeat(32);
        let (one, other) = (words(&letters), Secret::key(letters.as_bytes()).unwrap());
        assert_ne!(one.fingerprint().unwrap(), other.fingerprint().unwrap());
        assert_eq!(one.fingerprint().unwrap(), words(&letters).fingerprint().unwrap());
    }

    #[test]
    fn keys_of_a_wrong_length_and_empty_passphrases_are_refused() {
        for length in [0, 31, 33] {
            assert_eq!(Secret::key(&vec![1; length]).unwrap_err().kind(), ErrorKind::InvalidArgument);
        }
        assert_eq!(Secret::passphrase(Zeroizing::new(Vec::new())).unwrap_err().kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn a_secret_that_is_moved_leaves_no_copy_of_itself() {
        assert!(size_of::<Secret>() < KEY_BYTES, "{} bytes are copied", size_of::<Secret>());
    }

    #[test]
    fn nothing_of_a_secret_is_shown() {
        let shown = format!("{:?} {:?} {:?}", words("one"), Secret::key(&[7; 32]).unwrap(), words("one").fingerprint().unwrap());
        assert!(!shown.contains("one") && !shown.contains('7'), "{shown}");
    }
}
