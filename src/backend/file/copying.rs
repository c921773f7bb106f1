//! Writes what a survey has found to a new folder, and makes sure that it is there.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::at_rest::AtRest;
use super::cancel::Cancel;
use super::fs::{Fs, read_all};
use super::new_folder::NewFolder;
use super::survey::{Piece, Survey, Version};
use super::verify::Verdict;
use super::{Durability, FileBackend, FileOptions};
use crate::backend::{Applied, Backend, Batch};
use crate::codec::check::digest;
use crate::codec::frame::{body_of_checked, open_chunk};
use crate::error::{Error, Result};
use crate::record::{Op, OpReader};
use crate::secret::Secret;
use crate::sync::mpsc::channel;

/// Records, told apart from others by their sum, in whatever order they come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Tally {
    count: u64,
    sum: u64,
}

impl Tally {
    fn add(&mut self, account: &str, op: &Op<'_>) {
        let mut bytes = vec![account.len() as u8];
        bytes.extend_from_slice(account.as_bytes());
        op.pack(&mut bytes);
        self.count += 1;
        self.sum = self.sum.wrapping_add(digest(&bytes));
    }
}

/// How a new cask is written.
pub(super) struct Target<'a> {
    pub(super) path: &'a Path,
    pub(super) fs: &'a Arc<dyn Fs>,
    pub(super) boot_id: [u8; 16],
    /// What seals it.
    pub(super) secret: Option<&'a Secret>,
    /// Whether it is to stop, between chunks.
    pub(super) cancel: Cancel<'a>,
}

impl Target<'_> {
    /// Writes those of a survey's records that `keeps` wants to a new cask. Nothing is at its place before all of it is there, has been
    /// read again and is on disk.
    ///
    /// # Errors
    /// `InvalidArgument` for a bad target, `Aborted`, `Corrupt` where the source changes meanwhile, `Io`. Nothing is at `target` then, or
    /// where its very last step has failed a whole cask whose name may not be on disk.
    pub(super) fn fill(&self, survey: &Survey, keeps: &mut dyn FnMut(&str, &[u8], &Version) -> bool) -> Result<()> {
        let place = NewFolder::begin(self.fs, self.path)?;
        let written = self.write(survey, place.path(), keeps).and_then(|tally| self.check(place.path(), tally));
        match written {
            Ok(()) => place.finish(),
            Err(error) => {
                place.abandon();
                Err(error)
            }
        }
    }

    fn write(&self, survey: &Survey, folder: &Path, keeps: &mut dyn FnMut(&str, &[u8], &Version) -> bool) -> Result<Tally> {
        let options = FileOptions {
            durability: Durability::Process,
            sync_interval: Duration::from_secs(60),
            cache_bytes: Some(0),
            boot_id: self.boot_id,
            compacts: false,
            preallocates: false,
            hint_from: u64::MAX,
            secret: self.secret.cloned(),
            ..FileOptions::default()
        };
        let cask = FileBackend::open(folder, Arc::clone(self.fs), &options, None)?;
        let mut tally = Tally::default();
        let mut packed = Vec::new();
        let copied = self.for_each_chunk(survey, &mut |account, records| {
            packed.clear();
            for (op, version) in records {
                let Op::Put { key, .. } = op else { continue };
                if keeps(account, key, version) {
                    op.pack(&mut packed);
                    tally.add(account, op);
                }
            }
            if packed.is_empty() { Ok(()) } else { apply(&cask, account, &packed) }
        });
        // Whatever became of it, nobody may write to the folder any more.
        cask.close().and(copied)?;
        Ok(tally)
    }

    /// Makes sure that the new cask opens and holds what was written.
    fn check(&self, folder: &Path, wanted: Tally) -> Result<()> {
        let cask = AtRest::unlock(self.fs, folder, self.boot_id, self.secret, self.cancel)?;
        let Verdict::Whole(_) = cask.judge()? else {
            return Err(Error::internal("a cask that was just written is damaged"));
        };
        let survey = Survey::of(&cask)?;
        let mut found = Tally::default();
        self.for_each_chunk(&survey, &mut |account, records| {
            records.iter().for_each(|(op, _)| found.add(account, op));
            Ok(())
        })?;
        if found == wanted { Ok(()) } else { Err(Error::internal("a cask that was just written does not hold what was written")) }
    }

    /// Visits the newest intact version of every record, chunk by chunk, in the order in which they were written.
    fn for_each_chunk(&self, survey: &Survey, visit: Visit<'_>) -> Result<()> {
        let mut source: Option<(u32, Vec<u8>)> = None;
        let mut chunk = Vec::new();
        for (number, piece) in (0_u32..).zip(&survey.pieces) {
            self.cancel.check()?;
            let Some((path, salt)) = survey.sources.get(piece.source as usize) else { continue };
            let bytes = match source.take().filter(|(of, _)| *of == piece.source) {
                Some((_, bytes)) => bytes,
                None => {
                    let file = self.fs.open(path).map_err(|cause| Error::io("open", path, &cause))?;
                    read_all(&*file).map_err(|cause| Error::io("read", path, &cause))?
                }
            };
            let Piece { at, len, .. } = *piece;
            chunk.clear();
            chunk.extend_from_slice(bytes.get(at as usize..).and_then(|rest| rest.get(..len as usize)).unwrap_or_default());
            let body = open_chunk(&mut chunk, salt, u64::from(at), &survey.cipher).and_then(|_| body_of_checked(&chunk));
            let body = body.ok_or_else(|| Error::corrupt(path, u64::from(at), "a chunk changed while it was read"))?;
            let newest = OpReader::new(body.ops).map_while(Result::ok).zip(0_u32..).filter_map(|(op, place)| {
                let Op::Put { key, .. } = op else { return None };
                let version = survey.ledger.find(body.account, key)?;
                (version.piece == number && version.op == place).then_some((op, version))
            });
            visit(body.account, &newest.collect::<Vec<_>>())?;
            source = Some((piece.source, bytes));
        }
        Ok(())
    }
}

fn apply(cask: &FileBackend, account: &str, ops: &[u8]) -> Result<()> {
    let (sender, receiver) = channel();
    let applied = cask.apply(Batch { account, ops, fence: 0 }, &mut || {
        let sender = sender.clone();
        Box::new(move |outcome| drop(sender.send(outcome)))
    });
    match applied {
        Applied::Now(outcome) => outcome,
        Applied::Later => receiver.recv().unwrap_or_else(|_| Err(Error::internal("a batch was given up"))),
    }
}

/// What is done with the newest versions in a chunk.
type Visit<'v> = &'v mut dyn FnMut(&str, &[(Op<'_>, &Version)]) -> Result<()>;
