//! Hint files: made when a segment will stay for a while, read when a cask opens.
//!
//! They are caches. None is ever synced, and a failure to write one is nobody's failure.

use std::collections::HashMap;
use std::path::PathBuf;

use rustc_hash::FxBuildHasher;

use super::FileBackend;
use super::frames::{Placed, frames};
use super::fs::{read_all, read_all_into, write_all_at};
use super::index::{Index, Location, for_each_op};
use super::lock;
use super::log::Log;
use super::segments::id_of_file_name;
use crate::codec::frame;
use crate::codec::hint::{self, HintOf, HintOp, HintWriter};
use crate::codec::manifest::ManifestEntry;
use crate::record::{CREDS_KEY, Op};

/// A segment from this length on gets a hint: a smaller one is read as fast.
pub const HINT_FROM_BYTES: u64 = 128 << 10;

/// A hint has this part of its segment's length at most: of one whose records are about as short as their ids, it would save nothing.
const WORTH_PART: u64 = 4;

/// File name of the hint of a segment.
#[must_use]
fn file_name(id: u64) -> String {
    format!("{id:016x}.hint")
}

/// Number of the segment that a file is the hint of.
#[must_use]
pub fn id_of_hint_name(name: &str) -> Option<u64> {
    id_of_file_name(&format!("{}.seg", name.strip_suffix(".hint")?))
}

fn path(log: &Log, id: u64) -> PathBuf {
    log.folder.join(file_name(id))
}

const fn describe(log: &Log, entry: &ManifestEntry) -> HintOf {
    HintOf { cask_id: log.cask_id, id: entry.id, salt: entry.salt, length: entry.length }
}

/// Brings a segment into the index by its hint; says whether there was one. Otherwise nothing was done.
pub(super) fn load(log: &Log, index: &Index, entry: &ManifestEntry) -> bool {
    let Ok(file) = log.fs.open(&path(log, entry.id)) else { return false };
    let Ok(bytes) = read_all(&*file) else { return false };
    let Some(groups) = hint::read(&bytes, &describe(log, entry)) else { return false };
    groups.iter().for_each(|group| index.load(group, entry.id as u32));
    true
}

/// Removes the hint of a segment that is gone.
pub(super) fn remove(log: &Log, id: u64) {
    let _ = log.fs.remove(&path(log, id));
}

/// Writes the hint of a segment, given all of its bytes; says whether nothing more is to be done for it.
fn write(log: &Log, entry: &ManifestEntry, bytes: &[u8], always: bool) -> bool {
    let Some(hint) = build(&describe(log, entry), bytes) else { return false };
    if !always && hint.len() as u64 * WORTH_PART > entry.length {
        return true;
    }
    let path = path(log, entry.id);
    // One that was not read is of no use.
    let _ = log.fs.remove(&path);
    let Ok(file) = log.fs.create_new(&path) else { return false };
    let is_whole = write_all_at(&*file, &hint, 0).is_ok();
    if !is_whole {
        let _ = log.fs.remove(&path);
    }
    is_whole
}

/// What a segment does to one account.
#[derive(Debug, Default)]
struct Survivors<'a> {
    ops: Vec<Option<HintOp<'a>>>,
    /// Where the last operation on each key is.
    by_key: HashMap<&'a [u8], usize, FxBuildHasher>,
}

impl<'a> Survivors<'a> {
    fn push(&mut self, op: Op<'a>, at: Location) {
        match op {
            Op::Put { key, .. } => {
                let (chunk, chunk_len, op) = (at.chunk(), at.chunk_len(), u32::from(at.op()));
                self.push_keyed(key, HintOp::Put { key, chunk, chunk_len, op, size: at.size() });
            }
            Op::Delete { key } => self.push_keyed(key, HintOp::Delete { key, size: at.size() }),
            Op::Clear => {
                let creds = self.by_key.get(CREDS_KEY).copied();
                let stays = |position: usize, op: &HintOp<'_>| Some(position) == creds || matches!(op, HintOp::Drop { .. });
                for (position, slot) in self.ops.iter_mut().enumerate() {
                    if slot.is_some_and(|op| !stays(position, &op)) {
                        *slot = None;
                    }
                }
                self.by_key.retain(|key, _| *key == CREDS_KEY);
                self.ops.push(Some(HintOp::Clear { size: at.size() }));
            }
            Op::Drop => {
                self.by_key.clear();
                self.ops.clear();
                self.ops.push(Some(HintOp::Drop { size: at.size() }));
            }
        }
    }

    fn push_keyed(&mut self, key: &'a [u8], op: HintOp<'a>) {
        if let Some(slot) = self.by_key.insert(key, self.ops.len()).and_then(|before| self.ops.get_mut(before)) {
            *slot = None;
        }
        self.ops.push(Some(op));
    }
}

