//! Key-value state: `serverledge::kv` of core modules, and `wasi:keyvalue` of components. Both reach the stores of the host
//! of their call.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use serverledge_core::{
    CallError, FailureKind, FunctionLimits, FunctionName, HostCalls, STATE_KEY_BYTES_MAX,
    StateError, StateKey, StateOp, StateReply, StoreName, Version,
};
use serverledge_testing::fake_host::{FakeHost, FakeHostHandle};

use crate::support::{Lab, call, example, json_of, kind, words};

/// A request in the form of the guest ABI.
fn request(head: &Value, value: &str) -> Vec<u8> {
    let head = head.to_string();
    let length = u32::try_from(head.len()).unwrap().to_le_bytes();
    [&length[..], head.as_bytes(), value.as_bytes()].concat()
}

const ROOM: u32 = 0x8000;

/// A reactor that asks the stores with these bytes, with so much room for the reply. Its result is `[HEAD VALUE]` of the
/// reply, so that a value that begins with a comma makes it JSON, or the error object.
fn asker(request: &[u8], room: u32) -> String {
    let data: String = request.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let length = request.len();
    format!(
        r#"(module
        (import "serverledge" "kv" (func $kv (param i32 i32 i32 i32) (result i64)))
        (memory (export "memory") 110)
        (data (i32.const 0x100) "{data}")
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 0x40000))
        (func $packed (param $at i32) (param $length i32) (result i64)
            (i64.or (i64.shl (i64.extend_i32_u (local.get $at)) (i64.const 32)) (i64.extend_i32_u (local.get $length))))
        (func (export "serverledge_handle") (param i32 i32) (result i64) (local $r i64) (local $length i32)
            (local.set $r (call $kv (i32.const 0x100) (i32.const {length}) (i32.const 0x10000) (i32.const {room})))
            (local.set $length (i32.wrap_i64 (local.get $r)))
            (if (i32.gt_u (local.get $length) (i32.const {room}))
                (then (local.set $r (call $kv (i32.const -1) (i32.const 0) (i32.const 0x10000) (i32.const 0x20000)))))
            (if (i64.lt_s (local.get $r) (i64.const 0))
                (then (return (call $packed (i32.const 0x10000) (local.get $length)))))
            (i32.store8 (i32.const 0x10003) (i32.const 91))
            (i32.store8 (i32.add (i32.const 0x10000) (local.get $length)) (i32.const 93))
            (call $packed (i32.const 0x10003) (i32.sub (local.get $length) (i32.const 2)))))"#
    )
}

/// The answer of a reactor that asks the stores of this host.
async fn ask(lab: &Lab, host: &Arc<FakeHost>, head: Value, value: &str) -> Value {
    let module = asker(&request(&head, value), ROOM);
    let version = lab.version(module, FunctionLimits::default()).await;
    answer(lab, &version, host, &json!({})).await
}

async fn answer(lab: &Lab, version: &Arc<Version>, host: &Arc<FakeHost>, params: &Value) -> Value {
    let outcome = lab
        .invoke_on(version, &params.to_string(), Arc::clone(host))
        .await;
    json_of(&outcome.unwrap())
}

fn key(text: &str) -> StateKey {
    StateKey::new(text).unwrap()
}

/// The value of an entry of the default store.
fn entry(handle: &FakeHostHandle, name: &str) -> Option<Bytes> {
    handle.entry(&StoreName::default(), &key(name))
}

// === core modules ===

