//! The replies of the routes of key-value stores: `/kv`, `/kv/{store}` and `/kv/{store}/{key}`.

use serde::{Deserialize, Serialize};
use serverledge_core::{StateLimits, StatePage, StateUsage, StoreName};
use utoipa::ToSchema;

/// Longest body of a value that the API reads. A node's own limit, `state.value_bytes_max`, is below it.
pub const KV_BODY_BYTES_MAX: usize = 1024 * 1024;

/// The reply to `GET /kv`: the stores that hold something, and what they may hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KvStoreList {
    /// The stores, in the order of their names.
    pub stores: Vec<KvStoreInfo>,
    /// Their contents together.
    pub usage: KvUsage,
    /// The limits of their contents together.
    pub limits: KvLimits,
}

/// A store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KvStoreInfo {
    /// Its name.
    pub name: String,
    /// Bytes of its keys and values.
    pub bytes: u64,
    /// Number of its entries.
    pub keys: u64,
}

/// The contents of stores in figures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KvUsage {
    /// Bytes of keys and values.
    pub bytes: u64,
    /// Number of entries.
    pub keys: u64,
}

/// The limits of the stores of a space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KvLimits {
    /// Most bytes of keys and values.
    pub bytes_max: u64,
    /// Most entries.
    pub keys_max: u64,
    /// Longest value in bytes.
    pub value_bytes_max: u64,
}

/// The reply to `GET /kv/{store}`: a page of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KvKeys {
    /// The keys, in their order (bytewise).
    pub keys: Vec<String>,
    /// The cursor of the next page; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// The reply to `POST /kv/{store}/{key}?increment=N`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KvNumber {
    /// The sum.
    pub value: i64,
}

/// The reply to `DELETE /kv/{store}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct KvCleared {
    /// Number of entries that were deleted.
    pub cleared: u64,
}

impl KvStoreInfo {
    /// A store with its contents in figures.
    #[must_use]
    pub fn new(name: &StoreName, usage: StateUsage) -> Self {
        Self {
            name: name.to_string(),
            bytes: usage.bytes,
            keys: usage.keys,
        }
    }
}

impl From<StateUsage> for KvUsage {
    fn from(usage: StateUsage) -> Self {
        Self {
            bytes: usage.bytes,
            keys: usage.keys,
        }
    }
}

impl From<StateLimits> for KvLimits {
    fn from(limits: StateLimits) -> Self {
        Self {
            bytes_max: limits.bytes_max,
            keys_max: limits.keys_max,
            value_bytes_max: limits.value_bytes_max as u64,
        }
    }
}

impl From<StatePage> for KvKeys {
    fn from(page: StatePage) -> Self {
        Self {
            keys: page.keys.iter().map(ToString::to_string).collect(),
            cursor: page.cursor,
        }
    }
}

#[cfg(test)]
mod tests {
    use serverledge_core::StateKey;

    use super::*;

    #[test]
    fn the_last_page_has_no_cursor() {
        let page = StatePage {
            keys: vec![StateKey::new("a/b").unwrap()],
            cursor: None,
        };
        let last = serde_json::to_string(&KvKeys::from(page.clone())).unwrap();
        assert_eq!(last, r#"{"keys":["a/b"]}"#);
        let more = StatePage {
            cursor: Some("c".to_owned()),
            ..page
        };
        let more = serde_json::to_string(&KvKeys::from(more)).unwrap();
        assert_eq!(more, r#"{"keys":["a/b"],"cursor":"c"}"#);
    }
}
