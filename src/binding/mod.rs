//! The Node.js binding: the only place that names napi.
//!
//! Exports are free functions over small numbers. Bytes cross through a scratch buffer that JavaScript owns and both sides
//! know: a call needs no conversion beyond its numbers. A function that can fail returns -1 and leaves the error for
//! [`last_error`]; one that may have to wait takes the number of a ticket, and where it returns [`LATER`] that ticket is
//! settled through the port's wake-up.

// Exports are not registered in a test build, so nothing calls them there.
#![cfg_attr(test, allow(dead_code))]

mod background;
mod error;
mod hot;
mod inbox;
mod inspect;
mod port;
mod requests;
mod stats;
mod upkeep;

use std::rc::Rc;
use std::time::Instant;

use napi::bindgen_prelude::{Function, Uint8Array};
use napi::{Env, sys};
use napi_derive::napi;

use self::error::describe;
use self::inbox::{Inbox, Payload};
use self::port::{OpenAccount, Port, Reply};
use crate::backend::{Applied, Completion};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Accepted, registry};

/// The call failed; `lastError` says why.
const FAILED: i32 = -1;
/// The call ended well.
const DONE: i32 = 0;
/// The ticket will be settled.
const LATER: i32 = 1;
/// The call waits for locks; the ticket will be settled.
const WAITS: i32 = 2;
/// The ticket will be settled, with an answer.
const READ_LATER: i32 = -3;
/// The call waits for locks; the ticket will be settled, with an answer.
const READ_WAITS: i32 = -4;

/// Opens a port: what one load of the package in one thread talks through.
///
/// `wake` is called, on this thread, when tickets have been settled. `thread` is Node's number for this thread.
#[napi(catch_unwind)]
pub fn open_port(env: Env, scratch: Uint8Array, wake: Function<'_, (), ()>, thread: u32) -> napi::Result<u32> {
    let wake = wake.build_threadsafe_function().callee_handled::<false>().weak::<true>().build()?;
    let inbox = Inbox::new(wake);
    let id = port::insert(Port::new(scratch, inbox, thread));
    env.add_env_cleanup_hook(id, port::close)?;
    Ok(id)
}

/// Replaces the scratch buffer by a larger one.
#[napi(catch_unwind)]
pub fn set_scratch(port: u32, scratch: Uint8Array) {
    if let Some(port) = port::find(port) {
        port.set_scratch(scratch);
    }
}

/// Keeps the process alive while tickets are open, or lets it end.
#[napi(catch_unwind)]
pub fn keep_alive(env: Env, port: u32, on: bool) {
    if let Some(port) = port::find(port) {
        let raw = port.inbox().wake_handle();
        let change = if on { sys::napi_ref_threadsafe_function } else { sys::napi_unref_threadsafe_function };
        // SAFETY: the port lives no longer than its environment, and its threadsafe function no shorter than the port; this is
        // the thread of that environment.
        unsafe { change(env.raw(), raw) };
    }
}

/// Takes settled tickets: writes `u32` ticket, `u32` 1 for success or 0 for failure each to the scratch buffer, and gives
/// their count. Call it again until it gives 0.
#[napi(catch_unwind)]
pub fn take_settled(port: u32) -> u32 {
    port::find(port).map_or(0, |port| port.take_settled())
}

/// Why the last call on this port failed, as JSON.
#[napi(catch_unwind)]
pub fn last_error(port: u32) -> String {
    let error = port::find(port).and_then(|port| port.take_error());
    describe(&error.unwrap_or_else(|| Error::internal("no error was left behind")))
}

/// Why a ticket failed, as JSON.
#[napi(catch_unwind)]
pub fn ticket_error(port: u32, ticket: u32) -> String {
    let error = port::find(port).and_then(|port| port.take_ticket_error(ticket));
    describe(&error.unwrap_or_else(|| Error::internal("no error was left behind")))
}

/// Bytes of the last result that did not fit into the scratch buffer.
#[napi(catch_unwind)]
pub fn overflow_length(port: u32) -> u32 {
    port::find(port).map_or(0, |port| port.overflow_length())
}

