//! The report of an invocation that succeeded.

use std::time::Duration;

use bytes::Bytes;

use crate::cache::CacheMetadata;
use crate::executor::Reply;

/// The duration of each phase. Together they are the time from arrival to the reply (for a streamed one: to its start).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Phases {
    /// Waiting for resources.
    pub queue: Duration,
    /// Starting the sandbox: loading what was not in memory.
    pub start: Duration,
    /// Running the function.
    pub execution: Duration,
    /// Arrival to the reply.
    pub total: Duration,
}

/// The report of one invocation.
#[derive(Debug)]
pub struct Report {
    /// The result.
    pub reply: Reply,
    /// The end of the function's log.
    pub log: Bytes,
    /// Whether nothing had to be loaded.
    pub warm: bool,
    /// The durations of its phases.
    pub phases: Phases,
    /// The other node that ran it; `None`: this one.
    pub remote: Option<Box<Remote>>,
    /// Its cache data.
    pub memo: CacheMetadata,
}

/// The node that an invocation was offloaded to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remote {
    /// Its id.
    pub node: String,
    /// Its area.
    pub area: String,
    /// Time that the way there and back added to the time on that node.
    pub latency: Duration,
}
