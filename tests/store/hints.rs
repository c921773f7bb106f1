//! Hints make opening cheap, and change nothing else.

use baileys_cask::backend::Backend;
use baileys_cask::backend::file::{Durability, FileOptions};

use crate::common::disk::{Disk, EIO, ENOSPC, Fault, Image};
use crate::common::drive::{flush, get, open, options, records, set, vanish};
use crate::common::faulty::{LEVELS, after_reboot};
use crate::common::loss::{Loss, after_power_loss};
use crate::common::model::{Change, Records, creds, delete, put, session};
use crate::common::workload::{Run, everything, random_compacted};

fn hinting(level: Durability) -> FileOptions {
    FileOptions { hint_from: 0, ..options(level) }
}

fn hints(disk: &Disk) -> Vec<String> {
    disk.image().into_keys().filter(|name| name.ends_with(".hint")).collect()
}

/// A closed cask with every kind of operation in several segments.
fn closed(disk: &Disk) -> Records {
    let backend = open(disk, &hinting(Durability::Process)).unwrap();
    for round in 0..3_u8 {
        set(&*backend, "a", &[put("1", [round; 400]), creds([round; 10]), put("2", "two")]).unwrap();
        set(&*backend, "b", &[put("1", [round; 200]), put(&format!("own{round}"), "x")]).unwrap();
        set(&*backend, "a", &[delete("2"), put("3", [round; 90])]).unwrap();
    }
    set(&*backend, "b", &[Change::Clear, put("1", "after clear")]).unwrap();
    set(&*backend, "c", &[put("1", "x")]).unwrap();
    set(&*backend, "c", &[Change::Drop]).unwrap();
    set(&*backend, "a", &[put("1", "last")]).unwrap();
    let all = records(&*backend).unwrap();
    backend.close().unwrap();
    all
}

/// Opens and reads all; gives the bytes that opening read from segments.
fn bytes_read(disk: &Disk, options: &FileOptions, wanted: &Records, context: &str) -> usize {
    let before = disk.bytes_read();
    let backend = open(disk, options).unwrap_or_else(|error| panic!("{context}: {error}"));
    let after = disk.bytes_read();
    assert!(records(&*backend).unwrap() == *wanted, "{context}: other records");
    // What is counted of each segment decides what is compacted, so that has to go well too.
    backend.compact_all().unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(records(&*backend).unwrap() == *wanted, "{context}: other records after compacting");
    let of_segments = |all: &std::collections::BTreeMap<String, usize>| -> usize {
        all.iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, bytes)| bytes).sum()
    };
    of_segments(&after) - of_segments(&before)
}

#[test]
fn a_closed_cask_opens_without_reading_values() {
    let disk = Disk::default();
    let all = closed(&disk);
    let segments = disk.image().keys().filter(|name| name.ends_with(".seg")).count();
    assert_eq!(hints(&disk).len(), segments);
    assert!(segments > 3, "{segments} segments");
    let image = disk.image();
    assert_eq!(bytes_read(&disk, &hinting(Durability::Process), &all, "with hints"), segments * 256);
    // And they were read before only because there were none.
    let without: Image = image.into_iter().filter(|(name, _)| !name.ends_with(".hint")).collect();
    assert!(bytes_read(&Disk::new(&without), &hinting(Durability::Process), &all, "without hints") > segments * 512);
}

#[test]
fn a_hint_that_is_off_in_any_byte_is_not_believed() {
    let disk = Disk::default();
    let all = closed(&disk);
    let image = disk.image();
    for name in hints(&disk) {
        for at in 0..image[&name].len() {
            let mut damaged = image.clone();
            damaged.get_mut(&name).unwrap()[at] ^= 0x21;
            bytes_read(&Disk::new(&damaged), &hinting(Durability::Process), &all, &format!("{name} byte {at}"));
            damaged.get_mut(&name).unwrap().truncate(at);
            bytes_read(&Disk::new(&damaged), &hinting(Durability::Process), &all, &format!("{name} cut at {at}"));
        }
    }
}

#[test]
fn a_hint_of_another_segment_or_another_cask_is_not_believed() {
    let (disk, other) = (Disk::default(), Disk::default());
    let all = closed(&disk);
    closed(&other);
    let (image, foreign) = (disk.image(), other.image());
    let names = hints(&disk);
    for name in &names {
        for from in names.iter().filter(|from| *from != name) {
            let swapped: Image =
                image.iter().map(|(n, bytes)| (n.clone(), if n == name { image[from].clone() } else { bytes.clone() })).collect();
            bytes_read(&Disk::new(&swapped), &hinting(Durability::Process), &all, &format!("{from} as {name}"));
        }
        let taken: Image =
            image.iter().map(|(n, bytes)| (n.clone(), if n == name { foreign[n].clone() } else { bytes.clone() })).collect();
        bytes_read(&Disk::new(&taken), &hinting(Durability::Process), &all, &format!("{name} of another cask"));
    }
}

// Opening read no value, so damage in one is met by who reads it: as an error, and never as another value.
#[test]
fn damage_in_a_segment_with_a_hint_is_met_when_the_value_is_read() {
    let disk = Disk::default();
    let all = closed(&disk);
    let image = disk.image();
    let mut met = 0;
    for name in image.keys().filter(|name| name.ends_with(".seg")) {
        for at in (256..image[name].len()).step_by(7) {
            let mut damaged = image.clone();
            damaged.get_mut(name).unwrap()[at] ^= 0x80;
            let backend = open(&Disk::new(&damaged), &hinting(Durability::Process)).unwrap();
            for (account, records) in &all {
                for (key, value) in records {
                    match get(&*backend, account, key) {
                        Ok(found) => assert_eq!(found.as_ref(), Some(value), "{name} byte {at}"),
                        Err(error) => {
                            assert_eq!(error.kind(), baileys_cask::ErrorKind::Corrupt, "{error}");
                            met += 1;
                        }
                    }
                }
            }
        }
    }
    assert!(met > 20, "{met} met");
}

