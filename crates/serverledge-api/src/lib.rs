//! The HTTP surface of a node: routes over a [`Backend`], the rules for who may ask, one table from errors to HTTP, the
//! OpenAPI document, and the server that carries it all. The only crate that knows axum and hyper's server side.

mod access;
mod account;
mod app;
mod app_prefix;
mod applications;
mod apps;
mod backend;
mod balancer;
mod body;
mod dead_letters;
mod dependencies;
mod deploy;
mod error;
mod functions;
mod guard;
mod hostile;
mod hosting;
mod invocations;
mod invoke;
mod lines;
mod logs;
mod openapi;
mod passed;
mod peer;
mod plain;
mod reply;
mod running;
mod server;
mod serving;
mod stored;
mod system;
mod telling;
mod tls;
mod versions;

pub use access::Access;
pub use app::{App, Limits};
pub use applications::{AppChanges, AppError, Applications};
pub use apps::parse_cors;
pub use backend::{
    Backend, Call, Deploy, DeployError, Deployed, Identity, Load, LogEntry, LogFeed,
    PeerInvokeError, PeerRefused, PeerRequest, PollError, Polled, QuotaExceeded, SubmitError,
};
pub use balancer::{Balancer, Destination, PassError, Passage, PassageBody};
pub use dependencies::{check as check_dependencies, dependencies_file, dependencies_runtime};
pub use guard::Guard;
pub use hosting::{EdgeCode, EdgeKind, Hosting, HostingError, Imported, TestRun};
pub use openapi::document;
pub use server::{ServerLimits, Serving, serve, serve_tls};
pub use stored::{
    ChangeError, IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, KeptReply, OnceError, Stored, Submitted,
};
pub use tls::{RELOAD_INTERVAL, Tls, TlsError, TlsFiles};
