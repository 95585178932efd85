//! The record of a run.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use serverledge_core::{
    CallOrigin, Digest, FunctionName, InvocationError, InvocationId, Phases, PropagatedContext,
    RunStatus, Source, SpaceId, TraceIds, whole_millis,
};

use super::requests::RequestLog;
use super::series::FunctionSeries;

/// Bytes of an error's message that its record keeps.
pub(super) const MESSAGE_BYTES_MAX: usize = 256;

/// The function of a run: what its records share. Made once for each version that is called.
#[derive(Debug)]
pub(crate) struct RunFunction {
    pub(crate) space: SpaceId,
    pub(crate) name: FunctionName,
    pub(crate) version: Digest,
    /// The memory limit of the version, in MiB.
    pub(crate) memory_mib: u64,
    pub(crate) series: Arc<FunctionSeries>,
}

/// The record of one run.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) id: InvocationId,
    pub(crate) root: InvocationId,
    pub(crate) origin: CallOrigin,
    pub(crate) depth: u32,
    pub(crate) function: Arc<RunFunction>,
    pub(crate) status: RunStatus,
    /// The error's code; empty for a run with a result.
    pub(crate) code: &'static str,
    pub(crate) message: Option<Box<str>>,
    /// Time of the arrival, in Unix milliseconds.
    pub(crate) started_unix_ms: u64,
    pub(crate) phases: Phases,
    pub(crate) warm: bool,
    pub(crate) cache: Source,
    /// The other node that ran it, as `area/name`.
    pub(crate) ran_on: Option<Box<str>>,
    pub(crate) params_bytes: u64,
    /// Bytes of the result, where they are known at its begin.
    pub(crate) result_bytes: u64,
    /// Bytes of a streamed response so far.
    pub(crate) streamed: Option<Arc<AtomicU64>>,
    pub(crate) propagated: Option<Arc<PropagatedContext>>,
    /// Its requests to hosts outside, if it sent any.
    pub(crate) requests: Option<Arc<RequestLog>>,
}

// === impl Run ===

impl Run {
    /// The place of the run in its trace.
    pub(crate) fn trace(&self) -> TraceIds {
        TraceIds::of(
            self.id,
            self.root,
            self.origin.parent,
            self.propagated.as_deref(),
        )
    }

    /// Bytes of the result, or of a response as far as it was sent.
    pub(crate) fn sent_bytes(&self) -> u64 {
        let streamed = self.streamed.as_ref();
        self.result_bytes + streamed.map_or(0, |read| read.load(Relaxed))
    }

    /// Approximate memory of the record and of its place.
    pub(super) fn bytes(&self) -> usize {
        // A call tree's context is shared; each record counts one.
        const SHARED: usize = size_of::<RunFunction>() + size_of::<PropagatedContext>() + 128;
        // A count, with those of its owners.
        const STREAMED: usize = 3 * size_of::<AtomicU64>();
        size_of::<Self>()
            + SHARED
            + self.message.as_ref().map_or(0, |text| text.len())
            + self.ran_on.as_ref().map_or(0, |text| text.len())
            + self.propagated.as_ref().map_or(0, |known| {
                known.request_id.len() + known.trace.len() + known.trace_state.len()
            })
            + self.requests.as_ref().map_or(0, |log| log.bytes())
            + self.streamed.as_ref().map_or(0, |_| STREAMED)
    }

    pub(super) fn ended_unix_ms(&self) -> u64 {
        self.started_unix_ms
            .saturating_add(whole_millis(self.phases.total))
    }

    pub(super) fn fail(&mut self, error: &InvocationError) {
        self.status = RunStatus::of(error);
        self.code = error.code();
        let text = match error {
            // Its details are for the log of the node.
            InvocationError::Internal { .. } => "the node failed to run the function".to_owned(),
            other => other.to_string(),
        };
        let line = text.lines().next().unwrap_or_default();
        self.message = Some(line[..line.floor_char_boundary(MESSAGE_BYTES_MAX)].into());
    }
}
