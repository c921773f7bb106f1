//! Syncs that fail: what is on disk is uncertain from then on, until the log is opened again.

use baileys_cask::ErrorKind;
use baileys_cask::backend::file::Durability;

use crate::common::disk::{Disk, EIO, EMFILE, Fault, Image, Kind};
use crate::common::drive::{self, flush, open, options, records, set, vanish};
use crate::common::faulty::{EMPTIES, LEVELS, after_reboot, is_sync, new_batch, old_state, once, poisoned};
use crate::common::loss::{Loss, after_power_loss};
use crate::common::model::put;

#[test]
fn a_failed_sync_poisons_and_reads_go_on() {
    for level in LEVELS {
        let disk = Disk::default();
        let (backend, old) = old_state(&disk, level);
        disk.fail(once(Fault::Errno(EIO), is_sync));
        let error = match level {
            Durability::Power => set(&*backend, "a", &new_batch()).unwrap_err(),
            Durability::Process => flush(&*backend).unwrap_err(),
        };
        assert_eq!(error.kind(), ErrorKind::Poisoned);
        let again = set(&*backend, "a", &new_batch()).unwrap_err();
        assert_eq!(again.kind(), ErrorKind::Poisoned);
        assert_eq!(flush(&*backend).unwrap_err().kind(), ErrorKind::Poisoned);
        assert_eq!(records(&*backend).unwrap(), old, "{level:?}: the old state is readable");
        assert!(disk.image().contains_key("poisoned"), "{level:?}: the next open is warned");
    }
}

#[test]
fn a_failed_folder_sync_poisons_too() {
    for level in LEVELS {
        let disk = Disk::default();
        let backend = open(&disk, &options(level)).unwrap();
        disk.fail(once(Fault::Errno(EIO), |call| call.kind == Kind::SyncFolder));
        let outcome = set(&*backend, "a", &[put("k", "v")]).and_then(|()| flush(&*backend));
        assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Poisoned);
    }
}

// The kernel may have marked the lost pages clean: they read back well until the power goes.
#[test]
fn reopening_after_a_failed_sync_writes_the_frames_again_and_syncs_them() {
    for empty in EMPTIES {
        let (events, acknowledged) = poisoned(Durability::Process, empty);
        let disk = Disk::resume(&Image::new(), &events);
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        assert_eq!(records(&*backend).unwrap(), acknowledged);
        assert!(!disk.image().contains_key("poisoned"), "the marker is gone");
        vanish(backend);
        for seed in 0..8 {
            for loss in Loss::variety(seed) {
                let lost = after_power_loss(&Image::new(), &disk.events(), loss.clone());
                let rebooted = open(&Disk::new(&lost), &after_reboot(Durability::Process))
                    .unwrap_or_else(|error| panic!("empty segment {empty:?}, {loss:?}: {error}"));
                assert_eq!(records(&*rebooted).unwrap(), acknowledged, "empty segment {empty:?}, {loss:?}");
            }
        }
        let again = open(&disk, &options(Durability::Process)).unwrap();
        assert_eq!(records(&*again).unwrap(), acknowledged, "empty segment {empty:?}, opened twice");
    }
}

// Writing the frames again cuts them off where they were; a kill in between must find them in one place or the other.
#[test]
fn a_crash_while_the_frames_are_written_again_loses_none_of_them() {
    for level in LEVELS {
        for empty in EMPTIES {
            let (events, acknowledged) = poisoned(level, empty);
            let disk = Disk::resume(&Image::new(), &events);
            vanish(open(&disk, &options(level)).unwrap());
            let all = disk.events();
            for cut in events.len()..=all.len() {
                let context =
                    format!("{level:?}, empty segment {empty:?}, cut at {} of {}", cut - events.len(), all.len() - events.len());
                let killed = Disk::resume(&Image::new(), &all[..cut]);
                let backend = open(&killed, &options(level)).unwrap_or_else(|error| panic!("{context}: {error}"));
                let found = records(&*backend).unwrap();
                if level == Durability::Process {
                    assert_eq!(found, acknowledged, "{context}");
                } else {
                    assert!(acknowledged.iter().all(|(account, _)| found.contains_key(account)), "{context}");
                }
                // And what the second open has written again is safe.
                let lost = after_power_loss(&Image::new(), &killed.events(), Loss::All);
                let rebooted = open(&Disk::new(&lost), &after_reboot(level)).unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(records(&*rebooted).unwrap(), found, "{context}, then a loss of power");
                // A loss of power in the middle may cost what was never synced, and no more.
                for loss in Loss::variety(cut as u64) {
                    let lost = after_power_loss(&Image::new(), &all[..cut], loss.clone());
                    let rebooted = open(&Disk::new(&lost), &after_reboot(level))
                        .unwrap_or_else(|error| panic!("{context}, {loss:?}: {error}"));
                    assert_eq!(drive::get(&*rebooted, "a", b"\x02k1").unwrap(), Some(b"old".to_vec()), "{context}, {loss:?}");
                }
            }
        }
    }
}

