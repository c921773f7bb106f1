//! The one thread for what no call waits for: compaction and everything else that can be done later.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use crate::error::{Error, Result};
use crate::sync::mpsc::{Sender, channel};
use crate::sync::{IS_CHECKED, thread};

type Chore = Box<dyn FnOnce() + Send>;

/// A way to hand work to the thread.
#[derive(Clone)]
pub struct Chores {
    queue: Sender<Chore>,
}

impl std::fmt::Debug for Chores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chores").finish_non_exhaustive()
    }
}

impl Chores {
    /// The thread of this process, started on first use: one for all casks, so that a thousand folders tidy up one after the other.
    ///
    /// # Errors
    /// `Io` where the thread cannot be started.
    pub fn shared() -> Result<Self> {
        if IS_CHECKED {
            return Self::start();
        }
        static SHARED: Mutex<Option<Chores>> = Mutex::new(None);
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(chores) = &*shared {
            return Ok(chores.clone());
        }
        Ok(shared.insert(Self::start()?).clone())
    }

    fn start() -> Result<Self> {
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
        Ok(Self { queue })
    }

    /// Hands over work. It is done after all that was handed over before.
    pub fn send(&self, chore: impl FnOnce() + Send + 'static) {
        // Fails only where the thread is gone, which happens while the process ends.
        let _ = self.queue.send(Box::new(chore));
    }
}
