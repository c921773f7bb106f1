//! Calls of the file system that fail or do half of what they should.

use std::path::Path;

use baileys_cask::ErrorKind;
use baileys_cask::backend::Backend;
use baileys_cask::backend::file::fs::Fs;
use baileys_cask::backend::file::{Durability, FileOptions};

use crate::common::disk::{Disk, EIO, ENOSPC, Event, Fault, Image, Kind};
use crate::common::drive::{self, flush, get, open, options, records, set, start, vanish};
use crate::common::faulty::{Empty, LEVELS, OTHER_BOOT, after_reboot, is_sync, new_batch, old_state, once, poisoned, with_new};
use crate::common::loss::{Chance, Loss, after_kill, after_power_loss};
use crate::common::model::{Change, Changes, Records, creds, put, session};
use crate::common::workload::{Run, Step};

fn write_faults() -> impl Iterator<Item = Fault> {
    let torn = [0, 1, 31, 32, 40, 100, 1 << 20].into_iter().map(|count| Fault::TornWrite(count, ENOSPC));
    [Fault::Errno(EIO), Fault::Errno(ENOSPC), Fault::Short(0), Fault::DoneButFailed(EIO)].into_iter().chain(torn)
}

#[test]
fn a_batch_whose_write_fails_is_absent_now_and_after_reopening() {
    for level in LEVELS {
        for fault in write_faults() {
            let disk = Disk::default();
            let (backend, old) = old_state(&disk, level);
            disk.fail(once(fault, |call| call.kind == Kind::Write));
            let error = set(&*backend, "a", &new_batch()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Io, "{fault:?}");
            assert_eq!(records(&*backend).unwrap(), old, "{level:?} {fault:?}: now");
            vanish(backend);
            let killed = open(&Disk::new(&disk.image()), &options(level)).unwrap();
            assert_eq!(records(&*killed).unwrap(), old, "{level:?} {fault:?}: after a kill");
            let again = open(&disk, &options(level)).unwrap();
            set(&*again, "a", &new_batch()).unwrap();
            again.close().unwrap();
            let last = open(&disk, &after_reboot(level)).unwrap();
            assert_eq!(records(&*last).unwrap(), with_new(&old), "{level:?} {fault:?}: after another try");
        }
    }
}

// The bytes are there although the write failed, and cutting them off fails too.
#[test]
fn a_batch_that_cannot_be_taken_back_is_absent_all_the_same() {
    for level in LEVELS {
        let disk = Disk::default();
        let (backend, old) = old_state(&disk, level);
        set(&*backend, "a", &[put("k2", [1; 300])]).unwrap();
        let mut torn = once(Fault::DoneButFailed(EIO), |call| call.kind == Kind::Write);
        disk.fail(move |call| if call.kind == Kind::SetLen { Some(Fault::Errno(EIO)) } else { torn(call) });
        set(&*backend, "a", &new_batch()).unwrap_err();
        assert_eq!(records(&*backend).unwrap(), old, "{level:?}: now");
        vanish(backend);
        let killed = open(&Disk::new(&disk.image()), &options(level)).unwrap();
        assert_eq!(records(&*killed).unwrap(), old, "{level:?}: after a kill");
        for loss in (0..8).flat_map(Loss::variety) {
            let lost = after_power_loss(&Image::new(), &disk.events(), loss.clone());
            let rebooted = open(&Disk::new(&lost), &after_reboot(level)).unwrap();
            let found = drive::get(&*rebooted, "a", b"\x02k3").unwrap();
            assert_eq!(found, None, "{level:?}, {loss:?}");
        }
    }
}

// Until the next header is on disk, the bytes of the failed write may come back with the power.
#[test]
fn after_a_failed_write_the_next_header_is_on_disk_before_a_batch_counts_on_it() {
    let disk = Disk::default();
    let (backend, _) = old_state(&disk, Durability::Process);
    disk.fail(once(Fault::TornWrite(5, ENOSPC), |call| call.kind == Kind::Write));
    set(&*backend, "a", &[put("k1", "new")]).unwrap_err();
    let failed = disk.events().len();
    set(&*backend, "a", &[put("k1", "newer")]).unwrap();
    let kinds: Vec<&str> = disk.events()[failed..]
        .iter()
        .map(|event| match event {
            Event::Create { .. } => "create",
            Event::Write { .. } => "write",
            Event::Sync { .. } => "sync",
            Event::SyncFolder => "sync folder",
            _ => "other",
        })
        .collect();
    assert_eq!(kinds, ["create", "write", "sync", "sync folder", "write"]);
}

