//! What an application's owner does with it beside managing its parts: start, stop, test, export, import.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use axum::{Extension, Router};
use bytes::Bytes;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::{HeaderValue, Request, Response, StatusCode};
use serde_json::value::RawValue;
use serverledge_core::{AppName, Reply, Report};
use serverledge_wire::function::FunctionBody;
use serverledge_wire::hosting::{ImportedApplication, RunningApplication, TestAnswer};
use serverledge_wire::problem::Problem;
use serverledge_wire::thesis::{self, ThesisRequest};

use crate::app::{Admitted, Place, Shared};
use crate::error::Failed;
use crate::hosting::TestRun;
use crate::{body, reply, telling};

type AppState = State<Arc<Shared>>;
type Asked = Extension<Admitted>;
type Named = Result<Path<String>, PathRejection>;

const IMPORT: &str = "/apps/import";
const ARCHIVE: &str = "application/x-tar";

/// The routes of this file.
pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route(
            "/apps/{app}/start",
            post(start).fallback(crate::app::post_only),
        )
        .route(
            "/apps/{app}/stop",
            post(stop).fallback(crate::app::post_only),
        )
        .route(
            "/apps/{app}/test",
            post(test).fallback(crate::app::post_only),
        )
        .route(
            "/apps/{app}/export",
            get(export).fallback(crate::app::get_only),
        )
        // Beside the other methods of this path, so that an application may be called `import`.
        .route("/apps/{app}", post(import))
}

/// What is no text names no application.
fn named(name: Named) -> String {
    name.map(|Path(name)| name).unwrap_or_default()
}

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
    State(shared): AppState,
    Extension(asked): Asked,
    Extension(place): Extension<Place>,
    name: Named,
    request: Request<Body>,
) -> Response<Body> {
    let (name, caller) = (named(name), asked.caller.clone());
    let started = telling::answer(
        request.headers(),
        "Started",
        place,
        asked.request_id(),
        |steps| async move {
            let application = shared.backend.start(&caller, &name, &steps).await?;
            Ok(RunningApplication {
                name: application.name.to_string(),
                up: true,
            })
        },
    );
    reply::finish(started.await, &asked)
}

/// Takes no new calls for an application; those that run end as they would have.
#[utoipa::path(
    post, path = "/apps/{app}/stop", tag = "applications", params(("app" = String, Path)),
    responses((status = 200, body = RunningApplication), (status = 404, body = Problem))
)]
pub(crate) async fn stop(
    State(shared): AppState,
    Extension(asked): Asked,
    name: Named,
) -> Response<Body> {
    let stopped = shared.backend.stop(&asked.caller, &named(name)).await;
    let stopped = stopped.map(|application| {
        reply::json(&RunningApplication {
            name: application.name.to_string(),
            up: false,
        })
    });
    reply::finish(stopped.map_err(Failed::from), &asked)
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
    State(shared): AppState,
    Extension(asked): Asked,
    Extension(place): Extension<Place>,
    name: Named,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(
        tested(shared, &asked, place, named(name), request).await,
        &asked,
    )
}

async fn tested(
    shared: Arc<Shared>,
    asked: &Admitted,
    place: Place,
    name: String,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let (parts, body) = request.into_parts();
    let bytes = body::read(
        body,
        shared.limits.code_body_bytes_max,
        shared.limits.body_timeout,
    )
    .await?;
    let caller = asked.caller.clone();
    telling::answer(
        &parts.headers,
        "Tested",
        place,
        asked.request_id(),
        |steps| async move {
            let given = ThesisRequest::parse(&bytes)?;
            let function = FunctionBody::parse(&bytes)?;
            let run = TestRun {
                function,
                params: given.args,
                carried: given.carried.map(Arc::new),
            };
            let report = shared.backend.test(&caller, &name, run, &steps).await?;
            told(report)
        },
    )
    .await
}

fn told(report: Report) -> Result<TestAnswer, Failed> {
    let Reply::Json(result) = report.reply else {
        let detail = "a wasi:http function answers HTTP requests; a test run gives it parameters";
        return Err(Failed::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "test_of_http",
            detail,
        ));
    };
    Ok(TestAnswer {
        answer: raw(&thesis::response(&result, &report.memo.entries))?,
        output: String::from_utf8_lossy(&report.log).into_owned(),
        milliseconds: report.phases.execution.as_secs_f64() * 1000.0,
    })
}

fn raw(json: &[u8]) -> Result<Box<RawValue>, Failed> {
    serde_json::from_slice(json)
        .map_err(|fault| Failed::internal(&format!("failed to write an answer: {fault}")))
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
    State(shared): AppState,
    Extension(asked): Asked,
    name: Named,
) -> Response<Body> {
    let name = named(name);
    let exported = shared.backend.export(&asked.caller, &name).await;
    reply::finish(
        exported
            .map(|file| archive(&name, file))
            .map_err(Failed::from),
        &asked,
    )
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
    State(shared): AppState,
    Extension(asked): Asked,
    Extension(place): Extension<Place>,
    request: Request<Body>,
) -> Response<Body> {
    if request.uri().path() != IMPORT {
        return Failed::method("GET, PATCH, DELETE").into_response(asked.request_id());
    }
    reply::finish(imported(shared, &asked, place, request).await, &asked)
}

async fn imported(
    shared: Arc<Shared>,
    asked: &Admitted,
    place: Place,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let (parts, body) = request.into_parts();
    let name = wanted_name(parts.uri.query().unwrap_or_default())?;
    let file = body::read(
        body,
        shared.limits.code_body_bytes_max,
        shared.limits.body_timeout,
    )
    .await?;
    let caller = asked.caller.clone();
    telling::answer(
        &parts.headers,
        "Imported",
        place,
        asked.request_id(),
        |steps| async move {
            let made = shared.backend.import(&caller, name, file, &steps).await?;
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

fn wanted_name(query: &str) -> Result<Option<AppName>, Failed> {
    let mut name = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some(("name", value)) = pair.split_once('=') else {
            return Err(Failed::new(
                StatusCode::BAD_REQUEST,
                "malformed_query",
                "the query takes name only",
            ));
        };
        let parsed = AppName::parse(&crate::invoke::percent_decoded(value));
        name = Some(parsed.map_err(|fault| {
            Failed::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_application_name",
                fault.to_string(),
            )
        })?);
    }
    Ok(name)
}
