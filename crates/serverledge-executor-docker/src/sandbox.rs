//! A container with its function in it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body_util::Full;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serverledge_core::{
    Call, CallContext, FailureKind, FunctionLog, FunctionName, HostCalls, InvocationId,
    InvokeError, LogLines, Outcome, Payload, Reply, Reuse, Sandbox, StopError, TraceContext,
    Version, unix_ms, whole_millis,
};
use tokio::time::Instant;

use crate::agent::{Connections, post};
use crate::container::Container;
use crate::container_log::ContainerLog;
use crate::exchange::{Exchange, ExchangeError};
use crate::launch::ListeningContainer;
use crate::memory_kills::MemoryKills;
use crate::protocol::{self, Ending, ExecutorReply, ExecutorRequest, Frames, LogTail, Raised};

/// The time that the engine may take to notice that a container has ended, before its end is reported without a reason.
const DIAGNOSIS_LIMIT: Duration = Duration::from_secs(10);
/// Pause between looks.
const AUTOPSY_PAUSE: Duration = Duration::from_millis(20);
/// Lines of a dead container's own log that are searched for a reason.
const AUTOPSY_LINES: u32 = 50;

/// The headers of W3C Trace Context.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// The cause of a request that cannot be made.
const BROKEN: &str = "the container broke the protocol";

/// See the module.
pub(crate) struct ContainerSandbox {
    container: Container,
    connections: Connections,
    version: Arc<Version>,
    log: Arc<ContainerLog>,
    /// False once something may have been left running in it, or its process has ended.
    usable: Arc<AtomicBool>,
}

/// An invocation less its payload.
struct Called {
    id: InvocationId,
    function: FunctionName,
    deadline: Option<std::time::Instant>,
    /// The trace that it runs in, if there is one.
    trace: Option<TraceContext>,
}

impl Called {
    /// Sets the headers of the trace, by which every server knows it.
    fn set_trace(&self, headers: &mut HeaderMap) -> Option<()> {
        let Some(trace) = &self.trace else {
            return Some(());
        };
        let parent = HeaderValue::from_str(&trace.parent.to_string()).ok()?;
        headers.insert(TRACEPARENT, parent);
        if let Some(state) = trace.state() {
            headers.insert(TRACESTATE, HeaderValue::from_str(state).ok()?);
        }
        Some(())
    }
}

/// Marks the sandbox as not usable when dropped before the invocation has ended well.
struct InFlight<'a> {
    usable: &'a AtomicBool,
    ended: bool,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.usable.store(false, Ordering::Release);
        }
    }
}

impl ContainerSandbox {
    pub(crate) fn new(listening: ListeningContainer, version: Arc<Version>) -> Self {
        let ListeningContainer {
            container,
            connections,
        } = listening;
        Self {
            container,
            connections,
            version,
            log: Arc::default(),
            usable: Arc::new(AtomicBool::new(true)),
        }
    }

