//! The nonces that a sealed cask was written with.

use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;

use baileys_cask::codec::cipher::NONCE_BYTES;
use baileys_cask::codec::frame::FRAME_HEADER_BYTES;
use baileys_cask::codec::segment::SEGMENT_HEADER_BYTES;
use baileys_cask::codec::{read_u16, read_u32};

use super::disk::Event;

/// Which key a nonce was used with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Under {
    Chunks,
    Files,
    UserKey,
}

/// Nonces that were used under the keys of one cask, and a key slot with each of its. None may come twice, but with the very same slot: one
/// that is all there is of a cask is written again, so that its name is on disk.
#[derive(Debug, Default)]
pub struct Nonces(Mutex<HashMap<Nonce, Option<Vec<u8>>>>);

type Nonce = (Under, [u8; NONCE_BYTES]);

impl Nonces {
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// Takes those of everything that was written.
    pub fn take(&self, events: &[Event], context: &str) {
        let mut names = BTreeMap::new();
        for event in events {
            match event {
                Event::Create { file, name } => drop(names.insert(*file, name.clone())),
                Event::Write { file, offset, bytes } if bytes.iter().any(|byte| *byte != 0) => {
                    let Some(name) = names.get(file) else { continue };
                    for (under, at) in places(name, *offset, bytes) {
                        let nonce = *bytes[at..].first_chunk().unwrap();
                        assert_ne!(nonce, [0; NONCE_BYTES], "{context}: {name} was not sealed");
                        let slot = (under == Under::UserKey).then(|| bytes.to_vec());
                        let before = self.0.lock().unwrap().insert((under, nonce), slot.clone());
                        let is_same = slot.is_some() && before.as_ref() == Some(&slot);
                        assert!(before.is_none() || is_same, "{context}: a nonce of {name} was used before");
                    }
                }
                _ => {}
            }
        }
    }
}

/// Where nonces stand in what was written to a file.
fn places(name: &str, offset: usize, bytes: &[u8]) -> Vec<(Under, usize)> {
    let envelope = |at: usize| if read_u16(bytes, at) == Some(1) { vec![(Under::Files, at + 8)] } else { Vec::new() };
    match name.rsplit('.').next() {
        Some("seg" | "new") => chunks(offset, bytes).into_iter().map(|at| (Under::Chunks, at + 8)).collect(),
        Some("hint") => envelope(88),
        Some("tmp") if bytes.starts_with(b"BCASKMAN") => envelope(40),
        Some("tmp") if bytes.starts_with(b"BCASKKEY") => vec![(Under::UserKey, 80)],
        _ => panic!("something was written to {name}"),
    }
}

/// Where the chunks of whole frames begin.
fn chunks(offset: usize, bytes: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut frame = if offset == 0 { SEGMENT_HEADER_BYTES } else { 0 };
    while let Some(payload) = read_u32(bytes, frame) {
        let end = frame + FRAME_HEADER_BYTES + payload as usize;
        let mut chunk = frame + FRAME_HEADER_BYTES;
        while chunk < end {
            assert_eq!(bytes[chunk + 4], 1, "a chunk of the sealed form");
            found.push(chunk);
            chunk += read_u32(bytes, chunk).unwrap() as usize + 56;
        }
        frame = end.next_multiple_of(8);
    }
    found
}
