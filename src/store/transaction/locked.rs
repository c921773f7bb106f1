//! The record that a transaction has locked last.

/// Longer keys are not kept, so that keeping one allocates nothing.
const MOST_BYTES: usize = 63;

/// A key that is locked exclusively.
#[derive(Debug)]
pub(super) struct Locked {
    length: u8,
    key: [u8; MOST_BYTES],
}

impl Default for Locked {
    fn default() -> Self {
        Self { length: 0, key: [0; MOST_BYTES] }
    }
}

impl Locked {
    pub(super) fn set(&mut self, key: &[u8]) {
        match self.key.get_mut(..key.len()) {
            Some(kept) => {
                kept.copy_from_slice(key);
                self.length = key.len() as u8;
            }
            None => self.length = 0,
        }
    }

    pub(super) fn is(&self, key: &[u8]) -> bool {
        // No key is empty.
        self.length > 0 && self.key.get(..usize::from(self.length)) == Some(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_that_was_kept_last_is_known() {
        let mut locked = Locked::default();
        assert!(!locked.is(b"") && !locked.is(&[0; MOST_BYTES]));
        locked.set(b"\x02a");
        assert!(locked.is(b"\x02a") && !locked.is(b"\x02") && !locked.is(b"\x02ab"));
        locked.set(&[7; MOST_BYTES]);
        assert!(locked.is(&[7; MOST_BYTES]) && !locked.is(b"\x02a") && !locked.is(&[7; MOST_BYTES - 1]));
        locked.set(&[7; MOST_BYTES + 1]);
        assert!(!locked.is(&[7; MOST_BYTES + 1]) && !locked.is(&[7; MOST_BYTES]));
    }
}
