//! The logs of functions: the end of each is kept, and followers receive new lines as they are written.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_api::{LogEntry, LogFeed};
use serverledge_core::{Function, FunctionLog, FunctionName, InvocationId, SpaceId};
use tokio::sync::broadcast;

use crate::events::{EventBody, EventBus};
use crate::telemetry::Telemetry;

/// Most memory for one function's log.
const BYTES_MAX: usize = 512 * 1024;
/// Approximate memory of an entry beside its text: the entry itself, and its allocation.
const ENTRY_BYTES: usize = 96;
/// Most entries that a slow follower may be behind.
const BEHIND_MAX: usize = 1024;

/// The logs of all functions.
pub(crate) struct FunctionLogs {
    events: Arc<EventBus>,
    telemetry: Arc<Telemetry>,
    logs: Mutex<HashMap<(SpaceId, FunctionName), Arc<KeptLog>>>,
}

/// The log of one function, of all its versions. After the function was deleted it still accepts lines, but no follower
/// gets them.
pub(crate) struct KeptLog {
    kept: Mutex<LogLines>,
    /// The others that hear of each line; `None`: nobody does.
    listeners: Option<LogListeners>,
}

/// Whoever hears of each line of a function, beside those who follow its log.
struct LogListeners {
    space: SpaceId,
    function: FunctionName,
    events: Arc<EventBus>,
    telemetry: Arc<Telemetry>,
}

impl std::fmt::Debug for KeptLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeptLog")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

impl LogListeners {
    fn hear(&self, call: Option<InvocationId>, unix_ms: u64, text: &Bytes) {
        self.telemetry.log(&self.function, call, unix_ms, text);
        self.events
            .publish(&self.space, &self.function, || EventBody::Log {
                unix_ms,
                invocation: call,
                text: text.clone(),
            });
    }
}

#[derive(Debug)]
struct LogLines {
    entries: VecDeque<LogEntry>,
    bytes: usize,
    /// The channel to followers; `None` once the function was deleted.
    live: Option<broadcast::Sender<LogEntry>>,
}

#[cfg(test)]
impl Default for FunctionLogs {
    fn default() -> Self {
        Self::new(Arc::default(), Arc::new(Telemetry::off()))
    }
}

impl FunctionLogs {
    /// Logs whose lines are events and telemetry as well.
    pub(crate) fn new(events: Arc<EventBus>, telemetry: Arc<Telemetry>) -> Self {
        Self {
            events,
            telemetry,
            logs: Mutex::default(),
        }
    }

    /// The log of a function, created at its first use.
    pub(crate) fn of(&self, function: &Function) -> Arc<KeptLog> {
        let mut logs = self.logs.lock();
        Arc::clone(
            logs.entry(key(function))
                .or_insert_with(|| Arc::new(KeptLog::new(Some(self.listeners(function))))),
        )
    }

    fn listeners(&self, function: &Function) -> LogListeners {
        let (space, function) = key(function);
        LogListeners {
            space,
            function,
            events: Arc::clone(&self.events),
            telemetry: Arc::clone(&self.telemetry),
        }
    }

    /// The kept entries of one invocation, in the order of time. Makes no log.
    pub(crate) fn of_invocation(&self, function: &Function, id: InvocationId) -> Vec<LogEntry> {
        let log = self.logs.lock().get(&key(function)).cloned();
        log.map(|log| log.of_invocation(id)).unwrap_or_default()
    }

    /// A feed of the kept lines and of all new ones.
    pub(crate) fn feed(&self, function: &Function) -> LogFeed {
        self.of(function).feed()
    }

    /// Ends and removes the log of a deleted function.
    pub(crate) fn forget(&self, function: &Function) {
        if let Some(log) = self.logs.lock().remove(&key(function)) {
            log.end();
        }
    }
}

fn key(function: &Function) -> (SpaceId, FunctionName) {
    (function.space.clone(), function.name.clone())
}

impl KeptLog {
    fn new(listeners: Option<LogListeners>) -> Self {
        let live = Some(broadcast::channel(BEHIND_MAX).0);
        Self {
            kept: Mutex::new(LogLines {
                entries: VecDeque::new(),
                bytes: 0,
                live,
            }),
            listeners,
        }
    }

    fn of_invocation(&self, id: InvocationId) -> Vec<LogEntry> {
        let kept = self.kept.lock();
        let of_it = kept
            .entries
            .iter()
            .filter(|entry| entry.invocation == Some(id));
        let mut entries: Vec<LogEntry> = of_it.cloned().collect();
        drop(kept);
        entries.sort_by_key(|entry| entry.time_unix_ms);
        entries
    }

