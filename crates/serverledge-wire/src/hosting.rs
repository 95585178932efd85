//! Replies of the routes that start, stop, test and import applications.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

/// The reply to `POST /apps/{app}/start` and `/stop`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunningApplication {
    /// Its name.
    pub name: String,
    /// Whether its endpoints answer.
    pub up: bool,
}

/// The reply to `POST /apps/{app}/test`.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct TestAnswer {
    /// What an endpoint would answer: `result` and `cache`.
    #[schema(value_type = Object)]
    pub answer: Box<RawValue>,
    /// The end of what the function wrote to its log.
    pub output: String,
    /// How long it ran.
    pub milliseconds: f64,
}

/// The reply to `POST /apps/import`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedApplication {
    /// Its name.
    pub name: String,
    /// Its functions.
    pub functions: Vec<String>,
    /// What the file could not bring.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}