    /// Whether it may serve again; whoever finds that it must not says so here.
    pub(crate) fn usable(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.usable)
    }

    /// The time at which the invocation is over, whatever the function does; and the same for the function to read, in
    /// Unix milliseconds.
    fn limit(&self, deadline: Option<std::time::Instant>) -> (Instant, u64) {
        let own = Instant::now() + self.version.limits.timeout;
        let limit = deadline.map_or(own, |deadline| own.min(Instant::from_std(deadline)));
        let left = limit.saturating_duration_since(Instant::now());
        (limit, unix_ms().saturating_add(whole_millis(left)))
    }

    fn timed_out(&self, log: Bytes) -> InvokeError {
        let message = format!(
            "the function did not end within {:?}",
            self.version.limits.timeout
        );
        failure(FailureKind::TimeLimit, message, log)
    }

    /// Asks the engine what became of the container, to explain why the connection ended in the middle.
    async fn diagnose_exit(&self, log: Bytes) -> InvokeError {
        let engine = &self.container.hub.engine;
        // At once: the count goes with the container.
        if self
            .container
            .memory_kills
            .get()
            .is_some_and(MemoryKills::any)
        {
            return self.post_mortem(true, -1, "", log);
        }
        let limit = Instant::now() + DIAGNOSIS_LIMIT;
        // An engine that hangs is waited for no longer than one that looks and sees nothing.
        while let Ok(found) =
            tokio::time::timeout_at(limit, engine.inspect(&self.container.id)).await
        {
            match found.map(|found| found.state) {
                Ok(state) if !state.running => {
                    let own = engine.logs(&self.container.id, AUTOPSY_LINES);
                    let own = tokio::time::timeout_at(limit, own)
                        .await
                        .unwrap_or(Ok(String::new()));
                    return self.post_mortem(
                        state.oom_killed,
                        state.exit_code,
                        &own.unwrap_or_default(),
                        log,
                    );
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(%error, "failed to find out how a container ended");
                    break;
                }
            }
            tokio::time::sleep(AUTOPSY_PAUSE).await;
        }
        failure(
            FailureKind::Exited,
            "the function's process closed its connection to the node".to_owned(),
            log,
        )
    }

    fn post_mortem(
        &self,
        killed_for_memory: bool,
        code: i64,
        own: &str,
        log: Bytes,
    ) -> InvokeError {
        if killed_for_memory || own.contains("heap out of memory") {
            let message = format!(
                "the function used more than its {} of memory",
                self.version.limits.memory
            );
            return failure(FailureKind::MemoryLimit, message, log);
        }
        failure(
            FailureKind::Exited,
            format!("the function's process ended with code {code}"),
            log,
        )
    }

    async fn invoke_agent(
        &self,
        call: &Called,
        params: Bytes,
        host: Arc<dyn HostCalls>,
    ) -> Result<Outcome, InvokeError> {
        let config = &self.container.hub.config;
        let (limit, deadline) = self.limit(call.deadline);
        if self.version.limits.max_concurrency > 1 && !self.version.outbound.is_empty() {
            host.shares_requests();
        }
        // Held until the invocation has ended, however it does.
        let log = LogLines::new(host.log(), Some(call.id));
        let capability = self
            .connections
            .calls
            .as_ref()
            .map(|calls| calls.admit(host))
            .transpose();
        let capability = capability.map_err(|error| internal("draw a capability", error))?;
        let text = capability
            .as_ref()
            .map_or("", |capability| capability.text.as_str());
        let request = self
            .agent_request(call, params, deadline, text)
            .ok_or_else(|| internal("make a request", BROKEN))?;
        let mut frames = Frames::new(config.log_bytes_max, config.output_bytes_max, log);
        let mut exchange = self.connect(limit).await?;
        let sent =
            tokio::time::timeout_at(limit, exchange.send(request, |piece| frames.push(&piece)))
                .await;
        let log = frames.log();
        match sent {
            Err(_) => Err(self.timed_out(log)),
            Ok(Err(error)) => self.broke(error, log).await,
            Ok(Ok(parts)) if parts.status != http::StatusCode::OK => Err(forged(
                format!("the function's agent answered {}", parts.status),
                log,
            )),
            Ok(Ok(_)) => match frames.ending() {
                None => Err(forged(
                    "the answer of the function's agent has no end".to_owned(),
                    log,
                )),
                Some((ending, bytes)) => {
                    self.connections.put_back(exchange);
                    ended(ending, bytes, log)
                }
            },
        }
    }

    fn agent_request(
        &self,
        call: &Called,
        params: Bytes,
        deadline: u64,
        capability: &str,
    ) -> Option<Request<Full<Bytes>>> {
        let mut request = post("/invoke", Full::new(params))?;
        let headers = request.headers_mut();
        headers.insert(
            "serverledge-invocation",
            HeaderValue::from_str(&call.id.to_string()).ok()?,
        );
        headers.insert(
            "serverledge-function",
            HeaderValue::from_str(call.function.as_str()).ok()?,
        );
        headers.insert("serverledge-deadline", deadline.into());
        let mut capability = HeaderValue::from_str(capability).ok()?;
        capability.set_sensitive(true);
        headers.insert("serverledge-call", capability);
        headers.insert(
            "serverledge-memory",
            self.version.limits.memory.get().into(),
        );
        call.set_trace(headers)?;
        Some(request)
    }

    async fn invoke_executor(
        &self,
        call: &Called,
        params: &Bytes,
        log: Option<Arc<dyn FunctionLog>>,
    ) -> Result<Outcome, InvokeError> {
        let config = &self.container.hub.config;
        let (limit, _) = self.limit(call.deadline);
        let params: &RawValue = serde_json::from_slice(params)
            .map_err(|error| internal("read the parameters", error))?;
        let body = serde_json::to_vec(&ExecutorRequest {
            params,
            return_output: true,
        })
        .map_err(|error| internal("write the request", error))?;
        let mut request = post("/invoke", Full::new(body.into()))
            .ok_or_else(|| internal("make a request", BROKEN))?;
        let headers = request.headers_mut();
        headers.insert(
            http::header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        call.set_trace(headers)
            .ok_or_else(|| internal("make a request", BROKEN))?;
        // Results are JSON within JSON: quotes and backslashes double.
        let bytes_max = 2 * config.output_bytes_max + 2 * config.log_bytes_max + 4096;
        let mut exchange = self.connect(limit).await?;
        match tokio::time::timeout_at(limit, exchange.collect(request, bytes_max)).await {
            Err(_) => Err(self.timed_out(Bytes::new())),
            Ok(Err(ExchangeError::TooLarge(_))) => {
                Err(too_large(config.output_bytes_max, Bytes::new()))
            }
            Ok(Err(error)) => self.broke(error, Bytes::new()).await,
            Ok(Ok((parts, answer))) => {
                self.connections.put_back(exchange);
                let outcome = executor_ended(parts.status, &answer, config.log_bytes_max);
                // What it gives back at the end says of no line when it was written.
                LogLines::new(log, Some(call.id)).push(unix_ms(), log_of(&outcome));
                outcome
            }
        }
    }

    /// A hostile image may accept no connection, or leave one unfinished: that takes of the invocation's time.
    async fn connect(&self, limit: Instant) -> Result<Exchange, InvokeError> {
        match tokio::time::timeout_at(limit, self.connections.take(&self.container)).await {
            Ok(taken) => taken.ok_or(InvokeError::Gone),
            Err(_) => Err(self.timed_out(Bytes::new())),
        }
    }

    async fn broke(&self, error: ExchangeError, log: Bytes) -> Result<Outcome, InvokeError> {
        match error {
            ExchangeError::Closed => Err(InvokeError::Gone),
            ExchangeError::TooLarge(max) => Err(too_large(max, log)),
            ExchangeError::Broken(_) => Err(self.diagnose_exit(log).await),
        }
    }
}

