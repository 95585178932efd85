//! Applications over the embedded store.

use crate::stores::store;

#[path = "../shared/applications.rs"]
mod checks;

#[tokio::test]
async fn applications_are_made_changed_and_deleted() {
    checks::applications_are_made_changed_and_deleted(store()).await;
}

#[tokio::test]
async fn one_of_many_gets_a_name() {
    checks::one_of_many_gets_a_name(store()).await;
}

#[tokio::test]
async fn a_deleted_space_stays_empty() {
    checks::a_deleted_space_stays_empty(store()).await;
}

#[tokio::test]
async fn unreadable_applications_do_not_hide_the_others() {
    checks::unreadable_applications_do_not_hide_the_others(store()).await;
}

#[tokio::test]
async fn other_dependencies_are_a_new_generation() {
    checks::other_dependencies_are_a_new_generation(store()).await;
}
