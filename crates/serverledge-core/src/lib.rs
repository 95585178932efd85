//! The vocabulary of a Serverledge node: names, quantities, functions, invocations, errors, and the traits
//! between the parts. No I/O, no clock, no serde: everything here can be reasoned about alone.

mod account;
mod application;
mod call;
mod error;
mod executor;
mod function;
mod id;
pub mod kv;
pub mod limits;
mod memo;
mod name;
mod network;
mod quantity;
mod report;
mod version;

pub use account::{
    Account, AccountError, Accounts, AuthError, Caller, Credential, NewSession, NewToken, Profile,
    Role, Scopes, SessionInfo, SignedUp, TokenInfo, Via,
};
pub use application::{
    APP_NAME_BYTES_MAX, AppName, AppNameError, Application, CORS_ORIGINS_MAX, Cors,
    DEPENDENCIES_BYTES_MAX, ENDPOINT_PATH_BYTES_MAX, ENDPOINTS_MAX, Endpoint, EndpointError,
    EndpointPath, EndpointPathError,
};
pub use call::{CallContext, CallError, CallKey, HostCalls, Link, Travel};
pub use error::{FailureKind, FunctionFailure, InvocationError, OverloadReason};
pub use executor::{
    BodyError, Executor, HttpBody, InvokeError, Outcome, Payload, PrepareError, Prepared, Progress,
    Reply, Reuse, Sandbox, SandboxCall, StartError, StartPhase, Started, StopError,
};
pub use function::{
    Archs, Flags, Function, FunctionLimits, FunctionSpec, Interface, Parameter, Signature,
};
pub use id::{AppId, InvocationId, SpaceId, UserId};
pub use memo::{CacheEntry, Carried, CarriedAnswer, CarriedAnswers, Ignored, Memo, Source};
pub use name::{FunctionName, NameError};
pub use network::{IpNet, ParseIpNetError};
pub use quantity::{CpuMilli, MemoryMib};
pub use report::{Phases, Remote, Report};
pub use version::{
    Digest, Network, ParseDigestError, ParseNetworkError, ParseRuntimeError, Runtime, Secrets,
    Version,
};
