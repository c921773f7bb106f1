//! Which segments are worth rewriting.

use std::ops::Range;

use super::super::usage::Needed;
use crate::codec::manifest::ManifestEntry;
use crate::codec::segment::SEGMENT_HEADER_BYTES;

/// A segment is rewritten when so many tenths of it are garbage.
const GARBAGE_TENTHS: u64 = 4;
/// Garbage of less than this part of a segment is left where it is: a small cask is not rewritten for a few kilobytes.
const FLOOR_PART: u64 = 8;
/// A segment of less than this part of a full one is taken along with its neighbours.
const SMALL_PART: u64 = 4;
/// So many small segments in a row are made one, however little garbage is in them.
const SMALL_IN_A_ROW: usize = 16;
/// Most segments that are rewritten at once.
const MOST_AT_ONCE: usize = 1024;

/// What rewriting a segment would leave and save.
#[derive(Debug, Clone, Copy)]
struct Outlook {
    payload: u64,
    /// Bytes that have to be kept.
    kept: u64,
    /// Those of them that are tombstones.
    tombstones: u64,
}

impl Outlook {
    const fn garbage(&self) -> u64 {
        self.payload.saturating_sub(self.kept)
    }

    const fn is_mostly_garbage(&self) -> bool {
        self.payload > 0 && self.garbage() * 10 >= self.payload * GARBAGE_TENTHS
    }

    const fn is_small(&self, segment_bytes: u64) -> bool {
        self.payload < segment_bytes / SMALL_PART
    }
}

fn outlooks(named: &[ManifestEntry], needed: &dyn Fn(u64) -> Needed) -> Vec<Outlook> {
    let mut oldest_decision = u64::MAX;
    let mut all = Vec::with_capacity(named.len());
    for entry in named {
        let Needed { live, tombstones } = needed(entry.id);
        // Whether anything older may hold a record that one of its tombstones keeps from coming back.
        let tombstones = if oldest_decision >= entry.last_seq { 0 } else { tombstones };
        let payload = entry.length.saturating_sub(SEGMENT_HEADER_BYTES as u64);
        all.push(Outlook { payload, kept: (live + tombstones).min(payload), tombstones });
        oldest_decision = oldest_decision.min(entry.decided_seq);
    }
    all
}

/// What to rewrite next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// Segments that lie side by side, by their positions.
    pub(super) range: Range<usize>,
    /// They are rewritten for the sake of others: it is not to be expected that they shrink.
    pub(super) is_for_others: bool,
}

impl Choice {
    const fn of(range: Range<usize>) -> Self {
        Self { range, is_for_others: false }
    }
}

/// What to rewrite next; `None` where nothing is worth while.
///
/// `named` are the segments that the manifest names, in their order.
pub(super) fn choose(named: &[ManifestEntry], needed: &dyn Fn(u64) -> Needed, segment_bytes: u64) -> Option<Choice> {
    let all = outlooks(named, needed);
    let floor = segment_bytes / FLOOR_PART;
    let sum = |part: fn(&Outlook) -> u64| all.iter().map(part).sum::<u64>();
    let (payload, garbage, stuck) = (sum(|outlook| outlook.payload), sum(Outlook::garbage), sum(|outlook| outlook.tombstones));
    if garbage >= floor
        && let Some(worst) = worst(&all).filter(|worst| all.get(*worst).is_some_and(Outlook::is_mostly_garbage))
    {
        return Some(Choice::of(with_neighbours(&all, worst, segment_bytes)));
    }
    if garbage + stuck >= floor && (garbage + stuck) * 10 >= payload * GARBAGE_TENTHS {
        // Spread over segments none of which is bad by itself.
        return if stuck > garbage { oldest_needing(named, &all) } else { worst(&all).map(|worst| Choice::of(worst..worst + 1)) };
    }
    small_in_a_row(&all, segment_bytes).map(Choice::of)
}