/// Copies that result and forgets it.
#[napi(catch_unwind)]
pub fn copy_overflow(port: u32, mut target: Uint8Array) {
    if let Some(port) = port::find(port) {
        // SAFETY: the buffer was made for this call and nothing else looks at it meanwhile.
        port.copy_overflow(unsafe { target.as_mut() });
    }
}

/// Opens a cask in the background. The ticket is settled with a handle, which `openedCask` gives. `secret` is 0 and a key, or 1 and
/// a passphrase in UTF-8; none for a cask that is not sealed.
#[napi(catch_unwind)]
pub fn open_cask(port: u32, options: String, secret: Option<&[u8]>, ticket: u32) -> i32 {
    let Some(port) = port::find(port) else { return FAILED };
    let parsed = requests::parse_optional_secret(secret).and_then(|secret| requests::parse_open(&options, secret));
    let request = match parsed {
        Ok(request) => request,
        Err(error) => return port.fail(error),
    };
    let open = move || registry::open(&request).map(|handle| Payload::Opened(Box::new(handle)));
    let spawned = background::settle(port.inbox(), ticket, open);
    spawned.map_or_else(|error| port.fail(error), |()| LATER)
}

/// What a settled `openCask` has opened, as JSON: `handle`, `uid`, `path`, `cutBytes`, `cutFrames`, `warnings`.
#[napi(catch_unwind)]
pub fn opened_cask(port: u32, ticket: u32) -> Option<String> {
    port::find(port)?.opened(ticket).map(|facts| facts.to_string())
}

/// A further handle to a cask that is open in this process, as JSON like that of `openedCask`; `null` on failure.
#[napi(catch_unwind)]
pub fn attach_cask(port: u32, target: String, is_path: bool) -> Option<String> {
    let port = port::find(port)?;
    let place = if is_path { registry::Place::Folder(target.into()) } else { registry::Place::Named(target) };
    match registry::attach(&place) {
        Ok(handle) => Some(port.adopt(handle).to_string()),
        Err(error) => {
            port.fail(error);
            None
        }
    }
}

/// Gives a cask's handle back, in the background.
#[napi(catch_unwind)]
pub fn close_cask(port: u32, cask: i32, ticket: u32) -> i32 {
    let Some(port) = port::find(port) else { return FAILED };
    let Some(handle) = port.remove_cask(cask) else { return port.fail(Error::closed()) };
    let spawned = background::settle(port.inbox(), ticket, move || handle.close().map(|()| Payload::Nothing));
    spawned.map_or_else(|error| port.fail(error), |()| LATER)
}

/// Handle of an account. Calls through it wait for a lock for `lock_timeout_ms` at most; 0 is for ever.
#[napi(catch_unwind)]
pub fn open_account(port: u32, cask: i32, name: String, lock_timeout_ms: u32) -> i32 {
    run(port, |port| {
        let store = port.store(cask)?;
        let account = store.account(&name)?;
        port.insert_account(OpenAccount { cask, store, account, lock_timeout_ms })
    })
}

/// Names of the accounts that hold something, as JSON; `null` on failure.
#[napi(catch_unwind)]
pub fn accounts(port: u32, cask: i32) -> Option<String> {
    let port = port::find(port)?;
    match port.store(cask).and_then(|store| store.backend().accounts()) {
        Ok(names) => Some(serde_json::Value::from(names).to_string()),
        Err(error) => {
            port.fail(error);
            None
        }
    }
}

/// What a cask holds and has done, of each account too with `each`: numbers and names, to be taken with `copyOverflow`.
#[napi(catch_unwind)]
pub fn stats(port: u32, cask: i32, each: bool) -> i32 {
    run(port, |port| {
        port.leave_answer(stats::pack(&*port.store(cask)?, each));
        Ok(DONE)
    })
}

