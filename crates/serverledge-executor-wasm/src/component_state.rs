//! `wasi:keyvalue` of components, in its draft 0.2.0-draft2. A bucket is a store of the function's space, which the
//! invocation's host reaches.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::{
    HostCalls, StateEntry, StateError, StateKey, StateOp, StatePage, StateReply, StateVersion,
    StoreName,
};
use wasmtime::component::{
    ComponentType, Lift, Linker, Lower, Resource, ResourceTable, ResourceType,
};
use wasmtime::{AsContextMut as _, Result, StoreContextMut};

use crate::component_guest::ComponentGuest;
use crate::meter::awaited;

/// The interfaces. A draft is compatible with itself alone, so that each has its whole version.
const STORE: &str = "wasi:keyvalue/store@0.2.0-draft2";
const ATOMICS: &str = "wasi:keyvalue/atomics@0.2.0-draft2";
const BATCH: &str = "wasi:keyvalue/batch@0.2.0-draft2";

/// Buckets that an instance has open at once.
const BUCKETS_MAX: usize = 64;
/// Handles of swaps that an instance has at once.
const SWAPS_MAX: usize = 256;
/// Longest value that the handle of a swap keeps until it is asked for. All handles together keep 4 MiB.
const KEPT_BYTES_MAX: usize = 16 << 10;
/// Keys of one batch.
const BATCH_KEYS_MAX: usize = 1000;
/// Bytes of the values that one batch reads.
const BATCH_BYTES_MAX: usize = 16 << 20;

/// `error` of the interface `store`.
#[derive(Debug, ComponentType, Lift, Lower)]
#[component(variant)]
enum StoreError {
    #[component(name = "no-such-store")]
    NoSuchStore,
    #[component(name = "access-denied")]
    AccessDenied,
    #[component(name = "other")]
    Other(String),
}

/// `cas-error` of the interface `atomics`.
#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum CasError {
    #[component(name = "store-error")]
    StoreError(StoreError),
    #[component(name = "cas-failed")]
    CasFailed(Resource<Swap>),
}

/// `key-response` of the interface `store`.
#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct KeyResponse {
    #[component(name = "keys")]
    keys: Vec<String>,
    #[component(name = "cursor")]
    cursor: Option<String>,
}

/// The result of a function of these interfaces.
type StateResult<T> = std::result::Result<T, StoreError>;

/// A component, as its host functions have it.
type ComponentCaller<'a> = StoreContextMut<'a, ComponentGuest>;

/// The stores of one call of a component.
pub(crate) struct ComponentStores {
    host: Arc<dyn HostCalls>,
    /// Buckets that are open.
    buckets: usize,
    /// Handles of swaps.
    swaps: usize,
}

/// The stores of a call, with the table of its resources.
pub(crate) struct StoresView<'a> {
    pub(crate) stores: &'a mut ComponentStores,
    pub(crate) table: &'a mut ResourceTable,
}

/// A store that is open, the resource `bucket`.
#[derive(Clone)]
struct Bucket {
    host: Arc<dyn HostCalls>,
    store: StoreName,
}

/// An entry as it was when the handle was made, the resource `cas`.
#[derive(Clone)]
struct Swap {
    bucket: Bucket,
    key: StateKey,
    /// `None`: there was no entry.
    version: Option<StateVersion>,
    /// The value, if it is short.
    value: Option<Bytes>,
}

/// Adds the interfaces.
pub(crate) fn add_to_linker(linker: &mut Linker<ComponentGuest>) -> Result<()> {
    add_store(linker)?;
    add_atomics(linker)?;
    let mut batch = linker.instance(BATCH)?;
    batch.func_wrap_async("get-many", |guest, args| Box::new(get_many(guest, args)))?;
    batch.func_wrap_async("set-many", |guest, args| Box::new(set_many(guest, args)))?;
    batch.func_wrap_async("delete-many", |guest, args| {
        Box::new(delete_many(guest, args))
    })?;
    Ok(())
}

