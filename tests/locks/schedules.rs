//! The lock manager under the schedule checker: exclusion, order, limits and ends of waits.
//!
//! Threads work on one manager whose mutex is shuttle's, so that threads are switched at every call, before every callback, and in
//! every wait; a wait that nobody ends is a deadlock that shuttle reports. The mutex notes the order in which calls went through
//! it. Afterwards the calls are repeated in that order on the plain statement of the rules, where every answer must be the same,
//! nothing may conflict, and an independent search must find, after each step, an order in which all can end - and, at the moment
//! when a wait is refused, none in which its owner can.
//!
//! `LOCK_SCHEDULES` sets how many schedules each test tries with each of the two schedulers.

use crate::reference::Key;
use crate::world::{World, any_mode, explore, start};
use baileys_cask::lock::{Acquired, Mode, Refusal};
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;

#[test]
fn strangers_never_hold_what_conflicts() {
    explore(220, |world| {
        let work = |world: &World| {
            for _ in 0..3 {
                let owner = world.begin(None, 0, false);
                let (key, mode) = (Key::Label(thread_rng().gen_range(0..2)), any_mode());
                assert_eq!(world.acquire(owner, &[(key, mode)]), Ok(()));
                world.visit(key, mode);
                world.end(owner, false);
            }
        };
        (0..4).map(|_| start(world, work)).collect()
    });
}

#[test]
fn who_comes_first_is_served_first() {
    explore(220, |world| {
        let gate = world.begin(None, 0, false);
        assert_eq!(world.acquire(gate, &[(Key::Label(0), Mode::Exclusive)]), Ok(()));
        let mut all: Vec<_> = (0..4)
            .map(|_| {
                start(world, |world| {
                    let owner = world.begin(None, 0, false);
                    let before = world.arrived.lock().unwrap().clone();
                    match world.ask(owner, &[(Key::Label(0), Mode::Exclusive)]) {
                        (Acquired::Now, _) => {
                            let entered = world.entered.lock().unwrap();
                            assert!(before.iter().all(|other| entered.contains(other)), "let in before those who waited");
                        }
                        (Acquired::Later(_), inbox) => assert_eq!(inbox.wait(), Ok(())),
                        (refused, _) => panic!("{refused:?}"),
                    }
                    world.entered.lock().unwrap().push(owner);
                    world.end(owner, false);
                    let entered = world.entered.lock().unwrap();
                    let arrived = world.arrived.lock().unwrap();
                    let waited: Vec<_> = entered.iter().filter(|owner| arrived.contains(owner)).collect();
                    assert_eq!(waited, arrived.iter().take(waited.len()).collect::<Vec<_>>());
                })
            })
            .collect();
        all.push(start(world, move |world| world.end(gate, false)));
        all
    });
}

#[test]
fn a_writer_among_readers_that_keep_coming_is_served() {
    explore(130, |world| {
        let writer = world.begin(None, 0, false);
        let mut all: Vec<_> = (0..3)
            .map(|_| {
                start(world, move |world| {
                    for _ in 0..4 {
                        let owner = world.begin(None, 0, false);
                        let comes_later = world.arrived.lock().unwrap().contains(&writer);
                        assert_eq!(world.acquire(owner, &[(Key::Label(0), Mode::Shared)]), Ok(()));
                        assert!(!comes_later || world.entered.lock().unwrap().contains(&writer), "the writer was overtaken");
                        world.visit(Key::Label(0), Mode::Shared);
                        world.end(owner, false);
                    }
                })
            })
            .collect();
        all.push(start(world, move |world| {
            assert_eq!(world.acquire(writer, &[(Key::Label(0), Mode::Exclusive)]), Ok(()));
            world.visit(Key::Label(0), Mode::Exclusive);
            world.entered.lock().unwrap().push(writer);
            world.end(writer, false);
        }));
        all
    });
}

#[test]
fn a_wait_that_is_given_up_or_doomed_while_it_is_granted_ends_once() {
    explore(220, |world| {
        let gate = world.begin(None, 0, false);
        let (waiter, late) = (world.begin(None, 0, false), world.begin(None, 0, false));
        let key = [(Key::Label(0), Mode::Exclusive)];
        assert_eq!(world.acquire(gate, &key), Ok(()));
        let (acquired, inbox) = world.ask(waiter, &key);
        let Acquired::Later(wait) = acquired else { panic!("{acquired:?}") };
        vec![
            start(world, move |world| world.end(gate, false)),
            start(world, move |world| world.cancel(wait)),
            start(world, move |world| {
                world.doom(waiter);
                let _ = inbox.wait();
                world.end(waiter, false);
            }),
            start(world, move |world| {
                assert_eq!(world.acquire(late, &key), Ok(()));
                world.end(late, false);
            }),
        ]
    });
}

