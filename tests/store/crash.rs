//! Every operation of the log is cut, in the ways a disk may lose what was not synced.

use std::time::Duration;

use baileys_cask::backend::file::{Durability, FileOptions, RecoveryReport};

use crate::common::chance::seeds;
use crate::common::disk::{Disk, Event, Image, Note, preallocated};
use crate::common::drive::{self, BOOT, options, records, set};
use crate::common::loss::{Loss, after_kill, after_power_loss};
use crate::common::model::{put, session};
use crate::common::scene::{cuts, demand_after_kill, demand_after_power_loss, scene};
use crate::common::workload::{Run, Step, compacted, everything, preallocating, random, random_compacted};

/// Whether the newest segment's header was on disk, and its name, by the end of these events.
fn newest_header_is_on_disk(events: &[Event]) -> bool {
    let is_segment = |event: &Event| matches!(event, Event::Create { name, .. } if name.ends_with(".seg"));
    let Some(created) = events.iter().rposition(is_segment) else { return false };
    let Event::Create { file: newest, .. } = events[created] else { return false };
    let rest = &events[created..];
    let synced = rest.iter().position(|event| matches!(event, Event::Sync { file } if *file == newest));
    synced.is_some_and(|at| rest[at..].iter().any(|event| matches!(event, Event::SyncFolder)))
}

// The header that says where the log leaves off is the commit point of a cut: what it cuts off goes only after it is safe.
#[test]
fn leftovers_are_removed_only_after_the_header_that_cuts_them_off_is_on_disk() {
    let run = Run::new(options(Durability::Process)).steps(&everything());
    let mut removed = 0;
    for cut in cuts(&run.disk.events()) {
        for loss in Loss::variety(cut as u64) {
            let lost = scene(&run, cut, "everything").without_power(&run.disk.events()[..cut], loss, "power loss");
            let opened = lost.demand(&run.states);
            for (at, event) in opened.iter().enumerate() {
                if matches!(event, Event::Remove { name } if name.ends_with(".seg")) {
                    removed += 1;
                    assert!(newest_header_is_on_disk(&opened[..at]), "{}: {opened:?}", lost.context);
                }
            }
        }
    }
    assert!(removed > 20, "{removed} leftovers");
}

const LEVELS: [Durability; 2] = [Durability::Process, Durability::Power];

#[test]
fn a_loss_of_power_at_any_operation_leaves_a_prefix_with_all_that_was_promised() {
    for level in LEVELS {
        let run = Run::new(options(level)).steps(&everything());
        demand_after_power_loss(&run, "everything", 1, false);
    }
}

#[test]
fn a_kill_at_any_operation_leaves_a_prefix_with_all_that_was_acknowledged() {
    for level in LEVELS {
        let run = Run::new(options(level)).steps(&everything());
        demand_after_kill(&run, "everything", 2, false);
    }
}

// Opening cuts and removes; a crash in the middle of that must not cost more than the first one did.
#[test]
fn a_crash_while_opening_after_a_loss_of_power_loses_nothing_more() {
    for level in LEVELS {
        let run = Run::new(options(level)).steps(&everything());
        demand_after_power_loss(&run, "everything", 3, true);
    }
}

// After a kill the unsynced bytes are there to be read, and may still go with the power.
#[test]
fn a_crash_while_opening_after_a_kill_loses_nothing_more() {
    for level in LEVELS {
        let run = Run::new(options(level)).steps(&everything());
        demand_after_kill(&run, "everything", 4, true);
    }
}

#[test]
fn workloads_by_chance_survive_every_cut() {
    for seed in seeds(6) {
        for level in LEVELS {
            let run = Run::new(options(level)).steps(&random(seed, 30));
            demand_after_power_loss(&run, &format!("random {seed}"), seed, false);
            demand_after_kill(&run, &format!("random {seed}"), seed, false);
        }
    }
}

/// Demands that a workload has compacted something, and gives it.
fn with_copies(run: Run) -> Run {
    let copies =
        run.disk.events().iter().filter(|event| matches!(event, Event::Rename { from, .. } if from.ends_with(".new"))).count();
    assert!(copies > 2, "{copies} copies");
    run
}

#[test]
fn a_crash_while_segments_are_compacted_loses_nothing_and_brings_nothing_back() {
    for level in LEVELS {
        let run = with_copies(Run::new(options(level)).steps(&compacted()));
        demand_after_power_loss(&run, "compacted", 7, false);
        demand_after_kill(&run, "compacted", 8, false);
    }
}

#[test]
fn a_crash_while_opening_a_compacted_log_loses_nothing_more() {
    for level in LEVELS {
        let run = with_copies(Run::new(options(level)).steps(&compacted()));
        demand_after_power_loss(&run, "compacted", 9, true);
        demand_after_kill(&run, "compacted", 10, true);
    }
}

#[test]
fn workloads_by_chance_with_compactions_survive_every_cut() {
    for seed in seeds(6) {
        for level in LEVELS {
            let run = Run::new(options(level)).steps(&random_compacted(seed, 30));
            demand_after_power_loss(&run, &format!("random compacted {seed}"), seed, false);
            demand_after_kill(&run, &format!("random compacted {seed}"), seed, false);
        }
    }
}

/// A workload over preallocated segments, small ones.
fn over_zeros(steps: Vec<Step>) -> Run {
    let run = Run::new(options(Durability::Power)).steps(&preallocating(steps));
    let became = preallocated(&run.disk.events()).values().filter(|(_, became)| *became).count();
    assert!(became > 2, "{became} segments were preallocated");
    run
}

