//! The function that results from a patch, and the changes that are reported.

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use serverledge_core::{
    CpuMilli, Digest, Flags, FunctionLimits, FunctionName, Interface, Isolation, MemoryMib,
    Network, ProgramIo, Secrets, SpaceId, Stdin, Stdout, Version,
};

use super::*;

fn variables_of(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn function() -> Function {
    let limits = FunctionLimits {
        memory: MemoryMib::new(256),
        cpu: CpuMilli::new(500),
        timeout: Duration::from_millis(2500),
        cpu_time: Some(Duration::from_millis(1)),
        max_concurrency: 4,
    };
    Function {
        space: SpaceId::default_space(),
        name: FunctionName::parse("f").unwrap(),
        version: Arc::new(Version {
            digest: Digest::new([1; 32]),
            runtime: Runtime::Python,
            code: Digest::new([2; 32]),
            handler: "f.run".to_owned(),
            env: variables_of(&[("A", "1"), ("B", "2")]),
            secrets: Secrets {
                nonce: [3; 16],
                values: variables_of(&[("KEY", "hunter2")]),
                ..Secrets::default()
            },
            network: Network::Bridge,
            outbound: BTreeSet::new(),
            image: String::new(),
            io: ProgramIo::default(),
            limits,
        }),
        interface: Interface::Json,
        flags: Flags {
            idempotent: true,
            isolation: Isolation::Fresh,
            ..Flags::default()
        },
        signature: None,
    }
}

/// The function's spec after a patch.
fn patched(present: &Function, patch: &str) -> serverledge_core::FunctionSpec {
    let patch = FunctionPatch::parse(patch.as_bytes()).unwrap();
    patch.over(present).to_spec(Runtime::Wasm).unwrap()
}

#[test]
fn what_is_absent_stays() {
    let present = function();
    let spec = patched(&function(), "{}");
    let version = &present.version;
    assert_eq!(
        (spec.runtime, &spec.handler, &spec.env),
        (version.runtime, &version.handler, &version.env)
    );
    assert_eq!(
        (&spec.secrets.values, spec.network),
        (&version.secrets.values, version.network)
    );
    assert_eq!(
        (spec.limits, spec.flags, spec.signature),
        (version.limits, present.flags, present.signature)
    );
}

#[test]
fn results_that_depend_on_hosts_go_with_the_others() {
    let present = function();
    let outbound = r#"{"IdempotentOutbound":true}"#;
    let keeps = Flags {
        keeps_outbound: true,
        ..present.flags
    };
    assert_eq!(patched(&present, outbound).flags, keeps);
    let keeping = Function {
        flags: keeps,
        ..function()
    };
    assert_eq!(patched(&keeping, r#"{"Idempotent":true}"#).flags, keeps);
    for gone in [
        r#"{"IdempotentOutbound":null}"#,
        r#"{"IdempotentOutbound":false}"#,
    ] {
        assert_eq!(patched(&keeping, gone).flags, present.flags, "{gone}");
    }
    let both = patched(&keeping, r#"{"Idempotent":null}"#).flags;
    assert!(!both.idempotent && !both.keeps_outbound, "it goes along");
    let alone = r#"{"Idempotent":false,"IdempotentOutbound":true}"#;
    let alone = FunctionPatch::parse(alone.as_bytes()).unwrap();
    alone.over(&keeping).to_spec(Runtime::Wasm).unwrap_err();
}

#[test]
fn what_is_named_changes_alone() {
    let present = function();
    let limits = present.version.limits;
    let of = |patch| patched(&present, patch);
    assert_eq!(
        of(r#"{"memorymb":64}"#).limits,
        FunctionLimits {
            memory: MemoryMib::new(64),
            ..limits
        }
    );
    assert_eq!(
        of(r#"{"MaxConcurrency":null}"#).limits,
        FunctionLimits {
            max_concurrency: 1,
            ..limits
        }
    );
    assert_eq!(
        of(r#"{"CPUTime":null}"#).limits,
        FunctionLimits {
            cpu_time: None,
            ..limits
        }
    );
    assert_eq!(
        of(r#"{"CPUDemand":null}"#).limits,
        FunctionLimits {
            cpu: CpuMilli::new(0),
            ..limits
        }
    );
    assert_eq!(
        of(r#"{"Env":{"B":null,"C":"3"}}"#).env,
        variables_of(&[("A", "1"), ("C", "3")])
    );
    assert_eq!(of(r#"{"Env":null}"#).env, BTreeMap::new());
    assert_eq!(of(r#"{"Env":{}}"#).env, present.version.env);
    assert_eq!(
        of(r#"{"Secrets":{"K2":"x"}}"#).secrets.values,
        variables_of(&[("KEY", "hunter2"), ("K2", "x")])
    );
    assert_eq!(
        of(r#"{"Secrets":{"KEY":null}}"#).secrets.values,
        BTreeMap::new()
    );
    assert_eq!(of(r#"{"Handler":"g"}"#).handler, "g");
    assert_eq!(of(r#"{"Network":null}"#).network, Network::None);
    assert_eq!(
        of(r#"{"Edge":true}"#).flags,
        Flags {
            edge: true,
            ..present.flags
        }
    );
    assert_eq!(
        of(r#"{"Idempotent":null}"#).flags,
        Flags {
            idempotent: false,
            ..present.flags
        }
    );
    for patch in [
        r#"{"Isolation":null}"#,
        r#"{"Isolation":"kept"}"#,
        r#"{"isolation":""}"#,
    ] {
        assert_eq!(
            of(patch).flags,
            Flags {
                isolation: Isolation::Kept,
                ..present.flags
            }
        );
    }
    assert_eq!(of(r#"{"Runtime":"nodejs17"}"#).runtime, Runtime::NodeJs);
    let inputs = of(r#"{"Signature":{"Inputs":[{"Name":"a","Type":"Int"}]}}"#)
        .signature
        .unwrap();
    let signed = Function {
        signature: Some(inputs.clone()),
        ..function()
    };
    let both = patched(
        &signed,
        r#"{"Signature":{"Outputs":[{"Name":"r","Type":"Int"}]}}"#,
    )
    .signature
    .unwrap();
    assert_eq!(
        (&both.inputs, both.outputs[0].name.as_str()),
        (&inputs.inputs, "r")
    );
    assert_eq!(patched(&signed, r#"{"Signature":null}"#).signature, None);
}

#[test]
fn raw_output_and_its_type_go_together() {
    let raw = |content_type: &str| Stdout::Raw(content_type.to_owned());
    let with = |args: &[&str], stdin: Stdin, stdout: Stdout| {
        let io = ProgramIo {
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            stdin,
            stdout,
        };
        let version = Version {
            runtime: Runtime::Wasm,
            network: Network::None,
            io,
            ..(*function().version).clone()
        };
        Function {
            version: Arc::new(version),
            ..function()
        }
    };
    let present = with(&["-"], Stdin::Body, raw("image/svg+xml"));
    let of = |patch: &str| patched(&present, patch).io;
    assert_eq!(of("{}"), present.version.io);
    assert_eq!(of(r#"{"Arguments":["a","b"]}"#).args, ["a", "b"]);
    assert_eq!(of(r#"{"Arguments":null}"#).args, [""; 0]);
    assert_eq!(of(r#"{"Stdin":"none"}"#).stdin, Stdin::None);
    assert_eq!(of(r#"{"Stdin":null}"#).stdin, Stdin::Params);
    for (patch, stdout) in [
        (r#"{"Stdout":"raw"}"#, raw("image/svg+xml")),
        (r#"{"Stdout":"json"}"#, Stdout::Json),
        (r#"{"Stdout":null}"#, Stdout::Json),
        (r#"{"StdoutType":"a/b"}"#, raw("a/b")),
        (r#"{"StdoutType":null}"#, raw("application/octet-stream")),
        (r#"{"Stdout":null,"StdoutType":"a/b"}"#, raw("a/b")),
    ] {
        assert_eq!(of(patch).stdout, stdout, "{patch}");
    }
    let json = with(&[], Stdin::Params, Stdout::Json);
    for (patch, stdout) in [
        (r#"{"StdoutType":"a/b"}"#, raw("a/b")),
        (r#"{"StdoutType":null}"#, Stdout::Json),
        (r#"{"Stdout":"raw"}"#, raw("application/octet-stream")),
    ] {
        assert_eq!(patched(&json, patch).io.stdout, stdout, "{patch}");
    }
    let told: Vec<String> = changes(&json, &present, true)
        .iter()
        .map(|change| serde_json::to_string(change).unwrap())
        .collect();
    expect![[r#"
        {"Member":"Arguments","From":[],"To":["-"]}
        {"Member":"Stdin","From":"params","To":"body"}
        {"Member":"Stdout","From":"json","To":"raw"}
        {"Member":"StdoutType","To":"image/svg+xml"}"#]]
    .assert_eq(&told.join("\n"));
}

#[test]
fn hosts_are_replaced_as_a_whole() {
    let with = |hosts: &[&str]| {
        let version = Version {
            runtime: Runtime::Wasm,
            network: Network::None,
            outbound: hosts.iter().map(|host| host.parse().unwrap()).collect(),
            ..(*function().version).clone()
        };
        Function {
            version: Arc::new(version),
            ..function()
        }
    };
    let present = with(&["*.example.org", "http://localhost:8080"]);
    let of = |patch: &str| patched(&present, patch).outbound;
    assert_eq!(of("{}"), present.version.outbound);
    let other = with(&["https://a.example"]);
    assert_eq!(
        of(r#"{"AllowHosts":["A.example:443"]}"#),
        other.version.outbound
    );
    for patch in [r#"{"AllowHosts":null}"#, r#"{"allowhosts":[]}"#] {
        assert_eq!(of(patch), BTreeSet::new(), "{patch}");
    }
    let patch = FunctionPatch::parse(br#"{"Runtime":"python","Network":"bridge"}"#).unwrap();
    let refused = patch.over(&present).to_spec(Runtime::Wasm).unwrap_err();
    let refused = refused.to_string();
    assert!(refused.starts_with("invalid AllowHosts: "), "{refused}");

    let told = |before: &Function, after: &Function| {
        serde_json::to_string(&changes(before, after, true)).unwrap()
    };
    expect![[r#"[{"Member":"AllowHosts","From":["https://a.example"],"To":["http://localhost:8080","https://*.example.org"]}]"#]]
        .assert_eq(&told(&other, &present));
    assert_eq!(told(&present, &present), "[]");
    let shown = |function: &Function| {
        let info = serde_json::to_value(FunctionInfo::from(function)).unwrap();
        info["AllowHosts"].clone()
    };
    assert_eq!(shown(&other), serde_json::json!(["https://a.example"]));
    assert_eq!(shown(&with(&[])), Value::Null);
}

/// The rules of a whole function hold for what comes out.
#[test]
fn the_whole_is_checked() {
    let refused = |patch: &str| {
        let patch = FunctionPatch::parse(patch.as_bytes()).unwrap();
        patch
            .over(&function())
            .to_spec(Runtime::Wasm)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(r#"{"MemoryMB":8}"#),
        "invalid memory limit: 8 MiB; python functions need at least 16 MiB"
    );
    assert_eq!(
        refused(r#"{"Env":{"KEY":"1"}}"#),
        "invalid Secrets: \"KEY\" is a variable of Env as well"
    );
    let network =
        "invalid Network: wasm functions reach no network; python, nodejs and custom ones can";
    assert_eq!(refused(r#"{"Runtime":"wasm"}"#), network);
    assert!(refused(r#"{"CustomImage":"i"}"#).contains("only the runtime custom takes an image"));
    assert!(refused(r#"{"Runtime":"custom"}"#).contains("needs one"));
}

#[test]
fn images_go_with_their_runtime() {
    let version = Version {
        runtime: Runtime::Custom,
        image: "i:1".to_owned(),
        ..(*function().version).clone()
    };
    let custom = Function {
        version: Arc::new(version),
        ..function()
    };
    assert_eq!(patched(&custom, r#"{"MemoryMB":64}"#).image, "i:1");
    assert_eq!(patched(&custom, r#"{"CustomImage":"i:2"}"#).image, "i:2");
    assert_eq!(patched(&custom, r#"{"Runtime":"python"}"#).image, "");
}

#[test]
fn every_limit_survives_the_way_through_the_request() {
    for milli in (1..900_000).step_by(7) {
        let limits = FunctionLimits {
            timeout: Duration::from_millis(milli),
            cpu: CpuMilli::new(milli),
            ..function().version.limits
        };
        let version = Version {
            limits,
            ..(*function().version).clone()
        };
        let present = Function {
            version: Arc::new(version),
            ..function()
        };
        assert_eq!(patched(&present, "{}").limits, limits, "{milli}");
    }
}

#[test]
fn unknown_members_and_wrong_types_are_named() {
    let fault = |body: &str| {
        FunctionPatch::parse(body.as_bytes())
            .unwrap_err()
            .to_string()
    };
    assert!(
        fault(r#"{"MemoryMB":1,"Memory":2}"#)
            .starts_with("there is no member \"Memory\"; known are Name, Runtime")
    );
    assert!(fault(r#"{"MemoryMB":"lots"}"#).starts_with("member \"MemoryMB\": invalid type"));
    assert!(fault(r#"{"Signature":{"Input":[]}}"#).contains("unknown field `Input`"));
    let secrets = r#"member "Secrets": expected an object of strings and nulls"#;
    for body in [
        r#"{"Secrets":{"K":7}}"#,
        r#"{"Secrets":"hunter2"}"#,
        r#"{"Secrets":["hunter2"]}"#,
    ] {
        assert_eq!(fault(body), secrets);
    }
    let patch = FunctionPatch::parse(br#"{"Secrets":{"K":"hunter2"}}"#).unwrap();
    assert!(!format!("{patch:?}").contains("hunter2"), "{patch:?}");
}

#[test]
fn what_a_client_writes_the_node_reads() {
    for body in [
        "{}",
        r#"{"Runtime":"wasm","MemoryMB":null,"CPUDemand":0.5,"MaxConcurrency":2,"Handler":"","TarFunctionCode":"eA==","CustomImage":null,"Signature":{"Inputs":[]},"Timeout":1.5,"CPUTime":null,"Env":{"A":"1","B":null},"Secrets":{"K":null},"Network":"none","AllowHosts":["a.example"],"Idempotent":false,"Edge":null,"Isolation":"fresh","SupportedArchs":["amd64"],"Arguments":["-"],"Stdin":"body","Stdout":null,"StdoutType":"a/b"}"#,
    ] {
        let patch = FunctionPatch::parse(body.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&patch).unwrap(), body);
    }
}

fn check(patch: &str, remade: bool, expected: &Expect) {
    let before = function();
    let spec = patched(&before, patch);
    let version = Version {
        runtime: spec.runtime,
        code: Digest::new([9; 32]),
        handler: spec.handler,
        env: spec.env,
        secrets: spec.secrets,
        limits: spec.limits,
        ..(*before.version).clone()
    };
    let after = Function {
        version: Arc::new(version),
        flags: spec.flags,
        signature: spec.signature,
        ..before.clone()
    };
    let told: Vec<String> = changes(&before, &after, remade)
        .iter()
        .map(|change| serde_json::to_string(change).unwrap())
        .collect();
    assert!(!told.concat().contains("hunter"), "{told:?}");
    expected.assert_eq(&told.join("\n"));
}

#[test]
fn differences_are_told_without_values_of_variables() {
    check("{}", true, &expect![""]);
    check(
        r#"{"Isolation":"kept"}"#,
        true,
        &expect![[r#"{"Member":"Isolation","From":"fresh","To":"kept"}"#]],
    );
    check(
        "{}",
        false,
        &expect![[
            r#"{"Member":"Code","From":"0202020202020202020202020202020202020202020202020202020202020202","To":"0909090909090909090909090909090909090909090909090909090909090909"}"#
        ]],
    );
    check(
        r#"{"MemoryMB":64,"CPUTime":null,"Edge":true,"Env":{"A":null,"B":"3","C":""},"Secrets":{"KEY":"hunter3"}}"#,
        true,
        &expect![[r#"
            {"Member":"MemoryMB","From":256,"To":64}
            {"Member":"CPUTime","From":0.001}
            {"Member":"Edge","From":false,"To":true}
            {"Member":"Env","Name":"A","Change":"removed"}
            {"Member":"Env","Name":"B","Change":"changed"}
            {"Member":"Env","Name":"C","Change":"added"}
            {"Member":"Secrets","Name":"KEY","Change":"changed"}"#]],
    );
}
