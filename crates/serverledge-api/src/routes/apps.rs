//! `/apps`: applications, their endpoints, settings and dependencies.

use std::sync::Arc;

use axum::body::Body;
use http::header::{LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use serde::de::DeserializeOwned;
use serverledge_core::{
    AppName, Application, CORS_ORIGINS_MAX, Cors, DEPENDENCIES_BYTES_MAX, Dependencies,
    DependenciesFile, Endpoint, EndpointPath,
};
use serverledge_wire::application::{
    AppInfo, AppSettings, AppSummary, CorsInfo, CorsWord, DependenciesInfo, EndpointInfo, NewApp,
    parse,
};
use serverledge_wire::problem::Problem;

use crate::backend::applications::{AppChanges, AppError};
use crate::backend::dependencies;
use crate::request::api_request::ApiRequest;
use crate::request::body::ReadError;
use crate::request::context::RequestContext;
use crate::request::query::{malformed, members};
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::reply;

/// Largest body of a request about an application, without its dependencies.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest origin: a host name and a port.
const ORIGIN_BYTES_MAX: usize = 300;
/// Names that `/apps` itself uses.
const RESERVED: [&str; 1] = ["import"];

/// The caller's applications.
#[utoipa::path(get, path = "/apps", tag = "applications", responses((status = 200, body = Vec<AppSummary>)))]
pub(crate) async fn list(ApiRequest { state, context, .. }: ApiRequest) -> Response<Body> {
    let applications = state.backend.applications.list(&context.caller);
    let summary = |one: &Arc<Application>| AppSummary::of(one, functions(&state, one).len());
    reply::json(&applications.iter().map(summary).collect::<Vec<_>>())
}

/// Makes an application.
#[utoipa::path(
    post, path = "/apps", tag = "applications", request_body = NewApp,
    responses(
        (status = 201, description = "made; Location says where", body = AppInfo),
        (status = 409, description = "the name is taken, by whomever", body = Problem),
        (status = 422, description = "the name breaks a rule", body = Problem),
    )
)]
pub(crate) async fn create(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let NewApp { name } = read(&state, &parts, body).await?;
    let name = app_name(&name)?;
    let made = state
        .backend
        .applications
        .create(&context.caller, name)
        .await?;
    let mut response = info(&state, &made);
    *response.status_mut() = StatusCode::CREATED;
    if let Ok(place) = HeaderValue::from_str(&format!("/apps/{}", made.name)) {
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

/// An application.
#[utoipa::path(
    get, path = "/apps/{app}", tag = "applications", params(("app" = String, Path)),
    responses((status = 200, body = AppInfo), (status = 404, description = "the caller has no such application", body = Problem))
)]
pub(crate) async fn show(
    ApiRequest {
        state,
        context,
        segment: app,
        ..
    }: ApiRequest,
) -> ApiResult {
    let found = find(&state, &context, &app)?;
    Ok(info(&state, &found))
}

/// Renames an application, or changes its settings.
#[utoipa::path(
    patch, path = "/apps/{app}", tag = "applications", params(("app" = String, Path)), request_body = AppSettings,
    responses(
        (status = 200, body = AppInfo),
        (status = 404, description = "the caller has no such application", body = Problem),
        (status = 409, description = "the new name is taken, or others change it all the time", body = Problem),
        (status = 422, description = "a name or an origin breaks a rule", body = Problem),
    )
)]
pub(crate) async fn change(
    ApiRequest {
        state,
        context,
        segment: app,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let AppSettings {
        name,
        cors,
        hands_out_nested,
        own_origin,
    } = read(&state, &parts, body).await?;
    let changes = AppChanges {
        name: name.map(|name| app_name(&name)).transpose()?,
        cors: cors.map(checked_cors).transpose()?,
        hands_out_nested,
        own_origin,
    };
    let changed = state
        .backend
        .applications
        .change(&context.caller, &app, changes)
        .await?;
    Ok(info(&state, &changed))
}

/// Deletes an application with its endpoints and functions. Its name is free at once.
#[utoipa::path(
    delete, path = "/apps/{app}", tag = "applications", params(("app" = String, Path)),
    responses((status = 204, description = "deleted"), (status = 404, body = Problem))
)]
pub(crate) async fn delete(
    ApiRequest {
        state,
        context,
        segment: app,
        ..
    }: ApiRequest,
) -> ApiResult {
    state
        .backend
        .applications
        .delete(&context.caller, &app)
        .await?;
    Ok(reply::no_content())
}

/// An application's endpoints.
#[utoipa::path(
    get, path = "/apps/{app}/endpoints", tag = "applications", params(("app" = String, Path)),
    responses((status = 200, body = Vec<EndpointInfo>), (status = 404, body = Problem))
)]
pub(crate) async fn endpoints(
    ApiRequest {
        state,
        context,
        segment: app,
        ..
    }: ApiRequest,
) -> ApiResult {
    Ok(endpoints_of(&*find(&state, &context, &app)?))
}

