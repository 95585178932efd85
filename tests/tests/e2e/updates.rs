//! Updates: what is named changes, and nothing else; with the real client, and at a terminal.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::support::cli::Ran;
use crate::support::programs::programs;
use crate::support::{Node, Request, Setup};

const GREET: &str =
    "module.exports = ({ name }) => `${process.env.GREETING} ${name} ${process.env.KEY ?? '-'}`;";

fn start() -> Result<Node> {
    Setup::new()?.with("container.enabled", false).start()
}

/// A script with everything that can be set.
fn greeter() -> Result<Node> {
    let node = start()?;
    std::fs::write(node.home().join("greet.js"), GREET)?;
    std::fs::write(node.home().join("key"), "hunter2\n")?;
    let options = [
        "--memory",
        "96",
        "--timeout",
        "5",
        "--env",
        "GREETING=Hi",
        "--secret",
        "KEY=@key",
        "--idempotent",
    ];
    node.cli(&[&["create", "greet.js"], &options[..]].concat())?
        .assert_code(0);
    Ok(node)
}

fn greeting(node: &Node) -> Result<Value> {
    node.post("/fn/greet", &json!({"name": "Ada"}))?.json()
}

fn info(node: &Node) -> Result<Value> {
    node.get("/functions/greet")?.json()
}

/// The changes that the client reports: each as `Member`, or `MemberNAME`.
#[track_caller]
fn changed(ran: &Ran) -> Result<Vec<String>> {
    let changes = ran.assert_code(0).json()?["Changes"]
        .as_array()
        .context("changes")?
        .clone();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    Ok(changes
        .iter()
        .map(|one| format!("{}{}", text(&one["Member"]), text(&one["Name"])))
        .collect())
}

#[test]
fn new_code_leaves_everything_else() -> Result<()> {
    let node = greeter()?;
    assert_eq!(greeting(&node)?, "Hi Ada hunter2");
    let before = info(&node)?;
    std::fs::write(
        node.home().join("greet.js"),
        GREET.replace("${name}", "dear ${name}"),
    )?;
    assert_eq!(changed(&node.cli(&["update", "greet.js"])?)?, ["Code"]);
    assert_eq!(greeting(&node)?, "Hi dear Ada hunter2");
    let mut after = info(&node)?;
    for differs in ["Code", "Version"] {
        assert_ne!(after[differs], before[differs]);
        after[differs] = before[differs].clone();
    }
    assert_eq!(after, before);
    let again = node.cli(&["update", "greet.js"])?;
    assert_eq!(changed(&again)?, [""; 0], "nothing has changed");
    Ok(())
}

#[test]
fn everything_else_changes_without_code() -> Result<()> {
    let node = greeter()?;
    for (arguments, told, answer) in [
        (
            &["update", "greet", "--memory", "256"][..],
            "MemoryMB",
            "Hi Ada hunter2",
        ),
        (
            &["update", "-f", "greet", "--env", "GREETING=Hello"],
            "EnvGREETING",
            "Hello Ada hunter2",
        ),
        (
            &["update", "greet", "--timeout", "default", "--no-idempotent"],
            "Timeout Idempotent",
            "Hello Ada hunter2",
        ),
        (
            &["update", "greet", "--unset-secret", "KEY"],
            "SecretsKEY",
            "Hello Ada -",
        ),
        (
            &["update", "greet", "--unset-env", "GREETING", "--env", "B=1"],
            "EnvB EnvGREETING",
            "undefined Ada -",
        ),
    ] {
        assert_eq!(
            changed(&node.cli(arguments)?)?.join(" "),
            told,
            "{arguments:?}"
        );
        assert_eq!(greeting(&node)?, answer, "{arguments:?}");
    }
    let absent = node.cli(&["update", "greet", "--unset-env", "NO_SUCH"])?;
    assert!(
        absent
            .stderr
            .contains("note: greet has no variable NO_SUCH"),
        "{absent:?}"
    );
    node.cli(&["update", "greet"])?.assert_code(1);
    node.cli(&["update", "nobody", "--memory", "256"])?
        .assert_code(2);
    // The way back is a version like any other.
    node.cli(&["function", "rollback", "greet"])?.assert_code(0);
    assert_eq!(greeting(&node)?, "Hello Ada -");
    Ok(())
}

#[test]
fn secrets_are_set_and_never_shown() -> Result<()> {
    let node = greeter()?;
    let set = node.cli_with_input(&["secret", "set", "greet", "KEY"], b"piped\n")?;
    assert_eq!(changed(&set)?, ["SecretsKEY"]);
    assert_eq!(greeting(&node)?, "Hi Ada piped");
    std::fs::write(node.home().join("other"), "from a file")?;
    let set = node.cli(&[
        "secret",
        "set",
        "-f",
        "greet",
        "KEY=@other",
        "SECOND=@other",
    ])?;
    assert_eq!(changed(&set)?, ["SecretsKEY", "SecretsSECOND"]);
    assert_eq!(greeting(&node)?, "Hi Ada from a file");
    let listed = node.cli(&["secret", "list", "greet"])?;
    assert_eq!(listed.assert_code(0).json()?, json!(["KEY", "SECOND"]));
    assert_eq!(
        changed(&node.cli(&["secret", "remove", "greet", "SECOND"])?)?,
        ["SecretsSECOND"]
    );
    node.cli(&["secret", "remove", "greet", "SECOND"])?
        .assert_code(2);
    node.cli(&["secret", "set", "greet", "KEY=hunter3"])?
        .assert_code(1);
    node.cli(&["secret", "set", "greet", "KEY"])?.assert_code(1);
    assert_eq!(greeting(&node)?, "Hi Ada from a file");
    let shown = format!("{set:?}{listed:?}{}{}", info(&node)?, node.stderr());
    assert!(
        !shown.contains("from a file") && !shown.contains("piped"),
        "{shown}"
    );
    Ok(())
}

