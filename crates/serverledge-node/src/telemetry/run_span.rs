//! One run as telemetry tells it, and the places of the latest runs in their traces.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serverledge_core::{FunctionName, InvocationId, TraceIds};

use crate::runs::record::Run;

/// Most runs whose place in a trace is known to their log lines.
const RECENT_MAX: usize = 4096;

/// One run, as spans and metrics tell it.
#[derive(Debug, Clone)]
pub(crate) struct RunSpan {
    pub(crate) record: Arc<Run>,
    /// The function's name, as its owner knows it.
    pub(crate) function: FunctionName,
    /// The application that the function belongs to.
    pub(crate) app: Option<String>,
    pub(crate) trace: TraceIds,
}

/// The places of runs in their traces, the latest ones: log lines know their invocation only.
#[derive(Debug, Default)]
pub(super) struct RecentRuns {
    ids: HashMap<InvocationId, TraceIds>,
    order: VecDeque<InvocationId>,
}

// === impl RecentRuns ===

impl RecentRuns {
    pub(super) fn add(&mut self, id: InvocationId, trace: TraceIds) {
        if self.ids.insert(id, trace).is_some() {
            return;
        }
        self.order.push_back(id);
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    pub(super) fn get(&self, id: InvocationId) -> Option<TraceIds> {
        self.ids.get(&id).copied()
    }
}
