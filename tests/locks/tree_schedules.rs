//! The lock manager under the schedule checker: deadlocks, nesting, independent owners, and threads that die. How it works is said
//! in `schedules`.

use crate::reference::Key;
use crate::world::{World, any_key, any_mode, explore, start};
use baileys_cask::lock::{Begin, Mode, OwnerId};
use shuttle::rand::{Rng, thread_rng};

/// A plain set of three records.
fn set_plainly(world: &World) {
    let (owner, outcome) = world.acquire_all((0..3).map(|_| any_key()).collect());
    assert_eq!(outcome, Ok(()), "a plain set is never a victim");
    world.end(owner, false);
}

/// A stranger that locks two records, where it may.
fn lock_two(world: &World) {
    let owner = world.begin(None, 0, false);
    let _ = (0..2).all(|_| world.acquire(owner, &[(any_key(), any_mode())]).is_ok());
    world.end(owner, false);
}

#[test]
fn every_deadlock_is_found_and_only_real_ones() {
    explore(310, |world| {
        let work = |world: &World| {
            for _ in 0..2 {
                // What was refused is given up as a whole: locks of others' circles are free, and all end.
                let outer = world.begin(None, 0, thread_rng().gen_bool(0.3));
                let mut going = world.acquire(outer, &[(any_key(), any_mode())]).is_ok();
                if going && thread_rng().gen_bool(0.5) {
                    let inner = world.begin(Some(outer), 0, false);
                    going = world.acquire(inner, &[(any_key(), any_mode())]).is_ok();
                    world.end(inner, going && thread_rng().gen_bool(0.7));
                }
                if going && thread_rng().gen_bool(0.7) {
                    let _ = world.acquire(outer, &[(any_key(), any_mode()), (any_key(), any_mode())]);
                } else if going {
                    let _ = world.acquire_together(outer, (0..3).map(|_| any_key()).collect());
                }
                world.end(outer, false);
            }
        };
        (0..4).map(|_| start(world, work)).collect()
    });
}

#[test]
fn children_at_once_and_plain_sets_beside_them_all_end() {
    explore(220, |world| {
        let outer = world.begin(None, 0, false);
        let mut all: Vec<_> = (0..2)
            .map(|_| {
                start(world, move |world| {
                    let inner = world.begin(Some(outer), 0, false);
                    let going = (0..2).all(|_| world.acquire(inner, &[(any_key(), any_mode())]).is_ok());
                    world.end(inner, going);
                })
            })
            .collect();
        all.extend((0..2).map(|_| {
            start(world, |world| {
                (0..2).for_each(|_| set_plainly(world));
            })
        }));
        all.push(start(world, lock_two));
        // Strangers may wait for what the children pass on, so the outer owner ends as soon as these have.
        let children: Vec<_> = all.drain(..2).collect();
        all.push(start(world, move |world| {
            children.into_iter().for_each(|thread| thread.join().unwrap());
            world.end(outer, true);
        }));
        all
    });
}

#[test]
fn independent_children_that_outlive_their_parent_all_end() {
    explore(180, |world| {
        let outer = world.begin(None, 0, false);
        let _ = (0..2).all(|_| world.acquire(outer, &[(any_key(), any_mode())]).is_ok());
        let mut all: Vec<_> = (0..3)
            .map(|_| {
                start(world, move |world| {
                    let inner = world.open(Begin { parent: Some(outer), independent: true, ..Begin::default() });
                    let _ = (0..2).all(|_| world.acquire(inner, &[(any_key(), any_mode())]).is_ok());
                    world.end(inner, false);
                })
            })
            .collect();
        all.push(start(world, set_plainly));
        all.push(start(world, lock_two));
        all.push(start(world, move |world| {
            if thread_rng().gen_bool(0.5) {
                world.doom(outer);
            }
            world.end(outer, false);
        }));
        all
    });
}

