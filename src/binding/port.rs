//! What one load of the package in one thread has open.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use napi::bindgen_prelude::Uint8Array;
use serde_json::{Value, json};

use super::FAILED;
use super::background;
use super::inbox::{Inbox, Payload};
use super::requests;
use crate::backend::file::{DamageWatch, FileBackend};
use crate::error::{Error, Result};
use crate::handles::Handles;
use crate::lock::{Limits, OwnerId};
use crate::store::registry::StoreHandle;
use crate::store::{Account, Store, Transaction};

/// The answer did not fit into the scratch buffer.
const OVERFLOWED: i32 = -2;
/// Bits of a domain that number a port in its thread.
pub(super) const THREAD_SHIFT: u32 = 8;
/// Length that stands for an absent value.
const ABSENT: u32 = u32::MAX;

/// A handle to an account.
pub(super) struct OpenAccount {
    pub(super) cask: i32,
    pub(super) store: Arc<Store>,
    pub(super) account: Arc<Account>,
    /// Longest wait for a lock; 0 is for ever.
    pub(super) lock_timeout_ms: u32,
}

/// A handle to a transaction.
#[derive(Clone)]
pub(super) struct OpenTransaction {
    pub(super) transaction: Arc<Transaction>,
    /// As that of the account's handle.
    pub(super) lock_timeout_ms: u32,
}

impl OpenTransaction {
    /// Limits of a wait behind this ticket.
    pub(super) fn limits(&self, ticket: u32) -> Limits {
        requests::limits(self.lock_timeout_ms, ticket)
    }
}

/// Handles, scratch buffer and inbox of one load of the package in one thread.
pub(super) struct Port {
    scratch: RefCell<Uint8Array>,
    inbox: Inbox,
    casks: RefCell<Handles<StoreHandle>>,
    accounts: RefCell<Handles<OpenAccount>>,
    transactions: RefCell<Handles<OpenTransaction>>,
    /// Identifies this port among all of the process: the thread's number, and the port's in it.
    domain: Cell<u32>,
    thread: u32,
    opened: RefCell<HashMap<u32, Value>>,
    answers: RefCell<HashMap<u32, Vec<u8>>>,
    reports: RefCell<HashMap<u32, String>>,
    /// Work that can be cancelled, by its ticket.
    cancels: RefCell<HashMap<u32, Weak<AtomicBool>>>,
    /// By the handle of the cask that is watched.
    damage_watches: RefCell<HashMap<i32, DamageWatch>>,
    ticket_errors: RefCell<HashMap<u32, Error>>,
    error: Cell<Option<Error>>,
    overflow: RefCell<Vec<u8>>,
    settled: RefCell<Vec<(u32, bool)>>,
}

/// The ports of one thread.
struct Ports(Vec<Option<Rc<Port>>>);

impl Drop for Ports {
    /// Where a thread ends and nobody has closed its ports: a runtime without cleanup hooks, or `process.exit()`.
    fn drop(&mut self) {
        let left: Vec<Rc<Port>> = self.0.drain(..).flatten().collect();
        // With the main thread the process ends, and nobody waits for anything any more.
        if left.iter().all(|port| port.thread != 0) {
            left.iter().for_each(|port| port.stop());
            left.iter().for_each(|port| port.give_back());
        }
        // Their environment may be gone, and with it what their buffers and wake-ups would be given back to.
        left.into_iter().for_each(std::mem::forget);
    }
}

thread_local! {
    /// Ports belong to their thread, so nothing here needs a lock. Two loads of the package in one thread have two.
    static PORTS: RefCell<Ports> = const { RefCell::new(Ports(Vec::new())) };
}

/// Adds a port of this thread.
pub(super) fn insert(port: Port) -> u32 {
    PORTS.with_borrow_mut(|Ports(ports)| {
        let id = ports.len() as u32;
        port.domain.set((port.thread << THREAD_SHIFT) | (id & ((1 << THREAD_SHIFT) - 1)));
        ports.push(Some(Rc::new(port)));
        id
    })
}

/// A port of this thread.
pub(super) fn find(id: u32) -> Option<Rc<Port>> {
    PORTS.with_borrow(|Ports(ports)| ports.get(id as usize)?.clone())
}

