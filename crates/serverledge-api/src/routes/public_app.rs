//! Running applications: by path, `/app/{app}/…`, and by host name, `{app}.{platform.domain}`. Anybody may ask, without a
//! token: what an application answers is its owner's business, and what it may do is bounded by [`untrusted`].

mod cors;
mod edge;
mod edge_tier;

use std::sync::Arc;

use axum::body::Body;
use axum::response::IntoResponse;
use bytes::Bytes;
use http::uri::PathAndQuery;
use http::{Method, Request, Response, StatusCode, Uri};
use serverledge_core::{
    AppName, Application, Caller, ClientCache, Endpoint, FunctionFailure, Interface,
    InvocationError, Payload, Reply, Report, Stdin, Trigger,
};
use serverledge_wire::endpoint_body::{self, EndpointBody};
use serverledge_wire::peer::Cookies;

use crate::backend::ClientCall;
use crate::errors::Convention;
use crate::request::body;
use crate::request::call::propagated;
use crate::request::context::RequestContext;
use crate::request::origin::{self, HostOwner};
use crate::request::path_prefix::PathPrefix;
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;
use crate::response::reply::{add_cache_headers, add_timing, remove_cache_headers};
use crate::response::untrusted;
use crate::routes::{http_function, program};

use cors::CorsDecision;
pub(crate) use edge::EdgeRequest;
use edge_tier::EdgeResource;

/// Applications by path.
const PREFIX: &str = "/app/";

/// The target of a request to an application.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct AppTarget {
    /// The application's name, unchecked.
    name: String,
    /// The path after the name, without the slash between them.
    path: String,
    /// Whether the application has the host name for itself.
    own_host: bool,
}

/// Whether a request is one to an application: on its own host name it has all paths, and the node has none. Encoded
/// characters stay as they are: no application and no endpoint has any.
pub(crate) fn addressed(host_owner: HostOwner, path: &str) -> Option<AppTarget> {
    if let HostOwner::Application(name) = host_owner {
        return Some(AppTarget {
            name,
            path: path.strip_prefix('/').unwrap_or(path).to_owned(),
            own_host: true,
        });
    }
    let (name, path) = by_path(path)?;
    Some(AppTarget {
        name: name.to_owned(),
        path: path.to_owned(),
        own_host: false,
    })
}

/// Application and path within it, of a path that names one.
pub(crate) fn by_path(path: &str) -> Option<(&str, &str)> {
    let rest = path.strip_prefix(PREFIX)?;
    Some(rest.split_once('/').unwrap_or((rest, "")))
}

/// Answers a request to an application; `asked`: of the load balancer that it came to first.
pub(crate) async fn handle(
    state: &AppState,
    request: Request<Body>,
    context: &RequestContext,
    to: AppTarget,
    asked: Option<Cookies>,
) -> Response<Body> {
    let known = AppName::parse(&to.name)
        .ok()
        .and_then(|name| state.backend.running_apps.application(name.as_str()));
    let Some(application) = known else {
        let mut response = not_running().into_response();
        untrusted::mark(response.headers_mut());
        return response;
    };
    let cors_decision = CorsDecision::of(&application.cors, request.headers());
    let trusted =
        to.own_host && application.own_origin && keeps_cookies_apart(session_cookies(state), asked);
    // No endpoint's path ends with a slash.
    let path = to.path.strip_suffix('/').unwrap_or(&to.path);
    let visit = AppRequest {
        state,
        context,
        application: &application,
        cors_decision: &cors_decision,
        path,
        own_host: to.own_host,
        trusted,
    };
    let answered = visit.answer(request).await;
    let mut response = answered.unwrap_or_else(IntoResponse::into_response);
    if !trusted {
        untrusted::mark(response.headers_mut());
    }
    cors_decision.add(response.headers_mut());
    response
}

/// Whether a page with an origin of its own cannot give the browser a session of its choice for the node: the session's
/// cookie is bound to its host by its name, or the page can set none that the node would see.
///
/// Behind a load balancer the browser knows the names of that one only. Its host is the cookie's, but both read the cookie: its
/// name binds it to the host if it does so for both.
fn keeps_cookies_apart(node: Cookies, asked: Option<Cookies>) -> bool {
    match asked {
        None => node.unshared || node.bound,
        Some(asked) => asked.unshared || (asked.bound && node.bound),
    }
}

