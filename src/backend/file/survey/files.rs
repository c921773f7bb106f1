//! The files of a folder, whatever is wrong with them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use super::super::fs::{Fs, fill_at};
use super::super::manifest_file::{self, MANIFEST};
use super::super::pieces::end_of_content;
use super::super::segments::{id_of_file_name, is_draft_name};
use super::Damage;
use crate::codec::check::Salt;
use crate::codec::cipher::Cipher;
use crate::codec::manifest::Manifest;
use crate::codec::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::error::{Error, ErrorKind, Result};

/// One segment's file.
#[derive(Debug)]
pub(super) struct SegmentFile {
    /// Number in its name.
    pub(super) id: u64,
    pub(super) path: PathBuf,
    pub(super) len: u64,
    /// `None` where it is not whole.
    pub(super) header: Option<SegmentHeader>,
}

/// All segments' files of a cask, in the order of their names.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub(super) segments: Vec<SegmentFile>,
    /// Files of copies that were not finished.
    pub(super) drafts: usize,
    /// Headers that are whole and not this cask's.
    refused: Vec<Error>,
}

/// The manifest, or what is wrong where it is damaged or missing.
pub(super) fn manifest(fs: &dyn Fs, folder: &Path, cipher: &Cipher) -> Result<std::result::Result<Manifest, Error>> {
    match manifest_file::load(fs, folder, cipher) {
        Ok(Some(manifest)) => Ok(Ok(manifest)),
        Ok(None) => Ok(Err(Error::corrupt(&folder.join(MANIFEST), 0, "the folder has segments and no manifest"))),
        Err(error) if error.kind() == ErrorKind::Corrupt => Ok(Err(error)),
        Err(error) => Err(error),
    }
}

impl Files {
    /// Finds all segments.
    ///
    /// # Errors
    /// `Version` and `Key`, for nothing can be said of such a cask; `Io`.
    pub(super) fn find(fs: &dyn Fs, folder: &Path, cipher: &Cipher) -> Result<Self> {
        let mut found = Self::default();
        let mut names = fs.list(folder).map_err(|cause| Error::io("readdir", folder, &cause))?;
        names.sort_unstable();
        found.drafts = names.iter().filter(|name| is_draft_name(name)).count();
        for (name, id) in names.iter().filter_map(|name| Some((name, id_of_file_name(name)?))) {
            let path = folder.join(name);
            let file = fs.open(&path).map_err(|cause| Error::io("open", &path, &cause))?;
            let mut bytes = [0; SEGMENT_HEADER_BYTES];
            let len = file.len().map_err(|cause| Error::io("fstat", &path, &cause))?;
            let filled = fill_at(&*file, &mut bytes, 0).map_err(|cause| Error::io("read", &path, &cause))?;
            let header = match SegmentHeader::decode(bytes.get(..filled).unwrap_or_default(), &path, cipher) {
                Err(error) if error.kind() == ErrorKind::Corrupt => {
                    found.refused.push(error);
                    None
                }
                outcome => outcome?,
            };
            found.segments.push(SegmentFile { id, path, len, header });
        }
        Ok(found)
    }

    /// Whether the manifest names segments, and all that there are belong to other casks.
    pub(super) fn are_foreign_to(&self, manifest: &Manifest) -> bool {
        let is_foreign = |header: &SegmentHeader| header.cask_id != manifest.cask_id;
        let mut headers = self.segments.iter().filter_map(|file| file.header.as_ref()).peekable();
        !manifest.segments.is_empty() && headers.peek().is_some() && headers.all(is_foreign)
    }

    /// The identity that most segments have.
    pub(super) fn prevailing_cask(&self) -> Option<[u8; 16]> {
        let mut votes: HashMap<[u8; 16], (usize, u64)> = HashMap::new();
        for file in &self.segments {
            if let Some(header) = &file.header {
                let vote = votes.entry(header.cask_id).or_default();
                *vote = (vote.0 + 1, vote.1.max(header.id));
            }
        }
        votes.into_iter().max_by_key(|(_, vote)| *vote).map(|(cask_id, _)| cask_id)
    }

    /// Takes out what belongs to another cask, and notes what stands under a wrong number.
    pub(super) fn check(&mut self, cask_id: [u8; 16], damages: &mut Vec<Damage>) {
        damages.extend(self.refused.drain(..).map(|error| Damage::of(&error, error.message())));
        self.segments.retain(|file| {
            let Some(header) = &file.header else { return true };
            if header.cask_id != cask_id {
                damages.push(Damage::harmless(&file.path, 24, "the segment belongs to another cask"));
                return false;
            }
            if header.id != file.id || u32::try_from(file.id).is_err() {
                damages.push(Damage::harmless(&file.path, 40, "the segment's number is not that of its file name"));
            }
            true
        });
    }

    /// Whether a file is room for a segment that was not begun: zeros, in a log that was preallocating.
    pub(super) fn is_preallocated(&self, fs: &dyn Fs, file: &SegmentFile) -> Result<bool> {
        let older = self.segments.iter().rev().filter(|older| older.id < file.id).filter_map(|older| older.header.as_ref());
        if !older.filter(|header| !header.is_copy).map(|header| header.preallocated > 0).next().unwrap_or(false) {
            return Ok(false);
        }
        let open = fs.open(&file.path).map_err(|cause| Error::io("open", &file.path, &cause))?;
        let content = end_of_content(&*open, file.len).map_err(|cause| Error::io("read", &file.path, &cause))?;
        Ok(content == 0)
    }

    /// The file of a segment: the one of that name, else another one that says that it is, else the one of that name without a header.
    pub(super) fn segment(&self, id: u64, salt: &Salt) -> Option<&SegmentFile> {
        let is_it = |file: &&SegmentFile| file.header.as_ref().is_some_and(|header| header.salt == *salt && header.id == id);
        let headless = |file: &&SegmentFile| file.id == id && file.header.is_none();
        let named = |file: &&SegmentFile| file.id == id && is_it(file);
        let all = || self.segments.iter();
        all().find(named).or_else(|| all().find(is_it)).or_else(|| all().find(headless))
    }
}
