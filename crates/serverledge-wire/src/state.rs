//! Operations on stores as guests write them, and their answers: a length of 4 bytes (little-endian), a head of so many
//! bytes of JSON, and behind it a value as it is.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serverledge_core::{
    StateError, StateKey, StateOp, StatePage, StateReply, StateVersion, StoreName,
};

use crate::guest_message;

/// Longest head of a request: a key, a prefix and a cursor with every byte escaped are far shorter.
pub const STATE_HEAD_BYTES_MAX: usize = 64 * 1024;

/// The reason why a request is no operation on a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateRequestError {
    /// It does not have the form of a request.
    #[error("the request to a store is malformed: {0}")]
    Malformed(String),
    /// It has the form, but what it asks for is not possible.
    #[error(transparent)]
    State(#[from] StateError),
}

/// The head of a request. Members of other operations are refused, so that no lifetime or version is passed over.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum StateRequestHead {
    Get {
        store: Option<String>,
        key: String,
    },
    Set {
        store: Option<String>,
        key: String,
        ttl_ms: Option<u64>,
    },
    Delete {
        store: Option<String>,
        key: String,
    },
    List {
        store: Option<String>,
        prefix: Option<String>,
        cursor: Option<String>,
        limit: Option<u64>,
    },
    CompareAndSet {
        store: Option<String>,
        key: String,
        expected: Option<String>,
        ttl_ms: Option<u64>,
    },
    Increment {
        store: Option<String>,
        key: String,
        by: Option<i64>,
    },
}

/// The head of an answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
enum StateReplyHead<'a> {
    Entry {
        found: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    Written {
        version: String,
    },
    Deleted {
        deleted: bool,
    },
    Keys {
        keys: Vec<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cursor: Option<&'a str>,
    },
    Swapped {
        swapped: bool,
        #[serde(skip_serializing_if = "Option::is_none")]
        version: Option<String>,
    },
    Number {
        value: String,
    },
}

// === impl StateRequestError ===

impl StateRequestError {
    /// The stable code that the function reads.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "kv_request_invalid",
            Self::State(error) => error.code(),
        }
    }
}

// === impl StateRequestHead ===

impl StateRequestHead {
    /// The operation and the name of its store; `value` is what follows the head.
    fn into_op(self, value: Bytes) -> Result<(Option<String>, StateOp), StateRequestError> {
        let (store, op) = match self {
            Self::Set { store, key, ttl_ms } => {
                let key = StateKey::new(key)?;
                let ttl = ttl_ms.map(Duration::from_millis);
                return Ok((store, StateOp::Set { key, value, ttl }));
            }
            Self::CompareAndSet {
                store,
                key,
                expected,
                ttl_ms,
            } => {
                let op = StateOp::CompareAndSet {
                    key: StateKey::new(key)?,
                    expected: expected.as_deref().map(version).transpose()?,
                    value,
                    ttl: ttl_ms.map(Duration::from_millis),
                };
                return Ok((store, op));
            }
            Self::Get { store, key } => {
                let key = StateKey::new(key)?;
                (store, StateOp::Get { key })
            }
            Self::Delete { store, key } => {
                let key = StateKey::new(key)?;
                (store, StateOp::Delete { key })
            }
            Self::List {
                store,
                prefix,
                cursor,
                limit,
            } => {
                let op = StateOp::List {
                    prefix: prefix.unwrap_or_default(),
                    cursor,
                    limit: usize::try_from(limit.unwrap_or(0)).unwrap_or(usize::MAX),
                };
                (store, op)
            }
            Self::Increment { store, key, by } => {
                let key = StateKey::new(key)?;
                let by = by.unwrap_or(1);
                (store, StateOp::Increment { key, by })
            }
        };
        if !value.is_empty() {
            return Err(StateRequestError::Malformed(format!(
                "{} takes no value, but {} bytes follow the head",
                op.name(),
                value.len()
            )));
        }
        Ok((store, op))
    }
}

/// The operation that a guest asked for, and the store.
///
/// # Errors
/// [`StateRequestError`] names the member or the rule.
pub fn read_request(message: &Bytes) -> Result<(StoreName, StateOp), StateRequestError> {
    let (head, value) = guest_message::split(message, STATE_HEAD_BYTES_MAX)
        .map_err(StateRequestError::Malformed)?;
    let head: StateRequestHead = serde_json::from_slice(head)
        .map_err(|fault| StateRequestError::Malformed(format!("its head: {fault}")))?;
    let (store, op) = head.into_op(value)?;
    let store = store.map_or(Ok(StoreName::default()), |name| name.parse())?;
    Ok((store, op))
}

/// An answer as guests read it.
#[must_use]
pub fn write_reply(reply: &StateReply) -> Bytes {
    let mut value = &Bytes::new();
    let head = match reply {
        StateReply::Entry(entry) => {
            if let Some(entry) = entry {
                value = &entry.value;
            }
            StateReplyHead::Entry {
                found: entry.is_some(),
                version: entry.as_ref().map(|entry| entry.version.to_string()),
            }
        }
        StateReply::Written(version) => StateReplyHead::Written {
            version: version.to_string(),
        },
        StateReply::Deleted(deleted) => StateReplyHead::Deleted { deleted: *deleted },
        StateReply::Keys(StatePage { keys, cursor }) => StateReplyHead::Keys {
            keys: keys.iter().map(StateKey::as_str).collect(),
            cursor: cursor.as_deref(),
        },
        StateReply::Swapped(version) => StateReplyHead::Swapped {
            swapped: version.is_some(),
            version: version.as_ref().map(ToString::to_string),
        },
        StateReply::Number(value) => StateReplyHead::Number {
            value: value.to_string(),
        },
    };
    let head = serde_json::to_vec(&head).expect("heads have string keys and no failing serializer");
    let begun = guest_message::begin(&head, value.len());
    let mut message = begun.expect("a page of keys is far below 4 GiB");
    message.extend_from_slice(value);
    message.into()
}

/// A version as decimal text, exactly as an answer has it.
fn version(text: &str) -> Result<StateVersion, StateRequestError> {
    text.parse()
        .ok()
        .map(StateVersion::new)
        .filter(|version| version.to_string() == text)
        .ok_or_else(|| {
            let shown: String = text.chars().take(32).collect();
            StateRequestError::Malformed(format!("its head: {shown:?} is no version"))
        })
}

#[cfg(test)]
mod tests;
