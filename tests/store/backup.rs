//! Copies of an open cask: whole or not there, as of one instant, and nobody waits for them.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;
use baileys_cask::backend::file::fs::{Fs, OsFs};
use baileys_cask::backend::file::verify::{VerifyOptions, verify};
use baileys_cask::backend::file::{BackupOptions, Cancel, Durability, FileBackend, FileOptions};
use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::manifest::Manifest;
use baileys_cask::store::upkeep;

use crate::common::disk::{Disk, EIO, Event, Fault, Image, Kind, PATIENCE, image_with_label};
use crate::common::drive::{BOOT, FOLDER, flush, open, options, records, set, vanish};
use crate::common::faulty::{LEVELS, once};
use crate::common::loss::{Loss, after_kill, after_power_loss, folders_after_power_loss};
use crate::common::model::{Change, Records, delete, put, session};
use crate::common::places;

const TARGET: &str = "/backup";

fn back_up(backend: &FileBackend) -> baileys_cask::Result<baileys_cask::backend::file::BackupReport> {
    backend.backup(Path::new(TARGET), &BackupOptions::default())
}

/// A cask with garbage, copies and segments of the log.
fn with_copies(disk: &Disk, durability: Durability) -> Arc<FileBackend> {
    let backend = open(disk, &options(durability)).unwrap();
    for round in 0..4_u8 {
        (0..4_u8).for_each(|id| set(&*backend, "a", &[put(&id.to_string(), vec![round; 150])]).unwrap());
        set(&*backend, "b", &[put(&round.to_string(), "stays"), delete("0")]).unwrap();
    }
    assert!(backend.compact_all().unwrap().before > 0);
    set(&*backend, "a", &[put("new", [9; 200])]).unwrap();
    backend
}

/// Opens a copy of a folder in a memory of its own, and gives what it holds.
fn held(image: &Image) -> Records {
    let backend = open(&Disk::new(image), &options(Durability::Process)).unwrap();
    assert_eq!(backend.report().cut_bytes, 0);
    let found = records(&*backend).unwrap();
    set(&*backend, "z", &[put("k", "goes on")]).unwrap();
    found
}

fn demand_whole(image: &Image, wanted: &Records, context: &str) {
    let fs: Arc<dyn Fs> = Arc::new(Disk::new(image));
    let report =
        verify(Path::new(FOLDER), &fs, BOOT, &VerifyOptions::default()).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(report.damages.is_empty() && report.torn_bytes == 0, "{context}: {report:?}");
    assert!(held(image) == *wanted, "{context}: other records");
}

fn manifest(image: &Image) -> Manifest {
    Manifest::decode(&image["manifest"], Path::new("manifest"), &Cipher::Plain).unwrap()
}

#[test]
fn a_backup_is_a_cask_with_everything_that_was_acknowledged() {
    for level in LEVELS {
        let disk = Disk::default();
        let backend = with_copies(&disk, level);
        let all = records(&*backend).unwrap();
        let report = back_up(&backend).unwrap();
        set(&*backend, "a", &[put("later", "x")]).unwrap();
        let image = disk.image_of("backup").unwrap();
        demand_whole(&image, &all, "backup");
        assert_eq!(manifest(&image).cask_id, manifest(&disk.image()).cask_id);
        assert_eq!(report.copied, image.keys().filter(|name| name.ends_with(".seg")).count());
        assert!(manifest(&image).segments.iter().any(|entry| entry.is_copy));
        assert!(!image.contains_key("incomplete"));
        backend.compact_all().unwrap();
        backend.close().unwrap();
        demand_whole(&disk.image_of("backup").unwrap(), &all, "backup after its cask went on");
    }
}

#[test]
fn a_cask_that_was_killed_or_is_empty_is_backed_up_whole() {
    let disk = Disk::default();
    back_up(&open(&disk, &options(Durability::Process)).unwrap()).unwrap();
    demand_whole(&disk.image_of("backup").unwrap(), &Records::new(), "empty");
    for flushes in [false, true] {
        // What is on disk and not yet named by the manifest.
        let disk = Disk::default();
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        (0..9_u8).for_each(|n| set(&*backend, "a", &[put(&n.to_string(), [n; 300])]).unwrap());
        if flushes {
            flush(&*backend).unwrap();
        }
        let all = records(&*backend).unwrap();
        vanish(backend);
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        back_up(&backend).unwrap();
        demand_whole(&disk.image_of("backup").unwrap(), &all, "killed");
    }
}

