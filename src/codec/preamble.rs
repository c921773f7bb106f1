//! The first 24 bytes of every file, frozen for all versions: magic, version, header length and a check over them.

use std::path::Path;

use super::check::digest;
use super::{put, read_u16, read_u32, read_u64};
use crate::error::{Error, ErrorKind, Result};

/// Length of the preamble in bytes.
pub const PREAMBLE_BYTES: usize = 24;
/// Format version written and read.
pub const VERSION: u16 = 1;

/// Fills the preamble of a file whose header, preamble included, has `header_len` bytes.
pub fn write(bytes: &mut [u8], magic: &[u8; 8], header_len: u32) {
    put(bytes, 0, magic);
    put(bytes, 8, &VERSION.to_le_bytes());
    put(bytes, 10, &0_u16.to_le_bytes());
    put(bytes, 12, &header_len.to_le_bytes());
    let check = digest(bytes.get(..16).unwrap_or_default());
    put(bytes, 16, &check.to_le_bytes());
}

/// Header length, where the preamble is whole and of this magic.
#[must_use]
pub fn header_len(bytes: &[u8], magic: &[u8; 8]) -> Option<u32> {
    let intact = bytes.get(..8)? == magic && digest(bytes.get(..16)?) == read_u64(bytes, 16)?;
    if intact { read_u32(bytes, 12) } else { None }
}

/// Whether a whole preamble is of the format version that is written and read.
#[must_use]
pub fn is_this_version(bytes: &[u8]) -> bool {
    read_u16(bytes, 8) == Some(VERSION)
}

/// Refuses a whole preamble of another format version.
///
/// # Errors
/// `Version` with `found` and `supported`.
pub fn check_version(bytes: &[u8], path: &Path) -> Result<()> {
    match read_u16(bytes, 8) {
        Some(VERSION) | None => Ok(()),
        Some(found) => Err(Error::new(
            ErrorKind::Version,
            format!(
                "{} was written in format version {found} and this package reads version {VERSION}; upgrade baileys-cask",
                path.display()
            ),
        )
        .with_text("path", path.display().to_string())
        .with_number("found", u64::from(found))
        .with_number("supported", u64::from(VERSION))),
    }
}
