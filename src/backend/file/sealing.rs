//! The key slot of a sealed cask in its folder.
//!
//! A cask is sealed under a random data key, and the slot holds that key, wrapped by its user's. The slot is there before anything that
//! is sealed under it, so what is sealed and has no slot has lost it. To change the user's key is to replace the slot.

use std::io;
use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::fs::{Fs, read_if_there};
use super::manifest_file::{self, MANIFEST, MOST_MANIFEST_BYTES, has_segments};
use super::replace::replace;
use super::segments::id_of_file_name;
use crate::codec::cipher::{Cipher, Key, SealKeys, fill_random, random};
use crate::codec::key_slot::{KEY_SLOT_BYTES, KeySlot};
use crate::codec::manifest::Manifest;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// File name of the key slot.
pub const KEY: &str = "key";
/// File name under which a key slot is written before it takes its place.
pub const KEY_TEMP: &str = "key.tmp";
/// File that says that the name of the key slot may not be on disk.
pub const KEY_CHANGES: &str = "key.changes";
/// Number of the data key. A new one comes with a new cask: everything would have to be written again.
const KEY_ID: u32 = 1;

/// How the cask in a folder is kept.
#[derive(Debug)]
pub(super) struct Sealing {
    pub(super) cipher: Cipher,
    /// Identity of the cask, where its key slot says it.
    pub(super) cask_id: Option<[u8; 16]>,
}

impl Sealing {
    const PLAIN: Self = Self { cipher: Cipher::Plain, cask_id: None };

    fn sealed(data_key: Key, slot: &KeySlot) -> Self {
        Self { cipher: Cipher::Sealed(Arc::new(SealKeys::new(data_key, slot.key_id))), cask_id: Some(slot.cask_id) }
    }
}

/// Unlocks the cask in a folder. Changes nothing. A folder without one passes for a plain cask where there is no secret.
///
/// # Errors
/// `Key` where the secret is not the one of the cask, is missing, or none is needed; `Corrupt` where the slot is missing or damaged;
/// `Version`, `Io`.
pub(super) fn unlock(fs: &dyn Fs, folder: &Path, secret: Option<&Secret>) -> Result<Sealing> {
    let path = folder.join(KEY);
    match (read_if_there(fs, &path, KEY_SLOT_BYTES)?, secret) {
        (Some(bytes), _) => {
            let slot = KeySlot::decode(&bytes, &path)?;
            let secret = secret.ok_or_else(|| Error::needs_key(folder))?;
            Ok(Sealing::sealed(unwrap(&bytes, &slot, folder, secret)?, &slot))
        }
        // Whoever reads the manifest is told where that is sealed all the same.
        (None, None) => Ok(Sealing::PLAIN),
        (None, Some(_)) if is_sealed(fs, folder)? => {
            Err(Error::corrupt(&path, 0, "the cask is sealed and its key slot is missing; restore this file from a backup"))
        }
        (None, Some(_)) => Err(Error::key(
            folder,
            "is not sealed, and an encryptionKey was given; leave it out, or seal a copy with rewriteCask",
        )),
    }
}

/// Unlocks the cask in a folder, or makes a key slot for the one that is about to be made there.
///
/// # Errors
/// Those of [`unlock`]; then nothing was changed.
pub(super) fn unlock_or_create(fs: &dyn Fs, folder: &Path, secret: Option<&Secret>) -> Result<Sealing> {
    if let Some(secret) = secret
        && is_new(fs, folder)?
    {
        return create(fs, folder, secret);
    }
    let sealing = unlock(fs, folder, secret)?;
    // The name of a slot that is all there is may not be on disk, if whoever made it did not live to sync it.
    if sealing.cipher.is_sealed() && read_if_there(fs, &folder.join(MANIFEST), 0)?.is_none() && !has_segments(fs, folder)? {
        bring_to_disk(fs, folder)?;
    }
    Ok(sealing)
}

/// Ends a key change that was interrupted. Whoever made it may not have lived to bring the new slot's name to disk, and from now on the
/// secret that has opened the cask passes for the one that does.
///
/// # Errors
/// `Io`.
pub(super) fn settle_slot(fs: &dyn Fs, folder: &Path, cipher: &Cipher) -> Result<()> {
    let _ = fs.remove(&folder.join(KEY_TEMP));
    let marker = folder.join(KEY_CHANGES);
    if !cipher.is_sealed() || read_if_there(fs, &marker, 0)?.is_none() {
        return Ok(());
    }
    bring_to_disk(fs, folder)?;
    let _ = fs.remove(&marker);
    Ok(())
}

/// Replaces the key slot, where there is one, by itself.
fn bring_to_disk(fs: &dyn Fs, folder: &Path) -> Result<()> {
    let slot = read_if_there(fs, &folder.join(KEY), KEY_SLOT_BYTES)?;
    slot.map_or(Ok(()), |slot| replace(fs, folder, KEY, KEY_TEMP, &slot))
}

