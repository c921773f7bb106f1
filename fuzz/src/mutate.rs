//! Seeded mutations, for runs that have to be the same each time.

/// A small repeatable source of chance (splitmix64).
#[derive(Debug, Clone)]
pub struct Chance(pub u64);

impl Chance {
    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below a limit; 0 where that is 0.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % (limit.max(1) as u64)) as usize
    }
}

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
