//! Runs: a record of every invocation, kept in a bounded memory, and the figures of functions over time.
//!
//! A record is made when an invocation ends, whatever its outcome. From the record come the lists of `GET /invocations`,
//! the events of `GET /events`, the spans of telemetry and the time series of `GET /stats`.

use std::sync::Arc;

use parking_lot::Mutex;
use serverledge_core::{
    CallOrigin, Function, FunctionName, InvocationError, InvocationId, Payload, Phases,
    PropagatedContext, Reply, Report, RunStatus, Source, whole_millis,
};

use self::history::{RunHistory, RunSample};
use self::record::{Run, RunFunction};
use self::requests::RequestLog;
use self::series::{Observation, SeriesTable};
use self::shown::{is_under_test, shown_name};
use crate::clock::{now, unix_ms};
use crate::config::RunsConfig;
use crate::events::{EventBody, EventBus};
use crate::functions::FunctionEntry;
use crate::functions::spaces::Spaces;
use crate::invoke::request::ResolvedCall;
use crate::telemetry::{RunSpan, Telemetry};

mod body_size;
pub(crate) mod history;
pub(crate) mod reader;
pub(crate) mod record;
pub(crate) mod requests;
pub(crate) mod series;
pub(crate) mod shown;
#[cfg(test)]
mod tests;

/// An invocation that has not ended. Dropped before its end, it was abandoned.
pub(crate) struct RunInProgress<'a> {
    recorder: &'a RunRecorder,
    /// The facts that are known at the start; `None` once it has ended.
    begun: Option<BegunRun>,
}

/// The facts of a run that are known at its start.
struct BegunRun {
    entry: Arc<FunctionEntry>,
    id: InvocationId,
    root: InvocationId,
    origin: CallOrigin,
    depth: u32,
    arrived: std::time::Instant,
    params_bytes: u64,
    propagated: Option<Arc<PropagatedContext>>,
    request_log: Option<Arc<RequestLog>>,
    failed: Arc<FailedPhases>,
}

/// The phases of a run that failed on this node, from whoever ran it for whoever records it; empty if it did not.
#[derive(Debug, Default)]
pub(crate) struct FailedPhases(Mutex<Option<Phases>>);

/// The recorder of runs.
pub(crate) struct RunRecorder {
    history: Mutex<RunHistory>,
    sample: RunSample,
    series: SeriesTable,
    events: Arc<EventBus>,
    telemetry: Arc<Telemetry>,
    spaces: Arc<dyn Spaces>,
}

impl std::fmt::Debug for RunRecorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunRecorder").finish_non_exhaustive()
    }
}

// === impl FailedPhases ===

impl FailedPhases {
    /// Notes those of the latest attempt.
    pub(crate) fn set(&self, phases: Phases) {
        *self.0.lock() = Some(phases);
    }
}

// === impl RunInProgress ===

impl RunInProgress<'_> {
    /// Records the outcome. A response whose length is not known counts its bytes from here on.
    pub(crate) fn ended(mut self, outcome: &mut Result<Report, InvocationError>) {
        let Some(begun) = self.begun.take() else {
            return;
        };
        match outcome {
            Ok(report) => self.recorder.completed(begun, report),
            Err(error) => {
                let mut run = begun.unfinished(self.recorder);
                run.fail(error);
                self.recorder.record(run);
            }
        }
    }
}

impl Drop for RunInProgress<'_> {
    fn drop(&mut self) {
        if let Some(begun) = self.begun.take() {
            let mut run = begun.unfinished(self.recorder);
            run.status = RunStatus::Abandoned;
            run.code = "abandoned";
            self.recorder.record(run);
        }
    }
}

impl BegunRun {
    /// The record of a run without a result, which has taken until now.
    fn unfinished(self, recorder: &RunRecorder) -> Run {
        let total = now().saturating_duration_since(self.arrived);
        let phases = Phases {
            total,
            ..self.failed.0.lock().unwrap_or_default()
        };
        self.run(recorder, phases, unix_ms())
    }

    fn function(&self, recorder: &RunRecorder) -> &Arc<RunFunction> {
        self.entry
            .run_function(|function| recorder.function(function))
    }

    fn run(self, recorder: &RunRecorder, phases: Phases, ended_unix_ms: u64) -> Run {
        Run {
            id: self.id,
            root: self.root,
            depth: self.depth,
            function: Arc::clone(self.function(recorder)),
            origin: self.origin,
            status: RunStatus::Completed,
            code: "",
            message: None,
            started_unix_ms: ended_unix_ms.saturating_sub(whole_millis(phases.total)),
            phases,
            warm: true,
            cache: Source::Ran,
            ran_on: None,
            params_bytes: self.params_bytes,
            result_bytes: 0,
            streamed: None,
            propagated: self.propagated,
            requests: self.request_log.filter(|log| log.record()),
        }
    }
}

// === impl RunRecorder ===

impl RunRecorder {
    pub(crate) fn new(
        config: &RunsConfig,
        events: Arc<EventBus>,
        telemetry: Arc<Telemetry>,
        spaces: Arc<dyn Spaces>,
    ) -> Self {
        Self {
            history: Mutex::new(RunHistory::new(config)),
            sample: RunSample::new(config.full_rate as u64),
            series: SeriesTable::default(),
            events,
            telemetry,
            spaces,
        }
    }