/// Whether the container is as it was before, after an invocation that ended so.
fn leaves_clean(outcome: &Result<Outcome, InvokeError>) -> bool {
    match outcome {
        Ok(_) | Err(InvokeError::Request { .. }) => true,
        Err(InvokeError::Function(failure)) => {
            matches!(
                failure.kind,
                FailureKind::Error | FailureKind::BadOutput | FailureKind::OutputLimit
            )
        }
        Err(_) => false,
    }
}

#[async_trait]
impl Sandbox for ContainerSandbox {
    async fn invoke(&self, call: Call, host: Arc<dyn HostCalls>) -> Result<Outcome, InvokeError> {
        let trace = call.guest_trace(&*host);
        let Call {
            id,
            function,
            payload,
            context: CallContext { deadline, .. },
            ..
        } = call;
        let Payload::Json(params) = payload else {
            return Err(InvokeError::Request {
                code: "not_http",
                message: format!("function {function} takes JSON; POST its parameters to /invoke"),
            });
        };
        if !self.usable.load(Ordering::Acquire) {
            return Err(InvokeError::Gone);
        }
        self.log.follow(
            &self.container.hub,
            &self.container.id,
            || host.log(),
            &self.usable,
        );
        let _logged = self.log.begin(id);
        let _running = self.container.hub.running.begin();
        let mut flight = InFlight {
            usable: &self.usable,
            ended: false,
        };
        let called = Called {
            id,
            function,
            deadline,
            trace,
        };
        let outcome = if self.version.image.is_empty() {
            self.invoke_agent(&called, params, host).await
        } else {
            self.invoke_executor(&called, &params, host.log()).await
        };
        flight.ended = leaves_clean(&outcome);
        outcome
    }

    fn reuse(&self) -> Reuse {
        if self.usable.load(Ordering::Acquire) {
            Reuse::Pooled
        } else {
            Reuse::Once
        }
    }

    async fn stop(&self) -> Result<(), StopError> {
        self.usable.store(false, Ordering::Release);
        self.container
            .remove()
            .await
            .map_err(|error| StopError(error.to_string()))
    }
}

