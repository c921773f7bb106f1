//! Manifests. Input: `u8` whether checks are made right, bytes.

use std::path::Path;

use baileys_cask::ErrorKind;
use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::manifest::Manifest;

use super::super::seal;

/// Decodes a manifest, and what it was decoded to again.
pub fn run(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if how & 1 == 1 {
        seal::manifest(&mut bytes);
    }
    match Manifest::decode(&bytes, Path::new("manifest"), &Cipher::Plain) {
        Ok(manifest) => {
            let again = Manifest::decode(&manifest.encode(&Cipher::Plain).unwrap(), Path::new("manifest"), &Cipher::Plain)
                .expect("what was encoded is decoded");
            assert_eq!(again, manifest);
        }
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Version | ErrorKind::Key), "{error}"),
    }
}
