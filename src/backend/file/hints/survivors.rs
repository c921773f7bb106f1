//! What is left of the operations of one account once later ones have made some void.

use std::hash::BuildHasher;

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use super::super::index::Location;
use crate::codec::hint::HintOp;
use crate::record::{CREDS_KEY, Op};

/// What an operation takes in a hint beside its key, about.
const OP_BYTES: u64 = 8;
/// Void operations stay where they are as long as there are fewer.
const MOST_VOID: usize = 256;

/// Operations of one account that no later one has made void, in their order.
#[derive(Debug, Default)]
pub(super) struct Survivors {
    ops: Vec<Survivor>,
    /// How many of them are void.
    void: usize,
    /// One behind the other.
    keys: Vec<u8>,
    /// Where the last operation on each key is.
    by_key: HashTable<u32>,
    /// Bytes that they take in a hint, about.
    bytes: u64,
}

#[derive(Debug, Clone, Copy)]
struct Survivor {
    at: Location,
    key_at: u32,
    key_len: u16,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Put,
    Delete,
    Clear,
    Drop,
    Void,
}

impl Survivor {
    fn key<'k>(&self, keys: &'k [u8]) -> &'k [u8] {
        let key = keys.get(self.key_at as usize..).and_then(|rest| rest.get(..usize::from(self.key_len)));
        key.unwrap_or_default()
    }

    fn bytes(&self) -> u64 {
        u64::from(self.key_len) + OP_BYTES
    }
}

fn hash(key: &[u8]) -> u64 {
    FxBuildHasher.hash_one(key)
}

impl Survivors {
    /// Takes in the next operation.
    pub(super) fn push(&mut self, op: Op<'_>, at: Location) {
        match op {
            Op::Put { key, .. } => self.push_keyed(key, Kind::Put, at),
            Op::Delete { key } => self.push_keyed(key, Kind::Delete, at),
            Op::Clear => {
                let creds = self.find(CREDS_KEY);
                let mut position = 0;
                self.ops.retain(|op| {
                    let stays = Some(position) == creds || op.kind == Kind::Drop;
                    position += 1;
                    stays
                });
                self.push_unkeyed(Kind::Clear, at);
                self.rebuild();
            }
            Op::Drop => {
                self.ops.clear();
                self.push_unkeyed(Kind::Drop, at);
                self.rebuild();
            }
        }
    }

    fn find(&self, key: &[u8]) -> Option<u32> {
        let is_it = |position: &u32| self.ops.get(*position as usize).is_some_and(|op| op.key(&self.keys) == key);
        self.by_key.find(hash(key), is_it).copied()
    }

    fn push_unkeyed(&mut self, kind: Kind, at: Location) {
        self.ops.push(Survivor { at, key_at: 0, key_len: 0, kind });
    }

    fn push_keyed(&mut self, key: &[u8], kind: Kind, at: Location) {
        let position = self.ops.len() as u32;
        let Self { ops, keys, by_key, .. } = self;
        let is_it = |other: &u32| ops.get(*other as usize).is_some_and(|op| op.key(keys) == key);
        let new = match by_key.find_mut(hash(key), is_it) {
            Some(last) => {
                let before = std::mem::replace(last, position);
                let Some(before) = ops.get_mut(before as usize) else { return };
                let new = Survivor { at, kind, ..*before };
                before.kind = Kind::Void;
                self.void += 1;
                new
            }
            None => {
                // A key in a batch has 16 bits of length, and a segment 32.
                let new = Survivor { at, key_at: keys.len() as u32, key_len: key.len() as u16, kind };
                keys.extend_from_slice(key);
                self.bytes += new.bytes();
                by_key.insert_unique(hash(key), position, |other| hash(ops.get(*other as usize).map_or(&[], |op| op.key(keys))));
                new
            }
        };
        self.ops.push(new);
        if self.void >= MOST_VOID.max(self.ops.len() / 2) {
            self.rebuild();
        }
    }

    /// Gives back the memory of what is void.
    fn rebuild(&mut self) {
        let before = std::mem::take(&mut self.keys);
        self.ops.retain(|op| op.kind != Kind::Void);
        self.void = 0;
        for op in &mut self.ops {
            let key = op.key(&before);
            op.key_at = self.keys.len() as u32;
            self.keys.extend_from_slice(key);
        }
        self.bytes = self.ops.iter().map(Survivor::bytes).sum();
        let Self { ops, keys, .. } = self;
        let hash_at = |position: &u32| hash(ops.get(*position as usize).map_or(&[], |op| op.key(keys)));
        self.by_key = HashTable::with_capacity(ops.len());
        for (op, position) in ops.iter().zip(0_u32..).filter(|(op, _)| matches!(op.kind, Kind::Put | Kind::Delete)) {
            self.by_key.insert_unique(hash(op.key(keys)), position, hash_at);
        }
    }

