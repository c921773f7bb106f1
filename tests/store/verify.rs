//! Damaged casks: all damage is found, and a repair keeps what is true and tells of the rest.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use baileys_cask::ErrorKind;
use baileys_cask::backend::file::fs::Fs;
use baileys_cask::backend::file::repair::{Doubtful, RepairOptions, RepairReport, repair};
use baileys_cask::backend::file::verify::{Damage, VerifyOptions, VerifyReport, record_fact, verify};
use baileys_cask::backend::file::{Durability, FileOptions};
use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::frame::{self, FrameHeader};
use baileys_cask::codec::manifest::Manifest;
use baileys_cask::codec::segment::SEGMENT_HEADER_BYTES;
use baileys_cask::record::{CREDS_KEY, Op, OpReader};

use crate::common::disk::{Disk, Event, Image};
use crate::common::drive::{BOOT, FOLDER, open, options, records, set};
use crate::common::loss::Chance;
use crate::common::model::{Change, Changes, Records, creds, delete, named, put};
use crate::common::workload::{Run, Step, compacted, everything, random_compacted};

const OTHER_BOOT: [u8; 16] = [2; 16];
const BOOTS: [[u8; 16]; 2] = [BOOT, OTHER_BOOT];

/// Newest version of every record: sequence number and value.
type Truth = BTreeMap<(String, Vec<u8>), (u64, Vec<u8>)>;

fn one(account: &str, changes: &[Change]) -> Step {
    Step::Batch(Changes::new(account, changes))
}

/// Records set once and again, removed, cleared and dropped, in segments of the log and in copies.
fn work() -> Vec<Step> {
    let set = |n: u8| one(["a", "b"][usize::from(n % 2)], &[put(&n.to_string(), vec![n; 180]), creds([n])]);
    let mut steps: Vec<Step> = (0..8).map(set).collect();
    steps.extend([one("a", &[put("2", [9; 300]), delete("4")]), one("b", &[put("1", "small"), put("3", "small")])]);
    steps.extend([one("d", &[put("x", [1; 400]), creds("d")]), one("d", &[Change::Drop]), Step::Compact]);
    steps.extend((8..12).map(set));
    steps.extend([one("c", &[Change::Put(named("odd", "x"), vec![7; 90]), put("k", "v")]), one("a", &[delete("0")])]);
    steps.extend([one("c", &[Change::Clear, put("k", "w"), creds("c")]), Step::Flush, one("b", &[put("5", "last")])]);
    steps
}

fn closed(steps: &[Step]) -> Image {
    let mut image = Run::new(options(Durability::Process)).steps(&[steps, &[Step::Close]].concat()).disk.image();
    // Room for a full disk, of which nothing depends.
    image.remove("reserve");
    image
}

/// A closed cask of several segments, copies among them.
fn cask() -> Image {
    let image = closed(&work());
    let manifest = Manifest::decode(&image["manifest"], Path::new("manifest"), &Cipher::Plain).unwrap();
    let copies = manifest.segments.iter().filter(|entry| entry.is_copy).count();
    assert!(copies >= 1 && manifest.segments.len() >= copies + 3, "{:?}", manifest.segments);
    image
}

fn segments(image: &Image) -> Vec<String> {
    image.keys().filter(|name| name.ends_with(".seg")).cloned().collect()
}

/// The records of a closed, intact cask.
fn truth(image: &Image) -> Truth {
    let manifest = Manifest::decode(&image["manifest"], Path::new("manifest"), &Cipher::Plain).unwrap();
    let mut truth = Truth::new();
    for entry in &manifest.segments {
        let bytes = &image[&format!("{:016x}.seg", entry.id)];
        let mut at = SEGMENT_HEADER_BYTES;
        while (at as u64) < entry.length {
            let header = FrameHeader::decode(&bytes[at..], &entry.salt, at as u64, &Cipher::Plain).unwrap();
            for chunk in frame::chunks(&bytes[at..]) {
                let account = chunk.body.account.to_string();
                for op in OpReader::new(chunk.body.ops).map(Result::unwrap) {
                    match op {
                        Op::Put { key, value } => drop(truth.insert((account.clone(), key.into()), (header.seq, value.into()))),
                        Op::Delete { key } => drop(truth.remove(&(account.clone(), key.into()))),
                        Op::Clear => truth.retain(|(of, key), _| *of != account || key == CREDS_KEY),
                        Op::Drop => truth.retain(|(of, _), _| *of != account),
                    }
                }
            }
            at += header.frame_len() as usize;
        }
    }
    truth
}

