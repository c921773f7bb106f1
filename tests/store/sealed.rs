//! Sealed casks: what a crash leaves of them, and what somebody without the key can do to them.

use std::path::Path;

use baileys_cask::backend::Backend;
use baileys_cask::backend::file::{BackupOptions, Durability, FileOptions};
use baileys_cask::error::ErrorKind;

use crate::common::chance::seeds;
use crate::common::disk::{Disk, Event, Image};
use crate::common::drive::{open, options, records};
use crate::common::loss::{Loss, after_power_loss};
use crate::common::scene::{demand_after_kill, demand_after_power_loss};
use crate::common::workload::{Run, Step, compacted, everything, preallocating, random_compacted};

const LEVELS: [Durability; 2] = [Durability::Process, Durability::Power];

/// The same steps with key changes among them.
fn changing_keys(steps: Vec<Step>, every: usize) -> Vec<Step> {
    let is_due = |position: usize| position % every == every - 1;
    let change = |position| is_due(position).then_some(Step::ChangeKey);
    steps.into_iter().enumerate().flat_map(|(position, step)| [Some(step), change(position)]).flatten().collect()
}

fn run(level: Durability, steps: &[Step]) -> Run {
    // Every segment gets a hint, so that those are sealed and read as well.
    Run::sealed(FileOptions { hint_from: 0, ..options(level) }).steps(steps)
}

#[test]
fn a_crash_of_a_sealed_cask_loses_nothing_and_exactly_one_key_opens_it() {
    for level in LEVELS {
        for (what, steps) in [("everything", everything()), ("compacted", compacted())] {
            let run = run(level, &changing_keys(steps, 4));
            demand_after_power_loss(&run, what, 21, false);
            demand_after_kill(&run, what, 22, false);
            assert!(run.nonces.count() > 1000, "{} nonces", run.nonces.count());
        }
    }
}

#[test]
fn a_crash_while_opening_a_sealed_cask_loses_nothing_more() {
    for level in LEVELS {
        let run = run(level, &changing_keys(everything(), 7));
        demand_after_power_loss(&run, "everything", 23, true);
    }
}

#[test]
fn sealed_workloads_by_chance_survive_every_cut() {
    for seed in seeds(3) {
        for level in LEVELS {
            let run = run(level, &changing_keys(random_compacted(seed, 30), 5));
            demand_after_power_loss(&run, &format!("random {seed}"), seed, false);
            demand_after_kill(&run, &format!("random {seed}"), seed, false);
        }
    }
}

#[test]
fn a_crash_of_a_sealed_log_that_preallocates_loses_nothing() {
    let run = run(Durability::Power, &preallocating(changing_keys(everything(), 6)));
    demand_after_power_loss(&run, "everything over zeros", 24, false);
    demand_after_kill(&run, "everything over zeros", 25, false);
}

#[test]
fn a_key_that_has_opened_a_cask_opens_it_after_a_loss_of_power() {
    for level in LEVELS {
        let mut run = run(level, &everything());
        run.step(&Step::Close);
        run.step(&Step::ChangeKey);
        let events = run.disk.events();
        let is_change = |event: &Event| matches!(event, Event::Rename { to, .. } if to == "key");
        let renamed = events.iter().rposition(is_change).unwrap();
        // Whoever changed the key was killed before its name was on disk.
        let disk = Disk::resume(&Image::new(), &events[..=renamed]);
        let with_new = |disk: &Disk| open(disk, &run.options);
        with_new(&disk).unwrap().close().unwrap();
        let after = Disk::new(&after_power_loss(&Image::new(), &disk.events(), Loss::All));
        assert!(with_new(&after).is_ok(), "{level:?}: the old key opens it again");
    }
}

#[test]
fn a_backup_of_a_sealed_cask_opens_with_its_key_alone() {
    let mut run = Run::sealed(options(Durability::Process));
    everything().iter().for_each(|step| run.step(step));
    run.backend().backup(Path::new("/backup"), &BackupOptions::default()).unwrap();
    let image = run.disk.image_of("backup").unwrap();
    let with = |secret| open(&Disk::new(&image), &FileOptions { secret, ..options(Durability::Process) });
    assert!(records(&*with(Some(run.secrets[0].clone())).unwrap()).unwrap() == *run.states.last().unwrap());
    assert_eq!(with(Some(run.secrets[1].clone())).unwrap_err().kind(), ErrorKind::Key);
    assert_eq!(with(None).unwrap_err().kind(), ErrorKind::Key);
}
