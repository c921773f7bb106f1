//! Segments are gone along a piece at a time: whatever lies across the end of a piece is found, and memory is that of a piece.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod common;
// Not among what all tests share: it counts for the whole binary.
#[path = "common/allocation.rs"]
mod allocation;

use std::path::Path;
use std::sync::Arc;

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;
use baileys_cask::backend::file::fs::{Fs, OsFs};
use baileys_cask::backend::file::verify::{VerifyOptions, verify};
use baileys_cask::backend::file::{BackupOptions, Durability, FileBackend, FileOptions};

use allocation::{HELD, LARGEST, MOST};
use common::disk::{Disk, overwrite};
use common::drive::{BOOT, FOLDER, open, options, records, set, vanish};
use common::loss::Chance;
use common::model::{Changes, Records, put};

/// The largest allocation that some work makes, and how much more it holds at its height than at its beginning.
fn memory_of<T>(work: impl FnOnce() -> T) -> (T, usize, usize) {
    let before = HELD.get();
    LARGEST.set(0);
    MOST.set(before);
    let outcome = work();
    (outcome, LARGEST.get(), usize::try_from(MOST.get() - before).unwrap())
}

const SEGMENT_BYTES: u64 = 4 << 20;

fn long(hint_from: u64) -> FileOptions {
    FileOptions { segment_bytes: SEGMENT_BYTES, hint_from, ..options(Durability::Process) }
}

/// Batches of all lengths, so that frames and chunks lie across the ends of pieces in many ways. A third of them is made void by others.
fn fill(backend: &dyn Backend) -> Records {
    let mut chance = Chance(7);
    let mut wanted = Records::new();
    for number in 0..700_usize {
        let length = match number % 50 {
            0 => 255 << 10,
            1 => (256 << 10) + chance.below(64),
            2 if number == 302 => 3 << 20,
            3 => 100 << 10,
            n if n % 2 == 0 => chance.below(200),
            _ => chance.below(20_000),
        };
        let value: Vec<u8> = (0..length).map(|at| (at * 31 + number) as u8).collect();
        let id = (number % 470).to_string();
        let batch = Changes::new("a", [put(&id, value), put(&format!("beside {id}"), number.to_string())]);
        set(backend, "a", &batch.changes).unwrap();
        batch.apply(&mut wanted);
    }
    wanted
}

#[test]
fn frames_that_lie_across_the_ends_of_pieces_are_found() {
    for hint_from in [0, u64::MAX] {
        let disk = Disk::default();
        let backend = open(&disk, &long(hint_from)).unwrap();
        let wanted = fill(&*backend);
        vanish(backend);
        let lengths: Vec<usize> = disk.image().iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, b)| b.len()).collect();
        assert!(lengths.len() > 3 && lengths.iter().any(|length| *length > 3 << 20), "{lengths:?}");

        // After a kill, where the manifest names nothing; after a close, by the manifest, and by hints.
        for _ in 0..3 {
            let backend = open(&disk, &long(hint_from)).unwrap();
            assert!(records(&*backend).unwrap() == wanted);
            backend.close().unwrap();
        }
        let backend = open(&disk, &long(hint_from)).unwrap();
        backend.backup(Path::new("/backup"), &BackupOptions::default()).unwrap();
        let done = backend.compact_all().unwrap();
        assert!(done.before > done.after + (1 << 20), "{done:?}");
        assert!(records(&*backend).unwrap() == wanted);
        vanish(backend);
        let backend = open(&disk, &long(hint_from)).unwrap();
        assert!(records(&*backend).unwrap() == wanted);
        backend.close().unwrap();

        let report =
            verify(Path::new(FOLDER), &(Arc::new(disk.clone()) as Arc<dyn Fs>), BOOT, &VerifyOptions::default()).unwrap();
        assert!(report.damages.is_empty() && report.frames > 400, "{report:?}");
        let copied = open(&Disk::new(&disk.image_of("backup").unwrap()), &long(hint_from)).unwrap();
        assert!(records(&*copied).unwrap() == wanted);
    }
}

