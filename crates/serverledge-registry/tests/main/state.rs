//! The stores of functions over the embedded store.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::stores::store;

#[path = "../shared/state.rs"]
pub(crate) mod checks;
#[path = "../shared/state_model.rs"]
mod model;

macro_rules! checks {
    ($($name:ident,)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            checks::$name(store()).await;
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn stores_are_what_the_model_says(steps in vec(model::step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(model::run(store(), &steps));
    }
}
