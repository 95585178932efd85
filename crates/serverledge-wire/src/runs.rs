//! Runs: the records of invocations that a node keeps in memory, their figures over time, and the questions that nodes
//! ask each other about them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::stream::LogLine;

/// The record of one run. Durations are microseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunInfo {
    /// The invocation's id. An offloaded one, and an asynchronous one with several attempts, has several records.
    pub id: String,
    /// The function's name.
    pub function: String,
    /// Its application, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// The digest of the version that ran.
    pub version: String,
    /// `invoke`, `http`, `endpoint`, `edge`, `nested`, `async`, `peer` or `test`.
    pub trigger: String,
    /// `completed`, `failed`, `rejected`, `refused`, `unavailable`, `internal` or `abandoned`.
    pub status: String,
    /// The error's code, of a run without a result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The error's message, shortened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Time of its arrival, in Unix milliseconds.
    pub started_unix_ms: u64,
    /// Waiting for resources.
    pub queue_us: u64,
    /// Starting the sandbox.
    pub start_us: u64,
    /// Running the function. Of a run that failed on another node, 0.
    pub execution_us: u64,
    /// From arrival to the reply.
    pub total_us: u64,
    /// Whether nothing had to be loaded.
    pub warm: bool,
    /// The look-up that answered: `run` (none did), `edge`, `carried`, `cache` or `joined`.
    pub cache: String,
    /// The node that keeps this record, as `area/name`.
    pub node: String,
    /// The node that ran it, as `area/name`.
    pub ran_on: String,
    /// Length of the parameters, or of the request's body where that is known before it is read.
    pub params_bytes: u64,
    /// Length of the result, or of the response's body; while one of unknown length is sent, as much as was read of it.
    pub result_bytes: u64,
    /// The account that asked, if the node knows one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caller: Option<String>,
    /// The invocation that made it, if a function did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// The invocation at the root of the call tree.
    pub root: String,
    /// 0 for a call from outside, one more for each nested call.
    pub depth: u32,
    /// The trace that it is part of (W3C Trace Context).
    pub trace_id: String,
    /// Its span in that trace.
    pub span_id: String,
    /// The requests that it sent to hosts outside, the first 32 of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestInfo>,
    /// Number of its requests beyond those.
    #[serde(default, skip_serializing_if = "crate::members::is_default")]
    pub more_requests: u64,
}

/// A request of a run to a host outside. Its path and its query are not recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RequestInfo {
    /// Its method.
    pub method: String,
    /// Scheme and host, and the port unless it is the scheme's.
    pub host: String,
    /// The status of the response; absent if there was none when the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error's code, of a request without a whole response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// From the arrival of the run to the begin of the request, in microseconds.
    pub begun_us: u64,
    /// To the head of the response, or to the failure, in microseconds; absent if neither came before the run ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_us: Option<u64>,
    /// Bytes of the response's body that came.
    pub received_bytes: u64,
}

/// One page of runs, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct RunPage {
    /// The runs.
    pub runs: Vec<RunInfo>,
    /// The position of the next page, for `?cursor=`; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Time from which on this node has kept all failures and a sample of the rest, in Unix milliseconds.
    pub kept_since_unix_ms: u64,
    /// Nodes that were asked and did not answer, as `area/name`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreachable: Vec<String>,
}

/// The figures of functions over the last minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Length of one step of `points`.
    pub step_ms: u64,
    /// Length of the time that is looked back.
    pub window_ms: u64,
    /// The present time of the node, in Unix milliseconds.
    pub unix_ms: u64,
    /// The functions that were called in that time.
    pub functions: Vec<FunctionStats>,
    /// The steps of the one function that was asked for, the oldest first. Steps without calls are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<Vec<StatsPoint>>,
}

/// The figures of one function.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FunctionStats {
    /// The function's name.
    pub function: String,
    /// Its application, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Calls in a second, over the last minute.
    pub per_second: f64,
    /// The figures of the whole time.
    #[serde(flatten)]
    pub figures: RunFigures,
}

/// The figures of a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct RunFigures {
    /// Number of calls.
    pub calls: u64,
    /// Number of those that failed, by whosever fault, rejections left out.
    pub failures: u64,
    /// Number of those that overload or a quota rejected.
    pub rejected: u64,
    /// Number of cold starts.
    pub cold: u64,
    /// Number of answers for which nothing ran.
    pub cache_hits: u64,
    /// The median time from arrival to reply of completed calls, in microseconds, within a factor
    /// of 1.4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_us: Option<u64>,
    /// The 99th percentile of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_us: Option<u64>,
}

