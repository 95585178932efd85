//! A machine without Docker Engine: the node starts and serves WebAssembly, and says what is missing for everything else.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::guests;
use crate::support::node::deployment;
use crate::support::{Node, Setup};

const HELLO_PY: &str = "def handler(params, context):\n    return 1\n";
const HELLO_JS: &str = "module.exports = (params, context) => process.version;\n";

/// Wasm goes on; nothing of what was refused is kept.
fn check_serves_wasm(node: &Node) -> Result<()> {
    assert!(node.names()?.is_empty());
    node.deploy("good", guests::constant(1))?;
    assert_eq!(node.invoke("good", &json!({}))?.result()?, json!({"n": 1}));
    assert_eq!(node.names()?, ["good"]);
    node.wait_until_free()
}

/// The client tells its user which program is missing, where it was looked for, and what to do.
#[test]
fn the_client_says_what_is_missing() -> Result<()> {
    let node = Node::start()?;
    // What python-wasm does not have.
    let python = format!("import curses\n{HELLO_PY}");
    for (file, content, old_name) in [
        ("hello.py", python.as_str(), "python310"),
        ("hello.js", HELLO_JS, "nodejs17ng"),
    ] {
        std::fs::write(node.home().join(file), content)?;
        for arguments in [
            vec!["create", "--src", file],
            vec![
                "create",
                "-f",
                "f",
                "--src",
                file,
                "--runtime",
                old_name,
                "--handler",
                "hello.handler",
            ],
            vec!["update", "-f", "f", "--src", file],
        ] {
            let ran = node.cli(&arguments)?;
            let said = &ran.assert_code(2).stderr;
            for part in [
                "no container engine answers",
                "start Docker or Podman",
                "no-engine.sock",
                "WebAssembly",
            ] {
                assert!(said.contains(part), "{part} is missing: {ran:?}");
            }
        }
        let ran = node.cli(&["create", "-f", "f", "--src", file, "--json"])?;
        let said = &ran.assert_code(2).stderr;
        let problem = said
            .get(said.find('{').context("a problem")?..)
            .unwrap_or_default();
        assert_eq!(
            said.contains("--runtime javascript"),
            file == "hello.js",
            "{ran:?}"
        );
        let problem: Value = serde_json::from_str(problem).with_context(|| format!("{ran:?}"))?;
        assert_eq!(problem["code"], "docker_unavailable", "{problem}");
    }
    check_serves_wasm(&node)
}

/// A function that needs an engine is refused with a status that says "later", in any spelling of its runtime.
#[test]
fn deploys_are_refused_for_now() -> Result<()> {
    let node = Node::start()?;
    for runtime in [
        "python",
        "PYTHON310",
        "python314",
        "nodejs",
        "nodejs17",
        "NodeJS17ng",
    ] {
        let refused = node.post(
            "/create",
            &deployment("f", HELLO_PY.as_bytes(), &json!({ "Runtime": runtime })),
        )?;
        refused.assert_problem(503, "docker_unavailable");
        assert!(refused.header("retry-after").is_some(), "{runtime}");
    }
    let custom = json!({"Name": "f", "Runtime": "custom", "CustomImage": "own"});
    node.post("/create", &custom)?
        .assert_problem(503, "docker_unavailable");
    check_serves_wasm(&node)
}

/// Whatever is wrong with the request itself is said first: an engine would not help.
#[test]
fn the_requests_own_faults_come_first() -> Result<()> {
    let node = Node::start()?;
    for (more, status, code) in [
        (json!({"Runtime": "python38"}), 404, "unknown_runtime"),
        (
            json!({"Runtime": "python", "MemoryMB": 8}),
            422,
            "invalid_memory",
        ),
        (
            json!({"Runtime": "python", "TarFunctionCode": ""}),
            422,
            "no_code",
        ),
        (
            json!({"Runtime": "python", "TarFunctionCode": "%"}),
            422,
            "malformed_base64",
        ),
        (
            json!({"Runtime": "python", "CustomImage": "own"}),
            422,
            "invalid_member",
        ),
        (
            json!({"Runtime": "python", "Network": "host"}),
            422,
            "invalid_member",
        ),
        (json!({"Runtime": "custom"}), 422, "invalid_member"),
        (
            json!({"Runtime": "python", "Secrets": {"A": "1"}, "Env": {"A": "2"}}),
            422,
            "invalid_member",
        ),
        (
            json!({"Runtime": "wasm", "Network": "bridge"}),
            422,
            "invalid_member",
        ),
    ] {
        node.post("/create", &deployment("f", HELLO_PY.as_bytes(), &more))?
            .assert_problem(status, code);
    }
    check_serves_wasm(&node)
}

/// Whoever switches containers off gets another answer: waiting does not help.
#[test]
fn containers_can_be_switched_off() -> Result<()> {
    let node = Setup::new()?.with("container.enabled", false).start()?;
    let refused = node.post(
        "/create",
        &deployment("f", HELLO_PY.as_bytes(), &json!({"Runtime": "python310"})),
    )?;
    refused.assert_problem(422, "runtime_unsupported");
    assert!(
        refused.text().contains("container.enabled"),
        "it says how to switch them on: {}",
        refused.text()
    );
    let refused = node.post(
        "/create",
        &deployment("f", HELLO_JS.as_bytes(), &json!({"Runtime": "nodejs17ng"})),
    )?;
    refused.assert_problem(422, "runtime_unsupported");
    assert!(
        refused.text().contains("runtime javascript"),
        "it says what would do: {}",
        refused.text()
    );
    std::fs::write(node.home().join("hello.py"), HELLO_PY)?;
    let ran = node.cli(&["create", "--src", "hello.py", "--runtime", "python"])?;
    assert!(
        ran.assert_code(2).stderr.contains("container.enabled"),
        "{ran:?}"
    );
    check_serves_wasm(&node)
}
