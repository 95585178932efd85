//! Does what its parameters say with a store of its space, and answers with what came of each step: a `wasi:http` proxy
//! component that imports `wasi:keyvalue`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};
use wasip2::http::types::{
    Fields, IncomingBody, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam,
};
use wasip2::io::streams::{InputStream, StreamError};

use bindings::wasi::keyvalue::atomics::{self, Cas, CasError};
use bindings::wasi::keyvalue::batch;
use bindings::wasi::keyvalue::store::{self, Bucket, Error};

/// The functions that wit-bindgen makes of the interfaces in `wit/`.
mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "stores",
        generate_all,
    });
}

/// The number of bytes that a stream reads and writes at once; `wasi:io` allows no more in one blocking write.
const BLOCK: usize = 4096;

/// The parameters.
#[derive(Deserialize)]
struct Wanted {
    /// The name of the store; empty: the default one.
    #[serde(default)]
    store: String,
    steps: Vec<Step>,
}

/// One thing to do. Values are texts.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
enum Step {
    Get {
        key: String,
    },
    Set {
        key: String,
        value: String,
        /// The number of times that the value is written into the entry, one behind the other.
        #[serde(default = "once")]
        repeat: usize,
    },
    Delete {
        key: String,
    },
    Exists {
        key: String,
    },
    List {
        cursor: Option<String>,
    },
    Increment {
        key: String,
        by: i64,
    },
    Swap {
        key: String,
        value: String,
        /// Written between the reading and the swap, as somebody else would.
        meanwhile: Option<String>,
    },
    GetMany {
        keys: Vec<String>,
    },
    SetMany {
        entries: BTreeMap<String, String>,
    },
    DeleteMany {
        keys: Vec<String>,
    },
    /// Opens the store so many times, and closes it at the end of the step.
    Open {
        times: usize,
    },
    /// Makes so many handles of the entry, and lets go of them at the end of the step.
    Handles {
        key: String,
        times: usize,
    },
}

fn once() -> usize {
    1
}

struct Stores;

wasip2::http::proxy::export!(Stores);

impl wasip2::exports::http::incoming_handler::Guest for Stores {
    fn handle(request: IncomingRequest, out: ResponseOutparam) {
        let params = read_params(&request);
        let (status, answer) = match serde_json::from_slice::<Wanted>(&params) {
            Ok(wanted) => (200, answer(&wanted)),
            Err(fault) => (400, json!({ "error": fault.to_string() })),
        };
        respond(out, status, &answer);
    }
}

/// The result or the error of each step; one error alone if the store cannot be opened.
fn answer(wanted: &Wanted) -> Value {
    let bucket = match store::open(&wanted.store) {
        Ok(bucket) => bucket,
        Err(fault) => return json!({ "error": words(fault) }),
    };
    let steps = wanted.steps.iter();
    let results = steps.map(|step| {
        done(&bucket, &wanted.store, step).unwrap_or_else(|fault| json!({ "error": words(fault) }))
    });
    json!({ "steps": results.collect::<Vec<_>>() })
}

fn done(bucket: &Bucket, name: &str, step: &Step) -> Result<Value, Error> {
    Ok(match step {
        Step::Get { key } => text(bucket.get(key)?),
        Step::Set { key, value, repeat } => {
            bucket.set(key, value.repeat(*repeat).as_bytes())?;
            Value::Null
        }
        Step::Delete { key } => {
            bucket.delete(key)?;
            Value::Null
        }
        Step::Exists { key } => json!(bucket.exists(key)?),
        Step::List { cursor } => {
            let page = bucket.list_keys(cursor.as_deref())?;
            json!({ "keys": page.keys, "cursor": page.cursor })
        }
        Step::Increment { key, by } => json!(atomics::increment(bucket, key, *by)?),
        Step::Swap {
            key,
            value,
            meanwhile,
        } => swap(bucket, key, value, meanwhile.as_deref())?,
        Step::GetMany { keys } => {
            let entries = batch::get_many(bucket, keys)?;
            let entries = entries.into_iter();
            let entries = entries.map(|entry| entry.map(|(key, value)| (key, text(Some(value)))));
            json!(entries.collect::<Vec<_>>())
        }
        Step::SetMany { entries } => {
            let entries = entries.iter();
            let entries: Vec<_> = entries
                .map(|(key, value)| (key.clone(), value.clone().into_bytes()))
                .collect();
            batch::set_many(bucket, &entries)?;
            Value::Null
        }
        Step::DeleteMany { keys } => {
            batch::delete_many(bucket, keys)?;
            Value::Null
        }
        Step::Open { times } => {
            let opened = (0..*times).map(|_| store::open(name));
            json!(opened.collect::<Result<Vec<_>, _>>()?.len())
        }
        Step::Handles { key, times } => {
            let made = (0..*times).map(|_| Cas::new(bucket, key));
            json!(made.collect::<Result<Vec<_>, _>>()?.len())
        }
    })
}

/// Swaps an entry; what was read before, and what is there instead if somebody has changed it.
fn swap(bucket: &Bucket, key: &str, value: &str, meanwhile: Option<&str>) -> Result<Value, Error> {
    let cas = Cas::new(bucket, key)?;
    let before = text(cas.current()?);
    if let Some(other) = meanwhile {
        bucket.set(key, other.as_bytes())?;
    }
    match atomics::swap(cas, value.as_bytes()) {
        Ok(()) => Ok(json!({ "before": before, "swapped": true })),
        Err(CasError::CasFailed(newer)) => {
            let now = text(newer.current()?);
            Ok(json!({ "before": before, "swapped": false, "now": now }))
        }
        Err(CasError::StoreError(fault)) => Err(fault),
    }
}

fn text(value: Option<Vec<u8>>) -> Value {
    value.map_or(Value::Null, |value| {
        Value::from(String::from_utf8_lossy(&value).into_owned())
    })
}

fn words(fault: Error) -> String {
    match fault {
        Error::NoSuchStore => "no-such-store".to_owned(),
        Error::AccessDenied => "access-denied".to_owned(),
        Error::Other(words) => words,
    }
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
