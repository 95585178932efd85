//! Key-value stores: written and read by clients and by functions, in the space of each, over restarts, within quotas.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::support::{Node, Request, Response, Setup, beside, joined, wait_for};

/// Does one thing with a store of its space.
const FUNCTION: &str = r"
import { kv, KvError } from 'serverledge';

export default async ({ op, store, key, value, version, by }) => {
  const entries = store === undefined ? kv : kv.store(store);
  try {
    switch (op) {
      case 'count': return await entries.increment(key, by ?? 1);
      case 'set': return (await entries.set(key, value)) ?? null;
      case 'get': return await entries.get(key, 'text');
      case 'entry': return await entries.entry(key, 'json');
      case 'swap': return await entries.compareAndSet(key, version, value);
      case 'delete': return await entries.delete(key);
      case 'list': return (await entries.list({ prefix: value })).keys;
    }
  } catch (error) {
    return { known: error instanceof KvError, code: error.code };
  }
};
";

const CALLERS: usize = 4;
const CALLS: usize = 10;

fn put(node: &Node, target: &str, value: impl Into<Vec<u8>>) -> Result<Response> {
    node.ask(&Request::new("PUT", target).body(value))
}

/// Writes an entry and gives its version, as the tag that a condition names.
fn written(node: &Node, target: &str, value: &str) -> Result<String> {
    let response = put(node, target, value)?;
    ensure!(response.status == 204, "{target}: {}", response.text());
    Ok(response.header("etag").unwrap_or_default().to_owned())
}

fn value(node: &Node, target: &str) -> Result<String> {
    let response = node.get(target)?;
    ensure!(response.status == 200, "{target}: {}", response.text());
    Ok(response.text())
}

fn deploy(node: &Node, name: &str) -> Result<()> {
    node.deploy_with(name, FUNCTION, &json!({"Runtime": "javascript"}))
}

fn run(node: &Node, target: &str, params: &serde_json::Value) -> Result<serde_json::Value> {
    let response = node.post(target, params)?;
    ensure!(response.status == 200, "{params}: {}", response.text());
    response.json()
}

#[test]
fn clients_write_and_read() -> Result<()> {
    let node = Node::start()?;
    node.cli(&["kv", "set", "greeting", "hello"])?
        .assert_code(0);
    assert_eq!(value(&node, "/kv/default/greeting")?, "hello");
    written(&node, "/kv/carts/users/7", "{}")?;
    let read = node.cli(&["kv", "get", "users/7", "--store", "carts"])?;
    assert_eq!(read.assert_code(0).stdout, "{}");
    let bytes: Vec<u8> = (0..=255).collect();
    assert_eq!(put(&node, "/kv/default/bytes", bytes.clone())?.status, 204);
    assert_eq!(node.get("/kv/default/bytes")?.body, bytes);
    let sum = node.cli(&["kv", "increment", "visits", "--by", "41"])?;
    assert_eq!(sum.json()?, json!({"value": 41}));
    let sum = node.ask(&Request::new("POST", "/kv/default/visits?increment=1"))?;
    assert_eq!(sum.json()?, json!({"value": 42}));
    assert_eq!(value(&node, "/kv/default/visits")?, "42");
    let keys = node.cli(&["kv", "list"])?.json()?;
    assert_eq!(keys, json!({"keys": ["bytes", "greeting", "visits"]}));
    let stores = node.get("/kv")?.json()?;
    assert_eq!(stores["usage"]["keys"], 4, "{stores}");
    assert_eq!(
        stores["stores"][0],
        json!({"name": "carts", "bytes": 9, "keys": 1})
    );
    let cleared = node.cli(&["kv", "clear"])?.json()?;
    assert_eq!(cleared, json!({"cleared": 3}));
    node.get("/kv/default/greeting")?
        .assert_problem(404, "kv_not_found");
    node.cli(&["kv", "get", "greeting"])?.assert_code(2);
    assert_eq!(value(&node, "/kv/carts/users/7")?, "{}");
    node.stop()?;
    Ok(())
}

