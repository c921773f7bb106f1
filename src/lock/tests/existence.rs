//! What exists, what can be seen of it, and what it costs.

use std::time::Duration;

use super::*;

/// A key of which there are many.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Label(Box<str>);

impl LockKey for Label {}

fn label(number: u32) -> Label {
    Label(format!("label-{number}").into())
}

fn never() -> Callback<Label> {
    panic!("nothing to wait for")
}

#[test]
fn nothing_stays_behind_after_a_million_keys() {
    let locks: LockManager<Label> = LockManager::default();
    for number in 0..900_000 {
        let owner = locks.begin(Begin::default());
        assert_eq!(locks.acquire(owner, &label(number), Mode::Exclusive, Limits::default(), never), Acquired::Now);
        locks.end(owner, Ending::Release);
    }
    assert!(locks.is_empty() && locks.capacity() < 100, "{:?}, room for {}", locks.len(), locks.capacity());
    let (set, acquired) = locks.acquire_all(0, (0..100_000).map(label).collect(), Limits::default(), |_| never());
    assert_eq!((acquired, locks.len()), (Acquired::Now, (100_000, 1)));
    locks.end(set, Ending::Release);
    assert!(locks.is_empty() && locks.capacity() < 10_000, "{:?}, room for {}", locks.len(), locks.capacity());
}

#[test]
fn a_snapshot_shows_holders_and_waiters_in_the_order_of_service() {
    let bench = Bench::default();
    let [one, two, stranger] = bench.owners();
    assert_eq!((bench.read(one, "b"), bench.read(two, "b"), bench.write(one, "a")), (Got::Now, Got::Now, Got::Now));
    assert_eq!((bench.write(stranger, "b"), bench.write(one, "b")), (Got::Later, Got::Later));
    let views = bench.locks.snapshot();
    let [a, b] = views.as_slice() else { panic!("{views:?}") };
    assert_eq!((a.key, a.holders.len(), a.waiters.len()), (Path("a"), 1, 0));
    assert_eq!(
        b.holders.iter().map(|holder| (holder.owner, holder.mode)).collect::<Vec<_>>(),
        [(one, Mode::Shared), (two, Mode::Shared)]
    );
    assert_eq!(b.waiters.iter().map(|waiter| waiter.owner).collect::<Vec<_>>(), [one, stranger]);
    assert!(b.waiters.iter().all(|waiter| waiter.age < Duration::from_secs(10) && waiter.mode == Mode::Exclusive));
}

#[test]
fn work_is_done_only_where_nothing_is_held_or_waited_for() {
    let bench = Bench::default();
    let one = bench.owner();
    assert_eq!(bench.locks.if_free([Path("a"), Path("b")], || 7), Some(7));
    assert_eq!(bench.locks.if_free(std::iter::from_fn(|| panic!("no lock exists: nothing to compare")), || 7), Some(7));
    assert_eq!(bench.read(one, "b"), Got::Now);
    assert_eq!(bench.locks.if_free([Path("a"), Path("b")], || panic!()), None::<()>);
    assert_eq!(bench.locks.len(), (1, 1), "looking creates nothing");
}

#[test]
fn a_number_of_an_owner_that_ended_is_not_taken_for_its_successor() {
    let bench = Bench::default();
    let one = bench.owner();
    bench.end(one);
    let two = bench.owner();
    bench.end(one);
    assert_eq!((bench.write(one, "a"), bench.write(two, "a")), (Got::Refused(Refusal::Ended), Got::Now));
}

