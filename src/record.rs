//! Record keys, and the packed operations that batches are made of.
//!
//! A batch is a run of operations, each laid out as follows, little-endian:
//!
//! ```text
//! u8  opcode       1 put, 2 delete, 3 clear, 4 drop
//! u16 key length   \ put and delete only
//!     key          /
//! u32 value length \ put only
//!     value        /
//! ```
//!
//! A key is the family's code, for an unnamed family (code 0) the length and the bytes of its name, and the id. The same
//! bytes cross from JavaScript, are staged in transactions and lie in the log, so they are copied and never rebuilt.

use crate::error::{Error, ErrorKind, Result};

/// Code of a family that has no code of its own; its name follows in the key.
pub const FAMILY_NAMED: u8 = 0;
/// Code of the pseudo-family that holds an account's creds under the empty id.
pub const FAMILY_CREDS: u8 = 255;
/// Key of an account's creds.
pub const CREDS_KEY: &[u8] = &[FAMILY_CREDS];
/// Highest code of a family known by Baileys.
pub const FAMILY_KNOWN_MAX: u8 = 10;
/// Names of the families with a code, which is the place here plus one.
const FAMILY_NAMES: [&str; FAMILY_KNOWN_MAX as usize] = [
    "pre-key",
    "session",
    "sender-key",
    "sender-key-memory",
    "app-state-sync-key",
    "app-state-sync-version",
    "lid-mapping",
    "device-list",
    "tctoken",
    "identity-key",
];

/// Longest id, in UTF-8 bytes.
pub const MAX_ID_BYTES: usize = 4096;
/// Longest family name, in UTF-8 bytes.
pub const MAX_FAMILY_BYTES: usize = 255;
/// Longest account name, in UTF-8 bytes.
pub const MAX_ACCOUNT_BYTES: usize = 255;
/// Largest encoded value, in bytes.
pub const MAX_VALUE_BYTES: usize = 128 << 20;
/// Largest batch, in bytes of its operations.
pub const MAX_BATCH_BYTES: usize = 1 << 30;

const OPCODE_PUT: u8 = 1;
const OPCODE_DELETE: u8 = 2;
const OPCODE_CLEAR: u8 = 3;
const OPCODE_DROP: u8 = 4;

/// One operation of a batch, borrowed from its packed form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op<'a> {
    /// Sets the value under a key.
    Put {
        /// Family and id.
        key: &'a [u8],
        /// Encoded value.
        value: &'a [u8],
    },
    /// Removes the record under a key.
    Delete {
        /// Family and id.
        key: &'a [u8],
    },
    /// Removes every record; creds stay.
    Clear,
    /// Removes every record and the creds.
    Drop,
}

impl Op<'_> {
    /// Appends the packed form.
    pub fn pack(&self, out: &mut Vec<u8>) {
        match self {
            Op::Put { key, value } => {
                out.push(OPCODE_PUT);
                out.extend_from_slice(&(key.len() as u16).to_le_bytes());
                out.extend_from_slice(key);
                out.extend_from_slice(&(value.len() as u32).to_le_bytes());
                out.extend_from_slice(value);
            }
            Op::Delete { key } => {
                out.push(OPCODE_DELETE);
                out.extend_from_slice(&(key.len() as u16).to_le_bytes());
                out.extend_from_slice(key);
            }
            Op::Clear => out.push(OPCODE_CLEAR),
            Op::Drop => out.push(OPCODE_DROP),
        }
    }
}

/// Reads packed operations one after the other. Every length is checked; malformed input yields one error, then the end.
#[derive(Debug, Clone)]
pub struct OpReader<'a> {
    rest: &'a [u8],
    total: usize,
}

impl<'a> OpReader<'a> {
    /// A reader over packed operations.
    #[must_use]
    pub const fn new(ops: &'a [u8]) -> Self {
        Self { rest: ops, total: ops.len() }
    }

    /// Offset of the next operation from the start.
    #[must_use]
    pub const fn position(&self) -> usize {
        self.total - self.rest.len()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(count)?;
        self.rest = tail;
        Some(head)
    }

    fn take_key(&mut self) -> Option<&'a [u8]> {
        let length = u16::from_le_bytes(*self.take(2)?.first_chunk()?);
        self.take(usize::from(length)).filter(|key| !key.is_empty())
    }

    fn read(&mut self) -> Option<Op<'a>> {
        match *self.take(1)?.first()? {
            OPCODE_PUT => {
                let key = self.take_key()?;
                let length = u32::from_le_bytes(*self.take(4)?.first_chunk()?);
                Some(Op::Put { key, value: self.take(length as usize)? })
            }
            OPCODE_DELETE => Some(Op::Delete { key: self.take_key()? }),
            OPCODE_CLEAR => Some(Op::Clear),
            OPCODE_DROP => Some(Op::Drop),
            _ => None,
        }
    }
}

impl<'a> Iterator for OpReader<'a> {
    type Item = Result<Op<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match self.read() {
            Some(op) => Some(Ok(op)),
            None => {
                self.rest = &[];
                Some(Err(Error::internal("malformed operations in a batch")))
            }
        }
    }
}

