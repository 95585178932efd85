//! The web console: files within the binary, built from `console/src` by `scripts/build-console.sh`. Each page of it has an
//! address of its own, below `/console/`, and is the same file.

use std::io::Write as _;
use std::sync::OnceLock;

use axum::Extension;
use axum::body::Body;
use axum::extract::Path;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, ETAG, LOCATION, REFERRER_POLICY,
    VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::backend::running_apps::ContentCoding;
use crate::request::path_prefix::PathPrefix;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::{content_coding, reply};

/// The page.
const INDEX: &str = "index.html";
/// Before the names of files that have their hash in their name.
const ASSETS: &str = "assets/";
/// The beginning of addresses in the page, which a proxy's path goes before.
const OWN_ADDRESS: &str = "=\"/console/";
/// Nothing of another host, nothing within the page, no `eval`. WebAssembly and Workers of `blob:` addresses are for
/// functions that run in the browser.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; worker-src 'self' blob:; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
                      trusted-types default";
/// A year: another file has another name.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

include!(concat!(env!("OUT_DIR"), "/console_files.rs"));

/// A file of the console.
struct ConsoleFile {
    name: &'static str,
    bytes: &'static [u8],
    /// The same in the coding gzip, once it was asked for.
    gzip: OnceLock<Option<Bytes>>,
}

impl ConsoleFile {
    const fn new(name: &'static str, bytes: &'static [u8]) -> Self {
        Self {
            name,
            bytes,
            gzip: OnceLock::new(),
        }
    }

    fn find(name: &str) -> Option<&'static Self> {
        FILES.iter().find(|file| file.name == name)
    }

    fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("js") => "text/javascript; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            Some("json") => "application/json",
            Some("png") => "image/png",
            Some("woff2") => "font/woff2",
            _ => "application/octet-stream",
        }
    }

    /// The file in a coding that the request accepts.
    fn response(&self, asked: &HeaderMap) -> Response<Body> {
        let codings = [ContentCoding::Gzip, ContentCoding::Identity];
        let gzip = match content_coding::accepted_of(&codings, asked) {
            ContentCoding::Gzip => self.gzip.get_or_init(|| gzip(self.bytes)).clone(),
            _ => None,
        };
        let is_gzip = gzip.is_some();
        let body = gzip.map_or_else(|| Body::from(self.bytes), Body::from);
        let mut response = reply::text(StatusCode::OK, self.content_type(), body);
        let headers = response.headers_mut();
        headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
        if is_gzip {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        response
    }
}

/// The address without the slash: what the page loads stands beside it.
pub(crate) async fn root(prefix: Option<Extension<PathPrefix>>) -> Response<Body> {
    let before = prefix_of(prefix.as_ref());
    let mut response = reply::text(StatusCode::PERMANENT_REDIRECT, reply::TEXT, Body::empty());
    if let Ok(place) = HeaderValue::from_str(&format!("{before}/console/")) {
        response.headers_mut().insert(LOCATION, place);
    }
    response
}

/// The page.
pub(crate) async fn index(prefix: Option<Extension<PathPrefix>>, asked: HeaderMap) -> ApiResult {
    page(prefix_of(prefix.as_ref()), &asked)
}

/// A file of the console, or the page, which has an address for each of its views.
pub(crate) async fn file(
    Path(name): Path<String>,
    prefix: Option<Extension<PathPrefix>>,
    asked: HeaderMap,
) -> ApiResult {
    match ConsoleFile::find(&name) {
        Some(file) if file.name != INDEX => {
            let mut response = guarded(file.response(&asked));
            let kept = if name.starts_with(ASSETS) {
                FOR_EVER
            } else {
                "no-cache"
            };
            response
                .headers_mut()
                .insert(CACHE_CONTROL, HeaderValue::from_static(kept));
            Ok(response)
        }
        // Of another version of the node: the page says so.
        None if name.starts_with(ASSETS) => Err(ApiError::not_found()),
        _ => page(prefix_of(prefix.as_ref()), &asked),
    }
}

fn page(before: &str, asked: &HeaderMap) -> ApiResult {
    let index = ConsoleFile::find(INDEX).ok_or_else(ApiError::not_found)?;
    let mut response = if before.is_empty() {
        index.response(asked)
    } else {
        // A prefix has no character that means anything in HTML.
        let text = String::from_utf8_lossy(index.bytes);
        let text = text.replace(OWN_ADDRESS, &format!("=\"{before}/console/"));
        reply::text(StatusCode::OK, index.content_type(), text)
    };
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response.headers_mut().remove(ETAG);
    Ok(guarded(response))
}

fn prefix_of(prefix: Option<&Extension<PathPrefix>>) -> &str {
    prefix.map_or("", |Extension(prefix)| prefix.as_str())
}

fn guarded(mut response: Response<Body>) -> Response<Body> {
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "same-origin"),
        (X_FRAME_OPTIONS, "DENY"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

fn gzip(bytes: &[u8]) -> Option<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok().map(Bytes::from)
}