#[tokio::test]
async fn a_core_module_sets_and_gets() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let set = json!({"op": "set", "key": "k"});
    assert_eq!(
        ask(&lab, &host, set, r#","kept""#).await,
        json!([{"version": "1"}])
    );
    assert_eq!(entry(&handle, "k").unwrap(), r#","kept""#);
    let get = request(&json!({"op": "get", "key": "k", "store": "default"}), "");
    // What does not fit is kept.
    for room in [ROOM, 0, 7] {
        let version = lab
            .version(asker(&get, room), FunctionLimits::default())
            .await;
        let given = answer(&lab, &version, &host, &json!({})).await;
        assert_eq!(given, json!([{"found": true, "version": "1"}, "kept"]));
    }
    let other = json!({"op": "get", "key": "k", "store": "other"});
    assert_eq!(ask(&lab, &host, other, "").await, json!([{"found": false}]));
}

/// The example counts, each call in an instance that is put back.
#[tokio::test]
async fn a_reactor_counts() {
    let lab = Lab::new();
    let version = lab
        .version(example("counter"), FunctionLimits::default())
        .await;
    let (host, handle) = FakeHost::new();
    for count in 1..4 {
        let given = answer(&lab, &version, &host, &json!({"name": "visits"})).await;
        assert_eq!(given, json!({"name": "visits", "count": count}));
    }
    let given = answer(&lab, &version, &host, &json!({"name": "visits", "by": -5})).await;
    assert_eq!(given["count"], -2);
    assert_eq!(entry(&handle, "visits").unwrap(), "-2");
    let told = words(
        lab.invoke_on(&version, r#"{"name":""}"#, Arc::clone(&host))
            .await,
    );
    assert!(told.contains("kv_key_invalid"), "{told}");
    let given = answer(&lab, &version, &host, &json!({"name": "visits"})).await;
    assert_eq!(given["count"], -1);
}

#[tokio::test]
async fn every_operation_has_its_reply() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    for (head, value, expected) in [
        (
            json!({"op": "get", "key": "a"}),
            "",
            json!({"found": false}),
        ),
        (
            json!({"op": "compare_and_set", "key": "a", "expected": null, "ttl_ms": 1000}),
            "1",
            json!({"swapped": true, "version": "1"}),
        ),
        (
            json!({"op": "compare_and_set", "key": "a"}),
            "2",
            json!({"swapped": false}),
        ),
        (
            json!({"op": "compare_and_set", "key": "a", "expected": "1"}),
            "2",
            json!({"swapped": true, "version": "2"}),
        ),
        (
            json!({"op": "increment", "key": "a"}),
            "",
            json!({"value": "3"}),
        ),
        (
            json!({"op": "increment", "key": "b", "by": -4}),
            "",
            json!({"value": "-4"}),
        ),
        (
            json!({"op": "list", "limit": 1}),
            "",
            json!({"keys": ["a"], "cursor": "a"}),
        ),
        (
            json!({"op": "list", "cursor": "a"}),
            "",
            json!({"keys": ["b"]}),
        ),
        (
            json!({"op": "list", "prefix": "x"}),
            "",
            json!({"keys": []}),
        ),
        (
            json!({"op": "delete", "key": "a"}),
            "",
            json!({"deleted": true}),
        ),
        (
            json!({"op": "delete", "key": "a"}),
            "",
            json!({"deleted": false}),
        ),
    ] {
        let given = ask(&lab, &host, head.clone(), value).await;
        assert_eq!(given, json!([expected]), "{head}");
    }
    assert_eq!(entry(&handle, "a"), None);
}

#[tokio::test]
async fn what_is_no_operation_is_an_error() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let long = "k".repeat(10 << 10);
    let longest = "k".repeat(STATE_KEY_BYTES_MAX);
    for (request, code) in [
        (vec![1], "kv_request_invalid"),
        (vec![9, 0, 0, 0], "kv_request_invalid"),
        (vec![0xff; 8], "kv_request_invalid"),
        (request(&json!({}), ""), "kv_request_invalid"),
        (request(&json!([]), ""), "kv_request_invalid"),
        (request(&json!({"op": "get"}), ""), "kv_request_invalid"),
        (
            request(&json!({"op": "drop", "key": "k"}), ""),
            "kv_request_invalid",
        ),
        (
            request(&json!({"op": "get", "key": ""}), ""),
            "kv_key_invalid",
        ),
        (
            request(&json!({"op": "set", "key": long}), "value"),
            "kv_key_invalid",
        ),
        (
            request(&json!({"op": "get", "key": format!("{longest}k")}), ""),
            "kv_key_invalid",
        ),
        (
            request(&json!({"op": "get", "key": "a\nb"}), ""),
            "kv_key_invalid",
        ),
        (
            request(&json!({"op": "get", "key": "k", "store": "No Store"}), ""),
            "kv_store_invalid",
        ),
    ] {
        let version = lab
            .version(asker(&request, ROOM), FunctionLimits::default())
            .await;
        let given = answer(&lab, &version, &host, &json!({})).await;
        assert_eq!(given["error"], code, "{given}");
        assert!(given["message"].is_string(), "{given}");
    }
    assert!(handle.state_ops().is_empty());
    let set = json!({"op": "set", "key": longest});
    assert_eq!(
        ask(&lab, &host, set, "value").await,
        json!([{"version": "1"}])
    );
}

