//! Runs: the list of the node's latest invocations, the log of one of them, and figures over time.

use axum::body::Body;
use axum::extract::State;
use http::{HeaderMap, Response, StatusCode};
use serverledge_core::{Caller, InvocationId, RunStatus, Trigger};
use serverledge_wire::problem::Problem;
use serverledge_wire::runs::{NodeStats, RunFilter, RunPage, RunPosition, Sandboxes, Stats};
use serverledge_wire::stream::{LogLine, NDJSON};

use crate::backend::invocations::ChangeError;
use crate::backend::runs::RunScope;
use crate::request::api_request::ApiRequest;
use crate::request::query::{flag, malformed, members};
use crate::request::state::{AppState, SharedState};
use crate::response::problem::{ApiError, ApiResult};
use crate::response::{ndjson, reply, untrusted};

/// Runs in a page unless the query says otherwise.
const LIMIT_DEFAULT: usize = 100;
/// Most runs in a page.
const LIMIT_MAX: usize = 1000;
/// In `status=`: every status but that of a run with a result.
const FAILURES: &str = "failures";

/// The latest runs of this node, the newest first.
#[utoipa::path(
    get, path = "/invocations", tag = "invocations",
    params(
        ("function" = Option<String>, Query, description = "those of functions of this name"),
        ("status" = Option<String>, Query, description = "completed, failed, rejected, refused, unavailable, internal or abandoned; several with commas; failures: all but completed"),
        ("trigger" = Option<String>, Query, description = "invoke, http, endpoint, edge, nested, async, peer or test"),
        ("since" = Option<u64>, Query, description = "those that began at this time or later, in Unix milliseconds"),
        ("until" = Option<u64>, Query, description = "those that began at this time or before"),
        ("limit" = Option<usize>, Query, description = "at most so many; 1 to 1000, 100 if absent"),
        ("cursor" = Option<String>, Query, description = "the page before said so in `next`"),
        ("cluster" = Option<bool>, Query, description = "whether to ask the other nodes as well"),
        ("all" = Option<bool>, Query, description = "operators: the runs of everybody"),
    ),
    responses((status = 200, body = RunPage), (status = 400, description = "malformed query", body = Problem))
)]
pub(crate) async fn list(
    ApiRequest {
        state,
        context,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let query = RunQuery::parse(parts.uri.query().unwrap_or_default())?;
    let scope = scope(&state, &context.caller, query.all)?;
    let page = state
        .backend
        .runs
        .runs(&scope, query.filter, query.cluster)
        .await;
    Ok(reply::json(&page))
}

/// The log of one invocation, from all nodes.
#[utoipa::path(
    get, path = "/invocations/{id}/logs", tag = "invocations", params(("id" = String, Path)),
    responses(
        (status = 200, content(
            (String = "text/plain"),
            (LogLine = "application/x-ndjson"),
        ), description = "each line with the time at which it was written; JSON with Accept: application/x-ndjson"),
        (status = 404, description = "no node has a record or a line of it", body = Problem),
    )
)]
pub(crate) async fn logs(
    ApiRequest {
        state,
        context,
        segment,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let id = InvocationId::parse(&segment).ok_or(ChangeError::Unknown)?;
    let scope = scope(&state, &context.caller, context.caller.operates())?;
    let traces = state.backend.runs.invocation(&scope, id, true).await;
    if traces.runs.is_empty() && traces.log.is_empty() {
        return Err(ChangeError::Unknown.into());
    }
    let mut response = log_response(&parts.headers, &traces.log);
    untrusted::mark(response.headers_mut());
    Ok(response)
}

fn log_response(asked: &HeaderMap, lines: &[LogLine]) -> Response<Body> {
    if ndjson::are_wanted(asked) {
        let text: Vec<u8> = lines.iter().flat_map(ndjson::line).collect();
        return reply::text(StatusCode::OK, NDJSON, text);
    }
    let mut text = String::new();
    for line in lines {
        text.push_str(&line.time);
        text.push(' ');
        text.push_str(line.text.as_deref().unwrap_or_default().trim_end());
        text.push('\n');
    }
    reply::text(StatusCode::OK, reply::TEXT, text)
}

/// The figures of the functions that were called within the last ten minutes.
#[utoipa::path(
    get, path = "/stats", tag = "invocations",
    params(
        ("function" = Option<String>, Query, description = "this one alone, with its figures step by step"),
        ("all" = Option<bool>, Query, description = "operators: the functions of everybody"),
    ),
    responses((status = 200, body = Stats), (status = 400, description = "malformed query", body = Problem))
)]
pub(crate) async fn stats(
    ApiRequest {
        state,
        context,
        parts,
        ..
    }: ApiRequest,
) -> ApiResult {
    let mut function = None;
    let mut all = false;
    for (name, value) in members(parts.uri.query().unwrap_or_default()) {
        match name {
            "function" => function = Some(value),
            "all" => all = flag("all", &value)?,
            _ => return Err(malformed("the query takes function and all only")),
        }
    }
    let scope = scope(&state, &context.caller, all)?;
    let stats = state.backend.runs.stats(&scope, function.as_deref());
    Ok(reply::json(&stats))
}

/// The figures of the node over the last hour.
#[utoipa::path(get, path = "/stats/node", tag = "node", responses((status = 200, body = NodeStats)))]
pub(crate) async fn node_stats(State(state): SharedState) -> Response<Body> {
    reply::json(&state.backend.runs.node_stats())
}

