//! Functions in containers that call functions: from threads, tasks and several invocations at once, within limits, and never
//! after their invocation's end. Operations on stores go the same way.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use serverledge_core::{
    CallError, FunctionLimits, InvokeError, Outcome, Payload, Reply, Runtime, Sandbox, StateError,
    StateKey, StoreName,
};
use serverledge_core::{Executor as _, Version};
use serverledge_testing::executor::{call_of, version};
use serverledge_testing::fake_host::{FakeHost, FakeHostHandle};

use crate::support::Lab;

const PYTHON: &str = "
import asyncio, threading, types
import serverledge
from serverledge import CallError
kept = []
async def many(number):
    return await asyncio.gather(*(acall('callee', each) for each in range(number)))
def handler(params):
    if params['do'] == 'many':
        return asyncio.run(many(params['number']))
    if params['do'] == 'thread':
        got = []
        thread = threading.Thread(target=lambda: got.append(call('callee', 'from a thread')))
        thread.start()
        thread.join()
        return got
    if params['do'] == 'keep':
        kept.append(serverledge.Agent.caller().capability)
        return None
    if params['do'] == 'steal':
        own = serverledge.Agent.caller
        stolen = types.SimpleNamespace(capability=kept[0])
        serverledge.Agent.caller = staticmethod(lambda: stolen)
        try:
            return call('callee', 1)
        except CallError as error:
            return [error.code, type(error).__name__]
        finally:
            serverledge.Agent.caller = own
    try:
        return call(params['name'], params.get('args'))
    except CallError as error:
        return [error.code, str(error)]
";

const NODEJS: &str = "
const { CallError } = require('serverledge');
exports.handler = async ({ do: what, number, name, args }) => {
  if (what === 'many') return Promise.all([...Array(number).keys()].map((each) => call('callee', each)));
  if (what === 'later') return new Promise((resolve) => setTimeout(() => resolve(call('callee', args)), 5));
  try {
    return await call(name, args);
  } catch (error) {
    return [error.code, error.message, error instanceof CallError];
  }
};
";

async fn started(lab: &Lab, runtime: Runtime, code: &str, concurrency: u16) -> Box<dyn Sandbox> {
    let code = Bytes::copy_from_slice(code.as_bytes());
    let limits = FunctionLimits {
        max_concurrency: concurrency,
        ..FunctionLimits::default()
    };
    let version = Arc::new(Version {
        runtime,
        handler: "main.handler".to_owned(),
        ..version(&code, limits)
    });
    lab.executor.prepare(&version, code, &()).await.unwrap();
    lab.executor.start(&version).await.unwrap().sandbox
}

/// A host on which `callee` gives back what it is given, in brackets.
fn host() -> (Arc<FakeHost>, FakeHostHandle) {
    let (host, handle) = FakeHost::new();
    handle.answer("callee", |params| {
        Ok(Bytes::from([b"[", &params[..], b"]"].concat()))
    });
    handle.answer("deep", |_| Err(CallError::TooDeep(8)));
    (host, handle)
}

async fn run(sandbox: &dyn Sandbox, params: &Value) -> Value {
    let outcome = invoke(sandbox, params, host().0).await.unwrap();
    let Reply::Json(bytes) = outcome.reply else {
        panic!("containers answer JSON")
    };
    serde_json::from_slice(&bytes).unwrap()
}