/// Handles of the transactions on a cask, by the owner of their locks, of all ports of this thread.
pub(super) fn handles_by_owner(uid: u64) -> HashMap<OwnerId, i32> {
    PORTS.with_borrow(|Ports(ports)| {
        let mut handles = HashMap::new();
        for port in ports.iter().flatten() {
            handles.extend(port.handles_on(uid));
        }
        handles
    })
}

/// Ends a port because its thread goes away: rolls back, gives every handle back.
pub(super) fn close(id: u32) {
    let all = PORTS.try_with(|ports| ports.borrow().0.iter().flatten().cloned().collect::<Vec<_>>());
    // Those of other loads of the package end with it: what one of them waits for this one may hold.
    all.iter().flatten().for_each(|port| port.stop());
    let port = PORTS.try_with(|ports| ports.borrow_mut().0.get_mut(id as usize).and_then(Option::take));
    if let Ok(Some(port)) = port {
        port.give_back();
    }
}

impl Port {
    pub(super) fn new(scratch: Uint8Array, inbox: Inbox, thread: u32) -> Self {
        Self {
            scratch: RefCell::new(scratch),
            inbox,
            domain: Cell::new(0),
            thread,
            casks: RefCell::default(),
            accounts: RefCell::default(),
            transactions: RefCell::default(),
            opened: RefCell::default(),
            answers: RefCell::default(),
            reports: RefCell::default(),
            cancels: RefCell::default(),
            damage_watches: RefCell::default(),
            ticket_errors: RefCell::default(),
            error: Cell::new(None),
            overflow: RefCell::default(),
            settled: RefCell::default(),
        }
    }

    /// Ends its waits. All of them before the first lock is free: nothing of a thread that goes away may be written because of that.
    fn stop(&self) {
        self.inbox.close();
        for (_, handle) in self.casks.borrow().iter() {
            handle.store().lock_manager().cancel_domain(self.domain());
            handle.store().live().forget_waits(self.domain());
        }
    }

    /// Rolls back, and gives every handle back. What was handed to the log keeps its locks until it is there.
    fn give_back(&self) {
        let transactions = self.transactions.borrow_mut().remove_if(|_| true);
        transactions.iter().for_each(|open| open.transaction.rollback());
        self.accounts.borrow_mut().remove_if(|_| true);
        self.damage_watches.borrow_mut().clear();
        for handle in self.casks.borrow_mut().remove_if(|_| true) {
            let _ = background::spawn(move || {
                let _ = handle.close();
            });
        }
    }

    pub(super) const fn domain(&self) -> u32 {
        self.domain.get()
    }

    pub(super) const fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    pub(super) fn set_scratch(&self, scratch: Uint8Array) {
        self.scratch.replace(scratch);
    }

    /// Lends the request at the start of the scratch buffer, and the rest of it.
    pub(super) fn with_scratch<T>(&self, length: u32, work: impl FnOnce(&[u8], &mut [u8]) -> Result<T>) -> Result<T> {
        let mut scratch = self.scratch.borrow_mut();
        // SAFETY: JavaScript keeps the buffer to itself and is not running while this call is; the reference held here keeps
        // its memory alive.
        let bytes = unsafe { scratch.as_mut() };
        let (request, rest) = bytes
            .split_at_mut_checked(length as usize)
            .ok_or_else(|| Error::internal("a request longer than the scratch buffer"))?;
        work(request, rest)
    }

    /// Leaves an error for `lastError`.
    pub(super) fn fail(&self, error: Error) -> i32 {
        self.error.set(Some(error));
        FAILED
    }

    pub(super) fn take_error(&self) -> Option<Error> {
        self.error.take()
    }

    pub(super) fn take_ticket_error(&self, ticket: u32) -> Option<Error> {
        self.ticket_errors.borrow_mut().remove(&ticket)
    }

    /// Moves the answer of a settled read to where the next overflow is taken from.
    pub(super) fn take_answer(&self, ticket: u32) -> bool {
        let answer = self.answers.borrow_mut().remove(&ticket);
        answer.map(|bytes| self.overflow.replace(bytes)).is_some()
    }

    /// Leaves an answer where the next overflow is taken from.
    pub(super) fn leave_answer(&self, answer: Vec<u8>) {
        self.overflow.replace(answer);
    }

