//! Runs as the API shows them.

use std::time::Duration;

use serverledge_core::{FunctionName, Trigger};
use serverledge_wire::runs::{RequestInfo, RunInfo};

use super::record::Run;
use super::requests::RequestLine;
use crate::functions::spaces::Spaces;

/// The prefix of the names of functions under test.
pub(crate) const HIDDEN: &str = "_test-";
/// The name of a function under test: its real one is made up and gone when the test is over.
const UNDER_TEST: &str = "test";

/// The record of a run, kept on this node (`area/name`).
pub(crate) fn run_info(run: &Run, node: &str, spaces: &dyn Spaces) -> RunInfo {
    let trace = run.trace();
    let has_result = run.code.is_empty();
    let requests = run.requests.as_ref();
    let (requests, more_requests) = requests.map(|log| log.lines()).unwrap_or_default();
    RunInfo {
        id: run.id.to_string(),
        function: shown_name(run).to_owned(),
        app: spaces.application(&run.function.space),
        version: run.function.version.to_string(),
        trigger: run.origin.trigger.name().to_owned(),
        status: run.status.name().to_owned(),
        code: (!has_result).then(|| run.code.to_owned()),
        message: run.message.as_deref().map(str::to_owned),
        started_unix_ms: run.started_unix_ms,
        queue_us: micros(run.phases.queue),
        start_us: micros(run.phases.start),
        execution_us: micros(run.phases.execution),
        total_us: micros(run.phases.total),
        warm: run.warm,
        cache: run.cache.name().to_owned(),
        node: node.to_owned(),
        ran_on: run.ran_on.as_deref().unwrap_or(node).to_owned(),
        params_bytes: run.params_bytes,
        result_bytes: run.sent_bytes(),
        caller: run.origin.caller.as_ref().map(ToString::to_string),
        parent: run.origin.parent.map(|id| id.to_string()),
        root: run.root.to_string(),
        depth: run.depth,
        trace_id: trace.trace.to_string(),
        span_id: trace.span.to_string(),
        requests: requests.iter().map(request_info).collect(),
        more_requests,
    }
}

fn request_info(line: &RequestLine) -> RequestInfo {
    RequestInfo {
        method: line.method.to_string(),
        host: line.host.to_string(),
        status: line.status.map(|status| status.as_u16()),
        code: line.code.map(str::to_owned),
        begun_us: micros(line.begun),
        head_us: line.took.map(micros),
        received_bytes: line.received,
    }
}

/// Whether a function is under test: its name is made up.
pub(crate) fn is_under_test(name: &FunctionName) -> bool {
    name.as_str().starts_with(HIDDEN)
}

/// The function's name, as its owner knows it.
pub(crate) fn shown_name(run: &Run) -> &str {
    if run.origin.trigger == Trigger::Test || is_under_test(&run.function.name) {
        UNDER_TEST
    } else {
        run.function.name.as_str()
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
