//! The stores on a registry in memory: limits, counts, and the sweep.

use serverledge_core::StateKey;
use serverledge_core::kv::{Op, RangeRequest, Txn};
use serverledge_registry::{Embedded, Options};

use super::*;
use crate::background::Background;

/// Longest wait of a test for an expected event.
const WAIT_MAX: Duration = Duration::from_secs(60);

struct StateLab {
    kv: Arc<dyn Kv>,
    state: Arc<StateService>,
    metrics: Arc<Metrics>,
    space: SpaceId,
    store: StoreName,
}

impl StateLab {
    fn new(config: &StateConfig) -> Self {
        Self::in_registry(config, &Options::default())
    }

    fn in_registry(config: &StateConfig, options: &Options) -> Self {
        let kv: Arc<dyn Kv> = Arc::new(Embedded::in_memory(options).unwrap());
        let metrics = Arc::new(Metrics::new("ROME").unwrap());
        let state = StateService::new(config, &kv, Arc::clone(&metrics));
        Self {
            kv,
            state: Arc::new(state),
            metrics,
            space: SpaceId::new(),
            store: StoreName::default(),
        }
    }

    async fn set(&self, key: &str, value: &'static str) -> Result<StateReply, StateError> {
        let op = set(key, value, None);
        self.apply(op).await
    }

    async fn apply(&self, op: StateOp) -> Result<StateReply, StateError> {
        self.state.kv(&self.space, &self.store, op).await
    }

    /// Writes entries whose time was over an hour ago.
    async fn set_expired(&self, number: usize) {
        for i in 0..number {
            let op = set(&format!("expired-{i}"), "v", Some(Duration::from_secs(1)));
            let then = || unix_ms() - 3_600_000;
            let written =
                self.state
                    .stores
                    .apply(&self.space, &self.store, &op, &self.state.limits, &then);
            written.await.unwrap();
        }
    }

    /// Number of keys in the registry that begin so.
    async fn keys(&self, prefix: &'static str) -> usize {
        let request = RangeRequest::prefix(prefix).keys_only();
        self.kv.range(request).await.unwrap().entries.len()
    }

    fn total(&self, operation: &str, outcome: &str) -> u64 {
        self.metrics.state.total(operation, outcome)
    }
}

fn key(text: &str) -> StateKey {
    StateKey::new(text).unwrap()
}

fn set(text: &str, value: &'static str, ttl: Option<Duration>) -> StateOp {
    StateOp::Set {
        key: key(text),
        value: value.into(),
        ttl,
    }
}

fn config() -> StateConfig {
    StateConfig {
        bytes_max: 1 << 20,
        keys_max: 1000,
        value_bytes_max: 1024,
        writes_per_second: 0,
        write_bytes_per_second: 0,
    }
}

#[tokio::test]
async fn the_configured_limits_hold_and_are_counted() {
    let lab = StateLab::new(&StateConfig {
        bytes_max: 100,
        keys_max: 2,
        value_bytes_max: 10,
        ..config()
    });
    let long = lab.set("a", "eleven byte").await;
    assert!(matches!(long, Err(StateError::ValueTooLarge { .. })));
    lab.set("a", "1").await.unwrap();
    lab.set("b", "2").await.unwrap();
    let third = lab.set("c", "3").await;
    assert!(matches!(third, Err(StateError::FullOfKeys { .. })));
    assert_eq!(
        (lab.total("set", "ok"), lab.total("set", "refused")),
        (2, 2)
    );
}

#[tokio::test]
async fn a_space_that_writes_too_fast_may_still_read() {
    let lab = StateLab::new(&StateConfig {
        writes_per_second: 1,
        ..config()
    });
    // On a slow machine some seconds may pass before.
    let refused = loop {
        if let Err(error) = lab.set("a", "1").await {
            break error;
        }
    };
    assert!(matches!(refused, StateError::TooFast { per_second: 1 }));
    assert!(lab.total("set", "ok") > 0);
    assert_eq!(lab.total("set", "refused"), 1);
    let read = lab.apply(StateOp::Get { key: key("a") });
    assert!(matches!(read.await, Ok(StateReply::Entry(Some(_)))));
}

/// However often one entry is overwritten: the registry keeps what was there before.
#[tokio::test(start_paused = true)]
async fn a_space_that_writes_too_many_bytes_waits_for_its_share() {
    let lab = StateLab::new(&StateConfig {
        write_bytes_per_second: 64,
        ..config()
    });
    // The longest entry fits once.
    let longest: &'static str = "x".repeat(1024).leak();
    lab.set("a", longest).await.unwrap();
    let refused = lab.set("a", longest).await.unwrap_err();
    assert!(matches!(
        refused,
        StateError::TooManyBytes {
            bytes_per_second: 64
        }
    ));
    assert_eq!(refused.code(), "kv_too_fast");
    assert_eq!(
        (lab.total("set", "ok"), lab.total("set", "refused")),
        (1, 1)
    );
    let read = lab.apply(StateOp::Get { key: key("a") });
    assert!(matches!(read.await, Ok(StateReply::Entry(Some(_)))));
    tokio::time::advance(Duration::from_secs(20)).await;
    lab.set("a", longest).await.unwrap();
}

