//! Modes, and who is served when.

use super::*;

#[test]
fn waiters_are_served_in_order_of_arrival() {
    let bench = Bench::default();
    let owners = bench.owners::<4>();
    assert_eq!(bench.write(owners[0], "a"), Got::Now);
    owners[1..].iter().for_each(|owner| assert_eq!(bench.write(*owner, "a"), Got::Later));
    owners.iter().for_each(|owner| bench.end(*owner));
    assert_eq!(bench.granted(), owners[1..]);
}

#[test]
fn readers_share_and_exclude_a_writer() {
    let bench = Bench::default();
    let [one, two, writer] = bench.owners();
    assert_eq!((bench.read(one, "a"), bench.read(two, "a"), bench.write(writer, "a")), (Got::Now, Got::Now, Got::Later));
    bench.end(one);
    assert_eq!(bench.granted(), []);
    bench.end(two);
    assert_eq!(bench.granted(), [writer]);
}

#[test]
fn a_reader_waits_behind_a_writer_that_waits_so_no_writer_starves() {
    let bench = Bench::default();
    let [reader, writer, late, later] = bench.owners();
    assert_eq!((bench.read(reader, "a"), bench.write(writer, "a")), (Got::Now, Got::Later));
    assert_eq!((bench.read(late, "a"), bench.read(later, "a")), (Got::Later, Got::Later));
    bench.end(reader);
    assert_eq!(bench.granted(), [writer]);
    bench.end(writer);
    assert_eq!(bench.granted(), [late, later]);
}

#[test]
fn an_owner_takes_again_what_it_holds() {
    let bench = Bench::default();
    let [one, two] = bench.owners();
    assert_eq!((bench.write(one, "a"), bench.write(two, "a")), (Got::Now, Got::Later));
    assert_eq!((bench.write(one, "a"), bench.read(one, "a")), (Got::Now, Got::Now));
    bench.end(one);
    assert_eq!(bench.granted(), [two]);
}

#[test]
fn who_reads_and_wants_to_write_goes_before_strangers() {
    let bench = Bench::default();
    let [one, two, stranger] = bench.owners();
    assert_eq!((bench.read(one, "a"), bench.read(two, "a"), bench.write(stranger, "a")), (Got::Now, Got::Now, Got::Later));
    assert_eq!(bench.write(one, "a"), Got::Later);
    bench.end(two);
    assert_eq!(bench.granted(), [one]);
    bench.end(one);
    assert_eq!(bench.granted(), [stranger]);
}

#[test]
fn who_reads_and_wants_to_write_is_not_overtaken_when_those_between_leave() {
    let bench = Bench::default();
    let [one, two, writer, reader] = bench.owners();
    assert_eq!((bench.read(one, "a"), bench.read(two, "a")), (Got::Now, Got::Now));
    let Acquired::Later(wait) = bench.request(writer, "a", Mode::Exclusive) else { panic!() };
    assert_eq!((bench.read(reader, "a"), bench.write(one, "a")), (Got::Later, Got::Later));
    assert!(bench.locks.cancel(wait));
    assert_eq!(bench.told(), [(writer, Err(Refusal::Cancelled))], "the reader may not go before the upgrade");
    bench.end(two);
    assert_eq!(bench.granted(), [one]);
}

#[test]
fn a_plain_set_takes_all_or_nothing() {
    let bench = Bench::default();
    let [one, other] = bench.owners();
    assert_eq!(bench.write(one, "b"), Got::Now);
    let (set, got) = bench.all(&["c", "a", "b", "a"]);
    assert_eq!(got, Got::Later);
    assert!(bench.locks.snapshot().iter().all(|lock| lock.holders.iter().all(|holder| holder.owner == one)), "it holds none");
    assert_eq!(bench.write(other, "a"), Got::Later, "first come, first served");
    bench.end(one);
    assert_eq!(bench.granted(), [OwnerId(0)]);
    bench.end(set);
    assert_eq!(bench.granted(), [other]);
}

#[test]
fn who_holds_what_a_plain_set_waits_for_goes_past_it() {
    let bench = Bench::default();
    let one = bench.owner();
    assert_eq!(bench.write(one, "b"), Got::Now);
    let (set, got) = bench.all(&["a", "b"]);
    assert_eq!(got, Got::Later);
    assert_eq!(bench.write(one, "a"), Got::Now, "waiting behind the set would be waiting for itself");
    bench.end(one);
    assert_eq!(bench.granted(), [OwnerId(0)]);
    bench.end(set);
    assert!(bench.locks.is_empty());
}

