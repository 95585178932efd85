//! The OpenAPI 3.1 document, and a rendered page of it that works offline.

use axum::Router;
use axum::body::Body;
use http::header::{CONTENT_SECURITY_POLICY, X_FRAME_OPTIONS};
use http::{HeaderValue, Response};
use utoipa::openapi::Components;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_swagger_ui::SwaggerUi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Serverledge",
        description = "A Function-as-a-Service node. Routes and member names are Serverledge's; member names match in any case. \
                       Every error is problem JSON (RFC 9457) with a stable `code`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    modifiers(&Credentials),
    security(("token" = []), ("session" = [])),
    components(schemas(
        serverledge_wire::invoke::Accepted,
        serverledge_wire::stream::DeployLine,
        serverledge_wire::stream::LogLine,
    )),
    tags(
        (name = "functions", description = "Deploy, list, delete"),
        (name = "invocations", description = "Run functions as Serverledge's clients do"),
        (name = "asynchronous", description = "Invocations that are stored: their state and history, cancelling, dead letters"),
        (name = "key-value stores", description = "What functions keep between calls. A key is the rest of the path, slashes included"),
        (name = "applications", description = "Functions and URLs under a name. The routes of functions act on an application's own \
                                               functions behind /apps/{app}: /apps/{app}/create, /apps/{app}/invoke/{function}, …"),
        (name = "plain HTTP", description = "Run functions as anything that speaks HTTP does"),
        (name = "account", description = "Accounts, sessions, tokens"),
        (name = "running applications", description = "What anybody can ask of an application that runs"),
        (name = "node", description = "The node itself"),
    )
)]
struct Document;

/// The two kinds of credentials. Neither is needed where `auth.enabled` is false.
struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_with(Components::default);
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .bearer_format("slt_…")
            .build();
        components.add_security_scheme("token", SecurityScheme::Http(token));
        let session = ApiKey::Cookie(ApiKeyValue::new("serverledge_session"));
        components.add_security_scheme("session", SecurityScheme::ApiKey(session));
    }
}

/// The OpenAPI document of these paths.
pub(crate) fn document(paths: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.merge(paths);
    document
}

/// The rendered page, which finds the document beside its own folder, wherever that is. Its scripts and styles are
/// within the binary.
pub(crate) fn pages<S: Clone + Send + Sync + 'static>() -> Router<S> {
    let pages: Router<S> = SwaggerUi::new("/docs")
        .config(utoipa_swagger_ui::Config::from("../openapi.json"))
        .into();
    pages.layer(axum::middleware::map_response(unframed))
}

/// The page sends requests with the session of whoever looks at it: nobody else's page may show it and have it clicked.
async fn unframed(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("frame-ancestors 'none'"),
    );
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    response
}
