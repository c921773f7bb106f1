//! After a failed sync: frames that may be on disk or not are written once more.
//!
//! A kernel that failed to write a page may have marked it clean all the same. Such a page reads back well for as long as it
//! is cached, no later sync writes it, and it is gone when the cache is. So every frame past the last one known to be on disk
//! goes to a fresh segment, which is synced before the log opens.

use std::io;

use super::frames::Frames;
use super::index::Index;
use super::log::Log;
use super::tail::Tail;
use crate::codec::frame;
use crate::codec::manifest::ManifestEntry;
use crate::codec::segment::SEGMENT_HEADER_BYTES;
use crate::error::{Error, Result};

/// Rewrites all frames past `tail.synced` and makes the tail follow them. Gives the segments that the log then leaves out;
/// the first `named` ended ones are those that the manifest names, and all of them is on disk.
///
/// The header of the fresh segment cuts the frames off where they were, so it is written last, when they are safe in their
/// new place.
///
/// # Errors
/// `Io`; then the log is as it was.
pub(super) fn reappend(log: &Log, index: &Index, tail: &mut Tail, named: usize) -> Result<Vec<u64>> {
    let mut frames = Vec::new();
    let mut kept: Vec<ManifestEntry> = Vec::new();
    let mut needed = 0;
    let mut reached = tail.through.map_or(0, |link| link.last_seq);
    for entry in tail.ended.iter().skip(named) {
        let (safe_end, safe_seq) = collect(log, entry, tail.synced, &mut frames)?;
        reached = safe_seq.unwrap_or(reached);
        kept.push(ManifestEntry { length: safe_end, last_seq: reached, decided_seq: reached, ..*entry });
        // A segment without frames stays where a later one leads back to it.
        if safe_seq.is_some() {
            needed = kept.len();
        }
    }
    let left_out = kept.split_off(needed).iter().map(|entry| entry.id).collect();
    tail.left = kept.last().map(ManifestEntry::link).or(tail.through);
    tail.ended.truncate(named);
    tail.ended.append(&mut kept);
    tail.unsynced.clear();
    tail.next_seq = tail.synced + 1;
    let first_id = tail.next_id;
    if let Err(error) = write_again(log, index, tail, frames) {
        // The one that may have got its header goes first: the others are nothing without it.
        for id in first_id..tail.next_id {
            match log.fs.remove(&log.segments.path(id)) {
                Err(cause) if cause.kind() != io::ErrorKind::NotFound => break,
                _ => {}
            }
        }
        return Err(error);
    }
    Ok(left_out)
}

fn write_again(log: &Log, index: &Index, tail: &mut Tail, frames: Vec<Vec<u8>>) -> Result<()> {
    let (header, file) = log.start_headless_segment(tail)?;
    let mut run = Vec::new();
    for mut frame in frames {
        frame::unfinish(&mut frame);
        run.clear();
        log.prepare(&frame, &mut run)?;
        let written = log.append(tail, &mut run);
        if let Some(error) = written.error {
            return Err(error);
        }
        index.free(&index.publish(&frame, written.segment, written.offset, None));
    }
    let plan = tail.begin_sync();
    plan.run(log)?;
    log.write_header(&*file, &header, true)?;
    tail.end_sync(&plan);
    Ok(())
}

/// Splits a segment at the last frame known to be on disk: where that one ends, its number, and all frames after it.
fn collect(log: &Log, entry: &ManifestEntry, synced: u64, unsynced: &mut Vec<Vec<u8>>) -> Result<(u64, Option<u64>)> {
    let id = u32::try_from(entry.id).map_err(|_| Error::internal("a segment number is out of range"))?;
    let path = log.segments.path(id);
    let (salt, file) = log.segments.open(id)?;
    let frames = Frames::new(&*file, &path, salt, entry.length, &log.cipher);
    let mut safe = (SEGMENT_HEADER_BYTES as u64, None);
    frames.visit_all("a frame changed while it was read", |placed| {
        if placed.header.seq <= synced {
            safe = (placed.end(), Some(placed.header.seq));
        } else {
            unsynced.push(placed.bytes.to_vec());
        }
        Ok(())
    })?;
    Ok(safe)
}
