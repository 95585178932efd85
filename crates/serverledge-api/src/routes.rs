//! The one table of routes: method, path, requirement, handler. The router, the access rules, the answers to other methods
//! and the OpenAPI document come from it.

use std::sync::Arc;

use axum::body::Body;
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Extension, Router};
use http::{Method, Request, Response};
use utoipa::OpenApi;
use utoipa::openapi::Server;

use crate::request::access::Requirement;
use crate::request::app_prefix;
use crate::request::path_prefix::PathPrefix;
use crate::request::state::AppState;
use crate::response::problem::ApiError;
use crate::response::reply;

pub(crate) mod account;
pub(crate) mod app_lifecycle;
pub(crate) mod apps;
pub(crate) mod console;
pub(crate) mod dead_letters;
pub(crate) mod deploy;
pub(crate) mod events;
pub(crate) mod functions;
pub(crate) mod http_function;
pub(crate) mod invocations;
pub(crate) mod invoke;
pub(crate) mod kv;
pub(crate) mod logs;
pub(crate) mod openapi;
pub(crate) mod patch;
pub(crate) mod peers;
pub(crate) mod program;
pub(crate) mod public_app;
pub(crate) mod runs;
pub(crate) mod sdk;
pub(crate) mod system;
pub(crate) mod versions;

#[cfg(test)]
mod tests;

/// A row of the table.
#[derive(Debug)]
struct Route {
    method: &'static str,
    path: &'static str,
    requirement: Requirement,
}

/// Writes the table as data, as a router and as a document.
macro_rules! routes {
    (
        documented { $($method:ident $path:literal $requirement:ident $($handler:ident)::+;)+ }
        undocumented { $($own_method:ident $own_path:literal $own_requirement:ident $($own:ident)::+;)+ }
        dispatched { $($hot_method:ident $hot_path:literal $hot_requirement:ident $($hot:ident)::+;)+ }
        pages { $($page:literal)+ }
    ) => {
        const ROUTES: &[Route] = &[
            $(Route { method: stringify!($method), path: $path, requirement: Requirement::$requirement },)+
            $(Route { method: stringify!($own_method), path: $own_path, requirement: Requirement::$own_requirement },)+
            $(Route { method: stringify!($hot_method), path: $hot_path, requirement: Requirement::$hot_requirement },)+
            $(Route { method: "GET", path: $page, requirement: Requirement::Open },)+
        ];

        /// The documented rows.
        #[derive(OpenApi)]
        #[openapi(paths($($($handler)::+,)+ $($($hot)::+,)+))]
        struct Documented;

        fn handlers() -> Vec<(&'static str, MethodRouter<Arc<AppState>>)> {
            vec![
                $(($path, on(MethodFilter::$method, $($handler)::+)),)+
                $(($own_path, on(MethodFilter::$own_method, $($own)::+)),)+
            ]
        }
    };
}

