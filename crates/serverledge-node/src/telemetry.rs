//! Telemetry: runs as OTLP spans and metrics, and log lines, for a collector or a file.
//!
//! There are no spans on the path of a call. The record that is made at its end has everything; here it becomes spans
//! and figures. Tasks of their own send them ([0031](../../../docs/decisions/0031-telemetry.md)).

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use parking_lot::Mutex;
use serverledge_api::Identity;
use serverledge_client::{CollectorClient, CollectorConfig};
use serverledge_core::{FunctionName, InvocationId, SAMPLED, TraceIds};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::logs::{LogBatches, LogLine};
use self::measures::{Measures, push_measures};
use self::node_log::connect_node_log;
use self::outlet::{Outlet, Signal, drain};
use self::queue::ExportQueue;
use self::resource::ResourceOfNode;
use self::run_span::RecentRuns;
use self::spans::{SpanBatches, write_spans};
use self::trace_file::TraceFile;
use crate::config::{Config, TracingConfig};
use crate::setup::read_given;

mod logs;
mod measures;
mod metrics;
mod node_log;
mod outlet;
mod queue;
mod resource;
pub(crate) mod run_span;
mod sampler;
mod spans;
#[cfg(test)]
pub(crate) mod tests;
mod trace_file;

pub(crate) use metrics::TelemetryMetrics;
pub(crate) use node_log::NodeLog;
pub(crate) use run_span::RunSpan;
pub(crate) use sampler::Sampler;

/// Most spans of runs that wait for the collector: some megabytes.
const SPANS_MAX: usize = 4096;
/// Most lines that wait for the collector.
const LINES_MAX: usize = 8192;
/// Most bytes of lines that wait for the collector.
const LINES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Longest time that a stopping node gives to what still waits.
const FLUSH_MAX: Duration = Duration::from_secs(5);

/// The exporter of runs and log lines. Without a collector and a file it does nothing.
pub(crate) struct Telemetry {
    exporter: Option<Exporter>,
}

/// The parts that there are with a collector or a file.
struct Exporter {
    sampler: Sampler,
    /// A queue for the collector, and one for the file.
    spans: Vec<Arc<ExportQueue<Arc<RunSpan>>>>,
    collector: Option<CollectorFeeds>,
    tasks: TaskTracker,
    /// Cancelled when what waits is to be sent and nothing more will come.
    stop: CancellationToken,
    /// Cancelled when what still waits is given up.
    abandon: CancellationToken,
}

/// The feeds of the collector beside spans.
struct CollectorFeeds {
    measures: Arc<Mutex<Measures>>,
    lines: Arc<ExportQueue<LogLine>>,
    recent: Arc<Mutex<RecentRuns>>,
}

// === impl Telemetry ===

impl Telemetry {
    /// The exporter that the configuration describes. Its tasks run from now on, until [`Telemetry::stop`].
    ///
    /// # Errors
    /// A file that is configured cannot be read or opened, or the receiver's address is none.
    pub(crate) fn new(
        config: &Config,
        identity: &Identity,
        metrics: &TelemetryMetrics,
    ) -> Result<Self> {
        let tracing = &config.tracing;
        let resource = ResourceOfNode::new(identity);
        let mut exporter = Exporter::new(Sampler::new(tracing));
        if let Some(file) = outfile(config) {
            exporter.start_file(&file, &resource, metrics)?;
        }
        if !tracing.otlp_endpoint.is_empty() {
            exporter.start_collector(tracing, &resource, metrics)?;
        }
        let is_used = !exporter.spans.is_empty();
        Ok(Self {
            exporter: is_used.then_some(exporter),
        })
    }

    /// An exporter that does nothing.
    #[cfg(test)]
    pub(crate) const fn off() -> Self {
        Self { exporter: None }
    }

    /// Whether runs are exported.
    pub(crate) const fn is_on(&self) -> bool {
        self.exporter.is_some()
    }

    /// The choice of traces that are recorded.
    pub(crate) fn sampler(&self) -> Sampler {
        self.exporter
            .as_ref()
            .map_or_else(Sampler::default, |exporter| exporter.sampler)
    }

    /// Takes the record of a run. Never waits: where too many wait for the collector already, its spans are dropped and
    /// counted. The figures count every run, also those whose trace is not recorded.
    pub(crate) fn run(&self, run: RunSpan) {
        let Some(exporter) = &self.exporter else {
            return;
        };
        let flags = run
            .trace
            .flags
            .or_else(|| exporter.sampler.flags(run.trace.trace));
        if let Some(feeds) = &exporter.collector {
            feeds.measures.lock().observe(&run);
            feeds
                .recent
                .lock()
                .add(run.record.id, TraceIds { flags, ..run.trace });
        }
        if flags.unwrap_or_default() & SAMPLED == 0 {
            return;
        }
        let run = Arc::new(run);
        for queue in &exporter.spans {
            queue.push(Arc::clone(&run), 0);
        }
    }

