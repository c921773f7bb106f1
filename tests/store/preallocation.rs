//! Segments that are filled with zeros before the log gets there.

use std::sync::Arc;

use baileys_cask::backend::Backend;
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions, RecoveryReport, SEGMENT_BYTES};

use crate::common::disk::{Disk, EIO, ENOSPC, Event, Fault, Image, Kind, preallocated};
use crate::common::drive::{BOOT, apply, flush, open, options, records, set, start, vanish};
use crate::common::faulty::{OTHER_BOOT, after_reboot, once};
use crate::common::loss::{Loss, after_kill, after_power_loss};
use crate::common::model::{Changes, Records, put};
use crate::common::workload::{Run, everything, preallocating};

const EOPNOTSUPP: i32 = 95;
const SEGMENT: usize = 4096;

fn power() -> FileOptions {
    FileOptions { segment_bytes: SEGMENT as u64, ..options(Durability::Power) }
}

fn batch(number: usize) -> Changes {
    Changes::new("a", [put(&(number % 3).to_string(), vec![number as u8; 200]), put("last", number.to_le_bytes())])
}

/// Sets so many batches, with zeros added after each.
fn write(backend: &FileBackend, numbers: std::ops::Range<usize>, model: &mut Records) {
    for number in numbers {
        apply(backend, &batch(number)).unwrap();
        batch(number).apply(model);
        backend.preallocate();
    }
}

fn zeros_at_the_end(bytes: &[u8]) -> usize {
    // A frame may end in some zeros of its own.
    Some(bytes.iter().rev().take_while(|byte| **byte == 0).count()).filter(|count| *count > 16).unwrap_or(0)
}

fn zeros(image: &Image) -> usize {
    image.iter().filter(|(name, _)| name.ends_with(".seg")).map(|(_, bytes)| zeros_at_the_end(bytes)).sum()
}

fn is_open(disk: &Disk, boot_id: [u8; 16], model: &Records, context: &str) -> Arc<FileBackend> {
    let backend = open(disk, &FileOptions { boot_id, ..power() }).unwrap_or_else(|error| panic!("{context}: {error}"));
    assert!(records(&*backend).unwrap() == *model, "{context}: not what was acknowledged");
    assert_eq!(*backend.report(), RecoveryReport::default(), "{context}");
    backend
}

#[test]
fn the_log_goes_from_one_preallocated_segment_to_the_next() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    let mut model = Records::new();
    write(&backend, 0..60, &mut model);
    let events = disk.events();
    let files = preallocated(&events);
    assert!(files.values().filter(|(_, became)| *became).count() >= 4, "{files:?}");
    // From the second segment on, no frame makes a file longer.
    let second = *files.keys().next().unwrap();
    for event in &events {
        if let Event::Write { file, offset, bytes } = event
            && *file >= second
            && bytes.iter().any(|byte| *byte != 0)
            && let Some((len, _)) = files.get(file)
        {
            assert!(offset + bytes.len() <= *len, "file {file} of {len} zeros: {} at {offset}", bytes.len());
        }
    }
    assert_eq!(records(&*backend).unwrap(), model);
}

// What is not on disk as zeros is no room: a sync would have to make it that.
#[test]
fn zeros_are_on_disk_before_the_log_gets_there() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    write(&backend, 0..60, &mut Records::new());
    let events = disk.events();
    for (file, _) in preallocated(&events).iter().filter(|(_, (_, became))| *became) {
        let of_file: Vec<&Event> = events
            .iter()
            .filter(|event| match event {
                Event::Write { file: found, .. } | Event::Sync { file: found } => found == file,
                _ => false,
            })
            .collect();
        let is_zeros = |event: &&Event| matches!(event, Event::Write { bytes, .. } if bytes.iter().all(|byte| *byte == 0));
        let last_zeros = of_file.iter().rposition(is_zeros).unwrap();
        assert!(matches!(of_file[last_zeros + 1], Event::Sync { .. }), "file {file}");
    }
}

