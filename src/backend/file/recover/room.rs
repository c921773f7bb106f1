//! Room in the index for what is still to be read.
//!
//! An index that grows record by record moves each of them several times, which for many small records takes longer than reading
//! them. How many there are is written nowhere, but after a part of the log it can be told how many the rest is likely to bring.

use std::collections::HashMap;

use super::super::index::Index;

/// A log that is shorter is read before anything could be gained.
const LEAST_LOG_BYTES: u64 = if cfg!(fuzzing) { 1 << 10 } else { 1 << 20 };
/// Of a log the first look is at one in so many bytes, the next ones at twice as many as the last.
const FIRST_LOOK_ONE_IN: u64 = 32;
/// A look makes room for so many times the records that are there: a folder in which lengths lie must not take memory for what it does not have.
const MOST_AT_ONCE: u128 = 8;
/// An account that is to have fewer records grows by itself.
const LEAST_RECORDS: u128 = if cfg!(fuzzing) { 2 } else { 10_000 };

/// Looks ahead while a log is read, and makes room.
pub(super) struct Room<'a> {
    index: &'a Index,
    /// Bytes of the log, and how many of them were read.
    total: u64,
    read: u64,
    next_look: u64,
    /// Bytes that were read when it looked last, and each account then.
    looked_at: u64,
    seen: HashMap<Box<str>, Seen>,
}

/// An account at the last look.
#[derive(Default)]
struct Seen {
    records: u64,
    /// Room was made for so many; 0 where none was.
    expected: u128,
}

impl<'a> Room<'a> {
    pub(super) fn new(index: &'a Index, total: u64) -> Self {
        let next_look = if total < LEAST_LOG_BYTES { u64::MAX } else { total / FIRST_LOOK_ONE_IN };
        Self { index, total, read: 0, next_look, looked_at: 0, seen: HashMap::new() }
    }

    /// So many bytes more of the log are in the index.
    pub(super) fn passed(&mut self, bytes: u64) {
        self.read = self.read.saturating_add(bytes);
        if self.read >= self.next_look {
            self.look();
        }
    }

    fn look(&mut self) {
        let (since, left) = (self.read - self.looked_at, self.total.saturating_sub(self.read));
        self.next_look = self.read.saturating_mul(2);
        self.looked_at = self.read;
        let Self { index, seen, .. } = self;
        index.visit(|name, account| {
            let now = account.records() as u64;
            let before = seen.entry(name.into()).or_default();
            // The rest is likely to be as what was read last: an account that got nothing in it gets no room.
            let more = u128::from(now.saturating_sub(before.records)) * u128::from(left) / u128::from(since.max(1));
            let bounded = (u128::from(now) + more).min(u128::from(now) * MOST_AT_ONCE);
            let expected = if more > 0 && bounded >= LEAST_RECORDS { bounded } else { 0 };
            // What was made before and turns out to be too much is not held until the end.
            let is_too_much = before.expected > expected * 2;
            if is_too_much {
                account.trim();
            }
            *before = Seen { records: now, expected };
            if expected > 0 {
                account.expect(usize::try_from(expected).unwrap_or(0));
            }
        });
    }

