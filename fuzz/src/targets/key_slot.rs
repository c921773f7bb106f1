//! Key slots. Input: `u8` whether checks are made right, bytes.

use std::path::Path;

use baileys_cask::ErrorKind;
use baileys_cask::codec::aead::{KEY_BYTES, Key, NONCE_BYTES};
use baileys_cask::codec::key_slot::{Argon2Cost, KEY_SLOT_BYTES, Kdf, KeySlot};

use super::super::seal;

/// Reads a slot, and one that holds what it says; nothing of it is stretched or unwrapped before its numbers are bounded.
pub fn run(input: &[u8]) {
    let Some((how, bytes)) = input.split_first() else { return };
    let mut bytes = bytes.to_vec();
    if how & 1 == 1 {
        bytes.resize(KEY_SLOT_BYTES, 0);
        seal::key_slot(&mut bytes);
    }
    let (wrapping, data) = (Key::from([1; KEY_BYTES]), Key::from([2; KEY_BYTES]));
    assert!(KeySlot::unwrap(&bytes, &wrapping).is_none(), "nobody who lacks the key can make a slot");
    match KeySlot::decode(&bytes, Path::new("key")) {
        Ok(slot) => {
            if let Kdf::Argon2id(Argon2Cost { memory, passes, lanes }) = slot.kdf {
                let most = Argon2Cost::MOST;
                assert!(memory <= most.memory && (1..=most.passes).contains(&passes) && (1..=most.lanes).contains(&lanes));
            }
            let again = slot.encode(&data, &wrapping, &[3; NONCE_BYTES]).unwrap();
            assert_eq!(KeySlot::decode(&again, Path::new("key")).expect("what was encoded is decoded"), slot);
            assert_eq!(KeySlot::unwrap(&again, &wrapping), Some(data));
        }
        Err(error) => assert!(matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Version), "{error}"),
    }
}
