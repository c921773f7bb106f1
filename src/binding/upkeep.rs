//! Backup, compaction, verification and repair, on their own threads, and their reports as JSON.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Map, Value, json};

use super::background;
use super::inbox::Payload;
use super::port::Port;
use crate::backend::file::repair::{Doubtful, RepairOptions, RepairReport};
use crate::backend::file::rewrite::RewriteOptions;
use crate::backend::file::verify::{AccountCount, Damage, VerifyOptions, VerifyReport, record_fact};
use crate::backend::file::{BackupOptions, Cancel, FileBackend};
use crate::error::{Error, ErrorKind, RecordFact, Result};
use crate::secret::Secret;
use crate::store::upkeep;

/// Works in the background, and can be cancelled; the ticket is settled with a report.
fn cancellable(port: &Port, ticket: u32, work: impl FnOnce(Cancel<'_>) -> Result<Value> + Send + 'static) -> Result<i32> {
    let is_cancelled = Arc::new(AtomicBool::new(false));
    port.let_cancel(ticket, &is_cancelled);
    report(port, ticket, move || work(Cancel(&|| is_cancelled.load(Ordering::Acquire))))
}

/// Works in the background; the ticket is settled with a report.
fn report(port: &Port, ticket: u32, work: impl FnOnce() -> Result<Value> + Send + 'static) -> Result<i32> {
    background::settle_long(port.inbox(), ticket, || work().map(|report| Payload::Report(report.to_string())))?;
    Ok(super::LATER)
}

fn file(port: &Port, cask: i32) -> Result<Arc<FileBackend>> {
    port.file(cask)?.ok_or_else(|| {
        let message = "the cask is in memory; only one in a folder can be backed up or compacted";
        Error::new(ErrorKind::InvalidArgument, message).with_text("argument", "path")
    })
}

pub(super) fn backup(port: &Port, cask: i32, target: String, hard_links: bool, ticket: u32) -> Result<i32> {
    let file = file(port, cask)?;
    cancellable(port, ticket, move |cancel| {
        let done = file.backup(&PathBuf::from(&target), &BackupOptions { hard_links, cancel })?;
        Ok(json!({
            "path": target,
            "bytes": done.bytes,
            "segments": { "linked": done.linked, "cloned": done.cloned, "copied": done.copied },
        }))
    })
}

pub(super) fn compact(port: &Port, cask: i32, ticket: u32) -> Result<i32> {
    let file = file(port, cask)?;
    report(port, ticket, move || {
        let done = file.compact_all()?;
        Ok(json!({ "bytesBefore": done.before, "bytesAfter": done.after }))
    })
}

/// Settles the ticket with the damage that compaction meets in the background; never where it meets none. Answers 0 for a cask in memory.
pub(super) fn watch_damage(port: &Port, cask: i32, ticket: u32) -> Result<i32> {
    let Some(file) = port.file(cask)? else { return Ok(0) };
    let inbox = port.inbox().clone();
    port.keep_damage_watch(cask, file.watch_damage(move |error| inbox.settle(ticket, Err(error.clone()))));
    Ok(super::LATER)
}

pub(super) fn verify(port: &Port, path: String, secret: Option<Secret>, ticket: u32) -> Result<i32> {
    cancellable(port, ticket, move |cancel| {
        let options = VerifyOptions { secret: secret.as_ref(), cancel };
        Ok(describe_verified(&upkeep::verify(&PathBuf::from(path), &options)?))
    })
}

pub(super) fn rewrite(
    port: &Port,
    path: String,
    target: String,
    secret: Option<Secret>,
    new_secret: Option<Secret>,
    ticket: u32,
) -> Result<i32> {
    cancellable(port, ticket, move |cancel| {
        let options = RewriteOptions { secret: secret.as_ref(), new_secret: new_secret.as_ref(), cancel };
        let accounts = upkeep::rewrite(&PathBuf::from(path), &PathBuf::from(target), &options)?;
        let describe = |account: &AccountCount| json!({ "records": account.records, "hasCreds": account.has_creds });
        let accounts: Map<String, Value> = accounts.iter().map(|(name, account)| (name.clone(), describe(account))).collect();
        Ok(json!({ "accounts": accounts }))
    })
}

pub(super) fn change_key(port: &Port, path: String, secret: Secret, new_secret: Secret, ticket: u32) -> Result<i32> {
    report(port, ticket, move || upkeep::change_key(&PathBuf::from(path), &secret, &new_secret).map(|()| Value::Null))
}

pub(super) fn repair(
    port: &Port,
    path: String,
    target: String,
    doubtful: &str,
    secret: Option<Secret>,
    ticket: u32,
) -> Result<i32> {
    let doubtful = match doubtful {
        "omit" => Doubtful::Omit,
        "omit-ratchets" => Doubtful::OmitRatchets,
        "keep" => Doubtful::Keep,
        _ => return Err(Error::internal("an unknown way to treat records in doubt")),
    };
    cancellable(port, ticket, move |cancel| {
        let options = RepairOptions { doubtful, secret: secret.as_ref(), cancel };
        Ok(describe_repaired(&upkeep::repair(&PathBuf::from(path), &PathBuf::from(target), &options)?))
    })
}

fn describe_verified(report: &VerifyReport) -> Value {
    let accounts: Map<String, Value> = report
        .accounts
        .iter()
        .map(|(name, account)| {
            (name.clone(), json!({ "records": account.records, "hasCreds": account.has_creds, "doubtful": account.doubtful }))
        })
        .collect();
    json!({
        "ok": report.damages.is_empty(),
        "segments": report.segments,
        "frames": report.frames,
        "accounts": accounts,
        "tornBytes": report.torn_bytes,
        "tornFrames": report.torn_frames,
        "hasFailedSync": report.has_failed_sync,
        "damages": report.damages.iter().map(describe_damage).collect::<Value>(),
    })
}

fn describe_repaired(report: &RepairReport) -> Value {
    let accounts: Map<String, Value> = report
        .accounts
        .iter()
        .map(|(name, account)| {
            let described = json!({
                "records": account.records,
                "hasCreds": account.has_creds,
                "doubtful": describe_records(&account.doubtful),
                "omitted": describe_records(&account.omitted),
                "lost": describe_records(&account.lost),
            });
            (name.clone(), described)
        })
        .collect();
    json!({
        "accounts": accounts,
        "tornBytes": report.torn_bytes,
        "tornFrames": report.torn_frames,
        "damages": report.damages.iter().map(describe_damage).collect::<Value>(),
    })
}

fn describe_records(records: &[RecordFact]) -> Value {
    records.iter().map(|record| json!({ "type": record.family, "id": record.id })).collect()
}

fn describe_damage(damage: &Damage) -> Value {
    let likely = |(account, key): &(String, Vec<u8>)| {
        let RecordFact { account, family, id } = record_fact(account, key);
        json!({ "account": account, "type": family, "id": id })
    };
    let mut described = json!({
        "path": damage.path.display().to_string(),
        "offset": damage.offset,
        "message": damage.what,
        "losesRecords": damage.lost.is_some(),
        "records": damage.likely.iter().map(likely).collect::<Value>(),
    });
    if let (Value::Object(fields), Some(account)) = (&mut described, &damage.account) {
        fields.insert("account".into(), account.as_str().into());
    }
    described
}