routes! {
    documented {
        POST   "/create"                            Deploy   deploy::create;
        POST   "/update"                            Deploy   deploy::update;
        POST   "/delete"                            Deploy   functions::delete;
        GET    "/functions"                         Invoke   functions::names;
        GET    "/functions/{name}"                  Invoke   functions::info;
        PATCH  "/functions/{name}"                  Deploy   patch::patch;
        GET    "/functions/{name}/versions"         Invoke   versions::list;
        GET    "/functions/{name}/nodes"            Invoke   versions::nodes;
        POST   "/functions/{name}/rollback"         Deploy   versions::roll_back;
        POST   "/functions/{name}/flags"            Deploy   versions::flags;
        GET    "/functions/{name}/logs"             Invoke   logs::logs;
        POST   "/functions/{name}/invocations"      Invoke   invocations::submit;
        POST   "/prewarm"                           Operator functions::prewarm;
        GET    "/poll/{id}"                         Invoke   invoke::poll;
        GET    "/invocations"                       Invoke   runs::list;
        GET    "/invocations/{id}"                  Invoke   invocations::show;
        GET    "/invocations/{id}/logs"             Invoke   runs::logs;
        POST   "/invocations/{id}/cancel"           Invoke   invocations::cancel;
        GET    "/dead-letters"                      Invoke   dead_letters::list;
        DELETE "/dead-letters"                      Invoke   dead_letters::purge_all;
        GET    "/dead-letters/{id}"                 Invoke   dead_letters::show;
        DELETE "/dead-letters/{id}"                 Invoke   dead_letters::purge;
        POST   "/dead-letters/{id}/redrive"         Invoke   dead_letters::redrive;
        GET    "/kv"                                Invoke   kv::stores;
        GET    "/kv/{store}"                        Invoke   kv::list;
        DELETE "/kv/{store}"                        Deploy   kv::clear;
        GET    "/kv/{store}/{*key}"                 Invoke   kv::get;
        PUT    "/kv/{store}/{*key}"                 Deploy   kv::put;
        POST   "/kv/{store}/{*key}"                 Deploy   kv::increment;
        DELETE "/kv/{store}/{*key}"                 Deploy   kv::delete;
        GET    "/apps"                              Invoke   apps::list;
        POST   "/apps"                              Deploy   apps::create;
        GET    "/apps/{app}"                        Invoke   apps::show;
        PATCH  "/apps/{app}"                        Deploy   apps::change;
        DELETE "/apps/{app}"                        Deploy   apps::delete;
        GET    "/apps/{app}/endpoints"              Invoke   apps::endpoints;
        PUT    "/apps/{app}/endpoints"              Deploy   apps::put_endpoint;
        DELETE "/apps/{app}/endpoints"              Deploy   apps::remove_endpoint;
        GET    "/apps/{app}/dependencies"           Invoke   apps::dependencies;
        PUT    "/apps/{app}/dependencies"           Deploy   apps::put_dependencies;
        POST   "/apps/{app}/start"                  Deploy   app_lifecycle::start;
        POST   "/apps/{app}/stop"                   Deploy   app_lifecycle::stop;
        POST   "/apps/{app}/test"                   Deploy   app_lifecycle::test;
        // The code of all its functions.
        GET    "/apps/{app}/export"                 Deploy   app_lifecycle::export;
        POST   "/apps/import"                       Deploy   app_lifecycle::import;
        GET    "/events"                            Invoke   events::events;
        GET    "/stats"                             Invoke   runs::stats;
        GET    "/stats/node"                        Operator runs::node_stats;
        GET    "/sandboxes"                         Operator runs::sandboxes;
        GET    "/peers"                             Operator peers::list;
        GET    "/quotas"                            Invoke   functions::quotas;
        GET    "/status"                            Operator system::status;
        GET    "/metrics"                           Metrics  system::metrics;
        GET    "/healthz"                           Open     system::healthz;
        GET    "/readyz"                            Open     system::readyz;
        GET    "/sdk/edge-keys.json"                Open     sdk::keys;
        POST   "/account/sign-up"                   Public   account::entry::sign_up;
        POST   "/account/log-in"                    Public   account::entry::log_in;
        POST   "/account/log-out"                   Known    account::entry::log_out;
        POST   "/account/log-out-everywhere"        Admin    account::entry::log_out_everywhere;
        POST   "/account/request-reset"             Public   account::entry::request_reset;
        POST   "/account/reset"                     Public   account::entry::reset;
        POST   "/account/confirm"                   Public   account::entry::confirm;
        GET    "/account"                           Known    account::settings::show;
        DELETE "/account"                           Admin    account::settings::remove;
        POST   "/account/email"                     Admin    account::settings::change_email;
        POST   "/account/password"                  Admin    account::settings::change_password;
        POST   "/account/invitations"               Admin    account::settings::invite;
        GET    "/account/tokens"                    Admin    account::tokens::list;
        POST   "/account/tokens"                    Admin    account::tokens::create;
        DELETE "/account/tokens/{id}"               Admin    account::tokens::revoke;
        GET    "/account/sessions"                  Admin    account::tokens::sessions;
        DELETE "/account/sessions/{id}"             Admin    account::tokens::end_session;
    }
    // Pages for people, the document itself, Serverledge's other name of a route. Links in mails lead to the pages of
    // accounts, from wherever they are read.
    undocumented {
        GET    "/"                                  Open     system::index;
        GET    "/function"                          Invoke   functions::names;
        GET    "/openapi.json"                      Open     serve_document;
        GET    "/sdk/edge.js"                       Open     sdk::script;
        GET    "/sdk/edge-more.js"                  Open     sdk::more;
        GET    "/sdk/edge-components.js"            Open     sdk::components;
        GET    "/sdk/edge.d.ts"                     Open     sdk::types;
        GET    "/console"                           Open     console::root;
        GET    "/console/"                          Open     console::index;
        GET    "/console/{*file}"                   Open     console::file;
        GET    "/account/reset"                     Open     account::pages::reset;
        GET    "/account/confirm"                   Open     account::pages::confirm;
        GET    "/account/page.js"                   Open     account::pages::script;
    }
    // Documented, and found before the router is asked: the two that carry the load, and applications, which anybody may
    // ask and whose settings decide on pages of other origins.
    dispatched {
        POST   "/invoke/{function}"                 Invoke   invoke::invoke;
        POST   "/fn/{name}"                         Invoke   http_function::plain;
        GET    "/app/{app}/up"                      Public   public_app::up;
        POST   "/app/{app}/edge"                    Public   public_app::edge;
        GET    "/app/{app}/edge/manifest"           Public   public_app::edge_manifest;
        GET    "/app/{app}/edge/keys"               Public   public_app::edge_keys;
        GET    "/app/{app}/edge/modules/{sha256}"   Public   public_app::edge_module;
        GET    "/app/{app}/edge/deltas/{sha256}"    Public   public_app::edge_delta;
        GET    "/app/{app}/edge/components/{sha256}" Public  public_app::edge_component;
        POST   "/app/{app}/edge/call/{function}"    Public   public_app::edge_call;
        POST   "/app/{app}/{endpoint}"              Public   public_app::endpoint;
    }
    pages { "/docs" "/docs/" "/docs/{*file}" }
}