/// Whether a secret opens the cask in a folder. Changes nothing.
///
/// # Errors
/// Those of opening it: `Key` where it does not.
pub fn check_secret(fs: &dyn Fs, folder: &Path, secret: &Secret) -> Result<()> {
    unlock(fs, folder, Some(secret)).map(|_| ())
}

/// Gives a sealed cask another secret.
///
/// # Errors
/// `Key` where the cask is not sealed, or with another secret; `Corrupt` where the slot is missing or damaged; `Version`, `Io`. Where
/// the very last step has failed, either secret may open it.
pub fn change_key(fs: &dyn Fs, folder: &Path, secret: &Secret, new: &Secret) -> Result<()> {
    let Sealing { cipher, .. } = unlock(fs, folder, Some(secret))?;
    let Some(keys) = cipher.keys() else { return Err(Error::internal("a cask without keys was unlocked with one")) };
    let missing = || Error::corrupt(&folder.join(MANIFEST), 0, "the folder has a key slot and no manifest");
    let cask_id = manifest_file::load(fs, folder, &cipher)?.ok_or_else(missing)?.cask_id;
    let marker = folder.join(KEY_CHANGES);
    match fs.create_new(&marker) {
        Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(Error::io("open", &marker, &cause)),
        _ => {}
    }
    store(fs, folder, cask_id, keys.id(), keys.data_key(), new)?;
    let _ = fs.remove(&marker);
    Ok(())
}

fn create(fs: &dyn Fs, folder: &Path, secret: &Secret) -> Result<Sealing> {
    let mut data_key: Key = Zeroizing::new([0; 32]);
    fill_random(&mut *data_key)?;
    let cask_id = random()?;
    // Whether its name is on disk is uncertain after a failure, so the next open makes another one.
    store(fs, folder, cask_id, KEY_ID, &data_key, secret).inspect_err(|_| drop(fs.remove(&folder.join(KEY))))?;
    let cipher = Cipher::Sealed(Arc::new(SealKeys::new(data_key, KEY_ID)));
    Ok(Sealing { cipher, cask_id: Some(cask_id) })
}

fn store(fs: &dyn Fs, folder: &Path, cask_id: [u8; 16], key_id: u32, data_key: &Key, secret: &Secret) -> Result<()> {
    let slot = KeySlot { cask_id, key_id, kdf: secret.kdf(), salt: random()? };
    let unfit = || Error::internal("a new key slot does not take the secret that it is made for");
    let wrapping = secret.wrapping_key(slot.kdf, &slot.salt)?.ok_or_else(unfit)?;
    let bytes = slot.encode(data_key, &wrapping, &random()?).ok_or_else(unfit)?;
    replace(fs, folder, KEY, KEY_TEMP, &bytes)
}

/// Copies the key slot of a cask, safely to disk, to a folder that has none.
///
/// # Errors
/// `Io`, `Corrupt` where it is missing.
pub(super) fn copy_slot(fs: &dyn Fs, from: &Path, to: &Path) -> Result<()> {
    let path = from.join(KEY);
    let bytes = read_if_there(fs, &path, KEY_SLOT_BYTES)?.ok_or_else(|| Error::corrupt(&path, 0, "the key slot is missing"))?;
    KeySlot::decode(&bytes, &path)?;
    replace(fs, to, KEY, KEY_TEMP, &bytes)
}

fn unwrap(bytes: &[u8], slot: &KeySlot, folder: &Path, secret: &Secret) -> Result<Key> {
    let Some(wrapping) = secret.wrapping_key(slot.kdf, &slot.salt)? else {
        return Err(Error::key(
            folder,
            match secret {
                Secret::Key(_) => "is sealed with a passphrase, and encryptionKey is a key of 32 bytes",
                Secret::Passphrase(_) => "is sealed with a key of 32 bytes, and encryptionKey is a passphrase",
            },
        ));
    };
    KeySlot::unwrap(bytes, &wrapping)
        .ok_or_else(|| Error::key(folder, "is sealed with another encryptionKey, or its key slot was changed"))
}

/// Whether there is neither a cask nor a part of one in a folder.
fn is_new(fs: &dyn Fs, folder: &Path) -> Result<bool> {
    let names = fs.list(folder).map_err(|cause| Error::io("readdir", folder, &cause))?;
    Ok(!names.iter().any(|name| name == KEY || name == MANIFEST || id_of_file_name(name).is_some()))
}

/// Whether a folder without a key slot should have one, as far as its manifest can tell.
fn is_sealed(fs: &dyn Fs, folder: &Path) -> Result<bool> {
    let path = folder.join(MANIFEST);
    // A damaged one is told of by whoever reads it.
    Ok(read_if_there(fs, &path, MOST_MANIFEST_BYTES)?.is_some_and(|bytes| Manifest::is_sealed(&bytes, &path).unwrap_or(false)))
}