// Recovery tells a file of zeros by what older segments say, so one of them has to be on disk first.
#[test]
fn nothing_is_preallocated_before_a_batch_is_on_disk() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    disk.close_gate();
    let first = start(&*backend, &batch(0));
    disk.wait_at_gate();
    disk.fail(|call| (call.kind == Kind::Create).then_some(Fault::Errno(EIO)));
    let before = disk.calls().len();
    backend.preallocate();
    assert_eq!(disk.calls().len(), before);
    disk.heal();
    disk.open_gate();
    first.wait().unwrap();
    backend.preallocate();
    assert!(!preallocated(&disk.events()).is_empty());
}

#[test]
fn there_is_never_more_than_a_segment_of_zeros() {
    let run = Run::new(power()).steps(&preallocating(everything().into_iter().cycle().take(60).collect()));
    let events = run.disk.events();
    let most = (0..=events.len()).map(|cut| zeros(&after_kill(&Image::new(), &events[..cut]))).max().unwrap();
    assert!((SEGMENT / 2..=SEGMENT).contains(&most), "{most}");
}

#[test]
fn who_writes_little_pays_for_little() {
    let disk = Disk::default();
    let backend = open(&disk, &FileOptions { segment_bytes: SEGMENT_BYTES, ..power() }).unwrap();
    let value = vec![7; 2000];
    let mut most = 0;
    for number in 0..200_usize {
        set(&*backend, "a", &[put(&number.to_string(), &value)]).unwrap();
        backend.preallocate();
        let zeros = zeros(&disk.image());
        assert!(number > 10 || zeros == 0, "{zeros} after {number} batches");
        assert!(zeros <= 4 * 2100 * (number + 1), "{zeros} after {number} batches");
        most = most.max(zeros);
    }
    assert!(most >= 1_000_000, "{most}");
}

#[test]
fn closing_leaves_no_zeros_behind() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    let mut model = Records::new();
    write(&backend, 0..30, &mut model);
    assert!(zeros(&disk.image()) > SEGMENT / 2);
    backend.close().unwrap();
    vanish(backend);
    assert_eq!(zeros(&disk.image()), 0);
    let closed = disk.image();
    is_open(&disk, BOOT, &model, "after closing");
    // Nor after a loss of power, whatever it does to what was not synced.
    for loss in (0..8).flat_map(Loss::variety) {
        let lost = Disk::new(&after_power_loss(&Image::new(), &disk.events(), loss));
        is_open(&lost, OTHER_BOOT, &model, "after closing and a loss of power").close().unwrap();
        assert_eq!(zeros(&lost.image()), 0);
    }
    assert_eq!(closed.keys().filter(|name| name.ends_with(".seg")).count(), closed.len() - 1, "{:?}", closed.keys());
}

#[test]
fn opening_after_a_kill_gives_the_zeros_back() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    let mut model = Records::new();
    write(&backend, 0..30, &mut model);
    vanish(backend);
    assert!(zeros(&disk.image()) > SEGMENT / 2);
    let before = disk.calls().len();
    let backend = is_open(&disk, BOOT, &model, "after a kill");
    assert_eq!(zeros(&disk.image()), 0);
    // Nothing was cut off, so nothing has to be said about it.
    let kinds: Vec<Kind> = disk.calls()[before..].iter().map(|call| call.kind).collect();
    assert!(!kinds.contains(&Kind::Create) && !kinds.contains(&Kind::Write), "{kinds:?}");
    write(&backend, 30..60, &mut model);
    vanish(backend);
    is_open(&disk, BOOT, &model, "after another kill");
}

#[test]
fn only_power_preallocates() {
    let disk = Disk::default();
    let backend = open(&disk, &FileOptions { preallocates: true, ..options(Durability::Process) }).unwrap();
    for number in 0..20 {
        apply(&*backend, &batch(number)).unwrap();
        flush(&*backend).unwrap();
        backend.preallocate();
    }
    backend.close().unwrap();
    assert_eq!(preallocated(&disk.events()).len(), 0);
}

#[test]
fn zeros_are_added_in_the_background() {
    let disk = Disk::default();
    let backend = open(&disk, &FileOptions { preallocates: true, ..power() }).unwrap();
    (0..5).for_each(|number| apply(&*backend, &batch(number)).unwrap());
    disk.wait_until("preallocation", |events| !preallocated(events).is_empty());
    backend.close().unwrap();
    vanish(backend);
    assert_eq!(zeros(&disk.image()), 0);
}