    pub(super) fn overflow_length(&self) -> u32 {
        self.overflow.borrow().len() as u32
    }

    pub(super) fn copy_overflow(&self, target: &mut [u8]) {
        let bytes = self.overflow.take();
        if let (Some(to), Some(from)) = (target.get_mut(..bytes.len()), bytes.get(..)) {
            to.copy_from_slice(from);
        }
    }

    /// Moves settled tickets to the scratch buffer, as many as fit.
    pub(super) fn take_settled(&self) -> u32 {
        let mut waiting = self.settled.borrow_mut();
        for settled in self.inbox.take() {
            waiting.push((settled.ticket, settled.outcome.is_ok()));
            match settled.outcome {
                Ok(Payload::Nothing) => {}
                Ok(Payload::Answer(bytes)) => {
                    self.answers.borrow_mut().insert(settled.ticket, bytes);
                }
                Ok(Payload::Report(report)) => {
                    self.reports.borrow_mut().insert(settled.ticket, report);
                }
                Ok(Payload::Opened(handle)) => {
                    let facts = self.adopt(*handle);
                    self.opened.borrow_mut().insert(settled.ticket, facts);
                }
                Err(error) => {
                    self.ticket_errors.borrow_mut().insert(settled.ticket, error);
                }
            }
        }
        let written = self.with_scratch(0, |_, scratch| {
            let count = waiting.len().min(scratch.len() / 8);
            for (slot, (ticket, well)) in scratch.chunks_exact_mut(8).zip(waiting.drain(..count)) {
                let (first, second) = slot.split_at_mut(4);
                first.copy_from_slice(&ticket.to_le_bytes());
                second.copy_from_slice(&u32::from(well).to_le_bytes());
            }
            Ok(count as u32)
        });
        written.unwrap_or(0)
    }

    /// Takes a handle in and describes it.
    pub(super) fn adopt(&self, handle: StoreHandle) -> Value {
        let store = Arc::clone(handle.store());
        let mut facts = json!({
            "uid": store.uid(),
            "path": store.path().map(|path| path.display().to_string()),
            "cutBytes": handle.report.cut_bytes,
            "cutFrames": handle.report.cut_frames,
            "warnings": handle.warnings,
        });
        let number = self.casks.borrow_mut().insert(handle);
        if let Value::Object(fields) = &mut facts {
            fields.insert("handle".into(), number.unwrap_or(0).into());
        }
        facts
    }

    pub(super) fn opened(&self, ticket: u32) -> Option<Value> {
        self.opened.borrow_mut().remove(&ticket)
    }

    pub(super) fn report(&self, ticket: u32) -> Option<String> {
        self.reports.borrow_mut().remove(&ticket)
    }

    /// Lets `cancel` reach the work behind a ticket for as long as it has the flag.
    pub(super) fn let_cancel(&self, ticket: u32, flag: &Arc<AtomicBool>) {
        let mut cancels = self.cancels.borrow_mut();
        cancels.retain(|_, flag| flag.strong_count() > 0);
        cancels.insert(ticket, Arc::downgrade(flag));
    }

    pub(super) fn cancel(&self, ticket: u32) {
        if let Some(flag) = self.cancels.borrow().get(&ticket).and_then(Weak::upgrade) {
            flag.store(true, Ordering::Release);
        }
    }

    /// Keeps a watch until the handle to its cask ends.
    pub(super) fn keep_damage_watch(&self, cask: i32, watch: DamageWatch) {
        self.damage_watches.borrow_mut().insert(cask, watch);
    }

    /// The log in the folder of a cask; `None` for one in memory.
    pub(super) fn file(&self, cask: i32) -> Result<Option<Arc<FileBackend>>> {
        self.casks.borrow().get(cask).map(|handle| handle.file().cloned()).ok_or_else(Error::closed)
    }

    pub(super) fn store(&self, cask: i32) -> Result<Arc<Store>> {
        self.casks.borrow().get(cask).map(|handle| Arc::clone(handle.store())).ok_or_else(Error::closed)
    }

