//! Conversions between a run's outcome, its stored form, and responses.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde_json::value::RawValue;
use serverledge_api::{Identity, KeptReply, OnceError};
use serverledge_core::limits::LOG_TAIL_BYTES_MAX;
use serverledge_core::{
    ARGS_FAULTS, FailureKind, FunctionFailure, InvocationError, OverloadReason, Phases, Reply,
    Report,
};
use serverledge_registry::{FinalOutcome, Finish, Invocation};
use serverledge_wire::invocations::{CallbackInfo, DeadLetter, InvocationInfo, InvocationProblem};
use serverledge_wire::invoke::InvocationResponse;
use serverledge_wire::records::{ErrorRecord, InvocationState, ReportRecord};

use crate::functions::errors::shortened;

/// Longest message that is stored; with the stack below, a failure's record stays within a value's limit.
const MESSAGE_BYTES_MAX: usize = 8 * 1024;
/// Longest stack trace that is stored.
const STACK_BYTES_MAX: usize = 16 * 1024;
/// `Retry-After` of an outcome for which a plain call would have got one.
const RETRY_AFTER: Duration = Duration::from_secs(1);

// === What is stored ===

/// The end of a run that gave a result; its log is kept if the caller asked for it.
pub(super) fn succeeded(report: Report, return_output: bool, identity: &Identity) -> Finish {
    let phases = report.phases;
    let latency = report
        .remote
        .as_ref()
        .map_or(0.0, |remote| remote.latency.as_secs_f64());
    let (area, node) = match report.remote {
        Some(remote) => (remote.area, remote.node),
        None => (identity.area.clone(), identity.node.clone()),
    };
    let outcome = match report.reply {
        Reply::Json(result) => FinalOutcome::Done(result),
        Reply::Http(_) => FinalOutcome::GivenUp(error(
            "internal",
            "the function answered HTTP to JSON parameters".to_owned(),
        )),
    };
    let record = ReportRecord {
        response_time: phases.total.as_secs_f64(),
        is_warm_start: report.warm,
        init_time: (phases.queue + phases.start).as_secs_f64(),
        queueing_time: phases.queue.as_secs_f64(),
        offload_latency: latency,
        duration: phases.execution.as_secs_f64(),
        execution_area: area,
        execution_node: node,
    };
    let log = text(&report.log).filter(|_| return_output);
    Finish {
        outcome,
        log,
        report: Some(record),
    }
}

/// The end of a run that is not tried again. A function's own failure is its outcome; everything else is a dead letter.
pub(super) fn decided_failure(failure: &InvocationError) -> Finish {
    let InvocationError::Function(own) = failure else {
        return given_up(failure.code(), failure.to_string());
    };
    let stack = own
        .stack
        .as_deref()
        .map(|stack| shortened(stack, STACK_BYTES_MAX).to_owned());
    let error = ErrorRecord {
        stack,
        ..error(failure.code(), own.message.clone())
    };
    Finish {
        log: text(&own.log),
        ..finish(FinalOutcome::Failed(error))
    }
}

/// The end of an invocation that no node will run.
pub(super) fn given_up(code: &str, message: String) -> Finish {
    finish(FinalOutcome::GivenUp(error(code, message)))
}

/// The end of an invocation whose age or deadline has passed.
pub(super) fn expired(age_max: Duration, by_its_deadline: bool) -> Finish {
    let error = if by_its_deadline {
        error(
            OverloadReason::Deadline.code(),
            "it could not begin before its deadline".to_owned(),
        )
    } else {
        error("expired", format!("it did not end within {age_max:?}"))
    };
    finish(FinalOutcome::Expired(error))
}

pub(super) fn error(code: &str, message: String) -> ErrorRecord {
    let message = if message.len() > MESSAGE_BYTES_MAX {
        shortened(&message, MESSAGE_BYTES_MAX).to_owned()
    } else {
        message
    };
    ErrorRecord {
        code: code.to_owned(),
        message,
        stack: None,
    }
}

fn finish(outcome: FinalOutcome) -> Finish {
    Finish {
        outcome,
        log: None,
        report: None,
    }
}

fn text(log: &Bytes) -> Option<String> {
    // Its end: more may be configured than a record can hold.
    let end = log.slice(log.len().saturating_sub(LOG_TAIL_BYTES_MAX)..);
    (!end.is_empty()).then(|| String::from_utf8_lossy(&end).into_owned())
}

// === What is answered ===

