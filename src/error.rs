//! The one error type of the core, and its codes.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// What went wrong, as callers tell cases apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// A wrong argument, or a path that is no cask.
    InvalidArgument,
    /// Used after it was closed, or nothing is open under that name.
    Closed,
    /// Another process holds the folder.
    Locked,
    /// The folder was removed or replaced while it was open.
    Detached,
    /// Waited longer for a lock than allowed.
    LockTimeout,
    /// Waiting would never end.
    Deadlock,
    /// Held locks for too long without a call, or ran longer than allowed.
    TransactionTimeout,
    /// The caller's signal.
    Aborted,
    /// A call through a transaction that has ended, or a write by what a rolled-back one has left over.
    TransactionEnded,
    /// Bytes that were safely on disk are missing or changed.
    Corrupt,
    /// Written by a newer version.
    Version,
    /// The cask is sealed.
    Key,
    /// The operating system refused.
    Io,
    /// An earlier sync failed.
    Poisoned,
    /// The account was dropped.
    Dropped,
    /// A fault of this package.
    Internal,
}

impl ErrorKind {
    /// Every kind, in the order of the table in `docs/errors.md`.
    pub const ALL: [Self; 16] = [
        Self::InvalidArgument,
        Self::Closed,
        Self::Locked,
        Self::Detached,
        Self::LockTimeout,
        Self::Deadlock,
        Self::TransactionTimeout,
        Self::Aborted,
        Self::TransactionEnded,
        Self::Corrupt,
        Self::Version,
        Self::Key,
        Self::Io,
        Self::Poisoned,
        Self::Dropped,
        Self::Internal,
    ];

    /// The code that JavaScript sees.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidArgument => "ERR_CASK_INVALID_ARGUMENT",
            Self::Closed => "ERR_CASK_CLOSED",
            Self::Locked => "ERR_CASK_LOCKED",
            Self::Detached => "ERR_CASK_DETACHED",
            Self::LockTimeout => "ERR_CASK_LOCK_TIMEOUT",
            Self::Deadlock => "ERR_CASK_DEADLOCK",
            Self::TransactionTimeout => "ERR_CASK_TRANSACTION_TIMEOUT",
            Self::Aborted => "ERR_CASK_ABORTED",
            Self::TransactionEnded => "ERR_CASK_TRANSACTION_ENDED",
            Self::Corrupt => "ERR_CASK_CORRUPT",
            Self::Version => "ERR_CASK_VERSION",
            Self::Key => "ERR_CASK_KEY",
            Self::Io => "ERR_CASK_IO",
            Self::Poisoned => "ERR_CASK_POISONED",
            Self::Dropped => "ERR_CASK_DROPPED",
            Self::Internal => "ERR_CASK_INTERNAL",
        }
    }

    /// Whether the same call may succeed when it is made again.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        matches!(self, Self::Locked | Self::LockTimeout | Self::Deadlock | Self::TransactionTimeout | Self::Io)
    }
}

/// One fact about an error, for callers that act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// Text such as a path or an account name.
    Text(String),
    /// A number such as a byte offset.
    Number(u64),
    /// Records that locks were waited for.
    Records(Vec<RecordFact>),
    /// Labels that locks were waited for.
    Labels(Vec<String>),
}

/// Names one record; never holds any part of its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFact {
    /// Account it belongs to.
    pub account: String,
    /// Its family.
    pub family: String,
    /// Its id.
    pub id: String,
}

/// What failed, on what, and what to do. Holds no key and no part of a value.
#[derive(Debug, Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    facts: Vec<(&'static str, Fact)>,
    cause: Option<String>,
}

