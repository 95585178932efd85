//! The line of a log that tells best why a program gave up. Languages print their reason before, after or between the
//! lines of a stack trace; this knows where.

/// Most of a line that goes into a message.
const LINE_BYTES_MAX: usize = 512;

/// Beginnings of the line with which a runtime says that the program ends: the last one in a log is its end.
const HEADS: [&str; 22] = [
    "panic: ",                    // Go, TinyGo
    "fatal error: ",              // Go
    "Fatal error: ",              // Swift, OCaml
    "error: panic: ",             // Zig's test runner
    "libc++abi: ",                // C++ (LLVM)
    "terminate called ",          // C++ (GNU)
    "Assertion failed",           // C
    "assertion failed",           // C, D
    "abort: ",                    // AssemblyScript
    "Uncaught ",                  // JavaScript engines
    "Unhandled exception",        // .NET, Crystal
    "Unhandled Exception",        // .NET, older
    "Exception in thread ",       // the JVM's languages
    "PHP Fatal error: ",          // PHP
    "PHP Parse error: ",          // PHP
    "Aborted(",                   // Emscripten
    "stack overflow",             // several
    "Stack overflow",             // several
    "RuntimeError: ",             // several
    "core.exception.",            // D
    "object.Exception@",          // D
    "Error: unhandled exception", // Nim
];

/// The reason that a log ends with, if a runtime's words for it are there. An ordinary last line is none.
pub(crate) fn crash(log: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text.lines().collect();
    (0..lines.len())
        .rev()
        .find_map(|at| head(&lines, at))
        .map(|line| bounded(&line))
}

/// The same, or else the last line that is no part of a stack trace.
pub(crate) fn reason(log: &[u8]) -> Option<String> {
    crash(log).or_else(|| last_words(&String::from_utf8_lossy(log)).map(bounded))
}

fn head(lines: &[&str], at: usize) -> Option<String> {
    let line = lines[at].trim_end();
    if let Some((_, place)) = line
        .split_once(" panicked at ")
        .filter(|_| line.contains("thread "))
    {
        return Some(rust_panic(place, &lines[at + 1..]));
    }
    if line == "Traceback (most recent call last):" {
        return python_exception(&lines[at + 1..]);
    }
    // Zig: `thread 1 panic: reason`.
    let is_zig = line.starts_with("thread ") && line.contains(" panic: ");
    if !is_zig && !HEADS.iter().any(|head| line.starts_with(head)) {
        return None;
    }
    // GNU's C++ says what on the next line.
    let what = lines
        .get(at + 1)
        .and_then(|next| next.trim_start().strip_prefix("what(): "));
    Some(what.map_or_else(
        || line.to_owned(),
        |what| format!("{line}: {}", what.trim()),
    ))
}

/// `thread 'main' panicked at src/main.rs:3:5:` and the message on the next line, or, before Rust 1.73, all on one.
fn rust_panic(place: &str, rest: &[&str]) -> String {
    match (
        place.strip_suffix(':'),
        rest.first().map(|line| line.trim()),
    ) {
        (Some(place), Some(message)) if !message.is_empty() => {
            format!("panicked at {place}: {message}")
        }
        _ => format!("panicked at {place}"),
    }
}

/// The first line after the frames, which are indented.
fn python_exception(rest: &[&str]) -> Option<String> {
    let exception = rest
        .iter()
        .find(|line| !line.is_empty() && !line.starts_with([' ', '\t']))?;
    Some((*exception).to_owned())
}

/// The last line that says something: not blank, not indented, no frame and no heading of a stack trace.
fn last_words(text: &str) -> Option<&str> {
    let last = text.lines().rev().find(|line| !line.trim().is_empty());
    let telling = text.lines().rev().find(|line| !is_trace(line));
    telling.or(last).map(str::trim)
}

fn is_trace(line: &str) -> bool {
    let headings = [
        "stack trace:",
        "stack traceback:",
        "stack:",
        "stack backtrace:",
        "caused by:",
        "backtrace:",
    ];
    let trimmed = line.trim();
    let lower = line.trim().to_ascii_lowercase();
    trimmed.is_empty()
        || line.starts_with([' ', '\t'])
        || headings.contains(&lower.as_str())
        || [
            "note: ",
            "goroutine ",
            "exit status ",
            "at ",
            "from ",
            "----",
        ]
        .iter()
        .any(|mark| lower.starts_with(mark))
        || is_numbered_frame(trimmed)
        || is_frame_at(trimmed)
}

/// `#0 main()` and `12: name`.
fn is_numbered_frame(line: &str) -> bool {
    let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
    match line.strip_prefix('#') {
        Some(rest) => digits(rest) > 0,
        None => digits(line) > 0 && line[digits(line)..].starts_with(": "),
    }
}

/// `name@file.js:12:3`, and `/path/file.zig:3:5: 0x1f in main`.
fn is_frame_at(line: &str) -> bool {
    let ends_in_place = || {
        let mut parts = line.rsplitn(3, ':');
        let mut number = || {
            parts
                .next()
                .is_some_and(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
        };
        number() && number()
    };
    (!line.contains(' ') && line.contains('@') && ends_in_place())
        || line.contains(": 0x") && line.contains(" in ")
}

fn bounded(line: impl AsRef<str>) -> String {
    let line = line.as_ref().trim();
    let mut end = line.len().min(LINE_BYTES_MAX);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    let cut = if end < line.len() { "…" } else { "" };
    // What a program prints may move a terminal's cursor.
    let shown: String = line[..end]
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    format!("{shown}{cut}")
}

#[cfg(test)]
mod tests;
