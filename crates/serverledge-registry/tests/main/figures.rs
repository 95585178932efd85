//! Figures, measured when asked for: `cargo test --release -p serverledge-registry figures -- --ignored --nocapture`.

#![expect(clippy::print_stdout, reason = "printing is what figures are for")]

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::InvocationId;
use serverledge_core::kv::{Kv, Op, Txn};
use serverledge_registry::{
    Acceptance, Embedded, FinalOutcome, FunctionStore, InvocationStore, Options,
};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::invocations::checks::{NOW, finish, new, owner};
use crate::stores::function;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, checks nothing"]
async fn group_commit() {
    for writers in [1, 8, 64, 256] {
        let dir = tempfile::tempdir().unwrap();
        let store = Arc::new(Embedded::open(dir.path(), &Options::default()).unwrap());
        let each = if writers == 1 { 300 } else { 100 };
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for writer in 0..writers {
            let store = store.clone();
            tasks.spawn(async move {
                for i in 0..each {
                    let put = Op::put(format!("w/{writer}/{i}"), vec![b'x'; 500]);
                    store.txn(Txn::new().then(put)).await.unwrap();
                }
            });
        }
        tasks.join_all().await;
        let rate = f64::from(writers * each) / begun.elapsed().as_secs_f64();
        println!("{writers} writers: {rate:.0} transactions/s");
    }
}

/// Clients that accept invocations, and clients that also see them begun and ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures, checks nothing"]
async fn accepting() {
    for (clients, whole) in [(1, false), (32, false), (32, true)] {
        let dir = tempfile::tempdir().unwrap();
        let invocations = InvocationStore::new(Arc::new(
            Embedded::open(dir.path(), &Options::default()).unwrap(),
        ));
        let each = if clients == 1 { 300 } else { 400 };
        let begun = Instant::now();
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let invocations = invocations.clone();
            tasks.spawn(async move {
                let f = function("f", b"code");
                let params = Bytes::from_static(b"{\"n\":1}");
                let me = owner("n1", "a");
                for _ in 0..each {
                    let accepted = invocations
                        .accept(&new(InvocationId::new(), &f, &params), &me, NOW)
                        .await
                        .unwrap();
                    let Acceptance::Accepted(held) = accepted else {
                        panic!("an id came twice")
                    };
                    if whole {
                        let held = invocations.begin(&held, NOW).await.unwrap();
                        let done = finish(FinalOutcome::Done(params.clone()));
                        invocations.finish(&held, done, NOW).await.unwrap();
                    }
                }
            });
        }
        tasks.join_all().await;
        let rate = f64::from(clients * each) / begun.elapsed().as_secs_f64();
        let what = if whole {
            "accepted, begun and ended"
        } else {
            "accepted"
        };
        println!("{clients} clients: {rate:.0} invocations/s {what}");
    }
}

#[tokio::test]
#[ignore = "measures, checks nothing"]
async fn reopening() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options::default();
    let store: Arc<dyn Kv> = Arc::new(Embedded::open(dir.path(), &options).unwrap());
    let size = || {
        std::fs::metadata(dir.path().join("registry.redb"))
            .unwrap()
            .len()
    };
    println!("empty file: {} bytes", size());
    let functions = FunctionStore::new(store);
    for i in 0..1000_u32 {
        let code = Bytes::from(vec![u8::try_from(i % 200).unwrap(); 20_000]);
        functions
            .create(&function(&format!("f{i}"), &code), &code, 0)
            .await
            .unwrap();
    }
    drop(functions);
    println!("1,000 functions, 200 codes of 20 kB: {} bytes", size());
    let begun = Instant::now();
    let store: Arc<dyn Kv> = Arc::new(Embedded::open(dir.path(), &options).unwrap());
    let opened = begun.elapsed();
    let functions = FunctionStore::new(store.clone());
    let loaded = functions.load_all().await.unwrap();
    let all = begun.elapsed();
    println!(
        "open {opened:?}, with loading {} functions {all:?}",
        loaded.functions.len()
    );
    let begun = Instant::now();
    for _ in 0..10_000 {
        store.get(b"functions/default/f7").await.unwrap();
    }
    println!("get: {:?}", begun.elapsed() / 10_000);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!(
        "{}",
        status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap()
    );
}
