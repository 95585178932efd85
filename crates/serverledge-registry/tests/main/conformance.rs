//! The embedded store passes the suite that etcd has to pass, in a file and in memory.

use std::sync::Arc;

use serverledge_core::kv::Kv;
use serverledge_registry::{Embedded, Options};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory() {
    let store: Arc<dyn Kv> = Arc::new(Embedded::in_memory(&Options::default()).unwrap());
    serverledge_testing::kv::conforms(async || store.clone()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let store: Arc<dyn Kv> = Arc::new(Embedded::open(dir.path(), &Options::default()).unwrap());
    serverledge_testing::kv::conforms(async || store.clone()).await;
}
