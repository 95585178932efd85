//! Logs of functions on their way to whoever keeps them: line by line, each with the time at which it was begun.

use std::sync::Arc;

use crate::id::InvocationId;

/// Longest line that is waited for: a longer one goes on in pieces of about this size, so that a function which never ends
/// its line costs no more memory than this.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// The keeper of one function's log. Must not block: it is called in the middle of a running function.
pub trait FunctionLog: Send + Sync {
    /// Takes whole lines, or the rest of one that nothing will follow, written at this time in Unix milliseconds. `call` is the
    /// invocation that wrote them; `None` where nobody can tell.
    fn write(&self, call: Option<InvocationId>, unix_ms: u64, text: &[u8]);
}

/// Puts lines together out of what is written piece by piece, and hands them on as they end. What is left of the last line goes
/// out when this is dropped: the log of an invocation that is stopped is whole.
pub struct LogLines {
    log: Option<Arc<dyn FunctionLog>>,
    call: Option<InvocationId>,
    begun: Vec<u8>,
    begun_at: u64,
}

impl LogLines {
    /// Lines of an invocation; they go nowhere without a log.
    #[must_use]
    pub const fn new(log: Option<Arc<dyn FunctionLog>>, call: Option<InvocationId>) -> Self {
        Self {
            log,
            call,
            begun: Vec::new(),
            begun_at: 0,
        }
    }

    /// Whether anybody takes them: where not, nobody needs to ask for the time.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.log.is_some()
    }

    /// Takes a piece, written at this time.
    pub fn push(&mut self, unix_ms: u64, piece: &[u8]) {
        let Some(log) = &self.log else { return };
        let (whole, rest) = piece.split_at(end_of_lines(piece));
        let mut whole = whole;
        if !self.begun.is_empty() && !whole.is_empty() {
            let (first, others) = whole.split_at(first_line(whole));
            self.begun.extend_from_slice(first);
            log.write(self.call, self.begun_at, &self.begun);
            self.begun.clear();
            whole = others;
        }
        if !whole.is_empty() {
            log.write(self.call, unix_ms, whole);
        }
        if !rest.is_empty() {
            self.begin(unix_ms, rest);
        }
    }

    fn begin(&mut self, unix_ms: u64, rest: &[u8]) {
        if self.begun.is_empty() {
            self.begun_at = unix_ms;
        }
        self.begun.extend_from_slice(rest);
        if self.begun.len() > LINE_BYTES_MAX {
            self.flush();
        }
    }

    /// Hands on the line that has begun and not ended.
    pub fn flush(&mut self) {
        if let Some(log) = self.log.as_ref().filter(|_| !self.begun.is_empty()) {
            log.write(self.call, self.begun_at, &self.begun);
        }
        self.begun.clear();
    }
}

impl Drop for LogLines {
    fn drop(&mut self) {
        self.flush();
    }
}

impl std::fmt::Debug for LogLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogLines")
            .field("call", &self.call)
            .field("begun", &self.begun.len())
            .finish_non_exhaustive()
    }
}

/// Behind the last line feed.
fn end_of_lines(piece: &[u8]) -> usize {
    piece
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1)
}

/// Behind the first line feed.
fn first_line(piece: &[u8]) -> usize {
    piece
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(piece.len(), |at| at + 1)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Default)]
    struct Written(Mutex<Vec<String>>);

    impl FunctionLog for Written {
        fn write(&self, _call: Option<InvocationId>, unix_ms: u64, text: &[u8]) {
            self.0
                .lock()
                .unwrap()
                .push(format!("{unix_ms} {}", String::from_utf8_lossy(text)));
        }
    }

    fn check(pieces: &[(u64, &str)], expected: &[&str]) {
        let written = Arc::new(Written::default());
        let log: Arc<dyn FunctionLog> = Arc::<Written>::clone(&written);
        let mut lines = LogLines::new(Some(log), None);
        pieces
            .iter()
            .for_each(|(unix_ms, piece)| lines.push(*unix_ms, piece.as_bytes()));
        drop(lines);
        assert_eq!(*written.0.lock().unwrap(), expected, "{pieces:?}");
    }

    #[test]
    fn lines_go_out_when_they_end_with_the_time_at_which_they_began() {
        check(&[], &[]);
        check(&[(1, "a\n")], &["1 a\n"]);
        check(&[(1, "a"), (2, "\n")], &["1 a\n"]);
        check(&[(1, "a\nb\n"), (2, "c")], &["1 a\nb\n", "2 c"]);
        check(
            &[(1, "a"), (2, "b"), (3, "c\nd\ne"), (4, "f\n")],
            &["1 abc\n", "3 d\n", "3 ef\n"],
        );
    }

    #[test]
    fn a_line_without_an_end_is_bounded() {
        let long = "x".repeat(LINE_BYTES_MAX);
        check(
            &[(1, &long), (2, "y"), (3, "z\n")],
            &[&format!("1 {long}y"), "3 z\n"],
        );
    }
}