/// The sandboxes that the node keeps between calls.
#[utoipa::path(get, path = "/sandboxes", tag = "node", responses((status = 200, body = Sandboxes)))]
pub(crate) async fn sandboxes(State(state): SharedState) -> Response<Body> {
    reply::json(&state.backend.runs.sandboxes())
}

/// The spaces that a caller may see: behind `/apps/{app}` that application's; else all while authentication is off, and
/// otherwise the caller's own and those of their applications. `all`: an operator wants everybody's.
pub(crate) fn scope(state: &AppState, caller: &Caller, all: bool) -> Result<RunScope, ApiError> {
    let applications = state.backend.applications.list(caller);
    let in_application = applications
        .iter()
        .any(|application| application.space == caller.space);
    if in_application {
        return Ok(RunScope::Spaces(vec![caller.space.clone()]));
    }
    if caller.account.is_none() {
        return Ok(RunScope::All);
    }
    if all {
        return match caller.operates() {
            true => Ok(RunScope::All),
            false => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "forbidden",
                "all=true is for operators",
            )),
        };
    }
    let spaces = applications
        .iter()
        .map(|application| application.space.clone());
    Ok(RunScope::Spaces(
        spaces.chain([caller.space.clone()]).collect(),
    ))
}

/// The options of the list's query.
#[derive(Debug, PartialEq, Eq)]
struct RunQuery {
    filter: RunFilter,
    cluster: bool,
    all: bool,
}

impl RunQuery {
    fn parse(query: &str) -> Result<Self, ApiError> {
        let mut filter = RunFilter {
            limit: LIMIT_DEFAULT,
            ..RunFilter::default()
        };
        let mut cluster = false;
        let mut all = false;
        for (name, value) in members(query) {
            match name {
                "function" => filter.function = Some(value),
                "status" => filter.statuses = statuses(&value)?,
                "trigger" => filter.trigger = Some(trigger(value)?),
                "since" => filter.since_unix_ms = Some(time("since", &value)?),
                "until" => filter.until_unix_ms = Some(time("until", &value)?),
                "limit" => filter.limit = limit(&value)?,
                "cursor" => filter.after = Some(cursor(&value)?),
                "cluster" => cluster = flag("cluster", &value)?,
                "all" => all = flag("all", &value)?,
                _ => {
                    return Err(malformed(
                        "the query takes function, status, trigger, since, until, limit, cursor, cluster and all only",
                    ));
                }
            }
        }
        Ok(Self {
            filter,
            cluster,
            all,
        })
    }
}

fn statuses(value: &str) -> Result<Vec<String>, ApiError> {
    let mut statuses = Vec::new();
    for name in value.split(',').filter(|name| !name.is_empty()) {
        if name == FAILURES {
            let failures = RunStatus::ALL
                .into_iter()
                .filter(|status| *status != RunStatus::Completed);
            statuses.extend(failures.map(|status| status.name().to_owned()));
        } else if RunStatus::from_name(name).is_some() {
            statuses.push(name.to_owned());
        } else {
            let known: Vec<_> = RunStatus::ALL.iter().map(|status| status.name()).collect();
            return Err(malformed(format!(
                "status: {name:?} is none of {}, {FAILURES}",
                known.join(", ")
            )));
        }
    }
    Ok(statuses)
}

fn trigger(name: String) -> Result<String, ApiError> {
    if Trigger::from_name(&name).is_some() {
        return Ok(name);
    }
    let known: Vec<_> = Trigger::ALL.iter().map(|trigger| trigger.name()).collect();
    Err(malformed(format!(
        "trigger: {name:?} is none of {}",
        known.join(", ")
    )))
}

fn time(name: &str, value: &str) -> Result<u64, ApiError> {
    value
        .parse()
        .map_err(|_| malformed(format!("{name} is a time in Unix milliseconds")))
}

fn limit(value: &str) -> Result<usize, ApiError> {
    value
        .parse()
        .ok()
        .filter(|number| (1..=LIMIT_MAX).contains(number))
        .ok_or_else(|| malformed(format!("limit is a number from 1 to {LIMIT_MAX}")))
}

fn cursor(value: &str) -> Result<RunPosition, ApiError> {
    RunPosition::parse(value).ok_or_else(|| malformed("cursor is what a page said in `next`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read() {
        let query = RunQuery::parse(
            "function=f%2B&status=failed,rejected&trigger=async&since=5&until=9&limit=7&cluster&\
             cursor=12-019ad000-0000-7000-8000-000000000000",
        )
        .unwrap();
        assert!(query.cluster && !query.all);
        let filter = query.filter;
        assert_eq!(filter.function.as_deref(), Some("f+"));
        assert_eq!(filter.statuses, ["failed", "rejected"]);
        assert_eq!(filter.trigger.as_deref(), Some("async"));
        assert_eq!(
            (filter.since_unix_ms, filter.until_unix_ms),
            (Some(5), Some(9))
        );
        assert_eq!((filter.limit, filter.after.unwrap().unix_ms), (7, 12));
        let failures = RunQuery::parse("status=failures").unwrap().filter;
        assert_eq!(failures.statuses.len(), RunStatus::ALL.len() - 1);
        assert_eq!(RunQuery::parse("").unwrap().filter.limit, LIMIT_DEFAULT);
    }

    #[test]
    fn malformed_queries_are_refused() {
        for bad in [
            "status=good",
            "trigger=cron",
            "since=yesterday",
            "until=-1",
            "limit=0",
            "limit=1001",
            "cursor=1",
            "cluster=maybe",
            "order=asc",
        ] {
            assert!(RunQuery::parse(bad).is_err(), "{bad}");
        }
    }
}
