//! One account of a cask, as its handles see it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use super::Activity;
use crate::error::{Error, ErrorKind, Result};

/// Tells an account from every other one, one of the same name that was dropped included.
#[derive(Debug, Clone)]
pub struct AccountId {
    number: u64,
    name: Arc<str>,
}

impl AccountId {
    /// An id that no account has had.
    #[must_use]
    pub fn new(name: Arc<str>) -> Self {
        // One sequence for all threads: they share accounts.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { number: NEXT.fetch_add(1, Ordering::Relaxed), name }
    }

    /// The number that tells it from others.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Name of the account in its cask.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }
}

/// An account: one WhatsApp identity. All handles made before a drop share it; a handle made after has another.
#[derive(Debug)]
pub struct Account {
    id: AccountId,
    /// Changes only while `entrance` is held for writing; whoever hands over no batch looks at it without.
    dropped: AtomicBool,
    /// Held for reading while a batch is handed to the backend, so that none follows a drop in the log.
    entrance: RwLock<()>,
    activity: Activity,
}

/// Keeps the account from being dropped while a batch is handed over.
#[derive(Debug)]
#[must_use]
pub struct Entered<'a>(#[allow(dead_code)] RwLockReadGuard<'a, ()>);

impl Account {
    /// An account that was not dropped.
    #[must_use]
    pub fn new(name: Arc<str>) -> Self {
        Self {
            id: AccountId::new(name),
            dropped: AtomicBool::new(false),
            entrance: RwLock::new(()),
            activity: Activity::default(),
        }
    }

    /// What tells it from others.
    #[must_use]
    pub const fn id(&self) -> &AccountId {
        &self.id
    }

    /// Its name in the cask.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        self.id.name()
    }

    /// What it has done.
    #[must_use]
    pub const fn activity(&self) -> &Activity {
        &self.activity
    }

    /// Refuses the handles of a dropped account; keeps it from being dropped as long as the result lives.
    ///
    /// # Errors
    /// `Dropped`.
    pub fn enter(&self) -> Result<Entered<'_>> {
        let entered = Entered(self.entrance.read().unwrap_or_else(PoisonError::into_inner));
        self.check().map(|()| entered)
    }

    /// Refuses the handles of a dropped account.
    ///
    /// # Errors
    /// `Dropped`.
    pub fn check(&self) -> Result<()> {
        if self.dropped.load(Ordering::Acquire) { Err(self.dropped_error()) } else { Ok(()) }
    }

    /// What the handles of a dropped account are refused with.
    #[must_use]
    pub fn dropped_error(&self) -> Error {
        let name = self.name();
        Error::new(ErrorKind::Dropped, format!("account {name} was dropped; take a new handle with cask.account()"))
            .with_text("account", &**name)
    }

    /// Marks the account as dropped, once no batch is being handed over, or takes that back where the drop failed. Says
    /// whether that changed anything.
    pub fn mark_dropped(&self, dropped: bool) -> bool {
        let _nobody_enters = self.entrance.write().unwrap_or_else(PoisonError::into_inner);
        self.dropped.swap(dropped, Ordering::AcqRel) != dropped
    }
}
