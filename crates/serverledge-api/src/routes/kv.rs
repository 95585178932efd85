//! Key-value stores of functions: their list, the keys of one, and its entries as raw bytes.

use std::time::Duration;

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serverledge_core::{
    STATE_LIST_MAX, STATE_TTL_MAX, StateEntry, StateError, StateKey, StateOp, StateReply,
    StateVersion, StoreName,
};
use serverledge_wire::kv::{
    KV_BODY_BYTES_MAX, KvCleared, KvKeys, KvNumber, KvStoreInfo, KvStoreList,
};
use serverledge_wire::problem::Problem;

use crate::request::api_request::ApiRequest;
use crate::request::context::RequestContext;
use crate::request::query::{malformed, members};
use crate::request::state::AppState;
use crate::response::problem::{ApiError, ApiResult};
use crate::response::{reply, untrusted};

/// Before the name of a store.
const PREFIX: &str = "/kv/";
/// Values are bytes to the node, whatever they are to functions.
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The entry that a write expects to find (RFC 9110 §13.1).
#[derive(Debug, PartialEq, Eq)]
enum Expectation {
    /// Any, or none.
    Any,
    /// None: `If-None-Match: *`.
    Absent,
    /// The one with this version: `If-Match: "12"`.
    Version(StateVersion),
    /// One with a tag that no entry has.
    Impossible,
}

/// The stores, with what they hold and may hold.
#[utoipa::path(
    get, path = "/kv", tag = "key-value stores",
    responses(
        (status = 200, body = KvStoreList),
        (status = 503, description = "the registry is unavailable", body = Problem),
    )
)]
pub(crate) async fn stores(ApiRequest { state, context, .. }: ApiRequest) -> ApiResult {
    let found = state.backend.state.kv_stores(&context.caller.space).await?;
    let stores = found.stores.iter();
    Ok(reply::json(&KvStoreList {
        stores: stores
            .map(|(name, usage)| KvStoreInfo::new(name, *usage))
            .collect(),
        usage: found.usage.into(),
        limits: found.limits.into(),
    }))
}

