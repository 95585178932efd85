//! Routes for an application's owner beside managing its parts: start, stop, test, export, import.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde_json::value::RawValue;
use serverledge_core::{AppName, Reply, Report};
use serverledge_wire::endpoint_body::{self, EndpointBody};
use serverledge_wire::function::FunctionBody;
use serverledge_wire::hosting::{ImportedApplication, RunningApplication, TestAnswer};
use serverledge_wire::problem::Problem;

use crate::backend::running_apps::TestRun;
use crate::request::api_request::ApiRequest;
use crate::request::query::{malformed, percent_decoded};
use crate::response::problem::{ApiError, ApiResult};
use crate::response::{progress, reply};
use crate::routes::apps::app_name;

const ARCHIVE: &str = "application/x-tar";

/// Prepares an application's functions and lets its endpoints answer.
#[utoipa::path(
    post, path = "/apps/{app}/start", tag = "applications", params(("app" = String, Path)),
    responses(
        (status = 200, content(
            (RunningApplication = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/event-stream"),
        ), description = "with Accept: application/x-ndjson or text/event-stream one line or event for each step (Progress); \
                          the last has Started or Problem"),
        (status = 404, body = Problem),
        (status = 422, description = "one of its functions cannot be prepared; code tells why", body = Problem),
    )
)]
pub(crate) async fn start(
    ApiRequest {
        state,
        context,
        segment: name,
        permit,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let caller = context.caller.clone();
    progress::answer(
        &parts.headers,
        "Started",
        permit,
        context.request_id(),
        |steps| async move {
            let application = state
                .backend
                .running_apps
                .start(&caller, &name, &steps)
                .await?;
            Ok(RunningApplication {
                name: application.name.to_string(),
                up: true,
            })
        },
    )
    .await
}

/// Takes no new calls for an application; those that run end as they would have.
#[utoipa::path(
    post, path = "/apps/{app}/stop", tag = "applications", params(("app" = String, Path)),
    responses((status = 200, body = RunningApplication), (status = 404, body = Problem))
)]
pub(crate) async fn stop(
    ApiRequest {
        state,
        context,
        segment: name,
        ..
    }: ApiRequest,
) -> ApiResult {
    let stopped = state
        .backend
        .running_apps
        .stop(&context.caller, &name)
        .await?;
    Ok(reply::json(&RunningApplication {
        name: stopped.name.to_string(),
        up: false,
    }))
}

/// Runs a function that is not saved. The body is that of `/create` with `args`, `edgeResults` and `cache` beside it.
#[utoipa::path(
    post, path = "/apps/{app}/test", tag = "applications", params(("app" = String, Path)),
    request_body = FunctionBody<'static>,
    responses(
        (status = 200, content(
            (TestAnswer = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/event-stream"),
        ), description = "with Accept as for start; the last line has Tested or Problem"),
        (status = 422, description = "the function cannot be prepared; code tells why", body = Problem),
        (status = 429, description = "too many test runs at once, or overload", body = Problem),
        (status = 500, description = "the function failed; with its output", body = Problem),
    )
)]
pub(crate) async fn test(
    ApiRequest {
        state,
        context,
        segment: name,
        permit,
        parts,
        body,
    }: ApiRequest,
) -> ApiResult {
    let bytes = state
        .bodies
        .text(&parts.headers, body, state.limits.code_body_bytes_max)
        .await?;
    let caller = context.caller.clone();
    progress::answer(
        &parts.headers,
        "Tested",
        permit,
        context.request_id(),
        |steps| async move {
            let (given, _) = EndpointBody::parse_beside(&bytes)?;
            let function = FunctionBody::parse_beside(&bytes, &endpoint_body::REQUEST_MEMBERS)?;
            let run = TestRun {
                function,
                params: given.args,
                client_cache: given.client_cache.map(Arc::new),
            };
            let report = Arc::clone(&state.backend.running_apps)
                .test(&caller, &name, run, &steps)
                .await?;
            told(report)
        },
    )
    .await
}

fn told(report: Report) -> Result<TestAnswer, ApiError> {
    let Reply::Json(result) = report.reply else {
        let detail = "a wasi:http function answers HTTP requests; a test run gives it parameters";
        return Err(ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "test_of_http",
            detail,
        ));
    };
    Ok(TestAnswer {
        answer: raw(&endpoint_body::response(&result, &report.memo.entries))?,
        output: String::from_utf8_lossy(&report.log).into_owned(),
        milliseconds: report.phases.execution.as_secs_f64() * 1000.0,
    })
}

fn raw(json: &[u8]) -> Result<Box<RawValue>, ApiError> {
    serde_json::from_slice(json)
        .map_err(|fault| ApiError::internal(&format!("failed to write an answer: {fault}")))
}

/// An application as one file: its settings, endpoints, dependencies, functions and their code.
#[utoipa::path(
    get, path = "/apps/{app}/export", tag = "applications", params(("app" = String, Path)),
    responses(
        (status = 200, content_type = "application/x-tar", description = "values of secrets are left out"),
        (status = 404, body = Problem),
    )
)]
pub(crate) async fn export(
    ApiRequest {
        state,
        context,
        segment: name,
        ..
    }: ApiRequest,
) -> ApiResult {
    let file = state
        .backend
        .running_apps
        .export(&context.caller, &name)
        .await?;
    Ok(archive(&name, file))
}

fn archive(name: &str, file: Bytes) -> Response<Body> {
    let mut response = reply::text(StatusCode::OK, ARCHIVE, file);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(ARCHIVE));
    // An application's name is a DNS label, so it needs no quoting; another one was not found.
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}.tar\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// Makes an application from an exported file. On an error nothing of it is left.
#[utoipa::path(
    post, path = "/apps/import", tag = "applications",
    params(("name" = Option<String>, Query, description = "its name; left out, the one in the file")),
    request_body(content_type = "application/x-tar", content = Vec<u8>),
    responses(
        (status = 200, content(
            (ImportedApplication = "application/json"),
            (String = "application/x-ndjson"),
            (String = "text/event-stream"),
        ), description = "with Accept as for start; the last line has Imported or Problem"),
        (status = 409, description = "the name is taken", body = Problem),
        (status = 422, description = "the file is no exported application, or a function cannot be deployed", body = Problem),
    )
)]
pub(crate) async fn import(
    ApiRequest {
        state,
        context,
        permit,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let name = wanted_name(parts.uri.query().unwrap_or_default())?;
    let file = state
        .bodies
        .bytes(&parts.headers, body, state.limits.code_body_bytes_max)
        .await?;
    let caller = context.caller.clone();
    progress::answer(
        &parts.headers,
        "Imported",
        permit,
        context.request_id(),
        |steps| async move {
            let made = Arc::clone(&state.backend.running_apps)
                .import(&caller, name, file, &steps)
                .await?;
            let functions = made.functions.iter().map(ToString::to_string).collect();
            Ok(ImportedApplication {
                name: made.name.to_string(),
                functions,
                remarks: made.remarks,
            })
        },
    )
    .await
}

fn wanted_name(query: &str) -> Result<Option<AppName>, ApiError> {
    let mut name = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some(("name", value)) = pair.split_once('=') else {
            return Err(malformed("the query takes name only"));
        };
        name = Some(app_name(&percent_decoded(value))?);
    }
    Ok(name)
}
