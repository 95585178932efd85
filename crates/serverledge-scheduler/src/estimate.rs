//! Estimates of the queue's speed from the recent past: how long a call would wait, and when another try makes sense.

use std::time::{Duration, Instant};

/// No client is told to come back sooner: `Retry-After` counts whole seconds, and a hammering client helps nobody.
pub const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);
/// No client is told to come back later: the past says little about more than a minute ahead.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// The expected hold time of a lease until one has ended: some tenths of a second, as web functions do.
const HOLD_PRIOR: Duration = Duration::from_millis(200);

/// One new hold time weighs an eighth: some tens of calls make the average, as in TCP's round-trip estimate.
const WEIGHT: u64 = 8;

/// The mean time for which leases are held, and when the node last got anywhere.
#[derive(Debug)]
pub(crate) struct Estimate {
    hold_nanos: Option<u64>,
    progress: Instant,
}

impl Estimate {
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            hold_nanos: None,
            progress: now,
        }
    }

    /// A call starts on a node without leases: until now there was nothing to wait for.
    pub(crate) const fn busy_again(&mut self, now: Instant) {
        self.progress = now;
    }

    /// A lease came back after this time.
    pub(crate) fn released(&mut self, now: Instant, held: Duration) {
        let sample = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        let mean = self.hold_nanos.unwrap_or(sample);
        self.hold_nanos = Some(mean - mean / WEIGHT + sample / WEIGHT);
        self.progress = now;
    }

    /// The time that the queue needs until one more waiter would start, if `leases` calls go on ending at the recent
    /// rate; where nothing has ended for longer than the rate promises, that time counts instead.
    pub(crate) fn retry_after(&self, now: Instant, leases: u32, waiting: usize) -> Duration {
        if leases == 0 {
            return RETRY_AFTER_MIN;
        }
        let hold = Duration::from_nanos(self.hold_nanos.unwrap_or(0));
        self.passage(now, hold, leases, waiting)
            .clamp(RETRY_AFTER_MIN, RETRY_AFTER_MAX)
    }

    /// The expected wait of a call that cannot start now and has `ahead` waiting calls before it: at most
    /// [`RETRY_AFTER_MAX`].
    pub(crate) fn wait(&self, now: Instant, leases: u32, ahead: usize) -> Duration {
        let hold = self.hold_nanos.map_or(HOLD_PRIOR, Duration::from_nanos);
        // Without leases it waits for sandboxes that stop; how long ago a lease ended says nothing about those.
        let now = if leases == 0 { self.progress } else { now };
        self.passage(now, hold, leases.max(1), ahead)
            .min(RETRY_AFTER_MAX)
    }

    fn passage(&self, now: Instant, hold: Duration, leases: u32, waiting: usize) -> Duration {
        let between_ends = (hold / leases).max(now.saturating_duration_since(self.progress));
        let ahead = u32::try_from(waiting).unwrap_or(u32::MAX).saturating_add(1);
        between_ends.saturating_mul(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::tests::epoch;

    #[test]
    fn follows_hold_times_backlog_and_stalls() {
        let start = epoch();
        let second = Duration::from_secs(1);
        let mut estimate = Estimate::new(start);
        assert_eq!(
            estimate.retry_after(start, 0, 500),
            RETRY_AFTER_MIN,
            "an idle node has no reason to delay anyone"
        );
        assert_eq!(
            estimate.retry_after(start + 5 * second, 2, 0),
            5 * second,
            "nothing has ended for five seconds"
        );
        for n in 1..=100 {
            estimate.released(start + n * second, 4 * second);
        }
        let now = start + 100 * second;
        let seconds = |leases, waiting| {
            estimate
                .retry_after(now, leases, waiting)
                .as_secs_f64()
                .round()
        };
        assert!(
            (seconds(4, 9) - 10.0).abs() < 0.1,
            "four calls of four seconds: one ends each second"
        );
        assert!((seconds(4, 0) - 1.0).abs() < 0.1);
        assert!((seconds(4, 1000) - 60.0).abs() < 0.1, "clamped");
        assert_eq!(
            estimate.retry_after(now + 20 * second, 4, 1),
            40 * second,
            "stalled"
        );
        assert_eq!(estimate.wait(now + 20 * second, 4, 1), 40 * second);
    }

    #[test]
    fn a_wait_may_be_shorter_than_any_advice() {
        let start = epoch();
        let ms = Duration::from_millis;
        let mut estimate = Estimate::new(start);
        assert_eq!(
            estimate.wait(start, 4, 1),
            HOLD_PRIOR / 2,
            "nothing is known"
        );
        assert_eq!(
            estimate.wait(start + ms(60_000), 0, 0),
            HOLD_PRIOR,
            "an idle node is not stalled"
        );
        estimate.released(start, ms(80));
        assert_eq!(estimate.wait(start, 8, 0), ms(10));
        assert_eq!(estimate.wait(start, 8, usize::MAX), RETRY_AFTER_MAX);
    }
}
