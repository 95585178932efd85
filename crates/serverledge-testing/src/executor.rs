//! The conformance suite of [`Executor`] and its [`Sandbox`]es: the duties of every implementation. Called from the
//! tests of each implementation with a handful of functions in that executor's own language. A failing check panics.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use serverledge_core::{
    Call, Digest, Executor, FailureKind, FunctionFailure, FunctionLimits, FunctionName, HttpBody,
    InstanceKey, InvocationId, InvokeError, Network, Outcome, Payload, ProgramIo, Reply, Reuse,
    Runtime, Sandbox, Secrets, StartError, Version, unix_ms,
};
use tokio::time::Instant;

use crate::fake_host::FakeHost;

/// The line that [`Fixtures::fails`] writes to its log.
pub const FAILS_LOG: &str = "before it broke";
/// The line that [`Fixtures::endless`] writes to its log.
pub const ENDLESS_LOG: &str = "still here";
/// The line that [`Fixtures::logs`] writes to its log.
pub const LOGS_LOG: &str = "a line of the log";
/// Length of the JSON string that [`Fixtures::large`] gives, its quotes included: more than any buffer on the way.
pub const LARGE_BYTES: usize = 1_000_000;
/// The function that [`Fixtures::calls`] calls.
pub const CALLEE: &str = "callee";

/// Invocations that one pooled sandbox serves at once, and one after the other.
const SHARED: u16 = 8;

/// Functions for the checks, as code that the executor prepares.
#[derive(Debug, Clone)]
pub struct Fixtures {
    /// The runtime of them all.
    pub runtime: Runtime,
    /// The handler of them all; empty where the runtime needs none.
    pub handler: String,
    /// Gives its parameters back.
    pub echo: Bytes,
    /// Writes [`FAILS_LOG`] to its log and fails.
    pub fails: Bytes,
    /// Writes [`ENDLESS_LOG`] to its log, then computes for ever.
    pub endless: Bytes,
    /// Writes [`LOGS_LOG`] to its log and gives its parameters back.
    pub logs: Bytes,
    /// Gives a JSON string of [`LARGE_BYTES`].
    pub large: Bytes,
    /// Calls [`CALLEE`] with its parameters and gives its result back; `None` where functions cannot call functions.
    pub calls: Option<Bytes>,
    /// The pace of the executor.
    pub pace: Pace,
}

/// The speed that the checks may ask of an executor. The default suits one that starts in microseconds.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// A time limit that is certainly met by a function that never ends, and soon; long enough for one that has just been
    /// started to write a line.
    pub short: Duration,
    /// Sandboxes that are started at once in one check.
    pub concurrent: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            short: Duration::from_secs(1),
            concurrent: 32,
        }
    }
}

impl Fixtures {
    /// A version of this code, with the fixtures' runtime and handler.
    #[must_use]
    pub fn version(&self, code: &[u8], limits: FunctionLimits) -> Version {
        Version {
            runtime: self.runtime,
            handler: self.handler.clone(),
            ..version(code, limits)
        }
    }
}

/// Runs all checks; those of pooled sandboxes only where [`Sandbox::reuse`] says so. The executor is fresh: nothing is
/// prepared on it.
///
/// # Panics
/// If the executor does not conform.
pub async fn conforms(executor: &dyn Executor, fixtures: &Fixtures) {
    let suite = Suite { executor, fixtures };
    suite.an_unprepared_version_does_not_start().await;
    suite.a_dropped_prepare_keeps_nothing().await;
    suite.prepare_is_idempotent().await;
    suite.invocations_give_json().await;
    suite.large_output_is_whole().await;
    suite.the_log_comes_with_the_outcome().await;
    suite.a_failure_has_a_kind_and_a_log().await;
    suite.http_on_a_json_function_is_refused().await;
    suite.the_time_limit_ends_an_endless_function().await;
    suite.the_callers_deadline_ends_it_sooner().await;
    suite.concurrent_invocations_do_not_mix().await;
    if let Some(calls) = &fixtures.calls {
        suite.functions_call_functions(calls).await;
        suite.a_dropped_invocation_drops_its_calls(calls).await;
    }
    suite.lines_are_written_while_the_function_runs().await;
    suite.a_dropped_invocation_stops().await;
    suite.stop_is_idempotent().await;
    suite.forgetting_disturbs_nobody().await;
    if suite.is_pooled().await {
        suite.one_sandbox_serves_many_invocations().await;
        suite.a_failed_function_leaves_the_sandbox_usable().await;
        suite.a_time_limit_spends_the_sandbox().await;
        suite.a_dropped_invocation_spends_the_sandbox().await;
        suite.one_sandbox_serves_several_at_once().await;
        suite.a_stopped_sandbox_is_gone().await;
    }
    suite.sweeping_removes_only_what_is_unused().await;
}

