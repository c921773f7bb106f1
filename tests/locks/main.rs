//! The lock manager beside a plain statement of its rules: random histories, and schedules of threads.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod model;
#[allow(dead_code, unreachable_pub)]
mod reference;
mod schedules;
mod tree_schedules;
#[allow(dead_code, unreachable_pub)]
mod world;
