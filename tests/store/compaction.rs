//! Segments that are mostly garbage are replaced by copies of what is still needed, while the cask is in use.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;
use baileys_cask::backend::file::fs::{Fs, FsFile, OsFs};
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};

use crate::common::disk::{Disk, EIO, ENOSPC, Event, Fault, Image, Kind};
use crate::common::drive::{self, flush, get, open, options, records, set, vanish};
use crate::common::faulty::{LEVELS, after_reboot};
use crate::common::loss::{Chance, Loss, after_kill, after_power_loss};
use crate::common::model::{Change, Changes, Records, delete, put, session};

/// Bytes of all segments.
fn log_bytes(disk: &Disk) -> usize {
    disk.image().iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, bytes)| bytes.len()).sum()
}

fn segments(disk: &Disk) -> usize {
    disk.image().keys().filter(|name| name.ends_with(".seg")).count()
}

/// A cask with garbage in several segments, tombstones among it, all of it on disk.
fn with_garbage(disk: &Disk, level: Durability) -> (Arc<FileBackend>, Records) {
    let backend = open(disk, &options(level)).unwrap();
    for round in 0..4_u8 {
        for id in 0..4_u8 {
            set(&*backend, "a", &[put(&id.to_string(), vec![round; 150])]).unwrap();
        }
        set(&*backend, "b", &[put(&round.to_string(), "stays"), put("gone", [round; 100])]).unwrap();
        set(&*backend, "b", &[delete("gone")]).unwrap();
    }
    set(&*backend, "c", &[put("1", [9; 300])]).unwrap();
    set(&*backend, "c", &[Change::Drop]).unwrap();
    flush(&*backend).unwrap();
    let all = records(&*backend).unwrap();
    (backend, all)
}

fn demand(disk: &Disk, options: &FileOptions, wanted: &Records, context: &str) {
    let backend = open(disk, options).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(records(&*backend).unwrap() == *wanted, "{context}: other records");
    backend.compact_all().unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(records(&*backend).unwrap() == *wanted, "{context}: other records after compacting");
    set(&*backend, "new", &[put("1", "new")]).unwrap_or_else(|error| panic!("{context}: {error}"));
}

#[test]
fn garbage_goes_and_records_stay() {
    for level in LEVELS {
        let disk = Disk::default();
        let (backend, all) = with_garbage(&disk, level);
        let before = log_bytes(&disk);
        let done = backend.compact_all().unwrap();
        assert!(done.before > done.after && done.after > 0, "{done:?}");
        assert_eq!(records(&*backend).unwrap(), all);
        assert!(log_bytes(&disk) * 2 < before, "{} of {before} bytes are left", log_bytes(&disk));
        vanish(backend);
        demand(&Disk::new(&disk.image()), &options(level), &all, "after a kill");
        demand(
            &Disk::new(&after_power_loss(&Image::new(), &disk.events(), Loss::All)),
            &after_reboot(level),
            &all,
            "without power",
        );
    }
}

#[test]
fn a_log_of_which_nothing_is_needed_shrinks_to_nothing() {
    for level in LEVELS {
        let disk = Disk::default();
        let (backend, _) = with_garbage(&disk, level);
        for account in ["a", "b"] {
            set(&*backend, account, &[Change::Drop]).unwrap();
        }
        backend.compact_all().unwrap();
        assert_eq!(segments(&disk), 0);
        set(&*backend, "a", &[put("1", "again")]).unwrap();
        backend.close().unwrap();
        let again = open(&disk, &options(level)).unwrap();
        assert_eq!(get(&*again, "a", &session("1")).unwrap().as_deref(), Some(&b"again"[..]));
        assert_eq!(again.report().cut_bytes, 0);
    }
}