    /// The log of a function that nobody can read.
    pub(crate) fn unread() -> Arc<Self> {
        Arc::new(Self::new(None))
    }

    /// A feed in the order of time: lines of different invocations may be stored a little out of order.
    fn feed(&self) -> LogFeed {
        let kept = self.kept.lock();
        let mut backlog: Vec<LogEntry> = kept.entries.iter().cloned().collect();
        let live = kept
            .live
            .as_ref()
            .map_or_else(|| broadcast::channel(1).1, broadcast::Sender::subscribe);
        drop(kept);
        backlog.sort_by_key(|entry| entry.time_unix_ms);
        LogFeed { backlog, live }
    }

    fn end(&self) {
        let mut kept = self.kept.lock();
        kept.entries.clear();
        kept.live = None;
    }

    /// Marks the lines of a failed invocation.
    pub(crate) fn mark_failed(&self, call: InvocationId) {
        let mut kept = self.kept.lock();
        let of_it = |entry: &&mut LogEntry| entry.invocation == Some(call);
        kept.entries
            .iter_mut()
            .filter(of_it)
            .for_each(|entry| entry.failed = true);
    }
}

impl FunctionLog for KeptLog {
    fn write(&self, call: Option<InvocationId>, unix_ms: u64, text: &[u8]) {
        let text = Bytes::copy_from_slice(text);
        if let Some(listeners) = &self.listeners {
            listeners.hear(call, unix_ms, &text);
        }
        let entry = LogEntry {
            time_unix_ms: unix_ms,
            invocation: call,
            failed: false,
            text,
        };
        let mut kept = self.kept.lock();
        // The function is gone.
        let Some(live) = &kept.live else { return };
        if live.receiver_count() > 0 {
            // The last follower may have left this moment.
            let _ = live.send(entry.clone());
        }
        kept.push(entry);
    }
}

impl LogLines {
    /// Adds an entry. The oldest entries make room; the last one is kept, whatever its size.
    fn push(&mut self, entry: LogEntry) {
        self.bytes += size(&entry);
        self.entries.push_back(entry);
        while self.bytes > BYTES_MAX && self.entries.len() > 1 {
            let gone = self.entries.pop_front();
            self.bytes -= gone.as_ref().map_or(0, size);
        }
    }
}

fn size(entry: &LogEntry) -> usize {
    ENTRY_BYTES + entry.text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::functions::tests::named as function;

    fn write(log: &KeptLog, bytes: usize) {
        log.write(None, 0, &vec![b'x'; bytes]);
    }

    #[test]
    fn the_end_is_kept_within_bounds() {
        let logs = FunctionLogs::default();
        let f = function("f");
        let g = function("g");
        let of_f = logs.of(&f);
        let of_g = logs.of(&g);
        (0..10).for_each(|_| write(&of_f, BYTES_MAX / 4 - ENTRY_BYTES));
        assert_eq!(logs.feed(&f).backlog.len(), 4);
        (0..2 * BYTES_MAX / ENTRY_BYTES).for_each(|_| write(&of_g, 1));
        assert_eq!(logs.feed(&g).backlog.len(), BYTES_MAX / (ENTRY_BYTES + 1));
        write(&of_f, 2 * BYTES_MAX);
        assert_eq!(
            logs.feed(&f).backlog.len(),
            1,
            "the last one is kept, whatever its size"
        );
        logs.forget(&f);
        write(&of_f, 1);
        assert!(logs.feed(&f).backlog.is_empty());
    }

    #[test]
    fn a_follower_misses_nothing_after_the_backlog() {
        let logs = FunctionLogs::default();
        let f = function("f");
        let log = logs.of(&f);
        write(&log, 1);
        let mut feed = logs.feed(&f);
        write(&log, 2);
        assert_eq!(
            (feed.backlog.len(), feed.live.try_recv().unwrap().text.len()),
            (1, 2)
        );
        logs.forget(&f);
        assert!(matches!(
            feed.live.try_recv(),
            Err(broadcast::error::TryRecvError::Closed)
        ));
    }

    #[test]
    fn lines_are_shown_in_the_order_of_time_and_know_of_failures() {
        let logs = FunctionLogs::default();
        let f = function("f");
        let call = InvocationId::new();
        let log = logs.of(&f);
        log.write(Some(call), 2, b"second\n");
        log.write(None, 1, b"first\n");
        log.mark_failed(call);
        let shown: Vec<_> = logs
            .feed(&f)
            .backlog
            .into_iter()
            .map(|entry| (entry.text, entry.failed))
            .collect();
        assert_eq!(
            shown,
            [
                (Bytes::from_static(b"first\n"), false),
                (Bytes::from_static(b"second\n"), true)
            ]
        );
    }
}
