//! Nonces for frames.
//!
//! A nonce must never come twice under one key. Those of a frame begin with 96 random bits, drawn for a few frames at once because a
//! call of the operating system takes as long as encrypting a small record, and the time in nanoseconds. The time is there for what
//! random numbers in memory cannot prevent: a virtual machine that is restored twice from one snapshot goes on twice with the same
//! ones, but not in the same nanosecond.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

use super::cipher::{NONCE_BYTES, random};
use super::put;
use crate::error::Result;

const RANDOM_BYTES: usize = 12;
/// Random numbers are drawn for so many frames at once.
const FRAMES: usize = 16;
const COUNTER_AT: usize = NONCE_BYTES - 4;

thread_local! {
    /// Random numbers that no frame has had yet, and how many frames they are for.
    static DRAWN: Cell<([u8; RANDOM_BYTES * FRAMES], usize)> = const { Cell::new(([0; RANDOM_BYTES * FRAMES], 0)) };
}

/// The nonces of the chunks of one frame.
#[derive(Debug)]
pub struct FrameNonces([u8; NONCE_BYTES]);

impl FrameNonces {
    /// Nonces that no other frame has.
    ///
    /// # Errors
    /// `Io` where there are no random numbers.
    pub fn draw() -> Result<Self> {
        let mut nonce = [0; NONCE_BYTES];
        put(&mut nonce, 0, &draw_random()?);
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        put(&mut nonce, RANDOM_BYTES, &(since.as_nanos() as u64).to_le_bytes());
        Ok(Self(nonce))
    }

    /// That of one chunk.
    #[must_use]
    pub fn of(&self, chunk: u32) -> [u8; NONCE_BYTES] {
        let mut nonce = self.0;
        put(&mut nonce, COUNTER_AT, &chunk.to_le_bytes());
        nonce
    }
}

fn draw_random() -> Result<[u8; RANDOM_BYTES]> {
    // A thread that is ending has none, and takes what it needs.
    let Ok((mut drawn, mut left)) = DRAWN.try_with(Cell::get) else { return random() };
    if left == 0 {
        drawn = random()?;
        left = FRAMES;
    }
    left -= 1;
    let _ = DRAWN.try_with(|cell| cell.set((drawn, left)));
    let at = left * RANDOM_BYTES;
    drawn.get(at..).and_then(|rest| rest.first_chunk()).copied().map_or_else(random, Ok)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_nonce_comes_twice_in_any_thread() {
        let drawn: Vec<Vec<[u8; NONCE_BYTES]>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let draw = || FrameNonces::draw().unwrap();
                    scope.spawn(move || (0..500).map(|_| draw()).flat_map(|frame| [frame.of(0), frame.of(1)]).collect())
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let all: Vec<_> = drawn.iter().flatten().collect();
        assert_eq!(all.len(), 4000);
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        // The random part alone tells frames apart.
        assert_eq!(all.iter().filter_map(|nonce| nonce.get(..RANDOM_BYTES)).collect::<HashSet<_>>().len(), 2000);
    }
}
