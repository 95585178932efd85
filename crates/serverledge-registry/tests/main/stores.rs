//! The typed stores over the embedded one.

use std::sync::Arc;

use serverledge_core::kv::Kv;
use serverledge_registry::{Embedded, Options};

#[path = "../shared/stores.rs"]
pub(crate) mod checks;

pub(crate) use checks::{function, node_record};

pub(crate) fn store() -> Arc<dyn Kv> {
    Arc::new(Embedded::in_memory(&Options::default()).unwrap())
}

#[tokio::test]
async fn functions_are_deployed_replaced_and_deleted() {
    checks::functions_are_deployed_replaced_and_deleted(store()).await;
}

#[tokio::test]
async fn unreadable_records_do_not_hide_the_others() {
    checks::unreadable_records_do_not_hide_the_others(store()).await;
}

#[tokio::test]
async fn blobs_are_kept_once_and_swept_late() {
    checks::blobs_are_kept_once_and_swept_late(store()).await;
}

#[tokio::test]
async fn damage_is_noticed() {
    checks::damage_is_noticed(store()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deploys_and_sweeps_do_not_cross() {
    checks::deploys_and_sweeps_do_not_cross(store()).await;
}

#[tokio::test]
async fn a_nodes_record_says_which_of_its_lives_runs() {
    checks::a_nodes_record_says_which_of_its_lives_runs(store()).await;
}