// The segment with the record is not worth rewriting, that with its delete is.
#[test]
fn a_delete_is_kept_while_an_older_segment_has_the_record() {
    for kill in [Change::Clear, Change::Drop, delete("k")] {
        let disk = Disk::default();
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        set(&*backend, "a", &[put("k", "old")]).unwrap();
        set(&*backend, "kept", &[put("1", [1; 620])]).unwrap();
        let first = format!("{:016x}.seg", 1);
        let length = disk.image()[&first].len();
        set(&*backend, "a", std::slice::from_ref(&kill)).unwrap();
        assert_eq!(disk.image()[&first].len(), length, "{kill:?} stands in the segment of the record");
        set(&*backend, "b", &[put("1", [1; 500])]).unwrap();
        set(&*backend, "b", &[put("1", [2; 400])]).unwrap();
        set(&*backend, "b", &[put("1", [3; 10])]).unwrap();
        flush(&*backend).unwrap();
        assert!(backend.compact_all().unwrap().before > 0);
        assert!(disk.image().contains_key(&first), "{kill:?}: the old record's segment was to stay");
        backend.close().unwrap();
        let again = open(&disk, &options(Durability::Process)).unwrap();
        assert_eq!(get(&*again, "a", &session("k")).unwrap(), None, "{kill:?}");
    }
}

// A copy says up to where it was decided upon: a delete that came after that is still needed.
#[test]
fn a_delete_that_came_after_the_copy_of_the_record_is_kept() {
    let options = FileOptions { segment_bytes: 4096, ..options(Durability::Process) };
    let disk = Disk::default();
    let backend = open(&disk, &options).unwrap();
    set(&*backend, "a", &[put("k", "old")]).unwrap();
    set(&*backend, "kept", &[put("1", [1; 1200])]).unwrap();
    set(&*backend, "b", &[put("1", [1; 1500])]).unwrap();
    set(&*backend, "b", &[put("1", "small")]).unwrap();
    assert!(backend.compact_all().unwrap().after > 0);
    let copies: Vec<String> = disk.image().into_keys().filter(|name| name.ends_with(".seg")).collect();
    assert_eq!(copies.len(), 1);
    set(&*backend, "a", &[delete("k")]).unwrap();
    for size in [1500, 1500, 10] {
        set(&*backend, "b", &[put("2", vec![2; size])]).unwrap();
    }
    assert!(backend.compact_all().unwrap().before > 0);
    assert!(disk.image().contains_key(&copies[0]), "the copy with the record was to stay");
    vanish(backend);
    assert_eq!(get(&*open(&disk, &options).unwrap(), "a", &session("k")).unwrap(), None);
}

// They are garbage too, and would fill the disk if they were kept for ever.
#[test]
fn tombstones_go_once_nothing_older_needs_them() {
    let disk = Disk::default();
    let backend = open(&disk, &options(Durability::Process)).unwrap();
    for number in 0..40 {
        set(&*backend, "kept", &[put(&number.to_string(), [1; 100])]).unwrap();
    }
    let needed = log_bytes(&disk);
    for round in 0..10 {
        for number in 0..40 {
            let id = format!("{round}-{number}");
            set(&*backend, "a", &[put(&id, "soon gone")]).unwrap();
            set(&*backend, "a", &[delete(&id)]).unwrap();
        }
        backend.compact_all().unwrap();
        assert!(log_bytes(&disk) < 2 * needed + 1024, "round {round}: {} bytes for {needed}", log_bytes(&disk));
    }
    assert_eq!(records(&*backend).unwrap().keys().collect::<Vec<_>>(), ["kept"]);
}

#[test]
fn a_log_stays_under_twice_what_is_needed_and_a_segment() {
    for seed in 0..10_u64 {
        let disk = Disk::default();
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        let mut chance = Chance(seed);
        for number in 0..600 {
            let id = chance.below(60).to_string();
            let change = if chance.below(4) == 0 { delete(&id) } else { put(&id, vec![1; 20 + chance.below(200)]) };
            set(&*backend, ["a", "b"][chance.below(2)], &[change]).unwrap();
            if number % 50 == 49 {
                backend.compact_all().unwrap();
                // 80 bytes are around each record.
                let live: usize =
                    records(&*backend).unwrap().values().flatten().map(|(key, value)| key.len() + value.len() + 80).sum();
                assert!(log_bytes(&disk) <= 2 * live + 1024, "seed {seed}: {} bytes for {live}", log_bytes(&disk));
            }
        }
    }
}