fn session_cookies(state: &AppState) -> Cookies {
    state.access.cookies(&state.origins)
}

/// One answer, whether there is no such application or it is stopped.
fn not_running() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "application_not_running",
        "no application runs under this name",
    )
}

/// One request to a running application.
struct AppRequest<'a> {
    state: &'a AppState,
    context: &'a RequestContext,
    application: &'a Arc<Application>,
    cors_decision: &'a CorsDecision,
    path: &'a str,
    /// Whether the application has the host name for itself.
    own_host: bool,
    /// Its owner gave it its origin back, and it has one.
    trusted: bool,
}

impl AppRequest<'_> {
    async fn answer(&self, request: Request<Body>) -> ApiResult {
        if *request.method() == Method::OPTIONS {
            return Ok(self.cors_decision.preflight(
                &self.methods().ok_or_else(unknown_endpoint)?,
                request.headers(),
            ));
        }
        match self.path {
            "up" => self.up(request.method()),
            "edge" if *request.method() == Method::POST => {
                self.cors_decision.check(&self.state.origins, &request)?;
                let address = self.address(&request).ok_or_else(unknown_endpoint)?;
                edge::answer(self.state, self.application, &address, request).await
            }
            "edge" => Err(ApiError::method("POST")),
            _ => match self.edge_resource() {
                Some(resource) => self.answer_edge(resource, request).await,
                None => self.call_endpoint(request).await,
            },
        }
    }

    /// The application's URL as the caller knows it, without the scheme: the caller's own, before a proxy too.
    fn address(&self, request: &Request<Body>) -> Option<String> {
        let (uri, headers) = (request.uri(), request.headers());
        let host = origin::requested_authority(uri, headers)?;
        if self.own_host {
            return Some(format!("//{host}"));
        }
        let prefix = PathPrefix::of(&self.state.access, self.context, headers);
        let prefix = prefix.as_ref().map_or("", PathPrefix::as_str);
        Some(format!("//{host}{prefix}{PREFIX}{}", self.application.name))
    }

    /// The route below `/edge/` that the path names. An endpoint of the same path has been there before, and keeps it.
    fn edge_resource(&self) -> Option<EdgeResource<'_>> {
        EdgeResource::of(self.path).filter(|_| self.endpoint_methods().is_none())
    }

    async fn answer_edge(&self, resource: EdgeResource<'_>, request: Request<Body>) -> ApiResult {
        if !resource.answers(request.method()) {
            return Err(ApiError::method(resource.methods()));
        }
        self.cors_decision.check(&self.state.origins, &request)?;
        match resource {
            EdgeResource::Manifest => edge_tier::manifest(self.state, self.application).await,
            EdgeResource::Keys => Ok(edge_tier::keys(self.state)),
            EdgeResource::File(file) => {
                edge_tier::file(self.state, self.application, file, request.headers()).await
            }
            EdgeResource::Library(file) => Ok(file.response(request.headers())),
            EdgeResource::Call(name) => {
                let function = edge_tier::callable(self.state, self.application, name)?;
                let propagated = propagated(request.headers(), self.context);
                let (payload, client_cache) = self.parameters(request).await?;
                let call = self
                    .context
                    .call(Trigger::Edge, function, payload, propagated);
                self.run(call, client_cache).await
            }
        }
    }

    /// The methods that there are at the path; `None` if there is nothing.
    fn methods(&self) -> Option<String> {
        match self.path {
            "up" => return Some("GET, HEAD".to_owned()),
            "edge" => return Some("POST".to_owned()),
            _ => {}
        }
        if let Some(resource) = self.edge_resource() {
            return Some(resource.methods().to_owned());
        }
        self.endpoint_methods()
    }

    fn endpoint_methods(&self) -> Option<String> {
        let here = self
            .application
            .endpoints
            .iter()
            .filter(|one| one.path.as_str() == self.path);
        let methods: Vec<&str> = here.map(|one| one.method.as_str()).collect();
        (!methods.is_empty()).then(|| methods.join(", "))
    }

    fn up(&self, method: &Method) -> ApiResult {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(ApiError::method("GET, HEAD"));
        }
        if !self
            .state
            .backend
            .running_apps
            .is_prepared(self.application)
        {
            let detail = "this node still prepares the application's functions";
            return Err(ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "application_starting",
                detail,
            )
            .after(1));
        }
        Ok(reply::json_bytes(Bytes::from_static(br#"{"status":"up"}"#)))
    }

    async fn call_endpoint(&self, request: Request<Body>) -> ApiResult {
        let Some(endpoint) = self.endpoint(request.method()) else {
            return Err(self.no_endpoint());
        };
        self.cors_decision.check(&self.state.origins, &request)?;
        let served = self
            .state
            .backend
            .served(&self.application.space, endpoint.function.as_str());
        let Some(function) = served.await else {
            let detail = "the endpoint's function was deleted";
            return Err(ApiError::new(
                StatusCode::NOT_FOUND,
                "function_unknown",
                detail,
            ));
        };
        let io = &function.version.io;
        let program = io.has_bytes().then_some(io.stdin);
        let function = (endpoint.function.clone(), function.interface);
        let propagated = propagated(request.headers(), self.context);
        let (payload, client_cache) = match (function.1, program) {
            (Interface::Json, _) => self.parameters(request).await?,
            (Interface::Http, Some(stdin)) => {
                (Box::pin(self.program_call(stdin, request)).await?, None)
            }
            (Interface::Http, None) => {
                let uri = self.own_uri(request.uri())?;
                (
                    Payload::Http(Box::new(http_function::forwarded(
                        self.state,
                        self.context,
                        request,
                        uri,
                    )?)),
                    None,
                )
            }
        };
        let call = self
            .context
            .call(Trigger::Endpoint, function.0, payload, propagated);
        self.run(call, client_cache).await
    }

    /// Runs a call, with the results that the client supplied.
    async fn run(&self, call: ClientCall, client_cache: Option<Arc<ClientCache>>) -> ApiResult {
        // Whose the functions are, not who asks: that is not asked.
        let caller = Caller {
            space: self.application.space.clone(),
            account: None,
        };
        let mut call = ClientCall { caller, ..call };
        call.call.context.client_cache = client_cache;
        call.call.context.returns_cache = true;
        match Arc::clone(&self.state.backend.invocations).call(call).await {
            Ok(report) => Ok(self.response(report)),
            Err(error) => Err(failed(&error)),
        }
    }

    /// `HEAD` is answered as `GET` is, without the body.
    fn endpoint(&self, method: &Method) -> Option<&Endpoint> {
        let get = Method::GET;
        self.application.endpoint(
            if *method == Method::HEAD {
                &get
            } else {
                method
            },
            self.path,
        )
    }

    fn no_endpoint(&self) -> ApiError {
        self.methods().map_or_else(unknown_endpoint, |methods| {
            ApiError::method_of("endpoint", &methods)
        })
    }

    /// Reads the body in the request form that carries a cache; without a body, the query's members are the parameters.
    async fn parameters(
        &self,
        request: Request<Body>,
    ) -> Result<(Payload, Option<Arc<ClientCache>>), ApiError> {
        let (parts, body) = request.into_parts();
        let max = self.state.limits.params_body_bytes_max;
        let body = self.state.bodies.text(&parts.headers, body, max).await?;
        if body.iter().all(u8::is_ascii_whitespace) {
            return Ok((
                Payload::Json(body::query_params(parts.uri.query().unwrap_or_default())),
                None,
            ));
        }
        let body = body::enveloped(&parts.headers, body, "args", max).await?;
        let asked = EndpointBody::parse(&body)?;
        Ok((Payload::Json(asked.args), asked.client_cache.map(Arc::new)))
    }

    /// The call of a program that reads or writes bytes: by the body as it came, or by parameters as elsewhere.
    async fn program_call(
        &self,
        stdin: Stdin,
        request: Request<Body>,
    ) -> Result<Payload, ApiError> {
        if stdin == Stdin::Body {
            return program::with_body(self.state, request).await;
        }
        Ok(match self.parameters(request).await?.0 {
            Payload::Json(params) => program::call(params.clone(), params),
            request @ Payload::Http(_) => request,
        })
    }

    /// A `wasi:http` function sees the endpoint's path, wherever the application is.
    fn own_uri(&self, uri: &Uri) -> Result<Uri, ApiError> {
        let path_and_query = match uri.query() {
            Some(query) => PathAndQuery::try_from(format!("/{}?{query}", self.path)),
            None => PathAndQuery::try_from(format!("/{}", self.path)),
        };
        path_and_query
            .map(Uri::from)
            .map_err(|_| unknown_endpoint())
    }

    fn response(&self, report: Report) -> Response<Body> {
        let mut memo = report.memo;
        let mut response = match report.reply {
            Reply::Json(result) => {
                let mut entries = std::mem::take(&mut memo.entries);
                entries.retain(|entry| self.application.hands_out_nested || !entry.nested);
                reply::json_bytes(Bytes::from(endpoint_body::response(&result, &entries)))
            }
            Reply::Http(response) => {
                let mut response = response.map(|body| Body::new(untrusted::FunctionBody(body)));
                if self.trusted {
                    untrusted::clean_response_on_own_host(response.headers_mut());
                } else {
                    untrusted::clean_response(response.headers_mut());
                }
                remove_cache_headers(response.headers_mut());
                response
            }
        };
        add_cache_headers(response.headers_mut(), &memo);
        add_timing(response.headers_mut(), &report.phases);
        response
    }
}

fn unknown_endpoint() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "endpoint_unknown",
        "the application has no such endpoint",
    )
}