#[test]
fn work_goes_on_after_a_failed_write_in_every_segment() {
    for level in LEVELS {
        for failing in 0..40 {
            let disk = Disk::default();
            let backend = open(&disk, &options(level)).unwrap();
            let (mut model, mut writes) = (Records::new(), 0);
            disk.fail(move |call| {
                let is_write = call.kind == Kind::Write;
                writes += usize::from(is_write);
                (is_write && writes == failing + 1).then_some(Fault::TornWrite(50, ENOSPC))
            });
            for number in 0..12_u8 {
                let batch = Changes::new("a", [put(&(number % 4).to_string(), vec![number; 150]), put("last", [number])]);
                if drive::apply(&*backend, &batch).is_ok() {
                    batch.apply(&mut model);
                }
            }
            disk.heal();
            assert_eq!(records(&*backend).unwrap(), model, "{level:?}, write {failing}: now");
            if failing % 2 == 0 {
                backend.close().unwrap();
            }
            vanish(backend);
            let again = open(&disk, &options(level)).unwrap();
            assert_eq!(records(&*again).unwrap(), model, "{level:?}, write {failing}: after reopening");
            flush(&*again).unwrap();
            let lost = after_power_loss(&Image::new(), &disk.events(), Loss::All);
            let rebooted = open(&Disk::new(&lost), &after_reboot(level)).unwrap();
            assert_eq!(records(&*rebooted).unwrap(), model, "{level:?}, write {failing}: after a loss of power");
        }
    }
}

#[test]
fn short_writes_and_short_reads_are_continued() {
    for level in LEVELS {
        let disk = Disk::default();
        disk.fail(|call| matches!(call.kind, Kind::Write | Kind::Read).then_some(Fault::Short(7)));
        let (backend, old) = old_state(&disk, level);
        set(&*backend, "a", &new_batch()).unwrap();
        assert_eq!(records(&*backend).unwrap(), with_new(&old));
        backend.close().unwrap();
        assert_eq!(records(&*open(&disk, &options(level)).unwrap()).unwrap(), with_new(&old));
    }
}

#[test]
fn a_full_disk_clears_when_space_returns() {
    for level in LEVELS {
        let disk = Disk::default();
        let (backend, old) = old_state(&disk, level);
        disk.fail(|call| matches!(call.kind, Kind::Write | Kind::Create).then_some(Fault::TornWrite(10, ENOSPC)));
        for _ in 0..5 {
            let error = set(&*backend, "a", &new_batch()).unwrap_err();
            assert_eq!((error.kind(), error.number("errno")), (ErrorKind::Io, Some(ENOSPC as u64)));
            assert!(error.kind().is_retryable());
            assert_eq!(records(&*backend).unwrap(), old);
        }
        disk.heal();
        set(&*backend, "a", &new_batch()).unwrap();
        assert_eq!(records(&*backend).unwrap(), with_new(&old));
        vanish(backend);
        assert_eq!(records(&*open(&disk, &options(level)).unwrap()).unwrap(), with_new(&old));
    }
}

// A gateway retries for hours while its disk is full: headers fit, batches do not.
#[test]
fn retries_on_a_full_disk_leave_no_heap_of_segments() {
    for level in LEVELS {
        let disk = Disk::default();
        let (backend, old) = old_state(&disk, level);
        let count_segments = |disk: &Disk| disk.image().keys().filter(|name| name.ends_with(".seg")).count();
        let before = count_segments(&disk);
        let mut fresh = String::new();
        disk.fail(move |call| {
            if call.kind == Kind::Create {
                fresh.clone_from(&call.name);
                return None;
            }
            // The first write to a new file is its header.
            let is_header = call.kind == Kind::Write && std::mem::take(&mut fresh) == call.name;
            (call.kind == Kind::Write && !is_header).then_some(Fault::TornWrite(40, ENOSPC))
        });
        for _ in 0..50 {
            set(&*backend, "a", &new_batch()).unwrap_err();
        }
        assert!(count_segments(&disk) <= before + 1, "{level:?}: {} segments after {before}", count_segments(&disk));
        disk.heal();
        set(&*backend, "a", &new_batch()).unwrap();
        vanish(backend);
        assert_eq!(records(&*open(&disk, &options(level)).unwrap()).unwrap(), with_new(&old), "{level:?}");
    }
}

