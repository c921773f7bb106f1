//! Writes a new folder with everything that is intact in a damaged one.
//!
//! A record of which the newest version is lost is not brought back as an older one. An old ratchet is worse than none: its next
//! messages use keys that were used before, so they are refused, and a key that is used twice protects nothing. Without a
//! session the other side is asked for a new one. So what may have been written or removed in bytes that are lost is left out,
//! and told of; who knows better may ask for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::at_rest::AtRest;
use super::cancel::Cancel;
use super::copying::Target;
use super::fs::Fs;
use super::survey::{Damage, Survey, Version};
use super::verify::{Verdict, record_fact};
use crate::error::{RecordFact, Result};
use crate::record::{CREDS_KEY, FAMILY_NAMED};
use crate::secret::Secret;

/// What becomes of records that may have had a newer version in what is lost, or may have been removed there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Doubtful {
    /// They are left out.
    #[default]
    Omit,
    /// Sessions, sender keys and families that nothing is known of are left out; of the others an old version does little harm.
    OmitRatchets,
    /// They are kept.
    Keep,
}

/// Families whose old versions harm: `session`, `sender-key`, and `sender-key-memory`, which says who has the sender keys.
const RATCHET_FAMILIES: [u8; 4] = [2, 3, 4, FAMILY_NAMED];

impl Doubtful {
    fn keeps(self, key: &[u8]) -> bool {
        match self {
            Self::Omit => false,
            Self::OmitRatchets => !key.first().is_some_and(|family| RATCHET_FAMILIES.contains(family)),
            Self::Keep => true,
        }
    }
}

/// How a cask is repaired.
#[derive(Debug, Clone, Copy, Default)]
pub struct RepairOptions<'a> {
    /// What becomes of records in doubt.
    pub doubtful: Doubtful,
    /// What seals the cask, and the new one.
    pub secret: Option<&'a Secret>,
    /// Whether it is to stop, between segments and between chunks.
    pub cancel: Cancel<'a>,
}

/// What a repair did for one account.
#[derive(Debug, Clone, Default)]
pub struct RepairedAccount {
    /// Records that are kept, creds not counted.
    pub records: u64,
    /// Whether its creds are kept.
    pub has_creds: bool,
    /// Records that are kept, although they may have had a newer version or may have been removed.
    pub doubtful: Vec<RecordFact>,
    /// Records that are left out for that reason.
    pub omitted: Vec<RecordFact>,
    /// Records of which no version is left, as far as damaged bytes seem to name them.
    pub lost: Vec<RecordFact>,
}

/// What a repair did.
#[derive(Debug, Clone, Default)]
pub struct RepairReport {
    /// By account.
    pub accounts: BTreeMap<String, RepairedAccount>,
    /// What was damaged. Batches with the sequence numbers that it names are lost, in parts at least.
    pub damages: Vec<Damage>,
    /// Bytes behind the end of the log that a crash had left. No damage.
    pub torn_bytes: u64,
    /// Whole frames among them.
    pub torn_frames: u64,
}

/// Writes everything intact of a cask to a new one at `target`, where nothing or an empty folder may be, sealed with the same secret. The
/// damaged one stays as it is.
///
/// # Errors
/// `InvalidArgument` where no cask is there or for a bad target; `Aborted`, `Version`, `Key`, `Io`. Nothing is at `target` then, or where
/// its very last step has failed a whole cask whose name may not be on disk.
///
/// # Concurrency
/// Nobody may have either folder open.
pub fn repair(
    folder: &Path,
    target: &Path,
    fs: &Arc<dyn Fs>,
    boot_id: [u8; 16],
    options: &RepairOptions<'_>,
) -> Result<RepairReport> {
    let RepairOptions { doubtful, secret, cancel } = *options;
    let cask = AtRest::unlock(fs, folder, boot_id, secret, cancel)?;
    let survey = match cask.judge()? {
        Verdict::Whole(_) => Survey::of(&cask)?,
        Verdict::Damaged(error) => cask.survey_of_damaged(&error)?,
    };
    let mut decisions = Decisions { survey: &survey, doubtful, accounts: BTreeMap::new() };
    let target = Target { path: target, fs, boot_id, secret, cancel };
    target.fill(&survey, &mut |account, key, version| decisions.keep(account, key, version))?;
    let mut accounts = decisions.accounts;
    name_lost(&survey, &mut accounts);
    Ok(RepairReport { accounts, torn_bytes: survey.torn_bytes, torn_frames: survey.torn_frames, damages: survey.damages })
}

/// What is kept, and what not.
struct Decisions<'a> {
    survey: &'a Survey,
    doubtful: Doubtful,
    accounts: BTreeMap<String, RepairedAccount>,
}

impl Decisions<'_> {
    /// Decides about a record, and notes it.
    fn keep(&mut self, account: &str, key: &[u8], version: &Version) -> bool {
        let is_doubtful = self.survey.ledger.is_doubtful(account, key, version);
        let keeps = !is_doubtful || self.doubtful.keeps(key);
        let noted = self.accounts.entry(account.to_string()).or_default();
        match (keeps, is_doubtful) {
            (true, true) => noted.doubtful.push(record_fact(account, key)),
            (false, _) => noted.omitted.push(record_fact(account, key)),
            (true, false) => {}
        }
        if keeps && key == CREDS_KEY {
            noted.has_creds = true;
        } else if keeps {
            noted.records += 1;
        }
        keeps
    }
}

/// Notes the records that damaged bytes seem to name and that have no version left.
fn name_lost(survey: &Survey, accounts: &mut BTreeMap<String, RepairedAccount>) {
    let mut lost: Vec<&(String, Vec<u8>)> = survey.damages.iter().flat_map(|damage| &damage.likely).collect();
    lost.sort_unstable();
    lost.dedup();
    for (account, key) in lost.into_iter().filter(|(account, key)| survey.ledger.find(account, key).is_none()) {
        accounts.entry(account.clone()).or_default().lost.push(record_fact(account, key));
    }
}
