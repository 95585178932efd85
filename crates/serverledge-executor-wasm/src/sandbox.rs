//! A wasm sandbox: an instance for one invocation, fresh or as good as fresh.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Response;
use http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, Full};
use serverledge_core::{
    Call, FailureKind, FunctionFailure, HostCalls, HttpBody, InstanceKey, InvokeError, Outcome,
    Payload, Reply, Reuse, Sandbox, StopError, TraceContext, Version, unix_ms, whole_millis,
};
use tokio::sync::oneshot;
use tokio::time::Instant;
use wasmtime::Store;

use crate::cli::{self, ProgramEnd};
use crate::component_guest::{ComponentGuest, ComponentRole, HANDLES_MAX, ProgramOutput};
use crate::component_program::{CliProgram, HttpProgram};
use crate::core_guest::{CoreGuest, World};
use crate::descriptor_table::DescriptorTable;
use crate::engine::COMPONENT_GUEST;
use crate::exchange::{BodyLength, Exchange, Gathered, with_trailers};
use crate::executor::ExecutorParts;
use crate::failure::{
    bad_output, classify, component_failure, failure, internal_from, json, timed_out,
};
use crate::files::{self, BaseTree, Preopen};
use crate::http::{self as http_run, First, GuestEnd, GuestFault};
use crate::http_reactor::{self, AnswerForm};
use crate::invocation_facts::InvocationFacts;
use crate::lane::GuestFuture;
use crate::loaded::{LoadedModule, Program};
use crate::log_tail::LogTail;
use crate::meter::{self, Meter};
use crate::outbound::Outbound;
use crate::program_call::{self, ProgramCall, not_http};
use crate::reactor::{ErrorObject, Handled};
use crate::service;

/// See the module.
pub(crate) struct WasmSandbox {
    pub(crate) shared: Arc<ExecutorParts>,
    pub(crate) loaded: Arc<LoadedModule>,
    pub(crate) version: Arc<Version>,
}

/// The end of a core module's run.
type CoreEnd = (wasmtime::Result<Handled>, bool);

