//! A batch that nothing stands in the way of is written by the call itself, on its own thread.

use std::cell::RefCell;

use super::tail::Tail;
use super::{Durability, FileBackend};
use crate::backend::Batch;
use crate::codec::frame::{self, Form};
use crate::error::{Error, Result};
use crate::sync::atomic::Ordering;
use crate::sync::{IS_CHECKED, thread_local};

/// A batch up to this size is written on the calling thread when nothing else waits.
const DIRECT_WRITE_BYTES: usize = if IS_CHECKED { 512 } else { 1 << 20 };
/// A thread keeps its encoding buffer up to this size.
const KEPT_BUFFER_BYTES: usize = 1 << 20;
/// How often a batch looks whether the append lock is free before it is queued, and how long it waits in between: some ten microseconds.
const PATIENCE_SPINS: u32 = if IS_CHECKED { 1 } else { 64 };
const SPINS_PER_TRY: u32 = 16;

thread_local! {
    /// Where this thread encodes its batches.
    static FRAME: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    /// Where this thread seals them.
    static SEALED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl FileBackend {
    /// Encodes a batch.
    pub(super) fn with_frame<T>(&self, batch: Batch<'_>, work: impl FnOnce(&mut Vec<u8>) -> Result<T>) -> Result<T> {
        self.check_writable()?;
        // A thread that is ending has no buffer any more, and may be the one that lets another one's batch go on.
        let mut frame = FRAME.try_with(RefCell::take).unwrap_or_default();
        frame.clear();
        frame.shrink_to(KEPT_BUFFER_BYTES);
        let done = if frame::encode_batch(&mut frame, batch.account, batch.ops, Form::of(&self.log.cipher)) {
            work(&mut frame)
        } else {
            Err(Error::internal("malformed operations in a batch"))
        };
        let _ = FRAME.try_with(|kept| kept.replace(frame));
        done
    }

    /// Alone, a batch is written right here; `None` where it has to be queued. It never overtakes one that is queued: those leave
    /// the queue only under the append lock.
    pub(super) fn write_at_once(&self, frame: &mut [u8]) -> Option<Result<()>> {
        if self.durability == Durability::Power || frame.len() > DIRECT_WRITE_BYTES {
            return None;
        }
        if !self.log.cipher.is_sealed() {
            return self.write_prepared(frame, None);
        }
        // Outside of the append lock: sealing takes as long as a write.
        let mut sealed = SEALED.try_with(RefCell::take).unwrap_or_default();
        sealed.clear();
        sealed.shrink_to(KEPT_BUFFER_BYTES);
        let written = match self.log.prepare(frame, &mut sealed) {
            Ok(()) => self.write_prepared(frame, Some(&mut sealed)),
            Err(error) => Some(Err(error)),
        };
        let _ = SEALED.try_with(|kept| kept.replace(sealed));
        written
    }

    /// The same for a frame and what of it goes to disk, if that is not the frame itself.
    fn write_prepared(&self, frame: &mut [u8], sealed: Option<&mut Vec<u8>>) -> Option<Result<()>> {
        // Another thread's batch takes a few microseconds, less than a way through the queue.
        let mut tail = (0..PATIENCE_SPINS).find_map(|_| {
            let tail = self.tail.try_lock().ok();
            if tail.is_none() {
                (0..SPINS_PER_TRY).for_each(|_| std::hint::spin_loop());
            }
            tail
        })?;
        if tail.closed || self.queued.load(Ordering::Acquire) > 0 {
            return None;
        }
        // A sync may have failed since the first look.
        if let Err(error) = self.check_writable() {
            return Some(Err(error));
        }
        let outcome = self.commit_here(&mut tail, frame, sealed);
        let rolled = std::mem::take(&mut tail.rolled);
        drop(tail);
        self.schedule_tick();
        if rolled {
            self.after_roll();
        }
        Some(outcome)
    }

    /// Writes one encoded batch on this thread and makes it visible.
    fn commit_here(&self, tail: &mut Tail, frame: &mut [u8], sealed: Option<&mut Vec<u8>>) -> Result<()> {
        let written = match sealed {
            Some(sealed) => self.log.append(tail, sealed),
            None => self.log.append(tail, frame),
        };
        if let Some(error) = written.error {
            return Err(self.heed(error));
        }
        self.discard(self.index.publish(frame, written.segment, written.offset, Some(&self.cache)));
        Ok(())
    }
}
