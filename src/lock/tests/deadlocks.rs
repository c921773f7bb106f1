//! Circles, and who ends them.

use super::*;

#[test]
fn a_circle_is_refused_at_the_wait_that_closes_it() {
    let bench = Bench::default();
    let [one, two] = bench.owners();
    assert_eq!((bench.write(one, "a"), bench.write(two, "b"), bench.write(one, "b")), (Got::Now, Got::Now, Got::Later));
    assert_eq!(bench.write(two, "a"), Got::Deadlock(two, vec!["a", "b"]));
    bench.fail(two);
    assert_eq!(bench.granted(), [one]);
}

#[test]
fn two_readers_that_both_want_to_write_are_a_deadlock() {
    let bench = Bench::default();
    let [one, two] = bench.owners();
    assert_eq!((bench.read(one, "a"), bench.read(two, "a"), bench.write(one, "a")), (Got::Now, Got::Now, Got::Later));
    assert_eq!(bench.write(two, "a"), Got::Deadlock(two, vec!["a"]));
}

#[test]
fn the_victim_is_the_nearest_owner_around_that_has_locks_of_the_circle_so_that_retries_end() {
    let bench = Bench::default();
    let [one, two] = bench.owners();
    assert_eq!((bench.write(one, "a"), bench.write(two, "b"), bench.write(one, "b")), (Got::Now, Got::Now, Got::Later));
    let middle = bench.inside(two);
    for _ in 0..3 {
        let child = bench.inside(middle);
        assert_eq!(bench.write(child, "a"), Got::Deadlock(two, vec!["a", "b"]), "to retry the child alone would never end");
        bench.fail(child);
    }
    bench.locks.doom(two, Reason(1));
    assert_eq!(bench.granted(), [one]);
}

#[test]
fn where_a_sibling_holds_the_lock_the_victim_is_the_parent_of_both() {
    let bench = Bench::default();
    let [outer, other] = bench.owners();
    let (one, two) = (bench.inside(outer), bench.inside(outer));
    assert_eq!((bench.write(one, "a"), bench.write(other, "b"), bench.write(other, "a")), (Got::Now, Got::Now, Got::Later));
    assert_eq!(bench.write(two, "b"), Got::Deadlock(outer, vec!["a", "b"]));
}

#[test]
fn a_circle_over_three_trees_is_found() {
    let bench = Bench::default();
    let outer = bench.owners::<3>();
    let inner = outer.map(|owner| bench.inside(owner));
    outer.iter().zip(["a", "b", "c"]).for_each(|(owner, key)| assert_eq!(bench.write(*owner, key), Got::Now));
    assert_eq!((bench.write(inner[0], "b"), bench.write(inner[1], "c")), (Got::Later, Got::Later));
    assert_eq!(bench.write(inner[2], "a"), Got::Deadlock(outer[2], vec!["a", "b", "c"]));
}

#[test]
fn a_wait_behind_others_is_no_circle() {
    let bench = Bench::default();
    let owners = bench.owners::<3>();
    assert_eq!(bench.write(owners[0], "a"), Got::Now);
    owners[1..].iter().for_each(|owner| assert_eq!(bench.write(*owner, "a"), Got::Later));
}

#[test]
fn an_owner_of_last_resort_is_spared_where_another_one_can_be_the_victim() {
    let bench = Bench::default();
    let (spared, other) = (bench.last_resort(), bench.owner());
    assert_eq!((bench.write(spared, "a"), bench.write(other, "b"), bench.write(other, "a")), (Got::Now, Got::Now, Got::Later));
    assert_eq!(bench.write(spared, "b"), Got::Later);
    let deadlock = Deadlock { victim: other, keys: vec![Path("a"), Path("b")] };
    assert_eq!(bench.told(), [(other, Err(Refusal::Deadlock(Box::new(deadlock))))]);
    bench.fail(other);
    assert_eq!(bench.granted(), [spared]);
}