#[async_trait]
impl Sandbox for WasmSandbox {
    async fn invoke(&self, call: Call, host: Arc<dyn HostCalls>) -> Result<Outcome, InvokeError> {
        let limit = self.limit(&call);
        match &self.loaded.program {
            Program::Core(_) => self.run_core(call, host, limit).await,
            // Boxed: several times as large as a call with JSON, which would be moved about with it.
            Program::Http(_) => Box::pin(self.run_http(call, host, limit)).await,
            Program::Cli(pre) => Box::pin(self.run_program(pre.clone(), call, host, limit)).await,
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

/// Runs a call in an instance that waits for one, or in a fresh one, and keeps it if that is possible. The end says whether
/// memory was refused, where that can be the reason for a failure: a heap of objects is collected then, and goes on.
async fn run_core(
    shared: Arc<ExecutorParts>,
    loaded: Arc<LoadedModule>,
    key: Option<InstanceKey>,
    guest: CoreGuest,
) -> CoreEnd {
    let kept = key.and_then(|key| loaded.kept.take(key));
    let started = match kept {
        Some(mut instance) => {
            instance.begin(guest);
            Ok(instance)
        }
        None => shared.fresh(&loaded, key.is_some(), guest).await,
    };
    let mut instance = match started {
        Ok(instance) => instance,
        Err((error, memory_refused)) => return (Err(error), memory_refused && !loaded.has_heap),
    };
    let end = instance.call().await;
    if key.is_some() {
        shared.keep(&loaded, key, instance, &end);
    }
    (end.result, end.memory_refused && !loaded.has_heap)
}

/// The time at which an invocation must end, and the length that is reported if it does not.
#[derive(Clone, Copy)]
struct Limit {
    at: Instant,
    length: Duration,
}

impl Limit {
    /// The time at which the invocation is ended, in milliseconds of the Unix epoch.
    fn deadline_ms(self) -> u64 {
        let left = self.at.saturating_duration_since(Instant::now());
        unix_ms().saturating_add(whole_millis(left))
    }
}

fn facts(call: &Call, host: &dyn HostCalls, limit: Limit) -> InvocationFacts {
    InvocationFacts {
        function: call.function.clone(),
        id: call.id,
        deadline_ms: limit.deadline_ms(),
        trace: call.guest_trace(host),
    }
}

impl WasmSandbox {
    fn limit(&self, call: &Call) -> Limit {
        let now = Instant::now();
        let timeout = self.version.limits.timeout;
        let at = now + timeout;
        match call.context.deadline.map(Instant::from_std) {
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

    /// The directories of a call whose code comes with files. They share its memory.
    fn preopens(
        &self,
        base: &Arc<BaseTree>,
        meter: &mut Meter,
    ) -> Result<Vec<Preopen>, InvokeError> {
        let room = meter.share();
        let preopens = files::of_call(base, self.shared.config.file_layout, &room);
        preopens.map_err(|fault| {
            let message = format!("the function's files do not fit its memory: {fault}");
            failure(FailureKind::MemoryLimit, message, Bytes::new())
        })
    }

    async fn run_core(
        &self,
        call: Call,
        host: Arc<dyn HostCalls>,
        limit: Limit,
    ) -> Result<Outcome, InvokeError> {
        let facts = facts(&call, &*host, limit);
        let trace = facts.trace.as_ref();
        let (input, form) = self.core_input(call.payload, trace, limit).await?;
        let ProgramCall {
            args,
            stdin,
            by_request,
        } = input;
        let heavy = Arc::new(AtomicBool::new(false));
        let log = LogTail::of(self.shared.config.log_bytes_max, host.log(), call.id);
        let mut meter = self.meter(&heavy);
        let files = match &self.loaded.files {
            Some(base) => {
                let preopens = self.preopens(base, &mut meter)?;
                Some(Box::new(DescriptorTable::new(preopens)))
            }
            None => None,
        };
        let guest = CoreGuest {
            meter,
            log: log.clone(),
            stdin,
            stdout: Vec::new(),
            stdout_max: self.shared.config.output_bytes_max,
            memory: None,
            world: World::Invocation {
                facts,
                version: Arc::clone(&self.version),
                host,
                args,
            },
            kept_reply: None,
            files,
        };
        let _running = self.shared.ticker.running();
        let run = run_core(
            Arc::clone(&self.shared),
            Arc::clone(&self.loaded),
            call.instance,
            guest,
        );
        let mut guest = self.shared.lane.run(Box::pin(run), heavy);
        match tokio::time::timeout_at(limit.at, &mut guest).await {
            Ok(Ok((Ok(Handled::Value(output)), _))) => match form {
                Some(form) => answered(form, &output, &log),
                None => self.outcome(by_request, output, log.take()),
            },
            Ok(Ok((Ok(Handled::Failed(object)), refused))) => {
                Err(reported(object, refused, log.take()))
            }
            Ok(Ok((Err(error), refused))) => Err(classify(&error, refused, log.take())),
            Ok(Err(lost)) => Err(internal_from("run the instance", lost)),
            Err(_) => {
                guest.stop().await;
                Err(timed_out(limit.length, log.take()))
            }
        }
    }

    /// The input of a core module, and the form of its answer if it answers requests.
    async fn core_input(
        &self,
        payload: Payload,
        trace: Option<&TraceContext>,
        limit: Limit,
    ) -> Result<(ProgramCall, Option<AnswerForm>), InvokeError> {
        if !self.loaded.answers_requests {
            return Ok((self.program_call(payload, limit).await?, None));
        }
        let reading = Box::pin(http_reactor::read(payload, trace));
        let (stdin, form) = tokio::time::timeout_at(limit.at, reading)
            .await
            .unwrap_or_else(|_| Err(timed_out(limit.length, Bytes::new())))?;
        let input = ProgramCall {
            args: Vec::new(),
            stdin,
            by_request: true,
        };
        Ok((input, Some(form)))
    }

    /// The input of the call. A request is read within the function's time.
    async fn program_call(
        &self,
        payload: Payload,
        limit: Limit,
    ) -> Result<ProgramCall, InvokeError> {
        let io = &self.version.io;
        match payload {
            Payload::Json(params) => ProgramCall::by_params(io, params),
            Payload::Http(request) if io.has_bytes() => {
                // Boxed, like whatever is rare.
                let reading = Box::pin(ProgramCall::by_request(io, *request));
                tokio::time::timeout_at(limit.at, reading)
                    .await
                    .unwrap_or_else(|_| Err(timed_out(limit.length, Bytes::new())))
            }
            Payload::Http(_) => Err(not_http()),
        }
    }

    /// The outcome of a good end: the output in the form that the version and the call say.
    fn outcome(&self, by_request: bool, output: Bytes, log: Bytes) -> Result<Outcome, InvokeError> {
        let stdout = &self.version.io.stdout;
        let bytes_max = self.shared.config.output_bytes_max;
        program_call::outcome(stdout, by_request, output, bytes_max, log)
    }

    /// The store of a component for a call, with its limits armed and room for it in the pool.
    fn component_store(
        &self,
        facts: &InvocationFacts,
        outbound: Outbound,
        heavy: &Arc<AtomicBool>,
        role: ComponentRole,
    ) -> Result<Store<ComponentGuest>, InvokeError> {
        let mut meter = self.meter(heavy);
        let files = match &self.loaded.files {
            Some(base) => Some(self.preopens(base, &mut meter)?),
            None => None,
        };
        let mut guest = ComponentGuest::new(meter, &self.version, facts, outbound, role);
        if let Some(preopens) = files {
            guest.open(preopens);
        }
        let engine = match &self.shared.concurrent {
            Some(engine) if self.loaded.is_concurrent => engine,
            _ => &self.shared.engine,
        };
        let mut store = Store::new(engine, guest);
        store.set_max_component_handles(HANDLES_MAX);
        store.set_hostcall_fuel(meter::HOST_CALL_BYTES_MAX);
        meter::arm(&mut store);
        // The other engine's pool has instances of nobody else.
        if !self.loaded.is_concurrent {
            self.shared.make_room(COMPONENT_GUEST);
        }
        Ok(store)
    }

    async fn run_program(
        &self,
        pre: CliProgram,
        call: Call,
        host: Arc<dyn HostCalls>,
        limit: Limit,
    ) -> Result<Outcome, InvokeError> {
        let facts = facts(&call, &*host, limit);
        let ProgramCall {
            args,
            stdin,
            by_request,
        } = self.program_call(call.payload, limit).await?;
        let heavy = Arc::new(AtomicBool::new(false));
        let log = LogTail::of(self.shared.config.log_bytes_max, host.log(), call.id);
        let stdout = ProgramOutput::new(self.shared.config.output_bytes_max);
        let role = ComponentRole::Program {
            args,
            stdin,
            stdout: stdout.clone(),
        };
        let outbound = Outbound::new(host, log.clone());
        let store = self.component_store(&facts, outbound, &heavy, role)?;
        let _running = self.shared.ticker.running();
        let run = Box::pin(cli::run(pre, store));
        let mut guest = self.shared.lane.run(run, heavy);
        match tokio::time::timeout_at(limit.at, &mut guest).await {
            Ok(Ok(ProgramEnd {
                result,
                memory_refused,
            })) => {
                // Of WASI 0.3 it may have ended in any way since.
                let stopped = stdout.exceeded().map(|stop| GuestFault::Guest(stop.into()));
                match stopped.map_or(result, Err) {
                    Ok(()) => self.outcome(by_request, stdout.take(), log.take()),
                    Err(fault) => Err(component_failure(&fault, memory_refused, log.take())),
                }
            }
            Ok(Err(lost)) => Err(internal_from("run the instance", lost)),
            Err(_) => {
                guest.stop().await;
                Err(timed_out(limit.length, log.take()))
            }
        }
    }

    async fn run_http(
        &self,
        call: Call,
        host: Arc<dyn HostCalls>,
        limit: Limit,
    ) -> Result<Outcome, InvokeError> {
        let Program::Http(pre) = &self.loaded.program else {
            return Err(internal_from("run a component", "the program is not one"));
        };
        let pre = pre.clone();
        let facts = facts(&call, &*host, limit);
        let (mut request, as_json) = match call.payload {
            Payload::Http(request) => (*request, false),
            Payload::Json(params) => (http_run::json_request(params), true),
        };
        http_run::set_trace(request.headers_mut(), facts.trace.as_ref());
        let (request, lender) = http_run::lent(request, as_json);
        let is_head = request.method() == http::Method::HEAD;
        let heavy = Arc::new(AtomicBool::new(false));
        let log = LogTail::of(self.shared.config.log_bytes_max, host.log(), call.id);
        let role = ComponentRole::Handler { is_head };
        let outbound = Outbound::new(host, log.clone());
        let store = self.component_store(&facts, outbound, &heavy, role)?;
        let running = self.shared.ticker.running();
        let (sender, answer) = oneshot::channel();
        let run: GuestFuture<GuestEnd> = match pre {
            HttpProgram::Preview2(pre) => Box::pin(http_run::run(pre, store, request, sender)),
            HttpProgram::Preview3(pre) => Box::pin(service::run(pre, store, request, sender)),
        };
        let mut guest = self.shared.lane.run(run, heavy);
        let first = tokio::time::timeout_at(limit.at, http_run::first(&mut guest, answer)).await;
        let (response, end) = match first {
            Ok(First::Answered(Ok(response), end)) => (response, end),
            Ok(First::Answered(Err(code), _)) => {
                return Err(bad_output(
                    format!("the function gave an error instead of a response: {code}"),
                    log.take(),
                ));
            }
            Ok(First::Ended(end)) => return Err(ended_without_answer(end, &log)),
            Err(_) => {
                guest.stop().await;
                return Err(timed_out(limit.length, log.take()));
            }
        };
        let (mut parts, body) = response.into_parts();
        let length =
            BodyLength::of(&mut parts, is_head).map_err(|fault| bad_output(fault, log.take()))?;
        let exchange = Exchange {
            guest: end.is_none().then_some(guest),
            end,
            body: Some(body),
            length,
            limit: Box::pin(tokio::time::sleep_until(limit.at)),
            timeout: limit.length,
            bytes_max: self.shared.config.output_bytes_max,
            running: Some(running),
            log: log.clone(),
            lender,
            trailers: None,
        };
        if as_json {
            return json_outcome(&parts, exchange.collect().await?, &log);
        }
        http_outcome(parts, exchange, &log).await
    }
}

/// The response, and the guest's rest if it runs on: its log comes with its end.
async fn http_outcome(
    mut parts: http::response::Parts,
    exchange: Exchange,
    log: &LogTail,
) -> Result<Outcome, InvokeError> {
    let (body, rest) = match exchange.gather().await {
        Gathered::Whole {
            body,
            trailers,
            unsent,
            rest,
        } => {
            tell_length(&mut parts, unsent, rest.is_some());
            let body = match trailers {
                Some(trailers) => with_trailers(body, trailers),
                None => whole(body),
            };
            (body, rest.map(Exchange::run_on))
        }
        Gathered::Streaming(head, exchange) => {
            let (body, rest) = exchange.stream(head);
            (body, Some(rest))
        }
        Gathered::Failed(fault) => return Err(fault),
    };
    let log = if rest.is_some() {
        Bytes::new()
    } else {
        log.take()
    };
    Ok(Outcome {
        reply: Reply::Http(Box::new(Response::from_parts(parts, body))),
        log,
        rest,
    })
}

fn whole(body: Bytes) -> HttpBody {
    Box::pin(Full::new(body).map_err(|never| match never {}))
}

/// `HEAD` is told the length that `GET` would have, where it is known.
fn tell_length(parts: &mut http::response::Parts, unsent: Option<u64>, runs_on: bool) {
    if let Some(bytes) = unsent
        && !runs_on
        && parts.status.is_success()
        && parts.status != http::StatusCode::NO_CONTENT
        && bytes > 0
    {
        parts
            .headers
            .entry(CONTENT_LENGTH)
            .or_insert_with(|| bytes.into());
    }
}

/// The outcome of a reactor that has answered a request.
fn answered(form: AnswerForm, output: &Bytes, log: &LogTail) -> Result<Outcome, InvokeError> {
    let bad = |fault: String| bad_output(fault, log.take());
    let (mut parts, body) = http_reactor::response(output).map_err(bad)?.into_parts();
    let length = BodyLength::of(&mut parts, form.is_head).map_err(bad)?;
    let is_sent = length.whole(body.len()).map_err(bad)?;
    if form.as_json {
        return json_outcome(&parts, body, log);
    }
    let body = if is_sent {
        body
    } else {
        tell_length(&mut parts, Some(body.len() as u64), false);
        Bytes::new()
    };
    Ok(Outcome {
        reply: Reply::Http(Box::new(Response::from_parts(parts, whole(body)))),
        log: log.take(),
        rest: None,
    })
}

/// The failure that a reactor reports.
fn reported(object: ErrorObject, memory_refused: bool, log: Bytes) -> InvokeError {
    let (kind, message) = if memory_refused {
        let words = format!(
            "{}; the function had been refused memory beyond its limit",
            object.words()
        );
        (FailureKind::MemoryLimit, words)
    } else {
        (FailureKind::Error, object.words())
    };
    InvokeError::Function(FunctionFailure {
        kind,
        message,
        stack: object.stack,
        log,
        stale: false,
    })
}

fn ended_without_answer(end: http_run::GuestEnding, log: &LogTail) -> InvokeError {
    match end {
        Ok(GuestEnd { result: Ok(()), .. }) => {
            bad_output("the function ended without setting a response", log.take())
        }
        Ok(GuestEnd {
            result: Err(fault),
            memory_refused,
            ..
        }) => component_failure(&fault, memory_refused, log.take()),
        Err(lost) => internal_from("run the instance", lost),
    }
}

/// The way out for a component whose response is no JSON.
const HTTP_HINT: &str =
    "an invocation takes a response in JSON; /fn/NAME gives every response as it is";

/// A response as the result of a JSON invocation: a 2xx one with a JSON body.
fn json_outcome(
    parts: &http::response::Parts,
    body: Bytes,
    log: &LogTail,
) -> Result<Outcome, InvokeError> {
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
            rest: None,
        }),
        Err(message) => Err(bad_output(format!("{message}; {HTTP_HINT}"), log.take())),
    }
}
