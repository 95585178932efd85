//! Events of the node: what happens, as it happens, for those who listen.
//!
//! Events are kept in one bounded ring that all readers share. A reader has a position in it and no buffer of its own: one
//! that never reads costs nothing, and is told how much it missed. Nothing is kept while nobody listens, and for a while
//! after the last reader has left, so that it can resume.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use parking_lot::Mutex;
use serverledge_core::{FunctionName, InvocationId, SpaceId};
use serverledge_wire::events::{
    DeployEvent, LoadEvent, OffloadEvent, PeerEvent, SandboxEvent, kind,
};
use tokio::sync::Notify;

use crate::clock::unix_ms;
use crate::runs::record::Run;

pub(crate) mod feed;
pub(crate) mod load;
#[cfg(test)]
mod tests;

/// Most events that are kept.
const COUNT_MAX: usize = 4096;
/// Most memory of the kept events.
const BYTES_MAX: usize = 4 * 1024 * 1024;
/// Approximate memory of an event and of its text, beside what a function wrote.
const EVENT_BYTES: usize = 1024;
/// Time after the last reader for which events are still kept, so that it can resume.
const LINGER_MS: u64 = 30_000;
/// [`EventBus::heard_until`] while there are readers.
const FOR_EVER: u64 = u64::MAX;

/// The node's events. Shared by those who publish and those who read.
#[derive(Debug)]
pub(crate) struct EventBus {
    /// The life of this process: positions of another life mean nothing.
    epoch: String,
    kept: Mutex<KeptEvents>,
    /// Time until which events are kept, in Unix milliseconds.
    heard_until: AtomicU64,
    arrived: Notify,
}

#[derive(Debug, Default)]
struct KeptEvents {
    events: VecDeque<Arc<NodeEvent>>,
    bytes: usize,
    /// The number of the next event.
    next: u64,
    readers: usize,
}

/// An event.
#[derive(Debug)]
pub(crate) struct NodeEvent {
    pub(crate) seq: u64,
    /// The function that it is about; `None`: the node.
    pub(crate) subject: Option<(SpaceId, FunctionName)>,
    pub(crate) body: EventBody,
    /// The text that all its readers are sent, made for the first of them.
    text: OnceLock<Bytes>,
}

/// The content of an event.
#[derive(Debug)]
pub(crate) enum EventBody {
    Run(Arc<Run>),
    Log {
        unix_ms: u64,
        invocation: Option<InvocationId>,
        text: Bytes,
    },
    /// Without the application's name, as are the two that follow: it is looked up for the reader.
    Deploy(DeployEvent),
    Sandbox(SandboxEvent),
    Offload(OffloadEvent),
    Peer(PeerEvent),
    Load(LoadEvent),
}

impl EventBody {
    /// The kind of event.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Run(_) => kind::RUN,
            Self::Log { .. } => kind::LOG,
            Self::Deploy(_) => kind::DEPLOY,
            Self::Sandbox(_) => kind::SANDBOX,
            Self::Offload(_) => kind::OFFLOAD,
            Self::Peer(_) => kind::PEER,
            Self::Load(_) => kind::LOAD,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            // Its text may be six times as long in JSON; most is not.
            Self::Log { text, .. } => EVENT_BYTES + 2 * text.len(),
            _ => EVENT_BYTES,
        }
    }
}

/// The place of a reader: its next event. Dropping it makes the bus forget the reader.
#[derive(Debug)]
pub(crate) struct Position {
    bus: Arc<EventBus>,
    next: u64,
}

/// The events at a position.
pub(crate) struct Read {
    /// Number of events before them that are not kept any more.
    pub(crate) missed: u64,
    pub(crate) events: Vec<Arc<NodeEvent>>,
}

// === impl EventBus ===

impl Default for EventBus {
    fn default() -> Self {
        let mut epoch = InvocationId::new().to_string();
        epoch.retain(|character| character != '-');
        Self {
            epoch,
            kept: Mutex::default(),
            heard_until: AtomicU64::new(0),
            arrived: Notify::new(),
        }
    }
}

