//! How fast the index is. Not run by itself, for times differ from machine to machine and from minute to minute:
//!
//! ```sh
//! cargo test --release --no-default-features --test index_bench -- --ignored --nocapture --test-threads 1
//! ```
//!
//! To compare two versions of the index, build this program from both, run the two in turn several times, and compare the best.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use baileys_cask::backend::file::cache::ValueCache;
use baileys_cask::backend::file::index::Index;
use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::frame::{self, Form};
use baileys_cask::record::Op;

const ACCOUNT: &str = "default";
const MANY: usize = 1_000_000;

/// Key of a session with a LID, as most of a gateway's records have.
fn key(n: usize) -> Vec<u8> {
    format!("\x02{}_1.{}", 100_000_000_000_000 + n * 7919, n % 5).into_bytes()
}

fn keys(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(key).collect()
}

/// A finished frame that puts a value of so many bytes under each key.
fn frame_of(keys: &[Vec<u8>], value_bytes: usize) -> Vec<u8> {
    let value = vec![7; value_bytes];
    let mut ops = Vec::new();
    keys.iter().for_each(|key| Op::Put { key, value: &value }.pack(&mut ops));
    let mut frame = Vec::new();
    assert!(frame::encode_batch(&mut frame, ACCOUNT, &ops, Form::Plain));
    frame::finish(&mut frame, 1, 0, &[7; 16], 256, &Cipher::Plain);
    frame
}

fn index_of(keys: &[Vec<u8>]) -> Index {
    let index = Index::default();
    for batch in keys.chunks(500) {
        index.free(&index.publish(&frame_of(batch, 60), 1, 256, None));
    }
    index
}

/// Nanoseconds for one of `count` steps: median and best of some rounds. The best is what a busy machine disturbs least.
fn measure(name: &str, rounds: usize, count: usize, mut round: impl FnMut(usize)) {
    let mut times: Vec<f64> = (0..rounds)
        .map(|n| {
            let start = Instant::now();
            round(n);
            start.elapsed().as_secs_f64() * 1e9 / count as f64
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("{name:44} {:9.1} ns {:9.1}", times[rounds / 2], times[0]);
}

/// Places in `0..count` in an order that no cache foresees.
fn shuffled(count: usize) -> Vec<usize> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        order.swap(at, (state % (at as u64 + 1)) as usize);
    }
    order
}

#[test]
#[ignore = "measures"]
fn hot_records() {
    for total in [5, 5_000, MANY] {
        let keys = keys(total);
        let index = index_of(&keys);
        let account = index.account(ACCOUNT).unwrap();
        let hot: Vec<&Vec<u8>> = keys.iter().step_by((total / 64).max(1)).take(64).collect();
        let count = 64 * 2000;
        measure(&format!("find, {} of {total} in turn", hot.len()), 31, count, |_| {
            for n in 0..count {
                black_box(account.find(black_box(hot[n % hot.len()])));
            }
        });
        let frames: Vec<Vec<u8>> = hot.iter().map(|key| frame_of(std::slice::from_ref(key), 2000)).collect();
        let cache = ValueCache::new(None);
        for (name, cache) in [("cached", Some(&cache)), ("not cached", None)] {
            measure(&format!("publish over one of {}, {name}", hot.len()), 31, count / 4, |round| {
                for n in 0..count / 4 {
                    let offset = ((round * count + n) * 64) as u64;
                    let _ = black_box(index.publish(&frames[n % frames.len()], 1, offset, cache)).records();
                }
            });
        }
    }
}

#[test]
#[ignore = "measures"]
fn a_million_records() {
    let keys = keys(MANY);
    let order = shuffled(MANY);
    for (name, size) in [("batches of 1", 1), ("batches of 500", 500)] {
        let frames: Vec<Vec<u8>> = keys.chunks(size).map(|batch| frame_of(batch, 60)).collect();
        let mut longest = Vec::new();
        measure(&format!("insert {MANY} in {name}"), 5, MANY, |_| {
            let index = Index::default();
            let mut slowest = Vec::with_capacity(frames.len());
            for frame in &frames {
                let start = Instant::now();
                let _ = index.publish(frame, 1, 256, None).records();
                slowest.push(start.elapsed());
            }
            slowest.sort_unstable();
            longest.push([slowest[slowest.len() - 1 - slowest.len() / 10_000], slowest[slowest.len() - 1]]);
        });
        for (at, name) in ["one in 10,000 is slower than", "slowest"].iter().enumerate() {
            let least = longest.iter().map(|both| both[at]).min().unwrap_or(Duration::ZERO);
            println!("  {name:42} {:9.3} ms", least.as_secs_f64() * 1e3);
        }
    }
    let index = index_of(&keys);
    let account = index.account(ACCOUNT).unwrap();
    measure("find, a million in no order", 7, MANY, |_| {
        for n in &order {
            black_box(account.find(&keys[*n]));
        }
    });
    let frames: Vec<Vec<u8>> = order[..MANY / 4].iter().map(|n| frame_of(std::slice::from_ref(&keys[*n]), 60)).collect();
    measure("publish over one, in no order", 7, frames.len(), |round| {
        for frame in &frames {
            let _ = black_box(index.publish(frame, 1, 512 + round as u64 * 64, None)).records();
        }
    });
    measure("list all keys, for each", 7, MANY, |_| {
        let mut bytes = 0;
        account.keys(b"\x02", &mut |key| bytes += key.len());
        black_box(bytes);
    });
    let start = Instant::now();
    drop((index, account));
    println!("{:44} {:9.1} ms", "drop of a million", start.elapsed().as_secs_f64() * 1e3);
}

#[test]
#[ignore = "measures"]
fn many_small_accounts() {
    let frames: Vec<Vec<u8>> = (0..5000)
        .map(|n| {
            let mut ops = Vec::new();
            keys(8).iter().for_each(|key| Op::Put { key, value: b"v" }.pack(&mut ops));
            let mut frame = Vec::new();
            assert!(frame::encode_batch(&mut frame, &format!("account-{n}"), &ops, Form::Plain));
            frame::finish(&mut frame, 1, 0, &[7; 16], 256, &Cipher::Plain);
            frame
        })
        .collect();
    measure("fill 5000 accounts with 8 records, for each", 11, frames.len(), |_| {
        let index = Index::default();
        for frame in &frames {
            let _ = index.publish(frame, 1, 256, None).records();
        }
        black_box(&index);
    });
}
