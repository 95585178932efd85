//! Snapshots of sources: the part that the runtimes `javascript` and `python-wasm` have in common. Their engines load a
//! source at deploy, and the module that comes of it carries that source.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serverledge_api::DeployError;
use serverledge_core::{PrepareError, Runtime};
use serverledge_executor_wasm::{SnapshotError, section, with_section};

/// The custom section with the source as it was sent.
const SECTION: &str = "serverledge.source";
/// Longest part shown of the log of a file that does not load, or that writes while it loads.
const LOG_BYTES_MAX: usize = 2000;

/// An engine's error about a file that does not load.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct LoadError {
    error: String,
    message: String,
    stack: String,
    /// None of an error of the engine itself.
    file: Option<String>,
    /// As the file says: an error that it raises may have any number.
    line: Option<i64>,
    column: Option<i64>,
}

/// The code of a version.
#[derive(Debug)]
pub(crate) struct Made {
    pub(crate) code: Bytes,
    /// Warnings, notes and the file's own output while it was loaded, for the person who deploys.
    pub(crate) remarks: Vec<String>,
}

/// The language of the source that a snapshot was made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SnapshotLanguage {
    JavaScript,
    Python,
}

/// The language of a runtime whose versions have snapshots as their code; `None` for all others.
pub(crate) const fn language(runtime: Runtime) -> Option<SnapshotLanguage> {
    match runtime {
        Runtime::JavaScript => Some(SnapshotLanguage::JavaScript),
        Runtime::PythonWasm => Some(SnapshotLanguage::Python),
        _ => None,
    }
}

/// Whether the code of a runtime's versions is a snapshot of their source.
pub(crate) const fn is_snapshot(runtime: Runtime) -> bool {
    language(runtime).is_some()
}

/// The deployed source: for a snapshot the source that it was made from, else the code itself.
pub(crate) fn source_of(runtime: Runtime, code: Bytes) -> Bytes {
    if !is_snapshot(runtime) {
        return code;
    }
    match section(&code, SECTION) {
        // A copy: whoever keeps the source must not keep the module.
        Some(range) => Bytes::copy_from_slice(&code[range]),
        None => code,
    }
}

/// A snapshot that carries its source.
pub(super) fn with_source(module: Vec<u8>, source: &[u8]) -> Bytes {
    with_section(module, SECTION, source).into()
}

/// The input of an engine as its JSON.
pub(super) fn json(input: &impl Serialize) -> Result<Bytes, PrepareError> {
    let written = serde_json::to_vec(input).map_err(|fault| PrepareError::Internal {
        attempt: "write the engine's input".to_owned(),
        source: Box::new(fault),
    });
    written.map(Bytes::from)
}

/// An engine's answer: the last line that it writes. What the file itself writes to the same descriptor is before it.
pub(super) fn answer(stdout: &str) -> &str {
    stdout.trim().lines().next_back().unwrap_or_default()
}

/// The refusal of a file of so many bytes that does not load, in the words of the person who wrote it.
pub(super) fn explained(error: SnapshotError, bytes: usize) -> DeployError {
    match error {
        SnapshotError::InitFailed { code, stdout, log } => {
            match serde_json::from_str::<LoadError>(answer(&stdout)) {
                Ok(fault) => refused(told(&fault, &log)),
                Err(_) => refused(with_log(
                    format!("loading ended with exit code {code}"),
                    &log,
                )),
            }
        }
        SnapshotError::Trapped { message, log } => {
            refused(with_log(format!("loading trapped: {message}"), &log))
        }
        SnapshotError::CpuTime(limit) => refused(format!(
            "loading took more than {limit:?} of processor time: does its top level end?"
        )),
        SnapshotError::Memory(limit) => refused(format!(
            "loading needs more than the {} MiB that the function declares",
            limit >> 20
        )),
        SnapshotError::Output(limit) => refused(format!(
            "loading failed, with more than {limit} bytes of error"
        )),
        SnapshotError::TooLarge(limit) => refused(format!(
            "what it makes while it loads is more than the {} MiB that code may have",
            limit >> 20
        )),
        SnapshotError::Child(PrepareError::TooComplex { message }) => refused(message),
        SnapshotError::Child(other) => other.into(),
        SnapshotError::Base(_) => PrepareError::Internal {
            attempt: format!("load a source of {bytes} bytes"),
            source: Box::new(error),
        }
        .into(),
    }
}

