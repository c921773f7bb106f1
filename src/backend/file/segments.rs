//! The segments of one cask as readers see them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError};

use quick_cache::sync::Cache;

use super::fs::{Fs, FsFile};
use super::index::Location;
use crate::codec::check::Salt;
use crate::codec::cipher::Cipher;
use crate::codec::frame::{body_of_checked, open_chunk};
use crate::error::{Error, Result};
use crate::record::Op;
use crate::sync::RwLock;

/// Descriptors of segments that are read but no longer written, over the whole process.
const OPEN_SEALED_SEGMENTS: usize = 128;

/// File name of a segment.
#[must_use]
pub fn file_name(id: u32) -> String {
    format!("{id:016x}.seg")
}

/// Number of the segment with this file name, spelt as [`file_name`] spells it.
#[must_use]
pub fn id_of_file_name(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg").filter(|digits| digits.len() == 16)?;
    let is_ours = digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    if is_ours { u64::from_str_radix(digits, 16).ok() } else { None }
}

/// File name of a segment that compaction still writes: it gets its own name when it is whole and on disk.
#[must_use]
pub fn draft_name(id: u32) -> String {
    format!("{id:016x}.new")
}

/// Whether a file is a segment that compaction has not finished.
#[must_use]
pub fn is_draft_name(name: &str) -> bool {
    name.strip_suffix(".new").is_some_and(|stem| id_of_file_name(&format!("{stem}.seg")).is_some())
}

type Descriptors = Cache<(u32, u32), Arc<dyn FsFile>>;

/// Shared by every cask of the process: a thousand folders must not hold a thousand old segments open.
fn descriptors() -> &'static Descriptors {
    static DESCRIPTORS: OnceLock<Descriptors> = OnceLock::new();
    DESCRIPTORS.get_or_init(|| Cache::new(OPEN_SEALED_SEGMENTS))
}

#[derive(Debug, Clone)]
struct Segment {
    salt: Salt,
    /// Held open while it is written or waits for its sync.
    pinned: Option<Arc<dyn FsFile>>,
}

/// Segments by number, and how to read from them.
#[derive(Debug)]
pub struct Segments {
    cask: u32,
    cipher: Cipher,
    folder: PathBuf,
    fs: Arc<dyn Fs>,
    table: RwLock<HashMap<u32, Segment>>,
}

/// Whether a read may wait for the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It may.
    Allowed,
    /// Only what the operating system has in memory is read.
    Refused,
}

/// What reading a value came to.
#[derive(Debug)]
pub enum Read<'m> {
    /// It is there.
    Value(&'m [u8]),
    /// It would have to wait for the disk, which was not allowed.
    WouldWait,
    /// The segment was replaced by a copy since the place was looked up: look it up again.
    Gone,
}

/// A chunk read from disk and checked, kept while one call reads several values from it.
#[derive(Debug, Default)]
pub struct ChunkMemo {
    place: Option<(u32, u32)>,
    bytes: Vec<u8>,
}

impl Segments {
    /// No segments yet.
    #[must_use]
    pub fn new(cask: u32, folder: &Path, fs: Arc<dyn Fs>, cipher: Cipher) -> Self {
        Self { cask, cipher, folder: folder.into(), fs, table: RwLock::default() }
    }

    /// Path of a segment.
    #[must_use]
    pub fn path(&self, id: u32) -> PathBuf {
        self.folder.join(file_name(id))
    }