// Of records as short as their ids it would take as long to read as the segment, and half of its room.
#[test]
fn a_segment_of_short_records_gets_no_hint() {
    for (length, hinted) in [(20, false), (900, true)] {
        let disk = Disk::default();
        let options = FileOptions { hint_from: 1, segment_bytes: 16 << 10, ..options(Durability::Process) };
        let backend = open(&disk, &options).unwrap();
        for number in 0..20 {
            set(&*backend, "a", &[put(&format!("491510000{number:04}"), vec![1; length])]).unwrap();
        }
        let batch: Vec<Change> = (0..200).map(|number| put(&format!("491520000{number:04}"), [1; 20])).collect();
        if !hinted {
            set(&*backend, "a", &batch).unwrap();
        }
        backend.close().unwrap();
        assert_eq!(!hints(&disk).is_empty(), hinted, "records of {length} bytes");
    }
}

#[test]
fn hints_go_with_their_segments() {
    let disk = Disk::default();
    closed(&disk);
    let backend = open(&disk, &hinting(Durability::Process)).unwrap();
    for account in ["a", "b"] {
        set(&*backend, account, &[Change::Drop]).unwrap();
    }
    backend.compact_all().unwrap();
    assert_eq!(hints(&disk), Vec::<String>::new());
    backend.close().unwrap();
    // One that a killed process has left behind goes at the next opening.
    let mut image = disk.image();
    image.insert(format!("{:016x}.hint", 2), b"left behind".to_vec());
    let disk = Disk::new(&image);
    open(&disk, &hinting(Durability::Process)).unwrap().close().unwrap();
    assert!(!disk.image().contains_key(&format!("{:016x}.hint", 2)));
}

#[test]
fn a_hint_that_cannot_be_written_is_nobodys_failure() {
    for (fault, for_ever) in [
        (Fault::Errno(EIO), false),
        (Fault::Errno(ENOSPC), true),
        (Fault::TornWrite(30, ENOSPC), false),
        (Fault::Short(3), false),
    ] {
        for number in 0..30 {
            let disk = Disk::default();
            let backend = open(&disk, &hinting(Durability::Process)).unwrap();
            for id in 0..6_u8 {
                set(&*backend, "a", &[put(&id.to_string(), [id; 400])]).unwrap();
            }
            let all = records(&*backend).unwrap();
            let mut met = 0;
            disk.fail(move |call| {
                met += usize::from(call.name.ends_with(".hint"));
                (call.name.ends_with(".hint") && (met == number || (for_ever && met > number))).then_some(fault)
            });
            backend.close().unwrap();
            disk.heal();
            bytes_read(&disk, &hinting(Durability::Process), &all, &format!("{fault:?} at {number}"));
        }
    }
}

// They are never synced, so after a loss of power anything may be in them.
#[test]
fn a_crash_at_any_moment_leaves_no_hint_that_lies() {
    for level in LEVELS {
        let mut workloads = vec![everything()];
        workloads.extend((0..6).map(|seed| random_compacted(seed, 25)));
        for (number, steps) in workloads.iter().enumerate() {
            let run = Run::new(hinting(level)).steps(steps);
            let events = run.disk.events();
            let mut hinted = 0;
            for cut in 0..=events.len() {
                for loss in Loss::variety(cut as u64) {
                    let image = after_power_loss(&Image::new(), &events[..cut], loss.clone());
                    hinted += usize::from(image.keys().any(|name| name.ends_with(".hint")));
                    let context = format!("{level:?}, workload {number}, cut {cut}, {loss:?}");
                    let without: Image =
                        image.iter().filter(|(name, _)| !name.ends_with(".hint")).map(|(n, b)| (n.clone(), b.clone())).collect();
                    let [with, without] = [image, without].map(|image| {
                        let backend = open(&Disk::new(&image), &FileOptions { hint_from: 0, ..after_reboot(level) });
                        backend.and_then(|backend| records(&*backend)).unwrap_or_else(|error| panic!("{context}: {error}"))
                    });
                    assert!(with == without, "{context}: a hint lies");
                }
            }
            assert!(hinted > 0, "workload {number} has no hints");
        }
    }
}

// After a kill, segments that were hinted in time are not read again.
#[test]
fn a_killed_cask_reads_only_what_has_no_hint() {
    let disk = Disk::default();
    closed(&disk);
    let backend = open(&disk, &hinting(Durability::Process)).unwrap();
    set(&*backend, "a", &[put("after", "x")]).unwrap();
    flush(&*backend).unwrap();
    let all = records(&*backend).unwrap();
    vanish(backend);
    let segments = disk.image().keys().filter(|name| name.ends_with(".seg")).count();
    let read = bytes_read(&disk, &hinting(Durability::Process), &all, "after a kill");
    assert!(read < segments * 256 + 512, "{read} bytes of {segments} segments");
    let backend = open(&disk, &hinting(Durability::Process)).unwrap();
    assert_eq!(get(&*backend, "a", &session("after")).unwrap().as_deref(), Some(&b"x"[..]));
}
