//! The rates at which each space may write to its stores, on each node for itself: so many writes, and so many bytes.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};

use governor::middleware::NoOpMiddleware;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use serverledge_core::{STATE_KEY_BYTES_MAX, SpaceId, StateError, StateOp};

use crate::clock::PausableClock;
use crate::config::StateConfig;

/// The seconds whose writes may come at once.
const BURST_S: u32 = 5;
/// Bytes are counted in parts of so many, rounded up: at high rates a single byte takes less than the clock can tell.
const PART_BYTES: usize = 64;
/// Longest text of a number.
const NUMBER_BYTES_MAX: usize = 20;
/// Number of spaces that are remembered before idle ones are looked for.
const SPACES_MIN: usize = 1024;

/// The rates of all spaces; `None`: there is no limit.
pub(super) struct WriteRates {
    writes: Option<Buckets>,
    /// Filled with parts of [`PART_BYTES`].
    bytes: Option<Buckets>,
    writes_per_second: u64,
    bytes_per_second: u64,
}

/// A bucket for each space that has written a moment ago.
struct Buckets {
    of_spaces: RateLimiter<
        SpaceId,
        HashMapStateStore<SpaceId>,
        PausableClock,
        NoOpMiddleware<std::time::Instant>,
    >,
    /// Number of spaces at which idle ones are looked for.
    crowd: AtomicUsize,
}

// === impl WriteRates ===

impl WriteRates {
    /// The rates of this configuration. One longest entry may always come at once.
    pub(super) fn new(config: &StateConfig) -> Self {
        let longest = parts(STATE_KEY_BYTES_MAX + config.value_bytes_max);
        let bytes_per_second = config.write_bytes_per_second;
        let parts_per_second = match bytes_per_second {
            0 => None,
            bytes => Some(parts(bytes)),
        };
        Self {
            writes: NonZero::new(config.writes_per_second)
                .map(|most| Buckets::new(most, NonZero::<u32>::MIN)),
            bytes: parts_per_second.map(|most| Buckets::new(most, longest)),
            writes_per_second: u64::from(config.writes_per_second),
            bytes_per_second: bytes_per_second as u64,
        }
    }

    /// Counts a write.
    ///
    /// # Errors
    /// [`StateError::TooFast`] and [`StateError::TooManyBytes`]: the space has had its writes, or its bytes, for now.
    pub(super) fn check(&self, space: &SpaceId, op: &StateOp) -> Result<(), StateError> {
        let takes = |buckets: Option<&Buckets>, number| {
            buckets.is_none_or(|buckets| buckets.take(space, number))
        };
        if !takes(self.writes.as_ref(), NonZero::<u32>::MIN) {
            return Err(StateError::TooFast {
                per_second: self.writes_per_second,
            });
        }
        if !takes(self.bytes.as_ref(), parts(written_bytes(op))) {
            return Err(StateError::TooManyBytes {
                bytes_per_second: self.bytes_per_second,
            });
        }
        Ok(())
    }
}

/// The bytes of key and value that an operation writes at most.
fn written_bytes(op: &StateOp) -> usize {
    match op {
        StateOp::Get { .. } | StateOp::List { .. } => 0,
        StateOp::Set { key, value, .. } | StateOp::CompareAndSet { key, value, .. } => {
            key.as_str().len().saturating_add(value.len())
        }
        StateOp::Delete { key } => key.as_str().len(),
        StateOp::Increment { key, .. } => key.as_str().len() + NUMBER_BYTES_MAX,
    }
}

/// The parts of so many bytes, at least one.
fn parts(bytes: usize) -> NonZero<u32> {
    let parts = u32::try_from(bytes.div_ceil(PART_BYTES)).unwrap_or(u32::MAX);
    NonZero::new(parts).unwrap_or(NonZero::<u32>::MIN)
}

// === impl Buckets ===

impl Buckets {
    /// Buckets that fill at this rate. They hold what comes in [`BURST_S`] seconds, and not less than `least`.
    fn new(per_second: NonZero<u32>, least: NonZero<u32>) -> Self {
        let burst = NonZero::new(per_second.get().saturating_mul(BURST_S))
            .unwrap_or(per_second)
            .max(least);
        let quota = Quota::per_second(per_second).allow_burst(burst);
        Self {
            of_spaces: RateLimiter::hashmap_with_clock(quota, PausableClock),
            crowd: AtomicUsize::new(SPACES_MIN),
        }
    }

    /// Takes so much out of the bucket of a space, if it is there. What no bucket holds is longer than an entry may be,
    /// and takes nothing: the stores refuse it.
    fn take(&self, space: &SpaceId, number: NonZero<u32>) -> bool {
        self.forget_idle();
        !matches!(self.of_spaces.check_key_n(space, number), Ok(Err(_)))
    }

