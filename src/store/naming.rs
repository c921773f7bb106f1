//! Locks in words and facts, for errors and for people.

use super::lock_name::{LockKind, LockName};
use crate::error::{Error, RecordFact};
use crate::record::{family_name, id_of};

/// A lock in words.
pub(super) fn words_of(name: &LockName) -> String {
    let account = name.account_name();
    match name.kind() {
        LockKind::Label => format!("label {} of account {account}", String::from_utf8_lossy(name.name())),
        LockKind::Creds => format!("the creds of account {account}"),
        LockKind::Account => format!("account {account}"),
        LockKind::Family => format!("family {} of account {account}", family_name(name.name()).unwrap_or_default()),
        LockKind::Record => {
            let record = record_of(name);
            format!("{}['{}'] of account {account}", record.family, record.id)
        }
    }
}

/// Family and id of a lock; empty where it has none.
pub(super) fn record_of(name: &LockName) -> RecordFact {
    let (family, id) = match name.kind() {
        LockKind::Record => (family_name(name.name()), id_of(name.name())),
        LockKind::Family => (family_name(name.name()), None),
        LockKind::Label | LockKind::Creds | LockKind::Account => (None, None),
    };
    RecordFact {
        account: name.account_name().to_string(),
        family: family.unwrap_or_default(),
        id: String::from_utf8_lossy(id.unwrap_or_default()).into_owned(),
    }
}

/// Adds the records and labels involved to an error.
pub(super) fn facts_of(error: Error, names: &[LockName]) -> Error {
    let records = names.iter().filter(|name| name.kind() == LockKind::Record).map(record_of).collect();
    let labels = names
        .iter()
        .filter(|name| name.kind() == LockKind::Label)
        .map(|name| String::from_utf8_lossy(name.name()).into_owned())
        .collect();
    error.with_records("records", records).with_labels("labels", labels)
}
