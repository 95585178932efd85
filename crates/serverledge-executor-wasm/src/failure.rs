//! Tells a guest's failures apart: whose fault, and which limit.

use std::time::Duration;

use bytes::Bytes;
use serverledge_core::{FailureKind, FunctionFailure, InvokeError};
use wasmtime::{PoolConcurrencyLimitError, Trap};

use crate::meter::Stop;

/// Most of a log line that goes into a message.
const LINE_BYTES_MAX: usize = 512;

/// What wasmtime said when a guest did not return, and whether the guest had been refused memory before.
pub(crate) fn classify(error: &wasmtime::Error, memory_refused: bool, log: Bytes) -> InvokeError {
    if error.is::<PoolConcurrencyLimitError>() {
        return InvokeError::Exhausted;
    }
    let (kind, message) = match (error.downcast_ref::<Stop>(), error.downcast_ref::<Trap>()) {
        (Some(stop), _) => stopped(stop, memory_refused, &log),
        (None, _) if memory_refused => out_of_memory(),
        (None, Some(trap)) => (FailureKind::Trap, format!("the function trapped: {trap}")),
        (None, None) => return internal(error),
    };
    failure(kind, message, log)
}

fn stopped(stop: &Stop, memory_refused: bool, log: &[u8]) -> (FailureKind, String) {
    let kind = match stop {
        Stop::Exit(_) if memory_refused => return out_of_memory(),
        Stop::Exit(code) => return (FailureKind::Error, exited(*code, log)),
        Stop::NoRoom(_) => FailureKind::Error,
        Stop::CpuTime(_) => FailureKind::CpuLimit,
        Stop::Output(_) => FailureKind::OutputLimit,
        Stop::Pointer(_) => FailureKind::Trap,
    };
    (kind, format!("the function was stopped: {stop}"))
}

/// The exit code, and the last line of the log: where programs say why they give up.
fn exited(code: u32, log: &[u8]) -> String {
    let end = String::from_utf8_lossy(&log[log.len().saturating_sub(LINE_BYTES_MAX)..])
        .trim_end()
        .to_owned();
    match end
        .lines()
        .next_back()
        .map(str::trim)
        .filter(|line| !line.is_empty())
    {
        Some(line) => format!("the function exited with code {code}: {line}"),
        None => format!("the function exited with code {code}"),
    }
}

fn out_of_memory() -> (FailureKind, String) {
    (
        FailureKind::MemoryLimit,
        "the function was refused memory beyond its limit and failed; declare more memory"
            .to_owned(),
    )
}

pub(crate) fn timed_out(limit: Duration, log: Bytes) -> InvokeError {
    failure(
        FailureKind::TimeLimit,
        format!("the function ran longer than its limit of {limit:?}"),
        log,
    )
}

pub(crate) fn bad_output(message: impl Into<String>, log: Bytes) -> InvokeError {
    failure(FailureKind::BadOutput, message.into(), log)
}

pub(crate) fn failure(kind: FailureKind, message: String, log: Bytes) -> InvokeError {
    InvokeError::Function(FunctionFailure {
        kind,
        message,
        stack: None,
        log,
        stale: false,
    })
}

fn internal(error: &wasmtime::Error) -> InvokeError {
    internal_from("run the instance", format!("{error:#}"))
}

pub(crate) fn internal_from(
    attempt: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> InvokeError {
    InvokeError::Internal {
        attempt: attempt.to_owned(),
        source: source.into(),
    }
}

/// The output as one JSON value, without the white space around it.
pub(crate) fn json(output: Bytes) -> Result<Bytes, &'static str> {
    if output.iter().all(u8::is_ascii_whitespace) {
        return Err("the function gave no output; it must give one JSON value");
    }
    let value: &serde_json::value::RawValue = serde_json::from_slice(&output)
        .map_err(|_| "the function's output is not one JSON value")?;
    let value = value.get();
    Ok(if value.len() == output.len() {
        output
    } else {
        output.slice_ref(value.as_bytes())
    })
}
