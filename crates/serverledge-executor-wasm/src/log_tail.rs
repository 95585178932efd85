//! The log of a guest, shared between the guest and whoever waits for it: a guest that is stopped takes nothing of its log along. Lines go to the function's log as they end; the end of it all is kept for the caller, bounded.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_core::{FunctionLog, InvocationId, LogLines, unix_ms};

/// The last bytes of a log. Clones share them; the last one to go ends the last line.
#[derive(Debug, Clone)]
pub(crate) struct LogTail {
    written: Arc<Mutex<WrittenTail>>,
    max: usize,
}

#[derive(Debug)]
struct WrittenTail {
    kept: Vec<u8>,
    lines: LogLines,
}

impl LogTail {
    /// A log that nobody follows.
    pub(crate) fn new(max: usize) -> Self {
        Self::with(max, LogLines::new(None, None))
    }

    /// The log of an invocation, whose lines go to the function's.
    pub(crate) fn of(max: usize, log: Option<Arc<dyn FunctionLog>>, call: InvocationId) -> Self {
        Self::with(max, LogLines::new(log, Some(call)))
    }

    fn with(max: usize, lines: LogLines) -> Self {
        Self {
            written: Arc::new(Mutex::new(WrittenTail {
                kept: Vec::new(),
                lines,
            })),
            max,
        }
    }

    /// Appends; the oldest bytes go when there are more than twice the limit, so that a byte is moved at most once.
    pub(crate) fn push(&self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.max)..];
        let mut written = self.written.lock();
        if written.lines.is_kept() {
            written.lines.push(unix_ms(), bytes);
        }
        let kept = &mut written.kept;
        if kept.len() + bytes.len() > 2 * self.max {
            let surplus = (kept.len() + bytes.len() - self.max).min(kept.len());
            kept.drain(..surplus);
        }
        kept.extend_from_slice(bytes);
    }

    /// Appends a line of the host's. It begins a line of its own, whatever the guest has begun.
    pub(crate) fn push_line(&self, line: &str) {
        let ends_line = match self.written.lock().kept.last() {
            Some(last) => *last == b'\n',
            None => true,
        };
        let begin = if ends_line { "" } else { "\n" };
        self.push(format!("{begin}{line}\n").as_bytes());
    }

    /// Takes what was kept.
    pub(crate) fn take(&self) -> Bytes {
        let mut kept = std::mem::take(&mut self.written.lock().kept);
        let surplus = kept.len().saturating_sub(self.max);
        kept.drain(..surplus);
        Bytes::from(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_end() {
        let log = LogTail::new(4);
        for chunk in ["ab", "cd", "ef", "ghijkl", "m"] {
            log.push(chunk.as_bytes());
        }
        assert_eq!(log.take(), "jklm");
        assert!(log.take().is_empty());
    }

    #[test]
    fn a_line_of_the_host_is_a_line() {
        let log = LogTail::new(100);
        log.push_line("one");
        log.push(b"begun");
        log.push_line("two");
        log.push(b"three\n");
        log.push_line("four");
        assert_eq!(log.take(), "one\nbegun\ntwo\nthree\nfour\n");
    }
}