impl EventBus {
    /// The life of this process.
    pub(crate) fn epoch(&self) -> &str {
        &self.epoch
    }

    /// Whether events are kept now.
    pub(crate) fn is_heard(&self) -> bool {
        match self.heard_until.load(Ordering::Relaxed) {
            0 => false,
            FOR_EVER => true,
            until => unix_ms() < until,
        }
    }

    /// Whether somebody reads now.
    pub(crate) fn has_readers(&self) -> bool {
        self.heard_until.load(Ordering::Relaxed) == FOR_EVER
    }

    /// Publishes an event about a function, if anybody may hear it.
    pub(crate) fn publish(
        &self,
        space: &SpaceId,
        function: &FunctionName,
        body: impl FnOnce() -> EventBody,
    ) {
        if self.is_heard() {
            self.add(Some((space.clone(), function.clone())), body());
        }
    }

    /// Publishes an event about the node, if anybody may hear it.
    pub(crate) fn publish_of_node(&self, body: impl FnOnce() -> EventBody) {
        if self.is_heard() {
            self.add(None, body());
        }
    }

    fn add(&self, subject: Option<(SpaceId, FunctionName)>, body: EventBody) {
        let mut kept = self.kept.lock();
        kept.bytes += body.bytes();
        let seq = kept.next;
        kept.next += 1;
        kept.events.push_back(Arc::new(NodeEvent {
            seq,
            subject,
            body,
            text: OnceLock::new(),
        }));
        while kept.events.len() > COUNT_MAX || kept.bytes > BYTES_MAX {
            let Some(gone) = kept.events.pop_front() else {
                break;
            };
            kept.bytes -= gone.body.bytes();
        }
        drop(kept);
        self.arrived.notify_waiters();
    }

    /// A new reader: of what comes from now on, or from behind this event on.
    pub(crate) fn read(self: &Arc<Self>, behind: Option<u64>) -> Position {
        let mut kept = self.kept.lock();
        if kept.readers == 0 && !self.is_heard() {
            // What happened since the last reader left was not kept: whoever comes back has missed it.
            kept.events.clear();
            kept.bytes = 0;
            kept.next += 1;
        }
        kept.readers += 1;
        self.heard_until.store(FOR_EVER, Ordering::Relaxed);
        // What was never published is no place.
        let next = behind.map_or(kept.next, |seen| seen.saturating_add(1).min(kept.next));
        Position {
            bus: Arc::clone(self),
            next,
        }
    }
}

impl Position {
    /// Number of readers at present.
    pub(crate) fn readers(&self) -> usize {
        self.bus.kept.lock().readers
    }

    /// The next events, at most so many; waits for the first. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self, count: usize) -> Read {
        loop {
            let bus = Arc::clone(&self.bus);
            let arrived = bus.arrived.notified();
            let read = self.read(count);
            if read.missed > 0 || !read.events.is_empty() {
                return read;
            }
            arrived.await;
        }
    }

    fn read(&mut self, count: usize) -> Read {
        let kept = self.bus.kept.lock();
        let first = kept.next - kept.events.len() as u64;
        let missed = first.saturating_sub(self.next);
        let from = usize::try_from(self.next.max(first) - first).unwrap_or(usize::MAX);
        let events: Vec<_> = kept.events.iter().skip(from).take(count).cloned().collect();
        drop(kept);
        self.next = self.next.max(first) + events.len() as u64;
        Read { missed, events }
    }
}

impl Drop for Position {
    fn drop(&mut self) {
        let mut kept = self.bus.kept.lock();
        kept.readers -= 1;
        if kept.readers == 0 {
            let until = unix_ms().saturating_add(LINGER_MS);
            self.bus.heard_until.store(until, Ordering::Relaxed);
        }
    }
}

impl NodeEvent {
    /// The text that readers are sent.
    pub(crate) fn text(&self, make: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.text.get_or_init(|| make(self)).clone()
    }
}