fn add_store(linker: &mut Linker<ComponentGuest>) -> Result<()> {
    let mut store = linker.instance(STORE)?;
    store.resource(
        "bucket",
        ResourceType::host::<Bucket>(),
        |mut guest: ComponentCaller<'_>, rep| {
            guest.data_mut().stores().close(Resource::new_own(rep))
        },
    )?;
    store.func_wrap(
        "open",
        |mut guest: ComponentCaller<'_>, (name,): (String,)| {
            Ok((guest.data_mut().stores().open(&name)?,))
        },
    )?;
    store.func_wrap_async("[method]bucket.get", |guest, args| {
        Box::new(get(guest, args))
    })?;
    store.func_wrap_async("[method]bucket.set", |guest, args| {
        Box::new(set(guest, args))
    })?;
    store.func_wrap_async("[method]bucket.delete", |guest, args| {
        Box::new(delete(guest, args))
    })?;
    store.func_wrap_async("[method]bucket.exists", |guest, args| {
        Box::new(exists(guest, args))
    })?;
    store.func_wrap_async("[method]bucket.list-keys", |guest, args| {
        Box::new(list_keys(guest, args))
    })?;
    Ok(())
}

fn add_atomics(linker: &mut Linker<ComponentGuest>) -> Result<()> {
    let mut atomics = linker.instance(ATOMICS)?;
    atomics.resource(
        "cas",
        ResourceType::host::<Swap>(),
        |mut guest: ComponentCaller<'_>, rep| {
            guest.data_mut().stores().take(Resource::new_own(rep))?;
            Ok(())
        },
    )?;
    atomics.func_wrap_async("[static]cas.new", |guest, args| {
        Box::new(new_swap(guest, args))
    })?;
    atomics.func_wrap_async("[method]cas.current", |guest, args| {
        Box::new(current(guest, args))
    })?;
    atomics.func_wrap_async("increment", |guest, args| Box::new(increment(guest, args)))?;
    atomics.func_wrap_async("swap", |guest, args| Box::new(swap(guest, args)))?;
    Ok(())
}

// === store ===

async fn get(
    mut guest: ComponentCaller<'_>,
    (bucket, key): (Resource<Bucket>, String),
) -> Result<(StateResult<Option<Vec<u8>>>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    let entry = awaited(guest, bucket.get(key)).await;
    Ok((entry.map(|entry| entry.map(|entry| entry.value.into())),))
}

async fn set(
    mut guest: ComponentCaller<'_>,
    (bucket, key, value): (Resource<Bucket>, String, Vec<u8>),
) -> Result<(StateResult<()>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    Ok((awaited(guest, bucket.set(key, value)).await,))
}

async fn delete(
    mut guest: ComponentCaller<'_>,
    (bucket, key): (Resource<Bucket>, String),
) -> Result<(StateResult<()>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    Ok((awaited(guest, bucket.delete(key)).await,))
}

async fn exists(
    mut guest: ComponentCaller<'_>,
    (bucket, key): (Resource<Bucket>, String),
) -> Result<(StateResult<bool>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    Ok((awaited(guest, bucket.get(key))
        .await
        .map(|entry| entry.is_some()),))
}

async fn list_keys(
    mut guest: ComponentCaller<'_>,
    (bucket, cursor): (Resource<Bucket>, Option<String>),
) -> Result<(StateResult<KeyResponse>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    Ok((awaited(guest, bucket.list(cursor))
        .await
        .map(KeyResponse::from),))
}

// === atomics ===

async fn new_swap(
    mut guest: ComponentCaller<'_>,
    (bucket, key): (Resource<Bucket>, String),
) -> Result<(StateResult<Resource<Swap>>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    Ok((
        match awaited(guest.as_context_mut(), Swap::of(bucket, key)).await {
            Ok(swap) => guest.data_mut().stores().push(swap)?,
            Err(fault) => Err(fault),
        },
    ))
}

async fn current(
    mut guest: ComponentCaller<'_>,
    (swap,): (Resource<Swap>,),
) -> Result<(StateResult<Option<Vec<u8>>>,)> {
    let swap = guest.data_mut().stores().table.get(&swap)?.clone();
    Ok((awaited(guest, swap.current()).await,))
}

async fn increment(
    mut guest: ComponentCaller<'_>,
    (bucket, key, by): (Resource<Bucket>, String, i64),
) -> Result<(StateResult<i64>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    Ok((awaited(guest, bucket.increment(key, by)).await,))
}

async fn swap(
    mut guest: ComponentCaller<'_>,
    (swap, value): (Resource<Swap>, Vec<u8>),
) -> Result<(std::result::Result<(), CasError>,)> {
    let swap = guest.data_mut().stores().take(swap)?;
    let newer = match awaited(guest.as_context_mut(), swap.set(value)).await {
        Ok(None) => return Ok((Ok(()),)),
        Ok(Some(newer)) => guest.data_mut().stores().push(newer)?,
        Err(fault) => Err(fault),
    };
    Ok((Err(
        newer.map_or_else(CasError::StoreError, CasError::CasFailed)
    ),))
}