fn looked_at(image: &Image, boot: [u8; 16]) -> (Disk, baileys_cask::Result<VerifyReport>) {
    let disk = Disk::new(image);
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let report = verify(Path::new(FOLDER), &fs, boot, &VerifyOptions::default());
    assert!(disk.events().is_empty(), "{:?}", disk.events());
    (disk, report)
}

/// Repairs a folder, and gives what the new one holds.
fn repaired(image: &Image, boot: [u8; 16], doubtful: Doubtful, context: &str) -> (RepairReport, Records) {
    let disk = Disk::new(image);
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    let options_of_repair = RepairOptions { doubtful, ..RepairOptions::default() };
    let report = repair(Path::new(FOLDER), Path::new("/fixed"), &fs, boot, &options_of_repair)
        .unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(disk.image(), *image, "{context}: the damaged one was changed");
    assert_eq!(disk.folders(), ["fixed"], "{context}");
    let new = Disk::new(&disk.image_of("fixed").unwrap());
    let backend = open(&new, &options(Durability::Process)).unwrap_or_else(|e| panic!("{context}: {e}"));
    assert_eq!(backend.report().cut_bytes, 0, "{context}");
    let found = records(&*backend).unwrap();
    set(&*backend, "z", &[put("k", "goes on")]).unwrap();
    (report, found)
}

/// Demands that a repaired cask holds true values only, and that every record is there or told of.
fn demand_repair(image: &Image, truth: &Truth, boot: [u8; 16], context: &str) -> usize {
    let (report, found) = repaired(image, boot, Doubtful::Omit, context);
    let is_lost = |seq: u64| report.damages.iter().filter_map(|damage| damage.lost).any(|(from, to)| (from..=to).contains(&seq));
    let value_in = |found: &Records, (account, key): &(String, Vec<u8>)| Some(found.get(account)?.get(key)?.clone());
    let mut kept = 0;
    for (account, records) in &found {
        for (key, value) in records {
            let newest = truth.get(&(account.clone(), key.clone()));
            assert_eq!(newest.map(|(_, value)| value), Some(value), "{context}: {account} {key:?}, {:?}", report.damages);
            kept += 1;
        }
    }
    let named = |(account, key): &(String, Vec<u8>), report: &RepairReport| {
        let fact = record_fact(account, key);
        report.accounts.get(account).is_some_and(|account| account.omitted.contains(&fact) || account.lost.contains(&fact))
    };
    for (record, (seq, _)) in truth {
        let is_there = value_in(&found, record).is_some();
        assert!(is_there || named(record, &report) || is_lost(*seq), "{context}: {record:?} is gone in silence");
    }
    let (all, found) = repaired(image, boot, Doubtful::Keep, context);
    for (record, (seq, value)) in truth {
        let is_as_it_was = value_in(&found, record).as_ref() == Some(value);
        assert!(is_as_it_was || is_lost(*seq), "{context}: {record:?} is intact and was not kept");
        let fact = record_fact(&record.0, &record.1);
        let is_told = all.accounts.get(&record.0).is_some_and(|account| account.doubtful.contains(&fact));
        assert!(is_as_it_was || value_in(&found, record).is_none() || is_told, "{context}: {record:?} is old in silence");
    }
    kept
}

/// Demands that damage is found, and that a repair is true. Gives how many records it keeps.
fn demand(image: &Image, truth: &Truth, context: &str) -> usize {
    let mut kept = 0;
    for boot in BOOTS {
        let context = format!("{context}, boot {}", boot[0]);
        match looked_at(image, boot).1 {
            Ok(report) => assert!(!report.damages.is_empty(), "{context}: nothing found"),
            Err(error) => {
                assert!([ErrorKind::Version, ErrorKind::Key].contains(&error.kind()), "{context}: {error}");
                continue;
            }
        }
        kept += demand_repair(image, truth, boot, &context);
    }
    kept
}

