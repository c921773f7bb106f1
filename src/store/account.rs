//! One account of a cask, as its handles see it.

use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use crate::error::{Error, ErrorKind, Result};

/// An account: one WhatsApp identity. All handles made before a drop share it; a handle made after has another.
#[derive(Debug)]
pub struct Account {
    name: Arc<str>,
    /// Held for reading while a batch is handed to the backend, so that none follows a drop in the log.
    dropped: RwLock<bool>,
}

/// Keeps the account from being dropped while a batch is handed over.
#[derive(Debug)]
#[must_use]
pub struct Entered<'a>(#[allow(dead_code)] RwLockReadGuard<'a, bool>);

impl Account {
    /// An account that was not dropped.
    #[must_use]
    pub const fn new(name: Arc<str>) -> Self {
        Self { name, dropped: RwLock::new(false) }
    }

    /// Its name in the cask.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Refuses the handles of a dropped account; keeps it from being dropped as long as the result lives.
    ///
    /// # Errors
    /// `Dropped`.
    pub fn enter(&self) -> Result<Entered<'_>> {
        let dropped = self.dropped.read().unwrap_or_else(PoisonError::into_inner);
        if *dropped {
            let message = format!("account {} was dropped; take a new handle with cask.account()", self.name);
            return Err(Error::new(ErrorKind::Dropped, message).with_text("account", &*self.name));
        }
        Ok(Entered(dropped))
    }

    /// Refuses the handles of a dropped account.
    ///
    /// # Errors
    /// `Dropped`.
    pub fn check(&self) -> Result<()> {
        self.enter().map(|_| ())
    }

    /// Marks the account as dropped, once no batch is being handed over, or takes that back where the drop failed. Says
    /// whether that changed anything.
    pub fn mark_dropped(&self, dropped: bool) -> bool {
        let mut marked = self.dropped.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *marked, dropped) != dropped
    }
}
