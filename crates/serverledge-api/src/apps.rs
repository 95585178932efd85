//! `/apps`: applications, their endpoints, settings and dependencies.

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use http::header::{LOCATION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use serde::de::DeserializeOwned;
use serverledge_core::{
    AppName, Application, CORS_ORIGINS_MAX, Cors, DEPENDENCIES_BYTES_MAX, Endpoint, EndpointPath,
};
use serverledge_wire::application::{
    AppInfo, AppSettings, AppSummary, CorsInfo, CorsWord, DependenciesInfo, EndpointInfo, NewApp,
    parse,
};
use serverledge_wire::problem::Problem;

use crate::app::{Admitted, Shared};
use crate::applications::{AppChanges, AppError};
use crate::dependencies::{self, dependencies_file};
use crate::error::Failed;
use crate::invocations::segment;
use crate::plain::form_decoded;
use crate::{body, reply};

type AppState = State<Arc<Shared>>;
type Asked = Extension<Admitted>;
type Segment = Result<Path<String>, PathRejection>;

/// Largest body of a request about an application, without its dependencies.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// Longest origin: a host name and a port.
const ORIGIN_BYTES_MAX: usize = 300;
/// Names that `/apps` itself uses.
const RESERVED: [&str; 1] = ["import"];

/// The caller's applications.
#[utoipa::path(get, path = "/apps", tag = "applications", responses((status = 200, body = Vec<AppSummary>)))]
pub(crate) async fn list(State(shared): AppState, Extension(asked): Asked) -> Response<Body> {
    let applications = shared.backend.applications().list(&asked.caller);
    let summary =
        |one: &Arc<Application>| AppSummary::of(one, functions(&shared, &asked, one).len());
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
    State(shared): AppState,
    Extension(asked): Asked,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(create_named(&shared, &asked, request).await, &asked)
}

async fn create_named(
    shared: &Shared,
    asked: &Admitted,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let NewApp { name } = read(shared, request).await?;
    let name = app_name(&name)?;
    let made = shared
        .backend
        .applications()
        .create(&asked.caller, name)
        .await?;
    let mut response = info(shared, asked, &made);
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
    State(shared): AppState,
    Extension(asked): Asked,
    app: Segment,
) -> Response<Body> {
    let found = find(&shared, &asked, &segment(app));
    reply::finish(found.map(|found| info(&shared, &asked, &found)), &asked)
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
    State(shared): AppState,
    Extension(asked): Asked,
    app: Segment,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(
        change_named(&shared, &asked, &segment(app), request).await,
        &asked,
    )
}

async fn change_named(
    shared: &Shared,
    asked: &Admitted,
    app: &str,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let AppSettings {
        name,
        cors,
        hands_out_nested,
        own_origin,
    } = read(shared, request).await?;
    let changes = AppChanges {
        name: name.map(|name| app_name(&name)).transpose()?,
        cors: cors.map(checked_cors).transpose()?,
        hands_out_nested,
        own_origin,
    };
    let changed = shared
        .backend
        .applications()
        .change(&asked.caller, app, changes)
        .await?;
    Ok(info(shared, asked, &changed))
}

/// Deletes an application with its endpoints and functions. Its name is free at once.
#[utoipa::path(
    delete, path = "/apps/{app}", tag = "applications", params(("app" = String, Path)),
    responses((status = 204, description = "deleted"), (status = 404, body = Problem))
)]
pub(crate) async fn delete(
    State(shared): AppState,
    Extension(asked): Asked,
    app: Segment,
) -> Response<Body> {
    let deleted = shared
        .backend
        .applications()
        .delete(&asked.caller, &segment(app))
        .await;
    let answered = deleted.map(|()| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    });
    reply::finish(answered.map_err(Failed::from), &asked)
}

/// An application's endpoints.
#[utoipa::path(
    get, path = "/apps/{app}/endpoints", tag = "applications", params(("app" = String, Path)),
    responses((status = 200, body = Vec<EndpointInfo>), (status = 404, body = Problem))
)]
pub(crate) async fn endpoints(
    State(shared): AppState,
    Extension(asked): Asked,
    app: Segment,
) -> Response<Body> {
    let found = find(&shared, &asked, &segment(app));
    reply::finish(found.map(|found| endpoints_of(&found)), &asked)
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
    State(shared): AppState,
    Extension(asked): Asked,
    app: Segment,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(
        put_one_endpoint(&shared, &asked, &segment(app), request).await,
        &asked,
    )
}

async fn put_one_endpoint(
    shared: &Shared,
    asked: &Admitted,
    app: &str,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let EndpointInfo {
        method,
        path,
        function,
    } = read(shared, request).await?;
    let endpoint =
        Endpoint::parse(&method, &path, &function).map_err(|error| invalid_endpoint(&error))?;
    let changed = shared
        .backend
        .applications()
        .put_endpoint(&asked.caller, app, endpoint)
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
    State(shared): AppState,
    Extension(asked): Asked,
    app: Segment,
    request: Request<Body>,
) -> Response<Body> {
    let query = request.uri().query().unwrap_or_default();
    reply::finish(
        remove_one_endpoint(&shared, &asked, &segment(app), query).await,
        &asked,
    )
}

