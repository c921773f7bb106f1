//! Writes of a transaction that are not committed.

use hashbrown::HashMap;

use crate::error::{Error, Result};
use crate::record::{CREDS_KEY, Op, OpReader};

/// What staged writes say about a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen<'a> {
    Value(&'a [u8]),
    Gone,
    NotTouched,
}

/// Writes by key. `None` is a delete.
#[derive(Debug, Default)]
pub(super) struct Staged {
    /// Every record not in `writes` is gone.
    cleared: bool,
    writes: HashMap<Box<[u8]>, Option<Box<[u8]>>>,
}

impl Staged {
    pub(super) fn is_empty(&self) -> bool {
        !self.cleared && self.writes.is_empty()
    }

    pub(super) const fn is_cleared(&self) -> bool {
        self.cleared
    }

    pub(super) fn writes(&self) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        self.writes.iter().map(|(key, value)| (&**key, value.as_deref()))
    }

    pub(super) fn look_up(&self, key: &[u8]) -> Seen<'_> {
        match self.writes.get(key) {
            Some(Some(value)) => Seen::Value(value),
            Some(None) => Seen::Gone,
            None if self.cleared && key != CREDS_KEY => Seen::Gone,
            None => Seen::NotTouched,
        }
    }

    /// Whether anything here concerns keys that start with `prefix`, creds aside.
    pub(super) fn touches(&self, prefix: &[u8]) -> bool {
        self.cleared || self.writes.keys().any(|key| **key != *CREDS_KEY && key.starts_with(prefix))
    }

    fn clear(&mut self) {
        self.cleared = true;
        self.writes.retain(|key, _| **key == *CREDS_KEY);
    }

    /// Adds checked operations.
    pub(super) fn add(&mut self, ops: &[u8]) -> Result<()> {
        for op in OpReader::new(ops) {
            match op? {
                Op::Put { key, value } => {
                    self.writes.insert(key.into(), Some(value.into()));
                }
                Op::Delete { key } => {
                    self.writes.insert(key.into(), None);
                }
                Op::Clear => self.clear(),
                Op::Drop => return Err(Error::internal("a drop inside a transaction")),
            }
        }
        Ok(())
    }

    /// Takes in what a child leaves, which comes after everything here.
    pub(super) fn absorb(&mut self, child: Self) {
        if child.cleared {
            self.clear();
        }
        if self.writes.is_empty() {
            self.writes = child.writes;
        } else {
            self.writes.extend(child.writes);
        }
    }

    /// The packed batch.
    pub(super) fn pack(&self) -> Vec<u8> {
        let bytes: usize =
            self.writes.iter().map(|(key, value)| key.len() + value.as_ref().map_or(0, |value| value.len()) + 7).sum();
        let mut ops = Vec::with_capacity(bytes + 1);
        if self.cleared {
            Op::Clear.pack(&mut ops);
        }
        for (key, value) in &self.writes {
            match value {
                Some(value) => Op::Put { key, value }.pack(&mut ops),
                None => Op::Delete { key }.pack(&mut ops),
            }
        }
        ops
    }
}
