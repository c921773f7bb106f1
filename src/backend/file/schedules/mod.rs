//! The file backend under the schedule checker: its own code, on the checker's locks, channels and threads, in a folder in memory.
//!
//! Threads are switched at every lock, atomic, channel, call of the file system and use of the value cache. A batch that is never
//! told of is a deadlock that the checker reports. Orders of memory that are weaker than sequential are not tried.
//!
//! `cargo test --no-default-features --features schedules --lib schedules`; `CASK_SCHEDULES` sets how many schedules each test tries
//! with each of the two schedulers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod batches;
mod disk;
mod reads;
mod world;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner};

/// Bytes of stack of a thread.
const STACK_BYTES: usize = 1 << 19;
/// How many places where threads are switched against their priorities the second scheduler looks for.
const SWITCHES: usize = 3;

/// Runs a scenario under both schedulers.
fn explore(times: usize, scenario: impl Fn() + Send + Sync + Copy + 'static) {
    let times = std::env::var("CASK_SCHEDULES").ok().and_then(|times| times.parse().ok()).unwrap_or(times);
    let config = || {
        let mut config = Config::new();
        config.stack_size = STACK_BYTES;
        config.silence_warnings = true;
        config
    };
    Runner::new(RandomScheduler::new(times), config()).run(scenario);
    Runner::new(PctScheduler::new(SWITCHES, times), config()).run(scenario);
}