#[test]
fn what_is_not_there_is_created() -> Result<()> {
    let node = start()?;
    std::fs::write(node.home().join("greet.js"), GREET)?;
    let made = node.cli(&["update", "greet.js", "--memory", "96"])?;
    assert_eq!(made.assert_code(0).json()?["Created"], "greet");
    assert!(
        made.stderr
            .contains("there is no function greet; it is created"),
        "{made:?}"
    );
    assert_eq!(info(&node)?["MemoryMB"], 96);
    Ok(())
}

/// Serverledge's own route keeps its meaning, and says what that cost.
#[test]
fn a_whole_replacement_is_told() -> Result<()> {
    let node = greeter()?;
    let ran = node.cli(&["create", "greet.js", "--update"])?;
    let told = ran.assert_code(0).json()?;
    assert_eq!(told["Replaced"], true);
    let remark = told["Remarks"].to_string();
    for lost in [
        "MemoryMB",
        "Timeout",
        "Idempotent",
        "Env GREETING",
        "Secrets KEY",
    ] {
        assert!(
            remark.contains(lost) && ran.stderr.contains(lost),
            "{ran:?}"
        );
    }
    assert_eq!(greeting(&node)?, "undefined Ada -");
    Ok(())
}

#[test]
fn functions_of_applications_change_alike() -> Result<()> {
    let node = greeter()?;
    node.cli(&["app", "create", "shop"])?.assert_code(0);
    node.cli(&["--app", "shop", "create", "greet.js"])?
        .assert_code(0);
    let ran = node.cli(&["--app", "shop", "update", "greet", "--env", "GREETING=Shop"])?;
    assert_eq!(changed(&ran)?, ["EnvGREETING"]);
    assert_eq!(
        node.post("/apps/shop/fn/greet", &json!({"name": "Ada"}))?
            .json()?,
        "Shop Ada -"
    );
    assert_eq!(
        greeting(&node)?,
        "Hi Ada hunter2",
        "another function of that name"
    );
    Ok(())
}

/// Many change the same function at once; each names something else.
#[test]
fn nothing_is_lost_between_many() -> Result<()> {
    let node = start()?;
    node.deploy(
        "greet",
        r#"(module (memory (export "memory") 1) (func (export "_start")))"#,
    )?;
    let outcomes: Vec<Result<u16>> = std::thread::scope(|scope| {
        let change = |n: usize| {
            let body = json!({"Env": {format!("V{n}"): "1"}}).to_string();
            Ok(node
                .ask(&Request::new("PATCH", "/functions/greet").body(body))?
                .status)
        };
        let threads: Vec<_> = (0..12).map(|n| scope.spawn(move || change(n))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no thread panics"))
            .collect()
    });
    for outcome in outcomes {
        assert_eq!(outcome?, 200);
    }
    assert_eq!(info(&node)?["Env"].as_array().map(Vec::len), Some(12));
    Ok(())
}

/// Runs the client at a terminal of its own, and types this.
fn at_terminal(node: &Node, arguments: &str, typed: &str) -> Result<Ran> {
    let command = format!("'{}' {arguments}", programs()?.cli.display());
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &command, "/dev/null"])
        .env("HOME", node.home())
        .env("TERM", "dumb")
        .env("SERVERLEDGE_HOST", node.address.ip().to_string())
        .env("SERVERLEDGE_PORT", node.address.port().to_string())
        .current_dir(node.home())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("failed to start script, of the package bsdutils")?;
    let mut stdin = child.stdin.take().context("stdin is piped")?;
    stdin.write_all(typed.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(Ran {
        code: output.status.code(),
        stdout: text(&output.stdout),
        stderr: text(&output.stderr),
    })
}

#[test]
fn what_is_gone_for_good_is_asked_back_at_a_terminal() -> Result<()> {
    let node = greeter()?;
    node.cli(&["app", "create", "shop"])?.assert_code(0);
    for typed in ["n\n", "\n", "no\n", ""] {
        let ran = at_terminal(&node, "delete greet", typed)?;
        assert_eq!(ran.code, Some(1), "{typed:?}: {ran:?}");
        assert!(
            ran.stdout
                .contains("delete the function greet with its versions? [y/N] "),
            "{ran:?}"
        );
        assert!(
            ran.stdout
                .contains("nothing was done: the answer was not yes"),
            "{ran:?}"
        );
    }
    for command in [
        "app delete shop",
        "dead-letter purge --all",
        "account delete",
    ] {
        let ran = at_terminal(&node, command, "n\n")?;
        assert_eq!(ran.code, Some(1), "{command}: {ran:?}");
    }
    assert_eq!(node.names()?, ["greet"]);
    assert_eq!(
        at_terminal(&node, "app delete shop --yes", "")?.code,
        Some(0)
    );
    let ran = at_terminal(&node, "delete greet", "yes\n")?;
    assert!(
        ran.code == Some(0) && ran.stdout.contains("deleted greet"),
        "{ran:?}"
    );
    assert_eq!(node.names()?, [""; 0]);
    // At a terminal a change is one line.
    std::fs::write(node.home().join("greet.js"), GREET)?;
    node.cli(&["create", "greet.js"])?.assert_code(0);
    let ran = at_terminal(&node, "update greet --memory 256 --env A=1", "")?;
    assert!(
        ran.stdout
            .contains("updated greet: memory 128 → 256 MiB; variable A added (version "),
        "{ran:?}"
    );
    let ran = at_terminal(&node, "update greet --memory 256", "")?;
    assert!(
        ran.stdout
            .contains("nothing changed: greet is so already (version "),
        "{ran:?}"
    );
    Ok(())
}
