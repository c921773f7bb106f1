//! How many records an account has of each family, and how much they take.

use std::collections::HashMap;

use crate::record::{FAMILY_CREDS, FAMILY_KNOWN_MAX, FAMILY_NAMED, family_of};

/// Records of one family.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// How many there are.
    pub records: u64,
    /// Bytes that they take where they are kept.
    pub bytes: u64,
}

/// Records of a family with a code, or the creds. There are at most eleven of these in an account, and most often one to three.
#[derive(Debug, Clone, Copy)]
struct Coded {
    code: [u8; 1],
    /// More do not fit into memory.
    records: u32,
    bytes: u64,
}

/// The counts of one account. They change with its records, under the same lock, and are kept small: a process may have thousands.
#[derive(Debug, Clone, Default)]
pub struct Families {
    coded: Vec<Coded>,
    /// Those without a code, by what their keys begin with. Few accounts have any.
    #[allow(clippy::box_collection)]
    named: Option<Box<HashMap<Box<[u8]>, Count>>>,
}

/// Whether a family has a code.
const fn is_coded(code: u8) -> bool {
    matches!(code, 1..=FAMILY_KNOWN_MAX | FAMILY_CREDS)
}

impl Families {
    /// There is one more record, of so many bytes.
    #[inline]
    pub fn added(&mut self, key: &[u8], bytes: u64) {
        self.change(key, |count| {
            count.records += 1;
            count.bytes += bytes;
        });
    }

    /// A record takes `to` bytes instead of `from`.
    #[inline]
    pub fn resized(&mut self, key: &[u8], from: u64, to: u64) {
        if from != to {
            self.change(key, |count| count.bytes = (count.bytes + to).saturating_sub(from));
        }
    }

    /// There is one record less, which had so many bytes.
    #[inline]
    pub fn removed(&mut self, key: &[u8], bytes: u64) {
        self.change(key, |count| {
            count.records = count.records.saturating_sub(1);
            count.bytes = count.bytes.saturating_sub(bytes);
        });
    }

    #[inline]
    fn change(&mut self, key: &[u8], work: impl FnOnce(&mut Count)) {
        match key.first() {
            Some(code) if is_coded(*code) => self.change_coded(*code, work),
            // What no family is, but for its first byte, has that one's count.
            _ => self.change_named(family_of(key).or(key.get(..1)).unwrap_or_default(), work),
        }
    }

    #[inline]
    fn change_coded(&mut self, code: u8, work: impl FnOnce(&mut Count)) {
        if let Some(coded) = self.coded.iter_mut().find(|coded| coded.code == [code]) {
            let mut count = Count { records: coded.records.into(), bytes: coded.bytes };
            work(&mut count);
            (coded.records, coded.bytes) = (u32::try_from(count.records).unwrap_or(u32::MAX), count.bytes);
            return;
        }
        let mut count = Count::default();
        work(&mut count);
        self.coded.reserve_exact(1);
        self.coded.push(Coded { code: [code], records: u32::try_from(count.records).unwrap_or(u32::MAX), bytes: count.bytes });
    }

    #[cold]
    fn change_named(&mut self, prefix: &[u8], work: impl FnOnce(&mut Count)) {
        let named = self.named.get_or_insert_default();
        if let Some(count) = named.get_mut(prefix) {
            work(count);
            if count.records == 0 {
                named.remove(prefix);
            }
        } else {
            work(named.entry(prefix.into()).or_default());
        }
        if named.is_empty() {
            self.named = None;
        }
    }

    /// Adds the counts of another account.
    pub fn absorb(&mut self, other: &Self) {
        let add = |count: &mut Count, more: &Count| {
            count.records += more.records;
            count.bytes += more.bytes;
        };
        for more in &other.coded {
            self.change_coded(more.code[0], |count| add(count, &Count { records: more.records.into(), bytes: more.bytes }));
        }
        for (prefix, more) in other.named.iter().flat_map(|named| named.iter()) {
            add(self.named.get_or_insert_default().entry(prefix.clone()).or_default(), more);
        }
    }

    /// Whether there are no records.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// Families that have records, by what their keys begin with.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Count)> {
        let coded = self.coded.iter().map(|coded| (&coded.code[..], Count { records: coded.records.into(), bytes: coded.bytes }));
        let named = self.named.iter().flat_map(|named| named.iter()).map(|(prefix, count)| (&**prefix, *count));
        coded.chain(named).filter(|(_, count)| count.records > 0)
    }
}

const _: () = assert!(FAMILY_NAMED == 0, "a family with a name of its own is none of those with a code");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn counts(families: &Families) -> Vec<(Vec<u8>, u64, u64)> {
        let mut counts: Vec<_> = families.iter().map(|(prefix, count)| (prefix.to_vec(), count.records, count.bytes)).collect();
        counts.sort();
        counts
    }

    #[test]
    fn every_family_has_a_count_of_its_own() {
        let mut families = Families::default();
        for code in (1..=FAMILY_KNOWN_MAX).chain([FAMILY_CREDS]) {
            families.added(&[code, b'x'], 10 + u64::from(code));
        }
        families.added(b"\x00\x03onea", 1);
        families.added(b"\x00\x03oneb", 2);
        families.added(b"\x00\x04onea", 4);
        let mut expected: Vec<_> =
            (1..=FAMILY_KNOWN_MAX).chain([FAMILY_CREDS]).map(|code| (vec![code], 1, 10 + u64::from(code))).collect();
        expected.push((b"\x00\x03one".to_vec(), 2, 3));
        expected.push((b"\x00\x04onea".to_vec(), 1, 4));
        expected.sort();
        assert_eq!(counts(&families), expected);
    }

    #[test]
    fn counts_of_two_accounts_add_up() {
        let (mut one, mut other) = (Families::default(), Families::default());
        assert!(one.is_empty());
        for (families, keys) in [(&mut one, [&b"\x02a"[..], b"\x00\x03onea"]), (&mut other, [b"\x02b", b"\x00\x03twoa"])] {
            keys.iter().for_each(|key| families.added(key, 5));
        }
        one.absorb(&other);
        one.absorb(&other);
        assert!(!one.is_empty());
        assert_eq!(counts(&one), [(b"\x00\x03one".to_vec(), 1, 5), (b"\x00\x03two".to_vec(), 2, 10), (b"\x02".to_vec(), 3, 15)]);
    }

    #[test]
    fn a_count_goes_down_as_it_went_up_and_then_away() {
        let mut families = Families::default();
        for key in [&b"\x02a"[..], b"\x00\x03onea"] {
            families.added(key, 7);
            families.added(key, 9);
            families.resized(key, 9, 20);
            assert_eq!(counts(&families).first().map(|(_, records, bytes)| (*records, *bytes)), Some((2, 27)));
            families.resized(key, 20, 5);
            families.removed(key, 7);
            assert_eq!(counts(&families).first().map(|(_, records, bytes)| (*records, *bytes)), Some((1, 5)));
            families.removed(key, 5);
            assert!(families.is_empty());
        }
    }
}