/// A page of the keys of a store, in their order. A store without entries has none.
#[utoipa::path(
    get, path = "/kv/{store}", tag = "key-value stores",
    params(
        ("store" = String, Path),
        ("prefix" = Option<String>, Query, description = "those that begin so"),
        ("limit" = Option<usize>, Query, description = "at most so many; 1 to 1000, 1000 if absent"),
        ("cursor" = Option<String>, Query, description = "the page before said so in `cursor`"),
    ),
    responses(
        (status = 200, body = KvKeys),
        (status = 400, description = "malformed query", body = Problem),
        (status = 422, description = "no name of a store, or no cursor of a page", body = Problem),
        (status = 503, description = "the registry is unavailable", body = Problem),
    )
)]
pub(crate) async fn list(
    ApiRequest {
        state,
        context,
        segment,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let store: StoreName = segment.parse()?;
    let op = listing(parts.uri.query().unwrap_or_default())?;
    match apply(&state, &context, &store, op).await? {
        StateReply::Keys(page) => Ok(reply::json(&KvKeys::from(page))),
        _ => Err(unexpected()),
    }
}

/// Deletes all entries of a store. After an error, some are gone and the rest is there.
#[utoipa::path(
    delete, path = "/kv/{store}", tag = "key-value stores", params(("store" = String, Path)),
    responses(
        (status = 200, body = KvCleared),
        (status = 422, description = "no name of a store", body = Problem),
        (status = 503, description = "the registry is unavailable", body = Problem),
    )
)]
pub(crate) async fn clear(
    ApiRequest {
        state,
        context,
        segment,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let store: StoreName = segment.parse()?;
    no_condition(&parts.headers)?;
    let stores = &state.backend.state;
    let cleared = stores.kv_clear(&context.caller.space, &store).await;
    let cleared = cleared.map_err(ApiError::kv_write)?;
    Ok(reply::json(&KvCleared { cleared }))
}

/// The value of an entry.
#[utoipa::path(
    get, path = "/kv/{store}/{key}", tag = "key-value stores",
    params(
        ("store" = String, Path),
        ("key" = String, Path, description = "the rest of the path, slashes included"),
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", body = Vec<u8>,
            headers(("ETag" = String, description = "its version, for If-Match of PUT"))),
        (status = 304, description = "If-None-Match names this version"),
        (status = 404, description = "no such entry", body = Problem),
        (status = 422, description = "no name of a store, or no key", body = Problem),
        (status = 503, description = "the registry is unavailable", body = Problem),
    )
)]
pub(crate) async fn get(
    ApiRequest {
        state,
        context,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let (store, key) = place(&parts)?;
    let op = StateOp::Get { key: key.clone() };
    match apply(&state, &context, &store, op).await? {
        StateReply::Entry(Some(entry)) => Ok(value_response(&parts.headers, entry)),
        StateReply::Entry(None) => Err(not_found(&store, &key)),
        _ => Err(unexpected()),
    }
}

/// Writes an entry: whatever was there; or, with `If-Match` or `If-None-Match: *`, only if it is as expected.
#[utoipa::path(
    put, path = "/kv/{store}/{key}", tag = "key-value stores",
    params(
        ("store" = String, Path),
        ("key" = String, Path, description = "the rest of the path, slashes included"),
        ("ttl" = Option<f64>, Query, description = "seconds after which the entry is gone; it stays if absent"),
        ("If-Match" = Option<String>, Header, description = "the version that the entry has, in quotes"),
        ("If-None-Match" = Option<String>, Header, description = "*: there is no entry"),
    ),
    request_body(content = Vec<u8>, content_type = "application/octet-stream"),
    responses(
        (status = 204, description = "written", headers(("ETag" = String, description = "its new version"))),
        (status = 400, description = "malformed query or condition", body = Problem),
        (status = 412, description = "the entry is not as expected", body = Problem),
        (status = 413, description = "the value is too long", body = Problem),
        (status = 404, description = "the application was deleted meanwhile", body = Problem),
        (status = 422, description = "no name of a store, no key, or no such lifetime", body = Problem),
        (status = 429, description = "the space writes more often, or more, than it may", body = Problem),
        (status = 503, description = "the registry is unavailable, or nearly full", body = Problem),
        (status = 507, description = "the stores hold as much as they may", body = Problem),
    )
)]
pub(crate) async fn put(
    ApiRequest {
        state,
        context,
        parts,
        body,
        ..
    }: ApiRequest,
) -> ApiResult {
    let (store, key) = place(&parts)?;
    let ttl = ttl(parts.uri.query().unwrap_or_default())?;
    let expected = expectation(&parts.headers)?;
    let value = state
        .bodies
        .bytes(&parts.headers, body, KV_BODY_BYTES_MAX)
        .await?;
    let is_absent = expected == Expectation::Absent;
    let expected = match expected {
        Expectation::Any => None,
        Expectation::Absent => Some(None),
        Expectation::Version(version) => Some(Some(version)),
        Expectation::Impossible => return Err(changed(&key, false)),
    };
    let op = match expected {
        None => StateOp::Set {
            key: key.clone(),
            value,
            ttl,
        },
        Some(expected) => StateOp::CompareAndSet {
            key: key.clone(),
            expected,
            value,
            ttl,
        },
    };
    match apply(&state, &context, &store, op).await? {
        StateReply::Written(version) | StateReply::Swapped(Some(version)) => {
            let mut response = reply::no_content();
            response.headers_mut().extend(etag(version));
            Ok(response)
        }
        StateReply::Swapped(None) => Err(changed(&key, is_absent)),
        _ => Err(unexpected()),
    }
}

