//! Locks as JavaScript reads them.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::port::{Port, THREAD_SHIFT, handles_by_owner};
use crate::lock::{Mode, OwnerId};
use crate::store::{LockInfo, LockKind, Party};

/// The locks as JSON: `kind`, `account`, `label`, `type`, `id` as far as a lock has them, `holders` and `waiters`.
pub(super) fn describe(port: &Port, uid: u64, locks: &[LockInfo]) -> Value {
    let handles = handles_by_owner(uid);
    locks.iter().map(|lock| describe_lock(port, &handles, lock)).collect()
}

fn describe_lock(port: &Port, handles: &HashMap<OwnerId, i32>, lock: &LockInfo) -> Value {
    let kind = match lock.kind {
        LockKind::Label => "label",
        LockKind::Creds => "creds",
        LockKind::Account => "account",
        LockKind::Family => "family",
        LockKind::Record => "record",
    };
    let mut described = json!({
        "kind": kind,
        "account": lock.record.account,
        "holders": lock.holders.iter().map(|party| describe_party(port, handles, party)).collect::<Value>(),
        "waiters": lock.waiters.iter().map(|party| describe_party(port, handles, party)).collect::<Value>(),
    });
    if let Value::Object(fields) = &mut described {
        let family = matches!(lock.kind, LockKind::Record | LockKind::Family).then_some(&lock.record.family);
        let id = (lock.kind == LockKind::Record).then_some(&lock.record.id);
        for (name, value) in [("label", lock.label.as_ref()), ("type", family), ("id", id)] {
            fields.extend(value.map(|value| (name.to_string(), value.as_str().into())));
        }
    }
    described
}

/// One party. Where it belongs to this thread, with the number of its `port` there, and that one's `handle` of the transaction and `ticket`
/// of the call, as far as it has them.
fn describe_party(port: &Port, handles: &HashMap<OwnerId, i32>, party: &Party) -> Value {
    let is_here = party.domain >> THREAD_SHIFT == port.domain() >> THREAD_SHIFT;
    let mut described = json!({
        "account": party.account,
        "label": party.label,
        "thread": party.domain >> THREAD_SHIFT,
        "mode": if party.mode == Mode::Shared { "shared" } else { "exclusive" },
        "ageMs": u64::try_from(party.age.as_millis()).unwrap_or(u64::MAX),
        "stack": party.stack.as_deref(),
    });
    if let Value::Object(fields) = &mut described {
        fields.retain(|_, value| !value.is_null());
        if is_here {
            fields.insert("port".into(), (party.domain & ((1 << THREAD_SHIFT) - 1)).into());
            fields.extend(handles.get(&party.owner).map(|handle| ("handle".to_string(), (*handle).into())));
            if party.token != 0 {
                fields.insert("ticket".into(), party.token.into());
            }
        }
    }
    described
}
