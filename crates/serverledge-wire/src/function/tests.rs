//! Tests of the bodies about functions.

use super::*;

fn check(body: &str, expected: &str) {
    let outcome = FunctionBody::parse(body.as_bytes())
        .map_err(|e| e.to_string())
        .and_then(|body| {
            body.to_spec(Runtime::Wasm)
                .map_err(|e| format!("{}: {e}", e.code()))
        });
    match outcome {
        Ok(spec) => assert_eq!(
            expected,
            format!("{} {} {}", spec.name, spec.runtime, spec.limits.memory)
        ),
        Err(message) => assert_eq!(expected, message),
    }
}

#[test]
fn requests_are_checked_in_serverledges_order() {
    check(r#"{"Name":"f"}"#, "f wasm 128 MiB");
    check(
        r#"{"name":"f","RUNTIME":"python310","memorymb":600}"#,
        "f python 600 MiB",
    );
    check(
        r#"{"Name":"a/b","Runtime":"x"}"#,
        "invalid_name: invalid name: the name contains '/'; letters, digits, '-', '_' and '.' are allowed",
    );
    check(
        r#"{"Name":"f","Runtime":"python38"}"#,
        "unknown_runtime: unknown runtime \"python38\"; known are wasm, python, python-wasm, nodejs, javascript, custom and their old names",
    );
    check(
        r#"{"Name":"f","MemoryMB":0}"#,
        "invalid_memory: invalid memory limit: 0 MB; 1 to 4096 are allowed",
    );
    check(
        r#"{"Name":"f","CPUDemand":-1}"#,
        "invalid_member: invalid CPUDemand: -1 cores; 0 or more are allowed",
    );
    check(
        r#"{"Name":"f","Timeout":1e9}"#,
        "invalid_member: invalid Timeout: 1000000000 seconds; more than 0 and at most 900 are allowed",
    );
    check(
        r#"{"Name":"f","Env":{"SERVERLEDGE_X":"1"}}"#,
        "invalid_member: invalid Env: \"SERVERLEDGE_X\" cannot be a variable's name",
    );
    check(
        r#"{"Name":5}"#,
        "member \"Name\": invalid type: integer `5`, expected a string at line 1 column 1",
    );
}

const CONTAINER: &str = r#""Name":"f","Runtime":"custom","CustomImage":"i""#;

#[test]
fn containers_need_memory() {
    check(
        r#"{"Name":"f","Runtime":"python","MemoryMB":15}"#,
        "invalid_memory: invalid memory limit: 15 MiB; python functions need at least 16 MiB",
    );
    check(
        r#"{"Name":"f","Runtime":"nodejs","MemoryMB":16}"#,
        "f nodejs 16 MiB",
    );
    check(
        r#"{"Name":"f","Runtime":"wasm","MemoryMB":1}"#,
        "f wasm 1 MiB",
    );
}

#[test]
fn images_belong_to_custom_functions() {
    let custom =
        |image: &str| format!(r#"{{"Name":"f","Runtime":"custom","CustomImage":{image:?}}}"#);
    for image in [
        "alpine",
        "registry.example:5000/team/image_1:v1.0-rc",
        "a@sha256:00ff",
        &"a".repeat(255),
    ] {
        check(&custom(image), "f custom 128 MiB");
    }
    let fault = |fault: &str| format!("invalid_member: invalid CustomImage: {fault}");
    check(
        &custom(""),
        &fault("the runtime custom needs one; name an image that speaks the executor protocol"),
    );
    check(
        &custom(&"a".repeat(256)),
        &fault("at most 255 bytes are allowed"),
    );
    for image in ["-v", "a b", "a;b", "a//b", "../a", "a/", "é"] {
        let shape = "names no image; a name looks like registry.example/team/image:tag";
        check(&custom(image), &fault(&format!("{image:?} {shape}")));
    }
    check(
        r#"{"Name":"f","Runtime":"python","CustomImage":"i"}"#,
        &fault("only the runtime custom takes an image; this one is python"),
    );
}

#[test]
fn containers_alone_have_a_network() {
    let spec = |network: &str| {
        let body = format!("{{{CONTAINER},\"Network\":{network:?}}}");
        FunctionBody::parse(body.as_bytes())
            .unwrap()
            .to_spec(Runtime::Wasm)
            .map_err(|e| e.to_string())
    };
    for (text, network) in [
        ("", Network::None),
        ("none", Network::None),
        ("bridge", Network::Bridge),
    ] {
        let spec = spec(text).unwrap();
        assert_eq!((spec.network, spec.image.as_str()), (network, "i"));
    }
    assert_eq!(
        spec("host").unwrap_err(),
        "invalid Network: unknown network \"host\"; known are none and bridge"
    );
    check(
        r#"{"Name":"f","Network":"bridge"}"#,
        "invalid_member: invalid Network: wasm functions reach no network; python, nodejs and custom ones can",
    );
    check(
        r#"{"Name":"f","Runtime":"python-wasm","Network":"bridge"}"#,
        "invalid_member: invalid Network: python-wasm functions reach no network; python, nodejs and custom ones can",
    );
}

#[test]
fn results_that_depend_on_others_are_kept_with_all_others_or_not() {
    let flags = |members: &str| {
        let body = format!("{{\"Name\":\"f\"{members}}}");
        let body = FunctionBody::parse(body.as_bytes()).unwrap();
        let flags = body.to_spec(Runtime::Wasm).unwrap().flags;
        let written = serde_json::to_string(&body).unwrap();
        (
            flags.idempotent,
            flags.may_keep_outbound(),
            written.contains("IdempotentOutbound"),
        )
    };
    assert_eq!(flags(r#","Idempotent":true"#), (true, false, false));
    assert_eq!(
        flags(r#","IdempotentOutbound":false"#),
        (false, false, false)
    );
    assert_eq!(
        flags(r#","Idempotent":true,"idempotentOutbound":true"#),
        (true, true, true)
    );
    check(
        r#"{"Name":"f","IdempotentOutbound":true}"#,
        "invalid_member: invalid IdempotentOutbound: it goes with Idempotent, which is not set",
    );
}

#[test]
fn isolation_is_kept_unless_said_otherwise() {
    let isolation = |member: &str| {
        let body = format!("{{\"Name\":\"f\"{member}}}");
        let spec = FunctionBody::parse(body.as_bytes()).unwrap();
        spec.to_spec(Runtime::Wasm).unwrap().flags.isolation
    };
    for (member, expected) in [
        ("", Isolation::Kept),
        (r#","Isolation":null"#, Isolation::Kept),
        (r#","isolation":"kept""#, Isolation::Kept),
        (r#","Isolation":"fresh""#, Isolation::Fresh),
    ] {
        assert_eq!(isolation(member), expected, "{member}");
    }
    check(
        r#"{"Name":"f","Isolation":"shared"}"#,
        "invalid_member: invalid Isolation: unknown isolation \"shared\"; known are kept and fresh",
    );
}