/// Settles the ticket when everything acknowledged before is safe from a loss of power.
#[napi(catch_unwind)]
pub fn flush(port: u32, cask: i32, ticket: u32) -> i32 {
    run(port, |port| {
        let store = port.store(cask)?;
        store.backend().flush(port.inbox().completion(ticket));
        Ok(LATER)
    })
}

/// See `hotCalls`.
fn get(port: u32, account: i32, transaction: i32, length: u32, ticket: u32) -> i32 {
    run(port, |port| {
        port.with_scratch(length, |request, rest| requests::get(port, account, transaction, request, Reply::new(rest), ticket))
    })
}

/// Like `get`, with the request in a buffer of its own. The answer is never in the scratch buffer.
#[napi(catch_unwind)]
pub fn get_from(port: u32, account: i32, transaction: i32, request: &[u8], ticket: u32) -> i32 {
    run(port, |port| requests::get(port, account, transaction, request, Reply::new(&mut []), ticket))
}

/// Makes the answer of a settled read the next one for `copyOverflow`.
#[napi(catch_unwind)]
pub fn ticket_answer(port: u32, ticket: u32) -> bool {
    port::find(port).is_some_and(|port| port.take_answer(ticket))
}

/// Lists keys that start with a prefix: `u16` length and key each. The answer always waits for `copyOverflow`; it gives -4
/// where a lock has to be waited for, as `get` does.
#[napi(catch_unwind)]
pub fn keys(port: u32, account: i32, transaction: i32, prefix: &[u8], ticket: u32) -> i32 {
    run(port, |port| requests::keys(port, account, transaction, prefix, ticket))
}

/// See `hotCalls`.
fn set(port: u32, account: i32, transaction: i32, length: u32, ticket: u32) -> i32 {
    run(port, |port| port.with_scratch(length, |ops, _| requests::set(port, account, transaction, ops, ticket)))
}

/// Like `set`, with the operations in a buffer of their own.
#[napi(catch_unwind)]
pub fn set_from(port: u32, account: i32, transaction: i32, ops: &[u8], ticket: u32) -> i32 {
    run(port, |port| requests::set(port, account, transaction, ops, ticket))
}

/// Removes an account's creds and records.
#[napi(catch_unwind)]
pub fn drop_account(port: u32, account: i32, ticket: u32) -> i32 {
    run(port, |port| {
        let (store, account) = port.account(account)?;
        applied(store.drop_account(&account, &mut || port.inbox().completion(ticket)))
    })
}

/// Saves creds, whose packed put lies in the first `length` bytes of the scratch buffer, from inside a transaction and not as part
/// of it.
#[napi(catch_unwind)]
pub fn save_creds(port: u32, transaction: i32, length: u32, ticket: u32) -> i32 {
    run(port, |port| port.with_scratch(length, |ops, _| requests::save_creds(port, transaction, ops, ticket)))
}

/// Like `saveCreds`, with the operation in a buffer of its own.
#[napi(catch_unwind)]
pub fn save_creds_from(port: u32, transaction: i32, ops: &[u8], ticket: u32) -> i32 {
    run(port, |port| requests::save_creds(port, transaction, ops, ticket))
}

/// See `hotCalls`.
fn begin(port: u32, account: i32, around: i32, length: u32, settings: u32, ticket: u32) -> i32 {
    run(port, |port| {
        port.with_scratch(length, |label, _| {
            let label = std::str::from_utf8(label).map_err(|_| Error::internal("a label that is no text"))?;
            let label = Some(label).filter(|label| !label.is_empty());
            requests::begin(port, account, around, label, &[], settings, ticket)
        })
    })
}

/// Like `begin`, with the label in a string, which is empty where there is none.
#[napi(catch_unwind)]
pub fn begin_labelled(port: u32, account: i32, around: i32, label: String, settings: u32, ticket: u32) -> i32 {
    run(port, |port| {
        requests::begin(port, account, around, Some(&*label).filter(|label| !label.is_empty()), &[], settings, ticket)
    })
}

