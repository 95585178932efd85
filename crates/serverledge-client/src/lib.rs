//! Typed asynchronous client of a node's HTTP API.
//!
//! One [`Client`] keeps connections open and is cheap to clone. Every failure is a [`ClientError`] that tells an
//! unreachable node, a lost connection, a time limit, the node's own refusal and an answer in another language apart.
//! Answers are read up to [`ANSWER_BYTES_MAX`], so that a hostile peer cannot fill the memory.
//!
//! Beside it stands the [`CallbackSender`], by which a node tells a user's URL that an asynchronous invocation has ended,
//! the [`CollectorClient`], by which it sends telemetry, and the [`OutboundClient`], by which it sends the requests of
//! functions.
//!
//! **Dropping a future** of this crate closes its connection. A request that was already sent may still take effect:
//! a function is then deployed, deleted or run all the same. `invoke` says what that means there.

mod account;
mod answer;
mod applications;
mod asynchronous;
mod call;
mod callback;
mod client;
mod collector;
mod endpoint;
mod error;
mod event_parser;
mod events;
mod invocation;
mod kv;
mod lines;
mod outbound;
mod peer;
mod reach;
mod replayable_body;
mod running;
mod runs;
mod streaming;
mod tls;
mod versions;

pub use account::{ParseTokenError, Session, Token};
pub use call::{
    ANSWER_BYTES_MAX, CONTROL_TIMEOUT, DEPLOY_STREAM_TIMEOUT, DEPLOY_TIMEOUT, SILENCE_TIMEOUT,
};
pub use callback::{
    CALLBACK_REPLY_BYTES_MAX, CALLBACK_TIMEOUT, CALLBACK_URL_BYTES_MAX, CallbackConfig,
    CallbackError, CallbackRefused, CallbackSender, INVOCATION_HEADER, SIGNATURE_HEADER,
};
pub use client::{CONNECT_TIMEOUT, Client, ClientConfig, INVOKE_TIMEOUT};
pub use collector::{COLLECTOR_ANSWER_BYTES_MAX, CollectorClient, CollectorConfig, CollectorError};
pub use endpoint::{Endpoint, EndpointError};
pub use error::{Cause, ClientError, is_function_failure};
pub use events::{EventStream, EventUpdate, NodeEvent, ReceivedEvent, WantedEvents};
pub use invocation::{InvocationResult, Poll};
pub use kv::{KvExpected, KvValue, WantedKeys};
pub use outbound::{OutboundClient, OutboundConfig, OutboundPool};
pub use peer::{PeerAnswer, PeerClient, PeerError, PeerTarget, Sender, is_forwardable};
pub use reach::{ParseReachAllowError, ReachAllow};
pub use replayable_body::ReplayableBody;
pub use running::ExportStream;
pub use runs::{WantedRuns, WantedStats};
pub use serverledge_core::limits::{CODE_BYTES_MAX, PARAMS_BYTES_MAX};
pub use serverledge_core::{
    AppName, AppNameError, FunctionName, InvocationId, NameError, ParseRuntimeError, Runtime,
    StateError, StateKey, StoreName,
};
pub use serverledge_wire::invoke::InvocationBody;
pub use streaming::{LogStream, WantedLog};
