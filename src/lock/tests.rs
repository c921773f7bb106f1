#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::sync::{Arc, Mutex};

use super::*;

/// A lock manager and the order in which waits were granted.
#[derive(Default)]
struct Bench {
    locks: LockManager<&'static str>,
    granted: Arc<Mutex<Vec<OwnerId>>>,
}

impl Bench {
    fn acquire(&self, owner: OwnerId, key: &'static str) -> Acquired {
        let granted = Arc::clone(&self.granted);
        self.locks.acquire(owner, &key, || Box::new(move || granted.lock().unwrap().push(owner)))
    }

    fn granted(&self) -> Vec<OwnerId> {
        self.granted.lock().unwrap().clone()
    }
}

#[test]
fn waiters_are_served_in_order_of_arrival() {
    let bench = Bench::default();
    let owners: Vec<_> = (0..4).map(|_| bench.locks.begin(None)).collect();
    assert_eq!(bench.acquire(owners[0], "a"), Acquired::Now);
    for owner in &owners[1..] {
        assert_eq!(bench.acquire(*owner, "a"), Acquired::Later);
    }
    for owner in &owners {
        bench.locks.end(*owner, Ending::Release);
    }
    assert_eq!(bench.granted(), owners[1..]);
}

#[test]
fn nothing_stays_behind() {
    let bench = Bench::default();
    for _ in 0..1000 {
        let outer = bench.locks.begin(None);
        let inner = bench.locks.begin(Some(outer));
        assert_eq!(bench.acquire(outer, "a"), Acquired::Now);
        assert_eq!(bench.acquire(inner, "b"), Acquired::Now);
        bench.locks.end(inner, Ending::Inherit);
        bench.locks.end(outer, Ending::Release);
    }
    assert!(bench.locks.is_empty(), "{:?}", bench.locks.len());
}

#[test]
fn a_child_takes_what_its_parent_holds_even_where_others_wait() {
    let bench = Bench::default();
    let (outer, other) = (bench.locks.begin(None), bench.locks.begin(None));
    assert_eq!(bench.acquire(outer, "a"), Acquired::Now);
    assert_eq!(bench.acquire(other, "a"), Acquired::Later);
    let child = bench.locks.begin(Some(outer));
    assert_eq!(bench.acquire(child, "a"), Acquired::Now);
    bench.locks.end(child, Ending::Inherit);
    assert!(bench.granted().is_empty());
    bench.locks.end(outer, Ending::Inherit);
    assert_eq!(bench.granted(), [other]);
}

#[test]
fn siblings_exclude_each_other_and_go_before_strangers() {
    let bench = Bench::default();
    let (outer, stranger) = (bench.locks.begin(None), bench.locks.begin(None));
    assert_eq!(bench.acquire(outer, "a"), Acquired::Now);
    assert_eq!(bench.acquire(stranger, "a"), Acquired::Later);
    let (first, second) = (bench.locks.begin(Some(outer)), bench.locks.begin(Some(outer)));
    assert_eq!(bench.acquire(first, "a"), Acquired::Now);
    assert_eq!(bench.acquire(second, "a"), Acquired::Later);
    bench.locks.end(first, Ending::Inherit);
    assert_eq!(bench.granted(), [second]);
}

#[test]
fn a_lock_of_a_child_that_ended_well_stays_with_its_parent() {
    let bench = Bench::default();
    let (outer, other) = (bench.locks.begin(None), bench.locks.begin(None));
    let child = bench.locks.begin(Some(outer));
    assert_eq!(bench.acquire(child, "a"), Acquired::Now);
    bench.locks.end(child, Ending::Inherit);
    assert_eq!(bench.acquire(other, "a"), Acquired::Later);
    bench.locks.end(outer, Ending::Inherit);
    assert_eq!(bench.granted(), [other]);
}

#[test]
fn a_lock_of_a_child_that_failed_is_free() {
    let bench = Bench::default();
    let (outer, other) = (bench.locks.begin(None), bench.locks.begin(None));
    let child = bench.locks.begin(Some(outer));
    assert_eq!(bench.acquire(child, "a"), Acquired::Now);
    bench.locks.end(child, Ending::Release);
    assert_eq!(bench.acquire(other, "a"), Acquired::Now);
}

#[test]
fn a_circle_is_refused_and_leaves_the_others_waiting() {
    let bench = Bench::default();
    let (one, two) = (bench.locks.begin(None), bench.locks.begin(None));
    assert_eq!(bench.acquire(one, "a"), Acquired::Now);
    assert_eq!(bench.acquire(two, "b"), Acquired::Now);
    let inner_one = bench.locks.begin(Some(one));
    let inner_two = bench.locks.begin(Some(two));
    assert_eq!(bench.acquire(inner_one, "b"), Acquired::Later);
    assert_eq!(bench.acquire(inner_two, "a"), Acquired::Deadlock);
    bench.locks.end(inner_two, Ending::Release);
    bench.locks.end(two, Ending::Release);
    assert_eq!(bench.granted(), [inner_one]);
}

#[test]
fn a_circle_over_three_trees_is_found() {
    let bench = Bench::default();
    let outer: Vec<_> = (0..3).map(|_| bench.locks.begin(None)).collect();
    let inner: Vec<_> = outer.iter().map(|owner| bench.locks.begin(Some(*owner))).collect();
    for (owner, key) in outer.iter().zip(["a", "b", "c"]) {
        assert_eq!(bench.acquire(*owner, key), Acquired::Now);
    }
    assert_eq!(bench.acquire(inner[0], "b"), Acquired::Later);
    assert_eq!(bench.acquire(inner[1], "c"), Acquired::Later);
    assert_eq!(bench.acquire(inner[2], "a"), Acquired::Deadlock);
}

#[test]
fn a_wait_behind_others_is_no_circle() {
    let bench = Bench::default();
    let owners: Vec<_> = (0..3).map(|_| bench.locks.begin(None)).collect();
    assert_eq!(bench.acquire(owners[0], "a"), Acquired::Now);
    assert_eq!(bench.acquire(owners[1], "a"), Acquired::Later);
    assert_eq!(bench.acquire(owners[2], "a"), Acquired::Later);
}

#[test]
fn an_owner_that_ends_while_it_waits_leaves_the_queue() {
    let bench = Bench::default();
    let owners: Vec<_> = (0..3).map(|_| bench.locks.begin(None)).collect();
    assert_eq!(bench.acquire(owners[0], "a"), Acquired::Now);
    assert_eq!(bench.acquire(owners[1], "a"), Acquired::Later);
    assert_eq!(bench.acquire(owners[2], "a"), Acquired::Later);
    bench.locks.end(owners[1], Ending::Release);
    bench.locks.end(owners[0], Ending::Release);
    assert_eq!(bench.granted(), [owners[2]]);
}
