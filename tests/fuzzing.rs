//! The fuzz targets on their seeds, and on some thousand mutations of those that are the same in each run. `fuzz/run` looks further.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use fuzz::mutate::{Chance, mutate};

/// What is allocated is counted over all threads, so one target runs at a time.
static TURN: Mutex<()> = Mutex::new(());

fn seeds(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{target} has no seeds");
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn check(target: &str, input: &[u8], context: &str) {
    if catch_unwind(AssertUnwindSafe(|| fuzz::run(target, input))).is_err() {
        let kept = std::env::temp_dir().join(format!("{target}-failing-input"));
        fs::write(&kept, input).unwrap();
        panic!("{target}: {context} fails; the input is in {}", kept.display());
    }
}

fn run(target: &str, rounds: u64) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let rounds =
        std::env::var("CASK_FUZZ_ROUNDS").ok().map_or(rounds, |text| text.parse().expect("CASK_FUZZ_ROUNDS is a number"));
    let seeds = seeds(target);
    // What is made once per process, such as threads in the background, is not held against the first input.
    (fuzz::TARGETS.iter().find(|known| known.name == target).unwrap().run)(&seeds[0]);
    for (number, seed) in seeds.iter().enumerate() {
        check(target, seed, &format!("seed {number}"));
        for cut in (0..seed.len()).step_by(seed.len() / 16 + 1) {
            check(target, &seed[..cut], &format!("seed {number} cut at {cut}"));
        }
    }
    for round in 0..rounds {
        let mut chance = Chance(round);
        let mut input = seeds[chance.below(seeds.len())].clone();
        mutate(&mut input, &seeds, &mut chance);
        check(target, &input, &format!("mutation {round}"));
    }
}

macro_rules! targets {
    ($($name:ident: $rounds:expr,)*) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), $rounds);
        })*

        #[test]
        fn every_target_is_run() {
            let names: Vec<&str> = fuzz::TARGETS.iter().map(|target| target.name).collect();
            assert_eq!(names, [$(stringify!($name)),*]);
        }
    };
}

targets! {
    frame: 10_000,
    hint: 10_000,
    key_slot: 10_000,
    manifest: 10_000,
    owner: 10_000,
    recovery: 6_000,
    repair: 6_000,
    rollback_state: 10_000,
    segment: 10_000,
}