/// Deletes an entry.
#[utoipa::path(
    delete, path = "/kv/{store}/{key}", tag = "key-value stores",
    params(
        ("store" = String, Path),
        ("key" = String, Path, description = "the rest of the path, slashes included"),
    ),
    responses(
        (status = 204, description = "deleted"),
        (status = 404, description = "no such entry", body = Problem),
        (status = 422, description = "no name of a store, or no key", body = Problem),
        (status = 503, description = "the registry is unavailable", body = Problem),
    )
)]
pub(crate) async fn delete(
    ApiRequest {
        state,
        context,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let (store, key) = place(&parts)?;
    no_condition(&parts.headers)?;
    let op = StateOp::Delete { key: key.clone() };
    match apply(&state, &context, &store, op).await? {
        StateReply::Deleted(true) => Ok(reply::no_content()),
        StateReply::Deleted(false) => Err(not_found(&store, &key)),
        _ => Err(unexpected()),
    }
}

/// Adds to a number, which an entry holds as decimal text. An entry that is not there counts as 0.
#[utoipa::path(
    post, path = "/kv/{store}/{key}", tag = "key-value stores",
    params(
        ("store" = String, Path),
        ("key" = String, Path, description = "the rest of the path, slashes included"),
        ("increment" = i64, Query, description = "the summand, which may be negative; 1 without a value"),
    ),
    responses(
        (status = 200, body = KvNumber),
        (status = 400, description = "malformed query", body = Problem),
        (status = 404, description = "the application was deleted meanwhile", body = Problem),
        (status = 422, description = "no name of a store, no key, or the entry holds no number", body = Problem),
        (status = 429, description = "the space writes more often, or more, than it may", body = Problem),
        (status = 503, description = "the registry is unavailable, or nearly full", body = Problem),
        (status = 507, description = "the stores hold as much as they may", body = Problem),
    )
)]
pub(crate) async fn increment(
    ApiRequest {
        state,
        context,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let (store, key) = place(&parts)?;
    let by = summand(parts.uri.query().unwrap_or_default())?;
    no_condition(&parts.headers)?;
    let op = StateOp::Increment { key, by };
    match apply(&state, &context, &store, op).await? {
        StateReply::Number(value) => Ok(reply::json(&KvNumber { value })),
        _ => Err(unexpected()),
    }
}

/// Carries out an operation on a store of the caller's space.
async fn apply(
    state: &AppState,
    context: &RequestContext,
    store: &StoreName,
    op: StateOp,
) -> Result<StateReply, ApiError> {
    let writes = op.writes();
    let stores = &state.backend.state;
    let outcome = stores.kv(&context.caller.space, store, op).await;
    outcome.map_err(|error| match writes {
        true => ApiError::kv_write(error),
        false => error.into(),
    })
}

/// The store and the key that a path names. The key is all that follows the store, so a slash is a part of it.
fn place(parts: &Parts) -> Result<(StoreName, StateKey), ApiError> {
    let rest = parts.uri.path().strip_prefix(PREFIX);
    let (store, key) = rest
        .and_then(|rest| rest.split_once('/'))
        .ok_or_else(ApiError::not_found)?;
    let decoded = |text| percent_decode_str(text).decode_utf8();
    let store: StoreName = decoded(store).unwrap_or_default().parse()?;
    let key = decoded(key).map_err(|_| {
        ApiError::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "kv_key_invalid",
            "a key is text in UTF-8, percent-encoded",
        )
    })?;
    Ok((store, StateKey::new(key)?))
}

fn listing(query: &str) -> Result<StateOp, ApiError> {
    let mut prefix = String::new();
    let mut cursor = None;
    let mut limit = STATE_LIST_MAX;
    for (name, value) in members(query) {
        match name {
            "prefix" => prefix = value,
            "cursor" => cursor = Some(value),
            "limit" => {
                let number = value.parse().ok();
                limit = number
                    .filter(|number| (1..=STATE_LIST_MAX).contains(number))
                    .ok_or_else(|| {
                        malformed(format!(
                            "limit: expected a number from 1 to {STATE_LIST_MAX}"
                        ))
                    })?;
            }
            _ => return Err(malformed("the query takes prefix, cursor and limit only")),
        }
    }
    Ok(StateOp::List {
        prefix,
        cursor,
        limit,
    })
}