    /// Takes lines of a function's log. Never waits, like [`Telemetry::run`].
    pub(crate) fn log(
        &self,
        function: &FunctionName,
        invocation: Option<InvocationId>,
        unix_ms: u64,
        text: &[u8],
    ) {
        let feeds = self
            .exporter
            .as_ref()
            .and_then(|exporter| exporter.collector.as_ref());
        if let Some(feeds) = feeds {
            for text in text
                .split(|byte| *byte == b'\n')
                .filter(|text| !text.is_empty())
            {
                let line = LogLine::of_function(function, invocation, unix_ms, text);
                let bytes = line.bytes();
                feeds.lines.push(line, bytes);
            }
        }
    }

    /// Sends what waits, within a bound, and ends the tasks.
    pub(crate) async fn stop(&self) {
        let Some(exporter) = &self.exporter else {
            return;
        };
        connect_node_log(None);
        exporter.stop.cancel();
        exporter.tasks.close();
        if tokio::time::timeout(FLUSH_MAX, exporter.tasks.wait())
            .await
            .is_err()
        {
            exporter.abandon.cancel();
            exporter.tasks.wait().await;
        }
    }
}

// === impl Exporter ===

impl Exporter {
    fn new(sampler: Sampler) -> Self {
        Self {
            sampler,
            spans: Vec::new(),
            collector: None,
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            abandon: CancellationToken::new(),
        }
    }

    fn start_file(
        &mut self,
        path: &Path,
        resource: &ResourceOfNode,
        metrics: &TelemetryMetrics,
    ) -> Result<()> {
        let file = TraceFile::open(path.to_path_buf())
            .with_context(|| format!("failed to open the file of traces {}", path.display()))?;
        let queue = Arc::new(ExportQueue::new(
            SPANS_MAX,
            usize::MAX,
            metrics.dropped("file"),
        ));
        self.spans.push(Arc::clone(&queue));
        let batches = SpanBatches::new(queue, resource);
        self.spawn(write_spans(batches, file, self.stop.clone()));
        Ok(())
    }

    fn start_collector(
        &mut self,
        config: &TracingConfig,
        resource: &ResourceOfNode,
        metrics: &TelemetryMetrics,
    ) -> Result<()> {
        let client = collector(config)?;
        let outlet = |signal: Signal| Outlet::new(client.clone(), signal, metrics);
        let spans = Arc::new(ExportQueue::new(
            SPANS_MAX,
            usize::MAX,
            metrics.dropped("traces"),
        ));
        let lines = Arc::new(ExportQueue::new(
            LINES_MAX,
            LINES_BYTES_MAX,
            metrics.dropped("logs"),
        ));
        let measures = Arc::new(Mutex::new(Measures::new()));
        let recent = Arc::<Mutex<RecentRuns>>::default();
        self.spans.push(Arc::clone(&spans));
        self.spawn(drain(
            SpanBatches::new(spans, resource),
            outlet(Signal::TRACES),
            self.stop.clone(),
        ));
        self.spawn(drain(
            LogBatches::new(Arc::clone(&lines), Arc::clone(&recent), resource),
            outlet(Signal::LOGS),
            self.stop.clone(),
        ));
        self.spawn(push_measures(
            Arc::clone(&measures),
            resource.clone(),
            config.metrics_interval,
            outlet(Signal::METRICS),
            self.stop.clone(),
        ));
        connect_node_log(Some(&lines));
        self.collector = Some(CollectorFeeds {
            measures,
            lines,
            recent,
        });
        Ok(())
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let abandon = self.abandon.clone();
        drop(self.tasks.spawn(abandon.run_until_cancelled_owned(task)));
    }
}

/// The file of the traces; `None` if there is to be none.
fn outfile(config: &Config) -> Option<PathBuf> {
    let given = &config.tracing.outfile;
    config.tracing.file_enabled.then(|| {
        if given.is_empty() {
            config.data.dir.join("traces.jsonl")
        } else {
            PathBuf::from(given)
        }
    })
}

fn collector(config: &TracingConfig) -> Result<CollectorClient> {
    let headers = match read_given(&config.otlp_headers_file)? {
        Some(text) => headers(&text).context("tracing.otlp.headers_file")?,
        None => Vec::new(),
    };
    CollectorClient::new(&CollectorConfig {
        endpoint: config.otlp_endpoint.clone(),
        headers,
        timeout: config.otlp_timeout,
        authorities: read_given(&config.otlp_ca_file)?,
    })
    .context("failed to set up the receiver of telemetry (tracing.otlp.*)")
}

/// Headers, one `Name: value` a line. Empty lines, and those that begin with `#`, are passed over.
fn headers(text: &[u8]) -> Result<Vec<(String, String)>> {
    let text = std::str::from_utf8(text).context("the file is no text")?;
    let lines = text.lines().map(str::trim);
    let mut headers = Vec::new();
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some((name, value)) = line.split_once(':') else {
            bail!("a line is not `Name: value`");
        };
        headers.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    Ok(headers)
}
