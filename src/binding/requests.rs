//! Requests as they arrive from JavaScript, handed to the core.

use std::time::Duration;

use serde_json::Value;

use super::inbox::Payload;
use super::port::{Port, Reply};
use super::{applied, background};
use crate::backend::ValueSink;
use crate::backend::file::Durability;
use crate::error::{Error, Result};
use crate::store::registry::{OpenRequest, Place};

/// Reads the options of `openCask`, which JavaScript has checked.
pub(super) fn parse_open(text: &str) -> Result<OpenRequest> {
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
    })
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

/// Reads values. Where the disk has to be waited for, the answer is made in the background and comes with the ticket.
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
    let complete = if transaction == 0 {
        port.with_account(account, |store, account| store.get_at_once(account, keys, &mut sink))?
    } else {
        port.transaction(transaction)?.get_at_once(keys, &mut sink)?
    };
    if complete { Ok(reply.finish(port)) } else { get_later(port, account, transaction, request.to_vec(), ticket) }
}

fn get_later(port: &Port, account: i32, transaction: i32, request: Vec<u8>, ticket: u32) -> Result<i32> {
    let inbox = port.inbox().clone();
    if transaction == 0 {
        let (store, account) = port.account(account)?;
        background::spawn(move || inbox.settle(ticket, answer(&request, |keys, sink| store.get(&account, keys, sink))))?;
    } else {
        let transaction = port.transaction(transaction)?;
        background::spawn(move || inbox.settle(ticket, answer(&request, |keys, sink| transaction.get(keys, sink))))?;
    }
    Ok(super::READ_LATER)
}

fn answer(request: &[u8], read: impl FnOnce(&[&[u8]], ValueSink<'_>) -> Result<()>) -> Result<Payload> {
    let mut reply = Reply::new(&mut []);
    read(&parse_keys(request)?, &mut |value| reply.push_value(value))?;
    Ok(Payload::Answer(reply.into_bytes()))
}

pub(super) fn keys(port: &Port, account: i32, transaction: i32, prefix: &[u8], reply: &mut Reply<'_>) -> Result<()> {
    let mut sink = |key: &[u8]| reply.push_key(key);
    if transaction == 0 {
        port.with_account(account, |store, account| store.keys(account, prefix, &mut sink))
    } else {
        port.transaction(transaction)?.keys(prefix, &mut sink)
    }
}

pub(super) fn set(port: &Port, account: i32, transaction: i32, ops: &[u8], ticket: u32) -> Result<i32> {
    if transaction == 0 {
        port.with_account(account, |store, account| applied(store.set(account, ops, &mut || port.inbox().completion(ticket))))
    } else {
        port.transaction(transaction)?.set(ops).map(|()| super::DONE)
    }
}
