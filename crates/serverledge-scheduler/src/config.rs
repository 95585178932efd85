//! What a scheduler has to share out, and how long calls may wait for it.

use std::time::Duration;

use serverledge_core::{CpuMilli, MemoryMib};

use crate::arrival::Amounts;

/// How many calls may wait. A waiting call costs its body in memory, so the number must be bounded; a thousand is
/// a burst that a node works off within the longest wait if calls take some milliseconds.
pub const QUEUE_CAPACITY_DEFAULT: usize = 1000;
/// How long a call may wait. Beyond ten seconds most callers have gone, and another node would have been the better answer.
pub const WAIT_MAX_DEFAULT: Duration = Duration::from_secs(10);
/// How long a call may be passed over because it is big: a quarter of the longest wait, so that what is held back
/// for it still has time to come together.
pub const PATIENCE_DEFAULT: Duration = Duration::from_millis(2500);
/// How long an idle sandbox is kept for the next call: Serverledge's `container.expiration`, ten minutes. An idle one
/// costs nothing that another call needs, since it yields when memory is short.
pub const IDLE_MAX_DEFAULT: Duration = Duration::from_secs(600);
/// A longest wait above this counts as this, so that no configuration overflows a clock.
pub const WAIT_CEILING: Duration = Duration::from_secs(24 * 60 * 60);
/// A longest idle time above this counts as this, for the same reason.
pub const IDLE_CEILING: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What a node has for functions. A lease takes its part of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capacity {
    /// Memory.
    pub memory: MemoryMib,
    /// Processor share.
    pub cpu: CpuMilli,
    /// Once-only sandboxes that may run at once.
    pub slots: u32,
    /// Pooled sandboxes that may exist at once.
    pub containers: u32,
}

/// How a scheduler is set up. Every field may have any value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// What there is to share out.
    pub capacity: Capacity,
    /// How many calls may wait; zero turns away whatever cannot start at once. See [`QUEUE_CAPACITY_DEFAULT`].
    pub queue_capacity: usize,
    /// How long a call may wait. See [`WAIT_MAX_DEFAULT`]; at most [`WAIT_CEILING`].
    pub wait_max: Duration,
    /// How long a call may be passed over because it is big, and how long it may be displaced. See
    /// [`PATIENCE_DEFAULT`]; at `wait_max` or more, big calls are never helped.
    pub patience: Duration,
    /// How long an idle sandbox is kept. See [`IDLE_MAX_DEFAULT`]; at most [`IDLE_CEILING`]; at zero none is kept,
    /// unless a call waits for it.
    pub idle_max: Duration,
}

// === impl Capacity ===

impl Capacity {
    #[inline]
    pub(crate) fn amounts(self) -> Amounts {
        [
            self.memory.get(),
            self.cpu.get(),
            self.slots.into(),
            self.containers.into(),
        ]
    }
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
