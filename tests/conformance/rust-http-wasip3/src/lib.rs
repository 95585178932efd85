//! Greets and adds up: a component that answers requests with WASI 0.3 (`wasi:http/handler`).

use serde_json::{Value, json};
use wasip3::http::types::{ErrorCode, Fields, Request, Response};
use wasip3::{wit_bindgen, wit_future, wit_stream};

wasip3::http::service::export!(Service);

struct Service;

impl wasip3::exports::http::handler::Guest for Service {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let (_sent, body_read) = wit_future::new(|| Ok(()));
        let (input, _trailers) = Request::consume_body(request, body_read);
        let params: Value = serde_json::from_slice(&input.collect().await)
            .map_err(|error| ErrorCode::InternalError(Some(error.to_string())))?;
        let name = params["name"].as_str().unwrap_or("World");
        let sum: u64 = (1..=params["n"].as_u64().unwrap_or(0)).sum();
        let reply = json!({"message": format!("Hello, {name}!"), "sum": sum});

        let headers = Fields::new();
        let _ = headers.set("content-type", &[b"application/json".to_vec()]);
        let (mut output, stream) = wit_stream::new();
        let (trailers, no_trailers) = wit_future::new(|| Ok(None));
        let (response, _sent) = Response::new(headers, Some(stream), no_trailers);
        drop(trailers);
        wit_bindgen::spawn_local(async move {
            output.write_all(reply.to_string().into_bytes()).await;
        });
        Ok(response)
    }
}
