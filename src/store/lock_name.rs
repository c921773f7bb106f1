//! What transactions lock: labels, records, families, accounts, creds.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use super::account::AccountId;
use crate::lock::{LockKey, Mode};
use crate::record::{CREDS_KEY, Op, family_of};

/// The namespaces of locks, in the order in which the locks of one call are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum LockKind {
    /// The string handed to a transaction.
    Label,
    /// An account's creds.
    Creds,
    /// Every record of an account.
    Account,
    /// Every record of a family.
    Family,
    /// One record.
    Record,
}

/// The name of one lock. Equal names in different namespaces are different locks.
#[derive(Debug, Clone)]
pub struct LockName {
    account: AccountId,
    kind: LockKind,
    name: Box<[u8]>,
}

impl LockName {
    /// The lock of a label.
    #[must_use]
    pub fn label(account: &AccountId, label: &str) -> Self {
        Self { account: account.clone(), kind: LockKind::Label, name: label.as_bytes().into() }
    }

    /// The lock of a record, or of the creds, by its packed key.
    #[must_use]
    pub fn record(account: &AccountId, key: &[u8]) -> Self {
        if key == CREDS_KEY {
            return Self { account: account.clone(), kind: LockKind::Creds, name: Box::default() };
        }
        Self { account: account.clone(), kind: LockKind::Record, name: key.into() }
    }

    /// The lock that an operation needs for itself.
    #[must_use]
    pub fn of(account: &AccountId, op: Op<'_>) -> Self {
        match op {
            Op::Put { key, .. } | Op::Delete { key } => Self::record(account, key),
            Op::Clear | Op::Drop => Self::account(account),
        }
    }

    /// The lock of a family, by what all its keys start with.
    #[must_use]
    pub fn family(account: &AccountId, prefix: &[u8]) -> Self {
        Self { account: account.clone(), kind: LockKind::Family, name: prefix.into() }
    }

    /// The lock of all records of an account.
    #[must_use]
    pub fn account(account: &AccountId) -> Self {
        Self { account: account.clone(), kind: LockKind::Account, name: Box::default() }
    }

    /// Name of the account it belongs to.
    #[must_use]
    pub fn account_name(&self) -> &str {
        self.account.name()
    }

    /// Its namespace.
    #[must_use]
    pub const fn kind(&self) -> LockKind {
        self.kind
    }

    /// The label, the packed key, or the prefix of a family.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    fn identity(&self) -> (u64, LockKind, &[u8]) {
        (self.account.number(), self.kind, &self.name)
    }
}

impl PartialEq for LockName {
    fn eq(&self, other: &Self) -> bool {
        self.identity() == other.identity()
    }
}

impl Eq for LockName {}

impl Hash for LockName {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.identity().hash(state);
    }
}

impl PartialOrd for LockName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for LockName {
    fn cmp(&self, other: &Self) -> Ordering {
        self.identity().cmp(&other.identity())
    }
}

impl LockKey for LockName {
    fn parent(&self) -> Option<Self> {
        match self.kind {
            LockKind::Record => family_of(&self.name).map(|prefix| Self::family(&self.account, prefix)),
            LockKind::Family => Some(Self::account(&self.account)),
            LockKind::Label | LockKind::Creds | LockKind::Account => None,
        }
    }

    fn encloses(&self) -> bool {
        matches!(self.kind, LockKind::Family | LockKind::Account)
    }
}

/// Codes of families that are read far more often than written, and of which nobody writes what it makes from what it has read.
const READ_MOSTLY: u16 = 1 << 5 | 1 << 7 | 1 << 8 | 1 << 10;

/// Families whose records a transaction locks when it reads them: a bit for each family code, bit 0 for families without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadLocks(pub u16);

impl ReadLocks {
    /// Reads lock whatever they read.
    pub const ALL: Self = Self(u16::MAX);
    /// Reads lock nothing.
    pub const NONE: Self = Self(0);

    /// How a record has to be locked to be read; `None` where it is read without a lock.
    #[must_use]
    pub fn mode(self, key: &[u8]) -> Option<Mode> {
        let family = 1_u16.checked_shl(u32::from(*key.first()?))?;
        if self.0 & family == 0 {
            return None;
        }
        Some(if READ_MOSTLY & family == 0 { Mode::Exclusive } else { Mode::Shared })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_lies_in_its_family_and_a_family_in_its_account() {
        let account = AccountId::new("a".into());
        let record = LockName::record(&account, b"\x02id");
        let family = LockName::family(&account, b"\x02");
        assert_eq!(record.parent(), Some(family.clone()));
        assert_eq!(LockName::record(&account, b"\x00\x03fooid").parent(), Some(LockName::family(&account, b"\x00\x03foo")));
        assert_eq!(family.parent(), Some(LockName::account(&account)));
        assert_eq!(LockName::record(&account, CREDS_KEY).parent(), None);
        assert_eq!(LockName::label(&account, "a").parent(), None);
    }

    #[test]
    fn equal_names_in_different_namespaces_and_accounts_are_different_locks() {
        let (one, other) = (AccountId::new("a".into()), AccountId::new("a".into()));
        assert_ne!(LockName::label(&one, "\x02a"), LockName::record(&one, b"\x02a"));
        assert_ne!(LockName::family(&one, b"\x02"), LockName::record(&one, b"\x02"));
        assert_ne!(LockName::label(&one, "l"), LockName::label(&other, "l"), "an account made after a drop has locks of its own");
    }

    #[test]
    fn read_mostly_families_are_read_together() {
        let modes = |locks: ReadLocks| [1, 2, 5, 7, 8, 10, 0].map(|code| locks.mode(&[code, b'x']));
        let (shared, exclusive) = (Some(Mode::Shared), Some(Mode::Exclusive));
        assert_eq!(modes(ReadLocks::ALL), [exclusive, exclusive, shared, shared, shared, shared, exclusive]);
        assert_eq!(modes(ReadLocks::NONE), [None; 7]);
        assert_eq!(modes(ReadLocks(1 << 2 | 1 << 7)), [None, exclusive, None, shared, None, None, None]);
    }
}