/// Result of the core.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// An error with a sentence that says what failed and what to do.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), facts: Vec::new(), cause: None }
    }

    /// The cask is sealed, and no key was given.
    #[must_use]
    pub fn needs_key(path: &Path) -> Self {
        Self::key(path, "is sealed; give its encryptionKey")
    }

    /// A key that does not fit a cask.
    #[must_use]
    pub fn key(path: &Path, what: &str) -> Self {
        let shown = path.display().to_string();
        Self::new(ErrorKind::Key, format!("{shown} {what}")).with_text("path", shown)
    }

    /// A refusal of the operating system: the call, the file, and its reason.
    #[must_use]
    pub fn io(syscall: &'static str, path: &Path, cause: &io::Error) -> Self {
        let shown = path.display();
        let mut error = Self::new(ErrorKind::Io, format!("{syscall} failed on {shown}: {cause}"))
            .with_text("path", shown.to_string())
            .with_text("syscall", syscall);
        if let Some(errno) = cause.raw_os_error() {
            error = error.with_number("errno", u64::from(errno.unsigned_abs()));
        }
        error.cause = Some(cause.to_string());
        error
    }

    /// Damage in a file at a byte offset.
    #[must_use]
    pub fn corrupt(path: &Path, offset: u64, what: &str) -> Self {
        let shown = path.display();
        Self::new(
            ErrorKind::Corrupt,
            format!("{shown} is damaged at byte {offset}: {what}; nothing was changed on disk, restore a backup of the folder"),
        )
        .with_text("path", shown.to_string())
        .with_number("offset", offset)
    }

    /// The store was closed.
    #[must_use]
    pub fn closed() -> Self {
        Self::new(ErrorKind::Closed, "the cask is closed; open it again")
    }

    /// A fault of this package.
    #[must_use]
    pub fn internal(what: &str) -> Self {
        Self::new(ErrorKind::Internal, format!("{what}; this is a fault of baileys-cask, please report it"))
    }

    /// Adds a fact in words.
    #[must_use]
    pub fn with_text(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.facts.push((key, Fact::Text(value.into())));
        self
    }

    /// Adds a fact in numbers.
    #[must_use]
    pub fn with_number(mut self, key: &'static str, value: u64) -> Self {
        self.facts.push((key, Fact::Number(value)));
        self
    }

    /// Adds records.
    #[must_use]
    pub fn with_records(mut self, key: &'static str, records: Vec<RecordFact>) -> Self {
        self.facts.push((key, Fact::Records(records)));
        self
    }

    /// Adds labels.
    #[must_use]
    pub fn with_labels(mut self, key: &'static str, labels: Vec<String>) -> Self {
        self.facts.push((key, Fact::Labels(labels)));
        self
    }

    /// What kind of error this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for people.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Facts such as `path` and `offset`.
    #[must_use]
    pub fn facts(&self) -> &[(&'static str, Fact)] {
        &self.facts
    }

    /// A number among the facts.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.facts.iter().find_map(|(name, fact)| match fact {
            Fact::Number(value) if *name == key => Some(*value),
            _ => None,
        })
    }

    /// A text among the facts.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.facts.iter().find_map(|(name, fact)| match fact {
            Fact::Text(text) if *name == key => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether the operating system failed to bring something to disk: then what is there is uncertain.
    #[must_use]
    pub fn is_failed_sync(&self) -> bool {
        matches!(self.syscall(), Some("fsync" | "fdatasync"))
    }

    /// The call that the operating system refused.
    #[must_use]
    pub fn syscall(&self) -> Option<&str> {
        self.text("syscall")
    }

    /// What the operating system said, where it was asked.
    #[must_use]
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }
}

/// What work comes to, an internal error where it panics: whoever waits for it would wait for ever otherwise, and no panic may leave
/// through foreign code.
///
/// # Errors
/// Those of the work, `Internal`.
pub fn or_panic<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Error::internal("a fault in the core of the cask")))
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    #[test]
    fn work_that_panics_is_an_error_and_other_work_comes_to_what_it_does() {
        assert_eq!(or_panic(|| Ok(7)).unwrap(), 7);
        assert_eq!(or_panic(|| Err::<(), Error>(Error::closed())).unwrap_err().kind(), ErrorKind::Closed);
        let error = or_panic(|| -> Result<()> { panic!("a secret") }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Internal);
        assert!(!error.message().contains("secret"), "{error}");
    }
}