#[test]
fn an_owner_of_last_resort_is_the_victim_where_no_other_can_be() {
    let bench = Bench::default();
    let (one, two) = (bench.last_resort(), bench.last_resort());
    assert_eq!((bench.write(one, "a"), bench.write(two, "b"), bench.write(one, "b")), (Got::Now, Got::Now, Got::Later));
    assert_eq!(bench.write(two, "a"), Got::Deadlock(two, vec!["a", "b"]));
}

#[test]
fn a_sorted_request_that_closes_a_circle_on_its_way_is_told_so() {
    let bench = Bench::default();
    let [one, two, gate] = bench.owners();
    assert_eq!((bench.write(gate, "a"), bench.write(one, "c"), bench.write(two, "b")), (Got::Now, Got::Now, Got::Now));
    assert_eq!((bench.sorted(two, &["a", "c"]), bench.write(one, "b")), (Got::Later, Got::Later));
    bench.end(gate);
    let deadlock = Deadlock { victim: two, keys: vec![Path("b"), Path("c")] };
    assert_eq!(bench.told(), [(two, Err(Refusal::Deadlock(Box::new(deadlock))))]);
}

#[test]
fn a_wait_that_is_let_past_another_may_close_a_circle_with_its_next_key() {
    for last_resort in [true, false] {
        let bench = Bench::default();
        let [outer, stranger] = bench.owners();
        let child = bench.inside(outer);
        let many = bench.locks.begin(Begin { last_resort, ..Begin::default() });
        assert_eq!((bench.read(outer, "a"), bench.write(outer, "b"), bench.write(many, "c")), (Got::Now, Got::Now, Got::Now));
        assert_eq!(bench.write(stranger, "a"), Got::Later);
        let keys = vec![(Path("a"), Mode::Shared), (Path("b"), Mode::Exclusive)];
        let acquired = bench.locks.acquire_sorted(many, keys, Limits::default(), bench.tell(many));
        assert_eq!(got(acquired), Got::Later, "behind the stranger, who waits for the outer owner");
        // The outer owner waits for its child, so this opens a circle: who waits for two keys goes before the stranger. But what
        // it wants next is held by the outer owner. No order would have spared them that, whatever the first key alone allows.
        let answer = bench.write(child, "c");
        if last_resort {
            assert_eq!((answer, bench.told()), (Got::Deadlock(outer, vec!["b", "c"]), vec![]));
            bench.fail(outer);
            assert_eq!(bench.granted(), [many]);
            bench.end(many);
            assert_eq!(bench.granted(), [stranger]);
        } else {
            let deadlock = Deadlock { victim: many, keys: vec![Path("b"), Path("c")] };
            assert_eq!((answer, bench.told()), (Got::Later, vec![(many, Err(Refusal::Deadlock(Box::new(deadlock))))]));
            bench.fail(many);
            assert_eq!(bench.granted(), [child]);
            bench.end(child);
            bench.end(outer);
            assert_eq!(bench.granted(), [stranger]);
        }
    }
}

#[test]
fn a_circle_through_a_request_for_keys_together_is_refused_and_one_through_its_place_in_line_is_opened() {
    let bench = Bench::default();
    let [one, many] = bench.owners();
    assert_eq!(
        (bench.write(one, "a"), bench.write(many, "label"), bench.together(many, &["a", "b"])),
        (Got::Now, Got::Now, Got::Later)
    );
    assert_eq!(bench.write(one, "b"), Got::Now, "to wait behind it would be to wait for itself");
    assert_eq!(bench.write(one, "label"), Got::Deadlock(one, vec!["a", "b", "label"]));
    bench.fail(one);
    assert_eq!(bench.granted(), [many]);
    bench.end(many);

    let [one, many] = bench.owners();
    assert_eq!((bench.write(many, "label"), bench.write(one, "b"), bench.write(one, "label")), (Got::Now, Got::Now, Got::Later));
    assert_eq!(bench.together(many, &["a", "b", "c"]), Got::Deadlock(many, vec!["b", "label"]));
    assert!(bench.locks.is_free([Path("a"), Path("c")]), "it has left all lines");
    bench.fail(many);
    assert_eq!(bench.granted(), [one]);
}
