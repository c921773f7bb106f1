//! Opening a log: which segments are it, where it ends, and whether anything is missing that must be there.
//!
//! Let W be the highest sequence number that anything on disk claims to be on disk. Below W a missing or changed frame is
//! damage: opening fails and changes nothing. From W on the log ends at its first bad frame, and what lies behind is cut
//! off: after a loss of power, pages that were never synced may be missing in any order. Where the operating system has not
//! been restarted since the bytes were written, no page was lost, so there a bad frame before a good one is damage as well.
//!
//! The segments that the manifest names come first, segments of the log and copies alike, in the order in which it names them.
//! What follows is the line of segments that leads back to the last one of the log that the manifest speaks for.

mod behind;
mod finish;
mod folder;
mod named;
mod replay;
mod room;

use std::collections::HashSet;

use self::folder::Folder;
use self::replay::Replay;
use super::cancel::Cancel;
use super::index::Index;
use super::log::Log;
use super::manifest_file::has_poison_marker;
use super::tail::Tail;
use crate::codec::manifest::Manifest;
use crate::error::Result;

pub(super) use self::named::{is_as_named, walk_named};

/// What opening had to cut off the end of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Bytes cut off.
    pub cut_bytes: u64,
    /// Whole frames among them.
    pub cut_frames: u64,
}

/// A log that can be written to.
#[derive(Debug)]
pub struct Recovered {
    /// Where it goes on.
    pub tail: Tail,
    /// What was cut off.
    pub report: RecoveryReport,
    /// Of the manifest on disk.
    pub generation: u64,
    /// Segments that have a hint.
    pub hinted: HashSet<u64>,
}

/// Reads the log into the index and finds its end; cuts off what is legally broken.
///
/// # Errors
/// `Corrupt`, `Version`, `Key`, `Io`; then nothing was changed on disk.
pub fn recover(log: &Log, index: &Index, manifest: &Manifest) -> Result<Recovered> {
    let (read, folder) = read(log, index, manifest, true, Cancel::default())?;
    read.finish(&folder)
}

/// Reads the log into the index and finds its end. Changes nothing on disk. Without hints it reads everything.
///
/// # Errors
/// `Aborted`, `Corrupt`, `Version`, `Key`, `Io`.
pub(super) fn read<'a>(
    log: &'a Log,
    index: &'a Index,
    manifest: &'a Manifest,
    uses_hints: bool,
    cancel: Cancel<'_>,
) -> Result<(Replay<'a>, Folder)> {
    let poisoned = has_poison_marker(&*log.fs, &log.folder)?;
    let folder = Folder::look_into(log)?;
    let hints = if uses_hints { folder.hinted() } else { HashSet::new() };
    let mut state = Replay::new(log, index, manifest, poisoned, hints);
    state.run(&folder.found, cancel)?;
    Ok((state, folder))
}
