//! The store of accounts over the embedded one.

use crate::stores::store;

#[path = "../shared/accounts.rs"]
mod checks;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_takes_an_address() {
    checks::one_of_many_takes_an_address(store()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_many_uses_a_link() {
    checks::one_of_many_uses_a_link(store()).await;
}

#[tokio::test]
async fn what_is_a_users_is_found_by_its_id() {
    checks::what_is_a_users_is_found_by_its_id(store()).await;
}

#[tokio::test]
async fn lists_have_an_end() {
    checks::lists_have_an_end(store()).await;
}

#[tokio::test]
async fn what_is_over_is_swept() {
    checks::what_is_over_is_swept(store()).await;
}

#[tokio::test]
async fn changes_are_reported() {
    checks::changes_are_reported(store()).await;
}
