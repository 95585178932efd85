//! The time that decisions take: the only thing here that is measured, not computed.

use std::time::{Duration, Instant};

/// Buckets of so many nanoseconds, up to a hundred microseconds.
const BUCKET_NANOS: u64 = 20;
const BUCKETS: usize = 5_000;

/// Decision times in buckets.
#[derive(Debug)]
pub(crate) struct Decisions {
    buckets: Vec<u64>,
    count: u64,
    total: Duration,
}

impl Default for Decisions {
    fn default() -> Self {
        Self {
            buckets: vec![0; BUCKETS + 1],
            count: 0,
            total: Duration::ZERO,
        }
    }
}

impl Decisions {
    pub(crate) fn measure<T>(&mut self, decide: impl FnOnce() -> T) -> T {
        let before = clock();
        let decision = decide();
        self.add(before.elapsed());
        decision
    }

    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    pub(crate) fn mean(&self) -> Duration {
        self.total.div_f64(self.count.max(1) as f64)
    }

    /// The 99th percentile, to the bucket.
    pub(crate) fn high(&self) -> Duration {
        let mut left = self.count - self.count / 100;
        let at = self.buckets.iter().position(|count| {
            left = left.saturating_sub(*count);
            left == 0
        });
        Duration::from_nanos(BUCKET_NANOS * (at.unwrap_or(BUCKETS) as u64 + 1))
    }

    fn add(&mut self, took: Duration) {
        let bucket = took.as_nanos() / u128::from(BUCKET_NANOS);
        self.buckets[usize::try_from(bucket).unwrap_or(BUCKETS).min(BUCKETS)] += 1;
        self.count += 1;
        self.total += took;
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "virtual time begins somewhere, and decisions are measured"
)]
pub(crate) fn clock() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mean_and_percentile() {
        let mut decisions = Decisions::default();
        (0..98).for_each(|_| decisions.add(Duration::from_nanos(100)));
        decisions.add(Duration::from_nanos(1_000));
        decisions.add(Duration::from_secs(1));
        assert_eq!(decisions.high(), Duration::from_nanos(1_020));
        assert_eq!(
            decisions.mean(),
            (Duration::from_nanos(98 * 100 + 1_000) + Duration::from_secs(1)) / 100
        );
        assert_eq!(decisions.count(), 100);
    }
}
