//! The store of invocations over the embedded one.

use crate::stores::store;

#[path = "../shared/invocations.rs"]
pub(crate) mod checks;

macro_rules! checks {
    ($($name:ident,)*) => { $(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            checks::$name(store()).await;
        }
    )* };
}

checks!(
    an_invocation_ends_once,
    large_parameters_and_results_go_into_blobs,
    of_many_takers_one_wins,
    a_node_that_comes_back_keeps_its_work,
    finishing_races_with_a_take_over,
    cancelling_races_with_finishing,
    a_node_hears_what_it_shall_stop,
    a_key_stands_for_its_first_request,
    of_many_equal_requests_one_is_accepted,
    dead_letters_are_listed_driven_anew_and_purged,
    a_pending_callback_keeps_its_claim,
    what_was_kept_long_enough_goes,
    an_end_is_heard_of,
);