/// Stores leave room for deploys and asynchronous calls. Deletions go on.
#[tokio::test(start_paused = true)]
async fn stores_do_not_fill_the_registry() {
    const BYTES_MAX: u64 = 1_000_000;
    let options = Options {
        bytes_max: BYTES_MAX,
        ..Options::default()
    };
    let lab = StateLab::in_registry(&config(), &options);
    lab.set("a", "1").await.unwrap();
    for i in 0..17 {
        let filling = Op::put(format!("filling/{i}"), vec![0_u8; 50_000]);
        lab.kv.txn(Txn::new().then(filling)).await.unwrap();
    }
    tokio::time::advance(Duration::from_secs(1)).await;
    let swap = StateOp::CompareAndSet {
        key: key("b"),
        expected: None,
        value: "1".into(),
        ttl: None,
    };
    let increment = StateOp::Increment {
        key: key("a"),
        by: 1,
    };
    for op in [set("a", "2", None), swap, increment.clone()] {
        let refused = lab.apply(op).await.unwrap_err();
        assert_eq!(refused.code(), "registry_full");
        let StateError::RegistryCrowded { bytes, bytes_max } = refused else {
            panic!("{refused:?}")
        };
        assert!(
            bytes > BYTES_MAX / 5 * 4 && bytes_max == BYTES_MAX,
            "{bytes}"
        );
    }
    assert_eq!(lab.total("increment", "refused"), 1);
    let read = lab.apply(StateOp::Get { key: key("a") });
    assert!(matches!(read.await, Ok(StateReply::Entry(Some(_)))));
    let deleted = lab.apply(StateOp::Delete { key: key("a") }).await;
    assert!(matches!(deleted, Ok(StateReply::Deleted(true))));

    let all = Txn::new().then(Op::delete_prefix("filling/"));
    let emptied = lab.kv.txn(all).await.unwrap().revision;
    // Refused if the registry has forgotten them by itself.
    let _forgotten = lab.kv.compact(emptied).await;
    while lab.kv.status().await.unwrap().bytes_in_use > BYTES_MAX / 2 {
        // Each turn sweeps a part of them.
        lab.kv.txn(Txn::new().then(Op::get("a"))).await.unwrap();
    }
    // The look of a moment ago counts.
    assert!(lab.apply(increment.clone()).await.is_err());
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(lab.apply(increment).await.unwrap(), StateReply::Number(1));
}

#[tokio::test]
async fn clients_see_the_stores_of_a_space_and_clear_them() {
    let lab = StateLab::new(&config());
    lab.set("a", "1").await.unwrap();
    let other: StoreName = "carts".parse().unwrap();
    for key in ["b", "c"] {
        lab.state
            .kv(&lab.space, &other, set(key, "22", None))
            .await
            .unwrap();
    }
    let seen = lab.state.kv_stores(&lab.space).await.unwrap();
    let usage = |bytes, keys| StateUsage { bytes, keys };
    let stores = vec![
        (other.clone(), usage(6, 2)),
        (lab.store.clone(), usage(2, 1)),
    ];
    let expected = KvStores {
        stores,
        usage: usage(8, 3),
        limits: lab.state.limits,
    };
    assert_eq!(seen, expected);
    assert_eq!(lab.state.kv_clear(&lab.space, &other).await.unwrap(), 2);
    let left = lab.state.kv_stores(&lab.space).await.unwrap();
    assert_eq!(left.usage, usage(2, 1));
    let nobodys = lab.state.kv_stores(&SpaceId::new()).await.unwrap();
    assert_eq!((nobodys.stores, nobodys.usage), (vec![], usage(0, 0)));
    assert_eq!(
        (lab.total("stores", "ok"), lab.total("clear", "ok")),
        (3, 1)
    );
}

#[tokio::test]
async fn a_sweep_goes_on_until_nothing_is_over() {
    let lab = StateLab::new(&config());
    lab.set("stays", "v").await.unwrap();
    lab.set_expired(600).await;
    assert_eq!(lab.keys("state/").await, 601);
    // Several nodes sweep at the same time.
    let (one, other) = tokio::join!(lab.state.sweep(), lab.state.sweep());
    one.and(other).unwrap();
    assert_eq!(
        (lab.keys("state/").await, lab.keys("state-expiry/").await),
        (1, 0)
    );
    let usage = lab.state.kv_stores(&lab.space).await.unwrap().usage;
    assert_eq!(usage, StateUsage { bytes: 6, keys: 1 });
}

#[tokio::test]
async fn the_sweeper_begins_at_once_and_ends_with_the_node() {
    let lab = StateLab::new(&config());
    lab.set_expired(3).await;
    let background = Background::default();
    let sweeper = Arc::clone(&lab.state);
    background.spawn(async move { sweeper.sweep_forever().await });
    let swept = async {
        while lab.keys("state/").await > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(WAIT_MAX, swept).await.unwrap();
    background.stop().await;
    assert_eq!(Arc::strong_count(&lab.state), 1, "nothing is left of it");
}