    /// Bytes that they take in a hint, about.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// They themselves.
    pub(super) fn ops(&self) -> impl Iterator<Item = HintOp<'_>> {
        self.ops.iter().filter_map(|op| {
            let (key, at) = (op.key(&self.keys), op.at);
            let size = at.size();
            match op.kind {
                Kind::Put => {
                    Some(HintOp::Put { key, chunk: at.chunk(), chunk_len: at.chunk_len(), op: u32::from(at.op()), size })
                }
                Kind::Delete => Some(HintOp::Delete { key, size }),
                Kind::Clear => Some(HintOp::Clear { size }),
                Kind::Drop => Some(HintOp::Drop { size }),
                Kind::Void => None,
            }
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::super::super::index::ShortSize;
    use super::*;
    use crate::codec::frame::FRAME_HEADER_BYTES;

    fn survivors(ops: &[Op<'_>]) -> Vec<String> {
        let mut survivors = Survivors::default();
        for (position, op) in ops.iter().enumerate() {
            let size = ShortSize::of(FRAME_HEADER_BYTES as u64);
            let at = Location::new(1, position as u32, 1, 0, size);
            survivors.push(*op, at);
        }
        let show = |op: &HintOp<'_>| match op {
            HintOp::Put { key, chunk, .. } => format!("put {} at {chunk}", String::from_utf8_lossy(key)),
            HintOp::Delete { key, .. } => format!("delete {}", String::from_utf8_lossy(key)),
            HintOp::Clear { .. } => "clear".into(),
            HintOp::Drop { .. } => "drop".into(),
        };
        survivors.ops().map(|op| show(&op)).collect()
    }

    const fn put(key: &[u8]) -> Op<'_> {
        Op::Put { key, value: b"" }
    }

    #[test]
    fn the_last_operation_on_a_key_survives() {
        let ops = [put(b"a"), put(b"b"), Op::Delete { key: b"a" }, put(b"b"), Op::Delete { key: b"c" }, put(b"c")];
        assert_eq!(survivors(&ops), ["delete a", "put b at 3", "put c at 5"]);
    }

    #[test]
    fn a_clear_makes_all_before_it_void_but_creds_and_drops() {
        let (a, creds) = (put(b"a"), put(CREDS_KEY));
        assert_eq!(survivors(&[a, creds, Op::Delete { key: b"b" }, Op::Clear, a]).len(), 3);
        assert_eq!(survivors(&[Op::Drop, a, Op::Clear]), ["drop", "clear"]);
        assert_eq!(survivors(&[Op::Clear, a, Op::Clear]), ["clear"]);
        assert_eq!(survivors(&[Op::Delete { key: CREDS_KEY }, Op::Clear]).len(), 2);
        let after = survivors(&[creds, Op::Clear, creds]);
        assert_eq!(after.len(), 2);
        assert_eq!(after.first().unwrap(), "clear");
    }

    #[test]
    fn a_drop_makes_all_before_it_void() {
        assert_eq!(survivors(&[put(b"a"), put(CREDS_KEY), Op::Clear, Op::Drop, put(b"b")]), ["drop", "put b at 4"]);
    }

    #[test]
    fn nothing_is_kept_of_what_is_void() {
        let key = |n: usize| format!("key {n}").into_bytes();
        let mut all = Survivors::default();
        for n in 0..100 * MOST_VOID {
            let at = Location::new(1, n as u32, 1, 0, ShortSize::of(40));
            all.push(Op::Put { key: &key(n % 7), value: b"" }, at);
            all.push(Op::Delete { key: &key(7 + n % 5) }, at);
        }
        assert!(all.ops.len() < 3 * MOST_VOID && all.keys.len() == 5 * 7 + 2 + 5 * 5, "{} {}", all.ops.len(), all.keys.len());
        let left: Vec<(&[u8], Option<u32>)> = all
            .ops()
            .map(|op| match op {
                HintOp::Put { key, chunk, .. } => (key, Some(chunk)),
                HintOp::Delete { key, .. } => (key, None),
                _ => panic!("{op:?}"),
            })
            .collect();
        assert_eq!(left.len(), 12);
        for n in 100 * MOST_VOID - 7..100 * MOST_VOID {
            assert!(left.contains(&(&*key(n % 7), Some(n as u32))), "{n}");
        }
        assert_eq!(all.bytes(), all.ops.iter().filter(|op| op.kind != Kind::Void).map(Survivor::bytes).sum::<u64>());
        all.push(Op::Clear, Location::new(1, 1, 1, 0, ShortSize::of(40)));
        assert_eq!((all.ops.len(), all.keys.len(), all.by_key.len()), (1, 0, 0));
    }
}
