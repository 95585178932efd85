//! The events of a node as they happen, over as many connections as that takes.

use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderName, HeaderValue};
use serde::de::DeserializeOwned;
use serverledge_core::FunctionName;
use serverledge_wire::events::{
    DeployEvent, EVENT_STREAM, Hello, LoadEvent, LogEvent, Missed, OffloadEvent, PeerEvent,
    SandboxEvent, kind,
};
use serverledge_wire::runs::RunInfo;
use tokio::time::{Instant, sleep_until};

use crate::call::Answer;
use crate::client::Client;
use crate::error::ClientError;
use crate::event_parser::{EventParser, SentEvent};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Pauses before a new connection, unless the node asks for another: doubled with each that fails.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// Bounds of the pause that a node can ask for.
const ASKED_MIN: Duration = Duration::from_millis(100);
const ASKED_MAX: Duration = Duration::from_secs(30);
/// A stream that ends after this time has not been lost: the node has ended it.
const WHOLE_STREAM_MIN: Duration = Duration::from_secs(60);

/// The events that are asked for.
#[derive(Debug, Clone, Default)]
pub struct WantedEvents {
    /// Their kinds, as [`kind`] names them; empty: all that the caller may see.
    pub kinds: Vec<&'static str>,
    /// Those of this function alone.
    pub function: Option<FunctionName>,
    /// Those of everybody's functions; for operators.
    pub all: bool,
}

/// A stream of events. After a lost connection it goes on behind the last event that came, as far as the node still has
/// them. Dropping it tells the node that its reader has left.
#[derive(Debug)]
pub struct EventStream {
    client: Client,
    wanted: WantedEvents,
    last_id: String,
    connection: EventConnection,
    /// The pause after the next loss.
    pause: Duration,
}

#[derive(Debug)]
enum EventConnection {
    Closed {
        again_at: Instant,
    },
    Open {
        answer: Box<Answer>,
        parser: EventParser,
        since: Instant,
    },
}

/// A change that a stream of events tells.
#[derive(Debug)]
pub enum EventUpdate {
    /// An event has come.
    Event(ReceivedEvent),
    /// There is no connection. The stream makes a new one after a pause.
    Lost {
        /// The reason.
        error: ClientError,
        /// The pause.
        again_in: Duration,
    },
}

/// An event of a node.
#[derive(Debug, Clone)]
pub struct ReceivedEvent {
    /// Its data as JSON, as it came.
    pub data: String,
    /// Its kind, and its data as read.
    pub event: NodeEvent,
}

/// An event by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NodeEvent {
    /// The first of each connection.
    Hello(Hello),
    /// Events that this reader does not get.
    Missed(Missed),
    /// A run has ended.
    Run(Box<RunInfo>),
    /// A function has changed.
    Deploy(DeployEvent),
    /// A function has written to its log.
    Log(LogEvent),
    /// A sandbox was started or removed.
    Sandbox(SandboxEvent),
    /// A call was offloaded.
    Offload(OffloadEvent),
    /// Another node has come or gone.
    Peer(PeerEvent),
    /// The node's load.
    Load(LoadEvent),
    /// An event of a kind that this client does not know.
    Other,
}

// === impl Client ===

impl Client {
    /// The events of the node from now on. Connects with the first call of [`EventStream::next`].
    #[must_use]
    pub fn events(&self, wanted: WantedEvents) -> EventStream {
        EventStream {
            client: self.clone(),
            wanted,
            last_id: String::new(),
            connection: EventConnection::Closed {
                again_at: Instant::now(),
            },
            pause: PAUSE_MIN,
        }
    }
}

// === impl EventStream ===