#[test]
fn a_circle_through_a_plain_set_that_closes_later_is_opened_too() {
    let bench = Bench::default();
    let [one, two] = bench.owners();
    assert_eq!((bench.write(one, "m"), bench.write(two, "j")), (Got::Now, Got::Now));
    let (_, got) = bench.all(&["j", "k"]);
    assert_eq!((got, bench.write(one, "k")), (Got::Later, Got::Later));
    // Now two waits for one, one waits behind the set, the set waits for two: one goes past the set.
    assert_eq!(bench.write(two, "m"), Got::Later);
    assert_eq!(bench.granted(), [one]);
    bench.end(one);
    assert_eq!(bench.granted(), [two]);
    bench.end(two);
    assert_eq!(bench.granted(), [OwnerId(0)]);
}

#[test]
fn who_was_let_past_goes_first_also_where_it_still_has_to_wait() {
    let bench = Bench::default();
    let [one, holder] = bench.owners();
    assert_eq!((bench.write(one, "b"), bench.write(holder, "a")), (Got::Now, Got::Now));
    let (_, got) = bench.all(&["a", "b"]);
    assert_eq!((got, bench.write(one, "a")), (Got::Later, Got::Later));
    bench.end(holder);
    assert_eq!(bench.granted(), [one]);
}

#[test]
fn sorted_requests_take_keys_in_order_and_are_told_once() {
    let bench = Bench::default();
    let [one, two, many] = bench.owners();
    assert_eq!((bench.write(one, "a"), bench.write(two, "c")), (Got::Now, Got::Now));
    assert_eq!(bench.sorted(many, &["c", "b", "a", "d"]), Got::Later);
    assert!(bench.locks.is_free([Path("b"), Path("d")]), "it waits at the first that is not free");
    bench.end(one);
    assert_eq!(bench.granted(), []);
    assert!(!bench.locks.is_free([Path("b")]));
    bench.end(two);
    assert_eq!(bench.granted(), [many]);
    assert!(!bench.locks.is_free([Path("d")]));
}

#[test]
fn a_grant_does_not_let_its_owner_past_one_for_which_it_waits_elsewhere() {
    let bench = Bench::default();
    let [holder, outer, other] = bench.owners();
    let child = bench.inside(outer);
    assert_eq!((bench.write(holder, "a"), bench.write(other, "b"), bench.write(child, "b")), (Got::Now, Got::Now, Got::Later));
    assert_eq!((bench.read(outer, "a"), bench.read(other, "a"), bench.write(outer, "a")), (Got::Later, Got::Later, Got::Later));
    bench.end(holder);
    assert_eq!(bench.granted(), [outer, other], "had outer got more than its first request, each would wait for the other");
}

#[test]
fn a_child_in_line_behind_its_parent_is_not_overtaken_by_another_child() {
    let bench = Bench::default();
    let [outer, holder, before] = bench.owners();
    let (one, two) = (bench.inside(outer), bench.inside(outer));
    assert_eq!((bench.read(holder, "a"), bench.read(holder, "b")), (Got::Now, Got::Now));
    // The child waits for those before its parent in the line, but not for its parent, which waits for all its children.
    assert_eq!((bench.write(before, "a"), bench.write(outer, "a"), bench.write(one, "a")), (Got::Later, Got::Later, Got::Later));
    assert_eq!((bench.write(one, "b"), bench.read(two, "b")), (Got::Later, Got::Later));
    bench.end(holder);
    assert_eq!(bench.granted(), [before, one]);
    bench.end(before);
    assert_eq!(bench.granted(), [outer, one]);
    bench.end(one);
    assert_eq!(bench.granted(), [two]);
}

#[test]
fn an_owner_that_asks_for_keys_together_holds_none_of_them_while_it_waits_and_is_not_overtaken() {
    let bench = Bench::default();
    let [one, many, other] = bench.owners();
    assert_eq!((bench.write(one, "b"), bench.write(many, "label")), (Got::Now, Got::Now));
    assert_eq!(bench.together(many, &["c", "a", "b", "a"]), Got::Later);
    let held = bench.locks.snapshot().into_iter().filter(|lock| !lock.holders.is_empty()).map(|lock| lock.key);
    assert_eq!(held.collect::<Vec<_>>(), [Path("b"), Path("label")]);
    assert_eq!(bench.write(other, "a"), Got::Later, "first come, first served");
    bench.end(one);
    assert_eq!(bench.granted(), [many]);
    bench.end(many);
    assert_eq!(bench.granted(), [other]);
    bench.end(other);
    assert!(bench.locks.is_empty());
}