/// A wasm version of this code with these limits; code and limits make its digest.
#[must_use]
pub fn version(code: &[u8], limits: FunctionLimits) -> Version {
    let digest = blake3::Hasher::new()
        .update(code)
        .update(format!("{limits:?}").as_bytes())
        .finalize();
    Version {
        digest: Digest::new(*digest.as_bytes()),
        runtime: Runtime::Wasm,
        code: Digest::new(*blake3::hash(code).as_bytes()),
        handler: String::new(),
        env: std::collections::BTreeMap::new(),
        secrets: Secrets::default(),
        network: Network::None,
        outbound: std::collections::BTreeSet::new(),
        image: String::new(),
        io: ProgramIo::default(),
        limits,
    }
}

struct Suite<'a> {
    executor: &'a dyn Executor,
    fixtures: &'a Fixtures,
}

impl Suite<'_> {
    async fn an_unprepared_version_does_not_start(&self) {
        let version = Arc::new(
            self.fixtures
                .version(b"never prepared", FunctionLimits::default()),
        );
        assert!(
            !self.executor.is_prepared(&version),
            "nothing is prepared yet"
        );
        match self.executor.start(&version).await {
            Err(StartError::NotPrepared(code)) => {
                assert_eq!(code, version.code, "the error names the code")
            }
            other => panic!("the start of an unprepared version gave {other:?}"),
        }
    }

    /// First of the checks that prepare: it needs code that is not prepared.
    async fn a_dropped_prepare_keeps_nothing(&self) {
        let version = self
            .fixtures
            .version(&self.fixtures.large, FunctionLimits::default());
        {
            let mut prepare = std::pin::pin!(self.executor.prepare(
                &version,
                self.fixtures.large.clone(),
                &()
            ));
            let first = prepare.as_mut().now_or_never();
            assert!(
                first.is_none(),
                "preparing takes more than one poll, so that this check means something"
            );
        }
        assert!(
            !self.executor.is_prepared(&version),
            "a dropped prepare kept something"
        );
    }

    async fn prepare_is_idempotent(&self) {
        let version = self
            .fixtures
            .version(&self.fixtures.echo, FunctionLimits::default());
        let first = self
            .executor
            .prepare(&version, self.fixtures.echo.clone(), &())
            .await
            .expect("the echo is prepared");
        assert!(self.executor.is_prepared(&version));
        let again = self
            .executor
            .prepare(&version, self.fixtures.echo.clone(), &())
            .await
            .expect("it is prepared again");
        assert_eq!(first, again, "preparing twice gives the same");
    }

    async fn invocations_give_json(&self) {
        let echo = self
            .version(&self.fixtures.echo, FunctionLimits::default())
            .await;
        for params in [
            json!({"a": [1, 2.5, "ö \u{1F980} \" \\", null, true]}),
            json!(null),
            json!("text"),
            json!([]),
        ] {
            let outcome = self.run(&echo, &params).await.expect("the echo answers");
            assert_eq!(json_of(&outcome), params);
        }
    }

    async fn large_output_is_whole(&self) {
        let large = self
            .version(&self.fixtures.large, FunctionLimits::default())
            .await;
        let outcome = self
            .run(&large, &Value::Null)
            .await
            .expect("a large result");
        let Value::String(text) = json_of(&outcome) else {
            panic!("the large result is a string")
        };
        assert_eq!(text.len() + 2, LARGE_BYTES);
    }

    async fn the_log_comes_with_the_outcome(&self) {
        let logs = self
            .version(&self.fixtures.logs, FunctionLimits::default())
            .await;
        let outcome = self
            .run(&logs, &json!(7))
            .await
            .expect("a result and a log");
        assert_eq!(json_of(&outcome), json!(7));
        assert_eq!(log_line(&outcome.log), LOGS_LOG);
    }

    async fn a_failure_has_a_kind_and_a_log(&self) {
        let fails = self
            .version(&self.fixtures.fails, FunctionLimits::default())
            .await;
        let failure = function_failure(self.run(&fails, &Value::Null).await);
        assert_eq!(failure.kind, FailureKind::Error);
        assert_eq!(log_line(&failure.log), FAILS_LOG);
        assert!(!failure.message.is_empty(), "a failure has a message");
    }

    async fn http_on_a_json_function_is_refused(&self) {
        let echo = self
            .version(&self.fixtures.echo, FunctionLimits::default())
            .await;
        let body: HttpBody = Box::pin(
            http_body_util::Empty::new().map_err(|never: std::convert::Infallible| match never {}),
        );
        let payload = Payload::Http(Box::new(http::Request::new(body)));
        let (host, _) = FakeHost::new();
        let sandbox = self.start(&echo).await;
        match sandbox.invoke(call(payload), host).await {
            Err(InvokeError::Request { code, .. }) => assert_eq!(code, "not_http"),
            other => panic!("an HTTP request to a JSON function gave {other:?}"),
        }
        sandbox.stop().await.expect("a used sandbox is stopped");
    }

    async fn the_time_limit_ends_an_endless_function(&self) {
        let short = self.fixtures.pace.short;
        let endless = self.short_lived().await;
        let began = Instant::now();
        let failure = function_failure(self.run(&endless, &Value::Null).await);
        assert_eq!(failure.kind, FailureKind::TimeLimit);
        // A process that is stopped in the middle of a computation may take its log with it.
        if !(failure.log.is_empty() && self.is_pooled().await) {
            assert_eq!(
                log_line(&failure.log),
                ENDLESS_LOG,
                "a stopped function leaves its log"
            );
        }
        assert!(
            began.elapsed() >= short,
            "the limit came too soon: after {:?}",
            began.elapsed()
        );
    }

    async fn the_callers_deadline_ends_it_sooner(&self) {
        let endless = self
            .version(&self.fixtures.endless, FunctionLimits::default())
            .await;
        let (host, _) = FakeHost::new();
        let sandbox = self.start(&endless).await;
        let began = Instant::now();
        let mut call = call(Payload::Json("1".into()));
        call.context.deadline = Some((began + self.fixtures.pace.short).into_std());
        let failure = function_failure(sandbox.invoke(call, host).await);
        sandbox.stop().await.expect("a used sandbox is stopped");
        assert_eq!(failure.kind, FailureKind::TimeLimit);
        assert!(
            began.elapsed() < endless.limits.timeout,
            "the deadline was passed over"
        );
    }

    async fn concurrent_invocations_do_not_mix(&self) {
        let echo = self
            .version(&self.fixtures.logs, FunctionLimits::default())
            .await;
        let runs = (0..self.fixtures.pace.concurrent).map(|index| {
            let (echo, params) = (
                Arc::clone(&echo),
                json!({ "index": index, "filler": "y".repeat(index * 100) }),
            );
            async move {
                let outcome = self.run(&echo, &params).await.expect("the echo answers");
                assert_eq!(
                    json_of(&outcome),
                    params,
                    "invocation {index} got another one's result"
                );
                assert_eq!(
                    log_line(&outcome.log),
                    LOGS_LOG,
                    "invocation {index} got another one's log"
                );
            }
        });
        futures_util::future::join_all(runs).await;
    }

    async fn functions_call_functions(&self, calls: &Bytes) {
        let calls = self.version(calls, FunctionLimits::default()).await;
        let (host, handle) = FakeHost::new();
        handle.answer(CALLEE, |params| {
            Ok(Bytes::from([b"[", &params[..], b"]"].concat()))
        });
        let outcome = self
            .run_on(&calls, &json!({"a": 1}), host)
            .await
            .expect("the callee answers");
        assert_eq!(json_of(&outcome), json!([{"a": 1}]));
        assert_eq!(handle.calls().len(), 1);
    }

    /// The host is given away with the call: when it is gone, nothing of the invocation is left.
    /// With the time and the invocation; and they stay when whoever waited has left.
    async fn lines_are_written_while_the_function_runs(&self) {
        let endless = self
            .version(&self.fixtures.endless, FunctionLimits::default())
            .await;
        let (host, handle) = FakeHost::new();
        let sandbox = self.start(&endless).await;
        let call = call(Payload::Json("1".into()));
        let before = unix_ms();
        let id = call.id;
        let line = {
            let invocation = std::pin::pin!(sandbox.invoke(call, host));
            tokio::select! {
                outcome = invocation => panic!("an endless function ended: {outcome:?}"),
                line = handle.wait_for_line(ENDLESS_LOG) => line,
            }
        };
        assert_eq!(line.call, Some(id), "a line knows its invocation");
        assert!(
            (before..=unix_ms()).contains(&line.unix_ms),
            "a line has the time at which it was written"
        );
        sandbox.stop().await.expect("a used sandbox is stopped");
    }

    async fn a_dropped_invocation_stops(&self) {
        let endless = self
            .version(&self.fixtures.endless, FunctionLimits::default())
            .await;
        let (host, handle) = FakeHost::new();
        let sandbox = self.start(&endless).await;
        self.drop_after(
            sandbox.as_ref(),
            host,
            tokio::time::sleep(self.fixtures.pace.short),
        )
        .await;
        handle
            .wait_for("the end of the dropped invocation", |counts| counts.gone)
            .await;
        sandbox.stop().await.expect("a used sandbox is stopped");
    }

    async fn a_dropped_invocation_drops_its_calls(&self, calls: &Bytes) {
        let calls = self.version(calls, FunctionLimits::default()).await;
        let (host, handle) = FakeHost::new();
        handle.hold(CALLEE);
        let sandbox = self.start(&calls).await;
        let begun = handle.wait_for("the nested call", |counts| counts.begun == 1);
        self.drop_after(sandbox.as_ref(), host, begun).await;
        let ended = "the end of the nested call and of its caller";
        handle
            .wait_for(ended, |counts| counts.dropped == 1 && counts.gone)
            .await;
        sandbox.stop().await.expect("a used sandbox is stopped");
    }

    async fn stop_is_idempotent(&self) {
        let endless = self
            .version(&self.fixtures.endless, FunctionLimits::default())
            .await;
        let sandbox = self.start(&endless).await;
        let (host, handle) = FakeHost::new();
        {
            let mut invoke = sandbox.invoke(call(Payload::Json("1".into())), host);
            let mut stops = std::pin::pin!(async {
                tokio::task::yield_now().await;
                sandbox.stop().await.expect("a stop while a call runs");
                sandbox.stop().await.expect("another stop");
            });
            tokio::select! {
                biased;
                ended = &mut invoke => {
                    assert!(ended.is_err(), "a stopped invocation gave {ended:?}");
                    stops.await;
                }
                () = &mut stops => {}
            }
        }
        handle
            .wait_for("the end of the dropped invocation", |counts| counts.gone)
            .await;
        sandbox.stop().await.expect("a stop after the end");
    }

    async fn forgetting_disturbs_nobody(&self) {
        let echo = self
            .version(&self.fixtures.echo, FunctionLimits::default())
            .await;
        let begun = self.start(&echo).await;
        self.executor.forget(&echo).await;
        self.executor.forget(&echo).await;
        let (host, _) = FakeHost::new();
        let outcome = begun
            .invoke(call(Payload::Json("1".into())), host)
            .await
            .expect("a sandbox that was there before");
        assert_eq!(json_of(&outcome), json!(1));
        let started = self
            .executor
            .start(&echo)
            .await
            .expect("what is prepared starts after it was forgotten");
        assert!(
            !started.warm || started.phases.is_empty(),
            "a warm start loads nothing"
        );
        started
            .sandbox
            .stop()
            .await
            .expect("an unused sandbox is stopped");
        begun.stop().await.expect("a used sandbox is stopped");
        assert_eq!(
            json_of(&self.run(&echo, &json!(2)).await.expect("the echo answers")),
            json!(2)
        );
    }

    async fn sweeping_removes_only_what_is_unused(&self) {
        let kept = self
            .version(&self.fixtures.echo, FunctionLimits::default())
            .await;
        let gone = self
            .version(&self.fixtures.logs, FunctionLimits::default())
            .await;
        let all = [
            &self.fixtures.echo,
            &self.fixtures.fails,
            &self.fixtures.endless,
            &self.fixtures.logs,
        ];
        let all = all
            .into_iter()
            .chain([&self.fixtures.large])
            .chain(&self.fixtures.calls);
        let mut in_use: HashSet<Digest> = all
            .map(|code| version(code, FunctionLimits::default()).code)
            .collect();
        assert_eq!(
            self.executor.sweep(&in_use, Duration::ZERO).await,
            0,
            "all is in use"
        );
        self.run(&gone, &json!(1))
            .await
            .expect("what is in use still runs");
        in_use.remove(&gone.code);
        // A deletion forgets first; without that a loaded version may run on until memory is needed.
        self.executor.forget(&gone).await;
        assert!(
            self.executor.sweep(&in_use, Duration::ZERO).await > 0,
            "something is unused"
        );
        assert!(
            !self.executor.is_prepared(&gone),
            "what was swept is not prepared"
        );
        let start = self.executor.start(&gone).await;
        assert!(
            matches!(start, Err(StartError::NotPrepared(_))),
            "the start of what was swept gave {start:?}"
        );
        assert_eq!(
            self.executor.sweep(&in_use, Duration::ZERO).await,
            0,
            "nothing is left to sweep"
        );
        assert!(self.executor.is_prepared(&kept));
        self.run(&kept, &json!(1))
            .await
            .expect("what was kept still runs");
        let again = self
            .version(&self.fixtures.logs, FunctionLimits::default())
            .await;
        self.run(&again, &json!(1))
            .await
            .expect("what was swept can be prepared again");
    }

    async fn one_sandbox_serves_many_invocations(&self) {
        let logs = self
            .version(&self.fixtures.logs, FunctionLimits::default())
            .await;
        let sandbox = self.start(&logs).await;
        for index in 0..SHARED {
            let outcome = self
                .run_in(sandbox.as_ref(), &json!(index))
                .await
                .expect("a result and a log");
            assert_eq!(json_of(&outcome), json!(index));
            assert_eq!(
                log_line(&outcome.log),
                LOGS_LOG,
                "a log is of its invocation alone"
            );
            assert_eq!(sandbox.reuse(), Reuse::Pooled, "after invocation {index}");
        }
        sandbox.stop().await.expect("a used sandbox is stopped");
    }

    async fn a_failed_function_leaves_the_sandbox_usable(&self) {
        let fails = self
            .version(&self.fixtures.fails, FunctionLimits::default())
            .await;
        let sandbox = self.start(&fails).await;
        for _ in 0..2 {
            let failure = function_failure(self.run_in(sandbox.as_ref(), &Value::Null).await);
            assert_eq!(failure.kind, FailureKind::Error);
            assert_eq!(log_line(&failure.log), FAILS_LOG);
            assert_eq!(
                sandbox.reuse(),
                Reuse::Pooled,
                "a function that fails spends no sandbox"
            );
        }
        sandbox.stop().await.expect("a used sandbox is stopped");
    }

    async fn a_time_limit_spends_the_sandbox(&self) {
        let endless = self.short_lived().await;
        let sandbox = self.start(&endless).await;
        let failure = function_failure(self.run_in(sandbox.as_ref(), &Value::Null).await);
        assert_eq!(failure.kind, FailureKind::TimeLimit);
        assert_eq!(
            sandbox.reuse(),
            Reuse::Once,
            "something still runs in this sandbox"
        );
        sandbox.stop().await.expect("a spent sandbox is stopped");
    }

    async fn a_dropped_invocation_spends_the_sandbox(&self) {
        let endless = self
            .version(&self.fixtures.endless, FunctionLimits::default())
            .await;
        let sandbox = self.start(&endless).await;
        let until = tokio::time::sleep(self.fixtures.pace.short);
        self.drop_after(sandbox.as_ref(), FakeHost::new().0, until)
            .await;
        assert_eq!(
            sandbox.reuse(),
            Reuse::Once,
            "something still runs in this sandbox"
        );
        sandbox.stop().await.expect("a spent sandbox is stopped");
    }

    async fn one_sandbox_serves_several_at_once(&self) {
        let limits = FunctionLimits {
            max_concurrency: SHARED,
            ..FunctionLimits::default()
        };
        let logs = self.version(&self.fixtures.logs, limits).await;
        let sandbox = self.start(&logs).await;
        for round in 0..4 {
            let runs = (0..SHARED).map(|index| {
                let params = json!({ "round": round, "index": index, "filler": "y".repeat(usize::from(index) * 1000) });
                let sandbox = sandbox.as_ref();
                async move {
                    let outcome = self.run_in(sandbox, &params).await.expect("the echo answers");
                    assert_eq!(json_of(&outcome), params, "invocation {index} got another one's result");
                    assert_eq!(log_line(&outcome.log), LOGS_LOG, "invocation {index} got another one's log");
                }
            });
            futures_util::future::join_all(runs).await;
            assert_eq!(sandbox.reuse(), Reuse::Pooled, "after round {round}");
        }
        sandbox.stop().await.expect("a used sandbox is stopped");
    }

    async fn a_stopped_sandbox_is_gone(&self) {
        let echo = self
            .version(&self.fixtures.echo, FunctionLimits::default())
            .await;
        let sandbox = self.start(&echo).await;
        self.run_in(sandbox.as_ref(), &json!(1))
            .await
            .expect("the echo answers");
        sandbox.stop().await.expect("a stop");
        sandbox.stop().await.expect("another stop");
        let invoked = self.run_in(sandbox.as_ref(), &json!(2)).await;
        assert!(
            matches!(invoked, Err(InvokeError::Gone)),
            "a stopped sandbox gave {invoked:?}"
        );
        assert_eq!(
            sandbox.reuse(),
            Reuse::Once,
            "a stopped sandbox serves nobody"
        );
    }

    /// Whether this executor's sandboxes serve more than once.
    async fn is_pooled(&self) -> bool {
        let echo = self
            .version(&self.fixtures.echo, FunctionLimits::default())
            .await;
        let sandbox = self.start(&echo).await;
        let reuse = sandbox.reuse();
        sandbox.stop().await.expect("an unused sandbox is stopped");
        reuse == Reuse::Pooled
    }

    /// The endless function under a limit that ends it soon.
    async fn short_lived(&self) -> Arc<Version> {
        let limits = FunctionLimits {
            timeout: self.fixtures.pace.short,
            ..FunctionLimits::default()
        };
        self.version(&self.fixtures.endless, limits).await
    }

    async fn run_in(&self, sandbox: &dyn Sandbox, params: &Value) -> Result<Outcome, InvokeError> {
        sandbox
            .invoke(
                call(Payload::Json(params.to_string().into())),
                FakeHost::new().0,
            )
            .await
    }

    async fn version(&self, code: &Bytes, limits: FunctionLimits) -> Arc<Version> {
        let version = Arc::new(self.fixtures.version(code, limits));
        self.executor
            .prepare(&version, code.clone(), &())
            .await
            .expect("the fixture is prepared");
        version
    }

    async fn start(&self, version: &Arc<Version>) -> Box<dyn Sandbox> {
        self.executor
            .start(version)
            .await
            .expect("the fixture starts")
            .sandbox
    }

    async fn run(&self, version: &Arc<Version>, params: &Value) -> Result<Outcome, InvokeError> {
        self.run_on(version, params, FakeHost::new().0).await
    }

    async fn run_on(
        &self,
        version: &Arc<Version>,
        params: &Value,
        host: Arc<FakeHost>,
    ) -> Result<Outcome, InvokeError> {
        let sandbox = self.start(version).await;
        let outcome = sandbox
            .invoke(call(Payload::Json(params.to_string().into())), host)
            .await;
        sandbox.stop().await.expect("a used sandbox is stopped");
        outcome
    }

    /// Begins an invocation that does not end, and drops it once `until` has come.
    async fn drop_after(
        &self,
        sandbox: &dyn Sandbox,
        host: Arc<FakeHost>,
        until: impl Future<Output = ()>,
    ) {
        tokio::select! {
            biased;
            ended = sandbox.invoke(call(Payload::Json("1".into())), host) => panic!("the invocation ended: {ended:?}"),
            () = until => {}
        }
    }
}

/// A call from outside to a function of this name.
///
/// # Panics
/// The name is not valid.
#[must_use]
pub fn call_of(function: &str, payload: Payload) -> Call {
    let function = FunctionName::parse(function).expect("a valid name");
    Call {
        // As a node has it: an instance may be kept for the next call.
        instance: Some(InstanceKey::new([1; 32])),
        ..Call::new(
            InvocationId::new(),
            function,
            payload,
            Instant::now().into_std(),
        )
    }
}

fn call(payload: Payload) -> Call {
    call_of("fixture", payload)
}

fn json_of(outcome: &Outcome) -> Value {
    match &outcome.reply {
        Reply::Json(bytes) => serde_json::from_slice(bytes).expect("a JSON reply is JSON"),
        Reply::Http(_) => panic!("a JSON function answered HTTP"),
    }
}

fn function_failure(outcome: Result<Outcome, InvokeError>) -> FunctionFailure {
    match outcome {
        Err(InvokeError::Function(failure)) => failure,
        other => panic!("the function should have failed; it gave {other:?}"),
    }
}

fn log_line(log: &[u8]) -> &str {
    std::str::from_utf8(log)
        .expect("these fixtures write text")
        .trim_end()
}