/// Run with `cargo test --release --no-default-features lock_speed -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn lock_speed() {
    const ROUNDS: u32 = 2_000_000;
    let report = |what: &str, rounds: u32, run: &mut dyn FnMut(u32)| {
        let start = Instant::now();
        (0..rounds).for_each(run);
        println!("{what}: {:.0} ns", start.elapsed().as_nanos() as f64 / f64::from(rounds));
    };
    let locks: LockManager<Label> = LockManager::default();
    let keys: Vec<Label> = (0..1000).map(label).collect();
    let once = |key: &Label| {
        let owner = locks.begin(Begin::default());
        assert_eq!(locks.acquire(owner, key, Mode::Exclusive, Limits::default(), never), Acquired::Now);
        locks.end(owner, Ending::Release);
    };
    let many = |keys: &[Label]| {
        let owner = locks.begin(Begin::default());
        let keys = keys.iter().map(|key| (key.clone(), Mode::Exclusive)).collect::<Vec<_>>();
        assert_eq!(locks.acquire_sorted(owner, keys, Limits::default(), never), Acquired::Now);
        locks.end(owner, Ending::Release);
    };
    report("is one key free of no locks", ROUNDS, &mut |n| {
        assert!(locks.is_free(keys[n as usize % 1000..][..1].iter().cloned()))
    });
    report("are 1000 keys free of no locks", ROUNDS / 100, &mut |_| assert!(locks.is_free(keys.iter().cloned())));
    report("begin + end", ROUNDS, &mut |_| locks.end(locks.begin(Begin::default()), Ending::Release));
    report("begin + acquire + end", ROUNDS, &mut |n| once(&keys[n as usize % 1000]));
    report("begin + one key sorted + end", ROUNDS, &mut |n| many(&keys[n as usize % 1000..][..1]));
    report("begin + ten keys sorted + end", ROUNDS / 10, &mut |n| many(&keys[n as usize % 990..][..10]));
    let outer = locks.begin(Begin::default());
    locks.acquire(outer, &keys[0], Mode::Exclusive, Limits::default(), never);
    report("begin + acquire + end inside an owner", ROUNDS, &mut |_| {
        let owner = locks.begin(Begin { parent: Some(outer), ..Begin::default() });
        assert_eq!(locks.acquire(owner, &keys[0], Mode::Exclusive, Limits::default(), never), Acquired::Now);
        locks.end(owner, Ending::Inherit);
    });
    locks.end(outer, Ending::Release);
    report("an owner with one inside that takes a key", ROUNDS, &mut |n| {
        let outer = locks.begin(Begin::default());
        let owner = locks.begin(Begin { parent: Some(outer), ..Begin::default() });
        let key = &keys[n as usize % 1000];
        assert_eq!(locks.acquire(owner, key, Mode::Exclusive, Limits::default(), never), Acquired::Now);
        locks.end(owner, Ending::Inherit);
        locks.end(outer, Ending::Release);
    });
    let others: Vec<OwnerId> = (0..10_000).map(|_| locks.begin(Begin::default())).collect();
    for (n, owner) in others.iter().enumerate() {
        locks.acquire(*owner, &label(1_000_000 + n as u32), Mode::Exclusive, Limits::default(), never);
    }
    report("the same beside 10,000 locks", ROUNDS, &mut |n| once(&keys[n as usize % 1000]));
    report("snapshot of 10,000 locks", 100, &mut |_| drop(locks.snapshot()));
    report("is one key free", ROUNDS, &mut |n| assert!(locks.is_free(keys[n as usize % 1000..][..1].iter().cloned())));
    let tell = || -> Callback<Label> { Box::new(|_| ()) };
    for waiting in [64, 1000] {
        let mut owners: VecDeque<OwnerId> = (0..waiting).map(|_| locks.begin(Begin::default())).collect();
        for owner in &owners {
            locks.acquire(*owner, &keys[0], Mode::Exclusive, Limits::default(), tell);
        }
        report(&format!("hand-over and a new wait with {waiting} in line"), 200_000, &mut |_| {
            locks.end(owners.pop_front().unwrap(), Ending::Release);
            owners.push_back(locks.begin(Begin::default()));
            locks.acquire(*owners.back().unwrap(), &keys[0], Mode::Exclusive, Limits::default(), tell);
        });
        owners.iter().for_each(|owner| locks.end(*owner, Ending::Release));
    }
    // Each holds a label that somebody wants, so that every wait has to look for circles.
    let owners: Vec<OwnerId> = (0..1000).map(|_| locks.begin(Begin::default())).collect();
    for (n, owner) in owners.iter().enumerate() {
        locks.acquire(*owner, &keys[n], Mode::Exclusive, Limits::default(), tell);
        let other = locks.begin(Begin::default());
        locks.acquire(other, &keys[n], Mode::Exclusive, Limits::default(), tell);
    }
    let holder = locks.begin(Begin::default());
    locks.acquire(holder, &label(7_000_000), Mode::Exclusive, Limits::default(), tell);
    report("a wait behind up to 1000 that are waited for", 1000, &mut |n| {
        locks.acquire(owners[n as usize], &label(7_000_000), Mode::Exclusive, Limits::default(), tell);
    });
}