#[test]
fn a_flipped_byte_far_behind_in_a_segment_is_told_of_with_its_frame() {
    let disk = Disk::default();
    let backend = open(&disk, &long(u64::MAX)).unwrap();
    fill(&*backend);
    backend.close().unwrap();
    let (name, whole) = disk.image().into_iter().find(|(name, bytes)| name.ends_with(".seg") && bytes.len() > 3 << 20).unwrap();
    for at in [(256 << 10) - 1, 256 << 10, (512 << 10) + 300, whole.len() - 40] {
        disk.change(&name, |bytes| overwrite(bytes, at, &[whole[at] ^ 1]));
        let error = open(&disk, &long(u64::MAX)).unwrap_err();
        let offset = error.number("offset").unwrap() as usize;
        assert_eq!(error.kind(), ErrorKind::Corrupt, "{error}");
        assert!(offset <= at && at - offset < 3 << 20, "byte {at}, {error}");
        disk.change(&name, |bytes| overwrite(bytes, at, &[whole[at]]));
    }
    open(&disk, &long(u64::MAX)).unwrap();
}

/// Two segments of 16 MiB with small records, half of which are made void.
fn write_small_records(folder: &Path, options: &FileOptions) -> Records {
    let backend = FileBackend::open(folder, Arc::new(OsFs), options, None).unwrap();
    let mut wanted = Records::new();
    for number in 0..2_500_usize {
        let first = (number - number % 2) * 100;
        let changes: Vec<_> = (first..first + 100).map(|n| put(&n.to_string(), format!("{number:0100}"))).collect();
        let batch = Changes::new("a", changes);
        set(&*backend, "a", &batch.changes).unwrap();
        batch.apply(&mut wanted);
    }
    vanish(backend);
    wanted
}

#[test]
fn no_segment_is_in_memory_as_a_whole() {
    /// What one record takes in the index, with its key.
    const RECORD: usize = 70;
    /// A few pieces.
    const PIECES: usize = 2 << 20;
    let options = FileOptions { segment_bytes: 16 << 20, ..long(u64::MAX) };
    let folder = tempfile::tempdir().unwrap();
    let wanted = write_small_records(folder.path(), &options);
    let index = wanted["a"].len() * RECORD;
    let open = |options: &FileOptions| FileBackend::open(folder.path(), Arc::new(OsFs), options, None).unwrap();
    let (backend, largest, most) = memory_of(|| open(&options));
    assert!(largest <= 1 << 20 && most <= index + PIECES, "opening: {largest} at once, {most} in all of {index}");
    let (done, largest, most) = memory_of(|| backend.compact_all().unwrap());
    assert!(done.before > 20 << 20 && done.after < done.before, "{done:?}");
    assert!(largest <= 1 << 20 && most <= PIECES, "compacting: {largest} at once, {most} in all");
    let target = folder.path().join("backup");
    let (_, largest, most) = memory_of(|| backend.backup(&target, &BackupOptions::default()).unwrap());
    assert!(largest <= 1 << 20 && most <= PIECES, "a backup: {largest} at once, {most} in all");
    assert!(records(&*backend).unwrap() == wanted);
    vanish(backend);
    // A hint takes memory for what it will hold, which is a part of its segment.
    let backend = open(&FileOptions { hint_from: 1, ..options });
    set(&*backend, "a", &[put("1", "x")]).unwrap();
    let (_, largest, most) = memory_of(|| backend.close().unwrap());
    assert!(largest <= 4 << 20 && most <= 10 << 20, "making hints: {largest} at once, {most} in all");
    let is_hint = |name: &str| name.ends_with(".hint");
    assert!(OsFs.list(folder.path()).unwrap().iter().any(|name| is_hint(name)));
}