async fn remove_one_endpoint(
    shared: &Shared,
    asked: &Admitted,
    app: &str,
    query: &str,
) -> Result<Response<Body>, Failed> {
    let (method, path) = which_endpoint(query)?;
    let changed = shared
        .backend
        .applications()
        .remove_endpoint(&asked.caller, app, &method, &path)
        .await?;
    Ok(endpoints_of(&changed))
}

fn which_endpoint(query: &str) -> Result<(Method, EndpointPath), Failed> {
    let malformed = |detail: &str| Failed::new(StatusCode::BAD_REQUEST, "malformed_query", detail);
    let (mut method, mut path) = (Method::POST, None);
    for member in query.split('&').filter(|member| !member.is_empty()) {
        match member.split_once('=') {
            Some(("method", text)) => {
                method = Endpoint::parse_method(text).map_err(|error| invalid_endpoint(&error))?
            }
            Some(("path", text)) => path = Some(form_decoded(text)),
            _ => return Err(malformed("the query takes path and method only")),
        }
    }
    let path = path.ok_or_else(|| malformed("the query does not say the endpoint's path"))?;
    let path = EndpointPath::parse(&path).map_err(|error| invalid_endpoint(&error))?;
    Ok((method, path))
}

/// An application's dependencies file, as text; empty if there is none.
#[utoipa::path(
    get, path = "/apps/{app}/dependencies", tag = "applications", params(("app" = String, Path)),
    responses((status = 200, body = String, content_type = "text/plain"), (status = 404, body = Problem))
)]
pub(crate) async fn dependencies(
    State(shared): AppState,
    Extension(asked): Asked,
    app: Segment,
) -> Response<Body> {
    let found = find(&shared, &asked, &segment(app));
    let text = found.map(|found| {
        let mut response = reply::text(
            StatusCode::OK,
            crate::system::TEXT,
            found.dependencies.clone(),
        );
        response
            .headers_mut()
            .insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        response
    });
    reply::finish(text, &asked)
}

/// Replaces an application's dependencies file: the body is a `package.json` or a `requirements.txt`; an empty one removes it.
#[utoipa::path(
    put, path = "/apps/{app}/dependencies", tag = "applications", params(("app" = String, Path)),
    request_body(content = String, content_type = "text/plain"),
    responses(
        (status = 200, body = DependenciesInfo),
        (status = 404, description = "the caller has no such application", body = Problem),
        (status = 422, description = "the text is neither of the two", body = Problem),
    )
)]
pub(crate) async fn put_dependencies(
    State(shared): AppState,
    Extension(asked): Asked,
    app: Segment,
    request: Request<Body>,
) -> Response<Body> {
    reply::finish(
        put_dependencies_text(&shared, &asked, &segment(app), request).await,
        &asked,
    )
}

async fn put_dependencies_text(
    shared: &Shared,
    asked: &Admitted,
    app: &str,
    request: Request<Body>,
) -> Result<Response<Body>, Failed> {
    let bytes = body::read(
        request.into_body(),
        DEPENDENCIES_BYTES_MAX,
        shared.limits.body_timeout,
    )
    .await?;
    let not_text = || {
        Failed::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "invalid_dependencies",
            "the body is not UTF-8",
        )
    };
    let text = String::from_utf8(bytes.to_vec()).map_err(|_| not_text())?;
    dependencies::check(&text)?;
    let text = if text.trim().is_empty() {
        String::new()
    } else {
        text
    };
    let (changed, outdated) = shared
        .backend
        .applications()
        .set_dependencies(&asked.caller, app, text)
        .await?;
    let file = dependencies_file(&changed.dependencies).map(str::to_owned);
    Ok(reply::json(&DependenciesInfo { file, outdated }))
}

// === pieces ===

fn find(shared: &Shared, asked: &Admitted, app: &str) -> Result<Arc<Application>, Failed> {
    let found = shared.backend.applications().find(&asked.caller, app);
    found.ok_or_else(|| AppError::Unknown(app.to_owned()).into())
}

fn functions(shared: &Shared, asked: &Admitted, application: &Application) -> Vec<String> {
    shared
        .backend
        .names(&asked.caller.on(application.space.clone()))
}

fn info(shared: &Shared, asked: &Admitted, application: &Application) -> Response<Body> {
    let functions = functions(shared, asked, application);
    reply::json(&AppInfo::of(
        application,
        functions,
        dependencies_file(&application.dependencies),
    ))
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

async fn read<T: DeserializeOwned>(shared: &Shared, request: Request<Body>) -> Result<T, Failed> {
    let max = BODY_BYTES_MAX.min(shared.limits.params_body_bytes_max);
    let bytes = body::read(request.into_body(), max, shared.limits.body_timeout).await?;
    parse(&bytes)
        .map_err(|error| Failed::new(StatusCode::BAD_REQUEST, "malformed_json", error.to_string()))
}

fn app_name(text: &str) -> Result<AppName, Failed> {
    let invalid =
        |detail: String| Failed::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_app_name", detail);
    if RESERVED.contains(&text) {
        return Err(invalid(format!(
            "{text:?} is a name that the node itself uses; choose another"
        )));
    }
    AppName::parse(text).map_err(|error| invalid(error.to_string()))
}

fn invalid_endpoint(error: &dyn std::error::Error) -> Failed {
    Failed::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "invalid_endpoint",
        error.to_string(),
    )
}

fn checked_cors(cors: CorsInfo) -> Result<Cors, Failed> {
    parse_cors(cors).map_err(Failed::from)
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
