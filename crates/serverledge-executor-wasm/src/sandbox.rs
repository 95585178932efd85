//! A wasm sandbox: one fresh instance for one invocation.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use http::Response;
use http_body_util::{BodyExt, Full};
use serverledge_core::{
    FailureKind, FunctionFailure, HostCalls, HttpBody, InvokeError, Outcome, Payload, Reply, Reuse,
    Sandbox, SandboxCall, StopError, Version,
};
use tokio::sync::oneshot;
use tokio::time::Instant;
use wasmtime::Store;

use crate::command::Command;
use crate::core_guest::{CoreGuest, World};
use crate::executor::Shared;
use crate::failure::{bad_output, classify, failure, internal_from, json, timed_out};
use crate::http::{self as http_run, First, Gathered, GuestBody, GuestEnd};
use crate::http_guest::HttpGuest;
use crate::loaded::{Loaded, Program};
use crate::log_tail::LogTail;
use crate::meter::{self, Meter, Metered as _};
use crate::reactor::{Handled, Reactor};

/// See the module.
pub(crate) struct WasmSandbox {
    pub(crate) shared: Arc<Shared>,
    pub(crate) loaded: Arc<Loaded>,
    pub(crate) version: Arc<Version>,
}

/// What a core module's run ends with.
type CoreEnd = (wasmtime::Result<Handled>, bool);

#[async_trait]
impl Sandbox for WasmSandbox {
    async fn invoke(
        &self,
        call: SandboxCall,
        host: Arc<dyn HostCalls>,
    ) -> Result<Outcome, InvokeError> {
        let limit = self.limit(&call);
        match &self.loaded.program {
            Program::Command(command) => {
                let command = command.clone();
                self.run_core(call, host, limit, |store| run_command(command, store))
                    .await
            }
            Program::Reactor(reactor) => {
                let reactor = reactor.clone();
                self.run_core(call, host, limit, |store| run_reactor(reactor, store))
                    .await
            }
            // Boxed: several times as large as a call with JSON, which would be moved about with it.
            Program::Http(_) => Box::pin(self.run_http(call, limit)).await,
        }
    }

    fn reuse(&self) -> Reuse {
        Reuse::Once
    }

    /// Nothing runs outside `invoke`, so there is nothing to stop.
    async fn stop(&self) -> Result<(), StopError> {
        Ok(())
    }
}

async fn run_command(command: Command, mut store: Store<CoreGuest>) -> CoreEnd {
    let result = command.run(&mut store).await.map(Handled::Value);
    let refused = store.data_mut().meter().memory_refused();
    (result, refused)
}

async fn run_reactor(reactor: Reactor, mut store: Store<CoreGuest>) -> CoreEnd {
    let result = reactor.run(&mut store).await;
    let refused = store.data_mut().meter().memory_refused();
    (result, refused)
}

/// When an invocation must end, and the length that is told if it does not.
#[derive(Clone, Copy)]
struct Limit {
    at: Instant,
    length: Duration,
}

impl WasmSandbox {
    fn limit(&self, call: &SandboxCall) -> Limit {
        let (now, timeout) = (Instant::now(), self.version.limits.timeout);
        let at = now + timeout;
        match call.deadline.map(Instant::from_std) {
            Some(deadline) if deadline < at => Limit {
                at: deadline,
                length: deadline.saturating_duration_since(now),
            },
            _ => Limit {
                at,
                length: timeout,
            },
        }
    }

    fn meter(&self, heavy: &Arc<AtomicBool>) -> Meter {
        let limits = &self.version.limits;
        let cpu_time = limits
            .cpu_time
            .into_iter()
            .chain(self.shared.config.cpu_time_max)
            .min();
        Meter::new(limits.memory.bytes(), cpu_time, Arc::clone(heavy))
    }

    async fn run_core<F>(
        &self,
        call: SandboxCall,
        host: Arc<dyn HostCalls>,
        limit: Limit,
        run: impl FnOnce(Store<CoreGuest>) -> F,
    ) -> Result<Outcome, InvokeError>
    where
        F: Future<Output = CoreEnd> + Send + 'static,
    {
        let Payload::Json(params) = call.payload else {
            return Err(InvokeError::Request {
                code: "not_http",
                message: "the function takes JSON parameters, not an HTTP request".to_owned(),
            });
        };
        let heavy = Arc::new(AtomicBool::new(false));
        let log = LogTail::new(self.shared.config.log_bytes_max);
        let guest = CoreGuest {
            meter: self.meter(&heavy),
            log: log.clone(),
            stdin: params,
            stdout: Vec::new(),
            stdout_max: self.shared.config.output_bytes_max,
            memory: None,
            world: World::Invocation {
                function: call.function,
                id: call.id,
                version: Arc::clone(&self.version),
                host,
            },
            kept_reply: None,
        };
        let mut store = Store::new(&self.shared.engine, guest);
        meter::arm(&mut store);
        let _running = self.shared.ticker.running();
        let mut guest = self.shared.lane.run(Box::pin(run(store)), heavy);
        match tokio::time::timeout_at(limit.at, &mut guest).await {
            Ok(Ok((Ok(handled), refused))) => outcome(handled, refused, log.take()),
            Ok(Ok((Err(error), refused))) => Err(classify(&error, refused, log.take())),
            Ok(Err(lost)) => Err(internal_from("run the instance", lost)),
            Err(_) => {
                guest.stop().await;
                Err(timed_out(limit.length, log.take()))
            }
        }
    }

