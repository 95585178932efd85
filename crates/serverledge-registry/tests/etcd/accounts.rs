//! The store of accounts over a real etcd.

use serverledge_testing::etcd_process::EtcdProcess;

use crate::on;

#[path = "../shared/accounts.rs"]
mod checks;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_takes_an_address() {
    let etcd = EtcdProcess::start().await;
    checks::one_of_many_takes_an_address(on(&etcd)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_uses_a_link() {
    let etcd = EtcdProcess::start().await;
    checks::one_of_many_uses_a_link(on(&etcd)).await;
}

#[tokio::test]
async fn what_is_a_users_is_found_by_its_id() {
    let etcd = EtcdProcess::start().await;
    checks::what_is_a_users_is_found_by_its_id(on(&etcd)).await;
}

#[tokio::test]
async fn lists_have_an_end() {
    let etcd = EtcdProcess::start().await;
    checks::lists_have_an_end(on(&etcd)).await;
}

#[tokio::test]
async fn what_is_over_is_swept() {
    let etcd = EtcdProcess::start().await;
    checks::what_is_over_is_swept(on(&etcd)).await;
}

#[tokio::test]
async fn changes_are_reported() {
    let etcd = EtcdProcess::start().await;
    checks::changes_are_reported(on(&etcd)).await;
}
