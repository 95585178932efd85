//! A scheduler's settings: the capacity to share out, and the limits on how long calls may wait for it.

use std::time::Duration;

use crate::arrival::Demand;

/// The number of calls that may wait. A waiting call costs its body in memory, so the number must be bounded. A
/// thousand is a burst that a node works off within the longest wait if calls take some milliseconds.
pub const QUEUE_CAPACITY_DEFAULT: usize = 1000;
/// The longest time that a call may wait. Beyond ten seconds most callers have gone, and another node would have been
/// the better answer.
pub const WAIT_MAX_DEFAULT: Duration = Duration::from_secs(10);
/// The time for which a call may be passed over because it is big: a quarter of the longest wait, so that what is held
/// back for it still has time to come together.
pub const PATIENCE_DEFAULT: Duration = Duration::from_millis(2500);
/// The time for which an idle sandbox is kept for the next call: Serverledge's `container.expiration`, ten minutes. An
/// idle one costs nothing that another call needs, since it yields when memory is short.
pub const IDLE_MAX_DEFAULT: Duration = Duration::from_secs(600);
/// A longest wait above this counts as this, so that no configuration overflows a clock.
pub const WAIT_CEILING: Duration = Duration::from_secs(24 * 60 * 60);
/// A longest idle time above this counts as this, for the same reason.
pub const IDLE_CEILING: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The node's resources for functions, in the measures of a demand: memory, processor share, once-only sandboxes that may
/// run at once, and pooled sandboxes that may exist at once. A lease takes its part of each.
pub type Capacity = Demand;

/// The settings of a scheduler. Every field may have any value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// The resources to share out.
    pub capacity: Capacity,
    /// The number of calls that may wait; zero turns away every call that cannot start at once. See
    /// [`QUEUE_CAPACITY_DEFAULT`].
    pub queue_capacity: usize,
    /// The longest time that a call may wait. See [`WAIT_MAX_DEFAULT`]; at most [`WAIT_CEILING`].
    pub wait_max: Duration,
    /// The time for which a call may be passed over because it is big, and for which it may be displaced. See
    /// [`PATIENCE_DEFAULT`]; at `wait_max` or more, big calls are never helped.
    pub patience: Duration,
    /// The time for which an idle sandbox is kept. See [`IDLE_MAX_DEFAULT`]; at most [`IDLE_CEILING`]; at zero none is
    /// kept, unless a call waits for it.
    pub idle_max: Duration,
}

// === impl Config ===

impl Config {
    /// The defaults for a node with this capacity.
    #[must_use]
    pub const fn new(capacity: Capacity) -> Self {
        Self {
            capacity,
            queue_capacity: QUEUE_CAPACITY_DEFAULT,
            wait_max: WAIT_MAX_DEFAULT,
            patience: PATIENCE_DEFAULT,
            idle_max: IDLE_MAX_DEFAULT,
        }
    }
}
