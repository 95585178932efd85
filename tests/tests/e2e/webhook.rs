//! The example `examples/webhook`: an HMAC is checked, stores are used, and an API is called with a secret that the function
//! never has.

use anyhow::Result;
use serde_json::{Value, json};

use crate::support::{Node, Request, Setup, programs};

/// The body of a webhook, and its HMAC with the key `sender`.
const BODY: &str = r#"{"id":"a1","text":"The printer is on fire"}"#;
const SIGNATURE: &str = "sha256=c814b3981aae5c52898cb18725c2592046a9ea0d6b8738959d14810944075f14";

/// The function's answer to a webhook with this signature, with the status.
fn deliver(node: &Node, signature: Option<&str>) -> Result<(u16, Value)> {
    let mut request = Request::post("/fn/webhook", BODY);
    if let Some(signature) = signature {
        request = request.header("x-signature", signature);
    }
    let reply = node.ask(&request)?;
    Ok((reply.status, reply.json()?))
}

#[test]
fn a_webhook_is_checked_noted_and_passed_on() -> Result<()> {
    let node = Setup::new()?
        .with("outbound.allow", "127.0.0.0/8")
        .start()?;
    node.deploy_example("echo-http")?;
    let source = programs::root().join("examples/webhook/webhook.js");
    let origin = format!("http://{}", node.address);
    std::fs::write(node.home().join("sender.txt"), "sender")?;
    std::fs::write(node.home().join("tickets.txt"), "hunter2")?;
    let (url, secret_for) = (
        format!("TICKETS_URL={origin}/fn/echo-http/"),
        format!("TICKETS_KEY={origin}"),
    );
    let source = source.to_string_lossy();
    let create = ["create", "-f", "webhook", "--src", &source, "--env", &url];
    let secrets = [
        "--secret",
        "WEBHOOK_KEY=@sender.txt",
        "--secret",
        "TICKETS_KEY=@tickets.txt",
    ];
    let hosts = ["--allow-host", &origin, "--secret-for", &secret_for];
    node.cli(&[&create[..], &secrets, &hosts].concat())?
        .assert_code(0);

    let opened = json!({ "id": "a1", "ticket": "opened", "deliveries": 1 });
    let before = json!({ "id": "a1", "ticket": "opened before" });
    assert_eq!(deliver(&node, Some(SIGNATURE))?, (201, opened));
    assert_eq!(deliver(&node, Some(SIGNATURE))?, (200, before));
    for forged in [None, Some("sha256="), Some(&SIGNATURE.replace('0', "1"))] {
        let (status, _) = deliver(&node, forged)?;
        assert_eq!(status, 401, "{forged:?}");
    }
    let keys = node.get("/kv/default")?.json()?;
    assert_eq!(keys["keys"], json!(["deliveries", "delivery/a1"]));
    Ok(())
}
