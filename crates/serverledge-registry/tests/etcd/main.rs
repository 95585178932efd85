//! The store on a real etcd: the conformance suite, the typed stores, and everything that can happen to an etcd.

#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests do")]

use std::sync::Arc;
use std::time::Duration;

use serverledge_core::kv::{Event, Kv, Op, Revision, Txn, Watch, WatchError};
use serverledge_registry::{Etcd, EtcdOptions};
use serverledge_testing::etcd_process::EtcdProcess;
use tokio::time::timeout;

mod accounts;
mod applications;
mod basics;
mod faults;
mod full;
mod invocations;
mod replaced;
mod silence;
mod state;
mod stores;
mod versions;

/// Longest wait for an event that must come: tests share their machine.
const WAIT_MAX: Duration = Duration::from_secs(60);
/// Time limit of a request that must not be answered.
const SHORT: Duration = Duration::from_secs(1);

fn options(etcd: &EtcdProcess) -> EtcdOptions {
    // Longer than by default, for slow disks.
    EtcdOptions {
        request_timeout: Duration::from_secs(20),
        ..EtcdOptions::new(vec![etcd.address()])
    }
}

fn store(etcd: &EtcdProcess) -> Etcd {
    Etcd::new(options(etcd)).unwrap()
}

fn on(etcd: &EtcdProcess) -> Arc<dyn Kv> {
    Arc::new(store(etcd))
}

/// A store that soon gives up.
fn impatient(etcd: &EtcdProcess) -> Etcd {
    Etcd::new(EtcdOptions {
        request_timeout: SHORT,
        connect_timeout: SHORT,
        ..options(etcd)
    })
    .unwrap()
}

fn put(key: &str, value: &str) -> Txn {
    Txn::new().then(Op::put(key.to_owned(), value.to_owned()))
}

async fn write(kv: &Etcd, key: &str, value: &str) -> Revision {
    kv.txn(put(key, value)).await.unwrap().revision
}

async fn next(watch: &mut Box<dyn Watch>) -> Result<Vec<Event>, WatchError> {
    timeout(WAIT_MAX, watch.next())
        .await
        .expect("a watch says nothing")
}

/// The values of so many events, which are puts.
async fn values(watch: &mut Box<dyn Watch>, count: usize) -> Vec<String> {
    let mut values = Vec::new();
    while values.len() < count {
        values.extend(
            next(watch)
                .await
                .unwrap()
                .into_iter()
                .map(|event| match event {
                    Event::Put(entry) => String::from_utf8(entry.value.to_vec()).unwrap(),
                    Event::Delete { key, .. } => panic!("{key:?} was deleted"),
                }),
        );
    }
    values
}