/// Like `begin`, with the keys of records, as in a request of `get`, that are locked before anything else.
#[napi(catch_unwind)]
pub fn begin_with(port: u32, account: i32, around: i32, records: &[u8], settings: u32, ticket: u32) -> i32 {
    run(port, |port| requests::begin(port, account, around, None, records, settings, ticket))
}

/// See `hotCalls`.
fn commit(port: u32, transaction: i32, ticket: u32) -> i32 {
    run(port, |port| {
        let open = port.transaction(transaction)?;
        let mut completion = || -> Completion { port.inbox().completion(ticket) };
        let done = port.inbox().emptied_after(|| open.transaction.commit(open.limits(ticket), &mut completion));
        if matches!(done, Accepted::Now(_)) {
            port.remove_transaction(transaction)?;
        }
        accepted(done)
    })
}

/// Rolls a transaction back, where it has not ended, and forgets its handle. Call `takeSettled` after it, as after `commit`.
#[napi(catch_unwind)]
pub fn rollback(port: u32, transaction: i32) {
    let Some(port) = port::find(port) else { return };
    if let Ok(open) = port.remove_transaction(transaction) {
        port.inbox().emptied_after(|| open.transaction.rollback());
    }
}

/// Frees a transaction's locks and refuses its calls and its commit from now on, with the error of this code.
#[napi(catch_unwind)]
pub fn doom(port: u32, transaction: i32, code: String) -> bool {
    let Some(Ok(open)) = port::find(port).map(|port| port.transaction(transaction)) else { return false };
    let kind = ErrorKind::ALL.into_iter().find(|kind| kind.code() == code).unwrap_or(ErrorKind::Internal);
    open.transaction.doom(Error::new(kind, "the transaction was ended before its work"))
}

/// See `hotCalls`.
fn joined(port: u32, transaction: i32) -> bool {
    port::find(port).and_then(|port| port.transaction(transaction).ok()).is_some_and(|open| open.transaction.joined())
}

/// The code of the error with which a transaction refuses its calls, if it does.
#[napi(catch_unwind)]
pub fn doomed_by(port: u32, transaction: i32) -> Option<String> {
    let open = port::find(port)?.transaction(transaction).ok()?;
    Some(open.transaction.doomed_by()?.code().to_string())
}

/// Milliseconds for which a transaction has held its first lock; -1 where it holds none.
#[napi(catch_unwind)]
pub fn held_ms(port: u32, transaction: i32) -> f64 {
    let open = port::find(port).and_then(|port| port.transaction(transaction).ok());
    let held = open.and_then(|open| open.transaction.store().lock_manager().held_for(open.transaction.owner()));
    held.map_or(-1.0, |held| held.as_secs_f64() * 1000.0)
}

/// Lets other threads know where a transaction was begun.
#[napi(catch_unwind)]
pub fn note_stack(port: u32, transaction: i32, stack: String) {
    if let Some(Ok(open)) = port::find(port).map(|port| port.transaction(transaction)) {
        open.transaction.note_stack(&stack);
    }
}

/// Lets other threads know where the call was made that waits behind a ticket; without a stack, that it waits no more.
#[napi(catch_unwind)]
pub fn note_wait(port: u32, cask: i32, ticket: u32, stack: Option<String>) {
    let Some(port) = port::find(port) else { return };
    let Ok(store) = port.store(cask) else { return };
    match stack {
        Some(stack) => store.live().note_wait(port.domain(), ticket, &stack),
        None => store.live().forget_wait(port.domain(), ticket),
    }
}

/// Refuses the waits for locks of a cask that have waited for too long.
#[napi(catch_unwind)]
pub fn expire_waits(port: u32, cask: i32) {
    if let Some(Ok(store)) = port::find(port).map(|port| port.store(cask)) {
        store.lock_manager().expire(Instant::now());
    }
}

/// Every lock of a cask with its holders and waiters, as JSON: see `inspect`; `null` on failure.
#[napi(catch_unwind)]
pub fn locks(port: u32, cask: i32) -> Option<String> {
    let port = port::find(port)?;
    match port.store(cask) {
        Ok(store) => Some(inspect::describe(&port, store.uid(), &store.locks()).to_string()),
        Err(error) => {
            port.fail(error);
            None
        }
    }
}