// Nobody asks for it.
#[test]
fn segments_are_compacted_by_themselves_when_they_end() {
    for level in LEVELS {
        let disk = Disk::default();
        let backend = open(&disk, &FileOptions { compacts: true, ..options(level) }).unwrap();
        let mut written = 0;
        for round in 0..200_u8 {
            set(&*backend, "a", &[put("hot", [round; 300])]).unwrap();
            written += 300;
        }
        let bytes_of_segments = |events: &[Event]| {
            let (mut sizes, mut names) = (BTreeMap::new(), BTreeMap::new());
            for event in events {
                match event {
                    Event::Create { file, name } => drop(names.insert(name.clone(), *file)),
                    Event::Rename { from, to } => {
                        let file = names.remove(from).unwrap();
                        names.insert(to.clone(), file);
                    }
                    Event::Remove { name } => drop(names.remove(name)),
                    Event::Write { file, offset, bytes } => drop(sizes.insert(*file, offset + bytes.len())),
                    _ => {}
                }
            }
            names.iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, file)| sizes.get(file).unwrap_or(&0)).sum::<usize>()
        };
        disk.wait_until("a small log", |events| bytes_of_segments(events) < 3 * 1024);
        assert!(written > 50_000);
        assert_eq!(get(&*backend, "a", &session("hot")).unwrap(), Some(vec![199; 300]));
        vanish(backend);
        let again = open(&disk, &options(level)).unwrap();
        assert_eq!(get(&*again, "a", &session("hot")).unwrap(), Some(vec![199; 300]));
    }
}

#[test]
fn what_is_dead_before_it_is_on_disk_never_has_to_be() {
    let disk = Disk::default();
    let backend = open(&disk, &options(Durability::Process)).unwrap();
    for round in 0..200_u8 {
        set(&*backend, "a", &[put("hot", [round; 300])]).unwrap();
    }
    assert!(segments(&disk) > 50);
    while backend.compact_once().unwrap().is_some() {}
    assert!(segments(&disk) < 4);
    let events = disk.events();
    let is_synced = |file: usize| events.iter().any(|event| matches!(event, Event::Sync { file: one } if *one == file));
    let synced = events
        .iter()
        .filter(|event| matches!(event, Event::Create { file, name } if name.ends_with(".seg") && is_synced(*file)))
        .count();
    assert!(synced < 4, "{synced} segments were synced");
}

#[test]
fn small_segments_of_many_openings_become_one() {
    let disk = Disk::default();
    let mut wanted = Records::new();
    for number in 0..40 {
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        let id = number.to_string();
        set(&*backend, "a", &[put(&id, "x")]).unwrap();
        wanted.entry("a".into()).or_default().insert(session(&id), b"x".to_vec());
        backend.close().unwrap();
    }
    let backend = open(&disk, &options(Durability::Process)).unwrap();
    assert_eq!(segments(&disk), 40);
    backend.compact_all().unwrap();
    assert!(segments(&disk) <= 16, "{} segments", segments(&disk));
    assert_eq!(records(&*backend).unwrap(), wanted);
}

/// Calls of the file system that compacting makes.
fn calls_of_a_compaction(level: Durability) -> (usize, usize) {
    let disk = Disk::default();
    let (backend, _) = with_garbage(&disk, level);
    let before = disk.calls().len();
    backend.compact_all().unwrap();
    (before, disk.calls().len())
}

