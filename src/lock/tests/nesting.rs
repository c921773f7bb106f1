//! Moss's rules.

use super::*;

#[test]
fn a_child_takes_what_its_parent_holds_even_where_others_wait() {
    let bench = Bench::default();
    let [outer, other] = bench.owners();
    assert_eq!((bench.write(outer, "a"), bench.write(other, "a")), (Got::Now, Got::Later));
    let child = bench.inside(outer);
    assert_eq!(bench.write(child, "a"), Got::Now);
    bench.end(child);
    assert_eq!(bench.granted(), []);
    bench.end(outer);
    assert_eq!(bench.granted(), [other]);
}

#[test]
fn siblings_exclude_each_other_and_go_before_strangers() {
    let bench = Bench::default();
    let [outer, stranger] = bench.owners();
    assert_eq!((bench.write(outer, "a"), bench.write(stranger, "a")), (Got::Now, Got::Later));
    let (first, second) = (bench.inside(outer), bench.inside(outer));
    assert_eq!((bench.write(first, "a"), bench.write(second, "a")), (Got::Now, Got::Later));
    bench.end(first);
    assert_eq!(bench.granted(), [second]);
}

#[test]
fn a_lock_of_a_child_that_ended_well_stays_with_its_parent() {
    let bench = Bench::default();
    let [outer, other] = bench.owners();
    let child = bench.inside(outer);
    assert_eq!((bench.write(child, "a"), bench.write(other, "a")), (Got::Now, Got::Later));
    bench.end(child);
    assert_eq!(bench.granted(), []);
    bench.end(outer);
    assert_eq!(bench.granted(), [other]);
}

#[test]
fn the_stronger_mode_passes_to_the_parent() {
    let bench = Bench::default();
    let [outer, reader] = bench.owners();
    let child = bench.inside(outer);
    assert_eq!((bench.read(outer, "a"), bench.write(child, "a")), (Got::Now, Got::Now));
    bench.end(child);
    assert_eq!(bench.read(reader, "a"), Got::Later);
}

#[test]
fn locks_of_a_child_that_failed_are_free_but_for_those_that_its_parent_holds() {
    let bench = Bench::default();
    let [outer, reader, writer] = bench.owners();
    let child = bench.inside(outer);
    assert_eq!((bench.read(outer, "a"), bench.write(child, "a"), bench.write(child, "b")), (Got::Now, Got::Now, Got::Now));
    assert_eq!((bench.read(reader, "a"), bench.write(writer, "b")), (Got::Later, Got::Later));
    bench.fail(child);
    assert_eq!(bench.granted().len(), 2, "b is free and a is held shared again");
    assert_eq!(bench.write(reader, "a"), Got::Later, "the parent holds a");
}

#[test]
fn a_parent_waits_for_the_child_that_holds_a_lock() {
    let bench = Bench::default();
    let outer = bench.owner();
    let child = bench.inside(outer);
    assert_eq!((bench.write(child, "a"), bench.write(outer, "a")), (Got::Now, Got::Later));
    bench.end(child);
    assert_eq!(bench.granted(), [outer]);
}

#[test]
fn a_parent_waits_for_the_child_that_holds_a_lock_of_its_own() {
    let bench = Bench::default();
    let outer = bench.owner();
    let child = bench.inside(outer);
    assert_eq!((bench.write(outer, "a"), bench.write(child, "a")), (Got::Now, Got::Now));
    assert_eq!((bench.read(outer, "a"), bench.write(outer, "a")), (Got::Later, Got::Later));
    bench.end(child);
    assert_eq!(bench.granted(), [outer, outer]);
}
