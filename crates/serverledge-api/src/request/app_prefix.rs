//! `/apps/{app}/…` before the routes of functions: the same routes, on the application's own space.

use axum::body::Body;
use http::uri::PathAndQuery;
use http::{Request, Uri};
use serverledge_core::AppName;

use crate::backend::applications::AppError;
use crate::request::context::RequestContext;
use crate::request::state::AppState;
use crate::response::problem::ApiError;

/// Before the names of applications.
const PREFIX: &str = "/apps/";
/// First segments of the routes of functions.
const OF_FUNCTIONS: [&str; 14] = [
    "create",
    "update",
    "delete",
    "function",
    "functions",
    "invoke",
    "fn",
    "prewarm",
    "poll",
    "invocations",
    "dead-letters",
    "events",
    "stats",
    "kv",
];

/// The application that a path names, and the path of the route of functions that follows; `None` if it is another route.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    let (app, _) = path.strip_prefix(PREFIX)?.split_once('/')?;
    let rest = &path[PREFIX.len() + app.len()..];
    let first = rest[1..].split('/').next()?;
    OF_FUNCTIONS.contains(&first).then_some((app, rest))
}

/// Turns a request for an application's functions into one for functions, asked on the application's space. Returns the
/// prefix that was taken away, with which places are told to the client again; `None` if there was none.
pub(crate) fn enter(
    state: &AppState,
    request: &mut Request<Body>,
    admitted: &mut RequestContext,
) -> Result<Option<String>, ApiError> {
    let Some((app, rest)) = split(request.uri().path()) else {
        return Ok(None);
    };
    // No other text names an application, however it is encoded.
    let known = AppName::parse(app).ok().and_then(|name| {
        let found = state
            .backend
            .applications
            .find(&admitted.caller, name.as_str())?;
        Some(found.space.clone())
    });
    let space = known.ok_or_else(|| ApiError::from(AppError::Unknown(app.to_owned())))?;
    let prefix = format!("{PREFIX}{app}");
    let path_and_query = match request.uri().query() {
        Some(query) => PathAndQuery::try_from(format!("{rest}?{query}")),
        None => PathAndQuery::try_from(rest),
    };
    // A part of what was a path is one.
    let path_and_query = path_and_query.map_err(|_| ApiError::not_found())?;
    let mut parts = request.uri().clone().into_parts();
    parts.path_and_query = Some(path_and_query);
    *request.uri_mut() = Uri::from_parts(parts).map_err(|_| ApiError::not_found())?;
    admitted.caller = admitted.caller.on(space);
    Ok(Some(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_of_functions_are_found_behind_the_prefix() {
        for (path, expected) in [
            ("/apps/a/create", Some(("a", "/create"))),
            ("/apps/a/functions/f/logs", Some(("a", "/functions/f/logs"))),
            ("/apps/a/fn/f/x//y", Some(("a", "/fn/f/x//y"))),
            ("/apps/../invoke/f", Some(("..", "/invoke/f"))),
            ("/apps//invoke/f", Some(("", "/invoke/f"))),
            ("/apps/a", None),
            ("/apps/a/", None),
            ("/apps/a/endpoints", None),
            ("/apps/a/status", None),
            ("/apps/a/stats", Some(("a", "/stats"))),
            ("/apps/a/kv/s/x//y/", Some(("a", "/kv/s/x//y/"))),
            ("/apps/a/peer/x", None),
            ("/apps/a//create", None),
            ("/apps/a/apps/b/create", None),
            ("/apps/a/%63reate", None),
            ("/appsx/a/create", None),
        ] {
            assert_eq!(split(path), expected, "{path}");
        }
    }
}