#[test]
fn the_death_of_a_thread_frees_all_it_had() {
    explore(220, |world| {
        let owners: Vec<OwnerId> = (0..2).map(|_| world.begin(None, 9, false)).collect();
        let independent = thread_rng().gen_bool(0.5);
        let inner = world.open(Begin { parent: Some(owners[0]), domain: 9, independent, ..Begin::default() });
        let mut gone = owners;
        gone.push(inner);
        let mut all: Vec<_> = gone
            .iter()
            .map(|owner| {
                let owner = *owner;
                start(world, move |world| {
                    // May be refused at any point, or hold for ever: only the death below frees it.
                    let _ = (0..3).all(|_| world.acquire(owner, &[(any_key(), any_mode())]).is_ok());
                })
            })
            .collect();
        all.extend((0..2).map(|_| {
            start(world, |world| {
                let owner = world.begin(None, 0, false);
                let _ = (0..2).all(|_| world.acquire(owner, &[(any_key(), any_mode())]).is_ok());
                world.end(owner, false);
            })
        }));
        let gives_up_first = thread_rng().gen_bool(0.5);
        all.push(start(world, move |world| {
            if gives_up_first {
                world.cancel_domain(9);
            }
            world.end_domain(9);
        }));
        all
    });
}

#[test]
fn what_a_child_has_locked_is_closed_to_strangers_until_the_outermost_end() {
    explore(180, |world| {
        let key = Key::Label(0);
        let outer = world.begin(None, 0, false);
        let children: Vec<_> = (0..2)
            .map(|_| {
                start(world, move |world| {
                    let inner = world.begin(Some(outer), 0, false);
                    assert_eq!(world.acquire(inner, &[(key, Mode::Exclusive)]), Ok(()));
                    world.visit(key, Mode::Exclusive);
                    // From the first good end on the lock is its parent's.
                    let inherits = thread_rng().gen_bool(0.7);
                    if inherits {
                        world.entered.lock().unwrap().push(outer);
                    }
                    world.end(inner, inherits);
                })
            })
            .collect();
        let mut all: Vec<_> = (0..2)
            .map(|_| {
                start(world, move |world| {
                    let owner = world.begin(None, 0, false);
                    assert_eq!(world.acquire(owner, &[(key, Mode::Exclusive)]), Ok(()));
                    assert!(world.entered.lock().unwrap().is_empty(), "its parent has it");
                    world.visit(key, Mode::Exclusive);
                    world.end(owner, false);
                })
            })
            .collect();
        all.push(start(world, move |world| {
            children.into_iter().for_each(|thread| thread.join().unwrap());
            world.entered.lock().unwrap().clear();
            world.end(outer, thread_rng().gen_bool(0.5));
        }));
        all
    });
}

#[test]
fn independent_children_that_join_are_part_of_their_parent() {
    explore(180, |world| {
        let outer = world.begin(None, 0, false);
        let _ = world.acquire(outer, &[(any_key(), any_mode())]);
        let children: Vec<_> = (0..2)
            .map(|_| {
                start(world, move |world| {
                    let inner = world.open(Begin { parent: Some(outer), independent: true, ..Begin::default() });
                    let going = world.acquire(inner, &[(any_key(), any_mode())]).is_ok();
                    let joins = thread_rng().gen_bool(0.6);
                    if joins {
                        world.join(inner);
                    }
                    let going = going && world.acquire(inner, &[(any_key(), any_mode())]).is_ok();
                    world.end(inner, going && joins);
                })
            })
            .collect();
        let mut all = vec![start(world, |world| {
            let owner = world.begin(None, 0, false);
            let _ = (0..2).all(|_| world.acquire(owner, &[(any_key(), any_mode())]).is_ok());
            world.end(owner, false);
        })];
        let waits_for_all = thread_rng().gen_bool(0.5);
        all.push(start(world, move |world| {
            if waits_for_all {
                children.into_iter().for_each(|thread| thread.join().unwrap());
                world.end(outer, true);
            } else {
                world.doom(outer);
                world.end(outer, false);
                children.into_iter().for_each(|thread| thread.join().unwrap());
            }
        }));
        all
    });
}

#[test]
fn the_last_resort_is_no_victim_where_another_can_be() {
    explore(180, |world| {
        let (one, other) = ((Key::Label(0), Mode::Exclusive), (Key::Record(0, 0, 0), Mode::Exclusive));
        let mut all = vec![start(world, move |world| {
            let owner = world.begin(None, 0, true);
            assert_eq!(world.acquire(owner, &[one]), Ok(()));
            assert_eq!(world.acquire(owner, &[other]), Ok(()), "others could have given up");
            world.end(owner, false);
        })];
        all.extend((0..2).map(|_| {
            start(world, move |world| {
                loop {
                    let owner = world.begin(None, 0, false);
                    let done = world.acquire(owner, &[other]).is_ok() && world.acquire(owner, &[one]).is_ok();
                    world.end(owner, false);
                    if done {
                        break;
                    }
                }
            })
        }));
        all
    });
}
