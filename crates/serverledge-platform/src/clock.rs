//! The time of day, which tests set.

use std::fmt;

use serverledge_core::unix_ms;

/// Tells the time of day: what must end at a time carries that time in its record, and is checked against this.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Now, in Unix milliseconds.
    fn unix_ms(&self) -> u64;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        unix_ms()
    }
}
