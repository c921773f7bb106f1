//! The lock manager under the schedule checker.
//!
//! Threads work on one manager whose mutex is shuttle's, so that threads are switched at every call, before every callback, and in
//! every wait; a wait that nobody ends is a deadlock that shuttle reports. The mutex notes the order in which calls went through
//! it. Afterwards the calls are repeated in that order on the plain statement of the rules, where every answer must be the same,
//! nothing may conflict, and an independent search must find, after each step, an order in which all can end - and, at the moment
//! when a wait is refused, none in which its owner can.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

#[allow(dead_code, unreachable_pub)]
mod common_lock;

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use baileys_cask::lock::{
    Acquired, Begin, Callback, Ending, Limits, LockManager, Mode, OwnerId, Reason, Refusal, Section, Table, WaitId,
};
use common_lock::{End, Key, RefLimits, Reference};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

thread_local! {
    /// Which task went through the mutex, in order. All tasks of an execution run on one thread of the operating system.
    static PASSED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn me() -> usize {
    usize::from(shuttle::current::me())
}

/// Shuttle's mutex, which notes who passes.
struct Watched<T>(Mutex<T>);

impl<T> From<T> for Watched<T> {
    fn from(value: T) -> Self {
        Self(Mutex::new(value))
    }
}

impl<T> Section<T> for Watched<T> {
    fn enter<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        let mut guard = self.0.lock().unwrap();
        PASSED.with_borrow_mut(|passed| passed.push(me()));
        work(&mut guard)
    }
}

/// A call, and what it gave at once.
#[derive(Debug, Clone)]
enum Call {
    Begin(Begin, OwnerId),
    Acquire(OwnerId, Vec<(Key, Mode)>, Acquired<Key>, usize),
    All(Vec<Key>, (OwnerId, Acquired<Key>), usize),
    End(OwnerId, bool),
    Doom(OwnerId),
    Cancel(WaitId, bool),
    EndDomain(Vec<OwnerId>),
}

type Outcome = Result<(), Refusal<Key>>;

/// Where a wait's outcome arrives.
#[derive(Default)]
struct Inbox {
    outcome: Mutex<Option<Outcome>>,
    arrived: Condvar,
}

impl Inbox {
    fn wait(&self) -> Outcome {
        let mut outcome = self.outcome.lock().unwrap();
        loop {
            match &*outcome {
                Some(outcome) => return outcome.clone(),
                None => outcome = self.arrived.wait(outcome).unwrap(),
            }
        }
    }
}

/// A manager, what was asked of it, and who is where.
#[derive(Default)]
struct World {
    locks: LockManager<Key, Watched<Table<Key>>>,
    calls: std::sync::Mutex<HashMap<usize, Vec<Call>>>,
    inboxes: std::sync::Mutex<Vec<Arc<Inbox>>>,
    /// Readers and writers of each key, counted by those who are there.
    inside: std::sync::Mutex<BTreeMap<Key, (usize, usize)>>,
    /// Order of arrival at each label, and of entry.
    arrived: std::sync::Mutex<Vec<OwnerId>>,
    entered: std::sync::Mutex<Vec<OwnerId>>,
}

impl World {
    fn note(&self, call: Call) {
        self.calls.lock().unwrap().entry(me()).or_default().push(call);
    }

    fn begin(&self, parent: Option<OwnerId>, domain: u32, last_resort: bool) -> OwnerId {
        self.open(Begin { parent, domain, last_resort, ..Begin::default() })
    }

    fn open(&self, begin: Begin) -> OwnerId {
        let owner = self.locks.begin(begin);
        self.note(Call::Begin(begin, owner));
        owner
    }

    fn inbox(&self) -> (usize, Arc<Inbox>) {
        let mut inboxes = self.inboxes.lock().unwrap();
        inboxes.push(Arc::default());
        (inboxes.len() - 1, Arc::clone(&inboxes[inboxes.len() - 1]))
    }

