//! Looks for damage in a folder that nobody has open, without changing anything.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::at_rest::AtRest;
use super::cache::ValueCache;
use super::cancel::Cancel;
use super::folder::refuse_argument;
use super::fs::Fs;
use super::index::Index;
use super::log::Log;
use super::manifest_file::{self, has_poison_marker};
use super::segments::Segments;
use super::survey::Survey;
use super::{SEGMENT_BYTES, recover};
use crate::error::{Error, ErrorKind, RecordFact, Result};
use crate::record::{CREDS_KEY, family_name, id_of};
use crate::secret::Secret;
use crate::sync::atomic::AtomicU64;

pub use super::survey::Damage;

/// What an account holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountCount {
    /// Records, creds not counted.
    pub records: u64,
    /// Whether there are creds.
    pub has_creds: bool,
    /// Records, creds counted, that may have had a newer version in what is damaged, or may have been removed there.
    pub doubtful: u64,
}

/// What was found in a folder.
#[derive(Debug, Clone, Default)]
pub struct VerifyReport {
    /// Segments that the log consists of.
    pub segments: u64,
    /// Whole batches and marks in them.
    pub frames: u64,
    /// Of the manifest; 0 where it cannot be read.
    pub generation: u64,
    /// What is intact, by account.
    pub accounts: BTreeMap<String, AccountCount>,
    /// Bytes behind the end of the log that a crash has left and opening will cut off. No damage.
    pub torn_bytes: u64,
    /// Whole frames among them.
    pub torn_frames: u64,
    /// Whether a sync has failed when the cask was last open, so that its newest batches are written again when it is opened.
    pub has_failed_sync: bool,
    /// Everything that is damaged.
    pub damages: Vec<Damage>,
}

/// How a folder is looked at.
#[derive(Debug, Clone, Copy, Default)]
pub struct VerifyOptions<'a> {
    /// What seals the cask.
    pub secret: Option<&'a Secret>,
    /// Whether it is to stop, between segments.
    pub cancel: Cancel<'a>,
}

/// Looks at a folder as opening does, and where that would refuse it, at everything in it.
///
/// # Errors
/// `InvalidArgument` where no cask is there; `Aborted`, `Version`, `Key`, `Io`.
///
/// # Concurrency
/// Nobody may have the folder open.
pub fn verify(folder: &Path, fs: &Arc<dyn Fs>, boot_id: [u8; 16], options: &VerifyOptions<'_>) -> Result<VerifyReport> {
    let VerifyOptions { secret, cancel } = *options;
    let cask = AtRest::unlock(fs, folder, boot_id, secret, cancel)?;
    let mut report = match cask.judge()? {
        Verdict::Whole(report) => report,
        Verdict::Damaged(error) => describe(&cask.survey_of_damaged(&error)?),
    };
    report.has_failed_sync = has_poison_marker(&**fs, folder)?;
    Ok(report)
}

/// What opening would say.
pub(super) enum Verdict {
    /// It would open; what is in it.
    Whole(VerifyReport),
    /// It would not.
    Damaged(Error),
}

impl AtRest<'_> {
    /// Reads the log as opening does.
    pub(super) fn judge(&self) -> Result<Verdict> {
        match self.read() {
            Ok(report) => Ok(Verdict::Whole(report)),
            Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Verdict::Damaged(error)),
            Err(error) => Err(error),
        }
    }

    fn read(&self) -> Result<VerifyReport> {
        let Self { fs, folder, boot_id, ref cipher, cancel } = *self;
        let manifest = manifest_file::load(&**fs, folder, cipher)?
            .ok_or_else(|| refuse_argument("path", folder, "holds no cask; give the path of one"))?;
        let cache = ValueCache::new(Some(0));
        let log = Log {
            folder: folder.into(),
            segments: Segments::new(cache.cask(), folder, Arc::clone(fs), cipher.clone()),
            fs: Arc::clone(fs),
            cask_id: manifest.cask_id,
            cipher: cipher.clone(),
            boot_id,
            preallocates: false,
            segment_bytes: SEGMENT_BYTES,
            roll_at: AtomicU64::new(SEGMENT_BYTES),
        };
        let index = Index::default();
        // A hint says nothing of what is in its segment now.
        let (read, _) = recover::read(&log, &index, &manifest, false, cancel)?;
        let mut report = VerifyReport {
            segments: read.segments(),
            frames: read.frames(),
            generation: manifest.generation,
            torn_bytes: read.report().cut_bytes,
            torn_frames: read.report().cut_frames,
            ..VerifyReport::default()
        };
        for name in index.accounts() {
            let mut count = AccountCount::default();
            if let Some(records) = index.account(&name) {
                records.keys(b"", &mut |key| count.add(key));
            }
            report.accounts.insert(name, count);
        }
        Ok(report)
    }

    /// Everything that there is in a folder that opening refuses for this reason.
    pub(super) fn survey_of_damaged(&self, refusal: &Error) -> Result<Survey> {
        let mut survey = Survey::of(self)?;
        if survey.damages.is_empty() {
            // Whatever it is, it must not pass in silence, and nobody knows what it concerns.
            survey.note_error(refusal, refusal.message(), Some((1, u64::MAX)));
        }
        Ok(survey)
    }
}

impl AccountCount {
    fn add(&mut self, key: &[u8]) {
        if key == CREDS_KEY {
            self.has_creds = true;
        } else {
            self.records += 1;
        }
    }
}

fn describe(survey: &Survey) -> VerifyReport {
    let mut accounts = BTreeMap::new();
    for (name, records) in survey.ledger.accounts.iter().filter(|(_, records)| !records.is_empty()) {
        let mut count = AccountCount::default();
        for (key, version) in records {
            count.add(key);
            count.doubtful += u64::from(survey.ledger.is_doubtful(name, key, version));
        }
        accounts.insert(name.clone(), count);
    }
    VerifyReport {
        segments: survey.sources.len() as u64,
        frames: survey.frames,
        generation: survey.generation,
        accounts,
        torn_bytes: survey.torn_bytes,
        torn_frames: survey.torn_frames,
        has_failed_sync: false,
        damages: survey.damages.clone(),
    }
}

/// Names a record to people: creds as the family `creds` without an id.
#[must_use]
pub fn record_fact(account: &str, key: &[u8]) -> RecordFact {
    let family = if key == CREDS_KEY { "creds".into() } else { family_name(key).unwrap_or_default() };
    let id = String::from_utf8_lossy(id_of(key).unwrap_or_default()).into_owned();
    RecordFact { account: account.into(), family, id }
}
