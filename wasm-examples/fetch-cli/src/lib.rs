//! Sends a GET request to the URL in its parameters, and answers with the status of the response: a `wasi:cli` component.

use serde_json::{Value, json};
use wasip2::cli::{stdin, stdout};
use wasip2::http::outgoing_handler;
use wasip2::http::types::{ErrorCode, Fields, OutgoingRequest, Scheme};
use wasip2::io::streams::{InputStream, StreamError};

/// The number of bytes that a stream reads and writes at once; `wasi:io` allows no more in one blocking write.
const BLOCK: usize = 4096;

struct Program;

wasip2::cli::command::export!(Program);

impl wasip2::exports::cli::run::Guest for Program {
    fn run() -> Result<(), ()> {
        let input = read(&stdin::get_stdin()).map_err(drop)?;
        let params: Value = serde_json::from_slice(&input).unwrap_or(Value::Null);
        let answer = match fetch(params["url"].as_str().unwrap_or_default()) {
            Ok(status) => json!({ "status": status }),
            Err(fault) => json!({ "error": fault }),
        };
        let stdout = stdout::get_stdout();
        answer
            .to_string()
            .as_bytes()
            .chunks(BLOCK)
            .try_for_each(|block| stdout.blocking_write_and_flush(block))
            .map_err(drop)
    }
}

/// Sends the request. An error is the code that the host gives.
fn fetch(url: &str) -> Result<u16, String> {
    let (scheme, rest) = url.split_once("://").ok_or("the URL has no scheme")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let scheme = match scheme {
        "http" => Scheme::Http,
        _ => Scheme::Https,
    };
    let request = OutgoingRequest::new(Fields::new());
    let set = request
        .set_scheme(Some(&scheme))
        .and_then(|()| request.set_authority(Some(authority)))
        .and_then(|()| request.set_path_with_query(Some(if path.is_empty() { "/" } else { path })));
    set.map_err(|()| "the URL is not valid".to_owned())?;
    let words = |code: ErrorCode| format!("{code:?}");
    let sent = outgoing_handler::handle(request, None).map_err(words)?;
    sent.subscribe().block();
    let response = sent.get().expect("the response is there");
    let response = response.expect("the response is taken once");
    Ok(response.map_err(words)?.status())
}

fn read(stream: &InputStream) -> Result<Vec<u8>, StreamError> {
    let mut input = Vec::new();
    loop {
        match stream.blocking_read(BLOCK as u64) {
            Ok(bytes) => input.extend_from_slice(&bytes),
            Err(StreamError::Closed) => return Ok(input),
            Err(error) => return Err(error),
        }
    }
}