/// The lifetime that a query gives an entry.
fn ttl(query: &str) -> Result<Option<Duration>, ApiError> {
    let mut ttl = None;
    for (name, value) in members(query) {
        if name != "ttl" {
            return Err(malformed("the query takes ttl only"));
        }
        let seconds = value.parse::<f64>().ok();
        let seconds = seconds
            .filter(|seconds| seconds.is_finite())
            .ok_or_else(|| malformed("ttl: expected a number of seconds"))?;
        let span = Duration::try_from_secs_f64(seconds).map_err(|_| StateError::Ttl)?;
        if !(Duration::from_millis(1)..=STATE_TTL_MAX).contains(&span) {
            return Err(StateError::Ttl.into());
        }
        ttl = Some(span);
    }
    Ok(ttl)
}

fn summand(query: &str) -> Result<i64, ApiError> {
    let mut by = None;
    for (name, value) in members(query) {
        match (name, value.as_str()) {
            ("increment", "") => by = Some(1),
            ("increment", number) => {
                let number = number.parse().map_err(|_| {
                    malformed("increment: expected a whole number, which may be negative")
                })?;
                by = Some(number);
            }
            _ => return Err(malformed("the query takes increment only")),
        }
    }
    by.ok_or_else(|| malformed("POST adds to a number: ?increment=N says how much"))
}

/// The condition of a write. What cannot be judged in the same step as the write is refused.
fn expectation(headers: &HeaderMap) -> Result<Expectation, ApiError> {
    let matching = condition(headers, &IF_MATCH)?;
    let none_matching = condition(headers, &IF_NONE_MATCH)?;
    match (matching, none_matching) {
        (None, None) => Ok(Expectation::Any),
        (None, Some("*")) => Ok(Expectation::Absent),
        (Some(tag), None) => expected_version(tag),
        (None, Some(_)) => Err(condition_invalid("If-None-Match takes * only here")),
        (Some(_), Some(_)) => Err(condition_invalid(
            "If-Match and If-None-Match cannot stand beside each other here",
        )),
    }
}

fn expected_version(tag: &str) -> Result<Expectation, ApiError> {
    let opaque = tag
        .strip_prefix("W/")
        .unwrap_or(tag)
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .filter(|opaque| !opaque.contains('"'))
        .ok_or_else(|| {
            condition_invalid("If-Match takes one entity tag here: a version in quotes")
        })?;
    // Weak tags match nothing (§13.1.1), and no version is written in another way.
    let version = opaque.parse().ok();
    let version =
        version.filter(|version: &u64| !tag.starts_with('W') && version.to_string() == opaque);
    Ok(version.map_or(Expectation::Impossible, |number| {
        Expectation::Version(StateVersion::new(number))
    }))
}

/// The value of a header that may be there once.
fn condition<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ApiError> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let text = first.to_str().ok().filter(|_| values.next().is_none());
    let text = text.ok_or_else(|| condition_invalid("a condition has one entity tag here"))?;
    Ok(Some(text.trim()))
}

/// A condition that would be ignored is refused: its request is not meant for every state.
fn no_condition(headers: &HeaderMap) -> Result<(), ApiError> {
    if headers.contains_key(IF_MATCH) || headers.contains_key(IF_NONE_MATCH) {
        return Err(condition_invalid("conditions are for GET and PUT only"));
    }
    Ok(())
}

fn condition_invalid(detail: &str) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "kv_condition_invalid", detail)
}

fn not_found(store: &StoreName, key: &StateKey) -> ApiError {
    let detail = format!("there is no entry {:?} in the store {store}", key.as_str());
    ApiError::new(StatusCode::NOT_FOUND, "kv_not_found", detail)
}

