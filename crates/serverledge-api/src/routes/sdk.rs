//! The library with which pages run functions themselves, and the public keys of what they run. Both are the same for
//! everybody, and pages of all origins may have them.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::sync::OnceLock;

use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, CONTENT_ENCODING, ETAG, HeaderValue, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use serverledge_wire::edge::EdgeKeys;

use crate::backend::running_apps::ContentCoding;
use crate::request::state::SharedState;
use crate::response::{content_coding, reply};

const JAVASCRIPT: &str = "text/javascript; charset=utf-8";
/// Asked for anew each time: its files fit each other only within one version of the node.
const NO_CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// A file of the library, built from `edge/src` by `scripts/build-edge.sh`.
#[derive(Debug)]
pub(crate) struct LibraryFile {
    content_type: &'static str,
    text: &'static str,
    /// All that follows from the text, once it was asked for.
    derived: OnceLock<Derived>,
}

#[derive(Debug)]
struct Derived {
    /// The text in the coding gzip.
    gzip: Option<Bytes>,
    /// Another text has another one.
    hash: u64,
}

static SCRIPT: LibraryFile = LibraryFile::new(JAVASCRIPT, include_str!("../../../../edge/edge.js"));
static MORE: LibraryFile =
    LibraryFile::new(JAVASCRIPT, include_str!("../../../../edge/edge-more.js"));
static COMPONENTS: LibraryFile = LibraryFile::new(
    JAVASCRIPT,
    include_str!("../../../../edge/edge-components.js"),
);
static TYPES: LibraryFile = LibraryFile::new(
    "text/plain; charset=utf-8",
    include_str!("../../../../edge/edge.d.ts"),
);

/// The library as an ES module.
pub(crate) async fn script(headers: HeaderMap) -> Response<Body> {
    for_everybody(SCRIPT.response(&headers))
}

/// The part of it that is loaded beside the manifest.
pub(crate) async fn more(headers: HeaderMap) -> Response<Body> {
    for_everybody(MORE.response(&headers))
}

/// The part of it that runs components.
pub(crate) async fn components(headers: HeaderMap) -> Response<Body> {
    for_everybody(COMPONENTS.response(&headers))
}

/// Its types.
pub(crate) async fn types(headers: HeaderMap) -> Response<Body> {
    for_everybody(TYPES.response(&headers))
}

/// The public keys that manifests of functions for browsers are signed with.
#[utoipa::path(
    get, path = "/sdk/edge-keys.json", tag = "running applications", security(()),
    responses((status = 200, description = "a set of JSON Web Keys (RFC 8037)", body = EdgeKeys))
)]
pub(crate) async fn keys(State(state): SharedState) -> Response<Body> {
    let mut response = reply::json(&state.backend.running_apps.edge_keys());
    response.headers_mut().insert(CACHE_CONTROL, NO_CACHE);
    for_everybody(response)
}

/// The module of the library with this name.
pub(super) fn module(name: &str) -> Option<&'static LibraryFile> {
    match name {
        "edge.js" => Some(&SCRIPT),
        "edge-more.js" => Some(&MORE),
        "edge-components.js" => Some(&COMPONENTS),
        _ => None,
    }
}

impl LibraryFile {
    const fn new(content_type: &'static str, text: &'static str) -> Self {
        Self {
            content_type,
            text,
            derived: OnceLock::new(),
        }
    }

    /// The file, in a coding that the request accepts, or a word that the asker has it already.
    pub(super) fn response(&self, asked: &HeaderMap) -> Response<Body> {
        let codings = [ContentCoding::Gzip, ContentCoding::Identity];
        let derived = self.derived.get_or_init(|| Derived::of(self.text));
        let gzip = match content_coding::accepted_of(&codings, asked) {
            ContentCoding::Gzip => derived.gzip.as_ref(),
            _ => None,
        };
        let tag = derived.tag(gzip.is_some());
        let mut response = if reply::has_already(asked, &tag) {
            reply::text(StatusCode::NOT_MODIFIED, self.content_type, Body::empty())
        } else {
            let plain = || Body::from(self.text);
            let body = gzip.map_or_else(plain, |bytes| Body::from(bytes.clone()));
            reply::text(StatusCode::OK, self.content_type, body)
        };
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, NO_CACHE);
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        // Quotes, digits and a coding's name.
        if let Ok(tag) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, tag);
        }
        if gzip.is_some() && response.status() == StatusCode::OK {
            let gzip = HeaderValue::from_static("gzip");
            response.headers_mut().insert(CONTENT_ENCODING, gzip);
        }
        response
    }
}

impl Derived {
    fn of(text: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        Self {
            gzip: gzip(text),
            hash: hasher.finish(),
        }
    }

    /// Each coding has its own tag (RFC 9110 §8.8.3.3).
    fn tag(&self, is_gzip: bool) -> String {
        let coding = if is_gzip { "-gzip" } else { "" };
        format!("\"{:016x}{coding}\"", self.hash)
    }
}

fn gzip(text: &str) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text.as_bytes()).ok()?;
    encoder.finish().ok().map(Bytes::from)
}

fn for_everybody(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in [
        (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
