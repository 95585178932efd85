//! `POST /edge` of an application: the code of functions that callers may run themselves, and what runs it.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{Request, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serverledge_core::Application;
use utoipa::ToSchema;

use crate::backend::running_apps::{EdgeCode, EdgeKind};
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;

/// Evaluated, it gives `runEdgeFunction(name, functions, args)`.
const RUN_EDGE_FUNCTION: &str = include_str!("../../../../../edge/run-edge-function.js");
/// Functions of one request.
const FUNCTIONS_MAX: usize = 50;
/// Bytes of code in one answer: anybody may ask, and each answer is read from the registry.
const CODE_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The body of `POST /edge`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdgeRequest {
    /// Names of functions.
    functions: Vec<String>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct EdgeAnswer {
    functions: Map<String, Value>,
    run_edge_function: &'static str,
}

/// `address`: the application's URL as the caller knows it.
pub(super) async fn answer(
    state: &AppState,
    application: &Application,
    address: &str,
    request: Request<Body>,
) -> ApiResult {
    let (parts, body) = request.into_parts();
    let bytes = state
        .bodies
        .text(&parts.headers, body, state.limits.params_body_bytes_max)
        .await?;
    let asked: EdgeRequest = serde_json::from_slice(&bytes).map_err(|fault| {
        let detail = format!("the body is not {{\"functions\": [names]}}: {fault}");
        ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", detail)
    })?;
    if asked.functions.len() > FUNCTIONS_MAX {
        let detail = format!(
            "{} functions are asked for, {FUNCTIONS_MAX} are allowed",
            asked.functions.len()
        );
        return Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "too_many_functions",
            detail,
        ));
    }
    let mut functions = Map::new();
    let mut bytes = 0;
    for name in asked.functions {
        let code = state
            .backend
            .running_apps
            .edge_code(application, &name)
            .await?
            .ok_or_else(not_edge)?;
        bytes += code.code.len();
        if bytes > CODE_BYTES_MAX {
            let detail = format!(
                "the functions have more than {CODE_BYTES_MAX} bytes of code; ask for fewer at once"
            );
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "edge_code_too_large",
                detail,
            ));
        }
        functions.insert(name, described(&code, address)?);
    }
    Ok(reply::json(&EdgeAnswer {
        functions,
        run_edge_function: RUN_EDGE_FUNCTION,
    }))
}

/// One answer for functions that do not exist and for those that stay here, so that names cannot be found out.
fn not_edge() -> ApiError {
    let detail =
        "one of the functions does not exist, or is not one that callers may run themselves";
    ApiError::new(StatusCode::NOT_FOUND, "not_edge", detail)
}

fn described(code: &EdgeCode, address: &str) -> Result<Value, ApiError> {
    let mut members = Map::new();
    let text = match code.kind {
        EdgeKind::JavaScript => std::str::from_utf8(&code.code)
            .map_err(|_| not_edge())?
            .to_owned(),
        EdgeKind::Wasm => STANDARD.encode(&code.code),
    };
    members.insert("code".to_owned(), text.into());
    members.insert("idempotent".to_owned(), code.idempotent.into());
    // What runs it runs the module that the application has for browsers.
    members.insert("application".to_owned(), address.into());
    if code.kind == EdgeKind::Wasm {
        members.insert("kind".to_owned(), "wasm".into());
    }
    if !code.handler.is_empty() {
        members.insert("handler".to_owned(), code.handler.clone().into());
    }
    Ok(members.into())
}
