//! etcd goes away: stopped, killed, frozen, compacted meanwhile.

use std::time::Duration;

use serverledge_core::kv::{Kv, KvError, LEASE_TTL_MIN, Op, Revision, Txn, WatchError};
use serverledge_registry::{Etcd, EtcdFault, EtcdOptions};
use serverledge_testing::etcd_process::{EtcdProcess, wait_for};
use tokio::time::Instant;

use super::{SHORT, impatient, next, options, put, store, values, write};

fn fault(error: &KvError) -> &EtcdFault {
    EtcdFault::of(error).unwrap_or_else(|| panic!("no fault of etcd: {error:?}"))
}

#[tokio::test]
async fn a_store_is_made_before_its_etcd() {
    let mut etcd = EtcdProcess::start().await;
    etcd.stop().await;
    let kv = impatient(&etcd);
    let mut watch = kv.watch(b"", Some(Revision::new(1))).await.unwrap();
    let error = kv.txn(put("k", "v")).await.unwrap_err();
    assert!(
        matches!(fault(&error), EtcdFault::NotSent { .. }),
        "{error:?}"
    );
    assert!(!fault(&error).may_have_happened());
    assert!(matches!(
        kv.watch(b"", None).await,
        Err(KvError::Unavailable { .. })
    ));
    let (events, ()) = tokio::join!(values(&mut watch, 1), async {
        etcd.restart().await;
        wait_for("a write to go through", async || {
            kv.txn(put("k", "v")).await.is_ok()
        })
        .await;
    });
    assert_eq!(events, ["v"]);
}

/// Neither loss nor duplicates, over orderly ends and kills.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn watches_survive_restarts() {
    const ROUNDS: usize = 4;
    const WRITES: usize = 25;
    let mut etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    let mut watch = kv.watch(b"k/", None).await.unwrap();
    let mut idle = kv.watch(b"idle/", None).await.unwrap();
    let watching = async { values(&mut watch, 2 * ROUNDS * WRITES).await };
    let writing = async {
        let mut written = Vec::new();
        for round in 0..2 * ROUNDS {
            for i in 0..WRITES {
                let value = format!("{round}-{i}");
                write(&kv, "k/x", &value).await;
                written.push(value);
            }
            if round % 2 == 0 {
                etcd.stop().await
            } else {
                etcd.kill()
            }
            etcd.restart().await;
        }
        write(&kv, "idle/x", "last").await;
        written
    };
    let (seen, written) = tokio::join!(watching, writing);
    assert_eq!(seen, written);
    assert_eq!(
        values(&mut idle, 1).await,
        ["last"],
        "a watch that has seen nothing goes on as well"
    );
    assert_eq!(*kv.replacements().borrow(), 0, "the same store came back");
}

#[tokio::test]
async fn a_watch_is_told_what_was_compacted_while_it_was_away() {
    let mut etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    let mut watch = kv.watch(b"", None).await.unwrap();
    write(&kv, "k", "1").await;
    assert_eq!(values(&mut watch, 1).await, ["1"]);
    etcd.kill();
    // The watch stands still from here on, and others go on.
    etcd.restart().await;
    let other = store(&etcd);
    for i in 0..5 {
        write(&other, "k", &format!("{i}")).await;
    }
    etcd.compact().await;
    let newest = Revision::new(etcd.revision().await);
    // What was still under way may come before.
    let error = loop {
        match next(&mut watch).await {
            Ok(events) => assert!(events.iter().all(|event| event.revision() <= newest)),
            Err(error) => break error,
        }
    };
    assert!(
        matches!(error, WatchError::Compacted(at) if at == newest),
        "{error:?}"
    );
    let again = write(&other, "k", "again").await;
    let mut watch = kv.watch(b"", Some(newest.next())).await.unwrap();
    let events = next(&mut watch).await.unwrap();
    assert_eq!(events.first().map(|event| event.revision()), Some(again));
}