    /// Adds a segment. With a file, it stays open until [`Self::unpin`].
    pub fn insert(&self, id: u32, salt: Salt, pinned: Option<Arc<dyn FsFile>>) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).insert(id, Segment { salt, pinned });
    }

    /// Lets the descriptor of a segment be closed.
    pub fn unpin(&self, id: u32) {
        if let Some(segment) = self.table.write().unwrap_or_else(PoisonError::into_inner).get_mut(&id) {
            segment.pinned = None;
        }
    }

    /// Removes a segment that is not needed any more. Who reads it now may go on.
    pub fn forget(&self, id: u32) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        descriptors().remove(&(self.cask, id));
    }

    /// Closes every descriptor.
    pub fn close(&self) {
        self.table.write().unwrap_or_else(PoisonError::into_inner).clear();
        let cask = self.cask;
        descriptors().retain(|(owner, _), _| *owner != cask);
    }

    fn find(&self, id: u32) -> Option<Segment> {
        self.table.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// The open file of a segment, and its salt.
    ///
    /// # Errors
    /// `Io` where it cannot be opened, `Closed` where there is no such segment.
    pub fn open(&self, id: u32) -> Result<(Salt, Arc<dyn FsFile>)> {
        self.open_if_there(id)?.ok_or_else(Error::closed)
    }

    /// The same, and `None` where there is no such segment.
    fn open_if_there(&self, id: u32) -> Result<Option<(Salt, Arc<dyn FsFile>)>> {
        let Some(segment) = self.find(id) else { return Ok(None) };
        if let Some(file) = segment.pinned {
            return Ok(Some((segment.salt, file)));
        }
        if let Some(file) = descriptors().get(&(self.cask, id)) {
            return Ok(Some((segment.salt, file)));
        }
        let path = self.path(id);
        let file = match self.fs.open(&path) {
            Ok(file) => file,
            // It was there a moment ago.
            Err(_) if self.find(id).is_none() => return Ok(None),
            Err(cause) => return Err(Error::io("open", &path, &cause)),
        };
        descriptors().insert((self.cask, id), Arc::clone(&file));
        if self.find(id).is_none() {
            // An open descriptor would keep the room that the removed segment takes on disk.
            descriptors().remove(&(self.cask, id));
        }
        Ok(Some((segment.salt, file)))
    }

    /// Reads the value at a location and makes sure that it is the one of this account and key.
    ///
    /// # Errors
    /// `Io` where it cannot be read, `Corrupt` where what is there is not what was written.
    pub fn read<'m>(&self, account: &str, key: &[u8], at: Location, wait: Wait, memo: &'m mut ChunkMemo) -> Result<Read<'m>> {
        let place = (at.segment(), at.chunk());
        if memo.place != Some(place) {
            memo.place = None;
            let Some((salt, file)) = self.open_if_there(at.segment())? else { return Ok(Read::Gone) };
            if !self.fill(&*file, at, wait, &mut memo.bytes)? {
                return Ok(Read::WouldWait);
            }
            if open_chunk(&mut memo.bytes, &salt, u64::from(at.chunk()), &self.cipher).is_none() {
                return Err(self.damaged(at, "the check of a chunk does not match"));
            }
            memo.place = Some(place);
        }
        // The chunk has passed its check, either just now or for an earlier value of the same call.
        let body = body_of_checked(&memo.bytes);
        match body.and_then(|body| (body.account == account).then(|| body.op_at(usize::from(at.op())))?) {
            Some(Op::Put { key: found, value }) if found == key => Ok(Read::Value(value)),
            _ => Err(self.damaged(at, "another record stands in the place of the one looked up")),
        }
    }

    fn fill(&self, file: &dyn FsFile, at: Location, wait: Wait, bytes: &mut Vec<u8>) -> Result<bool> {
        bytes.clear();
        bytes.resize(at.chunk_len() as usize, 0);
        let mut filled = 0;
        while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let offset = u64::from(at.chunk()) + filled as u64;
            let outcome = match wait {
                Wait::Allowed => file.read_at(rest, offset).map(Some),
                Wait::Refused => file.read_at_once(rest, offset),
            };
            match outcome {
                Ok(None) => return Ok(false),
                Ok(Some(0)) => return Err(self.damaged(at, "the file is shorter than it was")),
                Ok(Some(count)) => filled += count,
                Err(cause) if cause.kind() == std::io::ErrorKind::Interrupted => {}
                Err(cause) => return Err(Error::io("read", &self.path(at.segment()), &cause)),
            }
        }
        Ok(true)
    }

    fn damaged(&self, at: Location, what: &str) -> Error {
        Error::corrupt(&self.path(at.segment()), u64::from(at.chunk()), what)
    }
}
