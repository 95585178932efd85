//! Writing to stdout and stderr without a panic when the other end is gone.

use std::io::{self, IsTerminal as _, Write as _};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::text;

/// Writes a result and a line feed to stdout. A reader that has gone (`| head`) is no failure.
///
/// # Errors
/// [`Failure`] if stdout cannot be written for another reason, a full disk for instance.
pub(crate) fn result(text: &str) -> Result<(), Failure> {
    line(text).map(drop)
}

/// The same for one of many lines; says whether somebody still reads.
///
/// # Errors
/// As for [`result`].
pub(crate) fn line(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Failure::new(
            Exit::Request,
            format!("failed to write the result: {error}"),
        )),
    }
}

/// Writes bytes of any kind to stdout, and nothing else.
///
/// # Errors
/// As for [`result`].
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(
            Exit::Request,
            format!("failed to write the result: {error}"),
        )),
        _ => Ok(()),
    }
}

/// Writes a remark to stderr. Nobody can be told if that fails.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// The same for a remark of the node, or on what is sent to it.
pub(crate) fn note(remark: &str) {
    warn(&format!("note: {}", text::one_line(remark)));
}

/// Writes a question to stderr, behind which the answer is typed.
pub(crate) fn ask(question: &str) {
    let mut out = io::stderr().lock();
    let _ = write!(out, "{question}").and_then(|()| out.flush());
}

/// Whether results are read by a person.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Whether the terminal has colours and nobody asked for none.
pub(crate) fn has_colours() -> bool {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
        || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
    !plain
}

/// Text in a fainter colour, where the terminal has colours and nobody asked for none.
pub(crate) fn dim(text: &str) -> String {
    if !has_colours() || !is_terminal() {
        text.to_owned()
    } else {
        format!("\u{1b}[2m{text}\u{1b}[0m")
    }
}