#[test]
fn who_gives_up_with_its_thread_keeps_what_it_holds() {
    explore(180, |world| {
        let key = Key::Label(0);
        let holder = world.begin(None, 9, false);
        assert_eq!(world.acquire(holder, &[(key, Mode::Exclusive)]), Ok(()));
        let mut all: Vec<_> = [0, 9, 9]
            .into_iter()
            .map(|domain| {
                start(world, move |world| {
                    let owner = world.begin(None, domain, false);
                    let outcome = world.acquire(owner, &[(key, Mode::Exclusive)]);
                    assert!(outcome == Ok(()) || (domain == 9 && outcome == Err(Refusal::Cancelled)), "{outcome:?}");
                    if outcome.is_ok() {
                        world.visit(key, Mode::Exclusive);
                    }
                    world.end(owner, false);
                })
            })
            .collect();
        all.push(start(world, move |world| {
            world.cancel_domain(9);
            // The lock is its own still, and it may take more.
            world.visit(key, Mode::Exclusive);
            assert_eq!(world.acquire(holder, &[(Key::Label(1), Mode::Exclusive)]), Ok(()));
            world.end(holder, false);
        }));
        all
    });
}

#[test]
fn a_wait_ends_at_its_deadline_and_not_before() {
    explore(180, |world| {
        let key = Key::Label(0);
        let gate = world.begin(None, 0, false);
        assert_eq!(world.acquire(gate, &[(key, Mode::Exclusive)]), Ok(()));
        let mut all: Vec<_> = [None, Some(10), Some(20), Some(30)]
            .into_iter()
            .map(|deadline| {
                start(world, move |world| {
                    let owner = world.begin(None, 0, false);
                    let outcome = world.acquire_until(owner, &[(key, Mode::Exclusive)], deadline);
                    match &outcome {
                        Ok(()) => world.visit(key, Mode::Exclusive),
                        Err(Refusal::Expired { key: late, .. }) => {
                            assert!(*late == key && deadline.is_some_and(|deadline| deadline <= 20), "too early: {deadline:?}");
                        }
                        Err(refusal) => panic!("{refusal:?}"),
                    }
                    world.end(owner, false);
                })
            })
            .collect();
        all.push(start(world, |world| [9, 10, 20, 29].into_iter().for_each(|now| world.expire(now))));
        all.push(start(world, move |world| world.end(gate, false)));
        all
    });
}

#[test]
fn readers_that_become_writers_are_never_there_together() {
    explore(180, |world| {
        let key = Key::Label(0);
        let work = move |world: &World| {
            loop {
                let owner = world.begin(None, 0, false);
                assert_eq!(world.acquire(owner, &[(key, Mode::Shared)]), Ok(()));
                world.visit(key, Mode::Shared);
                let outcome = world.acquire(owner, &[(key, Mode::Exclusive)]);
                if outcome.is_ok() {
                    world.visit(key, Mode::Exclusive);
                }
                world.end(owner, false);
                match outcome {
                    Ok(()) => break,
                    Err(Refusal::Deadlock(_)) => {}
                    Err(refusal) => panic!("{refusal:?}"),
                }
            }
        };
        (0..3).map(|_| start(world, work)).collect()
    });
}

#[test]
fn who_takes_all_in_one_sorted_request_is_in_no_deadlock() {
    explore(180, |world| {
        let work = |world: &World| {
            for _ in 0..2 {
                let owner = world.begin(None, 0, false);
                // Keys that enclose others are no part of it: theirs is no order in which two requests cannot meet.
                let any = || {
                    if thread_rng().gen_bool(0.5) {
                        Key::Label(thread_rng().gen_range(0..3))
                    } else {
                        Key::Record(0, 0, thread_rng().gen_range(0..2))
                    }
                };
                let keys: Vec<(Key, Mode)> = (0..3).map(|_| (any(), any_mode())).collect();
                assert_eq!(world.acquire(owner, &keys), Ok(()));
                world.end(owner, false);
            }
        };
        (0..4).map(|_| start(world, work)).collect()
    });
}

#[test]
fn work_on_what_is_free_meets_nobody() {
    explore(130, |world| {
        let keys = [Key::Record(0, 0, 0), Key::Record(0, 0, 1)];
        let mut all: Vec<_> = (0..2)
            .map(|_| {
                start(world, move |world| {
                    let owner = world.begin(None, 0, false);
                    let taken = if thread_rng().gen_bool(0.3) { Key::Family(0, 0) } else { keys[0] };
                    assert_eq!(world.acquire(owner, &[(taken, Mode::Exclusive)]), Ok(()));
                    world.visit(keys[0], Mode::Exclusive);
                    world.end(owner, false);
                })
            })
            .collect();
        all.extend((0..2).map(|_| {
            start(world, move |world| {
                for _ in 0..2 {
                    world.locks.if_free(keys, || assert!(world.is_empty_at(keys[0]), "somebody was there"));
                    thread::yield_now();
                }
            })
        }));
        all
    });
}
