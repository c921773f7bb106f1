//! Records in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;

use super::{Applied, Backend, Batch, Completion, ValueSink};
use crate::error::{Error, Result};
use crate::record::{CREDS_KEY, Op, OpReader};

type Records = HashMap<Box<[u8]>, Box<[u8]>>;

/// A backend that lives as long as its process.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    accounts: DashMap<Box<str>, Arc<RwLock<Records>>>,
    closed: AtomicBool,
}

impl MemoryBackend {
    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
    }

    fn records(&self, account: &str) -> Option<Arc<RwLock<Records>>> {
        self.accounts.get(account).map(|entry| Arc::clone(entry.value()))
    }

    fn apply_here(&self, batch: Batch<'_>) -> Result<()> {
        self.check_open()?;
        // Read whole before the first change: a malformed batch leaves nothing behind.
        if let Some(Err(error)) = OpReader::new(batch.ops).find(Result::is_err) {
            return Err(error);
        }
        let records = self
            .records(batch.account)
            .unwrap_or_else(|| Arc::clone(self.accounts.entry(batch.account.into()).or_default().value()));
        let mut records = records.write().unwrap_or_else(PoisonError::into_inner);
        for op in OpReader::new(batch.ops).flatten() {
            match op {
                Op::Put { key, value } => {
                    if let Some(slot) = records.get_mut(key) {
                        *slot = value.into();
                    } else {
                        records.insert(key.into(), value.into());
                    }
                }
                Op::Delete { key } => {
                    records.remove(key);
                }
                Op::Clear => {
                    let creds = records.remove(CREDS_KEY);
                    *records = creds.map(|creds| (CREDS_KEY.into(), creds)).into_iter().collect();
                }
                Op::Drop => *records = Records::new(),
            }
        }
        Ok(())
    }
}

impl Backend for MemoryBackend {
    fn get(&self, account: &str, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<()> {
        self.check_open()?;
        let Some(records) = self.records(account) else {
            keys.iter().for_each(|_| sink(None));
            return Ok(());
        };
        let records = records.read().unwrap_or_else(PoisonError::into_inner);
        keys.iter().for_each(|key| sink(records.get(*key).map(|value| &**value)));
        Ok(())
    }

    fn apply(&self, batch: Batch<'_>, _: &mut dyn FnMut() -> Completion) -> Applied {
        Applied::Now(self.apply_here(batch))
    }

    fn apply_at_once(&self, batch: Batch<'_>) -> Option<Result<()>> {
        Some(self.apply_here(batch))
    }

    fn keys(&self, account: &str, prefix: &[u8], sink: &mut dyn FnMut(&[u8])) -> Result<()> {
        self.check_open()?;
        if let Some(records) = self.records(account) {
            let records = records.read().unwrap_or_else(PoisonError::into_inner);
            records.keys().filter(|key| key.starts_with(prefix)).for_each(|key| sink(key));
        }
        Ok(())
    }

    fn accounts(&self) -> Result<Vec<String>> {
        self.check_open()?;
        let mut names: Vec<String> = self
            .accounts
            .iter()
            .filter(|entry| !entry.value().read().unwrap_or_else(PoisonError::into_inner).is_empty())
            .map(|entry| entry.key().to_string())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn flush(&self, completion: Completion) {
        completion(self.check_open());
    }

    fn close(&self) -> Result<()> {
        self.closed.store(true, Ordering::Release);
        self.accounts.clear();
        Ok(())
    }
}
