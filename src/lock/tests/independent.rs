//! Owners that outlive the one they began in.

use super::*;

impl Bench {
    fn independent(&self, parent: OwnerId) -> OwnerId {
        self.locks.begin(Begin { parent: Some(parent), independent: true, ..Begin::default() })
    }
}

#[test]
fn an_independent_child_goes_on_where_its_parent_fails_and_keeps_what_it_holds() {
    let bench = Bench::default();
    let [outer, other] = bench.owners();
    let (child, part) = (bench.independent(outer), bench.inside(outer));
    assert_eq!((bench.write(outer, "a"), bench.write(child, "a"), bench.write(other, "a")), (Got::Now, Got::Now, Got::Later));
    bench.fail(outer);
    assert_eq!((bench.granted(), bench.write(child, "b")), (vec![], Got::Now));
    assert_eq!(bench.write(part, "c"), Got::Refused(Refusal::Ended));
    bench.fail(child);
    assert_eq!(bench.granted(), [other]);
}

#[test]
fn what_went_before_others_by_a_lock_of_its_parent_still_does_when_that_has_ended() {
    for dooms in [true, false] {
        let bench = Bench::default();
        let [outer, reader] = bench.owners();
        let child = bench.independent(outer);
        assert_eq!((bench.read(outer, "a"), bench.read(reader, "a"), bench.write(child, "b")), (Got::Now, Got::Now, Got::Now));
        let (_, got) = bench.all(&["a", "b"]);
        assert_eq!((got, bench.write(child, "a")), (Got::Later, Got::Later));
        if dooms {
            bench.locks.doom(outer, Reason(1));
        }
        bench.fail(outer);
        bench.end(reader);
        assert_eq!(bench.granted(), [child], "the plain set waits for it anyway");
        bench.end(child);
        assert_eq!(bench.granted(), [OwnerId(0)]);
    }
}

#[test]
fn an_independent_child_of_a_doomed_owner_is_part_of_what_still_lives_around_that() {
    let bench = Bench::default();
    let outer = bench.owner();
    let part = bench.inside(outer);
    assert_eq!(bench.write(outer, "a"), Got::Now);
    bench.locks.doom(part, Reason(1));
    let child = bench.independent(part);
    assert_eq!(bench.write(child, "a"), Got::Now);
    bench.fail(part);
    bench.end(child);
    bench.fail(outer);
    assert_eq!(bench.locks.len(), (0, 0));
}

#[test]
fn circles_through_an_independent_child_of_an_orphan_are_found() {
    let bench = Bench::default();
    let outer = bench.owner();
    let orphan = bench.inside(outer);
    bench.fail(outer);
    // This one takes the place of the outer owner.
    let [stranger, other] = bench.owners();
    let child = bench.independent(orphan);
    assert_eq!((bench.write(child, "a"), bench.write(other, "b"), bench.write(other, "a")), (Got::Now, Got::Now, Got::Later));
    assert_eq!(bench.write(child, "b"), Got::Deadlock(child, vec!["a", "b"]));
    assert_eq!(bench.write(stranger, "c"), Got::Now);
}
