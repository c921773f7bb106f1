//! Preambles and headers of segments. Input: `u8` whether checks are made right, bytes.

use std::path::Path;

use baileys_cask::ErrorKind;
use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::preamble;
use baileys_cask::codec::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};

use super::super::seal;

/// Decodes a header, and what it was decoded to again.
pub fn run(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    for magic in [b"BCASKSEG", b"BCASKMAN", b"BCASKHNT"] {
        let known = preamble::header_len(bytes, magic).is_some();
        assert!(!known || preamble::is_this_version(bytes) == preamble::check_version(bytes, Path::new("x")).is_ok());
    }
    let mut bytes = bytes.to_vec();
    if how & 1 == 1 {
        seal::segment_header(&mut bytes);
    }
    match SegmentHeader::decode(&bytes, Path::new("segment"), &Cipher::Plain) {
        Ok(Some(header)) => {
            let again = header.encode(&Cipher::Plain);
            assert_eq!(again.len(), SEGMENT_HEADER_BYTES);
            let decoded =
                SegmentHeader::decode(&again, Path::new("segment"), &Cipher::Plain).expect("what was encoded is decoded");
            assert_eq!(decoded, Some(header));
        }
        Ok(None) => {}
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Key | ErrorKind::Version), "{error}"),
    }
}