/// The message of an error: `SyntaxError: … (hello.js:3:7)`, and the stack if it says more.
fn told(fault: &LoadError, log: &str) -> String {
    let mut told = match (fault.error.as_str(), fault.message.as_str()) {
        ("", message) => message.to_owned(),
        (kind, "") => kind.to_owned(),
        (kind, message) => format!("{kind}: {message}"),
    };
    if let (Some(file), Some(line)) = (&fault.file, fault.line) {
        let column = fault
            .column
            .map_or_else(String::new, |column| format!(":{column}"));
        told.push_str(&format!(" ({file}:{line}{column})"));
    }
    let stack = fault.stack.trim();
    if stack.lines().count() > 1 {
        told.push('\n');
        told.push_str(end_of(stack));
    }
    with_log(told, log)
}

fn with_log(told: String, log: &str) -> String {
    match wrote(log) {
        Some(wrote) => format!("{told}\nit wrote: {wrote}"),
        None => told,
    }
}

/// The end of a log; `None` if nothing was written.
pub(super) fn wrote(log: &str) -> Option<&str> {
    Some(end_of(log.trim())).filter(|log| !log.is_empty())
}

fn end_of(text: &str) -> &str {
    let mut from = text.len().saturating_sub(LOG_BYTES_MAX);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

/// The refusal of a source that does not load.
pub(super) fn refused(message: impl std::fmt::Display) -> DeployError {
    DeployError::Code {
        code: "function_does_not_load",
        message: format!("the function does not load: {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_its_place_its_stack_and_what_was_written() {
        let told = |stdout: &str, log: &str| {
            let error = SnapshotError::InitFailed {
                code: 1,
                stdout: stdout.to_owned(),
                log: log.to_owned(),
            };
            match explained(error, 10) {
                DeployError::Code { code, message } => format!("{code}: {message}"),
                other => panic!("{other}"),
            }
        };
        let begin = "function_does_not_load: the function does not load: ";
        for (stdout, log, expected) in [
            (
                r#"{"error":"SyntaxError","message":"bad","file":"main.py","line":2,"column":9}"#,
                "",
                "SyntaxError: bad (main.py:2:9)",
            ),
            (
                r#"{"error":"KeyError","message":"'a'","stack":"Traceback:\n  a","file":"f.py","line":1}"#,
                " words\n",
                "KeyError: 'a' (f.py:1)\nTraceback:\n  a\nit wrote: words",
            ),
            (r#"{"message":"one","stack":"one"}"#, "", "one"),
            (
                r#"{"error":"ValueError","line":2,"file":"f.py"}"#,
                "",
                "ValueError (f.py:2)",
            ),
            (
                "written by the file\n{\"error\":\"E\",\"file\":\"f.py\",\"line\":-1}\n",
                "",
                "E (f.py:-1)",
            ),
            (
                r#"{"message":"the interpreter does not start","file":null,"line":null}"#,
                "",
                "the interpreter does not start",
            ),
            ("no JSON", "", "loading ended with exit code 1"),
        ] {
            assert_eq!(told(stdout, log), format!("{begin}{expected}"));
        }
    }

    #[test]
    fn a_snapshot_carries_its_source() {
        let empty = b"\0asm\x01\0\0\0";
        let code = with_source(empty.to_vec(), b"text");
        for runtime in [Runtime::JavaScript, Runtime::PythonWasm] {
            assert_eq!(source_of(runtime, code.clone()), "text");
        }
        assert_eq!(source_of(Runtime::Wasm, code.clone()), code);
        let bare = Bytes::from_static(empty);
        assert_eq!(source_of(Runtime::PythonWasm, bare.clone()), bare);
    }
}