// One write carries several batches: those that are whole count, in order, the others do not.
#[test]
fn a_merged_write_that_tears_keeps_its_whole_batches() {
    let disk = Disk::default();
    let backend = open(&disk, &FileOptions { segment_bytes: 1 << 20, ..options(Durability::Power) }).unwrap();
    disk.close_gate();
    let first = start(&*backend, &Changes::new("a", [put("k", "0")]));
    disk.wait_at_gate();
    let queued: Vec<_> =
        (1..=4).map(|n| start(&*backend, &Changes::new("a", [put("k", n.to_string()), put("p", [0; 67])]))).collect();
    disk.fail({
        // A short write first, so that the bytes before the failure count.
        let mut writes = 0;
        move |call| {
            writes += usize::from(call.kind == Kind::Write);
            match writes {
                1 if call.kind == Kind::Write => Some(Fault::Short(400)),
                2 if call.kind == Kind::Write => Some(Fault::Errno(ENOSPC)),
                _ => None,
            }
        }
    });
    disk.open_gate();
    first.wait().unwrap();
    let outcomes: Vec<bool> = queued.into_iter().map(|started| started.wait().is_ok()).collect();
    assert_eq!(outcomes, [true, true, false, false]);
    assert_eq!(drive::get(&*backend, "a", b"\x02k").unwrap(), Some(b"2".to_vec()));
    let state = records(&*backend).unwrap();
    vanish(backend);
    for (image, boot_id) in
        [(disk.image(), drive::BOOT), (after_power_loss(&Image::new(), &disk.events(), Loss::All), OTHER_BOOT)]
    {
        let again = open(&Disk::new(&image), &FileOptions { boot_id, ..options(Durability::Power) }).unwrap();
        assert_eq!(records(&*again).unwrap(), state);
    }
}

/// What came of a workload some of whose calls failed.
struct Outcome {
    /// The records after each acknowledged batch.
    states: Vec<Records>,
    /// The first of them that a loss of power may leave.
    safe: usize,
    /// The batch whose fate a failed sync left open.
    open_fate: Option<Changes>,
}

impl Outcome {
    fn assert(&self, from: usize, found: &Records, context: &str) {
        let mut other = self.states.last().unwrap().clone();
        if let Some(batch) = &self.open_fate {
            batch.apply(&mut other);
        }
        let at = self.states.iter().position(|state| state == found);
        assert!(
            self.states[from..].contains(found) || *found == other,
            "{context}: state {at:?} of {}, at least {from}; {:?}",
            self.states.len() - 1,
            found.iter().map(|(account, records)| (account, records.keys().collect::<Vec<_>>())).collect::<Vec<_>>()
        );
    }

    /// What a kill and a loss of power leave, now that nothing fails any more.
    fn assert_on(&self, disk: &Disk, level: Durability, context: &str) {
        self.assert_after_power_loss(disk, level, context);
        self.assert_after_kill(disk, level, context);
        Self::assert_goes_on(disk, level, context);
    }

    fn assert_after_power_loss(&self, disk: &Disk, level: Durability, context: &str) {
        let events = disk.events();
        for loss in Loss::variety(events.len() as u64) {
            let lost = after_power_loss(&Image::new(), &events, loss.clone());
            let context = format!("{context}, {loss:?}");
            let backend = open(&Disk::new(&lost), &after_reboot(level)).unwrap_or_else(|error| panic!("{context}: {error}"));
            self.assert(self.safe, &records(&*backend).unwrap(), &context);
        }
    }