fn ended(ending: Ending, bytes: Bytes, log: Bytes) -> Result<Outcome, InvokeError> {
    match ending {
        // The function shares its process with the agent: what it says is not believed.
        Ending::Result if serde_json::from_slice::<IgnoredAny>(&bytes).is_ok() => Ok(Outcome {
            reply: Reply::Json(bytes),
            log,
            rest: None,
        }),
        Ending::Result => Err(failure(
            FailureKind::BadOutput,
            "the function's result is not JSON".to_owned(),
            log,
        )),
        Ending::Failed(kind) => {
            let raised: Raised = serde_json::from_slice(&bytes).unwrap_or_default();
            let message = raised.line();
            let stack = (!raised.stack.is_empty()).then_some(raised.stack);
            Err(protocol::failure(kind, message, stack, log).into())
        }
    }
}

fn log_of(outcome: &Result<Outcome, InvokeError>) -> &[u8] {
    match outcome {
        Ok(outcome) => &outcome.log,
        Err(InvokeError::Function(failure)) => &failure.log,
        Err(_) => &[],
    }
}

fn executor_ended(
    status: http::StatusCode,
    answer: &[u8],
    log_bytes_max: usize,
) -> Result<Outcome, InvokeError> {
    let Ok(reply) = serde_json::from_slice::<ExecutorReply>(answer) else {
        let kind = if status.is_success() {
            FailureKind::BadOutput
        } else {
            FailureKind::Error
        };
        return Err(failure(
            kind,
            format!("the image answered {status} without an executor reply"),
            Bytes::new(),
        ));
    };
    let mut tail = LogTail::new(log_bytes_max);
    tail.push(reply.output.unwrap_or_default().as_bytes());
    let log = tail.take();
    if !reply.success || !status.is_success() {
        let said = reply.error.or(reply.result).filter(|text| !text.is_empty());
        let message = said.unwrap_or_else(|| format!("the image reported a failure ({status})"));
        return Err(failure(FailureKind::Error, message, log));
    }
    let text = reply.result.unwrap_or_else(|| "null".to_owned());
    let json = if serde_json::from_str::<IgnoredAny>(&text).is_ok() {
        text.into()
    } else {
        serde_json::Value::String(text).to_string().into()
    };
    Ok(Outcome {
        reply: Reply::Json(json),
        log,
        rest: None,
    })
}

fn failure(kind: FailureKind, message: String, log: Bytes) -> InvokeError {
    protocol::failure(kind, message, None, log).into()
}

fn too_large(max: usize, log: Bytes) -> InvokeError {
    failure(
        FailureKind::OutputLimit,
        format!("the function's output has more than {max} bytes"),
        log,
    )
}

/// The agent lives in the function's process: when it breaks its own protocol, the function has had a hand in it.
fn forged(message: String, log: Bytes) -> InvokeError {
    failure(FailureKind::Exited, message, log)
}

fn internal(
    attempt: &str,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> InvokeError {
    InvokeError::Internal {
        attempt: attempt.to_owned(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, answer: &str, expected: &str) {
        let status = http::StatusCode::from_u16(status).unwrap();
        let told = match executor_ended(status, answer.as_bytes(), 100) {
            Ok(Outcome {
                reply: Reply::Json(json),
                log,
                ..
            }) => {
                format!(
                    "{} {}",
                    String::from_utf8_lossy(&json),
                    String::from_utf8_lossy(&log)
                )
            }
            Ok(other) => format!("{other:?}"),
            Err(InvokeError::Function(failure)) => {
                format!("{:?} {}", failure.kind, failure.message)
            }
            Err(other) => other.to_string(),
        };
        assert_eq!(told, expected);
    }

    #[test]
    fn executor_replies_are_read_as_serverledge_does() {
        check(
            200,
            r#"{"Success":true,"Result":"{\"a\":1}","Output":"hi"}"#,
            "{\"a\":1} hi",
        );
        check(
            200,
            r#"{"Success":true,"Result":"plain text","Output":""}"#,
            "\"plain text\" ",
        );
        check(200, r#"{"Success":true}"#, "null ");
        check(200, r#"{"Success":false,"Result":"boom"}"#, "Error boom");
        check(
            500,
            r#"{"Success":false,"Error":"java.lang.X"}"#,
            "Error java.lang.X",
        );
        check(
            500,
            "Internal",
            "Error the image answered 500 Internal Server Error without an executor reply",
        );
        check(
            200,
            "<html>",
            "BadOutput the image answered 200 OK without an executor reply",
        );
    }
}