/// The figures of one step of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StatsPoint {
    /// Begin of the step, in Unix milliseconds.
    pub unix_ms: u64,
    /// Its figures.
    #[serde(flatten)]
    pub figures: RunFigures,
}

/// The figures of a node over the last hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStats {
    /// Length of one step.
    pub step_ms: u64,
    /// The steps, the oldest first. Steps in which nothing happened are left out.
    pub points: Vec<NodeStatsPoint>,
}

/// The figures of one step of a node's time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeStatsPoint {
    /// Begin of the step, in Unix milliseconds.
    pub unix_ms: u64,
    /// The figures of all calls.
    #[serde(flatten)]
    pub figures: RunFigures,
    /// Invocations that ran when the step began.
    pub running: u64,
    /// Invocations that waited then.
    pub waiting: u64,
    /// Memory that was reserved then, in MiB.
    pub memory_used_mib: u64,
    /// Processor time that was reserved then, in thousandths of a core.
    pub cpu_used_milli: u64,
}

/// The sandboxes that a node keeps between calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sandboxes {
    /// The sandboxes, the oldest first.
    pub sandboxes: Vec<SandboxInfo>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SandboxInfo {
    /// Its function; empty if the function is gone.
    pub function: String,
    /// The function's application, if it is one's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<String>,
    /// Its runtime.
    pub runtime: String,
    /// `starting`, `idle`, `busy` or `stopping`.
    pub state: String,
    /// Time since it came up, in milliseconds; of one that starts, since its start began.
    pub age_ms: u64,
    /// Memory that it has reserved, in MiB.
    pub memory_mib: u64,
}

// === questions between nodes ===

/// A question of one node to another about its runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsQuestion {
    /// The spaces whose runs may be shown; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spaces: Option<Vec<String>>,
    /// The runs that are asked for.
    pub filter: RunFilter,
}

/// The runs that are asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RunFilter {
    /// Those of functions of this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// Those with one of these statuses; empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<String>,
    /// Those that came on this road.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Those that began at this time or later, in Unix milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since_unix_ms: Option<u64>,
    /// Those that began at this time or before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<u64>,
    /// Those behind this position.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<RunPosition>,
    /// Most runs of one answer.
    pub limit: usize,
}

/// The position of a run in the order of all: by the time of its arrival, the newest first, then by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RunPosition {
    /// Time of its arrival, in Unix milliseconds.
    pub unix_ms: u64,
    /// Its id.
    pub id: String,
}

/// A question of one node to another: what it has of one invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvocationQuestion {
    /// The spaces whose runs may be shown; absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spaces: Option<Vec<String>>,
    /// The invocation's id.
    pub id: String,
    /// Whether its log is wanted as well.
    #[serde(default)]
    pub log: bool,
}

/// The answer to that.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct InvocationTraces {
    /// Its records, the oldest first.
    #[serde(default)]
    pub runs: Vec<RunInfo>,
    /// The kept lines of its log.
    #[serde(default)]
    pub log: Vec<LogLine>,
}

// === impl RunPosition ===

impl RunPosition {
    /// The position of a run.
    #[must_use]
    pub fn of(run: &RunInfo) -> Self {
        Self {
            unix_ms: run.started_unix_ms,
            id: run.id.clone(),
        }
    }

    /// Reads a cursor.
    #[must_use]
    pub fn parse(cursor: &str) -> Option<Self> {
        let (unix_ms, id) = cursor.split_once('-')?;
        let is_id = id.len() == 36
            && id
                .bytes()
                .all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
        is_id.then_some(Self {
            unix_ms: unix_ms.parse().ok()?,
            id: id.to_owned(),
        })
    }
}

impl std::fmt::Display for RunPosition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.unix_ms, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_come_back() {
        let position = RunPosition {
            unix_ms: 1_764_500_000_123,
            id: "019ad000-0000-7000-8000-000000000000".to_owned(),
        };
        assert_eq!(RunPosition::parse(&position.to_string()), Some(position));
        for bad in ["", "-", "x-019ad000-0000-7000-8000-000000000000", "12-1"] {
            assert_eq!(RunPosition::parse(bad), None, "{bad}");
        }
    }
}
