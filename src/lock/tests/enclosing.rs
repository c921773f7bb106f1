//! Records in families in accounts.

use super::*;

#[test]
fn a_shared_lock_on_a_family_excludes_writers_of_its_records_only() {
    let bench = Bench::default();
    let [lister, writer, reader, elsewhere] = bench.owners();
    assert_eq!(bench.read(lister, "/acc/fam"), Got::Now);
    assert_eq!((bench.read(reader, "/acc/fam/1"), bench.write(writer, "/acc/fam/2")), (Got::Now, Got::Later));
    assert_eq!(bench.write(elsewhere, "/acc/other/1"), Got::Now);
    bench.end(lister);
    assert_eq!(bench.granted(), [writer]);
}

#[test]
fn a_family_lock_waits_for_the_writers_that_came_before_it_and_holds_back_those_after() {
    let bench = Bench::default();
    let [writer, lister, late, reader] = bench.owners();
    assert_eq!((bench.write(writer, "/acc/fam/1"), bench.read(lister, "/acc/fam")), (Got::Now, Got::Later));
    assert_eq!((bench.write(late, "/acc/fam/2"), bench.read(reader, "/acc/fam/3")), (Got::Later, Got::Now));
    bench.end(writer);
    assert_eq!(bench.granted(), [lister]);
    bench.end(lister);
    assert_eq!(bench.granted(), [late]);
}

#[test]
fn an_exclusive_lock_on_an_account_excludes_everything_in_it() {
    let bench = Bench::default();
    let [clearer, reader, lister, elsewhere] = bench.owners();
    assert_eq!(bench.write(clearer, "/acc"), Got::Now);
    assert_eq!((bench.read(reader, "/acc/fam/1"), bench.read(lister, "/acc/fam")), (Got::Later, Got::Later));
    assert_eq!(bench.write(elsewhere, "/acb/fam/1"), Got::Now);
    assert!(!bench.locks.is_free([Path("/acc/fam/9")]), "nor is a plain set to go past it");
    assert!(bench.locks.is_free([Path("/acd/fam/9")]));
    bench.end(clearer);
    assert_eq!(bench.granted(), [reader, lister]);
}

#[test]
fn an_owner_that_wrote_a_record_lists_its_family() {
    let bench = Bench::default();
    let [one, stranger] = bench.owners();
    assert_eq!((bench.write(one, "/acc/fam/1"), bench.write(stranger, "/acc/fam/1")), (Got::Now, Got::Later));
    assert_eq!((bench.read(one, "/acc/fam"), bench.write(one, "/acc")), (Got::Now, Got::Now));
    let child = bench.inside(one);
    assert_eq!(bench.write(child, "/acc/fam/2"), Got::Now);
}

#[test]
fn circles_through_families_are_found() {
    let bench = Bench::default();
    let [one, two] = bench.owners();
    assert_eq!((bench.write(one, "/acc/fam/1"), bench.write(two, "/acc/fam/2")), (Got::Now, Got::Now));
    assert_eq!(bench.read(one, "/acc/fam"), Got::Later);
    assert_eq!(bench.read(two, "/acc/fam"), Got::Deadlock(two, vec!["/acc/fam"]));
}
