//! Tells a guest's failures apart: whose fault, and which limit.

use std::time::Duration;

use bytes::Bytes;
use serverledge_core::{FailureKind, FunctionFailure, InvokeError};
use wasmtime::component::ResourceTableError;
use wasmtime::{GcHeapOutOfMemory, PoolConcurrencyLimitError, ThrownException, Trap};
use wasmtime_wasi::I32Exit;

use crate::explain;
use crate::http::GuestFault;
use crate::meter::{HOST_CALL_BYTES_MAX, Stop};

/// Most of wasmtime's words that go into a message.
const WORDS_CHARS_MAX: usize = 256;
/// Bytes of a bad output that are shown, before and from the place where it is bad.
const SHOWN_BEFORE_MAX: usize = 24;
const SHOWN_BYTES_MAX: usize = 96;
/// The distance below address 0, which wraps to 4 GiB, up to which an access counts as that of a stack that ran out.
const STACK_OVERRUN_BYTES_MAX: u64 = 16 << 20;

/// Classifies wasmtime's error for a core module that did not return, by whether it had been refused memory before.
pub(crate) fn classify(error: &wasmtime::Error, memory_refused: bool, log: Bytes) -> InvokeError {
    told(error, memory_refused, log).unwrap_or_else(|_| internal(error))
}

/// The same for a component: whatever the host refused it while it ran is its own doing.
pub(crate) fn component_failure(
    fault: &GuestFault,
    memory_refused: bool,
    log: Bytes,
) -> InvokeError {
    let (error, is_guests) = match fault {
        GuestFault::Host(error) => (error, false),
        GuestFault::Guest(error) => (error, true),
    };
    match told(error, memory_refused, log) {
        Ok(known) => known,
        Err(log) if is_guests => failure(FailureKind::Trap, refused(error, &log), log),
        Err(_) => internal(error),
    }
}