fn changed(image: &Image, name: &str, change: impl FnOnce(&mut Vec<u8>)) -> Image {
    let mut changed = image.clone();
    change(changed.get_mut(name).unwrap());
    changed
}

#[test]
fn an_intact_cask_has_no_damage_and_a_repair_keeps_all_of_it() {
    for steps in [work(), everything(), compacted(), random_compacted(3, 60), random_compacted(4, 60)] {
        let image = closed(&steps);
        let truth = truth(&image);
        for boot in BOOTS {
            let report = looked_at(&image, boot).1.unwrap();
            assert!(report.damages.is_empty() && report.torn_bytes == 0, "{report:?}");
            let count: u64 = report.accounts.values().map(|account| account.records + u64::from(account.has_creds)).sum();
            assert_eq!(count, truth.len() as u64);
            assert_eq!(report.segments, segments(&image).len() as u64);
            assert_eq!(demand_repair(&image, &truth, boot, "intact"), truth.len());
        }
    }
}

#[test]
fn every_flipped_byte_is_found_and_a_repair_keeps_what_is_true() {
    let image = cask();
    let truth = truth(&image);
    let (mut kept, mut flips) = (0, 0);
    for (name, bytes) in &image {
        for at in 0..bytes.len() {
            let flip = [0x01, 0x80, 0xFF][at % 3];
            kept +=
                demand(&changed(&image, name, |bytes| bytes[at] ^= flip), &truth, &format!("{name} byte {at} flipped by {flip}"));
            flips += 2;
        }
    }
    // What was written after the damage is beyond doubt.
    assert!(kept * 4 > flips * truth.len(), "{kept} of {}", flips * truth.len());
}

#[test]
fn every_truncation_is_found_and_a_repair_keeps_what_is_true() {
    let image = cask();
    let truth = truth(&image);
    for (name, bytes) in &image {
        for len in 0..bytes.len() {
            demand(&changed(&image, name, |bytes| bytes.truncate(len)), &truth, &format!("{name} cut to {len}"));
        }
    }
}

#[test]
fn every_lost_block_is_found_and_a_repair_keeps_what_is_true() {
    let small = cask();
    let large = Run::new(FileOptions { segment_bytes: 20_000, ..options(Durability::Process) });
    let mut steps: Vec<Step> =
        (0..90_u8).map(|n| one(["a", "b"][usize::from(n % 2)], &[put(&(n % 50).to_string(), [n; 700])])).collect();
    steps.insert(60, Step::Compact);
    steps.push(Step::Close);
    let mut large = large.steps(&steps).disk.image();
    large.remove("reserve");
    for (image, block) in [(small, 512), (large, 4096)] {
        let truth = truth(&image);
        for (name, bytes) in &image {
            for from in (0..bytes.len()).step_by(block) {
                let to = (from + block).min(bytes.len());
                for fill in [0, 0xA5] {
                    let lost = changed(&image, name, |bytes| bytes[from..to].fill(fill));
                    demand(&lost, &truth, &format!("{name} filled with {fill} from {from}"));
                }
            }
        }
    }
}

#[test]
fn missing_exchanged_and_copied_segments_are_found_and_a_repair_keeps_what_is_true() {
    let image = cask();
    let truth = truth(&image);
    let names = segments(&image);
    for first in 0..names.len() {
        for last in first..names.len() {
            let mut less = image.clone();
            names[first..=last].iter().for_each(|name| drop(less.remove(name)));
            demand(&less, &truth, &format!("without segments {first} to {last}"));
        }
    }
    for one in &names {
        for other in names.iter().filter(|other| *other != one) {
            let mut swapped = image.clone();
            swapped.insert(one.clone(), image[other].clone());
            swapped.insert(other.clone(), image[one].clone());
            let kept = demand(&swapped, &truth, &format!("{one} and {other} swapped"));
            assert_eq!(kept, 2 * truth.len(), "all is there, if under other names");
            demand(
                &changed(&image, one, |bytes| bytes.clone_from(&image[other])),
                &truth,
                &format!("{other} in the place of {one}"),
            );
        }
        for number in ["0000000000000000", "0000000000000090", "ffffffffffffffff", "0000000100000001"] {
            let mut more = image.clone();
            more.insert(format!("{number}.seg"), image[one].clone());
            assert_eq!(demand(&more, &truth, &format!("{one} copied to {number}")), 2 * truth.len());
        }
    }
}

