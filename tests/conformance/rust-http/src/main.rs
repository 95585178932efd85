//! Greets and adds up: a component that answers requests (`wasi:http/incoming-handler`).

use serde_json::{Value, json};
use wstd::http::{Body, Error, Request, Response, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    if request.uri().path() != "/" {
        let response = Response::builder().status(StatusCode::NOT_FOUND);
        return Ok(response.body(Body::from("not here\n"))?);
    }
    let params: Value = request.into_body().json().await?;
    let name = params["name"].as_str().unwrap_or("World");
    let sum: u64 = (1..=params["n"].as_u64().unwrap_or(0)).sum();
    let reply = json!({"message": format!("Hello, {name}!"), "sum": sum});
    let response = Response::builder().header("content-type", "application/json");
    Ok(response.body(Body::from(reply.to_string()))?)
}
