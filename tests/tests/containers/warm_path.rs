//! A warm call is between the node and the container: the engine is not asked.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use serde_json::json;

use crate::support::proxy::Proxy;
use crate::support::{ECHO, Engine, Lab, Request, wait_for};

/// So many warm calls, and what was said to the engine meanwhile.
const CALLS: usize = 200;

fn check(cells: usize) -> Result<()> {
    let proxy = Proxy::before(Engine::shared().socket())?;
    let lab = Lab::with(|setup| {
        setup
            .with("container.docker_socket", proxy.socket().display())
            .with("container.cells", cells)
            // So few that the starts of a slow run do not raise the number of template containers.
            .with("container.max", 8)
    })?;
    lab.python("py", ECHO)?;
    lab.nodejs("js", "exports.handler = params => params;\n")?;
    for name in ["py", "js"] {
        assert_eq!(lab.call(name, &json!({}))?, json!({}));
    }
    assert!(proxy.bytes() > 0, "the proxy is in between");
    // What the deploys tried the code in is gone, template containers are there, and the engine has been told all of that.
    let quiet = lab.wait_for_containers(2 + 2 * cells)?;
    // One that does not listen yet is looked at now and then.
    let sockets = || Ok((sockets_below(&lab.data())? == quiet.len()).then_some(()));
    wait_for("containers that listen", sockets)?;
    let mut connection = lab.connect()?;
    let before = proxy.bytes();
    for n in 0..CALLS {
        let name = if n % 2 == 0 { "py" } else { "js" };
        let answer = connection.send(&Request::json(
            &format!("/invoke/{name}"),
            &json!({ "Params": n }),
        ))?;
        assert_eq!(
            (answer.result()?, &answer.json()?["IsWarmStart"]),
            (json!(n), &json!(true))
        );
    }
    assert_eq!(
        proxy.bytes() - before,
        0,
        "bytes were sent to the engine during {CALLS} warm calls"
    );
    assert_eq!(lab.containers()?, quiet);
    Ok(())
}

fn sockets_below(folder: &Path) -> Result<usize> {
    let found = Command::new("find")
        .arg(folder)
        .args(["-name", "agent.sock"])
        .output()?;
    Ok(String::from_utf8_lossy(&found.stdout).lines().count())
}

#[test]
fn warm_calls_do_not_ask_the_engine() -> Result<()> {
    check(0)
}

#[test]
fn nor_do_they_beside_template_containers() -> Result<()> {
    check(1)
}
