//! Writes a cask anew under another key: to seal a plain one, to unseal a sealed one, or because a key has leaked.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::at_rest::AtRest;
use super::cancel::Cancel;
use super::copying::Target;
use super::fs::Fs;
use super::survey::Survey;
use super::verify::{AccountCount, Verdict};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// How a cask is written anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct RewriteOptions<'a> {
    /// What seals the cask.
    pub secret: Option<&'a Secret>,
    /// What seals the new one.
    pub new_secret: Option<&'a Secret>,
    /// Whether it is to stop, between segments and between chunks.
    pub cancel: Cancel<'a>,
}

/// Writes all records of a cask that is whole to a new one at `target`, where nothing or an empty folder may be. The new one has an
/// identity and a data key of its own, and none of what was removed or replaced.
///
/// # Errors
/// `Corrupt` where the cask is damaged; `InvalidArgument` where no cask is there or for a bad target; `Aborted`, `Version`, `Key`, `Io`.
/// Nothing is at `target` then, or where its very last step has failed a whole cask whose name may not be on disk.
///
/// # Concurrency
/// Nobody may have either folder open.
pub fn rewrite(
    folder: &Path,
    target: &Path,
    fs: &Arc<dyn Fs>,
    boot_id: [u8; 16],
    options: &RewriteOptions<'_>,
) -> Result<BTreeMap<String, AccountCount>> {
    let RewriteOptions { secret, new_secret, cancel } = *options;
    let cask = AtRest::unlock(fs, folder, boot_id, secret, cancel)?;
    let found = match cask.judge()? {
        Verdict::Whole(found) => found,
        Verdict::Damaged(error) => return Err(error),
    };
    let survey = Survey::of(&cask)?;
    if let Some(damage) = survey.damages.first() {
        return Err(Error::corrupt(&damage.path, damage.offset, &damage.what));
    }
    Target { path: target, fs, boot_id, secret: new_secret, cancel }.fill(&survey, &mut |_, _, _| true)?;
    Ok(found.accounts)
}
