//! Records from batches to the disk: what commits is there, and what is there is true, whatever fails.
//!
//! One program, so that what its parts share is built once and no processor waits for the slowest of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;

/// Records and images of disks are made and compared by the hundred thousand, in several threads: with glibc's allocator that takes twice
/// as long. A sanitizer has to see the system's.
#[cfg(not(system_allocator))]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

mod after_faults;
mod backup;
mod cancelling;
mod compaction;
mod contract;
mod crash;
mod damage;
mod faults;
mod folder;
mod hints;
#[cfg(unix)]
mod hostile_folder;
mod known_answers;
mod limits;
mod lives;
mod lost_segments;
mod making;
mod model;
mod poison;
mod preallocation;
mod registry;
mod replaced;
mod rollback;
mod sealed;
mod stats;
mod tampering;
mod transactions;
mod verify;