// === batch ===

/// The entries that a batch has read, each with its key.
type BatchEntries = Vec<Option<(String, Vec<u8>)>>;

async fn get_many(
    mut guest: ComponentCaller<'_>,
    (bucket, keys): (Resource<Bucket>, Vec<String>),
) -> Result<(StateResult<BatchEntries>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    Ok((awaited(guest, bucket.get_many(keys)).await,))
}

async fn set_many(
    mut guest: ComponentCaller<'_>,
    (bucket, entries): (Resource<Bucket>, Vec<(String, Vec<u8>)>),
) -> Result<(StateResult<()>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    Ok((awaited(guest, bucket.set_many(entries)).await,))
}

async fn delete_many(
    mut guest: ComponentCaller<'_>,
    (bucket, keys): (Resource<Bucket>, Vec<String>),
) -> Result<(StateResult<()>,)> {
    let bucket = guest.data_mut().stores().bucket(&bucket)?;
    Ok((awaited(guest, bucket.delete_many(keys)).await,))
}

// === impl ComponentStores ===

impl ComponentStores {
    /// The stores that this host reaches.
    pub(crate) fn new(host: Arc<dyn HostCalls>) -> Self {
        Self {
            host,
            buckets: 0,
            swaps: 0,
        }
    }
}

// === impl StoresView ===

impl StoresView<'_> {
    /// Opens a store. An empty name is that of the default store.
    fn open(&mut self, name: &str) -> Result<StateResult<Resource<Bucket>>> {
        let store = if name.is_empty() {
            StoreName::default()
        } else {
            match name.parse() {
                Ok(store) => store,
                Err(fault) => return Ok(Err(StoreError::from(fault))),
            }
        };
        if self.stores.buckets >= BUCKETS_MAX {
            return Ok(Err(too_many("buckets", BUCKETS_MAX)));
        }
        let host = Arc::clone(&self.stores.host);
        let bucket = self.table.push(Bucket { host, store })?;
        self.stores.buckets += 1;
        Ok(Ok(bucket))
    }

    fn close(&mut self, bucket: Resource<Bucket>) -> Result<()> {
        self.table.delete(bucket)?;
        self.stores.buckets = self.stores.buckets.saturating_sub(1);
        Ok(())
    }

    fn bucket(&self, bucket: &Resource<Bucket>) -> Result<Bucket> {
        Ok(self.table.get(bucket)?.clone())
    }

    fn push(&mut self, swap: Swap) -> Result<StateResult<Resource<Swap>>> {
        if self.stores.swaps >= SWAPS_MAX {
            return Ok(Err(too_many("handles of swaps", SWAPS_MAX)));
        }
        let swap = self.table.push(swap)?;
        self.stores.swaps += 1;
        Ok(Ok(swap))
    }

    fn take(&mut self, swap: Resource<Swap>) -> Result<Swap> {
        let swap = self.table.delete(swap)?;
        self.stores.swaps = self.stores.swaps.saturating_sub(1);
        Ok(swap)
    }
}

// === impl Bucket ===

impl Bucket {
    async fn ask(&self, op: StateOp) -> StateResult<StateReply> {
        let replied = self.host.state(&self.store, op).await;
        replied.map_err(StoreError::from)
    }

    async fn get(&self, key: String) -> StateResult<Option<StateEntry>> {
        let key = StateKey::new(key)?;
        match self.ask(StateOp::Get { key }).await? {
            StateReply::Entry(entry) => Ok(entry),
            _ => Err(unexpected()),
        }
    }

    async fn set(&self, key: String, value: Vec<u8>) -> StateResult<()> {
        let op = StateOp::Set {
            key: StateKey::new(key)?,
            value: Bytes::from(value),
            ttl: None,
        };
        self.ask(op).await.map(drop)
    }

    async fn delete(&self, key: String) -> StateResult<()> {
        let key = StateKey::new(key)?;
        self.ask(StateOp::Delete { key }).await.map(drop)
    }

    async fn list(&self, cursor: Option<String>) -> StateResult<StatePage> {
        let op = StateOp::List {
            prefix: String::new(),
            cursor,
            limit: 0,
        };
        match self.ask(op).await? {
            StateReply::Keys(page) => Ok(page),
            _ => Err(unexpected()),
        }
    }

