//! The operations on runs and events that the routes need of a node.

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_core::{InvocationId, SpaceId};
use serverledge_wire::runs::{
    InvocationQuestion, InvocationTraces, NodeStats, RunFilter, RunPage, RunsQuestion, Sandboxes,
    Stats,
};

/// The spaces whose runs and events a caller may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunScope {
    /// All: an operator's, or anybody's while authentication is off.
    All,
    /// These.
    Spaces(Vec<SpaceId>),
}

impl RunScope {
    /// Whether it has this space.
    #[must_use]
    pub fn has(&self, space: &SpaceId) -> bool {
        match self {
            Self::All => true,
            Self::Spaces(spaces) => spaces.contains(space),
        }
    }

    /// The spaces as nodes tell each other; `None`: all.
    #[must_use]
    pub fn spaces(&self) -> Option<Vec<String>> {
        match self {
            Self::All => None,
            Self::Spaces(spaces) => Some(spaces.iter().map(ToString::to_string).collect()),
        }
    }

    /// The scope that another node tells; what is no space is left out.
    #[must_use]
    pub fn of_spaces(spaces: Option<&[String]>) -> Self {
        match spaces {
            None => Self::All,
            Some(spaces) => Self::Spaces(
                spaces
                    .iter()
                    .filter_map(|space| SpaceId::parse(space))
                    .collect(),
            ),
        }
    }
}

/// The events that a reader asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFilter {
    /// The functions whose events it may see.
    pub scope: RunScope,
    /// Whether it may see those of the node itself.
    pub of_node: bool,
    /// The kinds of events; empty: all.
    pub kinds: Vec<&'static str>,
    /// Only those of functions of this name, and of the node.
    pub function: Option<String>,
    /// The id of the last event that it has, from an earlier stream.
    pub last: Option<EventId>,
}

/// The id of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventId {
    /// The life of the node.
    pub epoch: String,
    /// The event's number in that life.
    pub seq: u64,
}

impl EventId {
    /// Reads a `Last-Event-ID`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (epoch, seq) = text.split_once('-')?;
        let is_epoch = !epoch.is_empty()
            && epoch.len() <= 64
            && epoch.bytes().all(|b| b.is_ascii_alphanumeric());
        is_epoch.then_some(Self {
            epoch: epoch.to_owned(),
            seq: seq.parse().ok()?,
        })
    }
}

impl std::fmt::Display for EventId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

/// One reader's events.
#[async_trait]
pub trait EventFeed: Send {
    /// The next events as text of a stream of events; waits for them. Dropping the future loses none.
    async fn next(&mut self) -> Bytes;
}

/// The records of runs, and the events of the node.
#[async_trait]
pub trait RunRecords: Send + Sync + 'static {
    /// A page of runs of this node, or of all nodes.
    async fn runs(&self, scope: &RunScope, filter: RunFilter, cluster: bool) -> RunPage;

    /// The records of one invocation on all nodes, and what they keep of its log if that is wanted.
    async fn invocation(&self, scope: &RunScope, id: InvocationId, log: bool) -> InvocationTraces;

    /// The answer to another node's question.
    fn own_runs(&self, question: &RunsQuestion) -> RunPage;

    /// The answer to another node's question.
    fn own_invocation(&self, question: &InvocationQuestion) -> InvocationTraces;

    /// The figures of functions, or of one function with its steps.
    fn stats(&self, scope: &RunScope, function: Option<&str>) -> Stats;

    /// The figures of the node.
    fn node_stats(&self) -> NodeStats;

    /// The sandboxes that are kept between calls.
    fn sandboxes(&self) -> Sandboxes;

    /// The events from now on, or from the reader's last one on.
    fn events(&self, filter: EventFilter) -> Box<dyn EventFeed>;
}

/// An event as text of a stream of events (WHATWG HTML §9.2.5). `data` is JSON, which has no line end.
#[must_use]
pub fn event_text(id: Option<&EventId>, kind: &str, data: &[u8]) -> Bytes {
    let mut text = Vec::with_capacity(data.len() + 96);
    if let Some(id) = id {
        text.extend_from_slice(format!("id: {id}\n").as_bytes());
    }
    text.extend_from_slice(b"event: ");
    text.extend_from_slice(kind.as_bytes());
    text.extend_from_slice(b"\ndata: ");
    text.extend_from_slice(data);
    text.extend_from_slice(b"\n\n");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_come_back() {
        let id = EventId {
            epoch: "019ad0".to_owned(),
            seq: 7,
        };
        assert_eq!(EventId::parse(&id.to_string()), Some(id.clone()));
        for bad in ["", "-", "a-", "a-x", "-1", "a b-1"] {
            assert_eq!(EventId::parse(bad), None, "{bad}");
        }
        let text = event_text(Some(&id), "run", b"{}");
        assert_eq!(&text[..], b"id: 019ad0-7\nevent: run\ndata: {}\n\n");
    }

    #[test]
    fn scopes_come_back_from_other_nodes() {
        let some = RunScope::Spaces(vec![SpaceId::new(), SpaceId::default_space()]);
        for scope in [RunScope::All, some] {
            assert_eq!(RunScope::of_spaces(scope.spaces().as_deref()), scope);
        }
        let none = RunScope::of_spaces(Some(&["../".to_owned()]));
        assert!(!none.has(&SpaceId::default_space()));
    }
}