// A copy waits for its sync here; commits do not wait for the copy, and compaction leaves its segments alone.
#[test]
fn commits_go_on_and_compaction_waits_while_segments_are_copied() {
    let disk = Disk::default();
    let backend = with_copies(&disk, Durability::Process);
    let all = records(&*backend).unwrap();
    set(&*backend, "a", &[put("0", "small"), put("1", "small"), put("2", "small"), put("3", "small"), delete("new")]).unwrap();
    let mut all_but_new = all;
    for id in ["0", "1", "2", "3"] {
        all_but_new.get_mut("a").unwrap().insert(session(id), b"small".to_vec());
    }
    all_but_new.get_mut("a").unwrap().remove(&session("new"));
    flush(&*backend).unwrap();
    let copying = AtomicBool::new(false);
    let (entered, wait) = channel();
    let close_gate = || {
        if !copying.swap(true, Ordering::AcqRel) {
            disk.close_gate();
            entered.send(()).unwrap();
        }
        false
    };
    let options = BackupOptions { hard_links: false, cancel: Cancel(&close_gate) };
    std::thread::scope(|scope| {
        let (backend, options) = (&backend, &options);
        let (done, outcome) = channel();
        scope.spawn(move || drop(done.send(backend.backup(Path::new(TARGET), options))));
        wait.recv_timeout(PATIENCE).unwrap();
        disk.wait_at_gate();
        set(&**backend, "a", &[put("while", "copied")]).unwrap();
        let before: Vec<String> = disk.image().into_keys().collect();
        assert!(backend.compact_once().unwrap().is_none(), "its segments are pinned");
        assert_eq!(disk.image().into_keys().collect::<Vec<_>>(), before);
        assert!(outcome.try_recv().is_err(), "it still waits");
        disk.open_gate();
        outcome.recv_timeout(PATIENCE).unwrap().unwrap();
    });
    demand_whole(&disk.image_of("backup").unwrap(), &all_but_new, "backup");
    assert!(backend.compact_all().unwrap().before > 0, "after it compaction goes on");
}

/// Number in a record that a writer has written.
fn count_in(records: &Records, account: &str, id: &str) -> usize {
    records
        .get(account)
        .and_then(|records| records.get(&session(id)))
        .map_or(0, |value| usize::from_le_bytes(value[..8].try_into().unwrap()))
}

#[test]
fn a_backup_is_of_one_instant_while_writers_write_and_segments_are_compacted() {
    const BACKUPS: usize = 12;
    for level in LEVELS {
        let disk = Disk::default();
        let backend = open(&disk, &options(level)).unwrap();
        let (stop, made) = (AtomicBool::new(false), AtomicUsize::new(0));
        let acknowledged = [AtomicUsize::new(0), AtomicUsize::new(0)];
        let issued = [AtomicUsize::new(0), AtomicUsize::new(0)];
        std::thread::scope(|scope| {
            for writer in 0..2_usize {
                let (backend, stop, made) = (&backend, &stop, &made);
                let (acknowledged, issued) = (&acknowledged[writer], &issued[writer]);
                scope.spawn(move || {
                    for count in 1_usize.. {
                        // Far ahead of the backups they would only make the log long.
                        while count > 50 * (made.load(Ordering::Acquire) + 1) && !stop.load(Ordering::Acquire) {
                            std::thread::yield_now();
                        }
                        if stop.load(Ordering::Acquire) {
                            return;
                        }
                        issued.store(count, Ordering::Release);
                        let value = [count.to_le_bytes().as_slice(), &[7; 60]].concat();
                        // The first account never lags behind the second one, and both records of a batch belong together.
                        set(&**backend, &format!("{writer}-first"), &[put("x", &value), put("y", &value)]).unwrap();
                        set(&**backend, &format!("{writer}-second"), &[put("x", &value)]).unwrap();
                        acknowledged.store(count, Ordering::Release);
                    }
                });
            }
            let compacting = scope.spawn(|| {
                while !stop.load(Ordering::Acquire) {
                    backend.compact_all().unwrap();
                }
            });
            for number in 0..BACKUPS {
                let must: Vec<usize> = acknowledged.iter().map(|count| count.load(Ordering::Acquire)).collect();
                let name = format!("backup{number}");
                backend.backup(Path::new(&format!("/{name}")), &BackupOptions::default()).unwrap();
                made.fetch_add(1, Ordering::AcqRel);
                let may: Vec<usize> = issued.iter().map(|count| count.load(Ordering::Acquire)).collect();
                let found = held(&disk.image_of(&name).unwrap());
                for writer in 0..2 {
                    let [first, second] = ["first", "second"].map(|part| count_in(&found, &format!("{writer}-{part}"), "x"));
                    assert_eq!(first, count_in(&found, &format!("{writer}-first"), "y"), "a torn batch");
                    assert!((must[writer]..=may[writer]).contains(&first), "{first} of {} to {}", must[writer], may[writer]);
                    assert!(
                        second >= must[writer] && (second..=second + 1).contains(&first),
                        "{first} and {second}: two instants"
                    );
                }
            }
            stop.store(true, Ordering::Release);
            compacting.join().unwrap();
        });
    }
}

