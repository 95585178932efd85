//! Types that describe a call to the scheduler: its demand, its importance, and until when it is of use.

use std::time::Instant;

use serverledge_core::{CpuMilli, Digest, FunctionLimits, MemoryMib};

/// The resources that one call takes from the node: a once-only call for as long as it runs, a pooled one as [`Pooled`]
/// says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// Memory.
    pub memory: MemoryMib,
    /// Processor share; zero reserves none.
    pub cpu: CpuMilli,
    /// Once-only sandboxes.
    pub slots: u32,
    /// Pooled sandboxes.
    pub containers: u32,
}

/// Names the set of interchangeable sandboxes: one function version of one owner. Calls with equal keys have equal
/// demands and concurrencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PoolKey(pub Digest);

/// That a call runs in a pooled sandbox, which outlives it. The sandbox holds the demand's memory and containers from
/// the grant of the lease that starts it until it is gone; the CPU (and slots) only while calls run in it, once
/// however many they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pooled {
    /// The key that a sandbox must have to serve the call.
    pub key: PoolKey,
    /// The number of calls that may run in one sandbox at once; zero counts as one.
    pub concurrency: u16,
}

/// Names a function to whoever learns from its calls: a hash that the node computes, the same for all versions that are
/// to share what was learnt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FunctionKey(pub u64);

/// A quality-of-service class by Serverledge's number. Every number is accepted; an unknown one counts as
/// [`QosClass::LOW`], so that nobody gains by making numbers up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct QosClass(pub i64);

/// The importance of a class; the later variant is served first. Performance asks for a short time and goes first;
/// availability asks to be served at all: it is never displaced from the queue, and displaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rank {
    /// Class 0 and every unknown class.
    Low,
    /// Class 2.
    Availability,
    /// Class 1.
    Performance,
}

/// A call that asks to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Arrival {
    /// The resources that it takes.
    pub demand: Demand,
    /// Its class of service.
    pub class: QosClass,
    /// The time at which its caller stops waiting for the answer; it is not started at or after this.
    pub deadline: Option<Instant>,
    /// The pool that it runs in; `None` for a sandbox of its own, used once (wasm).
    pub pool: Option<Pooled>,
    /// The key under which the node keeps its statistics of the function.
    pub function: FunctionKey,
    /// Whether it may run on another node.
    pub may_offload: bool,
    /// The size of its parameters, which travel with it.
    pub bytes: u64,
    /// Another node has placed it here: the policy is not asked again.
    pub placed: bool,
    /// A running function made it, here or on another node: it goes before those from outside, and does not wait for leases
    /// that wait in calls themselves. [`crate::Scheduler::admit_nested`] sets it.
    pub nested: bool,
}

/// The part of a call that decides whether it can start: calls with the same want can start, or not, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Want {
    pub(crate) demand: Demand,
    pub(crate) pool: Option<Pooled>,
}

/// Amounts of every resource: memory, CPU, slots, containers.
pub(crate) type Amounts = [u64; 4];

// === impl Demand ===

impl Demand {
    /// Nothing.
    pub const NONE: Self = Self {
        memory: MemoryMib::new(0),
        cpu: CpuMilli::new(0),
        slots: 0,
        containers: 0,
    };

    /// One once-only sandbox with this memory and CPU.
    #[must_use]
    pub const fn one(memory: MemoryMib, cpu: CpuMilli) -> Self {
        Self {
            memory,
            cpu,
            slots: 1,
            containers: 0,
        }
    }

    /// One pooled sandbox with this memory and CPU.
    #[must_use]
    pub const fn pooled(memory: MemoryMib, cpu: CpuMilli) -> Self {
        Self {
            memory,
            cpu,
            slots: 0,
            containers: 1,
        }
    }

    /// One once-only sandbox with a function's limits.
    #[must_use]
    pub const fn of(limits: &FunctionLimits) -> Self {
        Self::one(limits.memory, limits.cpu)
    }

    /// One pooled sandbox with a function's limits.
    #[must_use]
    pub const fn pooled_of(limits: &FunctionLimits) -> Self {
        Self::pooled(limits.memory, limits.cpu)
    }

    /// The part that a pooled sandbox holds as long as it exists.
    pub(crate) const fn kept(self) -> Self {
        Self {
            cpu: CpuMilli::new(0),
            slots: 0,
            ..self
        }
    }

    /// The part that a pooled sandbox holds while calls run in it.
    pub(crate) const fn running(self) -> Self {
        Self {
            memory: MemoryMib::new(0),
            containers: 0,
            ..self
        }
    }

    /// Both together.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            memory: MemoryMib::new(self.memory.get().saturating_add(other.memory.get())),
            cpu: CpuMilli::new(self.cpu.get().saturating_add(other.cpu.get())),
            slots: self.slots.saturating_add(other.slots),
            containers: self.containers.saturating_add(other.containers),
        }
    }

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

// === impl FunctionKey ===

impl FunctionKey {
    /// No function in particular: nothing is learnt for it.
    pub const NONE: Self = Self(0);
}

// === impl Arrival ===

impl Arrival {
    pub(crate) const fn want(&self) -> Want {
        Want {
            demand: self.demand,
            pool: self.pool,
        }
    }
}

// === impl QosClass ===

impl QosClass {
    /// Serverledge's `LOW`, and the default.
    pub const LOW: Self = Self(0);
    /// Serverledge's `HIGH_PERFORMANCE`.
    pub const PERFORMANCE: Self = Self(1);
    /// Serverledge's `HIGH_AVAILABILITY`.
    pub const AVAILABILITY: Self = Self(2);

    /// The importance of this class.
    #[must_use]
    pub const fn rank(self) -> Rank {
        match self {
            Self::PERFORMANCE => Rank::Performance,
            Self::AVAILABILITY => Rank::Availability,
            Self(_) => Rank::Low,
        }
    }
}
