//! Applications on the wire: what `/apps` takes and answers. Members are read strictly: an unknown one is an error.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serverledge_core::{Application, Cors, DependenciesFile, Endpoint};
use utoipa::ToSchema;

/// Asks for a new application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApp {
    /// Its name: lower-case letters, digits and `-`.
    pub name: String,
}

/// Changes an application; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct AppSettings {
    /// Another name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The origins whose pages may use its endpoints.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cors: Option<CorsInfo>,
    /// Whether cache entries of nested calls are handed out, which reveal the arguments of those calls.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hands_out_nested: Option<bool>,
    /// Whether, on a host name of its own, its responses keep their origin, cookies and CORS headers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub own_origin: Option<bool>,
}

/// The origins whose pages may use an application: `"closed"`, `"any"`, or a list of origins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum CorsInfo {
    /// `closed` or `any`.
    Word(CorsWord),
    /// Those of these origins (`https://name[:port]`).
    Origins(Vec<String>),
}

/// None or all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CorsWord {
    /// None.
    Closed,
    /// All.
    Any,
}

/// An endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct EndpointInfo {
    /// Its method; `POST` if absent.
    #[serde(default = "post")]
    pub method: String,
    /// Its path, with or without the leading `/`.
    pub path: String,
    /// The function that it runs.
    pub function: String,
}

/// An application in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppSummary {
    /// Its name.
    pub name: String,
    /// Its id, which never changes.
    pub id: String,
    /// It is to run: its endpoints answer.
    pub up: bool,
    /// Number of its endpoints.
    pub endpoints: usize,
    /// Number of its functions.
    pub functions: usize,
}

/// An application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppInfo {
    /// Its name.
    pub name: String,
    /// Its id, which never changes.
    pub id: String,
    /// It is to run: its endpoints answer.
    pub up: bool,
    /// The names of its functions, sorted.
    pub functions: Vec<String>,
    /// Its endpoints, sorted by path.
    pub endpoints: Vec<EndpointInfo>,
    /// The name of its dependencies file, or of both with a comma between them; absent: there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<String>,
    /// The origins whose pages may use its endpoints.
    pub cors: CorsInfo,
    /// Cache entries of nested calls are handed out.
    pub hands_out_nested: bool,
    /// On a host name of its own its responses keep their origin.
    pub own_origin: bool,
    /// Creation time, in Unix milliseconds.
    pub created_unix_ms: u64,
}

/// The result of replacing a dependencies file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DependenciesInfo {
    /// The file that was replaced: `package.json` or `requirements.txt`; absent: it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Functions that still run with other packages: until the application's next start, or until they are deployed anew.
    pub outdated: Vec<String>,
}

fn post() -> String {
    "POST".to_owned()
}

/// Reads one of these types out of a body.
///
/// # Errors
/// serde's error.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    // serde reads a struct from an array as well.
    match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[') => Err(serde::de::Error::custom("expected an object")),
        _ => serde_json::from_slice(body),
    }
}

impl From<&Endpoint> for EndpointInfo {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            method: endpoint.method.to_string(),
            path: endpoint.path.as_str().to_owned(),
            function: endpoint.function.to_string(),
        }
    }
}

impl From<&Cors> for CorsInfo {
    fn from(cors: &Cors) -> Self {
        match cors {
            Cors::Closed => Self::Word(CorsWord::Closed),
            Cors::Any => Self::Word(CorsWord::Any),
            Cors::Origins(origins) => Self::Origins(origins.clone()),
        }
    }
}

impl AppSummary {
    /// Of an application with so many functions.
    #[must_use]
    pub fn of(application: &Application, functions: usize) -> Self {
        Self {
            name: application.name.to_string(),
            id: application.id.to_string(),
            up: application.up,
            endpoints: application.endpoints.len(),
            functions,
        }
    }
}

impl AppInfo {
    /// Of an application with these functions.
    #[must_use]
    pub fn of(application: &Application, functions: Vec<String>) -> Self {
        let files: Vec<&str> = application
            .dependencies
            .files()
            .map(DependenciesFile::name)
            .collect();
        Self {
            name: application.name.to_string(),
            id: application.id.to_string(),
            up: application.up,
            functions,
            endpoints: application
                .endpoints
                .iter()
                .map(EndpointInfo::from)
                .collect(),
            dependencies: (!files.is_empty()).then(|| files.join(", ")),
            cors: CorsInfo::from(&application.cors),
            hands_out_nested: application.hands_out_nested,
            own_origin: application.own_origin,
            created_unix_ms: application.created_unix_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_strictly() {
        let read = |text: &str| parse::<AppSettings>(text.as_bytes());
        assert_eq!(read("{}").unwrap(), AppSettings::default());
        let settings = read(r#"{"name":"a","cors":"any","hands_out_nested":false}"#).unwrap();
        assert_eq!(
            (settings.cors, settings.own_origin),
            (Some(CorsInfo::Word(CorsWord::Any)), None)
        );
        let origins = read(r#"{"cors":["https://a.example"]}"#).unwrap().cors;
        assert_eq!(
            origins,
            Some(CorsInfo::Origins(vec!["https://a.example".to_owned()]))
        );
        for bad in [
            r#"{"cors":"all"}"#,
            r#"{"cors":{"__proto__":1}}"#,
            r#"{"Name":"a"}"#,
            r#"{"up":true}"#,
            "[]",
            "",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(parse::<NewApp>(&b"[".repeat(10_000)).is_err());
        let endpoint: EndpointInfo = parse(br#"{"path":"/a","function":"f"}"#).unwrap();
        assert_eq!(endpoint.method, "POST");
    }
}