/// A request as long as no request may be: its head alone is in the module.
#[tokio::test]
async fn a_request_that_is_too_long_is_an_error() {
    let lab = Lab::new();
    let (host, _handle) = FakeHost::new();
    let head = request(&json!({"op": "set", "key": "k"}), "");
    let short = format!("(i32.const 0x100) (i32.const {})", head.len());
    let module = asker(&head, ROOM);
    assert!(module.contains(&short));
    let long = module.replace(&short, "(i32.const 0x100) (i32.const 6291457)");
    let version = lab.version(long, FunctionLimits::default()).await;
    let given = answer(&lab, &version, &host, &json!({})).await;
    assert_eq!(given["error"], "kv_value_too_large", "{given}");
}

/// A fault of a store, and the code that a guest reads of it.
type Fault = (fn() -> StateError, &'static str);

/// The errors of stores, with their codes.
fn faults() -> [Fault; 5] {
    [
        (
            || StateError::ValueTooLarge {
                bytes: 9,
                bytes_max: 8,
            },
            "kv_value_too_large",
        ),
        (
            || StateError::FullOfBytes {
                bytes: 9,
                bytes_max: 10,
            },
            "kv_full",
        ),
        (
            || StateError::FullOfKeys {
                keys: 9,
                keys_max: 9,
            },
            "kv_full",
        ),
        (|| StateError::TooFast { per_second: 7 }, "kv_too_fast"),
        (|| StateError::Contended("k".to_owned()), "kv_contended"),
    ]
}

#[tokio::test]
async fn a_core_module_reads_why_an_operation_failed() {
    let lab = Lab::new();
    let module = asker(&request(&json!({"op": "set", "key": "k"}), "v"), ROOM);
    let version = lab.version(module, FunctionLimits::default()).await;
    let (host, handle) = FakeHost::new();
    for (fault, code) in faults() {
        handle.fail_state(fault);
        let given = answer(&lab, &version, &host, &json!({})).await;
        let expected = json!({"error": code, "message": fault().to_string()});
        assert_eq!(given, expected);
        handle.apply_state();
        let given = answer(&lab, &version, &host, &json!({})).await;
        assert!(given[0]["version"].is_string(), "{given}");
    }
}

#[tokio::test]
async fn an_operation_outside_the_memory_is_a_trap() {
    let lab = Lab::new();
    let (host, _handle) = FakeHost::new();
    let good = asker(&request(&json!({"op": "get", "key": "k"}), ""), ROOM);
    for (part, wrong) in [
        ("(i32.const 0x100) (i32.const", "(i32.const -9) (i32.const"),
        (
            "(i32.const 0x10000) (i32.const 32768)",
            "(i32.const -9) (i32.const 32768)",
        ),
    ] {
        let bad = good.replace(part, wrong);
        assert_ne!(bad, good);
        let version = lab.version(bad, FunctionLimits::default()).await;
        let told = words(lab.invoke_on(&version, "{}", Arc::clone(&host)).await);
        assert!(
            told.starts_with("Trap: ") && told.contains("serverledge::kv"),
            "{told}"
        );
    }
}

/// Operations in a row, and a limit of processor time that a tick for each of them would exceed.
const SLOW_OPS: usize = 100;
const SLOW_OPS_CPU_TIME: Duration = Duration::from_millis(100);

/// A host whose stores take more than a tick.
struct SlowHost(Arc<FakeHost>);

#[async_trait::async_trait]
impl HostCalls for SlowHost {
    async fn call(&self, function: &str, params: Bytes) -> Result<Bytes, CallError> {
        self.0.call(function, params).await
    }

    async fn state(&self, store: &StoreName, op: StateOp) -> Result<StateReply, StateError> {
        tokio::time::sleep(Duration::from_millis(5)).await;
        self.0.state(store, op).await
    }

    fn caller(&self) -> &FunctionName {
        self.0.caller()
    }
}

#[tokio::test]
async fn waiting_for_a_store_is_no_processor_time() {
    let lab = Lab::new();
    let limits = FunctionLimits {
        cpu_time: Some(SLOW_OPS_CPU_TIME),
        ..FunctionLimits::default()
    };
    let get = json!({"op": "get", "key": "k"});
    let bytes = request(&get, "");
    let data: String = bytes.iter().map(|byte| format!("\\{byte:02x}")).collect();
    let core = format!(
        r#"(module
        (import "serverledge" "kv" (func $kv (param i32 i32 i32 i32) (result i64)))
        (memory (export "memory") 1)
        (data (i32.const 0x100) "{data}") (data (i32.const 0x2000) "1")
        (func (export "serverledge_alloc") (param i32) (result i32) (i32.const 0x8000))
        (func (export "serverledge_handle") (param i32 i32) (result i64) (local $n i32)
            (loop $again
                (drop (call $kv (i32.const 0x100) (i32.const {length}) (i32.const 0x1000) (i32.const 0x1000)))
                (local.set $n (i32.add (local.get $n) (i32.const 1)))
                (br_if $again (i32.lt_u (local.get $n) (i32.const {SLOW_OPS}))))
            (i64.or (i64.shl (i64.const 0x2000) (i64.const 32)) (i64.const 1))))"#,
        length = bytes.len(),
    );
    let steps = json!({"steps": vec![get; SLOW_OPS]}).to_string();
    for (module, params) in [
        (core.into_bytes(), "{}"),
        (example("kv-http"), steps.as_str()),
    ] {
        let version = lab.version(module, limits).await;
        let (host, handle) = FakeHost::new();
        let sandbox = lab.start(&version).await.unwrap();
        let given = sandbox.invoke(call(params), Arc::new(SlowHost(host))).await;
        assert!(given.is_ok(), "{given:?}");
        assert_eq!(handle.state_ops().len(), SLOW_OPS);
    }
}

