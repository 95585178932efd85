//! The stores of functions over a real etcd.

use proptest::collection::vec;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;
use serverledge_testing::etcd_process::EtcdProcess;

use crate::on;

#[path = "../shared/state.rs"]
mod checks;
#[path = "../shared/state_model.rs"]
mod model;

/// Histories that are run against the model: an etcd answers slowly.
const HISTORIES: usize = 12;

macro_rules! checks {
    ($($name:ident,)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            let etcd = EtcdProcess::start().await;
            checks::$name(on(&etcd)).await;
        }
    )* };
}

checks!(
    entries_are_written_read_and_deleted,
    a_swap_wants_its_version,
    numbers_are_added_to,
    entries_end_with_their_time,
    keys_are_listed_in_pages,
    spaces_are_limited,
    stores_are_cleared,
    stores_go_with_their_space,
    other_forms_are_not_guessed_at,
    concurrent_additions_add_up,
    of_concurrent_swaps_one_wins,
    whoever_writes_the_usage_is_exact,
);

#[tokio::test]
async fn stores_are_what_the_model_says() {
    let etcd = EtcdProcess::start().await;
    let kv = on(&etcd);
    let mut runner = TestRunner::deterministic();
    for _ in 0..HISTORIES {
        let steps = vec(model::step(), 20..40)
            .new_tree(&mut runner)
            .unwrap()
            .current();
        model::run(kv.clone(), &steps).await;
    }
}
