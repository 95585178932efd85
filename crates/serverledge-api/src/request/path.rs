//! Readings of a request's path.

use http::uri::PathAndQuery;
use http::{Request, Uri};

/// A slash at the end of a route of the node's own means the route: there is nothing below it. What a function or a page is
/// asked for stays as it is, and so does the key of an entry.
pub(crate) fn drop_last_slash<B>(request: &mut Request<B>) {
    let path = request.uri().path();
    if !path.ends_with('/') || path == "/" || is_page(path) || runs_plain(path) || names_entry(path)
    {
        return;
    }
    let path = path.strip_suffix('/').unwrap_or(path);
    let path_and_query = match request.uri().query() {
        Some(query) => PathAndQuery::try_from(format!("{path}?{query}")),
        None => PathAndQuery::try_from(path),
    };
    let mut parts = request.uri().clone().into_parts();
    // A part of what was a path is one.
    parts.path_and_query = path_and_query.ok();
    if let Ok(uri) = Uri::from_parts(parts) {
        *request.uri_mut() = uri;
    }
}

/// Whether a path is one of a page, whose scripts are found beside it.
fn is_page(path: &str) -> bool {
    path.starts_with("/docs/")
        || path.starts_with("/console/")
        || matches!(path, "/account/reset/" | "/account/confirm/")
}

/// Whether the request itself may go to a function: a node's, or an application's.
pub(crate) fn runs_plain(path: &str) -> bool {
    of_space(path).starts_with("/fn/")
}

/// Whether a path names an entry of a key-value store. An empty key names none, and never the store: a client that deletes
/// an entry must not clear the store.
fn names_entry(path: &str) -> bool {
    let rest = of_space(path).strip_prefix("/kv/");
    rest.is_some_and(|rest| rest.contains('/'))
}

/// A path without the application that it begins with.
fn of_space(path: &str) -> &str {
    let inner = path
        .strip_prefix("/apps/")
        .and_then(|rest| rest.find('/').map(|at| &rest[at..]));
    inner.unwrap_or(path)
}
