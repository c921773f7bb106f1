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
mod handles;
mod inbox;
mod port;
mod requests;

use std::rc::Rc;

use napi::bindgen_prelude::{Function, Uint8Array};
use napi::{Env, sys};
use napi_derive::napi;

use self::error::describe;
use self::inbox::{Inbox, Payload};
use self::port::{Port, Reply};
use crate::backend::{Applied, Completion};
use crate::error::{Error, Result};
use crate::store::{Transaction, registry};

/// The call failed; `lastError` says why.
const FAILED: i32 = -1;
/// The call ended well.
const DONE: i32 = 0;
/// The ticket will be settled.
const LATER: i32 = 1;
/// The ticket will be settled, with an answer.
const READ_LATER: i32 = -3;

/// Opens a port: what one load of the package in one thread talks through.
///
/// `wake` is called, on this thread, when tickets have been settled.
#[napi(catch_unwind)]
pub fn open_port(env: Env, scratch: Uint8Array, wake: Function<'_, (), ()>) -> napi::Result<u32> {
    let wake = wake.build_threadsafe_function().callee_handled::<false>().weak::<true>().build()?;
    let inbox = Inbox::new(wake);
    let id = port::insert(Port::new(scratch, inbox));
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
        // SAFETY: the port lives no longer than its environment, and its threadsafe function no shorter than the port; this is
        // the thread of that environment.
        unsafe {
            if on {
                sys::napi_ref_threadsafe_function(env.raw(), raw);
            } else {
                sys::napi_unref_threadsafe_function(env.raw(), raw);
            }
        }
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

/// Opens a cask in the background. The ticket is settled with a handle, which `openedCask` gives.
#[napi(catch_unwind)]
pub fn open_cask(port: u32, options: String, ticket: u32) -> i32 {
    let Some(port) = port::find(port) else { return FAILED };
    let request = match requests::parse_open(&options) {
        Ok(request) => request,
        Err(error) => return port.fail(error),
    };
    let inbox = port.inbox().clone();
    let spawned = background::spawn(move || match registry::open(&request) {
        Ok(handle) => inbox.settle(ticket, Ok(Payload::Opened(Box::new(handle)))),
        Err(error) => inbox.settle(ticket, Err(error)),
    });
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
    let inbox = port.inbox().clone();
    let spawned = background::spawn(move || inbox.settle(ticket, handle.close().map(|()| Payload::Nothing)));
    spawned.map_or_else(|error| port.fail(error), |()| LATER)
}

/// Handle of an account.
#[napi(catch_unwind)]
pub fn open_account(port: u32, cask: i32, name: String) -> i32 {
    run(port, |port| {
        let store = port.store(cask)?;
        let account = store.account(&name)?;
        port.insert_account(cask, store, account)
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

/// Settles the ticket when everything acknowledged before is safe from a loss of power.
#[napi(catch_unwind)]
pub fn flush(port: u32, cask: i32, ticket: u32) -> i32 {
    run(port, |port| {
        let store = port.store(cask)?;
        store.backend().flush(port.inbox().completion(ticket));
        Ok(LATER)
    })
}

/// Reads values. The request, `length` bytes at the start of the scratch buffer, holds `u16` length and key for each id; the
/// answer follows it, with `u32` length (all ones: absent) and value for each. Gives the answer's length; -2 where it did
/// not fit and waits for `copyOverflow`; -3 where it has to be read from disk first: `ticketAnswer` gives its length when the
/// ticket has been settled, and `copyOverflow` the rest.
#[napi(catch_unwind)]
pub fn get(port: u32, account: i32, transaction: i32, length: u32, ticket: u32) -> i32 {
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

/// Lists keys that start with the `length` bytes at the start of the scratch buffer: `u16` length and key each. The answer
/// always waits for `copyOverflow`.
#[napi(catch_unwind)]
pub fn keys(port: u32, account: i32, transaction: i32, prefix: &[u8]) -> i32 {
    run(port, |port| {
        let mut reply = Reply::new(&mut []);
        requests::keys(port, account, transaction, prefix, &mut reply)?;
        Ok(reply.finish(port))
    })
}

/// Applies the packed operations in the first `length` bytes of the scratch buffer, or stages them in a transaction.
#[napi(catch_unwind)]
pub fn set(port: u32, account: i32, transaction: i32, length: u32, ticket: u32) -> i32 {
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

/// Begins a transaction, inside another one where `parent` is not 0. Gives its handle; the negative of the handle, less one,
/// where it waits for its label and the ticket will be settled.
#[napi(catch_unwind)]
pub fn begin(port: u32, account: i32, parent: i32, label: Option<String>, ticket: u32) -> i32 {
    run(port, |port| {
        let (store, account) = port.account(account)?;
        let parent = if parent == 0 { None } else { Some(port.transaction(parent)?) };
        let granted = || port.inbox().completion(ticket);
        let begun = Transaction::begin(&store, &account, parent.as_ref(), label.as_deref(), granted)?;
        let handle = port.insert_transaction(begun.transaction)?;
        Ok(if begun.waits { -handle - 1 } else { handle })
    })
}

/// Commits a transaction and forgets its handle.
#[napi(catch_unwind)]
pub fn commit(port: u32, transaction: i32, ticket: u32) -> i32 {
    run(port, |port| {
        let transaction = port.remove_transaction(transaction)?;
        let mut completion = || -> Completion { port.inbox().completion(ticket) };
        applied(transaction.commit(&mut completion))
    })
}

/// Rolls a transaction back and forgets its handle.
#[napi(catch_unwind)]
pub fn rollback(port: u32, transaction: i32) {
    if let Some(Ok(transaction)) = port::find(port).map(|port| port.remove_transaction(transaction)) {
        transaction.rollback();
    }
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

fn run(port: u32, work: impl FnOnce(&Rc<Port>) -> Result<i32>) -> i32 {
    let Some(port) = port::find(port) else { return FAILED };
    work(&port).unwrap_or_else(|error| port.fail(error))
}
