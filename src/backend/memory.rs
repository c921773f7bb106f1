//! Records in memory.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use dashmap::DashMap;

use super::{AccountFacts, Applied, Backend, Batch, Completion, Families, ReadCounts, ValueSink};
use crate::error::{Error, Result};
use crate::record::{CREDS_KEY, Op, OpReader};

type Records = HashMap<Box<[u8]>, Box<[u8]>>;

/// Records, and how many there are of each family.
#[derive(Debug, Default)]
struct Contents {
    records: Records,
    families: Families,
}

#[derive(Debug, Default)]
struct Account {
    contents: RwLock<Contents>,
    reads: ReadCounts,
}

/// Bytes of a record.
const fn size(key: &[u8], value: &[u8]) -> u64 {
    (key.len() + value.len()) as u64
}

impl Contents {
    fn apply(&mut self, op: Op<'_>) {
        let Self { records, families } = self;
        match op {
            Op::Put { key, value } => match records.get_mut(key) {
                Some(slot) => {
                    families.resized(key, size(key, slot), size(key, value));
                    *slot = value.into();
                }
                None => {
                    families.added(key, size(key, value));
                    records.insert(key.into(), value.into());
                }
            },
            Op::Delete { key } => {
                if let Some(value) = records.remove(key) {
                    families.removed(key, size(key, &value));
                }
            }
            Op::Clear => {
                let creds = records.remove(CREDS_KEY);
                *self = Self::default();
                if let Some(value) = &creds {
                    self.apply(Op::Put { key: CREDS_KEY, value });
                }
            }
            Op::Drop => *self = Self::default(),
        }
    }
}

/// A backend that lives as long as its process.
#[derive(Debug, Default)]
pub struct MemoryBackend {
    accounts: DashMap<Box<str>, Arc<Account>>,
    closed: AtomicBool,
}

impl MemoryBackend {
    fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::closed()) } else { Ok(()) }
    }

    fn account(&self, account: &str) -> Option<Arc<Account>> {
        self.accounts.get(account).map(|entry| Arc::clone(entry.value()))
    }

    fn apply_here(&self, batch: Batch<'_>) -> Result<()> {
        self.check_open()?;
        // Read whole before the first change: a malformed batch leaves nothing behind.
        if let Some(Err(error)) = OpReader::new(batch.ops).find(Result::is_err) {
            return Err(error);
        }
        let account = self
            .account(batch.account)
            .unwrap_or_else(|| Arc::clone(self.accounts.entry(batch.account.into()).or_default().value()));
        let mut contents = account.contents.write().unwrap_or_else(PoisonError::into_inner);
        OpReader::new(batch.ops).flatten().for_each(|op| contents.apply(op));
        Ok(())
    }
}

impl Backend for MemoryBackend {
    fn get(&self, account: &str, keys: &[&[u8]], sink: ValueSink<'_>) -> Result<()> {
        self.check_open()?;
        let Some(account) = self.account(account) else {
            keys.iter().for_each(|_| sink(None));
            return Ok(());
        };
        let contents = account.contents.read().unwrap_or_else(PoisonError::into_inner);
        for key in keys {
            let value = contents.records.get(*key);
            if value.is_some() { &account.reads.cached } else { &account.reads.absent }.count();
            sink(value.map(|value| &**value));
        }
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
        if let Some(account) = self.account(account) {
            let contents = account.contents.read().unwrap_or_else(PoisonError::into_inner);
            contents.records.keys().filter(|key| key.starts_with(prefix)).for_each(|key| sink(key));
        }
        Ok(())
    }

    fn accounts(&self) -> Result<Vec<String>> {
        self.check_open()?;
        let mut names: Vec<String> = self
            .accounts
            .iter()
            .filter(|entry| !entry.value().contents.read().unwrap_or_else(PoisonError::into_inner).records.is_empty())
            .map(|entry| entry.key().to_string())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn visit_accounts(&self, sink: &mut dyn FnMut(AccountFacts<'_>)) {
        for entry in &self.accounts {
            let account = entry.value();
            let contents = account.contents.read().unwrap_or_else(PoisonError::into_inner);
            sink(AccountFacts { name: entry.key(), families: &contents.families, reads: &account.reads });
        }
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
