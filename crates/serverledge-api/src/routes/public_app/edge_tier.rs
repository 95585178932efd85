//! The routes below `/edge/`: what pages need to run an application's functions themselves, and to call the others.

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderValue, VARY};
use http::{HeaderMap, Method, Response, StatusCode};
use serverledge_core::{Application, Function, FunctionName, Interface};

use crate::backend::running_apps::{ContentCoding, EdgeFile};
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::{content_coding, reply};
use crate::routes::sdk::{self, LibraryFile};

/// The path of all of them, within an application.
const PREFIX: &str = "edge/";
/// A file never changes under its URL, which holds its digest.
const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Manifest and keys are asked for anew each time.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");
const WASM: HeaderValue = HeaderValue::from_static("application/wasm");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// The application's setting may change within the year: what one page may read is not kept for another.
const VARIES: HeaderValue = HeaderValue::from_static("accept-encoding, origin");

/// One of the routes.
#[derive(Debug, Clone, Copy)]
pub(super) enum EdgeResource<'a> {
    /// The signed manifest.
    Manifest,
    /// The public keys.
    Keys,
    /// A module, delta or component.
    File(EdgeFile<'a>),
    /// A module of the library, for pages that know the application only.
    Library(&'static LibraryFile),
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
            None => sdk::module(rest).map(Self::Library),
            Some((_, name)) if name.contains('/') => None,
            Some(("modules", sha256)) => Some(Self::File(EdgeFile::Module(sha256))),
            Some(("deltas", sha256)) => Some(Self::File(EdgeFile::Delta(sha256))),
            Some(("components", sha256)) => Some(Self::File(EdgeFile::Component(sha256))),
            Some(("call", function)) => Some(Self::Call(function)),
            _ => None,
        }
    }

    /// Its methods, as in `Allow`.
    pub(super) const fn methods(self) -> &'static str {
        match self {
            Self::Manifest | Self::Keys | Self::File(_) | Self::Library(_) => "GET, HEAD",
            Self::Call(_) => "POST",
        }
    }

    pub(super) fn answers(self, method: &Method) -> bool {
        match self {
            Self::Manifest | Self::Keys | Self::File(_) | Self::Library(_) => {
                matches!(*method, Method::GET | Method::HEAD)
            }
            Self::Call(_) => *method == Method::POST,
        }
    }
}

/// The signed manifest. A browser without a connection takes the one that it has, which it keeps only with a tag.
pub(super) async fn manifest(state: &AppState, application: &Application) -> ApiResult {
    let signed = state
        .backend
        .running_apps
        .edge_manifest(application)
        .await?;
    let mut response = uncached(reply::json(&signed));
    // Quotes and base64.
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{}\"", signed.signature)) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// The public keys.
pub(super) fn keys(state: &AppState) -> Response<Body> {
    uncached(reply::json(&state.backend.running_apps.edge_keys()))
}

fn uncached(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    response
}

/// A module, delta or component, or a word that the asker has it already.
pub(super) async fn file(
    state: &AppState,
    application: &Application,
    file: EdgeFile<'_>,
    headers: &HeaderMap,
) -> ApiResult {
    let running_apps = &state.backend.running_apps;
    let coding = content_coding::accepted(headers);
    let tag = tag(file, coding);
    let mut response = Response::new(Body::empty());
    if reply::has_already(headers, &tag) {
        if !running_apps.has_edge_file(application, file).await? {
            return Err(no_file());
        }
        *response.status_mut() = StatusCode::NOT_MODIFIED;
    } else {
        let found = running_apps.edge_file(application, file, coding).await?;
        *response.body_mut() = Body::from(found.ok_or_else(no_file)?);
        let kind = match file {
            EdgeFile::Module(_) => WASM,
            EdgeFile::Delta(_) | EdgeFile::Component(_) => BYTES,
        };
        response.headers_mut().insert(CONTENT_TYPE, kind);
        if let Some(name) = content_coding::name(coding) {
            let name = HeaderValue::from_static(name);
            response.headers_mut().insert(CONTENT_ENCODING, name);
        }
    }
    let answer = response.headers_mut();
    answer.insert(CACHE_CONTROL, IMMUTABLE);
    answer.insert(VARY, VARIES);
    // Quotes, hexadecimal digits and a coding's name, as the file was found by them.
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        answer.insert(ETAG, tag);
    }
    Ok(response)
}

/// The tag of a file in a coding. It is a strong one, so that each coding has its own (RFC 9110 §8.8.3.3).
fn tag(file: EdgeFile<'_>, coding: ContentCoding) -> String {
    let (EdgeFile::Module(sha256) | EdgeFile::Delta(sha256) | EdgeFile::Component(sha256)) = file;
    match content_coding::name(coding) {
        Some(name) => format!("\"{sha256}-{name}\""),
        None => format!("\"{sha256}\""),
    }
}

fn no_file() -> ApiError {
    let detail = "no function that callers may run has this file now; the manifest names those that there are";
    ApiError::new(StatusCode::NOT_FOUND, "not_edge", detail)
}

/// The function that a page may call at the node: one that it may run itself, or one that an endpoint calls with JSON. Any
/// other is the application's own affair, and unknown here. A `wasi:http` function gets requests on its endpoints only.
///
/// Names are looked up in memory only, and without counting as calls: anybody may ask for any name.
pub(super) fn callable(
    state: &AppState,
    application: &Application,
    name: &str,
) -> Result<FunctionName, ApiError> {
    let unknown = || ApiError::function_unknown(name);
    let function = FunctionName::parse(name).map_err(|_| unknown())?;
    let known = state.backend.functions.function(&application.space, name);
    if known.is_some_and(|known| is_public(application, &known)) {
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
        use EdgeFile::{Component, Delta, Module};
        use EdgeResource::{Call, File, Keys, Manifest};
        for (path, expected) in [
            ("edge/manifest", Some(Manifest)),
            ("edge/keys", Some(Keys)),
            ("edge/modules/00ff", Some(File(Module("00ff")))),
            ("edge/deltas/00ff", Some(File(Delta("00ff")))),
            ("edge/components/00ff", Some(File(Component("00ff")))),
            ("edge/deltas/a/b", None),
            ("edge/other/00ff", None),
            ("edge/call/f.g", Some(Call("f.g"))),
            ("edge/modules/a/b", None),
            ("edge/call/a/b", None),
            ("edge/manifest/x", None),
            (
                "edge/edge.js",
                sdk::module("edge.js").map(EdgeResource::Library),
            ),
            ("edge/edge.d.ts", None),
            ("edge/modules", None),
            ("edge", None),
            ("edge/", None),
            ("manifest", None),
        ] {
            let found = EdgeResource::of(path);
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "{path}");
        }
    }
}
