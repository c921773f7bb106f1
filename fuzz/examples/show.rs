//! Shows what an input of the targets that take a folder is: `cargo run --example show FILE`.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;

use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::frame::FrameHeader;
use baileys_cask::codec::manifest::Manifest;
use baileys_cask::codec::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use baileys_cask_fuzz::folder::Case;

fn main() {
    let input = std::fs::read(std::env::args().nth(1).unwrap()).unwrap();
    let case = Case::decode(&input);
    println!("opened with {:#b}", case.how);
    for (name, bytes) in case.image() {
        println!("{name}: {} bytes", bytes.len());
        match Manifest::decode(&bytes, Path::new(&name), &Cipher::Plain) {
            Ok(manifest) => println!("  {manifest:?}"),
            Err(error) if name == "manifest" => println!("  {error}"),
            Err(_) => {}
        }
        if let Ok(Some(header)) = SegmentHeader::decode(&bytes, Path::new(&name), &Cipher::Plain) {
            println!("  {header:?}");
            let mut at = SEGMENT_HEADER_BYTES;
            while let Some(frame) =
                bytes.get(at..).and_then(|rest| FrameHeader::decode(rest, &header.salt, at as u64, &Cipher::Plain))
            {
                println!("  {at}: {frame:?}");
                at = at.saturating_add(usize::try_from(frame.frame_len()).unwrap());
            }
        }
    }
}