    fn tell(inbox: &Arc<Inbox>) -> Callback<Key> {
        let inbox = Arc::clone(inbox);
        Box::new(move |outcome| {
            thread::yield_now();
            assert_eq!(inbox.outcome.lock().unwrap().replace(outcome), None, "told twice");
            inbox.arrived.notify_all();
        })
    }

    fn ask(&self, owner: OwnerId, keys: &[(Key, Mode)]) -> (Acquired<Key>, Arc<Inbox>) {
        let (number, inbox) = self.inbox();
        let tell = || {
            self.arrived.lock().unwrap().push(owner);
            Self::tell(&inbox)
        };
        let acquired = match *keys {
            [(key, mode)] => self.locks.acquire(owner, &key, mode, Limits::default(), tell),
            _ => self.locks.acquire_sorted(owner, keys.to_vec(), Limits::default(), tell),
        };
        self.note(Call::Acquire(owner, keys.to_vec(), acquired.clone(), number));
        (acquired, inbox)
    }

    fn acquire(&self, owner: OwnerId, keys: &[(Key, Mode)]) -> Outcome {
        match self.ask(owner, keys) {
            (Acquired::Now, _) => Ok(()),
            (Acquired::Refused(refusal), _) => Err(refusal),
            (Acquired::Later(_), inbox) => inbox.wait(),
        }
    }

    fn acquire_all(&self, keys: Vec<Key>) -> (OwnerId, Outcome) {
        let (number, inbox) = self.inbox();
        let got = self.locks.acquire_all(0, keys.clone(), Limits::default(), |_| Self::tell(&inbox));
        self.note(Call::All(keys, got.clone(), number));
        let outcome = match got.1 {
            Acquired::Now => Ok(()),
            Acquired::Refused(refusal) => Err(refusal),
            Acquired::Later(_) => inbox.wait(),
        };
        (got.0, outcome)
    }

    fn end(&self, owner: OwnerId, inherit: bool) {
        self.locks.end(owner, if inherit { Ending::Inherit } else { Ending::Release });
        self.note(Call::End(owner, inherit));
    }

    /// Is where no other may be.
    fn visit(&self, key: Key, mode: Mode) {
        let count = |by: isize| {
            let mut inside = self.inside.lock().unwrap();
            let (readers, writers) = inside.entry(key).or_default();
            let mine = if mode == Mode::Shared { &mut *readers } else { &mut *writers };
            *mine = mine.checked_add_signed(by).unwrap();
            assert!(*writers == 0 || *readers + *writers == 1, "{readers} readers and {writers} writers of {key:?}");
        };
        count(1);
        thread::yield_now();
        count(-1);
    }