async fn invoke(
    sandbox: &dyn Sandbox,
    params: &Value,
    host: Arc<FakeHost>,
) -> Result<Outcome, InvokeError> {
    sandbox
        .invoke(
            call_of("caller", Payload::Json(params.to_string().into())),
            host,
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn python_functions_call_from_tasks_and_threads() {
    let lab = Lab::new().await;
    let sandbox = started(&lab, Runtime::Python, PYTHON, 1).await;
    let each: Vec<Value> = (0..16).map(|each| json!([each])).collect();
    assert_eq!(
        run(sandbox.as_ref(), &json!({"do": "many", "number": 16})).await,
        json!(each)
    );
    assert_eq!(
        run(sandbox.as_ref(), &json!({"do": "thread"})).await,
        json!([["from a thread"]])
    );
    let error = run(sandbox.as_ref(), &json!({"do": "one", "name": "deep"})).await;
    assert_eq!(
        error,
        json!(["call_too_deep", "calls are nested more than 8 deep"])
    );
    let error = run(sandbox.as_ref(), &json!({"do": "one", "name": "nobody"})).await;
    assert_eq!(error[0], "function_unknown");
    sandbox.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodejs_functions_call_at_once_and_later() {
    let lab = Lab::new().await;
    for concurrency in [1, 4] {
        let sandbox = started(&lab, Runtime::NodeJs, NODEJS, concurrency).await;
        let each: Vec<Value> = (0..16).map(|each| json!([each])).collect();
        assert_eq!(
            run(sandbox.as_ref(), &json!({"do": "many", "number": 16})).await,
            json!(each)
        );
        assert_eq!(
            run(sandbox.as_ref(), &json!({"do": "later", "args": {"a": 1}})).await,
            json!([{"a": 1}])
        );
        let error = run(sandbox.as_ref(), &json!({"name": "deep"})).await;
        assert_eq!(
            error,
            json!(["call_too_deep", "calls are nested more than 8 deep", true])
        );
        sandbox.stop().await.unwrap();
    }
}

/// Each call belongs to the invocation that makes it, although they share a process.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_invocations_call_with_their_own_rights() {
    let lab = Lab::new().await;
    for (runtime, code, what) in [
        (Runtime::Python, PYTHON, "thread"),
        (Runtime::NodeJs, NODEJS, "later"),
    ] {
        let sandbox = started(&lab, runtime, code, 4).await;
        let hosts: Vec<_> = (0..4).map(|_| host()).collect();
        let params = json!({"do": what, "args": 1});
        let runs = hosts
            .iter()
            .map(|(host, _)| invoke(sandbox.as_ref(), &params, Arc::clone(host)));
        for outcome in futures_util::future::join_all(runs).await {
            outcome.unwrap();
        }
        for (_, handle) in &hosts {
            assert_eq!(
                handle.calls().len(),
                1,
                "{runtime:?}: one invocation, one call"
            );
        }
        sandbox.stop().await.unwrap();
    }
}

/// A capability is worth nothing once its invocation has ended; a later one cannot use it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_capability_is_refused_and_counted() {
    let lab = Lab::new().await;
    let sandbox = started(&lab, Runtime::Python, PYTHON, 1).await;
    run(sandbox.as_ref(), &json!({"do": "keep"})).await;
    assert_eq!(lab.executor.refused_calls(), 0);
    assert_eq!(
        run(sandbox.as_ref(), &json!({"do": "steal"})).await,
        json!(["call_refused", "CallError"])
    );
    assert_eq!(lab.executor.refused_calls(), 1);
    sandbox.stop().await.unwrap();
}

/// Calls that a function starts and does not wait for end with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_end_with_their_invocation() {
    let lab = Lab::new().await;
    let code = "exports.handler = async () => { call('held', 1).catch(() => {}); while (!await call('callee', 2)) {} };";
    let sandbox = started(&lab, Runtime::NodeJs, code, 1).await;
    let (host, handle) = host();
    handle.hold("held");
    let seen = handle.clone();
    // Not before the other call has arrived.
    handle.answer("callee", move |_| {
        let arrived = seen.calls().iter().any(|call| call.function == "held");
        Ok(Bytes::from(if arrived { "true" } else { "false" }))
    });
    invoke(sandbox.as_ref(), &json!(null), host).await.unwrap();
    handle
        .wait_for("the end of what nobody waited for", |counts| {
            counts.dropped == 1 && counts.gone
        })
        .await;
    tokio::time::timeout(Duration::from_secs(20), sandbox.stop())
        .await
        .unwrap()
        .unwrap();
}

const PYTHON_STATE: &str = "
from serverledge import kv, KvError
def handler(params):
    try:
        kv.set('k', params)
        return [kv.get('k', 'json'), kv.increment('n', 2), kv.compare_and_set('k', None, 'x')]
    except KvError as error:
        return error.code
";

const NODEJS_STATE: &str = "
const { kv, KvError } = require('serverledge');
exports.handler = async (params) => {
  try {
    await kv.set('k', params);
    return [await kv.get('k', 'json'), await kv.increment('n', 2), await kv.compareAndSet('k', null, 'x')];
  } catch (error) {
    return error instanceof KvError ? error.code : String(error);
  }
};
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_keep_state() {
    let lab = Lab::new().await;
    for (runtime, code) in [
        (Runtime::Python, PYTHON_STATE),
        (Runtime::NodeJs, NODEJS_STATE),
    ] {
        let sandbox = started(&lab, runtime, code, 1).await;
        let (host, handle) = FakeHost::new();
        let params = json!({"a": [1]});
        for (failing, expected) in [
            (false, json!([{"a": [1]}, 2, null])),
            (true, json!("kv_too_fast")),
            (false, json!([{"a": [1]}, 4, null])),
        ] {
            if failing {
                handle.fail_state(|| StateError::TooFast { per_second: 7 });
            } else {
                handle.apply_state();
            }
            let outcome = invoke(sandbox.as_ref(), &params, Arc::clone(&host)).await;
            let Reply::Json(bytes) = outcome.unwrap().reply else {
                panic!("containers answer JSON")
            };
            let given: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(given, expected, "{runtime:?}");
        }
        let key = StateKey::new("n").unwrap();
        assert_eq!(handle.entry(&StoreName::default(), &key).unwrap(), "4");
        sandbox.stop().await.unwrap();
    }
}