/// Binds a method and a path to a function of the application, in place of what was bound to them. Answers all endpoints.
#[utoipa::path(
    put, path = "/apps/{app}/endpoints", tag = "applications", params(("app" = String, Path)), request_body = EndpointInfo,
    responses(
        (status = 200, body = Vec<EndpointInfo>),
        (status = 404, description = "the caller has no such application", body = Problem),
        (status = 422, description = "method, path or function is not acceptable; code tells which", body = Problem),
    )
)]
pub(crate) async fn put_endpoint(
    ApiRequest {
        state,
        context,
        segment: app,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let EndpointInfo {
        method,
        path,
        function,
    } = read(&state, &parts, body).await?;
    let endpoint =
        Endpoint::parse(&method, &path, &function).map_err(|error| invalid_endpoint(&error))?;
    let changed = state
        .backend
        .applications
        .put_endpoint(&context.caller, &app, endpoint)
        .await?;
    Ok(endpoints_of(&changed))
}

/// Removes an endpoint. Answers those that are left.
#[utoipa::path(
    delete, path = "/apps/{app}/endpoints", tag = "applications",
    params(
        ("app" = String, Path),
        ("path" = String, Query, description = "the endpoint's path"),
        ("method" = Option<String>, Query, description = "its method; POST if absent"),
    ),
    responses((status = 200, body = Vec<EndpointInfo>), (status = 404, description = "no such application or endpoint", body = Problem))
)]
pub(crate) async fn remove_endpoint(
    ApiRequest {
        state,
        context,
        segment: app,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let (method, path) = which_endpoint(parts.uri.query().unwrap_or_default())?;
    let changed = state
        .backend
        .applications
        .remove_endpoint(&context.caller, &app, &method, &path)
        .await?;
    Ok(endpoints_of(&changed))
}

fn which_endpoint(query: &str) -> Result<(Method, EndpointPath), ApiError> {
    let mut method = Method::POST;
    let mut path = None;
    for (name, value) in members(query) {
        match name {
            "method" => {
                method =
                    Endpoint::parse_method(&value).map_err(|error| invalid_endpoint(&error))?;
            }
            "path" => path = Some(value),
            _ => return Err(malformed("the query takes path and method only")),
        }
    }
    let path = path.ok_or_else(|| malformed("the query does not say the endpoint's path"))?;
    let path = EndpointPath::parse(&path).map_err(|error| invalid_endpoint(&error))?;
    Ok((method, path))
}

/// An application's dependencies files, as text; empty if there is none, each under its name if there are both.
#[utoipa::path(
    get, path = "/apps/{app}/dependencies", tag = "applications",
    params(("app" = String, Path), ("file" = Option<String>, Query, description = "`package.json` or `requirements.txt` alone")),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = Problem))
)]
pub(crate) async fn dependencies(
    ApiRequest {
        state,
        context,
        segment: app,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let found = find(&state, &context, &app)?;
    let text = match which_file(parts.uri.query().unwrap_or_default())? {
        Some(file) => found.dependencies.get(file).to_owned(),
        None => shown(&found.dependencies),
    };
    let mut response = reply::text(StatusCode::OK, reply::TEXT, text);
    response
        .headers_mut()
        .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

/// The only file; both with their names above them.
fn shown(dependencies: &Dependencies) -> String {
    let files: Vec<DependenciesFile> = dependencies.files().collect();
    let under_name = |file: &DependenciesFile| {
        format!(
            "# {}\n{}\n",
            file.name(),
            dependencies.get(*file).trim_end()
        )
    };
    match files.as_slice() {
        [one] => dependencies.get(*one).to_owned(),
        several => several
            .iter()
            .map(under_name)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn which_file(query: &str) -> Result<Option<DependenciesFile>, ApiError> {
    let mut file = None;
    for (name, value) in members(query) {
        if name != "file" {
            return Err(malformed("the query takes file only"));
        }
        file = Some(dependencies::file_of_name(&value)?);
    }
    Ok(file)
}

/// Replaces one of an application's dependencies files: the body is a `package.json` or a `requirements.txt`. The other one stays.
/// An empty body removes the file that the query names, or both.
#[utoipa::path(
    put, path = "/apps/{app}/dependencies", tag = "applications",
    params(("app" = String, Path), ("file" = Option<String>, Query, description = "`package.json` or `requirements.txt`")),
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 200, body = DependenciesInfo),
        (status = 404, description = "the caller has no such application", body = Problem),
        (status = 422, description = "the text is neither of the two", body = Problem),
    )
)]
pub(crate) async fn put_dependencies(
    ApiRequest {
        state,
        context,
        segment: app,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let named = which_file(parts.uri.query().unwrap_or_default())?;
    let not_text = || {
        ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_dependencies",
            "the body is not UTF-8",
        )
    };
    let bytes = match state
        .bodies
        .text(&parts.headers, body, DEPENDENCIES_BYTES_MAX)
        .await
    {
        Err(ReadError::Charset(_)) => return Err(not_text()),
        read => read?,
    };
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| not_text())?;
    dependencies::check(named, &text)?;
    let found = DependenciesFile::of_text(&text);
    let text = if found.is_none() { String::new() } else { text };
    let target = named.or(found);
    let (_, outdated) = state
        .backend
        .applications
        .set_dependencies(&context.caller, &app, target, text)
        .await?;
    let file = found.map(|file| file.name().to_owned());
    Ok(reply::json(&DependenciesInfo { file, outdated }))
}