impl EventStream {
    /// The next event, or the loss of the connection; never ends on its own. Dropping the future loses nothing.
    ///
    /// # Errors
    /// A refusal that another try would meet as well, for instance a missing right, and an answer that is no stream of
    /// events; see [`ClientError`]. What passes is no error but [`EventUpdate::Lost`].
    pub async fn next(&mut self) -> Result<EventUpdate, ClientError> {
        loop {
            match &mut self.connection {
                EventConnection::Closed { again_at } => {
                    sleep_until(*again_at).await;
                    match self.connect().await {
                        Ok(answer) => {
                            self.connection = EventConnection::Open {
                                answer: Box::new(answer),
                                parser: EventParser::after(&self.last_id),
                                since: Instant::now(),
                            };
                        }
                        Err(error) if error.is_passing() => return Ok(self.lost(error)),
                        Err(error) => return Err(error),
                    }
                }
                EventConnection::Open {
                    answer,
                    parser,
                    since,
                } => {
                    if let Some(sent) = parser.next() {
                        let event = read(answer, &sent)?;
                        self.pause = PAUSE_MIN;
                        self.last_id = sent.id;
                        let data = sent.data;
                        return Ok(EventUpdate::Event(ReceivedEvent { data, event }));
                    }
                    match answer.chunk().await {
                        Ok(Some(chunk)) => {
                            let pushed = parser.push(&chunk);
                            pushed.map_err(|fault| answer.misread(&fault))?;
                        }
                        // Nodes end streams after a while, so that rights are looked at anew.
                        Ok(None) if since.elapsed() >= WHOLE_STREAM_MIN => {
                            self.connection = EventConnection::Closed {
                                again_at: Instant::now() + ASKED_MIN,
                            };
                        }
                        Ok(None) => {
                            let error = answer.cut_off();
                            return Ok(self.lost(error));
                        }
                        Err(error) => return Ok(self.lost(error)),
                    }
                }
            }
        }
    }

    async fn connect(&self) -> Result<Answer, ClientError> {
        let kinds = (!self.wanted.kinds.is_empty()).then(|| self.wanted.kinds.join(","));
        let function = self.wanted.function.as_ref().map(FunctionName::as_str);
        let mut call = self
            .client
            .get(&["events"])
            .query("kinds", kinds.as_deref())
            .query("function", function)
            .query("all", self.wanted.all.then_some("true"))
            .header(ACCEPT, HeaderValue::from_static(EVENT_STREAM));
        if !self.last_id.is_empty()
            && let Ok(id) = HeaderValue::from_str(&self.last_id)
        {
            call = call.header(LAST_EVENT_ID, id);
        }
        let answer = call.begin_endless().await?;
        let content_type = answer.headers().get(CONTENT_TYPE);
        let is_stream =
            content_type.is_some_and(|value| value.as_bytes().starts_with(EVENT_STREAM.as_bytes()));
        if is_stream {
            Ok(answer)
        } else {
            Err(answer.misread(&"it is no stream of events"))
        }
    }

    fn lost(&mut self, error: ClientError) -> EventUpdate {
        let asked = match (&self.connection, &error) {
            (EventConnection::Open { parser, .. }, _) => parser.retry(),
            (_, ClientError::Problem { retry_after, .. }) => *retry_after,
            _ => None,
        };
        let again_in = asked.map_or(self.pause, |asked| asked.clamp(ASKED_MIN, ASKED_MAX));
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        self.connection = EventConnection::Closed {
            again_at: Instant::now() + again_in,
        };
        EventUpdate::Lost { error, again_in }
    }
}

fn read(answer: &Answer, sent: &SentEvent) -> Result<NodeEvent, ClientError> {
    fn data<T: DeserializeOwned>(answer: &Answer, sent: &SentEvent) -> Result<T, ClientError> {
        answer.decode(sent.data.as_bytes())
    }
    Ok(match sent.kind.as_str() {
        kind::HELLO => NodeEvent::Hello(data(answer, sent)?),
        kind::MISSED => NodeEvent::Missed(data(answer, sent)?),
        kind::RUN => NodeEvent::Run(data(answer, sent)?),
        kind::DEPLOY => NodeEvent::Deploy(data(answer, sent)?),
        kind::LOG => NodeEvent::Log(data(answer, sent)?),
        kind::SANDBOX => NodeEvent::Sandbox(data(answer, sent)?),
        kind::OFFLOAD => NodeEvent::Offload(data(answer, sent)?),
        kind::PEER => NodeEvent::Peer(data(answer, sent)?),
        kind::LOAD => NodeEvent::Load(data(answer, sent)?),
        _ => NodeEvent::Other,
    })
}
