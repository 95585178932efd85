//! The vocabulary of a Serverledge node: names, quantities, functions, invocations, errors, and the traits
//! between the parts. No I/O, no clock, no serde: everything here can be reasoned about alone.

mod call;
mod error;
mod executor;
mod function;
mod id;
pub mod kv;
pub mod limits;
mod name;
mod network;
mod quantity;
mod report;
mod version;

pub use call::{CallContext, CallError, HostCalls, Travel};
pub use error::{FailureKind, FunctionFailure, InvocationError, OverloadReason};
pub use executor::{
    BodyError, Executor, HttpBody, InvokeError, Outcome, Payload, PrepareError, Prepared, Progress, Reply, Reuse,
    Sandbox, SandboxCall, StartError, StartPhase, Started, StopError,
};
pub use function::{Archs, Flags, Function, FunctionLimits, FunctionSpec, Interface, Parameter, Signature};
pub use id::{InvocationId, SpaceId};
pub use name::{FunctionName, NameError};
pub use network::{IpNet, ParseIpNetError};
pub use quantity::{CpuMilli, MemoryMib};
pub use report::{Phases, Remote, Report};
pub use version::{Digest, Network, ParseDigestError, ParseNetworkError, ParseRuntimeError, Runtime, Secrets, Version};
