//! A full etcd refuses writes, says so, and takes them again without anything being opened anew.

use serverledge_core::kv::{Kv, KvError, LEASE_TTL_MIN, Op, Txn};
use serverledge_registry::{Etcd, EtcdOptions};
use serverledge_testing::etcd_process::{EtcdProcess, EtcdSettings};

use super::{options, put, values, write};

const QUOTA: u64 = 16 * 1024 * 1024;

#[tokio::test]
async fn a_full_etcd_recovers_without_reopening() {
    let etcd = EtcdProcess::start_with(EtcdSettings {
        quota_bytes: Some(QUOTA),
        tls: false,
    })
    .await;
    let kv = Etcd::new(EtcdOptions {
        quota_bytes: Some(QUOTA),
        ..options(&etcd)
    })
    .unwrap();
    let mut watch = kv.watch(b"", None).await.unwrap();
    write(&kv, "k", "1").await;
    assert_eq!(values(&mut watch, 1).await, ["1"]);
    let lease = kv.lease_grant(LEASE_TTL_MIN * 100).await.unwrap();
    etcd.fill().await;

    assert!(matches!(
        kv.txn(put("k", "2")).await,
        Err(KvError::RegistryFull)
    ));
    assert!(matches!(
        kv.lease_grant(LEASE_TTL_MIN).await,
        Err(KvError::RegistryFull)
    ));
    let usage = kv.usage().await.unwrap();
    assert!(usage.full && usage.bytes_used * 10 > QUOTA * 8, "{usage:?}");
    assert_eq!(
        &kv.get(b"k").await.unwrap().unwrap().value[..],
        b"1",
        "reads go on"
    );
    kv.lease_keep_alive(lease.id).await.unwrap();
    assert!(
        kv.txn(Txn::new().then(Op::delete("none"))).await.is_ok(),
        "deletions go through"
    );

    // A store that has never been here before can read, without an identity.
    let late = Etcd::new(EtcdOptions {
        prefix: "late/".to_owned(),
        ..options(&etcd)
    })
    .unwrap();
    assert!(late.status().await.is_ok());

    etcd.compact().await;
    etcd.defragment().await;
    etcd.disarm().await;
    write(&kv, "k", "2").await;
    kv.lease_grant(LEASE_TTL_MIN).await.unwrap();
    assert_eq!(values(&mut watch, 1).await, ["2"]);
    let usage = kv.usage().await.unwrap();
    assert!(!usage.full && usage.bytes_used < QUOTA / 2, "{usage:?}");
}