/// A call that meets its time limit while it waits for a store takes its operation along, though it has used next to no
/// processor time; the next call has a sandbox.
#[tokio::test]
async fn an_operation_ends_with_its_call() {
    let lab = Lab::with(|config| config.slots = 1);
    let limits = FunctionLimits {
        timeout: Duration::from_secs(1),
        cpu_time: Some(Duration::from_millis(500)),
        ..FunctionLimits::default()
    };
    let get = json!({"op": "get", "key": "k"});
    let core = asker(&request(&get, ""), ROOM).into_bytes();
    let steps = json!({"steps": [get]}).to_string();
    for (module, params) in [(core, "{}"), (example("kv-http"), steps.as_str())] {
        let version = lab.version(module, limits).await;
        let (host, handle) = FakeHost::new();
        handle.hold_state();
        assert_eq!(
            kind(lab.invoke_on(&version, params, host).await),
            FailureKind::TimeLimit
        );
        handle
            .wait_for("the end of the operation", |counts| {
                counts.dropped == 1 && counts.gone
            })
            .await;
        let (host, _handle) = FakeHost::new();
        let given = lab.invoke_on(&version, params, host).await;
        assert!(given.is_ok(), "{given:?}");
    }
}

// === components ===

/// The results of the steps of a component.
async fn steps(lab: &Lab, host: &Arc<FakeHost>, store: &str, steps: Value) -> Vec<Value> {
    let version = lab
        .version(example("kv-http"), FunctionLimits::default())
        .await;
    let params = json!({"store": store, "steps": steps});
    let mut given = answer(lab, &version, host, &params).await;
    match given.get_mut("steps").map(Value::take) {
        Some(Value::Array(steps)) => steps,
        _ => vec![given],
    }
}

