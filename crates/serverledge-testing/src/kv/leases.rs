//! Leases: they end, are kept alive, revoked, and let keys go.

use std::sync::Arc;
use std::time::Duration;

use serverledge_core::kv::{Event, Kv, KvError, LEASE_TTL_MIN, Lease, LeaseId, Op, Txn};
use tokio::time::Instant;

use super::{Fixture, WAIT_MAX, together};

/// So long that a slow machine has bound its keys before.
const TTL: Duration = Duration::from_secs(10);

pub(super) async fn check(make: &impl AsyncFn() -> Arc<dyn Kv>) {
    revoking_deletes(&Fixture::new(make, "revoke").await).await;
    unknown_leases_are_refused(&Fixture::new(make, "unknown").await).await;
    let end = Fixture::new(make, "end").await;
    let keep = Fixture::new(make, "keep").await;
    let rebind = Fixture::new(make, "rebind").await;
    together([
        Box::pin(leases_end(end)) as std::pin::Pin<Box<dyn Future<Output = ()> + Send>>,
        Box::pin(kept_leases_live(keep)),
        Box::pin(keys_change_leases(rebind)),
    ])
    .await;
}

async fn grant(f: &Fixture) -> Lease {
    f.kv.lease_grant(TTL).await.expect("a lease")
}

async fn bind(f: &Fixture, name: &str, lease: LeaseId) {
    f.txn(Txn::new().then(Op::put_leased(f.key(name), "leased", lease)))
        .await;
}

/// Waits for one batch that deletes exactly these keys, in one revision.
async fn deleted(f: &Fixture, follower: &mut super::Follower) -> Vec<String> {
    let events = follower.next().await;
    assert!(
        events
            .iter()
            .all(|event| matches!(event, Event::Delete { .. })),
        "{events:?}"
    );
    assert!(
        events
            .iter()
            .all(|event| event.revision() == events[0].revision()),
        "one revision: {events:?}"
    );
    let mut names: Vec<_> = events.iter().map(|event| f.name(event.key())).collect();
    names.sort();
    names
}

async fn leases_end(f: Fixture) {
    let begun = Instant::now();
    let lease = grant(&f).await;
    assert!(lease.ttl >= TTL && lease.ttl < WAIT_MAX);
    bind(&f, "a", lease.id).await;
    bind(&f, "b", lease.id).await;
    f.put("c", "not leased").await;
    assert_eq!(
        f.get("a").await.and_then(|entry| entry.lease),
        Some(lease.id)
    );
    let mut follower = f.watch(None).await;
    assert_eq!(deleted(&f, &mut follower).await, ["a", "b"]);
    assert!(begun.elapsed() >= TTL, "the lease ended early");
    assert_eq!(
        f.pairs(f.all()).await,
        [("c".to_owned(), "not leased".to_owned())]
    );
    let late = f.kv.lease_keep_alive(lease.id).await;
    assert!(
        matches!(late, Err(KvError::LeaseUnknown { .. })),
        "{late:?}"
    );
}

async fn kept_leases_live(f: Fixture) {
    let kept = grant(&f).await;
    let begun = Instant::now();
    let left = grant(&f).await;
    bind(&f, "kept", kept.id).await;
    // The other lease tells the time: its key goes once while this one is kept alive for longer than its time.
    bind(&f, "left", left.id).await;
    let mut follower = f.watch(None).await;
    let keeper = async {
        loop {
            assert_eq!(
                f.kv.lease_keep_alive(kept.id)
                    .await
                    .expect("the lease lives"),
                kept.ttl
            );
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let names = tokio::select! {
        () = keeper => Vec::new(),
        names = deleted(&f, &mut follower) => names,
    };
    assert_eq!(names, ["left"]);
    assert!(begun.elapsed() >= TTL);
    assert_eq!(f.value("kept").await.as_deref(), Some("leased"));
    assert_eq!(
        deleted(&f, &mut follower).await,
        ["kept"],
        "a lease that is no longer kept alive ends"
    );
}

async fn keys_change_leases(f: Fixture) {
    let first = grant(&f).await;
    let second = f.kv.lease_grant(WAIT_MAX * 10).await.expect("a lease");
    for name in ["freed", "moved", "left", "deleted"] {
        bind(&f, name, first.id).await;
    }
    f.put("freed", "not leased").await;
    bind(&f, "moved", second.id).await;
    f.delete("deleted").await;
    let recreated = f.put("deleted", "again").await;
    let mut follower = f.watch(Some(recreated.next())).await;
    assert_eq!(deleted(&f, &mut follower).await, ["left"]);
    assert_eq!(f.get("freed").await.expect("the key").lease, None);
    assert_eq!(
        f.get("moved").await.expect("the key").lease,
        Some(second.id)
    );
    f.kv.lease_revoke(second.id).await.expect("a revocation");
    assert_eq!(f.get("moved").await, None);
}

async fn revoking_deletes(f: &Fixture) {
    let lease = grant(f).await;
    bind(f, "a", lease.id).await;
    bind(f, "b", lease.id).await;
    let mut follower = f.watch(None).await;
    f.kv.lease_revoke(lease.id).await.expect("a revocation");
    assert_eq!(f.get("a").await, None);
    assert_eq!(deleted(f, &mut follower).await, ["a", "b"]);
    let empty = grant(f).await;
    let before = f.revision().await;
    f.kv.lease_revoke(empty.id).await.expect("a revocation");
    assert_eq!(
        f.revision().await,
        before,
        "a lease without keys makes no revision"
    );
}

async fn unknown_leases_are_refused(f: &Fixture) {
    let lease = grant(f).await.id;
    f.kv.lease_revoke(lease).await.expect("a revocation");
    assert!(matches!(
        f.kv.lease_revoke(lease).await,
        Err(KvError::LeaseUnknown { .. })
    ));
    assert!(matches!(
        f.kv.lease_keep_alive(lease).await,
        Err(KvError::LeaseUnknown { .. })
    ));
    let bind = Txn::new().then(Op::put_leased(f.key("k"), "x", lease));
    assert!(matches!(
        f.try_txn(bind).await,
        Err(KvError::LeaseUnknown { .. })
    ));
    let raised =
        f.kv.lease_grant(Duration::from_millis(1))
            .await
            .expect("a lease");
    assert!(raised.ttl >= LEASE_TTL_MIN);
    f.kv.lease_revoke(raised.id).await.expect("a revocation");
}
