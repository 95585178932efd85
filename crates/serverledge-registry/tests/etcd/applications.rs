//! Applications over a real etcd.

use serverledge_testing::etcd_process::EtcdProcess;

use crate::on;

#[path = "../shared/applications.rs"]
mod checks;

#[tokio::test]
async fn applications_are_made_changed_and_deleted() {
    let etcd = EtcdProcess::start().await;
    checks::applications_are_made_changed_and_deleted(on(&etcd)).await;
}

#[tokio::test]
async fn one_of_many_gets_a_name() {
    let etcd = EtcdProcess::start().await;
    checks::one_of_many_gets_a_name(on(&etcd)).await;
}

#[tokio::test]
async fn a_deleted_space_stays_empty() {
    let etcd = EtcdProcess::start().await;
    checks::a_deleted_space_stays_empty(on(&etcd)).await;
}

#[tokio::test]
async fn unreadable_applications_do_not_hide_the_others() {
    let etcd = EtcdProcess::start().await;
    checks::unreadable_applications_do_not_hide_the_others(on(&etcd)).await;
}

#[tokio::test]
async fn other_dependencies_are_a_new_generation() {
    let etcd = EtcdProcess::start().await;
    checks::other_dependencies_are_a_new_generation(on(&etcd)).await;
}
