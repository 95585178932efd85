//! Store data of core modules (commands and reactors).

use std::sync::Arc;

use bytes::Bytes;
use serverledge_core::{HostCalls, SplitMix64, Version};
use wasmtime::Memory;

use crate::descriptor_table::DescriptorTable;
use crate::invocation_facts::InvocationFacts;
use crate::log_tail::LogTail;
use crate::meter::{Meter, Metered};

/// The time at which the clock of a [`World::Still`] begins: 2020-01-01T00:00:00Z in nanoseconds of the Unix epoch.
const STILL_NANOSECONDS: u64 = 1_577_836_800_000_000_000;

/// One run of a core module, as the host functions see it.
pub(crate) struct CoreGuest {
    pub(crate) meter: Meter,
    pub(crate) log: LogTail,
    pub(crate) stdin: Bytes,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stdout_max: usize,
    /// Set once the instance exists; host functions called by a start section look it up by name.
    pub(crate) memory: Option<Memory>,
    pub(crate) world: World,
    /// The reply of a function of the module `serverledge` that did not fit the guest's buffer.
    pub(crate) kept_reply: Option<Reply>,
    /// Its descriptors, if its code comes with files; else it has the three streams.
    pub(crate) files: Option<Box<DescriptorTable>>,
}

impl CoreGuest {
    /// A guest that serves no invocation: it asks a world that stands still, and has neither files nor anybody to call.
    pub(crate) const fn still(meter: Meter, log: LogTail, stdin: Bytes, stdout_max: usize) -> Self {
        Self {
            meter,
            log,
            stdin,
            stdout: Vec::new(),
            stdout_max,
            memory: None,
            world: World::still(),
            kept_reply: None,
            files: None,
        }
    }
}

/// The world that a guest sees when it asks about anything beyond its own memory.
pub(crate) enum World {
    /// An invocation: the machine's clock and generator, the version's environment, a node that calls functions.
    Invocation {
        facts: InvocationFacts,
        version: Arc<Version>,
        host: Arc<dyn HostCalls>,
        /// The arguments after the function's name.
        args: Vec<String>,
    },
    /// The initialisation before a snapshot, which must come to the same every time: no name, no environment, nobody to
    /// call, a clock that only the guest's own sleeping moves, and one sequence of numbers for randomness.
    Still {
        nanoseconds: u64,
        random: SplitMix64,
    },
}

impl World {
    pub(crate) const fn still() -> Self {
        Self::Still {
            nanoseconds: STILL_NANOSECONDS,
            random: SplitMix64::new(0),
        }
    }
}

/// A reply of a nested call, to a request, or of a store.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) bytes: Bytes,
    pub(crate) is_error: bool,
}

impl Metered for CoreGuest {
    fn meter(&mut self) -> &mut Meter {
        &mut self.meter
    }
}

impl CoreGuest {
    /// Lets go of all that is the call's own; its arguments go with its world.
    pub(crate) fn clear(&mut self) {
        self.log = LogTail::new(0);
        self.stdin = Bytes::new();
        self.stdout = Vec::new();
        self.world = World::still();
        self.kept_reply = None;
        self.files = None;
    }

    /// The arguments, of which the first is the function's name.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &str> {
        let (name, args) = match &self.world {
            World::Invocation { facts, args, .. } => (facts.function.as_str(), args.as_slice()),
            World::Still { .. } => ("", <&[String]>::default()),
        };
        std::iter::once(name).chain(args.iter().map(String::as_str))
    }

    /// The environment: the function's own variables, its secrets and what the guest ABI promises, as `NAME=value`.
    pub(crate) fn environment(&self) -> Vec<String> {
        let World::Invocation { facts, version, .. } = &self.world else {
            return Vec::new();
        };
        let variables = facts.environment(version);
        variables
            .map(|(name, value)| format!("{name}={value}"))
            .collect()
    }

    /// The node, if there is one to call functions.
    pub(crate) fn host(&self) -> Option<Arc<dyn HostCalls>> {
        match &self.world {
            World::Invocation { host, .. } => Some(Arc::clone(host)),
            World::Still { .. } => None,
        }
    }
}