    /// Forgets spaces whose bucket is full again. Their number stays below twice those that wrote a moment ago.
    fn forget_idle(&self) {
        if self.of_spaces.len() < self.crowd.load(Ordering::Relaxed) {
            return;
        }
        self.of_spaces.retain_recent();
        let crowd = self.of_spaces.len().saturating_mul(2).max(SPACES_MIN);
        self.crowd.store(crowd, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serverledge_core::StateKey;

    use super::*;

    fn rates(writes_per_second: u32, write_bytes_per_second: usize) -> WriteRates {
        WriteRates::new(&StateConfig {
            bytes_max: 1 << 20,
            keys_max: 1000,
            value_bytes_max: 64 << 10,
            writes_per_second,
            write_bytes_per_second,
        })
    }

    fn key() -> StateKey {
        StateKey::new("key!").unwrap()
    }

    /// A write of so many bytes in all.
    fn write(bytes: usize) -> StateOp {
        StateOp::Set {
            key: key(),
            value: vec![0_u8; bytes - 4].into(),
            ttl: None,
        }
    }

    /// Number of writes of so many bytes until one is refused, and its refusal.
    fn writes(rates: &WriteRates, space: &SpaceId, bytes: usize) -> (usize, StateError) {
        let mut number = 0;
        loop {
            match rates.check(space, &write(bytes)) {
                Ok(()) => number += 1,
                Err(refused) => return (number, refused),
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn each_space_has_its_own_writes_and_gets_them_back() {
        let rates = rates(3, 0);
        let one = SpaceId::new();
        let other = SpaceId::new();
        let (number, refused) = writes(&rates, &one, 4);
        assert_eq!(number, 15, "those of five seconds");
        assert!(matches!(refused, StateError::TooFast { per_second: 3 }));
        rates.check(&other, &write(4)).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(writes(&rates, &one, 4).0, 3);
    }

    #[tokio::test(start_paused = true)]
    async fn each_space_has_its_own_bytes_and_gets_them_back() {
        let rates = rates(0, 64 << 10);
        let one = SpaceId::new();
        let other = SpaceId::new();
        let (number, refused) = writes(&rates, &one, 32 << 10);
        assert_eq!(number, 10, "those of five seconds");
        assert!(matches!(
            refused,
            StateError::TooManyBytes {
                bytes_per_second: 0x1_0000
            }
        ));
        assert!(refused.to_string().contains("state.write_bytes_per_second"));
        rates.check(&other, &write(32 << 10)).unwrap();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(writes(&rates, &one, 32 << 10).0, 2);
    }

    /// A slow rate refuses no value for ever.
    #[tokio::test(start_paused = true)]
    async fn the_longest_entry_can_be_written_at_any_rate() {
        let rates = rates(0, 1024);
        let space = SpaceId::new();
        let longest = STATE_KEY_BYTES_MAX + (64 << 10);
        assert_eq!(writes(&rates, &space, longest).0, 1);
        // An entry that the stores will refuse, in their words.
        rates.check(&space, &write(longest + 64)).unwrap();
    }

    #[test]
    fn what_a_write_takes() {
        let increment = StateOp::Increment { key: key(), by: 1 };
        assert_eq!(written_bytes(&increment), 24);
        assert_eq!(written_bytes(&StateOp::Delete { key: key() }), 4);
        assert_eq!(written_bytes(&write(100)), 100);
        let swap = StateOp::CompareAndSet {
            key: key(),
            expected: None,
            value: "12".into(),
            ttl: None,
        };
        assert_eq!(written_bytes(&swap), 6);
        let counts = [0, 1, 64, 65].map(|bytes| parts(bytes).get());
        assert_eq!(counts, [1, 1, 1, 2]);
    }

    #[test]
    fn no_limit_is_no_bucket() {
        let rates = rates(0, 0);
        let space = SpaceId::new();
        assert!((0..10_000).all(|_| rates.check(&space, &write(4096)).is_ok()));
    }

    #[tokio::test(start_paused = true)]
    async fn idle_spaces_are_forgotten() {
        let rates = rates(1000, 1 << 20);
        for _ in 0..10 {
            for _ in 0..SPACES_MIN {
                rates.check(&SpaceId::new(), &write(4)).unwrap();
            }
            tokio::time::advance(Duration::from_secs(2)).await;
        }
        for buckets in [&rates.writes, &rates.bytes] {
            let known = buckets.as_ref().unwrap().of_spaces.len();
            assert!(known <= 2 * SPACES_MIN, "{known}");
        }
    }
}
