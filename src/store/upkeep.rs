//! What is done to the folder of a cask that nobody has open.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::registry;
use crate::backend::file::folder::{Folder, SharedHold, boot_id};
use crate::backend::file::fs::{Fs, OsFs};
use crate::backend::file::repair::{self, RepairOptions, RepairReport};
use crate::backend::file::rewrite::{self, RewriteOptions};
use crate::backend::file::sealing;
use crate::backend::file::verify::{self, AccountCount, VerifyOptions, VerifyReport};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;

/// Keeps a folder from being opened.
fn hold(path: &Path) -> Result<SharedHold> {
    refuse_open(path)?;
    Folder::hold_shared(path)
}

fn refuse_open(path: &Path) -> Result<()> {
    if registry::is_open(path) {
        let shown = path.display().to_string();
        let message = format!("{shown} is open in this process; close it, or make a backup and look at that");
        return Err(Error::new(ErrorKind::Locked, message).with_text("path", shown));
    }
    Ok(())
}

/// Looks for damage. Changes nothing, and keeps the folder from being opened meanwhile. Blocks: call it off the JavaScript thread.
///
/// # Errors
/// `InvalidArgument` where no cask is there, `Locked` where it is open, `Aborted`, `Version`, `Key`, `Io`.
pub fn verify(path: &Path, options: &VerifyOptions<'_>) -> Result<VerifyReport> {
    let hold = hold(path)?;
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    verify::verify(hold.path(), &fs, boot_id(), options)
}

/// Writes everything intact to a new cask at `target`. Changes nothing in the damaged one, and keeps it from being opened meanwhile.
/// Blocks: call it off the JavaScript thread.
///
/// # Errors
/// Those of [`verify()`], and `InvalidArgument` for a target where something is.
pub fn repair(path: &Path, target: &Path, options: &RepairOptions<'_>) -> Result<RepairReport> {
    let hold = hold(path)?;
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    repair::repair(hold.path(), target, &fs, boot_id(), options)
}

/// Writes all records of a cask to a new one at `target`, under another secret or none. Changes nothing in the first one, and keeps it
/// from being opened meanwhile. Blocks: call it off the JavaScript thread.
///
/// # Errors
/// Those of [`repair()`], and `Corrupt` where the cask is damaged.
pub fn rewrite(path: &Path, target: &Path, options: &RewriteOptions<'_>) -> Result<BTreeMap<String, AccountCount>> {
    let hold = hold(path)?;
    let fs: Arc<dyn Fs> = Arc::new(OsFs);
    rewrite::rewrite(hold.path(), target, &fs, boot_id(), options)
}

/// Gives a sealed cask another secret. Blocks: call it off the JavaScript thread.
///
/// # Errors
/// `InvalidArgument` where no cask is there, `Locked` where it is open, `Key` where it is not sealed or with another secret, `Corrupt`,
/// `Version`, `Io`. After a failure to bring the folder's names to disk either secret may open it, and else the old one.
pub fn change_key(path: &Path, secret: &Secret, new_secret: &Secret) -> Result<()> {
    refuse_open(path)?;
    let folder = Folder::existing(path)?;
    let path = folder.path().to_path_buf();
    let hold = folder.hold()?;
    // A passphrase takes its time, in which another cask may come to stand at this path: its key slot must stay.
    let fs = hold.fs()?;
    let changed = sealing::change_key(&*fs, &path, secret, new_secret);
    hold.release(&*fs);
    changed
}
