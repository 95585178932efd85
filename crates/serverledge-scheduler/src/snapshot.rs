//! The state as it is visible from outside: a copy in numbers.

use std::time::Duration;

use serverledge_core::{MemoryMib, OverloadReason};

use crate::arrival::{Demand, PoolKey, Rank};
use crate::config::Capacity;
use crate::pool::Phase;
use crate::scheduler::SandboxUse;

/// The scheduler at one moment. Every arrival is in exactly one place:
/// `started_at_once + started_after_wait + offloaded + cancelled + rejected.total() + waiting.total() + unclaimed`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SchedulerSnapshot {
    /// The resources of the node.
    pub capacity: Capacity,
    /// The resources that nobody has: neither a lease nor a pooled sandbox, idle ones and those being stopped included.
    pub free: Capacity,
    /// The demand that is held back for a big call that waited too long; nothing as a rule.
    pub held_back: Demand,
    /// Leases out, those granted and not yet taken included.
    pub running: u32,
    /// Those of them whose holders wait in calls, or for the CPU that they gave back meanwhile.
    pub suspended: usize,
    /// Granted tickets whose waiter has not come for the lease.
    pub unclaimed: usize,
    /// The number of waiting calls, by class.
    pub waiting: WaitingByClass,
    /// Whether new calls are refused.
    pub draining: bool,
    /// Pooled sandboxes.
    pub pooled: PooledCounts,
    /// The memory that idle ones hold.
    pub idle_memory: MemoryMib,
    /// Counters of all events so far.
    pub counters: Counters,
}

/// Waiting calls by class.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WaitingByClass {
    /// Class 0 and unknown ones.
    pub low: usize,
    /// Class 2.
    pub availability: usize,
    /// Class 1.
    pub performance: usize,
}

/// A pooled sandbox, as people are shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PooledView {
    /// Its pool.
    pub key: PoolKey,
    /// `starting`, `idle`, `busy` or `stopping`.
    pub state: &'static str,
    /// Time since its start began; once it is up, since it came up.
    pub age: Duration,
    /// The memory that it holds.
    pub memory: MemoryMib,
}

/// Pooled sandboxes by state; each is in one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PooledCounts {
    /// Not yet reported as started.
    pub starting: usize,
    /// Ready for a call.
    pub idle: usize,
    /// With calls.
    pub busy: usize,
    /// To be stopped, and not yet reported as gone.
    pub stopping: usize,
}

/// Outcomes since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Calls that started without waiting.
    pub started_at_once: u64,
    /// Calls that waited and took their lease.
    pub started_after_wait: u64,
    /// Calls that were sent to another node.
    pub offloaded: u64,
    /// Calls whose caller left before they started.
    pub cancelled: u64,
    /// Leases that came back.
    pub released: u64,
    /// Calls turned away.
    pub rejected: RejectionCounts,
    /// Calls that were given a pooled sandbox which was there already.
    pub warm_reuses: u64,
    /// Calls that were told to start a pooled sandbox.
    pub cold_starts: u64,
    /// Idle sandboxes stopped because their memory or place was needed.
    pub evictions: u64,
    /// Idle sandboxes stopped because nobody had needed them for long.
    pub expiries: u64,
}

/// Calls turned away, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RejectionCounts {
    /// The queue was full, or a higher class took the place.
    pub queue_full: u64,
    /// The longest wait passed.
    pub waited_too_long: u64,
    /// The deadline passed.
    pub deadline: u64,
    /// The node was draining.
    pub draining: u64,
    /// The whole node is too small.
    pub never_fits: u64,
    /// The policy wanted another node, and there was none.
    pub no_peer: u64,
    /// A nested call that only leases could have let start which wait in calls themselves.
    pub call_would_deadlock: u64,
}

// === impl WaitingByClass ===

impl WaitingByClass {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> usize {
        self.low + self.availability + self.performance
    }

    pub(crate) const fn add(&mut self, part: Self) {
        self.low += part.low;
        self.availability += part.availability;
        self.performance += part.performance;
    }

    pub(crate) const fn of(&mut self, rank: Rank) -> &mut usize {
        match rank {
            Rank::Low => &mut self.low,
            Rank::Availability => &mut self.availability,
            Rank::Performance => &mut self.performance,
        }
    }
}

// === impl Counters ===

impl Counters {
    /// A caller was told to run a call there.
    pub(crate) const fn placed(&mut self, place: SandboxUse) {
        match place {
            SandboxUse::Once => {}
            SandboxUse::Start(_) => self.cold_starts += 1,
            SandboxUse::Reuse(_) => self.warm_reuses += 1,
        }
    }
}

// === impl PooledCounts ===

impl PooledCounts {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> usize {
        self.starting + self.idle + self.busy + self.stopping
    }

    pub(crate) const fn of(&mut self, phase: Phase) -> &mut usize {
        match phase {
            Phase::Starting => &mut self.starting,
            Phase::Idle { .. } => &mut self.idle,
            Phase::Busy => &mut self.busy,
            Phase::Stopping => &mut self.stopping,
        }
    }
}

// === impl RejectionCounts ===

impl RejectionCounts {
    /// All of them.
    #[must_use]
    pub const fn total(self) -> u64 {
        let Self {
            queue_full,
            waited_too_long,
            deadline,
            draining,
            never_fits,
            no_peer,
            call_would_deadlock,
        } = self;
        queue_full
            + waited_too_long
            + deadline
            + draining
            + never_fits
            + no_peer
            + call_would_deadlock
    }

    pub(crate) const fn count(&mut self, reason: OverloadReason) {
        let counter = match reason {
            OverloadReason::QueueFull => &mut self.queue_full,
            OverloadReason::WaitedTooLong => &mut self.waited_too_long,
            OverloadReason::Deadline => &mut self.deadline,
            OverloadReason::Draining => &mut self.draining,
            OverloadReason::NeverFits => &mut self.never_fits,
            OverloadReason::NoPeer => &mut self.no_peer,
            OverloadReason::CallWouldDeadlock => &mut self.call_would_deadlock,
        };
        *counter += 1;
    }
}
