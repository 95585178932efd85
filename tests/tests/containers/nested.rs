//! WebAssembly and containers in one node, and calls from one to the other.

use anyhow::Result;
use serde_json::json;

use crate::guests;
use crate::support::Lab;

#[test]
fn wasm_calls_python() -> Result<()> {
    let lab = Lab::start()?;
    lab.python(
        "py",
        "def handler(params): return {'twice': params['n'] * 2}\n",
    )?;
    lab.python(
        "bad",
        "def handler(params): raise ValueError('not today')\n",
    )?;
    lab.deploy("outer", guests::caller_of("py", 0))?;
    lab.deploy("unlucky", guests::caller_of("bad", 0))?;
    lab.deploy("plain", guests::constant(7))?;
    for n in 0..3 {
        assert_eq!(
            lab.call("outer", &json!({ "n": n }))?,
            json!({"twice": 2 * n})
        );
        assert_eq!(lab.call("plain", &json!({}))?, json!({"n": 7}));
        assert_eq!(lab.call("py", &json!({ "n": n }))?, json!({"twice": 2 * n}));
    }
    // The callee's failure is an object that the caller can read.
    let failed = lab.call("unlucky", &json!({}))?;
    assert_eq!(failed["error"], "function_error", "{failed}");
    assert!(
        failed["message"]
            .as_str()
            .is_some_and(|message| message.contains("not today")),
        "{failed}"
    );
    let status = lab.status()?;
    assert_eq!(
        status["AvailableWarmContainers"],
        json!({"py": 1, "bad": 1}),
        "wasm keeps none"
    );
    lab.wait_until_free()
}

/// The callee's time is its caller's.
#[test]
fn a_callee_ends_with_its_caller() -> Result<()> {
    let lab = Lab::start()?;
    // By itself it ends after its caller, and leaves a warm container.
    lab.python_with(
        "slow",
        &crate::support::sleeper(60.0),
        &json!({"Timeout": 300}),
    )?;
    lab.deploy_with(
        "outer",
        guests::caller_of("slow", 0),
        &json!({"Timeout": 5}),
    )?;
    // A start that outlasts the caller would end with an idle container.
    lab.post("/prewarm", &json!({"Function": "slow", "Instances": 1}))?;
    lab.wait_for_warm("slow", 1)?;
    lab.invoke("outer", &json!({}))?
        .assert_problem(500, "function_timeout");
    lab.wait_until_free()?;
    lab.wait_for_containers(0).map(drop)
}

/// The example of the repository, with the callee in another language than it was written for.
#[test]
fn the_language_of_a_callee_makes_no_difference() -> Result<()> {
    let lab = Lab::start()?;
    lab.nodejs(
        "add",
        "exports.handler = params => ({sum: params.a + params.b});\n",
    )?;
    lab.deploy_example("call-chain")?;
    assert_eq!(
        lab.call("call-chain", &json!({"a": 2, "b": 3}))?,
        json!({"double": 10})
    );
    Ok(())
}

/// Python, WebAssembly and Node.js call each other; what goes wrong at the end is readable at the beginning.
#[test]
fn calls_go_through_every_executor() -> Result<()> {
    let lab = Lab::start()?;
    lab.nodejs(
        "end",
        "exports.handler = params => { if (params.n < 0) throw new TypeError('negative'); return params.n * 2; };\n",
    )?;
    lab.deploy("middle", guests::caller_of("end", 0))?;
    lab.python(
        "begin",
        "def handler(params): return {'got': call('middle', params)}\n",
    )?;
    lab.nodejs(
        "first",
        "exports.handler = async params => [await call('begin', params), await call('begin', params)];\n",
    )?;
    assert_eq!(
        lab.call("first", &json!({"n": 21}))?,
        json!([{"got": 42}, {"got": 42}])
    );
    let failed = lab.call("begin", &json!({"n": -1}))?;
    assert_eq!(failed["got"]["error"], "function_error", "{failed}");
    lab.wait_until_free()
}