/// Positions in the calls of a run that were made to preallocate.
fn calls_of_preallocation() -> Vec<usize> {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    let mut positions = Vec::new();
    for number in 0..30 {
        apply(&*backend, &batch(number)).unwrap();
        let from = disk.calls().len();
        backend.preallocate();
        positions.extend(from..disk.calls().len());
    }
    positions
}

#[test]
fn a_failure_while_preallocating_is_nobodys_error() {
    let positions = calls_of_preallocation();
    let faults =
        [Fault::Errno(ENOSPC), Fault::Errno(EIO), Fault::Errno(EOPNOTSUPP), Fault::Short(100), Fault::TornWrite(100, ENOSPC)];
    assert!(positions.len() > 30, "{positions:?}");
    for failing in positions {
        for fault in faults {
            let context = format!("call {failing}, {fault:?}");
            let disk = Disk::default();
            let backend = open(&disk, &power()).unwrap();
            let mut model = Records::new();
            disk.fail(move |call| (call.number == failing).then_some(fault));
            write(&backend, 0..30, &mut model);
            assert_eq!(records(&*backend).unwrap(), model, "{context}");
            if failing % 2 == 0 {
                backend.close().unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(zeros(&disk.image()), 0, "{context}");
            }
            vanish(backend);
            is_open(&Disk::new(&disk.image()), BOOT, &model, &context);
            for loss in [Loss::All, Loss::NamesOnly] {
                is_open(&Disk::new(&after_power_loss(&Image::new(), &disk.events(), loss)), OTHER_BOOT, &model, &context);
            }
        }
    }
}

// A batch that finds no room because of zeros would be refused for nothing.
#[test]
fn nothing_is_preallocated_where_there_is_little_room() {
    let disk = Disk::default();
    disk.say_free(7 * 1024);
    let backend = open(&disk, &power()).unwrap();
    let mut model = Records::new();
    write(&backend, 0..20, &mut model);
    assert_eq!(preallocated(&disk.events()).len(), 0);
    disk.say_free(1 << 30);
    write(&backend, 20..40, &mut model);
    assert!(!preallocated(&disk.events()).is_empty());
    assert_eq!(records(&*backend).unwrap(), model);
}

// A full disk stays full for a while: asking again with every batch would cost each of them.
#[test]
fn after_a_failure_nothing_is_preallocated_for_a_segments_length() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    let mut model = Records::new();
    write(&backend, 0..3, &mut model);
    disk.fail(|call| (call.kind == Kind::Create).then_some(Fault::Errno(ENOSPC)));
    let mut tries = Vec::new();
    for number in 3..40 {
        disk.heal();
        apply(&*backend, &batch(number)).unwrap();
        disk.fail(|call| matches!(call.kind, Kind::Create | Kind::Write).then_some(Fault::Errno(ENOSPC)));
        let from = disk.calls().len();
        backend.preallocate();
        if disk.calls().len() > from {
            tries.push(number);
        }
    }
    let bytes = 37 * 360;
    assert!((1..=1 + bytes / SEGMENT).contains(&tries.len()), "{tries:?}");
    disk.heal();
    let before = preallocated(&disk.events()).len();
    write(&backend, 40..60, &mut model);
    assert!(preallocated(&disk.events()).len() > before, "room is there again");
}

