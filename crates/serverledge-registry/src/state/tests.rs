//! Stores over a registry that does something else at the moment that a test has chosen: others write, time passes,
//! an answer does not come, nothing more fits.

use std::sync::atomic::AtomicUsize;

use async_trait::async_trait;
use serverledge_core::STATE_STORES_MAX;
use serverledge_core::kv::{
    KeyValue, Lease, LeaseId, Op, RangeReply, Revision, Status, Txn, TxnReply, Watch,
};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::record::usage_value;
use super::*;
use crate::{Embedded, Options};

const NOW: u64 = 1_700_000_000_000;
/// The time that passes with each interruption.
const PASSES_MS: u64 = 10;
const WIDE: StateLimits = StateLimits {
    bytes_max: 1 << 30,
    keys_max: 100_000,
    value_bytes_max: 1 << 20,
};
const PATIENCE: Patience = Patience {
    gate: GATE_WAIT_MAX,
    write: WRITE_TIME_MAX,
};

/// A registry in memory that is interrupted.
#[derive(Debug)]
struct Interrupted {
    inner: Embedded,
    /// Before so many transactions others write to the usages, and time passes.
    defeats: AtomicUsize,
    /// After those, so many transactions get no answer and are not carried out.
    hangs: AtomicUsize,
    has_hung: Notify,
    /// Transactions that delete this key find that others were quicker; so many have.
    defended: std::sync::Mutex<Option<Bytes>>,
    defences: AtomicUsize,
    now: AtomicU64,
    gets: Gauge,
    ranges: Gauge,
    /// Most entries in one answer with values.
    range_most: AtomicUsize,
}

/// The number of reads that run at the same time.
#[derive(Debug, Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Gauge {
    async fn measure<T>(&self, work: impl Future<Output = T>) -> T {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        // Others come in between, if they may.
        tokio::task::yield_now().await;
        let result = work.await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        result
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

/// Takes one of a number, if there is one.
fn take(number: &AtomicUsize) -> bool {
    let one_less = |left: usize| left.checked_sub(1);
    number
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less)
        .is_ok()
}

impl Interrupted {
    fn new(options: &Options) -> Arc<Self> {
        Arc::new(Self {
            inner: Embedded::in_memory(options).unwrap(),
            defeats: AtomicUsize::new(0),
            hangs: AtomicUsize::new(0),
            has_hung: Notify::new(),
            defended: std::sync::Mutex::new(None),
            defences: AtomicUsize::new(0),
            now: AtomicU64::new(NOW),
            gets: Gauge::default(),
            ranges: Gauge::default(),
            range_most: AtomicUsize::new(0),
        })
    }

    /// Another writer changes all usages, to what they are.
    async fn interrupt(&self) {
        let usages = RangeRequest::prefix("state-usage/");
        for part in self.inner.range(usages).await.unwrap().entries {
            self.put(part.key, part.value).await;
        }
        self.now.fetch_add(PASSES_MS, Ordering::SeqCst);
    }

    async fn put(&self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        let txn = Txn::new().then(Op::put(key, value));
        self.inner.txn(txn).await.unwrap();
    }

    fn defends(&self, txn: &Txn) -> bool {
        let defended = self.defended.lock().unwrap();
        defended
            .as_ref()
            .is_some_and(|key| txn.then.contains(&Op::delete(key.clone())))
    }

    async fn keys(&self, prefix: impl Into<Bytes>) -> Vec<Bytes> {
        let request = RangeRequest::prefix(prefix).keys_only();
        let found = self.inner.range(request).await.unwrap().entries;
        found.into_iter().map(|entry| entry.key).collect()
    }
}

#[async_trait]
impl Kv for Interrupted {
    async fn get(&self, key: &[u8]) -> Result<Option<KeyValue>, KvError> {
        if key.starts_with(b"state/") {
            return self.gets.measure(self.inner.get(key)).await;
        }
        self.inner.get(key).await
    }

