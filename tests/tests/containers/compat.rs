//! The requests of Go Serverledge's own client for its Python and Node.js functions, byte for byte, and the parts of
//! the answers that it reads.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::tars::tar_of;
use crate::support::{Lab, Request, Response, wait_for};

/// The request of `serverledge-cli create`, all members in Go's order.
fn create(name: &str, runtime: &str, handler: &str, tar: &[u8]) -> Request {
    let body = format!(
        r#"{{"Name":"{name}","Runtime":"{runtime}","MemoryMB":128,"CPUDemand":0.1,"MaxConcurrency":2,"Handler":"{handler}","TarFunctionCode":"{}","CustomImage":"","SupportedArchs":null,"Signature":{{"Inputs":[],"Outputs":[]}}}}"#,
        STANDARD.encode(tar)
    );
    Request::post("/create", body)
        .header("Content-Type", "application/json")
        .header("User-Agent", "Go-http-client/1.1")
}

/// The request of `serverledge-cli invoke`; its parameters are strings.
fn invoke(name: &str, asynchronous: bool, output: bool) -> Request {
    let body = format!(
        r#"{{"Params":{{"a":"2","b":"3"}},"QoSClass":0,"QoSMaxRespT":-1,"CanDoOffloading":true,"Async":{asynchronous},"ReturnOutput":{output}}}"#
    );
    Request::post(&format!("/invoke/{name}"), body).header("Content-Type", "application/json")
}

const HELLO_PY: &str = "def handler_fun(params, context):
    print('adding')
    return int(params['a']) + int(params['b'])
";
const HELLO_JS: &str =
    "module.exports = (params, context) => Number(params.a) + Number(params.b);\n";

fn check_envelope(response: &Response, warm: bool, output: &str) -> Result<()> {
    let envelope = response.json()?;
    assert_eq!(
        (response.status, &envelope["Success"], &envelope["Result"]),
        (200, &json!(true), &json!("5")),
        "{envelope}"
    );
    assert_eq!(
        (&envelope["IsWarmStart"], &envelope["Output"]),
        (&json!(warm), &json!(output))
    );
    for seconds in [
        "ResponseTime",
        "InitTime",
        "QueueingTime",
        "OffloadLatency",
        "Duration",
    ] {
        let time = envelope[seconds].as_f64();
        assert!(
            time.is_some_and(|time| (0.0..60.0).contains(&time)),
            "{seconds}: {envelope}"
        );
    }
    let init = envelope["InitTime"].as_f64().unwrap_or_default();
    // Go's client reads a cold start's cost there; no container starts in a millisecond.
    assert!(warm || init > 0.001, "{envelope}");
    let free = response
        .header("serverledge-free-mem")
        .and_then(|free| free.parse::<u64>().ok());
    assert!(
        free.is_some_and(|free| free > 0) && response.header("serverledge-node-name").is_some()
    );
    Ok(())
}