#[tokio::test]
async fn a_frozen_etcd_times_out() {
    let etcd = EtcdProcess::start().await;
    // Long enough for an etcd on a slow disk.
    let kv = Etcd::new(EtcdOptions {
        request_timeout: 5 * SHORT,
        connect_timeout: 5 * SHORT,
        ..options(&etcd)
    })
    .unwrap();
    let mut watch = kv.watch(b"", None).await.unwrap();
    let revision = write(&kv, "k", "1").await;
    assert_eq!(values(&mut watch, 1).await, ["1"]);
    let lease = kv.lease_grant(Duration::from_secs(600)).await.unwrap();
    kv.lease_keep_alive(lease.id).await.unwrap();
    etcd.freeze();
    let begun = Instant::now();
    let written = kv.txn(put("k", "2")).await.unwrap_err();
    assert!(
        matches!(fault(&written), EtcdFault::Deadline { .. }),
        "{written:?}"
    );
    assert!(fault(&written).may_have_happened());
    let (read, begun_watch, granted, kept, status) = tokio::join!(
        kv.get(b"k"),
        kv.watch(b"", None),
        kv.lease_grant(LEASE_TTL_MIN),
        kv.lease_keep_alive(lease.id),
        kv.status(),
    );
    let errors = [
        read.err(),
        begun_watch.err(),
        granted.err(),
        kept.err(),
        status.err(),
    ];
    for error in errors {
        assert!(
            matches!(error, Some(KvError::Unavailable { .. })),
            "{error:?}"
        );
    }
    // Twice five seconds, and what the machine's load adds.
    assert!(begun.elapsed() < 40 * SHORT, "{:?}", begun.elapsed());
    etcd.thaw();
    wait_for("an answer", async || kv.get(b"k").await.is_ok()).await;
    wait_for("the lease to be kept again", async || {
        kv.lease_keep_alive(lease.id).await.is_ok()
    })
    .await;
    wait_for("a write to go through", async || {
        kv.txn(put("k", "3")).await.is_ok()
    })
    .await;
    // Whether the second write happened is open; nothing is lost, nothing comes twice.
    let mut seen = Vec::new();
    while seen.last().is_none_or(|value| value != "3") {
        seen.extend(values(&mut watch, 1).await);
    }
    assert!(
        seen.iter()
            .all(|value| ["2", "3"].contains(&value.as_str())),
        "{seen:?}"
    );
    assert!(
        seen.iter().filter(|value| *value == "2").count() <= 1,
        "a write was sent twice: {seen:?}"
    );
    assert!(kv.get(b"k").await.unwrap().unwrap().mod_revision > revision);
}

/// A frozen member of several does not use up the time of a read.
#[tokio::test]
async fn reads_turn_from_a_frozen_endpoint() {
    let frozen = EtcdProcess::start().await;
    let etcd = EtcdProcess::start().await;
    let other = store(&etcd);
    write(&other, "k", "1").await;
    let both = EtcdOptions {
        endpoints: vec![frozen.address(), etcd.address()],
        ..options(&etcd)
    };
    let kv = Etcd::new(EtcdOptions {
        connect_timeout: 2 * SHORT,
        ..both
    })
    .unwrap();
    frozen.freeze();
    assert!(kv.get(b"k").await.unwrap().is_some());
    assert!(
        kv.txn(put("k", "2")).await.unwrap().succeeded,
        "the endpoint that answers is kept"
    );
}

#[tokio::test]
async fn a_lease_that_ended_meanwhile_is_told_and_granted_anew() {
    const TTL: Duration = Duration::from_secs(10);
    let mut etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    let hasty = impatient(&etcd);
    let lease = kv.lease_grant(TTL).await.unwrap();
    let register = |lease| Txn::new().then(Op::put_leased("nodes/a", "here", lease));
    kv.txn(register(lease.id)).await.unwrap();
    kv.lease_keep_alive(lease.id).await.unwrap();

    // A restart gives leases their full time again: the node need not notice anything.
    etcd.kill();
    etcd.restart().await;
    wait_for("the lease to be kept", async || {
        kv.lease_keep_alive(lease.id).await.is_ok()
    })
    .await;

    // While it is frozen the time goes on.
    etcd.freeze();
    tokio::time::sleep(TTL + 5 * SHORT).await;
    let kept = hasty.lease_keep_alive(lease.id).await;
    assert!(matches!(kept, Err(KvError::Unavailable { .. })), "{kept:?}");
    etcd.thaw();
    wait_for("the loss to be told", async || {
        matches!(
            kv.lease_keep_alive(lease.id).await,
            Err(KvError::LeaseUnknown { .. })
        )
    })
    .await;
    assert_eq!(kv.get(b"nodes/a").await.unwrap(), None);
    let stale = kv.txn(register(lease.id)).await;
    assert!(
        matches!(stale, Err(KvError::LeaseUnknown(l)) if l == lease.id),
        "{stale:?}"
    );
    let lease = kv.lease_grant(TTL).await.unwrap();
    kv.txn(register(lease.id)).await.unwrap();
    assert_eq!(
        kv.get(b"nodes/a").await.unwrap().unwrap().lease,
        Some(lease.id)
    );
}

#[tokio::test]
async fn the_unknown_one_of_two_leases_is_named() {
    let etcd = EtcdProcess::start().await;
    let kv = store(&etcd);
    let lost = kv.lease_grant(LEASE_TTL_MIN * 100);
    let good = kv.lease_grant(LEASE_TTL_MIN * 100);
    let lost = lost.await.unwrap().id;
    let good = good.await.unwrap().id;
    kv.lease_revoke(lost).await.unwrap();
    for leases in [[lost, good], [good, lost]] {
        let txn = Txn::new()
            .then(Op::put_leased("a", "x", leases[0]))
            .then(Op::put_leased("b", "x", leases[1]));
        let refused = kv.txn(txn).await;
        assert!(
            matches!(refused, Err(KvError::LeaseUnknown(lease)) if lease == lost),
            "{refused:?}"
        );
    }
}
