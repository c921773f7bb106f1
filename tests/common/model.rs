//! The model: plain maps.

use std::collections::BTreeMap;

use baileys_cask::record::{CREDS_KEY, Op};

/// Every record of every account that has one.
pub type Records = BTreeMap<String, BTreeMap<Vec<u8>, Vec<u8>>>;

/// One operation that owns its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Put(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Clear,
    Drop,
}

/// One batch of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    pub account: String,
    pub changes: Vec<Change>,
}

impl Changes {
    pub fn new(account: &str, changes: impl Into<Vec<Change>>) -> Self {
        Self { account: account.into(), changes: changes.into() }
    }

    pub fn pack(&self) -> Vec<u8> {
        let mut ops = Vec::new();
        for change in &self.changes {
            match change {
                Change::Put(key, value) => Op::Put { key, value }.pack(&mut ops),
                Change::Delete(key) => Op::Delete { key }.pack(&mut ops),
                Change::Clear => Op::Clear.pack(&mut ops),
                Change::Drop => Op::Drop.pack(&mut ops),
            }
        }
        ops
    }

    pub fn apply(&self, records: &mut Records) {
        let account = records.entry(self.account.clone()).or_default();
        for change in &self.changes {
            match change {
                Change::Put(key, value) => {
                    account.insert(key.clone(), value.clone());
                }
                Change::Delete(key) => {
                    account.remove(key);
                }
                Change::Clear => account.retain(|key, _| key == CREDS_KEY),
                Change::Drop => account.clear(),
            }
        }
        records.retain(|_, account| !account.is_empty());
    }
}

/// Key of a session.
pub fn session(id: &str) -> Vec<u8> {
    [b"\x02", id.as_bytes()].concat()
}

/// Key in a family without a code of its own.
pub fn named(family: &str, id: &str) -> Vec<u8> {
    [&[0, family.len() as u8], family.as_bytes(), id.as_bytes()].concat()
}

pub fn put(id: &str, value: impl AsRef<[u8]>) -> Change {
    Change::Put(session(id), value.as_ref().to_vec())
}

pub fn delete(id: &str) -> Change {
    Change::Delete(session(id))
}

pub fn creds(value: impl AsRef<[u8]>) -> Change {
    Change::Put(CREDS_KEY.to_vec(), value.as_ref().to_vec())
}
