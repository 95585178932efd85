//! The routes below `/edge/`: what pages need to run an application's functions themselves, and to call the others.

use axum::body::Body;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use http::{HeaderMap, Method, Response, StatusCode};
use serverledge_core::{Application, Function, FunctionName, Interface};

use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;

/// The path of all of them, within an application.
const PREFIX: &str = "edge/";
/// A module never changes under its URL, which holds its digest.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Manifest and keys are asked for anew each time.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const WASM: HeaderValue = HeaderValue::from_static("application/wasm");

/// One of the routes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EdgeResource<'a> {
    /// The signed manifest.
    Manifest,
    /// The public keys.
    Keys,
    /// The module with this SHA-256.
    Module(&'a str),
    /// A call of this function at the node.
    Call(&'a str),
}

impl<'a> EdgeResource<'a> {
    /// The route of a path within an application.
    pub(super) fn of(path: &'a str) -> Option<Self> {
        let rest = path.strip_prefix(PREFIX)?;
        match rest.split_once('/') {
            None if rest == "manifest" => Some(Self::Manifest),
            None if rest == "keys" => Some(Self::Keys),
            Some(("modules", digest)) if !digest.contains('/') => Some(Self::Module(digest)),
            Some(("call", function)) if !function.contains('/') => Some(Self::Call(function)),
            _ => None,
        }
    }

    /// Its methods, as in `Allow`.
    pub(super) const fn methods(self) -> &'static str {
        match self {
            Self::Manifest | Self::Keys | Self::Module(_) => "GET, HEAD",
            Self::Call(_) => "POST",
        }
    }

    pub(super) fn answers(self, method: &Method) -> bool {
        match self {
            Self::Manifest | Self::Keys | Self::Module(_) => {
                matches!(*method, Method::GET | Method::HEAD)
            }
            Self::Call(_) => *method == Method::POST,
        }
    }
}

/// The signed manifest.
pub(super) async fn manifest(state: &AppState, application: &Application) -> ApiResult {
    let signed = state
        .backend
        .running_apps
        .edge_manifest(application)
        .await?;
    Ok(uncached(reply::json(&signed)))
}

/// The public keys.
pub(super) fn keys(state: &AppState) -> Response<Body> {
    uncached(reply::json(&state.backend.running_apps.edge_keys()))
}

fn uncached(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    response
}

/// A module, or a word that the asker has it already.
pub(super) async fn module(
    state: &AppState,
    application: &Application,
    sha256: &str,
    headers: &HeaderMap,
) -> ApiResult {
    let found = state.backend.running_apps.edge_module(application, sha256);
    let module = found.await?.ok_or_else(|| {
        let detail = "no function that callers may run has this module now; the manifest names those that there are";
        ApiError::new(StatusCode::NOT_FOUND, "not_edge", detail)
    })?;
    let tag = format!("\"{sha256}\"");
    let mut response = if has_already(headers, &tag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        whole(module)
    };
    let answer = response.headers_mut();
    answer.insert(CACHE_CONTROL, IMMUTABLE);
    // The application's setting may change within the year: what one page may read is not kept for another.
    answer.insert(VARY, HeaderValue::from_static("origin"));
    // Quotes and hexadecimal digits, as the module was found by them.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.insert(ETAG, tag);
    }
    Ok(response)
}

fn whole(module: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(module));
    response.headers_mut().insert(CONTENT_TYPE, WASM);
    response
}

/// Whether `If-None-Match` names this tag (RFC 9110 §13.1.2: weak tags count).
fn has_already(headers: &HeaderMap, tag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|one| one.trim().trim_start_matches("W/"))
        .any(|one| one == tag || one == "*")
}

/// The function that a page may call at the node: one that it may run itself, or one that an endpoint calls with JSON. Any
/// other is the application's own affair, and unknown here. A `wasi:http` function gets requests on its endpoints only.
pub(super) async fn callable(
    state: &AppState,
    application: &Application,
    name: &str,
) -> Result<FunctionName, ApiError> {
    let unknown = || ApiError::function_unknown(name);
    let function = FunctionName::parse(name).map_err(|_| unknown())?;
    let served = state.backend.served(&application.space, name).await;
    if served.is_some_and(|served| is_public(application, &served)) {
        Ok(function)
    } else {
        Err(unknown())
    }
}

fn is_public(application: &Application, function: &Function) -> bool {
    let has_endpoint = || {
        application
            .endpoints
            .iter()
            .any(|endpoint| endpoint.function == function.name)
    };
    function.interface == Interface::Json && (function.flags.edge || has_endpoint())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_resource() {
        use EdgeResource::{Call, Keys, Manifest, Module};
        for (path, expected) in [
            ("edge/manifest", Some(Manifest)),
            ("edge/keys", Some(Keys)),
            ("edge/modules/00ff", Some(Module("00ff"))),
            ("edge/call/f.g", Some(Call("f.g"))),
            ("edge/modules/a/b", None),
            ("edge/call/a/b", None),
            ("edge/manifest/x", None),
            ("edge/modules", None),
            ("edge", None),
            ("edge/", None),
            ("manifest", None),
        ] {
            assert_eq!(EdgeResource::of(path), expected, "{path}");
        }
    }

    #[test]
    fn tags_are_compared_whole() {
        let has = |value: &'static str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(value))]);
            has_already(&headers, "\"ab\"")
        };
        assert!(has("\"ab\"") && has("\"x\", W/\"ab\"") && has("*"));
        assert!(!has("ab") && !has("\"abc\"") && !has(""));
    }
}
