//! What is done to the folder of a cask that nobody has open.

use std::path::Path;
use std::sync::Arc;

use super::registry;
use crate::backend::file::folder::{Folder, SharedHold, boot_id};
use crate::backend::file::fs::{Fs, OsFs};
use crate::backend::file::repair::{self, Doubtful, RepairReport};
use crate::backend::file::verify::{self, VerifyReport};
use crate::error::{Error, ErrorKind, Result};

/// Keeps a folder from being opened.
fn hold(path: &Path) -> Result<SharedHold> {
    if registry::is_open(path) {
        let shown = path.display().to_string();
        let message = format!("{shown} is open in this process; close it, or make a backup and look at that");
        return Err(Error::new(ErrorKind::Locked, message).with_text("path", shown));
    }
    Folder::hold_shared(path)
}

/// Looks for damage. Changes nothing, and keeps the folder from being opened meanwhile. Blocks: call it off the JavaScript thread.
///
/// # Errors
/// `InvalidArgument` where no cask is there, `Locked` where it is open, `Version`, `Key`, `Io`.
pub fn verify(path: &Path) -> Result<VerifyReport> {
    let hold = hold(path)?;
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    verify::verify(hold.path(), &fs, boot_id())
}

/// Writes everything intact to a new cask at `target`. Changes nothing in the damaged one, and keeps it from being opened meanwhile.
/// Blocks: call it off the JavaScript thread.
///
/// # Errors
/// Those of [`verify()`], and `InvalidArgument` for a target where something is.
pub fn repair(path: &Path, target: &Path, doubtful: Doubtful) -> Result<RepairReport> {
    let hold = hold(path)?;
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    repair::repair(hold.path(), target, &fs, boot_id(), doubtful)
}
