//! Deploying functions, in Serverledge's words; the answer tells what happens meanwhile if it is asked to.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use http::{Request, Response};
use serverledge_core::{Caller, Progress};
use serverledge_wire::function::{Created, FunctionBody};
use serverledge_wire::problem::Problem;

use crate::app::{Admitted, Place, Shared};
use crate::backend::Deploy;
use crate::error::Failed;
use crate::{body, reply, telling};

type AppState = State<Arc<Shared>>;
type Asked = Extension<Admitted>;

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
pub(crate) async fn create(
    State(shared): AppState,
    Extension(asked): Asked,
    Extension(place): Extension<Place>,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(
        deploy(shared, Deploy::Create, request, place, &asked).await,
        &asked,
    )
}

/// Deploys a function, replacing one of the same name.
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
pub(crate) async fn update(
    State(shared): AppState,
    Extension(asked): Asked,
    Extension(place): Extension<Place>,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(
        deploy(shared, Deploy::Update, request, place, &asked).await,
        &asked,
    )
}

async fn deploy(
    shared: Arc<Shared>,
    mode: Deploy,
    request: Request<Body>,
    place: Place,
    asked: &Admitted,
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
        "Created",
        place,
        asked.request_id(),
        |steps| async move { deployed(&shared, &caller, mode, &bytes, &steps).await },
    )
    .await
}

async fn deployed(
    shared: &Shared,
    caller: &Caller,
    mode: Deploy,
    bytes: &Bytes,
    progress: &dyn Progress,
) -> Result<Created, Failed> {
    let asked = FunctionBody::parse(bytes)?;
    let deployed = shared.backend.deploy(caller, mode, asked, progress).await?;
    let version = &deployed.function.version;
    Ok(Created {
        created: deployed.function.name.to_string(),
        runtime: version.runtime.to_string(),
        version: version.digest.to_string(),
        interface: deployed.recognised,
        remarks: deployed.remarks,
    })
}
