//! Key-value state of functions: named stores in a space, what can be done with them, and the reasons why it was not.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use bytes::Bytes;

use crate::kv::KvError;

/// Longest key in bytes. With space and store it stays well below the registry's limit.
pub const STATE_KEY_BYTES_MAX: usize = 512;
/// Longest name of a store in bytes.
pub const STORE_NAME_BYTES_MAX: usize = 63;
/// Longest lifetime of an entry: a year. What is to stay longer has none.
pub const STATE_TTL_MAX: Duration = Duration::from_secs(366 * 24 * 3600);
/// Most keys in one answer to a listing.
pub const STATE_LIST_MAX: usize = 1000;
/// Stores that a space may have. One that is emptied is none any more.
pub const STATE_STORES_MAX: usize = 1000;
/// Operations that one invocation may make.
pub const STATE_OPS_MAX: usize = 10_000;

/// The name of a store in a space: 1 to 63 lower-case letters, digits, `-` and `_`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreName(String);

/// The key of an entry: text of 1 to [`STATE_KEY_BYTES_MAX`] bytes, without control characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateKey(String);

/// The state of an entry that a compare-and-set names. Grows with each change; no two states of a key have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateVersion(u64);

/// A value with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateEntry {
    /// The value.
    pub value: Bytes,
    /// Its version.
    pub version: StateVersion,
}

/// One operation on a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateOp {
    /// Reads an entry. Answered by [`StateReply::Entry`].
    Get {
        /// Its key.
        key: StateKey,
    },
    /// Writes an entry, whatever was there. Answered by [`StateReply::Written`].
    Set {
        /// Its key.
        key: StateKey,
        /// Its value.
        value: Bytes,
        /// The time after which it is gone; `None`: it stays. At least a millisecond, at most [`STATE_TTL_MAX`].
        ttl: Option<Duration>,
    },
    /// Deletes an entry. Answered by [`StateReply::Deleted`].
    Delete {
        /// Its key.
        key: StateKey,
    },
    /// Lists keys in their order (bytewise). Answered by [`StateReply::Keys`].
    List {
        /// The beginning of the keys; empty: all.
        prefix: String,
        /// The end of the page before: its [`StatePage::cursor`].
        cursor: Option<String>,
        /// Most keys in the answer; 0 and what exceeds [`STATE_LIST_MAX`] mean [`STATE_LIST_MAX`].
        limit: usize,
    },
    /// Writes an entry if it is as expected. Answered by [`StateReply::Swapped`].
    CompareAndSet {
        /// Its key.
        key: StateKey,
        /// The version that it has; `None`: there is no entry.
        expected: Option<StateVersion>,
        /// Its new value.
        value: Bytes,
        /// Its lifetime, as in [`StateOp::Set`].
        ttl: Option<Duration>,
    },
    /// Adds to a number, which is kept as decimal text; an entry that is not there counts as 0. A lifetime stays as it is.
    /// Answered by [`StateReply::Number`].
    Increment {
        /// Its key.
        key: StateKey,
        /// The summand, which may be negative.
        by: i64,
    },
}

/// The answer to an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StateReply {
    /// To [`StateOp::Get`]; `None`: there is no entry.
    Entry(Option<StateEntry>),
    /// To [`StateOp::Set`]: the new version.
    Written(StateVersion),
    /// To [`StateOp::Delete`]: whether there was an entry.
    Deleted(bool),
    /// To [`StateOp::List`].
    Keys(StatePage),
    /// To [`StateOp::CompareAndSet`]: the new version; `None`: the entry was not as expected, and is unchanged.
    Swapped(Option<StateVersion>),
    /// To [`StateOp::Increment`]: the sum.
    Number(i64),
}

/// One page of keys.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatePage {
    /// The keys, in their order.
    pub keys: Vec<StateKey>,
    /// The text that the next page is asked with; `None`: this is the last.
    pub cursor: Option<String>,
}

/// The bytes and entries that the stores of a space hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StateUsage {
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Number of entries.
    pub keys: u64,
}

/// The limits of the stores of a space together, and of one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateLimits {
    /// Most bytes of keys and values.
    pub bytes_max: u64,
    /// Most entries.
    pub keys_max: u64,
    /// Longest value in bytes.
    pub value_bytes_max: usize,
}

