//! While all is well: the suite, prefixes, large ranges and watches, several endpoints, users, what idling costs.

use std::time::Duration;

use serverledge_core::kv::{Kv, KvError, LEASE_TTL_MIN, Op, RangeRequest, Txn, VALUE_BYTES_MAX};
use serverledge_registry::{Etcd, EtcdFault, EtcdOptions, EtcdUser};
use serverledge_testing::etcd_process::EtcdProcess;

use super::{on, options, put, store, values, write};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let etcd = EtcdProcess::start().await;
    let kv = on(&etcd);
    serverledge_testing::kv::conforms(async || kv.clone()).await;
}

#[tokio::test]
async fn prefixes_keep_clusters_apart() {
    let etcd = EtcdProcess::start().await;
    let of = |prefix: &str| {
        Etcd::new(EtcdOptions {
            prefix: prefix.to_owned(),
            ..options(&etcd)
        })
        .unwrap()
    };
    let one = of("one/");
    let two = of("two/");
    let mut watch = two.watch(b"", None).await.unwrap();
    write(&one, "k", "1").await;
    assert_eq!(two.get(b"k").await.unwrap(), None);
    write(&two, "k", "2").await;
    assert_eq!(values(&mut watch, 1).await, ["2"]);
    let all = one.range(RangeRequest::prefix("")).await.unwrap().entries;
    assert_eq!(
        all.iter().map(|entry| &entry.value[..]).collect::<Vec<_>>(),
        [b"1"]
    );
    one.txn(Txn::new().then(Op::delete_prefix("k")))
        .await
        .unwrap();
    assert!(two.get(b"k").await.unwrap().is_some());
    let one = one.status().await.unwrap();
    let two = two.status().await.unwrap();
    assert_ne!(one.cluster, two.cluster, "each has an identity of its own");
}

/// More than fits into one message of gRPC, in reads and in watches.
#[tokio::test]
async fn large_values_come_in_pieces() {
    const COUNT: usize = 40;
    let etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    let first = kv.status().await.unwrap().revision.next();
    for i in 0..COUNT {
        let value = vec![u8::try_from(i).unwrap(); VALUE_BYTES_MAX];
        kv.txn(Txn::new().then(Op::put(format!("large/{i:03}"), value)))
            .await
            .unwrap();
    }
    let reply = kv.range(RangeRequest::prefix("large/")).await.unwrap();
    assert_eq!((reply.entries.len(), reply.more), (COUNT, false));
    assert!(
        reply
            .entries
            .iter()
            .enumerate()
            .all(|(i, entry)| entry.value.len() == VALUE_BYTES_MAX && entry.value[0] as usize == i)
    );
    let mut watch = kv.watch(b"large/", Some(first)).await.unwrap();
    let mut seen = 0;
    while seen < COUNT {
        seen += super::next(&mut watch).await.unwrap().len();
    }
    let gets = (0..COUNT).fold(Txn::new(), |txn, i| {
        txn.then(Op::get(format!("large/{i:03}")))
    });
    let replies = kv.txn(gets).await.unwrap().replies;
    assert!(replies.into_iter().all(|reply| {
        reply
            .into_entry()
            .is_some_and(|entry| entry.value.len() == VALUE_BYTES_MAX)
    }));
}

#[tokio::test]
async fn another_endpoint_takes_over() {
    let etcd = EtcdProcess::start().await;
    let mut gone = EtcdProcess::start().await;
    gone.stop().await;
    let kv = Etcd::new(EtcdOptions {
        endpoints: vec![gone.address(), etcd.address()],
        ..options(&etcd)
    })
    .unwrap();
    write(&kv, "k", "1").await;
    let mut watch = kv.watch(b"", None).await.unwrap();
    write(&kv, "k", "2").await;
    assert_eq!(values(&mut watch, 1).await, ["2"]);
}

