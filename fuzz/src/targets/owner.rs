//! The file that says who holds a folder: JSON that another version, or another program, may have written.

use baileys_cask::backend::file::folder::parse_owner;

/// Reads an owner file.
pub fn run(input: &[u8]) {
    if let Some(owner) = parse_owner(input) {
        assert!(owner.host.len() <= input.len());
        assert_eq!(parse_owner(input), Some(owner), "the same bytes say the same");
    }
}