#[test]
fn a_write_may_have_a_condition() -> Result<()> {
    let node = Node::start()?;
    let target = "/kv/default/lock";
    let write = |name: &str, tag: &str, body: &str| {
        node.ask(&Request::new("PUT", target).header(name, tag).body(body))
    };
    let first = write("If-None-Match", "*", "one")?;
    assert_eq!(first.status, 204, "{}", first.text());
    write("If-None-Match", "*", "x")?.assert_problem(412, "kv_changed");
    let one = first.header("etag").unwrap_or_default().to_owned();
    let two = write("If-Match", &one, "two")?;
    assert_eq!(two.status, 204, "{}", two.text());
    assert_ne!(two.header("etag"), Some(one.as_str()));
    write("If-Match", &one, "x")?.assert_problem(412, "kv_changed");
    assert_eq!(value(&node, target)?, "two");
    // The same value again is another version.
    let again = written(&node, target, "two")?;
    assert_ne!(two.header("etag"), Some(again.as_str()));
    let version = again.trim_matches('"');
    node.cli(&["kv", "set", "lock", "three", "--if-version", version])?
        .assert_code(0);
    node.cli(&["kv", "set", "lock", "x", "--if-version", version])?
        .assert_code(2);
    assert_eq!(value(&node, target)?, "three");
    // An entry that came anew is none of those that were there before.
    node.cli(&["kv", "delete", "lock"])?.assert_code(0);
    write("If-Match", &again, "x")?.assert_problem(412, "kv_changed");
    node.get(target)?.assert_problem(404, "kv_not_found");
    node.stop()?;
    Ok(())
}

#[test]
fn entries_outlive_their_time_for_nobody() -> Result<()> {
    let node = Node::start()?;
    written(&node, "/kv/default/short?ttl=0.2", "x")?;
    written(&node, "/kv/default/long?ttl=3600", "x")?;
    wait_for("the end of an entry's time", || {
        Ok((node.get("/kv/default/short")?.status == 404).then_some(()))
    })?;
    let keys = node.get("/kv/default")?.json()?;
    assert_eq!(keys, json!({"keys": ["long"]}));
    let target = "/kv/default/short";
    let anew = Request::new("PUT", target).header("If-None-Match", "*");
    assert_eq!(node.ask(&anew.body("anew"))?.status, 204);
    assert_eq!(value(&node, target)?, "anew");
    // What is swept is counted no more.
    written(&node, "/kv/swept/k?ttl=0.001", "x")?;
    wait_for("a sweep", || {
        let stores = node.get("/kv")?.json()?;
        Ok((stores["usage"]["keys"] == 2).then_some(()))
    })?;
    assert_eq!(value(&node, target)?, "anew");
    node.stop()?;
    Ok(())
}

#[test]
fn stores_survive_a_crash() -> Result<()> {
    let node = Node::start()?;
    let tag = written(&node, "/kv/default/kept", "value")?;
    node.cli(&["kv", "increment", "n"])?.assert_code(0);
    let node = node.kill()?.restart()?;
    let read = node.get("/kv/default/kept")?;
    assert_eq!(
        (read.text().as_str(), read.header("etag")),
        ("value", Some(tag.as_str()))
    );
    let sum = node.cli(&["kv", "increment", "n"])?;
    assert_eq!(sum.json()?, json!({"value": 2}));
    let node = node.stop()?.restart()?;
    assert_eq!(value(&node, "/kv/default/n")?, "2");
    assert_ne!(written(&node, "/kv/default/kept", "value")?, tag);
    node.stop()?;
    Ok(())
}

#[test]
fn what_does_not_fit_is_refused() -> Result<()> {
    let node = Setup::new()?
        .with("state.bytes_max", 2000)
        .with("state.keys_max", 3)
        .with("state.value_bytes_max", 1500)
        .start()?;
    put(&node, "/kv/default/a", "x".repeat(1501))?.assert_problem(413, "kv_value_too_large");
    written(&node, "/kv/default/a", &"x".repeat(1500))?;
    put(&node, "/kv/other/b", "x".repeat(500))?.assert_problem(507, "kv_full");
    // In place of a longer one there is room.
    written(&node, "/kv/default/a", "x")?;
    written(&node, "/kv/other/b", &"x".repeat(500))?;
    written(&node, "/kv/other/c", "x")?;
    put(&node, "/kv/default/d", "x")?.assert_problem(507, "kv_full");
    let ran = node.cli(&["kv", "set", "d", "x"])?;
    assert!(
        ran.assert_code(2).stderr.contains("state.keys_max"),
        "{ran:?}"
    );
    node.cli(&["kv", "delete", "a"])?.assert_code(0);
    written(&node, "/kv/default/d", "x")?;
    let limits = node.get("/kv")?.json()?["limits"].clone();
    let expected = json!({"bytes_max": 2000, "keys_max": 3, "value_bytes_max": 1500});
    assert_eq!(limits, expected);
    node.stop()?;
    Ok(())
}

