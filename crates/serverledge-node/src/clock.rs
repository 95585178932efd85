//! The time: monotonic for durations, Unix time for what is stored, and pauses with jitter.

use std::time::{Duration, Instant};

use governor::clock::Clock;
pub(crate) use serverledge_core::unix_ms;
use serverledge_core::whole_millis;

/// The moment after this time from now, in Unix milliseconds.
pub(crate) fn later(now_unix_ms: u64, left: Duration) -> u64 {
    now_unix_ms.saturating_add(whole_millis(left))
}

/// Time left until a moment.
pub(crate) fn until(unix_milliseconds: u64) -> Duration {
    Duration::from_millis(unix_milliseconds.saturating_sub(unix_ms()))
}

/// A random share of a pause, between half and the whole, so that tasks that wait for the same thing do not come back
/// together.
pub(crate) fn jittered(pause: Duration) -> Duration {
    let mut byte = [0];
    let share = getrandom::fill(&mut byte).map_or(128, |()| u32::from(byte[0]));
    pause / 2 + pause / 512 * share
}

/// Now, on the clock that tests can pause.
pub(crate) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// The same clock for token buckets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PausableClock;

impl Clock for PausableClock {
    type Instant = Instant;

    fn now(&self) -> Instant {
        now()
    }
}
