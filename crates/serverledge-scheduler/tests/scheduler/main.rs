//! Laws that hold for every sequence of operations (`laws`, `placement`), and the cost of one operation (`cost`).

mod cost;
mod laws;
mod model;
mod placement;

use std::time::Instant;

/// A moment to count from.
#[expect(
    clippy::disallowed_methods,
    reason = "an instant cannot be made otherwise, and no runtime is known here"
)]
fn epoch() -> Instant {
    Instant::now()
}
