//! Everything that is intact in a folder, and everything that is not. Changes nothing, and does not stop at damage as opening does.
//!
//! What is damage and what may be missing after a loss of power is decided as opening decides it; see `recover`.

mod files;
mod ledger;
mod plan;
mod reader;
mod salvage;

use std::path::{Path, PathBuf};

use self::files::Files;
pub(super) use self::ledger::{Ledger, Version};
use self::reader::Reader;
use super::at_rest::AtRest;
use super::manifest_file::{MANIFEST, has_poison_marker};
use crate::codec::check::Salt;
use crate::codec::cipher::Cipher;
use crate::error::{Error, Result};

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Damage {
    /// File that is damaged.
    pub path: PathBuf,
    /// Offset in it.
    pub offset: u64,
    /// What is wrong.
    pub what: String,
    /// First and last sequence number of the batches that may have lost records there; `None` where no record is lost.
    pub lost: Option<(u64, u64)>,
    /// Account of those records; `None` where that cannot be told.
    pub account: Option<String>,
    /// Keys of records, with their accounts, that the damaged bytes seem to name.
    pub likely: Vec<(String, Vec<u8>)>,
}

impl Damage {
    fn of(error: &Error, what: &str) -> Self {
        let path = error.text("path").map(PathBuf::from).unwrap_or_default();
        Self::harmless(&path, error.number("offset").unwrap_or(0), what)
    }

    fn harmless(path: &Path, offset: u64, what: &str) -> Self {
        Self { path: path.into(), offset, what: what.into(), lost: None, account: None, likely: Vec::new() }
    }
}

/// An intact chunk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Piece {
    /// Number of its file among the survey's sources.
    pub(super) source: u32,
    pub(super) at: u32,
    pub(super) len: u32,
}

/// What there is in a folder.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) ledger: Ledger,
    pub(super) damages: Vec<Damage>,
    /// Intact chunks, in the order of their batches.
    pub(super) pieces: Vec<Piece>,
    /// Segments' files with their salts.
    pub(super) sources: Vec<(PathBuf, Salt)>,
    pub(super) cipher: Cipher,
    pub(super) cask_id: [u8; 16],
    pub(super) generation: u64,
    /// Whole frames that count.
    pub(super) frames: u64,
    /// Bytes behind the end of the log, where that is legal.
    pub(super) torn_bytes: u64,
    /// Whole frames among them.
    pub(super) torn_frames: u64,
}

impl Survey {
    /// Looks at everything in a folder.
    ///
    /// # Errors
    /// `Aborted`, `Version`, `Key`, `Io`.
    pub(super) fn of(cask: &AtRest<'_>) -> Result<Self> {
        let AtRest { folder, boot_id, ref cipher, cancel, .. } = *cask;
        let fs = &**cask.fs;
        let mut survey = Self { cipher: cipher.clone(), ..Self::default() };
        let mut files = Files::find(fs, folder, cipher)?;
        let mut manifest = files::manifest(fs, folder, cipher)?;
        if manifest.as_ref().is_ok_and(|manifest| files.are_foreign_to(manifest)) {
            // Either the manifest was exchanged, or all segments were: nobody knows what is true.
            let path = folder.join(MANIFEST);
            manifest = Err(Error::corrupt(&path, 24, "the manifest belongs to another cask"));
            survey.ledger.lose((u64::MAX, u64::MAX), None);
        }
        let cask_id = match &manifest {
            Ok(manifest) => manifest.cask_id,
            Err(error) => {
                survey.note_error(error, "the manifest is missing or damaged", None);
                files.prevailing_cask().unwrap_or_default()
            }
        };
        survey.cask_id = cask_id;
        files.check(cask_id, &mut survey.damages);
        let (through, synced) = manifest.as_ref().map_or((None, 0), |manifest| (manifest.through, manifest.synced));
        let line = plan::line(&files, through);
        let older = match &manifest {
            Ok(manifest) => {
                survey.generation = manifest.generation;
                plan::named(manifest)
            }
            Err(_) => plan::before(&files, &line),
        };
        let is_poisoned = has_poison_marker(fs, folder)?;
        let mut reader =
            Reader { fs, folder, cancel, files: &files, boot_id, is_poisoned, survey, synced, next_seq: 1, has_ended: false };
        reader.claim_synced(&older, &line)?;
        if manifest.is_err() {
            reader.expect_beginning(&older, &line);
        }
        for planned in &older {
            reader.read(planned, false)?;
        }
        if let Some(link) = through {
            reader.next_seq = link.last_seq + 1;
        }
        if line.is_empty() {
            reader.look_behind(older.iter().rev().find(|planned| Some(planned.id) == through.map(|link| link.id)))?;
        }
        for (position, planned) in line.iter().enumerate() {
            let later = line.get(position + 1..).unwrap_or_default();
            let later_keeps =
                later.iter().try_fold(false, |keeps, later| Ok::<_, Error>(keeps || reader.keeps_frames(later)?))?;
            reader.read(planned, later_keeps)?;
        }
        reader.finish(&older, &line)?;
        Ok(reader.survey)
    }

    /// Notes damage that an error tells of. With `lost`, records of batches with these sequence numbers may be lost.
    pub(super) fn note_error(&mut self, error: &Error, what: &str, lost: Option<(u64, u64)>) {
        if let Some((_, last)) = lost {
            self.ledger.lose((last, u64::MAX), None);
        }
        self.damages.push(Damage { lost, ..Damage::of(error, what) });
    }

    /// Whether records are lost.
    pub(super) fn has_losses(&self) -> bool {
        self.damages.iter().any(|damage| damage.lost.is_some())
    }
}
