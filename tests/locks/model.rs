//! Random histories: the lock manager against a plain statement of its rules, and both against a search for an order in which all
//! can end.
//!
//! `LOCK_CASES` sets how many histories of each kind are tried. `reference/SEEDED.md` lists the bugs that were put into the manager to see
//! each rule's test fail.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::reference::{End, Key, RefHold, RefLimits, Reference};
use baileys_cask::lock::{Acquired, Begin, Callback, Ending, Limits, LockManager, Mode, OwnerId, Reason, Refusal, WaitId};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;

#[derive(Debug, Clone)]
enum Step {
    Begin {
        parent: Option<usize>,
        domain: u32,
        last_resort: bool,
        independent: bool,
    },
    Acquire {
        owner: usize,
        key: Key,
        mode: Mode,
        patience: Option<u64>,
    },
    Sorted {
        owner: usize,
        keys: Vec<(Key, Mode)>,
        patience: Option<u64>,
    },
    Together {
        owner: usize,
        keys: Vec<Key>,
        patience: Option<u64>,
    },
    All {
        domain: u32,
        keys: Vec<Key>,
        patience: Option<u64>,
    },
    End {
        owner: usize,
        inherit: bool,
    },
    Doom {
        owner: usize,
    },
    Join {
        owner: usize,
    },
    Cancel {
        wait: usize,
    },
    CancelDomain {
        domain: u32,
    },
    EndDomain {
        domain: u32,
    },
    /// Time goes on, and what is late is refused.
    Expire {
        after: u64,
    },
}

fn keys(coarse: bool) -> BoxedStrategy<Key> {
    let records = (0..2u8, 0..2u8).prop_map(|(family, id)| Key::Record(0, family, id));
    let labels = (0..3u8).prop_map(Key::Label);
    if coarse {
        prop_oneof![4 => records, 1 => labels, 2 => (0..2u8).prop_map(|family| Key::Family(0, family)), 1 => Just(Key::Account(0))].boxed()
    } else {
        prop_oneof![records, labels].boxed()
    }
}

fn modes() -> impl Strategy<Value = Mode> {
    prop_oneof![Just(Mode::Shared), Just(Mode::Exclusive)]
}

/// Few requests have a limit, and some of these run out.
fn patience() -> impl Strategy<Value = Option<u64>> {
    proptest::option::weighted(0.3, 0..20u64)
}

fn steps(coarse: bool) -> impl Strategy<Value = Vec<Step>> {
    let domains = || 0..3u32;
    let step = prop_oneof![
        3 => (proptest::option::weighted(0.6, 0..16usize), domains(), proptest::bool::weighted(0.2), proptest::bool::weighted(0.4))
            .prop_map(|(parent, domain, last_resort, independent)| Step::Begin { parent, domain, last_resort, independent }),
        42 => (0..16usize, keys(coarse), modes(), patience())
            .prop_map(|(owner, key, mode, patience)| Step::Acquire { owner, key, mode, patience }),
        9 => (0..16usize, proptest::collection::vec((keys(coarse), modes()), 0..4), patience())
            .prop_map(|(owner, keys, patience)| Step::Sorted { owner, keys, patience }),
        5 => (0..16usize, proptest::collection::vec(keys(coarse), 0..4), patience())
            .prop_map(|(owner, keys, patience)| Step::Together { owner, keys, patience }),
        9 => (domains(), proptest::collection::vec(keys(coarse), 0..4), patience())
            .prop_map(|(domain, keys, patience)| Step::All { domain, keys, patience }),
        6 => (0..16usize, any::<bool>()).prop_map(|(owner, inherit)| Step::End { owner, inherit }),
        3 => (0..16usize).prop_map(|owner| Step::Doom { owner }),
        3 => (0..16usize).prop_map(|owner| Step::Join { owner }),
        3 => (0..16usize).prop_map(|wait| Step::Cancel { wait }),
        1 => domains().prop_map(|domain| Step::CancelDomain { domain }),
        1 => domains().prop_map(|domain| Step::EndDomain { domain }),
        3 => (0..8u64).prop_map(|after| Step::Expire { after }),
    ];
    proptest::collection::vec(step, 1..80)
}