// === pieces ===

fn find(
    state: &AppState,
    context: &RequestContext,
    app: &str,
) -> Result<Arc<Application>, ApiError> {
    let found = state.backend.applications.find(&context.caller, app);
    found.ok_or_else(|| AppError::Unknown(app.to_owned()).into())
}

fn functions(state: &AppState, application: &Application) -> Vec<String> {
    state.backend.functions.names(&application.space)
}

fn info(state: &AppState, application: &Application) -> Response<Body> {
    let functions = functions(state, application);
    reply::json(&AppInfo::of(application, functions))
}

fn endpoints_of(application: &Application) -> Response<Body> {
    reply::json(
        &application
            .endpoints
            .iter()
            .map(EndpointInfo::from)
            .collect::<Vec<_>>(),
    )
}

async fn read<T: DeserializeOwned>(
    state: &AppState,
    parts: &Parts,
    body: Body,
) -> Result<T, ApiError> {
    let max = BODY_BYTES_MAX.min(state.limits.params_body_bytes_max);
    let bytes = state.bodies.text(&parts.headers, body, max).await?;
    parse(&bytes).map_err(|error| {
        ApiError::new(StatusCode::BAD_REQUEST, "malformed_json", error.to_string())
    })
}

/// A name that an application may have.
pub(super) fn app_name(text: &str) -> Result<AppName, ApiError> {
    let invalid = |detail: String| {
        ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_app_name", detail)
    };
    if RESERVED.contains(&text) {
        return Err(invalid(format!(
            "{text:?} is a name that the node itself uses; choose another"
        )));
    }
    AppName::parse(text).map_err(|error| invalid(error.to_string()))
}

fn invalid_endpoint(error: &dyn std::error::Error) -> ApiError {
    ApiError::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_endpoint",
        error.to_string(),
    )
}

fn checked_cors(cors: CorsInfo) -> Result<Cors, ApiError> {
    parse_cors(cors).map_err(ApiError::from)
}

/// Takes a CORS setting; an empty list is `closed`.
///
/// # Errors
/// [`AppError::Invalid`] with the code `invalid_origin`.
pub fn parse_cors(cors: CorsInfo) -> Result<Cors, AppError> {
    let origins = match cors {
        CorsInfo::Word(CorsWord::Closed) => return Ok(Cors::Closed),
        CorsInfo::Word(CorsWord::Any) => return Ok(Cors::Any),
        CorsInfo::Origins(origins) => origins,
    };
    let invalid = |message: String| {
        Err(AppError::Invalid {
            code: "invalid_origin",
            message,
        })
    };
    if origins.len() > CORS_ORIGINS_MAX {
        return invalid(format!(
            "{} origins are named, {CORS_ORIGINS_MAX} are allowed",
            origins.len()
        ));
    }
    match origins.iter().find(|origin| !is_origin(origin)) {
        Some(bad) => invalid(format!(
            "{bad:?} is no origin; one looks like https://name or http://name:port"
        )),
        None if origins.is_empty() => Ok(Cors::Closed),
        None => Ok(Cors::Origins(origins)),
    }
}

/// As browsers write it: scheme, host in lower case, and a port that is not the scheme's own.
fn is_origin(text: &str) -> bool {
    let (rest, usual) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (rest, "443"),
        (_, Some(rest)) => (rest, "80"),
        _ => return false,
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let good_host = bare.map_or_else(
        || {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-._".contains(&b))
        },
        |address| {
            address
                .parse::<std::net::Ipv6Addr>()
                .is_ok_and(|parsed| parsed.to_string() == address)
        },
    );
    let good_port = port.is_none_or(|port| {
        port != usual
            && port
                .parse::<u16>()
                .is_ok_and(|number| number > 0 && number.to_string() == port)
    });
    text.len() <= ORIGIN_BYTES_MAX && good_host && good_port
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_as_browsers_write_them() {
        for good in [
            "https://a.example",
            "http://localhost:3000",
            "https://[::1]:8443",
            "http://[::1]",
        ] {
            assert!(is_origin(good), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "a.example",
            "https://",
            "https://a.example/",
            "https://A.example",
            "https://a.example:443",
            "http://a:0",
            "http://a:080",
            "http://a:99999",
            "ftp://a",
            "https://a@b",
            "https://a b",
            "https://[x]",
            "https://a:",
        ] {
            assert!(!is_origin(bad), "{bad}");
        }
    }
}
