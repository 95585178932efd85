//! The function: an HTTP server of one handler. `serverledge-cli invoke` reaches it as `POST /` with the parameters.

use serde_json::{Value, json};
use wstd::http::{Body, Error, Method, Request, Response, StatusCode};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let path = request.uri().path().to_owned();
    eprintln!("{} {path}", request.method());
    match (request.method(), path.as_str()) {
        (&Method::POST, "/") => {
            let mut body = request.into_body();
            let params: Value = serde_json::from_slice(body.contents().await?).unwrap_or_default();
            greeting(params["name"].as_str().unwrap_or("world"))
        }
        (&Method::GET, path) => match path.strip_prefix("/hello/") {
            Some(name) => greeting(name),
            None => answer(StatusCode::OK, &json!({ "message": "GET /hello/NAME greets" })),
        },
        _ => answer(StatusCode::NOT_FOUND, &json!({ "error": "no such page" })),
    }
}

fn greeting(name: &str) -> Result<Response<Body>, Error> {
    answer(StatusCode::OK, &json!({ "message": format!("Hello, {name}!") }))
}

fn answer(status: StatusCode, body: &Value) -> Result<Response<Body>, Error> {
    let response = Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))?;
    Ok(response)
}
