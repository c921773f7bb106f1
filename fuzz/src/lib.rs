//! What is fuzzed, and what has to hold for every input.
//!
//! One place for two users: `cargo fuzz` searches for inputs (`fuzz/run`), and `cargo test` looks at the seeds and at some thousand
//! mutations of each (`tests/fuzzing.rs`). A new target is a file in `targets`, a line in [`TARGETS`], a file in `fuzz_targets` and
//! its `[[bin]]`, and a folder of seeds.

#![allow(dead_code, clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

pub mod allocation;
pub mod folder;
pub mod memory;
pub mod mutate;
pub mod seal;
pub mod targets;

use targets::{frame, hint, key_slot, manifest, owner, recovery, repair, rollback_state, segment};

/// Something that reads bytes that anybody may have written.
#[derive(Debug)]
pub struct Target {
    /// Also the name of its folder of seeds.
    pub name: &'static str,
    /// Panics where something that has to hold does not.
    pub run: fn(&[u8]),
}

/// Every target.
pub const TARGETS: &[Target] = &[
    Target { name: "frame", run: frame::run },
    Target { name: "hint", run: hint::run },
    Target { name: "key_slot", run: key_slot::run },
    Target { name: "manifest", run: manifest::run },
    Target { name: "owner", run: owner::run },
    Target { name: "recovery", run: recovery::run },
    Target { name: "repair", run: repair::run },
    Target { name: "rollback_state", run: rollback_state::run },
    Target { name: "segment", run: segment::run },
];

/// Bytes that may be held at one time for each byte of the input, and beside that.
const PER_INPUT_BYTE: usize = 64;
const BESIDE: usize = 1 << 20;

/// Runs a target on an input and looks at the memory that it takes.
///
/// # Panics
/// Where something that has to hold does not.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("the target is in the table");
    let peak = allocation::peak_of(|| (target.run)(input));
    let most = PER_INPUT_BYTE * input.len() + BESIDE;
    assert!(peak <= most, "{name}: an input of {} bytes took {peak} bytes, and {most} are allowed", input.len());
}
