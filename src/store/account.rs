//! One account of a cask, as its handles see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, ErrorKind, Result};

/// An account: one WhatsApp identity. All handles made before a drop share it; a handle made after has another.
#[derive(Debug)]
pub struct Account {
    name: Arc<str>,
    dropped: AtomicBool,
}

impl Account {
    /// An account that was not dropped.
    #[must_use]
    pub const fn new(name: Arc<str>) -> Self {
        Self { name, dropped: AtomicBool::new(false) }
    }

    /// Its name in the cask.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Refuses the handles of a dropped account.
    ///
    /// # Errors
    /// `Dropped`.
    pub fn check(&self) -> Result<()> {
        if self.dropped.load(Ordering::Acquire) {
            let message = format!("account {} was dropped; take a new handle with cask.account()", self.name);
            return Err(Error::new(ErrorKind::Dropped, message).with_text("account", &*self.name));
        }
        Ok(())
    }

    /// Marks the account as dropped, or takes that back where the drop failed.
    pub fn mark_dropped(&self, dropped: bool) {
        self.dropped.store(dropped, Ordering::Release);
    }
}