    /// Begins the record of a call.
    pub(crate) fn begin(&self, request: &ResolvedCall) -> RunInProgress<'_> {
        let call = &request.call;
        let params_bytes = match &call.payload {
            Payload::Json(params) => params.len() as u64,
            Payload::Http(request) => {
                body_size::known(request.headers(), request.body()).unwrap_or_default()
            }
        };
        RunInProgress {
            recorder: self,
            begun: Some(BegunRun {
                entry: Arc::clone(&request.entry),
                id: call.id,
                root: call.context.root,
                origin: call.origin.clone(),
                depth: call.context.depth,
                arrived: call.arrived,
                params_bytes,
                propagated: call.context.propagated.clone(),
                request_log: request.request_log.clone(),
                failed: Arc::clone(&request.failed),
            }),
        }
    }

    /// Records a failure after the reply: the function ran on, and failed.
    pub(crate) fn failed_late(&self, id: InvocationId, error: &InvocationError) {
        let changed = self.history.lock().change(id, |run| run.fail(error));
        if let Some(run) = changed {
            self.events
                .publish(&run.function.space, &run.function.name, || {
                    EventBody::Run(Arc::clone(&run))
                });
        }
    }

    /// Most calls of a busy node come to nothing but counts.
    fn completed(&self, begun: BegunRun, report: &mut Report) {
        let ended_unix_ms = unix_ms();
        let (phases, cache) = (report.phases, report.memo.source);
        let observation = Observation {
            unix_ms: ended_unix_ms,
            status: RunStatus::Completed,
            // Who joined a run, and who sent one elsewhere, started nothing.
            cold: !report.warm && cache == Source::Ran && report.remote.is_none(),
            cached: cache != Source::Ran,
            total: phases.total,
        };
        begun.function(self).series.observe(observation);
        self.series.observe(observation);
        let is_sampled = self.sample.takes(ended_unix_ms / 1000);
        if !is_sampled && !self.telemetry.is_on() {
            return;
        }
        let mut run = begun.run(self, phases, ended_unix_ms);
        run.warm = report.warm;
        run.cache = cache;
        match &mut report.reply {
            Reply::Json(result) => run.result_bytes = result.len() as u64,
            Reply::Http(response) => match body_size::known(response.headers(), response.body()) {
                Some(bytes) => run.result_bytes = bytes,
                None => run.streamed = Some(body_size::count(response.body_mut())),
            },
        }
        if let Some(remote) = &report.remote {
            run.ran_on = Some(format!("{}/{}", remote.area, remote.node).into());
        }
        self.tell(run, is_sampled);
    }

    /// Records a run without a result.
    fn record(&self, run: Run) {
        let observation = Observation {
            unix_ms: run.ended_unix_ms(),
            status: run.status,
            cold: false,
            cached: false,
            total: run.phases.total,
        };
        run.function.series.observe(observation);
        self.series.observe(observation);
        self.tell(run, true);
    }

    fn tell(&self, run: Run, is_sampled: bool) {
        let run = Arc::new(run);
        if self.telemetry.is_on() {
            self.telemetry.run(self.span(&run));
        }
        let is_kept = is_sampled && self.history.lock().add(&run);
        if is_kept {
            self.events
                .publish(&run.function.space, &run.function.name, || {
                    EventBody::Run(Arc::clone(&run))
                });
        }
    }

    /// The run as telemetry tells it.
    fn span(&self, run: &Arc<Run>) -> RunSpan {
        RunSpan {
            // Each test has a name of its own, which nobody would find again.
            function: FunctionName::parse(shown_name(run))
                .unwrap_or_else(|_| run.function.name.clone()),
            app: self.spaces.application(&run.function.space),
            trace: run.trace(),
            record: Arc::clone(run),
        }
    }

    /// The part that the records of a function's version share.
    fn function(&self, function: &Function) -> Arc<RunFunction> {
        Arc::new(RunFunction {
            space: function.space.clone(),
            name: function.name.clone(),
            version: function.version.digest,
            memory_mib: function.version.limits.memory.get(),
            series: if is_under_test(&function.name) {
                Arc::default()
            } else {
                self.series.of(&function.space, &function.name)
            },
        })
    }

    /// Forgets the figures of a function that is gone. Its runs stay until others need their place.
    pub(crate) fn forget(&self, function: &Function) {
        self.series.forget(&function.space, &function.name);
    }

    /// The figures over time.
    pub(crate) fn series(&self) -> &SeriesTable {
        &self.series
    }

    /// The kept records of an invocation.
    pub(crate) fn of_invocation(&self, id: InvocationId) -> Vec<Arc<Run>> {
        self.history.lock().of(id)
    }

    /// The kept runs, in no order, and the time since which they are complete but for sampling, in Unix milliseconds.
    pub(crate) fn kept(&self) -> (Vec<Arc<Run>>, u64) {
        self.history.lock().kept()
    }
}