/// The outcome in the form that Serverledge's clients read.
pub(super) fn response(invocation: &Invocation, result: Option<&[u8]>) -> Vec<u8> {
    let record = &invocation.record;
    let report = record.report.clone().unwrap_or_default();
    let error = record.error.as_ref();
    let body = InvocationResponse {
        success: record.state == InvocationState::Done,
        result: result.map_or(Cow::Borrowed(""), String::from_utf8_lossy),
        response_time: report.response_time,
        is_warm_start: report.is_warm_start,
        init_time: report.init_time,
        queueing_time: report.queueing_time,
        offload_latency: report.offload_latency,
        duration: report.duration,
        output: record.log.as_deref().unwrap_or_default().into(),
        execution_area: report.execution_area.into(),
        execution_node: report.execution_node.into(),
        error: error.map_or("", |error| &error.message).into(),
        error_code: error.map_or("", |error| &error.code).into(),
    };
    // The type has string keys and no failing serializers.
    serde_json::to_vec(&body).unwrap_or_default()
}

/// The outcome as the response of the same call without an idempotency key.
pub(super) fn as_a_plain_call(
    invocation: &Invocation,
    result: Option<&[u8]>,
) -> Result<KeptReply, OnceError> {
    let record = &invocation.record;
    let Some(error) = &record.error else {
        let phases = phases(record.report.as_ref());
        return Ok(KeptReply {
            body: response(invocation, result),
            phases,
        });
    };
    let code = error.code.as_str();
    let message = error.message.clone();
    if let Some(kind) = FailureKind::from_code(code) {
        let log = Bytes::from(record.log.clone().unwrap_or_default());
        let failure = FunctionFailure {
            kind,
            message,
            stack: error.stack.clone(),
            log,
            stale: false,
        };
        return Err(InvocationError::Function(failure).into());
    }
    for reason in [OverloadReason::Deadline, OverloadReason::NeverFits] {
        if reason.code() == code {
            return Err(InvocationError::Overloaded {
                reason,
                retry_after: RETRY_AFTER,
            }
            .into());
        }
    }
    for known in ["not_http", "not_json"].into_iter().chain(ARGS_FAULTS) {
        if known == code {
            return Err(InvocationError::Request {
                code: known,
                message,
            }
            .into());
        }
    }
    Err(OnceError::Ended {
        code: code.to_owned(),
        message,
    })
}

fn phases(report: Option<&ReportRecord>) -> Phases {
    let seconds = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
    report.map_or_else(Phases::default, |report| {
        let queue = seconds(report.queueing_time);
        Phases {
            queue,
            start: seconds(report.init_time).saturating_sub(queue),
            execution: seconds(report.duration),
            total: seconds(report.response_time),
        }
    })
}

/// The whole invocation, for the node's own routes.
pub(super) fn info(invocation: &Invocation, result: Option<&[u8]>) -> InvocationInfo {
    let record = &invocation.record;
    let result = result.and_then(|json| String::from_utf8(json.to_vec()).ok());
    let callback = record.callback.as_ref().map(|callback| CallbackInfo {
        url: callback.url.clone(),
        state: callback.state.name().to_owned(),
        attempts: callback.attempts,
        last_error: callback.last_error.clone(),
    });
    InvocationInfo {
        id: invocation.id.to_string(),
        function: record.function.clone(),
        version: record.pinned.version.clone(),
        state: record.state,
        attempts: record.attempt,
        accepted_unix_ms: record.accepted_unix_ms,
        started_unix_ms: record.started_unix_ms,
        finished_unix_ms: record.finished_unix_ms,
        result: result.and_then(|json| RawValue::from_string(json).ok()),
        error: record.error.as_ref().map(problem),
        node: record.node.clone(),
        dead_letter: record.dead_letter,
        redrive_of: record.redrive_of.clone(),
        callback,
        history: record.history.clone(),
        runs: Vec::new(),
    }
}

/// The entry of a dead letter in a list.
pub(super) fn dead_letter(invocation: &Invocation) -> DeadLetter {
    let record = &invocation.record;
    DeadLetter {
        id: invocation.id.to_string(),
        function: record.function.clone(),
        error: record
            .error
            .as_ref()
            .map_or_else(|| problem(&error("internal", String::new())), problem),
        attempts: record.attempt,
        finished_unix_ms: record.finished_unix_ms.unwrap_or_default(),
    }
}

fn problem(error: &ErrorRecord) -> InvocationProblem {
    InvocationProblem {
        code: error.code.clone(),
        message: error.message.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_between_characters() {
        let long = "ä".repeat(MESSAGE_BYTES_MAX);
        assert_eq!(error("c", long).message.len(), MESSAGE_BYTES_MAX);
        assert_eq!(shortened("aä", 2), "a");
        assert_eq!(shortened("aä", 9), "aä");
    }
}