#[test]
fn a_crash_at_any_moment_of_a_backup_leaves_a_whole_one_or_none() {
    for hard_links in [false, true] {
        let disk = Disk::default();
        let backend = with_copies(&disk, Durability::Process);
        let all = records(&*backend).unwrap();
        let before = disk.events().len();
        backend.backup(Path::new(TARGET), &BackupOptions { hard_links, ..BackupOptions::default() }).unwrap();
        vanish(backend);
        let events = disk.events();
        let (mut whole, mut unfinished) = (0, 0);
        for cut in before..=events.len() {
            for loss in Loss::variety(cut as u64) {
                let context = format!("cut at {cut}, {loss:?}");
                let files = after_power_loss(&Image::new(), &events[..cut], loss.clone());
                for loss in [loss, Loss::Nothing] {
                    let folders = folders_after_power_loss(&events[..cut], loss);
                    if let Some(label) = folders.get("backup") {
                        let image = image_with_label(&files, label);
                        assert!(!image.contains_key("incomplete"), "{context}: whole, and refused as if it were not");
                        demand_whole(&image, &all, &context);
                        whole += 1;
                    }
                    if let Some(label) = folders.get("backup.partial") {
                        let partial = image_with_label(&files, label);
                        let is_empty = !partial.keys().any(|name| name.ends_with(".seg") || name == "manifest");
                        if !is_empty && !partial.contains_key("incomplete") {
                            demand_whole(&partial, &all, &format!("{context}: nothing says that it is not whole"));
                        }
                        unfinished += 1;
                    }
                }
                let own = files.into_iter().filter(|(name, _)| !name.contains('/')).collect();
                let again = open(&Disk::new(&own), &FileOptions { boot_id: [2; 16], ..options(Durability::Process) });
                let found = records(&*again.unwrap_or_else(|error| panic!("{context}: {error}"))).unwrap();
                assert!(cut < events.len() || found == all, "{context}: the cask itself");
            }
        }
        assert!(whole > 5 && unfinished > 20, "{whole} whole, {unfinished} unfinished");
    }
}

/// Names of the cask itself.
fn own(files: Image) -> Image {
    files.into_iter().filter(|(name, _)| !name.contains('/')).collect()
}

