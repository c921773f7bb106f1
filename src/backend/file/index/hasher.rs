//! Hashes of keys.

use std::hash::{BuildHasher, Hasher};

use hashbrown::DefaultHashBuilder;

/// Hashes the keys of one account. Each account has a seed of its own, so equal keys of two accounts have different hashes.
#[derive(Debug, Default)]
pub(super) struct KeyHasher(DefaultHashBuilder);

impl KeyHasher {
    pub(super) fn hash(&self, key: &[u8]) -> u64 {
        let mut hasher = self.0.build_hasher();
        hasher.write(key);
        hasher.finish()
    }
}

/// The part of a hash that tables keep. Its high bits tell where in a table a record belongs, its low bits in which shard it is.
pub(super) const fn tag(hash: u64) -> u32 {
    // The hash function mixes into both ends first.
    (hash ^ hash >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_keys_of_two_accounts_have_different_hashes() {
        let (one, other) = (KeyHasher::default(), KeyHasher::default());
        assert_eq!(one.hash(b"\x02a"), one.hash(b"\x02a"));
        assert_ne!(one.hash(b"\x02a"), other.hash(b"\x02a"));
    }
}
