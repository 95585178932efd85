//! The way to the collector: batches are sent one after the other. One that is not taken is tried again, while others
//! wait in the queue, up to its bound.

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message as _;
use serverledge_client::{CollectorClient, CollectorError};
use serverledge_core::error_chain;
use tokio_util::sync::CancellationToken;

use super::metrics::TelemetryMetrics;
use crate::clock::jittered;

/// Longest time for which an item waits for others to go with it.
const BATCH_PAUSE: Duration = Duration::from_secs(1);
/// Pause before a batch is tried again; it doubles each time.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// Longest pause.
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// A kind of telemetry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Signal {
    pub(super) name: &'static str,
    path: &'static str,
}

impl Signal {
    pub(super) const TRACES: Self = Self {
        name: "traces",
        path: "/v1/traces",
    };
    pub(super) const METRICS: Self = Self {
        name: "metrics",
        path: "/v1/metrics",
    };
    pub(super) const LOGS: Self = Self {
        name: "logs",
        path: "/v1/logs",
    };
}

/// An encoded request.
pub(super) struct Batch {
    pub(super) body: Bytes,
    /// Number of things in it.
    pub(super) items: u64,
}

/// A source of batches.
pub(super) trait Batches: Send + Sync {
    /// The next batch; `None` if there is none now. `is_last`: nothing is to be held back for later.
    fn next(&mut self, is_last: bool) -> Option<Batch>;

    /// Waits until there is a whole one.
    fn ready(&self) -> impl Future<Output = ()> + Send;

    /// Counts items that are lost.
    fn lost(&self, items: u64);
}

/// The requests of one signal to the collector.
pub(super) struct Outlet {
    client: CollectorClient,
    signal: Signal,
    metrics: TelemetryMetrics,
    /// Whether the last request failed: only a change is logged.
    is_failing: bool,
}

/// The fate of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The collector has it, less this number of items.
    Taken { rejected: u64 },
    /// It may be taken after this pause.
    Later(Option<Duration>),
    /// It never will be.
    Refused,
}

/// Waits for a whole batch, for a while, or for the end.
pub(super) async fn until_due(batches: &impl Batches, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(BATCH_PAUSE) => {}
        () = batches.ready() => {}
        () = stop.cancelled() => {}
    }
}

/// Sends batches as they come. After `stop` each of the last ones gets one attempt.
pub(super) async fn drain(mut batches: impl Batches, mut outlet: Outlet, stop: CancellationToken) {
    loop {
        until_due(&batches, &stop).await;
        let is_last = stop.is_cancelled();
        while let Some(batch) = batches.next(is_last) {
            let lost = outlet.deliver(&batch, &stop).await;
            batches.lost(lost);
        }
        if is_last {
            return;
        }
    }
}

impl Outlet {
    pub(super) fn new(client: CollectorClient, signal: Signal, metrics: &TelemetryMetrics) -> Self {
        Self {
            client,
            signal,
            metrics: metrics.clone(),
            is_failing: false,
        }
    }

    /// Sends a batch until it is taken or refused. Returns the number of items that are lost.
    async fn deliver(&mut self, batch: &Batch, stop: &CancellationToken) -> u64 {
        let mut pause = PAUSE_MIN;
        loop {
            let is_last = stop.is_cancelled();
            match self.send(batch.body.clone()).await {
                Delivery::Taken { rejected } => return rejected.min(batch.items),
                Delivery::Refused => return batch.items,
                Delivery::Later(_) if is_last => return batch.items,
                Delivery::Later(asked) => {
                    let wait = asked.map_or(jittered(pause), |asked| asked.clamp(pause, PAUSE_MAX));
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = stop.cancelled() => {}
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
            }
        }
    }

    /// Sends one request.
    pub(super) async fn send(&mut self, body: Bytes) -> Delivery {
        let answer = self.client.send(self.signal.path, body).await;
        let outcome = if answer.is_ok() { "taken" } else { "failed" };
        self.metrics.requests(self.signal.name, outcome).inc();
        match answer {
            Ok(answer) => {
                self.told_of_success();
                Delivery::Taken {
                    rejected: self.rejected(&answer),
                }
            }
            Err(error) => {
                self.told_of_failure(&error);
                if error.is_passing() {
                    Delivery::Later(error.retry_after())
                } else {
                    Delivery::Refused
                }
            }
        }
    }

    /// Number of items that the collector took the request without. The answers of all signals have one form.
    fn rejected(&self, answer: &[u8]) -> u64 {
        let Ok(ExportTraceServiceResponse {
            partial_success: Some(partial),
        }) = ExportTraceServiceResponse::decode(answer)
        else {
            return 0;
        };
        tracing::debug!(
            signal = self.signal.name,
            rejected = partial.rejected_spans,
            message = partial.error_message,
            "the collector of telemetry did not take everything"
        );
        u64::try_from(partial.rejected_spans).unwrap_or(0)
    }

    fn told_of_success(&mut self) {
        if std::mem::take(&mut self.is_failing) {
            let signal = self.signal.name;
            tracing::info!("the collector of telemetry takes {signal} again");
        }
    }

    fn told_of_failure(&mut self, error: &CollectorError) {
        if !std::mem::replace(&mut self.is_failing, true) {
            let signal = self.signal.name;
            let error = error_chain(error);
            tracing::warn!(%error, "the collector of telemetry does not take {signal}; what has no room is dropped");
        }
    }
}
