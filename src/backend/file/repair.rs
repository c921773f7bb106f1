//! Writes a new folder with everything that is intact in a damaged one.
//!
//! A record of which the newest version is lost is not brought back as an older one. An old ratchet is worse than none: its next
//! messages use keys that were used before, so they are refused, and a key that is used twice protects nothing. Without a
//! session the other side is asked for a new one. So what may have been written or removed in bytes that are lost is left out,
//! and told of; who knows better may ask for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use super::fs::{Fs, read_all};
use super::new_folder::NewFolder;
use super::survey::{Damage, Piece, Survey, Version};
use super::verify::{Verdict, damaged, judge, record_fact};
use super::{Durability, FileBackend, FileOptions};
use crate::backend::{Applied, Backend, Batch};
use crate::codec::check::Salt;
use crate::codec::frame::read_chunk;
use crate::error::{Error, RecordFact, Result};
use crate::record::{CREDS_KEY, FAMILY_NAMED, Op, OpReader};

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

/// Writes everything intact of a cask to a new one at `target`, where nothing or an empty folder may be. The damaged one stays as it is.
///
/// # Errors
/// `InvalidArgument` where no cask is there or for a bad target; `Version`, `Key`, `Io`. Nothing is at `target` then, or where its very
/// last step has failed a whole cask whose name may not be on disk.
///
/// # Concurrency
/// Nobody may have either folder open.
pub fn repair(folder: &Path, target: &Path, fs: &Arc<dyn Fs>, boot_id: [u8; 16], doubtful: Doubtful) -> Result<RepairReport> {
    let survey = match judge(folder, fs, boot_id)? {
        Verdict::Whole(_) => Survey::of(&**fs, folder, boot_id)?,
        Verdict::Damaged(error) => damaged(folder, fs, boot_id, &error)?,
    };
    let place = NewFolder::begin(fs, target)?;
    let written = write(&survey, place.path(), fs, boot_id, doubtful).and_then(|report| {
        check(place.path(), fs, boot_id, &report)?;
        Ok(report)
    });
    match written {
        Ok(report) => place.finish().map(|()| report),
        Err(error) => {
            place.abandon();
            Err(error)
        }
    }
}

/// Makes sure that the new cask opens and holds what was written.
fn check(folder: &Path, fs: &Arc<dyn Fs>, boot_id: [u8; 16], report: &RepairReport) -> Result<()> {
    let Verdict::Whole(found) = judge(folder, fs, boot_id)? else {
        return Err(Error::internal("a repaired cask is damaged"));
    };
    let kept = |account: &RepairedAccount| account.records + u64::from(account.has_creds);
    let wanted: u64 = report.accounts.values().map(kept).sum();
    let there: u64 = found.accounts.values().map(|account| account.records + u64::from(account.has_creds)).sum();
    if wanted == there { Ok(()) } else { Err(Error::internal("a repaired cask lacks records")) }
}

fn write(survey: &Survey, folder: &Path, fs: &Arc<dyn Fs>, boot_id: [u8; 16], doubtful: Doubtful) -> Result<RepairReport> {
    let options = FileOptions {
        durability: Durability::Process,
        sync_interval: Duration::from_secs(60),
        cache_bytes: Some(0),
        boot_id,
        compacts: false,
        preallocates: false,
        hint_from: u64::MAX,
        ..FileOptions::default()
    };
    let target = FileBackend::open(folder, Arc::clone(fs), &options, None)?;
    let mut writer = Writer { survey, fs, target: &target, doubtful, accounts: BTreeMap::new(), source: None };
    for (number, piece) in survey.pieces.iter().enumerate() {
        writer.copy(number as u32, *piece)?;
    }
    let mut accounts = writer.accounts;
    target.close()?;
    name_lost(survey, &mut accounts);
    Ok(RepairReport { accounts, damages: survey.damages.clone(), torn_bytes: survey.torn_bytes, torn_frames: survey.torn_frames })
}

struct Writer<'a> {
    survey: &'a Survey,
    fs: &'a Arc<dyn Fs>,
    target: &'a FileBackend,
    doubtful: Doubtful,
    accounts: BTreeMap<String, RepairedAccount>,
    /// Number and bytes of the segment that was read last.
    source: Option<(u32, Vec<u8>)>,
}

impl Writer<'_> {
    /// Writes what is needed of one chunk, as one batch.
    fn copy(&mut self, number: u32, piece: Piece) -> Result<()> {
        let Some((path, salt)) = self.survey.sources.get(piece.source as usize) else { return Ok(()) };
        let bytes = match self.source.take().filter(|(source, _)| *source == piece.source) {
            Some((_, bytes)) => bytes,
            None => {
                let file = self.fs.open(path).map_err(|cause| Error::io("open", path, &cause))?;
                read_all(&*file).map_err(|cause| Error::io("read", path, &cause))?
            }
        };
        self.copy_chunk(number, piece, &bytes, path, salt)?;
        self.source = Some((piece.source, bytes));
        Ok(())
    }

    fn copy_chunk(&mut self, number: u32, piece: Piece, bytes: &[u8], path: &Path, salt: &Salt) -> Result<()> {
        let chunk = bytes.get(piece.at as usize..).and_then(|rest| rest.get(..piece.len as usize)).unwrap_or_default();
        let Some((body, _)) = read_chunk(chunk, salt, u64::from(piece.at)) else {
            return Err(Error::corrupt(path, u64::from(piece.at), "a chunk changed while it was read"));
        };
        let mut ops = Vec::new();
        for (op, place) in OpReader::new(body.ops).map_while(Result::ok).zip(0..) {
            let Op::Put { key, .. } = op else { continue };
            let version = self.survey.ledger.find(body.account, key);
            let Some(version) = version.filter(|version| version.piece == number && version.op == place) else { continue };
            if self.keep(body.account, key, version) {
                op.pack(&mut ops);
            }
        }
        if ops.is_empty() { Ok(()) } else { self.apply(body.account, &ops) }
    }

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

    fn apply(&self, account: &str, ops: &[u8]) -> Result<()> {
        let (sender, receiver) = channel();
        let applied = self.target.apply(Batch { account, ops, fence: 0 }, &mut || {
            let sender = sender.clone();
            Box::new(move |outcome| drop(sender.send(outcome)))
        });
        match applied {
            Applied::Now(outcome) => outcome,
            Applied::Later => receiver.recv().unwrap_or_else(|_| Err(Error::internal("a batch was given up"))),
        }
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
