//! Outcomes on their way to a JavaScript thread: one wake-up for however many are settled in a turn.

use std::cell::Cell;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Status, sys};

use crate::backend::Completion;
use crate::error::{Error, Result};
use crate::store::registry::StoreHandle;

/// Calls the port's `wake`. Weak: an idle cask does not keep the process alive.
pub(super) type Wake = ThreadsafeFunction<(), (), (), Status, false, true>;

/// What a ticket is settled with.
#[derive(Debug)]
pub(super) enum Payload {
    /// Success with nothing to say.
    Nothing,
    /// A handle to a cask.
    Opened(Box<StoreHandle>),
    /// The answer of a read.
    Answer(Vec<u8>),
    /// What a long piece of work has to say, as JSON.
    Report(String),
}

/// One settled ticket.
pub(super) struct Settled {
    pub(super) ticket: u32,
    pub(super) outcome: Result<Payload>,
}

struct Queue {
    settled: Vec<Settled>,
    open: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Wake,
}

thread_local! {
    /// The inbox that is emptied anyway when the call that this thread makes for it has returned; null while there is none.
    static EMPTIED_NEXT: Cell<*const Shared> = const { Cell::new(ptr::null()) };
}

/// Where any thread leaves outcomes for one port.
#[derive(Clone)]
pub(super) struct Inbox {
    shared: Arc<Shared>,
}

impl Inbox {
    pub(super) fn new(wake: Wake) -> Self {
        Self { shared: Arc::new(Shared { queue: Mutex::new(Queue { settled: Vec::new(), open: true }), wake }) }
    }

    pub(super) fn wake_handle(&self) -> sys::napi_threadsafe_function {
        self.shared.wake.raw()
    }

    /// Settles a ticket. May be called from any thread.
    pub(super) fn settle(&self, ticket: u32, outcome: Result<Payload>) {
        let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if !queue.open {
            drop(queue);
            give_back(outcome);
            return;
        }
        let first = queue.settled.is_empty();
        queue.settled.push(Settled { ticket, outcome });
        drop(queue);
        if first && EMPTIED_NEXT.get() != Arc::as_ptr(&self.shared) {
            self.shared.wake.call((), ThreadsafeFunctionCallMode::NonBlocking);
        }
    }

    /// Does some work of this port's own thread, after which JavaScript takes what was settled without being woken: a wake-up is a
    /// system call, and most often it would be for the next one of a line.
    pub(super) fn emptied_after<T>(&self, work: impl FnOnce() -> T) -> T {
        let _reset = Reset(EMPTIED_NEXT.replace(Arc::as_ptr(&self.shared)));
        work()
    }

    /// A completion that settles a ticket, also where it is dropped without being called.
    pub(super) fn completion(&self, ticket: u32) -> Completion {
        let mut promise = Promise { inbox: self.clone(), ticket: Some(ticket) };
        Box::new(move |outcome| promise.keep(outcome))
    }

    /// Takes what was settled.
    pub(super) fn take(&self) -> Vec<Settled> {
        std::mem::take(&mut self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner).settled)
    }

    /// Lets nothing in any more: the thread is going away.
    pub(super) fn close(&self) {
        let settled = {
            let mut queue = self.shared.queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.open = false;
            std::mem::take(&mut queue.settled)
        };
        settled.into_iter().for_each(|settled| give_back(settled.outcome));
    }
}

struct Reset(*const Shared);

impl Drop for Reset {
    fn drop(&mut self) {
        EMPTIED_NEXT.set(self.0);
    }
}

/// A handle that nobody will receive is given back, so that the cask can close.
fn give_back(outcome: Result<Payload>) {
    if let Ok(Payload::Opened(handle)) = outcome {
        let _ = super::background::spawn(move || {
            let _ = handle.close();
        });
    }
}

struct Promise {
    inbox: Inbox,
    ticket: Option<u32>,
}

impl Promise {
    fn keep(&mut self, outcome: Result<()>) {
        if let Some(ticket) = self.ticket.take() {
            self.inbox.settle(ticket, outcome.map(|()| Payload::Nothing));
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        // A grant that is given up needs no answer where its port is gone; elsewhere silence would be a wait without end.
        self.keep(Err(Error::internal("a wait was given up without an outcome")));
    }
}