/// The segment with garbage of which the least has to be copied: what to rewrite where there is hardly any room.
pub(super) fn cheapest(named: &[ManifestEntry], needed: &dyn Fn(u64) -> Needed) -> Option<Choice> {
    let all = outlooks(named, needed);
    let with_garbage = all.iter().enumerate().filter(|(_, outlook)| outlook.garbage() > outlook.kept);
    with_garbage.min_by_key(|(_, outlook)| outlook.kept).map(|(position, _)| Choice::of(position..position + 1))
}

/// The segment of which the largest part is garbage.
fn worst(all: &[Outlook]) -> Option<usize> {
    let with_payload = all.iter().enumerate().filter(|(_, outlook)| outlook.payload > 0);
    let worst = with_payload.max_by_key(|(at, outlook)| (outlook.garbage() * 1000 / outlook.payload, usize::MAX - at));
    worst.map(|(position, _)| position)
}

/// Takes along neighbours that are worth it, as long as one segment holds what is kept.
fn with_neighbours(all: &[Outlook], chosen: usize, segment_bytes: u64) -> Range<usize> {
    let mut range = chosen..chosen + 1;
    let mut kept = all.get(chosen).map_or(0, |outlook| outlook.kept);
    let mut fits = |position: usize, length: usize| {
        let Some(outlook) = all.get(position) else { return false };
        let fits = length < MOST_AT_ONCE
            && kept + outlook.kept <= segment_bytes
            && (outlook.is_mostly_garbage() || outlook.is_small(segment_bytes));
        if fits {
            kept += outlook.kept;
        }
        fits
    };
    while fits(range.end, range.len()) {
        range.end += 1;
    }
    while range.start > 0 && fits(range.start - 1, range.len()) {
        range.start -= 1;
    }
    range
}

/// The oldest segment that may hold something which a tombstone keeps from coming back. Once all of them were rewritten, nothing in
/// them was dead when they were decided upon, and the tombstones can go.
fn oldest_needing(named: &[ManifestEntry], all: &[Outlook]) -> Option<Choice> {
    let newest = named.iter().zip(all).filter(|(_, outlook)| outlook.tombstones > 0).map(|(entry, _)| entry.last_seq).max()?;
    let oldest = named.iter().position(|entry| entry.decided_seq < newest && entry.first_seq < newest)?;
    Some(Choice { range: oldest..oldest + 1, is_for_others: true })
}

