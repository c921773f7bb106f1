//! The only place where an error of the core becomes what JavaScript reads.

use serde_json::{Map, Value, json};

use crate::error::{Error, Fact, RecordFact};

/// The error as JSON: `code`, `message`, `retryable`, `cause` where there is one, and its facts by name.
pub(super) fn describe(error: &Error) -> String {
    let mut fields = Map::new();
    fields.insert("code".into(), error.kind().code().into());
    fields.insert("message".into(), error.message().into());
    fields.insert("retryable".into(), error.kind().is_retryable().into());
    if let Some(cause) = error.cause() {
        fields.insert("cause".into(), cause.into());
    }
    for (name, fact) in error.facts() {
        let value: Value = match fact {
            Fact::Text(text) => text.as_str().into(),
            Fact::Number(number) => (*number).into(),
            Fact::Labels(labels) => labels.clone().into(),
            Fact::Records(records) => records.iter().map(describe_record).collect(),
        };
        fields.insert((*name).into(), value);
    }
    Value::Object(fields).to_string()
}

fn describe_record(record: &RecordFact) -> Value {
    json!({ "account": record.account, "type": record.family, "id": record.id })
}