    /// The log was read: gives back the room that was not needed, also that which hints have asked for.
    pub(super) fn trim(&self) {
        self.index.visit(|_, account| account.trim());
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::index::{Location, ShortSize};
    use super::*;

    const LOG_BYTES: u64 = 64 << 20;

    fn put(index: &Index, account: &str, numbers: std::ops::Range<u32>) {
        let unreachable = index.change(account, 1, |changes| {
            for n in numbers {
                changes.put(&n.to_le_bytes(), Location::new(1, n, 90, 8, ShortSize::of(100)));
            }
        });
        index.free(&unreachable);
    }

    fn memory(index: &Index, account: &str) -> usize {
        index.account(account).unwrap().memory()
    }

    /// What so many records take that nobody expected.
    fn grown(records: u32) -> usize {
        let index = Index::default();
        put(&index, "a", 0..records);
        memory(&index, "a")
    }

    #[test]
    fn an_account_gets_room_for_as_many_as_the_last_part_promises_and_gives_back_what_was_too_much() {
        let index = Index::default();
        put(&index, "grows", 0..2_000);
        put(&index, "is whole", 0..20_000);
        let mut room = Room::new(&index, LOG_BYTES);
        // Everything there is counts as what the first part has brought; room is made for eight times as many.
        room.passed(LOG_BYTES / FIRST_LOOK_ONE_IN);
        let (grows, whole) = (memory(&index, "grows"), memory(&index, "is whole"));
        // 22 bytes in the arena and 10 in the table for each.
        assert!((16_000 * 30..16_000 * 42).contains(&grows), "{grows} bytes for 16,000 records");
        assert!(whole > 160_000 * 30, "{whole} bytes for 160,000 records");
        put(&index, "grows", 2_000..4_000);
        let grows = memory(&index, "grows");
        room.passed(LOG_BYTES / FIRST_LOOK_ONE_IN - 1);
        assert_eq!(memory(&index, "grows"), grows, "it looked too early");
        room.trim();
        let (grows, whole) = (memory(&index, "grows"), memory(&index, "is whole"));
        assert!(grows < grown(4_000) * 5 / 4, "{grows} bytes for 4,000 records");
        assert!(whole < grown(20_000) * 5 / 4, "{whole} bytes for 20,000 records");
        // The second part brought as many of the one, and none of the other.
        room.passed(1);
        let (grows, whole_then) = (memory(&index, "grows"), memory(&index, "is whole"));
        assert!((32_000 * 30..32_000 * 42).contains(&grows), "{grows} bytes for 32,000 records");
        assert_eq!(whole_then, whole);
    }

    #[test]
    fn accounts_that_were_written_one_after_the_other_do_not_keep_each_others_room() {
        let index = Index::default();
        let mut room = Room::new(&index, LOG_BYTES);
        let first = LOG_BYTES / FIRST_LOOK_ONE_IN;
        put(&index, "one", 0..20_000);
        room.passed(first);
        assert!(memory(&index, "one") > 160_000 * 30);
        put(&index, "other", 0..20_000);
        room.passed(first);
        assert!(memory(&index, "one") < grown(20_000) * 5 / 4, "{} bytes for 20,000 records", memory(&index, "one"));
        assert!(memory(&index, "other") > 160_000 * 30);
        // A tenth of what was expected of it.
        put(&index, "other", 20_000..20_100);
        room.passed(2 * first);
        assert!(memory(&index, "other") < grown(22_000) * 3 / 2, "{} bytes for 20,100 records", memory(&index, "other"));
    }

    #[test]
    fn no_room_is_made_in_a_short_log_and_none_for_few_records() {
        let index = Index::default();
        put(&index, "a", 0..300);
        let before = memory(&index, "a");
        let mut short = Room::new(&index, LEAST_LOG_BYTES - 1);
        short.passed(LEAST_LOG_BYTES / 2);
        assert_eq!(memory(&index, "a"), before);
        let mut few = Room::new(&index, LOG_BYTES);
        few.passed(LOG_BYTES / FIRST_LOOK_ONE_IN);
        assert_eq!(memory(&index, "a"), before, "9,600 records are few");
    }

    #[test]
    fn a_log_that_claims_any_length_takes_memory_for_what_it_has() {
        let index = Index::default();
        put(&index, "a", 0..20_000);
        for total in [1 << 40, u64::MAX] {
            let mut room = Room::new(&index, total);
            room.passed(total / FIRST_LOOK_ONE_IN - 1);
            // All of the rest but a byte is still to come.
            room.passed(1);
            let bytes = memory(&index, "a");
            assert!(bytes < 8 * 20_000 * 45, "{bytes} bytes");
            room.trim();
        }
        assert_eq!(index.account("a").unwrap().records(), 20_000);
    }
}
