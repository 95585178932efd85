//! The HTTP surface of a node: routes over a [`Backend`], the rules for who may ask, one table from errors to HTTP, the
//! OpenAPI document, and the server that carries it all. The only crate that knows axum and hyper's server side.

mod backend;
mod balancer;
mod dispatch;
mod errors;
mod request;
mod response;
mod routes;
mod server;

pub use backend::applications::{AppChanges, AppError, Applications};
pub use backend::balancer::{Balancer, Destination, ProxyError, ProxyRequest, ProxyRequestBody};
pub use backend::dependencies::check as check_dependencies;
pub use backend::errors::{Deploy, DeployError, PollError, QuotaExceeded, SubmitError};
pub use backend::invocations::{
    ChangeError, IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, InvocationOptions, KeptReply,
    OnceError, Submitted,
};
pub use backend::roles::{
    AsyncInvocations, Backend, DeadLetterQueue, Deployments, FunctionCatalogue, Invocations,
    NodeStatus, PeerGateway, VersionHistory,
};
pub use backend::running_apps::{
    ContentCoding, EdgeCode, EdgeFile, EdgeKind, Hosting, HostingError, Imported, TestRun,
};
pub use backend::runs::{EventFeed, EventFilter, EventId, RunRecords, RunScope, event_text};
pub use backend::state::{KvStores, StateStores};
pub use backend::{
    ClientCall, Deployed, ExpectedState, Identity, Load, LogEntry, LogFeed, Patched,
    PeerInvokeError, PeerRefused, PeerRequest, Polled, Readiness,
};
pub use dispatch::App;
pub use request::access::Access;
pub use request::origin::OriginPolicy;
pub use request::state::Limits;
pub use routes::apps::parse_cors;
pub use routes::document;
pub use server::tls::{RELOAD_INTERVAL, Tls, TlsError, TlsFiles};
pub use server::{ServerLimits, Serving, serve, serve_tls};
