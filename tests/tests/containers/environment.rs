//! The environment of a function: variables, secrets that nobody else sees, a network only if it may, an image of its
//! own.

use std::net::TcpListener;

use anyhow::Result;
use serde_json::json;

use crate::support::{Lab, deployed, request};

const READ_ENV: &str = "import os
print('loading')
def handler(params):
    return [os.environ.get(name) for name in params['names']]
";
/// Assembled, so that it stands nowhere as a whole.
fn secret() -> String {
    ["s3cr3t", "that", "nobody", "sees"].join("/")
}

/// Whether any process of the machine was started with this text among its arguments. The test's own are not asked.
fn is_in_a_command_line(text: &str) -> bool {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.into_iter().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(text)
    })
}

/// With template containers and without: the code comes by different ways into its container.
#[test]
fn secrets_are_seen_by_the_function_alone() -> Result<()> {
    let secret = secret();
    for cells in [0, 1] {
        let lab = Lab::with(|setup| {
            setup
                .with("log.level", "debug")
                .with("container.cells", cells)
                // So few that the starts of a slow run do not raise the number of template containers.
                .with("container.max", 8)
        })?;
        lab.write("f.py", READ_ENV)?;
        lab.write(
            "f.js",
            "exports.handler = params => params.names.map(name => process.env[name] ?? null);\n",
        )?;
        lab.write("key", &format!("{secret}\n"))?;
        for (name, source, runtime) in [("py", "f.py", "python"), ("js", "f.js", "nodejs")] {
            let created = lab.cli(&[
                "create",
                "-f",
                name,
                "--src",
                source,
                "--runtime",
                runtime,
                "--handler",
                "f.handler",
                "--env",
                "A=x=y",
                "--secret",
                "KEY=@key",
            ])?;
            created.assert_code(0);
            let params = json!({"names": ["A", "KEY", "NONE"]});
            assert_eq!(lab.call(name, &params)?, json!(["x=y", secret, null]));
            let info = lab.get(&format!("/functions/{name}"))?.text();
            assert!(
                info.contains("KEY") && !info.contains(&secret) && !info.contains("x=y"),
                "{info}"
            );
            assert!(!created.stdout.contains(&secret) && !created.stderr.contains(&secret));
            // What the function itself returns is its own affair; nothing else carries it.
            lab.invoke(name, &json!({"names": 5}))?
                .assert_problem(500, "function_error");
        }
        // None of them comes or goes any more while they are looked at.
        let ids = lab.wait_for_containers(2 + 2 * cells)?;
        assert!(
            !lab.engine.inspect(&ids)?.contains(&secret),
            "docker inspect shows it"
        );
        assert!(!is_in_a_command_line(&secret));
        let twice = request(
            "twice",
            "python",
            READ_ENV.as_bytes(),
            &json!({"Env": {"KEY": "1"}, "Secrets": {"KEY": secret}}),
        );
        let refused = lab.post("/create", &twice)?;
        refused.assert_problem(422, "invalid_member");
        assert!(!refused.text().contains(&secret));
        let wrong = lab.post(
            "/create",
            &request("f", "python", b"x", &json!({"Secrets": [secret.clone()]})),
        )?;
        wrong.assert_problem(400, "malformed_member");
        assert!(!wrong.text().contains(&secret));
        let ended = lab.stop()?;
        // What loading prints is only logged at this level.
        assert!(ended.stderr.contains("loading"), "{}", ended.stderr);
        assert!(
            !ended.stderr.contains(&secret),
            "the node's log shows it:\n{}",
            ended.stderr
        );
    }
    Ok(())
}

/// A secret is part of the version: another value is another function, and survives a restart.
#[test]
fn secrets_are_kept_and_replaced() -> Result<()> {
    let mut lab = Lab::start()?;
    let with = |value: &str| {
        request(
            "f",
            "python",
            READ_ENV.as_bytes(),
            &json!({"Secrets": {"KEY": value}}),
        )
    };
    deployed(&lab.post("/create", &with("one"))?)?;
    let ended = lab.take()?.stop()?;
    lab.restart(ended)?;
    assert_eq!(lab.call("f", &json!({"names": ["KEY"]}))?, json!(["one"]));
    deployed(&lab.post("/update", &with("two"))?)?;
    assert_eq!(lab.call("f", &json!({"names": ["KEY"]}))?, json!(["two"]));
    Ok(())
}

/// Says whether there is a way out, and whether it reaches the machine, through its gateway or otherwise.
const REACH: &str = "import socket, struct
def gateway():
    for line in open('/proc/net/route').read().splitlines()[1:]:
        fields = line.split()
        if fields[1] == '00000000':
            return socket.inet_ntoa(struct.pack('<L', int(fields[2], 16)))
def handler(params):
    try:
        at = gateway() or params['machine']
        with socket.create_connection((at, params['port']), timeout=2):
            return [gateway() is not None, 'reached']
    except OSError as error:
        return [gateway() is not None, 'not reached']
";

#[test]
fn the_network_is_there_only_if_asked_for_and_allowed() -> Result<()> {
    let listener = TcpListener::bind("0.0.0.0:0")?;
    let params = json!({"port": listener.local_addr()?.port(), "machine": "127.0.0.1"});
    let closed = Lab::start()?;
    closed.write("f.py", REACH)?;
    let refused = closed.cli(&[
        "create",
        "--src",
        "f.py",
        "--handler",
        "f.handler",
        "--network",
        "bridge",
    ])?;
    let said = &refused.assert_code(2).stderr;
    assert!(
        said.contains("container.allow_bridge"),
        "it names the key that would allow it: {said}"
    );
    let body = request(
        "f",
        "python",
        REACH.as_bytes(),
        &json!({"Network": "bridge"}),
    );
    closed
        .post("/create", &body)?
        .assert_problem(422, "network_not_allowed");
    assert!(closed.names()?.is_empty());
    closed.python("f", REACH)?;
    assert_eq!(closed.call("f", &params)?, json!([false, "not reached"]));
    drop(closed);

    let open = Lab::with(|setup| setup.with("container.allow_bridge", true))?;
    open.python("inside", REACH)?;
    deployed(&open.post("/create", &body)?)?;
    assert_eq!(open.call("inside", &params)?, json!([false, "not reached"]));
    // A way out, but not to what listens on this machine.
    assert_eq!(open.call("f", &params)?, json!([true, "not reached"]));
    assert_eq!(open.engine.networks(&open.id)?.len(), 1);
    assert_eq!(open.get("/functions/f")?.json()?["Network"], "bridge");
    open.stop().map(drop)
}
