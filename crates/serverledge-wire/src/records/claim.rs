//! Records around asynchronous invocations: who has claimed one, which idempotency keys are taken, what happened.

use serde::{Deserialize, Serialize};

use super::Record;

/// Most entries of a record's history: enough for three attempts with their take-overs and the callback's end.
pub const HISTORY_MAX: usize = 16;

/// The value of `claims/<id>`: whose work an invocation is. It exists exactly as long as there is work left, and hangs on
/// no lease.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// Whose work it is.
    pub owner: OwnerRecord,
    /// Digest of the code that has to run: in use as long as the claim is there.
    pub code: String,
}

/// One life of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct OwnerRecord {
    /// Its area.
    pub area: String,
    /// Its id.
    pub node: String,
    /// Which of its lives.
    pub epoch: String,
}

/// The value of `idempotency/<space>/<function>/<key's digest>`: which invocation the key stands for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdempotencyRecord {
    /// [`Record::SCHEMA`].
    pub schema: u32,
    /// The invocation.
    pub id: String,
    /// Digest of the parameters and of what else affects the outcome.
    pub payload: String,
    /// When it was first used, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// When it is free again.
    pub expires_unix_ms: u64,
}

/// Who is told of an invocation's end, and how far that has come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackRecord {
    /// Where it goes.
    pub url: String,
    /// Whether another attempt will be made.
    pub state: CallbackState,
    /// Attempts so far.
    #[serde(default)]
    pub attempts: u32,
    /// When the next one is due, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_unix_ms: Option<u64>,
    /// The last attempt's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// How far a callback has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallbackState {
    /// It waits for the invocation's end, or for its next attempt.
    Pending,
    /// It was answered with a 2xx.
    Delivered,
    /// No further attempt will be made.
    Failed,
}

/// One thing that happened to an invocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryRecord {
    /// When, in Unix milliseconds by the clock of the node that wrote it.
    pub unix_ms: u64,
    /// What: the words of [`crate::invocations::HistoryEntry::event`].
    pub event: String,
    /// Which node wrote it.
    pub node: String,
}

impl Record for ClaimRecord {
    const SCHEMA: u32 = 1;
}

impl Record for IdempotencyRecord {
    const SCHEMA: u32 = 1;
}

impl CallbackRecord {
    /// A callback that waits for the invocation's end.
    #[must_use]
    pub fn new(url: String) -> Self {
        Self {
            url,
            state: CallbackState::Pending,
            attempts: 0,
            next_unix_ms: None,
            last_error: None,
        }
    }
}

impl CallbackState {
    /// Its name in records and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Failed => "failed",
        }
    }
}
