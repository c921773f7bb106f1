//! The one thread for what no call waits for: compaction and everything else that can be done later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::error::{Error, Result};

type Chore = Box<dyn FnOnce() + Send>;

/// A way to hand work to the thread.
#[derive(Debug, Clone)]
pub struct Chores {
    queue: Sender<Chore>,
}

impl Chores {
    /// The thread of this process, started on first use: one for all casks, so that a thousand folders tidy up one after the other.
    ///
    /// # Errors
    /// `Io` where the thread cannot be started.
    pub fn shared() -> Result<Self> {
        static SHARED: Mutex<Option<Chores>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chores) = &*shared {
            return Ok(chores.clone());
        }
        let (queue, inbox) = channel::<Chore>();
        thread::Builder::new()
            .name("cask-chores".into())
            .spawn(move || {
                for chore in inbox {
                    // A fault in one cask's chore must not end the thread that serves them all.
                    let _ = catch_unwind(AssertUnwindSafe(chore));
                }
            })
            .map_err(|cause| Error::io("clone", Path::new("the thread for chores"), &cause))?;
        Ok(shared.insert(Self { queue }).clone())
    }

    /// Hands over work. It is done after all that was handed over before.
    pub fn send(&self, chore: impl FnOnce() + Send + 'static) {
        // Fails only where the thread is gone, which happens while the process ends.
        let _ = self.queue.send(Box::new(chore));
    }
}