#[test]
fn files_of_another_cask_are_found_and_no_value_comes_from_them() {
    let image = cask();
    let truth = truth(&image);
    let other = closed(&compacted());
    for name in segments(&image) {
        for foreign in segments(&other) {
            let mut more = image.clone();
            more.insert("0000000000000090.seg".into(), other[&foreign].clone());
            assert_eq!(demand(&more, &truth, &format!("a foreign {foreign} beside the others")), 2 * truth.len());
            demand(&changed(&image, &name, |bytes| bytes.clone_from(&other[&foreign])), &truth, &format!("a foreign {name}"));
        }
    }
    demand(&changed(&image, "manifest", |bytes| bytes.clone_from(&other["manifest"])), &truth, "a foreign manifest");
}

#[test]
fn a_missing_manifest_is_found_and_a_repair_keeps_what_is_true() {
    for steps in [work(), everything(), compacted(), random_compacted(5, 60)] {
        let image = closed(&steps);
        let mut less = image.clone();
        less.remove("manifest");
        demand(&less, &truth(&image), "without manifest");
    }
}

// Two places at once: what one damage is told by may be lost in another one.
#[test]
fn damage_in_two_places_is_found_and_a_repair_keeps_what_is_true() {
    let image = cask();
    let truth = truth(&image);
    let mut chance = Chance(7);
    let names: Vec<&String> = image.keys().collect();
    for round in 0..1500 {
        let mut twice = image.clone();
        for _ in 0..2 {
            let bytes = twice.get_mut(names[chance.below(names.len())]).unwrap();
            let from = chance.below(bytes.len().max(1));
            let to = (from + [1, 40, 300][chance.below(3)]).min(bytes.len());
            match chance.below(3) {
                0 => bytes.truncate(from),
                1 => bytes[from..to].fill(0),
                _ => bytes[from..to].iter_mut().for_each(|byte| *byte ^= 0x41),
            }
        }
        if twice != image {
            demand(&twice, &truth, &format!("round {round}"));
        }
    }
}

/// Casks that were not closed, and the states of the records that each has gone through.
fn killed() -> Vec<(Image, Vec<Records>)> {
    let batches: Vec<Step> = work().into_iter().filter(|step| matches!(step, Step::Batch(_))).take(8).collect();
    let mut early = batches.clone();
    early.insert(3, Step::Flush);
    let mut ticking = Run::new(FileOptions { sync_interval: Duration::ZERO, ..options(Durability::Process) });
    for batch in &batches {
        ticking.step(batch);
        ticking.step(&Step::Tick);
    }
    let run = |steps: &[Step]| Run::new(options(Durability::Process)).steps(steps);
    // Zeros lie behind the newest frame, and in the file of the next segment.
    let filled: Vec<Step> =
        batches.iter().flat_map(|batch| [Step::Preallocate, batch.clone()]).chain([Step::Preallocate]).collect();
    let filled = Run::new(FileOptions { preallocates: true, ..options(Durability::Power) }).steps(&filled);
    assert!(filled.disk.image().values().any(|bytes| bytes.iter().all(|byte| *byte == 0) && !bytes.is_empty()));
    [run(&work()), run(&early), ticking.steps(&[]), filled].into_iter().map(|run| (run.disk.image(), run.states)).collect()
}

// What opening takes for legal is told apart from damage, and a repair keeps as much.
#[test]
fn damage_is_found_exactly_where_opening_refuses_a_cask() {
    let (mut legal, mut damaged) = (0, 0);
    for (number, (image, states)) in killed().iter().enumerate() {
        for (name, bytes) in image {
            let mut less = image.clone();
            less.remove(name);
            if name != "manifest" {
                demand_as_opening(&less, states, &format!("cask {number} without {name}"), &mut legal, &mut damaged);
            }
            for at in 0..bytes.len() {
                let image = changed(image, name, |bytes| match at % 3 {
                    0 => bytes[at] ^= 0x10,
                    1 => bytes.truncate(at),
                    _ => bytes[at..].fill(0),
                });
                demand_as_opening(&image, states, &format!("cask {number}, {name} byte {at}"), &mut legal, &mut damaged);
            }
        }
    }
    assert!(legal > 50 && damaged > 500, "{legal} legal, {damaged} damaged");
}

