//! Keys that enclose each other.

use baileys_cask::lock::LockKey;

/// Keys of all kinds, few of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// Encloses nothing.
    Label(u8),
    /// Encloses families.
    Account(u8),
    /// Encloses records.
    Family(u8, u8),
    /// Account, family, id.
    Record(u8, u8, u8),
}

impl LockKey for Key {
    fn parent(&self) -> Option<Self> {
        match *self {
            Self::Label(_) | Self::Account(_) => None,
            Self::Family(account, _) => Some(Self::Account(account)),
            Self::Record(account, family, _) => Some(Self::Family(account, family)),
        }
    }

    fn encloses(&self) -> bool {
        matches!(self, Self::Account(_) | Self::Family(..))
    }
}

fn above(key: Key) -> Vec<Key> {
    std::iter::successors(Some(key), Key::parent).collect()
}

/// Whether one key is the other or encloses it.
pub fn overlap(one: Key, other: Key) -> bool {
    above(one).contains(&other) || above(other).contains(&one)
}
