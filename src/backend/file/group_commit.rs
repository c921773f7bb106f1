//! Group commit: batches that wait are written together, and share one sync where they ask for one.

use std::sync::PoisonError;

use super::tail::Tail;
use super::writer::Job;
use super::{Durability, FileBackend, lock};
use crate::backend::{Batch, Completion};
use crate::error::{Error, Result};
use crate::flat;
use crate::sync::atomic::Ordering;

/// Queued batches are merged into one write up to this size.
const MERGED_WRITE_BYTES: usize = 4 << 20;

/// A batch that waits for the writer thread.
struct Queued {
    account: Box<str>,
    frame: Vec<u8>,
    completion: Completion,
}

impl std::fmt::Debug for Queued {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queued").field("account", &self.account).field("bytes", &self.frame.len()).finish_non_exhaustive()
    }
}

/// Batches in the order in which they go to the log.
#[derive(Debug, Default)]
pub(super) struct Queue {
    batches: Vec<Queued>,
    /// Nothing enters any more.
    pub(super) closed: bool,
}

impl FileBackend {
    /// Queues an encoded batch behind those that wait already.
    pub(super) fn enqueue(&self, batch: Batch<'_>, frame: &[u8], completion: &mut dyn FnMut() -> Completion) -> Result<()> {
        let mut queue = lock(&self.queue)?;
        if queue.closed {
            return Err(Error::closed());
        }
        queue.batches.push(Queued { account: batch.account.into(), frame: frame.to_vec(), completion: completion() });
        self.queued.store(queue.batches.len(), Ordering::Release);
        let first = queue.batches.len() == 1;
        drop(queue);
        if first && let Some(this) = self.this.upgrade() {
            self.writer.send(Job::Drain(this));
        }
        Ok(())
    }

    /// Writes what is queued: merged, with one sync for all where they ask for one. Runs on the writer thread.
    pub(super) fn drain(&self) {
        match lock(&self.turn) {
            Ok(_turn) => self.drain_in_turn(),
            Err(error) => refuse(self.take_queued(), &error),
        }
    }

    fn take_queued(&self) -> Vec<Queued> {
        // Whatever a fault has left behind: nobody shall wait for ever.
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        self.queued.store(0, Ordering::Release);
        std::mem::take(&mut queue.batches)
    }

    /// The same for a caller whose turn it is.
    pub(super) fn drain_in_turn(&self) {
        let mut tail = match lock(&self.tail) {
            Ok(tail) => tail,
            Err(error) => return refuse(self.take_queued(), &error),
        };
        let batches = self.take_queued();
        if batches.is_empty() {
            return;
        }
        self.counts.groups.add(batches.len() as u64);
        if let Err(error) = self.ended.get().or_else(|| self.poisoned.get()).map_or(Ok(()), |error| Err(error.clone())) {
            drop(tail);
            return refuse(batches, &error);
        }
        let placed = self.write_merged(&mut tail, &batches);
        let rolled = std::mem::take(&mut tail.rolled);
        if self.durability == Durability::Process {
            self.publish_all(&batches, &placed);
            drop(tail);
            settle(batches, placed.into_iter().map(|place| place.map(|_| ())));
        } else {
            drop(tail);
            match self.sync() {
                Ok(()) => {
                    self.publish_all(&batches, &placed);
                    settle(batches, placed.into_iter().map(|place| place.map(|_| ())));
                }
                Err(error) => settle(batches, std::iter::repeat_with(|| Err(error.clone()))),
            }
        }
        self.schedule_tick();
        self.schedule_preallocation();
        if rolled {
            self.after_roll();
        }
    }

    fn publish_all(&self, batches: &[Queued], placed: &[Result<(u32, u64)>]) {
        for (batch, place) in batches.iter().zip(placed) {
            if let Ok((segment, offset)) = place {
                self.discard(self.index.publish(&batch.frame, *segment, *offset, Some(&self.cache)));
            }
        }
    }

    /// Writes batches in as few writes as segments allow; gives the place of each, or why it has none.
    fn write_merged(&self, tail: &mut Tail, batches: &[Queued]) -> Vec<Result<(u32, u64)>> {
        let mut placed = Vec::with_capacity(batches.len());
        let mut rest = batches;
        while let Some(first) = rest.first() {
            // A sync that failed for one of them concerns all that follow.
            if let Err(error) = self.check_writable() {
                placed.resize_with(batches.len(), || Err(error.clone()));
                break;
            }
            let mut run = Vec::with_capacity(first.frame.len());
            if let Err(error) = self.log.prepare(&first.frame, &mut run) {
                placed.push(Err(error));
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let mut count = 1;
            let limit = usize::try_from(tail.room(self.log.roll_at())).unwrap_or(usize::MAX).min(MERGED_WRITE_BYTES);
            for next in rest.iter().skip(1) {
                // One that cannot be prepared is told of when it comes first.
                if run.len() + next.frame.len() > limit || self.log.prepare(&next.frame, &mut run).is_err() {
                    break;
                }
                count += 1;
            }
            let (group, after) = rest.split_at_checked(count).unwrap_or((rest, &[]));
            let mut written = self.log.append(tail, &mut run);
            written.error = written.error.map(|error| self.heed(error));
            let mut at = 0;
            for batch in group {
                let end = at + batch.frame.len();
                placed.push(if end <= written.whole {
                    Ok((written.segment, written.offset + at as u64))
                } else {
                    Err(written.error.clone().unwrap_or_else(|| Error::internal("a frame was not written")))
                });
                at = end;
            }
            rest = after;
        }
        placed
    }
}

fn refuse(batches: Vec<Queued>, error: &Error) {
    batches.into_iter().for_each(|batch| (batch.completion)(Err(error.clone())));
}

fn settle(batches: Vec<Queued>, outcomes: impl Iterator<Item = Result<()>>) {
    let settled: Vec<_> = batches.into_iter().zip(outcomes).collect();
    // As one piece of work: what they have put off comes after all of them.
    flat::run(move || settled.into_iter().for_each(|(batch, outcome)| (batch.completion)(outcome)));
}
