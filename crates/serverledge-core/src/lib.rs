//! The vocabulary of a Serverledge node: names, quantities, functions, invocations, errors, and the traits
//! between the parts. No I/O, no serde, no clock but [`unix_ms`]: everything here can be reasoned about alone.

mod account;
mod application;
mod cache;
mod call;
mod causes;
mod dependencies;
mod error;
mod executor;
mod function;
mod id;
pub mod kv;
pub mod limits;
mod log;
mod name;
mod network;
mod outbound;
mod program_io;
mod quantity;
mod random;
mod report;
mod run;
mod state;
mod trace;
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
pub use cache::{
    CacheEntry, CacheMetadata, ClientCache, ClientResult, ClientResults, Ignored, Source,
};
pub use call::{
    Call, CallContext, CallError, CallKey, HostCalls, InstanceKey, Link, PropagatedContext,
};
pub use causes::{causes, error_chain};
pub use dependencies::{Dependencies, DependenciesFile};
pub use error::{FailureKind, FunctionFailure, InvocationError, OverloadReason};
pub use executor::{
    BodyError, Ending, Executor, Footprint, HttpBody, InvokeError, Outcome, Payload, PrepareError,
    Prepared, Progress, Reply, Rest, Reuse, Sandbox, StartError, StartPhase, Started, StopError,
};
pub use function::{
    Archs, Flags, Function, FunctionLimits, FunctionSpec, Interface, Isolation, Parameter,
    ParseIsolationError, Signature,
};
pub use id::{AppId, InvocationId, SpaceId, UserId};
pub use log::{FunctionLog, LogLines};
pub use name::{FunctionName, NameError};
pub use network::{IpNet, ParseIpNetError};
pub use outbound::{
    BoxTunnel, HOST_NAME_BYTES_MAX, HostRule, OUTBOUND_HOSTS_MAX, OutboundError,
    ParseHostRuleError, Tunnel, TunnelError, ends_in_a_number, is_host_name,
};
pub use program_io::{
    ARGS_FAULTS, ArgPiece, ArgTemplateError, CONTENT_TYPE_DEFAULT, ParseStdinError,
    ParseStdoutError, ProgramIo, RequestParams, Stdin, Stdout, arg_pieces,
};
pub use quantity::{CpuMilli, MemoryMib, unix_ms, whole_millis};
pub use random::SplitMix64;
pub use report::{Phases, Remote, Report};
pub use run::{CallOrigin, RunStatus, Trigger};
pub use state::{
    STATE_KEY_BYTES_MAX, STATE_LIST_MAX, STATE_OPS_MAX, STATE_STORES_MAX, STATE_TTL_MAX,
    STORE_NAME_BYTES_MAX, StateEntry, StateError, StateKey, StateLimits, StateOp, StatePage,
    StateReply, StateUsage, StateVersion, StoreName,
};
pub use trace::{SAMPLED, SpanId, TraceContext, TraceId, TraceIds, TraceParent, trace_state};
pub use version::{
    Digest, Network, ParseDigestError, ParseNetworkError, ParseRuntimeError, Runtime, Secrets,
    Version,
};