fn small_in_a_row(all: &[Outlook], segment_bytes: u64) -> Option<Range<usize>> {
    let mut row = 0..0;
    let mut kept = 0;
    for (position, outlook) in all.iter().enumerate() {
        if !outlook.is_small(segment_bytes) || kept + outlook.kept > segment_bytes {
            row = position + 1..position + 1;
            kept = 0;
            continue;
        }
        row.end = position + 1;
        kept += outlook.kept;
        if row.len() >= SMALL_IN_A_ROW {
            return Some(row);
        }
    }
    None
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const SEGMENT: u64 = 1000;

    /// A segment: payload, live bytes, bytes of tombstones, sequence number of its last decision.
    type Given = (u64, u64, u64, Option<u64>);

    fn chosen(given: &[Given]) -> Option<Range<usize>> {
        let entry = |(position, given): (usize, &Given)| ManifestEntry {
            id: position as u64,
            salt: [0; 16],
            length: SEGMENT_HEADER_BYTES as u64 + given.0,
            first_seq: position as u64 * 10 + 1,
            last_seq: position as u64 * 10 + 10,
            decided_seq: given.3.unwrap_or(position as u64 * 10 + 10),
            is_copy: given.3.is_some(),
        };
        let named: Vec<ManifestEntry> = given.iter().enumerate().map(entry).collect();
        let needed = |id: u64| given.get(id as usize).map_or_else(Needed::default, |g| Needed { live: g.1, tombstones: g.2 });
        choose(&named, &needed, SEGMENT).map(|choice| choice.range)
    }

    #[test]
    fn the_segment_with_most_garbage_is_rewritten_from_four_tenths_on() {
        assert_eq!(chosen(&[(1000, 601, 0, None), (1000, 610, 0, None)]), None);
        assert_eq!(chosen(&[(1000, 900, 0, None), (1000, 600, 0, None), (1000, 900, 0, None)]), Some(1..2));
        assert_eq!(chosen(&[(1000, 550, 0, None), (1000, 900, 0, None), (1000, 500, 0, None)]), Some(2..3));
    }

    #[test]
    fn neighbours_go_along_while_one_segment_holds_what_is_kept() {
        assert_eq!(chosen(&[(1000, 300, 0, None), (1000, 200, 0, None), (1000, 300, 0, None), (1000, 300, 0, None)]), Some(1..4));
        // Small ones too, though nothing in them is garbage.
        assert_eq!(chosen(&[(200, 200, 0, None), (1000, 100, 0, None), (240, 240, 0, None), (900, 900, 0, None)]), Some(0..3));
    }

    #[test]
    fn a_little_garbage_stays() {
        assert_eq!(chosen(&[(120, 0, 0, None)]), None);
        assert_eq!(chosen(&[(130, 0, 0, None)]), Some(0..1));
    }

    #[test]
    fn tombstones_are_garbage_once_nothing_older_needs_them() {
        // The oldest segment has nothing before it.
        assert_eq!(chosen(&[(1000, 0, 1000, None), (1000, 1000, 0, None)]), Some(0..1));
        // The one before was decided upon before the tombstones came, and is rewritten first.
        assert_eq!(chosen(&[(1000, 1000, 0, None), (1000, 0, 1000, None)]), Some(0..1));
        assert_eq!(chosen(&[(1000, 1000, 0, Some(19)), (1000, 0, 1000, None)]), Some(0..1));
        // Then they can go.
        assert_eq!(chosen(&[(1000, 1000, 0, Some(20)), (1000, 0, 1000, None)]), Some(1..2));
        assert_eq!(chosen(&[(1000, 1000, 0, None), (1000, 700, 300, None)]), None);
    }

    #[test]
    fn garbage_and_tombstones_together_are_garbage() {
        assert_eq!(chosen(&[(1000, 960, 0, None), (1000, 650, 50, None), (1000, 100, 600, None)]), Some(0..1));
        assert_eq!(chosen(&[(1000, 690, 0, None), (1000, 450, 200, None), (1000, 500, 150, None)]), Some(1..2));
    }

    #[test]
    fn the_cheapest_is_the_one_that_leaves_least_and_is_worth_it() {
        let cheapest_of = |given: &[(u64, u64)]| {
            let entry = |(position, given): (usize, &(u64, u64))| ManifestEntry {
                id: position as u64,
                salt: [0; 16],
                length: SEGMENT_HEADER_BYTES as u64 + given.0,
                first_seq: position as u64 + 1,
                last_seq: position as u64 + 1,
                decided_seq: position as u64 + 1,
                is_copy: false,
            };
            let named: Vec<ManifestEntry> = given.iter().enumerate().map(entry).collect();
            let needed = |id: u64| Needed { live: given.get(id as usize).map_or(0, |given| given.1), tombstones: 0 };
            cheapest(&named, &needed).map(|choice| choice.range)
        };
        assert_eq!(cheapest_of(&[(1000, 400), (1000, 30), (1000, 100)]), Some(1..2));
        assert_eq!(cheapest_of(&[(10, 8), (1000, 300)]), Some(1..2));
        assert_eq!(cheapest_of(&[(1000, 800)]), None);
    }

    #[test]
    fn many_small_segments_become_one() {
        let small = [(60, 60, 0, None); SMALL_IN_A_ROW];
        assert_eq!(chosen(&small), Some(0..SMALL_IN_A_ROW));
        assert_eq!(chosen(&small[1..]), None);
        let behind_a_full_one: Vec<Given> = [(1000, 1000, 0, None)].into_iter().chain(small).collect();
        assert_eq!(chosen(&behind_a_full_one), Some(1..SMALL_IN_A_ROW + 1));
    }
}
