//! Metrics: Serverledge's by their names, and our own. Figures that need a snapshot are read when metrics are
//! requested.

use std::collections::{BTreeSet, HashMap};

use parking_lot::Mutex;
use prometheus::proto::MetricFamily;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, PullingGauge, Registry, TextEncoder, exponential_buckets,
};
use serverledge_core::{InvocationError, Phases, Runtime, StartPhase};
use serverledge_scheduler::SchedulerSnapshot;

use crate::metrics::asynchronous::InvocationMetrics;
use crate::metrics::collectors::{counters, registered};
use crate::metrics::outbound::OutboundMetrics;
use crate::metrics::state::StateMetrics;
use crate::telemetry::TelemetryMetrics;

pub(crate) mod asynchronous;
mod collectors;
pub(crate) mod outbound;
pub(crate) mod state;
#[cfg(test)]
mod tests;

/// All metrics of a node.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    area: String,
    completed: IntCounterVec,
    cold_starts: IntCounterVec,
    execution: HistogramVec,
    init: HistogramVec,
    output: HistogramVec,
    failures: IntCounterVec,
    /// The codes with which each function has failed: the series that exist.
    failure_codes: Mutex<HashMap<String, BTreeSet<&'static str>>>,
    abandoned: IntCounterVec,
    rejections: IntCounterVec,
    offloads: IntCounterVec,
    quota_refusals: IntCounterVec,
    start_phases: HistogramVec,
    running: IntGauge,
    containers: IntGaugeVec,
    evictions: IntGauge,
    refused_calls: IntGauge,
    waiting: IntGauge,
    free_memory: IntGauge,
    functions: IntGauge,
    /// Metrics of the result cache.
    pub(crate) cache: CacheMetrics,
    /// Metrics of asynchronous invocations.
    pub(crate) invocations: InvocationMetrics,
    /// Metrics of the requests that functions send.
    pub(crate) outbound: OutboundMetrics,
    /// Metrics of the operations on the stores of functions.
    pub(crate) state: StateMetrics,
    /// Metrics of the exporter of telemetry.
    pub(crate) telemetry: TelemetryMetrics,
}

/// Metrics of the result cache.
#[derive(Debug)]
pub(crate) struct CacheMetrics {
    /// Results without a run, by the look-up that gave them.
    pub(crate) answers: IntCounterVec,
    /// Entries of clients' caches that were not believed, by reason.
    pub(crate) ignored: IntCounterVec,
    entries: IntGauge,
    bytes: IntGauge,
    evictions: IntGauge,
}

/// The present size of the cache, and the number of its evictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct CacheFigures {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
    pub(crate) evictions: u64,
}

