//! Sends the request that its parameters describe, and answers with a JSON of the response: a component of WASI 0.3
//! (`wasi:http/service`).
//!
//! It may reach the hosts that its deployment names (`--allow-host`), and no others.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::wit_bindgen::{self, StreamReader, StreamResult, StreamWriter};
use wasip3::{wit_future, wit_stream};

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
}

fn get() -> String {
    "GET".to_owned()
}

fn once() -> u64 {
    1
}

struct Fetch;

wasip3::http::service::export!(Fetch);

impl wasip3::exports::http::handler::Guest for Fetch {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let (_done, result) = wit_future::new(|| Ok(()));
        let (body, _trailers) = Request::consume_body(request, result);
        let params = read(body).await;
        match serde_json::from_slice::<Wanted>(&params) {
            Ok(wanted) => {
                let answer = fetch(wanted).await;
                respond(&answer.unwrap_or_else(|fault| json!({ "error": fault })))
            }
            Err(fault) => Err(ErrorCode::InternalError(Some(fault.to_string()))),
        }
    }
}

/// Sends the request. An error is the code that the host gives.
async fn fetch(wanted: Wanted) -> Result<Value, String> {
    let request = request(wanted)?;
    let response = client::send(request).await.map_err(words)?;
    let status = response.get_status_code();
    let headers = headers(&response.get_headers().copy_all());
    let (_done, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = Response::consume_body(response, result);
    let text = read(body).await;
    // A body that broke off says so where its trailers would be.
    trailers.await.map_err(words)?;
    Ok(json!({ "status": status, "headers": headers, "body": String::from_utf8_lossy(&text) }))
}

/// The request. Its body is written while it is on its way.
fn request(wanted: Wanted) -> Result<Request, String> {
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
    let headers = Fields::from_list(&entries).map_err(|fault| fault.to_string())?;
    let (end, ended) = wit_future::new(|| Ok(None));
    let (writer, contents) = if wanted.body.is_empty() {
        (None, None)
    } else {
        let (writer, reader) = wit_stream::new();
        (Some(writer), Some(reader))
    };
    let (request, _sent) = Request::new(headers, contents, ended, None);
    let set = request
        .set_method(&method(&wanted.method))
        .and_then(|()| request.set_scheme(Some(&scheme)))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })));
    set.map_err(|()| "method or URL are not valid".to_owned())?;
    let (text, repeat, pause_ms) = (wanted.body.clone(), wanted.repeat, wanted.pause_ms);
    wit_bindgen::spawn_local(async move {
        if let Some(writer) = writer {
            write(writer, &text, repeat, pause_ms).await;
        }
        // Nothing follows the body; a host that has gone away needs no end.
        let _ = end.write(Ok(None)).await;
    });
    Ok(request)
}

async fn write(mut body: StreamWriter<u8>, text: &str, repeat: u64, pause_ms: u64) {
    for turn in 0..repeat {
        if turn > 0 && pause_ms > 0 {
            wait_for(pause_ms * NANOSECONDS_PER_MS).await;
        }
        if !body.write_all(text.as_bytes().to_vec()).await.is_empty() {
            // The host has no use for it any more; the response says why.
            return;
        }
    }
}

async fn read(mut body: StreamReader<u8>) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let (result, block) = body.read(Vec::with_capacity(16 * 1024)).await;
        bytes.extend_from_slice(&block);
        if result == StreamResult::Dropped {
            return bytes;
        }
    }
}

fn respond(answer: &Value) -> Result<Response, ErrorCode> {
    let fields = [("content-type".to_owned(), b"application/json".to_vec())];
    let fields = Fields::from_list(&fields)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let (mut body, reader) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(fields, Some(reader), ended);
    let text = answer.to_string();
    wit_bindgen::spawn_local(async move {
        body.write_all(text.into_bytes()).await;
        drop(body);
        let _ = end.write(Ok(None)).await;
    });
    Ok(response)
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
