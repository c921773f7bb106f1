//! What somebody without the key can do to the files of a sealed cask: make it refuse to open, and nothing else.

use std::path::Path;
use std::sync::Arc;

use baileys_cask::backend::file::fs::Fs;
use baileys_cask::backend::file::repair::{RepairOptions, repair};
use baileys_cask::backend::file::verify::{VerifyOptions, verify};
use baileys_cask::backend::file::{Durability, FileOptions};
use baileys_cask::codec::check::digest;
use baileys_cask::codec::frame::FRAME_HEADER_BYTES;
use baileys_cask::codec::segment::SEGMENT_HEADER_BYTES;
use baileys_cask::codec::{put as put_bytes, read_u32};
use baileys_cask::error::ErrorKind;
use baileys_cask::secret::Secret;

use crate::common::disk::{Disk, Image};
use crate::common::drive::{BOOT, FOLDER, get, open, options, records, set, vanish};
use crate::common::model::{Change, Changes, Records, creds, put, session};
use crate::common::workload::{Run, Step};

fn secret(byte: u8) -> Secret {
    Secret::key(&[byte; 32]).unwrap()
}

fn sealed(boot: u8) -> FileOptions {
    FileOptions { secret: Some(secret(1)), boot_id: [boot; 16], hint_from: 0, ..options(Durability::Process) }
}

fn work() -> Vec<Step> {
    let mut steps: Vec<Step> = (0..12_u8)
        .map(|n| Step::Batch(Changes::new(["a", "b"][usize::from(n % 2)], [put(&(n % 5).to_string(), vec![n; 150]), creds([n])])))
        .collect();
    steps.insert(3, Step::Flush);
    steps.insert(6, Step::Batch(Changes::new("a", [Change::Clear, put("k", "v")])));
    steps
}

/// A sealed cask of several segments that was closed, and its records.
fn closed() -> (Image, Records) {
    let run = Run::new(sealed(1)).steps(&[work().as_slice(), &[Step::Close]].concat());
    let image = run.disk.image();
    assert!(segments(&image).len() >= 3 && image.keys().any(|name| name.ends_with(".hint")), "{:?}", image.keys());
    (image, run.states.last().unwrap().clone())
}

fn segments(image: &Image) -> Vec<String> {
    image.keys().filter(|name| name.ends_with(".seg")).cloned().collect()
}

/// Where the frames of a segment begin, and the end of the last.
fn frames(segment: &[u8]) -> Vec<usize> {
    let mut places = vec![SEGMENT_HEADER_BYTES];
    while let Some(payload) = read_u32(segment, *places.last().unwrap()) {
        places.push((places.last().unwrap() + FRAME_HEADER_BYTES + payload as usize).next_multiple_of(8));
    }
    places
}

