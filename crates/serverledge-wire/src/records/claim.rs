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
    /// The owner of the work.
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
    /// Its epoch: tells the lives of a node apart.
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
    /// Time of its first use, in Unix milliseconds.
    pub created_unix_ms: u64,
    /// Time from which it is free again, in Unix milliseconds.
    pub expires_unix_ms: u64,
}

/// The callback that reports an invocation's end, and its progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CallbackRecord {
    /// The URL that it is sent to.
    pub url: String,
    /// Whether another attempt will be made.
    pub state: CallbackState,
    /// Attempts so far.
    #[serde(default)]
    pub attempts: u32,
    /// Due time of the next attempt, in Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_unix_ms: Option<u64>,
    /// The last attempt's failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// The progress of a callback.
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

impl Record for ClaimRecord {}
impl Record for IdempotencyRecord {}

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