    /// Repeats all calls on the reference, in the order in which they went through the mutex.
    fn judge(&self) {
        let mut reference = Reference::default();
        let mut owners: Vec<OwnerId> = Vec::new();
        let mut waits: HashMap<WaitId, usize> = HashMap::new();
        let mut numbers: HashMap<usize, usize> = HashMap::new();
        let mut told: HashMap<usize, End> = HashMap::new();
        let mut calls: HashMap<usize, std::vec::IntoIter<Call>> =
            self.calls.lock().unwrap().drain().map(|(task, calls)| (task, calls.into_iter())).collect();
        let passed = PASSED.with_borrow_mut(std::mem::take);
        for task in passed {
            let place = |owner: OwnerId, owners: &[OwnerId]| owners.iter().position(|other| *other == owner).unwrap();
            // What a call that looked only has passed is not noted.
            let Some(call) = calls.get_mut(&task).and_then(Iterator::next) else { continue };
            match call {
                Call::Begin(Begin { parent, domain, last_resort, independent }, owner) => {
                    reference.begin(parent.map(|parent| place(parent, &owners)), domain, last_resort, independent);
                    owners.push(owner);
                }
                Call::Acquire(owner, keys, got, number) => {
                    let owner = place(owner, &owners);
                    let mut ordered = keys.clone();
                    ordered.sort_by_key(|(key, mode)| (*key, std::cmp::Reverse(*mode)));
                    ordered.dedup_by_key(|(key, _)| *key);
                    let expected = reference.acquire(owner, &ordered, RefLimits::default());
                    Self::compare(got, expected, number, &owners, &mut waits, &mut numbers);
                }
                Call::All(mut keys, (owner, got), number) => {
                    keys.sort();
                    keys.dedup();
                    let (_, expected) = reference.acquire_all(0, &keys, RefLimits::default());
                    owners.push(owner);
                    Self::compare(got, expected, number, &owners, &mut waits, &mut numbers);
                }
                Call::End(owner, inherit) => reference.end(place(owner, &owners), inherit),
                Call::Doom(owner) => reference.doom(place(owner, &owners), 7),
                Call::Cancel(wait, gone) => {
                    // The one who gives up may know of the wait before the one who waits has noted it.
                    assert_eq!(reference.cancel(waits[&wait]), gone);
                }
                Call::EndDomain(gone) => {
                    // An owner of the thread that had not begun then was begun later; one that had ended is gone.
                    let gone: Vec<usize> =
                        gone.iter().filter_map(|owner| owners.iter().position(|other| other == owner)).collect();
                    reference.end_all(&gone);
                }
            }
            assert_eq!(reference.conflict(), None);
            assert!(!reference.has_circle(), "a circle was left");
            assert!(reference.completes(), "a deadlock was left");
            told.extend(reference.told.drain(..));
        }
        let inboxes = self.inboxes.lock().unwrap();
        for (number, wait) in numbers {
            let outcome = inboxes[number].outcome.lock().unwrap().clone();
            assert_eq!(outcome.map(|outcome| end_of(outcome, &owners)), told.remove(&wait), "what was told");
        }
        assert_eq!(told, HashMap::new(), "told to nobody");
        assert!(reference.holds.is_empty() && reference.waits.is_empty());
        assert!(self.locks.is_empty(), "something stayed behind");
        PASSED.with_borrow_mut(Vec::clear);
    }

    fn compare(
        got: Acquired<Key>,
        expected: Result<usize, End>,
        number: usize,
        owners: &[OwnerId],
        waits: &mut HashMap<WaitId, usize>,
        numbers: &mut HashMap<usize, usize>,
    ) {
        match (got, expected) {
            (Acquired::Later(id), Ok(wait)) => {
                waits.insert(id, wait);
                numbers.insert(number, wait);
            }
            (Acquired::Now, Err(End::Granted)) => {}
            (Acquired::Refused(refusal), Err(end)) => assert_eq!(end_of(Err(refusal), owners), end),
            (got, expected) => panic!("{got:?}, not {expected:?}"),
        }
    }
}

fn end_of(outcome: Outcome, owners: &[OwnerId]) -> End {
    match outcome {
        Ok(()) => End::Granted,
        Err(Refusal::Deadlock(found)) => {
            End::Deadlock { victim: owners.iter().position(|owner| *owner == found.victim).unwrap(), keys: found.keys }
        }
        Err(Refusal::Cancelled) => End::Cancelled,
        Err(Refusal::Doomed(Reason(reason))) => End::Doomed(reason),
        Err(Refusal::Ended) => End::Ended,
        Err(Refusal::Expired { .. }) => panic!("no deadline was given"),
    }
}

/// Runs a scenario under both schedulers.
fn explore(times: usize, scenario: impl Fn(&Arc<World>) -> Vec<thread::JoinHandle<()>> + Send + Sync + Copy + 'static) {
    let run = move || {
        PASSED.with_borrow_mut(Vec::clear);
        let world = Arc::new(World::default());
        scenario(&world).into_iter().for_each(|thread| thread.join().unwrap());
        world.judge();
    };
    let times = std::env::var("LOCK_SCHEDULES").ok().and_then(|times| times.parse().ok()).unwrap_or(times);
    shuttle::check_random(run, times);
    shuttle::check_pct(run, times, 3);
}

fn start(world: &Arc<World>, work: impl FnOnce(&World) + Send + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || work(&world))
}

fn any_mode() -> Mode {
    if thread_rng().gen_bool(0.5) { Mode::Shared } else { Mode::Exclusive }
}

