//! A few threads for what blocks on the disk: opening and closing.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Handle, Runtime};

use crate::error::{Error, Result};

/// A thousand casks that open at once share this many threads.
const THREADS: usize = 4;
/// Idle threads end after this time.
const KEEP_ALIVE: Duration = Duration::from_secs(1);

fn handle() -> Result<Handle> {
    // Shared by every worker thread: the pool belongs to the process, not to one environment.
    static POOL: Mutex<Option<Runtime>> = Mutex::new(None);
    let mut pool = POOL.lock().unwrap_or_else(PoisonError::into_inner);
    if pool.is_none() {
        let built = Builder::new_current_thread()
            .max_blocking_threads(THREADS)
            .thread_keep_alive(KEEP_ALIVE)
            .thread_name("cask-opener")
            .build()
            .map_err(|cause| Error::io("clone", Path::new("the thread pool"), &cause))?;
        *pool = Some(built);
    }
    pool.as_ref().map(|pool| pool.handle().clone()).ok_or_else(|| Error::internal("no thread pool"))
}

/// Runs blocking work on one of the threads.
///
/// # Errors
/// `Io` where the pool cannot be made.
pub(super) fn spawn(work: impl FnOnce() + Send + 'static) -> Result<()> {
    handle()?.spawn_blocking(work);
    Ok(())
}