#[tokio::test]
async fn a_user_that_etcd_does_not_know_is_denied() {
    let etcd = EtcdProcess::start().await;
    let user = EtcdUser {
        name: "node".to_owned(),
        password: "wrong".to_owned(),
    };
    let kv = Etcd::new(EtcdOptions {
        user: Some(user),
        ..options(&etcd)
    })
    .unwrap();
    let error = kv.txn(put("k", "v")).await.unwrap_err();
    let fault = EtcdFault::of(&error).unwrap_or_else(|| panic!("{error:?}"));
    assert!(
        matches!(fault, EtcdFault::Denied { .. }) && !fault.may_have_happened(),
        "{fault:?}"
    );
    etcd.enable_users("node", "secret", "serverledge").await;
    let user = EtcdUser {
        name: "node".to_owned(),
        password: "secret".to_owned(),
    };
    let kv = Etcd::new(EtcdOptions {
        user: Some(user.clone()),
        ..options(&etcd)
    })
    .unwrap();
    write(&kv, "k", "v").await;
    let mut watch = kv.watch(b"", None).await.unwrap();
    write(&kv, "k", "w").await;
    assert_eq!(values(&mut watch, 1).await, ["w"]);
    assert!(kv.usage().await.is_ok());
    let other = EtcdOptions {
        user: Some(user),
        prefix: "other/".to_owned(),
        ..options(&etcd)
    };
    let error = Etcd::new(other).unwrap().get(b"k").await.unwrap_err();
    assert!(
        matches!(EtcdFault::of(&error), Some(EtcdFault::Denied { .. })),
        "{error:?}"
    );
}

/// On the same connection: etcd forgets tokens after some minutes.
#[tokio::test]
async fn a_login_that_etcd_forgot_is_renewed() {
    let etcd = EtcdProcess::start().await;
    etcd.enable_users("node", "secret", "serverledge").await;
    let user = EtcdUser {
        name: "node".to_owned(),
        password: "secret".to_owned(),
    };
    let kv = Etcd::new(EtcdOptions {
        user: Some(user),
        ..options(&etcd)
    })
    .unwrap();
    let lease = kv.lease_grant(LEASE_TTL_MIN * 100).await.unwrap();
    for value in ["1", "2", "3"] {
        etcd.void_logins("node", "secret").await;
        write(&kv, "k", value).await;
        kv.lease_keep_alive(lease.id).await.unwrap();
        assert_eq!(kv.get(b"k").await.unwrap().unwrap().value, value);
    }
}

/// Watches and kept leases write nothing.
#[tokio::test]
async fn idling_writes_nothing() {
    let etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    let lease = kv.lease_grant(LEASE_TTL_MIN * 100).await.unwrap();
    let mut watch = kv.watch(b"", None).await.unwrap();
    write(&kv, "k", "v").await;
    assert_eq!(values(&mut watch, 1).await, ["v"]);
    let before = etcd.raft_index().await;
    for _ in 0..20 {
        kv.lease_keep_alive(lease.id).await.unwrap();
        kv.get(b"k").await.unwrap();
        kv.usage().await.unwrap();
        let quiet = tokio::time::timeout(Duration::from_millis(10), watch.next()).await;
        assert!(quiet.is_err(), "{quiet:?}");
    }
    assert_eq!(etcd.raft_index().await, before, "something was written");
}

#[tokio::test]
async fn usage_is_told() {
    let etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    write(&kv, "k", "v").await;
    let usage = kv.usage().await.unwrap();
    assert!(
        usage.bytes_in_use > 0 && usage.bytes_used >= usage.bytes_in_use && !usage.full,
        "{usage:?}"
    );
    assert_eq!(usage.bytes_max, Some(2 * 1024 * 1024 * 1024));
    let status = kv.status().await.unwrap();
    assert_eq!(
        (status.bytes_used, status.bytes_in_use, status.bytes_max),
        (usage.bytes_used, usage.bytes_in_use, usage.bytes_max)
    );
    let unknown = kv
        .lease_keep_alive(serverledge_core::kv::LeaseId::new(u64::MAX).unwrap())
        .await;
    assert!(
        matches!(unknown, Err(KvError::LeaseUnknown { .. })),
        "{unknown:?}"
    );
}

/// With the certificate that etcd signed for itself; a client that does not know it sends nothing.
#[tokio::test]
async fn tls_is_spoken() {
    use serverledge_registry::EtcdTls;
    use serverledge_testing::etcd_process::EtcdSettings;

    let etcd = EtcdProcess::start_with(EtcdSettings {
        tls: true,
        quota_bytes: None,
    })
    .await;
    let over = |tls: EtcdTls| {
        Etcd::new(EtcdOptions {
            endpoints: vec![etcd.tls_address()],
            tls: Some(tls),
            ..options(&etcd)
        })
        .unwrap()
    };
    let kv = over(EtcdTls {
        authorities_pem: Some(etcd.certificate()),
        ..EtcdTls::default()
    });
    let mut watch = kv.watch(b"", None).await.unwrap();
    write(&kv, "k", "v").await;
    assert_eq!(values(&mut watch, 1).await, ["v"]);
    let error = over(EtcdTls::default())
        .txn(put("k", "w"))
        .await
        .unwrap_err();
    assert!(
        matches!(EtcdFault::of(&error), Some(EtcdFault::NotSent { .. })),
        "{error:?}"
    );
}
