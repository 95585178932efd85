//! Requests that running functions send to hosts outside: which may go out, how many, and what is counted of them.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use prometheus::{IntCounter, IntGauge};
use serverledge_client::{OutboundClient, OutboundConfig, OutboundPool, ReachAllow};
use serverledge_core::limits::{REQUESTS_AT_ONCE_MAX, REQUESTS_MAX};
use serverledge_core::{
    BodyError, BoxTunnel, Function, HostRule, HttpBody, OutboundError, TraceContext,
};
use serverledge_wire::header::{TRACEPARENT, TRACESTATE};

use crate::clock::now;
use crate::config::OutgoingConfig;
use crate::metrics::Metrics;

mod sealed;
#[cfg(test)]
mod tests;
mod tunnels;
mod watched;

pub(super) use sealed::unseal;
pub(super) use watched::UnsettledRequests;

/// Separates this use of BLAKE3 from all others.
const POOL_DOMAIN: &str = "serverledge 2026 outgoing connections 1";
/// The word in `outbound.allow` for public addresses.
const PUBLIC: &str = "public";

/// The way of all functions' requests to hosts outside.
pub(crate) struct Outgoing {
    client: OutboundClient,
    metrics: Arc<Metrics>,
}

/// The requests of one invocation.
#[derive(Debug, Default)]
pub(super) struct RequestCounts {
    /// Number of requests so far.
    made: AtomicUsize,
    /// Number of those whose response has not been read to its end.
    outstanding: Arc<AtomicUsize>,
}

/// Counts an outstanding request until it is dropped.
struct OutstandingRequest {
    outstanding: Arc<AtomicUsize>,
    gauge: IntGauge,
}

/// The body of a request or of its response. The request is outstanding until both have ended or are dropped.
struct OutstandingBody {
    body: HttpBody,
    request: Option<Arc<OutstandingRequest>>,
    /// Counts the bytes of a response.
    received: Option<IntCounter>,
}

// === impl Outgoing ===

impl Outgoing {
    /// # Errors
    /// The networks and hosts are none.
    pub(crate) fn new(config: &OutgoingConfig, metrics: &Arc<Metrics>) -> Result<Self> {
        let mut allow = Vec::<ReachAllow>::new();
        for text in config.allow.iter().filter(|text| !is_public(text)) {
            allow.push(text.parse::<ReachAllow>().with_context(|| {
                format!("outbound.allow: {text:?} is no network, no host and not {PUBLIC:?}")
            })?);
        }
        let client = OutboundClient::new(OutboundConfig {
            is_public_allowed: config.allow.iter().any(|text| is_public(text)),
            allow,
            authorities: None,
            response_bytes_max: config.response_bytes_max as u64,
            connect_timeout: config.connect_timeout,
            connections_max: config.connections_max,
        })
        .context("failed to set up outgoing requests (outbound.*)")?;
        let watched = client.clone();
        metrics
            .watch_connections(move || u32::try_from(watched.connections()).unwrap_or(u32::MAX))?;
        Ok(Self {
            client,
            metrics: Arc::clone(metrics),
        })
    }

    /// Sends a request that the function may send, with the trace context of its run unless it brings one. It is
    /// outstanding until its response has been read or dropped, and nothing more of it is sent. Dropping the future closes the connection.
    pub(super) async fn send(
        &self,
        counts: &RequestCounts,
        pool: &OutboundPool,
        trace: Option<&TraceContext>,
        mut request: Request<HttpBody>,
    ) -> Result<Response<HttpBody>, OutboundError> {
        let outstanding = Arc::new(counts.count(&self.metrics.outbound.outstanding)?);
        if let Some(trace) = trace {
            add_trace(request.headers_mut(), trace);
        }
        let request = request.map(|body| OutstandingBody::boxed(body, &outstanding, None));
        let begun = now();
        let response = self.client.send(pool, request).await?;
        let took = now().saturating_duration_since(begun);
        self.metrics.outbound.answered(response.status(), took);
        let received = self.metrics.outbound.received.clone();
        Ok(response.map(|body| OutstandingBody::boxed(body, &outstanding, Some(received))))
    }

    /// Opens a connection that the function may open. It is an outstanding request until it is dropped. Dropping the future gives
    /// it up.
    pub(super) async fn open(
        &self,
        counts: &RequestCounts,
        pool: &OutboundPool,
        target: &Authority,
    ) -> Result<BoxTunnel, OutboundError> {
        let outstanding = counts.count(&self.metrics.outbound.outstanding)?;
        let tunnel = self.client.tunnel(pool, target).await?;
        self.metrics.outbound.tunnel_opened();
        let received = self.metrics.outbound.received.clone();
        Ok(tunnels::counted(tunnel, outstanding, received))
    }

