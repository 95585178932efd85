//! Events of a node: the data of the server-sent events of `GET /events`. Each has its kind as the event's name, and one of
//! these types as JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a stream of events (WHATWG HTML §9.2).
pub const EVENT_STREAM: &str = "text/event-stream";

/// The kinds of events, as `?kinds=` names them.
pub mod kind {
    /// The first event of every stream: [`super::Hello`].
    pub const HELLO: &str = "hello";
    /// Events that the reader does not get: [`super::Missed`].
    pub const MISSED: &str = "missed";
    /// A run has ended: [`crate::runs::RunInfo`].
    pub const RUN: &str = "run";
    /// A function has changed: [`super::DeployEvent`].
    pub const DEPLOY: &str = "deploy";
    /// A function has written to its log: [`super::LogEvent`].
    pub const LOG: &str = "log";
    /// A sandbox was started: [`super::SandboxEvent`].
    pub const SANDBOX: &str = "sandbox";
    /// A call was offloaded: [`super::OffloadEvent`].
    pub const OFFLOAD: &str = "offload";
    /// Another node has come or gone: [`super::PeerEvent`].
    pub const PEER: &str = "peer";
    /// The node's load, each second: [`super::LoadEvent`].
    pub const LOAD: &str = "load";

    /// Those that a reader can choose.
    pub const CHOICES: [&str; 7] = [RUN, DEPLOY, LOG, SANDBOX, OFFLOAD, PEER, LOAD];
}

/// The node whose events follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// The node, as `area/name`.
    pub node: String,
    /// The version of its program.
    pub version: String,
}

/// Events that this reader does not get: it was too slow, or was away for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Missed {
    /// Number of events of all kinds, or 0 if nobody knows: the node was started anew.
    pub missed: u64,
}

/// A change of a function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeployEvent {
    /// Time, in Unix milliseconds.
    pub unix_ms: u64,
    /// The function's name.
    pub function: String,
    /// Its application, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The digest of its version since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// `deployed`, `changed`, `rolled_back` or `deleted`; `synced`: another node did it, and this one has heard.
    pub action: String,
    /// The node that says so, as `area/name`.
    pub node: String,
}

/// Whole lines that a function wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogEvent {
    /// Time, in Unix milliseconds.
    pub unix_ms: u64,
    /// The function's name.
    pub function: String,
    /// Its application, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The invocation that wrote it, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation: Option<String>,
    /// The text.
    pub text: String,
}

/// A sandbox that was started, where none was ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SandboxEvent {
    /// Time, in Unix milliseconds.
    pub unix_ms: u64,
    /// Its function.
    pub function: String,
    /// The function's application, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// `started`.
    pub action: String,
    /// Its runtime.
    pub runtime: String,
    /// Duration of its start, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
}

/// A call that was handed to another node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OffloadEvent {
    /// Time, in Unix milliseconds.
    pub unix_ms: u64,
    /// The invocation.
    pub id: String,
    /// Its function.
    pub function: String,
    /// The function's application, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The other node, as `area/name`.
    pub to: String,
    /// The outcome, as the metric `serverledge_offloads_total` names it.
    pub outcome: String,
}

/// Another node that has come or gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeerEvent {
    /// Time, in Unix milliseconds.
    pub unix_ms: u64,
    /// The node, as `area/name`.
    pub node: String,
    /// `joined`, `left`, `unreachable` or `reachable`.
    pub action: String,
}

/// The load of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct LoadEvent {
    /// Time, in Unix milliseconds.
    pub unix_ms: u64,
    /// Invocations that run.
    pub running: u64,
    /// Invocations that wait.
    pub waiting: u64,
    /// Memory that is reserved, in MiB.
    pub memory_used_mib: u64,
    /// Memory of the pool, in MiB.
    pub memory_mib: u64,
    /// Processor time that is reserved, in thousandths of a core.
    pub cpu_used_milli: u64,
    /// Processor time of the pool, in thousandths of a core.
    pub cpu_milli: u64,
    /// The pooled sandboxes.
    pub sandboxes: SandboxCounts,
    /// Calls that ended in the last second.
    pub calls: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// Those of them that were rejected.
    pub rejected: u64,
}

/// The number of pooled sandboxes by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct SandboxCounts {
    /// Those that start.
    pub starting: u64,
    /// Those that wait for calls.
    pub idle: u64,
    /// Those that run calls.
    pub busy: u64,
}
