//! The OpenAPI 3.1 document, and a rendered page of it that works offline.

use axum::Router;
use axum::body::Body;
use http::Response;
use utoipa::OpenApi;
use utoipa_swagger_ui::SwaggerUi;

use crate::reply;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Serverledge",
        description = "A Function-as-a-Service node. Routes and member names are Serverledge's; member names match in any case. \
                       Every error is problem JSON (RFC 9457) with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        crate::deploy::create,
        crate::deploy::update,
        crate::functions::delete,
        crate::functions::names,
        crate::functions::info,
        crate::functions::prewarm,
        crate::versions::list,
        crate::versions::roll_back,
        crate::versions::flags,
        crate::logs::logs,
        crate::invoke::invoke,
        crate::invoke::poll,
        crate::peer::list,
        crate::invocations::submit,
        crate::invocations::show,
        crate::invocations::cancel,
        crate::dead_letters::list,
        crate::dead_letters::show,
        crate::dead_letters::redrive,
        crate::dead_letters::purge,
        crate::dead_letters::purge_all,
        crate::plain::plain,
        crate::system::status,
        crate::system::metrics,
        crate::system::healthz,
        crate::system::readyz,
    ),
    components(schemas(
        serverledge_wire::invoke::Accepted,
        serverledge_wire::stream::DeployLine,
        serverledge_wire::stream::LogLine,
    )),
    tags(
        (name = "functions", description = "Deploy, list, delete"),
        (name = "invocations", description = "Run functions as Serverledge's clients do"),
        (name = "asynchronous", description = "Invocations that are stored: their state and history, cancelling, dead letters"),
        (name = "plain HTTP", description = "Run functions as anything that speaks HTTP does"),
        (name = "node", description = "The node itself"),
    )
)]
struct Document;

/// The OpenAPI document of this version.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    Document::openapi()
}

pub(crate) async fn serve() -> Response<Body> {
    reply::json(&document())
}

/// The rendered page, its scripts and styles within the binary.
pub(crate) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi.json")).into()
}
