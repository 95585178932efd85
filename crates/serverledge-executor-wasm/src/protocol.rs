//! The protocol between the node and its compiling child: one line of JSON, then bytes.

use serde::{Deserialize, Serialize};

/// The exports of a reactor that take parameters, and requests.
pub(crate) const HANDLE: &str = "serverledge_handle";
pub(crate) const FETCH: &str = "serverledge_fetch";

/// The guest interface (`docs/guest-abi.md`) that a module has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum GuestKind {
    /// Exports `_start`: parameters on stdin, result on stdout.
    Command,
    /// Exports `serverledge_alloc` and `serverledge_handle`.
    Reactor,
    /// A reactor that exports `serverledge_fetch` and has the mark of one that answers requests (`custom.rs`).
    HttpReactor,
    /// A component that exports `wasi:http/incoming-handler`.
    Http,
    /// A component that exports `wasi:cli/run`: as a command.
    Cli,
    /// A component that exports `wasi:http/handler` of WASI 0.3.
    Service,
    /// A component that exports `wasi:cli/run` of WASI 0.3.
    ConcurrentCli,
}

impl GuestKind {
    pub(crate) const fn words(self) -> &'static str {
        match self {
            Self::Command => "WASI command",
            Self::Reactor => "reactor",
            Self::HttpReactor => "reactor that answers requests",
            Self::Http => "wasi:http component",
            Self::Cli => "wasi:cli component",
            Self::Service => "wasi:http component of WASI 0.3",
            Self::ConcurrentCli => "wasi:cli component of WASI 0.3",
        }
    }

    pub(crate) const fn interface(self) -> serverledge_core::Interface {
        match self {
            Self::Command | Self::Reactor | Self::Cli | Self::ConcurrentCli => {
                serverledge_core::Interface::Json
            }
            Self::HttpReactor | Self::Http | Self::Service => serverledge_core::Interface::Http,
        }
    }

    /// The export of a reactor that a call goes to.
    pub(crate) const fn handler(self) -> &'static str {
        match self {
            Self::HttpReactor => FETCH,
            _ => HANDLE,
        }
    }
}

/// The facts learnt about a module that compiled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Compiled {
    pub(crate) kind: GuestKind,
    /// Linear memory that every instance begins with, in bytes.
    pub(crate) memory_bytes_min: u64,
    /// Length of the machine code that follows.
    pub(crate) code_bytes: u64,
    /// Whether an instance can be put back to its beginning (`restorable.rs`).
    pub(crate) is_restorable: bool,
    /// Whether an instance has a heap of objects beside its memory (`proposals.rs`).
    #[serde(default)]
    pub(crate) has_heap: bool,
    /// Whether it is machine code for the engine of WASI 0.3 (`engine.rs`).
    #[serde(default)]
    pub(crate) is_concurrent: bool,
}

/// The reason why a module is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ModuleRefusal {
    pub(crate) code: RefusalCode,
    pub(crate) message: String,
}

impl ModuleRefusal {
    pub(crate) fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
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
    Refused(ModuleRefusal),
}

/// The job of the child: the argument behind its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Say whether the module on stdin could be compiled and run, without doing so. Answer: a [`Verdict`] line.
    Inspect,
    /// Compile the module on stdin for the node. Answer: a [`Verdict`] line, machine code.
    Compile,
    /// Compile the engine on stdin, which snapshots of one base share. Answer: the same.
    Engine,
    /// Compile the data on stdin, a snapshot's own part. Answer: the same.
    Data,
    /// Compile the base on stdin for being initialised. Answer: the same.
    Instrument,
    /// Initialise a base and take a snapshot of it. Stdin: an [`Order`] line, the base or its skeleton (`skeleton.rs`), the
    /// path of the file with its machine code, input. Answer: a [`SnapshotVerdict`] line, the module or its skeleton.
    Snapshot,
}

impl Job {
    const ALL: [Self; 6] = [
        Self::Inspect,
        Self::Compile,
        Self::Engine,
        Self::Data,
        Self::Instrument,
        Self::Snapshot,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Inspect => "inspect",
            Self::Compile => "compile",
            Self::Engine => "engine",
            Self::Data => "data",
            Self::Instrument => "instrument",
            Self::Snapshot => "snapshot",
        }
    }

    /// The name of the activity that takes time or memory, for people.
    pub(crate) const fn doing(self) -> &'static str {
        match self {
            Self::Inspect => "looking at the module",
            Self::Compile | Self::Data => "compiling",
            Self::Engine => "compiling the engine",
            Self::Instrument => "compiling the base",
            Self::Snapshot => "taking the snapshot",
        }
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|job| job.name() == name)
    }
}

/// The line that every message begins with, and what follows.
pub(crate) fn line<T: serde::de::DeserializeOwned>(
    message: &[u8],
) -> serde_json::Result<(T, &[u8])> {
    let end = message.iter().position(|byte| *byte == b'\n');
    let end = end.ok_or_else(|| serde::de::Error::custom("no verdict"))?;
    Ok((
        serde_json::from_slice(&message[..end])?,
        &message[end + 1..],
    ))
}

/// A snapshot that is wanted: how long the parts that follow are, and what the initialisation may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) base_bytes: usize,
    pub(crate) path_bytes: usize,
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

/// The reason why an initialisation came to no end that could be kept.
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
