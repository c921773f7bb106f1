//! One test per rule.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)]

mod deadlocks;
mod enclosing;
mod endings;
mod existence;
mod independent;
mod nesting;
mod order;

use std::sync::{Arc, Mutex};

use super::*;

/// A label, or `/account`, `/account/family` or `/account/family/id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Path(&'static str);

impl LockKey for Path {
    fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(around, _)| Self(around)).filter(|around| !around.0.is_empty())
    }

    fn encloses(&self) -> bool {
        matches!(self.0.matches('/').count(), 1 | 2)
    }
}

pub(super) type End = Result<(), Refusal<Path>>;

/// A lock manager and what was told, in order.
#[derive(Default)]
pub(super) struct Bench {
    pub(super) locks: LockManager<Path>,
    told: Arc<Mutex<Vec<(OwnerId, End)>>>,
}

/// How a request ended, without the number of its wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    Now,
    Later,
    Deadlock(OwnerId, Vec<&'static str>),
    Refused(Refusal<Path>),
}

impl Bench {
    pub(super) fn owner(&self) -> OwnerId {
        self.locks.begin(Begin::default())
    }

    pub(super) fn owners<const N: usize>(&self) -> [OwnerId; N] {
        std::array::from_fn(|_| self.owner())
    }

    pub(super) fn inside(&self, parent: OwnerId) -> OwnerId {
        self.locks.begin(Begin { parent: Some(parent), ..Begin::default() })
    }

    pub(super) fn last_resort(&self) -> OwnerId {
        self.locks.begin(Begin { last_resort: true, ..Begin::default() })
    }

    pub(super) fn tell(&self, owner: OwnerId) -> impl FnOnce() -> Callback<Path> + use<> {
        let told = Arc::clone(&self.told);
        move || Box::new(move |end| told.lock().unwrap().push((owner, end)))
    }

    pub(super) fn request(&self, owner: OwnerId, key: &'static str, mode: Mode) -> Acquired<Path> {
        self.locks.acquire(owner, &Path(key), mode, Limits::default(), self.tell(owner))
    }

    pub(super) fn write(&self, owner: OwnerId, key: &'static str) -> Got {
        got(self.request(owner, key, Mode::Exclusive))
    }

    pub(super) fn read(&self, owner: OwnerId, key: &'static str) -> Got {
        got(self.request(owner, key, Mode::Shared))
    }

    pub(super) fn sorted(&self, owner: OwnerId, keys: &[&'static str]) -> Got {
        let keys = keys.iter().map(|key| (Path(key), Mode::Exclusive));
        got(self.locks.acquire_sorted(owner, keys, Limits::default(), self.tell(owner)))
    }

    pub(super) fn together(&self, owner: OwnerId, keys: &[&'static str]) -> Got {
        let keys = keys.iter().copied().map(Path).collect();
        got(self.locks.acquire_together(owner, keys, Limits::default(), self.tell(owner)))
    }

    /// A plain set. It is told of by the number 0.
    pub(super) fn all(&self, keys: &[&'static str]) -> (OwnerId, Got) {
        let keys = keys.iter().copied().map(Path).collect();
        let tell = self.tell(OwnerId(0));
        let (owner, acquired) = self.locks.acquire_all(0, keys, Limits::default(), |_| tell());
        (owner, got(acquired))
    }

    pub(super) fn end(&self, owner: OwnerId) {
        self.locks.end(owner, Ending::Inherit);
    }

    pub(super) fn fail(&self, owner: OwnerId) {
        self.locks.end(owner, Ending::Release);
    }

    /// What was told since the last look.
    pub(super) fn told(&self) -> Vec<(OwnerId, End)> {
        std::mem::take(&mut self.told.lock().unwrap())
    }

    /// Who was granted what it waited for since the last look; nothing else may have been told.
    pub(super) fn granted(&self) -> Vec<OwnerId> {
        let told = self.told();
        assert!(told.iter().all(|(_, end)| end.is_ok()), "{told:?}");
        told.into_iter().map(|(owner, _)| owner).collect()
    }
}

pub(super) fn got(acquired: Acquired<Path>) -> Got {
    match acquired {
        Acquired::Now => Got::Now,
        Acquired::Later(_) => Got::Later,
        Acquired::Refused(Refusal::Deadlock(found)) => {
            Got::Deadlock(found.victim, found.keys.into_iter().map(|key| key.0).collect())
        }
        Acquired::Refused(refusal) => Got::Refused(refusal),
    }
}