#[test]
fn a_compaction_may_fail_at_any_call_and_nothing_is_lost() {
    for level in LEVELS {
        let (from, to) = calls_of_a_compaction(level);
        assert!(to - from > 20, "{} calls", to - from);
        for number in from..to {
            for (fault, for_ever) in [
                (Fault::Errno(EIO), false),
                (Fault::Errno(ENOSPC), true),
                (Fault::Short(1), false),
                (Fault::TornWrite(300, ENOSPC), false),
                (Fault::DoneButFailed(EIO), false),
            ] {
                let context = format!("{level:?}, call {number}, {fault:?}, for ever: {for_ever}");
                let disk = Disk::default();
                let (backend, all) = with_garbage(&disk, level);
                disk.fail(move |call| (call.number == number || (for_ever && call.number > number)).then_some(fault));
                let outcome = backend.compact_all();
                disk.heal();
                assert!(records(&*backend).unwrap() == all, "{context}: other records now");
                if let Err(error) = outcome {
                    assert!(
                        matches!(error.kind(), ErrorKind::Io | ErrorKind::Poisoned | ErrorKind::Corrupt),
                        "{context}: {error}"
                    );
                }
                let events = disk.events();
                demand(&Disk::new(&after_kill(&Image::new(), &events)), &options(level), &all, &format!("{context}: killed"));
                for loss in Loss::variety(number as u64) {
                    let lost = after_power_loss(&Image::new(), &events, loss.clone());
                    demand(&Disk::new(&lost), &after_reboot(level), &all, &format!("{context}: {loss:?}"));
                }
                // It goes on where the fault was not one of those after which nothing is certain.
                if let Err(error) = set(&*backend, "later", &[put("1", "x")]) {
                    assert_eq!(error.kind(), ErrorKind::Poisoned, "{context}");
                }
                vanish(backend);
                let again = open(&disk, &options(level)).unwrap_or_else(|error| panic!("{context}: {error}"));
                let mut found = records(&*again).unwrap();
                found.remove("later");
                assert!(found == all, "{context}: other records after reopening");
                again.compact_all().unwrap_or_else(|error| panic!("{context}: {error}"));
            }
        }
    }
}

// A copy that was not used, or segments that were not removed, must not fill the disk.
#[test]
fn what_a_failed_compaction_leaves_behind_goes_when_the_cask_opens() {
    let (from, to) = calls_of_a_compaction(Durability::Process);
    for number in from..to {
        let disk = Disk::default();
        let (backend, _) = with_garbage(&disk, Durability::Process);
        disk.fail(move |call| (call.number >= number && call.kind != Kind::Read).then_some(Fault::Errno(EIO)));
        let _ = backend.compact_all();
        disk.heal();
        vanish(backend);
        let again = open(&disk, &options(Durability::Process)).unwrap();
        again.compact_all().unwrap();
        again.close().unwrap();
        let names: Vec<String> = disk.image().into_keys().collect();
        assert!(!names.iter().any(|name| name.ends_with(".new") || name.ends_with(".tmp")), "call {number}: {names:?}");
        let manifest_names = segments(&disk);
        let last = open(&disk, &options(Durability::Process)).unwrap();
        assert_eq!(segments(&disk), manifest_names, "call {number}: {names:?}");
        drop(last);
    }
}

#[test]
fn damage_stops_compaction_and_what_is_left_stays_readable() {
    let disk = Disk::default();
    let (backend, all) = with_garbage(&disk, Durability::Process);
    vanish(backend);
    let mut image = disk.image();
    // What is compacted first is full of garbage; the damage is in it, and came while the cask was open.
    let disk = Disk::new(&image);
    let backend = open(&disk, &options(Durability::Process)).unwrap();
    let second = format!("{:016x}.seg", 2);
    let at = image[&second].len() - 20;
    disk.change(&second, |bytes| bytes[at] ^= 0xff);
    let error = backend.compact_all().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
    assert!(error.message().contains(&second), "{error}");
    assert_eq!(backend.compact_all().unwrap_err().kind(), ErrorKind::Corrupt);
    assert_eq!(backend.damage().map(|error| error.kind()), Some(ErrorKind::Corrupt));
    set(&*backend, "later", &[put("1", "x")]).unwrap();
    assert_eq!(records_but(&backend, &all), all.len() * 4, "every record reads");
    image = disk.image();
    assert!(image.contains_key(&second), "the damaged segment was removed");
}

