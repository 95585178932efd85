//! Revisions, compares, branches, atomicity and limits.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::kv::{
    Compare, Condition, KEY_BYTES_MAX, Kv, KvError, LeaseId, Op, OpReply, Revision, TXN_OPS_MAX,
    Txn, VALUE_BYTES_MAX,
};

use super::{Fixture, together};

/// Tasks that count up one key.
const COUNTERS: usize = 8;
/// The number of increments by each of them.
const COUNTS: usize = 25;

pub(super) async fn check(make: &impl AsyncFn() -> Arc<dyn Kv>) {
    entries_carry_their_history(&Fixture::new(make, "history").await).await;
    only_changes_make_revisions(&Fixture::new(make, "revisions").await).await;
    compares_decide(&Fixture::new(make, "compares").await).await;
    operations_answer_in_order(&Fixture::new(make, "order").await).await;
    refused_transactions_change_nothing(&Fixture::new(make, "refused").await).await;
    limits_hold(&Fixture::new(make, "limits").await).await;
    no_update_is_lost(&Fixture::new(make, "counters").await).await;
}

async fn entries_carry_their_history(f: &Fixture) {
    assert_eq!(f.get("k").await, None);
    let first = f.put("k", "1").await;
    let second = f.put("k", "2").await;
    assert!(second > first, "revisions grow");
    let entry = f.get("k").await.expect("the key");
    assert_eq!(
        (entry.create_revision, entry.mod_revision, entry.version),
        (first, second, 2)
    );
    assert_eq!(
        (&entry.key, &*entry.value, entry.lease),
        (&f.key("k"), b"2".as_slice(), None)
    );
    let deleted = f.delete("k").await;
    assert_eq!(f.get("k").await, None);
    let third = f.put("k", "3").await;
    let entry = f.get("k").await.expect("the key");
    assert!(third > deleted && deleted > second);
    assert_eq!(
        (entry.create_revision, entry.mod_revision, entry.version),
        (third, third, 1)
    );
}

async fn only_changes_make_revisions(f: &Fixture) {
    let put = f.put("k", "1").await;
    let read = f.txn(Txn::new().then(Op::get(f.key("k")))).await;
    assert_eq!(read.revision, put);
    assert_eq!(
        f.delete("other").await,
        put,
        "deleting nothing changes nothing"
    );
    assert_eq!(f.revision().await, put);
    let three = Txn::new()
        .then(Op::put(f.key("a"), "1"))
        .then(Op::put(f.key("b"), "1"))
        .then(Op::delete(f.key("k")));
    let revision = f.txn(three).await.revision;
    assert_eq!(
        revision,
        put.next(),
        "one revision for the whole transaction"
    );
    let a = f.get("a").await.expect("a");
    let b = f.get("b").await.expect("b");
    assert_eq!((a.mod_revision, b.mod_revision), (revision, revision));
}

async fn compares_decide(f: &Fixture) {
    let created = f.put("k", "1").await;
    let changed = f.put("k", "2").await;
    let zero = Revision::default();
    let value = |value: &'static str| Condition::Value(Bytes::from_static(value.as_bytes()));
    let of_k = [
        (Condition::Exists, true),
        (Condition::Missing, false),
        (Condition::CreateRevision(created), true),
        (Condition::CreateRevision(changed), false),
        (Condition::CreateRevision(zero), false),
        (Condition::ModRevision(changed), true),
        (Condition::ModRevision(created), false),
        (value("2"), true),
        (value("1"), false),
    ];
    let of_none = [
        (Condition::Exists, false),
        (Condition::Missing, true),
        (Condition::CreateRevision(zero), true),
        (Condition::ModRevision(zero), true),
        (Condition::ModRevision(changed), false),
        (value(""), false),
    ];
    for (name, conditions) in [("k", of_k.as_slice()), ("none", &of_none)] {
        for (condition, holds) in conditions {
            let txn = Txn::new().when(Compare::new(f.key(name), condition.clone()));
            assert_eq!(
                f.txn(txn).await.succeeded,
                *holds,
                "{condition:?} of {name}"
            );
        }
    }
    let one_fails = Txn::new()
        .when(Compare::exists(f.key("k")))
        .when(Compare::exists(f.key("none")));
    assert!(!f.txn(one_fails).await.succeeded, "all compares must hold");
}