impl CacheMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let counters =
            |name: &str, help: &str, label: &str| counters(registry, name, help, &[label]);
        let gauge = |name: &str, help: &str| registered(registry, IntGauge::new(name, help));
        Ok(Self {
            answers: counters(
                "serverledge_cache_answers_total",
                "Answers for which nothing ran, by source",
                "source",
            )?,
            ignored: counters(
                "serverledge_cache_ignored_total",
                "Answers carried by clients that were not believed, by reason",
                "reason",
            )?,
            entries: gauge("serverledge_cache_entries", "Results that are kept")?,
            bytes: gauge(
                "serverledge_cache_bytes",
                "Memory of the results that are kept",
            )?,
            evictions: gauge(
                "serverledge_cache_evictions",
                "Results that made room for others",
            )?,
        })
    }

    fn set(&self, figures: CacheFigures) {
        let gauges = [
            (&self.entries, figures.entries),
            (&self.bytes, figures.bytes),
            (&self.evictions, figures.evictions),
        ];
        for (gauge, value) in gauges {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

/// The metrics of one function, found once.
#[derive(Debug)]
pub(crate) struct FunctionMetrics {
    completed: IntCounter,
    cold_starts: IntCounter,
    execution: Histogram,
    init: Histogram,
    output: Histogram,
    abandoned: IntCounter,
}

impl Metrics {
    /// # Errors
    /// Only if two metrics had one name.
    pub(crate) fn new(area: &str) -> prometheus::Result<Self> {
        // From 100 µs, where a wasm call ends, to 100 s; Serverledge's begin at 10 ms.
        let times = || exponential_buckets(1e-4, 10_f64.sqrt(), 13);
        let sizes = || exponential_buckets(64.0, 8.0, 7);
        let registry = Registry::new();
        let counters =
            |name: &str, help: &str, labels: &[&str]| counters(&registry, name, help, labels);
        let gauge = |name: &str, help: &str| registered(&registry, IntGauge::new(name, help));
        let histograms = |name: &str, help: &str, labels: &[&str], buckets: Vec<f64>| {
            registered(
                &registry,
                HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels),
            )
        };
        let durations = |name: &str, help: &str| histograms(name, help, &["function"], times()?);
        Ok(Self {
            invocations: InvocationMetrics::new(&registry)?,
            outbound: OutboundMetrics::new(&registry)?,
            state: StateMetrics::new(&registry)?,
            telemetry: TelemetryMetrics::new(&registry)?,
            cache: CacheMetrics::new(&registry)?,
            area: area.to_owned(),
            completed: counters(
                "completed_count",
                "Invocations that gave a result",
                &["area", "function"],
            )?,
            cold_starts: counters(
                "cold_starts_count",
                "Invocations whose code had to be loaded",
                &["area", "function"],
            )?,
            execution: durations("execution_time", "Execution in seconds")?,
            init: durations(
                "init_time",
                "Start of the sandbox in seconds, cold starts only",
            )?,
            output: histograms(
                "output_size",
                "Size of results in bytes",
                &["function"],
                sizes()?,
            )?,
            failures: counters(
                "serverledge_failures_total",
                "Invocations that failed, by code and function",
                &["code", "function"],
            )?,
            failure_codes: Mutex::default(),
            abandoned: counters(
                "serverledge_abandoned_total",
                "Invocations that were stopped because whoever waited for them had left",
                &["function"],
            )?,
            rejections: counters(
                "serverledge_rejections_total",
                "Invocations turned away, by code",
                &["code"],
            )?,
            offloads: counters(
                "serverledge_offloads_total",
                "Invocations handed to a node of another or this area, by what came of it",
                &["area", "outcome"],
            )?,
            quota_refusals: counters(
                "serverledge_quota_refusals_total",
                "What quotas refused, by code",
                &["code"],
            )?,
            start_phases: histograms(
                "serverledge_start_phase_seconds",
                "Parts of cold starts",
                &["runtime", "phase"],
                times()?,
            )?,
            containers: registered(
                &registry,
                IntGaugeVec::new(
                    Opts::new(
                        "serverledge_containers",
                        "Containers with a function in them",
                    ),
                    &["state"],
                ),
            )?,
            evictions: gauge(
                "serverledge_container_evictions",
                "Idle containers that made room for others",
            )?,
            refused_calls: gauge(
                "serverledge_container_calls_refused",
                "Calls from containers without the right of a running invocation",
            )?,
            running: gauge("serverledge_running", "Invocations running now")?,
            waiting: gauge("serverledge_waiting", "Invocations waiting now")?,
            free_memory: gauge("serverledge_free_memory_mib", "Memory not reserved, in MiB")?,
            functions: gauge("serverledge_functions", "Deployed functions")?,
            registry: registry.clone(),
        })
    }

    /// Adds the number of open connections to hosts outside, which is read when metrics are requested.
    ///
    /// # Errors
    /// It was added before.
    pub(crate) fn watch_connections(
        &self,
        connections: impl Fn() -> u32 + Send + Sync + 'static,
    ) -> prometheus::Result<()> {
        let gauge = PullingGauge::new(
            "serverledge_outbound_connections",
            "Open connections of functions to hosts outside",
            Box::new(move || f64::from(connections())),
        );
        registered(&self.registry, gauge).map(drop)
    }

    pub(crate) fn of_function(&self, function: &str) -> FunctionMetrics {
        FunctionMetrics {
            completed: self
                .completed
                .with_label_values(&[self.area.as_str(), function]),
            cold_starts: self
                .cold_starts
                .with_label_values(&[self.area.as_str(), function]),
            execution: self.execution.with_label_values(&[function]),
            init: self.init.with_label_values(&[function]),
            output: self.output.with_label_values(&[function]),
            abandoned: self.abandoned.with_label_values(&[function]),
        }
    }

    /// Removes a deleted function's series, so that their number stays bounded by the number of functions.
    pub(crate) fn forget(&self, function: &str) {
        let _ = self
            .completed
            .remove_label_values(&[self.area.as_str(), function]);
        let _ = self
            .cold_starts
            .remove_label_values(&[self.area.as_str(), function]);
        for histograms in [&self.execution, &self.init, &self.output] {
            let _ = histograms.remove_label_values(&[function]);
        }
        let _ = self.abandoned.remove_label_values(&[function]);
        for code in self
            .failure_codes
            .lock()
            .remove(function)
            .unwrap_or_default()
        {
            let _ = self.failures.remove_label_values(&[code, function]);
        }
    }

    /// Counts a failed invocation of a function, known here by its label.
    pub(crate) fn failed(&self, function: &str, error: &InvocationError) {
        let code = error.code();
        match error {
            InvocationError::Overloaded { .. } => {
                self.rejections.with_label_values(&[code]).inc();
                return;
            }
            // Counted where it was refused.
            InvocationError::Unknown(_)
            | InvocationError::Request { .. }
            | InvocationError::Quota { .. } => return,
            _ => {}
        }
        self.failure_codes
            .lock()
            .entry(function.to_owned())
            .or_default()
            .insert(code);
        self.failures.with_label_values(&[code, function]).inc();
    }

    /// Counts a refusal by a quota.
    pub(crate) fn quota_refused(&self, code: &str) {
        self.quota_refusals.with_label_values(&[code]).inc();
    }

    /// Counts an invocation that was offloaded to a peer of this area, by its outcome.
    pub(crate) fn offloaded(&self, area: &str, outcome: &str) {
        self.offloads.with_label_values(&[area, outcome]).inc();
    }

    /// Counts a started sandbox.
    pub(crate) fn started(&self, runtime: Runtime, phases: &[StartPhase]) {
        for (phase, took) in phases {
            self.start_phases
                .with_label_values(&[runtime.name(), phase])
                .observe(took.as_secs_f64());
        }
    }

    fn count_containers(&self, snapshot: &SchedulerSnapshot) {
        let counts = snapshot.pooled;
        let states = [
            ("starting", counts.starting),
            ("idle", counts.idle),
            ("busy", counts.busy),
            ("stopping", counts.stopping),
        ];
        for (state, count) in states {
            self.containers
                .with_label_values(&[state])
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.evictions
            .set(i64::try_from(snapshot.counters.evictions).unwrap_or(i64::MAX));
    }

    /// The text format; `rename` gives the shown form of a function's label, where that differs.
    pub(crate) fn text(
        &self,
        snapshot: &SchedulerSnapshot,
        functions: usize,
        cache: CacheFigures,
        refused_calls: u64,
        rename: impl Fn(&str) -> Option<String>,
    ) -> String {
        self.cache.set(cache);
        self.refused_calls
            .set(i64::try_from(refused_calls).unwrap_or(i64::MAX));
        self.running.set(i64::from(snapshot.running));
        self.waiting
            .set(i64::try_from(snapshot.waiting.total()).unwrap_or(i64::MAX));
        self.free_memory
            .set(i64::try_from(snapshot.free.memory.get()).unwrap_or(i64::MAX));
        self.functions
            .set(i64::try_from(functions).unwrap_or(i64::MAX));
        self.count_containers(snapshot);
        let mut text = Vec::new();
        let mut families = self.registry.gather();
        families
            .iter_mut()
            .for_each(|family| name_functions(family, &rename));
        // Writing to memory fails only for families without metrics, which gather() leaves out.
        let _ = TextEncoder::new().encode(&families, &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

impl FunctionMetrics {
    /// Counts an invocation whose caller has left before its end.
    pub(crate) fn abandoned(&self) {
        self.abandoned.inc();
    }

    pub(crate) fn completed(&self, phases: &Phases, warm: bool, output_bytes: Option<usize>) {
        self.completed.inc();
        self.execution.observe(phases.execution.as_secs_f64());
        if !warm {
            self.cold_starts.inc();
            self.init.observe(phases.start.as_secs_f64());
        }
        if let Some(bytes) = output_bytes {
            #[expect(clippy::cast_precision_loss, reason = "results have a few MiB")]
            self.output.observe(bytes as f64);
        }
    }
}

/// Replaces the labels of functions, which contain their space: people know a function by its application's name.
fn name_functions(family: &mut MetricFamily, rename: &impl Fn(&str) -> Option<String>) {
    let labels = family
        .mut_metric()
        .iter_mut()
        .flat_map(|metric| metric.mut_label().iter_mut());
    for label in labels.filter(|label| label.name() == "function") {
        if let Some(shown) = rename(label.value()) {
            label.set_value(shown);
        }
    }
}
