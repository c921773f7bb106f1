//! The one thread that writes, syncs and tidies up for all casks of the process.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::FileBackend;
use super::index::Unreachable;
use crate::backend::Completion;
use crate::error::{Error, Result};
use crate::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use crate::sync::{IS_CHECKED, thread};

/// Work for the thread.
pub enum Job {
    /// Write what a cask has queued.
    Drain(Arc<FileBackend>),
    /// Sync a cask when the time has come.
    Tick(Weak<FileBackend>, Instant),
    /// Make all that a cask has acknowledged safe from a loss of power.
    Flush(Arc<FileBackend>, Completion),
    /// Free many records.
    Free(Arc<FileBackend>, Unreachable),
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Drain(_) => "Drain",
            Self::Tick(..) => "Tick",
            Self::Flush(..) => "Flush",
            Self::Free(..) => "Free",
        })
    }
}

/// A way to hand work to the thread.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: Sender<Job>,
}

impl Writer {
    /// The writer of this process, started on first use. One thread serves a thousand folders; every worker thread that loads
    /// the addon shares it.
    ///
    /// # Errors
    /// `Io` where the thread cannot be started.
    pub fn shared() -> Result<Self> {
        if IS_CHECKED {
            return Self::start();
        }
        static SHARED: Mutex<Option<Writer>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(writer) = &*shared {
            return Ok(writer.clone());
        }
        Ok(shared.insert(Self::start()?).clone())
    }

    fn start() -> Result<Self> {
        let (jobs, inbox) = channel();
        thread::Builder::new()
            .name("cask-writer".into())
            .spawn(move || run(&inbox))
            .map_err(|cause| Error::io("clone", std::path::Path::new("the writer thread"), &cause))?;
        Ok(Self { jobs })
    }

    /// Hands over work. The thread lives as long as the process, so nothing is lost.
    pub fn send(&self, job: Job) {
        // Fails only where the thread is gone, which happens while the process ends.
        let _ = self.jobs.send(job);
    }
}

struct Due {
    at: Instant,
    cask: Weak<FileBackend>,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

/// How long the thread looks for the next commit before it sleeps. To be woken takes about as long as everything else that a commit
/// needs besides the disk.
const ATTENTION: Duration = Duration::from_micros(60);

/// Looks for the next job where commits follow each other closely, as those of somebody do who awaits each.
#[derive(Debug)]
struct Attention {
    /// There is a processor for whoever is to hand over the next job.
    has_room: bool,
    /// The last commit came soon after the thread was free.
    is_close: bool,
}

impl Attention {
    fn new() -> Self {
        Self { has_room: !IS_CHECKED && std::thread::available_parallelism().is_ok_and(|count| count.get() > 1), is_close: false }
    }

    /// The next job, where one comes soon after the thread has become free.
    fn next<T>(&self, inbox: &Receiver<T>, free: Instant) -> Option<T> {
        if !(self.has_room && self.is_close) {
            return None;
        }
        loop {
            match inbox.try_recv() {
                Ok(job) => return Some(job),
                Err(_) if free.elapsed() > ATTENTION => return None,
                Err(_) => std::hint::spin_loop(),
            }
        }
    }

    /// Takes note of a job that came so long after the thread was free.
    fn heed(&mut self, is_commit: bool, after: Duration) {
        // What would have been in time but for the thread's own waking up counts too.
        self.is_close = is_commit && after < ATTENTION * 2;
    }
}

fn run(inbox: &Receiver<Job>) {
    let mut due: BinaryHeap<Reverse<Due>> = BinaryHeap::new();
    let mut attention = Attention::new();
    loop {
        // Commits that wait go before syncs that are due: a waiting commit is somebody's latency.
        let free = Instant::now();
        let job = match attention.next(inbox, free) {
            Some(job) => Ok(job),
            None => match due.peek().map(|Reverse(next)| next.at.saturating_duration_since(Instant::now())) {
                None => inbox.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(Duration::ZERO) => inbox.try_recv().map_err(|_| RecvTimeoutError::Timeout),
                Some(wait) => inbox.recv_timeout(wait),
            },
        };
        attention.heed(matches!(job, Ok(Job::Drain(_))), free.elapsed());
        match job {
            Ok(Job::Tick(cask, at)) => due.push(Reverse(Due { at, cask })),
            Ok(job) => guarded(|| carry_out(job)),
            Err(RecvTimeoutError::Timeout) => {
                if let Some(cask) = due.pop().and_then(|Reverse(next)| next.cask.upgrade()) {
                    guarded(|| cask.tick());
                }
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

fn carry_out(job: Job) {
    match job {
        Job::Drain(cask) => cask.drain(),
        Job::Flush(cask, completion) => completion(cask.flush_now()),
        Job::Free(cask, unreachable) => cask.free(unreachable),
        Job::Tick(..) => {}
    }
}

/// Keeps a fault in one cask from ending the thread that serves them all. The cask's locks are poisoned by the panic, so its
/// later calls report the fault.
fn guarded(work: impl FnOnce()) {
    let _ = catch_unwind(AssertUnwindSafe(work));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_micros(10);

    /// What is taken without sleeping once commits have come at these distances.
    fn taken(has_room: bool, commits: &[(bool, Duration)]) -> Option<u8> {
        let (sender, inbox) = channel();
        let mut attention = Attention { has_room, is_close: false };
        commits.iter().for_each(|(is_commit, after)| attention.heed(*is_commit, *after));
        let _ = sender.send(7);
        attention.next(&inbox, Instant::now())
    }

    #[test]
    fn the_thread_looks_for_a_commit_only_where_the_last_one_came_soon() {
        assert_eq!(taken(true, &[]), None);
        assert_eq!(taken(true, &[(true, SOON)]), Some(7));
        assert_eq!(taken(true, &[(true, SOON), (true, Duration::from_millis(1))]), None);
        assert_eq!(taken(true, &[(true, SOON), (false, SOON)]), None);
        assert_eq!(taken(false, &[(true, SOON)]), None);
    }

    #[test]
    fn the_thread_does_not_look_for_long() {
        let (_sender, inbox) = channel::<u8>();
        let attention = Attention { has_room: true, is_close: true };
        assert_eq!(attention.next(&inbox, Instant::now()), None);
    }
}