/// The reason why an operation on a store was not carried out. All but [`StateError::Unavailable`] say that nothing changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// The name of the store breaks the rules.
    #[error("{0:?} is no name of a store: 1 to 63 lower-case letters, digits, - and _")]
    StoreName(String),
    /// The key is empty.
    #[error("a key has at least one byte")]
    KeyEmpty,
    /// The key is too long.
    #[error("a key may have {STATE_KEY_BYTES_MAX} bytes, not {0}")]
    KeyTooLong(usize),
    /// The key has a control character.
    #[error("a key has no control characters")]
    KeyControl,
    /// The value is too long.
    #[error("a value may have {bytes_max} bytes, not {bytes} (state.value_bytes_max)")]
    ValueTooLarge {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// The lifetime is not between a millisecond and [`STATE_TTL_MAX`].
    #[error("a lifetime is from 1 ms to {} s", STATE_TTL_MAX.as_secs())]
    Ttl,
    /// The stores of the space hold as many bytes as they may.
    #[error(
        "the stores of this space may hold {bytes_max} bytes, and hold {bytes} (state.bytes_max)"
    )]
    FullOfBytes {
        /// Bytes that they hold.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The stores of the space hold as many entries as they may.
    #[error(
        "the stores of this space may hold {keys_max} entries, and hold {keys} (state.keys_max)"
    )]
    FullOfKeys {
        /// Entries that they hold.
        keys: u64,
        /// The limit.
        keys_max: u64,
    },
    /// The space has as many stores as it may, and this would be a new one.
    #[error("a space may have {STATE_STORES_MAX} stores: clear one before you begin another")]
    FullOfStores,
    /// The space writes more often than it may.
    #[error(
        "the stores of this space may be written {per_second} times a second on this node (state.writes_per_second)"
    )]
    TooFast {
        /// The limit.
        per_second: u64,
    },
    /// The space writes more bytes than it may.
    #[error(
        "{bytes_per_second} bytes a second may be written to the stores of this space on this node \
         (state.write_bytes_per_second)"
    )]
    TooManyBytes {
        /// The limit.
        bytes_per_second: u64,
    },
    /// The registry holds so much that stores may not grow it further: the rest is for deploys and asynchronous calls.
    #[error(
        "the registry holds {bytes} of at most {bytes_max} bytes, and stores may not fill it: delete something, or \
         give the registry more room"
    )]
    RegistryCrowded {
        /// Bytes that it holds.
        bytes: u64,
        /// Most bytes that it may hold.
        bytes_max: u64,
    },
    /// The invocation has made as many operations as it may.
    #[error("an invocation may make {STATE_OPS_MAX} operations on stores")]
    TooMany,
    /// The entry holds no number.
    #[error("the entry {0:?} holds no whole number")]
    NotANumber(String),
    /// The sum is no number of 64 bits.
    #[error("the sum for {0:?} does not fit into 64 bits")]
    Overflow(String),
    /// The cursor is none that a listing has given.
    #[error("the cursor is none that a listing of this store has given")]
    Cursor,
    /// Others changed the entry each time that it was to be written.
    #[error("others changed the entry {0:?} all the time: try again later")]
    Contended(String),
    /// There are no stores where the function runs.
    #[error("there are no stores here: {0}")]
    Missing(&'static str),
    /// The registry's quota or its disk is full. Nothing changed; what does not grow it still goes.
    #[error("the registry is full: nothing was written; delete something, or give it more room")]
    RegistryFull,
    /// The registry did not answer, or refused. A write may or may not have been applied.
    #[error("the stores were not reached")]
    Unavailable(#[source] KvError),
}

impl StateError {
    /// The stable code that the function, or the API's client, reads.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::StoreName(_) => "kv_store_invalid",
            Self::KeyEmpty | Self::KeyTooLong(_) | Self::KeyControl => "kv_key_invalid",
            Self::ValueTooLarge { .. } => "kv_value_too_large",
            Self::Ttl => "kv_ttl_invalid",
            Self::FullOfBytes { .. } | Self::FullOfKeys { .. } | Self::FullOfStores => "kv_full",
            Self::TooFast { .. } | Self::TooManyBytes { .. } => "kv_too_fast",
            Self::RegistryCrowded { .. } | Self::RegistryFull => "registry_full",
            Self::TooMany => "kv_too_many",
            Self::NotANumber(_) | Self::Overflow(_) => "kv_not_a_number",
            Self::Cursor => "kv_cursor_invalid",
            Self::Contended(_) => "kv_contended",
            Self::Missing(_) => "kv_missing",
            Self::Unavailable(_) => "kv_unavailable",
        }
    }
}

impl From<KvError> for StateError {
    /// A full registry has changed nothing, which is worth more than that the stores were not reached.
    fn from(error: KvError) -> Self {
        match error {
            KvError::RegistryFull => Self::RegistryFull,
            error => Self::Unavailable(error),
        }
    }
}

impl StateOp {
    /// Whether it may change the store.
    #[must_use]
    pub const fn writes(&self) -> bool {
        !matches!(self, Self::Get { .. } | Self::List { .. })
    }

