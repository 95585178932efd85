//! A container's own log, followed while the container runs: what is printed past the agent or beside an invocation (by loading,
//! by child processes, by what an invocation has left behind, by a process that dies) on its way to the function's log.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::StreamExt as _;
use parking_lot::Mutex;
use serverledge_core::{FunctionLog, InvocationId, LogLines, unix_ms};
use serverledge_wire::time;
use tokio::time::Instant;

use crate::container::Hub;
use crate::engine::{EngineError, OutputStream};

/// Invocations that are remembered after their end: output takes some milliseconds through the engine.
const ENDED_MAX: usize = 64;
/// The time after an invocation's end in which output without a name is taken for its own, if nothing else runs.
const AFTER_END_MS: u64 = 100;
/// Bytes of one container's own log that are taken in a second: a child process that prints without end costs the node no more
/// than that; what the engine has thrown away meanwhile is lost.
const BYTES_PER_SECOND: usize = 1 << 20;
/// Pause before a log that broke off is followed again.
const RETRY: Duration = Duration::from_secs(1);
/// Begins a line in which the agent says something to the node (`docs/container-protocol.md`).
const MARK: u8 = 0x1e;
/// Length of an invocation's id in such a line.
const ID_CHARS: usize = 36;

/// The invocations of one container, by which the output that carries no name is told apart.
#[derive(Debug, Default)]
pub(crate) struct ContainerLog {
    calls: Mutex<VecDeque<Span>>,
    /// Set by the first invocation.
    followed: OnceLock<()>,
}

/// The time span in which an invocation ran.
#[derive(Debug, Clone, Copy)]
struct Span {
    id: InvocationId,
    begun: u64,
    ended: Option<u64>,
}

/// An invocation that runs; dropped at its end.
pub(crate) struct Logged<'a> {
    log: &'a ContainerLog,
    id: InvocationId,
}

/// A line of a container's own log.
#[derive(Debug, PartialEq, Eq)]
enum ContainerLogLine<'a> {
    /// Printed past the agent.
    Plain(&'a [u8]),
    /// Printed by what an invocation has left behind.
    Late(InvocationId, &'a [u8]),
    /// Nobody caught an exception: the process serves no further invocation.
    Unfit,
}

impl ContainerLog {
    /// Remembers that an invocation runs.
    pub(crate) fn begin(&self, id: InvocationId) -> Logged<'_> {
        let mut calls = self.calls.lock();
        if calls.len() >= ENDED_MAX
            && let Some(at) = calls.iter().position(|call| call.ended.is_some())
        {
            calls.remove(at);
        }
        calls.push_back(Span {
            id,
            begun: unix_ms(),
            ended: None,
        });
        Logged { log: self, id }
    }

    /// The invocation that wrote something at this time, where only one can have: one that ran, else one that had just ended.
    fn call_at(&self, time: u64) -> Option<InvocationId> {
        let calls = self.calls.lock();
        let within = |call: &Span, slack| {
            call.begun <= time && call.ended.is_none_or(|ended| time <= ended + slack)
        };
        let only = |slack| {
            let mut found = calls.iter().filter(|call| within(call, slack));
            found
                .next()
                .filter(|_| found.next().is_none())
                .map(|call| call.id)
        };
        only(0).or_else(|| only(AFTER_END_MS))
    }

    /// Follows a container's log in a task of the hub, from the container's start to its end; only the first time.
    pub(crate) fn follow(
        self: &Arc<Self>,
        hub: &Arc<Hub>,
        container: &str,
        log: impl FnOnce() -> Option<Arc<dyn FunctionLog>>,
        usable: &Arc<AtomicBool>,
    ) {
        if self.followed.set(()).is_err() {
            return;
        }
        let Some(log) = log() else { return };
        let sorter = Sorter {
            calls: Arc::clone(self),
            log,
            usable: Arc::clone(usable),
        };
        let hub = Arc::clone(hub);
        let container = container.to_owned();
        let tasks = hub.tasks.clone();
        drop(tasks.spawn(async move {
            tokio::select! {
                () = follow(&hub, &container, Arc::new(sorter)) => {}
                () = hub.stop.cancelled() => {}
            }
        }));
    }
}

