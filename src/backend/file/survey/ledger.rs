//! The newest intact version of each record, and which of them may have been newer once.

use std::collections::{BTreeMap, HashMap};

use crate::codec::frame::Body;
use crate::record::{CREDS_KEY, Op, OpReader};

/// Code of the family that says which devices have been given a sender key.
const SENDER_KEY_MEMORY: u8 = 4;

/// A place in the order of all operations: the sequence number of the batch, and the offset of the chunk.
pub(in super::super) type Position = (u64, u64);

/// Where the newest intact version of a record is.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Version {
    /// In the order of all operations.
    pub(in super::super) position: Position,
    /// Number of the chunk, in the order in which they were entered.
    pub(in super::super) piece: u32,
    /// Number of the operation in the chunk.
    pub(in super::super) op: u32,
}

pub(in super::super) type Records = HashMap<Box<[u8]>, Version>;

/// The records of all accounts.
#[derive(Debug, Default)]
pub(in super::super) struct Ledger {
    /// By account, then by key.
    pub(in super::super) accounts: BTreeMap<String, Records>,
    everywhere: Position,
    by_account: HashMap<String, Position>,
}

impl Ledger {
    /// Enters the operations of a chunk. Chunks come in the order of their positions.
    pub(in super::super) fn enter(&mut self, body: &Body<'_>, position: Position, piece: u32) {
        if !self.accounts.contains_key(body.account) {
            self.accounts.insert(body.account.to_string(), Records::new());
        }
        let Some(records) = self.accounts.get_mut(body.account) else { return };
        for (op, number) in OpReader::new(body.ops).map_while(Result::ok).zip(0..) {
            match op {
                Op::Put { key, .. } => {
                    records.insert(key.into(), Version { position, piece, op: number });
                }
                Op::Delete { key } => {
                    records.remove(key);
                }
                Op::Clear => records.retain(|key, _| **key == *CREDS_KEY),
                Op::Drop => records.clear(),
            }
        }
    }

    /// Notes that operations before a position are lost: of one account, or nobody knows of which.
    pub(in super::super) fn lose(&mut self, before: Position, account: Option<&str>) {
        let threshold = match account {
            Some(account) => self.by_account.entry(account.to_string()).or_default(),
            None => &mut self.everywhere,
        };
        *threshold = (*threshold).max(before);
    }

    /// Position before which records of an account may have had a newer version, or may have been removed; the first of all where
    /// nothing of it is lost.
    fn doubtful_before(&self, account: &str) -> Position {
        self.by_account.get(account).copied().unwrap_or_default().max(self.everywhere)
    }

    /// Whether a record may have had a newer version than this one, or may have been removed.
    pub(in super::super) fn is_doubtful(&self, account: &str, key: &[u8], version: &Version) -> bool {
        let before = self.doubtful_before(account);
        // It says which devices have sender keys, of which some may be lost.
        let goes_with_lost_ones = key.first() == Some(&SENDER_KEY_MEMORY) && before > Position::default();
        version.position < before || goes_with_lost_ones
    }

    /// The newest intact version of a record.
    pub(in super::super) fn find(&self, account: &str, key: &[u8]) -> Option<&Version> {
        self.accounts.get(account)?.get(key)
    }
}
