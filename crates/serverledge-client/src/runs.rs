//! The records of runs, their figures over time, and the sandboxes of a node.

use http::HeaderValue;
use http::header::ACCEPT;
use serverledge_core::FunctionName;
use serverledge_wire::runs::{NodeStats, RunPage, Sandboxes, Stats};
use serverledge_wire::stream::NDJSON;

use crate::client::{Client, segment};
use crate::error::ClientError;
use crate::lines::Lines;
use crate::streaming::LogStream;

/// The runs that are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct WantedRuns<'a> {
    /// Those of functions of this name.
    pub function: Option<&'a str>,
    /// Those with this status; several stand with commas, `failures` is all but `completed`.
    pub status: Option<&'a str>,
    /// Those that came on this road.
    pub trigger: Option<&'a str>,
    /// Those that began at this time or later, in Unix milliseconds.
    pub since_unix_ms: Option<u64>,
    /// Those that began at this time or before.
    pub until_unix_ms: Option<u64>,
    /// Most runs of one page; absent: as many as the node sees fit.
    pub limit: Option<u32>,
    /// Those behind this position: the `next` of the page before.
    pub cursor: Option<&'a str>,
    /// Those of all nodes.
    pub cluster: bool,
    /// Those of everybody's functions; for operators.
    pub all: bool,
}

/// The figures that are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct WantedStats<'a> {
    /// Those of this function alone, step by step.
    pub function: Option<&'a FunctionName>,
    /// Those of everybody's functions; for operators.
    pub all: bool,
}

impl Client {
    /// One page of the runs that the node keeps the records of, the newest first. Dropping the future has no effect on the
    /// node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `malformed_query` (400) if the node gives no such page. Else see
    /// [`ClientError`].
    pub async fn runs(&self, wanted: &WantedRuns<'_>) -> Result<RunPage, ClientError> {
        let number = |number: Option<u64>| number.map(|number| number.to_string());
        self.get(&["invocations"])
            .query("function", wanted.function)
            .query("status", wanted.status)
            .query("trigger", wanted.trigger)
            .query("since", number(wanted.since_unix_ms).as_deref())
            .query("until", number(wanted.until_unix_ms).as_deref())
            .query("limit", number(wanted.limit.map(u64::from)).as_deref())
            .query("cursor", wanted.cursor)
            .query("cluster", wanted.cluster.then_some("true"))
            .query("all", wanted.all.then_some("true"))
            .read()
            .await
    }

    /// The log of one invocation, from all nodes. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// [`ClientError::Problem`] with code `invocation_unknown` (404) if no node knows the id. [`ClientError::Request`] if
    /// it cannot be an id. Else see [`ClientError`].
    pub async fn invocation_logs(&self, id: &str) -> Result<LogStream, ClientError> {
        let id = segment(id, "invocation's id")?;
        let call = self
            .get(&["invocations", id, "logs"])
            .header(ACCEPT, HeaderValue::from_static(NDJSON));
        Ok(LogStream(Lines::new(call.begin_endless().await?)))
    }

    /// The figures of the functions over the last minutes. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn stats(&self, wanted: &WantedStats<'_>) -> Result<Stats, ClientError> {
        self.get(&["stats"])
            .query("function", wanted.function.map(FunctionName::as_str))
            .query("all", wanted.all.then_some("true"))
            .read()
            .await
    }

    /// The figures of the node over the last hour; for operators. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn node_stats(&self) -> Result<NodeStats, ClientError> {
        self.get(&["stats", "node"]).read().await
    }

    /// The sandboxes that the node keeps between calls; for operators. Dropping the future has no effect on the node.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn sandboxes(&self) -> Result<Sandboxes, ClientError> {
        self.get(&["sandboxes"]).read().await
    }
}