    async fn range(&self, request: RangeRequest) -> Result<RangeReply, KvError> {
        if request.keys_only || !request.span.start().starts_with(b"state/") {
            return self.inner.range(request).await;
        }
        let reply = self.ranges.measure(self.inner.range(request)).await?;
        self.range_most
            .fetch_max(reply.entries.len(), Ordering::SeqCst);
        Ok(reply)
    }

    async fn txn(&self, txn: Txn) -> Result<TxnReply, KvError> {
        if take(&self.defeats) {
            self.interrupt().await;
        } else if take(&self.hangs) {
            self.has_hung.notify_one();
            std::future::pending::<()>().await;
        }
        if self.defends(&txn) {
            self.defences.fetch_add(1, Ordering::SeqCst);
            return Ok(TxnReply {
                succeeded: false,
                replies: Vec::new(),
                revision: Revision::default(),
            });
        }
        self.inner.txn(txn).await
    }

    async fn watch(
        &self,
        prefix: &[u8],
        from: Option<Revision>,
    ) -> Result<Box<dyn Watch>, KvError> {
        self.inner.watch(prefix, from).await
    }

    async fn compact(&self, at: Revision) -> Result<(), KvError> {
        self.inner.compact(at).await
    }

    async fn lease_grant(&self, ttl: Duration) -> Result<Lease, KvError> {
        self.inner.lease_grant(ttl).await
    }

    async fn lease_keep_alive(&self, lease: LeaseId) -> Result<Duration, KvError> {
        self.inner.lease_keep_alive(lease).await
    }

    async fn lease_revoke(&self, lease: LeaseId) -> Result<(), KvError> {
        self.inner.lease_revoke(lease).await
    }

    async fn status(&self) -> Result<Status, KvError> {
        self.inner.status().await
    }
}

/// The stores of one space over such a registry.
#[derive(Debug, Clone)]
struct StoresLab {
    kv: Arc<Interrupted>,
    stores: Stores,
    space: SpaceId,
    store: StoreName,
}

impl StoresLab {
    fn new(options: &Options, patience: Patience) -> Self {
        let kv = Interrupted::new(options);
        Self {
            stores: Stores::with_patience(kv.clone(), patience),
            kv,
            space: SpaceId::new(),
            store: StoreName::default(),
        }
    }

    fn in_store(&self, name: &str) -> Self {
        Self {
            store: name.parse().unwrap(),
            ..self.clone()
        }
    }

    async fn apply(&self, op: &StateOp) -> Result<StateReply, StateError> {
        let clock = || self.kv.now.load(Ordering::SeqCst);
        self.stores
            .apply(&self.space, &self.store, op, &WIDE, &clock)
            .await
    }

    async fn set(&self, name: &str, value: &[u8], ttl_ms: Option<u64>) -> StateVersion {
        match self.apply(&set(name, value, ttl_ms)).await {
            Ok(StateReply::Written(version)) => version,
            other => panic!("{other:?}"),
        }
    }

    async fn value(&self, name: &str) -> Option<Bytes> {
        match self.apply(&StateOp::Get { key: key(name) }).await {
            Ok(StateReply::Entry(entry)) => entry.map(|entry| entry.value),
            other => panic!("{other:?}"),
        }
    }

    async fn clear(&self) -> Result<u64, StateError> {
        self.stores.clear(&self.space, &self.store).await
    }
}

impl Default for StoresLab {
    fn default() -> Self {
        Self::new(&Options::default(), PATIENCE)
    }
}

fn key(text: &str) -> StateKey {
    StateKey::new(text).unwrap()
}

fn set(name: &str, value: &[u8], ttl_ms: Option<u64>) -> StateOp {
    StateOp::Set {
        key: key(name),
        value: Bytes::copy_from_slice(value),
        ttl: ttl_ms.map(Duration::from_millis),
    }
}