    /// Ends a handle to a cask and everything taken through it.
    pub(super) fn remove_cask(&self, cask: i32) -> Option<StoreHandle> {
        let handle = self.casks.borrow_mut().remove(cask)?;
        self.damage_watches.borrow_mut().remove(&cask);
        self.accounts.borrow_mut().remove_if(|account| account.cask == cask);
        Some(handle)
    }

    pub(super) fn insert_account(&self, account: OpenAccount) -> Result<i32> {
        let handle = self.accounts.borrow_mut().insert(account);
        handle.ok_or_else(|| Error::internal("a million accounts are open in this thread"))
    }

    pub(super) fn account(&self, account: i32) -> Result<(Arc<Store>, Arc<Account>)> {
        let accounts = self.accounts.borrow();
        let open = accounts.get(account).ok_or_else(Error::closed)?;
        Ok((Arc::clone(&open.store), Arc::clone(&open.account)))
    }

    /// Works on an account without counting references up and down.
    pub(super) fn with_account<T>(&self, account: i32, work: impl FnOnce(&Store, &Account) -> Result<T>) -> Result<T> {
        self.with_open_account(account, |open| work(&open.store, &open.account))
    }

    pub(super) fn with_open_account<T>(&self, account: i32, work: impl FnOnce(&OpenAccount) -> Result<T>) -> Result<T> {
        let accounts = self.accounts.borrow();
        work(accounts.get(account).ok_or_else(Error::closed)?)
    }

    pub(super) fn insert_transaction(&self, transaction: OpenTransaction) -> Result<i32> {
        let handle = self.transactions.borrow_mut().insert(transaction);
        handle.ok_or_else(|| Error::internal("a million transactions are open in this thread"))
    }

    pub(super) fn transaction(&self, transaction: i32) -> Result<OpenTransaction> {
        self.transactions.borrow().get(transaction).cloned().ok_or_else(Error::closed)
    }

    pub(super) fn remove_transaction(&self, transaction: i32) -> Result<OpenTransaction> {
        self.transactions.borrow_mut().remove(transaction).ok_or_else(Error::closed)
    }

    /// Handles of the transactions on a cask, by the owner of their locks.
    fn handles_on(&self, uid: u64) -> Vec<(OwnerId, i32)> {
        let transactions = self.transactions.borrow();
        let on_it = transactions.iter().filter(|(_, open)| open.transaction.store().uid() == uid);
        on_it.map(|(handle, open)| (open.transaction.owner(), handle)).collect()
    }
}

/// An answer that goes to the scratch buffer as long as it fits.
pub(super) struct Reply<'a> {
    room: &'a mut [u8],
    used: usize,
    overflow: Option<Vec<u8>>,
}

impl<'a> Reply<'a> {
    pub(super) const fn new(room: &'a mut [u8]) -> Self {
        Self { room, used: 0, overflow: None }
    }

    fn push(&mut self, bytes: &[u8]) {
        match (&mut self.overflow, self.room.get_mut(self.used..).and_then(|rest| rest.get_mut(..bytes.len()))) {
            (Some(overflow), _) => overflow.extend_from_slice(bytes),
            (None, Some(slot)) => {
                slot.copy_from_slice(bytes);
                self.used += bytes.len();
            }
            (None, None) => {
                let mut all = self.room.get(..self.used).unwrap_or_default().to_vec();
                all.extend_from_slice(bytes);
                self.overflow = Some(all);
            }
        }
    }

    /// Adds a value, or that there is none.
    pub(super) fn push_value(&mut self, value: Option<&[u8]>) {
        match value {
            Some(value) => {
                self.push(&(value.len() as u32).to_le_bytes());
                self.push(value);
            }
            None => self.push(&ABSENT.to_le_bytes()),
        }
    }

    /// Adds a key.
    pub(super) fn push_key(&mut self, key: &[u8]) {
        self.push(&(key.len() as u16).to_le_bytes());
        self.push(key);
    }

    /// The answer, wherever it went.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.overflow.unwrap_or_else(|| self.room.get(..self.used).unwrap_or_default().to_vec())
    }

    /// The answer's length; leaves it with the port where it did not fit.
    pub(super) fn finish(self, port: &Port) -> i32 {
        match self.overflow {
            Some(overflow) => {
                port.overflow.replace(overflow);
                OVERFLOWED
            }
            None => self.used as i32,
        }
    }
}