#[tokio::test]
async fn a_component_reads_and_writes() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let given = steps(
        &lab,
        &host,
        "",
        json!([
            {"op": "get", "key": "k"},
            {"op": "exists", "key": "k"},
            {"op": "set", "key": "k", "value": "one"},
            {"op": "get", "key": "k"},
            {"op": "exists", "key": "k"},
            {"op": "increment", "key": "n", "by": 5},
            {"op": "increment", "key": "n", "by": -7},
            {"op": "list", "cursor": null},
            {"op": "delete", "key": "k"},
            {"op": "delete", "key": "k"},
            {"op": "get", "key": "k"},
        ]),
    )
    .await;
    let expected = json!([
        null, false, null, "one", true, 5, -2, {"keys": ["k", "n"], "cursor": null}, null, null, null
    ]);
    assert_eq!(Value::from(given), expected);
    assert_eq!(entry(&handle, "n").unwrap(), "-2");
    assert_eq!(entry(&handle, "k"), None);
}

#[tokio::test]
async fn a_bucket_is_a_store() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let set = json!([{"op": "set", "key": "k", "value": "v"}]);
    for name in ["", "default", "other"] {
        let store: StoreName = match name {
            "" => StoreName::default(),
            name => name.parse().unwrap(),
        };
        handle.put_entry(&store, key("k"), Bytes::new());
        assert_eq!(steps(&lab, &host, name, set.clone()).await, [Value::Null]);
        assert_eq!(handle.entry(&store, &key("k")).unwrap(), "v", "{name:?}");
    }
    for name in ["No Store", "../x", &"s".repeat(64)] {
        let given = steps(&lab, &host, name, set.clone()).await;
        assert_eq!(given, [json!({"error": "no-such-store"})]);
    }
}

/// A key of each page is in one page, and the last one says so.
#[tokio::test]
async fn a_listing_comes_in_pages() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let names: Vec<String> = (0..1500).map(|number| format!("k{number:04}")).collect();
    for name in &names {
        handle.put_entry(&StoreName::default(), key(name), Bytes::new());
    }
    let mut listed = Vec::new();
    let mut cursor = Value::Null;
    for _ in 0..2 {
        let page = json!([{"op": "list", "cursor": cursor}]);
        let mut page = steps(&lab, &host, "", page).await.remove(0);
        let keys = page["keys"].take();
        let keys: Vec<String> = serde_json::from_value(keys).unwrap();
        listed.extend(keys);
        cursor = page["cursor"].take();
    }
    assert_eq!((listed, cursor), (names, Value::Null));
}

#[tokio::test]
async fn a_swap_fails_if_another_was_first() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let given = steps(
        &lab,
        &host,
        "",
        json!([
            {"op": "swap", "key": "k", "value": "1"},
            {"op": "swap", "key": "k", "value": "2"},
            {"op": "swap", "key": "k", "value": "4", "meanwhile": "3"},
            {"op": "get", "key": "k"},
        ]),
    )
    .await;
    let expected = json!([
        {"before": null, "swapped": true},
        {"before": "1", "swapped": true},
        {"before": "2", "swapped": false, "now": "3"},
        "3",
    ]);
    assert_eq!(Value::from(given), expected);
    // A long value is read when it is asked for.
    let long = "x".repeat(100_000);
    handle.put_entry(&StoreName::default(), key("k"), long.clone().into());
    let given = steps(
        &lab,
        &host,
        "",
        json!([{"op": "swap", "key": "k", "value": "5"}]),
    )
    .await;
    assert_eq!(given, [json!({"before": long, "swapped": true})]);
    assert_eq!(entry(&handle, "k").unwrap(), "5");
}