    async fn increment(&self, key: String, by: i64) -> StateResult<i64> {
        let key = StateKey::new(key)?;
        match self.ask(StateOp::Increment { key, by }).await? {
            StateReply::Number(sum) => Ok(sum),
            _ => Err(unexpected()),
        }
    }

    async fn get_many(&self, keys: Vec<String>) -> StateResult<BatchEntries> {
        check_batch(keys.len())?;
        let mut entries = Vec::with_capacity(keys.len());
        let mut left = BATCH_BYTES_MAX;
        for key in keys {
            let entry = self.get(key.clone()).await?;
            if let Some(entry) = &entry {
                left = left.checked_sub(entry.value.len()).ok_or_else(|| {
                    StoreError::Other(format!(
                        "kv_value_too_large: the values of a batch may have {BATCH_BYTES_MAX} bytes together"
                    ))
                })?;
            }
            entries.push(entry.map(|entry| (key, entry.value.into())));
        }
        Ok(entries)
    }

    async fn set_many(&self, entries: Vec<(String, Vec<u8>)>) -> StateResult<()> {
        check_batch(entries.len())?;
        for (key, value) in entries {
            self.set(key, value).await?;
        }
        Ok(())
    }

    async fn delete_many(&self, keys: Vec<String>) -> StateResult<()> {
        check_batch(keys.len())?;
        for key in keys {
            self.delete(key).await?;
        }
        Ok(())
    }
}

fn check_batch(keys: usize) -> StateResult<()> {
    if keys <= BATCH_KEYS_MAX {
        Ok(())
    } else {
        Err(too_many("keys in a batch", BATCH_KEYS_MAX))
    }
}

// === impl Swap ===

impl Swap {
    /// The handle of an entry as it is now.
    async fn of(bucket: Bucket, key: String) -> StateResult<Self> {
        let key = StateKey::new(key)?;
        let (version, value) = match bucket.ask(StateOp::Get { key: key.clone() }).await? {
            StateReply::Entry(Some(entry)) => (Some(entry.version), Some(entry.value)),
            StateReply::Entry(None) => (None, None),
            _ => return Err(unexpected()),
        };
        Ok(Self {
            bucket,
            key,
            version,
            value: value.filter(|value| value.len() <= KEPT_BYTES_MAX),
        })
    }

    /// The value. A long one is read again: if it is another one by then, its version is as well, and the swap fails.
    async fn current(self) -> StateResult<Option<Vec<u8>>> {
        match (self.version, self.value) {
            (None, _) => Ok(None),
            (Some(_), Some(value)) => Ok(Some(value.into())),
            (Some(_), None) => match self.bucket.ask(StateOp::Get { key: self.key }).await? {
                StateReply::Entry(entry) => Ok(entry.map(|entry| entry.value.into())),
                _ => Err(unexpected()),
            },
        }
    }

    /// Writes the entry if nobody has changed it; else gives the handle of what it is now.
    async fn set(self, value: Vec<u8>) -> StateResult<Option<Self>> {
        let op = StateOp::CompareAndSet {
            key: self.key.clone(),
            expected: self.version,
            value: Bytes::from(value),
            ttl: None,
        };
        match self.bucket.ask(op).await? {
            StateReply::Swapped(Some(_)) => Ok(None),
            StateReply::Swapped(None) => {
                let key = self.key.as_str().to_owned();
                Self::of(self.bucket, key).await.map(Some)
            }
            _ => Err(unexpected()),
        }
    }
}

// === impl StoreError ===

impl From<StateError> for StoreError {
    fn from(fault: StateError) -> Self {
        match fault {
            StateError::StoreName(_) => Self::NoSuchStore,
            fault => Self::Other(format!("{}: {fault}", fault.code())),
        }
    }
}

fn too_many(what: &str, count: usize) -> StoreError {
    StoreError::Other(format!("kv_too_many: at most {count} {what} at once"))
}

/// A host that answers another question has not done what it was asked for.
fn unexpected() -> StoreError {
    StoreError::Other("kv_unavailable: the stores gave an answer of another kind".to_owned())
}

// === impl KeyResponse ===

impl From<StatePage> for KeyResponse {
    fn from(page: StatePage) -> Self {
        let keys = page.keys.iter().map(|key| key.as_str().to_owned());
        Self {
            keys: keys.collect(),
            cursor: page.cursor,
        }
    }
}