/// Copies a cask to a new folder, in the background. The ticket is settled with a report.
#[napi(catch_unwind)]
pub fn backup(port: u32, cask: i32, target: String, hard_links: bool, ticket: u32) -> i32 {
    run(port, |port| upkeep::backup(port, cask, target, hard_links, ticket))
}

/// Rewrites segments that are worth it, in the background. The ticket is settled with a report.
#[napi(catch_unwind)]
pub fn compact(port: u32, cask: i32, ticket: u32) -> i32 {
    run(port, |port| upkeep::compact(port, cask, ticket))
}

/// Tells of damage that compaction meets in the background. The ticket is settled with that error, if ever.
#[napi(catch_unwind)]
pub fn watch_damage(port: u32, cask: i32, ticket: u32) -> i32 {
    run(port, |port| upkeep::watch_damage(port, cask, ticket))
}

/// Looks for damage in a folder, in the background. The ticket is settled with a report.
#[napi(catch_unwind)]
pub fn verify(port: u32, path: String, secret: Option<&[u8]>, ticket: u32) -> i32 {
    run(port, |port| upkeep::verify(port, path, requests::parse_optional_secret(secret)?, ticket))
}

/// Writes what is intact in a folder to a new one, in the background. The ticket is settled with a report. `doubtful` is `omit`,
/// `omit-ratchets` or `keep`.
#[napi(catch_unwind)]
pub fn repair(port: u32, path: String, target: String, doubtful: String, secret: Option<&[u8]>, ticket: u32) -> i32 {
    run(port, |port| upkeep::repair(port, path, target, &doubtful, requests::parse_optional_secret(secret)?, ticket))
}

/// Writes all records of a cask to a new one under another secret or none, in the background. The ticket is settled with a report.
#[napi(catch_unwind)]
pub fn rewrite(port: u32, path: String, target: String, secret: Option<&[u8]>, new_secret: Option<&[u8]>, ticket: u32) -> i32 {
    run(port, |port| {
        let (secret, new_secret) = (requests::parse_optional_secret(secret)?, requests::parse_optional_secret(new_secret)?);
        upkeep::rewrite(port, path, target, secret, new_secret, ticket)
    })
}

/// Gives a sealed cask another secret, in the background. The ticket is settled with a report.
#[napi(catch_unwind)]
pub fn change_key(port: u32, path: String, secret: &[u8], new_secret: &[u8], ticket: u32) -> i32 {
    run(port, |port| upkeep::change_key(port, path, requests::parse_secret(secret)?, requests::parse_secret(new_secret)?, ticket))
}

/// Asks the work behind a ticket to stop.
#[napi(catch_unwind)]
pub fn cancel(port: u32, ticket: u32) {
    if let Some(port) = port::find(port) {
        port.cancel(ticket);
    }
}

/// The report that a ticket was settled with, as JSON.
#[napi(catch_unwind)]
pub fn ticket_report(port: u32, ticket: u32) -> Option<String> {
    port::find(port)?.report(ticket)
}

/// Every code the core knows, for the test that compares them with the documentation.
#[napi(catch_unwind)]
pub fn error_codes() -> Vec<String> {
    crate::ErrorKind::ALL.iter().map(|kind| kind.code().to_string()).collect()
}

fn applied(applied: Applied) -> Result<i32> {
    match applied {
        Applied::Now(outcome) => outcome.map(|()| DONE),
        Applied::Later => Ok(LATER),
    }
}

fn accepted(accepted: Accepted) -> Result<i32> {
    match accepted {
        Accepted::Now(outcome) => outcome.map(|()| DONE),
        Accepted::Queued => Ok(LATER),
        Accepted::Waits => Ok(WAITS),
    }
}

fn run(port: u32, work: impl FnOnce(&Rc<Port>) -> Result<i32>) -> i32 {
    let Some(port) = port::find(port) else { return FAILED };
    work(&port).unwrap_or_else(|error| port.fail(error))
}