/// The failure that an error is known to be; the log comes back where it is not.
fn told(error: &wasmtime::Error, memory_refused: bool, log: Bytes) -> Result<InvokeError, Bytes> {
    if error.is::<PoolConcurrencyLimitError>() {
        return Ok(InvokeError::Exhausted);
    }
    let stop = match error.downcast_ref() {
        Some(I32Exit(code)) => Some(Stop::Exit(code.cast_unsigned())),
        None => error.downcast_ref::<Stop>().cloned(),
    };
    let (kind, message) = match (stop, error.downcast_ref::<Trap>()) {
        (Some(stop), _) => stopped(&stop, memory_refused, &log),
        (None, _) if is_too_long(error) => (FailureKind::Trap, too_long(&log)),
        (None, _) if memory_refused => out_of_memory(),
        (None, Some(trap)) => (FailureKind::Trap, trapped(*trap, error, &log)),
        (None, None) if error.is::<GcHeapOutOfMemory<()>>() => out_of_memory(),
        (None, None) if error.is::<ThrownException>() => (FailureKind::Trap, thrown(&log)),
        (None, None) => return Err(log),
    };
    Ok(failure(kind, message, log))
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

/// The exit code, and the words with which the program gave up.
fn exited(code: u32, log: &[u8]) -> String {
    with_words(
        format!("the function exited with code {code}"),
        explain::reason(log),
    )
}

fn with_words(message: String, words: Option<String>) -> String {
    match words {
        Some(words) => format!("{message}: {words}"),
        None => message,
    }
}

/// The trap, where it was, and what the language's runtime said before it: a panic ends in `unreachable`.
fn trapped(trap: Trap, error: &wasmtime::Error, log: &[u8]) -> String {
    let mut message = format!("the function trapped: {trap}");
    if trap == Trap::StackOverflow {
        message += ": its calls nest deeper than the stack that a function has";
    }
    if let Some(fault) = memory_fault(error) {
        message += &fault;
    }
    with_words(message, explain::crash(log))
}

/// An exception that left the guest, and what the language's runtime said before it.
fn thrown(log: &[u8]) -> String {
    with_words(
        "the function trapped: nothing caught an exception that it threw".to_owned(),
        explain::crash(log),
    )
}

/// The address of a bad access. A stack in linear memory that runs out below address 0 wraps to the end of the address space.
fn memory_fault(error: &wasmtime::Error) -> Option<String> {
    let said = error
        .chain()
        .map(ToString::to_string)
        .find(|cause| cause.starts_with("memory fault at wasm address "))?;
    let (address, size) = said
        .strip_prefix("memory fault at wasm address ")?
        .split_once(" in linear memory of size ")?;
    let number = u64::from_str_radix(address.strip_prefix("0x")?, 16).ok()?;
    let hint = if ((1 << 32) - STACK_OVERRUN_BYTES_MAX..1 << 32).contains(&number) {
        "; its stack in linear memory has run out: link it with a larger one (-z stack-size=BYTES)"
    } else {
        ""
    };
    Some(format!(
        " at address {address} of a memory of {size} bytes{hint}"
    ))
}

/// Whether a component has handed the host more than it takes in one call. The type of wasmtime's error is its own.
fn is_too_long(error: &wasmtime::Error) -> bool {
    let cause = error.root_cause().to_string();
    cause.contains("fuel allocated for hostcalls has been exhausted")
}

/// The failure of such a call.
fn too_long(log: &[u8]) -> String {
    with_words(
        format!(
            "the function trapped: it handed the host more than {HOST_CALL_BYTES_MAX} bytes in one call"
        ),
        explain::crash(log),
    )
}

/// A call to the host that was refused, in the host's words, and the usual cause.
fn refused(error: &wasmtime::Error, log: &[u8]) -> String {
    let words: String = error
        .root_cause()
        .to_string()
        .lines()
        .next()
        .unwrap_or_default()
        .chars()
        .take(WORDS_CHARS_MAX)
        .collect();
    let hint = match error.downcast_ref() {
        Some(ResourceTableError::HasChildren) => {
            " (something was finished or dropped before what was opened from it, such as a body before its stream)"
        }
        Some(ResourceTableError::Full) => " (it keeps too many resources open)",
        _ => "",
    };
    with_words(
        format!("the function trapped in a call to the host: {words}{hint}"),
        explain::crash(log),
    )
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
pub(crate) fn json(output: Bytes) -> Result<Bytes, String> {
    if output.iter().all(u8::is_ascii_whitespace) {
        return Err("the function gave no output; it must give one JSON value".to_owned());
    }
    match serde_json::from_slice::<&serde_json::value::RawValue>(&output) {
        Ok(value) if value.get().len() == output.len() => Ok(output),
        Ok(value) => Ok(output.slice_ref(value.get().as_bytes())),
        Err(fault) => Err(not_json(&output, &fault)),
    }
}

/// The message for an output that is not one JSON value: the place at which it stops being one, and the text there.
fn not_json(output: &[u8], fault: &serde_json::Error) -> String {
    let at = offset(output, fault);
    let begin = at.saturating_sub(SHOWN_BEFORE_MAX);
    let end = output.len().min(at + SHOWN_BYTES_MAX);
    let shown: String = String::from_utf8_lossy(&output[begin..end])
        .escape_debug()
        .collect();
    let before = if begin > 0 { "…" } else { "" };
    let after = if end < output.len() { "…" } else { "" };
    let what = if fault.is_eof() {
        "it ends too early"
    } else {
        "it is not JSON"
    };
    format!(
        "the function's output is not one JSON value: {what} at byte {at} of {}: {before}\"{shown}\"{after}",
        output.len()
    )
}

/// The place of a fault, which serde_json tells as line and column. A word that is none, such as `starting`, is at fault from
/// its first letter.
fn offset(output: &[u8], fault: &serde_json::Error) -> usize {
    let line = fault.line().saturating_sub(1);
    let before: usize = output
        .split_inclusive(|byte| *byte == b'\n')
        .take(line)
        .map(<[u8]>::len)
        .sum();
    let mut at = (before + fault.column().saturating_sub(1)).min(output.len());
    if fault.is_eof() {
        return output.len();
    }
    while at > 0 && output[at - 1].is_ascii_alphabetic() {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_json_is_shown_where_it_is_none() {
        for (output, at, shown) in [
            (
                "starting up\n{\"ok\":1}\n",
                0,
                r#"at byte 0 of 21: "starting up\n{\"ok\":1}\n""#,
            ),
            ("  true story", 7, r#""  true story""#),
            ("no\n", 0, r#""no\n""#),
            ("{\"ok\":1}\ndone\n", 9, r#""{\"ok\":1}\ndone\n""#),
            ("{\"ok\":1} {\"ok\":2}", 9, ""),
            ("{\"ok\":", 6, "ends too early at byte 6 of 6"),
            ("{'ok':1}", 1, ""),
            ("\u{feff}{}", 0, "\\u{feff}{}"),
            ("[1,\n2,\n3,]", 9, ""),
            ("\x1b[32m{}\x1b[0m", 0, "\\u{1b}[32m"),
        ] {
            let told = json(Bytes::from_static(output.as_bytes())).unwrap_err();
            assert!(
                told.contains(&format!("at byte {at} of")) && told.contains(shown),
                "{output:?}: {told}"
            );
        }
        let told = json(Bytes::from(vec![b'x'; 100_000])).unwrap_err();
        assert!(told.len() < 400, "{told}");
        let told = json(Bytes::from_static(b"\xff\xfe\x00")).unwrap_err();
        assert!(told.contains("at byte 0 of 3"), "{told}");
    }

    #[test]
    fn white_space_around_a_value_is_no_part_of_it() {
        assert_eq!(json(Bytes::from_static(b" {} \n")).unwrap(), "{}");
        assert_eq!(json(Bytes::from_static(b"1")).unwrap(), "1");
        assert!(json(Bytes::from_static(b" \n")).is_err());
    }
}
