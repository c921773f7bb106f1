//! How much memory the index takes, counted by the allocator. Prints what it has counted: `-- --nocapture`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::print_stdout)]

mod common;
// Not among what all tests share: it counts for the whole binary.
#[path = "common/allocation.rs"]
mod allocation;

use std::sync::Arc;

use baileys_cask::backend::Backend;
use baileys_cask::backend::file::index::{Index, Location, ShortSize};
use baileys_cask::backend::file::{Durability, FileBackend, FileOptions};
use baileys_cask::codec::cipher::Cipher;
use baileys_cask::codec::frame::{self, Form};
use baileys_cask::codec::hint::{self, HintOf, HintOp, HintWriter};
use baileys_cask::record::Op;

use allocation::{ASKED, HELD, LARGEST};
use common::disk::Disk;
use common::drive::{open, options, set, vanish};

fn held() -> isize {
    HELD.get()
}

/// Key of a session with a LID.
fn key(n: usize) -> Vec<u8> {
    format!("\x02{}_1.{}", 100_000_000_000_000 + n * 7919, n % 5).into_bytes()
}

const KEY_BYTES: f64 = 20.0;

fn at(n: usize) -> Location {
    Location::new(1, n as u32, 90, 8, ShortSize::of(100))
}

/// Puts or deletes records, each in a batch of its own or many in one.
fn publish(index: &Index, account: &str, ops: &[Op<'_>]) {
    let mut packed = Vec::new();
    ops.iter().for_each(|op| op.pack(&mut packed));
    let mut bytes = Vec::new();
    assert!(frame::encode_batch(&mut bytes, account, &packed, Form::Plain));
    frame::finish(&mut bytes, 1, 0, &[7; 16], 256, &Cipher::Plain);
    index.free(&index.publish(&bytes, 1, 256, None));
}

fn put(index: &Index, account: &str, numbers: impl Iterator<Item = usize>) {
    let keys: Vec<Vec<u8>> = numbers.map(key).collect();
    for keys in keys.chunks(500) {
        let ops: Vec<Op<'_>> = keys.iter().map(|key| Op::Put { key, value: b"" }).collect();
        publish(index, account, &ops);
    }
}

fn delete(index: &Index, account: &str, numbers: impl Iterator<Item = usize>) {
    let keys: Vec<Vec<u8>> = numbers.map(key).collect();
    for keys in keys.chunks(500) {
        let ops: Vec<Op<'_>> = keys.iter().map(|key| Op::Delete { key }).collect();
        publish(index, account, &ops);
    }
}

/// Every record is found, and nothing else.
fn assert_has(index: &Index, account: &str, there: impl Iterator<Item = usize>, absent: impl Iterator<Item = usize>) {
    let account = index.account(account).unwrap();
    there.for_each(|n| assert!(account.find(&key(n)).is_some(), "{n} is missing"));
    absent.for_each(|n| assert!(account.find(&key(n)).is_none(), "{n} is there"));
}

#[test]
fn a_million_records_take_at_most_48_bytes_each_beside_their_keys() {
    const STEP: usize = 2_000;
    let index = Index::default();
    let before = held();
    LARGEST.set(0);
    let (mut worst, mut worst_at) = (0.0_f64, 0);
    for from in (0..1_000_000).step_by(STEP) {
        // What the batches themselves take is freed before anything is counted.
        put(&index, "default", from..from + STEP);
        let records = from + STEP;
        let each = (held() - before) as f64 / records as f64 - KEY_BYTES;
        if records >= 100_000 && each > worst {
            (worst, worst_at) = (each, records);
        }
    }
    let each = (held() - before) as f64 / 1e6 - KEY_BYTES;
    println!("a million records: {each:.1} bytes each beside the key; {worst:.1} at most, with {worst_at} records");
    assert!(worst <= 48.0, "{worst:.1} bytes each with {worst_at} records");
    // Nothing that holds many records is one piece of memory, which would have to be copied as a whole to grow.
    println!("largest allocation {} bytes", LARGEST.get());
    assert!(LARGEST.get() <= 256 << 10, "{} bytes at once", LARGEST.get());
    assert_has(&index, "default", (0..1_000_000).step_by(997), 1_000_000..1_001_000);
}

#[test]
fn memory_comes_back_after_deletes_and_is_bounded_while_records_come_and_go() {
    const RECORDS: usize = 200_000;
    let index = Index::default();
    let before = held();
    let each = |records: usize| (held() - before) as f64 / records as f64 - KEY_BYTES;
    put(&index, "default", 0..RECORDS);
    // Of every ten records nine come and go, in many rounds.
    let mut worst = 0.0_f64;
    for round in 0..20 {
        let (gone, new) = (round * RECORDS / 10, RECORDS + round * RECORDS / 10);
        for step in (0..RECORDS / 10).step_by(2_000) {
            delete(&index, "default", gone + step..gone + step + 2_000);
            put(&index, "default", new + step..new + step + 2_000);
            worst = worst.max(each(RECORDS));
        }
    }
    println!("records that come and go: {worst:.1} bytes each beside the key at most");
    assert!(worst <= 64.0, "{worst:.1}");
    let first = 2 * RECORDS;
    assert_has(&index, "default", (first..first + RECORDS).step_by(97), (0..first).step_by(997));
    // All but one in a hundred, in no particular order.
    for rest in 1..100 {
        delete(&index, "default", (first + rest..first + RECORDS).step_by(100));
    }
    let left = RECORDS / 100;
    println!("after deletes: {:.1} bytes for each of {left} beside the key", each(left));
    assert!(each(left) <= 64.0, "{:.1}", each(left));
    assert_has(&index, "default", (first..first + RECORDS).step_by(100), (first + 1..first + RECORDS).step_by(100));
    delete(&index, "default", (first..first + RECORDS).step_by(100));
    println!("after the last delete: {} bytes", held() - before);
    assert!(held() - before < 1_000, "{}", held() - before);
}

#[test]
fn memory_comes_back_after_deletes_in_an_account_of_one_shard() {
    let index = Index::default();
    let before = held();
    put(&index, "default", 0..1_500);
    delete(&index, "default", 20..1_500);
    println!("20 of 1500 records are left: {} bytes", held() - before);
    assert!(held() - before < 3_000, "{}", held() - before);
    assert_has(&index, "default", 0..20, 20..1_500);
}

#[test]
fn memory_comes_back_after_a_clear() {
    let index = Index::default();
    let before = held();
    put(&index, "default", 0..100_000);
    publish(&index, "default", &[Op::Put { key: &[255], value: b"creds" }]);
    publish(&index, "default", &[Op::Clear]);
    println!("after a clear: {} bytes", held() - before);
    assert!(held() - before < 1_000, "{}", held() - before);
    assert!(index.has("default", &[255]));
    assert_has(&index, "default", std::iter::empty(), (0..100_000).step_by(97));
}

#[test]
fn small_accounts_are_small() {
    const ACCOUNTS: usize = 3_000;
    // With the account's name, its place in the table of accounts, and some 90 bytes of counts. What a table of whole records would take, with keys of up to 22
    // bytes beside their places, is 299, 299, 463, 463, 791, 2759 and, nearly full at that number, 5383.
    for (records, most) in [(1, 290), (3, 370), (5, 450), (7, 550), (10, 850), (30, 1_890), (100, 5_790)] {
        let index = Index::default();
        let before = held();
        for n in 0..ACCOUNTS {
            put(&index, &format!("account-{n:05}"), 0..records);
        }
        let each = (held() - before) as usize / ACCOUNTS;
        println!("an account of {records:3} records: {each} bytes");
        assert!(each <= most, "{each} bytes with {records} records");
    }
}

#[test]
fn a_bulk_load_takes_little_more_memory_than_batches_do() {
    const RECORDS: usize = 300_000;
    let keys: Vec<Vec<u8>> = (0..RECORDS).map(key).collect();
    let index = Index::default();
    let before = held();
    let unreachable = index.change("default", 1, |changes| {
        changes.reserve(RECORDS, RECORDS * KEY_BYTES as usize);
        keys.iter().enumerate().for_each(|(n, key)| assert!(!changes.put(key, at(n)).replaces));
    });
    assert_eq!(unreachable.records(), 0);
    let each = (held() - before) as f64 / RECORDS as f64 - KEY_BYTES;
    println!("bulk load: {each:.1} bytes each beside the key");
    assert!(each <= 48.0, "{each:.1}");
    let account = index.account("default").unwrap();
    for (n, key) in keys.iter().enumerate().step_by(101) {
        assert_eq!(account.find(key).unwrap().location, at(n));
    }
    assert_eq!(index.usage.needed(1).live, RECORDS as u64 * 100);
}

#[test]
fn records_that_are_expected_take_no_more_than_others_and_room_for_those_that_do_not_come_is_given_back() {
    const RECORDS: usize = 300_000;
    let index = Index::default();
    let before = held();
    let each = |records: usize| (held() - before) as f64 / records as f64 - KEY_BYTES;
    put(&index, "default", 0..RECORDS / 32);
    let account = index.account("default").unwrap();
    account.expect(RECORDS);
    let expected = held();
    put(&index, "default", RECORDS / 32..RECORDS);
    println!("{RECORDS} expected records: {} bytes before they come, {} after", expected - before, held() - before);
    assert!(held() - expected <= (expected - before) / 50, "memory was asked for while they came");
    account.trim();
    println!("expected records: {:.1} bytes each beside the key", each(RECORDS));
    assert!(each(RECORDS) <= 48.0, "{:.1}", each(RECORDS));
    // A delete takes no room away before that was looked at.
    LARGEST.set(0);
    account.expect(4 * RECORDS);
    assert!(LARGEST.get() <= 256 << 10, "{} bytes at once", LARGEST.get());
    let expected = held();
    delete(&index, "default", 0..1);
    assert!(expected - held() < 1_000, "{} bytes were given back", expected - held());
    put(&index, "default", RECORDS..RECORDS + 10_000);
    account.trim();
    let left = RECORDS + 9_999;
    println!("records that did not come: {:.1} bytes each beside the key", each(left));
    assert!(each(left) <= 48.0, "{:.1}", each(left));
    assert_has(&index, "default", (1..RECORDS + 10_000).step_by(997), 0..1);
}

/// A log of small records, written and then opened; with the memory of its index both times, and the bytes that opening asked for.
fn opened(numbers: impl Iterator<Item = usize>) -> (Arc<FileBackend>, u64, u64, usize) {
    let disk = Disk::default();
    let options = FileOptions { segment_bytes: 1 << 20, ..options(Durability::Process) };
    let backend = open(&disk, &options).unwrap();
    let numbers: Vec<usize> = numbers.collect();
    for batch in numbers.chunks(500) {
        let puts: Vec<_> =
            batch.iter().map(|n| common::model::put(&format!("{n:015}"), [n.to_le_bytes(), n.to_le_bytes()].concat())).collect();
        set(&*backend, "a", &puts).unwrap();
    }
    let grown = backend.facts().index_bytes;
    vanish(backend);
    let asked = ASKED.get();
    let backend = open(&disk, &options).unwrap();
    let asked = ASKED.get() - asked;
    let opened = backend.facts().index_bytes;
    println!("index of {grown} bytes when it was written, {opened} when it was read, which asked for {asked}");
    (backend, grown, opened, asked)
}

#[test]
fn a_log_of_new_records_is_opened_with_room_for_all_of_them() {
    let (_backend, grown, opened, asked) = opened(0..40_000);
    assert!(opened * 20 <= grown * 21, "{grown} bytes when it was written, {opened} when it was read");
    // An index that grows by itself moves each record several times, into ten times as much memory.
    assert!(asked < 4 * grown as usize, "it asked for {asked} bytes for {grown}");
}

#[test]
fn a_log_that_ends_otherwise_than_it_began_leaves_no_room_behind() {
    let (_backend, grown, opened, _) = opened((0..30_000).chain(0..30_000));
    assert!(opened * 20 <= grown * 21, "{grown} bytes when it was written, {opened} when it was read");
}

/// A hint of one account, in groups, brought into an index.
fn load(index: &Index, groups: &[Vec<HintOp<'_>>]) -> usize {
    let of = HintOf { cask_id: [1; 16], id: 7, salt: [2; 16], length: 1 << 30 };
    let mut writer = HintWriter::new(&of);
    for ops in groups {
        writer.begin("default");
        ops.iter().for_each(|op| writer.push(op));
    }
    let bytes = writer.finish(&Cipher::Plain).unwrap();
    let length = bytes.len();
    let opened = hint::open(bytes, &of, &Cipher::Plain).unwrap();
    hint::groups(&opened).unwrap().iter().for_each(|group| index.load(group, 7));
    length
}

#[test]
fn a_hint_takes_memory_for_the_records_that_it_has() {
    const RECORDS: usize = 50_000;
    let keys: Vec<Vec<u8>> = (0..RECORDS).map(key).collect();
    let puts: Vec<HintOp<'_>> = keys.iter().map(|key| HintOp::Put { key, chunk: 300, chunk_len: 90, op: 9, size: 50 }).collect();
    let groups = [puts];
    let index = Index::default();
    let before = held();
    load(&index, &groups);
    let each = (held() - before) as f64 / RECORDS as f64 - KEY_BYTES;
    println!("records of a hint: {each:.1} bytes each beside the key");
    assert!(each <= 48.0, "{each:.1}");

    // One long key, and many deletes of what is not there: so long an average, times so many operations, would be gigabytes.
    let long = [3; 60_000];
    let deletes = vec![HintOp::Delete { key: b"\x02", size: 50 }; 100_000];
    let groups = [vec![HintOp::Put { key: &long, chunk: 300, chunk_len: 90, op: 9, size: 50 }], deletes];
    let index = Index::default();
    let before = held();
    let asked = ASKED.get();
    let length = load(&index, &groups);
    println!("a hint of {length} bytes with one record asked for {}, and holds {}", ASKED.get() - asked, held() - before);
    assert!(held() - before < 100_000, "{} bytes for one record", held() - before);
    assert!(ASKED.get() - asked < 10 * length, "it asked for {} bytes", ASKED.get() - asked);
}

#[test]
fn keys_of_the_greatest_length_do_not_fill_one_shard() {
    let index = Index::default();
    let before = held();
    LARGEST.set(0);
    let keys: Vec<Vec<u8>> = (0..2_000).map(|n| format!("\x02{n:04}{}", "x".repeat(4092)).into_bytes()).collect();
    let (made, largest) = (held(), LARGEST.replace(0));
    for key in &keys {
        publish(&index, "default", &[Op::Put { key, value: b"" }]);
    }
    let bytes: usize = keys.iter().map(Vec::len).sum();
    let each = (held() - made) as f64 / bytes as f64;
    println!(
        "keys of 4 KB: {each:.2} bytes a byte, largest allocation {} ({largest} before, {} held)",
        LARGEST.get(),
        made - before
    );
    assert!(each <= 1.5, "{each:.2}");
    assert!(LARGEST.get() <= 512 << 10, "{} bytes at once", LARGEST.get());
    let account = index.account("default").unwrap();
    assert!(keys.iter().all(|key| account.find(key).is_some()));
}
