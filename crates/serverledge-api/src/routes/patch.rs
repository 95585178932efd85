//! Changing single members of a function: what the request names, and nothing else.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::HeaderMap;
use http::header::IF_MATCH;
use serverledge_core::{Caller, Progress};
use serverledge_wire::function::FunctionInfo;
use serverledge_wire::patch::{FunctionPatch, Updated, changes};
use serverledge_wire::problem::Problem;
use serverledge_wire::versions::FootprintInfo;

use crate::backend::{ExpectedState, Patched};
use crate::request::api_request::ApiRequest;
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::{progress, reply};

/// The function that is asked for, and how it is expected to be.
struct PatchTarget {
    caller: Caller,
    name: String,
    expected: Option<ExpectedState>,
}

/// Changes what it names of a function, and nothing else: an absent member stays, null is the member's default.
///
/// Of Env and Secrets a value sets one variable, null takes it away. Code, runtime, handler, limits and variables make another
/// version, to which the name can be rolled back like to any other; flags and the signature make none. A member that there is
/// not is refused. Asked twice, it changes nothing the second time.
#[utoipa::path(
    patch, path = "/functions/{name}", tag = "functions",
    params(
        ("name" = String, Path),
        ("If-Match" = Option<String>, Header, description = "the ETag of the state that is to be changed"),
    ),
    request_body = FunctionPatch<'static>,
    responses(
        (status = 200, content(
            (Updated = "application/json"),
            (serverledge_wire::stream::DeployLine = "application/x-ndjson"),
            (String = "text/event-stream"),
        ), description = "what has changed; told step by step as for /create",
         headers(("ETag" = String, description = "of the function as it is now"))),
        (status = 400, description = "malformed request, or a member that there is not", body = Problem),
        (status = 403, description = "a quota; code tells which", body = Problem),
        (status = 404, description = "unknown function", body = Problem),
        (status = 412, description = "the function is not as If-Match says", body = Problem),
        (status = 413, description = "code over the limit", body = Problem),
        (status = 422, description = "the function would not be acceptable as a whole; code tells why", body = Problem),
        (status = 503, description = "something that is needed is unavailable, or too many change the function at once; code tells which", body = Problem),
    )
)]
pub(crate) async fn patch(
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
    let target = PatchTarget {
        caller: context.caller.clone(),
        name,
        expected: expected(&parts.headers),
    };
    let tag = Arc::new(OnceLock::new());
    let told = Arc::clone(&tag);
    let answer = progress::answer(
        &parts.headers,
        "Updated",
        permit,
        context.request_id(),
        |steps| async move {
            let updated = updated(&state, &target, &bytes, &steps).await?;
            told.get_or_init(|| reply::etag(&updated.function));
            Ok(updated)
        },
    );
    let mut response = answer.await?;
    // Of an answer that comes step by step the headers have gone before.
    response.headers_mut().extend(tag.get().cloned().flatten());
    Ok(response)
}

/// Several headers are one list.
fn expected(headers: &HeaderMap) -> Option<ExpectedState> {
    let values: Vec<String> = headers
        .get_all(IF_MATCH)
        .iter()
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .collect();
    (!values.is_empty()).then(|| ExpectedState::new(values.join(",")))
}

async fn updated(
    state: &AppState,
    target: &PatchTarget,
    bytes: &Bytes,
    progress: &dyn Progress,
) -> Result<Updated, ApiError> {
    let request = FunctionPatch::parse(bytes)?;
    let caller = &target.caller;
    let name = &target.name;
    let patched = state
        .backend
        .deployments
        .patch(
            &caller.space,
            name,
            &request,
            target.expected.as_ref(),
            progress,
        )
        .await?;
    let Patched {
        before,
        function,
        remade,
        recognised,
        footprint,
        remarks,
    } = patched;
    Ok(Updated {
        updated: function.name.to_string(),
        changes: changes(&before, &function, remade),
        previous: before.version.digest.to_string(),
        function: FunctionInfo::from(&*function),
        interface: recognised,
        footprint: footprint.map(FootprintInfo::from),
        remarks,
    })
}