    fn assert_after_kill(&self, disk: &Disk, level: Durability, context: &str) {
        let backend = open(disk, &options(level)).unwrap_or_else(|error| panic!("{context}: {error}"));
        self.assert(self.states.len() - 1, &records(&*backend).unwrap(), context);
    }

    /// What is written after that is safe once it is said to be.
    fn assert_goes_on(disk: &Disk, level: Durability, context: &str) {
        let backend = open(disk, &options(level)).unwrap_or_else(|error| panic!("{context}: {error}"));
        set(&*backend, "z", &[put("k", "goes on")]).unwrap();
        flush(&*backend).unwrap();
        let state = records(&*backend).unwrap();
        let lost = after_power_loss(&Image::new(), &disk.events(), Loss::All);
        let rebooted = open(&Disk::new(&lost), &after_reboot(level)).unwrap_or_else(|error| panic!("{context}: {error}"));
        assert_eq!(records(&*rebooted).unwrap(), state, "{context}: after another loss of power");
    }
}

/// A workload with several segments, whatever fails.
fn work_with_failures(disk: &Disk, level: Durability) -> Outcome {
    let mut outcome = Outcome { states: vec![Records::new()], safe: 0, open_fate: None };
    let Ok(backend) = open(disk, &options(level)) else { return outcome };
    for number in 0..10_u8 {
        let batch = match number {
            4 => Changes::new("a", [Change::Clear, put("k", "cleared")]),
            7 => Changes::new("b", [Change::Drop]),
            _ => {
                Changes::new(["a", "b"][usize::from(number % 2)], [put(&number.to_string(), vec![number; 200]), creds([number])])
            }
        };
        let mut model = outcome.states.last().unwrap().clone();
        match drive::apply(&*backend, &batch) {
            Ok(()) => {
                batch.apply(&mut model);
                outcome.states.push(model);
                if level == Durability::Power {
                    outcome.safe = outcome.states.len() - 1;
                }
            }
            Err(error) if error.kind() == ErrorKind::Poisoned => drop(outcome.open_fate.get_or_insert(batch)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{error}"),
        }
        if number % 3 == 0 && flush(&*backend).is_ok() {
            outcome.safe = outcome.states.len() - 1;
        }
        // Reads go on whatever fails; only a read of its own may fail.
        if let Ok(found) = records(&*backend) {
            assert_eq!(found, *outcome.states.last().unwrap());
        }
    }
    // A poisoned cask closes without a word, and promises nothing.
    let is_sound = flush(&*backend).is_ok();
    if backend.close().is_ok() && is_sound {
        outcome.safe = outcome.states.len() - 1;
    }
    vanish(backend);
    outcome
}

// Whatever call fails, once or from then on: nothing acknowledged is lost, nothing refused is there.
#[test]
fn any_failing_call_leaves_exactly_what_was_acknowledged() {
    for level in LEVELS {
        let undisturbed = Disk::default();
        let outcome = work_with_failures(&undisturbed, level);
        assert_eq!((outcome.states.len(), outcome.safe), (11, 10));
        let calls = undisturbed.calls();
        for (failing, call) in calls.iter().enumerate() {
            for (fault, is_lasting) in
                [(Fault::Errno(EIO), false), (Fault::TornWrite(60, ENOSPC), false), (Fault::Errno(EIO), true)]
            {
                let context = format!("{level:?}, call {failing} {:?}, {fault:?}, lasting {is_lasting}", call.kind);
                let disk = Disk::default();
                disk.fail(move |call| (call.number == failing || is_lasting && call.number > failing).then_some(fault));
                let outcome = work_with_failures(&disk, level);
                disk.heal();
                outcome.assert_after_power_loss(&disk, level, &context);
                outcome.assert_after_kill(&disk, level, &context);
                // A disk that failed for good took no marker either, so nobody knows what it has forgotten.
                if !is_lasting {
                    Outcome::assert_goes_on(&disk, level, &context);
                }
            }
        }
    }
}

// A torn write makes the next header cut; that header's own syncs fail as well.
#[test]
fn a_call_that_fails_after_a_torn_write_leaves_exactly_what_was_acknowledged() {
    for level in LEVELS {
        for torn in 2..12 {
            for later in 1..12 {
                let disk = Disk::default();
                let (mut writes, mut since) = (0, 0);
                disk.fail(move |call| {
                    writes += usize::from(call.kind == Kind::Write);
                    since += usize::from(writes >= torn);
                    match since {
                        1 => Some(Fault::TornWrite(200, ENOSPC)),
                        count if count == later + 1 => Some(Fault::Errno(EIO)),
                        _ => None,
                    }
                });
                let outcome = work_with_failures(&disk, level);
                disk.heal();
                outcome.assert_on(&disk, level, &format!("{level:?}, write {torn} torn, then call {later} fails"));
            }
        }
    }
}

/// Folders that give an open something to do, with what they hold.
fn folders() -> Vec<(&'static str, Vec<Event>, Records)> {
    let steps = |steps: &[Step]| {
        let run = Run::new(options(Durability::Process)).steps(steps);
        (run.disk.events(), run.states.last().unwrap().clone())
    };
    let batches: Vec<Step> = (0..8_u8)
        .map(|n| Step::Batch(Changes::new(["a", "b"][usize::from(n % 2)], [put(&n.to_string(), vec![n; 300]), creds([n])])))
        .collect();
    let (clean, state) = steps(&[batches.as_slice(), &[Step::Close]].concat());
    let (killed, _) = steps(&batches);
    // Torn: half of one more write.
    let mut torn = killed.clone();
    let last = killed.iter().rev().find_map(|event| match event {
        Event::Write { file, offset, bytes } => Some((*file, offset + bytes.len())),
        _ => None,
    });
    let (file, offset) = last.unwrap();
    torn.push(Event::Write { file, offset, bytes: vec![9; 77].into() });
    let (poisoned, poisoned_state) = poisoned(Durability::Process, Empty::Between);
    vec![
        ("fresh", Vec::new(), Records::new()),
        ("clean", clean, state.clone()),
        ("killed", killed, state.clone()),
        ("torn", torn, state),
        ("poisoned", poisoned, poisoned_state),
    ]
}

#[test]
fn a_call_that_fails_while_opening_never_damages_the_folder() {
    for (name, events, state) in folders() {
        let undisturbed = Disk::resume(&Image::new(), &events);
        vanish(open(&undisturbed, &options(Durability::Process)).unwrap());
        let calls = undisturbed.calls();
        for (failing, call) in calls.iter().enumerate() {
            for (fault, is_lasting) in
                [(Fault::Errno(EIO), false), (Fault::TornWrite(40, ENOSPC), false), (Fault::Errno(EIO), true)]
            {
                let context = format!("{name}, call {failing} {:?}, {fault:?}, lasting {is_lasting}", call);
                let disk = Disk::resume(&Image::new(), &events);
                disk.fail(move |call| (call.number == failing || is_lasting && call.number > failing).then_some(fault));
                match open(&disk, &options(Durability::Process)) {
                    Ok(backend) => {
                        disk.heal();
                        assert_eq!(records(&*backend).unwrap(), state, "{context}: opened");
                        vanish(backend);
                    }
                    Err(error) => assert_eq!(error.kind(), ErrorKind::Io, "{context}: {error}"),
                }
                disk.heal();
                let again = open(&disk, &options(Durability::Process)).unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(records(&*again).unwrap(), state, "{context}: opened again");
                set(&*again, "z", &[put("k", "goes on")]).unwrap();
                let with_more = records(&*again).unwrap();
                vanish(again);
                let last = open(&Disk::resume(&Image::new(), &disk.events()), &options(Durability::Process));
                let last = last.unwrap();
                assert_eq!(records(&*last).unwrap(), with_more, "{context}: opened a third time");
                vanish(last);
                if is_lasting {
                    continue;
                }
                // What the failed open made the kernel forget must not be counted on.
                let last = open(&disk, &options(Durability::Process)).unwrap();
                flush(&*last).unwrap();
                let lost = after_power_loss(&Image::new(), &disk.events(), Loss::All);
                let rebooted = open(&Disk::new(&lost), &after_reboot(Durability::Process));
                let rebooted = rebooted.unwrap_or_else(|error| panic!("{context}: {error}"));
                assert_eq!(records(&*rebooted).unwrap(), with_more, "{context}: after a loss of power");
            }
        }
    }
}

// A log that is damaged is left exactly as it was found.
#[test]
fn an_open_that_reports_damage_changes_nothing() {
    let (_, clean, _) = folders().swap_remove(1);
    let mut image = after_kill(&Image::new(), &clean);
    let segment = image.keys().find(|name| name.ends_with(".seg")).unwrap().clone();
    image.get_mut(&segment).unwrap()[300] ^= 1;
    let disk = Disk::new(&image);
    let error = open(&disk, &after_reboot(Durability::Process)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.number("offset").is_some());
    assert!(disk.events().is_empty(), "{:?}", disk.events());
}

// A kill leaves batches that no sync has seen; the next open must not wait for a write before it syncs them.
#[test]
fn what_a_killed_process_left_unsynced_is_synced_within_the_interval() {
    for level in LEVELS {
        let disk = Disk::default();
        let (backend, _) = old_state(&disk, Durability::Process);
        set(&*backend, "a", &[put("late", "not synced")]).unwrap();
        let state = records(&*backend).unwrap();
        vanish(backend);
        let before = disk.events().len();
        let again = open(&disk, &FileOptions { sync_interval: std::time::Duration::ZERO, ..options(level) }).unwrap();
        disk.wait_until("a sync", |events| events[before..].iter().any(|event| matches!(event, Event::SyncFolder)));
        let lost = after_power_loss(&Image::new(), &disk.events(), Loss::All);
        let rebooted = open(&Disk::new(&lost), &after_reboot(level)).unwrap();
        assert_eq!(records(&*rebooted).unwrap(), state, "{level:?}");
        vanish(again);
    }
}

// The end frame is news, not data: what was acknowledged is brought to disk although it cannot be written.
#[test]
fn a_close_that_cannot_write_its_end_still_syncs() {
    let disk = Disk::default();
    let (backend, old) = old_state(&disk, Durability::Process);
    disk.fail(|call| (call.kind == Kind::Write).then_some(Fault::Errno(ENOSPC)));
    assert_eq!(backend.close().unwrap_err().kind(), ErrorKind::Io);
    disk.heal();
    let lost = after_power_loss(&Image::new(), &disk.events(), Loss::All);
    let rebooted = open(&Disk::new(&lost), &after_reboot(Durability::Process)).unwrap();
    assert_eq!(records(&*rebooted).unwrap(), old);
}

// Two frames under one salt and offset could not be told apart.
#[test]
fn no_offset_of_a_file_is_written_twice() {
    let mut chance = Chance(7);
    for level in LEVELS {
        for round in 0..20 {
            let disk = Disk::default();
            let mut countdown = 5 + round * 3;
            disk.fail(move |call| {
                countdown -= usize::from(countdown > 0);
                (countdown == 0 && call.kind == Kind::Write).then(|| {
                    countdown = 7;
                    Fault::TornWrite(chance.below(300), ENOSPC)
                })
            });
            chance = Chance(round as u64);
            for _ in 0..3 {
                let backend = open(&disk, &options(level));
                for number in 0..8_u8 {
                    let _ = backend.as_ref().map(|backend| set(&**backend, "a", &[put("k", vec![number; 180])]));
                }
                let _ = backend.map(|backend| backend.close());
            }
            let mut written: std::collections::BTreeMap<usize, Vec<(usize, usize)>> = std::collections::BTreeMap::new();
            for event in disk.events() {
                if let Event::Write { file, offset, bytes } = event {
                    let spans = written.entry(file).or_default();
                    let span = (offset, offset + bytes.len());
                    assert!(
                        spans.iter().all(|(from, to)| span.1 <= *from || *to <= span.0),
                        "file {file}: {span:?} in {spans:?}"
                    );
                    spans.push(span);
                }
            }
        }
    }
}

// All bytes of a write are there and it fails, they cannot be taken back, and the segment whose header cuts them off cannot be written to.
#[test]
fn a_batch_that_failed_stays_away_when_the_header_that_cuts_it_off_is_of_no_more_use() {
    for is_synced in [false, true] {
        let disk = Disk::default();
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        set(&*backend, "a", &[put("k", "old")]).unwrap();
        let mut writes = 0;
        disk.fail(move |call| match call.kind {
            Kind::Write if call.name.ends_with(".seg") => {
                writes += 1;
                match writes {
                    1 => Some(Fault::DoneButFailed(EIO)),
                    // The header of the next segment.
                    2 => None,
                    _ => Some(Fault::Errno(ENOSPC)),
                }
            }
            // What could be taken back needs no header; what could not, does.
            Kind::SetLen if !is_synced => Some(Fault::Errno(EIO)),
            _ => None,
        });
        set(&*backend, "a", &[put("k", "failed")]).unwrap_err();
        set(&*backend, "a", &[put("k", "failed too")]).unwrap_err();
        disk.heal();
        vanish(backend);
        let found = |disk: &Disk, options: &FileOptions| get(&*open(disk, options).unwrap(), "a", &session("k")).unwrap();
        let killed = Disk::new(&disk.image());
        assert_eq!(found(&killed, &options(Durability::Process)).as_deref(), Some(&b"old"[..]), "{is_synced}: after a kill");
        for loss in Loss::variety(7) {
            let context = format!("{is_synced}, {loss:?}");
            let left = after_power_loss(&Image::new(), &disk.events(), loss);
            let value = found(&Disk::new(&left), &after_reboot(Durability::Process));
            assert!(value.is_none_or(|value| value == b"old"), "{context}: a batch that failed is there");
        }
    }
}

#[test]
fn a_failed_sync_is_remembered_where_no_file_can_be_made_for_it() {
    for name in ["reserve", "owner"] {
        let disk = Disk::default();
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        disk.create_new(&Path::new(drive::FOLDER).join(name)).unwrap();
        set(&*backend, "a", &[put("k", "old")]).unwrap();
        flush(&*backend).unwrap();
        set(&*backend, "a", &[put("k", "new")]).unwrap();
        disk.fail(|call| match call.kind {
            Kind::Sync if call.name.ends_with(".seg") => Some(Fault::Errno(ENOSPC)),
            Kind::Create => Some(Fault::Errno(ENOSPC)),
            _ => None,
        });
        flush(&*backend).unwrap_err();
        vanish(backend);
        disk.heal();
        let backend = open(&disk, &options(Durability::Process)).unwrap();
        assert_eq!(get(&*backend, "a", &session("k")).unwrap().as_deref(), Some(&b"new"[..]));
        flush(&*backend).unwrap();
        vanish(backend);
        let left = after_power_loss(&Image::new(), &disk.events(), Loss::All);
        let again = open(&Disk::new(&left), &after_reboot(Durability::Process)).unwrap();
        assert_eq!(get(&*again, "a", &session("k")).unwrap().as_deref(), Some(&b"new"[..]), "{name}: what was flushed is gone");
    }
}

#[test]
fn nothing_that_is_queued_is_written_after_a_sync_that_failed_for_what_was_before_it() {
    let disk = Disk::default();
    let backend = open(&disk, &options(Durability::Process)).unwrap();
    set(&*backend, "a", &[put("k1", "v")]).unwrap();
    // What is torn here is cut off by the next header.
    disk.fail(once(Fault::TornWrite(20, EIO), |call| call.kind == Kind::Write));
    set(&*backend, "a", &[put("k2", "v")]).unwrap_err();
    disk.heal();
    disk.close_gate();
    let (sender, flushed) = std::sync::mpsc::channel();
    backend.flush(Box::new(move |outcome| drop(sender.send(outcome))));
    disk.wait_at_gate();
    let big = |id: &str| Changes::new("a", [put(id, vec![7; 2 << 20])]);
    let waiting = [start(&*backend, &big("k3")), start(&*backend, &big("k4"))];
    disk.fail(once(Fault::Errno(EIO), is_sync));
    disk.open_gate();
    flushed.recv().unwrap().unwrap();
    for waits in waiting {
        assert_eq!(waits.wait().unwrap_err().kind(), ErrorKind::Poisoned);
    }
}