#[tokio::test]
async fn a_batch_goes_through_its_keys() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let given = steps(
        &lab,
        &host,
        "",
        json!([
            {"op": "set_many", "entries": {"a": "1", "b": "2", "c": "3"}},
            {"op": "get_many", "keys": ["c", "x", "a"]},
            {"op": "delete_many", "keys": ["a", "x", "c"]},
            {"op": "get_many", "keys": vec!["k"; 1001]},
        ]),
    )
    .await;
    let expected = json!([
        null,
        [["c", "3"], null, ["a", "1"]],
        null,
        {"error": "kv_too_many: at most 1000 keys in a batch at once"},
    ]);
    assert_eq!(Value::from(given), expected);
    assert_eq!(entry(&handle, "a"), None);
    assert_eq!(entry(&handle, "b").unwrap(), "2");
    // What comes before a key that is none is done.
    let given = steps(
        &lab,
        &host,
        "",
        json!([{"op": "delete_many", "keys": ["b", ""]}]),
    )
    .await;
    let told = given[0]["error"].as_str().unwrap();
    assert!(told.starts_with("kv_key_invalid: "), "{told}");
    assert_eq!(entry(&handle, "b"), None);
}

#[tokio::test]
async fn values_of_a_batch_are_bounded() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let value = Bytes::from(vec![b'x'; 6 << 20]);
    handle.put_entry(&StoreName::default(), key("k"), value);
    let given = steps(
        &lab,
        &host,
        "",
        json!([{"op": "get_many", "keys": ["k", "k", "k"]}]),
    )
    .await;
    let told = given[0]["error"].as_str().unwrap();
    assert!(told.starts_with("kv_value_too_large: "), "{told}");
}

/// A component hands the host at most 16 MiB in one call; a store takes less anyway.
#[tokio::test]
async fn a_write_that_is_too_long_names_the_limit() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let version = lab
        .version(example("kv-http"), FunctionLimits::default())
        .await;
    let set = |mib: usize| json!({"steps": [{"op": "set", "key": "k", "value": "x", "repeat": mib << 20}]});
    let params = set(17).to_string();
    let told = words(lab.invoke_on(&version, &params, Arc::clone(&host)).await);
    assert_eq!(
        told,
        "Trap: the function trapped: it handed the host more than 16777216 bytes in one call"
    );
    assert!(handle.state_ops().is_empty());
    let given = answer(&lab, &version, &host, &set(15)).await;
    assert_eq!(given, json!({"steps": [null]}));
    assert_eq!(entry(&handle, "k").unwrap().len(), 15 << 20);
}

#[tokio::test]
async fn a_component_reads_why_an_operation_failed() {
    let lab = Lab::new();
    let (host, handle) = FakeHost::new();
    let set = json!([{"op": "set", "key": "k", "value": "v", "repeat": 300_000}]);
    for (fault, code) in faults() {
        handle.fail_state(fault);
        let expected = json!({"error": format!("{code}: {}", fault())});
        assert_eq!(steps(&lab, &host, "", set.clone()).await, [expected]);
        handle.apply_state();
        assert_eq!(steps(&lab, &host, "", set.clone()).await, [Value::Null]);
    }
    for bad in [String::new(), "k".repeat(10 << 10)] {
        let given = steps(
            &lab,
            &host,
            "",
            json!([
                {"op": "get", "key": bad}, {"op": "set", "key": bad, "value": ""}, {"op": "delete", "key": bad},
                {"op": "exists", "key": bad}, {"op": "increment", "key": bad, "by": 1},
                {"op": "swap", "key": bad, "value": ""}, {"op": "get", "key": "k"},
            ]),
        )
        .await;
        let (last, refused) = given.split_last().unwrap();
        for given in refused {
            let told = given["error"].as_str().unwrap();
            assert!(told.starts_with("kv_key_invalid: "), "{told}");
        }
        assert_eq!(last.as_str().unwrap().len(), 300_000);
    }
}