/// The hint of a segment; `None` where the segment is damaged.
fn build(of: &HintOf, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut accounts: HashMap<&str, Survivors<'_>, FxBuildHasher> = HashMap::default();
    let mut order = Vec::new();
    for placed in frames(bytes, of.salt, of.length) {
        let Placed { at, bytes: frame, .. } = placed.ok()?;
        if let Some(account) = frame::chunks(frame).next().map(|chunk| chunk.body.account) {
            let survivors = accounts.entry(account).or_insert_with(|| {
                order.push(account);
                Survivors::default()
            });
            for_each_op(frame::chunks(frame), of.id as u32, at as u64, |op, location| survivors.push(op, location));
        }
    }
    let mut writer = HintWriter::new(of);
    for account in order {
        writer.begin(account);
        accounts.get(account)?.ops.iter().flatten().for_each(|op| writer.push(op));
    }
    Some(writer.finish())
}

impl FileBackend {
    /// Writes the hints of all segments that the manifest names and that have none. Whoever calls it keeps compaction out.
    pub(super) fn write_missing_hints(&self, go_on: &dyn Fn() -> bool) {
        let Ok(named) = lock(&self.tail).map(|tail| tail.named().to_vec()) else { return };
        let mut bytes = Vec::new();
        for entry in named.iter().filter(|entry| entry.length >= self.hint_from) {
            if !go_on() {
                return;
            }
            let is_there = lock(&self.hinted).is_ok_and(|hinted| hinted.contains(&entry.id));
            if is_there {
                continue;
            }
            // What cannot be read now, or is damaged, is met when it is needed.
            let read = self.log.segments.open(entry.id as u32).is_ok_and(|(_, file)| read_all_into(&*file, &mut bytes).is_ok());
            if read {
                self.write_hint(entry, &bytes);
            }
        }
    }

    /// Removes all hints.
    pub(super) fn give_up_hints(&self) {
        if let Ok(mut hinted) = lock(&self.hinted) {
            hinted.drain().for_each(|id| remove(&self.log, id));
        }
    }

    /// Writes the hint of a segment where it is worth it.
    pub(super) fn write_hint(&self, entry: &ManifestEntry, bytes: &[u8]) {
        if entry.length >= self.hint_from
            && write(&self.log, entry, bytes, self.hint_from == 0)
            && let Ok(mut hinted) = lock(&self.hinted)
        {
            hinted.insert(entry.id);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::codec::frame::FRAME_HEADER_BYTES;

    fn survivors(ops: &[Op<'_>]) -> Vec<String> {
        let mut survivors = Survivors::default();
        for (position, op) in ops.iter().enumerate() {
            let size = super::super::index::ShortSize::of(FRAME_HEADER_BYTES as u64);
            let at = Location::new(1, position as u32, 1, 0, size);
            survivors.push(*op, at);
        }
        let show = |op: &HintOp<'_>| match op {
            HintOp::Put { key, chunk, .. } => format!("put {} at {chunk}", String::from_utf8_lossy(key)),
            HintOp::Delete { key, .. } => format!("delete {}", String::from_utf8_lossy(key)),
            HintOp::Clear { .. } => "clear".into(),
            HintOp::Drop { .. } => "drop".into(),
        };
        survivors.ops.iter().flatten().map(show).collect()
    }

    const fn put(key: &[u8]) -> Op<'_> {
        Op::Put { key, value: b"" }
    }

    #[test]
    fn the_last_operation_on_a_key_survives() {
        let ops = [put(b"a"), put(b"b"), Op::Delete { key: b"a" }, put(b"b"), Op::Delete { key: b"c" }, put(b"c")];
        assert_eq!(survivors(&ops), ["delete a", "put b at 3", "put c at 5"]);
    }

    #[test]
    fn a_clear_makes_all_before_it_void_but_creds_and_drops() {
        let (a, creds) = (put(b"a"), put(CREDS_KEY));
        assert_eq!(survivors(&[a, creds, Op::Delete { key: b"b" }, Op::Clear, a]).len(), 3);
        assert_eq!(survivors(&[Op::Drop, a, Op::Clear]), ["drop", "clear"]);
        assert_eq!(survivors(&[Op::Clear, a, Op::Clear]), ["clear"]);
        assert_eq!(survivors(&[Op::Delete { key: CREDS_KEY }, Op::Clear]).len(), 2);
        let after = survivors(&[creds, Op::Clear, creds]);
        assert_eq!(after.len(), 2);
        assert_eq!(after.first().unwrap(), "clear");
    }

    #[test]
    fn a_drop_makes_all_before_it_void() {
        assert_eq!(survivors(&[put(b"a"), put(CREDS_KEY), Op::Clear, Op::Drop, put(b"b")]), ["drop", "put b at 4"]);
    }
}