    async fn run_http(&self, call: SandboxCall, limit: Limit) -> Result<Outcome, InvokeError> {
        let Program::Http(pre) = &self.loaded.program else {
            return Err(internal_from("run a component", "the program is not one"));
        };
        let (request, as_json) = match call.payload {
            Payload::Http(request) => (*request, false),
            Payload::Json(params) => (http_run::json_request(params), true),
        };
        let heavy = Arc::new(AtomicBool::new(false));
        let log = LogTail::new(self.shared.config.log_bytes_max);
        let mut id = [0; 36];
        let guest = HttpGuest::new(
            self.meter(&heavy),
            &self.version,
            call.function.as_str(),
            call.id.encode(&mut id),
            &log,
        );
        let mut store = Store::new(&self.shared.engine, guest);
        meter::arm(&mut store);
        let running = self.shared.ticker.running();
        let (sender, answer) = oneshot::channel();
        let mut guest = self.shared.lane.run(
            Box::pin(http_run::run(pre.clone(), store, request, sender)),
            heavy,
        );
        let first = tokio::time::timeout_at(limit.at, http_run::first(&mut guest, answer)).await;
        let (response, end) = match first {
            Ok(First::Answered(Ok(response), end)) => (response, end),
            Ok(First::Answered(Err(code), _)) => {
                return Err(bad_output(
                    format!("the function gave an error instead of a response: {code:?}"),
                    log.take(),
                ));
            }
            Ok(First::Ended(end)) => return Err(ended_without_answer(end, &log)),
            Err(_) => {
                guest.stop().await;
                return Err(timed_out(limit.length, log.take()));
            }
        };
        let (parts, body) = response.into_parts();
        let body = GuestBody {
            guest: end.is_none().then_some(guest),
            end,
            body,
            limit: Box::pin(tokio::time::sleep_until(limit.at)),
            timeout: limit.length,
            bytes_left: self.shared.config.output_bytes_max,
            running: Some(running),
            broken: false,
        };
        let body: HttpBody = match body.gather().await {
            Gathered::Whole(whole) => Box::pin(Full::new(whole).map_err(|never| match never {})),
            Gathered::Streaming(stream) => Box::pin(stream),
            Gathered::Failed(end) => return Err(ended_without_answer(end, &log)),
            Gathered::Unfinished => {
                let message = "the function ended without finishing the body of its response";
                return Err(bad_output(message, log.take()));
            }
        };
        if as_json {
            return json_outcome(&parts, body, self.shared.config.output_bytes_max, &log).await;
        }
        Ok(Outcome {
            reply: Reply::Http(Box::new(Response::from_parts(parts, body))),
            log: log.take(),
        })
    }
}

fn outcome(handled: Handled, memory_refused: bool, log: Bytes) -> Result<Outcome, InvokeError> {
    match handled {
        Handled::Value(output) => match json(output) {
            Ok(value) => Ok(Outcome {
                reply: Reply::Json(value),
                log,
            }),
            Err(message) => Err(bad_output(message, log)),
        },
        Handled::Failed(object) => {
            let (kind, message) = if memory_refused {
                let words = format!(
                    "{}; the function had been refused memory beyond its limit",
                    object.words()
                );
                (FailureKind::MemoryLimit, words)
            } else {
                (FailureKind::Error, object.words())
            };
            Err(InvokeError::Function(FunctionFailure {
                kind,
                message,
                stack: object.stack,
                log,
                stale: false,
            }))
        }
    }
}

fn ended_without_answer(end: http_run::End, log: &LogTail) -> InvokeError {
    match end {
        Ok(GuestEnd { result: Ok(()), .. }) => bad_output(
            "the function returned without setting a response",
            log.take(),
        ),
        Ok(GuestEnd {
            result: Err(error),
            memory_refused,
            ..
        }) => classify(&error, memory_refused, log.take()),
        Err(lost) => internal_from("run the instance", lost),
    }
}

/// A response as the result of a JSON invocation: a 2xx one with a JSON body.
async fn json_outcome(
    parts: &http::response::Parts,
    body: HttpBody,
    bytes_max: usize,
    log: &LogTail,
) -> Result<Outcome, InvokeError> {
    let body = match collect(body, bytes_max).await {
        Ok(body) => body,
        Err(fault) => {
            return Err(bad_output(
                format!("the function's response broke off: {fault}"),
                log.take(),
            ));
        }
    };
    if !parts.status.is_success() {
        let text = String::from_utf8_lossy(&body[..body.len().min(1024)]).into_owned();
        return Err(failure(
            FailureKind::Error,
            format!("the function answered {}: {text}", parts.status),
            log.take(),
        ));
    }
    match json(body) {
        Ok(value) => Ok(Outcome {
            reply: Reply::Json(value),
            log: log.take(),
        }),
        Err(message) => Err(bad_output(message, log.take())),
    }
}

async fn collect(mut body: HttpBody, bytes_max: usize) -> Result<Bytes, String> {
    let mut collected = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|fault| fault.to_string())?.into_data() else {
            continue;
        };
        if collected.len() + data.len() > bytes_max {
            return Err(format!("it is larger than {bytes_max} bytes"));
        }
        collected.extend_from_slice(&data);
    }
    Ok(collected.freeze())
}
