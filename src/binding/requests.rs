//! Requests as they arrive from JavaScript, handed to the core.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use zeroize::Zeroizing;

use super::inbox::{Inbox, Payload};
use super::port::{OpenTransaction, Port, Reply};
use super::{accepted, background};
use crate::backend::ValueSink;
use crate::backend::file::Durability;
use crate::error::{Error, Result};
use crate::lock::Limits;
use crate::secret::Secret;
use crate::store::registry::{OpenRequest, Place};
use crate::store::{Granted, ReadLocks, Settings, Start, Transaction};

/// Reads the options of `openCask`, which JavaScript has checked.
pub(super) fn parse_open(text: &str, secret: Option<Secret>) -> Result<OpenRequest> {
    let options: Value = serde_json::from_str(text).map_err(|_| Error::internal("malformed options"))?;
    let text = |name: &str| options.get(name).and_then(Value::as_str).map(str::to_string);
    let number = |name: &str| options.get(name).and_then(Value::as_u64);
    let place = match (text("path"), text("name")) {
        (Some(path), _) => Place::Folder(path.into()),
        (None, Some(name)) => Place::Named(name),
        (None, None) => Place::Private,
    };
    let durability = match text("durability").as_deref() {
        Some("power") => Some(Durability::Power),
        Some("process") => Some(Durability::Process),
        Some(_) => return Err(Error::internal("an unknown durability")),
        None => None,
    };
    Ok(OpenRequest {
        place,
        durability,
        sync_interval: number("syncIntervalMs").map(Duration::from_millis),
        cache_bytes: number("cacheBytes"),
        rollback_guard: text("rollbackGuard").map(Into::into),
        creates: options.get("create").and_then(Value::as_bool).unwrap_or(true),
        secret,
    })
}

/// Takes over a key or a passphrase, whose bytes JavaScript wipes when the call has returned.
pub(super) fn parse_secret(bytes: &[u8]) -> Result<Secret> {
    match bytes {
        [0, key @ ..] => Secret::key(key),
        [1, words @ ..] => Secret::passphrase(Zeroizing::new(words.to_vec())),
        _ => Err(Error::internal("a malformed secret")),
    }
}

/// The same for a cask that may be plain.
pub(super) fn parse_optional_secret(bytes: Option<&[u8]>) -> Result<Option<Secret>> {
    bytes.map(parse_secret).transpose()
}

fn take_key<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk::<2>()?;
    let (key, after) = after.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    *rest = after;
    Some(key)
}

fn parse_keys(mut request: &[u8]) -> Result<Vec<&[u8]>> {
    let mut keys = Vec::new();
    while !request.is_empty() {
        keys.push(take_key(&mut request).ok_or_else(|| Error::internal("malformed keys"))?);
    }
    Ok(keys)
}

/// Reads values. Where something has to be waited for, the answer comes with the ticket.
pub(super) fn get(port: &Port, account: i32, transaction: i32, request: &[u8], mut reply: Reply<'_>, ticket: u32) -> Result<i32> {
    let mut rest = request;
    let first = take_key(&mut rest);
    let several;
    let one;
    let keys: &[&[u8]] = match first {
        // One id is the common case and needs no list.
        Some(key) if rest.is_empty() => {
            one = [key];
            &one
        }
        _ => {
            several = parse_keys(request)?;
            &several
        }
    };
    let mut sink = |value: Option<&[u8]>| reply.push_value(value);
    if transaction == 0 {
        return if port.with_account(account, |store, account| store.get_at_once(account, keys, &mut sink))? {
            Ok(reply.finish(port))
        } else {
            let (store, account) = port.account(account)?;
            in_background(port, request.to_vec(), ticket, move |keys, sink| store.get(&account, keys, sink))
        };
    }
    let open = port.transaction(transaction.abs())?;
    if transaction < 0 && account < 0 {
        return if open.transaction.get_at_once(keys, &mut sink)? {
            Ok(reply.finish(port))
        } else {
            in_background(port, request.to_vec(), ticket, move |keys, sink| open.transaction.get(keys, sink))
        };
    }
    if transaction < 0 {
        return if open.transaction.peek(keys, &mut sink, true)? {
            Ok(reply.finish(port))
        } else {
            in_background(port, request.to_vec(), ticket, move |keys, sink| open.transaction.peek(keys, sink, false).map(|_| ()))
        };
    }
    let granted = open.transaction.lock_reads(keys, open.limits(ticket), || {
        let (inbox, transaction, request) = (port.inbox().clone(), Arc::clone(&open.transaction), request.to_vec());
        Box::new(move |outcome| match outcome {
            Ok(()) => answer_granted(inbox, transaction, request, ticket),
            Err(error) => inbox.settle(ticket, Err(error)),
        })
    })?;
    if granted == Granted::Later {
        return Ok(super::READ_WAITS);
    }
    if open.transaction.get_at_once(keys, &mut sink)? {
        return Ok(reply.finish(port));
    }
    in_background(port, request.to_vec(), ticket, move |keys, sink| open.transaction.get(keys, sink))
}

