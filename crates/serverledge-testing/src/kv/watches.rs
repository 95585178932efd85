//! Watches: from now, from the past and the future, whole revisions, many at once, dropped waits, compaction.

use std::sync::Arc;
use std::time::Duration;

use serverledge_core::kv::{Event, Kv, KvError, Op, Txn, WatchError};

use super::{Fixture, together};

/// Watches that run beside each other.
const WATCHERS: usize = 50;
/// Revisions of several changes: more than any batch holds.
const REVISIONS: usize = 500;
/// Changes that each of them must see.
const CHANGES: usize = 40;

pub(super) async fn check(make: &impl AsyncFn() -> Arc<dyn Kv>) {
    now_is_after_the_call(&Fixture::new(make, "now").await).await;
    the_past_is_replayed(&Fixture::new(make, "replay").await).await;
    the_future_is_awaited(&Fixture::new(make, "future").await).await;
    revisions_come_whole(&Fixture::new(make, "whole").await).await;
    a_dropped_wait_loses_nothing(&Fixture::new(make, "dropped").await).await;
    all_watchers_see_all(&Fixture::new(make, "many").await).await;
    compaction_is_told(&Fixture::new(make, "compaction").await).await;
}

async fn now_is_after_the_call(f: &Fixture) {
    f.put("old", "1").await;
    let mut follower = f.watch(None).await;
    let put = f.put("new", "2").await;
    let deleted = f.delete("old").await;
    assert_eq!(
        follower.take(2).await,
        [format!("new=2@{put}"), format!("-old@{deleted}")]
    );
}

async fn the_past_is_replayed(f: &Fixture) {
    let first = f.put("a", "1").await;
    let second = f.put("b", "2").await;
    let third = f.put("a", "3").await;
    f.kv.txn(Txn::new().then(Op::put("conformance-other", "x")))
        .await
        .expect("a put under another prefix");
    let fourth = f.delete("a").await;
    let all = [
        format!("a=1@{first}"),
        format!("b=2@{second}"),
        format!("a=3@{third}"),
        format!("-a@{fourth}"),
    ];
    assert_eq!(f.watch(Some(first)).await.take(4).await, all);
    assert_eq!(
        f.watch(Some(second)).await.take(3).await,
        all[1..],
        "the first revision is included"
    );
    let events = f.watch(Some(third)).await.next().await;
    let Some(Event::Put(entry)) = events.first() else {
        panic!("a put was expected, not {events:?}")
    };
    assert_eq!(
        (entry.create_revision, entry.mod_revision, entry.version),
        (first, third, 2)
    );
}

async fn the_future_is_awaited(f: &Fixture) {
    let now = f.put("a", "1").await;
    let mut follower = f.watch(Some(now.next().next())).await;
    f.put("a", "2").await;
    let third = f.put("a", "3").await;
    assert_eq!(follower.take(1).await, [format!("a=3@{third}")]);
}

async fn revisions_come_whole(f: &Fixture) {
    let start = f.put("old", "x").await;
    for i in 0..REVISIONS {
        let txn = Txn::new()
            .then(Op::put(f.key("z"), i.to_string()))
            .then(Op::put(f.key("a"), i.to_string()))
            .then(Op::delete(f.key("old")));
        f.txn(txn).await;
    }
    let mut follower = f.watch(Some(start.next())).await;
    let mut seen = 0;
    while seen < 2 * REVISIONS + 1 {
        let events = follower.next().await;
        let last = events.last().expect("not empty").revision();
        let revisions =
            usize::try_from(last.get() - events[0].revision().get() + 1).expect("small");
        assert_eq!(
            events.len(),
            2 * revisions + usize::from(seen == 0),
            "a revision was torn"
        );
        if seen == 0 {
            let order: Vec<_> = events
                .iter()
                .take(3)
                .map(|event| f.name(event.key()))
                .collect();
            assert_eq!(
                order,
                ["z", "a", "old"],
                "events are in the order of the operations"
            );
        }
        seen += events.len();
    }
}

async fn a_dropped_wait_loses_nothing(f: &Fixture) {
    let mut follower = f.watch(None).await;
    let mut expected = Vec::new();
    let mut seen = Vec::new();
    for i in 0..50 {
        // Whether this ends in time or not: nothing may be lost, nothing seen twice.
        if let Ok(events) =
            tokio::time::timeout(Duration::from_micros(50), follower.watch.next()).await
        {
            seen.extend(
                events
                    .expect("events")
                    .iter()
                    .map(|event| follower.show(event)),
            );
        }
        expected.push(format!("k={i}@{}", f.put("k", &i.to_string()).await));
    }
    seen.extend(follower.take(expected.len() - seen.len()).await);
    assert_eq!(seen, expected);
}

async fn all_watchers_see_all(f: &Fixture) {
    let start = f.put("start", "x").await;
    let watchers = (0..WATCHERS).map(|i| {
        let f = f.clone();
        let from = if i % 2 == 0 { start.next() } else { start };
        async move {
            let seen = f.watch(Some(from)).await.take(CHANGES + i % 2).await;
            let seen: Vec<_> = seen
                .iter()
                .skip(i % 2)
                .map(|event| event.split('@').next().map(str::to_owned))
                .collect();
            let all: Vec<_> = (0..CHANGES).map(|i| Some(format!("k={i}"))).collect();
            assert_eq!(seen, all, "watcher {i}");
        }
    });
    tokio::join!(together(watchers), async {
        for i in 0..CHANGES {
            f.put("k", &i.to_string()).await;
        }
    });
}

async fn compaction_is_told(f: &Fixture) {
    let first = f.put("a", "1").await;
    let second = f.put("a", "2").await;
    f.put("b", "1").await;
    let at = f.delete("b").await;
    let fifth = f.put("a", "3").await;
    let mut behind = f.watch(Some(first)).await;
    f.kv.compact(at).await.expect("a compaction");

    let compacted = |error: &KvError| matches!(error, KvError::Compacted(oldest) if *oldest == at);
    assert!(
        f.kv.range(f.all().at(second))
            .await
            .is_err_and(|error| compacted(&error))
    );
    assert!(f.kv.compact(at).await.is_err_and(|error| compacted(&error)));
    assert!(matches!(
        f.kv.compact(fifth.next()).await,
        Err(KvError::FutureRevision { .. })
    ));
    assert_eq!(
        f.pairs(f.all().at(at)).await,
        [("a".to_owned(), "2".to_owned())],
        "the oldest kept state is whole"
    );
    assert_eq!(f.value("a").await.as_deref(), Some("3"));

    let late = f.watch(Some(second)).await.try_next().await;
    assert!(
        matches!(late, Err(WatchError::Compacted(oldest)) if oldest == at),
        "{late:?}"
    );
    // A watch that began in time may have been served before the compaction.
    match behind.try_next().await {
        Ok(events) => assert_eq!(events[0].revision(), first),
        Err(error) => assert!(matches!(error, WatchError::Compacted { .. }), "{error:?}"),
    }
    assert_eq!(
        f.watch(Some(at.next())).await.take(1).await,
        [format!("a=3@{fifth}")]
    );
}
