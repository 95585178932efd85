//! What functions wrote lately, by function: the end of it is kept, and whoever follows hears what comes.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serverledge_api::{LogEntry, LogFeed};
use serverledge_core::{Function, FunctionName, SpaceId};
use tokio::sync::broadcast;

/// Bytes kept of one function.
const BYTES_MAX: usize = 256 * 1024;
/// Entries kept of one function.
const ENTRIES_MAX: usize = 1_000;
/// Entries that a slow follower may be behind.
const BEHIND_MAX: usize = 256;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct FunctionLogs {
    logs: Mutex<HashMap<(SpaceId, FunctionName), Log>>,
}

#[derive(Debug)]
struct Log {
    entries: VecDeque<Arc<LogEntry>>,
    bytes: usize,
    live: broadcast::Sender<Arc<LogEntry>>,
}

impl FunctionLogs {
    /// Keeps an entry; the oldest ones make room.
    pub(crate) fn push(&self, function: &Function, entry: LogEntry) {
        let mut logs = self.logs.lock();
        let log = logs.entry(key(function)).or_insert_with(Log::new);
        let entry = Arc::new(entry);
        log.bytes += entry.text.len();
        log.entries.push_back(Arc::clone(&entry));
        while log.entries.len() > ENTRIES_MAX || (log.bytes > BYTES_MAX && log.entries.len() > 1) {
            let gone = log.entries.pop_front();
            log.bytes -= gone.map_or(0, |entry| entry.text.len());
        }
        // Nobody may be following.
        let _ = log.live.send(entry);
    }

    /// What is kept, and what comes from now on.
    pub(crate) fn feed(&self, function: &Function) -> LogFeed {
        let mut logs = self.logs.lock();
        let log = logs.entry(key(function)).or_insert_with(Log::new);
        LogFeed {
            backlog: log.entries.iter().cloned().collect(),
            live: log.live.subscribe(),
        }
    }

    /// A deleted function's log ends with it.
    pub(crate) fn forget(&self, function: &Function) {
        self.logs.lock().remove(&key(function));
    }
}

fn key(function: &Function) -> (SpaceId, FunctionName) {
    (function.space.clone(), function.name.clone())
}

impl Log {
    fn new() -> Self {
        Self {
            entries: VecDeque::new(),
            bytes: 0,
            live: broadcast::channel(BEHIND_MAX).0,
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serverledge_core::InvocationId;

    use super::*;
    use crate::functions::tests::named as function;

    fn entry(bytes: usize) -> LogEntry {
        let text = Bytes::from(vec![b'x'; bytes]);
        LogEntry {
            time_unix_ms: 0,
            invocation: InvocationId::new(),
            failed: false,
            text,
        }
    }

    #[test]
    fn the_end_is_kept_within_bounds() {
        let (logs, f, g) = (FunctionLogs::default(), function("f"), function("g"));
        (0..10).for_each(|_| logs.push(&f, entry(BYTES_MAX / 4)));
        assert_eq!(logs.feed(&f).backlog.len(), 4);
        (0..2 * ENTRIES_MAX).for_each(|_| logs.push(&g, entry(1)));
        assert_eq!(logs.feed(&g).backlog.len(), ENTRIES_MAX);
        logs.push(&f, entry(2 * BYTES_MAX));
        assert_eq!(
            logs.feed(&f).backlog.len(),
            1,
            "the last one is kept, whatever its size"
        );
        logs.forget(&f);
        assert!(logs.feed(&f).backlog.is_empty());
    }

    #[test]
    fn a_follower_misses_nothing_after_the_backlog() {
        let (logs, f) = (FunctionLogs::default(), function("f"));
        logs.push(&f, entry(1));
        let mut feed = logs.feed(&f);
        logs.push(&f, entry(2));
        assert_eq!(
            (feed.backlog.len(), feed.live.try_recv().unwrap().text.len()),
            (1, 2)
        );
        drop(logs);
        assert!(feed.live.try_recv().is_err());
    }
}