fn demand_as_opening(image: &Image, states: &[Records], context: &str, legal: &mut usize, damaged: &mut usize) {
    for boot in BOOTS {
        let context = format!("{context}, boot {}", boot[0]);
        let opened = open(&Disk::new(image), &FileOptions { boot_id: boot, ..options(Durability::Process) });
        let report = match looked_at(image, boot).1 {
            Ok(report) => report,
            Err(error) => {
                assert_eq!(opened.unwrap_err().kind(), error.kind(), "{context}");
                continue;
            }
        };
        assert_eq!(opened.is_ok(), report.damages.is_empty(), "{context}: {:?}", report.damages);
        let (repaired, found) = repaired(image, boot, Doubtful::Keep, &context);
        assert_eq!(opened.is_ok(), repaired.damages.is_empty(), "{context}: {:?}", repaired.damages);
        match opened {
            Ok(backend) => {
                *legal += usize::from(report.torn_bytes > 0);
                assert_eq!(report.torn_bytes, backend.report().cut_bytes, "{context}");
                assert_eq!(report.torn_frames, backend.report().cut_frames, "{context}");
                assert_eq!(found, records(&*backend).unwrap(), "{context}");
                assert!(states.contains(&found), "{context}: no state of the past");
            }
            Err(_) => {
                *damaged += 1;
                // What stands in where nothing was found knows no more than opening does.
                let is_of_opening = |damage: &Damage| damage.what.contains("is damaged at byte");
                assert!(!report.damages.iter().any(is_of_opening), "{context}: {:?}", report.damages);
            }
        }
    }
}

// Under the same boot what follows a lost segment was written and is true.
#[test]
fn a_repair_keeps_what_was_written_after_a_lost_segment() {
    let (image, states) = &killed()[1];
    let names = segments(image);
    for name in &names[..names.len() - 1] {
        let mut less = image.clone();
        less.remove(name);
        let (report, found) = repaired(&less, BOOT, Doubtful::Omit, name);
        let last = states.last().unwrap()["b"][&b"\x027".to_vec()].clone();
        assert_eq!(found["b"].get(b"\x027".as_slice()), Some(&last), "{name}: {report:?}");
    }
}

#[test]
fn an_old_session_does_not_come_back_unless_it_is_asked_for() {
    let mut steps = vec![one("a", &[put("s", "old"), creds("old")]), one("a", &[Change::Put(vec![4, b'g'], vec![1])])];
    steps.extend([one("a", &[put("s", "new")]), one("b", &[put("s", "later")])]);
    // Newer than what is lost; but it says who has sender keys, and such a key may be lost.
    steps.push(one("b", &[Change::Put(vec![4, b'g'], vec![2]), put("t", "later")]));
    let image = closed(&steps);
    let name = segments(&image)[0].clone();
    let at = image[&name].windows(3).position(|bytes| bytes == b"new").unwrap();
    let damaged = changed(&image, &name, |bytes| bytes[at] ^= 1);
    let held = |doubtful| {
        let (report, found) = repaired(&damaged, BOOT, doubtful, "one flipped byte");
        assert_eq!(found["b"][&b"\x02s".to_vec()], b"later", "what was written after it is beyond doubt");
        assert_eq!(found["b"].contains_key(&vec![4, b'g']), doubtful == Doubtful::Keep);
        let keys = found.get("a").map(|records| records.keys().map(|key| key[0]).collect::<Vec<u8>>()).unwrap_or_default();
        (report.accounts["a"].clone(), keys)
    };
    let (omitted, keys) = held(Doubtful::Omit);
    assert!(keys.is_empty() && omitted.omitted.len() == 3 && omitted.doubtful.is_empty(), "{omitted:?}");
    let (without_ratchets, keys) = held(Doubtful::OmitRatchets);
    assert_eq!((keys, without_ratchets.has_creds), (vec![255], true));
    assert_eq!((without_ratchets.doubtful.len(), without_ratchets.omitted.len()), (1, 2));
    let (all, keys) = held(Doubtful::Keep);
    assert_eq!((keys, all.doubtful.len()), (vec![2, 4, 255], 3));
    let report = looked_at(&damaged, BOOT).1.unwrap();
    assert_eq!(report.damages.len(), 1);
    let damage = &report.damages[0];
    assert_eq!(damage.likely, [("a".to_string(), b"\x02s".to_vec())], "the damaged chunk still names its record");
    assert_eq!((damage.lost, report.accounts["a"].doubtful), (Some((3, 3)), 3));
}