/// Opens what a crash has left and demands one of the states, writes, and then demands the same of what is left where a second crash
/// comes meanwhile. `first` is what has happened to `base` and may still be lost. Gives how often the second crash came.
fn demand_through_a_second_crash(base: &Image, first: &[Event], states: &[Records], context: &str) -> usize {
    let boot = |number: u8| FileOptions { boot_id: [number; 16], ..options(Durability::Process) };
    let hold = |disk: &Disk, number: u8, context: &str| {
        let backend = open(disk, &boot(number)).unwrap_or_else(|error| panic!("{context}: {error}"));
        let found = records(&*backend).unwrap();
        (backend, found)
    };
    let disk = Disk::resume(base, first);
    let (backend, found) = hold(&disk, 2, context);
    assert!(states.contains(&found), "{context}: other records");
    set(&*backend, "z", &[put("k", "goes on")]).unwrap();
    flush(&*backend).unwrap();
    vanish(backend);
    let events = disk.events();
    for cut in first.len()..=events.len() {
        let killed = [(own(after_kill(base, &events[..cut])), 2, "killed".into())];
        let lost = Loss::variety(cut as u64).into_iter();
        let lost = lost.map(|loss| (own(after_power_loss(base, &events[..cut], loss.clone())), 3, format!("{loss:?}")));
        for (image, number, what) in killed.into_iter().chain(lost) {
            let context = format!("{context}, then at {cut} of {}, {what}", events.len());
            let disk = Disk::new(&image);
            let (backend, mut again) = hold(&disk, number, &context);
            let has_new = again.remove("z").is_some();
            assert!(has_new || cut < events.len(), "{context}: what was flushed is lost");
            // What was not on disk at the first crash may go with the second.
            let may_lose = number == 3 && !first.is_empty() && !has_new;
            assert!(again == found || (may_lose && states.contains(&again)), "{context}: other records");
            set(&*backend, "z", &[put("k", "goes on again")]).unwrap_or_else(|error| panic!("{context}: {error}"));
            vanish(backend);
            let (_, mut last) = hold(&disk, number, &context);
            assert!(last.remove("z").is_some() && last == again, "{context}: other records after a write");
        }
    }
    events.len() - first.len()
}

#[test]
fn a_crash_during_a_backup_and_another_one_while_what_it_left_is_opened_cost_no_record() {
    for hard_links in [false, true] {
        let disk = Disk::default();
        let backend = with_copies(&disk, Durability::Process);
        flush(&*backend).unwrap();
        let mut states = vec![records(&*backend).unwrap()];
        for number in 0..5_u8 {
            set(&*backend, "a", &[put("1", vec![number; 350])]).unwrap();
            states.push(records(&*backend).unwrap());
        }
        let before = disk.events().len();
        backend.backup(Path::new(TARGET), &BackupOptions { hard_links, ..BackupOptions::default() }).unwrap();
        vanish(backend);
        let events = disk.events();
        let whole = &states[5..];
        let (mut seen, mut seen_copies, mut cuts) = (BTreeSet::new(), BTreeSet::new(), 0);
        for cut in before..=events.len() {
            let context = format!("links {hard_links}, cut at {cut}");
            cuts += demand_through_a_second_crash(&Image::new(), &events[..cut], &states, &format!("{context}, killed"));
            for loss in Loss::variety(cut as u64) {
                let context = format!("{context}, {loss:?}");
                let files = after_power_loss(&Image::new(), &events[..cut], loss.clone());
                if let Some(label) = folders_after_power_loss(&events[..cut], loss).get("backup") {
                    let copy = image_with_label(&files, label);
                    if seen_copies.insert(copy.clone()) {
                        cuts += demand_through_a_second_crash(&copy, &[], whole, &format!("{context}, the backup"));
                    }
                }
                let cask = own(files);
                if seen.insert(cask.clone()) {
                    cuts += demand_through_a_second_crash(&cask, &[], &states, &context);
                }
            }
        }
        assert!(seen.len() > 8 && !seen_copies.is_empty() && cuts > 200, "{} casks, {cuts} cuts", seen.len());
    }
}

#[test]
fn a_backup_in_which_a_call_fails_is_not_there_and_the_cask_goes_on() {
    const KINDS: [Fault; 2] = [Fault::Errno(EIO), Fault::DoneButFailed(EIO)];
    let mut failures = 0;
    for fault in KINDS {
        for number in 0.. {
            let disk = Disk::default();
            let backend = with_copies(&disk, Durability::Process);
            flush(&*backend).unwrap();
            let all = records(&*backend).unwrap();
            let first = disk.calls().len();
            disk.fail(once(fault, move |call| call.number >= first + number));
            let outcome = back_up(&backend);
            let was_reached = disk.calls().len() > first + number;
            disk.heal();
            let context = format!("{fault:?} of call {number}, {:?}", disk.calls().get(first + number));
            match outcome {
                Ok(_) => demand_whole(&disk.image_of("backup").unwrap(), &all, &context),
                Err(_) => {
                    failures += 1;
                    // Where only the sync of its name, or the word of its rename, has failed.
                    if let Some(image) = disk.image_of("backup") {
                        demand_whole(&image, &all, &context);
                    }
                    if let Some(partial) = disk.image_of("backup.partial") {
                        let call = &disk.calls()[first + number];
                        assert!(
                            partial.len() <= 1 || call.kind == Kind::Remove || call.kind == Kind::List,
                            "{context}: {:?}",
                            partial.keys()
                        );
                    }
                }
            }
            vanish(backend);
            let again = open(&disk, &options(Durability::Process)).unwrap_or_else(|error| panic!("{context}: {error}"));
            assert!(records(&*again).unwrap() == all, "{context}: the cask itself");
            set(&*again, "a", &[put("goes", "on")]).unwrap();
            if !was_reached {
                break;
            }
        }
    }
    assert!(failures > 40, "{failures}");
}

