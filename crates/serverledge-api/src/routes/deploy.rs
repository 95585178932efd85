//! Deploying functions, in Serverledge's words; the answer tells what happens meanwhile if it is asked to.

use bytes::Bytes;
use serde_json::Value;
use serverledge_core::{CONTENT_TYPE_DEFAULT, Caller, Function, Progress};
use serverledge_wire::function::{Created, FunctionBody};
use serverledge_wire::patch::{ChangeInfo, changes};
use serverledge_wire::problem::Problem;
use serverledge_wire::versions::FootprintInfo;

use crate::backend::errors::Deploy;
use crate::request::api_request::ApiRequest;
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::progress;

/// Deploys a new function.
#[utoipa::path(
    post, path = "/create", tag = "functions", request_body = FunctionBody<'static>,
    responses(
        (status = 200, content(
            (Created = "application/json"),
            (serverledge_wire::stream::DeployLine = "application/x-ndjson"),
            (String = "text/event-stream"),
        ), description = "with Accept: application/x-ndjson or text/event-stream one line or event for each step (Progress); \
                          the last has Created or Problem, with the problem's own status"),
        (status = 400, description = "malformed request", body = Problem),
        (status = 404, description = "unknown runtime", body = Problem),
        (status = 409, description = "the name is taken", body = Problem),
        (status = 413, description = "code over the limit", body = Problem),
        (status = 422, description = "a name, a limit or the code is not acceptable; code tells which", body = Problem),
        (status = 503, description = "the registry, the container engine or a package index is unavailable; code tells which", body = Problem),
    )
)]
pub(crate) async fn create(request: ApiRequest) -> ApiResult {
    deploy(Deploy::Create, request).await
}

/// Deploys a function, replacing all of one of the same name: what the request does not name has its default again, as in
/// Serverledge. `PATCH /functions/{name}` changes only what it names.
#[utoipa::path(
    post, path = "/update", tag = "functions", request_body = FunctionBody<'static>,
    responses(
        (status = 200, content(
            (Created = "application/json"),
            (serverledge_wire::stream::DeployLine = "application/x-ndjson"),
            (String = "text/event-stream"),
        ), description = "as for /create"),
        (status = 422, description = "as for /create", body = Problem),
    )
)]
pub(crate) async fn update(request: ApiRequest) -> ApiResult {
    deploy(Deploy::Update, request).await
}

async fn deploy(mode: Deploy, request: ApiRequest) -> ApiResult {
    let ApiRequest {
        state,
        context,
        permit,
        parts,
        body,
        ..
    } = request;
    let bytes = state
        .bodies
        .text(&parts.headers, body, state.limits.code_body_bytes_max)
        .await?;
    let caller = context.caller.clone();
    progress::answer(
        &parts.headers,
        "Created",
        permit,
        context.request_id(),
        |steps| async move { deployed(&state, &caller, mode, &bytes, &steps).await },
    )
    .await
}

async fn deployed(
    state: &AppState,
    caller: &Caller,
    mode: Deploy,
    bytes: &Bytes,
    progress: &dyn Progress,
) -> Result<Created, ApiError> {
    let asked = FunctionBody::parse(bytes)?;
    let limits = (asked.memory_mb.is_some(), asked.timeout.is_some());
    let deployed = state
        .backend
        .deployments
        .deploy(&caller.space, mode, asked, progress)
        .await?;
    let version = &deployed.function.version;
    let lost = deployed
        .replaced
        .as_ref()
        .and_then(|before| lost(before, &deployed.function, limits));
    Ok(Created {
        created: deployed.function.name.to_string(),
        runtime: version.runtime.to_string(),
        version: version.digest.to_string(),
        interface: deployed.recognised,
        footprint: deployed.footprint.map(FootprintInfo::from),
        replaced: deployed.replaced.is_some(),
        remarks: deployed.remarks.into_iter().chain(lost).collect(),
    })
}

/// Names what a function that was replaced as a whole had and has no more; `None` if that is nothing. `limits` says whether
/// the request named memory and timeout.
fn lost(before: &Function, after: &Function, limits: (bool, bool)) -> Option<String> {
    let changes = changes(before, after, false);
    let lost: Vec<String> = changes
        .iter()
        .filter(|change| is_reset(change, limits))
        .map(member)
        .collect();
    let way_out = "PATCH /functions/{name}, or `update` of the client, changes only what it names";
    let told = || {
        format!(
            "the whole function was replaced; back at their defaults are {}; {way_out}",
            lost.join(", ")
        )
    };
    (!lost.is_empty()).then(told)
}

fn is_reset(change: &ChangeInfo, (memory_is_named, timeout_is_named): (bool, bool)) -> bool {
    let to = change.to.as_ref();
    match change.member.as_str() {
        "MemoryMB" => !memory_is_named,
        "Timeout" => !timeout_is_named,
        "CPUTime" | "Signature" => to.is_none(),
        "CPUDemand" => to.and_then(Value::as_f64) == Some(0.0),
        "MaxConcurrency" => to.and_then(Value::as_u64) == Some(1),
        "Handler" => to.and_then(Value::as_str) == Some(""),
        "Network" => to.and_then(Value::as_str) == Some("none"),
        "Idempotent" | "IdempotentOutbound" | "Edge" => to.and_then(Value::as_bool) == Some(false),
        "Isolation" => to.and_then(Value::as_str) == Some("kept"),
        "Stdin" => to.and_then(Value::as_str) == Some("params"),
        "StdoutType" => to.and_then(Value::as_str) == Some(CONTENT_TYPE_DEFAULT),
        "Stdout" => to.and_then(Value::as_str) == Some("json"),
        "AllowHosts" | "Arguments" | "SecretHosts" | "SupportedArchs" => {
            to.and_then(Value::as_array).is_some_and(Vec::is_empty)
        }
        "Env" | "Secrets" => change.change.as_deref() == Some("removed"),
        _ => false,
    }
}

/// `MemoryMB`, or `Env A`.
fn member(change: &ChangeInfo) -> String {
    let name = change.name.as_ref().map(|name| format!(" {name}"));
    format!("{}{}", change.member, name.unwrap_or_default())
}
