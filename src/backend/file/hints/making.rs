//! Making a hint while going along the frames of its segment.

use rustc_hash::FxHashMap;

use super::super::frames::Placed;
use super::super::index::for_each_op;
use super::survivors::Survivors;
use crate::codec::cipher::Cipher;
use crate::codec::frame;
use crate::codec::hint::{HintOf, HintWriter};
use crate::error::Result;

/// A hint has this part of its segment's length at most: of one whose records are about as short as their ids, it would save nothing.
const WORTH_PART: u64 = 4;
/// So many bytes of a segment tell whether its hint is worth it, so that the memory for one that is not is not taken.
const TELLING_BYTES: u64 = 1 << 20;

/// A hint that is being made. It keeps what it needs of frames, and no more.
#[derive(Debug)]
pub(in super::super) struct HintMaker {
    of: HintOf,
    /// It is made whatever its length.
    always: bool,
    is_worth_it: bool,
    /// Positions in `accounts`.
    by_name: FxHashMap<Box<str>, usize>,
    /// In the order in which they first appear.
    accounts: Vec<(Box<str>, Survivors)>,
    /// Its length, about.
    bytes: u64,
}

impl HintMaker {
    pub(super) fn new(of: HintOf, always: bool) -> Self {
        Self { of, always, is_worth_it: true, by_name: FxHashMap::default(), accounts: Vec::new(), bytes: 0 }
    }

    /// Whether there will be a hint, as far as can be told.
    pub(super) const fn is_worth_it(&self) -> bool {
        self.is_worth_it
    }

    /// Takes in the next frame of the segment.
    pub(in super::super) fn add(&mut self, placed: &Placed<'_>) {
        let Some(account) = frame::chunks(placed.bytes).next().map(|chunk| chunk.body.account).filter(|_| self.is_worth_it)
        else {
            return;
        };
        let position = match self.by_name.get(account) {
            Some(position) => *position,
            None => {
                self.by_name.insert(account.into(), self.accounts.len());
                self.accounts.push((account.into(), Survivors::default()));
                self.accounts.len() - 1
            }
        };
        let Some((_, survivors)) = self.accounts.get_mut(position) else { return };
        let segment = self.of.id as u32;
        self.bytes -= survivors.bytes();
        for_each_op(frame::chunks(placed.bytes), segment, placed.at, |op, location| survivors.push(op, location));
        self.bytes += survivors.bytes();
        let told = placed.end();
        if told >= TELLING_BYTES && !self.always && self.bytes * WORTH_PART > told {
            self.is_worth_it = false;
            self.by_name = FxHashMap::default();
            self.accounts = Vec::new();
        }
    }

    /// The bytes of the hint of all frames that were taken in; `None` where it is not worth it.
    pub(super) fn finish(self, cipher: &Cipher) -> Option<Result<Vec<u8>>> {
        if !self.is_worth_it {
            return None;
        }
        let mut writer = HintWriter::new(&self.of);
        for (name, survivors) in &self.accounts {
            writer.begin(name);
            survivors.ops().for_each(|op| writer.push(&op));
        }
        let hint = writer.finish(cipher);
        let is_worth_it = |hint: &Vec<u8>| self.always || hint.len() as u64 * WORTH_PART <= self.of.length;
        hint.as_ref().map_or(true, is_worth_it).then_some(hint)
    }
}