#[test]
fn recorded_requests_work() -> Result<()> {
    let lab = Lab::start()?;
    for (name, runtime, handler, file, code, output) in [
        (
            "py",
            "python310",
            "hello.handler_fun",
            "hello.py",
            HELLO_PY,
            "adding\n",
        ),
        ("js", "nodejs17ng", "hello", "hello.js", HELLO_JS, ""),
        (
            "own",
            "PYTHON314",
            "hello.handler_fun",
            "folder/hello.py",
            HELLO_PY,
            "adding\n",
        ),
    ] {
        let created = lab.ask(&create(name, runtime, handler, &tar_of(&[(file, code)])?))?;
        assert_eq!(
            (created.status, &created.json()?["Created"]),
            (200, &json!(name)),
            "{}",
            created.text()
        );
        check_envelope(&lab.ask(&invoke(name, false, false))?, false, "")?;
        check_envelope(&lab.ask(&invoke(name, false, true))?, true, output)?;
        let info = lab.get(&format!("/functions/{name}"))?.json()?;
        assert_eq!(
            (&info["CPUDemand"], &info["MaxConcurrency"]),
            (&json!(0.1), &json!(2)),
            "{info}"
        );
    }
    let again = lab.ask(&create(
        "py",
        "python310",
        "hello.handler_fun",
        &tar_of(&[("hello.py", HELLO_PY)])?,
    ))?;
    again.assert_problem(409, "function_exists");
    lab.ask(&create(
        "f",
        "python38",
        "",
        &tar_of(&[("hello.py", HELLO_PY)])?,
    ))?
    .assert_problem(404, "unknown_runtime");
    // Base64 of a URL, which Go's node would fetch.
    let url = create(
        "f",
        "python310",
        "hello.handler_fun",
        b"https://example.com/hello.py",
    );
    lab.ask(&url)?.assert_problem(422, "url_unsupported");
    assert_eq!(lab.get("/function")?.json()?, json!(["js", "own", "py"]));
    let prewarmed = lab.ask(&Request::post(
        "/prewarm",
        r#"{"Function":"py","Instances":2,"ForceImagePull":false}"#,
    ))?;
    assert_eq!(prewarmed.json()?, json!({"Prewarmed": 2}));
    let deleted = lab.ask(&Request::post("/delete", r#"{"Name":"py"}"#))?;
    assert_eq!(deleted.text(), r#"{"Deleted":"py"}"#);
    lab.wait_until_free()
}

#[test]
fn asynchronous_calls_are_polled() -> Result<()> {
    let lab = Lab::start()?;
    lab.python("add", HELLO_PY.replace("handler_fun", "handler").as_str())?;
    lab.python("bad", "def handler(params): raise ValueError('no')\n")?;
    let accepted = lab.ask(&invoke("add", true, true))?;
    assert_eq!(accepted.status, 200);
    let id = accepted.json()?["ReqId"]
        .as_str()
        .context("an id")?
        .to_owned();
    let poll = |id: &str| {
        wait_for("an outcome", || {
            let answer = lab.get(&format!("/poll/{id}"))?;
            Ok((answer.status != 404).then_some(answer))
        })
    };
    let done = poll(&id)?;
    let envelope = done.json()?;
    assert_eq!(
        (
            &envelope["Success"],
            &envelope["Result"],
            &envelope["Output"]
        ),
        (&json!(true), &json!("5"), &json!("adding\n"))
    );
    let accepted = lab.ask(&invoke("bad", true, false))?.json()?;
    let failed = poll(accepted["ReqId"].as_str().context("an id")?)?;
    assert_eq!(failed.json()?["Success"], false, "{}", failed.text());
    let ran = lab.cli(&["poll", "--request", &id, "--wait"])?;
    assert_eq!(ran.assert_code(0).result()?, 5);
    lab.wait_until_free()
}

/// Every shape of body that Serverledge's clients and scripts send.
#[test]
fn bodies_have_many_shapes() -> Result<()> {
    let lab = Lab::start()?;
    lab.python("echo", crate::support::ECHO)?;
    let shapes: [(&str, Value); 8] = [
        ("", json!({})),
        ("{}", json!({})),
        (r#"{"Params":null}"#, json!(null)),
        (r#"{"params":{}}"#, json!({})),
        (
            r#"{"PARAMS":{"a":[1,{"b":null}]},"qosclass":1}"#,
            json!({"a": [1, {"b": null}]}),
        ),
        (r#"{"Params":[1,2]}"#, json!([1, 2])),
        (r#"{"Params":"text"}"#, json!("text")),
        (
            "{\"Params\":{\"\u{e9}\":\"\\ud83d\\ude00\"}}",
            json!({"é": "😀"}),
        ),
    ];
    for (body, expected) in shapes {
        let answer = lab.ask(&Request::post("/invoke/echo", body))?.result()?;
        // An absent object of parameters may be shown as an empty one.
        assert!(
            answer == expected || (expected.is_null() && answer == json!({})),
            "{body}: {answer}"
        );
    }
    lab.ask(&Request::post("/invoke/echo", r#"{"other":true}"#))?
        .assert_problem(400, "unknown_member");
    for body in ["{", "[]", "{'a':1}"] {
        lab.ask(&Request::post("/invoke/echo", body))?
            .assert_problem(400, "malformed_json");
    }
    let large = "x".repeat(1 << 20);
    assert_eq!(
        lab.call("echo", &json!({ "large": large }))?["large"],
        large
    );
    Ok(())
}
