//! Work that takes long and may be told to stop.

use std::fmt;

use crate::error::{Error, ErrorKind, Result};

/// Tells whether work is to stop. It is asked now and then, between segments and between chunks.
#[derive(Clone, Copy)]
pub struct Cancel<'a>(pub &'a (dyn Fn() -> bool + Sync));

impl Default for Cancel<'_> {
    /// Never.
    fn default() -> Self {
        Self(&|| false)
    }
}

impl fmt::Debug for Cancel<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cancel")
    }
}

impl Cancel<'_> {
    /// Goes on, or not.
    ///
    /// # Errors
    /// `Aborted`.
    pub(super) fn check(self) -> Result<()> {
        if (self.0)() { Err(Error::new(ErrorKind::Aborted, "the work was cancelled")) } else { Ok(()) }
    }
}
