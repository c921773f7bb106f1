//! A few threads for what blocks on the disk: opening, closing and reads; and others for what takes long.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use super::inbox::{Inbox, Payload};
use crate::error::{Error, Result, or_panic};

/// A thousand casks that open at once share this many threads.
const THREADS: usize = 4;
/// Idle threads end after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

/// What goes over whole casks has threads of its own: an open does not wait behind it.
const LONG_THREADS: usize = 2;

/// Shared by every worker thread: the pools belong to the process, not to one environment.
struct Pool {
    threads: usize,
    name: &'static str,
    runtime: Mutex<Option<Runtime>>,
}

static POOL: Pool = Pool { threads: THREADS, name: "cask-opener", runtime: Mutex::new(None) };
static LONG_POOL: Pool = Pool { threads: LONG_THREADS, name: "cask-upkeep", runtime: Mutex::new(None) };

impl Pool {
    fn handle(&self) -> Result<Handle> {
        let mut pool = self.runtime.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.is_none() {
            let built = Builder::new_current_thread()
                .max_blocking_threads(self.threads)
                .thread_keep_alive(KEEP_ALIVE)
                .thread_name(self.name)
                .build()
                .map_err(|cause| Error::io("clone", Path::new("the thread pool"), &cause))?;
            *pool = Some(built);
        }
        pool.as_ref().map(|pool| pool.handle().clone()).ok_or_else(|| Error::internal("no thread pool"))
    }
}

/// Runs blocking work on one of the threads.
///
/// # Errors
/// `Io` where the pool cannot be made.
pub(super) fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    POOL.handle()?.spawn_blocking(work);
    Ok(())
}

/// Runs blocking work on one of the threads, and settles a ticket with what it comes to.
///
/// # Errors
/// `Io` where the pool cannot be made.
pub(super) fn settle(inbox: &Inbox, ticket: u32, work: impl FnOnce() -> Result<Payload> + Send + 'static) -> Result<()> {
    settle_in(&POOL, inbox, ticket, work)
}

/// The same with work that may take minutes.
///
/// # Errors
/// `Io` where the pool cannot be made.
pub(super) fn settle_long(inbox: &Inbox, ticket: u32, work: impl FnOnce() -> Result<Payload> + Send + 'static) -> Result<()> {
    settle_in(&LONG_POOL, inbox, ticket, work)
}

fn settle_in(pool: &Pool, inbox: &Inbox, ticket: u32, work: impl FnOnce() -> Result<Payload> + Send + 'static) -> Result<()> {
    let inbox = inbox.clone();
    pool.handle()?.spawn_blocking(move || inbox.settle(ticket, or_panic(work)));
    Ok(())
}
