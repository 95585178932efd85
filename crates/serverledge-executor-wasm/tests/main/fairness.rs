//! A guest that computes for ever delays nobody for long.

use std::time::Duration;

use serde_json::json;
use serverledge_core::FunctionLimits;
use serverledge_testing::fake_host::FakeHost;

use crate::support::{Lab, call, echo, endless, json_of, time_limit};

/// Short invocations that must end while the endless ones run.
const SHORT_RUNS: i32 = 200;

/// `count` endless guests beside the short ones; on the same thread where the runtime has only one.
async fn short_ones_end_beside(count: usize) {
    let lab = Lab::new();
    let endless = lab
        .version(endless(), time_limit(Duration::from_secs(600)))
        .await;
    let echo = lab.version(echo(), FunctionLimits::default()).await;
    let sandboxes = futures_util::future::try_join_all((0..count).map(|_| lab.start(&endless)))
        .await
        .unwrap();
    let (host, handle) = FakeHost::new();
    let runs = sandboxes
        .iter()
        .map(|sandbox| sandbox.invoke(call("{}"), host.clone()));
    let short_ones = async {
        for n in 0..SHORT_RUNS {
            assert_eq!(
                json_of(&lab.invoke(&echo, &n.to_string()).await.unwrap()),
                json!(n)
            );
        }
    };
    tokio::select! {
        biased;
        ended = futures_util::future::join_all(runs) => panic!("an endless guest ended: {ended:?}"),
        ended = tokio::time::timeout(Duration::from_secs(60), short_ones) => ended.expect("the short ones did not end"),
    }
    drop(host);
    handle
        .wait_for("the end of the endless guests", |counts| counts.gone)
        .await;
}

#[tokio::test]
async fn beside_one_endless_guest_on_one_thread() {
    short_ones_end_beside(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beside_many_endless_guests() {
    short_ones_end_beside(6).await;
}