// Every way in which the file that becomes a segment can fail to do so: another file does.
#[test]
fn a_preallocated_file_that_cannot_become_a_segment_is_left_out() {
    for fault in [Fault::Errno(EIO), Fault::TornWrite(100, ENOSPC), Fault::DoneButFailed(EIO)] {
        for stays in [false, true] {
            let context = format!("{fault:?}, cannot be removed: {stays}");
            let disk = Disk::default();
            let backend = open(&disk, &power()).unwrap();
            let mut model = Records::new();
            write(&backend, 0..4, &mut model);
            let files = preallocated(&disk.events());
            let image = disk.image();
            let spare = image.iter().find(|(_, bytes)| bytes.iter().all(|byte| *byte == 0)).unwrap().0.clone();
            assert!(!files.is_empty());
            let mut header = once(fault, {
                let spare = spare.clone();
                move |call| call.kind == Kind::Write && call.name == spare
            });
            disk.fail(move |call| {
                let keeps = stays && call.kind == Kind::Remove && call.name == spare;
                if keeps { Some(Fault::Errno(EIO)) } else { header(call) }
            });
            for number in 4..30 {
                apply(&*backend, &batch(number)).unwrap_or_else(|error| panic!("{context}: {error}"));
                batch(number).apply(&mut model);
            }
            disk.heal();
            write(&backend, 30..50, &mut model);
            vanish(backend);
            for (image, boot_id) in
                [(disk.image(), BOOT), (after_power_loss(&Image::new(), &disk.events(), Loss::All), OTHER_BOOT)]
            {
                let again =
                    open(&Disk::new(&image), &FileOptions { boot_id, ..power() }).unwrap_or_else(|e| panic!("{context}: {e}"));
                assert!(records(&*again).unwrap() == model, "{context}");
            }
        }
    }
}

#[test]
fn segments_that_cannot_be_trimmed_are_whole_all_the_same() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    let mut model = Records::new();
    disk.fail(|call| (call.kind == Kind::SetLen).then_some(Fault::Errno(EIO)));
    write(&backend, 0..40, &mut model);
    backend.close().unwrap();
    vanish(backend);
    assert!(zeros(&disk.image()) > 0);
    let backend = is_open(&disk, BOOT, &model, "zeros stay");
    disk.heal();
    write(&backend, 40..45, &mut model);
    vanish(backend);
    is_open(&disk, BOOT, &model, "trimmed at last").close().unwrap();
    assert_eq!(zeros(&disk.image()), 0);
}

// Numbers grow along the log. A file that was not ready in time cannot follow a segment with a greater number.
#[test]
fn a_preallocated_file_that_the_log_has_overtaken_never_becomes_a_segment() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    let mut model = Records::new();
    apply(&*backend, &batch(0)).unwrap();
    batch(0).apply(&mut model);
    disk.close_gate();
    let adding = std::thread::spawn({
        let backend = Arc::clone(&backend);
        move || backend.preallocate()
    });
    disk.wait_at_gate();
    let segments = |events: &[Event]| events.iter().filter(|event| matches!(event, Event::Create { .. })).count();
    let before = segments(&disk.events());
    // A write that cannot be taken back: the next segment is started on the spot, and its header waits for the disk.
    let mut torn = once(Fault::DoneButFailed(EIO), |call| call.kind == Kind::Write);
    disk.fail(move |call| if call.kind == Kind::SetLen { Some(Fault::Errno(EIO)) } else { torn(call) });
    let failing = start(&*backend, &batch(1));
    disk.wait_until("another segment", |events| segments(events) > before);
    disk.open_gate();
    failing.wait().unwrap_err();
    adding.join().unwrap();
    disk.heal();
    write(&backend, 2..40, &mut model);
    assert!(preallocated(&disk.events()).values().filter(|(_, became)| *became).count() > 1);
    vanish(backend);
    let again = open(&disk, &power()).unwrap();
    assert_eq!(records(&*again).unwrap(), model);
    vanish(again);
    let lost = Disk::new(&after_power_loss(&Image::new(), &disk.events(), Loss::All));
    assert_eq!(records(&*open(&lost, &after_reboot(Durability::Power)).unwrap()).unwrap(), model);
}