/// The requirement of a route on its caller. A method that a path does not answer needs what the strictest one needs there.
/// A path in no row needs a credential, so that a new route is closed until a row opens it.
pub(crate) fn requirement(method: &Method, path: &str) -> Requirement {
    // An application's functions need what functions need.
    let path = app_prefix::split(path).map_or(path, |(_, inner)| inner);
    // The two that carry the load, and all that is below a function's name.
    if path.starts_with("/invoke/") || path.starts_with("/fn/") {
        return Requirement::Invoke;
    }
    let name = if *method == Method::HEAD {
        "GET"
    } else {
        method.as_str()
    };
    let rows = || ROUTES.iter().filter(|row| covers(row.path, path));
    let row = rows()
        .find(|row| row.method == name)
        .map(|row| row.requirement);
    let strictest = || rows().map(|row| row.requirement).max();
    let default = if name == "GET" {
        Requirement::Invoke
    } else {
        Requirement::Deploy
    };
    row.or_else(strictest).unwrap_or(default)
}

/// Whether nobody may keep the answers of a path: those about accounts.
pub(crate) fn is_private(path: &str) -> bool {
    path.strip_prefix("/account")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The router over all rows that are not dispatched before. A path without variable segments has the methods of the
/// patterns that it fits as well: an application may be called `import`.
pub(crate) fn router(state: &Arc<AppState>) -> Router {
    let handlers = handlers();
    let mut paths: Vec<&str> = handlers.iter().map(|(path, _)| *path).collect();
    paths.sort_unstable();
    paths.dedup();
    let mut router = Router::new();
    for path in paths {
        for (_, handler) in handlers.iter().filter(|(pattern, _)| covers(pattern, path)) {
            router = router.route(path, handler.clone());
        }
    }
    router
        .method_not_allowed_fallback(wrong_method)
        .merge(openapi::pages())
        .fallback(not_found)
        .with_state(Arc::clone(state))
}

/// Whether a path fits a pattern.
fn covers(pattern: &str, path: &str) -> bool {
    let mut segments = path.split('/');
    for expected in pattern.split('/') {
        if expected.starts_with("{*") {
            let first = segments.next();
            return first.is_some_and(|first| !first.is_empty() || segments.next().is_some());
        }
        let Some(segment) = segments.next() else {
            return false;
        };
        let fits = if expected.starts_with('{') {
            !segment.is_empty()
        } else {
            expected == segment
        };
        if !fits {
            return false;
        }
    }
    segments.next().is_none()
}

/// The methods that a path answers, as in `Allow`.
fn allowed(path: &str) -> String {
    let answers = |method: &&str| {
        ROUTES
            .iter()
            .any(|row| row.method == *method && covers(row.path, path))
    };
    ["GET", "POST", "PUT", "PATCH", "DELETE"]
        .into_iter()
        .filter(answers)
        .collect::<Vec<_>>()
        .join(", ")
}

async fn wrong_method(request: Request<Body>) -> ApiError {
    ApiError::method(&allowed(request.uri().path()))
}

async fn not_found() -> ApiError {
    ApiError::not_found()
}

/// The OpenAPI document of this version.
#[must_use]
pub fn document() -> utoipa::openapi::OpenApi {
    openapi::document(Documented::openapi())
}

async fn serve_document(prefix: Option<Extension<PathPrefix>>) -> Response<Body> {
    let mut document = document();
    // Below a path of a proxy, that is where the routes are.
    document.servers = prefix.map(|Extension(prefix)| vec![Server::new(prefix.as_str())]);
    reply::json(&document)
}
