//! Casks whose files were changed, cut, removed or exchanged: never a wrong value, never a panic, never silence.

use std::time::Duration;

use baileys_cask::ErrorKind;
use baileys_cask::backend::file::{Durability, FileOptions};
use baileys_cask::codec::check::digest;
use baileys_cask::codec::segment::SEGMENT_HEADER_BYTES;

use crate::common::disk::{Disk, Event, Image};
use crate::common::drive::{get, open, options, records, set, vanish};
use crate::common::model::{Change, Changes, Records, creds, put};
use crate::common::workload::{Run, Step};

const OTHER_BOOT: [u8; 16] = [2; 16];

fn work() -> Vec<Step> {
    let mut steps: Vec<Step> = (0..9_u8)
        .map(|n| Step::Batch(Changes::new(["a", "b"][usize::from(n % 2)], [put(&n.to_string(), vec![n; 180]), creds([n])])))
        .collect();
    steps.insert(3, Step::Flush);
    steps.insert(6, Step::Batch(Changes::new("a", [Change::Clear, put("k", "v")])));
    steps
}

/// A cask of several segments that was closed, and its records.
fn closed() -> (Image, Records) {
    let run = Run::new(options(Durability::Process)).steps(&[work().as_slice(), &[Step::Close]].concat());
    let image = run.disk.image();
    assert!(segments(&image).len() >= 3, "{:?}", segments(&image));
    (image, run.states.last().unwrap().clone())
}

fn segments(image: &Image) -> Vec<String> {
    image.keys().filter(|name| name.ends_with(".seg")).cloned().collect()
}

fn boots() -> [FileOptions; 2] {
    [options(Durability::Process), FileOptions { boot_id: OTHER_BOOT, ..options(Durability::Process) }]
}

/// Demands an error that names the damage, and that nothing on disk was touched.
fn assert_refused(image: &Image, context: &str) {
    for options in boots() {
        let disk = Disk::new(image);
        match open(&disk, &options) {
            Ok(backend) => {
                panic!("{context}: opened with {:?} and {:?}", backend.report(), records(&*backend).map(|all| all.len()))
            }
            Err(error) => {
                let kinds = [ErrorKind::Corrupt, ErrorKind::Version, ErrorKind::Key];
                assert!(kinds.contains(&error.kind()), "{context}: {error}");
                assert!(error.facts().iter().any(|(name, _)| *name == "path"), "{context}: {error}");
            }
        }
        assert!(disk.events().is_empty(), "{context}: {:?}", disk.events());
    }
}

