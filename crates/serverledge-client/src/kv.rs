//! The key-value stores of functions.

use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method};
use serverledge_core::{StateKey, StoreName};
use serverledge_wire::kv::{KvCleared, KvKeys, KvNumber, KvStoreList};

use crate::call::{Answer, Call};
use crate::client::Client;
use crate::error::ClientError;

/// A value with its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KvValue {
    /// The value.
    pub value: Bytes,
    /// Its version, by which a later write says what it expects.
    pub version: u64,
}

/// The entry that a write expects to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KvExpected {
    /// Any, or none.
    #[default]
    Any,
    /// None.
    Absent,
    /// The one with this version.
    Version(u64),
}

/// The keys that are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct WantedKeys<'a> {
    /// Those that begin so.
    pub prefix: &'a str,
    /// Those behind this position: the `cursor` of the page before.
    pub cursor: Option<&'a str>,
    /// Most keys of one page; absent: as many as the node sees fit.
    pub limit: Option<u32>,
}

impl Client {
    /// The stores, with what they hold and may hold. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn kv_stores(&self) -> Result<KvStoreList, ClientError> {
        self.get(&["kv"]).read().await
    }

    /// One page of the keys of a store, in their order. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `kv_cursor_invalid` (422) if the cursor is none of this store. Else see
    /// [`ClientError`].
    pub async fn kv_keys(
        &self,
        store: &StoreName,
        wanted: &WantedKeys<'_>,
    ) -> Result<KvKeys, ClientError> {
        let limit = wanted.limit.map(|limit| limit.to_string());
        self.get(&["kv", store.as_str()])
            .query(
                "prefix",
                Some(wanted.prefix).filter(|text| !text.is_empty()),
            )
            .query("limit", limit.as_deref())
            .query("cursor", wanted.cursor)
            .read()
            .await
    }

    /// The value of an entry; `None` if there is none. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn kv_get(
        &self,
        store: &StoreName,
        key: &StateKey,
    ) -> Result<Option<KvValue>, ClientError> {
        let mut answer = match self.entry(Method::GET, store, key)?.send().await {
            Err(error) if error.code() == Some("kv_not_found") => return Ok(None),
            answer => answer?,
        };
        let version = version(&answer)?;
        let value = answer.body().await?;
        Ok(Some(KvValue { value, version }))
    }

    /// Writes an entry if it is as expected, and gives its new version. With a lifetime it is gone after that time.
    /// Dropping the future: it may have happened or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`]: `kv_changed` (412) if the entry is not as expected, `kv_full` (507) if the stores hold
    /// as much as they may, `kv_value_too_large` (413), `kv_ttl_invalid` (422). Else see [`ClientError`].
    pub async fn kv_set(
        &self,
        store: &StoreName,
        key: &StateKey,
        value: Bytes,
        ttl: Option<Duration>,
        expected: KvExpected,
    ) -> Result<u64, ClientError> {
        let seconds = ttl.map(|ttl| ttl.as_secs_f64().to_string());
        let call = self
            .entry(Method::PUT, store, key)?
            .query("ttl", seconds.as_deref())
            .body("application/octet-stream", value);
        let call = match expected {
            KvExpected::Any => call,
            KvExpected::Absent => call.header(IF_NONE_MATCH, HeaderValue::from_static("*")),
            KvExpected::Version(number) => {
                let tag = HeaderValue::try_from(format!("\"{number}\""));
                call.header(IF_MATCH, tag.expect("quotes and digits make a header"))
            }
        };
        let mut answer = call.send().await?;
        let version = version(&answer)?;
        answer.body().await?;
        Ok(version)
    }

    /// Deletes an entry, and says whether there was one. Dropping the future: it may have happened or not.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn kv_delete(&self, store: &StoreName, key: &StateKey) -> Result<bool, ClientError> {
        match self.entry(Method::DELETE, store, key)?.done().await {
            Err(error) if error.code() == Some("kv_not_found") => Ok(false),
            done => done.map(|()| true),
        }
    }

    /// Adds to the number that an entry holds, and gives the sum. Dropping the future: it may have happened or not.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `kv_not_a_number` (422) if it holds none, or the sum is too large. Else see
    /// [`ClientError`].
    pub async fn kv_increment(
        &self,
        store: &StoreName,
        key: &StateKey,
        by: i64,
    ) -> Result<KvNumber, ClientError> {
        let by = by.to_string();
        self.entry(Method::POST, store, key)?
            .query("increment", Some(&by))
            .read()
            .await
    }

    /// Deletes all entries of a store. Dropping the future, or an error: some may be gone.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn kv_clear(&self, store: &StoreName) -> Result<KvCleared, ClientError> {
        self.call(Method::DELETE, &["kv", store.as_str()])
            .read()
            .await
    }

    /// A request for an entry. In a URL, `.` and `..` are no segments but ways: such a key would lead to the store, or
    /// beyond it.
    fn entry(
        &self,
        method: Method,
        store: &StoreName,
        key: &StateKey,
    ) -> Result<Call<'_>, ClientError> {
        if matches!(key.as_str(), "." | "..") {
            let fault = format!("the key {:?} cannot stand in a URL", key.as_str());
            return Err(ClientError::Request { fault });
        }
        Ok(self.call(method, &["kv", store.as_str(), key.as_str()]))
    }
}

fn version(answer: &Answer) -> Result<u64, ClientError> {
    let version = read_version(answer.headers());
    version.ok_or_else(|| answer.misread(&"its ETag is no version of an entry"))
}

/// The version in an `ETag`. A proxy that compresses may have made it a weak one.
fn read_version(headers: &HeaderMap) -> Option<u64> {
    let tag = headers.get(ETAG)?.to_str().ok()?;
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}
