//! The functions and parameters that are tried: results, then failures.

use anyhow::Result;
use serde_json::json;

use crate::e2e::{example, requests_of};
use crate::support::shop::{Shop, edge};

/// The examples that are core modules.
const EXAMPLES: [&str; 8] = [
    "add",
    "call-c",
    "call-chain",
    "hello",
    "markdown",
    "sieve",
    "thumbnail",
    "word-count",
];
/// A script that calls a function of the page, one of the node, and one that there is not.
const SCRIPT: &str = "
let calls = 0;
module.exports = async ({ a, b }) => {
  calls += 1;
  const { sum } = await call('add', { b, a });
  const far = await call('far', { x: sum });
  const fault = await call('nobody', {}).catch((error) => error.code);
  return { sum, far, fault, calls, text: 'é😀', number: 1e21, env: process.env.COLOUR };
};";
const FAR: &str = "module.exports = ({ x }) => ({ doubled: 2 * x });";
const FAILS: &str = "module.exports = () => { throw new TypeError('no'); };";
/// Limits that a script can meet: the depth of its own calls, the number of calls of functions, and a circle of them.
const LIMITED: &str = "
const f = (n) => n === 0 ? 0 : 1 + f(n - 1);
module.exports = async ({ deep, calls, circle }) => {
  if (circle) return call('limited', { circle }).catch((error) => error.code);
  const codes = [];
  for (let i = 0; i < calls; i++) await call('add', { a: i, b: 1 }).catch((error) => codes.push(error.code));
  try { return { codes, depth: f(deep) }; } catch (error) { return { codes, error: error.name }; }
};";
const HOARDS: &str =
    "module.exports = () => { const all = []; for (;;) all.push(new Array(100000).fill(1.5)); };";
/// A handler that does this, in a reactor with one page of memory that takes parameters at 1024.
const REACTOR: &str = r#"(module (memory (export "memory") 1)
    (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 1024))
    (func $deeper (result i64) (i64.add (i64.const 1) (call $deeper)))
    (func (export "serverledge_handle") (param $ptr i32) (param $len i32) (result i64) BODY))"#;
/// The parameters as the result.
const ECHO: &str = "(i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
    (i64.extend_i32_u (local.get $len)))";
const ENDLESS: &str = "(loop (br 0)) (unreachable)";
const TRAPS: &str = "(unreachable)";
const RECURSES: &str = "(call $deeper)";
/// All memory that there is, and then one page more.
const FILLS: &str =
    "(loop (br_if 0 (i32.ne (memory.grow (i32.const 1)) (i32.const -1)))) (unreachable)";
const POINTS_OUTSIDE: &str = "(i64.const 0x7fffffff00000001)";
/// An error that is no object: its text is the message.
const REPORTS: &str = "(i64.or (i64.const 0x80000000)
    (i64.or (i64.shl (i64.extend_i32_u (local.get $ptr)) (i64.const 32))
        (i64.extend_i32_u (local.get $len))))";
/// A command that writes five letters, and one that exits.
const NO_JSON: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (data (i32.const 0) "\10\00\00\00\05\00\00\00") (data (i32.const 16) "hello")
    (func (export "_start") (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
const EXITS: &str = r#"(module
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1)
    (func (export "_start") (call $exit (i32.const 3))))"#;
/// A command that gives what it gets, as text.
const CAT: &str = r#"(module
    (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
        (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 1024))
        (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
        (i32.store (i32.const 4) (i32.load (i32.const 8)))
        (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))))"#;
/// A script that shows what it is given and where it is.
const SHOWS: &str = "
let calls = 0;
module.exports = (params) => ({
  params, calls: ++calls, zone: new Date(0).toString(), locale: (1234.5).toLocaleString(),
  sorted: ['b', 'ä', 'a'].sort(), keys: Object.keys(params ?? {}), number: 0.1 + 0.2,
});";

/// A handler with this body, as text.
pub(super) fn reactor(body: &str) -> Vec<u8> {
    REACTOR.replace("BODY", body).into_bytes()
}

