//! Answers every HTTP request with a JSON of what it saw: a component of WASI 0.3 (`wasi:http/service`).
//!
//! Some paths do what else such a function can do: stream, send trailers, go on after the response, fail.

use std::collections::BTreeMap;

use serde_json::json;
use wasip3::clocks::monotonic_clock::wait_for;
use wasip3::http::client;
use wasip3::http::types::{ErrorCode, Fields, Method, Request, Response, Scheme};
use wasip3::wit_bindgen::{self, StreamReader, StreamResult, StreamWriter};
use wasip3::{wit_future, wit_stream};

/// `/stream` answers in this many chunks, unless `?chunks=` says otherwise.
const CHUNKS: u64 = 3;
/// The most chunks, and the longest pause, that a caller may ask for.
const CHUNKS_MAX: u64 = 1000;
const PAUSE_MS_MAX: u64 = 1000;

struct Echo;

wasip3::http::service::export!(Echo);

impl wasip3::exports::http::handler::Guest for Echo {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let target = request
            .get_path_with_query()
            .unwrap_or_else(|| "/".to_owned());
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let count = number(query, "chunks").unwrap_or(CHUNKS).min(CHUNKS_MAX);
        let pause = number(query, "pause_ms").unwrap_or(0).min(PAUSE_MS_MAX);
        match path {
            "/stream" => respond("text/plain", None, chunks(count, pause)),
            "/trailers" => {
                let last = Fields::new();
                let sent = last.append("x-checked", b"yes");
                sent.map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
                respond("text/plain", Some(last), chunks(1, 0))
            }
            // Goes on after the response is complete.
            "/after" => {
                wit_bindgen::spawn_local(async move {
                    wait_for(pause * 1_000_000).await;
                    note("the work after the response is done\n").await;
                });
                respond("text/plain", None, chunks(1, 0))
            }
            "/outside" => Ok(json_response(json!({ "outside": outside().await }))),
            "/error" => Err(ErrorCode::ConfigurationError),
            "/panic" => panic!("on purpose"),
            "/never" => loop {
                wait_for(1_000_000_000).await;
            },
            // Waits for nothing that could ever come.
            "/stuck" => std::future::pending().await,
            "/flood" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(Fields::new());
                }
            }
            _ => Ok(json_response(seen(request, &target).await)),
        }
    }
}

/// The parts of the request.
async fn seen(request: Request, target: &str) -> serde_json::Value {
    let scheme = match request.get_scheme() {
        Some(Scheme::Http) => Some("http".to_owned()),
        Some(Scheme::Https) => Some("https".to_owned()),
        Some(Scheme::Other(name)) => Some(name),
        None => None,
    };
    let mut seen = json!({
        "method": method_name(&request.get_method()),
        "scheme": scheme,
        "authority": request.get_authority(),
        "path": target,
        "headers": headers(&request.get_headers().copy_all()),
    });
    let (_done, result) = wit_future::new(|| Ok(()));
    let (body, trailers) = Request::consume_body(request, result);
    seen["body"] = String::from_utf8_lossy(&read(body).await).into();
    if let Ok(Some(trailers)) = trailers.await {
        seen["trailers"] = json!(headers(&trailers.copy_all()));
    }
    seen
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

/// Begins a response; its pieces are written while it is on its way.
fn respond(
    content_type: &str,
    trailers: Option<Fields>,
    pieces: Pieces,
) -> Result<Response, ErrorCode> {
    let fields = [("content-type".to_owned(), content_type.as_bytes().to_vec())];
    let fields = Fields::from_list(&fields)
        .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
    let (body, reader) = wit_stream::new();
    let (end, ended) = wit_future::new(|| Ok(None));
    let (response, _sent) = Response::new(fields, Some(reader), ended);
    wit_bindgen::spawn_local(async move {
        pieces.write_to(body).await;
        // Trailers come after the body; a caller that has gone away needs none.
        let _ = end.write(Ok(trailers)).await;
    });
    Ok(response)
}

fn json_response(value: serde_json::Value) -> Response {
    let pieces = Pieces {
        texts: vec![value.to_string()],
        pause_ms: 0,
    };
    respond("application/json", None, pieces).expect("a content type is a valid field")
}

/// Texts that are sent one after the other.
struct Pieces {
    texts: Vec<String>,
    /// The pause before each but the first.
    pause_ms: u64,
}

fn chunks(count: u64, pause_ms: u64) -> Pieces {
    let texts = (1..=count).map(|chunk| format!("chunk {chunk} of {count}\n"));
    Pieces {
        texts: texts.collect(),
        pause_ms,
    }
}

impl Pieces {
    /// Writes each before the next one's pause begins.
    async fn write_to(self, mut body: StreamWriter<u8>) {
        for (index, text) in self.texts.into_iter().enumerate() {
            if index > 0 && self.pause_ms > 0 {
                wait_for(self.pause_ms * 1_000_000).await;
            }
            if !body.write_all(text.into_bytes()).await.is_empty() {
                // The caller has gone away.
                return;
            }
        }
    }
}

/// Tries to send a request of its own; the outcome in words.
async fn outside() -> String {
    let (_end, ended) = wit_future::new(|| Ok(None));
    let (request, _sent) = Request::new(Fields::new(), None, ended, None);
    let set = request
        .set_authority(Some("192.0.2.1"))
        .and_then(|()| request.set_scheme(Some(&Scheme::Http)))
        .and_then(|()| request.set_path_with_query(Some("/")));
    match (set, client::send(request).await) {
        (Ok(()), Ok(response)) => format!("status {}", response.get_status_code()),
        (_, Err(code)) => format!("{code:?}"),
        (Err(()), _) => "the address was refused".to_owned(),
    }
}

/// Writes a line of the log.
async fn note(line: &str) {
    let (mut log, reader) = wit_stream::new();
    let written = wasip3::cli::stderr::write_via_stream(reader);
    log.write_all(line.as_bytes().to_vec()).await;
    drop(log);
    let _ = written.await;
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
