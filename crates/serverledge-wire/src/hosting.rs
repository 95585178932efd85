//! Replies of the routes that start, stop, test and import applications, and what the file of an export says.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::application::{CorsInfo, EndpointInfo};

/// The version of [`Export`]; a file of another one is refused.
pub const EXPORT_SCHEMA: u32 = 1;

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
    /// The response that an endpoint would give: `result` and `cache`.
    #[schema(value_type = Object)]
    pub answer: Box<RawValue>,
    /// The end of what the function wrote to its log.
    pub output: String,
    /// Duration of the run, in milliseconds.
    pub milliseconds: f64,
}

/// The reply to `POST /apps/import`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImportedApplication {
    /// Its name.
    pub name: String,
    /// Its functions.
    pub functions: Vec<String>,
    /// Remarks on what the file could not bring.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remarks: Vec<String>,
}

/// The contents of `application.json` in the tar of an exported application. Code lies beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Export {
    /// [`EXPORT_SCHEMA`].
    pub schema: u32,
    /// The application's name.
    pub name: String,
    /// The origins whose pages may use its endpoints.
    pub cors: CorsInfo,
    /// Cache entries of nested calls are handed out.
    pub hands_out_nested: bool,
    /// On a host name of its own its responses keep their origin.
    pub own_origin: bool,
    /// The dependencies file of its functions, whichever of the two there is; empty: none.
    pub dependencies: String,
    /// The `requirements.txt` of one that has a `package.json` as well.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub requirements: String,
    /// Its endpoints.
    pub endpoints: Vec<EndpointInfo>,
    /// Its functions.
    pub functions: Vec<ExportedFunction>,
}

/// One function of an export.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportedFunction {
    /// A body of `POST /create` without code and secrets.
    pub body: Box<RawValue>,
    /// The name of the file with its code in the tar.
    pub code: String,
    /// The names of its secrets, whose values stay behind.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
    /// The hosts that a secret is for, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_hosts: BTreeMap<String, Vec<String>>,
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::application::CorsWord;

    /// Files of this schema stay readable.
    #[test]
    fn an_export_says_what_is_in_it() {
        let body = RawValue::from_string(r#"{"Name":"f","Runtime":"wasm"}"#.to_owned()).unwrap();
        let export = Export {
            schema: EXPORT_SCHEMA,
            name: "shop".to_owned(),
            cors: CorsInfo::Word(CorsWord::Any),
            hands_out_nested: true,
            own_origin: false,
            dependencies: String::new(),
            requirements: String::new(),
            endpoints: vec![EndpointInfo {
                method: "POST".to_owned(),
                path: "a".to_owned(),
                function: "f".to_owned(),
            }],
            functions: vec![ExportedFunction {
                body,
                code: "code/f".to_owned(),
                secrets: vec!["KEY".to_owned()],
                secret_hosts: BTreeMap::new(),
            }],
        };
        let text = serde_json::to_string(&export).unwrap();
        expect![[r#"{"schema":1,"name":"shop","cors":"any","hands_out_nested":true,"own_origin":false,"dependencies":"","endpoints":[{"method":"POST","path":"a","function":"f"}],"functions":[{"body":{"Name":"f","Runtime":"wasm"},"code":"code/f","secrets":["KEY"]}]}"#]].assert_eq(&text);
        let read: Export = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