fn changed(image: &Image, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Image {
    let mut changed = image.clone();
    change(changed.get_mut(name).unwrap());
    changed
}

#[test]
fn every_flipped_byte_of_a_closed_cask_is_an_error() {
    let (image, _) = closed();
    for (name, bytes) in &image {
        for at in 0..bytes.len() {
            for flip in [0x01, 0x80, 0xFF] {
                assert_refused(&changed(&image, name, |bytes| bytes[at] ^= flip), &format!("{name} byte {at} flipped by {flip}"));
            }
        }
    }
}

#[test]
fn every_truncation_of_a_closed_cask_is_an_error() {
    let (image, _) = closed();
    for (name, bytes) in &image {
        for len in 0..bytes.len() {
            assert_refused(&changed(&image, name, |bytes| bytes.truncate(len)), &format!("{name} cut to {len}"));
        }
    }
}

#[test]
fn every_lost_sector_of_a_closed_cask_is_an_error() {
    let (image, _) = closed();
    for (name, bytes) in &image {
        for from in (0..bytes.len()).step_by(512) {
            let to = (from + 512).min(bytes.len());
            assert_refused(&changed(&image, name, |bytes| bytes[from..to].fill(0)), &format!("{name} zeros from {from}"));
        }
    }
}

// Bytes that were never part of the log are no damage, but they are not taken away in silence either.
#[test]
fn bytes_added_to_a_closed_cask_change_no_value_and_are_reported() {
    let (image, state) = closed();
    for name in segments(&image) {
        for added in [vec![0; 40], vec![0xA5; 7], image[&name][256..].to_vec()] {
            for options in boots() {
                let grown = changed(&image, &name, |bytes| bytes.extend_from_slice(&added));
                let Ok(backend) = open(&Disk::new(&grown), &options) else { continue };
                assert_eq!(records(&*backend).unwrap(), state);
                let is_last = name == *segments(&image).last().unwrap();
                assert!(!is_last || backend.report().cut_bytes == added.len() as u64, "{name}: {:?}", backend.report());
            }
        }
    }
}

#[test]
fn a_missing_segment_is_an_error() {
    let (image, _) = closed();
    let names = segments(&image);
    for first in 0..names.len() {
        for last in first..names.len() {
            let mut less = image.clone();
            names[first..=last].iter().for_each(|name| drop(less.remove(name)));
            assert_refused(&less, &format!("without segments {first} to {last}"));
        }
    }
}

#[test]
fn exchanged_segments_are_an_error() {
    let (image, _) = closed();
    let names = segments(&image);
    for one in &names {
        for other in names.iter().filter(|other| *other != one) {
            let mut swapped = image.clone();
            swapped.insert(one.clone(), image[other].clone());
            swapped.insert(other.clone(), image[one].clone());
            assert_refused(&swapped, &format!("{one} and {other} swapped"));
            let replaced = changed(&image, one, |bytes| bytes.clone_from(&image[other]));
            assert_refused(&replaced, &format!("{other} in the place of {one}"));
        }
    }
}

#[test]
fn a_segment_copied_to_another_number_is_an_error() {
    let (image, _) = closed();
    for name in segments(&image) {
        for number in ["0000000000000000", "0000000000000009", "ffffffffffffffff", "0000000100000001"] {
            let mut more = image.clone();
            more.insert(format!("{number}.seg"), image[&name].clone());
            assert_refused(&more, &format!("{name} copied to {number}"));
        }
    }
}

// Two spellings of one number would hide each other.
#[test]
fn a_name_that_this_package_never_writes_is_no_segment() {
    let (image, state) = closed();
    for name in ["+000000000000001.seg", "000000000000000A.seg", "1.seg", "0000000000000001.seg.bak", "0000000000000001.SEG"] {
        let mut more = image.clone();
        more.insert(name.into(), vec![1; 600]);
        let disk = Disk::new(&more);
        let backend = open(&disk, &options(Durability::Process)).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(records(&*backend).unwrap(), state, "{name}");
        assert_eq!(disk.image()[name], [1; 600], "{name} is left alone");
    }
}

#[test]
fn a_segment_of_another_cask_is_an_error() {
    let (image, _) = closed();
    let (other, _) = closed();
    for (position, name) in segments(&image).iter().enumerate() {
        let foreign = &other[&segments(&other)[position]];
        assert_refused(&changed(&image, name, |bytes| bytes.clone_from(foreign)), &format!("a foreign {name}"));
        let mut more = image.clone();
        more.insert("0000000000000010.seg".into(), foreign.clone());
        assert_refused(&more, &format!("a foreign {name} beside the others"));
    }
    assert_refused(&changed(&image, "manifest", |bytes| bytes.clone_from(&other["manifest"])), "a foreign manifest");
    // A cask that is still empty has nothing that the foreign segment could contradict.
    let mut fresh = Run::new(options(Durability::Process));
    fresh.step(&Step::Close);
    let mut more = fresh.disk.image();
    more.insert(segments(&other)[0].clone(), other[&segments(&other)[0]].clone());
    assert_refused(&more, "a foreign segment in an empty cask");
}

#[test]
fn a_missing_manifest_is_an_error() {
    let (mut image, _) = closed();
    image.remove("manifest");
    assert_refused(&image, "without manifest");
}

// A manifest is a lower bound: an old one is true, and the log says the rest.
#[test]
fn an_older_manifest_loses_nothing() {
    let mut run = Run::new(options(Durability::Process));
    run.step(&work()[0]);
    run.step(&Step::Close);
    let older = run.disk.image()["manifest"].clone();
    work().iter().for_each(|step| run.step(step));
    run.step(&Step::Close);
    let image = changed(&run.disk.image(), "manifest", |bytes| bytes.clone_from(&older));
    for options in boots() {
        let backend = open(&Disk::new(&image), &options).unwrap();
        assert_eq!(&records(&*backend).unwrap(), run.states.last().unwrap());
        assert_eq!(backend.report().cut_bytes, 0);
    }
}

/// Makes the checks of a header right again after a change: the frozen one, and that of the rest.
fn seal(bytes: &mut [u8], check_at: Option<usize>) {
    let frozen = digest(&bytes[..16]);
    bytes[16..24].copy_from_slice(&frozen.to_le_bytes());
    if let Some(at) = check_at {
        let check = digest(&bytes[..at]);
        bytes[at..at + 8].copy_from_slice(&check.to_le_bytes());
    }
}

// Only the first 24 bytes are frozen: of a newer version nothing else may be judged.
#[test]
fn files_of_a_newer_version_are_named_and_left_alone() {
    let (image, _) = closed();
    for name in image.keys() {
        let newer = changed(&image, name, |bytes| {
            bytes[8] = 2;
            seal(bytes, None);
            bytes[24..].reverse();
        });
        let disk = Disk::new(&newer);
        let error = open(&disk, &boots()[1]).unwrap_err();
        assert_eq!((error.kind(), error.number("found"), error.number("supported")), (ErrorKind::Version, Some(2), Some(1)));
        assert!(disk.events().is_empty(), "{name}");
    }
}

#[test]
fn a_sealed_segment_asks_for_a_key() {
    let (image, _) = closed();
    for name in segments(&image) {
        let sealed = changed(&image, &name, |bytes| {
            bytes[88] = 1;
            seal(bytes, Some(SEGMENT_HEADER_BYTES - 8));
        });
        let disk = Disk::new(&sealed);
        assert_eq!(open(&disk, &boots()[1]).unwrap_err().kind(), ErrorKind::Key, "{name}");
        assert!(disk.events().is_empty(), "{name}");
    }
}

// An old copy of the last segment is whole in itself, and lacks what was written since.
#[test]
fn an_older_copy_of_a_segment_is_an_error() {
    let mut run = Run::new(options(Durability::Process));
    run.step(&work()[0]);
    run.step(&Step::Flush);
    let older = run.disk.image();
    run.step(&work()[1]);
    run.step(&Step::Close);
    let name = segments(&older)[0].clone();
    assert_refused(&changed(&run.disk.image(), &name, |bytes| bytes.clone_from(&older[&name])), "an older copy");
}

/// A cask that was not closed, every state it went through, and how many batches were synced.
fn killed() -> (Image, Vec<Records>, usize) {
    let run = Run::new(options(Durability::Process)).steps(&work());
    (run.disk.image(), run.states, 3)
}

/// Damage to a cask that was not closed may be a legal cut, which says so, and never goes below what was synced.
fn assert_refused_or_reported(image: &Image, states: &[Records], synced: usize, context: &str) {
    for options in boots() {
        let Ok(backend) = open(&Disk::new(image), &options) else { continue };
        let found = records(&*backend).unwrap();
        let at = states.iter().position(|state| *state == found).unwrap_or_else(|| panic!("{context}: no state of the past"));
        assert!(at >= synced, "{context}: state {at}");
        let is_whole = at + 1 == states.len();
        assert!(is_whole || backend.report().cut_bytes > 0, "{context}: {} batches were lost in silence", states.len() - 1 - at);
        set(&*backend, "z", &[put("k", "goes on")]).unwrap();
    }
}

#[test]
fn damage_to_a_cask_that_was_not_closed_is_an_error_or_a_reported_cut() {
    let (image, states, synced) = killed();
    for (name, bytes) in &image {
        for at in 0..bytes.len() {
            let flipped = changed(&image, name, |bytes| bytes[at] ^= 0x10);
            assert_refused_or_reported(&flipped, &states, synced, &format!("{name} byte {at} flipped"));
        }
        for from in (0..bytes.len()).step_by(512) {
            let to = (from + 512).min(bytes.len());
            let zeroed = changed(&image, name, |bytes| bytes[from..to].fill(0));
            assert_refused_or_reported(&zeroed, &states, synced, &format!("{name} zeros from {from}"));
        }
    }
}

// Without a loss of power no page is lost, so a hole with frames behind it is damage wherever it is.
#[test]
fn under_the_same_boot_a_hole_before_good_frames_is_an_error() {
    let (image, _, _) = killed();
    let names = segments(&image);
    for name in &names[..names.len() - 1] {
        for at in 0..image[name].len() {
            let flipped = changed(&image, name, |bytes| bytes[at] ^= 0x10);
            let outcome = open(&Disk::new(&flipped), &options(Durability::Process));
            assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Corrupt, "{name} byte {at}");
        }
    }
}

