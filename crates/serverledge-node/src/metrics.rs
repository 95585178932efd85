//! Metrics: Serverledge's by their names, and our own. What only a snapshot can tell is read when metrics are asked for.

use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, exponential_buckets,
};
use serverledge_core::{FunctionFailure, InvocationError, Phases, Runtime, StartPhase};
use serverledge_scheduler::Snapshot;

use crate::asynchronous::InvocationMetrics;
use crate::cluster::Offloaded;
use crate::memo::CacheFigures;

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
    /// Of the result cache.
    pub(crate) cache: CacheMetrics,
    /// Of asynchronous invocations.
    pub(crate) invocations: InvocationMetrics,
}

/// Metrics of the result cache.
#[derive(Debug)]
pub(crate) struct CacheMetrics {
    /// Answers for which nothing ran, by the look-up that gave them.
    pub(crate) answers: IntCounterVec,
    /// Carried answers that were not believed, by reason.
    pub(crate) ignored: IntCounterVec,
    entries: IntGauge,
    bytes: IntGauge,
    evictions: IntGauge,
}

impl CacheMetrics {
    fn new(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            answers: counters(
                "serverledge_cache_answers_total",
                "Answers for which nothing ran, by source",
                &["source"],
            )?,
            ignored: counters(
                "serverledge_cache_ignored_total",
                "Answers carried by clients that were not believed, by reason",
                &["reason"],
            )?,
            entries: IntGauge::new("serverledge_cache_entries", "Results that are kept")?,
            bytes: IntGauge::new(
                "serverledge_cache_bytes",
                "Memory of the results that are kept",
            )?,
            evictions: IntGauge::new(
                "serverledge_cache_evictions",
                "Results that made room for others",
            )?,
        };
        for counters in [&metrics.answers, &metrics.ignored] {
            registry.register(Box::new(counters.clone()))?;
        }
        for gauge in [&metrics.entries, &metrics.bytes, &metrics.evictions] {
            registry.register(Box::new(gauge.clone()))?;
        }
        Ok(metrics)
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
}

impl Metrics {
    /// # Errors
    /// Only if two metrics had one name.
    pub(crate) fn new(area: &str) -> prometheus::Result<Self> {
        // From 100 µs, where a wasm call ends, to 100 s; Serverledge's begin at 10 ms.
        let times = || exponential_buckets(1e-4, 10_f64.sqrt(), 13);
        let sizes = || exponential_buckets(64.0, 8.0, 7);
        let registry = Registry::new();
        let metrics = Self {
            invocations: InvocationMetrics::new(&registry)?,
            cache: CacheMetrics::new(&registry)?,
            registry,
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
            execution: histograms("execution_time", "Execution in seconds", times()?)?,
            init: histograms(
                "init_time",
                "Start of the sandbox in seconds, cold starts only",
                times()?,
            )?,
            output: histograms("output_size", "Size of results in bytes", sizes()?)?,
            failures: counters(
                "serverledge_failures_total",
                "Invocations that failed, by code",
                &["code"],
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
            start_phases: HistogramVec::new(
                HistogramOpts::new("serverledge_start_phase_seconds", "Parts of cold starts")
                    .buckets(times()?),
                &["runtime", "phase"],
            )?,
            containers: IntGaugeVec::new(
                Opts::new(
                    "serverledge_containers",
                    "Containers with a function in them",
                ),
                &["state"],
            )?,
            evictions: IntGauge::new(
                "serverledge_container_evictions",
                "Idle containers that made room for others",
            )?,
            refused_calls: IntGauge::new(
                "serverledge_container_calls_refused",
                "Calls from containers without the right of a running invocation",
            )?,
            running: IntGauge::new("serverledge_running", "Invocations running now")?,
            waiting: IntGauge::new("serverledge_waiting", "Invocations waiting now")?,
            free_memory: IntGauge::new(
                "serverledge_free_memory_mib",
                "Memory not reserved, in MiB",
            )?,
            functions: IntGauge::new("serverledge_functions", "Deployed functions")?,
        };
        metrics.register()?;
        Ok(metrics)
    }

    fn register(&self) -> prometheus::Result<()> {
        let own = [
            &self.failures,
            &self.rejections,
            &self.offloads,
            &self.quota_refusals,
        ];
        for counters in [&self.completed, &self.cold_starts].into_iter().chain(own) {
            self.registry.register(Box::new(counters.clone()))?;
        }
        for histograms in [&self.execution, &self.init, &self.output] {
            self.registry.register(Box::new(histograms.clone()))?;
        }
        self.registry
            .register(Box::new(self.start_phases.clone()))?;
        self.registry.register(Box::new(self.containers.clone()))?;
        for gauge in [
            &self.evictions,
            &self.refused_calls,
            &self.running,
            &self.waiting,
            &self.free_memory,
            &self.functions,
        ] {
            self.registry.register(Box::new(gauge.clone()))?;
        }
        Ok(())
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
        }
    }

    /// A deleted function's series end with it, so that their number stays bounded by the functions there are.
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
    }

    pub(crate) fn failed(&self, error: &InvocationError) {
        match error {
            InvocationError::Overloaded { reason, .. } => {
                self.rejections.with_label_values(&[reason.code()]).inc()
            }
            InvocationError::Function(FunctionFailure { kind, .. }) => {
                self.failures.with_label_values(&[kind.code()]).inc()
            }
            InvocationError::Dependency { code, .. } => {
                self.failures.with_label_values(&[code]).inc()
            }
            InvocationError::OutcomeUnknown { .. } => self
                .failures
                .with_label_values(&["offload_outcome_unknown"])
                .inc(),
            InvocationError::Internal { .. } => {
                self.failures.with_label_values(&["internal"]).inc()
            }
            // Counted where it was refused.
            InvocationError::Unknown(_)
            | InvocationError::Request { .. }
            | InvocationError::Quota { .. } => {}
        }
    }

    /// A quota refused something.
    pub(crate) fn quota_refused(&self, code: &str) {
        self.quota_refusals.with_label_values(&[code]).inc();
    }

    /// An invocation was handed to a peer.
    pub(crate) fn offloaded(&self, area: &str, offloaded: &Offloaded) {
        let outcome = match offloaded {
            Offloaded::Done { .. } => "done",
            Offloaded::Failed(InvocationError::OutcomeUnknown { .. }) => "unknown",
            Offloaded::Failed(_) => "failed",
            Offloaded::Elsewhere(_) => "not_taken",
        };
        self.offloads.with_label_values(&[area, outcome]).inc();
    }

    /// A sandbox was started.
    pub(crate) fn started(&self, runtime: Runtime, phases: &[StartPhase]) {
        for (phase, took) in phases {
            self.start_phases
                .with_label_values(&[runtime.name(), phase])
                .observe(took.as_secs_f64());
        }
    }

    fn count_containers(&self, snapshot: &Snapshot) {
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

    /// The text format.
    pub(crate) fn text(
        &self,
        snapshot: &Snapshot,
        functions: usize,
        cache: CacheFigures,
        refused_calls: u64,
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
        // Writing to memory fails only for families without metrics, which gather() leaves out.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        String::from_utf8(text).unwrap_or_default()
    }
}

impl FunctionMetrics {
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

fn counters(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn histograms(name: &str, help: &str, buckets: Vec<f64>) -> prometheus::Result<HistogramVec> {
    HistogramVec::new(
        HistogramOpts::new(name, help).buckets(buckets),
        &["function"],
    )
}