/// Checks a batch that came from outside the core: its form, and every limit.
///
/// # Errors
/// `InvalidArgument` where a limit is passed, `Internal` where the bytes are no operations.
pub fn check_batch(ops: &[u8]) -> Result<()> {
    if ops.len() > MAX_BATCH_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("the batch has {} bytes and may have {MAX_BATCH_BYTES} at most; write it in parts", ops.len()),
        ));
    }
    for op in OpReader::new(ops) {
        match op? {
            Op::Put { key, value } => {
                check_key(key)?;
                if value.len() > MAX_VALUE_BYTES {
                    return Err(Error::new(
                        ErrorKind::InvalidArgument,
                        format!("a value has {} bytes encoded and may have {MAX_VALUE_BYTES} at most", value.len()),
                    ));
                }
            }
            Op::Delete { key } => check_key(key)?,
            Op::Clear | Op::Drop => {}
        }
    }
    Ok(())
}

/// Checks one key that came from outside the core.
///
/// # Errors
/// `InvalidArgument` for an id or a family that is empty or too long.
pub fn check_key(key: &[u8]) -> Result<()> {
    if key == CREDS_KEY {
        return Ok(());
    }
    let id = id_of(key).ok_or_else(|| Error::internal("malformed record key"))?;
    if id.is_empty() || id.len() > MAX_ID_BYTES {
        return Err(Error::new(
            ErrorKind::InvalidArgument,
            format!("an id has {} bytes and must have 1 to {MAX_ID_BYTES}", id.len()),
        ));
    }
    Ok(())
}

/// The part of a key before its id: what all keys of the family start with.
#[must_use]
pub fn family_of(key: &[u8]) -> Option<&[u8]> {
    match *key.first()? {
        FAMILY_NAMED => {
            let length = usize::from(*key.get(1)?);
            if length == 0 { None } else { key.get(..2 + length) }
        }
        1..=FAMILY_KNOWN_MAX | FAMILY_CREDS => key.get(..1),
        _ => None,
    }
}

/// Name of a key's family.
#[must_use]
pub fn family_name(key: &[u8]) -> Option<String> {
    let prefix = family_of(key)?;
    let code = *prefix.first()?;
    if code == FAMILY_NAMED {
        return Some(String::from_utf8_lossy(prefix.get(2..)?).into_owned());
    }
    FAMILY_NAMES.get(usize::from(code).checked_sub(1)?).map(|name| (*name).to_string())
}

/// The id in a key.
#[must_use]
pub fn id_of(key: &[u8]) -> Option<&[u8]> {
    key.get(family_of(key)?.len()..)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn packed(ops: &[Op<'_>]) -> Vec<u8> {
        let mut out = Vec::new();
        for op in ops {
            op.pack(&mut out);
        }
        out
    }

    #[test]
    fn operations_read_back_as_packed() {
        let ops = [Op::Clear, Op::Put { key: b"\x02a", value: b"v" }, Op::Delete { key: b"\x00\x01fid" }, Op::Drop];
        let bytes = packed(&ops);
        let read: Vec<_> = OpReader::new(&bytes).map(Result::unwrap).collect();
        assert_eq!(read, ops);
    }

    #[test]
    fn every_truncation_of_operations_is_refused() {
        let bytes = packed(&[Op::Put { key: b"\x02abc", value: b"value" }]);
        for length in 1..bytes.len() {
            assert!(OpReader::new(&bytes[..length]).any(|op| op.is_err()), "length {length}");
        }
    }

    #[test]
    fn keys_split_into_family_and_id() {
        assert_eq!((family_of(b"\x02abc"), id_of(b"\x02abc")), (Some(&b"\x02"[..]), Some(&b"abc"[..])));
        assert_eq!((family_of(b"\x00\x03fooid"), id_of(b"\x00\x03fooid")), (Some(&b"\x00\x03foo"[..]), Some(&b"id"[..])));
        assert_eq!(family_of(b"\x00\x00id"), None);
        assert_eq!(family_of(b"\x00\x09foo"), None);
        assert_eq!(family_of(b"\x0bid"), None);
        assert_eq!(family_of(b""), None);
    }

    #[test]
    fn keys_name_their_family() {
        assert_eq!(family_name(b"\x01x").unwrap(), "pre-key");
        assert_eq!(family_name(b"\x0ax").unwrap(), "identity-key");
        assert_eq!(family_name(b"\x00\x03fooid").unwrap(), "foo");
        assert_eq!(family_name(CREDS_KEY), None);
    }

    #[test]
    fn limits_are_enforced() {
        let long = [&b"\x02"[..], &vec![b'a'; MAX_ID_BYTES + 1]].concat();
        assert_eq!(check_key(&long).unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(check_key(&long[..MAX_ID_BYTES + 1]).is_ok());
        assert_eq!(check_key(b"\x02").unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert!(check_key(CREDS_KEY).is_ok());
    }
}
