//! The errors of calls that ran here and failed, or found nothing to run in.

use std::time::Duration;

use bytes::Bytes;
use serverledge_core::{
    CacheMetadata, FailureKind, FunctionFailure, InvocationError, InvokeError, OverloadReason,
    Runtime, error_chain,
};

use super::request::is_not_prepared;
use crate::functions::errors::shortened;

/// `Retry-After` of an executor without free instances: they end within milliseconds.
const EXHAUSTED_RETRY: Duration = Duration::from_secs(1);

/// The error code of a call whose runtime has no executor on this node.
const NO_EXECUTOR: &str = "runtime_unavailable";

/// Bytes of an exception's message, and of its trace, that its function's log gets.
const TRACE_BYTES_MAX: usize = 16 * 1024;

/// The lines of an exception: its stack trace, which in most languages has its message. `None` if the function gave none.
pub(super) fn trace(failure: &FunctionFailure) -> Option<String> {
    let stack = failure
        .stack
        .as_deref()
        .map(str::trim_end)
        .filter(|stack| !stack.is_empty())?;
    let message = shortened(&failure.message, TRACE_BYTES_MAX);
    let stack = shortened(stack, TRACE_BYTES_MAX);
    Some(if stack.contains(message) {
        format!("{stack}\n")
    } else {
        format!("{message}\n{stack}\n")
    })
}

/// Whether another node may have what this one lacks.
pub(super) fn is_elsewhere(error: &InvocationError) -> bool {
    is_not_prepared(error)
        || matches!(
            error,
            InvocationError::Dependency {
                code: NO_EXECUTOR,
                ..
            }
        )
}

/// The error of a run, with the cache metadata of its calls: a function may fail only because they did.
pub(super) fn invocation_error(error: InvokeError, memo: &CacheMetadata) -> InvocationError {
    match error {
        InvokeError::Function(failure) => InvocationError::Function(FunctionFailure {
            stale: failure.stale || memo.uncacheable,
            ..failure
        }),
        InvokeError::Request { code, message } => InvocationError::Request { code, message },
        InvokeError::Exhausted => exhausted(),
        InvokeError::Gone | InvokeError::Internal { .. } => internal(&error),
    }
}

/// The failure of a sandbox that was started for this very call and ended before it: the function's own fault.
pub(super) fn ended_before_its_call() -> InvocationError {
    InvocationError::Function(FunctionFailure {
        kind: FailureKind::Exited,
        message: "the function's process ended, or stopped listening, before its first call"
            .to_owned(),
        stack: None,
        log: Bytes::new(),
        stale: false,
    })
}

pub(super) fn dead_sandboxes() -> InvocationError {
    InvocationError::Internal {
        message: "every sandbox that was tried was dead".to_owned(),
    }
}

pub(super) fn no_executor(runtime: Runtime) -> InvocationError {
    let source = format!("this node has no executor for runtime {runtime}").into();
    InvocationError::Dependency {
        what: "the executor of the function's runtime",
        code: NO_EXECUTOR,
        source,
    }
}

pub(super) fn exhausted() -> InvocationError {
    InvocationError::Overloaded {
        reason: OverloadReason::QueueFull,
        retry_after: EXHAUSTED_RETRY,
    }
}

pub(super) fn internal(error: &(dyn std::error::Error + 'static)) -> InvocationError {
    InvocationError::Internal {
        message: error_chain(error),
    }
}