#[tokio::test]
async fn a_lifetime_begins_with_the_attempt_that_writes_it() {
    let lab = StoresLab::default();
    lab.set("k", b"old", None).await;
    lab.kv.defeats.store(1, Ordering::SeqCst);
    lab.set("k", b"new", Some(5)).await;
    let written_at = NOW + PASSES_MS;
    assert_eq!(lab.kv.now.load(Ordering::SeqCst), written_at);
    lab.kv.now.store(written_at + 4, Ordering::SeqCst);
    assert_eq!(lab.value("k").await.unwrap(), "new");
    lab.kv.now.store(written_at + 5, Ordering::SeqCst);
    assert_eq!(lab.value("k").await, None);
}

#[tokio::test]
async fn an_entry_that_ends_while_a_swap_waits_is_not_swapped() {
    let lab = StoresLab::default();
    let version = lab.set("k", b"old", Some(PASSES_MS)).await;
    lab.kv.defeats.store(1, Ordering::SeqCst);
    let swap = StateOp::CompareAndSet {
        key: key("k"),
        expected: Some(version),
        value: "new".into(),
        ttl: None,
    };
    let swapped = lab.apply(&swap).await;
    assert!(
        matches!(swapped, Ok(StateReply::Swapped(None))),
        "{swapped:?}"
    );
    assert_eq!(lab.value("k").await, None);
}

#[tokio::test]
async fn nobody_waits_at_a_gate_for_long() {
    let patience = Patience {
        gate: Duration::from_millis(20),
        ..PATIENCE
    };
    let lab = StoresLab::new(&Options::default(), patience);
    lab.set("k", b"old", None).await;
    // The first one loses, passes the gate, and gets no answer.
    lab.kv.defeats.store(1, Ordering::SeqCst);
    lab.kv.hangs.store(1, Ordering::SeqCst);
    let mut first = JoinSet::new();
    let writer = lab.clone();
    first.spawn(async move { writer.set("k", b"first", None).await });
    lab.kv.has_hung.notified().await;
    lab.kv.defeats.store(1, Ordering::SeqCst);
    let second = lab.apply(&set("k", b"second", None)).await;
    assert!(
        matches!(&second, Err(StateError::Contended(key)) if key == "k"),
        "{second:?}"
    );
    assert_eq!(lab.value("k").await.unwrap(), "old");
    // The gate is free again when the one behind it has gone.
    first.shutdown().await;
    lab.kv.defeats.store(1, Ordering::SeqCst);
    lab.set("k", b"third", None).await;
    assert_eq!(lab.value("k").await.unwrap(), "third");
}

#[tokio::test]
async fn a_write_is_not_tried_for_ever() {
    let patience = Patience {
        write: Duration::ZERO,
        ..PATIENCE
    };
    let lab = StoresLab::new(&Options::default(), patience);
    lab.set("k", b"old", None).await;
    lab.kv.defeats.store(2, Ordering::SeqCst);
    let late = lab.apply(&set("k", b"new", None)).await;
    assert!(matches!(late, Err(StateError::Contended(_))), "{late:?}");
    let left = lab.kv.defeats.load(Ordering::SeqCst);
    assert_eq!(left, 1, "there was one attempt");
    assert_eq!(lab.value("k").await.unwrap(), "old");
}

