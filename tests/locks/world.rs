//! A manager under the schedule checker, what was asked of it, and the comparison with the plain rules.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use baileys_cask::lock::{
    Acquired, Begin, Callback, Ending, Limits, LockManager, Mode, OwnerId, Reason, Refusal, Section, Table, WaitId,
};
use shuttle::rand::{Rng, thread_rng};
use shuttle::sync::{Condvar, Mutex};
use shuttle::thread;

use crate::reference::{End, Key, RefLimits, Reference};

thread_local! {
    /// Which task went through the mutex, in order. All tasks of an execution run on one thread of the operating system.
    static PASSED: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
}

fn me() -> usize {
    usize::from(shuttle::current::me())
}

/// Shuttle's mutex, which notes who passes.
pub struct Watched<T>(Mutex<T>);

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
pub enum Call {
    Begin(Begin, OwnerId),
    Acquire(OwnerId, Vec<(Key, Mode)>, Option<u64>, Acquired<Key>, usize),
    Together(OwnerId, Vec<Key>, Acquired<Key>, usize),
    All(Vec<Key>, (OwnerId, Acquired<Key>), usize),
    End(OwnerId, bool),
    Doom(OwnerId),
    Join(OwnerId),
    Cancel(WaitId, bool),
    CancelDomain(u32),
    EndDomain(u32),
    Expire(u64, Option<Instant>),
}

pub type Outcome = Result<(), Refusal<Key>>;

/// Where a wait's outcome arrives.
#[derive(Default)]
pub struct Inbox {
    outcome: Mutex<Option<Outcome>>,
    arrived: Condvar,
}

