//! The conformance suite of [`Kv`]: the duties of every implementation. Called from the tests of each implementation
//! with a way to make a store; the store may be shared and full of other things, since each check works under a prefix
//! of its own.
//!
//! Checks run one after the other, because compaction concerns the whole store; those of leases, which wait for
//! seconds, run together. A failing check panics.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serverledge_core::kv::{
    Event, KeyValue, Kv, KvError, Op, RangeRequest, Revision, Txn, TxnReply, Watch, WatchError,
};
use tokio::task::JoinSet;

mod leases;
mod ranges;
mod transactions;
mod watches;

/// The longest time that a check waits for an event: far longer than any lease here, so that a slow machine passes.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Runs all checks; `make` gives the store of each.
///
/// # Panics
/// If the store does not conform.
pub async fn conforms(make: impl AsyncFn() -> Arc<dyn Kv>) {
    transactions::check(&make).await;
    ranges::check(&make).await;
    watches::check(&make).await;
    leases::check(&make).await;
}

/// A store with the prefix of one check.
#[derive(Debug, Clone)]
struct Fixture {
    kv: Arc<dyn Kv>,
    prefix: String,
}

impl Fixture {
    async fn new(make: &impl AsyncFn() -> Arc<dyn Kv>, check: &str) -> Self {
        let kv = make().await;
        let revision = kv.status().await.expect("a status").revision;
        Self {
            kv,
            prefix: format!("conformance/{check}-{revision}/"),
        }
    }

    fn key(&self, name: &str) -> Bytes {
        format!("{}{name}", self.prefix).into()
    }

    async fn try_txn(&self, txn: Txn) -> Result<TxnReply, KvError> {
        self.kv.txn(txn).await
    }

    async fn txn(&self, txn: Txn) -> TxnReply {
        self.try_txn(txn).await.expect("a transaction")
    }

    async fn put(&self, name: &str, value: &str) -> Revision {
        self.txn(Txn::new().then(Op::put(self.key(name), value.to_owned())))
            .await
            .revision
    }

    async fn delete(&self, name: &str) -> Revision {
        self.txn(Txn::new().then(Op::delete(self.key(name))))
            .await
            .revision
    }

    async fn get(&self, name: &str) -> Option<KeyValue> {
        self.kv.get(&self.key(name)).await.expect("a read")
    }

    async fn value(&self, name: &str) -> Option<String> {
        self.get(name).await.map(|entry| text(&entry.value))
    }

    fn all(&self) -> RangeRequest {
        RangeRequest::prefix(self.prefix.clone())
    }

    /// The names (without the prefix) and values of a range.
    async fn pairs(&self, request: RangeRequest) -> Vec<(String, String)> {
        let reply = self.kv.range(request).await.expect("a range");
        reply
            .entries
            .iter()
            .map(|entry| (self.name(&entry.key), text(&entry.value)))
            .collect()
    }

    fn name(&self, key: &[u8]) -> String {
        text(key)
            .strip_prefix(&self.prefix)
            .expect("a key of this check")
            .to_owned()
    }

    async fn watch(&self, from: Option<Revision>) -> Follower {
        let watch = self
            .kv
            .watch(self.prefix.as_bytes(), from)
            .await
            .expect("a watch");
        Follower {
            watch,
            fixture: self.clone(),
        }
    }

    async fn revision(&self) -> Revision {
        self.kv.status().await.expect("a status").revision
    }
}

/// A watch of a check's prefix.
struct Follower {
    watch: Box<dyn Watch>,
    fixture: Fixture,
}

impl Follower {
    async fn try_next(&mut self) -> Result<Vec<Event>, WatchError> {
        tokio::time::timeout(WAIT_MAX, self.watch.next())
            .await
            .expect("events did not come in time")
    }

    async fn next(&mut self) -> Vec<Event> {
        let events = self.try_next().await.expect("events");
        assert!(!events.is_empty(), "a batch has at least one event");
        assert!(
            events.is_sorted_by_key(Event::revision),
            "events are in the order of revisions"
        );
        events
    }

    /// Collects batches until there are `count` events, as text: `name=value@revision` or `-name@revision`.
    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut events = Vec::new();
        while events.len() < count {
            events.extend(self.next().await);
        }
        events.iter().map(|event| self.show(event)).collect()
    }

    fn show(&self, event: &Event) -> String {
        let name = self.fixture.name(event.key());
        let revision = event.revision();
        match event {
            Event::Put(entry) => format!("{name}={}@{revision}", text(&entry.value)),
            Event::Delete { .. } => format!("-{name}@{revision}"),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("these checks write text")
}

/// Runs futures together; panics if one did.
async fn together(futures: impl IntoIterator<Item = impl Future<Output = ()> + Send + 'static>) {
    let mut tasks = JoinSet::new();
    for future in futures {
        tasks.spawn(future);
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("a concurrent part of the check failed");
    }
}