// An operation of a batch may be undone by a later one of the same batch, in another chunk.
#[test]
fn damage_in_a_chunk_puts_earlier_chunks_of_its_batch_and_nothing_of_other_accounts_in_doubt() {
    let options = FileOptions { segment_bytes: 1 << 20, ..options(Durability::Process) };
    let batch = [put("early", "x"), put("s", "first"), put("filler", [5; 20_000]), put("s", "second"), put("late", [6; 20_000])];
    let steps = [one("b", &[put("s", "other")]), one("a", &[put("old", "x")]), one("a", &batch), Step::Close];
    let image = Run::new(options).steps(&steps).disk.image();
    let name = segments(&image)[0].clone();
    let find = |text: &[u8]| image[&name].windows(text.len()).position(|bytes| bytes == text).unwrap();
    let truth = truth(&image);
    for (at, wanted) in [(find(b"second"), ["filler", "late"].as_slice()), (find(b"first"), &["filler", "late", "s"])] {
        let damaged = changed(&image, &name, |bytes| bytes[at] ^= 1);
        demand(&damaged, &truth, "a damaged chunk");
        let (report, found) = repaired(&damaged, BOOT, Doubtful::Omit, "a damaged chunk");
        let kept: Vec<String> = found["a"].keys().map(|key| String::from_utf8_lossy(&key[1..]).into_owned()).collect();
        let wanted: Vec<&str> = wanted.iter().copied().filter(|id| *id != "filler" || at < find(&[5; 64])).collect();
        assert_eq!(kept, wanted, "{report:?}");
        assert_eq!(found["b"][&b"\x02s".to_vec()], b"other", "the account is known from the other chunks");
        assert_eq!(report.damages[0].account.as_deref(), Some("a"));
    }
}

// Opening trusts hints and does not read the segments that have one.
#[test]
fn damage_is_found_in_segments_that_opening_does_not_read() {
    let options = FileOptions { hint_from: 0, ..options(Durability::Process) };
    let run = Run::new(options).steps(&[work().as_slice(), &[Step::Close]].concat());
    let image = run.disk.image();
    assert!(image.keys().any(|name| name.ends_with(".hint")));
    let truth = truth(&image);
    for name in segments(&image) {
        for at in (0..image[&name].len()).step_by(5) {
            demand(&changed(&image, &name, |bytes| bytes[at] ^= 2), &truth, &format!("{name} byte {at} flipped, with hints"));
        }
    }
    for name in image.keys().filter(|name| name.ends_with(".hint")) {
        let hint = changed(&image, name, |bytes| bytes[40] ^= 2);
        assert!(looked_at(&hint, BOOT).1.unwrap().damages.is_empty(), "a hint is a cache");
    }
}

#[test]
fn a_folder_without_a_cask_is_refused() {
    for image in [Image::new(), Image::from([("lock".into(), Vec::new())])] {
        let error = looked_at(&image, BOOT).1.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

// Of a new cask a repair makes another identity: the guard must not take it for the old one.
#[test]
fn a_repaired_cask_is_another_cask() {
    let image = cask();
    let disk = Disk::new(&image);
    let fs: Arc<dyn Fs> = Arc::new(disk.clone());
    repair(Path::new(FOLDER), Path::new("/fixed"), &fs, BOOT, &RepairOptions::default()).unwrap();
    let id = |image: &Image| Manifest::decode(&image["manifest"], Path::new("m"), &Cipher::Plain).unwrap().cask_id;
    assert_ne!(id(&disk.image_of("fixed").unwrap()), id(&image));
    let last = disk.events().into_iter().rev().find(|event| !matches!(event, Event::Note(_)));
    assert!(matches!(last, Some(Event::SyncOther { label }) if label.is_empty()), "the new name is on disk");
}
