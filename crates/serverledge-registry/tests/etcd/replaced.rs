//! Another store in the place of the one before: everything that was learnt is void, and that is told.

use serverledge_core::kv::{Kv, KvError, LEASE_TTL_MIN, RangeRequest, Revision, WatchError};
use serverledge_testing::etcd_process::{EtcdProcess, wait_for};

use super::{next, store, values, write};

#[tokio::test]
async fn a_wiped_etcd_forces_everything_to_be_read_anew() {
    let mut etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    for i in 0..20 {
        write(&kv, "k", &i.to_string()).await;
    }
    let mut watch = kv.watch(b"", None).await.unwrap();
    let newest = write(&kv, "k", "last").await;
    assert_eq!(values(&mut watch, 1).await, ["last"]);
    let lease = kv.lease_grant(LEASE_TTL_MIN * 100).await.unwrap();
    let before = kv.status().await.unwrap();
    etcd.restart_empty().await;

    let error = next(&mut watch).await.unwrap_err();
    assert!(
        matches!(error, WatchError::Compacted(at) if at < newest),
        "{error:?}"
    );
    let after = kv.status().await.unwrap();
    assert_ne!(after.cluster, before.cluster);
    assert!(after.revision < before.revision);
    assert_eq!(*kv.replacements().borrow(), 1);
    assert!(matches!(
        kv.lease_keep_alive(lease.id).await,
        Err(KvError::LeaseUnknown { .. })
    ));
    let old = kv.range(RangeRequest::prefix("").at(newest)).await;
    assert!(
        matches!(old, Err(KvError::FutureRevision { .. })),
        "{old:?}"
    );

    // A position from the store before does not wait for ever.
    let error = next(&mut kv.watch(b"", Some(newest.next())).await.unwrap())
        .await
        .unwrap_err();
    assert!(matches!(error, WatchError::Compacted { .. }), "{error:?}");
    let mut watch = kv.watch(b"", None).await.unwrap();
    write(&kv, "k", "new").await;
    assert_eq!(values(&mut watch, 1).await, ["new"]);
}

/// The new store is already further than the old one was: its revision tells nothing.
#[tokio::test]
async fn a_wiped_etcd_that_has_caught_up_is_noticed() {
    let mut etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    let newest = write(&kv, "k", "old").await;
    let mut watch = kv.watch(b"", Some(newest)).await.unwrap();
    assert_eq!(values(&mut watch, 1).await, ["old"]);
    etcd.restart_empty().await;
    let other = store(&etcd);
    wait_for("the new store to catch up", async || {
        write(&other, "k", "new").await > Revision::new(newest.get() + 5)
    })
    .await;
    let error = next(&mut watch).await.unwrap_err();
    assert!(matches!(error, WatchError::Compacted { .. }), "{error:?}");
    assert_eq!(*kv.replacements().borrow(), 1);
}

/// Any request notices, not only watches.
#[tokio::test]
async fn reads_notice_a_revision_that_went_back() {
    let mut etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    for i in 0..5 {
        write(&kv, "k", &i.to_string()).await;
    }
    let mut replacements = kv.replacements();
    etcd.restart_empty().await;
    assert_eq!(kv.get(b"k").await.unwrap(), None);
    assert!(replacements.has_changed().unwrap());
    assert_eq!(*replacements.borrow_and_update(), 1);
}
