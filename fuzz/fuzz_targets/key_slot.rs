#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| baileys_cask_fuzz::run("key_slot", input));
