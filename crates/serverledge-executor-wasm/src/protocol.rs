//! What the node and its compiling child say to each other: one line of JSON, then bytes.

use serde::{Deserialize, Serialize};

/// Which of the guest interfaces (`docs/guest-abi.md`) a module has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuestKind {
    /// Exports `_start`: parameters on stdin, result on stdout.
    Command,
    /// Exports `serverledge_alloc` and `serverledge_handle`.
    Reactor,
    /// A component that exports `wasi:http/incoming-handler`.
    Http,
}

impl GuestKind {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Command => "WASI command",
            Self::Reactor => "reactor",
            Self::Http => "wasi:http component",
        }
    }

    pub(crate) const fn interface(self) -> serverledge_core::Interface {
        match self {
            Self::Command | Self::Reactor => serverledge_core::Interface::Json,
            Self::Http => serverledge_core::Interface::Http,
        }
    }
}

/// What was learnt about a module that compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compiled {
    pub(crate) kind: GuestKind,
    /// Linear memory that every instance begins with, in bytes.
    pub(crate) memory_bytes_min: u64,
    /// Length of the machine code that follows.
    pub(crate) code_bytes: u64,
}

/// Why a module is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
}

/// The stable codes of refusals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefusalCode {
    NotWasm,
    InvalidModule,
    UnknownImport,
    NoInterface,
    /// Not the module's fault as such: compiling it met a limit.
    TooComplex,
}

impl RefusalCode {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::NotWasm => "not_wasm",
            Self::InvalidModule => "invalid_module",
            Self::UnknownImport => "unknown_import",
            Self::NoInterface => "no_interface",
            Self::TooComplex => "module_too_complex",
        }
    }
}

/// The line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Compiled(Compiled),
    Refused(Refusal),
}

/// What the child is asked to do: the argument behind its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Compile the module on stdin for the node. Answer: a [`Verdict`] line, machine code.
    Compile,
    /// Compile the base on stdin for being initialised. Answer: the same.
    Instrument,
    /// Initialise a base and take a snapshot of it. Stdin: an [`Order`] line, base, machine code, input. Answer: a
    /// [`SnapshotVerdict`] line, module.
    Snapshot,
}

impl Job {
    const ALL: [Self; 3] = [Self::Compile, Self::Instrument, Self::Snapshot];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Compile => "compile",
            Self::Instrument => "instrument",
            Self::Snapshot => "snapshot",
        }
    }

    /// What takes time or memory, for people.
    pub(crate) const fn doing(self) -> &'static str {
        match self {
            Self::Compile => "compiling",
            Self::Instrument => "compiling the base",
            Self::Snapshot => "taking the snapshot",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job| job.name() == name)
    }
}

/// A snapshot that is wanted: how long the parts that follow are, and what the initialisation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) base_bytes: usize,
    pub(crate) machine_code_bytes: usize,
    pub(crate) memory_bytes_max: u64,
    pub(crate) cpu_time_ms: u64,
    pub(crate) output_bytes_max: usize,
    pub(crate) module_bytes_max: usize,
    pub(crate) log_bytes_max: usize,
}

/// The line before a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotVerdict {
    /// `None`: the module follows.
    pub(crate) fault: Option<InitFault>,
    pub(crate) module_bytes: u64,
    pub(crate) stdout: String,
    pub(crate) log: String,
}

/// Why an initialisation came to no end that could be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InitFault {
    /// `proc_exit`, whatever the code.
    Exit(u32),
    /// A trap, in words.
    Trap(String),
    CpuTime,
    Memory,
    Output,
    /// The module that comes of it is too large.
    TooLarge,
    /// The base is no such module.
    Base(String),
}