/// Reads what a lock was waited for, on the thread that let go of it unless that would mean to wait for the disk.
fn answer_granted(inbox: Inbox, transaction: Arc<Transaction>, request: Vec<u8>, ticket: u32) {
    let mut complete = true;
    let read = answer(&request, |keys, sink| {
        complete = transaction.get_at_once(keys, sink)?;
        Ok(())
    });
    if complete {
        inbox.settle(ticket, read);
        return;
    }
    let spawned = background::settle(&inbox, ticket, move || answer(&request, |keys, sink| transaction.get(keys, sink)));
    if let Err(error) = spawned {
        inbox.settle(ticket, Err(error));
    }
}

fn in_background(
    port: &Port,
    request: Vec<u8>,
    ticket: u32,
    read: impl FnOnce(&[&[u8]], ValueSink<'_>) -> Result<()> + Send + 'static,
) -> Result<i32> {
    background::settle(port.inbox(), ticket, move || answer(&request, read))?;
    Ok(super::READ_LATER)
}

fn answer(request: &[u8], read: impl FnOnce(&[&[u8]], ValueSink<'_>) -> Result<()>) -> Result<Payload> {
    let mut reply = Reply::new(&mut []);
    read(&parse_keys(request)?, &mut |value| reply.push_value(value))?;
    Ok(Payload::Answer(reply.into_bytes()))
}

/// Lists keys. Where a lock has to be waited for, the answer comes with the ticket.
pub(super) fn keys(port: &Port, account: i32, transaction: i32, prefix: &[u8], ticket: u32) -> Result<i32> {
    let mut reply = Reply::new(&mut []);
    if transaction == 0 {
        port.with_account(account, |store, account| store.keys(account, prefix, &mut |key| reply.push_key(key)))?;
        return Ok(reply.finish(port));
    }
    let open = port.transaction(transaction)?;
    let granted = open.transaction.lock_family(prefix, open.limits(ticket), || {
        let (inbox, transaction, prefix) = (port.inbox().clone(), Arc::clone(&open.transaction), prefix.to_vec());
        Box::new(move |outcome| {
            let mut reply = Reply::new(&mut []);
            let listed = outcome.and_then(|()| transaction.keys(&prefix, &mut |key| reply.push_key(key)));
            inbox.settle(ticket, listed.map(|()| Payload::Answer(reply.into_bytes())));
        })
    })?;
    if granted == Granted::Later {
        return Ok(super::READ_WAITS);
    }
    open.transaction.keys(prefix, &mut |key| reply.push_key(key))?;
    Ok(reply.finish(port))
}

pub(super) fn set(port: &Port, account: i32, transaction: i32, ops: &[u8], ticket: u32) -> Result<i32> {
    let mut completion = || port.inbox().completion(ticket);
    if transaction == 0 {
        port.with_open_account(account, |open| {
            let limits = limits(open.lock_timeout_ms, ticket);
            accepted(open.store.set(&open.account, ops, port.domain(), limits, &mut completion))
        })
    } else {
        let open = port.transaction(transaction)?;
        accepted(open.transaction.set(ops, open.limits(ticket), &mut completion))
    }
}

pub(super) fn save_creds(port: &Port, transaction: i32, ops: &[u8], ticket: u32) -> Result<i32> {
    let open = port.transaction(transaction)?;
    accepted(open.transaction.save_creds(ops, open.limits(ticket), &mut || port.inbox().completion(ticket)))
}

const LOCKS_AT_COMMIT: u32 = 1 << 16;
const INDEPENDENT: u32 = 1 << 17;
const LAST_RESORT: u32 = 1 << 18;

pub(super) fn begin(
    port: &Port,
    account: i32,
    around: i32,
    label: Option<&str>,
    records: &[u8],
    settings: u32,
    ticket: u32,
) -> Result<i32> {
    let records = parse_keys(records)?;
    let around = if around == 0 { None } else { Some(port.transaction(around)?) };
    let (begun, lock_timeout_ms) = port.with_open_account(account, |open| {
        let start = Start {
            around: around.as_ref().map(|around| &around.transaction),
            label,
            records: &records,
            settings: Settings {
                read_locks: ReadLocks(settings as u16),
                locks_at_commit: settings & LOCKS_AT_COMMIT != 0,
                independent: settings & INDEPENDENT != 0,
                last_resort: settings & LAST_RESORT != 0,
            },
            domain: port.domain(),
            limits: limits(open.lock_timeout_ms, ticket),
            ..Start::new(&open.store, &open.account)
        };
        Ok((Transaction::begin(start, || port.inbox().completion(ticket))?, open.lock_timeout_ms))
    })?;
    let handle = port.insert_transaction(OpenTransaction { transaction: begun.transaction, lock_timeout_ms })?;
    Ok(if begun.waits { -handle - 1 } else { handle })
}

/// Limits of the wait behind a ticket.
pub(super) fn limits(lock_timeout_ms: u32, ticket: u32) -> Limits {
    let timeout = Some(u64::from(lock_timeout_ms)).filter(|timeout| *timeout > 0).map(Duration::from_millis);
    Limits { deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)), token: ticket }
}
