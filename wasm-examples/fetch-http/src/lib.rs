//! Sends the request that its parameters describe, and answers with a JSON of the response: a `wasi:http` proxy component.
//!
//! It may reach the hosts that its deployment names (`--allow-host`), and no others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::outgoing_handler;
use wasip2::http::types::{
    ErrorCode, Fields, IncomingBody, IncomingRequest, IncomingResponse, Method, OutgoingBody,
    OutgoingRequest, OutgoingResponse, RequestOptions, ResponseOutparam, Scheme, http_error_code,
};
use wasip2::io::streams::{InputStream, OutputStream, StreamError};

/// The number of bytes that a stream reads and writes at once; `wasi:io` allows no more in one blocking write.
const BLOCK: usize = 4096;
const NANOSECONDS_PER_MS: u64 = 1_000_000;

/// The request to send.
#[derive(Deserialize)]
struct Wanted {
    url: String,
    #[serde(default = "get")]
    method: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    /// The number of times that the body is written, and the pause between two of them.
    #[serde(default = "once")]
    repeat: u64,
    #[serde(default)]
    pause_ms: u64,
    /// The longest time until the response begins.
    first_byte_ms: Option<u64>,
    /// The longest time between two parts of its body.
    between_bytes_ms: Option<u64>,
}

fn get() -> String {
    "GET".to_owned()
}

fn once() -> u64 {
    1
}

struct Fetch;

wasip2::http::proxy::export!(Fetch);

impl wasip2::exports::http::incoming_handler::Guest for Fetch {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let params = read_params(&request);
        let wanted = serde_json::from_slice::<Wanted>(&params);
        let (status, answer) = match wanted {
            Ok(wanted) => {
                let answer = fetch(&wanted).unwrap_or_else(|fault| json!({ "error": fault }));
                (200, answer)
            }
            Err(fault) => (400, json!({ "error": fault.to_string() })),
        };
        respond(out, status, &answer);
    }
}

/// Sends the request. An error is the code that the host gives.
fn fetch(wanted: &Wanted) -> Result<Value, String> {
    let request = request(wanted)?;
    let body = if wanted.body.is_empty() {
        None
    } else {
        Some(request.body().expect("the body is taken once"))
    };
    let sent = outgoing_handler::handle(request, Some(options(wanted)?)).map_err(words)?;
    // The body is written while the request is on its way.
    if let Some(body) = body {
        write_body(body, wanted);
    }
    sent.subscribe().block();
    let response = sent.get().expect("the response is there");
    let response = response.expect("the response is taken once");
    answer(&response.map_err(words)?)
}

fn request(wanted: &Wanted) -> Result<OutgoingRequest, String> {
    let (scheme, rest) = wanted
        .url
        .split_once("://")
        .ok_or("the URL has no scheme")?;
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let scheme = match scheme {
        "http" => Scheme::Http,
        "https" => Scheme::Https,
        other => Scheme::Other(other.to_owned()),
    };
    let entries = wanted.headers.iter();
    let entries: Vec<_> = entries
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    let headers = Fields::from_list(&entries).map_err(|fault| format!("{fault:?}"))?;
    let request = OutgoingRequest::new(headers);
    let set = request
        .set_method(&method(&wanted.method))
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })));
    set.map_err(|()| "method or URL are not valid".to_owned())?;
    Ok(request)
}

fn options(wanted: &Wanted) -> Result<RequestOptions, String> {
    let options = RequestOptions::new();
    let nanoseconds = |limit: Option<u64>| limit.map(|limit| limit * NANOSECONDS_PER_MS);
    options
        .set_first_byte_timeout(nanoseconds(wanted.first_byte_ms))
        .and_then(|()| options.set_between_bytes_timeout(nanoseconds(wanted.between_bytes_ms)))
        .map_err(|()| "the host has no such limits".to_owned())?;
    Ok(options)
}

/// Writes the body. Where the host has no use for it any more, the response says why.
fn write_body(body: OutgoingBody, wanted: &Wanted) {
    let stream = body.write().expect("the stream is taken once");
    let _ = write(&stream, wanted);
    // A body ends only after its stream is gone.
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

fn write(stream: &OutputStream, wanted: &Wanted) -> Result<(), StreamError> {
    for turn in 0..wanted.repeat {
        if turn > 0 && wanted.pause_ms > 0 {
            subscribe_duration(wanted.pause_ms * NANOSECONDS_PER_MS).block();
        }
        for block in wanted.body.as_bytes().chunks(BLOCK) {
            stream.blocking_write_and_flush(block)?;
        }
    }
    Ok(())
}

/// The parts of the response.
fn answer(response: &IncomingResponse) -> Result<Value, String> {
    let headers = headers(&response.headers().entries());
    let body = response.consume().expect("the body is taken once");
    let text = read(&body).map_err(|fault| match fault {
        StreamError::LastOperationFailed(fault) => {
            http_error_code(&fault).map_or_else(|| fault.to_debug_string(), words)
        }
        StreamError::Closed => "closed".to_owned(),
    })?;
    Ok(json!({
        "status": response.status(),
        "headers": headers,
        "body": String::from_utf8_lossy(&text),
    }))
}

fn read_params(request: &IncomingRequest) -> Vec<u8> {
    let body = request.consume().expect("the body is taken once");
    // What breaks off is no JSON.
    read(&body).unwrap_or_default()
}

/// The whole body; the host limits how long that is.
fn read(body: &IncomingBody) -> Result<Vec<u8>, StreamError> {
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

fn respond(out: ResponseOutparam, status: u16, answer: &Value) {
    let content_type = [("content-type".to_owned(), b"application/json".to_vec())];
    let headers = Fields::from_list(&content_type).expect("a content type is a valid field");
    let response = OutgoingResponse::new(headers);
    response
        .set_status_code(status)
        .expect("it is a status code");
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    let text = answer.to_string();
    let written = text
        .as_bytes()
        .chunks(BLOCK)
        .try_for_each(|block| stream.blocking_write_and_flush(block));
    drop(stream);
    if written.is_ok() {
        // An error here says that the caller has left.
        let _ = OutgoingBody::finish(body, None);
    }
}

fn words(code: ErrorCode) -> String {
    format!("{code:?}")
}

fn method(name: &str) -> Method {
    match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        "PUT" => Method::Put,
        "DELETE" => Method::Delete,
        "CONNECT" => Method::Connect,
        "OPTIONS" => Method::Options,
        "TRACE" => Method::Trace,
        "PATCH" => Method::Patch,
        other => Method::Other(other.to_owned()),
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
