//! The typed stores over a real etcd.

use serverledge_testing::etcd_process::EtcdProcess;

use crate::on;

#[path = "../shared/stores.rs"]
pub(crate) mod checks;

pub(crate) use checks::{function, node_record};

#[tokio::test]
async fn functions_are_deployed_replaced_and_deleted() {
    let etcd = EtcdProcess::start().await;
    checks::functions_are_deployed_replaced_and_deleted(on(&etcd)).await;
}

#[tokio::test]
async fn unreadable_records_do_not_hide_the_others() {
    let etcd = EtcdProcess::start().await;
    checks::unreadable_records_do_not_hide_the_others(on(&etcd)).await;
}

#[tokio::test]
async fn blobs_are_kept_once_and_swept_late() {
    let etcd = EtcdProcess::start().await;
    checks::blobs_are_kept_once_and_swept_late(on(&etcd)).await;
}

#[tokio::test]
async fn damage_is_noticed() {
    let etcd = EtcdProcess::start().await;
    checks::damage_is_noticed(on(&etcd)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deploys_and_sweeps_do_not_cross() {
    let etcd = EtcdProcess::start().await;
    checks::deploys_and_sweeps_do_not_cross(on(&etcd)).await;
}

#[tokio::test]
async fn a_nodes_record_says_which_of_its_lives_runs() {
    let etcd = EtcdProcess::start().await;
    checks::a_nodes_record_says_which_of_its_lives_runs(on(&etcd)).await;
}
