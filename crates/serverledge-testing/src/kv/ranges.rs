//! Ranges: order, limits, pages, keys only, and reads of the past.

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::kv::{
    KeySpan, Kv, KvError, Op, OpReply, RANGE_LIMIT_MAX, RangeRequest, TXN_OPS_MAX, Txn,
};

use super::Fixture;

pub(super) async fn check(make: &impl AsyncFn() -> Arc<dyn Kv>) {
    spans_are_half_open(&Fixture::new(make, "spans").await).await;
    pages_join(&Fixture::new(make, "pages").await).await;
    keys_come_without_values(&Fixture::new(make, "keys").await).await;
    the_past_can_be_read(&Fixture::new(make, "past").await).await;
    large_ranges_are_limited(&Fixture::new(make, "large").await).await;
}

async fn names(f: &Fixture, request: RangeRequest) -> Vec<String> {
    f.pairs(request)
        .await
        .into_iter()
        .map(|(name, _)| name)
        .collect()
}

async fn spans_are_half_open(f: &Fixture) {
    for name in ["b", "a", "a/x", "a0", "c"] {
        f.put(name, name).await;
    }
    assert_eq!(names(f, f.all()).await, ["a", "a/x", "a0", "b", "c"]);
    assert_eq!(
        names(f, RangeRequest::prefix(f.key("a"))).await,
        ["a", "a/x", "a0"]
    );
    let span = |from, to| RangeRequest::new(KeySpan::new(f.key(from), Some(f.key(to))));
    assert_eq!(names(f, span("a", "b")).await, ["a", "a/x", "a0"]);
    assert_eq!(names(f, span("a/", "a/x")).await, [""; 0]);
    assert_eq!(names(f, span("c", "a")).await, [""; 0]);
    let open =
        f.kv.range(RangeRequest::new(KeySpan::new(f.key("c"), None)).limit(1))
            .await
            .expect("a range");
    assert_eq!(
        open.entries.first().map(|entry| entry.key.clone()),
        Some(f.key("c"))
    );
}

async fn pages_join(f: &Fixture) {
    for i in 0..7 {
        f.put(&format!("{i}"), "x").await;
    }
    let at = f.revision().await;
    let mut request = f.all().limit(3).at(at);
    let mut pages = Vec::new();
    loop {
        let page = f.kv.range(request.clone()).await.expect("a page");
        let last = page
            .entries
            .last()
            .expect("no page is empty here")
            .key
            .clone();
        pages.push(page.entries.len());
        if !page.more {
            break;
        }
        // What comes between two pages of one revision stays out of them.
        f.put("3a", "late").await;
        request.span = request.span.after(&last);
    }
    assert_eq!(pages, [3, 3, 1]);
    let exact = f.kv.range(f.all().limit(8)).await.expect("a range");
    assert!(
        !exact.more && exact.entries.len() == 8,
        "a full page need not have a successor"
    );
    assert_eq!(exact.revision, f.revision().await);
}

async fn keys_come_without_values(f: &Fixture) {
    f.put("k", "1").await;
    f.put("k", "2").await;
    let full = f.get("k").await.expect("the key");
    let keys =
        f.kv.range(f.all().keys_only())
            .await
            .expect("a range")
            .entries;
    assert_eq!(
        keys,
        [serverledge_core::kv::KeyValue {
            value: Bytes::new(),
            ..full
        }]
    );
}

async fn the_past_can_be_read(f: &Fixture) {
    let first = f.put("a", "1").await;
    let second = f.put("b", "1").await;
    let third = f.put("a", "2").await;
    let fourth = f.txn(Txn::new().then(Op::delete_prefix(f.key("")))).await;
    assert_eq!(fourth.replies, [OpReply::Deleted(2)]);
    f.put("a", "3").await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(f.pairs(f.all().at(first)).await, [pair("a", "1")]);
    assert_eq!(
        f.pairs(f.all().at(second)).await,
        [pair("a", "1"), pair("b", "1")]
    );
    assert_eq!(
        f.pairs(f.all().at(third)).await,
        [pair("a", "2"), pair("b", "1")]
    );
    assert_eq!(f.pairs(f.all().at(third).limit(1)).await, [pair("a", "2")]);
    assert_eq!(
        f.pairs(f.all().at(third).keys_only()).await,
        [pair("a", ""), pair("b", "")]
    );
    assert_eq!(f.pairs(f.all().at(fourth.revision)).await, []);
    assert_eq!(f.pairs(f.all()).await, [pair("a", "3")]);
    let past = f.kv.range(f.all().at(third)).await.expect("a range");
    assert_eq!(
        (past.entries[0].version, past.entries[0].create_revision),
        (2, first)
    );
    assert_eq!(
        past.revision,
        f.revision().await,
        "the header has the newest revision"
    );
    let future = f.kv.range(f.all().at(f.revision().await.next())).await;
    assert!(matches!(future, Err(KvError::FutureRevision { .. })));
}

async fn large_ranges_are_limited(f: &Fixture) {
    for batch in 0..=RANGE_LIMIT_MAX / TXN_OPS_MAX {
        let puts = (0..TXN_OPS_MAX).fold(Txn::new(), |txn, i| {
            txn.then(Op::put(f.key(&format!("{batch}-{i}")), "x"))
        });
        f.txn(puts).await;
    }
    let reply =
        f.kv.range(f.all().limit(usize::MAX).keys_only())
            .await
            .expect("a range");
    assert_eq!((reply.entries.len(), reply.more), (RANGE_LIMIT_MAX, true));
}
