//! Casks whose numbers are the last ones: what opens can be closed and opened again, and a number that is missing is an error.

use std::path::Path;

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;
use baileys_cask::backend::file::Durability;
use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::manifest::Manifest;
use baileys_cask::codec::segment::Link;
use baileys_cask::codec::{LAST_COUNT, LAST_SEGMENT, LAST_SEQ};

use crate::common::disk::{Disk, Image};
use crate::common::drive::{open, options, records, set};
use crate::common::faulty::LEVELS;
use crate::common::model::{Changes, Records, put};
use crate::common::workload::{Run, Step};

/// A closed cask with another manifest, and its records.
fn forged(level: Durability, forge: impl FnOnce(&mut Manifest)) -> (Image, Records) {
    let batches: Vec<Step> = (0..9_u8).map(|n| Step::Batch(Changes::new("a", [put(&n.to_string(), [n; 180])]))).collect();
    let run = Run::new(options(level)).steps(&[batches.as_slice(), &[Step::Close]].concat());
    let mut image = run.disk.image();
    let mut manifest = Manifest::decode(image.get("manifest").unwrap(), Path::new("manifest"), &Cipher::Plain).unwrap();
    forge(&mut manifest);
    image.insert("manifest".into(), manifest.encode(&Cipher::Plain).unwrap());
    (image, run.states.last().unwrap().clone())
}

/// A log that has left its segments behind, with so many batches.
fn ends_with(manifest: &mut Manifest, last_seq: u64) {
    manifest.through = manifest.through.map(|link| Link { id: link.id + 7, last_seq, ..link });
    manifest.synced = last_seq;
}

/// Opens, closes, opens, writes, closes and opens; tells whether it was written.
fn goes_on(image: &Image, records_before: &Records, level: Durability, what: &str) -> bool {
    let disk = Disk::new(image);
    open(&disk, &options(level)).unwrap_or_else(|error| panic!("{what}: {error}")).close().unwrap();
    let backend = open(&disk, &options(level)).unwrap_or_else(|error| panic!("{what}, after a close: {error}"));
    assert!(records(&*backend).unwrap() == *records_before, "{what}: other records");
    let written = set(&*backend, "a", &[put("new", "x")]);
    let wanted = records(&*backend).unwrap();
    match &written {
        Ok(()) => assert_ne!(wanted, *records_before, "{what}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Internal, "{what}: {error}");
            assert!(error.to_string().contains("are used up"), "{what}: {error}");
            assert!(wanted == *records_before, "{what}: other records after a failure");
        }
    }
    backend.close().unwrap();
    let backend = open(&disk, &options(level)).unwrap_or_else(|error| panic!("{what}, after a write: {error}"));
    assert!(records(&*backend).unwrap() == wanted, "{what}: other records in the end");
    written.is_ok()
}

fn refused(image: &Image, level: Durability, what: &str) {
    let disk = Disk::new(image);
    let error = open(&disk, &options(level)).err().unwrap_or_else(|| panic!("{what} was opened"));
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{what}: {error}");
    assert!(disk.events().is_empty(), "{what}: {:?}", disk.events());
}

#[test]
fn what_opens_can_be_opened_again_at_the_last_generation_and_epoch() {
    for level in LEVELS {
        for count in [LAST_COUNT - 1, LAST_COUNT] {
            let (image, all) = forged(level, |manifest| manifest.generation = count);
            assert!(goes_on(&image, &all, level, "a generation"));
            let (image, all) = forged(level, |manifest| manifest.epoch = count);
            assert!(goes_on(&image, &all, level, "an epoch"));
        }
    }
}

#[test]
fn sequence_numbers_end_with_an_error() {
    for level in LEVELS {
        for (last_seq, has_room) in [(LAST_SEQ - 9, true), (LAST_SEQ - 1, true), (LAST_SEQ, false)] {
            let (image, all) = forged(level, |manifest| ends_with(manifest, last_seq));
            assert_eq!(goes_on(&image, &all, level, "a sequence number"), has_room, "{level:?}, {last_seq}");
        }
        let (image, _) = forged(level, |manifest| ends_with(manifest, LAST_SEQ + 1));
        refused(&image, level, "a log without a next sequence number");
    }
}

// A failed sync makes it go on behind what is known to be on disk, which is at least what the manifest names.
#[test]
fn a_manifest_that_claims_less_than_it_names_is_no_dead_end() {
    for level in LEVELS {
        for synced in [0, 3] {
            let (mut image, all) = forged(level, |manifest| manifest.synced = synced);
            image.insert("poisoned".into(), Vec::new());
            assert!(goes_on(&image, &all, level, "what is on disk"), "{level:?}, {synced}");
        }
    }
}

#[test]
fn segment_numbers_end_with_an_error() {
    for level in LEVELS {
        for (next_id, has_room) in [(LAST_SEGMENT - 9, true), (LAST_SEGMENT, true), (LAST_SEGMENT + 1, false)] {
            let (image, all) = forged(level, |manifest| manifest.next_id = next_id);
            assert_eq!(goes_on(&image, &all, level, "a segment number"), has_room, "{level:?}, {next_id}");
        }
        // Something has to be cut off, and there is no segment to say where.
        let (mut image, _) = forged(level, |manifest| manifest.next_id = LAST_SEGMENT + 1);
        image.insert("0000000000000064.seg".into(), vec![7; 300]);
        refused(&image, level, "a log that has to go on in another segment");
    }
}