/// Functions that give results: each with parameters.
pub(super) fn results(shop: &Shop) -> Result<Vec<(String, String)>> {
    let mut cases = Vec::new();
    for name in EXAMPLES {
        let more = edge(json!({"Idempotent": name == "add"}));
        shop.deploy(name, &example(name)?, &more)?;
        let requests = requests_of(name)?;
        let params = requests.iter().map(|request| request["params"].to_string());
        cases.extend(params.map(|params| (name.to_owned(), params)));
    }
    let snapshot = json!({"Runtime": "javascript", "Env": {"COLOUR": "green"}});
    shop.deploy("script", SCRIPT.as_bytes(), &edge(snapshot))?;
    let javascript = json!({"Runtime": "javascript"});
    shop.deploy("shows", SHOWS.as_bytes(), &edge(javascript.clone()))?;
    let circle = json!({"Runtime": "javascript", "Idempotent": true});
    shop.deploy("far", FAR.as_bytes(), &circle)?;
    shop.endpoint("far")?;
    shop.deploy("private", FAR.as_bytes(), &javascript)?;
    shop.deploy("limited", LIMITED.as_bytes(), &edge(circle))?;
    shop.deploy("cat", CAT.as_bytes(), &edge(json!({})))?;
    shop.deploy("echo", &reactor(ECHO), &edge(json!({})))?;
    let idempotent = edge(json!({"Idempotent": true}));
    shop.deploy("canonical", &reactor(ECHO), &idempotent)?;
    let written = r#"{"b": 1.0, "a": "\u00e9\/", "c": [1e2, -0]}"#;
    let without_form = r#"{"b": 12345678901234567890, "a": 1}"#;
    for (name, params) in [
        ("script", r#"{"a":2,"b":3}"#),
        ("script", r#"{"a":2,"b":4}"#),
        ("script", r#"{"a":-7,"b":0}"#),
        ("shows", "{}"),
        (
            "shows",
            r#"{"z":1,"a":[null,true,"\ud83d\ude00"],"10":2,"9":3}"#,
        ),
        ("shows", r#"{"__proto__":1,"nested":{"deep":[[[[]]]]}}"#),
        ("limited", r#"{"deep":5000,"calls":1002}"#),
        ("limited", r#"{"deep":1000000,"calls":0}"#),
        ("limited", r#"{"circle":true}"#),
        ("cat", r#"{"text":"é😀\n"}"#),
        ("cat", " [1, 2,\t3 ]\n"),
        ("echo", written),
        ("echo", without_form),
        ("echo", r#""\u0000\ud800""#),
        ("canonical", written),
        ("canonical", without_form),
        ("canonical", r#"{"😀":1,"é":2,"a":{"y":[],"x":{}}}"#),
    ] {
        cases.push((name.to_owned(), params.to_owned()));
    }
    Ok(cases)
}

/// Functions that fail: each with parameters and the code.
pub(super) fn failures(shop: &Shop) -> Result<Vec<(&'static str, &'static str, &'static str)>> {
    let javascript = edge(json!({"Runtime": "javascript"}));
    shop.deploy("fails", FAILS.as_bytes(), &javascript)?;
    shop.deploy("no-json", NO_JSON.as_bytes(), &edge(json!({})))?;
    shop.deploy("exits", EXITS.as_bytes(), &edge(json!({})))?;
    for (name, body) in [
        ("traps", TRAPS),
        ("recurses", RECURSES),
        ("points-outside", POINTS_OUTSIDE),
        ("reports", REPORTS),
    ] {
        shop.deploy(name, &reactor(body), &edge(json!({})))?;
    }
    let hoards = edge(json!({"Runtime": "javascript", "MemoryMB": 32}));
    shop.deploy("hoards", HOARDS.as_bytes(), &hoards)?;
    let little = json!({"MemoryMB": 8});
    shop.deploy("fills", &reactor(FILLS), &edge(little.clone()))?;
    shop.deploy("allocates", &example("sieve")?, &edge(little))?;
    let short = edge(json!({"Timeout": 2}));
    shop.deploy("endless", &reactor(ENDLESS), &short)?;
    Ok(vec![
        ("add", r#"{"a":"x"}"#, "function_error"),
        ("add", r#"{"a":"#, "malformed_json"),
        ("sieve", r#"{"n":-1}"#, "function_error"),
        (
            "call-c",
            r#"{"function":"nobody","params":{}}"#,
            "function_error",
        ),
        ("fails", "{}", "function_error"),
        ("no-json", "{}", "function_bad_output"),
        ("exits", "{}", "function_error"),
        ("traps", "{}", "function_trap"),
        ("recurses", "{}", "function_trap"),
        ("points-outside", "{}", "function_trap"),
        ("reports", "{}", "function_error"),
        ("hoards", "{}", "function_out_of_memory"),
        ("fills", "{}", "function_out_of_memory"),
        ("allocates", r#"{"n":50000000}"#, "function_out_of_memory"),
        ("endless", "{}", "function_timeout"),
    ])
}