#[test]
fn a_crash_of_a_log_that_preallocates_loses_nothing() {
    for (steps, what) in [(everything(), "everything over zeros"), (compacted(), "compacted over zeros")] {
        let run = over_zeros(steps);
        demand_after_power_loss(&run, what, 11, false);
        demand_after_kill(&run, what, 12, false);
    }
}

#[test]
fn a_crash_while_opening_a_log_that_preallocates_loses_nothing_more() {
    let run = over_zeros(everything());
    demand_after_power_loss(&run, "everything over zeros", 13, true);
    demand_after_kill(&run, "everything over zeros", 14, true);
}

#[test]
fn workloads_by_chance_that_preallocate_survive_every_cut() {
    for seed in seeds(4) {
        let steps = if seed % 2 == 0 { random(seed, 30) } else { random_compacted(seed, 30) };
        let run = Run::new(options(Durability::Power)).steps(&preallocating(steps));
        demand_after_power_loss(&run, &format!("random {seed} over zeros"), seed, false);
        demand_after_kill(&run, &format!("random {seed} over zeros"), seed, false);
    }
}

// Zeros where no frame was written yet are the end of the log and nothing else.
#[test]
fn zeros_behind_the_log_are_not_taken_for_something_that_was_cut_off() {
    let run = over_zeros(everything());
    let events = run.disk.events();
    for cut in cuts(&events) {
        let killed = (after_kill(&Image::new(), &events[..cut]), BOOT);
        let lost = [Loss::All, Loss::NamesOnly].map(|loss| (after_power_loss(&Image::new(), &events[..cut], loss), [2; 16]));
        for (image, boot_id) in [killed].into_iter().chain(lost) {
            let disk = Disk::new(&image);
            let backend = drive::open(&disk, &FileOptions { boot_id, ..options(Durability::Power) }).unwrap();
            assert_eq!(*backend.report(), RecoveryReport::default(), "cut at {cut}, boot {boot_id:?}");
        }
    }
}

// Marks and manifests are written between commits by the writer thread, at moments that nobody chooses.
#[test]
fn syncs_and_marks_in_the_background_survive_every_cut() {
    for level in LEVELS {
        let mut run = Run::new(FileOptions { sync_interval: Duration::ZERO, ..options(level) });
        for (position, step) in everything().iter().enumerate() {
            let is_batch = matches!(step, Step::Batch(_) | Step::AtOnce(_) | Step::Transaction(_));
            run.step(step);
            if is_batch && position % 2 == 0 {
                run.step(&Step::Tick);
            }
        }
        run.vanish();
        demand_after_power_loss(&run, "background", 5, false);
        demand_after_kill(&run, "background", 6, false);
    }
}

// Each writer has its own account, so its batches are a sequence of which a prefix has to be there.
#[test]
fn writers_in_several_threads_lose_nothing_that_was_acknowledged() {
    const WRITERS: usize = 3;
    const BATCHES: usize = 12;
    let number = |writer: usize, count: usize| writer * 1000 + count;
    for (level, preallocates) in [(Durability::Process, false), (Durability::Power, false), (Durability::Power, true)] {
        let disk = Disk::default();
        let backend = drive::open(&disk, &FileOptions { sync_interval: Duration::ZERO, preallocates, ..options(level) }).unwrap();
        std::thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (disk, backend) = (&disk, &backend);
                scope.spawn(move || {
                    for count in 1..=BATCHES {
                        disk.note(Note::Issued(number(writer, count)));
                        let value = [count as u8; 90];
                        set(&**backend, &writer.to_string(), &[put("x", value), put("y", value)]).unwrap();
                        disk.note(Note::Acknowledged(number(writer, count)));
                    }
                });
            }
        });
        drive::vanish(backend);
        let events = disk.events();
        for cut in 0..=events.len() {
            let noted = |note: fn(usize) -> Note, writer: usize| {
                let is_noted = |count: &usize| {
                    events[..cut]
                        .iter()
                        .any(|event| matches!(event, Event::Note(found) if *found == note(number(writer, *count))))
                };
                (1..=BATCHES).rev().find(is_noted).unwrap_or(0)
            };
            let losses = Loss::variety(cut as u64).into_iter().map(|loss| (loss, false));
            for (loss, is_kill) in losses.chain([(Loss::Nothing, true)]) {
                let image = after_power_loss(&Image::new(), &events[..cut], loss.clone());
                let boot_id = if is_kill { BOOT } else { [2; 16] };
                let context = format!("{level:?}, cut at {cut}, {loss:?}, kill {is_kill}");
                let again = drive::open(&Disk::new(&image), &FileOptions { boot_id, ..options(level) })
                    .unwrap_or_else(|error| panic!("{context}: {error}"));
                let found = records(&*again).unwrap();
                for writer in 0..WRITERS {
                    let account = found.get(&writer.to_string());
                    let [x, y] = ["x", "y"].map(|id| account.map_or(0, |records| usize::from(records[&session(id)][0])));
                    let must = if is_kill || level == Durability::Power { noted(Note::Acknowledged, writer) } else { 0 };
                    assert_eq!(x, y, "{context}: a torn batch");
                    assert!((must..=noted(Note::Issued, writer)).contains(&x), "{context}: {x}, at least {must}");
                }
            }
        }
    }
}