/// How many of these records read as they were.
fn records_but(backend: &FileBackend, all: &Records) -> usize {
    let mut count = 0;
    for (account, records) in all {
        for (key, value) in records {
            count += usize::from(get(backend, account, key).unwrap().as_ref() == Some(value));
        }
    }
    count
}

/// Writers keep pairs of records equal; readers demand that they are, while segments are replaced under them.
#[test]
fn reads_of_several_records_are_as_of_one_instant_while_segments_are_replaced() {
    const ROUNDS: usize = 60;
    for level in LEVELS {
        let folder = tempfile::tempdir().unwrap();
        let options = FileOptions { segment_bytes: 8 << 10, cache_bytes: Some(0), ..options(level) };
        let backend = FileBackend::open(folder.path(), Arc::new(OsFs), &options, None).unwrap();
        let pair = |value: u8| [put("x", vec![value; 700]), put("y", vec![value; 300])];
        set(&*backend, "a", &pair(0)).unwrap();
        let (ended, reads) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        let (x, y) = (session("x"), session("y"));
                        let mut values: Vec<u8> = Vec::new();
                        backend.get("a", &[&x, &y], &mut |value| values.push(value.unwrap()[0])).unwrap();
                        assert_eq!(values[0], values[1], "a torn read");
                        reads.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            let mut compacted = 0;
            for round in 0..ROUNDS {
                for value in 0..20 {
                    set(&*backend, "a", &pair((round * 20 + value) as u8)).unwrap();
                    set(&*backend, "b", &[put(&value.to_string(), [value as u8; 400])]).unwrap();
                }
                compacted += usize::from(backend.compact_all().unwrap().before > 0);
            }
            // However slow a reader is, it has met some of it.
            while reads.load(Ordering::Relaxed) < 100 {
                std::thread::yield_now();
            }
            ended.store(true, Ordering::Relaxed);
            assert!(compacted > ROUNDS / 2, "{compacted} compactions");
        });
        backend.close().unwrap();
        let again = FileBackend::open(folder.path(), Arc::new(OsFs), &options, None).unwrap();
        assert_eq!(get(&*again, "a", &session("x")).unwrap().unwrap()[0], (ROUNDS * 20 - 1) as u8);
    }
}

type Hook = Box<dyn FnOnce() + Send>;

/// A folder that does something just before a segment is opened to be read.
#[derive(Clone, Default)]
struct Hooked {
    disk: Disk,
    before_open: Arc<Mutex<Option<Hook>>>,
}

impl std::fmt::Debug for Hooked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hooked")
    }
}

