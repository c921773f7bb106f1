//! Group commit: order, acknowledgements, and the end of a cask.

use std::time::Duration;

use super::explore;
use super::world::{NEVER, NOW, World, busy, is_closed, join, options, start};
use crate::backend::file::Durability::{self, Power, Process};
use crate::error::ErrorKind;

/// Bytes of cache: some values, not all.
const CACHE_BYTES: u64 = 1024;

/// Threads that write and read, three batches each, all of which end well.
fn all_end_well(schedules: usize, durability: Durability, sync_interval: Duration, threads: usize) {
    explore(schedules, move || {
        let world = World::new(options(durability, sync_interval, CACHE_BYTES));
        join(busy(&world, threads, 3));
        assert!(world.judge().iter().all(Result::is_ok));
    });
}

#[test]
fn batches_keep_their_order_and_are_seen_when_they_are_acknowledged() {
    all_end_well(300, Process, NEVER, 3);
}

#[test]
fn regular_syncs_change_no_order() {
    all_end_well(200, Process, NOW, 2);
}

#[test]
fn power_safe_batches_are_on_disk_when_they_are_acknowledged() {
    all_end_well(300, Power, NEVER, 3);
}

#[test]
fn who_closes_loses_nobody() {
    // One thread that writes comes more often to where the close is than three, which have more orders among themselves.
    for (durability, threads) in [(Process, 1), (Process, 3), (Power, 3)] {
        explore(200, move || {
            let world = World::new(options(durability, NEVER, CACHE_BYTES));
            let mut threads = busy(&world, threads, 2);
            threads.push(start(&world, World::close));
            join(threads);
            let outcomes = world.judge();
            assert!(outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).all(is_closed));
            world.reopen(&outcomes);
        });
    }
}

#[test]
fn a_flush_brings_to_disk_what_was_acknowledged_before_it() {
    // With and without regular syncs, which leave the flush less to do.
    for sync_interval in [NEVER, NOW] {
        explore(300, move || {
            let world = World::new(options(Process, sync_interval, CACHE_BYTES));
            let mut threads = busy(&world, 2, 3);
            // One after the other: what was written while the first one ran is left to the second.
            threads.push(start(&world, |world| (0..3).for_each(|_| world.flush())));
            threads.push(start(&world, World::flush));
            join(threads);
            assert!(world.judge().iter().all(Result::is_ok));
        });
    }
}

#[test]
fn what_is_written_while_a_sync_runs_is_left_to_the_next_one() {
    explore(300, || {
        let world = World::new(options(Process, NEVER, CACHE_BYTES));
        world.hand_over();
        let mut threads = vec![start(&world, World::flush)];
        threads.push(start(&world, |world| {
            world.hand_over();
        }));
        join(threads);
        world.flush();
        assert!(world.judge().iter().all(Result::is_ok));
    });
}

#[test]
fn nobody_sees_a_power_safe_batch_whose_sync_has_failed() {
    explore(200, || {
        let world = World::new(options(Power, NEVER, CACHE_BYTES));
        let mut threads = busy(&world, 3, 2);
        threads.push(start(&world, |world| world.disk.fail_syncs()));
        join(threads);
        world.look();
        let outcomes = world.judge();
        let refused: Vec<_> = outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).collect();
        assert!(refused.iter().all(|error| error.kind() == ErrorKind::Poisoned), "{refused:?}");
    });
}
