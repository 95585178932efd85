//! Functions of the runtime `python-wasm` in the browsers: the same snapshots, made of the base of Python, give the same
//! results and errors as at the node.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use serverledge_testing::browser::Window;

use crate::e2e::Setup;
use crate::support::shop::{Shop, edge, expect, in_every_browser, page_with, run};
use crate::support::site::Site;

/// A function with much of the library, which calls another one.
const STATISTICS: &str = r#"
import collections, datetime, hashlib, json, os, re, statistics, time

WORDS = re.compile(r"\w+")
calls = 0

def handler(params, context):
    global calls
    calls += 1
    words = WORDS.findall(params["text"].lower())
    return {
        "words": collections.Counter(words).most_common(2),
        "mean": statistics.mean(map(len, words)),
        "sum": call("add", {"a": len(words), "b": calls})["sum"],
        "sha256": hashlib.sha256(params["text"].encode()).hexdigest(),
        "day": datetime.date(2026, 2, 28).isoformat(),
        "colour": os.environ["COLOUR"],
        "memory": context["memory_mb"],
        "in_time": 0 < context["deadline_ms"] / 1000 - time.time() <= 30,
        "text": "é😀",
    }
"#;
/// The other function.
const ADD: &str = "def handler(params):\n    return {'sum': params['a'] + params['b']}\n";
/// One that looks for a store: there are none in a page.
const STORES: &str = "from serverledge import KvError, kv\n\ndef handler(params):\n    try:\n        return kv.get('k')\n    except KvError as error:\n        return error.code\n";
/// Functions that fail.
const FAILS: &str = "def deeper(n):\n    raise ValueError(f'no {n}')\n\ndef handler(params):\n    deeper(params['n'])\n";
const HOARDS: &str = "def handler(params):\n    everything = []\n    while True:\n        everything.append(bytes(1 << 20))\n";
const ENDLESS: &str = "def handler(params):\n    while True:\n        pass\n";
/// Recursion through Python's own calls and through the library's, each as deep as a function can be sure of.
const DEEP: &str = r#"
import json

def down(n):
    return 0 if n == 0 else 1 + down(n - 1)

def through(n):
    return 0 if n == 0 else 1 + max([n], key=lambda m: through(m - 1))

def caught(act, *args):
    try:
        act(*args)
        return None
    except RecursionError as error:
        return type(error).__name__

def handler(params):
    nested = "[" * 500 + "]" * 500
    return [down(900), caught(down, 100000), caught(through, 100), caught(through, 100000), len(json.dumps(json.loads(nested)))]
"#;
/// One that writes to its log.
const LOGS: &str =
    "import sys\n\ndef handler(params):\n    print('one')\n    print('two', file=sys.stderr)\n";

/// The functions, and for each the parameters that are tried.
const CASES: [(&str, &str); 9] = [
    ("statistics", r#"{"text":"to be or not to be"}"#),
    ("statistics", r#"{"text":"Ja ja, né"}"#),
    ("add", r#"{"a":2,"b":40}"#),
    ("add", r#"{"a":"x","b":"y"}"#),
    ("add", r#"{"a":1}"#),
    ("fails", r#"{"n":3}"#),
    ("hoards", "{}"),
    ("logs", "{}"),
    ("deep", "{}"),
];

fn python(more: &Value) -> Value {
    let mut members = edge(json!({"Runtime": "python-wasm"}));
    if let (Some(members), Some(more)) = (members.as_object_mut(), more.as_object()) {
        members.extend(more.clone());
    }
    members
}

#[test]
fn python_gives_the_same_in_every_browser_and_at_the_node() -> Result<()> {
    let shop = Shop::new(Setup::new()?, "any")?;
    let env = json!({"Env": {"COLOUR": "green"}});
    for (name, code) in [
        ("statistics", STATISTICS),
        ("add", ADD),
        ("stores", STORES),
        ("fails", FAILS),
        ("hoards", HOARDS),
        ("logs", LOGS),
        ("deep", DEEP),
    ] {
        shop.deploy(name, code.as_bytes(), &python(&env))?;
    }
    let javascript = edge(json!({"Runtime": "javascript"}));
    shop.deploy("script", b"module.exports = () => 1;", &javascript)?;
    let short = python(&json!({"Timeout": 2}));
    shop.deploy("endless", ENDLESS.as_bytes(), &short)?;
    shop.start()?;
    let mut outcomes = Vec::new();
    for (name, params) in CASES {
        outcomes.push((name, params, shop.run(name, params)?));
    }
    ensure!(shop.run("stores", "{}")? == "null");
    ensure!(outcomes[0].2.contains("\"sum\":7"), "{outcomes:?}");
    ensure!(outcomes[0].2.contains("\"in_time\":true"), "{outcomes:?}");
    ensure!(outcomes[5].2 == "function_error", "{outcomes:?}");
    let site = Site::serve_documents(BTreeMap::from([(String::new(), page_with(&shop.origin()))]))?;
    in_every_browser(
        &format!("http://localhost:{}/", site.address.port()),
        |window| {
            let listed = shop.connect(window)?;
            ensure!(listed.len() == 9, "{listed:?}");
            ensure!(
                listed.iter().all(|listed| listed.ends_with(" snapshot")),
                "{listed:?}"
            );
            for (name, params, outcome) in &outcomes {
                let here = run(window, name, params)?;
                expect(&format!("{name} {params}"), here, outcome.as_str())?;
            }
            let stores = run(window, "stores", "{}")?;
            expect("a store", stores, r#""kv_missing""#)?;
            expect(
                "the loop",
                run(window, "endless", "{}")?,
                "function_timeout",
            )?;
            expect(
                "the next",
                run(window, "add", r#"{"a":1,"b":2}"#)?,
                r#"{"sum":3}"#,
            )?;
            let failed =
                "app.run('fails', {n: 3}).catch(({message, trace}) => `${message}\n${trace}`)";
            let told = window.run(failed)?;
            let told = told.as_str().unwrap_or_default();
            ensure!(told.starts_with("ValueError: no 3\n"), "{told}");
            ensure!(told.contains("in deeper"), "{told}");
            let logs = "app.run('logs').then(() => logs.at(-1))";
            expect("the log", window.run(logs)?, json!(["logs", "one\ntwo\n"]))?;
            is_made_of_one_base(window)
        },
    )
}

/// Fails unless the page has fetched one module, which all functions in Python are made of. Those of scripts are made of
/// another one. Their differences are short.
fn is_made_of_one_base(window: &mut dyn Window) -> Result<()> {
    let loaded = "performance.getEntriesByType('resource') \
        .filter(({name}) => name.includes('/edge/modules/')).length";
    expect("modules", window.run(loaded)?, 1)?;
    let long = "app.functions.filter(({bytes, delta}) => !(delta?.bytes < bytes / 4)).map(({name}) => name)";
    expect("without a short delta", window.run(long)?, json!([]))
}
