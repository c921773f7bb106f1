//! A cask that nobody has open.

use std::path::Path;
use std::sync::Arc;

use super::cancel::Cancel;
use super::fs::Fs;
use super::sealing;
use crate::codec::cipher::Cipher;
use crate::error::Result;
use crate::secret::Secret;

/// Where it is, what its bytes are sealed with, and how long it is looked at.
#[derive(Debug)]
pub(super) struct AtRest<'a> {
    pub(super) fs: &'a Arc<dyn Fs>,
    pub(super) folder: &'a Path,
    /// Run of the operating system in which it is looked at.
    pub(super) boot_id: [u8; 16],
    pub(super) cipher: Cipher,
    pub(super) cancel: Cancel<'a>,
}

impl<'a> AtRest<'a> {
    /// Unlocks it.
    ///
    /// # Errors
    /// `Key`, `Corrupt` for its key slot, `Version`, `Io`.
    pub(super) fn unlock(
        fs: &'a Arc<dyn Fs>,
        folder: &'a Path,
        boot_id: [u8; 16],
        secret: Option<&Secret>,
        cancel: Cancel<'a>,
    ) -> Result<Self> {
        let cipher = sealing::unlock(&**fs, folder, secret)?.cipher;
        Ok(Self { fs, folder, boot_id, cipher, cancel })
    }
}
