//! Answers every HTTP request with a JSON of what it saw: a `wasi:http` proxy component.
//!
//! It is built for wasm32-unknown-unknown and made a component by its linker. The same source builds for wasm32-wasip2,
//! but there the standard library imports files, clocks and more, which this function does not need.

use std::collections::BTreeMap;

use serde_json::json;
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, Method, OutgoingBody, OutgoingResponse,
    ResponseOutparam,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// The number of bytes that a stream reads and writes at once; `wasi:io` allows no more in one blocking write.
const BLOCK: usize = 4096;
/// `/stream` answers in this many chunks, unless `?chunks=` says otherwise.
const CHUNKS: u64 = 3;
/// The most chunks, and the longest pause between two of them, that a caller may ask for.
const CHUNKS_MAX: u64 = 1000;
const PAUSE_MS_MAX: u64 = 1000;

/// `/page` answers with this. The host keeps its scripts away from the host's own pages.
const PAGE: &[u8] = b"<!doctype html>\n<title>echo-http</title>\n<p id=who></p>\n\
    <script>document.getElementById('who').textContent = 'a page of origin ' + self.origin;</script>\n";

struct Echo;

wasip2::http::proxy::export!(Echo);

impl wasip2::exports::http::incoming_handler::Guest for Echo {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        match answer(request, out) {
            // The caller has gone away: nobody is left to tell.
            Ok(()) | Err(StreamError::Closed) => {}
            Err(StreamError::LastOperationFailed(error)) => panic!("{}", error.to_debug_string()),
        }
    }
}

fn answer(request: IncomingRequest, out: ResponseOutparam) -> Result<(), StreamError> {
    let target = request.path_with_query().unwrap_or_else(|| "/".into());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let status = number(query, "status")
        .and_then(|status| u16::try_from(status).ok())
        .unwrap_or(200);
    if path == "/stream" {
        let chunks = number(query, "chunks").unwrap_or(CHUNKS).min(CHUNKS_MAX);
        let pause_ms = number(query, "pause_ms").unwrap_or(0).min(PAUSE_MS_MAX);
        return respond(out, status, "text/plain; charset=utf-8", |body| {
            stream(body, chunks, pause_ms)
        });
    }
    if path == "/page" {
        return respond(out, status, "text/html; charset=utf-8", |body| {
            body.blocking_write_and_flush(PAGE)
        });
    }
    let seen = json!({
        "method": method_name(&request.method()),
        "path": target,
        "headers": headers(&request.headers().entries()),
        "body": String::from_utf8_lossy(&read_body(&request)?),
    });
    respond(out, status, "application/json", |body| {
        seen.to_string()
            .as_bytes()
            .chunks(BLOCK)
            .try_for_each(|block| body.blocking_write_and_flush(block))
    })
}

/// Sends the head, then what `write` writes. A status that HTTP does not know becomes 400.
fn respond(
    out: ResponseOutparam,
    status: u16,
    content_type: &str,
    write: impl FnOnce(&OutputStream) -> Result<(), StreamError>,
) -> Result<(), StreamError> {
    let Ok(headers) = Fields::from_list(&[("content-type".into(), content_type.into())]) else {
        ResponseOutparam::set(
            out,
            Err(ErrorCode::InternalError(Some("headers refused".into()))),
        );
        return Ok(());
    };
    let response = OutgoingResponse::new(headers);
    if !(200..600).contains(&status) || response.set_status_code(status).is_err() {
        response.set_status_code(400).expect("400 is a status code");
    }
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    write(&stream)?;
    // A body ends only after its stream is gone.
    drop(stream);
    // An error here says that the caller has left.
    let _ = OutgoingBody::finish(body, None);
    Ok(())
}

/// Chunk after chunk, each sent before the next one is made.
fn stream(body: &OutputStream, chunks: u64, pause_ms: u64) -> Result<(), StreamError> {
    for chunk in 1..=chunks {
        if chunk > 1 && pause_ms > 0 {
            subscribe_duration(pause_ms * 1_000_000).block();
        }
        body.blocking_write_and_flush(format!("chunk {chunk} of {chunks}\n").as_bytes())?;
    }
    Ok(())
}

fn method_name(method: &Method) -> &str {
    match method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Put => "PUT",
        Method::Delete => "DELETE",
        Method::Connect => "CONNECT",
        Method::Options => "OPTIONS",
        Method::Trace => "TRACE",
        Method::Patch => "PATCH",
        Method::Other(name) => name,
    }
}

/// The headers by lower-case name; one that was sent several times has its values joined, as HTTP allows.
fn headers(entries: &[(String, Vec<u8>)]) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::<String, String>::new();
    for (name, value) in entries {
        let value = String::from_utf8_lossy(value);
        headers
            .entry(name.to_ascii_lowercase())
            .and_modify(|values| {
                values.push_str(", ");
                values.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    headers
}

/// The number behind `name=` in a query.
fn number(query: &str, name: &str) -> Option<u64> {
    let value = |pair: &str| {
        pair.split_once('=')
            .filter(|(key, _)| *key == name)
            .and_then(|(_, value)| value.parse().ok())
    };
    query.split('&').find_map(value)
}

/// The whole body; the host limits how long that is.
fn read_body(request: &IncomingRequest) -> Result<Vec<u8>, StreamError> {
    let body: IncomingBody = request.consume().expect("the body is taken once");
    let stream: InputStream = body.stream().expect("the stream is taken once");
    let mut bytes = Vec::new();
    loop {
        match stream.blocking_read(BLOCK as u64) {
            Ok(block) => bytes.extend_from_slice(&block),
            Err(StreamError::Closed) => return Ok(bytes),
            Err(error) => return Err(error),
        }
    }
}
