//! Errors on the wire: RFC 9457 problem details with a stable code.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The media type of a problem (RFC 9457 §3).
pub const PROBLEM_JSON: &str = "application/problem+json";

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Problem {
    /// `about:blank`: the code says what kind it is.
    pub r#type: String,
    /// Short words for the status.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// A stable word that programs can compare.
    pub code: String,
    /// One sentence for people: the thing, the cause, the way out.
    pub detail: String,
    /// The function that was called, where one was.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub function: String,
    /// The request's id, to be found in the node's log.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub request_id: String,
    /// The end of the function's log, where a function failed.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub output: String,
    /// The function's own stack trace, where it gave one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub stack: String,
}