/// Handles have their bounds, and a handle that was dropped has made room for another.
#[tokio::test]
async fn buckets_and_swaps_are_bounded() {
    let lab = Lab::new();
    let (host, _handle) = FakeHost::new();
    let given = steps(
        &lab,
        &host,
        "",
        json!([
            {"op": "open", "times": 64},
            {"op": "open", "times": 63},
            {"op": "open", "times": 63},
            {"op": "handles", "key": "k", "times": 257},
            {"op": "handles", "key": "k", "times": 256},
            {"op": "handles", "key": "k", "times": 256},
        ]),
    )
    .await;
    let expected = json!([
        {"error": "kv_too_many: at most 64 buckets at once"},
        63,
        63,
        {"error": "kv_too_many: at most 256 handles of swaps at once"},
        256,
        256,
    ]);
    assert_eq!(Value::from(given), expected);
}

/// A `wasi:cli` component that opens the default store and writes an entry. It prints nothing.
const PROGRAM: &str = r#"(component
  (import "wasi:keyvalue/store@0.2.0-draft2" (instance $store
    (export "bucket" (type $bucket (sub resource)))
    (type $error-def (variant (case "no-such-store") (case "access-denied") (case "other" string)))
    (export "error" (type $error (eq $error-def)))
    (export "open" (func (param "identifier" string) (result (result (own $bucket) (error $error)))))
    (export "[method]bucket.set" (func (param "self" (borrow $bucket)) (param "key" string) (param "value" (list u8))
      (result (result (error $error)))))))
  (core module $room
    (memory (export "memory") 1)
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) (i32.const 0x1000)))
  (core instance $rooms (instantiate $room))
  (alias core export $rooms "memory" (core memory $memory))
  (alias core export $rooms "realloc" (core func $realloc))
  (core func $open (canon lower (func $store "open") (memory $memory) (realloc $realloc)))
  (core func $set (canon lower (func $store "[method]bucket.set") (memory $memory) (realloc $realloc)))
  (core module $main
    (import "" "memory" (memory 1))
    (import "" "open" (func $open (param i32 i32 i32)))
    (import "" "set" (func $set (param i32 i32 i32 i32 i32 i32)))
    (data (i32.const 0x100) "key") (data (i32.const 0x110) "value")
    (func (export "run") (result i32)
      (call $open (i32.const 0) (i32.const 0) (i32.const 0))
      (if (i32.load8_u (i32.const 0)) (then (return (i32.const 1))))
      (call $set (i32.load (i32.const 4)) (i32.const 0x100) (i32.const 3) (i32.const 0x110) (i32.const 5)
        (i32.const 0x20))
      (i32.load8_u (i32.const 0x20))))
  (core instance $made (instantiate $main (with "" (instance
    (export "memory" (memory $memory)) (export "open" (func $open)) (export "set" (func $set))))))
  (func $run (result (result)) (canon lift (core func $made "run")))
  (instance $program (export "run" (func $run)))
  (export "wasi:cli/run@0.2.0" (instance $program)))"#;

#[tokio::test]
async fn programs_have_stores_too() {
    let lab = Lab::new();
    let version = lab.version(PROGRAM, FunctionLimits::default()).await;
    let (host, handle) = FakeHost::new();
    let outcome = lab.invoke_on(&version, "{}", Arc::clone(&host)).await;
    assert_eq!(kind(outcome), FailureKind::BadOutput);
    assert_eq!(entry(&handle, "key").unwrap(), "value");
    // The program's run is an error if it cannot write.
    handle.fail_state(|| StateError::TooFast { per_second: 7 });
    let outcome = lab.invoke_on(&version, "{}", host).await;
    assert_eq!(kind(outcome), FailureKind::Error);
}