#[test]
fn functions_find_what_others_have_written() -> Result<()> {
    let node = Node::start()?;
    deploy(&node, "one")?;
    deploy(&node, "two")?;
    let one = |params: serde_json::Value| run(&node, "/fn/one", &params);
    assert_eq!(one(json!({"op": "count", "key": "n"}))?, 1);
    let counted = json!({"op": "count", "key": "n", "by": 4});
    assert_eq!(run(&node, "/fn/two", &counted)?, 5);
    assert_eq!(value(&node, "/kv/default/n")?, "5");
    one(json!({"op": "set", "key": "k", "value": {"a": [1]}}))?;
    assert_eq!(value(&node, "/kv/default/k")?, r#"{"a":[1]}"#);
    let entry = one(json!({"op": "entry", "key": "k"}))?;
    assert_eq!(entry["value"], json!({"a": [1]}));
    let tag = node.get("/kv/default/k")?;
    let version = tag.header("etag").unwrap_or_default().trim_matches('"');
    assert_eq!(entry["version"], version);
    let swap = json!({"op": "swap", "key": "k", "version": entry["version"], "value": "b"});
    assert!(one(swap.clone())?.is_string());
    assert!(one(swap)?.is_null());
    assert_eq!(one(json!({"op": "get", "key": "k"}))?, "b");
    written(&node, "/kv/carts/u/1", "x")?;
    let listed = one(json!({"op": "list", "store": "carts", "value": "u/"}))?;
    assert_eq!(listed, json!(["u/1"]));
    assert_eq!(one(json!({"op": "delete", "key": "k"}))?, true);
    assert_eq!(one(json!({"op": "delete", "key": "k"}))?, false);
    assert!(one(json!({"op": "get", "key": "k"}))?.is_null());
    let refused = one(json!({"op": "get", "key": "k", "store": "NO"}))?;
    assert_eq!(refused, json!({"known": true, "code": "kv_store_invalid"}));
    node.stop()?;
    Ok(())
}

/// Whoever comes at the same time, no count is lost.
#[test]
fn counts_of_many_calls_add_up() -> Result<()> {
    let node = Node::start()?;
    deploy(&node, "count")?;
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..CALLERS)
            .map(|_| {
                beside(scope, || {
                    for _ in 0..CALLS {
                        run(&node, "/fn/count", &json!({"op": "count", "key": "n"}))?;
                    }
                    Ok(())
                })
            })
            .collect();
        callers.into_iter().try_for_each(joined)
    })?;
    assert_eq!(
        value(&node, "/kv/default/n")?,
        (CALLERS * CALLS).to_string()
    );
    node.stop()?;
    Ok(())
}

#[test]
fn an_application_has_stores_of_its_own() -> Result<()> {
    let node = Node::start()?;
    node.cli(&["app", "create", "shop"])?.assert_code(0);
    let body = crate::support::node::deployment(
        "count",
        FUNCTION.as_bytes(),
        &json!({"Runtime": "javascript"}),
    );
    let made = node.post("/apps/shop/create", &body)?;
    ensure!(made.status == 200, "{}", made.text());
    deploy(&node, "count")?;
    let params = json!({"op": "count", "key": "n"});
    assert_eq!(run(&node, "/fn/count", &params)?, 1);
    assert_eq!(run(&node, "/fn/count", &params)?, 2);
    assert_eq!(run(&node, "/apps/shop/fn/count", &params)?, 1);
    assert_eq!(value(&node, "/kv/default/n")?, "2");
    assert_eq!(value(&node, "/apps/shop/kv/default/n")?, "1");
    let read = node.cli(&["--app", "shop", "kv", "get", "n"])?;
    assert_eq!(read.assert_code(0).stdout, "1");
    // Another application of the same name finds nothing of it.
    node.cli(&["app", "delete", "shop"])?.assert_code(0);
    node.cli(&["app", "create", "shop"])?.assert_code(0);
    node.get("/apps/shop/kv/default/n")?
        .assert_problem(404, "kv_not_found");
    assert_eq!(value(&node, "/kv/default/n")?, "2");
    node.stop()?;
    Ok(())
}

/// The result of a call that asks a store is another each time, whatever its function says of itself.
#[test]
fn results_that_depend_on_a_store_are_not_cached() -> Result<()> {
    let node = Node::start()?;
    let more = json!({"Runtime": "javascript", "Idempotent": true});
    node.deploy_with("get", FUNCTION, &more)?;
    let params = json!({"op": "get", "key": "k"});
    for text in ["one", "two"] {
        written(&node, "/kv/default/k", text)?;
        assert_eq!(node.invoke("get", &params)?.result()?, text);
    }
    node.stop()?;
    Ok(())
}
