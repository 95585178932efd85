//! Runs and events that a test sets.

use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use serverledge_api::{EventFeed, EventFilter, RunRecords, RunScope};
use serverledge_core::InvocationId;
use serverledge_wire::runs::{
    InvocationQuestion, InvocationTraces, NodeStats, RunFilter, RunInfo, RunPage, RunsQuestion,
    Sandboxes, Stats,
};

/// The runs of the fake node. It says what it was asked.
#[derive(Default)]
pub(crate) struct FakeRuns {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    traces: InvocationTraces,
    asked: Vec<String>,
    events: Vec<Bytes>,
}

impl FakeRuns {
    /// There is this invocation, and no other.
    pub(crate) fn keep(&self, traces: InvocationTraces) {
        self.state.lock().unwrap().traces = traces;
    }

    /// Every reader gets these pieces, and then none for ever.
    pub(crate) fn events(&self, pieces: &[&'static str]) {
        self.state.lock().unwrap().events = pieces
            .iter()
            .rev()
            .map(|piece| Bytes::from_static(piece.as_bytes()))
            .collect();
    }

    /// Takes what was asked so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    fn note(&self, asked: String) {
        self.state.lock().unwrap().asked.push(asked);
    }
}

/// A run with a result.
pub(crate) fn run(id: &str) -> RunInfo {
    RunInfo {
        id: id.to_owned(),
        function: "json".to_owned(),
        app: None,
        version: "abab".to_owned(),
        trigger: "invoke".to_owned(),
        status: "completed".to_owned(),
        code: None,
        message: None,
        started_unix_ms: 1000,
        queue_us: 1000,
        start_us: 2000,
        execution_us: 3000,
        total_us: 7000,
        warm: true,
        cache: "run".to_owned(),
        node: "ROME/n1".to_owned(),
        ran_on: "ROME/n1".to_owned(),
        params_bytes: 2,
        result_bytes: 4,
        caller: None,
        parent: None,
        root: id.to_owned(),
        depth: 0,
        trace_id: "01".repeat(16),
        span_id: "02".repeat(8),
        requests: Vec::new(),
        more_requests: 0,
    }
}

#[async_trait]
impl RunRecords for FakeRuns {
    async fn runs(&self, scope: &RunScope, filter: RunFilter, cluster: bool) -> RunPage {
        self.note(format!("{scope:?} {filter:?} {cluster}"));
        RunPage {
            runs: self.state.lock().unwrap().traces.runs.clone(),
            ..RunPage::default()
        }
    }

    async fn invocation(&self, scope: &RunScope, id: InvocationId, log: bool) -> InvocationTraces {
        self.note(format!("{scope:?} {id} {log}"));
        self.state.lock().unwrap().traces.clone()
    }

    fn own_runs(&self, question: &RunsQuestion) -> RunPage {
        self.note(format!("{question:?}"));
        RunPage::default()
    }

    fn own_invocation(&self, question: &InvocationQuestion) -> InvocationTraces {
        self.note(format!("{question:?}"));
        InvocationTraces::default()
    }

    fn stats(&self, scope: &RunScope, function: Option<&str>) -> Stats {
        self.note(format!("{scope:?} {function:?}"));
        Stats {
            step_ms: 10_000,
            window_ms: 600_000,
            unix_ms: 1,
            functions: Vec::new(),
            points: None,
        }
    }

    fn node_stats(&self) -> NodeStats {
        NodeStats {
            step_ms: 10_000,
            points: Vec::new(),
        }
    }

    fn sandboxes(&self) -> Sandboxes {
        Sandboxes {
            sandboxes: Vec::new(),
        }
    }

    fn events(&self, filter: EventFilter) -> Box<dyn EventFeed> {
        self.note(format!("{filter:?}"));
        Box::new(FakeFeed(self.state.lock().unwrap().events.clone()))
    }
}

struct FakeFeed(Vec<Bytes>);

#[async_trait]
impl EventFeed for FakeFeed {
    async fn next(&mut self) -> Bytes {
        match self.0.pop() {
            Some(piece) => piece,
            None => std::future::pending().await,
        }
    }
}