#[tokio::test]
async fn a_store_that_others_write_to_is_cleared_as_far_as_it_goes() {
    const ENTRIES: usize = 400;
    let lab = StoresLab::default();
    for number in 0..ENTRIES {
        lab.set(&format!("{number:03}"), b"v", None).await;
    }
    let defended = keys::state(&lab.space, &lab.store, &key("000"));
    *lab.kv.defended.lock().unwrap() = Some(defended.clone());
    let cleared = lab.clear().await;
    assert!(
        matches!(cleared, Err(StateError::Contended(_))),
        "{cleared:?}"
    );
    let defences = lab.kv.defences.load(Ordering::SeqCst);
    assert_eq!(defences, 64, "each round tries once");
    // At most those that a transaction takes together with it; all that come later are gone.
    let left = lab.kv.keys("state/").await;
    assert!(left.contains(&defended) && left.len() <= 40, "{left:?}");
    let second_page = keys::state(&lab.space, &lab.store, &key("256"));
    assert!(left.iter().all(|key| *key < second_page), "{left:?}");
    *lab.kv.defended.lock().unwrap() = None;
    assert_eq!(lab.clear().await.unwrap(), left.len() as u64);
    assert_eq!(
        lab.stores.usage(&lab.space).await.unwrap(),
        StateUsage::default()
    );
}

#[tokio::test]
async fn few_values_are_in_memory_at_the_same_time() {
    let lab = StoresLab::default();
    let other = lab.in_store("other");
    for number in 0..200 {
        lab.set(&format!("{number}"), b"v", None).await;
        other.set(&format!("{number}"), b"v", Some(1)).await;
    }
    assert_eq!(
        lab.kv.gets.most(),
        1,
        "the gauge has seen what came one by one"
    );
    let (one, two) = tokio::join!(lab.stores.sweep(NOW + 1), lab.stores.sweep(NOW + 1));
    assert_eq!(one.unwrap() + two.unwrap(), 200);
    assert_eq!(lab.kv.gets.most(), 16);
    for number in 0..100 {
        other.set(&format!("{number}"), b"v", None).await;
    }
    let (one, two) = tokio::join!(lab.clear(), other.clear());
    assert_eq!((one.unwrap(), two.unwrap()), (200, 100));
    let most = lab.kv.range_most.load(Ordering::SeqCst);
    assert_eq!((lab.kv.ranges.most(), most), (1, 32));
}

#[tokio::test]
async fn a_sweep_goes_on_behind_what_it_cannot_read() {
    const DAMAGED: u64 = 300;
    let lab = StoresLab::default();
    for number in 0..DAMAGED {
        let key = key(&format!("damaged/{number}"));
        lab.kv
            .put(keys::state(&lab.space, &lab.store, &key), "?")
            .await;
        let end = keys::state_expiry(NOW, &lab.space, &lab.store, &key);
        lab.kv.put(end, "").await;
    }
    // An entry that can be read, and a usage that cannot.
    let damaged = StoresLab {
        space: SpaceId::new(),
        ..lab.clone()
    };
    damaged.set("k", b"v", Some(1)).await;
    let parts = lab.kv.keys(keys::state_usage_of(&damaged.space)).await;
    assert_eq!(parts.len(), 1);
    for part in parts {
        lab.kv.put(part, "?").await;
    }
    lab.set("good", b"v", Some(2)).await;
    lab.set("later", b"v", Some(3)).await;
    assert_eq!(lab.stores.unreadable(), 0);
    assert_eq!(lab.stores.sweep(NOW + 2).await.unwrap(), 1);
    assert_eq!(lab.stores.unreadable(), DAMAGED + 1);
    let left = lab.kv.keys("state-expiry/").await.len() as u64;
    assert_eq!(left, DAMAGED + 2);
    // The next one begins with the oldest.
    let mended = keys::state(&lab.space, &lab.store, &key("damaged/0"));
    let entry = StoredEntry {
        value: Bytes::new(),
        expires_unix_ms: Some(NOW + 9),
    };
    lab.kv.put(mended, entry.to_value()).await;
    assert_eq!(lab.stores.sweep(NOW + 2).await.unwrap(), 0);
    assert_eq!(lab.stores.unreadable(), DAMAGED);
    let left = lab.kv.keys("state-expiry/").await.len() as u64;
    assert_eq!(left, DAMAGED + 1, "an end that led to another one is gone");
}

