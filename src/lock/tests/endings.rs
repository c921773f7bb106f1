//! How waits and owners end before their time.

use std::time::Duration;

use super::*;

#[test]
fn an_owner_that_ends_while_it_waits_leaves_the_queue() {
    let bench = Bench::default();
    let [one, two, three] = bench.owners();
    assert_eq!((bench.write(one, "a"), bench.write(two, "a"), bench.write(three, "a")), (Got::Now, Got::Later, Got::Later));
    bench.fail(two);
    assert_eq!(bench.told(), [(two, Err(Refusal::Ended))]);
    bench.fail(one);
    assert_eq!(bench.granted(), [three]);
}

#[test]
fn a_wait_that_is_given_up_lets_those_behind_it_go() {
    let bench = Bench::default();
    let [reader, writer, late] = bench.owners();
    assert_eq!(bench.read(reader, "a"), Got::Now);
    let Acquired::Later(wait) = bench.request(writer, "a", Mode::Exclusive) else { panic!() };
    assert_eq!(bench.read(late, "a"), Got::Later);
    assert!(bench.locks.cancel(wait));
    assert!(!bench.locks.cancel(wait), "it ends once");
    assert_eq!(bench.told(), [(writer, Err(Refusal::Cancelled)), (late, Ok(()))]);
}

#[test]
fn doom_frees_the_locks_of_a_whole_family_and_refuses_what_it_asks_for_later() {
    let bench = Bench::default();
    let [outer, other, holder] = bench.owners();
    let child = bench.inside(outer);
    let grandchild = bench.inside(child);
    assert_eq!(
        (bench.write(grandchild, "a"), bench.write(other, "a"), bench.write(holder, "b")),
        (Got::Now, Got::Later, Got::Now)
    );
    assert_eq!(bench.write(child, "b"), Got::Later);
    bench.locks.doom(outer, Reason(5));
    assert_eq!(bench.told(), [(child, Err(Refusal::Doomed(Reason(5)))), (other, Ok(()))]);
    bench.locks.doom(child, Reason(6));
    for owner in [outer, child, grandchild, bench.inside(child)] {
        assert_eq!(bench.write(owner, "c"), Got::Refused(Refusal::Doomed(Reason(5))));
    }
    [grandchild, child, outer].iter().for_each(|owner| bench.end(*owner));
    assert_eq!(bench.write(outer, "c"), Got::Refused(Refusal::Ended));
}

#[test]
fn a_child_that_is_doomed_leaves_its_parent_alone() {
    let bench = Bench::default();
    let [outer, other] = bench.owners();
    let child = bench.inside(outer);
    assert_eq!((bench.write(outer, "a"), bench.write(child, "a"), bench.write(child, "b")), (Got::Now, Got::Now, Got::Now));
    bench.locks.doom(child, Reason(1));
    assert_eq!((bench.write(other, "b"), bench.write(other, "a"), bench.write(outer, "c")), (Got::Now, Got::Later, Got::Now));
}

#[test]
fn a_thread_that_is_gone_frees_all_that_it_held_or_waited_for() {
    let bench = Bench::default();
    let other = bench.owner();
    let gone: Vec<OwnerId> = (0..3).map(|_| bench.locks.begin(Begin { domain: 9, ..Begin::default() })).collect();
    assert_eq!(
        (bench.write(gone[0], "a"), bench.write(gone[1], "a"), bench.write(other, "a")),
        (Got::Now, Got::Later, Got::Later)
    );
    let child = bench.inside(gone[2]);
    assert_eq!(bench.write(child, "b"), Got::Now);
    bench.locks.end_domain(9);
    assert_eq!(bench.told(), [(gone[1], Err(Refusal::Ended)), (other, Ok(()))]);
    bench.end(gone[0]);
    bench.end(child);
    bench.end(other);
    assert!(bench.locks.is_empty());
}

#[test]
fn a_wait_past_its_deadline_is_refused_and_the_next_deadline_given() {
    let bench = Bench::default();
    let [holder, soon, late, never] = bench.owners();
    assert_eq!(bench.write(holder, "a"), Got::Now);
    let start = Instant::now();
    let after = |secs| start + Duration::from_secs(secs);
    for (owner, secs) in [(soon, 10), (late, 20)] {
        let limits = Limits { deadline: Some(after(secs)), ..Limits::default() };
        assert!(matches!(bench.locks.acquire(owner, &Path("a"), Mode::Exclusive, limits, bench.tell(owner)), Acquired::Later(_)));
    }
    assert_eq!(bench.write(never, "a"), Got::Later);
    assert_eq!((bench.locks.expire(after(9)), bench.told().len()), (Some(after(10)), 0));
    assert_eq!(bench.locks.expire(after(10)), Some(after(20)));
    let told = bench.told();
    let [(owner, Err(Refusal::Expired { key: Path("a"), waited }))] = told.as_slice() else { panic!("{told:?}") };
    assert!(*owner == soon && *waited <= Duration::from_secs(10) && *waited > Duration::from_secs(9));
    bench.end(holder);
    assert_eq!((bench.granted(), bench.locks.expire(after(99))), (vec![late], None));
}

#[test]
fn a_callback_may_call_the_manager() {
    let locks: Arc<LockManager<Path>> = Arc::default();
    let (one, two) = (locks.begin(Begin::default()), locks.begin(Begin::default()));
    let inner = Arc::clone(&locks);
    let never = || -> Callback<Path> { panic!("nothing to wait for") };
    assert_eq!(locks.acquire(one, &Path("a"), Mode::Exclusive, Limits::default(), never), Acquired::Now);
    locks.acquire(two, &Path("a"), Mode::Exclusive, Limits::default(), || Box::new(move |_| inner.end(two, Ending::Release)));
    locks.end(one, Ending::Release);
    assert!(locks.is_empty());
}