/// An entry that is not as a write expects it; `is_absent`: none was expected.
fn changed(key: &StateKey, is_absent: bool) -> ApiError {
    let key = key.as_str();
    let detail = if is_absent {
        format!("the entry {key:?} exists already: nothing was written")
    } else {
        format!("the entry {key:?} is not as expected: read it again")
    };
    ApiError::new(StatusCode::PRECONDITION_FAILED, "kv_changed", detail)
}

fn unexpected() -> ApiError {
    ApiError::internal("the stores gave the reply to another operation")
}

/// A value, or word that the client has it already. Caches ask each time: another may be there.
fn value_response(asked: &HeaderMap, entry: StateEntry) -> Response<Body> {
    let tag = format!("\"{}\"", entry.version);
    let mut response = if reply::has_already(asked, &tag) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        response
    } else {
        let mut response = Response::new(Body::from(entry.value));
        response.headers_mut().insert(CONTENT_TYPE, OCTETS);
        response
    };
    let headers = response.headers_mut();
    headers.extend(etag(entry.version));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    untrusted::mark(headers);
    response
}

/// The header with the version of an entry.
fn etag(version: StateVersion) -> Option<(HeaderName, HeaderValue)> {
    // Quotes and digits: always a value.
    Some((ETAG, HeaderValue::from_str(&format!("\"{version}\"")).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(headers: &[(HeaderName, &'static str)]) -> Result<Expectation, String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name, HeaderValue::from_static(value));
        }
        expectation(&map).map_err(|error| error.code().to_owned())
    }

    #[test]
    fn conditions_that_one_step_can_judge() {
        let version = |number| Ok(Expectation::Version(StateVersion::new(number)));
        let refused = || Err("kv_condition_invalid".to_owned());
        for (headers, outcome) in [
            (&[][..], Ok(Expectation::Any)),
            (&[(IF_NONE_MATCH, "*")], Ok(Expectation::Absent)),
            (&[(IF_MATCH, "\"12\"")], version(12)),
            (&[(IF_MATCH, " \"0\" ")], version(0)),
            (&[(IF_MATCH, "W/\"12\"")], Ok(Expectation::Impossible)),
            (&[(IF_MATCH, "\"012\"")], Ok(Expectation::Impossible)),
            (&[(IF_MATCH, "\"+12\"")], Ok(Expectation::Impossible)),
            (&[(IF_MATCH, "\"abc\"")], Ok(Expectation::Impossible)),
            (&[(IF_MATCH, "\"\"")], Ok(Expectation::Impossible)),
            (&[(IF_MATCH, "12")], refused()),
            (&[(IF_MATCH, "*")], refused()),
            (&[(IF_MATCH, "\"1\", \"2\"")], refused()),
            (&[(IF_MATCH, "\"1\""), (IF_MATCH, "\"2\"")], refused()),
            (&[(IF_NONE_MATCH, "\"1\"")], refused()),
            (&[(IF_MATCH, "\"1\""), (IF_NONE_MATCH, "*")], refused()),
            (&[(IF_MATCH, "\"")], refused()),
        ] {
            assert_eq!(expected(headers), outcome, "{headers:?}");
        }
    }

    #[test]
    fn lifetimes_are_seconds() {
        let read = |query: &str| ttl(query).map_err(|error| error.code().to_owned());
        assert_eq!(read(""), Ok(None));
        assert_eq!(read("ttl=60"), Ok(Some(Duration::from_secs(60))));
        assert_eq!(read("ttl=0.001"), Ok(Some(Duration::from_millis(1))));
        assert_eq!(
            read(&format!("ttl={}", STATE_TTL_MAX.as_secs())),
            Ok(Some(STATE_TTL_MAX))
        );
        for query in ["ttl=0", "ttl=-1", "ttl=0.0001", "ttl=31622401", "ttl=1e30"] {
            assert_eq!(read(query), Err("kv_ttl_invalid".to_owned()), "{query}");
        }
        for query in ["ttl=", "ttl=soon", "ttl=inf", "ttl=nan", "ttl=10m", "tll=1"] {
            assert_eq!(read(query), Err("malformed_query".to_owned()), "{query}");
        }
    }
}