    /// Counts a request without a response.
    pub(super) fn failed(&self, error: &OutboundError) {
        self.metrics.outbound.failed(error.code());
    }
}

/// Whether this entry of `outbound.allow` stands for public addresses. Host names have no case either.
fn is_public(text: &str) -> bool {
    text.eq_ignore_ascii_case(PUBLIC)
}

/// Whether a function with these rules may send a request to this URL. Depends on nothing else.
pub(super) fn check(rules: &BTreeSet<HostRule>, uri: &Uri) -> Result<(), OutboundError> {
    let asked = HostRule::of(uri).ok_or_else(|| OutboundError::of_url(uri))?;
    if rules.is_empty() {
        return Err(OutboundError::NotGranted(asked.to_string()));
    }
    if rules.iter().any(|rule| rule.covers(&asked)) {
        Ok(())
    } else {
        Err(OutboundError::Host(asked.to_string()))
    }
}

/// The request that a tunnel is in the record of a run, and whether a function with these rules may open it: it may if it may
/// send requests to this host and port, by https or by http.
pub(super) fn tunnel_request(
    rules: &BTreeSet<HostRule>,
    target: &Authority,
) -> (Request<()>, Result<(), OutboundError>) {
    let url = |scheme: &str| {
        let uri = Uri::builder().scheme(scheme).authority(target.clone());
        uri.path_and_query("/").build().unwrap_or_default()
    };
    let of_authority = HostRule::of_authority(target);
    let is_allowed = |rule: &HostRule| rules.iter().any(|allowed| allowed.covers(rule));
    let scheme = match &of_authority {
        Some([https, _]) if is_allowed(https) => "https",
        Some([_, http]) if is_allowed(http) || target.port_u16() == Some(80) => "http",
        _ => "https",
    };
    let uri = url(scheme);
    let allowed = match of_authority {
        Some(_) => check(rules, &uri),
        None => Err(OutboundError::of_url(&uri)),
    };
    let mut request = Request::new(());
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = uri;
    (request, allowed)
}

/// The key of the connections that the requests of a function may share: those of its version in its space.
pub(super) fn pool_of(function: &Function) -> OutboundPool {
    let mut hasher = blake3::Hasher::new_derive_key(POOL_DOMAIN);
    for part in [function.space.as_str(), function.name.as_str()] {
        hasher
            .update(&(part.len() as u64).to_le_bytes())
            .update(part.as_bytes());
    }
    hasher.update(function.version.digest.as_bytes());
    *hasher.finalize().as_bytes()
}

/// Adds the trace, without what the caller's own tracing keeps in it: that is for nobody outside.
fn add_trace(headers: &mut HeaderMap, trace: &TraceContext) {
    if headers.contains_key(TRACEPARENT) {
        return;
    }
    headers.remove(TRACESTATE);
    if let Ok(parent) = HeaderValue::try_from(trace.parent.to_string()) {
        headers.insert(TRACEPARENT, parent);
    }
}

// === impl RequestCounts ===

impl RequestCounts {
    /// Counts a request, if it may be sent.
    fn count(&self, gauge: &IntGauge) -> Result<OutstandingRequest, OutboundError> {
        let at_once = self.outstanding.fetch_add(1, Ordering::Relaxed);
        gauge.inc();
        let counted = OutstandingRequest {
            outstanding: Arc::clone(&self.outstanding),
            gauge: gauge.clone(),
        };
        if at_once >= REQUESTS_AT_ONCE_MAX {
            return Err(OutboundError::TooManyAtOnce(REQUESTS_AT_ONCE_MAX));
        }
        if self.made.fetch_add(1, Ordering::Relaxed) >= REQUESTS_MAX {
            return Err(OutboundError::TooMany(REQUESTS_MAX));
        }
        Ok(counted)
    }
}

// === impl OutstandingRequest ===

impl Drop for OutstandingRequest {
    fn drop(&mut self) {
        self.outstanding.fetch_sub(1, Ordering::Relaxed);
        self.gauge.dec();
    }
}

// === impl OutstandingBody ===

impl OutstandingBody {
    fn boxed(
        body: HttpBody,
        request: &Arc<OutstandingRequest>,
        received: Option<IntCounter>,
    ) -> HttpBody {
        Box::pin(Self {
            body,
            request: Some(Arc::clone(request)),
            received,
        })
    }
}

impl Body for OutstandingBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let polled = self.body.as_mut().poll_frame(cx);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Bytes::len);
                if let Some(received) = &self.received {
                    received.inc_by(bytes as u64);
                }
            }
            Poll::Ready(None | Some(Err(_))) => self.request = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
