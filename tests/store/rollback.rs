//! The state file that tells an older copy of a cask.

use std::path::Path;
use std::time::{Duration, Instant};

use baileys_cask::backend::Backend;
use baileys_cask::backend::file::rollback::{Seen, note};
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};

use crate::common::disk::{Disk, PATIENCE};
use crate::common::drive::{open, options, set, vanish};
use crate::common::model::put;

const NEVER: Duration = Duration::from_secs(1 << 20);

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// What the state file says of the one cask in it.
fn seen(state: &Path) -> Seen {
    let text: serde_json::Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
    let cask = text["casks"].as_object().unwrap().values().next().unwrap().clone();
    Seen { generation: cask["generation"].as_u64().unwrap(), synced: cask["synced"].as_u64().unwrap() }
}

fn is_told(backend: &FileBackend, state: &Path) -> bool {
    let told = backend.guard_rollback(state, NEVER);
    assert!(told.iter().all(|text| text.contains("older copy")), "{told:?}");
    !told.is_empty()
}

#[test]
fn an_older_copy_is_told_of_and_what_is_newer_or_the_same_is_not() {
    let parent = folder();
    let state = parent.path().join("seen.json");
    let disk = Disk::default();
    let mut images = Vec::new();
    for round in 0..4_u8 {
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        assert!(!is_told(&backend, &state), "round {round}");
        (0..3_u8).for_each(|n| set(&*backend, "a", &[put(&n.to_string(), [round; 300])]).unwrap());
        backend.close().unwrap();
        images.push(disk.image());
    }
    for (number, image) in images.iter().enumerate() {
        for time in 0..2 {
            let backend = open(&Disk::new(image), &options(Durability::Process)).unwrap();
            assert_eq!(is_told(&backend, &state), number + 1 < images.len(), "copy {number}, time {time}");
            backend.close().unwrap();
        }
    }
}

#[test]
fn the_state_follows_a_cask_that_is_never_closed() {
    for level in [Durability::Process, Durability::Power] {
        let parent = folder();
        let state = parent.path().join("seen.json");
        let disk = Disk::default();
        let older = {
            let backend = open(&disk, &options(level)).unwrap();
            set(&*backend, "a", &[put("s", "old")]).unwrap();
            backend.close().unwrap();
            disk.image()
        };
        let backend = open(&disk, &FileOptions { sync_interval: Duration::ZERO, ..options(level) }).unwrap();
        assert!(backend.guard_rollback(&state, Duration::ZERO).is_empty());
        let before = seen(&state);
        set(&*backend, "a", &[put("s", "new")]).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while seen(&state).synced <= before.synced {
            assert!(Instant::now() < deadline, "{level:?}: the state file did not follow");
            std::thread::yield_now();
        }
        vanish(backend);
        let restored = open(&Disk::new(&older), &options(level)).unwrap();
        assert!(is_told(&restored, &state), "{level:?}");
        assert!(!is_told(&open(&disk, &options(level)).unwrap(), &state), "{level:?}: the cask itself");
    }
}

#[test]
fn many_threads_share_a_state_file_and_nothing_is_lost_or_goes_back() {
    const THREADS: u8 = 6;
    let parent = folder();
    let state = parent.path().join("seen.json");
    let at = |synced| Seen { generation: synced, synced };
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let state = &state;
            scope.spawn(move || {
                for round in 1..=8 {
                    note(state, [thread; 16], at(round)).unwrap();
                    note(state, [99; 16], at(round + u64::from(thread))).unwrap();
                }
            });
        }
    });
    for thread in 0..THREADS {
        assert_eq!(note(&state, [thread; 16], at(0)).unwrap(), Some(at(8)));
    }
    assert_eq!(note(&state, [99; 16], at(1)).unwrap(), Some(at(8 + u64::from(THREADS) - 1)));
    assert_eq!(note(&state, [99; 16], at(1)).unwrap(), Some(at(8 + u64::from(THREADS) - 1)), "a smaller one changes nothing");
}

#[test]
fn a_cask_opens_and_closes_though_somebody_has_stopped_with_the_lock_of_the_state_file() {
    let parent = folder();
    let state = parent.path().join("seen.json");
    let backend = open(&Disk::default(), &options(Durability::Process)).unwrap();
    assert!(!is_told(&backend, &state));
    set(&*backend, "a", &[put("k", "v")]).unwrap();
    let holder = std::fs::OpenOptions::new().write(true).open(parent.path().join("seen.json.lock")).unwrap();
    holder.lock().unwrap();
    backend.close().unwrap();
    let other = open(&Disk::default(), &options(Durability::Process)).unwrap();
    let told = other.guard_rollback(&state, NEVER);
    assert!(told.len() == 1 && told[0].contains("does not work"), "{told:?}");
}
