//! The times of a node, in nanoseconds of the Unix epoch.

use rustix::time::{ClockId, clock_gettime};

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct NodeTimes {
    pub(super) accessed: u64,
    pub(super) modified: u64,
    pub(super) changed: u64,
}

/// A time that is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NewTime {
    /// It stays.
    Keep,
    /// The present.
    Now,
    /// This one.
    At(u64),
}

impl NodeTimes {
    /// All of them the present.
    pub(super) fn present() -> Self {
        let now = now();
        Self {
            accessed: now,
            modified: now,
            changed: now,
        }
    }

    /// Notes that the contents were changed.
    pub(super) fn touch(&mut self) {
        let now = now();
        self.modified = now;
        self.changed = now;
    }

    /// Notes that something beside the contents was changed.
    pub(super) fn note_change(&mut self) {
        self.changed = now();
    }

    pub(super) fn set(&mut self, accessed: NewTime, modified: NewTime) {
        let now = now();
        self.accessed = accessed.or(self.accessed, now);
        self.modified = modified.or(self.modified, now);
        self.changed = now;
    }
}

impl NewTime {
    fn or(self, present: u64, now: u64) -> u64 {
        match self {
            Self::Keep => present,
            Self::Now => now,
            Self::At(time) => time,
        }
    }
}

fn now() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    u64::try_from(now.tv_sec)
        .unwrap_or(0)
        .saturating_mul(1_000_000_000)
        .saturating_add(u64::try_from(now.tv_nsec).unwrap_or(0))
}