impl Drop for Logged<'_> {
    fn drop(&mut self) {
        let mut calls = self.log.calls.lock();
        if let Some(call) = calls.iter_mut().rev().find(|call| call.id == self.id) {
            call.ended = Some(unix_ms());
        }
    }
}

/// Until the container has ended. A log that breaks off for another reason goes on where it was.
async fn follow(hub: &Hub, container: &str, sorter: Arc<Sorter>) {
    let mut reader = Reader::new(sorter);
    loop {
        match read(hub, container, &mut reader).await {
            // It has ended, or is removed.
            Ok(()) | Err(EngineError::Missing(_)) => return,
            Err(error) => tracing::debug!(%error, container, "a container's log broke off"),
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn read(hub: &Hub, container: &str, reader: &mut Reader) -> Result<(), EngineError> {
    reader.known = reader.last;
    let mut pieces = hub.engine.follow_logs(container, reader.last).await?;
    let mut second = Instant::now();
    let mut taken = 0;
    while let Some(piece) = pieces.next().await {
        let (stream, piece) = piece?;
        reader.take(stream, &piece);
        taken += piece.len();
        if taken > BYTES_PER_SECOND {
            tokio::time::sleep_until(second + Duration::from_secs(1)).await;
            (second, taken) = (Instant::now(), 0);
        }
    }
    Ok(())
}

/// Takes the engine's times off its pieces. Lines of the two streams are put together apart.
struct Reader {
    stdout: LogLines,
    stderr: LogLines,
    /// The time of what was read last.
    last: u64,
    /// Up to here it was read before the log broke off.
    known: u64,
}

impl Reader {
    fn new(log: Arc<dyn FunctionLog>) -> Self {
        let lines = |log| LogLines::new(Some(log), None);
        Self {
            stdout: lines(Arc::clone(&log)),
            stderr: lines(log),
            last: 0,
            known: 0,
        }
    }

    /// A piece is a line with its time before it, or more of a long one, as a rule with its own time.
    fn take(&mut self, stream: OutputStream, piece: &[u8]) {
        let stamped = piece.iter().position(|byte| *byte == b' ').and_then(|at| {
            let time = time::unix_ms(std::str::from_utf8(&piece[..at]).ok()?)?;
            Some((time, &piece[at + 1..]))
        });
        let (time, text) = stamped.unwrap_or((self.last, piece));
        if self.known > 0 && time <= self.known {
            return;
        }
        self.last = time;
        match stream {
            OutputStream::Out => self.stdout.push(time, text),
            OutputStream::Err => self.stderr.push(time, text),
        }
    }
}

/// Says of each line whose it is.
struct Sorter {
    calls: Arc<ContainerLog>,
    log: Arc<dyn FunctionLog>,
    usable: Arc<AtomicBool>,
}

impl FunctionLog for Sorter {
    fn write(&self, _call: Option<InvocationId>, unix_ms: u64, text: &[u8]) {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match ContainerLogLine::parse(line) {
                ContainerLogLine::Plain(text) => {
                    self.log.write(self.calls.call_at(unix_ms), unix_ms, text)
                }
                ContainerLogLine::Late(call, text) => self.log.write(Some(call), unix_ms, text),
                ContainerLogLine::Unfit => self.usable.store(false, Ordering::Release),
            }
        }
    }
}

impl<'a> ContainerLogLine<'a> {
    fn parse(line: &'a [u8]) -> Self {
        match line {
            [MARK, b'x', ..] => Self::Unfit,
            [MARK, b'l', rest @ ..] => Self::late(rest).unwrap_or(Self::Plain(line)),
            _ => Self::Plain(line),
        }
    }

    fn late(rest: &'a [u8]) -> Option<Self> {
        let (id, text) = rest.split_at_checked(ID_CHARS)?;
        let id = InvocationId::parse(std::str::from_utf8(id).ok()?)?;
        Some(Self::Late(id, text.strip_prefix(b" ")?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_whose_they_are() {
        let id = InvocationId::new();
        let marked = |kind: &str, rest: &str| format!("\u{1e}{kind}{rest}").into_bytes();
        assert_eq!(
            ContainerLogLine::parse(b"a\n"),
            ContainerLogLine::Plain(b"a\n")
        );
        assert_eq!(
            ContainerLogLine::parse(&marked("x", "\n")),
            ContainerLogLine::Unfit
        );
        assert_eq!(
            ContainerLogLine::parse(&marked("l", &format!("{id} a b\n"))),
            ContainerLogLine::Late(id, b"a b\n")
        );
        for malformed in ["", "me a\n", &format!("{id}")] {
            let line = marked("l", malformed);
            assert_eq!(
                ContainerLogLine::parse(&line),
                ContainerLogLine::Plain(&line),
                "{malformed}"
            );
        }
    }

    #[test]
    fn what_carries_no_name_belongs_to_the_only_call_of_its_time() {
        let log = ContainerLog::default();
        let ada = InvocationId::new();
        let bob = InvocationId::new();
        let span = |id, begun, ended| Span { id, begun, ended };
        log.calls
            .lock()
            .extend([span(ada, 100, Some(200)), span(bob, 250, None)]);
        for (time, expected) in [
            (99, None),
            (100, Some(ada)),
            (220, Some(ada)),
            (260, Some(bob)),
            (900, Some(bob)),
        ] {
            assert_eq!(log.call_at(time), expected, "{time}");
        }
        log.calls
            .lock()
            .push_back(span(InvocationId::new(), 300, None));
        assert_eq!(log.call_at(400), None, "two ran");
    }

    #[test]
    fn ended_calls_are_forgotten_and_running_ones_are_not() {
        let log = ContainerLog::default();
        let running = InvocationId::new();
        let held = log.begin(running);
        (0..2 * ENDED_MAX).for_each(|_| drop(log.begin(InvocationId::new())));
        assert_eq!(log.calls.lock().len(), ENDED_MAX);
        drop(held);
        assert!(
            log.calls
                .lock()
                .iter()
                .any(|call| call.id == running && call.ended.is_some())
        );
    }

    #[test]
    fn the_engines_times_are_taken_off() {
        #[derive(Default)]
        struct Written(Mutex<Vec<(u64, String)>>);
        impl FunctionLog for Written {
            fn write(&self, _call: Option<InvocationId>, unix_ms: u64, text: &[u8]) {
                self.0
                    .lock()
                    .push((unix_ms, String::from_utf8_lossy(text).into_owned()));
            }
        }
        let written = Arc::<Written>::default();
        let mut reader = Reader::new(Arc::<Written>::clone(&written));
        reader.take(OutputStream::Out, b"1970-01-01T00:00:01.500000000Z begun ");
        reader.take(
            OutputStream::Err,
            b"1970-01-01T00:00:01.6Z of the other stream\n",
        );
        reader.take(OutputStream::Out, b"1970-01-01T00:00:02Z ended\n");
        reader.take(OutputStream::Out, b"without a time\n");
        // It broke off, and is read again.
        reader.known = reader.last;
        reader.take(OutputStream::Out, b"1970-01-01T00:00:02Z ended\n");
        reader.take(OutputStream::Out, b"1970-01-01T00:00:03Z more\n");
        let expected = [
            (1600, "of the other stream"),
            (1500, "begun ended"),
            (2000, "without a time"),
            (3000, "more"),
        ];
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(time, text)| (time, format!("{text}\n")))
            .collect();
        assert_eq!(*written.0.lock(), expected);
    }
}