#[test]
fn damage_in_what_is_copied_stops_a_backup_and_leaves_nothing() {
    let disk = Disk::default();
    let backend = with_copies(&disk, Durability::Process);
    flush(&*backend).unwrap();
    let name = disk.image().into_keys().find(|name| name.ends_with(".seg")).unwrap();
    for at in (0..disk.image()[&name].len()).step_by(7) {
        for hard_links in [false, true] {
            disk.change(&name, |bytes| bytes[at] ^= 0x20);
            let options = BackupOptions { hard_links, ..BackupOptions::default() };
            let error = backend.backup(Path::new(TARGET), &options).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Corrupt, "byte {at}");
            assert!(places::text(&error, "path").unwrap().ends_with(&name), "byte {at}: {error}");
            assert!(disk.folders().is_empty(), "byte {at}: {:?}", disk.folders());
            disk.change(&name, |bytes| bytes[at] ^= 0x20);
        }
    }
    disk.change(&name, |bytes| bytes.truncate(bytes.len() - 1));
    assert_eq!(back_up(&backend).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(disk.folders().is_empty());
}

#[test]
fn an_aborted_backup_leaves_nothing() {
    let disk = Disk::default();
    let backend = with_copies(&disk, Durability::Process);
    let asked = AtomicUsize::new(0);
    let options = BackupOptions { hard_links: false, cancel: Cancel(&|| asked.fetch_add(1, Ordering::AcqRel) == 1) };
    assert_eq!(backend.backup(Path::new(TARGET), &options).unwrap_err().kind(), ErrorKind::Aborted);
    assert!(disk.folders().is_empty());
    back_up(&backend).unwrap();
}

#[test]
fn a_target_where_something_is_stays_as_it_is() {
    let (_parent, path) = places::new_place();
    let handle = places::open(&path);
    set(places::backend(&handle), "a", &[put("k", "v")]).unwrap();
    let file = handle.file().unwrap();
    let place = |name: &str| path.with_file_name(name);
    let refused = |target: &Path| {
        let error = file.backup(target, &BackupOptions::default()).unwrap_err();
        assert_eq!((error.kind(), places::text(&error, "argument")), (ErrorKind::InvalidArgument, Some("target")), "{error}");
    };
    std::fs::create_dir(place("full")).unwrap();
    std::fs::write(place("full").join("x"), "x").unwrap();
    std::fs::write(place("file"), "x").unwrap();
    std::fs::create_dir(place("begun.partial")).unwrap();
    for name in ["full", "file", "begun", "named.partial"] {
        refused(&place(name));
    }
    refused(&path);
    std::fs::create_dir(place("empty")).unwrap();
    file.backup(&place("empty"), &BackupOptions::default()).unwrap();
    assert!(upkeep::verify(&place("empty"), &VerifyOptions::default()).unwrap().damages.is_empty());
    assert_eq!(std::fs::read(place("full").join("x")).unwrap(), b"x");
    handle.close().unwrap();
}

#[test]
fn a_folder_that_is_not_finished_is_refused_whatever_its_name_is() {
    let (_parent, path) = places::new_place();
    let handle = places::open(&path);
    set(places::backend(&handle), "a", &[put("k", "v")]).unwrap();
    let target = path.with_file_name("backup");
    handle.file().unwrap().backup(&target, &BackupOptions::default()).unwrap();
    handle.close().unwrap();
    let refused = |path: &Path| {
        let error = places::refusal(path);
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        assert!(error.message().contains("not finished"), "{error}");
        assert_eq!(upkeep::verify(path, &VerifyOptions::default()).unwrap_err().kind(), ErrorKind::InvalidArgument);
    };
    let partial = path.with_file_name("backup.partial");
    std::fs::rename(&target, &partial).unwrap();
    refused(&partial);
    std::fs::rename(&partial, &target).unwrap();
    std::fs::write(target.join("incomplete"), "").unwrap();
    refused(&target);
    std::fs::remove_file(target.join("incomplete")).unwrap();
    places::open(&target).close().unwrap();
}

