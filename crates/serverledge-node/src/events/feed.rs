//! One reader's events, as text of a stream of events.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serverledge_api::{EventFeed, EventFilter, EventId, event_text};
use serverledge_wire::events::{
    DeployEvent, Hello, LogEvent, Missed, OffloadEvent, SandboxEvent, kind,
};
use tokio::time::Instant;

use super::{EventBody, EventBus, NodeEvent, Position, Read};
use crate::functions::spaces::Spaces;
use crate::runs::shown::{run_info, shown_name};

/// Pause between two pieces: many events at once cost one wake-up of each reader. Many readers wait longer, so that the
/// calls beside them do not (`scripts/bench/events.sh`: with a hundred readers on two cores, the slowest hundredth of the
/// calls took 1.57 times as long with pauses of 100 ms, and 1.18 times with 500 ms).
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_OF_EACH: Duration = Duration::from_millis(4);
const PAUSE_MAX: Duration = Duration::from_millis(500);
/// Most events that are read at once: a reader gets at most some thousand in a second, and is told what it misses.
const EVENTS_MAX: usize = 2048;
/// Bytes after which a piece is sent.
const PIECE_BYTES: usize = 256 * 1024;

/// One reader's events. Dropping it ends them.
pub(crate) struct Feed {
    position: Position,
    filter: EventFilter,
    epoch: String,
    /// This node, as `area/name`.
    node: String,
    spaces: Arc<dyn Spaces>,
    /// The text to begin with.
    first: Option<Bytes>,
    /// The time of the next piece.
    next_at: Instant,
    /// Events that were read and are not sent yet.
    unsent: std::collections::VecDeque<Arc<NodeEvent>>,
}

impl Feed {
    /// The events for a reader.
    pub(crate) fn new(
        bus: &Arc<EventBus>,
        filter: EventFilter,
        node: String,
        spaces: Arc<dyn Spaces>,
    ) -> Self {
        let epoch = bus.epoch().to_owned();
        let known = filter.last.as_ref().filter(|last| last.epoch == epoch);
        let hello = Hello {
            node: node.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let mut first = BytesMut::from(&event_text(None, kind::HELLO, &json(&hello))[..]);
        if filter.last.is_some() && known.is_none() {
            first.extend_from_slice(&event_text(
                None,
                kind::MISSED,
                &json(&Missed { missed: 0 }),
            ));
        }
        Self {
            position: bus.read(known.map(|last| last.seq)),
            filter,
            epoch,
            node,
            spaces,
            first: Some(first.freeze()),
            next_at: Instant::now(),
            unsent: std::collections::VecDeque::new(),
        }
    }

    fn takes(&self, event: &NodeEvent) -> bool {
        let kind = event.body.kind();
        let is_kind = self.filter.kinds.is_empty() || self.filter.kinds.contains(&kind);
        is_kind
            && match &event.subject {
                None => self.filter.of_node,
                Some((space, name)) => {
                    let wanted = self.filter.function.as_deref();
                    let shown = match &event.body {
                        EventBody::Run(run) => shown_name(run),
                        _ => name.as_str(),
                    };
                    self.filter.scope.has(space) && wanted.is_none_or(|wanted| wanted == shown)
                }
            }
    }

    fn text(&self, event: &NodeEvent) -> Bytes {
        event.text(|event| {
            let id = EventId {
                epoch: self.epoch.clone(),
                seq: event.seq,
            };
            event_text(Some(&id), event.body.kind(), &self.data(event))
        })
    }

    fn data(&self, event: &NodeEvent) -> Vec<u8> {
        let subject = event.subject.as_ref();
        let app = subject.and_then(|(space, _)| self.spaces.application(space));
        match &event.body {
            EventBody::Run(run) => json(&run_info(run, &self.node, &*self.spaces)),
            EventBody::Log {
                unix_ms,
                invocation,
                text,
            } => json(&LogEvent {
                unix_ms: *unix_ms,
                function: subject
                    .map(|(_, name)| name.to_string())
                    .unwrap_or_default(),
                app,
                invocation: invocation.map(|id| id.to_string()),
                text: String::from_utf8_lossy(text).into_owned(),
            }),
            EventBody::Deploy(event) => json(&DeployEvent {
                app,
                node: self.node.clone(),
                ..event.clone()
            }),
            EventBody::Sandbox(event) => json(&SandboxEvent {
                app,
                ..event.clone()
            }),
            EventBody::Offload(event) => json(&OffloadEvent {
                app,
                ..event.clone()
            }),
            EventBody::Peer(event) => json(event),
            EventBody::Load(event) => json(event),
        }
    }

    /// The piece of what is unsent and wanted; empty if nothing is.
    fn piece(&mut self, missed: u64) -> Bytes {
        let mut piece = BytesMut::new();
        if missed > 0 {
            piece.extend_from_slice(&event_text(None, kind::MISSED, &json(&Missed { missed })));
        }
        while piece.len() < PIECE_BYTES {
            let Some(event) = self.unsent.pop_front() else {
                break;
            };
            if self.takes(&event) {
                piece.extend_from_slice(&self.text(&event));
            }
        }
        piece.freeze()
    }
}

#[async_trait]
impl EventFeed for Feed {
    async fn next(&mut self) -> Bytes {
        if let Some(first) = self.first.take() {
            return first;
        }
        loop {
            tokio::time::sleep_until(self.next_at).await;
            let mut missed = 0;
            if self.unsent.is_empty() {
                let Read {
                    missed: lost,
                    events,
                } = self.position.next(EVENTS_MAX).await;
                missed = lost;
                self.unsent.extend(events);
            }
            let piece = self.piece(missed);
            let readers = u32::try_from(self.position.readers()).unwrap_or(u32::MAX);
            let pause = if self.unsent.is_empty() {
                PAUSE_MAX.min(PAUSE + PAUSE_OF_EACH.saturating_mul(readers))
            } else {
                PAUSE
            };
            self.next_at = Instant::now() + pause;
            if !piece.is_empty() {
                return piece;
            }
        }
    }
}

fn json<T: Serialize>(value: &T) -> Vec<u8> {
    // Our own types have string keys and no failing serializers.
    serde_json::to_vec(value).unwrap_or_default()
}
