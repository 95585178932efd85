//! Replies of the node's own routes for asynchronous invocations: `/invocations`, `/functions/{name}/invocations`,
//! `/dead-letters`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::records::InvocationState;
use crate::runs::RunInfo;

/// The reply (202) to `POST /functions/{name}/invocations` and to a redrive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AcceptedInvocation {
    /// The id to ask `/invocations/{id}` for.
    pub id: String,
    /// The invocation existed already: an earlier request had the same `Idempotency-Key`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub repeated: bool,
    /// The dead letter that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrive_of: Option<String>,
}

/// All that is known of an invocation. Of one that was not stored, the records of its runs say what is here. Times are Unix milliseconds.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct InvocationInfo {
    /// Its id.
    pub id: String,
    /// The function's name when it was accepted.
    pub function: String,
    /// The digest of the version that runs.
    pub version: String,
    /// Its state.
    #[schema(value_type = String)]
    pub state: InvocationState,
    /// Number of times that it was begun.
    pub attempts: u32,
    /// Time of its acceptance.
    pub accepted_unix_ms: u64,
    /// Time of its latest start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_unix_ms: Option<u64>,
    /// Time of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_unix_ms: Option<u64>,
    /// The result, in state `done`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub result: Option<Box<RawValue>>,
    /// The reason why there is no result, in the other terminal states.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<InvocationProblem>,
    /// The node that runs it or ran it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// No other attempt will be made, and the function is not to blame: it can be driven anew.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dead_letter: bool,
    /// The dead letter that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redrive_of: Option<String>,
    /// The callback that reports the end to the caller's URL, if the caller asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub callback: Option<CallbackInfo>,
    /// Its events, oldest first; the latest few.
    pub history: Vec<HistoryEntry>,
    /// The records of its runs that nodes still keep, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunInfo>,
}

/// The reason why an invocation gave no result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InvocationProblem {
    /// A stable code.
    pub code: String,
    /// One line for people.
    pub message: String,
}

/// The progress of a callback.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CallbackInfo {
    /// The URL that it is sent to.
    pub url: String,
    /// `pending`, `delivered` or `failed` (no further attempt will be made).
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// The last attempt's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// One thing that happened to an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HistoryEntry {
    /// Time of the event, in Unix milliseconds by the clock of the node that wrote it.
    pub unix_ms: u64,
    /// `accepted`, `begun`, `taken_over`, `done`, `failed`, `cancelled`, `expired`, `redriven`, `callback_delivered`,
    /// `callback_failed`.
    pub event: String,
    /// The node that wrote it.
    pub node: String,
}

/// One page of dead letters, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DeadLetters {
    /// The invocations, without results and history.
    pub dead_letters: Vec<DeadLetter>,
    /// The position of the next page, for `?after=`; absent on the last page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A dead letter in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeadLetter {
    /// The invocation's id.
    pub id: String,
    /// Its function.
    pub function: String,
    /// The reason why it ended.
    pub error: InvocationProblem,
    /// Number of times that it was begun.
    pub attempts: u32,
    /// Time of its end, in Unix milliseconds.
    pub finished_unix_ms: u64,
}

/// The reply to `DELETE /dead-letters`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Purged {
    /// Number of dead letters that were removed.
    pub purged: u64,
}