/// A wait's number in the reference, and how it ended.
type Told = (usize, Result<(), Refusal<Key>>);

/// Holders by key, and waiters in order: owner, its domain, mode, and a waiter's token.
type Locks = BTreeMap<Key, (BTreeSet<(OwnerId, u32, Mode)>, Vec<(OwnerId, u32, Mode, u32)>)>;

/// The manager and the reference side by side.
struct Pair {
    made: Instant,
    /// A time that no clock has come to yet, and how much of it has passed.
    base: Instant,
    now: u64,
    tokens: u32,
    locks: LockManager<Key>,
    reference: Reference,
    owners: Vec<OwnerId>,
    waits: Vec<(usize, WaitId)>,
    told: Arc<Mutex<Vec<Told>>>,
}

impl Default for Pair {
    fn default() -> Self {
        let made = Instant::now();
        Self {
            made,
            base: made + Duration::from_secs(1000),
            now: 0,
            tokens: 0,
            locks: LockManager::default(),
            reference: Reference::default(),
            owners: Vec::new(),
            waits: Vec::new(),
            told: Arc::default(),
        }
    }
}

impl Pair {
    fn time(&self, at: u64) -> Instant {
        self.base + Duration::from_secs(at)
    }

    fn limits(&mut self, patience: Option<u64>) -> (Limits, RefLimits) {
        self.tokens += 1;
        let deadline = patience.map(|patience| self.now + patience);
        (Limits { deadline: deadline.map(|at| self.time(at)), token: self.tokens }, RefLimits { deadline, token: self.tokens })
    }

    fn end_of(&self, outcome: Result<(), Refusal<Key>>) -> End {
        match outcome {
            Ok(()) => End::Granted,
            Err(Refusal::Deadlock(found)) => {
                let victim = self.owners.iter().position(|owner| *owner == found.victim).unwrap();
                End::Deadlock { victim, keys: found.keys }
            }
            Err(Refusal::Cancelled) => End::Cancelled,
            Err(Refusal::Doomed(Reason(reason))) => End::Doomed(reason),
            Err(Refusal::Ended) => End::Ended,
            Err(Refusal::Expired { .. }) => End::Expired,
        }
    }

    fn compare(&mut self, got: Acquired<Key>, expected: Result<usize, End>) {
        match (got, expected) {
            (Acquired::Later(id), Ok(wait)) => self.waits.push((wait, id)),
            (Acquired::Now, Err(End::Granted)) => {}
            (Acquired::Refused(refusal), Err(end)) => assert_eq!(self.end_of(Err(refusal)), end),
            (got, expected) => panic!("{got:?}, not {expected:?}"),
        }
    }

    fn tell(&self, wait: usize) -> impl FnOnce() -> Callback<Key> + use<> {
        let told = Arc::clone(&self.told);
        move || Box::new(move |end| told.lock().unwrap().push((wait, end)))
    }

    fn request(&mut self, owner: usize, keys: &[(Key, Mode)], patience: Option<u64>) {
        let (limits, expected_limits) = self.limits(patience);
        let mut ordered = keys.to_vec();
        ordered.sort_by_key(|(key, mode)| (*key, std::cmp::Reverse(*mode)));
        ordered.dedup_by_key(|(key, _)| *key);
        let expected = self.reference.acquire(owner, &ordered, expected_limits);
        if let Err(End::Deadlock { victim, .. }) = &expected {
            DEADLOCKS.fetch_add(1, Ordering::Relaxed);
            assert!(self.reference.within(owner, *victim), "the victim is around the one that waits");
        }
        let tell = self.tell(expected.clone().unwrap_or(0));
        let got = match *keys {
            // A list of one key is the same.
            [(key, mode)] if owner.is_multiple_of(2) => self.locks.acquire(self.owners[owner], &key, mode, limits, tell),
            _ => self.locks.acquire_sorted(self.owners[owner], keys.to_vec(), limits, tell),
        };
        self.compare(got, expected);
    }

    fn together(&mut self, owner: usize, keys: Vec<Key>, patience: Option<u64>) {
        let (limits, expected_limits) = self.limits(patience);
        let mut ordered = keys.clone();
        ordered.sort();
        ordered.dedup();
        let expected = self.reference.acquire_together(owner, &ordered, expected_limits);
        let tell = self.tell(expected.clone().unwrap_or(0));
        let got = self.locks.acquire_together(self.owners[owner], keys, limits, tell);
        self.compare(got, expected);
    }