/// A function's failure with its own message; its log and stack are its owner's, not its visitors'.
fn failed(error: &InvocationError) -> ApiError {
    match error {
        InvocationError::Function(failure) => {
            let told = FunctionFailure {
                stack: None,
                log: Bytes::new(),
                ..failure.clone()
            };
            ApiError::invocation(&InvocationError::Function(told), Convention::Serverledge)
        }
        other => ApiError::invocation(other, Convention::Serverledge),
    }
}

/// Whether an application runs.
// Served by `handle`, like the others; these carry the documentation.
#[utoipa::path(
    get, path = "/app/{app}/up", tag = "running applications",
    params(("app" = String, Path, description = "the application's name; {app}.{platform.domain}/up is the same")),
    responses(
        (status = 200, description = "{\"status\":\"up\"}", body = Object),
        (status = 404, description = "unknown or stopped", body = serverledge_wire::problem::Problem),
        (status = 503, description = "its functions are being prepared", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn up() {}

/// The code of functions that the caller may run, and what runs it.
#[utoipa::path(
    post, path = "/app/{app}/edge", tag = "running applications", params(("app" = String, Path)),
    request_body = EdgeRequest,
    responses(
        (status = 200, description = "{\"functions\": {name: {code, idempotent}}, \"runEdgeFunction\": source}", body = Object),
        (status = 404, description = "not_edge: one of them does not exist or stays here", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn edge() {}

/// The functions that callers may run in their browsers, signed.
#[utoipa::path(
    get, path = "/app/{app}/edge/manifest", tag = "running applications", params(("app" = String, Path)),
    responses(
        (status = 200, description = "the manifest as text, with the signature of that text", body = serverledge_wire::edge::SignedManifest),
        (status = 403, description = "a page of an origin that the application does not allow", body = serverledge_wire::problem::Problem),
        (status = 404, description = "unknown or stopped application", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn edge_manifest() {}

/// The public keys of the manifest's signature.
#[utoipa::path(
    get, path = "/app/{app}/edge/keys", tag = "running applications", params(("app" = String, Path)),
    responses((status = 200, description = "a set of JSON Web Keys (RFC 8037)", body = serverledge_wire::edge::EdgeKeys))
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn edge_keys() {}

/// A module that the manifest names. It never changes under its URL.
#[utoipa::path(
    get, path = "/app/{app}/edge/modules/{sha256}", tag = "running applications",
    params(("app" = String, Path), ("sha256" = String, Path, description = "the module's SHA-256, in hexadecimal digits")),
    responses(
        (status = 200, description = "the module, in the coding br or gzip if the request accepts one", content_type = "application/wasm", body = Vec<u8>),
        (status = 304, description = "If-None-Match names it in this coding"),
        (status = 404, description = "not_edge: the manifest names no such module now", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn edge_module() {}

/// A delta that the manifest names: with its base it makes a module. It never changes under its URL.
#[utoipa::path(
    get, path = "/app/{app}/edge/deltas/{sha256}", tag = "running applications",
    params(("app" = String, Path), ("sha256" = String, Path, description = "the delta's SHA-256, in hexadecimal digits")),
    responses(
        (status = 200, description = "the delta, in the coding br or gzip if the request accepts one", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "If-None-Match names it in this coding"),
        (status = 404, description = "not_edge: the manifest names no such delta now", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn edge_delta() {}

/// A component that the manifest names: its modules, and how they are linked. It never changes under its URL.
#[utoipa::path(
    get, path = "/app/{app}/edge/components/{sha256}", tag = "running applications",
    params(("app" = String, Path), ("sha256" = String, Path, description = "the file's SHA-256, in hexadecimal digits")),
    responses(
        (status = 200, description = "the file, in the coding br or gzip if the request accepts one", content_type = "application/octet-stream", body = Vec<u8>),
        (status = 304, description = "If-None-Match names it in this coding"),
        (status = 404, description = "not_edge: the manifest names no such component now", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn edge_component() {}

/// Runs a function at the node that callers may run themselves, or that an endpoint calls.
#[utoipa::path(
    post, path = "/app/{app}/edge/call/{function}", tag = "running applications",
    params(("app" = String, Path), ("function" = String, Path)),
    request_body(content = Object, description = "{\"args\": …, \"edgeResults\": …, \"cache\": …}, the last two optional"),
    responses(
        (status = 200, description = "{\"result\": …, \"cache\": …}", body = Object),
        (status = 404, description = "unknown or stopped application; a function that does not exist, or is the application's own affair", body = serverledge_wire::problem::Problem),
        (status = 429, description = "overload; Retry-After says when to try again", body = serverledge_wire::problem::Problem),
        (status = 500, description = "the function failed", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn edge_call() {}

/// Runs the function of an endpoint, with the endpoint's method.
#[utoipa::path(
    post, path = "/app/{app}/{endpoint}", tag = "running applications",
    params(("app" = String, Path), ("endpoint" = String, Path, description = "the endpoint's path, slashes included")),
    request_body(content = Object, description = "{\"args\": …, \"edgeResults\": …, \"cache\": …}, the last two optional, or a form; \
        for wasi:http functions the request itself"),
    responses(
        (status = 200, description = "{\"result\": …, \"cache\": …}; for wasi:http functions whatever they answer", body = Object),
        (status = 400, description = "malformed, or with an unknown member", body = serverledge_wire::problem::Problem),
        (status = 403, description = "a page of an origin that the application does not allow", body = serverledge_wire::problem::Problem),
        (status = 404, description = "unknown or stopped application, unknown endpoint", body = serverledge_wire::problem::Problem),
        (status = 429, description = "overload; Retry-After says when to try again", body = serverledge_wire::problem::Problem),
        (status = 500, description = "the function failed", body = serverledge_wire::problem::Problem),
    )
)]
#[expect(
    dead_code,
    reason = "carries documentation; the request path does not go through the router"
)]
pub(crate) fn endpoint() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_has_one_reading() {
        for (path, expected) in [
            ("/app/shop/up", Some(("shop", "up"))),
            ("/app/shop/a/b", Some(("shop", "a/b"))),
            ("/app/shop", Some(("shop", ""))),
            ("/app/shop//up", Some(("shop", "/up"))),
            ("/app//up", Some(("", "up"))),
            ("/app/../apps", Some(("..", "apps"))),
            ("/app/%2e%2e/apps", Some(("%2e%2e", "apps"))),
            ("/app", None),
            ("/apps/shop/up", None),
        ] {
            assert_eq!(by_path(path), expected, "{path}");
        }
    }
}