async fn operations_answer_in_order(f: &Fixture) {
    f.put("dir/a", "1").await;
    f.put("dir/b", "1").await;
    let branch = Txn::new()
        .when(Compare::missing(f.key("k")))
        .then(Op::get(f.key("k")))
        .then(Op::put(f.key("k"), "new"))
        .then(Op::get(f.key("k")))
        .then(Op::delete_prefix(f.key("dir/")))
        .then(Op::delete(f.key("dir/a")))
        .otherwise(Op::get(f.key("k")));
    let reply = f.txn(branch.clone()).await;
    let [
        OpReply::Got(None),
        OpReply::Put,
        OpReply::Got(Some(put)),
        OpReply::Deleted(2),
        OpReply::Deleted(0),
    ] = reply.replies.as_slice()
    else {
        panic!("unexpected replies {:?}", reply.replies)
    };
    assert!(reply.succeeded);
    assert_eq!(
        (&*put.value, put.mod_revision, put.version),
        (b"new".as_slice(), reply.revision, 1)
    );
    let again = f.txn(branch).await;
    assert!(!again.succeeded);
    assert_eq!(again.replies, [OpReply::Got(f.get("k").await)]);
    assert_eq!(f.pairs(f.all()).await, [("k".to_owned(), "new".to_owned())]);
}

async fn refused_transactions_change_nothing(f: &Fixture) {
    let before = f.put("k", "1").await;
    let unknown = LeaseId::new(0x7fff_0000_dead_beef).expect("not zero");
    let lease = Txn::new()
        .then(Op::put(f.key("k"), "2"))
        .then(Op::put_leased(f.key("l"), "2", unknown));
    assert!(
        matches!(f.try_txn(lease).await, Err(KvError::LeaseUnknown(lease)) if lease == unknown)
    );
    let twice = Txn::new()
        .then(Op::put(f.key("k"), "2"))
        .then(Op::put(f.key("k"), "3"));
    assert!(matches!(f.try_txn(twice).await, Err(KvError::DuplicateKey(key)) if key == f.key("k")));
    let both = Txn::new()
        .then(Op::put(f.key("k"), "2"))
        .then(Op::delete_prefix(f.key("")));
    assert!(matches!(
        f.try_txn(both).await,
        Err(KvError::DuplicateKey { .. })
    ));
    assert_eq!(f.revision().await, before);
    assert_eq!(f.value("k").await.as_deref(), Some("1"));
}

async fn limits_hold(f: &Fixture) {
    let puts = |count: usize| {
        (0..count).fold(Txn::new(), |txn, i| {
            txn.then(Op::put(f.key(&format!("n/{i}")), Bytes::from_static(b"v")))
        })
    };
    assert_eq!(f.txn(puts(TXN_OPS_MAX)).await.replies.len(), TXN_OPS_MAX);
    assert!(
        matches!(f.try_txn(puts(TXN_OPS_MAX + 1)).await, Err(KvError::TooManyOps(ops)) if ops == TXN_OPS_MAX + 1)
    );

    let value = |bytes: usize| Txn::new().then(Op::put(f.key("large"), vec![b'x'; bytes]));
    f.txn(value(VALUE_BYTES_MAX)).await;
    assert_eq!(
        f.get("large").await.expect("the key").value.len(),
        VALUE_BYTES_MAX
    );
    let larger = f.try_txn(value(VALUE_BYTES_MAX + 1)).await;
    assert!(
        matches!(larger, Err(KvError::ValueTooLarge { bytes, .. }) if bytes == VALUE_BYTES_MAX + 1)
    );

    let two = value(VALUE_BYTES_MAX).then(Op::put(f.key("second"), vec![b'x'; VALUE_BYTES_MAX]));
    assert!(matches!(
        f.try_txn(two).await,
        Err(KvError::TxnTooLarge { .. })
    ));

    let key = |bytes: usize| Txn::new().then(Op::get(vec![b'k'; bytes]));
    assert!(matches!(f.try_txn(key(0)).await, Err(KvError::Key(0))));
    assert!(matches!(
        f.try_txn(key(KEY_BYTES_MAX + 1)).await,
        Err(KvError::Key { .. })
    ));
    f.txn(key(KEY_BYTES_MAX)).await;
}

async fn no_update_is_lost(f: &Fixture) {
    f.put("counter", "0").await;
    together((0..COUNTERS).map(|_| count_up(f.clone()))).await;
    assert_eq!(
        f.value("counter").await,
        Some((COUNTERS * COUNTS).to_string())
    );
}

async fn count_up(f: Fixture) {
    for _ in 0..COUNTS {
        loop {
            let entry = f.get("counter").await.expect("the counter");
            let count: usize = super::text(&entry.value).parse().expect("a number");
            let swap = Txn::new()
                .when(Compare::mod_revision(entry.key.clone(), entry.mod_revision))
                .then(Op::put(entry.key, (count + 1).to_string()));
            if f.txn(swap).await.succeeded {
                break;
            }
        }
    }
}
