//! Deploying functions, in Serverledge's words; with `Accept: application/x-ndjson` the answer tells what happens meanwhile.

use std::pin::Pin;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use serverledge_core::{Caller, Progress};
use serverledge_wire::function::{Created, FunctionBody};
use serverledge_wire::problem::Problem;
use serverledge_wire::stream::{DeployLine, NDJSON};
use tokio::sync::mpsc;

use crate::app::{Admitted, Place, Shared};
use crate::backend::Deploy;
use crate::error::Failed;
use crate::{body, lines, reply};

/// Steps that wait to be sent; what comes while a slow reader has so many before it is passed over.
const STEPS_MAX: usize = 1024;
/// Characters kept of a step: tools print lines of any length.
const STEP_CHARS_MAX: usize = 1000;

type AppState = State<Arc<Shared>>;
type Asked = Extension<Admitted>;
type Work = Pin<Box<dyn Future<Output = Result<Created, Failed>> + Send>>;

/// Deploys a new function.
#[utoipa::path(
    post, path = "/create", tag = "functions", request_body = FunctionBody<'static>,
    responses(
        (status = 200, content(
            (Created = "application/json"),
            (serverledge_wire::stream::DeployLine = "application/x-ndjson"),
        ), description = "with Accept: application/x-ndjson one line for each step; the last has Created or Problem, with the \
                          problem's own status"),
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
    reply::finish(deploy(shared, Deploy::Create, request, place, &asked).await, &asked)
}

/// Deploys a function, replacing one of the same name.
#[utoipa::path(
    post, path = "/update", tag = "functions", request_body = FunctionBody<'static>,
    responses(
        (status = 200, content(
            (Created = "application/json"),
            (serverledge_wire::stream::DeployLine = "application/x-ndjson"),
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
    reply::finish(deploy(shared, Deploy::Update, request, place, &asked).await, &asked)
}

async fn deploy(
    shared: Arc<Shared>,
    mode: Deploy,
    request: Request<Body>,
    place: Place,
    asked: &Admitted,
) -> Result<Response<Body>, Failed> {
    let (parts, body) = request.into_parts();
    let bytes = body::read(body, shared.limits.code_body_bytes_max, shared.limits.body_timeout).await?;
    if !lines::are_wanted(&parts.headers) {
        return Ok(reply::json(&deployed(&shared, &asked.caller, mode, &bytes, &()).await?));
    }
    let (steps, told) = mpsc::channel(STEPS_MAX);
    let caller = asked.caller.clone();
    let work = async move { deployed(&shared, &caller, mode, &bytes, &Steps(steps)).await };
    let telling = Telling { work: Box::pin(work), told, request_id: asked.request_id().to_owned(), _place: place };
    Ok(lines::response(NDJSON, stream::unfold(Some(telling), next)))
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

/// Hands steps over to the answer.
struct Steps(mpsc::Sender<String>);

impl Progress for Steps {
    fn step(&self, text: &str) {
        let text = text.trim_end().chars().take(STEP_CHARS_MAX).collect();
        // One that finds no room is passed over: the work does not wait for its audience.
        let _ = self.0.try_send(text);
    }
}

/// A deploy under way, driven by whoever reads its answer. Dropping it stops the work.
struct Telling {
    work: Work,
    told: mpsc::Receiver<String>,
    request_id: String,
    /// The body is kept until the work is done, so the request counts until then.
    _place: Place,
}

/// The next piece of the answer, and what is left to tell.
async fn next(telling: Option<Telling>) -> Option<(Bytes, Option<Telling>)> {
    let mut telling = telling?;
    let line = tokio::select! {
        biased;
        outcome = &mut telling.work => return Some((last(telling, outcome), None)),
        Some(step) = telling.told.recv() => progress(step),
        () = tokio::time::sleep(lines::HEARTBEAT) => lines::line(&DeployLine::default()),
    };
    Some((line.into(), Some(telling)))
}

fn progress(step: String) -> Vec<u8> {
    lines::line(&DeployLine { progress: Some(step), ..DeployLine::default() })
}

/// The steps that were not told yet, and the outcome.
fn last(mut telling: Telling, outcome: Result<Created, Failed>) -> Bytes {
    let mut text = Vec::new();
    while let Ok(step) = telling.told.try_recv() {
        text.extend(progress(step));
    }
    let line = match outcome {
        Ok(created) => DeployLine { created: Some(created), ..DeployLine::default() },
        Err(failed) => {
            let (problem, retry_after) = failed.into_problem(&telling.request_id);
            DeployLine { problem: Some(problem), retry_after, ..DeployLine::default() }
        }
    };
    text.extend(lines::line(&line));
    text.into()
}
