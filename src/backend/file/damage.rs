//! Damage that is met while nobody waits for an answer, and who wants to hear of it.

use std::sync::{Arc, PoisonError, Weak};

use super::FileBackend;
use crate::error::Error;
use crate::sync::{Mutex, MutexGuard};

type Tell = dyn Fn(&Error) + Send + Sync;

/// Somebody who hears of damage as long as this lives, and once.
#[must_use]
pub struct DamageWatch {
    /// The list of those who hear of it keeps nobody alive.
    _tell: Arc<Tell>,
}

impl std::fmt::Debug for DamageWatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DamageWatch")
    }
}

#[derive(Default)]
struct State {
    found: Option<Error>,
    watchers: Vec<Weak<Tell>>,
}

/// The first damage that compaction has met.
#[derive(Default)]
pub(super) struct FoundDamage(Mutex<State>);

impl std::fmt::Debug for FoundDamage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("FoundDamage").field(&self.get()).finish()
    }
}

impl FoundDamage {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn get(&self) -> Option<Error> {
        self.state().found.clone()
    }

    /// Notes damage, and tells of it where it is the first.
    pub(super) fn note(&self, error: &Error) {
        let watchers = {
            let mut state = self.state();
            if state.found.is_some() {
                return;
            }
            state.found = Some(error.clone());
            std::mem::take(&mut state.watchers)
        };
        watchers.iter().filter_map(Weak::upgrade).for_each(|tell| tell(error));
    }

    fn watch(&self, tell: Arc<Tell>) -> DamageWatch {
        let found = {
            let mut state = self.state();
            if state.found.is_none() {
                state.watchers.retain(|watcher| watcher.strong_count() > 0);
                state.watchers.push(Arc::downgrade(&tell));
            }
            state.found.clone()
        };
        if let Some(error) = found {
            tell(&error);
        }
        DamageWatch { _tell: tell }
    }
}

impl FileBackend {
    /// Damage that compaction has met. It stops there and keeps everything.
    #[must_use]
    pub fn damage(&self) -> Option<Error> {
        self.damage.get()
    }

    /// Tells of damage that compaction meets or has met, once, on whatever thread meets it.
    pub fn watch_damage(&self, tell: impl Fn(&Error) + Send + Sync + 'static) -> DamageWatch {
        self.damage.watch(Arc::new(tell))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn everyone_who_still_listens_hears_of_the_first_damage_once() {
        let damage = FoundDamage::default();
        let (sender, heard) = channel();
        let watch = |name: &'static str| {
            let sender = sender.clone();
            damage.watch(Arc::new(move |error: &Error| sender.send((name, error.number("offset"))).unwrap()))
        };
        let before = watch("before");
        drop(watch("gone"));
        damage.note(&Error::corrupt(Path::new("x"), 8, "first"));
        damage.note(&Error::corrupt(Path::new("x"), 16, "second"));
        let after = watch("after");
        drop((before, after));
        assert_eq!(heard.try_iter().collect::<Vec<_>>(), [("before", Some(8)), ("after", Some(8))]);
        assert_eq!(damage.get().unwrap().number("offset"), Some(8));
        let fresh = FoundDamage::default();
        for _ in 0..100 {
            drop(fresh.watch(Arc::new(|_: &Error| {})));
        }
        assert!(fresh.state().watchers.len() <= 1, "who went away is kept");
    }
}