#[tokio::test]
async fn a_space_has_so_many_stores() {
    let lab = StoresLab::default();
    lab.set("k", b"v", None).await;
    let usage = usage_value(StateUsage { bytes: 2, keys: 1 });
    for number in 1..STATE_STORES_MAX {
        let store = format!("s{number}").parse().unwrap();
        let part = keys::state_store(&lab.space, &store, 0);
        lab.kv.put(part, usage.clone()).await;
    }
    let new = lab.in_store("new");
    let refused = new.apply(&set("k", b"v", None)).await;
    assert!(
        matches!(refused, Err(StateError::FullOfStores)),
        "{refused:?}"
    );
    assert_eq!(new.value("k").await, None);
    // In those that are there, everything goes on, in every part of them.
    for number in 0..64 {
        lab.set(&format!("{number}"), b"v", None).await;
    }
    let other = StoresLab {
        space: SpaceId::new(),
        ..new.clone()
    };
    other.set("k", b"v", None).await;
    assert_eq!(lab.clear().await.unwrap(), 65);
    new.set("k", b"v", None).await;
    assert_eq!(new.value("k").await.unwrap(), "v");
}

/// Fills a store until it does not take another key.
async fn fill(kv: &Interrupted) {
    let mut number = 0;
    for bytes in [100_000, 1_000, 0] {
        loop {
            number += 1;
            let put = Op::put(format!("fill/{number}"), vec![0_u8; bytes]);
            match kv.inner.txn(Txn::new().then(put)).await {
                Ok(_) => {}
                Err(KvError::RegistryFull) => break,
                Err(other) => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_full_registry_can_be_mended() {
    let options = Options {
        bytes_max: 4_000_000,
        ..Options::default()
    };
    let lab = StoresLab::new(&options, PATIENCE);
    let other = lab.in_store("other");
    let doomed = StoresLab {
        space: SpaceId::new(),
        ..lab.clone()
    };
    for number in 0..10 {
        lab.set(&format!("{number}"), b"value", None).await;
        lab.set(&format!("ends/{number}"), b"value", Some(1)).await;
        other.set(&format!("{number}"), b"value", None).await;
        doomed.set(&format!("{number}"), b"value", Some(1000)).await;
    }
    fill(&lab.kv).await;
    // The history of what follows is too short for the registry to forget it, so it stays full.
    let is_full = async || {
        let new = lab.apply(&set("new", b"value", None)).await;
        assert!(matches!(new, Err(StateError::RegistryFull)), "{new:?}");
        assert_eq!(new.unwrap_err().code(), "registry_full");
    };
    is_full().await;
    let grown = lab.apply(&set("0", b"value that is longer", None)).await;
    assert!(matches!(grown, Err(StateError::RegistryFull)), "{grown:?}");
    lab.set("0", b"other", None).await;
    lab.set("1", b"", None).await;
    assert_eq!(lab.value("0").await.unwrap(), "other");
    is_full().await;
    let deleted = lab.apply(&StateOp::Delete { key: key("2") }).await;
    assert!(
        matches!(deleted, Ok(StateReply::Deleted(true))),
        "{deleted:?}"
    );
    is_full().await;
    assert_eq!(other.clear().await.unwrap(), 10);
    is_full().await;
    assert_eq!(lab.stores.sweep(NOW + 1).await.unwrap(), 10);
    is_full().await;
    doomed.stores.remove_space(&doomed.space).await.unwrap();
    let keys = lab.kv.keys("state").await;
    let theirs = |key: &Bytes| String::from_utf8_lossy(key).contains(doomed.space.as_str());
    assert!(!keys.iter().any(theirs), "{keys:?}");
    is_full().await;
    let usage = lab.stores.usage(&lab.space).await.unwrap();
    // "0" to "9" without "2"; one is empty.
    let due = StateUsage {
        bytes: 9 + 8 * 5,
        keys: 9,
    };
    assert_eq!(usage, due);
}