    fn all(&mut self, domain: u32, keys: Vec<Key>, patience: Option<u64>) {
        let (limits, expected_limits) = self.limits(patience);
        let mut ordered = keys.clone();
        ordered.sort();
        ordered.dedup();
        let is_free = self.reference.is_free(&keys);
        assert_eq!(self.locks.is_free(keys.iter().copied()), is_free);
        assert_eq!(self.locks.if_free(keys.iter().copied(), || ()).is_some(), is_free);
        let (_, expected) = self.reference.acquire_all(domain, &ordered, expected_limits);
        let tell = self.tell(expected.clone().unwrap_or(0));
        let (id, got) = self.locks.acquire_all(domain, keys, limits, |_| tell());
        self.owners.push(id);
        self.compare(got, expected);
    }

    fn step(&mut self, step: Step) {
        // Owners that have ended are asked for now and then.
        let living: Vec<usize> = (0..self.owners.len()).filter(|at| !self.reference.owners[*at].ended).collect();
        let pick = |at: usize| if at == 0 || living.is_empty() { 0 } else { living[at % living.len()] };
        match step {
            Step::Begin { parent, domain, last_resort, independent } => {
                let parent = parent.filter(|_| !self.owners.is_empty()).map(pick).filter(|at| !self.reference.owners[*at].plain);
                self.reference.begin(parent, domain, last_resort, independent);
                let parent = parent.map(|at| self.owners[at]);
                self.owners.push(self.locks.begin(Begin { parent, domain, last_resort, independent }));
            }
            Step::All { domain, keys, patience } => self.all(domain, keys, patience),
            _ if self.owners.is_empty() => {}
            Step::Acquire { owner, key, mode, patience } => self.request(pick(owner), &[(key, mode)], patience),
            Step::Sorted { owner, keys, patience } => self.request(pick(owner), &keys, patience),
            Step::Together { owner, keys, patience } => self.together(pick(owner), keys, patience),
            Step::End { owner, inherit } => {
                let owner = pick(owner);
                self.reference.end(owner, inherit);
                self.locks.end(self.owners[owner], if inherit { Ending::Inherit } else { Ending::Release });
            }
            Step::Doom { owner } => {
                let owner = pick(owner);
                self.reference.doom(owner, 7);
                self.locks.doom(self.owners[owner], Reason(7));
            }
            Step::Join { owner } => {
                let owner = pick(owner);
                self.reference.join(owner);
                self.locks.join(self.owners[owner]);
            }
            Step::Cancel { wait } => {
                if let Some((wait, id)) = self.waits.get(wait % self.waits.len().max(1)).copied() {
                    assert_eq!(self.locks.cancel(id), self.reference.cancel(wait));
                }
            }
            Step::CancelDomain { domain } => {
                self.reference.cancel_domain(domain);
                self.locks.cancel_domain(domain);
            }
            Step::EndDomain { domain } => {
                self.reference.end_domain(domain);
                self.locks.end_domain(domain);
            }
            Step::Expire { after } => {
                self.now += after;
                let next = self.reference.expire(self.now);
                assert_eq!(self.locks.expire(self.time(self.now)), next.map(|next| self.time(next)), "the next deadline");
            }
        }
        self.check();
    }

    fn expected(&self) -> Locks {
        let mut locks = Locks::new();
        let domain = |owner: usize| self.reference.owners[owner].domain;
        for hold in &self.reference.holds {
            locks.entry(hold.key).or_default().0.insert((self.owners[hold.owner], domain(hold.owner), hold.mode));
        }
        let mut waits = self.reference.waits.clone();
        waits.sort_by_key(|wait| wait.arrival);
        for relatives in [true, false] {
            for wait in &waits {
                for key in &wait.at {
                    let is_relative = |hold: &RefHold| hold.key == *key && self.reference.within(wait.owner, hold.owner);
                    if self.reference.holds.iter().any(is_relative) == relatives {
                        let view = (self.owners[wait.owner], domain(wait.owner), wait.mode, wait.limits.token);
                        locks.entry(*key).or_default().1.push(view);
                    }
                }
            }
        }
        locks
    }

