//! What the scheduler is told about a call: what it needs, how much it matters, and until when it is of use.

use std::time::Instant;

use serverledge_core::{CpuMilli, FunctionLimits, MemoryMib};

/// What one call takes from the node while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Demand {
    /// Memory.
    pub memory: MemoryMib,
    /// Processor share; zero reserves none.
    pub cpu: CpuMilli,
    /// Sandboxes.
    pub slots: u32,
}

/// A quality-of-service class by Serverledge's number. Every number is accepted; an unknown one counts as
/// [`QosClass::LOW`], so that nobody gains by making numbers up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct QosClass(i64);

/// What a class is worth; the later variant is served first. Performance asks for a short time and goes first;
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
    /// What it takes.
    pub demand: Demand,
    /// How much it matters.
    pub class: QosClass,
    /// When its caller stops waiting for the answer; it is not started at or after this.
    pub deadline: Option<Instant>,
}

// === impl Demand ===

impl Demand {
    /// Nothing.
    pub const NONE: Self = Self { memory: MemoryMib::new(0), cpu: CpuMilli::new(0), slots: 0 };

    /// One sandbox with this memory and CPU.
    #[must_use]
    pub const fn one(memory: MemoryMib, cpu: CpuMilli) -> Self {
        Self { memory, cpu, slots: 1 }
    }

    /// One sandbox with a function's limits.
    #[must_use]
    pub const fn of(limits: &FunctionLimits) -> Self {
        Self::one(limits.memory, limits.cpu)
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

    /// The class with this number.
    #[must_use]
    pub const fn new(id: i64) -> Self {
        Self(id)
    }

    /// Its number.
    #[must_use]
    pub const fn id(self) -> i64 {
        self.0
    }

    /// What it is worth.
    #[must_use]
    pub const fn rank(self) -> Rank {
        match self {
            Self::PERFORMANCE => Rank::Performance,
            Self::AVAILABILITY => Rank::Availability,
            Self(_) => Rank::Low,
        }
    }
}
