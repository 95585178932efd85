//! Answers that come line by line: what a deploy is doing, and the logs of a function. One JSON object a line
//! (`application/x-ndjson`); `{}` is a sign of life and says nothing else.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::function::Created;
use crate::patch::Updated;
use crate::problem::Problem;

/// The media type of these answers; asked for with `Accept`.
pub const NDJSON: &str = "application/x-ndjson";

/// A line of the answer to `/create`, `/update` and `PATCH /functions/{name}`. The last line has `Created`, `Updated` or
/// `Problem`; no other line has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct DeployLine {
    /// A step has begun, or a tool has printed a line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// The function is deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<Created>,
    /// It is changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<Updated>,
    /// It is not, and nothing has changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Beside `Problem`: in how many seconds another try makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
}

/// A line of a function's log.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase", default)]
pub struct LogLine {
    /// Time at which it was written, as RFC 3339 in UTC with milliseconds.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub time: String,
    /// The id of the invocation that wrote it; absent for what was written while code was loaded, and where nobody can tell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub invocation: String,
    /// The invocation has failed, and the function is to blame; not known yet of a line that is shown while its invocation runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
    /// The line, without its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Instead of all else: the reader was so slow that so many pieces of the log were passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<u64>,
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use serde::de::DeserializeOwned;

    use super::*;

    fn check<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(
        line: &T,
        expected: &Expect,
    ) {
        let text = serde_json::to_string(line).unwrap();
        expected.assert_eq(&text);
        assert_eq!(serde_json::from_str::<T>(&text).unwrap(), *line);
    }

    #[test]
    fn lines_of_a_deploy() {
        check(&DeployLine::default(), &expect!["{}"]);
        check(
            &DeployLine {
                progress: Some("installing dependencies".to_owned()),
                ..DeployLine::default()
            },
            &expect![[r#"{"Progress":"installing dependencies"}"#]],
        );
        let created = Created {
            created: "f".to_owned(),
            runtime: "python".to_owned(),
            version: "00ff".to_owned(),
            interface: String::new(),
            footprint: None,
            replaced: false,
            remarks: Vec::new(),
        };
        check(
            &DeployLine {
                created: Some(created),
                ..DeployLine::default()
            },
            &expect![[r#"{"Created":{"Created":"f","Runtime":"python","Version":"00ff"}}"#]],
        );
        let problem = Problem {
            status: 503,
            code: "docker_unavailable".to_owned(),
            ..Problem::default()
        };
        let line = DeployLine {
            problem: Some(problem),
            retry_after: Some(1),
            ..DeployLine::default()
        };
        check(
            &line,
            &expect![[
                r#"{"Problem":{"type":"","title":"","status":503,"code":"docker_unavailable","detail":""},"RetryAfter":1}"#
            ]],
        );
    }

    #[test]
    fn lines_of_a_log() {
        check(&LogLine::default(), &expect!["{}"]);
        check(
            &LogLine {
                time: "2026-01-02T03:04:05.678Z".to_owned(),
                invocation: "01890000-0000-7000-8000-000000000001".to_owned(),
                failed: true,
                text: Some("boom".to_owned()),
                skipped: None,
            },
            &expect![[
                r#"{"Time":"2026-01-02T03:04:05.678Z","Invocation":"01890000-0000-7000-8000-000000000001","Failed":true,"Text":"boom"}"#
            ]],
        );
        check(
            &LogLine {
                skipped: Some(3),
                ..LogLine::default()
            },
            &expect![[r#"{"Skipped":3}"#]],
        );
    }
}