impl Inbox {
    pub fn wait(&self) -> Outcome {
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
pub struct World {
    pub locks: LockManager<Key, Watched<Table<Key>>>,
    /// The instant 0 of deadlines.
    base: Instant,
    calls: std::sync::Mutex<HashMap<usize, Vec<Call>>>,
    inboxes: std::sync::Mutex<Vec<Arc<Inbox>>>,
    /// Readers and writers of each key, counted by those who are there.
    inside: std::sync::Mutex<BTreeMap<Key, (usize, usize)>>,
    /// Order of arrival at each label, and of entry.
    pub arrived: std::sync::Mutex<Vec<OwnerId>>,
    pub entered: std::sync::Mutex<Vec<OwnerId>>,
}

impl Default for World {
    fn default() -> Self {
        PASSED.with_borrow_mut(Vec::clear);
        Self {
            locks: LockManager::default(),
            base: Instant::now(),
            calls: std::sync::Mutex::default(),
            inboxes: std::sync::Mutex::default(),
            inside: std::sync::Mutex::default(),
            arrived: std::sync::Mutex::default(),
            entered: std::sync::Mutex::default(),
        }
    }
}

impl World {
    pub fn note(&self, call: Call) {
        self.calls.lock().unwrap().entry(me()).or_default().push(call);
    }

    pub fn begin(&self, parent: Option<OwnerId>, domain: u32, last_resort: bool) -> OwnerId {
        self.open(Begin { parent, domain, last_resort, ..Begin::default() })
    }

    pub fn open(&self, begin: Begin) -> OwnerId {
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

    pub fn ask(&self, owner: OwnerId, keys: &[(Key, Mode)]) -> (Acquired<Key>, Arc<Inbox>) {
        self.ask_until(owner, keys, None)
    }

    /// Asks, and waits until some time at most.
    pub fn ask_until(&self, owner: OwnerId, keys: &[(Key, Mode)], deadline: Option<u64>) -> (Acquired<Key>, Arc<Inbox>) {
        let limits = Limits { deadline: deadline.map(|at| self.time(at)), ..Limits::default() };
        let (number, inbox) = self.inbox();
        let tell = || {
            self.arrived.lock().unwrap().push(owner);
            Self::tell(&inbox)
        };
        let acquired = match *keys {
            [(key, mode)] => self.locks.acquire(owner, &key, mode, limits, tell),
            _ => self.locks.acquire_sorted(owner, keys.to_vec(), limits, tell),
        };
        self.note(Call::Acquire(owner, keys.to_vec(), deadline, acquired.clone(), number));
        (acquired, inbox)
    }

    pub fn acquire(&self, owner: OwnerId, keys: &[(Key, Mode)]) -> Outcome {
        self.acquire_until(owner, keys, None)
    }

    pub fn acquire_until(&self, owner: OwnerId, keys: &[(Key, Mode)], deadline: Option<u64>) -> Outcome {
        match self.ask_until(owner, keys, deadline) {
            (Acquired::Now, _) => Ok(()),
            (Acquired::Refused(refusal), _) => Err(refusal),
            (Acquired::Later(_), inbox) => inbox.wait(),
        }
    }

    /// Takes all together for an owner that may hold others.
    pub fn acquire_together(&self, owner: OwnerId, keys: Vec<Key>) -> Outcome {
        let (number, inbox) = self.inbox();
        let got = self.locks.acquire_together(owner, keys.clone(), Limits::default(), || Self::tell(&inbox));
        self.note(Call::Together(owner, keys, got.clone(), number));
        match got {
            Acquired::Now => Ok(()),
            Acquired::Refused(refusal) => Err(refusal),
            Acquired::Later(_) => inbox.wait(),
        }
    }

    pub fn acquire_all(&self, keys: Vec<Key>) -> (OwnerId, Outcome) {
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

    pub fn end(&self, owner: OwnerId, inherit: bool) {
        self.locks.end(owner, if inherit { Ending::Inherit } else { Ending::Release });
        self.note(Call::End(owner, inherit));
    }

    pub fn doom(&self, owner: OwnerId) {
        self.locks.doom(owner, Reason(7));
        self.note(Call::Doom(owner));
    }

    pub fn join(&self, owner: OwnerId) {
        self.locks.join(owner);
        self.note(Call::Join(owner));
    }

    pub fn cancel(&self, wait: WaitId) {
        let gone = self.locks.cancel(wait);
        self.note(Call::Cancel(wait, gone));
    }

    pub fn cancel_domain(&self, domain: u32) {
        self.locks.cancel_domain(domain);
        self.note(Call::CancelDomain(domain));
    }

    pub fn end_domain(&self, domain: u32) {
        self.locks.end_domain(domain);
        self.note(Call::EndDomain(domain));
    }

    fn time(&self, at: u64) -> Instant {
        self.base + Duration::from_secs(at)
    }

    pub fn expire(&self, now: u64) {
        let next = self.locks.expire(self.time(now));
        self.note(Call::Expire(now, next));
    }

    /// Whether nobody is there.
    pub fn is_empty_at(&self, key: Key) -> bool {
        self.inside.lock().unwrap().get(&key).is_none_or(|inside| *inside == (0, 0))
    }

    /// Is where no other may be.
    pub fn visit(&self, key: Key, mode: Mode) {
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
    pub fn judge(&self) {
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
                Call::Acquire(owner, keys, deadline, got, number) => {
                    let owner = place(owner, &owners);
                    let mut ordered = keys.clone();
                    ordered.sort_by_key(|(key, mode)| (*key, std::cmp::Reverse(*mode)));
                    ordered.dedup_by_key(|(key, _)| *key);
                    let expected = reference.acquire(owner, &ordered, RefLimits { deadline, token: 0 });
                    Self::compare(got, expected, number, &owners, &mut waits, &mut numbers);
                }
                Call::Together(owner, mut keys, got, number) => {
                    keys.sort();
                    keys.dedup();
                    let expected = reference.acquire_together(place(owner, &owners), &keys, RefLimits::default());
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
                Call::Join(owner) => reference.join(place(owner, &owners)),
                Call::CancelDomain(domain) => reference.cancel_domain(domain),
                Call::EndDomain(domain) => reference.end_domain(domain),
                Call::Expire(now, next) => assert_eq!(reference.expire(now).map(|next| self.time(next)), next),
            }
            assert_eq!(reference.conflict(), None);
            assert!(!reference.has_circle(), "a circle was left");
            assert!(reference.completes(), "a deadlock was left");
            told.extend(reference.told.drain(..));
        }
        let inboxes = self.inboxes.lock().unwrap();
        for (number, wait) in numbers {
            let outcome = inboxes[number].outcome.lock().unwrap().clone();
            if let Some(Err(Refusal::Expired { key, .. })) = &outcome {
                assert!(
                    reference.expired.iter().any(|(expired, taken)| *expired == wait && taken.contains(key)),
                    "{key:?} was free"
                );
            }
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
        Err(Refusal::Expired { .. }) => End::Expired,
    }
}

/// Runs a scenario under both schedulers.
pub fn explore(times: usize, scenario: impl Fn(&Arc<World>) -> Vec<thread::JoinHandle<()>> + Send + Sync + Copy + 'static) {
    let run = move || {
        let world = Arc::new(World::default());
        scenario(&world).into_iter().for_each(|thread| thread.join().unwrap());
        world.judge();
    };
    let times = std::env::var("LOCK_SCHEDULES").ok().and_then(|times| times.parse().ok()).unwrap_or(times);
    shuttle::check_random(run, times);
    shuttle::check_pct(run, times, 3);
}

pub fn start(world: &Arc<World>, work: impl FnOnce(&World) + Send + 'static) -> thread::JoinHandle<()> {
    let world = Arc::clone(world);
    thread::spawn(move || work(&world))
}

pub fn any_mode() -> Mode {
    if thread_rng().gen_bool(0.5) { Mode::Shared } else { Mode::Exclusive }
}

/// Labels, records, and now and then a family or the account.
pub fn any_key() -> Key {
    match thread_rng().gen_range(0..10) {
        0..4 => Key::Label(thread_rng().gen_range(0..3)),
        4..8 => Key::Record(0, 0, thread_rng().gen_range(0..3)),
        8 => Key::Family(0, 0),
        _ => Key::Account(0),
    }
}