// The second open wrote nothing but its close; what the first left is as safe after it as after a close of the first.
#[test]
fn a_close_after_a_kill_makes_every_change_an_error_too() {
    for ticks in [false, true] {
        let mut run = Run::new(options(Durability::Process)).steps(&work());
        let before = run.disk.events().len();
        if ticks {
            // The regular sync comes before the close, which then has nothing left to sync.
            run.options.sync_interval = Duration::ZERO;
            run.backend();
            let is_manifest = |event: &Event| matches!(event, Event::Rename { to, .. } if to == "manifest");
            run.disk.wait_until("a manifest", |events| events[before..].iter().any(is_manifest));
        }
        run.backend();
        run.step(&Step::Close);
        let image = run.disk.image();
        for (name, bytes) in &image {
            for at in 0..bytes.len() {
                assert_refused(&changed(&image, name, |bytes| bytes[at] ^= 0x04), &format!("{name} byte {at} flipped"));
            }
        }
    }
}

// The file changes after it was opened: the check of the chunk stands between the disk and the caller.
#[test]
fn a_value_that_changes_on_disk_while_the_cask_is_open_is_an_error_when_read() {
    let disk = Disk::default();
    let backend = open(&disk, &options(Durability::Process)).unwrap();
    set(&*backend, "a", &[put("k1", [1; 100]), put("k2", [2; 100])]).unwrap();
    let name = segments(&disk.image())[0].clone();
    let len = disk.image()[&name].len();
    let mut noticed = 0;
    for at in 0..len {
        disk.change(&name, |bytes| bytes[at] ^= 0x20);
        match get(&*backend, "a", b"\x02k1") {
            Ok(value) => assert_eq!(value, Some(vec![1; 100]), "byte {at}"),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}");
                noticed += 1;
            }
        }
        disk.change(&name, |bytes| bytes[at] ^= 0x20);
    }
    assert!(noticed >= 200, "{noticed}");
    disk.change(&name, |bytes| bytes.truncate(len - 20));
    assert_eq!(get(&*backend, "a", b"\x02k1").unwrap_err().kind(), ErrorKind::Corrupt);
    vanish(backend);
}

// A frame is valid in its place only: bytes of a segment stored as a value never become frames, wherever they come to lie.
#[test]
fn a_value_that_looks_like_a_log_is_never_taken_for_one() {
    for shift in 0..8 {
        let mut run = Run::new(FileOptions { segment_bytes: 1 << 20, ..options(Durability::Process) });
        (0..4).for_each(|n| run.batch(&Changes::new("a", [put("own", [n; 40])])));
        let name = segments(&run.disk.image())[0].clone();
        let own = run.disk.image()[&name].clone();
        run.batch(&Changes::new("a", [put(&"x".repeat(1 + shift), &own)]));
        run.vanish();
        let image = run.disk.image();
        let len = image[&name].len();
        // Torn in the middle of the value: whatever is behind must not be read as frames.
        for cut in (len - own.len()..len).step_by(8) {
            let torn = changed(&image, &name, |bytes| bytes.truncate(cut));
            let backend = open(&Disk::new(&torn), &boots()[1]).unwrap();
            assert_eq!(records(&*backend).unwrap(), run.states[4]);
            assert_eq!(backend.report().cut_frames, 0);
        }
    }
}