#[test]
fn a_marker_that_cannot_be_looked_at_is_not_taken_for_none() {
    let disk = Disk::default();
    let backend = open(&disk, &options(Durability::Process)).unwrap();
    set(&*backend, "a", &[put("k1", "on disk")]).unwrap();
    flush(&*backend).unwrap();
    set(&*backend, "a", &[put("k2", "in the cache only")]).unwrap();
    disk.fail(once(Fault::Errno(EIO), is_sync));
    assert_eq!(flush(&*backend).unwrap_err().kind(), ErrorKind::Poisoned);
    vanish(backend);
    // The process is at its limit of descriptors for a moment.
    disk.fail(once(Fault::Errno(EMFILE), |call| call.kind == Kind::Open && call.name == "poisoned"));
    let backend = match open(&disk, &options(Durability::Process)) {
        Ok(backend) => backend,
        Err(error) => return assert_eq!(error.kind(), ErrorKind::Io),
    };
    let promised = records(&*backend).unwrap();
    flush(&*backend).unwrap();
    vanish(backend);
    let image = after_power_loss(&Image::new(), &disk.events(), Loss::All);
    let backend = open(&Disk::new(&image), &after_reboot(Durability::Process)).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(records(&*backend).unwrap(), promised);
}

#[test]
fn a_process_without_a_free_descriptor_has_not_failed_to_sync_what_a_killed_one_has_left() {
    for level in LEVELS {
        let disk = Disk::default();
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        set(&*backend, "a", &[put("k1", "v")]).unwrap();
        vanish(backend);
        let backend = open(&disk, &options(level)).unwrap();
        disk.fail(once(Fault::Errno(EMFILE), |call| call.kind == Kind::Open && call.name.ends_with(".seg")));
        let outcome = if level == Durability::Process { flush(&*backend) } else { set(&*backend, "a", &[put("k2", "v")]) };
        println!("{level:?}: {outcome:?}, marker {}", disk.image().contains_key("poisoned"));
        disk.heal();
        set(&*backend, "a", &[put("k3", "v")]).unwrap_or_else(|error| panic!("{level:?}: {error}"));
    }
}

#[test]
fn a_compaction_that_finds_no_free_descriptor_has_not_failed_to_sync() {
    let disk = Disk::default();
    let backend = open(&disk, &options(Durability::Process)).unwrap();
    for n in 0..12_u8 {
        set(&*backend, "a", &[put("k1", vec![n; 300])]).unwrap();
    }
    set(&*backend, "b", &[put("k2", vec![1; 900])]).unwrap();
    vanish(backend);
    let backend = open(&disk, &options(Durability::Process)).unwrap();
    // The first ones are those that are copied.
    let from = disk.calls().len();
    let mut synced = false;
    disk.fail(move |call| {
        synced |= call.kind == Kind::SyncFolder;
        (call.number >= from && synced && call.kind == Kind::Open && call.name.ends_with(".seg")).then_some(Fault::Errno(EMFILE))
    });
    let outcome = backend.compact_once();
    println!("{outcome:?}, marker {}", disk.image().contains_key("poisoned"));
    disk.heal();
    set(&*backend, "a", &[put("k3", "v")]).unwrap_or_else(|error| panic!("{error}"));
}