// Otherwise zeros would come to lie over frames.
#[test]
fn the_log_does_not_go_to_a_file_that_is_being_filled() {
    let mut fits = 0;
    for count in 4..30 {
        let disk = Disk::default();
        let backend = open(&disk, &power()).unwrap();
        let mut model = Records::new();
        write(&backend, 0..count, &mut model);
        for number in count..count + 2 {
            apply(&*backend, &batch(number)).unwrap();
            batch(number).apply(&mut model);
        }
        let before = disk.events().len();
        disk.close_gate();
        let filling = std::thread::spawn({
            let backend = Arc::clone(&backend);
            move || backend.preallocate()
        });
        disk.wait_at_gate();
        let large = Changes::new("a", [put("large", vec![9; 1000])]);
        let waiting = start(&*backend, &large);
        let is_frame = |event: &Event| matches!(event, Event::Write { bytes, .. } if bytes.iter().any(|byte| *byte != 0));
        disk.wait_until("the write of a batch", |events| events[before..].iter().any(is_frame));
        let files = preallocated(&disk.events());
        fits += usize::from(files.values().any(|(len, became)| !became && *len > 2000));
        disk.open_gate();
        waiting.wait().unwrap();
        filling.join().unwrap();
        large.apply(&mut model);
        let mut filled = None;
        for event in &disk.events()[before..] {
            match event {
                Event::Write { file, bytes, .. } if bytes.iter().all(|byte| *byte == 0) => filled = Some(*file),
                Event::Write { file, .. } => assert!(filled != Some(*file), "after {count} batches: file {file} is being filled"),
                Event::Sync { file } if filled == Some(*file) => filled = None,
                _ => {}
            }
        }
        write(&backend, count..count + 10, &mut model);
        vanish(backend);
        is_open(&disk, BOOT, &model, &format!("after {count} batches"));
    }
    assert!(fits > 5, "{fits}");
}

// Bytes among the zeros are no frames, and not nothing either.
#[test]
fn a_changed_byte_among_the_zeros_is_reported() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    let mut model = Records::new();
    write(&backend, 0..31, &mut model);
    vanish(backend);
    let image = disk.image();
    let mut changed = 0;
    for (name, bytes) in image.iter().filter(|(name, bytes)| name.ends_with(".seg") && zeros_at_the_end(bytes) > 0) {
        for at in (bytes.len() - zeros_at_the_end(bytes) + 16..bytes.len()).step_by(7) {
            for boot_id in [BOOT, OTHER_BOOT] {
                let mut image = image.clone();
                image.get_mut(name).unwrap()[at] = 0x20;
                let backend = open(&Disk::new(&image), &FileOptions { boot_id, ..power() }).unwrap();
                assert_eq!(records(&*backend).unwrap(), model, "{name}, {at}");
                assert!(backend.report().cut_bytes > 0, "{name}, {at}");
                changed += 1;
            }
        }
    }
    assert!(changed > 100, "{changed}");
}

// What stands in for a torn frame's bytes are zeros now, and frames may follow: the rules for damage are the same.
#[test]
fn a_frame_lost_among_frames_is_damage_under_the_same_boot() {
    let disk = Disk::default();
    let backend = open(&disk, &power()).unwrap();
    let mut model = Records::new();
    write(&backend, 0..28, &mut model);
    vanish(backend);
    let events = disk.events();
    let files = preallocated(&events);
    let frames: Vec<(usize, usize, usize)> = events
        .iter()
        .filter_map(|event| match event {
            Event::Write { file, offset, bytes } if bytes.len() > 256 && files.get(file).is_some_and(|(_, became)| *became) => {
                Some((*file, *offset, bytes.len())).filter(|_| bytes.iter().any(|byte| *byte != 0))
            }
            _ => None,
        })
        .collect();
    let (last_file, ..) = *frames.last().unwrap();
    let of_last: Vec<_> = frames.iter().filter(|(file, ..)| *file == last_file).collect();
    assert!(of_last.len() > 2, "{frames:?}");
    let name = events
        .iter()
        .find_map(|event| match event {
            Event::Create { file, name } if *file == last_file => Some(name.clone()),
            _ => None,
        })
        .unwrap();
    for (_, offset, len) in &of_last[..of_last.len() - 1] {
        let mut image = disk.image();
        image.get_mut(&name).unwrap()[*offset..offset + len].fill(0);
        open(&Disk::new(&image), &power()).unwrap_err();
    }
    // The last one may be torn, and then it is cut off.
    let (_, offset, len) = of_last[of_last.len() - 1];
    let mut image = disk.image();
    image.get_mut(&name).unwrap()[*offset..offset + len / 2].fill(0);
    let backend = open(&Disk::new(&image), &power()).unwrap();
    let cut = backend.report().cut_bytes;
    assert!((*len as u64 - 16..=*len as u64).contains(&cut), "{cut} of {len}: zeros behind it are none of it");
}
