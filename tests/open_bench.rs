//! How fast a cask opens after its process was killed. Not run by itself:
//!
//! ```sh
//! cargo test --release --no-default-features --test open_bench -- --ignored --nocapture --test-threads 1
//! ```
//!
//! The files are in the page cache. They are made anew in a temporary folder, 1 GB at most at a time; each opening works on copies
//! that share their bytes with them (hard links), for opening starts a segment and writes a manifest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

mod common;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use baileys_cask::backend::file::fs::OsFs;
use baileys_cask::backend::file::{FileBackend, FileOptions};
use baileys_cask::backend::{Applied, Backend, Batch};
use baileys_cask::record::Op;

use common::drive::{NEVER, vanish};

const OPENINGS: usize = 7;

fn options() -> FileOptions {
    FileOptions { sync_interval: NEVER, compacts: false, ..FileOptions::default() }
}

fn open(folder: &Path) -> Arc<FileBackend> {
    FileBackend::open(folder, Arc::new(OsFs), &options(), None).unwrap()
}

fn key(n: usize) -> Vec<u8> {
    format!("\x02{}_1.{}", 100_000_000_000_000 + n * 7919, n % 5).into_bytes()
}

/// Writes `records` values in batches, and ends as a killed process does.
fn write(folder: &Path, records: usize, batch: usize, value_bytes: usize) {
    let backend = open(folder);
    let mut value = vec![b'v'; value_bytes];
    let mut ops = Vec::new();
    for from in (0..records).step_by(batch) {
        ops.clear();
        for n in from..from + batch {
            value[..8].copy_from_slice(&(n as u64).to_le_bytes());
            Op::Put { key: &key(n), value: &value }.pack(&mut ops);
        }
        let applied = backend.apply(Batch { account: "default", ops: &ops, fence: 0 }, &mut || panic!("a batch was queued"));
        assert!(matches!(applied, Applied::Now(Ok(()))), "{applied:?}");
    }
    vanish(backend);
}

fn bytes_in(folder: &Path) -> u64 {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().metadata().unwrap().len()).sum()
}

fn measure(name: &str, records: usize, batch: usize, value_bytes: usize) {
    let parent = tempfile::tempdir().unwrap();
    let written = parent.path().join("written");
    fs::create_dir(&written).unwrap();
    write(&written, records, batch, value_bytes);
    let bytes = bytes_in(&written);
    let mut times = Vec::new();
    for n in 0..OPENINGS {
        let folder = parent.path().join(n.to_string());
        fs::create_dir(&folder).unwrap();
        for entry in fs::read_dir(&written).unwrap().map(Result::unwrap) {
            fs::hard_link(entry.path(), folder.join(entry.file_name())).unwrap();
        }
        let start = Instant::now();
        let backend = open(&folder);
        times.push(start.elapsed().as_secs_f64());
        let mut found = 0;
        backend.keys("default", b"\x02", &mut |_| found += 1).unwrap();
        assert_eq!(found, records);
        vanish(backend);
    }
    times.sort_by(f64::total_cmp);
    let median = times[OPENINGS / 2];
    println!("{name:44} {:7.1} MB {median:7.3} s {:6.2} GB/s", bytes as f64 / 1e6, bytes as f64 / 1e9 / median);
}

#[test]
#[ignore = "measures"]
fn open_a_killed_cask() {
    measure("500,000 values of 2 KB, one in a batch", 500_000, 1, 2000);
    measure("1,000,000 small values, one in a batch", 1_000_000, 1, 60);
    measure("1,000,000 small values, 500 in a batch", 1_000_000, 500, 60);
}