fn changed(image: &Image, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Image {
    let mut changed = image.clone();
    change(changed.get_mut(name).unwrap());
    changed
}

/// Makes a digest over all bytes before it right again, as anybody can.
fn with_digest(bytes: &mut [u8], len: usize) {
    let check = digest(&bytes[..len - 8]);
    put_bytes(bytes, len - 8, &check.to_le_bytes());
}

/// Demands that opening refuses for one of these reasons and changes nothing, and that neither verifying nor repairing takes it for whole
/// or gives anything that was not there. With a hint, opening does not look at the records of its segment: whoever reads one does.
fn assert_refused(image: &Image, kinds: &[ErrorKind], all: &Records, context: &str) {
    if let Ok(backend) = open(&Disk::new(image), &sealed(1)) {
        match records(&*backend) {
            Ok(found) => assert!(found == *all, "{context}: opened by its hints, with other records"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Corrupt, "{context}: {error}"),
        }
    }
    let is_hint = |name: &str| name.ends_with(".hint");
    let image = &image.iter().filter(|(name, _)| !is_hint(name)).map(|(name, bytes)| (name.clone(), bytes.clone())).collect();
    for boot in [1, 2] {
        let disk = Disk::new(image);
        match open(&disk, &sealed(boot)) {
            Ok(backend) => panic!("{context}: opened with {:?}", records(&*backend).map(|found| found == *all)),
            Err(error) => {
                assert!(kinds.contains(&error.kind()), "{context}: {error}");
                assert!(error.text("path").is_some(), "{context}: {error}");
            }
        }
        assert!(disk.events().is_empty(), "{context}: {:?}", disk.events());
    }
    let fs: Arc<dyn Fs> = Arc::new(Disk::new(image));
    let secret = secret(1);
    match verify(Path::new(FOLDER), &fs, BOOT, &VerifyOptions { secret: Some(&secret), ..VerifyOptions::default() }) {
        Ok(report) => assert!(!report.damages.is_empty(), "{context}: verified"),
        Err(error) => assert!(kinds.contains(&error.kind()), "{context}: {error}"),
    }
    let disk = Disk::new(image);
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let how = RepairOptions { secret: Some(&secret), ..RepairOptions::default() };
    if repair(Path::new(FOLDER), Path::new("/fixed"), &fs, BOOT, &how).is_ok() {
        let fixed = open(&Disk::new(&disk.image_of("fixed").unwrap()), &sealed(1)).unwrap();
        for (account, found) in records(&*fixed).unwrap() {
            for (key, value) in found {
                assert_eq!(all.get(&account).and_then(|records| records.get(&key)), Some(&value), "{context}: a wrong value");
            }
        }
    }
}

const CORRUPT: &[ErrorKind] = &[ErrorKind::Corrupt];
const ANY: &[ErrorKind] = &[ErrorKind::Corrupt, ErrorKind::Key, ErrorKind::Version];

#[test]
fn every_changed_byte_of_a_closed_sealed_cask_is_refused_though_its_digests_are_right() {
    let (image, all) = closed();
    for (name, bytes) in &image {
        for at in 0..bytes.len() {
            // Bytes of frames have no digest that could be made right; a look at each third is enough of them.
            if name.ends_with(".seg") && at >= SEGMENT_HEADER_BYTES && at % 3 > 0 {
                continue;
            }
            let image = changed(&image, name, |bytes| {
                bytes[at] ^= 0x04;
                let check = digest(&bytes[..16]);
                put_bytes(bytes, 16, &check.to_le_bytes());
                let len = if name.ends_with(".seg") { SEGMENT_HEADER_BYTES } else { bytes.len() };
                with_digest(bytes, len);
            });
            if image[name] == *bytes {
                continue;
            }
            let context = format!("{name} byte {at}");
            if name.ends_with(".hint") {
                let backend = open(&Disk::new(&image), &sealed(1)).unwrap_or_else(|error| panic!("{context}: {error}"));
                assert!(records(&*backend).unwrap() == all, "{context}");
            } else {
                assert_refused(&image, ANY, &all, &context);
            }
        }
    }
}

#[test]
fn frames_that_are_swapped_repeated_moved_or_left_out_are_refused() {
    let (image, all) = closed();
    let names = segments(&image);
    let mut tried = 0;
    for name in &names {
        let bytes = &image[name];
        let places = frames(bytes);
        for (number, pair) in places.windows(2).enumerate() {
            let frame = bytes[pair[0]..pair[1]].to_vec();
            let left_out = changed(&image, name, |bytes| drop(bytes.drain(pair[0]..pair[1])));
            assert_refused(&left_out, CORRUPT, &all, &format!("{name}: frame {number} left out"));
            let repeated = changed(&image, name, |bytes| drop(bytes.splice(pair[1]..pair[1], frame.iter().copied())));
            if number + 2 < places.len() {
                assert_refused(&repeated, CORRUPT, &all, &format!("{name}: frame {number} repeated"));
            }
            // In the place of every other one of its length, in every segment.
            for other in &names {
                for (second, there) in frames(&image[other]).windows(2).enumerate() {
                    if there[1] - there[0] == frame.len() && (other, second) != (name, number) {
                        let moved = changed(&image, other, |bytes| bytes[there[0]..there[1]].copy_from_slice(&frame));
                        assert_refused(&moved, CORRUPT, &all, &format!("{name}: frame {number} moved to {other}, {second}"));
                        tried += 1;
                    }
                }
            }
        }
    }
    assert!(tried > 20, "{tried} frames were moved");
}

#[test]
fn segments_that_are_swapped_renamed_left_out_or_cut_are_refused() {
    let (image, all) = closed();
    for name in segments(&image) {
        let mut left_out = image.clone();
        left_out.remove(&name);
        assert_refused(&left_out, CORRUPT, &all, &format!("without {name}"));
        for other in segments(&image).into_iter().filter(|other| *other != name) {
            let mut swapped = image.clone();
            swapped.insert(name.clone(), image[&other].clone());
            assert_refused(&swapped, CORRUPT, &all, &format!("{other} in the place of {name}"));
        }
        let cut = changed(&image, &name, |bytes| bytes.truncate(bytes.len() - 8));
        assert_refused(&cut, CORRUPT, &all, &format!("{name} cut"));
    }
    let mut without_manifest = image.clone();
    without_manifest.remove("manifest");
    assert_refused(&without_manifest, CORRUPT, &all, "without its manifest");
}

#[test]
fn files_of_another_cask_under_the_same_key_are_refused() {
    let (image, all) = closed();
    let (other, _) = closed();
    for name in image.keys().filter(|name| !name.ends_with(".hint") && other.contains_key(*name) && *name != "lock") {
        let mut mixed = image.clone();
        mixed.insert(name.clone(), other[name].clone());
        assert_refused(&mixed, CORRUPT, &all, &format!("{name} of another cask"));
    }
    // A hint of another cask is no hint.
    for name in image.keys().filter(|name| name.ends_with(".hint")) {
        let mut mixed = image.clone();
        mixed.insert(name.clone(), other[name].clone());
        assert!(records(&*open(&Disk::new(&mixed), &sealed(1)).unwrap()).unwrap() == all, "{name}");
    }
}

#[test]
fn what_is_plain_in_a_sealed_cask_is_refused() {
    let (image, all) = closed();
    let plain =
        Run::new(FileOptions { secret: None, ..sealed(1) }).steps(&[work().as_slice(), &[Step::Close]].concat()).disk.image();
    for name in image.keys().filter(|name| plain.contains_key(*name) && !name.ends_with(".hint") && *name != "lock") {
        let mut mixed = image.clone();
        mixed.insert(name.clone(), plain[name].clone());
        assert_refused(&mixed, CORRUPT, &all, &format!("a plain {name}"));
    }
    let mut without_slot = image.clone();
    without_slot.remove("key");
    assert_refused(&without_slot, CORRUPT, &all, "without its key slot");
}

#[test]
fn a_key_slot_that_is_cut_or_asks_for_too_much_is_refused_before_anything_is_done() {
    let (image, all) = closed();
    for len in [0, 10, 100, 159] {
        assert_refused(&changed(&image, "key", |bytes| bytes.truncate(len)), CORRUPT, &all, &format!("{len} bytes of key"));
    }
    for (at, value) in [(48, u32::MAX), (52, u32::MAX), (56, u32::MAX), (44, 2)] {
        let greedy = changed(&image, "key", |bytes| {
            put_bytes(bytes, 44, &1_u32.to_le_bytes());
            for (at, usual) in [(48, 65536_u32), (52, 3), (56, 4)] {
                put_bytes(bytes, at, &usual.to_le_bytes());
            }
            put_bytes(bytes, at, &value.to_le_bytes());
            let len = bytes.len();
            with_digest(bytes, len);
        });
        let words = Secret::passphrase(b"words".to_vec().into()).unwrap();
        let error = open(&Disk::new(&greedy), &FileOptions { secret: Some(words), ..sealed(1) }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{at}: {error}");
        assert_refused(&greedy, CORRUPT, &all, &format!("{value} at {at} of key"));
    }
}

#[test]
fn an_older_value_in_the_place_of_a_newer_one_is_refused_while_the_cask_is_open() {
    let disk = Disk::default();
    let backend = open(&disk, &FileOptions { segment_bytes: 1 << 20, ..sealed(1) }).unwrap();
    set(&*backend, "a", &[put("s", [1; 100])]).unwrap();
    set(&*backend, "a", &[put("s", [2; 100])]).unwrap();
    set(&*backend, "a", &[put("t", [3; 100])]).unwrap();
    assert_eq!(get(&*backend, "a", &session("s")).unwrap(), Some(vec![2; 100]));
    let name = segments(&disk.image()).pop().unwrap();
    let bytes = disk.image()[&name].clone();
    let places = frames(&bytes);
    disk.change(&name, |file| file.copy_within(places[0]..places[1], places[1]));
    let error = get(&*backend, "a", &session("s")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    // What a kill leaves of it is refused as well: the page cache lost nothing.
    vanish(backend);
    assert_eq!(open(&Disk::new(&disk.image()), &sealed(1)).unwrap_err().kind(), ErrorKind::Corrupt);
}