/// Labels, records, and now and then a family or the account.
fn any_key() -> Key {
    match thread_rng().gen_range(0..10) {
        0..4 => Key::Label(thread_rng().gen_range(0..3)),
        4..8 => Key::Record(0, 0, thread_rng().gen_range(0..3)),
        8 => Key::Family(0, 0),
        _ => Key::Account(0),
    }
}

#[test]
fn strangers_never_hold_what_conflicts() {
    explore(500, |world| {
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
    explore(500, |world| {
        let gate = world.begin(None, 0, false);
        assert_eq!(world.acquire(gate, &[(Key::Label(0), Mode::Exclusive)]), Ok(()));
        let mut all: Vec<_> = (0..4)
            .map(|_| {
                start(world, |world| {
                    let owner = world.begin(None, 0, false);
                    assert_eq!(world.acquire(owner, &[(Key::Label(0), Mode::Exclusive)]), Ok(()));
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
fn every_deadlock_is_found_and_only_real_ones() {
    explore(700, |world| {
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
                if going {
                    let _ = world.acquire(outer, &[(any_key(), any_mode()), (any_key(), any_mode())]);
                }
                world.end(outer, false);
            }
        };
        (0..4).map(|_| start(world, work)).collect()
    });
}

#[test]
fn children_at_once_and_plain_sets_beside_them_all_end() {
    explore(500, |world| {
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
                for _ in 0..2 {
                    let (owner, outcome) = world.acquire_all((0..3).map(|_| any_key()).collect());
                    assert_eq!(outcome, Ok(()), "a plain set is never a victim");
                    world.end(owner, false);
                }
            })
        }));
        all.push(start(world, |world| {
            let owner = world.begin(None, 0, false);
            let _ = (0..2).all(|_| world.acquire(owner, &[(any_key(), any_mode())]).is_ok());
            world.end(owner, false);
        }));
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
    explore(400, |world| {
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
        all.push(start(world, |world| {
            let (owner, outcome) = world.acquire_all((0..3).map(|_| any_key()).collect());
            assert_eq!(outcome, Ok(()), "a plain set is never a victim");
            world.end(owner, false);
        }));
        all.push(start(world, |world| {
            let owner = world.begin(None, 0, false);
            let _ = (0..2).all(|_| world.acquire(owner, &[(any_key(), any_mode())]).is_ok());
            world.end(owner, false);
        }));
        all.push(start(world, move |world| {
            if thread_rng().gen_bool(0.5) {
                world.locks.doom(outer, Reason(7));
                world.note(Call::Doom(outer));
            }
            world.end(outer, false);
        }));
        all
    });
}

#[test]
fn a_writer_among_readers_that_keep_coming_is_served() {
    explore(300, |world| {
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
fn the_death_of_a_thread_frees_all_it_had() {
    explore(500, |world| {
        let owners: Vec<OwnerId> = (0..2).map(|_| world.begin(None, 9, false)).collect();
        let independent = thread_rng().gen_bool(0.5);
        let inner = world.open(Begin { parent: Some(owners[0]), domain: 9, independent, ..Begin::default() });
        let mut gone = owners.clone();
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
        all.push(start(world, move |world| {
            world.locks.end_domain(9);
            world.note(Call::EndDomain(gone));
        }));
        all
    });
}

#[test]
fn a_wait_that_is_given_up_or_doomed_while_it_is_granted_ends_once() {
    explore(500, |world| {
        let gate = world.begin(None, 0, false);
        let (waiter, late) = (world.begin(None, 0, false), world.begin(None, 0, false));
        let key = [(Key::Label(0), Mode::Exclusive)];
        assert_eq!(world.acquire(gate, &key), Ok(()));
        let (acquired, inbox) = world.ask(waiter, &key);
        let Acquired::Later(wait) = acquired else { panic!("{acquired:?}") };
        vec![
            start(world, move |world| world.end(gate, false)),
            start(world, move |world| {
                let gone = world.locks.cancel(wait);
                world.note(Call::Cancel(wait, gone));
            }),
            start(world, move |world| {
                world.locks.doom(waiter, Reason(7));
                world.note(Call::Doom(waiter));
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
