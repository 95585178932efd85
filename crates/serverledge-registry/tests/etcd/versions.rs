//! Generations and kept versions over a real etcd.

use serverledge_testing::etcd_process::EtcdProcess;

use crate::on;
use crate::stores::checks;

#[path = "../shared/versions.rs"]
mod laws;

#[tokio::test]
async fn a_function_changes_its_space() {
    let etcd = EtcdProcess::start().await;
    laws::a_function_changes_its_space(on(&etcd)).await;
}

#[tokio::test]
async fn every_change_raises_the_generation() {
    let etcd = EtcdProcess::start().await;
    laws::every_change_raises_the_generation(on(&etcd)).await;
}

#[tokio::test]
async fn the_newest_versions_are_kept() {
    let etcd = EtcdProcess::start().await;
    laws::the_newest_versions_are_kept(on(&etcd)).await;
}

#[tokio::test]
async fn a_function_goes_back_and_forth() {
    let etcd = EtcdProcess::start().await;
    laws::a_function_goes_back_and_forth(on(&etcd)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_deploys_all_succeed() {
    let etcd = EtcdProcess::start().await;
    laws::concurrent_deploys_all_succeed(on(&etcd)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_backs_and_sweeps_do_not_cross() {
    let etcd = EtcdProcess::start().await;
    laws::roll_backs_and_sweeps_do_not_cross(on(&etcd)).await;
}

#[tokio::test]
async fn only_what_was_read_is_replaced() {
    let etcd = EtcdProcess::start().await;
    laws::only_what_was_read_is_replaced(on(&etcd)).await;
}
