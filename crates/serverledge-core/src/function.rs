//! Functions: a name bound to a version, with the flags that are not part of its result.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::id::SpaceId;
use crate::limits::{MEMORY_DEFAULT, TIMEOUT_DEFAULT};
use crate::name::FunctionName;
use crate::outbound::HostRule;
use crate::program_io::ProgramIo;
use crate::quantity::{CpuMilli, MemoryMib};
use crate::version::{Network, Runtime, Secrets, Version};

/// The resources that one invocation of a function may use. A lease reserves memory and CPU as declared here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FunctionLimits {
    /// Most linear memory or container memory.
    pub memory: MemoryMib,
    /// Reserved processor share; zero reserves none.
    pub cpu: CpuMilli,
    /// Wall-clock limit of one invocation, from the sandbox's start to the end of the reply.
    pub timeout: Duration,
    /// Most processor time of one invocation, where the executor can tell; `None` leaves it to `timeout`.
    pub cpu_time: Option<Duration>,
    /// Concurrent calls in one sandbox, where the runtime can; at least 1.
    pub max_concurrency: u16,
}

impl Default for FunctionLimits {
    fn default() -> Self {
        Self {
            memory: MEMORY_DEFAULT,
            cpu: CpuMilli::default(),
            timeout: TIMEOUT_DEFAULT,
            cpu_time: None,
            max_concurrency: 1,
        }
    }
}

/// The owner's declarations about a function, beside its version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// Equal parameters give an equal result: results may be cached and calls repeated elsewhere.
    pub idempotent: bool,
    /// The same of results that depend on answers of hosts outside. Counts only where `idempotent` is set.
    pub keeps_outbound: bool,
    /// The code may be downloaded and run by the caller, and results carried by clients are believed.
    pub edge: bool,
    /// The architectures that it can run on.
    pub archs: Archs,
    /// Whether its calls may share instances, one after the other.
    pub isolation: Isolation,
}

impl Flags {
    /// Whether results of runs that sent requests to hosts outside may be kept.
    #[must_use]
    pub const fn may_keep_outbound(self) -> bool {
        self.idempotent && self.keeps_outbound
    }
}

/// The lifetime of the instances of a function. It does not change a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Isolation {
    /// An instance may be kept after a clean return, and put back in place for the next call of the same version.
    #[default]
    Kept,
    /// Every call gets a fresh instance.
    Fresh,
}

impl Isolation {
    /// Its name in records and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Fresh => "fresh",
        }
    }

    /// Its name where it is not the default.
    #[must_use]
    pub const fn name_unless_default(self) -> Option<&'static str> {
        match self {
            Self::Kept => None,
            Self::Fresh => Some(self.name()),
        }
    }
}

/// The text names no isolation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown isolation {0:?}; known are kept and fresh")]
pub struct ParseIsolationError(pub String);

impl std::str::FromStr for Isolation {
    type Err = ParseIsolationError;

    /// Accepts the names; an empty text is the default.
    fn from_str(text: &str) -> Result<Self, ParseIsolationError> {
        match text {
            "" | "kept" => Ok(Self::Kept),
            "fresh" => Ok(Self::Fresh),
            _ => Err(ParseIsolationError(text.to_owned())),
        }
    }
}

/// The architectures that a function declares, in Go's words; one that declares none runs on all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Archs {
    amd64: bool,
    arm64: bool,
}

impl Archs {
    /// From their names; `None` if one is unknown.
    #[must_use]
    pub fn parse<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let mut archs = Self::default();
        for name in names {
            match name {
                "amd64" => archs.amd64 = true,
                "arm64" => archs.arm64 = true,
                _ => return None,
            }
        }
        Some(archs)
    }

    /// The names of those that are declared.
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        [(self.amd64, "amd64"), (self.arm64, "arm64")]
            .into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| name)
            .collect()
    }

    /// Whether it may run on a node of this architecture.
    #[must_use]
    pub fn allow(self, arch: &str) -> bool {
        let declared = self.names();
        declared.is_empty() || declared.contains(&arch)
    }
}

/// One declared input or output (Serverledge's `Signature`), kept for its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parameter {
    /// The parameter's name.
    pub name: String,
    /// Its type, in Serverledge's words (`Int`, `Text`, …).
    pub kind: String,
}

/// Declared inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Signature {
    /// The parameters of the function.
    pub inputs: Vec<Parameter>,
    /// The values that it returns.
    pub outputs: Vec<Parameter>,
}

/// The interface of a function; recognised when its code is prepared, and stored with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Interface {
    /// JSON parameters in, a JSON result out.
    #[default]
    Json,
    /// The HTTP request in, the HTTP response out.
    Http,
}

impl Interface {
    /// Its name in records and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Http => "http",
        }
    }
}

/// A deployed function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Function {
    /// The space that owns it.
    pub space: SpaceId,
    /// Its name there.
    pub name: FunctionName,
    /// The version that the name is bound to now.
    pub version: Arc<Version>,
    /// The interface of that version.
    pub interface: Interface,
    /// Flags.
    pub flags: Flags,
    /// Declared inputs and outputs, if any.
    pub signature: Option<Signature>,
}

/// A checked request to deploy a function; the code travels beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionSpec {
    /// The name to bind.
    pub name: FunctionName,
    /// The runtime of its code.
    pub runtime: Runtime,
    /// The entry point; may be empty.
    pub handler: String,
    /// The function's own environment variables.
    pub env: std::collections::BTreeMap<String, String>,
    /// More of them, which are not shown. The nonce is the node's to fill.
    pub secrets: Secrets,
    /// The network that it may reach.
    pub network: Network,
    /// The hosts that its node may send requests to for it; none: it sends no requests.
    pub outbound: BTreeSet<HostRule>,
    /// The image of a `custom` function; empty otherwise.
    pub image: String,
    /// The arguments and the standard streams of a program; the default for every other function.
    pub io: ProgramIo,
    /// The resources that one invocation may use.
    pub limits: FunctionLimits,
    /// Flags.
    pub flags: Flags,
    /// Declared inputs and outputs, if any.
    pub signature: Option<Signature>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn isolations_are_known_by_their_names() {
        for isolation in [Isolation::Kept, Isolation::Fresh] {
            assert_eq!(isolation.name().parse(), Ok(isolation));
        }
        assert_eq!("".parse(), Ok(Isolation::default()));
        for text in ["Fresh", "none", " kept"] {
            assert_eq!(
                text.parse::<Isolation>(),
                Err(ParseIsolationError(text.to_owned()))
            );
        }
    }
}
