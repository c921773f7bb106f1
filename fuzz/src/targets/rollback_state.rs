//! The state file of the rollback guard.

use baileys_cask::backend::file::rollback::parse_state;

/// Reads a state file.
pub fn run(input: &[u8]) {
    let _ = parse_state(input);
}
