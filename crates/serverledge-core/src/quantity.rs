//! Quantities with their units in the type.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

/// Memory in mebibytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MemoryMib(u64);

impl MemoryMib {
    /// So many mebibytes.
    #[must_use]
    pub const fn new(mib: u64) -> Self {
        Self(mib)
    }

    /// The number of mebibytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The same in bytes; saturates.
    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.0.saturating_mul(1024 * 1024)
    }
}

impl fmt::Display for MemoryMib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB", self.0)
    }
}

/// Processor share in thousandths of a core: exact where a float would drift as leases come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CpuMilli(u64);

impl CpuMilli {
    /// So many thousandths of a core.
    #[must_use]
    pub const fn new(milli: u64) -> Self {
        Self(milli)
    }

    /// From cores as Serverledge's API has them; `None` if negative, not a number, or above a million cores.
    #[must_use]
    pub fn from_cores(cores: f64) -> Option<Self> {
        if !(0.0..=1e6).contains(&cores) {
            return None;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range was checked"
        )]
        Some(Self((cores * 1000.0).round() as u64))
    }

    /// Thousandths of a core.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The same in cores.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    pub fn cores(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

impl fmt::Display for CpuMilli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cores", self.cores())
    }
}

/// A time in whole milliseconds.
#[must_use]
pub fn whole_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The time of day, in Unix milliseconds: the one place where the machine's clock is read.
#[must_use]
pub fn unix_ms() -> u64 {
    whole_millis(UNIX_EPOCH.elapsed().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_are_checked() {
        assert_eq!(CpuMilli::from_cores(0.5), Some(CpuMilli::new(500)));
        for bad in [-0.1, f64::NAN, f64::INFINITY, 1e7] {
            assert_eq!(CpuMilli::from_cores(bad), None);
        }
    }
}