impl Fs for Hooked {
    fn create_new(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        self.disk.create_new(path)
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        if path.extension().is_some_and(|extension| extension == "seg") {
            let hook = self.before_open.lock().unwrap().take();
            if let Some(hook) = hook {
                hook();
            }
        }
        self.disk.open(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        self.disk.list(folder)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.disk.sync_folder(folder)
    }
}

// Between looking the records up and opening the segment of the second, both are set anew and all segments are replaced.
#[test]
fn a_read_whose_segment_is_replaced_gives_the_values_of_one_instant() {
    for ids in [vec!["x"], vec!["x", "y"], vec!["none", "x", "y"]] {
        let fs = Hooked::default();
        let backend =
            FileBackend::open(Path::new(drive::FOLDER), Arc::new(fs.clone()), &options(Durability::Process), None).unwrap();
        // In segments of their own, that are closed and so have to be opened.
        set(&*backend, "a", &[put("x", [1; 700])]).unwrap();
        set(&*backend, "a", &[put("y", [1; 700])]).unwrap();
        set(&*backend, "b", &[put("z", [1; 700])]).unwrap();
        flush(&*backend).unwrap();
        let keys: Vec<Vec<u8>> = ids.iter().map(|id| session(id)).collect();
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        // The value of the first is given from its segment before the other's is opened.
        let opens = usize::from(ids.contains(&"y"));
        let armed = Arc::clone(&backend);
        let hook: Hook = Box::new(move || {
            set(&*armed, "a", &[put("x", [2; 600]), put("y", [2; 200])]).unwrap();
            set(&*armed, "b", &[delete("z")]).unwrap();
            assert!(armed.compact_all().unwrap().before > 0);
        });
        if opens == 1 {
            let slot = Arc::clone(&fs.before_open);
            let first: Hook = Box::new(move || *slot.lock().unwrap() = Some(hook));
            *fs.before_open.lock().unwrap() = Some(first);
        } else {
            *fs.before_open.lock().unwrap() = Some(hook);
        }
        // Who may not wait asks again, with leave to wait.
        let mut values: Vec<Option<u8>> = Vec::new();
        backend.get("a", &keys, &mut |value| values.push(value.map(|value| value[0]))).unwrap();
        let wanted: Vec<Option<u8>> = ids.iter().map(|id| (*id != "none").then_some(2)).collect();
        assert_eq!(values, wanted, "{ids:?}");
        assert!(fs.before_open.lock().unwrap().is_none(), "{ids:?}: the hook did not run");
    }
}

// An open descriptor would keep the room of a removed segment.
#[cfg(target_os = "linux")]
#[test]
fn no_descriptor_of_a_removed_segment_stays_open() {
    let folder = tempfile::tempdir().unwrap();
    let options = FileOptions { segment_bytes: 4 << 10, cache_bytes: Some(0), ..options(Durability::Process) };
    let backend = FileBackend::open(folder.path(), Arc::new(OsFs), &options, None).unwrap();
    for round in 0..50_u8 {
        for id in 0..6 {
            set(&*backend, "a", &[put(&id.to_string(), [round; 500])]).unwrap();
            let _ = get(&*backend, "a", &session(&id.to_string())).unwrap();
        }
        if round % 10 == 9 {
            backend.compact_all().unwrap();
        }
    }
    let _ = records(&*backend).unwrap();
    let deleted: Vec<String> = std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
        .map(|target| target.display().to_string())
        .filter(|target| target.starts_with(&folder.path().display().to_string()) && target.contains("(deleted)"))
        .collect();
    assert!(deleted.is_empty(), "{deleted:?}");
}

#[test]
fn closing_does_not_wait_for_all_that_could_be_compacted() {
    let disk = Disk::default();
    let (backend, all) = with_garbage(&disk, Durability::Process);
    // A compaction that is about to sync its copy waits at the gate, and the close comes meanwhile.
    disk.close_gate();
    std::thread::scope(|scope| {
        let compacting = scope.spawn(|| backend.compact_all());
        disk.wait_at_gate();
        let closing = scope.spawn(|| backend.close());
        disk.open_gate();
        let outcome = compacting.join().unwrap();
        closing.join().unwrap().unwrap();
        if let Err(error) = outcome {
            assert_eq!(error.kind(), ErrorKind::Closed);
        }
    });
    assert_eq!(backend.compact_all().unwrap_err().kind(), ErrorKind::Closed);
    vanish(backend);
    demand(&disk, &options(Durability::Process), &all, "after closing");
}

// Copies are links of no chain: the log goes on from the last segment that it had.
#[test]
fn the_log_goes_on_behind_segments_that_were_all_replaced() {
    let disk = Disk::default();
    let (backend, mut all) = with_garbage(&disk, Durability::Process);
    backend.compact_all().unwrap();
    for round in 0..5_u8 {
        set(&*backend, "later", &[put("1", [round; 600])]).unwrap();
    }
    all.entry("later".into()).or_default().insert(session("1"), vec![4; 600]);
    vanish(backend);
    let again = drive::open(&Disk::new(&disk.image()), &options(Durability::Process)).unwrap();
    assert_eq!(records(&*again).unwrap(), all);
    assert_eq!(again.report().cut_bytes, 0);
}

/// A cask at `power` that was killed after a batch was written and before it was synced: the new value of `k` may be lost, the old one is
/// acknowledged and garbage.
fn killed_before_a_sync() -> Disk {
    let disk = Disk::default();
    let backend = open(&disk, &options(Durability::Power)).unwrap();
    set(&*backend, "a", &[put("k", "old"), put("fill", [1; 600])]).unwrap();
    set(&*backend, "a", &[put("fill", [2; 600])]).unwrap();
    set(&*backend, "b", &[put("x", [2; 300])]).unwrap();
    disk.close_gate();
    let pending = drive::start(&*backend, &Changes::new("a", [put("k", "new")]));
    disk.wait_at_gate();
    let killed = disk.events();
    disk.open_gate();
    pending.wait().unwrap();
    vanish(backend);
    Disk::resume(&Image::new(), &killed)
}

fn demand_some_value_without_power(disk: &Disk) {
    let left = after_power_loss(&Image::new(), &disk.events(), Loss::All);
    let again = open(&Disk::new(&left), &after_reboot(Durability::Power)).unwrap();
    assert!(get(&*again, "a", &session("k")).unwrap().is_some(), "neither the old value nor the new one is there");
}

#[test]
fn what_a_killed_process_had_written_is_on_disk_before_what_it_replaced_is_gone() {
    let disk = killed_before_a_sync();
    let backend = open(&disk, &options(Durability::Power)).unwrap();
    assert!(backend.compact_once().unwrap().is_some());
    vanish(backend);
    demand_some_value_without_power(&disk);
}

#[test]
fn what_a_killed_process_had_written_is_on_disk_before_the_background_removes_what_it_replaced() {
    let disk = killed_before_a_sync();
    let backend = open(&disk, &FileOptions { compacts: true, ..options(Durability::Power) }).unwrap();
    disk.wait_until("the removal of the first segment", |events| {
        events.iter().any(|event| matches!(event, Event::Remove { name } if *name == format!("{:016x}.seg", 1)))
    });
    demand_some_value_without_power(&disk);
    drop(backend);
}

// The number of a mark that was not synced is given to the next batch after a loss of power; a copy must not count as newer than that.
#[test]
fn a_tombstone_with_the_number_of_a_lost_mark_is_kept() {
    for kill in [delete("k"), Change::Clear, Change::Drop] {
        let long = |options: FileOptions| FileOptions { segment_bytes: 4096, ..options };
        let disk = Disk::default();
        let ticking = FileOptions { sync_interval: Duration::from_millis(1), ..options(Durability::Power) };
        let backend = open(&disk, &long(ticking)).unwrap();
        set(&*backend, "a", &[put("k", "old")]).unwrap();
        set(&*backend, "keeps", &[put("1", [1; 1500])]).unwrap();
        set(&*backend, "b", &[put("fill", [1; 1700])]).unwrap();
        set(&*backend, "b", &[put("fill", [2; 1700])]).unwrap();
        disk.wait_until("a mark behind the last batch", |events| {
            let last = events.iter().rev().find_map(|event| match event {
                Event::Write { bytes, .. } if !bytes.is_empty() => Some(bytes),
                _ => None,
            });
            let manifests = events.iter().filter(|event| matches!(event, Event::Rename { .. })).count();
            manifests > 1 && last.is_some_and(|bytes| bytes.len() != 32 || bytes[4] == 2)
        });
        assert!(backend.compact_once().unwrap().is_some());
        vanish(backend);
        let disk = Disk::new(&after_power_loss(&Image::new(), &disk.events(), Loss::All));
        let rebooted = long(after_reboot(Durability::Power));
        let backend = open(&disk, &rebooted).unwrap();
        assert_eq!(get(&*backend, "a", &session("k")).unwrap().as_deref(), Some(&b"old"[..]));
        set(&*backend, "a", std::slice::from_ref(&kill)).unwrap();
        for n in 3..6 {
            set(&*backend, "b", &[put("fill", vec![n; 3000])]).unwrap();
        }
        backend.compact_all().unwrap();
        backend.close().unwrap();
        let again = open(&disk, &rebooted).unwrap();
        assert_eq!(get(&*again, "a", &session("k")).unwrap(), None, "{kill:?}: k is back");
    }
}
