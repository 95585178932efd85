//! The reasons why a request to deploy a function is refused.

use serverledge_core::{MemoryMib, Runtime, limits};

/// Least memory of a function in a container: Docker's own minimum is 6 MiB, and an interpreter does not start in less
/// than about 12.
pub const CONTAINER_MEMORY_MIN: MemoryMib = MemoryMib::new(16);

/// The reason why a request describes no valid function.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// The name breaks a rule.
    #[error("invalid name: {0}")]
    Name(#[from] serverledge_core::NameError),
    /// The runtime is unknown.
    #[error(transparent)]
    Runtime(#[from] serverledge_core::ParseRuntimeError),
    /// The memory is out of range.
    #[error("invalid memory limit: {0} MB; 1 to {max} are allowed", max = limits::MEMORY_MAX.get())]
    Memory(i64),
    /// The memory is less than a container can start with.
    #[error(
        "invalid memory limit: {mib}; {runtime} functions need at least {CONTAINER_MEMORY_MIN}"
    )]
    ContainerMemory {
        /// The requested memory.
        mib: MemoryMib,
        /// The runtime.
        runtime: Runtime,
    },
    /// Another member is out of range.
    #[error("invalid {member}: {fault}")]
    Member {
        /// The member's name.
        member: &'static str,
        /// The values that are allowed.
        fault: String,
    },
}

impl SpecError {
    /// The fault of another member.
    pub fn member(member: &'static str, fault: impl Into<String>) -> Self {
        Self::Member {
            member,
            fault: fault.into(),
        }
    }

    /// The stable code of this fault in the API.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "invalid_name",
            Self::Runtime(_) => "unknown_runtime",
            Self::Memory(_) | Self::ContainerMemory { .. } => "invalid_memory",
            Self::Member { .. } => "invalid_member",
        }
    }
}