    /// Its name in metrics and on the wire.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Get { .. } => "get",
            Self::Set { .. } => "set",
            Self::Delete { .. } => "delete",
            Self::List { .. } => "list",
            Self::CompareAndSet { .. } => "compare_and_set",
            Self::Increment { .. } => "increment",
        }
    }
}

// === impl StoreName ===

impl StoreName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for StoreName {
    /// `default`, the store of those that name none.
    fn default() -> Self {
        Self("default".to_owned())
    }
}

impl FromStr for StoreName {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, StateError> {
        let fits = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'_')
        };
        if (1..=STORE_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits) {
            return Ok(Self(text.to_owned()));
        }
        Err(StateError::StoreName(
            text.chars().take(STORE_NAME_BYTES_MAX).collect(),
        ))
    }
}

impl fmt::Display for StoreName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl StateKey ===

impl StateKey {
    /// A key with this text.
    ///
    /// # Errors
    /// [`StateError::KeyEmpty`], [`StateError::KeyTooLong`] and [`StateError::KeyControl`].
    pub fn new(text: impl Into<String>) -> Result<Self, StateError> {
        let text = text.into();
        if text.is_empty() {
            return Err(StateError::KeyEmpty);
        }
        if text.len() > STATE_KEY_BYTES_MAX {
            return Err(StateError::KeyTooLong(text.len()));
        }
        if text.chars().any(char::is_control) {
            return Err(StateError::KeyControl);
        }
        Ok(Self(text))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === impl StateVersion ===

impl StateVersion {
    /// The version with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for StateVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_stores_are_plain() {
        let longest = "x".repeat(STORE_NAME_BYTES_MAX);
        for good in ["default", "a", "0", "-", "_", "carts-2_b", &longest] {
            let name: StoreName = good.parse().unwrap();
            assert_eq!((name.as_str(), name.to_string()), (good, good.to_owned()));
        }
        assert_eq!(StoreName::default().as_str(), "default");
        let too_long = "x".repeat(STORE_NAME_BYTES_MAX + 1);
        for bad in ["", "Up", "a/b", "a.b", "a b", "ä", "a\0", "..", &too_long] {
            let error = bad.parse::<StoreName>().unwrap_err();
            assert_eq!(error.code(), "kv_store_invalid", "{bad:?}");
        }
    }

    #[test]
    fn a_wrong_name_is_shown_in_part() {
        let error = "ä".repeat(1000).parse::<StoreName>().unwrap_err();
        let shown = "ä".repeat(STORE_NAME_BYTES_MAX);
        assert!(matches!(error, StateError::StoreName(text) if text == shown));
    }

    #[test]
    fn keys_are_text_without_control_characters() {
        let longest = "ü".repeat(STATE_KEY_BYTES_MAX / 2);
        for good in ["a", " ", "/", "a//b", "..", "käse/€", &longest] {
            assert_eq!(StateKey::new(good).unwrap().as_str(), good);
        }
        assert!(matches!(StateKey::new(""), Err(StateError::KeyEmpty)));
        let long = StateKey::new(longest + "x");
        let bytes = STATE_KEY_BYTES_MAX + 1;
        assert!(matches!(long, Err(StateError::KeyTooLong(n)) if n == bytes));
        for bad in ["\0", "a\n", "\t", "a\u{7f}", "\u{85}b"] {
            assert!(
                matches!(StateKey::new(bad), Err(StateError::KeyControl)),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_full_registry_is_not_one_that_is_away() {
        let full = StateError::from(KvError::RegistryFull);
        assert!(matches!(full, StateError::RegistryFull));
        assert_eq!(full.code(), "registry_full");
        let away = StateError::from(KvError::Unavailable {
            attempt: "write",
            source: "no answer".into(),
        });
        assert!(matches!(away, StateError::Unavailable(_)));
        assert_eq!(away.code(), "kv_unavailable");
        assert_eq!(StateError::FullOfStores.code(), "kv_full");
    }

    #[test]
    fn operations_know_whether_they_write() {
        let key = StateKey::new("k").unwrap();
        let value = Bytes::new();
        let get = StateOp::Get { key: key.clone() };
        let list = StateOp::List {
            prefix: String::new(),
            cursor: None,
            limit: 0,
        };
        assert!(!get.writes() && !list.writes());
        let writes = [
            StateOp::Set {
                key: key.clone(),
                value: value.clone(),
                ttl: None,
            },
            StateOp::Delete { key: key.clone() },
            StateOp::CompareAndSet {
                key: key.clone(),
                expected: None,
                value,
                ttl: None,
            },
            StateOp::Increment { key, by: 1 },
        ];
        assert!(writes.iter().all(StateOp::writes));
        let names = writes.each_ref().map(StateOp::name);
        assert_eq!(names, ["set", "delete", "compare_and_set", "increment"]);
    }
}
