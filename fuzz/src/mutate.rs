//! Seeded mutations, for runs that have to be the same each time.

#[path = "../../tests/common/chance.rs"]
mod chance;

pub use chance::Chance;

/// Numbers at which something changes.
const EDGES: [u64; 12] = [0, 1, 7, 8, 255, 256, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x1_0000_0000, i64::MAX as u64, u64::MAX - 1, u64::MAX];

/// Changes an input in one to eight places.
pub fn mutate(input: &mut Vec<u8>, others: &[Vec<u8>], chance: &mut Chance) {
    for _ in 0..1 + chance.below(8) {
        let at = chance.below(input.len());
        match chance.below(9) {
            0 => change(input, at, |byte| *byte ^= 1 << (at % 8)),
            1 => {
                let byte = chance.next() as u8;
                change(input, at, |slot| *slot = byte);
            }
            2 => {
                let edge = EDGES[chance.below(EDGES.len())].to_le_bytes();
                let width = [2, 4, 8][chance.below(3)];
                for (slot, byte) in input.iter_mut().skip(at).zip(edge.iter().take(width)) {
                    *slot = *byte;
                }
            }
            3 => input.truncate(at),
            4 => {
                let to = (at + 1 + chance.below(64)).min(input.len());
                drop(input.drain(at.min(to)..to));
            }
            5 => {
                let to = (at + 1 + chance.below(64)).min(input.len());
                let piece = input.get(at..to).unwrap_or_default().to_vec();
                input.splice(at..at, piece);
            }
            6 if !others.is_empty() => {
                let other = &others[chance.below(others.len())];
                let from = chance.below(other.len());
                let piece = other.get(from..(from + 1 + chance.below(300)).min(other.len())).unwrap_or_default().to_vec();
                let to = (at + chance.below(piece.len() + 1)).min(input.len());
                input.splice(at..to, piece);
            }
            7 => {
                let step = [1, 0xFF][chance.below(2)];
                change(input, at, |byte| *byte = byte.wrapping_add(step));
            }
            _ => {
                let byte = chance.next() as u8;
                input.insert(at, byte);
            }
        }
    }
}

fn change(input: &mut [u8], at: usize, change: impl FnOnce(&mut u8)) {
    if let Some(byte) = input.get_mut(at) {
        change(byte);
    }
}