#[cfg(unix)]
#[test]
fn copies_and_links_on_the_real_file_system_are_casks_that_go_their_own_way() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let (_parent, path) = places::new_place();
    std::fs::create_dir(&path).unwrap();
    let options = FileOptions { compacts: false, segment_bytes: 4096, ..FileOptions::default() };
    let backend = FileBackend::open(&path, Arc::new(OsFs), &options, None).unwrap();
    (0..60_u8).for_each(|n| set(&*backend, "a", &[put(&n.to_string(), [n; 300])]).unwrap());
    let all = records(&*backend).unwrap();
    for hard_links in [false, true] {
        let target = path.with_file_name(format!("backup-{hard_links}"));
        let report = backend.backup(&target, &BackupOptions { hard_links, ..BackupOptions::default() }).unwrap();
        let files: Vec<_> = std::fs::read_dir(&target).unwrap().map(|entry| entry.unwrap()).collect();
        let segments: Vec<_> = files.iter().filter(|file| file.file_name().to_string_lossy().ends_with(".seg")).collect();
        assert!(segments.len() > 3 && segments.len() == report.linked + report.cloned + report.copied);
        assert_eq!(report.linked == segments.len(), hard_links);
        assert!(segments.iter().all(|file| (file.metadata().unwrap().nlink() > 1) == hard_links));
        assert!(files.iter().all(|file| file.metadata().unwrap().permissions().mode() & 0o777 == 0o600));
        assert_eq!(std::fs::metadata(&target).unwrap().permissions().mode() & 0o777, 0o700);
        let handle = places::open(&target);
        assert!(records(places::backend(&handle)).unwrap() == all);
        set(places::backend(&handle), "a", &[Change::Drop, put("own", "way")]).unwrap();
        handle.file().unwrap().compact_all().unwrap();
        handle.close().unwrap();
    }
    assert!(records(&*backend).unwrap() == all);
    backend.close().unwrap();
    assert!(upkeep::verify(&path, &VerifyOptions::default()).unwrap().damages.is_empty());
}

#[test]
fn a_folder_that_is_open_is_not_verified_and_one_that_is_verified_is_not_opened() {
    let (_parent, path) = places::new_place();
    let handle = places::open(&path);
    set(places::backend(&handle), "a", &[put("k", "v")]).unwrap();
    let error = upkeep::verify(&path, &VerifyOptions::default()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(error.message().contains("make a backup and look at that"), "{error}");
    handle.close().unwrap();
    let hold = baileys_cask::backend::file::folder::Folder::hold_shared(&path).unwrap();
    assert_eq!(upkeep::verify(&path, &VerifyOptions::default()).unwrap().accounts["a"].records, 1, "two may look at once");
    assert_eq!(places::refusal(&path).kind(), ErrorKind::Locked);
    drop(hold);
    places::open(&path).close().unwrap();
    assert_eq!(
        upkeep::verify(&path.with_file_name("nothing"), &VerifyOptions::default()).unwrap_err().kind(),
        ErrorKind::InvalidArgument
    );
    assert!(!path.with_file_name("nothing").exists());
}

// Only a sync that has something to say is one of the events that a crash is put between.
#[test]
fn the_files_of_a_backup_are_on_disk_before_its_name_is() {
    let disk = Disk::default();
    let backend = with_copies(&disk, Durability::Process);
    back_up(&backend).unwrap();
    let events = disk.events();
    let renamed = events.iter().position(|event| matches!(event, Event::RenameFolder { .. })).unwrap();
    let unmarked =
        events.iter().position(|event| matches!(event, Event::Remove { name } if name.ends_with("incomplete"))).unwrap();
    assert!(unmarked < renamed);
    let is_sync = |event: &Event| matches!(event, Event::SyncOther { label } if !label.is_empty());
    assert!(events[..unmarked].iter().rev().take(2).any(is_sync) && events[unmarked..renamed].iter().any(is_sync));
    assert!(matches!(events.last(), Some(Event::SyncOther { label }) if label.is_empty()));
}
