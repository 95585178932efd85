//! Generations and kept versions over the embedded store.

use crate::stores::{checks, store};

#[path = "../shared/versions.rs"]
mod laws;

#[tokio::test]
async fn a_function_changes_its_space() {
    laws::a_function_changes_its_space(store()).await;
}

#[tokio::test]
async fn every_change_raises_the_generation() {
    laws::every_change_raises_the_generation(store()).await;
}

#[tokio::test]
async fn the_newest_versions_are_kept() {
    laws::the_newest_versions_are_kept(store()).await;
}

#[tokio::test]
async fn a_function_goes_back_and_forth() {
    laws::a_function_goes_back_and_forth(store()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_deploys_all_succeed() {
    laws::concurrent_deploys_all_succeed(store()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roll_backs_and_sweeps_do_not_cross() {
    laws::roll_backs_and_sweeps_do_not_cross(store()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_was_read_is_replaced() {
    laws::only_what_was_read_is_replaced(store()).await;
}
