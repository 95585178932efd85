//! The record of a running node: who it is, where its peers reach it, and how big it is.

use serde::{Deserialize, Serialize};

use super::Record;

/// The value of `nodes/<area>/<node>`, bound to the node's lease. It changes when the node starts or drains, never
/// with its load: what is free now travels between the nodes themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// Made anew at each start: tells a node's lives apart.
    pub epoch: String,
    /// `node`, or `lb` for a load balancer.
    pub kind: String,
    /// The URL at which peers reach it: `http://host:port` or `https://host:port`.
    pub url: String,
    /// Architecture in Go's words (`amd64`, `arm64`).
    pub arch: String,
    /// The program's version.
    pub version: String,
    /// Memory of its pool in MiB.
    pub memory_mib: u64,
    /// Processor share of its pool in thousandths of a core.
    pub cpu_milli: u64,
    /// The runtimes that it has an executor for.
    pub runtimes: Vec<String>,
    /// It takes nothing new.
    pub draining: bool,
    /// Start time, in Unix milliseconds.
    pub started_unix_ms: u64,
}

impl Record for NodeRecord {}

impl NodeRecord {
    /// The kind of nodes that run functions.
    pub const NODE: &'static str = "node";
    /// The kind of load balancers.
    pub const BALANCER: &'static str = "lb";
}
