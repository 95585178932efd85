//! The HTTP surface of a node: routes over a [`Backend`], the rules for who may ask, one table from errors to HTTP, the
//! OpenAPI document, and the server that carries it all. The only crate that knows axum and hyper's server side.

mod app;
mod backend;
mod balancer;
mod body;
mod dead_letters;
mod deploy;
mod error;
mod functions;
mod guard;
mod hostile;
mod invocations;
mod invoke;
mod lines;
mod logs;
mod openapi;
mod peer;
mod plain;
mod reply;
mod server;
mod stored;
mod system;
mod tls;
mod versions;

pub use app::{App, Limits};
pub use backend::{
    Backend, Call, Deploy, DeployError, Deployed, Identity, Load, LogEntry, LogFeed, PeerInvokeError, PeerRefused,
    PeerRequest, PollError, Polled, QuotaExceeded, SubmitError,
};
pub use balancer::{Balancer, Destination, PassError, Passage, PassageBody};
pub use guard::Guard;
pub use openapi::document;
pub use server::{ServerLimits, Serving, serve, serve_tls};
pub use stored::{ChangeError, IDEMPOTENCY_KEY_BYTES_MAX, IdempotencyKey, KeptReply, OnceError, Stored, Submitted};
pub use tls::{RELOAD_INTERVAL, Tls, TlsError, TlsFiles};
