//! Casks in which a call of the file system failed.

use std::sync::Arc;

use baileys_cask::backend::Backend;
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};

use super::disk::{Call, Disk, EIO, ENOSPC, Event, Fault, Kind};
use super::drive::{flush, open, options, records, set, vanish};
use super::model::{Change, Changes, Records, creds, delete, put};

pub const LEVELS: [Durability; 2] = [Durability::Process, Durability::Power];
pub const OTHER_BOOT: [u8; 16] = [2; 16];

pub fn after_reboot(durability: Durability) -> FileOptions {
    FileOptions { boot_id: OTHER_BOOT, ..options(durability) }
}

/// Fails the first call that fits, once.
pub fn once(fault: Fault, fits: impl Fn(&Call) -> bool + Send + 'static) -> impl FnMut(&Call) -> Option<Fault> + Send {
    let mut armed = true;
    move |call| (armed && fits(call)).then(|| std::mem::take(&mut armed)).map(|_| fault)
}

pub fn old_state(disk: &Disk, durability: Durability) -> (Arc<FileBackend>, Records) {
    let backend = open(disk, &options(durability)).unwrap();
    set(&*backend, "a", &[put("k1", "old"), creds("me")]).unwrap();
    set(&*backend, "a", &[put("k2", [1; 300])]).unwrap();
    set(&*backend, "b", &[put("k1", "other")]).unwrap();
    let old = records(&*backend).unwrap();
    (backend, old)
}

pub fn new_batch() -> [Change; 3] {
    [put("k1", "new"), delete("k2"), put("k3", [2; 200])]
}

pub fn with_new(old: &Records) -> Records {
    let mut new = old.clone();
    Changes::new("a", new_batch()).apply(&mut new);
    new
}

pub fn is_sync(call: &Call) -> bool {
    call.kind == Kind::Sync
}

/// Where a cask has a segment without frames, as a write that fails right after the header leaves one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Empty {
    Nowhere,
    /// Between two with frames that are on disk.
    Between,
    /// Named by the manifest, and followed by frames that no sync has seen.
    Last,
}

pub const EMPTIES: [Empty; 3] = [Empty::Nowhere, Empty::Between, Empty::Last];

/// A cask in which a sync failed: events so far, the records that were acknowledged.
pub fn poisoned(level: Durability, empty: Empty) -> (Vec<Event>, Records) {
    let disk = Disk::default();
    let (mut backend, _) = old_state(&disk, level);
    flush(&*backend).unwrap();
    if empty != Empty::Nowhere {
        set(&*backend, "a", &[put("fill", [3; 500])]).unwrap();
        let mut writes = 0;
        disk.fail(move |call| {
            writes += usize::from(call.kind == Kind::Write);
            (call.kind == Kind::Write && writes == 2).then_some(Fault::Errno(ENOSPC))
        });
        set(&*backend, "a", &[put("fill", [4; 500])]).unwrap_err();
        disk.heal();
    }
    if empty == Empty::Between {
        set(&*backend, "a", &[put("fill", [5; 500])]).unwrap();
        flush(&*backend).unwrap();
    } else if empty == Empty::Last {
        backend.close().unwrap();
        vanish(backend);
        backend = open(&disk, &options(level)).unwrap();
    }
    let unsynced: Vec<[Change; 2]> = (0..4_u8).map(|n| [put("k4", vec![n; 400]), put(&n.to_string(), "x")]).collect();
    if level == Durability::Process {
        for changes in &unsynced {
            set(&*backend, "a", changes).unwrap();
        }
    }
    disk.fail(once(Fault::Errno(EIO), is_sync));
    match level {
        Durability::Power => set(&*backend, "a", &unsynced[0]).unwrap_err(),
        Durability::Process => flush(&*backend).unwrap_err(),
    };
    let acknowledged = records(&*backend).unwrap();
    disk.heal();
    vanish(backend);
    (disk.events(), acknowledged)
}