    fn seen(&self) -> Locks {
        let views = self.locks.snapshot();
        assert!(views.is_sorted_by(|one, other| one.key < other.key), "in the order of the keys");
        let mut seen = Locks::new();
        for view in views {
            assert!(view.holders.is_sorted_by(|one, other| one.age >= other.age), "longest first");
            let holders = view.holders.iter().map(|holder| (holder.owner, holder.domain, holder.mode)).collect();
            let waiters = view.waiters.iter().map(|waiter| (waiter.owner, waiter.domain, waiter.mode, waiter.token)).collect();
            seen.insert(view.key, (holders, waiters));
        }
        seen
    }

    /// Same answers, same locks; nothing conflicts, nobody waits in a circle, and all can end.
    fn check(&mut self) {
        let told = std::mem::take(&mut *self.told.lock().unwrap());
        for (wait, outcome) in &told {
            let Err(Refusal::Expired { key, waited }) = outcome else { continue };
            let (_, taken) =
                self.reference.expired.iter().find(|(expired, _)| expired == wait).expect("a deadline that has passed");
            assert!(taken.contains(key), "{key:?} was free, not {taken:?}");
            let longest = self.time(self.now) - self.made;
            assert!((longest - self.made.elapsed()..=longest).contains(waited), "{waited:?} of {longest:?}");
        }
        self.reference.expired.clear();
        let mut told: Vec<(usize, End)> = told.into_iter().map(|(wait, end)| (wait, self.end_of(end))).collect();
        let mut expected = std::mem::take(&mut self.reference.told);
        told.sort();
        expected.sort();
        assert_eq!(told, expected, "what was told");
        assert_eq!(self.seen(), self.expected(), "what is held and waited for");
        assert_eq!(self.reference.conflict(), None);
        assert!(!self.reference.has_circle(), "a circle was left");
        assert!(self.reference.completes(), "a deadlock was left");
    }
}

static DEADLOCKS: AtomicUsize = AtomicUsize::new(0);

fn run(history: Vec<Step>) {
    let mut pair = Pair::default();
    for parent in [None, None, Some(0), Some(1), Some(0), None] {
        pair.step(Step::Begin { parent, domain: 0, last_resort: parent == Some(1), independent: parent == Some(1) });
    }
    history.into_iter().for_each(|step| pair.step(step));
    for owner in (0..pair.owners.len()).rev() {
        pair.step(Step::End { owner, inherit: true });
    }
    assert!(pair.locks.is_empty(), "{:?}", pair.locks);
}

fn cases(default: u32) -> ProptestConfig {
    let cases = std::env::var("LOCK_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn histories_of_records_and_labels_follow_the_rules(history in steps(false)) {
        run(history);
    }

    #[test]
    fn histories_with_enclosing_locks_follow_the_rules(history in steps(true)) {
        run(history);
    }
}

#[test]
fn histories_are_rich_in_deadlocks() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..200 {
        run(steps(true).new_tree(&mut runner).unwrap().current());
    }
    assert!(DEADLOCKS.load(Ordering::Relaxed) > 50, "{DEADLOCKS:?}");
}

#[test]
fn a_wait_that_is_let_past_another_may_close_a_circle_with_its_next_key() {
    use Mode::{Exclusive, Shared};
    let acquire = |owner, label, mode| Step::Acquire { owner, key: Key::Label(label), mode, patience: None };
    for last_resort in [true, false] {
        // 2 runs inside 0, which holds what 6 wants second; 5 waits for what 6 wants first.
        run(vec![
            Step::Begin { parent: None, domain: 0, last_resort, independent: false },
            acquire(0, 0, Shared),
            acquire(0, 1, Exclusive),
            acquire(5, 0, Exclusive),
            acquire(6, 2, Exclusive),
            Step::Sorted { owner: 6, keys: vec![(Key::Label(0), Shared), (Key::Label(1), Exclusive)], patience: None },
            // 0 waits for 2, and 5 for 0: so 6 goes before 5. It then wants what 0 holds, and either 2 or 6 must give up.
            acquire(2, 2, Exclusive),
        ]);
    }
}
